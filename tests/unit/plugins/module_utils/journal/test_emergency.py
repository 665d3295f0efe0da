# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A way back on a full disk. A stand-in for one: nothing but directories can be brought to the disk unless the reserve was freed; with a
quota it is the same with another number. A real file system that is full is in C(tests/integration/disk)."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core import flock
from ansible_collections.phasegate.aistack.plugins.module_utils.journal import reserve
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.emergency import EmergencyJournal, EmergencyLock
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lock, LockHeld

ANN, BOB = {"actor": "ann"}, {"actor": "bob"}
Fill = Callable[[bool], None]


@pytest.fixture(params=[errno.ENOSPC, errno.EDQUOT], ids=["full", "quota"])
def fill(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fill]:
    """``fill(helps)``: no room from now on; *helps*: until the reserve is freed. ``fill`` is undone at the end."""
    fsync, state = os.fsync, {"full": False, "helps": False}

    def no_room(handle: int) -> None:
        freed = state["helps"] and not (tmp_path / reserve.NAME).exists()
        if state["full"] and not freed and not stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(request.param, os.strerror(request.param))
        fsync(handle)

    def allocate(handle: int, _offset: int, _length: int) -> None:
        no_room(handle)

    monkeypatch.setattr(os, "fsync", no_room)
    monkeypatch.setattr(os, "posix_fallocate", allocate)
    yield lambda helps: state.update(full=True, helps=helps)
    state["full"] = False


def actions(state: Path) -> list[str]:
    return [record["detail"]["action"] for record in Journal.of(state).read() if record["op"] == "lock"]


def record(op: str, **given: Any) -> dict[str, Any]:
    return {"op": op, "component": "web", "release": "v1", "outcome": "ok", **given}


def test_the_reserve_is_really_there_once_and_goes_once(tmp_path: Path) -> None:
    assert reserve.keep(tmp_path)
    made = (tmp_path / reserve.NAME).stat()
    assert made.st_blocks * 512 >= reserve.SIZE
    assert made.st_mode & 0o777 == 0o600
    assert reserve.keep(tmp_path)
    assert (tmp_path / reserve.NAME).stat().st_ino == made.st_ino
    assert reserve.free(tmp_path)
    assert not reserve.free(tmp_path)
    assert reserve.room(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_reserve_that_is_only_a_name_is_made_again(tmp_path: Path) -> None:
    with open(tmp_path / reserve.NAME, "wb") as file:
        file.truncate(reserve.SIZE)  # a hole
    assert reserve.keep(tmp_path)
    assert (tmp_path / reserve.NAME).stat().st_blocks * 512 >= reserve.SIZE


def test_a_file_system_that_promises_nothing_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unable(*_given: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", unable)
    assert reserve.keep(tmp_path)
    assert (tmp_path / reserve.NAME).stat().st_size == reserve.SIZE


def test_where_hardly_anything_would_be_left_none_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reserve, "SIZE", 2**60)
    assert not reserve.keep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_room_leaves_nothing(tmp_path: Path, fill: Fill) -> None:
    fill(False)
    assert not reserve.keep(tmp_path)
    assert not reserve.room(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_reserve_makes_room_for_lock_and_journal(tmp_path: Path, fill: Fill) -> None:
    Lock(tmp_path).acquire("r1", ANN, 60)
    reserve.keep(tmp_path)
    fill(True)
    journal = EmergencyJournal(Journal.of(tmp_path).path)
    journal.begin()
    lock = EmergencyLock(tmp_path, journal)
    assert lock.acquire("r2", BOB, 60, break_lock=True).how == "broken"
    assert (Lock(tmp_path).holder() or {})["run"] == "r2"
    journal.append(record("activate", run="r2"))
    assert lock.release("r2")
    assert not (tmp_path / reserve.NAME).exists()
    assert Journal.of(tmp_path).verify() == []
    assert actions(tmp_path) == ["acquired", "broken", "released"]
    said = journal.notes()
    assert len(said) == 1
    assert "was given up" in said[0]


def test_without_one_it_goes_on_without_lock_and_records_and_says_so(tmp_path: Path, fill: Fill) -> None:
    Lock(tmp_path).acquire("r1", ANN, 60)
    before = Journal.of(tmp_path).path.read_bytes()
    fill(False)
    journal = EmergencyJournal(Journal.of(tmp_path).path)
    journal.begin()
    lock = EmergencyLock(tmp_path, journal)
    with pytest.raises(LockHeld):
        lock.acquire("r2", BOB, 60)
    lock.acquire("r2", BOB, 60, break_lock=True)
    assert Lock(tmp_path).current() is None, "whose it was, that run stops at its next step"
    with pytest.raises(LockHeld, match="was taken away"):
        Lock(tmp_path).require("r1", "move the live link")
    Lock(tmp_path).require("r2", "move the live link")
    with journal.operation("activate", "web", "v1", run="r2") as operation:
        operation.detail["slot"] = "blue"
    assert lock.release("r2") is False
    assert [(found["seq"], found["op"], found["outcome"]) for found in journal.read()] == [
        (1, "lock", "ok"), (2, "activate", "started"), (3, "activate", "ok"),
    ]
    assert Journal.of(tmp_path).path.read_bytes() == before
    assert list(tmp_path.glob(".lock.json.*")) == []
    notes = journal.notes()
    assert "no room for the lock" in notes[0]
    assert "lacks 2 records" in notes[1]
    assert ": activate web v1 started, activate web v1 ok." in notes[1]


def test_what_waited_is_written_in_order_once_there_is_room(tmp_path: Path, fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = EmergencyJournal(Journal.of(tmp_path).path)
    fill(False)
    with journal.operation("activate", "web", "v1", run="r2"):
        monkeypatch.undo()
    records = Journal.of(tmp_path).read()
    assert [(found["op"], found["outcome"]) for found in records] == [("activate", "started"), ("activate", "ok")]
    assert records[1]["detail"]["started"] == records[0]["seq"]
    assert records[0]["time"] <= records[1]["time"]
    assert Journal.of(tmp_path).verify() == []
    assert journal.notes() == []


def test_its_own_lease_stays_where_it_cannot_be_lengthened(tmp_path: Path, fill: Fill) -> None:
    Lock(tmp_path).acquire("r1", ANN, 60)
    fill(False)
    journal = EmergencyJournal(Journal.of(tmp_path).path)
    assert EmergencyLock(tmp_path, journal).acquire("r1", ANN, 60).how == "renewed"
    assert (Lock(tmp_path).holder() or {})["run"] == "r1"
    assert journal.notes() == []


def test_another_error_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = EmergencyJournal(Journal.of(tmp_path).path)

    def broken(_handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        journal.append(record("stage"))
    with pytest.raises(ValueError, match="unknown keys"):
        journal.append(record("stage", oops=1))
    assert journal.read() == []


def test_a_torn_end_stays_where_it_is_while_there_is_no_room_to_move_it(tmp_path: Path, fill: Fill) -> None:
    journal = Journal.of(tmp_path)
    journal.append(record("stage"))
    with open(journal.path, "ab") as file:
        file.write(b'{"seq": 2, "to')
    before = journal.path.read_bytes()
    fill(False)
    for _turn in range(2):
        with pytest.raises(OSError):  # noqa: PT011 - either of the two numbers
            journal.append(record("stage"))
    assert journal.path.read_bytes() == before
    assert list(tmp_path.glob("*.torn-*")) == []


def test_where_not_so_much_as_a_name_has_room_the_way_back_begins_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Lock(tmp_path).acquire("r1", ANN, 60)
    reserve.keep(tmp_path)
    opened = os.open

    def no_inode(path: str | Path, flags: int, *given: Any, **more: Any) -> int:
        if flags & os.O_CREAT and not os.path.lexists(path) and (tmp_path / reserve.NAME).exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(path))
        return opened(path, flags, *given, **more)

    monkeypatch.setattr(os, "open", no_inode)
    journal = EmergencyJournal(Journal.of(tmp_path).path)
    journal.begin()
    assert journal.freed
    assert EmergencyLock(tmp_path, journal).acquire("r2", BOB, 60, break_lock=True).how == "broken"


def test_what_cannot_be_written_at_the_end_is_told_whatever_the_reason(
    tmp_path: Path, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = EmergencyJournal(Journal.of(tmp_path).path)
    fill(False)
    journal.append(record("activate"))

    def stuck(_handle: int, path: Path) -> None:
        raise flock.Stuck(path, 30)

    monkeypatch.setattr(flock, "take", stuck)
    assert "lacks 1 records" in journal.notes()[0]
