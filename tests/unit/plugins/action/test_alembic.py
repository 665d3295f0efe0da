# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of a migration: when it plans itself, and what it never sends to the node."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.plugins.action import ActionBase

from ansible_collections.phasegate.aistack.plugins.action import alembic, alembic_info
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import controller_plan, offline_plan, request as alembic_request
from ansible_collections.phasegate.aistack.plugins.plugin_utils.followed import Followed

ARGS = {
    "component": "backend", "release": "v2", "env_file": "/e", "repo": "/repo", "path": "backend", "lock": "requirements.lock",
    "schema": [{"name": "A"}],
}
UNKNOWN = {"known": False, "why": "not staged", "component": "backend", "release": "v2", "text": ""}
PLAN: dict[str, Any] = {
    "known": True, "current": ["a"], "target": ["b"], "note": "", "verdict": {"refusals": [], "warnings": [], "allowed": True},
    "pending": [{"revision": "b", "sql": "ALTER TABLE t ADD c int;\n", "sql_error": ""}],
}


def run(
    plugin: Any, answer: dict[str, Any] | list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, check: bool = True, **args: Any
) -> tuple[Any, dict[str, Any]]:
    """The result, and the arguments that reached the node."""
    sent: dict[str, Any] = {}
    answers = list(answer) if isinstance(answer, list) else [answer]
    action = plugin.ActionModule.__new__(plugin.ActionModule)
    action._task = SimpleNamespace(args={**ARGS, **args}, check_mode=check)
    monkeypatch.setattr(ActionBase, "run", lambda self, tmp, task_vars: {})

    def module(module_name: str, module_args: dict[str, Any], task_vars: Any) -> dict[str, Any]:
        sent.clear()
        sent.update(module_args)
        said = answers.pop(0) if len(answers) > 1 else answers[0]
        return {key: dict(value) if isinstance(value, dict) else value for key, value in said.items()}

    monkeypatch.setattr(action, "_execute_module", module)
    return action.run(None, {}), sent


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    made: list[tuple[Any, ...]] = []

    def document(*values: Any) -> dict[str, Any]:
        made.append(values)
        return dict(PLAN)

    monkeypatch.setattr(controller_plan, "document", document)
    return made


@pytest.mark.parametrize("plugin", [alembic, alembic_info])
def test_the_node_gets_nothing_that_it_has_no_use_for(plugin: Any, monkeypatch: pytest.MonkeyPatch, calls: list[Any]) -> None:
    result, sent = run(plugin, {"known": True, "changed": False}, monkeypatch)
    assert set(sent) == {"component", "release", "env_file"}
    assert result == {"known": True, "changed": False}
    assert calls == []


@pytest.mark.parametrize("plugin", [alembic, alembic_info])
def test_who_waits_for_a_plan_sees_what_it_is_at(plugin: Any) -> None:
    assert issubclass(plugin.ActionModule, Followed)


def test_info_plans_here_what_the_node_does_not_know(monkeypatch: pytest.MonkeyPatch, calls: list[Any]) -> None:
    result, _sent = run(alembic_info, {**UNKNOWN, "seen": {"bare": True}}, monkeypatch)
    assert result["known"]
    assert result["pending"] == PLAN["pending"]
    assert "seen" not in result
    request, seen, origin, why = calls[0]
    assert (request.release, request.state, seen, origin.lock, why) == ("v2", "upgraded", {"bare": True}, "requirements.lock", "not staged")


def test_info_says_why_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    def document(*_values: Any) -> dict[str, Any]:
        raise offline_plan.Unavailable("uv is not here")

    monkeypatch.setattr(controller_plan, "document", document)
    result, _sent = run(alembic_info, {**UNKNOWN, "seen": {"bare": True}}, monkeypatch)
    assert not result["known"]
    assert not result.get("failed")
    assert "uv is not here" in result["text"]


def test_where_the_controller_has_no_environment_the_node_plans(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def document(*_values: Any) -> dict[str, Any]:
        raise offline_plan.NoEnvironment("its lock is for another Python.")

    class Source:
        place = SimpleNamespace(inner="")

        def __init__(self, *words: str) -> None:
            assert words[:2] == ("/repo", "backend")

        def files(self, tag: str, commit: str) -> dict[str, Any]:
            return {}

        def resolve(self, tag: str) -> str:
            return f"commit-of-{tag}"

        def archive(self, tag: str, commit: str) -> Any:
            return SimpleNamespace(path=tmp_path / "a.tar.gz", sha256="0" * 64)

    monkeypatch.setattr(controller_plan, "document", document)
    monkeypatch.setattr(alembic_info.mirror, "Source", Source)
    shell = SimpleNamespace(tmpdir="/tmp/x", join_path=lambda *words: "/".join(words))
    for name, value in (("_connection", SimpleNamespace(_shell=shell)), ("_transfer_file", None), ("_fixup_perms2", None)):
        given = value or (lambda self, *_words: None)
        monkeypatch.setattr(ActionBase, name, given, raising=False)
    answers = [{**UNKNOWN, "seen": {"bare": True}}, {**PLAN, "basis": "on the node"}]
    result, sent = run(alembic_info, answers, monkeypatch, plan_on_node={"python": "python3.14", "secret_environment": {"T": "x"}})
    assert (result["known"], result["basis"]) == (True, "on the node")
    brought = sent["scratch"]
    assert (brought["archive"], brought["commit"], brought["python"]) == ("/tmp/x/plan.tar.gz", "commit-of-v2", "python3.14")
    assert (brought["seen"], brought["lock"], brought["schema"]) == ({"bare": True}, "requirements.lock", [{"name": "A"}])
    assert set(sent) <= set(alembic_request.SPEC) | {"direction", "target", "scratch"}
    answers = [{**UNKNOWN, "seen": {"bare": True}}, {**UNKNOWN, "why": "there is no python3.14"}]
    result, _sent = run(alembic_info, answers, monkeypatch, plan_on_node={"python": "python3.14"})
    assert result["why"].endswith("cannot plan it: its lock is for another Python; nor can the node: there is no python3.14")


def test_without_a_repository_the_answer_stays(monkeypatch: pytest.MonkeyPatch, calls: list[Any]) -> None:
    result, _sent = run(alembic_info, {**UNKNOWN, "seen": {"bare": True}}, monkeypatch, repo=None)
    assert not result["known"]
    assert calls == []


def test_alembic_in_check_mode_shows_the_sql(monkeypatch: pytest.MonkeyPatch, calls: list[Any]) -> None:
    answer = {"changed": False, "plan": dict(UNKNOWN), "msg": "Nothing known yet", "seen": {"bare": True}}
    result, _sent = run(alembic, answer, monkeypatch)
    assert result["changed"]
    assert "ADD c int" in result["diff"]["after"]
    assert result["msg"] == "backend: 1 step would run."


def test_alembic_refuses_as_the_node_would(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = {"code": "contract", "revision": "b", "reason": "It drops t.", "remedy": "Do not."}
    keys = dict.fromkeys(("component", "release", "heads", "tables"), "")
    step = {**PLAN["pending"][0], "doc": "", "phase": "contract", "risk": "high", "reversible": True, "autocommit": False}
    plan = {**keys, **PLAN, "pending": [step], "verdict": {"allowed": False, "warnings": [], "refusals": [refusal]}}
    monkeypatch.setattr(controller_plan, "document", lambda *_values: plan)
    result, _sent = run(alembic, {"changed": False, "plan": dict(UNKNOWN), "msg": "", "seen": {"bare": False}}, monkeypatch)
    assert result["failed"]
    assert result["code"] == "contract"
    assert "It drops t." in result["msg"]


def test_a_check_says_what_it_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    def document(*_values: Any) -> dict[str, Any]:
        raise offline_plan.Unavailable("its lock is for another Python")

    monkeypatch.setattr(controller_plan, "document", document)
    answer = {"changed": False, "plan": dict(UNKNOWN), "msg": "Nothing known yet", "seen": {"bare": True}}
    result, _sent = run(alembic, answer, monkeypatch)
    said = "not staged; and the controller cannot plan it: its lock is for another Python."
    assert result["warnings"] == [f"What backend v2 would do to the database is NOT known: {said}"]
    assert not result.get("failed")
    result, _sent = run(alembic, answer, monkeypatch, repo=None)
    assert result["warnings"] == ["What backend v2 would do to the database is NOT known: not staged."]


def test_a_check_that_cannot_judge_a_step_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = {**PLAN["verdict"], "undecided": ["With made-up values for A it stops."]}
    plan = {**PLAN, "component": "backend", "release": "v2", "verdict": verdict}
    monkeypatch.setattr(controller_plan, "document", lambda *_values: plan)
    result, _sent = run(alembic, {"changed": False, "plan": dict(UNKNOWN), "msg": "", "seen": {"bare": True}}, monkeypatch)
    assert result["changed"]
    assert not result.get("failed")
    assert "With made-up values for A" in result["msg"]
    assert result["warnings"] == ["What backend v2 would do to the database is NOT known: With made-up values for A it stops."]


def test_alembic_outside_check_mode_is_the_module_alone(monkeypatch: pytest.MonkeyPatch, calls: list[Any]) -> None:
    result, sent = run(alembic, {"changed": True, "msg": "done"}, monkeypatch, check=False)
    assert result == {"changed": True, "msg": "done"}
    assert "repo" not in sent
    assert calls == []
