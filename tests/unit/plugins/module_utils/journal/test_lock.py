# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc
from ansible_collections.phasegate.aistack.plugins.module_utils.journal import lock as locks
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import LeaseLost, Lock, LockHeld, keep_lease, require

FORK = multiprocessing.get_context("fork")
ANN = {"actor": "ann", "controller": "laptop", "pid": 4711, "pid_started": "x"}
BOB = {"actor": "bob", "controller": "desk", "pid": 4712, "pid_started": "y"}


@pytest.fixture
def lock(tmp_path: Path) -> Lock:
    return Lock(tmp_path)


def actions(lock: Lock) -> list[str]:
    return [record["detail"]["action"] for record in lock.journal.read() if record["op"] == "lock"]


def test_taking_and_giving_back(lock: Lock) -> None:
    taken = lock.acquire("r1", ANN, 60)
    assert (taken.how, taken.replaced) == ("acquired", None)
    held = lock.holder()
    assert held is not None
    assert (held["run"], held["owner"]) == ("r1", ANN)
    assert lock.release("r1") is True
    assert lock.holder() is None
    assert lock.release("r1") is False
    assert actions(lock) == ["acquired", "released"]


def test_the_journal_knows_from_the_lease_who_runs(lock: Lock) -> None:
    lock.acquire("r1", ANN, 60)
    told = [
        lock.journal.append({"op": "stage", "component": "backend", "outcome": "ok", **given})["actor"]
        for given in ({"run": "r1"}, {"run": "r2"}, {}, {"run": "r1", "actor": "eve"})
    ]
    assert told == ["ann", "", "", "eve"]


def test_another_run_is_refused_and_told_everything(lock: Lock) -> None:
    lease = lock.acquire("r1", ANN, 60).lease
    with pytest.raises(LockHeld) as refused:
        lock.acquire("r2", BOB, 60)
    said = str(refused.value)
    for part in ("ann", "laptop", "4711", "r1", lease["since"], lease["expires"], "break_lock", str(lock.path)):
        assert part in said
    assert refused.value.lease["run"] == "r1"
    assert actions(lock) == ["acquired"]


def test_the_same_run_renews_and_keeps_since(lock: Lock) -> None:
    first = lock.acquire("r1", ANN, 1).lease
    second = lock.acquire("r1", ANN, 60)
    assert second.how == "renewed"
    assert second.lease["since"] == first["since"]
    assert second.lease["expires"] > first["expires"]
    assert actions(lock) == ["acquired"]


def test_an_expired_lease_is_taken_over_and_journaled(lock: Lock) -> None:
    lock.acquire("r1", ANN, 0.05)
    time.sleep(0.1)
    assert lock.holder() is None
    taken = lock.acquire("r2", BOB, 60)
    assert taken.how == "taken_over"
    assert taken.replaced is not None
    assert taken.replaced["run"] == "r1"
    note = lock.journal.read()[-1]
    assert note["detail"]["action"] == "taken_over"
    assert note["detail"]["reason"] == "expired"
    assert note["detail"]["replaced"]["owner"]["actor"] == "ann"


def test_a_dead_run_is_taken_over_but_only_that_one(lock: Lock) -> None:
    lock.acquire("r1", ANN, 60)
    with pytest.raises(LockHeld):
        lock.acquire("r2", BOB, 60, dead_run="r0")
    assert lock.acquire("r2", BOB, 60, dead_run="r1").how == "taken_over"


def test_breaking(lock: Lock) -> None:
    lock.acquire("r1", ANN, 60)
    assert lock.acquire("r2", BOB, 60, break_lock=True).how == "broken"
    assert actions(lock) == ["acquired", "broken"]


def test_giving_back_what_is_another_runs(lock: Lock) -> None:
    lock.acquire("r1", ANN, 60)
    with pytest.raises(LockHeld):
        lock.release("r2")
    assert lock.holder() is not None
    assert lock.release("r2", break_lock=True) is True


def test_a_clock_that_was_set_changes_no_lease(lock: Lock) -> None:
    lock.acquire("r1", ANN, 60)
    lease = json.loads(lock.path.read_text())
    lease["expires"] = "2001-01-01T00:00:00.000Z"
    lock.path.write_text(json.dumps(lease))
    assert lock.holder() is not None


def test_after_a_reboot_the_wall_clock_counts_but_never_for_longer_than_the_lease(lock: Lock) -> None:
    lock.acquire("r1", ANN, 60)
    lease = json.loads(lock.path.read_text())
    lease["boot"] = "another boot"
    lock.path.write_text(json.dumps(lease))
    assert lock.holder() is not None
    lease["expires"] = "2999-01-01T00:00:00.000Z"  # written while the clock was ahead
    lock.path.write_text(json.dumps(lease))
    assert lock.holder() is None


def test_an_unreadable_lease_is_no_obstacle(lock: Lock) -> None:
    lock.path.write_text("{")
    taken = lock.acquire("r1", ANN, 60)
    assert taken.how == "taken_over"
    assert taken.replaced is not None
    assert taken.replaced["run"] == "unreadable"


def _race(state_dir: Path, run: str, start: Any, answers: Queue[tuple[str, bool]]) -> None:
    start.wait()
    try:
        Lock(state_dir).acquire(run, ANN, 60)
    except LockHeld:
        answers.put((run, False))
    else:
        answers.put((run, True))


@pytest.mark.parametrize("expired", [False, True], ids=["free", "expired"])
def test_many_processes_race_and_one_wins(tmp_path: Path, expired: bool) -> None:
    if expired:
        Lock(tmp_path).acquire("r0", BOB, 0)
    start, answers = FORK.Event(), FORK.Queue()
    racers = [FORK.Process(target=_race, args=(tmp_path, f"r{number}", start, answers)) for number in range(1, 9)]
    for racer in racers:
        racer.start()
    start.set()
    got = dict(answers.get(timeout=20) for _racer in racers)
    for racer in racers:
        racer.join()
    assert len(got) == 8
    winners = [run for run, won in got.items() if won]
    assert len(winners) == 1
    held = Lock(tmp_path).holder()
    assert held is not None
    assert held["run"] == winners[0]


def test_a_lease_is_kept_while_a_module_works(lock: Lock) -> None:
    lock.acquire("r1", ANN, 4)
    with keep_lease(lock.state_dir, "r1", "stage backend v1"):
        time.sleep(5)
        held = lock.holder()
        assert held is not None
        assert held["worker"]["pid"] == os.getpid()
    assert json.loads(lock.path.read_text())["worker"] is None
    time.sleep(4.1)
    assert lock.holder() is None


def test_a_lease_that_was_broken_is_not_taken_back(lock: Lock) -> None:
    lock.acquire("r1", ANN, 0.3)
    with keep_lease(lock.state_dir, "r1"):
        lock.acquire("r2", BOB, 60, break_lock=True)
        time.sleep(0.5)
        with pytest.raises(LeaseLost, match="held by bob"):
            require(lock.state_dir, "r1", "move the live link")
    held = lock.holder()
    assert held is not None
    assert held["run"] == "r2"


def refused(lock: Lock, run: str, beside: bool = False) -> str:
    with pytest.raises(LeaseLost) as lost, keep_lease(lock.state_dir, run, "stage backend v2", beside=beside):
        pytest.fail("it went on")
    return str(lost.value)


def test_a_run_whose_lease_another_took_is_refused_and_told_what_it_did(lock: Lock) -> None:
    lock.acquire("r1", ANN, 0.05)
    lock.journal.append({"op": "stage", "component": "backend", "release": "v1", "outcome": "ok", "run": "r1"})
    time.sleep(0.1)
    assert lock.acquire("r2", BOB, 60).how == "taken_over"
    said = refused(lock, "r1")
    for part in ("could stage backend v2", "run r1", str(lock.path), "held by bob on desk", "run r2", "stage backend v1", "aistack status"):
        assert part in said
    assert refused(lock, "r1", beside=True) == said
    lock.release("r2")
    assert "bob took it for run r2 at" in refused(lock, "r1")


def test_a_run_whose_lease_is_gone_is_refused(lock: Lock) -> None:
    lock.acquire("r1", ANN, 60)
    lock.path.unlink()
    assert "nobody has it now" in refused(lock, "r1")


def test_a_run_that_took_no_lease_works_only_where_nobody_has_one(lock: Lock) -> None:
    require(lock.state_dir, "r1")
    lock.acquire("r2", BOB, 60)
    assert "held by bob" in refused(lock, "r1")
    require(lock.state_dir, "r1", beside=True)  # a backup may
    require(lock.state_dir, "")  # by hand
    lock.release("r2")
    require(lock.state_dir, "r2")  # it gave the lease back itself


def test_a_lease_that_ran_out_and_that_nobody_took_is_taken_again(lock: Lock) -> None:
    lock.acquire("r1", ANN, 1)
    time.sleep(1.1)
    assert lock.holder() is None
    require(lock.state_dir, "r1")
    held = lock.holder()
    assert held is not None
    assert (held["run"], held["owner"]) == ("r1", ANN)


def test_a_run_that_was_taken_back_as_a_whole_is_over(lock: Lock) -> None:
    lock.acquire("r1", ANN, 60)
    lock.acquire("r2", BOB, 60, break_lock=True)
    lock.release("r2")
    lock.acquire("r1", BOB, 60)  # the dead man's switch takes it in the run's name
    lock.journal.append({"op": "rollback", "run": "r1", "outcome": "ok", "detail": {"by": "revert"}})
    lock.release("r1")
    refused(lock, "r1")


def test_while_a_run_is_being_taken_back_it_does_not_go_on(lock: Lock) -> None:
    lock.acquire("r1", ANN, 60)
    parent = os.getppid()
    lock.renew("r1", worker={"pid": parent, "pid_started": proc.start_time(parent), "what": f"{locks.TAKING_BACK} r1"})
    assert "is being taken back" in refused(lock, "r1")


def test_a_full_disk_does_not_end_what_is_under_way(lock: Lock, monkeypatch: pytest.MonkeyPatch) -> None:
    lock.acquire("r1", ANN, 0.3)
    full = threading.Event()
    write, tried = Lock._write, []

    def no_space(self: Lock, lease: dict[str, Any]) -> None:
        tried.append(full.is_set())
        if full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, lease)

    monkeypatch.setattr(Lock, "_write", no_space)
    with keep_lease(lock.state_dir, "r1"):
        full.set()
        end = time.monotonic() + 30
        while tried.count(True) < 2:
            assert time.monotonic() < end, "the heartbeat ended"
            time.sleep(0.02)
        require(lock.state_dir, "r1")  # it ran out, but it is nobody else's


def test_a_lease_is_lengthened_from_outside_and_who_works_stays_named(lock: Lock) -> None:
    assert lock.prolong("r1") is False
    lock.acquire("r1", ANN, 60)
    with keep_lease(lock.state_dir, "r1", "stage backend v1"):
        before = lock.current() or {}
        time.sleep(0.01)
        assert lock.prolong("r1") is True
        after = lock.current() or {}
    assert after["clock_expires"] > before["clock_expires"]
    assert {**after, "clock_expires": 0, "expires": ""} == {**before, "clock_expires": 0, "expires": ""}
    assert lock.prolong("r2") is False
    lock.acquire("r2", BOB, 60, break_lock=True)
    assert lock.prolong("r1") is False
    assert (lock.holder() or {})["run"] == "r2"


def test_without_a_lease_nothing_is_written(tmp_path: Path) -> None:
    with keep_lease(tmp_path / "state", "r1"):
        pass
    with keep_lease(tmp_path / "state", ""):
        pass
    assert not (tmp_path / "state").exists()


def _work(state_dir: Path, done: Any) -> None:
    with keep_lease(state_dir, "r1", "stage backend v1"):
        done.wait(60)


def _started(lock: Lock) -> tuple[Any, Any]:
    """A module at work in another process, and what ends its work."""
    lock.acquire("r1", ANN, 60)
    done = FORK.Event()
    worker = FORK.Process(target=_work, args=(lock.state_dir, done))
    worker.start()
    while not (lock.current() or {}).get("worker"):
        assert worker.is_alive(), "it ended before it worked"
        time.sleep(0.01)
    return worker, done


def test_a_dead_controllers_module_is_waited_for(lock: Lock) -> None:
    worker, done = _started(lock)
    began = time.monotonic()
    threading.Timer(0.5, done.set).start()
    assert lock.acquire("r2", BOB, 60, dead_run="r1", worker_wait_s=30).how == "taken_over"
    assert 0.5 <= time.monotonic() - began < 20
    worker.join()


def test_a_module_that_does_not_end_is_named(lock: Lock) -> None:
    worker, _done = _started(lock)
    with pytest.raises(LockHeld, match=f"process {worker.pid} .stage backend v1. still works on this node"):
        lock.acquire("r2", BOB, 60, dead_run="r1", worker_wait_s=0.3)
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    assert lock.acquire("r2", BOB, 60, dead_run="r1", worker_wait_s=0.3).how == "taken_over"


def test_a_living_run_with_a_module_is_refused_at_once(lock: Lock) -> None:
    worker, _done = _started(lock)
    began = time.monotonic()
    with pytest.raises(LockHeld, match="is held by ann"):
        lock.acquire("r2", BOB, 60)
    assert time.monotonic() - began < 8
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()


def test_a_process_is_told_from_another_with_its_number() -> None:
    mine = proc.start_time(os.getpid())
    assert mine is not None
    assert proc.alive(os.getpid(), mine)
    assert not proc.alive(os.getpid(), "another life")
    assert locks.describe({"run": "r", "owner": {}}).startswith("somebody, run r")


def _stopped_work(state_dir: Path, link: Path, ready: Any) -> None:
    try:
        with keep_lease(state_dir, "r1", "slot backend: active"):
            ready.set()
            time.sleep(2)  # it is stopped in here
            require(state_dir, "r1", "move the live link")
            link.symlink_to("v2")
    except LeaseLost:
        raise SystemExit(3) from None


def test_a_process_that_stood_still_while_its_lock_was_broken_does_not_move_the_link(lock: Lock) -> None:
    lock.acquire("r1", ANN, 60)
    link, ready = lock.state_dir / "live", FORK.Event()
    worker = FORK.Process(target=_stopped_work, args=(lock.state_dir, link, ready))
    worker.start()
    assert ready.wait(30)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        assert lock.acquire("emergency", BOB, 60, break_lock=True).how in ("broken", "taken_over")
    finally:
        os.kill(worker.pid, signal.SIGCONT)
    worker.join(30)
    assert worker.exitcode == 3
    assert not link.is_symlink()
