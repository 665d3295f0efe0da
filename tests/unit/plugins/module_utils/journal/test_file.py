# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal import file as journals
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import interrupted

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal.of(tmp_path / "state")


def stage(journal: Journal, release: str) -> dict[str, Any]:
    return journal.append({"op": "stage", "component": "backend", "release": release, "outcome": "ok"})


def test_a_journal_that_is_not_there_reads_empty(journal: Journal) -> None:
    assert journal.read() == []
    assert journal.verify() == []
    assert not journal.path.parent.exists()


def test_append_chains_and_closes_the_file_to_others(journal: Journal) -> None:
    first, second = stage(journal, "v1"), stage(journal, "v2")
    assert second["prev"] == first["hash"]
    assert [record["release"] for record in journal.read()] == ["v1", "v2"]
    assert journal.path.stat().st_mode & 0o777 == 0o640
    assert journal.verify() == []
    assert first["time"].endswith("Z")


def test_the_mode_does_not_depend_on_the_umask(journal: Journal) -> None:
    before = os.umask(0)
    try:
        stage(journal, "v1")
    finally:
        os.umask(before)
    assert journal.path.stat().st_mode & 0o777 == 0o640


def test_a_torn_end_is_reported_and_moved_aside_by_the_next_append(journal: Journal) -> None:
    stage(journal, "v1")
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole + b'{"seq":2,"time":"20')
    assert [record["release"] for record in journal.read()] == ["v1"]
    assert "torn" in journal.verify()[0]
    record = stage(journal, "v2")
    assert record["seq"] == 2
    aside = Path(record["detail"]["journal_repaired"])
    assert aside.read_bytes() == b'{"seq":2,"time":"20'
    assert journal.verify() == []
    journal.path.write_bytes(journal.path.read_bytes() + b"\x00\x00")
    assert stage(journal, "v3")["detail"]["journal_repaired"].endswith("torn-2")
    assert journal.verify() == []


def test_only_the_newline_is_missing(journal: Journal) -> None:
    stage(journal, "v1")
    journal.path.write_bytes(journal.path.read_bytes().rstrip(b"\n"))
    record = stage(journal, "v2")
    assert "journal_repaired" not in record["detail"]
    assert [item["release"] for item in journal.read()] == ["v1", "v2"]
    assert journal.verify() == []


def test_the_very_first_line_is_torn(journal: Journal) -> None:
    journal.path.parent.mkdir()
    journal.path.write_bytes(b'{"seq"')
    assert stage(journal, "v1")["seq"] == 1
    assert journal.verify() == []


def test_records_longer_than_the_window_are_found(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "_TAIL", 64)
    for number in range(4):
        journal.append({"op": "phase", "component": "phase1", "outcome": "ok", "detail": {"evidence": "x" * 500 * number}})
    journal.path.write_bytes(journal.path.read_bytes() + b"torn")
    stage(journal, "v1")
    assert journal.verify() == []
    assert [record["seq"] for record in journal.read()] == [1, 2, 3, 4, 5]


def test_a_disk_that_is_full_leaves_no_half_record(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    stage(journal, "v1")

    def full(handle: int, data: bytes) -> None:
        os.write(handle, data[:20])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journals, "_write_all", full)
        with pytest.raises(OSError, match="No space left"):
            stage(journal, "v2")
    assert journal.verify() == []
    assert stage(journal, "v2")["seq"] == 2


def test_an_operation_that_ends_well(journal: Journal) -> None:
    with journal.operation("stage", "backend", "v1", run="r1", actor="ann", detail={"commit": "c"}) as operation:
        assert [record["outcome"] for record in journal.read()] == ["started"]
        operation.detail["tree_hash"] = "h"
    begun, ended = journal.read()
    assert (begun["outcome"], ended["outcome"]) == ("started", "ok")
    assert ended["detail"] == {"commit": "c", "tree_hash": "h", "started": begun["seq"]}
    assert (ended["run"], ended["actor"], ended["release"]) == ("r1", "ann", "v1")


@pytest.mark.parametrize(
    ("error", "outcome"), [(ValueError("no"), "failed"), (KeyboardInterrupt(), "failed"), (SystemExit(1), "failed"), (SystemExit(0), "ok")]
)
def test_an_operation_that_is_left(journal: Journal, error: BaseException, outcome: str) -> None:
    with pytest.raises(type(error)), journal.operation("stage", "backend", "v1"):
        raise error
    ended = journal.read()[-1]
    assert ended["outcome"] == outcome
    assert ("error" in ended["detail"]) == (outcome == "failed")


def _work_for_ever(path: Path) -> None:
    with Journal(path).operation("activate", "backend", "v1", run="dead"):
        time.sleep(60)


def test_a_killed_operation_is_recognised(journal: Journal) -> None:
    worker = FORK.Process(target=_work_for_ever, args=(journal.path,))
    worker.start()
    while not journal.read():
        assert worker.is_alive(), "it ended before it began"
        time.sleep(0.01)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    assert [(item.op, item.release, item.run) for item in interrupted(journal.read())] == [("activate", "v1", "dead")]


def _append_many(path: Path, name: str) -> None:
    for number in range(25):
        Journal(path).append({"op": "stage", "component": name, "release": f"v{number}", "outcome": "ok"})


def test_many_writers_at_once_make_one_chain(journal: Journal) -> None:
    workers = [FORK.Process(target=_append_many, args=(journal.path, f"c{number}")) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    records = journal.read()
    assert [record["seq"] for record in records] == list(range(1, 101))
    assert journal.verify() == []


def test_a_mark(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    record = journal.mark("web", "v2", "bad", "tests failed", "r1", "ann")
    told = {key: record[key] for key in ("op", "component", "release", "run", "actor", "outcome", "detail")}
    assert told == {"op": "mark", "component": "web", "release": "v2", "run": "r1", "actor": "ann", "outcome": "ok",
                    "detail": {"state": "bad", "reason": "tests failed"}}
    assert journal.read() == [record]
