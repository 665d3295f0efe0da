# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.action import rollback_plan
from ansible_collections.phasegate.aistack.tests.unit.plugins.action.test_release_info import Hosts, Task, Templar


def test_code_is_told_for_switches_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other steps go from one schema to another, or name a set."""
    monkeypatch.setattr(rollback_plan.Source, "changes", lambda self, newer, older: [f"{self.repo}: {older}..{newer}"])
    switch = {"commit": {"v2": "b", "v1": "a"}, "from": {"release": "v2"}, "release": "v1"}
    steps = [
        {"do": "downgrade", "component": "web", "detail": {"from": ["0002"], "to": ["0001"], "release": "v2"}},
        {"do": "restore", "component": None, "detail": {"set": "s"}},
        {"do": "switch", "component": "web", "detail": switch},
        {"do": "switch", "component": "page", "detail": {**switch, "commit": {"v2": None, "v1": "a"}}},
    ]
    assert rollback_plan.code({"n": {"steps": steps}, "idle": {}}, ["/srv/r.git"]) == ["/srv/r.git: a..b"]


def decided(runs_with: dict[str, Any], **more: Any) -> dict[str, Any]:
    plugin = rollback_plan.ActionModule.__new__(rollback_plan.ActionModule)
    plugin._task, plugin._templar = Task({}), Templar()

    def at(component: str, present: str, *tags: str) -> dict[str, Any]:
        candidate = {"node": "a", "component": component, "present": present, "tags": [present, *tags]}
        return {"answer": {"level": "app", "allowed": True, "to": "v4.0.0", "from": present, "candidates": [candidate], "steps": []}}

    components = {"gateway": {"application": "shop"}, "worker": {"release_from": "gateway", "runs_with": runs_with}}
    hosts = {"a": {"__plan": at("gateway", "v5.0.0", "v4.0.0")}, "b": {"__plan": at("worker", "v5.0.0", "v4.0.0")}}
    args = {**{name: entry.get("default") for name, entry in rollback_plan.ARGUMENTS.items()}, "answers": "__plan", "to": "v4.0.0", **more}
    return plugin.answer(args, {"aistack_components": components, "ansible_play_hosts_all": ["a", "b"], "hostvars": Hosts(hosts)})


def test_a_way_back_is_told_what_it_leaves_side_by_side_and_is_not_refused() -> None:
    rule = "worker runs with gateway >= v5.0.0 (aistack_components.worker.runs_with.gateway)"
    told = f"worker will be at v4.0.0, and gateway at v4.0.0; {rule}"
    result = decided({"gateway": {"ge": "v5.0.0"}})
    assert (result["allowed"], result["notes"]) == (True, [told]), result
    assert f"  note: {told}" in result["text"]
    assert decided({"gateway": "major"})["notes"] == []
    assert decided({"gateway": {"ge": "v5.0.0"}}, best_effort=True)["notes"] == [], "an emergency says nothing"
