# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Node.js comes to the hosts that make something with npm, and to no other."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2.nativetypes import NativeEnvironment

from ansible_collections.phasegate.aistack.plugins.filter.stack import on_host

ROLE = Path(__file__).resolve().parents[3] / "roles/toolchain"


SITE = {"hosts": "web", "kind": "static", "lock": "package-lock.json"}
SHOP = {"hosts": "web", "kind": "node"}


def rendered(name: str, components: dict[str, Any] | None, artefacts: Any = None, host: str = "one") -> Any:
    """A variable of the role on a host."""
    engine = NativeEnvironment()
    engine.filters["phasegate.aistack.on_host"] = on_host
    engine.filters["extract"] = lambda key, container: container[key]
    given: dict[str, Any] = {"groups": {"web": ["one"], "other": ["two"]}, "inventory_hostname": host, "toolchain_squawk": False}
    if components is not None:
        given["aistack_components"] = components
    if artefacts is not None:
        given["aistack_artefacts"] = artefacts
    texts = {**(yaml.safe_load((ROLE / "vars/main.yml").read_text())), **(yaml.safe_load((ROLE / "defaults/main.yml").read_text()))}
    lists = ("__toolchain_here", "__toolchain_described", "__toolchain_made", "__toolchain_parts")
    for asked in ("__toolchain_builder", "toolchain_builds", *lists, "toolchain_node", "__toolchain_locks"):
        found = engine.from_string(texts[asked]).render(given)
        given[asked] = list(found) if asked in lists else found
    return given[name]


@pytest.mark.parametrize(
    ("components", "wanted"),
    [
        (None, False),
        ({"api": {"hosts": "web"}}, False),
        ({"site": {"hosts": "web", "kind": "static"}}, False),
        ({"site": SITE}, True),
        ({"shop": SHOP}, True),
        ({"api": {"hosts": "web", "includes": [{"path": "ui"}]}}, True),
        ({"shop": {**SHOP, "hosts": "other"}, "site": {**SITE, "hosts": "other"}}, False),
    ],
)
def test_node_comes_with_what_needs_it(components: dict[str, Any] | None, wanted: bool) -> None:
    assert rendered("toolchain_node", components) is wanted


def test_with_a_build_host_the_others_get_no_tools_to_build_with() -> None:
    on = {"on": "builder"}
    assert rendered("__toolchain_locks", {"site": SITE}, on) == []
    assert rendered("__toolchain_locks", {"shop": SHOP}, on) == ["node.txt"], "it runs by Node.js"
    assert rendered("__toolchain_locks", {"site": SITE}, on, "builder") == ["tools.txt", "node.txt"], "what it builds for others"
    for artefacts in (None, {}, False, {"folder": "/srv"}):
        assert rendered("__toolchain_locks", {"site": SITE}, artefacts) == ["tools.txt", "node.txt"]


@pytest.mark.parametrize(
    ("locks", "wanted"),
    [
        (["package-lock.json", None], False),
        (["../uv.lock"], False),
        (["../pnpm-lock.yaml"], True),
        (["package-lock.json", "yarn.lock"], True),
    ],
)
def test_pnpm_and_yarn_come_with_their_locks(locks: list[str | None], wanted: bool) -> None:
    engine = NativeEnvironment()
    engine.filters["basename"] = os.path.basename
    engine.tests["in"] = lambda value, among: value in among
    made = [{"kind": "node", **({"lock": lock} if lock else {})} for lock in locks]
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8"))
    said = engine.from_string(defaults["toolchain_node_managers"])
    assert said.render({"__toolchain_made": made, "__toolchain_parts": []}) is wanted
    assert said.render({"__toolchain_made": [], "__toolchain_parts": made}) is wanted
