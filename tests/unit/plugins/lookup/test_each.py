# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A variable for each value of another one, in real templates."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from ansible_collections.phasegate.aistack.plugins.lookup.each import LookupModule

VARIABLES: dict[str, Any] = {
    "component": "none", "components": {"api": {"port": 1}, "web": {"port": 2, "more": [trust_as_template("{{ component }}")]}},
    "described": trust_as_template("{{ components[component] }}"),
    "options": {"component": trust_as_template("{{ component }}"), "port": trust_as_template("{{ described.port }}"),
                "more": trust_as_template("{{ described.more | default([]) }}")},
    "wrong": trust_as_template("{{ described.nothing }}"),
}


def each(*terms: Any, variable: str = "options") -> list[Any]:
    lookup = LookupModule(loader=DataLoader(), templar=Templar(DataLoader(), variables=VARIABLES))
    return lookup.run(list(terms), VARIABLES, variable=variable, name="component")


def test_what_depends_on_a_variable_is_filled_in_with_each_value() -> None:
    expected = [{"component": "api", "port": 1, "more": []}, {"component": "web", "port": 2, "more": ["web"]}]
    assert each(["api", "web"]) == each("api", "web") == expected
    assert each("web", ["api"]) == expected[::-1]
    assert each([]) == each() == []
    assert VARIABLES["component"] == "none"


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(AnsibleError, match="variable is 'optoins', name is 'component'; expected the name of a variable that is there"):
        each("api", variable="optoins")
    with pytest.raises(AnsibleError, match="nothing"):
        each("api", variable="wrong")
