# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.modules import celery_drain

Call = Callable[..., dict[str, Any]]
BLUE = "worker-blue@a"
PYTHON = """#!/usr/bin/env python3
import json, pathlib, sys
asked = json.load(sys.stdin)
place = pathlib.Path("workers.json")
workers = json.loads(place.read_text())
for name, queues in asked["cancel"].items():
    workers[name] = [queue for queue in workers[name] if queue not in queues]
for name, queues in asked["add"].items():
    workers[name] = workers[name] + queues
place.write_text(json.dumps(workers))
tasks = json.loads(pathlib.Path("tasks.json").read_text())
names = asked["workers"] or list(workers)
busy = bool(asked["until"] and asked["until"]["idle"] and tasks)
answer = {"workers": {name: workers[name] for name in names if name in workers}, "tasks": tasks, "settled": not busy}
print("aistack-drain-answer:" + json.dumps(answer))
"""


class Node:
    """A live slot, whose release's Python answers for workers that exist only in a file."""

    def __init__(self, root: Path) -> None:
        self.root = root
        slots, tree, config = (root / "root" / "worker" / part for part in ("slots", "releases/v1", "config/c1"))
        for folder in (slots / "blue", tree / ".venv" / "bin", config):
            folder.mkdir(parents=True)
        (slots / "live").symlink_to("blue")
        (slots / "blue" / "release").symlink_to(tree)
        (slots / "blue" / "config").symlink_to(config)
        (slots / "blue" / "slot.env").write_text("")
        (config / "env").write_text('REDIS_URL="redis://:hush-hush@10.0.0.1/0"\n')
        self.tree = tree
        python = tree / ".venv" / "bin" / "python"
        python.write_text(PYTHON)
        python.chmod(0o755)
        self.tasks()
        (tree / "workers.json").write_text(json.dumps({BLUE: ["celery"]}))

    def tasks(self, *tasks: dict[str, Any]) -> None:
        (self.tree / "tasks.json").write_text(json.dumps(tasks))

    @property
    def queues(self) -> list[str]:
        queues: list[str] = json.loads((self.tree / "workers.json").read_text())[BLUE]
        return queues

    def arguments(self, state: str, **changes: Any) -> dict[str, Any]:
        me = pwd.getpwuid(os.geteuid()).pw_name
        return {
            "state": state, "component": "worker", "app": "app.celery_app", "workers": ["worker-${slot}@a"], "timeout": 0,
            "root": str(self.root / "root"), "state_dir": str(self.root / "state"), "user": me, **changes,
        }


TASK = {"worker": BLUE, "state": "active", "id": "id-1", "name": "app.render", "seconds": 3.0, "due_in": None, "later": False}


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_drained_checked_again_and_resumed(call: Call, node: Node) -> None:
    predicted = call("celery_drain", check=True, **node.arguments("drained"))
    assert (predicted["changed"], node.queues) == (True, ["celery"])
    done = call("celery_drain", **node.arguments("drained"))
    assert (done["changed"], done["drained"], node.queues) == (True, True, [])
    assert call("celery_drain", **node.arguments("drained"))["changed"] is False
    assert call("celery_drain", **node.arguments("status"))["drained"] is True
    back = call("celery_drain", **node.arguments("resumed"))
    assert (back["changed"], node.queues) == (True, ["celery"])
    assert call("celery_drain", **node.arguments("resumed"))["changed"] is False
    assert "hush-hush" not in done["text"] + back["text"]


def test_the_user_of_the_component_asks(call: Call, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []
    me = pwd.getpwuid(os.geteuid()).pw_name
    monkeypatch.setattr(celery_drain, "service_user", lambda component, unit: asked.append((component, unit)) or me)
    assert call("celery_drain", **node.arguments("status", user=None))["drained"] is False
    assert set(asked) == {("worker", "aistack-worker@blue.service")}


def test_refused_where_stopping_the_worker_may_kill_a_task(call: Call, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, text: warned.append(text))
    assert "failed" not in call("celery_drain", **node.arguments("status", refuse=True, stop_timeout=30))
    node.tasks(TASK)
    told = call("celery_drain", **node.arguments("status", stop_timeout=30))
    assert "failed" not in told
    assert warned == [f"worker: {told['foretold'][0]}."]
    assert "failed" not in call("celery_drain", check=True, **node.arguments("status", refuse=True, stop_timeout=30))
    refused = call("celery_drain", **node.arguments("status", refuse=True, stop_timeout=30))
    assert refused["failed"]
    assert refused["msg"].startswith("Refused, and nothing was changed. worker: takes from worker-blue@a: celery; 1 task held")
    assert node.queues == ["celery"]


def test_enforced_it_fails_and_the_worker_goes_on(call: Call, node: Node) -> None:
    node.tasks(TASK)
    failed = call("celery_drain", **node.arguments("drained"))
    assert failed["failed"]
    assert "app.render [id-1] on worker-blue@a (for 3 s)" in failed["msg"]
    assert [task["id"] for task in failed["running"]] == ["id-1"]
    assert "intake goes on (worker-blue@a: celery)" in failed["msg"]
    assert node.queues == ["celery"]


def test_not_enforced_it_warns_and_intake_stays_stopped(call: Call, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, text: warned.append(text))
    node.tasks(TASK)
    done = call("celery_drain", **node.arguments("drained", enforce=False))
    assert (done["drained"], done["changed"], node.queues) == (False, True, [])
    assert "app.render [id-1]" in warned[0]
    (node.tree / "workers.json").write_text("{}")
    gone = call("celery_drain", **node.arguments("drained", enforce=False))
    assert (gone["drained"], gone["missing"]) == (False, [BLUE])


def test_nothing_is_live(call: Call, node: Node) -> None:
    (node.root / "root" / "worker" / "slots" / "live").unlink()
    failed = call("celery_drain", **node.arguments("drained"))
    assert failed["failed"]
    assert "${slot} cannot be filled in" in failed["msg"]
    assert "nothing is live" in failed["msg"]
    failed = call("celery_drain", **node.arguments("drained", workers=[BLUE]))
    assert "nobody can ask the workers: nothing is live" in failed["msg"]
    assert call("celery_drain", **node.arguments("drained", enforce=False))["drained"] is False
    assert call("celery_drain", **node.arguments("resumed"))["changed"] is False


def test_what_makes_no_sense(call: Call, node: Node) -> None:
    assert "needs workers" in call("celery_drain", **node.arguments("resumed", queues=["celery"], workers=[]))["msg"]
    (node.root / "state" / "drained").mkdir(parents=True)
    (node.root / "state" / "drained" / "worker.json").write_text("[]")
    failed = call("celery_drain", **node.arguments("resumed"))
    assert failed["failed"]
    assert "drained/worker.json, which says what was stopped, cannot be used" in failed["msg"]


def test_the_name_of_a_slot_stands_for_all_of_its_instances(call: Call, node: Node) -> None:
    for name in ("blue-2", "blue-3"):
        (node.root / "root" / "worker" / "slots" / name).symlink_to("blue")
    (node.tree / "workers.json").write_text(json.dumps({BLUE: ["celery"], "worker-blue-3@a": ["celery"]}))
    seen = call("celery_drain", **node.arguments("status"))
    assert (set(seen["workers"]), seen["missing"]) == ({BLUE, "worker-blue-3@a"}, ["worker-blue-2@a"])
