# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read again and again, the journal says what the plain one says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal import chain as journal_chain
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.cached import QuickJournal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal


def note(journal: Journal, number: int) -> None:
    journal.append({"op": "stage", "component": "web", "release": f"v{number}", "outcome": "ok"})


def test_it_reads_what_is_new_and_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, quick = Journal.of(tmp_path), QuickJournal.of(tmp_path)
    assert quick.read() == []
    parsed: list[int] = []
    parse = journal_chain.parse
    for number in range(5):
        note(plain if number % 2 else quick, number)
        monkeypatch.setattr(journal_chain, "parse", lambda raw: (parsed.append(raw.count(b"\n")), parse(raw))[1])
        assert len(quick.read()) == number + 1
        monkeypatch.undo()
    assert parsed == [1, 1, 1, 1, 1]
    assert quick.read() == plain.read()
    assert quick.verify() == []


@pytest.mark.parametrize("tail", [b'{"seq": 3, "ha', b"\0\0\0\0\n", b"{}\n"], ids=["cut", "zeroes", "no record"])
def test_a_torn_end_and_what_is_appended_after_it(tmp_path: Path, tail: bytes) -> None:
    plain, quick = Journal.of(tmp_path), QuickJournal.of(tmp_path)
    note(plain, 1)
    note(plain, 2)
    with plain.path.open("ab") as out:
        out.write(tail)
    assert [record["seq"] for record in quick.read()] == [1, 2]
    assert quick.verify() == plain.verify() != []
    note(quick, 3)
    assert quick.read() == plain.read()
    assert len(quick.read()) == 3


def test_a_last_line_without_its_end(tmp_path: Path) -> None:
    plain, quick = Journal.of(tmp_path), QuickJournal.of(tmp_path)
    note(plain, 1)
    os.truncate(plain.path, plain.path.stat().st_size - 1)
    assert len(quick.read()) == 1
    note(plain, 2)
    assert quick.read() == plain.read()
    assert quick.verify() == []


def test_a_file_that_was_replaced_or_shortened_is_read_again(tmp_path: Path) -> None:
    plain, quick = Journal.of(tmp_path), QuickJournal.of(tmp_path)
    for number in range(3):
        note(plain, number)
    assert len(quick.read()) == 3
    lines = plain.path.read_bytes().splitlines(keepends=True)
    plain.path.write_bytes(lines[0])
    assert len(quick.read()) == 1
    other = Journal(tmp_path / "other")
    for number in range(7, 10):
        note(other, number)
    os.replace(other.path, plain.path)
    assert [record["release"] for record in quick.read()] == ["v7", "v8", "v9"]
    plain.path.unlink()
    assert quick.read() == []
