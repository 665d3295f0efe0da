# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that lost its power in the middle of a switch, and what it does by itself when it boots."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.haproxy import EdgeError
from ansible_collections.phasegate.aistack.plugins.module_utils.journal import lock as locks
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lock
from ansible_collections.phasegate.aistack.plugins.module_utils.node import reconcile as core
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.run import Caller, Locked
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.contract import Request
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.rollback.fleet import Fleet
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.slots.test_operations import FakeEdge

WHO = Caller("boot-1", "root", "after a boot")
OWNER = {"actor": "ann", "controller": "elsewhere", "pid": 1}


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return deployed(tmp_path / "node")


def deployed(root: Path, *names: str) -> Fleet:
    made = Fleet(root, *names)
    made.kind = core.BootSlots
    made.deploy(1)
    return made


def power_lost(fleet: Fleet, name: str, at: tuple[int, bool], work: Callable[[], object]) -> bool:
    """Do *work* in a process that ends at a change of *name*; returns whether it did."""
    child = os.fork()
    if child == 0:
        fleet.machines[name].die_at, fleet.machines[name].count = at, 0
        try:
            work()
        except BaseException:  # noqa: BLE001 - a child of fork must never come back
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def boot(fleet: Fleet) -> None:
    """What systemd does: enabled units run, timers that do not last are gone. What the edge has written down it has again."""
    for machine in fleet.machines.values():
        state = machine.load()
        for slot in ("blue", "green"):
            state[slot]["running"] = state[slot]["enabled"]
            state[slot].pop("known", None)
        state.update(timers=[], resume=None)
        machine._store(state)


def reconcile(fleet: Fleet) -> dict[str, Any]:
    return core.reconcile(fleet.state, WHO, fleet.make)


def serving(fleet: Fleet, name: str) -> str | None:
    """The release that does the work, of which there is one; None where nothing runs."""
    state, slots = fleet.machines[name].load(), fleet.make(fleet.spec(name), fleet.gate, fleet.journal)
    running = [slot for slot in ("blue", "green") if state[slot]["running"]]
    if not running:
        return None
    assert running == [slot for slot in ("blue", "green") if state[slot]["enabled"]] == [slots.node.live()]
    if slots.node.edge is not None:
        assert state["edge"] == {running[0]: "ready", {"blue": "green", "green": "blue"}[running[0]]: "maint"}
    content = slots.node.content(running[0])
    return content.release if content else None


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("name", ["web", "worker", "beat"])
def test_power_lost_anywhere_one_slot_serves_after_the_boot_and_the_next_run_finishes(tmp_path: Path, name: str, before: bool) -> None:
    served = set()
    for step in range(1, 30):
        fleet = deployed(tmp_path / str(step), name)
        seen: list[int] = []
        if not power_lost(fleet, name, (step, before), lambda fleet=fleet: fleet.deploy(2)):
            break
        boot(fleet)
        fleet.machines[name].watch = lambda state, seen=seen: seen.append(state["blue"]["running"] + state["green"]["running"])
        assert reconcile(fleet)["outcome"] == "ok"
        served.add(serving(fleet, name))
        assert name != "beat" or max(seen, default=1) == 1, "two ran at the same time"
        assert not reconcile(fleet)["changed"]
        fleet.machines[name].watch = None
        fleet.deploy(2)
        assert fleet.live() == {name: "v2"}
    assert served == {"v1", "v2"}


def test_where_nothing_is_to_be_done_nothing_is_written(fleet: Fleet) -> None:
    boot(fleet)
    before = fleet.journal.path.read_bytes()
    answer = reconcile(fleet)
    assert (answer["changed"], answer["outcome"], len(answer["components"])) == (False, "ok", 3)
    assert fleet.journal.path.read_bytes() == before
    assert not (fleet.state / "lock.json").exists()


@pytest.mark.parametrize("interrupted", [True, False])
def test_what_was_stopped_on_purpose_stays_so(fleet: Fleet, interrupted: bool) -> None:
    if interrupted:
        assert power_lost(fleet, "beat", (5, False), lambda: fleet.deploy(2, "beat"))
    for name in fleet.names:
        fleet.make(fleet.spec(name), fleet.gate, fleet.journal).stop(Request(run="r2", reason="a restore"))
    boot(fleet)
    assert not reconcile(fleet)["changed"]
    assert [serving(fleet, name) for name in fleet.names] == [None, None, None]


def test_a_drain_whose_timer_is_gone_ends(fleet: Fleet) -> None:
    fleet.make(fleet.spec("web"), fleet.gate, fleet.journal).drain(Request(run="r2"), 90, "exec aistack resume web")
    boot(fleet)
    answer = reconcile(fleet)
    assert serving(fleet, "web") == "v1"
    row = next(row for row in answer["components"] if row["component"] == "web")
    assert row["message"] == "web: v1 in blue serves: ready blue"
    ended = fleet.records("converge")[-1]
    assert (ended["outcome"], ended["component"], ended["release"]) == ("ok", "web", "v1")


def test_the_lease_of_a_run_that_ended_with_the_power_is_no_obstacle(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = Lock(fleet.state)
    lock.acquire("deploy-2", OWNER)
    assert power_lost(fleet, "beat", (5, False), lambda: fleet.deploy(2, "beat"))
    boot(fleet)
    with pytest.raises(Locked, match="ann on elsewhere"):
        reconcile(fleet)
    assert serving(fleet, "beat") is None, "somebody is at work, and what none of the units starts is theirs"
    monkeypatch.setattr(locks, "_started", lambda: float(lock.current()["clock_expires"]))
    assert lock.prolong("deploy-2"), "the controller lengthens it meanwhile, which is no work on this node"
    monkeypatch.undo()
    assert reconcile(fleet)["outcome"] == "ok"
    assert serving(fleet, "beat") == "v2"
    lease = lock.holder()
    assert lease is not None
    assert (lease["run"], lease["worker"]) == ("deploy-2", None)
    assert not locks.from_before(lease), "it was worked under since the boot"


def test_a_lease_of_another_boot_is_one_from_before(fleet: Fleet) -> None:
    lease = Lock(fleet.state).acquire("deploy-2", OWNER).lease
    assert not locks.from_before(lease)
    assert locks.from_before({**lease, "boot": "another"})
    assert 0 <= locks._started() < float(lease["clock_expires"])


def test_an_edge_that_does_not_answer_holds_no_other_component(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    state = fleet.machines["worker"].load()
    state["green"]["enabled"] = True
    fleet.machines["worker"]._store(state)

    def gone(_edge: Any) -> Any:
        raise EdgeError("nobody listens at /s")

    monkeypatch.setattr(FakeEdge, "servers", gone)
    boot(fleet)
    answer = reconcile(fleet)
    assert answer["outcome"] == "failed"
    assert {row["component"]: row["outcome"] for row in answer["components"]} == {"web": "failed", "worker": "ok", "beat": "ok"}
    assert "nobody listens at /s" in next(row["message"] for row in answer["components"] if row["component"] == "web")
    assert serving(fleet, "worker") == "v1"
