# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the check of a description sees of hosts before any is contacted."""

from __future__ import annotations

import pytest

from ansible_collections.phasegate.aistack.plugins.plugin_utils.described import unmanaged_hosts


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"ansible_connection": "winrm"}, "a: ansible_connection: winrm means Windows"),
        ({"ansible_connection": "ansible.builtin.psrp"}, "a: ansible_connection: ansible.builtin.psrp means Windows"),
        ({"ansible_shell_type": "powershell"}, "a: ansible_shell_type: powershell means Windows"),
        ({"ansible_connection": "ssh"}, ""),
    ],
)
def test_a_node_that_no_run_manages_is_named(variables: dict[str, str], said: str) -> None:
    hosts = {"a": variables, "b": {"ansible_connection": "winrm"}}  # nothing runs on b
    found = unmanaged_hosts({"api": {"hosts": "one"}}, {"one": ["a"], "two": ["b"]}, hosts.__getitem__)
    assert [line.startswith(said) for line in found] == ([True] if said else [])
