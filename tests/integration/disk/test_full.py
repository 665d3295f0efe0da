# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way back where the disk of a node is full: a real file system of 2 MiB without a free byte holds the state."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal import chain as journal_chain, reserve
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lock, keep_lease
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import deadman
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.plan import RollbackRequest
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.run import Caller, roll_back
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.rollback.fleet import Fleet
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.rollback.test_deadman import Timers


class Disk:
    """The small file system."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def fill(self) -> None:
        """Leave no byte of it, and none in the last block of the journal."""
        journal = Journal.of(self.place)
        records = journal.read()
        if records:
            fields = {"op": "mark", "outcome": "ok", "time": "2026-01-01T00:00:00.000Z", "detail": {"pad": ""}}
            size = journal.path.stat().st_size + len(journal_chain.encode(journal_chain.link(fields, records[-1], "")))
            journal.append({**fields, "detail": {"pad": "x" * (-size % 4096)}})
            assert journal.path.stat().st_size % 4096 == 0
        with open(self.place / "log", "ab", buffering=0) as file, contextlib.suppress(OSError):  # full, which is what is wanted
            while True:
                file.write(b"x" * 4096)
        assert shutil.disk_usage(self.place).free == 0

    def clean(self) -> None:
        (self.place / "log").unlink()


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    monkeypatch.setattr(reserve, "SIZE", 512 * 1024)
    place = tmp_path / "state"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(place)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"a file system of 2 MiB has to be mounted for this, as root: {done.stderr}")
    yield Disk(place)
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def fleet(tmp_path: Path, disk: Disk) -> Fleet:
    """v2 serves and is to be left; the run of its deployment still has the lock."""
    fleet = Fleet(tmp_path, warm=300)
    for number in (1, 2):
        fleet.deploy(number)
    Lock(fleet.state).acquire("deploy-2", {"actor": "ann"}, 300)
    return fleet


def emergency(fleet: Fleet) -> dict[str, Any]:
    who = Caller("rb-1", "ops", "the disk is full", force_lock=True, best_effort=True)
    return roll_back(fleet.state, "shop", RollbackRequest(best_effort=True), who, fleet.tools())


def timer(fleet: Fleet) -> dict[str, Any]:
    return deadman.revert(fleet.state, Caller("deploy-2", "root", "not confirmed"), True, fleet.tools(), systemd=Timers())


@pytest.fixture(params=[emergency, timer], ids=["emergency", "dead man's switch"])
def go(fleet: Fleet, request: pytest.FixtureRequest) -> Callable[[Fleet], dict[str, Any]]:
    deadman.arm(fleet.state, "shop", "deploy-2", 60, "ann", sys.executable, Timers())
    work: Callable[[Fleet], dict[str, Any]] = request.param
    return work


def serving(fleet: Fleet) -> set[str]:
    """By the links and the processes alone."""
    found = set()
    for name in fleet.names:
        node = fleet.make(fleet.spec(name), fleet.gate, fleet.journal).node
        live = node.live() or ""
        content = node.content(live)
        assert fleet.machines[name].load()[live]["running"]
        found.add(content.release if content else "nothing")
    return found


def test_the_reserve_makes_room_and_comes_back(fleet: Fleet, disk: Disk, go: Callable[[Fleet], dict[str, Any]]) -> None:
    assert reserve.keep(disk.place)
    disk.fill()
    answer = go(fleet)
    assert answer["outcome"] == "ok", answer
    assert set(fleet.live().values()) == {"v1"}, "the journal has all of it"
    assert not (disk.place / reserve.NAME).exists()
    assert Lock(disk.place).current() is None
    assert len(answer["disk"]) == 1
    assert "was given up" in answer["components"][0]["warnings"][-1]
    ended = [record for record in Journal.of(disk.place).read() if record["op"] == "rollback"]
    assert [record["outcome"] for record in ended] == ["started", "ok"]
    disk.clean()
    assert reserve.keep(disk.place)


def test_without_the_reserve_it_goes_back_all_the_same(fleet: Fleet, disk: Disk, go: Callable[[Fleet], dict[str, Any]]) -> None:
    disk.fill()
    before = Journal.of(disk.place).path.read_bytes()
    answer = go(fleet)
    assert answer["outcome"] == "ok", answer
    assert serving(fleet) == {"v1"}
    journal = Journal.of(disk.place)
    assert journal.path.read_bytes().startswith(before)
    assert journal.verify() == []
    told = " ".join(answer.get("disk") or [])
    assert go is timer or "no room for the lock" in told, "the timer works under the lease of its run"
    # files that are removed on the way may have made some room: what the journal has not is told
    known = [(record["op"], record["outcome"]) for record in journal.read()]
    assert ("rollback", "ok") in known or "rollback v1 ok" in told
    disk.clean()
    Lock(disk.place).acquire("deploy-3", {"actor": "ann"}, 60)


def test_what_a_full_disk_leaves_of_an_ordinary_run(disk: Disk) -> None:
    lock = Lock(disk.place)
    lock.acquire("r1", {"actor": "ann"}, 60)
    lease = lock.path.read_bytes()
    disk.fill()
    with keep_lease(disk.place, "r1", "stage web v1"):
        pass  # neither the first nor the last lengthening is a failure
    assert lock.path.read_bytes() == lease
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        lock.acquire("r2", {"actor": "bob"}, 60, break_lock=True)
    assert lock.path.read_bytes() == lease
    assert lock.journal.verify() == []
    assert sorted(path.name for path in disk.place.iterdir()) == [
        ".lock.guard", "journal.jsonl", "journal.jsonl.last", "lock.json", "log",
    ]
