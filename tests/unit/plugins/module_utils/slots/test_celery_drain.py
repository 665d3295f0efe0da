# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draining workers, against workers that exist only here; the script's own half is proven by the integration test."""

from __future__ import annotations

import json
import os
import pwd
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.slots import celery_drain
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.celery_drain import DrainError, Memory, Request

BLUE = "worker-blue@a"


def task(number: int = 1, state: str = "active", **changes: Any) -> dict[str, Any]:
    seconds = 12.4 if state == "active" else None
    return {"worker": BLUE, "state": state, "id": f"id-{number}", "name": "app.render", "seconds": seconds, "due_in": None,
            "later": False, **changes}


class Workers:
    """Workers with queues; tasks end, or do not, as time goes by."""

    def __init__(self, **queues: list[str]) -> None:
        self.queues = {f"worker-{name}@a": list(held) for name, held in queues.items()}
        self.tasks: list[dict[str, Any]] = []
        self.ends_at = 0.0
        self.now = 0.0
        self.deaf: set[str] = set()
        self.silent_from = 1e9
        self.asked: list[dict[str, Any]] = []
        self.settings: dict[str, Any] = {}
        self.loading = 0.0

    def clock(self) -> float:
        return self.now

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        json.dumps(question)  # it has to travel
        self.asked.append(question)
        for name, queues in question["cancel"].items():
            if name not in self.deaf:
                self.queues[name] = [queue for queue in self.queues[name] if queue not in queues]
        for name, queues in question["add"].items():
            if name not in self.deaf:
                self.queues[name] = sorted({*self.queues[name], *queues})
        self.now += self.loading
        idle = bool(question["until"]) and self._idle(question, min(self.ends_at, self.now + question["wait"]))
        if question["until"]:
            self.now = max(self.now, self.ends_at) if idle else self.now + question["wait"]
        if self.now >= self.ends_at:
            self.tasks = [held for held in self.tasks if held["later"]]
        named = question["workers"] or list(self.queues)
        workers = {} if self.now >= self.silent_from else {name: list(self.queues[name]) for name in named if name in self.queues}
        return {"workers": workers, "tasks": [dict(held) for held in self.tasks if held["worker"] in workers], "settled": idle,
                "settings": self.settings, "loading": self.loading}

    def _idle(self, question: dict[str, Any], at: float) -> bool:
        until = question["until"]
        taking = any(set(until["queues"].get(name, ())) & set(held) for name, held in self.queues.items())
        lacking = any(set(until["lacking"].get(name, ())) - set(held) for name, held in self.queues.items())
        held = until["idle"] and self.ends_at > at and any(not entry["later"] for entry in self.tasks)
        return not (taking or lacking or held or at >= self.silent_from)


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory.of(tmp_path, "worker")


def request(**changes: Any) -> Request:
    return Request(**{"component": "worker", "app": "app", "workers": [BLUE], **changes})


def test_intake_stops_and_what_is_held_comes_to_its_end(memory: Memory) -> None:
    workers = Workers(blue=["celery", "video"])
    workers.tasks, workers.ends_at = [task()], 40.0
    result = celery_drain.drain(request(), workers.ask, memory, clock=workers.clock)
    assert (result["changed"], result["drained"], result["waited_s"]) == (True, True, 40.0)
    assert workers.queues == {BLUE: []}
    assert [entry["cancel"] for entry in workers.asked] == [{}, {BLUE: ["celery", "video"]}, {}, {}]  # told once
    assert "takes in nothing more (worker-blue@a: celery, video) and holds no task, after 40 s" in result["msg"]
    kept = json.loads((memory.path).read_text())
    assert kept["workers"] == {BLUE: ["celery", "video"]}
    assert os.stat(memory.path).st_mode & 0o777 == 0o644


def test_what_was_stopped_is_written_down_before_it_is_stopped(memory: Memory) -> None:
    workers = Workers(blue=["celery"])

    def dies(question: dict[str, Any]) -> dict[str, Any]:
        if question["cancel"]:
            raise KeyboardInterrupt
        return workers.ask(question)

    with pytest.raises(KeyboardInterrupt):
        celery_drain.drain(request(), dies, memory)
    assert Memory.of(memory.path.parents[1], "worker").workers == {BLUE: ["celery"]}


def test_a_second_time_nothing_changes(memory: Memory) -> None:
    workers = Workers(blue=["celery"])
    celery_drain.drain(request(), workers.ask, memory, clock=workers.clock)
    again = celery_drain.drain(request(), workers.ask, memory, clock=workers.clock)
    assert (again["changed"], again["drained"]) == (False, True)
    assert again["stopped"] == {BLUE: ["celery"]}


def test_only_the_queues_that_are_named(memory: Memory) -> None:
    workers = Workers(blue=["celery", "video"])
    celery_drain.drain(request(queues=["video", "other"]), workers.ask, memory, clock=workers.clock)
    assert workers.queues == {BLUE: ["celery"]}


def test_check_mode_tells_and_does_nothing(memory: Memory) -> None:
    workers = Workers(blue=["celery"])
    workers.tasks, workers.ends_at = [task()], 40.0
    result = celery_drain.drain(request(), workers.ask, memory, check=True)
    assert (result["changed"], result["drained"]) == (True, False)
    assert "intake would stop (worker-blue@a: celery). 1 task would be waited for: app.render [id-1]" in result["msg"]
    assert workers.queues == {BLUE: ["celery"]}
    assert not memory.path.exists()
    celery_drain.drain(request(), workers.ask, memory, clock=workers.clock)
    assert celery_drain.resume(request(), workers.ask, memory, check=True)["changed"]
    assert workers.queues == {BLUE: []}


def test_what_does_not_end_in_time_is_named(memory: Memory) -> None:
    workers = Workers(blue=["celery"])
    workers.tasks, workers.ends_at = [task(), task(2, "reserved"), task(3, "scheduled", due_in=500.0, later=True)], 1e6
    result = celery_drain.drain(request(timeout=20.0), workers.ask, memory, clock=workers.clock)
    assert not result["drained"]
    assert workers.now == 20.0
    assert [held["id"] for held in result["running"]] == ["id-1", "id-2"]
    assert [held["id"] for held in result["later"]] == ["id-3"]
    assert "2 tasks still held after 20 s (timeout 20 s): app.render [id-1] on worker-blue@a (for 12 s)" in result["msg"]
    assert "app.render [id-2] on worker-blue@a (reserved)" in result["msg"]
    assert "1 task due later" in result["msg"]


def test_enforced_it_goes_on_as_before(memory: Memory) -> None:
    workers = Workers(blue=["celery"])
    workers.tasks, workers.ends_at = [task()], 1e6
    with pytest.raises(DrainError, match=r"1 task still held .* It was taken back: worker: intake goes on") as caught:
        celery_drain.drain_or_go_on(request(timeout=20.0), workers.ask, memory, clock=workers.clock)
    assert workers.queues == {BLUE: ["celery"]}
    assert (caught.value.facts["changed"], caught.value.facts["stopped"]) == (False, {})
    assert not memory.path.exists()


def test_a_worker_that_does_not_answer(memory: Memory) -> None:
    workers = Workers(blue=["celery"])
    with pytest.raises(DrainError, match=r"worker-green@a does not answer.*Answers came from: worker-blue@a.*Nothing was changed"):
        celery_drain.drain_or_go_on(request(workers=[BLUE, "worker-green@a"]), workers.ask, memory)
    assert workers.queues == {BLUE: ["celery"]}
    workers.tasks, workers.ends_at, workers.silent_from = [task()], 1e6, 10.0
    result = celery_drain.drain(request(timeout=20.0), workers.ask, memory, clock=workers.clock)
    assert not result["drained"]  # it may hold anything
    assert "worker-blue@a does not answer any more, after 20 s" in result["msg"]


def test_a_worker_that_does_not_do_as_it_is_told(memory: Memory) -> None:
    workers = Workers(blue=["celery"])
    workers.deaf = {BLUE}
    with pytest.raises(DrainError, match=r"still does after 15 s \(worker-blue@a: celery\).*systemctl stop"):
        celery_drain.drain(request(), workers.ask, memory, clock=workers.clock)
    workers.deaf, workers.queues = set(), {BLUE: []}
    workers.deaf = {BLUE}
    with pytest.raises(DrainError, match=r"does not after 10 s \(worker-blue@a: celery\).*systemctl restart"):
        celery_drain.resume(request(), workers.ask, memory)
    assert memory.path.exists()


def test_whoever_was_stopped_goes_on_and_whoever_has_ended_is_forgotten(memory: Memory) -> None:
    workers = Workers(blue=["celery", "video"], green=["celery"])
    celery_drain.drain(request(workers=[]), workers.ask, memory, clock=workers.clock)
    del workers.queues["worker-green@a"]
    result = celery_drain.resume(request(workers=[]), workers.ask, Memory.of(memory.path.parents[1], "worker"))
    assert result["changed"]
    assert workers.queues == {BLUE: ["celery", "video"]}
    assert "worker-green@a does not answer any more and is forgotten" in result["msg"]
    asked = len(workers.asked)
    again = celery_drain.resume(request(workers=[]), workers.ask, Memory.of(memory.path.parents[1], "worker"))
    assert (again["changed"], again["msg"]) == (False, "worker: no intake was stopped.")
    assert len(workers.asked) == asked


def test_named_queues_are_taken_up_whoever_stopped_them(memory: Memory) -> None:
    workers = Workers(blue=[])
    assert celery_drain.resume(request(queues=["celery"]), workers.ask, memory)["changed"]
    assert workers.queues == {BLUE: ["celery"]}
    assert not celery_drain.resume(request(queues=["celery"]), workers.ask, memory)["changed"]


def test_status(memory: Memory) -> None:
    workers = Workers(blue=["celery"])
    workers.tasks, workers.ends_at = [task()], 1e6
    result = celery_drain.status(request(workers=[BLUE, "worker-green@a"]), workers.ask, memory)
    assert (result["changed"], result["drained"], result["missing"]) == (False, False, ["worker-green@a"])
    assert result["msg"] == (
        "worker: takes from worker-blue@a: celery; 1 task held; app.render [id-1] on worker-blue@a (for 12 s);"
        " worker-green@a does not answer."
    )


@pytest.fixture
def release(tmp_path: Path) -> Any:
    """A release whose Python answers as the script would; returns the arguments of runner()."""
    (tmp_path / "env").write_text('REDIS_URL="redis://:hush-hush@10.0.0.1/0"\n')

    def answers(text: str, rc: int = 0, err: str = "") -> tuple[str, str, str, str]:
        python = tmp_path / "python"
        python.write_text(
            f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {tmp_path}/args\ncat > {tmp_path}/stdin\nenv > {tmp_path}/environment\n"
            f"cat <<'X'\n{text}\nX\necho '{err}' >&2\nexit {rc}\n"
        )
        python.chmod(0o755)
        return str(python), str(tmp_path), str(tmp_path / "env"), pwd.getpwuid(os.geteuid()).pw_name

    return answers


def test_secrets_reach_the_release_only_through_its_environment(release: Any, tmp_path: Path) -> None:
    ask = celery_drain.runner(*release('noise\naistack-drain-answer:{"workers": {}, "tasks": [], "settled": true}'))
    assert ask({"wait": 0.0, "app": "app"})["settled"] is True
    assert "hush-hush" not in (tmp_path / "args").read_text() + (tmp_path / "stdin").read_text()
    assert "REDIS_URL=redis://:hush-hush@" in (tmp_path / "environment").read_text()


def test_what_the_release_says_is_shown_without_secrets(release: Any, tmp_path: Path) -> None:
    ask = celery_drain.runner(*release("", 1, "OperationalError: redis://:hush-hush@10.0.0.1/0 hush-hush refused"))
    with pytest.raises(DrainError, match="OperationalError") as caught:
        ask({"wait": 0.0})
    assert "hush-hush" not in str(caught.value)
    (tmp_path / "env").unlink()
    with pytest.raises(DrainError, match="environment of the workers cannot be read"):
        ask({"wait": 0.0})
    (tmp_path / "env").write_text("")
    with pytest.raises(DrainError, match="nowhere is not there"):
        celery_drain.runner("nowhere", str(tmp_path), str(tmp_path / "env"), None)({"wait": 0.0})


@pytest.mark.parametrize(
    ("settings", "stop", "risky"),
    [({}, 30.0, True), ({"time_limit": 40}, 29.0, True), ({"time_limit": 40}, 30.0, False), ({}, 0.0, False)],
    ids=["no limit", "ends too late", "ends in time", "nobody stops it"],
)
def test_tasks_that_stopping_a_worker_may_kill_are_told_before(
    memory: Memory, settings: dict[str, Any], stop: float, risky: bool
) -> None:
    workers = Workers(blue=["celery"])
    workers.ends_at = 1e6
    workers.tasks, workers.settings = [task(seconds=10.0), task(2, state="reserved")], settings
    seen = celery_drain.status(request(stop_timeout=stop), workers.ask, memory)
    assert bool(seen["foretold"]) is risky
    if risky:
        assert "1 task may not end within the" in seen["msg"]
        assert "would then be killed and lost: app.render [id-1]" in seen["msg"]


def test_what_becomes_of_a_task_is_what_the_application_says(memory: Memory) -> None:
    workers = Workers(blue=["celery"])
    workers.ends_at = 1e6
    workers.tasks, workers.settings = [task(seconds=700.0)], {"visibility_timeout": 600, "acks_late": True}
    told = celery_drain.status(request(stop_timeout=30.0), workers.ask, memory)["foretold"]
    assert "killed and delivered again after 600 s: app.render" in told[0]
    assert told[1].startswith("what a worker holds for longer than 600 s (visibility_timeout of broker_transport_options) is delivered to")
    workers.tasks = [task(seconds=1.0)]
    assert celery_drain.status(request(timeout=300.0), workers.ask, memory)["foretold"] == []
    assert len(celery_drain.status(request(timeout=900.0), workers.ask, memory)["foretold"]) == 1


def test_a_switch_that_may_kill_a_task_is_refused_by_choice(memory: Memory) -> None:
    workers = Workers(blue=["celery"])
    workers.ends_at = 1e6
    assert celery_drain.refuse_busy(request(stop_timeout=30.0), workers.ask, memory)["foretold"] == []
    workers.tasks = [task()]
    with pytest.raises(DrainError, match=r"Refused, and nothing was changed\. .*app\.render \[id-1\].*have it wait") as refused:
        celery_drain.refuse_busy(request(stop_timeout=30.0), workers.ask, memory)
    assert refused.value.facts["running"]
    with pytest.raises(DrainError, match="worker-red@a does not answer"):
        celery_drain.refuse_busy(request(workers=["worker-red@a"], stop_timeout=30.0), workers.ask, memory)


def test_a_drain_tells_what_it_saw_before(memory: Memory) -> None:
    workers = Workers(blue=["celery"])
    workers.tasks, workers.ends_at = [task()], 40.0
    done = celery_drain.drain(request(stop_timeout=30.0), workers.ask, memory, clock=workers.clock)
    assert done["drained"]
    assert len(done["foretold"]) == 1


def test_importing_the_application_is_no_waiting_for_tasks(memory: Memory) -> None:
    """With 25 s for each import the 20 s of this drain were over before anybody was waited for."""
    workers = Workers(blue=["celery"])
    workers.tasks, workers.ends_at, workers.loading = [task()], 60.0, 25.0
    result = celery_drain.drain(request(timeout=20.0), workers.ask, memory, clock=workers.clock)
    assert result["drained"]
    assert result["waited_s"] <= 20.0


def test_an_application_that_does_not_load_has_words_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "env").write_text("")
    (tmp_path / "celery").mkdir()
    (tmp_path / "celery" / "__init__.py").write_text("import time\ntime.sleep(30)\n")
    monkeypatch.setattr(celery_drain, "IMPORT_TIMEOUT", 0.5)
    ask = celery_drain.runner(sys.executable, str(tmp_path), str(tmp_path / "env"), None)
    with pytest.raises(DrainError, match=r"the application app was not loaded within 0\.5 s\. What it imports takes that long"):
        celery_drain.status(request(), ask, Memory.of(tmp_path, "worker"))
