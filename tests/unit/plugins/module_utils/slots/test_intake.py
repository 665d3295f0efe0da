# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workers of instances: told by their names, and written down before they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.slots import intake as intakes
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.celery_drain import DrainError
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.intake import Intake, of_live
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.slots.test_operations import V1, Bench, Request

TWO, THREE = "worker-blue-2@a", "worker-blue-3@a"


class Workers:
    """Who takes from which queues; each question is kept."""

    def __init__(self) -> None:
        self.takes = {"worker-blue@a": ["celery"], TWO: ["celery"], THREE: ["celery"]}
        self.tasks: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []

    def __call__(self, question: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(question)
        for name, queues in question["cancel"].items():
            self.takes[name] = [queue for queue in self.takes[name] if queue not in queues]
        for name, queues in question["add"].items():
            self.takes[name] += queues
        seen = {name: self.takes[name] for name in question["workers"] if name in self.takes}
        return {"workers": seen, "tasks": self.tasks, "settled": bool(question["until"]) and not self.tasks}


@pytest.fixture
def workers() -> Workers:
    return Workers()


def intake(state: Path, workers: Workers) -> Intake:
    return Intake("worker", state, "app", "worker-${slot}@a", 0.0, workers)


def test_those_that_go_take_nothing_more_and_the_others_are_not_asked(tmp_path: Path, workers: Workers) -> None:
    intake(tmp_path, workers).end(["blue-2", "blue-3"])
    assert workers.takes == {"worker-blue@a": ["celery"], TWO: [], THREE: []}
    assert workers.asked[0]["workers"] == [TWO, THREE]
    kept = json.loads((tmp_path / "drained/worker.json").read_text())
    assert kept["workers"] == {TWO: ["celery"], THREE: ["celery"]}
    intake(tmp_path, workers).forget(["blue-2", "blue-3"])
    assert not (tmp_path / "drained/worker.json").exists()


def test_who_holds_a_task_has_all_go_on(tmp_path: Path, workers: Workers) -> None:
    workers.tasks = [{"worker": TWO, "state": "active", "id": "1", "name": "app.render", "seconds": 3.0, "due_in": None, "later": False}]

    def answer(question: dict[str, Any]) -> dict[str, Any]:
        seen = workers(question)
        return {**seen, "settled": not (question["until"] or {}).get("idle")}

    with pytest.raises(DrainError, match=rf"1 task still held .*app\.render \[1\] on {TWO}"):
        Intake("worker", tmp_path, "app", "worker-${slot}@a", 0.0, answer).end(["blue-2", "blue-3"])
    assert (workers.takes[TWO], workers.takes[THREE]) == (["celery"], ["celery"])


def test_only_who_was_stopped_is_asked_to_go_on(tmp_path: Path, workers: Workers) -> None:
    one = intake(tmp_path, workers)
    one.go_on(["blue", "blue-2"])
    assert workers.asked == []
    one.end(["blue-2", "blue-3"])
    workers.asked.clear()
    one.go_on(["blue", "blue-2"])
    assert (workers.takes[TWO], workers.takes[THREE]) == (["celery"], [])
    assert workers.asked[0]["workers"] == [TWO]


def test_who_was_stopped_is_known_by_instance(tmp_path: Path, workers: Workers) -> None:
    one = intake(tmp_path, workers)
    assert one.stopped(["blue", "blue-2"]) == []
    one.end(["blue-2", "blue-3"])
    workers.asked.clear()
    assert one.stopped(["blue", "blue-2"]) == ["blue-2"]
    assert workers.asked == []


def test_a_file_that_nobody_can_read_is_said(tmp_path: Path, workers: Workers) -> None:
    (tmp_path / "drained").mkdir()
    (tmp_path / "drained/worker.json").write_text("{torn")
    with pytest.raises(DrainError, match=r"drained/worker\.json, which says what was stopped, cannot be used"):
        intake(tmp_path, workers).go_on(["blue"])


def test_those_that_are_live_are_asked_by_their_own_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(intakes.celery_drain, "runner", lambda *given: made.append(given))
    monkeypatch.setattr(intakes, "service_user", lambda component: f"user of {component}")
    bench = Bench(tmp_path, edge=False)
    said = {"app": "app.celery_app", "name": "worker-${slot}@a"}
    assert of_live(bench.slots().node, said, 60.0) is None, "nothing is live"
    bench.slots().activate(V1, Request(run="r1"))
    assert of_live(bench.slots().node, None, 60.0) is None, "no workers of Celery"
    found = of_live(bench.slots().node, said, 60.0)
    assert found is not None
    assert (found.workers(["blue", "blue-2"]), found.timeout) == (["worker-blue@a", TWO], 60.0)
    tree = tmp_path / "opt/web/releases/v1"
    assert made == [(f"{tree}/.venv/bin/python", str(tree), f"{tmp_path}/opt/web/config/c1/env", "user of web")]
