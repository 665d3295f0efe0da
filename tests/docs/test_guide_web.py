# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guide of a web application is true: its inventory passes the check, and is the one that a scenario deploys, names and ports aside."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.phasegate.aistack.plugins.module_utils.edge.rules import CHECK_KEYS, EDGE_KEYS

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs/guide-web.md").read_text(encoding="utf-8")
TINY = ROOT / "molecule/tiny/inventory/group_vars/all/stack.yml"


Described = Callable[[str], dict[str, Any]]


SCENARIO = ("cache", "just_in_time", "tests")
"""What the scenario tries besides."""


def test_its_inventory_passes_the_check(described: Described) -> None:
    said = described("guide-web.md")
    assert set(said["edge_redirects"]) <= set(said["aistack_components"])


def test_a_scenario_deploys_it(described: Described) -> None:
    said, tiny = described("guide-web.md"), yaml.safe_load(TINY.read_text(encoding="utf-8"))
    for name in ("api", "site"):
        both = [stack["aistack_components"][name].items() for stack in (said, tiny)]
        here, there = ({key: value for key, value in items if key not in SCENARIO} for items in both)
        assert {**here, "application": "tiny"} == there, name
    assert set(said["aistack_ports"]) == set(tiny["aistack_ports"])
    assert set(said["edge_redirects"]) == set(tiny["edge_redirects"])
    assert said["aistack_env"] == tiny["aistack_env"]
    assert set(said["edge_tls"]["names"]) <= set(tiny["edge_tls"]["names"])


def test_it_names_all_that_an_edge_may_say() -> None:
    rows = re.findall(r"^\| `(\w+):", GUIDE, re.MULTILINE)
    assert set(rows) == EDGE_KEYS
    check = re.findall(r"^\| `check: \{(.+?)\}`", GUIDE, re.MULTILINE)[0]
    assert set(re.findall(r"(\w+):", check)) == CHECK_KEYS
