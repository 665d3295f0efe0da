# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tasks of a release a phase runs, as the role's variables have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2.nativetypes import NativeEnvironment

VARS = yaml.safe_load((Path(__file__).resolve().parents[3] / "roles/release/vars/main.yml").read_text(encoding="utf-8"))
SEED, WARM = {"name": "seed", "component": "api"}, {"name": "warm", "component": "api"}
TASKS = {"after_migration": [SEED], "after_activation": [WARM, {"name": "other", "component": "web"}]}


def run(live: str, receipt: dict[str, Any] | None, host: str = "a", has: bool = True) -> tuple[list[Any], list[Any]]:
    """What is run behind the migrations, and behind the activation."""
    known: dict[str, Any] = {
        "release_application": {"release": "v1", **({"release_tasks": TASKS} if has else {})}, "inventory_hostname": host,
        "groups": {"be": ["a", "b"]}, "release_description": {"hosts": "be"}, "release_component": "api",
        "__release_live": live, "__release_tag": "v1", **({"__receipt": receipt} if receipt else {}),
    }
    for name in ("__release_all_tasks", "__release_tasks", "__release_cut_off", "__release_tasks_behind"):
        known[name] = NativeEnvironment().from_string(VARS[name]).render(known)
    return known["__release_tasks"].get("after_migration", []), known["__release_tasks_behind"]


@pytest.mark.parametrize(("live", "receipt", "expected"), [
    ("", {"components": {"api": {"known": False}}}, ([SEED], [WARM])),
    ("v1", {"components": {"api": {"known": False}}}, ([], [WARM])),
    ("v1", {"components": {"api": {"known": True}}}, ([], [])),
    ("v1", {"components": {}}, ([], [])),
    ("v1", None, ([], [])),
])
def test_what_an_installation_that_was_cut_off_has_not_come_to(live: str, receipt: Any, expected: Any) -> None:
    """What was converged to its end before has been live for long: none of its tasks is run."""
    assert run(live, receipt) == expected
    assert run(live, receipt, host="b") == ([], []), "one host runs them"
    assert run(live, receipt, has=False) == ([], [])
