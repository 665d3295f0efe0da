# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SQLite databases as parts of a backup set: SQLite's own online backup, while others read and write."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import place as restore_place
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import Job, PartError, Saved
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import fsync

KIND = "sqlite"
BUSY = 10.0
"""Seconds to wait for another connection's lock."""
_HELD = (5, 6)  # SQLITE_BUSY, SQLITE_LOCKED
PAGES = -1
"""All pages in one step: a backup in small steps begins again whenever somebody writes."""


@contextlib.contextmanager
def opened(path: Path, mode: str = "ro") -> Iterator[sqlite3.Connection]:
    """A connection that never makes a file (C(mode) ro or rw). Raises PartError."""
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", uri=True, timeout=BUSY, isolation_level=None)
    except sqlite3.Error as problem:
        raise PartError(f"{path} cannot be opened: {problem}.") from problem
    try:
        yield connection
    except sqlite3.Error as problem:
        raise PartError(f"{path}: {problem}.") from problem
    finally:
        connection.close()


def job(entry: Mapping[str, object]) -> Job:
    """The job of one entry of C(sqlite) in the description."""
    path = f"sqlite/{entry['name']}.db"
    source = Path(str(entry["path"]))

    def size() -> int:
        if not source.is_file():
            raise PartError(f"SQLite {entry['name']}: {source} is not there. Correct its path in aistack_backup, or wait for what makes "
                            "it.")
        wal = source.with_name(source.name + "-wal")
        return source.stat().st_size + (wal.stat().st_size if wal.exists() else 0)

    def save(folder: Path) -> Saved:
        size()
        with restore_place.holding(source) as (place, name):
            place.read(name).close()  # a link that its folder's owner made could point at anything that root can read
        target = folder / path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        copy(source, target)
        state = source.stat()
        facts = {**observe(target), "source": str(source), "owner": [state.st_uid, state.st_gid], "mode": f"{state.st_mode & 0o777:04o}"}
        return Saved(facts, tools={"sqlite": sqlite3.sqlite_version})

    return Job(KIND, str(entry["name"]), path, size, save)


def copy(source: Path, target: Path) -> None:
    """Copy one database as it is at one moment into a new file, which stands alone (no write-ahead log). Raises PartError."""
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with opened(source) as reading, opened(target, "rw") as writing:
        into(reading, writing)
        writing.execute("PRAGMA journal_mode=DELETE")
    fsync(target)


def into(reading: sqlite3.Connection, writing: sqlite3.Connection) -> None:
    """Make one database the other's copy in one transaction; waits for those who hold it. Raises sqlite3.Error."""
    end = time.monotonic() + BUSY

    def progress(status: int, _remaining: int, _total: int) -> None:
        if status in _HELD and time.monotonic() >= end:  # it would try for ever
            raise sqlite3.OperationalError(f"database is locked, for more than {BUSY:g} s")

    reading.backup(writing, pages=PAGES, progress=progress, sleep=0.05)


def observe(path: Path) -> dict[str, Any]:
    """Rows by table of a database that is whole. Raises PartError where its integrity check finds something."""
    with opened(path) as connection:
        said = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
        if said != ["ok"]:
            raise PartError(f"{path} is damaged: {'; '.join(said)}.")
        return {"rows": rows(connection)}


def rows(connection: sqlite3.Connection) -> dict[str, int]:
    """Number of rows of every table."""
    names = [
        str(row[0])
        for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
    ]
    counted: dict[str, int] = {}
    for name in sorted(names):
        quoted = '"' + name.replace('"', '""') + '"'
        counted[name] = int(connection.execute(f"SELECT count(*) FROM {quoted}").fetchone()[0])
    return counted


def same(first: sqlite3.Connection, second: sqlite3.Connection) -> bool:
    """Whether two databases hold the same, schema and rows."""
    return all(one == other for one, other in zip_longest(first.iterdump(), second.iterdump()))


def verify(folder: Path, part: Mapping[str, Any]) -> list[str]:
    """What is wrong with the part, one sentence each."""
    path = folder / str(part["path"])
    if not path.is_file():
        return [f"{path} is missing"]
    try:
        found = observe(path)["rows"]
    except PartError as problem:
        return [str(problem)]
    expected = part["facts"]["rows"]
    return [
        f"{path}: table {name} has {found.get(name, 'no')} rows, expected {expected.get(name, 'no such table')}"
        for name in sorted(set(found) | set(expected))
        if found.get(name) != expected.get(name)
    ]
