# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Going back on a node: all of it or nothing, in order, resumed where it was interrupted, and told in the journal."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import UnitError
from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.archive import anchor_path
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lock
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import derive
from ansible_collections.phasegate.aistack.plugins.module_utils.release.content import Content
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import run as rollback
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.gate import ASKED_TO_END, BackGate, SwitchBarrier, once, quick
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.plan import RollbackRequest
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.run import NODE, Caller, Locked, roll_back
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.contract import Request
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.node import Judged
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.rollback.fleet import Fleet

V1, V2, V3 = (dict.fromkeys(("web", "worker", "beat"), version) for version in ("v1", "v2", "v3"))


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    fleet = Fleet(tmp_path, warm=300)
    for number in (1, 2, 3):
        fleet.deploy(number)
    return fleet


def go(fleet: Fleet, run: str = "rb-1", best_effort: bool = False, caller: dict[str, Any] | None = None, **request: Any) -> dict[str, Any]:
    given = Caller(run, "bob", "5xx", best_effort=best_effort, **(caller or {}))
    answer = roll_back(fleet.state, "shop", RollbackRequest(best_effort=best_effort, **request), given, fleet.tools())
    json.dumps(answer)
    assert Lock(fleet.state).holder() is None, "the lock was not given back"
    return answer


def rows(answer: dict[str, Any]) -> dict[str, str]:
    return {row["component"]: row["outcome"] for row in answer["components"]}


def test_all_go_back_and_the_journal_tells(fleet: Fleet) -> None:
    answer = go(fleet)
    assert (answer["outcome"], answer["changed"], answer["from"], answer["to"]) == ("ok", True, "v3", "v2")
    assert rows(answer) == {"beat": "ok", "worker": "ok", "web": "ok"}
    assert fleet.live() == V2
    assert {name: fleet.marks(name) for name in fleet.names} == {
        name: {"v1": "good", "v2": "good", "v3": "bad"} for name in fleet.names
    }
    begun, ended = fleet.records("rollback")
    assert (begun["outcome"], ended["outcome"], ended["release"], ended["run"], ended["actor"]) == ("started", "ok", "v2", "rb-1", "bob")
    assert ended["detail"]["level"] == "app"
    assert ended["detail"]["reason"] == "5xx"
    assert ended["detail"]["moves"]["web"]["from"]["release"] == "v3"
    assert ended["detail"]["moves"]["web"]["to"] == {"release": "v2", "config": "c2"}
    assert ended["detail"]["seconds"] < 5
    assert "hunter2" not in json.dumps(fleet.journal.read())
    assert sorted(fleet.said)[0].startswith("beat: went back (")


@pytest.mark.parametrize("format_", [0, 2])
def test_a_node_goes_back_by_descriptions_of_another_version(fleet: Fleet, format_: int) -> None:
    for path in (fleet.state / "components").glob("*.json"):
        known = json.loads(path.read_text())
        known = {key: value for key, value in known.items() if format_ or key not in ("source", "warm", "database", "stop_timeout")}
        path.write_text(json.dumps({**known, "format": format_, "of_later": True}))
    answer = go(fleet, best_effort=True)
    assert answer["outcome"] == "ok"
    assert rows(answer) == {"beat": "ok", "worker": "ok", "web": "ok"}
    assert fleet.live() == V2
    assert any(f"has format {format_}" in text for text in answer["plan"]["warnings"])


def test_a_second_rollback_goes_further_back(fleet: Fleet) -> None:
    go(fleet)
    assert go(fleet, "rb-2")["to"] == "v1"
    assert fleet.live() == V1
    answer = go(fleet, "rb-3")
    assert answer["outcome"] == "refused"
    assert {refusal["code"] for refusal in answer["plan"]["refusals"]} == {"no_previous_good"}
    assert fleet.live() == V1


def test_refused_before_anything_is_touched(fleet: Fleet) -> None:
    before = len(fleet.journal.read())
    assert go(fleet, to="v9")["outcome"] == "refused"
    there = go(fleet, to="v3")
    assert (there["outcome"], there["changed"], there["components"]) == ("ok", False, [])
    assert len(fleet.journal.read()) == before
    assert all(machine.did == [] for machine in fleet.machines.values())


def test_the_warm_slot_is_asked_once_by_its_old_gate_and_a_cold_one_stands_a_shorter_test(fleet: Fleet) -> None:
    gates = fleet.state / "gates" / "web.json"
    saved = json.loads(gates.read_text())
    saved["v2"] = {**saved["v2"], "interval": 1, "successes": 5, "min_healthy_time": 9, "failures": 3}
    gates.write_text(json.dumps(saved))
    (fleet.state / "gates" / "worker.json").write_text(json.dumps({"v2": saved["v2"]}))
    go(fleet)
    asked = dict(reversed(fleet.gate.definitions))
    assert asked["web"] == {**saved["v2"], "interval": 0.25, "successes": 1, "min_healthy_time": 0, "failures": 12}
    assert asked["worker"] == {**saved["v2"], "interval": 0.25, "min_healthy_time": 1, "failures": 12}
    assert fleet.machines["web"].did[:1] == ["cancel green" if "cancel green" in fleet.machines["web"].did else "cancel blue"]
    assert not any(step.startswith("pid") for step in fleet.machines["web"].did), "the warm process was started again"


def test_nobody_moves_before_all_have_passed_and_then_in_reverse_order(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, "web", "worker", "page")
    fleet.deploy(1)
    fleet.deploy(2)
    fleet.gate.before["worker"] = lambda: (time.sleep(0.3), fleet.events.append(("worker", "passes")))
    assert go(fleet)["outcome"] == "ok"
    order = [event for event in fleet.events if event[1] in ("passes", "ready", "gate public", "live") and event != ("worker", "live")]
    assert order[0] == ("worker", "passes")
    assert order.index(("page", "gate public")) < order.index(("web", "ready"))
    assert [event for event in order if event[1] == "ready"] == [("page", "ready"), ("web", "ready")]


def test_side_by_side_takes_as_long_as_the_slowest(fleet: Fleet) -> None:
    for name in fleet.names:
        fleet.gate.before[name] = lambda: time.sleep(3)
    began = time.monotonic()
    go(fleet)
    assert time.monotonic() - began < 8


@pytest.mark.parametrize("guilty", ["web", "worker", "beat"])
def test_one_that_does_not_come_up_leaves_all_as_they_were(fleet: Fleet, guilty: str) -> None:
    fleet.gate.fails = {(guilty, "v2")}
    answer = go(fleet)
    assert answer["outcome"] == "failed"
    assert fleet.live() == V3
    assert {name: fleet.marks(name)["v3"] for name in fleet.names} == dict.fromkeys(fleet.names, "good")
    assert {name: fleet.marks(name)["v2"] for name in fleet.names} == dict.fromkeys(fleet.names, "good"), "what it stands on may be down"
    row = next(row for row in answer["components"] if row["component"] == guilty)
    assert "expected status 200, got connection refused" in row["message"]
    assert row["report"]["probe"] == "health"
    others = [row for row in answer["components"] if row["component"] != guilty]
    assert all(f"{guilty} did not go back" in row["message"] for row in others)
    if guilty != "web":
        assert not any(step.split()[0] in ("ready", "drain") for step in fleet.machines["web"].did), "the edge was touched"
    assert fleet.records("rollback")[-1]["outcome"] == "failed"
    fleet.gate.fails = set()
    assert go(fleet, "rb-2")["outcome"] == "ok"
    assert fleet.live() == V2


def test_those_that_moved_return_where_the_last_one_fails_after_the_switch(fleet: Fleet) -> None:
    fleet.gate.public = {("web", "v2")}
    answer = go(fleet)
    assert answer["outcome"] == "failed"
    assert fleet.live() == V3
    assert rows(answer) == {"beat": "undone", "worker": "undone", "web": "failed"}
    assert go(fleet, "rb-2", to="v1")["outcome"] == "ok", "the way there and back made nothing newer"
    assert fleet.live() == V1


def test_one_that_cannot_return_is_said_to_be_stuck(fleet: Fleet) -> None:
    fleet.gate.public = {("web", "v2")}
    fleet.gate.fails = {("worker", "v3")}
    answer = go(fleet)
    assert rows(answer) == {"beat": "undone", "worker": "stuck", "web": "failed"}
    assert fleet.live() == {**V3, "worker": "v2"}
    assert "could not return" in next(row["message"] for row in answer["components"] if row["component"] == "worker")


def test_best_effort_goes_on_without_it(fleet: Fleet) -> None:
    fleet.gate.fails = {("worker", "v2")}
    answer = go(fleet, best_effort=True)
    assert answer["outcome"] == "partial"
    assert rows(answer) == {"beat": "ok", "worker": "failed", "web": "ok"}
    assert fleet.live() == {**V2, "worker": "v3"}
    assert (fleet.marks("web")["v3"], fleet.marks("worker")["v3"]) == ("bad", "good")
    assert fleet.records("rollback")[-1]["outcome"] == "failed"
    fleet.gate.fails = set()
    assert go(fleet, "rb-2")["to"] == "v2", "the others are there already"
    assert fleet.live() == V2


def test_in_an_emergency_users_come_first(fleet: Fleet) -> None:
    fleet.gate.before["web"] = lambda: time.sleep(0.3)
    assert go(fleet, best_effort=True)["outcome"] == "ok"
    components = [name for name, _step in fleet.events]
    switched = fleet.events.index(("web", "live"))
    assert set(components[:switched]) == {"web"}, "nothing that boots competes with what users wait for"
    assert fleet.live() == V2


def test_users_come_first_for_a_bounded_time_and_not_at_all_where_they_cannot(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollback, "USERS_FIRST_S", 0.2)
    fleet.gate.before["web"] = lambda: time.sleep(0.8)
    assert go(fleet, best_effort=True)["outcome"] == "ok"
    names = [name for name, _step in fleet.events]
    assert names.index("worker") < fleet.events.index(("web", "live"))
    monkeypatch.setattr(rollback, "USERS_FIRST_S", 60.0)
    fleet.gate.before.clear()
    fleet.gate.fails = {("web", "v1")}
    began = time.monotonic()
    assert rows(go(fleet, "rb-2", best_effort=True, to="v1")) == {"beat": "ok", "worker": "ok", "web": "failed"}
    assert time.monotonic() - began < 30


def test_a_failure_outside_the_gate_holds_nobody_up(fleet: Fleet) -> None:
    machine = fleet.machines["worker"]
    machine.raise_at = {step: UnitError("cannot start", ["systemctl"], 1, "") for step in ("start blue", "start green")}
    answer = go(fleet)
    assert answer["outcome"] == "failed"
    machine.raise_at = {}
    assert fleet.live() == V3


def test_what_happened_between_the_look_and_the_lock_is_seen(fleet: Fleet) -> None:
    tools, looks = fleet.tools(), [0]
    plain = tools.observe

    def meddled(*given: Any, **more: Any) -> dict[str, Any]:
        view = plain(*given, **more)
        looks[0] += 1
        if looks[0] == 1:
            for name in fleet.names:
                detail = {"state": "bad", "reason": "leaks"}
                fleet.journal.append({"op": "mark", "component": name, "release": "v2", "outcome": "ok", "detail": detail})
        return view

    tools.observe = meddled
    assert roll_back(fleet.state, "shop", RollbackRequest(), Caller("rb-1", "bob"), tools)["to"] == "v1"
    assert looks == [2]
    fleet = Fleet(fleet.root / "again")
    fleet.deploy(1)
    fleet.deploy(2)
    tools, plain, looks[0] = fleet.tools(), fleet.tools().observe, 1
    tools.observe = meddled
    roll_back(fleet.state, "shop", RollbackRequest(), Caller("rb-1", "bob"), tools)
    assert looks == [2], "one look is enough where nothing happened"


# -- what is asked of the slots


def test_going_back_is_no_step_forward_and_takes_the_gate_of_then(fleet: Fleet) -> None:
    slots = fleet.make(fleet.spec("web", gate={"probes": [{"name": "new"}]}), fleet.gate, fleet.journal)
    outcome = slots.activate(Content("v2", "c2"), Request(run="r9", reason="5xx"), back=True)
    assert outcome.previous == {"slot": "blue", "release": "v3", "config": "c3"}
    assert fleet.gate.definitions[0][1]["probes"][0]["name"] == "health"
    record = fleet.records("revert")[-1]
    assert record["detail"]["reverted"] == {"release": "v3", "run": ""}
    assert record["detail"]["reason"] == "5xx"
    assert derive(fleet.journal.read(), "web", staged=["v3", "v2", "v1"]).candidates == ["v1"]


def test_a_way_back_that_was_interrupted_remembers_where_it_came_from(fleet: Fleet) -> None:
    machine = fleet.machines["web"]
    machine.raise_at = {"enable green": KeyboardInterrupt()}  # after the link has moved: nothing is taken back
    slots = fleet.make(fleet.spec("web"), fleet.gate, fleet.journal)
    with pytest.raises(KeyboardInterrupt):
        slots.activate(Content("v2", "c2"), Request(run="r9"), back=True)
    lines = fleet.journal.path.read_bytes().splitlines(keepends=True)
    fleet.journal.path.write_bytes(b"".join(lines[:-1]))  # as if it had been killed: the end was not noted
    anchor_path(fleet.journal.path).unlink()
    machine.raise_at = {}
    outcome = fleet.make(fleet.spec("web"), fleet.gate, fleet.journal).activate(Content("v2", "c2"), Request(run="r9"), back=True)
    assert outcome.previous == {"slot": "blue", "release": "v3", "config": "c3"}
    assert fleet.live()["web"] == "v2"


# -- config, names


def test_level_config_moves_the_config_alone(fleet: Fleet) -> None:
    answer = go(fleet, level="config", to="c2")
    assert answer["outcome"] == "ok"
    assert (answer["level"], answer["from"], answer["to"]) == ("config", "c3", "c2")
    assert fleet.live() == V3
    slots = fleet.make(fleet.spec("web"), fleet.gate, fleet.journal)
    live = slots.node.live()
    assert live is not None
    assert slots.node.content(live).config == "c2"
    assert fleet.marks("web")["v3"] == "good"


def test_a_bad_release_only_by_name_and_with_the_switch(fleet: Fleet) -> None:
    for name in fleet.names:
        detail = {"state": "bad", "reason": "leaks"}
        fleet.journal.append({"op": "mark", "component": name, "release": "v2", "outcome": "ok", "detail": detail})
    assert go(fleet, level="config", to="c9")["outcome"] == "refused"
    assert go(fleet, to="v2")["plan"]["refusals"][0]["code"] == "bad"
    assert go(fleet, to="v2", allow_bad=True)["outcome"] == "ok"
    assert fleet.live() == V2


# -- the lock


def owner(**given: Any) -> dict[str, Any]:
    return {"actor": "ann", "controller": "ctl", "controller_id": "x", "pid": 1, "pid_started": "1", **given}


def test_a_living_run_is_named_and_force_takes_the_lock(fleet: Fleet) -> None:
    Lock(fleet.state).acquire("deploy-9", owner(), 300)
    before = len(fleet.journal.read())
    with pytest.raises(Locked, match=r"ann on ctl \(process 1\), run deploy-9.*--force-lock"):
        roll_back(fleet.state, "shop", RollbackRequest(), Caller("rb-1", "bob"), fleet.tools())
    assert len(fleet.journal.read()) == before
    assert fleet.live() == V3
    assert go(fleet, caller={"force_lock": True})["outcome"] == "ok"
    assert fleet.live() == V2


def test_a_dead_command_of_this_node_and_an_expired_lease_are_no_obstacle(fleet: Fleet) -> None:
    Lock(fleet.state).acquire("rb-0", owner(controller_id=NODE, pid=os.getpid(), pid_started="another life"), 300)
    assert go(fleet)["outcome"] == "ok"
    Lock(fleet.state).acquire("deploy-9", owner(), 0.01)
    time.sleep(0.05)
    assert go(fleet, "rb-2")["outcome"] == "ok"


def test_a_command_of_this_node_that_lives_is_not_pushed_aside(fleet: Fleet) -> None:
    started = proc.start_time(os.getpid())
    Lock(fleet.state).acquire("rb-0", owner(controller_id=NODE, pid=os.getpid(), pid_started=started), 300)
    with pytest.raises(Locked):
        roll_back(fleet.state, "shop", RollbackRequest(), Caller("rb-1", "bob"), fleet.tools())


def test_the_lock_of_the_run_that_asks_stays_with_it(fleet: Fleet) -> None:
    Lock(fleet.state).acquire("rb-1", owner(), 300)
    assert roll_back(fleet.state, "shop", RollbackRequest(), Caller("rb-1", "bob"), fleet.tools())["outcome"] == "ok"
    holder = Lock(fleet.state).holder()
    assert holder is not None
    assert (holder["run"], holder["owner"]["actor"]) == ("rb-1", "ann")


# -- interrupted


def die_at(fleet: Fleet, step: int, early: bool) -> bool:
    """Go back in a process that is killed at a change of the node, or of the journal; returns whether it was."""
    child = os.fork()
    if child == 0:
        lock, count, append = threading.Lock(), {True: 0, False: 0}, Journal.append

        def tick(before: bool) -> None:
            with lock:
                count[before] += 1
                if early == before and step == count[early]:
                    os._exit(9)

        def noted(journal: Journal, record: dict[str, Any]) -> dict[str, Any]:
            tick(True)
            complete = append(journal, record)
            tick(False)
            return complete

        Journal.append = noted
        for machine in fleet.machines.values():
            machine.tick = tick
        try:
            go(fleet, "rb-dead")
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_killed_anywhere_it_is_finished_by_running_it_again(tmp_path: Path, before: bool) -> None:
    deaths, ends = 0, 0
    for step in range(1, 100):
        fleet = Fleet(tmp_path / str(step), warm=300)
        for number in (1, 2, 3):
            fleet.deploy(number)
        if not die_at(fleet, step, before):
            break
        deaths += 1
        begun = bool(fleet.records("rollback"))
        done = bool([record for record in fleet.records("rollback") if record["outcome"] == "ok"])
        if done:  # killed when all was noted: only the lock is left, and it goes no further back
            if Lock(fleet.state).current():
                answer = go(fleet, "rb-2")
                assert (answer["outcome"], answer["to"], answer["changed"]) == ("ok", "v2", False), f"killed at {step}"
                ends += 1
            continue
        answer = go(fleet, "rb-2")
        assert (answer["outcome"], answer["to"]) == ("ok", "v2"), f"killed at {step}"
        assert fleet.live() == V2
        assert {name: fleet.marks(name)["v3"] for name in fleet.names} == dict.fromkeys(fleet.names, "bad")
        assert fleet.tools().observe(fleet.state)["interrupted_rollback"] is None
        if begun:
            assert fleet.records("rollback")[-1]["detail"]["resumes"] == "rb-dead"
    assert deaths > 30
    assert before or ends >= 1


# -- what a controller began


def begin(fleet: Fleet, run: str, to: str, level: str = "app", outcome: str = "started", **detail: Any) -> None:
    told = {"level": level, "to": to, "from": "v3", **detail}
    fleet.journal.append({"op": "phase", "component": "rollback", "run": run, "outcome": outcome, "detail": told})


def test_a_node_finishes_what_a_controller_began(fleet: Fleet) -> None:
    begin(fleet, "ctl-1", "v1")
    answer = go(fleet)
    assert (answer["outcome"], answer["to"]) == ("ok", "v1"), "where the whole stack goes, not where it would go by itself"
    assert fleet.live() == V1


@pytest.mark.parametrize("end", [None, "failed"])
def test_a_node_that_is_there_goes_no_further_while_the_stack_is_not_done(fleet: Fleet, end: str | None) -> None:
    begin(fleet, "ctl-1", "v2")
    assert go(fleet, "ctl-1", to="v2")["changed"]
    if end:
        begin(fleet, "ctl-1", "v2", outcome=end)
    answer = go(fleet)
    assert (answer["outcome"], answer["to"], answer["changed"]) == ("ok", "v2", False)
    assert "rollback.yml -e to=v2 finishes it" in answer["plan"]["warnings"][-1]
    assert go(fleet, "rb-2", best_effort=True)["to"] == "v1", "in an emergency users come first"


def test_a_node_that_is_there_goes_further_when_the_stack_is_done(fleet: Fleet) -> None:
    begin(fleet, "ctl-1", "v2")
    go(fleet, "ctl-1", to="v2")
    begin(fleet, "ctl-2", "v2", outcome="ok")
    assert go(fleet)["to"] == "v1"


def test_the_lock_of_the_run_that_brought_it_there_is_given_back_if_it_is_dead(fleet: Fleet) -> None:
    begin(fleet, "ctl-1", "v2")
    Lock(fleet.state).acquire("ctl-1", owner(), 300)
    roll_back(fleet.state, "shop", RollbackRequest(to="v2"), Caller("ctl-1", "ann"), fleet.tools())
    said = roll_back(fleet.state, "shop", RollbackRequest(to="v2"), Caller("rb-1", "bob"), fleet.tools())
    assert (said["outcome"], Lock(fleet.state).holder() is None) == ("ok", False)
    assert "ann on ctl (process 1), run ctl-1" in said["plan"]["warnings"][0]
    assert go(fleet, to="v2", caller={"force_lock": True})["outcome"] == "ok"
    Lock(fleet.state).acquire("deploy-9", owner(), 300)
    roll_back(fleet.state, "shop", RollbackRequest(to="v2"), Caller("rb-2", "bob", force_lock=True), fleet.tools())
    assert (Lock(fleet.state).holder() or {})["run"] == "deploy-9", "a run that has nothing to do with it keeps its lock"


def test_a_lock_that_was_left_is_given_back_on_a_full_disk(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(fleet, "ctl-1", "v2")
    Lock(fleet.state).acquire("ctl-1", owner(), 300)
    roll_back(fleet.state, "shop", RollbackRequest(to="v2"), Caller("ctl-1", "ann"), fleet.tools())
    fsync = os.fsync

    def full(handle: int) -> None:
        if not stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    answer = go(fleet, to="v2", caller={"force_lock": True})
    assert answer["outcome"] == "ok"
    assert "no room for the lock" in answer["disk"][0]


def test_the_level_config_is_finished_by_component(fleet: Fleet) -> None:
    configs = {name: {"to": {"release": "v3", "config": "c1"}} for name in ("web", "worker")}
    begin(fleet, "ctl-1", "c1, c7", level="config", moves=configs)
    answer = go(fleet, level="config", level_named=True)
    assert sorted(rows(answer)) == ["web", "worker"]
    again = go(fleet, "rb-2", level="config", level_named=True)
    assert (again["outcome"], again["changed"]) == ("ok", False), "without what was begun it would go forward again"
    begin(fleet, "ctl-2", "c1, c7", level="config", outcome="ok")
    assert go(fleet, "rb-3", level="config")["changed"]


def test_another_level_that_is_named_is_not_pushed_aside(fleet: Fleet) -> None:
    begin(fleet, "ctl-1", "c1", level="config", moves={"web": {"to": {"release": "v3", "config": "c1"}}})
    assert go(fleet, level="app", level_named=True)["to"] == "v2"


def test_a_rollback_that_was_interrupted_does_not_bind_another_target(fleet: Fleet) -> None:
    fleet.journal.append({"op": "rollback", "release": "v2", "run": "rb-0", "outcome": "started", "detail": {"level": "app"}})
    assert go(fleet, to="v1")["outcome"] == "ok"
    assert fleet.live() == V1
    settled = next(record for record in fleet.records("rollback") if record["run"] == "rb-0" and record["outcome"] == "failed")
    assert "run rb-1 goes to v1 instead" in settled["detail"]["error"]
    assert go(fleet, "rb-2")["outcome"] == "refused", "v1 is the oldest"


def test_asked_to_end_while_waiting_all_stay(fleet: Fleet) -> None:
    stop = threading.Event()
    fleet.gate.before["beat"] = stop.set
    answer = go(fleet, caller={"stop": stop})
    assert answer["outcome"] == "failed"
    assert any(ASKED_TO_END in row["message"] for row in answer["components"])
    assert fleet.live() == V3


# -- the barrier and gates by themselves


def test_the_barrier_lets_nobody_hang() -> None:
    barrier = SwitchBarrier(["a", "b", "c"], False, threading.Event())
    said: dict[str, str] = {}
    threads = [threading.Thread(target=lambda name=name: said.update({name: barrier.wait(name)})) for name in ("b", "c")]
    for thread in threads:
        thread.start()
    barrier.end("a", False, "no port")
    for thread in threads:
        thread.join(5)
    assert said == {"b": "a did not go back: no port", "c": "a did not go back: no port"}


def test_a_quick_gate_keeps_its_patience() -> None:
    found = quick({"probes": [], "interval": 2, "failures": 2, "min_healthy_time": 3, "successes": 4})
    assert (found["interval"], found["failures"], found["successes"]) == (0.25, 16, 4)
    assert 0 < found["min_healthy_time"] <= 3
    assert once({"interval": 0.1})["interval"] == 0.1


@pytest.mark.parametrize(("emergency", "longest"), [(True, 0.25), (False, 1.0)])
def test_a_slot_that_has_to_start_stands_shortest_in_an_emergency(emergency: bool, longest: float) -> None:
    asked: list[float] = []

    def gate(definition: Mapping[str, Any], context: Mapping[str, Any], trouble: Callable[[], str]) -> Judged:
        asked.append(definition["min_healthy_time"])
        return Judged("pass", {}, "")

    barrier = SwitchBarrier(["api"], emergency, threading.Event())
    judge = BackGate("api", Content("v1", "c1"), gate, threading.Event(), barrier, False)
    given = {"probes": [], "min_healthy_time": 3}
    assert judge(given, {"release": "v1", "config_path": "/c/c1", "slot": "blue"}, lambda: "").verdict == "pass"
    assert asked == [longest]
