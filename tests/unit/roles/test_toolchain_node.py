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


@pytest.mark.parametrize(
    ("components", "wanted"),
    [
        (None, False),
        ({"api": {"hosts": "web"}}, False),
        ({"site": {"hosts": "web", "kind": "static"}}, False),
        ({"site": {"hosts": "web", "kind": "static", "lock": "package-lock.json"}}, True),
        ({"shop": {"hosts": "web", "kind": "node"}}, True),
        ({"shop": {"hosts": "other", "kind": "node"}, "site": {"hosts": "other", "kind": "static", "lock": "package-lock.json"}}, False),
    ],
)
def test_node_comes_with_what_needs_it(components: dict[str, Any] | None, wanted: bool) -> None:
    engine = NativeEnvironment()
    engine.filters["phasegate.aistack.on_host"] = on_host
    engine.filters["extract"] = lambda key, container: container[key]
    given: dict[str, Any] = {"groups": {"web": ["one"], "other": ["two"]}, "inventory_hostname": "one"}
    if components is not None:
        given["aistack_components"] = components
    vars_, defaults = (yaml.safe_load((ROLE / name / "main.yml").read_text(encoding="utf-8")) for name in ("vars", "defaults"))
    made = list(engine.from_string(vars_["__toolchain_made"]).render(given))
    assert engine.from_string(defaults["toolchain_node"]).render({**given, "__toolchain_made": made}) is wanted


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
    assert engine.from_string(defaults["toolchain_node_managers"]).render({"__toolchain_made": made}) is wanted
