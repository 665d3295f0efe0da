# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core import durable, flock
from ansible_collections.phasegate.aistack.plugins.module_utils.journal import (
    archive as journal_archive,
    chain as journal_chain,
    keep as journal_keep,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.cached import QuickJournal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.emergency import EmergencyJournal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal

FORK = multiprocessing.get_context("fork")
FIRST = "journal.jsonl.1.gz"


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    """A journal whose older part is archived after every 20 records, of which the newest 5 stay."""
    monkeypatch.setattr(journal_archive, "ROTATE_AT", 20)
    monkeypatch.setattr(journal_archive, "TRY_EVERY", 1)
    kept = journal_keep.kept
    monkeypatch.setattr(journal_keep, "kept", lambda records: kept(records, 5, 5))
    return Journal.of(tmp_path)


def fill(journal: Journal, count: int, first: int = 1) -> list[dict[str, Any]]:
    return [
        journal.append({"op": "phase", "component": f"p{number % 3}", "detail": {"n": number}}) for number in range(first, first + count)
    ]


def numbers(records: list[dict[str, Any]]) -> list[int]:
    return [record["detail"]["n"] for record in records if record["op"] == "phase"]


def test_the_older_part_is_archived_and_the_chain_goes_on(journal: Journal) -> None:
    fill(journal, 70)
    assert sorted(path.name for path in journal.path.parent.iterdir()) == [
        "journal.jsonl", FIRST, "journal.jsonl.2.gz", "journal.jsonl.3.gz", "journal.jsonl.last",
    ]
    records = journal.read()
    assert len(records) < 40
    assert numbers(records)[-1] == 70
    assert [record["seq"] for record in records] == sorted({record["seq"] for record in records})
    assert journal.verify() == journal.verify_all() == []
    assert numbers(journal.newest(0)) == list(range(1, 71))
    assert [record["seq"] for record in journal.newest(0)] == list(range(1, 74)), "three seals"
    assert numbers(journal.newest(30, "p1")) == list(range(1, 71, 3))
    assert journal.newest(2) == journal.read()[-2:]
    for path in journal.path.parent.iterdir():
        assert path.stat().st_mode & 0o777 == 0o640, path


def test_readers_that_know_the_file_notice_that_it_is_another(journal: Journal) -> None:
    quick = QuickJournal(journal.path)
    for number in range(1, 60):
        fill(journal, 1, number)
        assert quick.read() == journal.read()


def test_a_journal_of_an_older_version_is_read_and_archived(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(journal_archive, "ROTATE_AT", 1000)
        fill(journal, 45)
    journal_archive.anchor_path(journal.path).unlink()
    assert journal.verify_all() == []
    assert len(journal.read()) == 45
    fill(journal, 1, 46)
    assert journal.verify_all() == []
    assert len(journal.read()) < 12
    assert numbers(journal.newest(0)) == list(range(1, 47))


@pytest.mark.parametrize("lost", [1, 3, 10])
def test_an_end_that_was_truncated_is_noticed_and_stays_noted(journal: Journal, lost: int) -> None:
    fill(journal, 10)
    lines = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(b"".join(lines[: 10 - lost]))
    told = "1 record is missing" if lost == 1 else f"{lost} records are missing"
    (problem,) = journal.verify()
    assert problem.startswith(f"{told} at the end of {journal.path}: journal.jsonl.last names record 10")
    assert "backup set" in problem
    noted = fill(journal, 1, 99)[0]
    assert noted["detail"]["journal_missing"]["seq"] == 10
    (problem,) = journal.verify_all()
    assert f"record {11 - lost} (" in problem
    assert "records up to 10 were there before" in problem
    fill(journal, 30, 100)
    assert journal.verify_all() == [problem], "the archived part tells it still"


def test_a_journal_that_is_gone_is_noticed_and_its_archived_part_left_alone(journal: Journal) -> None:
    fill(journal, 25)
    before = (journal.path.parent / FIRST).read_bytes()
    journal.path.unlink()
    assert "26 records are missing" in journal.verify()[0]
    assert "there is none" in journal.verify()[0]
    fill(journal, 25)
    assert (journal.path.parent / FIRST).read_bytes() == before
    assert (journal.path.parent / "journal.jsonl.2.gz").exists()
    assert len(journal.verify_all()) == 1


def test_an_end_that_was_replaced_is_noticed(journal: Journal) -> None:
    fill(journal, 5)
    *lines, last = journal.path.read_text().splitlines()
    kept = [json.loads(line) for line in lines]
    other = journal_chain.link({"op": "phase", "component": "forged"}, kept[-1], json.loads(last)["time"])
    journal.path.write_text("".join(journal_chain.encode(record) for record in [*kept, other]))
    (problem,) = journal.verify()
    assert "record 5" in problem
    assert "is not the one that was written" in problem


def test_an_anchor_that_lags_is_no_problem_and_one_that_cannot_be_read_is_said(journal: Journal) -> None:
    fill(journal, 3)
    anchor = journal_archive.anchor_path(journal.path)
    old = anchor.read_bytes()
    fill(journal, 2, 4)
    anchor.write_bytes(old)
    assert journal.verify() == []
    anchor.write_bytes(b"{")
    assert "cannot be read" in journal.verify()[0]
    fill(journal, 1, 6)
    assert journal.verify() == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda folder: (folder / FIRST).unlink(), "records 1 to 20 are in"),
        (lambda folder: (folder / FIRST).write_bytes((folder / "journal.jsonl.2.gz").read_bytes()), "its SHA-256 is not the one"),
        (lambda folder: (folder / FIRST).write_bytes((folder / FIRST).read_bytes()[:-20]), "its SHA-256 is not the one"),
        (lambda folder: os.replace(folder / "journal.jsonl.2.gz", folder / FIRST), "cannot be read"),
        (lambda folder: _line(folder / "journal.jsonl", 0, b"p", b"q"), "copies of older ones"),
        (lambda folder: _line(folder / "journal.jsonl", 0, None, None), "copies of older ones"),
    ],
    ids=["gone", "another", "cut", "moved", "copy changed", "copy removed"],
)
def test_what_was_done_to_an_archived_part_is_told(journal: Journal, change: Callable[[Path], None], told: str) -> None:
    fill(journal, 45)
    change(journal.path.parent)
    problems = journal.verify_all()
    assert any(told in problem for problem in problems), problems
    assert numbers(journal.read())[-1] == 45


def _line(path: Path, number: int, old: bytes | None, new: bytes | None) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number : number + 1] = [lines[number].replace(b'"' + old, b'"' + new, 1)] if old and new else []
    path.write_bytes(b"".join(lines))


def test_a_disk_that_is_full_lets_the_journal_grow_on(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_given: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal_archive, "_packed", full)
        fill(journal, 25)
    assert len(journal.read()) == 25
    assert journal.verify_all() == []
    assert not list(journal.path.parent.glob(".*"))
    fill(journal, 1, 26)
    assert len(journal.read()) < 12
    assert journal.verify_all() == []


def _killed_at(journal: Journal, step: int) -> None:
    """Append until the process dies at the *step*-th call that touches the disk, once the journal is due."""
    calls = 0

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*given: Any, **more: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*given, **more)

        return wrapped

    for name in ("open", "fsync", "replace", "write", "pread", "fdopen", "close", "fchmod"):
        setattr(os, name, counted(getattr(os, name)))
    fill(journal, 1, 21)


def test_a_kill_at_any_step_loses_no_record(journal: Journal) -> None:
    step, rotated = 0, False
    while True:
        step += 1
        for path in journal.path.parent.iterdir():
            path.unlink()
        fill(journal, 20)
        worker = FORK.Process(target=_killed_at, args=(journal, step))
        worker.start()
        worker.join()
        assert journal.verify_all() == [], step
        there = numbers(journal.newest(0))
        assert there in (list(range(1, 21)), list(range(1, 22))), step
        rotated |= journal.read()[0]["op"] != "phase" or len(journal.read()) < 20
        fill(journal, 1, 22)
        assert numbers(journal.newest(0)) == [*there, 22], step
        assert journal.verify_all() == [], step
        if worker.exitcode == 0:
            break
        assert worker.exitcode == -signal.SIGKILL
    assert rotated
    assert step > 20


def _append(path: Path, name: str) -> None:
    for number in range(40):
        Journal(path).append({"op": "phase", "component": name, "detail": {"n": number}})


def test_many_writers_lose_nothing_while_it_is_archived(journal: Journal) -> None:
    workers = [FORK.Process(target=_append, args=(journal.path, f"w{number}")) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    for number in range(4):
        assert numbers(journal.newest(0, f"w{number}")) == list(range(40))
    assert journal.verify_all() == []


def test_a_lock_that_is_not_to_be_had_after_archiving_fails_the_append_and_touches_no_other_file(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(journal, 20)
    other = (tmp_path / "other").open("wb", buffering=0)
    take, taken, opened = flock.take, [], []

    def stuck(handle: int, path: Path) -> None:
        taken.append(path)
        if len(taken) > 1:
            opened.append(os.dup(other.fileno()))  # another thread has a file of that number by now
            raise flock.Stuck(path, 0)
        take(handle, path)

    with monkeypatch.context() as patch:
        patch.setattr(flock, "take", stuck)
        with pytest.raises(flock.Stuck):
            fill(journal, 1, 21)
    for handle in opened:
        os.fstat(handle)
        os.close(handle)
    assert (tmp_path / "other").read_bytes() == b""
    fill(journal, 1, 22)
    assert numbers(journal.newest(0)) == [*range(1, 21), 22]
    assert journal.verify_all() == []


def test_a_record_is_not_written_to_a_file_that_has_lost_its_name(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(journal, 20)
    synced = durable.fsync

    def broken(folder: Path) -> None:
        if (journal.path.parent / FIRST).exists() and journal.path.stat().st_ino != before:
            raise OSError(errno.EIO, "Input/output error")
        synced(folder)

    before = journal.path.stat().st_ino
    with monkeypatch.context() as patch:
        patch.setattr(durable, "fsync", broken)
        fill(journal, 1, 21)
    assert numbers(journal.newest(0)) == list(range(1, 22))
    assert journal.verify_all() == []


def test_what_nobody_foresaw_in_archiving_is_no_reason_to_write_nothing(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(_records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        raise TypeError("unhashable type: 'list'")

    monkeypatch.setattr(journal_keep, "kept", wrong)
    fill(journal, 25)
    assert len(journal.read()) == 25
    assert journal.verify_all() == []


def test_a_way_back_leaves_archiving_to_others(journal: Journal) -> None:
    fill(journal, 25 - 6)
    fill(EmergencyJournal(journal.path), 6, 20)
    assert len(journal.read()) == 25
    fill(journal, 1, 26)
    assert len(journal.read()) < 25
    assert journal.verify_all() == []
