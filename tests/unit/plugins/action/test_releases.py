# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What several components of a host are asked for in one task: each its own state, with what all of them share."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible.plugins.action import ActionBase

from ansible_collections.phasegate.aistack.plugins.action import releases


def run(monkeypatch: pytest.MonkeyPatch, answers: dict[str, dict[str, Any]], **args: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What the task answers, and what the node was asked; *answers* is what it says of each component."""
    calls: list[dict[str, Any]] = []

    def module(module_name: str, module_args: dict[str, Any], task_vars: Any) -> dict[str, Any]:
        assert module_name == "phasegate.aistack.release"
        calls.append({key: value for key, value in module_args.items() if key != "actor"})
        return dict(answers[module_args["component"]])

    action = releases.ActionModule.__new__(releases.ActionModule)
    action._task = SimpleNamespace(args=args, check_mode=False, async_val=0, action="phasegate.aistack.releases")
    action._connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/remote"))
    action._host = "n1"
    monkeypatch.setattr(ActionBase, "run", lambda self, tmp, task_vars: {})
    monkeypatch.setattr(action, "validate_argument_spec", lambda argument_spec: (None, {
        **{name: spec.get("default") for name, spec in argument_spec.items()}, **args}))
    monkeypatch.setattr(action, "_execute_module", module)
    monkeypatch.setattr(action, "cleanup", lambda: None)
    return action.run(task_vars={}), calls


def test_trees_are_lent_and_pruned_as_they_are_staged(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [{"component": "api", "state": "lent", "lent_to": ["worker"]}, {"component": "site", "state": "pruned", "keep": 2}]
    said = {"api": {"changed": True, "lent": ["worker"]}, "site": {"changed": False, "removed": []}}
    answer, calls = run(monkeypatch, said, components=asked, shared={"group": "aistack", "keep": 9}, run="r1", root="/srv", at_once=1)
    common = {"group": "aistack", "run": "r1", "root": "/srv"}
    assert calls == [{**asked[0], **common, "keep": 9}, {**asked[1], **common}]
    assert (answer["changed"], [row["component"] for row in answer["results"]]) == (True, ["api", "site"])
    assert "to_build" not in answer["results"][0]


def test_one_that_is_refused_leaves_the_other_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [{"component": name, "state": "pruned"} for name in ("api", "site")]
    said = {"api": {"failed": True, "msg": "api: no"}, "site": {"changed": True, "removed": ["v1"]}}
    answer, calls = run(monkeypatch, said, components=asked, at_once=1)
    assert len(calls) == 2
    assert (answer["failed"], answer["changed"], answer["msg"]) == (True, True, "api: no")
