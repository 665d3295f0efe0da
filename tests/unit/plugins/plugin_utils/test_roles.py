# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a role's own argument specs say of a value is said of the options of its components."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.plugin_utils.roles import ROLES, hint, option_problems


def said(role: str, options: dict[str, Any]) -> list[str]:
    return option_problems({"api": {"role": role, "options": options}}, {role: ROLES / role})


@pytest.mark.parametrize(
    ("role", "options", "problem"),
    [
        ("container", {"network": "bridged"}, "options.network: 'bridged' is not one of bridge, host; did you mean 'bridge'?"),
        ("container", {"port": "http"}, "options.port: must be a whole number, is the text 'http'"),
        ("container", {"command": ["run", ["x"]]}, "options.command[1]: must be a text or a number, is a list"),
        ("container", {"memory": {"most": 1}}, "options.memory: must be a text, is a mapping"),
        ("worker", {"queues": [None]}, "options.queues[0]: is empty; it must be a text or a number, or be left out"),
    ],
)
def test_another_value_is_refused_with_its_path(role: str, options: dict[str, Any], problem: str) -> None:
    assert said(role, options) == [f"aistack_components.api.{problem}"]


def test_what_fits_is_taken() -> None:
    assert said("container", {"network": "host", "port": 8000, "command": ["run", "--threads", 2, 1.5], "cpus": 1.5}) == []


@pytest.mark.parametrize(
    ("line", "own"),
    [
        ("backend_workers: nothing reads it, role backend has no such variable", True),
        ("releese: deploy.yml knows no such variable; did you mean 'release'?", True),
        ("backup: expected true or false, got maybe (make a backup set first)", False),
        ("aistack_components.db.instances: nothing reads it, since postgres runs no release; drop it", False),
    ],
)
def test_variables_of_ones_own_are_spoken_of_where_one_is_unknown(line: str, own: bool) -> None:
    assert ("aistack_extra_vars" in hint(["aistack_name: is missing", line])) is own
