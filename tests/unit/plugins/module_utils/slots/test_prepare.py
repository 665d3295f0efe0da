# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Slots that are started and proven ahead of their turn, several at a time."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.slots import plan as sp
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.contract import Failed, Refused, Request
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.node import Judged
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.prepare import PreparingSlots, Work, asked_to_end, side_by_side
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.prepared import ahead, prepared_by
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.slots.test_operations import GATE, V1, V2, V3, Bench

STRICT = {**GATE, "successes": 3, "min_healthy_time": 20}


class Yard(Bench):
    """A node whose slots can be prepared; ``pids`` says which process runs where."""

    pids: dict[str, str] = {}

    def slots(self, **options: Any) -> PreparingSlots:
        plain = super().slots(**options)
        slots = PreparingSlots(plain.spec, self.gate, self.journal, plain.node.systemd, plain.node.edge)
        slots.node.holder, slots.node.outsider = plain.node.holder, plain.node.outsider
        slots.process = lambda slot: self.pids.get(slot, f"process of {slot}")
        return slots


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    yard = Yard(tmp_path, gate=STRICT)
    yard.slots().activate(V1, Request(run="r1"))
    yard.gate.definitions.clear()
    return yard


def test_what_is_prepared_is_proven_and_takes_no_traffic(yard: Yard) -> None:
    outcome = yard.slots().prepare(V2, Request(run="r2"))
    state = yard.machine.load()
    assert (outcome.changed, outcome.slot) == (True, "green")
    assert yard.serving() == ("blue", "v1")
    assert (state["green"]["running"], state["green"]["enabled"], state["edge"]["green"]) == (True, False, "maint")
    assert state["timers"] == ["green"]  # it ends by itself where nobody comes back for it
    assert yard.marks() == {"v1": "good"}  # proven on its own port is not yet good
    assert [gate["min_healthy_time"] for gate in yard.gate.definitions] == [20]


@pytest.mark.parametrize("check", [True, False])
def test_nothing_is_started_for_an_edge_that_cannot_listen(yard: Yard, check: bool) -> None:
    yard.outsiders = {("127.0.0.1", 8000): "nginx (pid 7) on 0.0.0.0"}
    with pytest.raises(Refused, match=r"127\.0\.0\.1:8000 is held by nginx \(pid 7\) on 0\.0\.0\.0"):
        yard.slots().prepare(V2, Request(run="r2", check=check))
    yard.tidy("v1")


def test_activating_it_then_asks_once_and_keeps_the_whole_gate(yard: Yard) -> None:
    yard.slots().prepare(V2, Request(run="r2"))
    yard.gate.definitions.clear()
    yard.slots().activate(V2, Request(run="r2"))
    yard.tidy("v2")
    assert (yard.gate.definitions[0]["successes"], yard.gate.definitions[0]["min_healthy_time"]) == (1, 0)
    saved = json.loads((yard.root / "state/gates/web.json").read_text())
    assert saved["v2"]["min_healthy_time"] == 20  # what it goes back by later


@pytest.mark.parametrize("why", ["another run", "another process", "another config"])
def test_what_was_not_proven_by_this_run_is_asked_in_full(yard: Yard, why: str) -> None:
    yard.slots().prepare(V2, Request(run="r2"))
    yard.gate.definitions.clear()
    yard.pids = {"green": "another"} if why == "another process" else {}
    target = V3 if why == "another config" else V2
    yard.slots().activate(target, Request(run="r3" if why == "another run" else "r2"))
    yard.tidy(target.release)
    assert yard.gate.definitions[0]["min_healthy_time"] == 20


def test_a_release_that_fails_is_stopped_marked_bad_and_nobody_noticed(yard: Yard) -> None:
    yard.gate.fails = ("v2",)
    with pytest.raises(Failed, match="v2 was not made live: slot green did not pass its gate"):
        yard.slots().prepare(V2, Request(run="r2"))
    yard.tidy("v1")
    assert yard.machine.load()["green"]["running"] is False
    assert yard.marks()["v2"] == "bad"
    with pytest.raises(Refused, match="marked bad"):
        yard.slots().prepare(V2, Request(run="r3"))


def test_a_run_that_is_taken_back_stops_what_it_prepared(yard: Yard) -> None:
    yard.slots().prepare(V2, Request(run="r2"))
    assert yard.slots().revert(Request(run="another")).changed is False
    assert yard.machine.load()["green"]["running"] is True
    outcome = yard.slots().revert(Request(run="r2", reason="the frontend failed"))
    assert outcome.message == "web: v2 stopped in green; it had no traffic"
    yard.tidy("v1")
    assert yard.machine.load()["green"]["running"] is False
    assert yard.marks() == {"v1": "good"}  # another one's failure is not its fault
    assert yard.slots().revert(Request(run="r2")).changed is False


def test_a_run_that_has_switched_goes_back_as_ever(yard: Yard) -> None:
    yard.slots().prepare(V2, Request(run="r2"))
    yard.slots().activate(V2, Request(run="r2"))
    yard.slots().revert(Request(run="r2"))
    yard.tidy("v1")


@pytest.mark.parametrize("options", [{"strategy": "recreate"}, {}], ids=["recreate", "no edge"])
def test_what_would_begin_to_work_is_not_prepared(tmp_path: Path, options: dict[str, Any]) -> None:
    yard = Yard(tmp_path, edge=bool(options), **options)
    yard.slots().activate(V1, Request(run="r1"))
    before = yard.machine.load()
    assert yard.slots().prepare(V2, Request(run="r2")).changed is False
    assert yard.machine.load() == before


def test_what_is_live_needs_no_preparing_and_check_mode_touches_nothing(yard: Yard) -> None:
    assert yard.slots().prepare(V1, Request(run="r2")).changed is False
    before = yard.machine.load()
    assert yard.slots().prepare(V2, Request(run="r2", check=True)).changed is True
    assert yard.machine.load() == before


def test_a_process_that_is_killed_while_preparing_leaves_what_the_next_run_takes_up(tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    yard.slots().activate(V1, Request(run="r1"))
    for step in ("later green", "write green", "start green"):
        yard.machine.raise_at = {step: KeyboardInterrupt()}
        if step != "write green":  # writing is no change of the machine
            with pytest.raises(KeyboardInterrupt):
                yard.slots().prepare(V2, Request(run="r2"))
        yard.machine.raise_at = {}
        assert yard.serving() == ("blue", "v1")
    yard.slots().prepare(V2, Request(run="r3"))
    yard.slots().activate(V2, Request(run="r3"))
    yard.tidy("v2")


def test_several_are_prepared_at_the_same_time(tmp_path: Path) -> None:
    both = threading.Barrier(2, timeout=20)

    class Meeting:
        def __call__(self, definition: Mapping[str, Any], context: Mapping[str, Any], trouble: Callable[[], str]) -> Judged:
            both.wait()
            return Judged("pass")

    work = []
    for name in ("one", "two"):
        yard = Yard(tmp_path / name)
        yard.slots().activate(V1, Request(run="r1"))
        yard.gate = Meeting()
        work.append(Work(yard.slots(), V2, Request(run="r2")))
    done, failed = side_by_side(work)
    assert [outcome.changed for _name, outcome in done] == [True, True]
    assert failed == []


def test_whoever_is_asked_to_end_blames_no_release() -> None:
    stop = threading.Event()
    stop.set()

    def gate(definition: Mapping[str, Any], context: Mapping[str, Any], trouble: Callable[[], str]) -> Judged:
        return Judged("fail", {"got": trouble()})

    judged = asked_to_end(gate, stop)({}, {}, lambda: "")
    assert (judged.verdict, judged.problem["got"]) == ("inconclusive", "this process was asked to end")


def test_only_steps_of_the_idle_slot_are_ahead() -> None:
    gate, ready = sp.Step(sp.GATE, "green"), sp.Step(sp.TO_READY, "green")
    start, drain = sp.Step(sp.START, "green"), sp.Step(sp.TO_DRAIN, "blue")
    assert ahead(sp.Plan("green", (start, gate, ready, drain))).steps == (start, gate)
    assert ahead(sp.Plan("green", (ready, drain))).steps == ()
    assert ahead(sp.Plan("green", (drain, start, gate))).steps == ()
    assert ahead(sp.Plan(None, ())).steps == ()


def test_the_journal_knows_who_has_prepared_what() -> None:
    record = {"component": "web", "outcome": "ok", "run": "r2", "release": "v2", "op": "prepare", "detail": {"slot": "green"}}
    assert prepared_by([record], "web", "r2") == {"release": "v2", "slot": "green"}
    assert prepared_by([record], "web", "r3") is None
    assert prepared_by([record, {**record, "run": "r3"}], "web", "r2") is None
    assert prepared_by([record, {**record, "op": "activate"}], "web", "r2") is None
    assert prepared_by([{**record, "outcome": "started"}], "web", "r2") is None
