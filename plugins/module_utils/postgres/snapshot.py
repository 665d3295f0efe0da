# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One database as a part of a backup set: a dump that several processes make, and what it holds, from one snapshot.

A session exports its snapshot; pg_dump's processes read from it, and beside them the session itself counts every table and
takes the schema's fingerprint. The numbers are therefore those of the dump, whatever is written meanwhile.
The part is a folder C(postgres/<name>) with the dump in C(dump/) and everything known about the database in C(database.json).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import stat
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import fsync, move, write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import PART_NAME, PART_WORDS
from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import account
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import DatabaseAddress
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import (
    dump as pg_dump,
    fingerprint,
    settings as database_settings,
    tools as pg_tool,
    version_table,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.dump import APPLICATION, PARTIAL, BackupError
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import Fingerprint
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError, Psql
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.tools import Tool, ToolError
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.version_table import ASSUMED, VersionTable

KIND = "postgres"
DUMP = "dump"
FILE = "db.dump"
"""The dump of one file that is made before a migration, where it stands in the place of a dump's folder."""

ABOUT = "database.json"
MIN_FREE = 268435456
UNCHANGED = "Nothing was changed."
LOCK_WAIT = "10s"
"""How long a table may be locked by somebody else."""

READ_TIMEOUT = 60.0


def make(
    folder: Path,
    name: str,
    address: DatabaseAddress,
    variables: Mapping[str, str],
    user: str | None,
    jobs: int = 2,
    timeout: float = 3600.0,
    min_free: int = MIN_FREE,
    count_below: int | None = None,
    version: VersionTable = ASSUMED,
) -> dict[str, Any]:
    """Dumps and checks a database into ``folder/postgres/<name>``; returns a part of a set's manifest.

    ``folder`` is that of the set, ``jobs`` the number of pg_dump's processes, ``timeout`` is in seconds, ``min_free`` the bytes that
    have to stay free besides. Tables with ``count_below`` rows or more by the statistics are not counted. The part is C(kind), C(name),
    C(path) (relative), C(bytes), C(seconds), C(facts) and C(files): relative path to C(sha256) and C(bytes), for the manifest's own list.

    C(facts): C(database), C(tool), C(server), C(jobs), C(size) (bytes of the database), C(hash) and C(objects) of the schema, C(rows)
    by table (None: not counted), C(approximate) (rows of those by the statistics), C(heads) of Alembic in the table C(version) (None:
    it cannot be told), C(entries) and C(tables) of the archive.

    Raises BackupError; then nothing of the part is left.
    """
    if not PART_NAME.match(name):
        raise BackupError(f"No backup: {name!r} cannot name a part of a set; expected {PART_WORDS}. {UNCHANGED}")
    part = folder / KIND / name
    if part.exists():
        raise BackupError(f"No backup: {part} exists already; a database is saved once in a set. {UNCHANGED}")
    began = time.monotonic()
    try:
        with Psql(address, variables, user, APPLICATION) as psql:
            psql.apply_settings(search_path="", lock_timeout=LOCK_WAIT, statement_timeout=f"{int(timeout * 1000)}ms")
            space(psql, folder, min_free)
            for inner in (folder / KIND, part, part / DUMP):
                inner.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                about, facts = _dump(psql, part / DUMP, address, variables, user, jobs, began + timeout, count_below, version)
                _write(part / ABOUT, about)
                entries, tables = pg_dump.check(part / DUMP, Fingerprint.load(about), None, UNCHANGED)
                files = pg_tool.hash_files(folder, part, jobs)
            except BaseException:
                shutil.rmtree(part)
                raise
    except (DatabaseError, ToolError) as problem:
        held = isinstance(problem, DatabaseError) and problem.sqlstate == "55P03"
        why = f" Somebody holds a lock on one of its tables for longer than {LOCK_WAIT}; run again when that is done." if held else ""
        raise BackupError(f"No backup: {str(problem).rstrip('.')}.{why} {UNCHANGED}") from problem
    except LookupError as problem:
        raise BackupError(f"No backup: {problem}. {UNCHANGED}") from problem
    except OSError as problem:
        raise BackupError(f"No backup: {problem.filename or part}: {problem.strerror}. {UNCHANGED}") from problem
    return {
        "kind": KIND,
        "name": name,
        "path": part.relative_to(folder).as_posix(),
        "bytes": sum(entry["bytes"] for entry in files.values()),
        "seconds": round(time.monotonic() - began, 3),
        "facts": {"database": address.as_dict(), **facts, "jobs": jobs, "entries": entries, "tables": tables},
        "files": files,
    }


def alone(
    where: Path,
    name: str,
    address: DatabaseAddress,
    variables: Mapping[str, str],
    user: str | None,
    jobs: int = 2,
    timeout: float = 3600.0,
    min_free: int = MIN_FREE,
) -> dict[str, object]:
    """A set with one database and nothing else, in the folder ``where``; returns its part. See :func:`make`.

    It is written under another name and gets its own when it is whole. Raises BackupError.
    """
    partial = where.with_name(f"{PARTIAL}{where.name}")
    try:
        where.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if partial.exists():
            shutil.rmtree(partial)  # of a run that was killed
        partial.mkdir(mode=0o700)
        try:
            part = make(partial, name, address, variables, user, jobs, timeout, min_free)
            files = part.pop("files")
            manifest = {
                "format": 2,
                "name": where.name,
                "stack": "",
                "node": socket.gethostname(),
                "reason": KIND,
                "run": "",
                "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "seconds": part["seconds"],
                "verdict": "verified",
                "tools": {"pg_dump": part["facts"]["tool"]},
                "parts": [part],
                "files": files,
                "live": {},
                "heads": {},
            }
            _write(partial / "manifest.json", manifest)
            fsync(partial)
            move(partial, where)
        finally:
            if partial.exists():
                shutil.rmtree(partial)
    except OSError as problem:
        raise BackupError(f"No backup: {problem.filename or where}: {problem.strerror}. {UNCHANGED}") from problem
    return part


def space(psql: Psql, folder: Path, min_free: int) -> dict[str, int]:
    """What is free where the set is to be, and what the tables have without their indexes: no dump is larger. Raises BackupError."""
    wanted = int(psql.query(database_settings.DATA_SIZE, READ_TIMEOUT))
    free = pg_tool.free_bytes(folder)
    if free < wanted + min_free:
        raise BackupError(
            f"No backup: {folder} has {free} bytes free; the tables of {psql.address.describe()} have {wanted} and {min_free} are to stay"
            f" free. {UNCHANGED} Free some space there: backup.yml removes sets that nobody needs, keep in aistack_backup says how many "
            "stay."
        )
    return {"free": free, "wanted": wanted}


def _dump(
    psql: Psql, folder: Path, address: DatabaseAddress, variables: Mapping[str, str], user: str | None, jobs: int, end: float,
    count_below: int | None, version: VersionTable,
) -> tuple[dict[str, object], dict[str, object]]:
    limit = max(end - time.monotonic(), 1.0)
    psql.apply_settings(
        statement_timeout=f"{int(limit * 1000)}ms",
        idle_in_transaction_session_timeout="0",
        max_parallel_workers_per_gather="0",  # the processors belong to pg_dump
    )
    psql.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    snapshot = psql.query("SELECT to_json(pg_export_snapshot())")
    objects = psql.query(fingerprint.SCHEMA_QUERY, READ_TIMEOUT)
    tables = psql.query(fingerprint.TABLES_QUERY, READ_TIMEOUT)
    properties = psql.query(database_settings.properties_query(address.database), READ_TIMEOUT)
    server = psql.query("SELECT to_json(current_setting('server_version'))")
    old = pg_tool.too_old("pg_dump", str(server))
    if old:
        raise BackupError(f"No backup: {old} {UNCHANGED}")
    with contextlib.ExitStack() as stack:
        target, pass_fds = stack.enter_context(_given_to(folder, user))
        argv = ["pg_dump", "--format=directory", f"--jobs={jobs}", f"--snapshot={snapshot}", f"--file={target}"]
        argv += ["--no-password", f"--lock-wait-timeout={LOCK_WAIT}"]
        tool = stack.enter_context(Tool(argv, address, variables, user, APPLICATION, pass_fds=pass_fds))
        pool = stack.enter_context(ThreadPoolExecutor(1))
        stack.callback(psql.stop)  # before the pool is waited for: a count that nobody needs any more ends
        counting = pool.submit(_count, psql, tables, objects, limit, count_below, version)
        tool_version = pg_tool.version("pg_dump")
        pg_dump.judge(tool.wait(end - time.monotonic()), address, limit, UNCHANGED)
        counted, heads = counting.result()
        after = Fingerprint.of(psql.query(fingerprint.SCHEMA_QUERY, READ_TIMEOUT), [], None)
        size = int(psql.query("SELECT pg_database_size(current_database())", READ_TIMEOUT))
    found = Fingerprint.of(objects, tables, counted)
    if after.hash != found.hash:
        changes = "; ".join(fingerprint.schema_differences(found, after)[:5])
        raise BackupError(
            f"No backup: the schema of {address.describe()} was changed while it was dumped ({changes}). {UNCHANGED} Run it again when"
            " nobody changes it."
        )
    large = {f"{schema}.{name}": int(rows) for schema, name, rows, readable in tables if readable and not _counted(rows, count_below)}
    facts = {"tool": tool_version, "server": server, "size": size, "heads": heads, **found.summary(), "approximate": large}
    return {**found.as_dict(), "database": properties}, facts


def _counted(rows: float, below: int | None) -> bool:
    return below is None or rows < below


def _count(
    psql: Psql, tables: list[Any], objects: list[Any], limit: float, below: int | None, version: VersionTable
) -> tuple[dict[str, object], list[str] | None]:
    """Rows of every table that is not too large and the heads of Alembic, from the snapshot that the dump is made from."""
    counting = fingerprint.rows_query(tables, below)
    counted = psql.query(counting, limit + 5) if counting else {}
    question = version_table.question(objects, tables, version)
    return dict(counted or {}), (None if question is None else list(psql.query(question) or []) if question else [])


@contextlib.contextmanager
def _given_to(folder: Path, user: str | None) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Lets ``user`` write into ``folder``, whose parents it may not enter; afterwards all in there belongs to this process again.

    Yields how a child of that user names the folder, and the descriptors that it has to inherit for that.
    """
    if user is None or os.geteuid() != 0 or user == "root":
        yield str(folder), ()
        for path in folder.iterdir():
            path.chmod(0o600)
        return
    who = account(user)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fchown(handle, who.uid, who.gid)
        yield f"/proc/self/fd/{handle}", (handle,)
        os.fchown(handle, 0, 0)
        os.fchmod(handle, 0o700)
        for name in os.listdir(handle):
            _take_back(name, handle, who.uid)
    finally:
        os.close(handle)


def _take_back(name: str, folder: int, uid: int) -> None:
    """Only what pg_dump makes is taken: a plain file of its own. Anything else was put there by somebody else."""
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    try:
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode) or state.st_nlink != 1 or state.st_uid != uid:
            raise BackupError(f"No backup: {name} in the dump is no file that pg_dump made. {UNCHANGED} See who works as that user.")
        os.fchown(handle, 0, 0)
        os.fchmod(handle, 0o600)
    finally:
        os.close(handle)


def _write(path: Path, document: Mapping[str, object]) -> None:
    write_file(path, json.dumps(document, indent=1, sort_keys=True) + "\n", 0o600, named=False)


def archive_of(where: Path) -> Path:
    """What pg_restore reads of the part in this folder: a folder, or the one file in it."""
    file = where / DUMP / FILE
    return file if file.is_file() else where / DUMP


def about(folder: Path, part: Mapping[str, object]) -> dict[str, Any]:
    """What C(database.json) says. Raises BackupError."""
    path = folder / str(part["path"]) / ABOUT
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise BackupError(f"{path} cannot be read: {problem.strerror}.") from problem
    except ValueError as problem:
        raise BackupError(f"{path} is not what was written: {problem}.") from problem
    if not isinstance(document, dict):
        raise BackupError(f"{path} is not what was written: expected an object.")
    return document


def verify(folder: Path, part: Mapping[str, Any], files: Mapping[str, Any] | None = None, jobs: int = 2) -> list[str]:
    """What is wrong with a part of the set in ``folder``, one sentence each; empty where all is well.

    ``files`` is the manifest's list, or the part's own C(files) where it still has one. Every file is read back.
    """
    relative = Path(str(part.get("path", "")))
    if relative.is_absolute() or ".." in relative.parts or not relative.parts:
        return [f"The part {part.get('name')} has a path that is none inside the set: {relative}."]
    where = folder / relative
    if not (where / DUMP / "toc.dat").is_file() and not (where / DUMP / FILE).is_file():
        return [f"{where / DUMP} holds no dump: there is no toc.dat."]
    facts = part["facts"]
    listed = files if files is not None else part.get("files")
    problems = _checksums(folder, where, listed, jobs) if listed is not None else []
    try:
        known = Fingerprint.load(about(folder, part))
        held = pg_tool.archive(archive_of(where))
    except (BackupError, ToolError) as problem:
        return [*problems, str(problem)]
    if known.hash != facts["hash"]:
        problems.append(f"{where / ABOUT} has another schema ({known.hash[:12]}) than the manifest ({str(facts['hash'])[:12]}).")
    if len(held.entries) != facts["entries"]:
        problems.append(f"The archive {where / DUMP} has {len(held.entries)} entries, the manifest {facts['entries']}.")
    missing = held.lacks(facts["rows"])
    if missing:
        problems.append(f"The archive {where / DUMP} lacks the rows of {', '.join(missing)}.")
    return problems


def _checksums(folder: Path, where: Path, listed: Mapping[str, Any], jobs: int) -> list[str]:
    inside = where.relative_to(folder).as_posix() + "/"
    expected = {name: entry for name, entry in listed.items() if name.startswith(inside)}
    found = pg_tool.hash_files(folder, where, jobs)
    problems = [] if expected else [f"The manifest has no checksum of anything in {inside}."]
    for name in sorted(set(expected) | set(found)):
        if name not in found:
            problems.append(f"{folder / name} is missing.")
        elif name not in expected:
            problems.append(f"{folder / name} is not in the manifest.")
        elif found[name]["bytes"] != expected[name]["bytes"]:
            problems.append(f"{folder / name} has {found[name]['bytes']} bytes, the manifest {expected[name]['bytes']}.")
        elif found[name]["sha256"] != expected[name]["sha256"]:
            problems.append(f"{folder / name} is another file than was saved: its SHA-256 differs.")
    return problems
