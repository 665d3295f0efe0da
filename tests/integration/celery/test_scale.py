# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real workers behind a real Redis come and go while they work: every task is done, and none twice. Processes stand in for units."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import UnitState
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.release.content import Content
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import component_file
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.contract import Failed, Request
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.gate import SlotGate
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.intake import Intake
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.node import Spec
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.scaling import ScalingSlots
from ansible_collections.phasegate.aistack.tests.integration.celery.test_drain import Stage, empty, python, until

__all__ = ["empty", "python"]
NAME = "worker-${slot}@here"
V1 = Content("v1", "c1")


class Processes:
    """Units as plain processes: each is a worker that is called after its instance."""

    stop_timeout = 20.0

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.enabled: set[str] = set()

    def name(self, unit: str) -> str:
        return re.sub(r"^aistack-worker@(.*)\.service$", r"worker-\1@here", unit)

    def running(self, unit: str) -> bool:
        child = self.stage.children.get(self.name(unit))
        return child is not None and child.poll() is None

    def show(self, *units: str) -> list[UnitState]:
        states = []
        for unit in units:
            active = "active" if self.running(unit) else "inactive"
            states.append(UnitState(unit, "loaded", active, enabled=unit in self.enabled))
        return states

    def start(self, unit: str) -> None:
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        name = self.name(unit)
        self.stage.start(name, [self.stage.python, "-m", "celery", "-A", "tasks", "worker", "-n", name, "-c", "1", "-l", "INFO", *quiet])

    def stop_all(self, units: Sequence[str]) -> list[str]:
        children = {unit: self.stage.children[self.name(unit)] for unit in units if self.running(unit)}
        for child in children.values():
            child.send_signal(signal.SIGTERM)
        killed = []
        for unit, child in children.items():
            try:
                child.wait(self.stop_timeout)
            except subprocess.TimeoutExpired:
                child.kill()
                killed.append(unit)
        return killed

    def enable(self, unit: str) -> None:
        self.enabled.add(unit)

    def disable(self, unit: str) -> None:
        self.enabled.discard(unit)

    def reload_if_changed(self) -> None:
        """Nobody reads what is enabled here."""

    def cancel(self, name: str) -> None:
        """No timer was set."""

    def end(self, unit: str, wait: bool = False) -> None:
        """No task of a release runs."""

    def log_tail(self, units: Sequence[str], since: float, lines: int = 30) -> list[str]:
        found = [line for unit in units for line in (self.stage.folder / f"{self.name(unit)}.log").read_text().splitlines()]
        return found[-lines:]


class Herd:
    """A node on which v1 of ``worker`` is live."""

    def __init__(self, stage: Stage) -> None:
        self.stage, root = stage, stage.folder
        self.units: Any = Processes(stage)
        (root / "opt/worker/releases/v1").mkdir(parents=True)
        (root / "opt/worker/config/c1").mkdir(parents=True)
        shutil.copy(root / "env", root / "opt/worker/config/c1/env")
        place = {"python": stage.python, "cwd": str(root), "env_file": str(root / "env"), "user": ""}
        answers = {"name": "answers", "type": "celery", "target": "tasks", "workers": [NAME], "queues": ["celery"], **place}
        gate: Any = {"probes": [{**answers, "severity": "critical"}], "deadline": 90, "interval": 0.5}
        self.spec = Spec("worker", root / "opt", root / "state", gate=gate, drain_timeout=60.0, stop_timeout=20.0)
        component_file.save(component_file.describe(self.spec, {"instances_said": 1}), self.spec.state_dir)
        self.slots().activate(V1, Request(run="r1"))

    def slots(self) -> ScalingSlots:
        described = component_file.load_all(self.spec.state_dir)[0]["worker"]
        spec = replace(component_file.spec_of(described, self.spec.state_dir), gate=self.spec.gate)
        return ScalingSlots(spec, SlotGate(), Journal(self.spec.state_dir / "journal.jsonl"), self.units)

    def scale(self, number: int, timeout: float = 60.0) -> Any:
        intake = Intake("worker", self.spec.state_dir, "tasks", NAME, timeout, self.stage.ask)
        return self.slots().scale(number, 1, Request(run=f"to {number}"), lambda: intake)

    def running(self) -> list[str]:
        return sorted(name for name, child in self.stage.children.items() if name != "redis" and child.poll() is None)


@pytest.fixture
def herd(empty: Stage) -> Herd:
    return Herd(empty)


@pytest.mark.whole(beside="tests/unit/plugins/module_utils/slots/test_scaling.py")
def test_out_and_in_five_times_while_tasks_come_and_every_one_is_done_once(herd: Herd) -> None:
    sent, stop = [0], threading.Event()

    def keep_sending() -> None:
        while not stop.is_set():
            herd.stage.send(*((sent[0] + place, 0.3, 0) for place in range(8)))
            sent[0] += 8
            stop.wait(1.0)

    sender = threading.Thread(target=keep_sending, daemon=True)
    sender.start()
    done_at = [0]
    for _round in range(5):
        assert herd.scale(3).changed
        assert herd.running() == ["worker-blue-2@here", "worker-blue-3@here", "worker-blue@here"]
        assert herd.scale(1).changed
        assert herd.running() == ["worker-blue@here"]
        done_at.append(len(herd.stage.done))
    stop.set()
    sender.join()
    assert done_at == sorted(set(done_at)), "it stood still in a round"
    until(lambda: len(herd.stage.done) >= sent[0], 300)
    assert sorted(herd.stage.done) == list(range(sent[0]))
    assert int(herd.stage.redis("LLEN", "celery")) == 0
    workers = [path.read_text() for path in herd.stage.folder.glob("worker-blue-*.log")]
    assert len(workers) == 2
    assert all("succeeded" in text for text in workers), "those that came did their part"
    assert not (herd.spec.state_dir / "drained" / "worker.json").exists()


@pytest.mark.whole(beside="tests/unit/plugins/module_utils/slots/test_scaling.py")
def test_a_task_that_does_not_end_keeps_its_worker_which_goes_on(herd: Herd) -> None:
    herd.scale(2)
    herd.stage.send((1, 40.0, 0), (2, 40.0, 0))
    until(lambda: int(herd.stage.redis("LLEN", "celery")) == 0)
    with pytest.raises(Failed, match=r"1 task still held .* on worker-blue-2@here .*There are 2 instances as before"):
        herd.scale(1, timeout=3.0)
    assert herd.running() == ["worker-blue-2@here", "worker-blue@here"]
    herd.stage.send((3, 0.1, 0))
    until(lambda: 3 in herd.stage.done, 60)
    assert sorted(herd.stage.done) == [1, 2, 3]


def test_a_worker_that_does_not_come_up_leaves_those_that_there_were(herd: Herd) -> None:
    (herd.stage.folder / "tasks.py").write_text("import nothing_of_that_name\n")
    os.utime(herd.stage.folder / "tasks.py")
    with pytest.raises(Failed, match=r"2 instances were not to be had: .*worker-blue-2.* There are 1 as before"):
        herd.scale(2)
    assert herd.running() == ["worker-blue@here"]
