# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guide of images is true: its inventory passes the check, and is the one that a scenario deploys, a database and names aside."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.phasegate.aistack.plugins.module_utils.stack.check import NOT_IN_IMAGES
from ansible_collections.phasegate.aistack.plugins.module_utils.stack.description import IMAGE
from ansible_collections.phasegate.aistack.plugins.plugin_utils import roles

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs/guide-containers.md").read_text(encoding="utf-8")
SCENARIO = ROOT / "molecule/containers/inventory/group_vars/all/stack.yml"


Described = Callable[[str], dict[str, Any]]


def test_its_inventory_passes_the_check(described: Described) -> None:
    said = described("guide-containers.md")
    assert said["aistack_components"]["api"]["kind"] == "image"


def test_a_scenario_deploys_it(described: Described) -> None:
    said, there = described("guide-containers.md"), yaml.safe_load(SCENARIO.read_text(encoding="utf-8"))
    components = said["aistack_components"]
    migrations = {"tables": ["notes"]}
    assert "`migrations: {tables: [notes]}` in the component" in GUIDE
    components["api"].update(application="boxes", after=[*components["api"]["after"], "postgres"], migrations=migrations)
    for name, component in components.items():
        assert component == there["aistack_components"][name], name
    assert {**said["aistack_ports"], "postgres": 5432} == there["aistack_ports"]


def test_it_names_all_that_an_image_and_its_container_may_say(described: Described) -> None:
    assert set(re.findall(r"^\| `(\w+): [^`]+` \|", GUIDE, re.MULTILINE)) >= set(IMAGE)
    role = roles.read(roles.ROLES / "container")
    assert role.options is not None
    told = set(re.findall(r"`options\.(\w+)", GUIDE)) | set(described("guide-containers.md")["aistack_components"]["api"]["options"])
    assert role.options - told == set()
    assert told <= role.options
    for name in ("lock", "build", "tests", "output"):
        assert (f"`{name}`" in GUIDE) == (name in NOT_IN_IMAGES)
