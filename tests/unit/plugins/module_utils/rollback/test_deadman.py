# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dead man's switch: either confirmed or taken back, never both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import Systemd, UnitError
from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc
from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import Ended
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lock
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import deadman
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.deadman import DeadManError
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.run import Caller, Locked
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.rollback.fleet import Fleet

RUN = "deploy-3"


class Timers:
    """systemd as far as timers go."""

    def __init__(self) -> None:
        self.set: dict[str, tuple[int, str]] = {}
        self.errors: list[BaseException] = []

    def schedule_persistent(self, name: str, seconds: int, script: str) -> None:
        for error in self.errors:
            raise error
        self.set[name] = (seconds, script)

    def unschedule(self, name: str) -> None:
        for error in self.errors:
            raise error
        self.set.pop(name, None)


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    fleet = Fleet(tmp_path, warm=300)
    for number in (1, 2, 3):
        fleet.deploy(number)
    return fleet


@pytest.fixture(autouse=True)
def _once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is not tried again, except where the test is about that."""
    monkeypatch.setattr(deadman, "AGAIN_S", 0.05)
    monkeypatch.setattr(deadman, "AGAIN_FOR_S", 0.0)


@pytest.fixture
def timers() -> Any:
    return Timers()


def arm(fleet: Fleet, timers: Any, **given: Any) -> dict[str, Any]:
    return deadman.arm(fleet.state, "shop", RUN, given.pop("seconds", 60), "ann", sys.executable, timers, **given)


def go(fleet: Fleet, unless_confirmed: bool = True, **given: Any) -> dict[str, Any]:
    caller = Caller(RUN, "root", deadman.reason_of(fleet.state, RUN))
    return deadman.revert(fleet.state, caller, unless_confirmed, fleet.tools(), **given)


def left(fleet: Fleet) -> list[str]:
    return sorted(path.name for path in (fleet.state / "confirm").glob("*"))


def test_armed_and_not_confirmed_it_goes_back(fleet: Fleet, timers: Any) -> None:
    armed = arm(fleet, timers)
    assert armed["returns"] == {name: {"release": "v2", "config": "c2", "slot": "green"} for name in fleet.names}
    assert timers.set["aistack-confirm-deploy-3"] == (60, f"exec {sys.executable} --stack shop revert --run deploy-3 --unless-confirmed")
    plan = json.loads((fleet.state / "confirm" / "deploy-3.json").read_text())
    assert (plan["run"], plan["seconds"], plan["expires"]) == (RUN, 60, armed["expires"])
    assert [found["state"] for found in deadman.pending(fleet.state)] == ["armed"]
    answer = go(fleet)
    assert answer["outcome"] == "ok"
    assert [row["component"] for row in answer["components"]] == ["beat", "worker", "web"]
    assert fleet.live() == dict.fromkeys(fleet.names, "v2")
    assert fleet.marks("web")["v3"] == "bad"
    ended = fleet.records("rollback")[-1]
    assert (ended["outcome"], ended["release"], ended["run"]) == ("ok", "v2", RUN)
    assert ended["detail"]["reason"] == "not confirmed within 60 s"
    assert ended["detail"]["moves"]["web"]["from"] == {"release": "v3", "config": "c3"}
    assert left(fleet) == []
    with pytest.raises(DeadManError, match="too late"):
        deadman.confirm(fleet.state, RUN, timers)
    with pytest.raises(DeadManError, match="too late"):
        arm(fleet, timers)  # the controller is back and would go on as if nothing had happened
    assert left(fleet) == []


def test_arming_again_counts_again(fleet: Fleet, timers: Any) -> None:
    first, second = arm(fleet, timers), arm(fleet, timers, seconds=600)
    assert timers.set["aistack-confirm-deploy-3"][0] == 600
    assert second["expires"] > first["expires"]
    assert left(fleet) == ["deploy-3.json"]


def test_confirmed_it_stays(fleet: Fleet, timers: Any) -> None:
    arm(fleet, timers)
    assert deadman.confirm(fleet.state, RUN, timers, check=True)["changed"]
    assert left(fleet) == ["deploy-3.json"]
    assert deadman.confirm(fleet.state, RUN, timers)["changed"]
    assert (timers.set, left(fleet)) == ({}, [])
    assert not deadman.confirm(fleet.state, RUN, timers)["changed"]
    answer = go(fleet)
    assert (answer["outcome"], answer["changed"], answer["components"]) == ("confirmed", False, [])
    assert fleet.live() == dict.fromkeys(fleet.names, "v3")
    assert fleet.records("rollback") == []


def test_what_was_confirmed_stays_even_if_the_timer_could_not_be_taken_back(fleet: Fleet, timers: Any) -> None:
    arm(fleet, timers)
    timers.errors = [UnitError("no answer", ["systemctl"], 1, "")]
    with pytest.raises(UnitError):
        deadman.confirm(fleet.state, RUN, timers)
    assert go(fleet)["outcome"] == "confirmed"


def test_nothing_is_armed_where_no_timer_could_be_set(fleet: Fleet, timers: Any) -> None:
    timers.errors = [UnitError("no answer", ["systemctl"], 1, "")]
    with pytest.raises(UnitError):
        arm(fleet, timers)
    assert left(fleet) == []


def test_refusals_and_check_mode(fleet: Fleet, timers: Any) -> None:
    with pytest.raises(DeadManError, match="at least 1"):
        arm(fleet, timers, seconds=0)
    with pytest.raises(DeadManError, match="made of letters"):
        deadman.arm(fleet.state, "shop", "../x", 60, "ann", sys.executable, timers)
    with pytest.raises(DeadManError, match="/no/aistack is not on this node"):
        deadman.arm(fleet.state, "shop", RUN, 60, "ann", "/no/aistack", timers)
    assert arm(fleet, timers, check=True)["changed"]
    assert (timers.set, left(fleet)) == ({}, [])


def test_armed_before_anything_was_activated_it_names_what_is_live(tmp_path: Path, timers: Any) -> None:
    fleet = Fleet(tmp_path)
    fleet.deploy(1, "web")
    armed = arm(fleet, timers)
    assert armed["returns"] == {"web": {"release": "v1", "config": "c1", "slot": "blue"}, "worker": None, "beat": None}
    fleet.deploy(2, "web", run=RUN)
    assert go(fleet)["outcome"] == "ok"
    assert fleet.live() == {"web": "v1", "worker": None, "beat": None}


def test_a_first_release_goes_back_to_nothing(tmp_path: Path, timers: Any) -> None:
    fleet = Fleet(tmp_path)
    fleet.deploy(1, run=RUN)
    arm(fleet, timers)
    assert go(fleet)["outcome"] == "ok"
    assert fleet.live() == dict.fromkeys(fleet.names)


def test_one_that_does_not_go_back_holds_no_other_and_the_plan_stays(fleet: Fleet, timers: Any) -> None:
    arm(fleet, timers)
    fleet.gate.fails = {("worker", "v2")}
    answer = go(fleet)
    assert {row["component"]: row["outcome"] for row in answer["components"]} == {"beat": "ok", "worker": "failed", "web": "ok"}
    assert fleet.live() == {"web": "v2", "worker": "v3", "beat": "v2"}
    assert fleet.records("rollback")[-1]["outcome"] == "failed"
    assert left(fleet) == ["deploy-3.reverting"]
    with pytest.raises(DeadManError, match="too late"):
        deadman.confirm(fleet.state, RUN, timers)
    fleet.gate.fails = set()
    assert go(fleet)["outcome"] == "ok"
    assert fleet.live() == dict.fromkeys(fleet.names, "v2")
    assert left(fleet) == []


def test_what_does_not_go_back_at_once_is_tried_again(fleet: Fleet, timers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a boot, where the database is not there yet."""
    monkeypatch.setattr(deadman, "AGAIN_FOR_S", 60.0)
    arm(fleet, timers)
    fleet.gate.fails = {("worker", "v2")}
    fleet.gate.before["worker"] = lambda: fleet.gate.fails.clear() if len(fleet.records("rollback")) >= 5 else None
    answer = go(fleet, systemd=timers)
    assert (answer["outcome"], answer["changed"]) == ("ok", True)
    assert [record["outcome"] for record in fleet.records("rollback")] == ["started", "failed", "started", "failed", "started", "ok"]
    assert len([line for line in fleet.said if "once more in" in line]) == 2
    assert fleet.live() == dict.fromkeys(fleet.names, "v2")
    assert fleet.marks("worker") == {"v1": "good", "v2": "good", "v3": "bad"}, "what went back is not to blame"
    assert (left(fleet), timers.set) == ([], {})


def test_by_hand_it_is_tried_once(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadman, "AGAIN_FOR_S", 60.0)
    fleet.gate.fails = {("worker", "v2")}
    assert go(fleet, unless_confirmed=False)["outcome"] == "failed"
    assert [record["outcome"] for record in fleet.records("rollback")] == ["started", "failed"]


def test_asked_to_end_it_does_not_try_again(fleet: Fleet, timers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadman, "AGAIN_S", 60.0)
    monkeypatch.setattr(deadman, "AGAIN_FOR_S", 60.0)
    arm(fleet, timers)
    fleet.gate.fails = {("worker", "v2")}
    caller = Caller(RUN, "root")
    threading.Timer(0.5, caller.stop.set).start()
    began = time.monotonic()
    assert deadman.revert(fleet.state, caller, True, fleet.tools())["outcome"] == "failed"
    assert time.monotonic() - began < 30


def test_what_another_run_switched_since_is_left_alone(fleet: Fleet, timers: Any) -> None:
    arm(fleet, timers)
    fleet.deploy(1, "web", run="later")
    answer = go(fleet)
    assert answer["outcome"] == "ok"
    assert fleet.live() == {"web": "v1", "worker": "v2", "beat": "v2"}


def test_it_works_under_the_lease_that_its_run_left_behind(fleet: Fleet, timers: Any) -> None:
    arm(fleet, timers)
    Lock(fleet.state).acquire(RUN, {"actor": "ann", "controller": "ctl", "pid": 1}, 900)
    assert go(fleet)["outcome"] == "ok"
    assert Lock(fleet.state).current() is None


def test_it_waits_for_a_process_of_its_run_that_is_still_switching(fleet: Fleet, timers: Any) -> None:
    arm(fleet, timers)
    Lock(fleet.state).acquire(RUN, {"actor": "ann"}, 900)
    with subprocess.Popen(["sleep", "60"]) as worker:
        Lock(fleet.state).renew(RUN, worker={"pid": worker.pid, "pid_started": proc.start_time(worker.pid), "what": "slot web"})
        threading.Timer(0.5, worker.kill).start()
        began = time.monotonic()
        assert go(fleet)["outcome"] == "ok"
        assert time.monotonic() - began > 0.4


def test_another_run_is_waited_for_by_the_timer_and_refused_by_hand(fleet: Fleet, timers: Any) -> None:
    arm(fleet, timers)
    Lock(fleet.state).acquire("other", {"actor": "eve"}, 0.7)
    with pytest.raises(Locked, match="eve"):
        go(fleet, unless_confirmed=False)
    assert fleet.live() == dict.fromkeys(fleet.names, "v3")
    assert go(fleet)["outcome"] == "ok", "its lease ended meanwhile"


def test_confirmation_and_timer_race_and_one_wins(fleet: Fleet, timers: Any) -> None:
    arm(fleet, timers)
    path = fleet.state / "confirm" / "deploy-3.json"
    os.rename(path, path.with_suffix(".reverting"))  # the timer was quicker, and is at work
    with pytest.raises(DeadManError, match="too late"):
        deadman.confirm(fleet.state, RUN, timers)


def test_the_timer_outlasts_a_reboot(tmp_path: Path) -> None:
    asked: list[list[str]] = []

    def run(cmd: Any, timeout: float) -> Ended:
        asked.append(list(cmd))
        return Ended(0, "", "")

    systemd, name = Systemd(run, units=tmp_path), deadman.timer_of("r1")
    systemd.schedule_persistent(name, 60, deadman.script("a%b", "r1"))
    assert [cmd[1] for cmd in asked] == ["enable", "daemon-reload", "restart"]
    timer, service = ((tmp_path / f"{name}.{kind}").read_text() for kind in ("timer", "service"))
    assert "OnActiveSec=60s\n" in timer
    assert "WantedBy=timers.target\n" in timer
    assert (
        'ExecStart=:/bin/sh -c "exec /usr/local/bin/aistack --stack a%%b revert --run r1 --unless-confirmed"\n' in service
    )
    asked.clear()
    systemd.unschedule(name)
    assert [cmd[1] for cmd in asked] == ["stop", "disable", "daemon-reload"]
    assert not any(cmd[-1] == "aistack-confirm-r1.service" for cmd in asked), "it may be what calls"
    assert list(tmp_path.iterdir()) == []
    systemd.unschedule(name)
    assert len(asked) == 3, "nothing is there any more"


def test_the_timer_goes_with_what_it_was_for(fleet: Fleet, timers: Any) -> None:
    arm(fleet, timers)
    go(fleet, systemd=timers)
    assert timers.set == {}
    timers.set = {"aistack-confirm-deploy-3": (60, "left behind by a confirmation that could not reach systemd")}
    assert go(fleet, systemd=timers)["outcome"] == "confirmed"
    assert timers.set == {}


def test_the_timer_stays_for_the_next_boot_where_something_did_not_go_back(fleet: Fleet, timers: Any) -> None:
    arm(fleet, timers)
    fleet.gate.fails = {("worker", "v2")}
    assert go(fleet, systemd=timers)["outcome"] == "failed"
    assert list(timers.set) == ["aistack-confirm-deploy-3"]


def test_a_timer_that_cannot_be_taken_back_undoes_nothing(fleet: Fleet, timers: Any) -> None:
    arm(fleet, timers)
    timers.errors = [UnitError("no answer", ["systemctl"], 1, "")]
    assert go(fleet, systemd=timers)["outcome"] == "ok"
