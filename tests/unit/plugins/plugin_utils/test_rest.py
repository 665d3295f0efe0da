# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Extra variables as Ansible itself takes them apart: what it drops is told."""

from __future__ import annotations

from ansible.parsing.splitter import parse_kv

from ansible_collections.phasegate.aistack.plugins.module_utils.stack.extra_vars import REST, rest_problem


def test_what_ansible_drops_is_told() -> None:
    verb = {"parameters": [{"name": "reason"}]}
    told = rest_problem(verb, parse_kv("reason=looks slow")[REST])
    assert told == "slow: stands behind a blank and belongs to no variable; quote a value twice: -e \"reason='two words'\""
    assert rest_problem(verb, parse_kv("reason='looks slow'").get(REST)) == ""
