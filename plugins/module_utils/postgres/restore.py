# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A set's database restored beside the live one and proven there. The live one is not touched (see postgres.swap for that).

Everything that can be known before is asked before anything is made: the set is whole, there is room, its owners exist.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import as_user
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import (
    fingerprint,
    names as restore_names,
    settings as database_settings,
    snapshot as pg_snapshot,
    tools as pg_tool,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.admin import (
    APPLICATION,
    READ_TIMEOUT,
    RestoreError,
    Server,
    alone,
    drop,
    family,
    properties,
    refused,
    write_note,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import Fingerprint
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.names import RESTORE
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError, Psql
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.snapshot import DUMP, MIN_FREE
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.swap import PROVEN, run_all
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.tools import Tool, ToolError

RESTORING = "restoring"
OPTIONS = "-c statement_timeout=0 -c lock_timeout=0 -c synchronous_commit=off -c maintenance_work_mem={memory}kB"
"""Settings of pg_restore's sessions. The renames that follow a proof are committed to disk, and with them all that came before."""

MEMORY = 256 * 1024
"""Kilobytes that one of them may take to build an index; less where the node has less."""


def restore_beside(
    server: Server,
    database: str,
    folder: Path,
    part: Mapping[str, Any],
    files: Mapping[str, Any] | None = None,
    jobs: int = 2,
    timeout: float = 3600.0,
    min_free: int = MIN_FREE,
    origin: str = "",
    check: bool = False,
) -> dict[str, object]:
    """Restores a part of the set in ``folder`` into C(<database>__restore_<stamp>) and proves it; it stays there.

    ``files`` is the manifest's list of checksums, ``origin`` the set's name for the note on the database. ``timeout`` is in seconds,
    ``min_free`` in bytes. What an interrupted restore left beside this database is removed first.

    Returns C(database), C(beside), C(hash), C(rows), C(rewritten) (definitions that PostgreSQL writes in another way), C(removed),
    C(seconds) (of C(check), C(restore), C(proof), C(all)). Raises RestoreError; then nothing of the restore is left.
    """
    began = time.monotonic()
    held = whole(folder, part, files, jobs)
    about = pg_snapshot.about(folder, part)
    checked = time.monotonic() - began
    try:
        name = restore_names.beside(database, RESTORE, restore_names.stamp())
        with alone(server, database, writes=not check) as psql:
            psql.apply_settings(statement_timeout="0")
            like = properties(psql, database)
            if like is None and not about.get("database"):
                raise RestoreError(
                    "no_database",
                    f"There is no database {database} now, and the dump from before a migration does not say how it was made. Nothing was"
                    " changed. Name it in postgres_databases and run site.yml, which makes it, then run again; or take a set.",
                )
            room(server, psql, like or about["database"], folder, part, min_free)
            owners(psql, held, database)
            unproven = _unproven(psql, database)
            result: dict[str, Any] = {"database": database, "beside": name, "removed": unproven, "changed": True}
            if check:
                return {**result, "seconds": {"check": round(checked, 3)}}
            for left in unproven:
                drop(psql, left)
            try:
                psql.query(database_settings.create_statement(name, like or about["database"]), 600)
                write_note(psql, name, state=RESTORING, set=origin, part=part["name"])
                if like is None:
                    run_all(psql, database_settings.apply_statements(name, about["database"])[:-1])
                restored = time.monotonic()
                load(server, name, folder, part, jobs, timeout)
                proving = time.monotonic()
                proof = prove(server, name, about, part["facts"], timeout)
                comment = (about.get("database") or like or {}).get("comment")
                write_note(psql, name, state=PROVEN, set=origin, part=part["name"], hash=part["facts"]["hash"], comment=comment)
            except BaseException:
                _away(server, name)
                raise
    except DatabaseError as problem:
        raise refused(problem, f"{database} could not be restored beside the live one, which is as before") from problem
    except (ValueError, LookupError) as problem:
        raise RestoreError("input", f"{database} cannot be restored: {problem}") from problem
    ended = time.monotonic()
    seconds = {"check": checked, "restore": proving - restored, "proof": ended - proving, "all": ended - began}
    return {**result, **proof, "seconds": {key: round(value, 3) for key, value in seconds.items()}}


def whole(folder: Path, part: Mapping[str, object], files: Mapping[str, object] | None, jobs: int) -> pg_tool.Archive:
    """The archive of a part that is what was saved. Raises RestoreError (code C(damaged))."""
    problems = pg_snapshot.verify(folder, part, files, jobs)
    if not problems:
        try:
            return pg_tool.archive(pg_snapshot.archive_of(folder / str(part["path"])))
        except ToolError as problem:
            problems = [str(problem)]
    raise RestoreError(
        "damaged",
        f"The set {folder} is not to be restored from: {' '.join(problems[:5])} Nothing was changed. Take another set.",
        problems=problems,
    )


def room(server: Server, psql: Psql, like: Mapping[str, Any], folder: Path, part: Mapping[str, Any], min_free: int) -> None:
    """Room for the database where the server keeps it, and for the copy of the dump. Raises RestoreError (code C(space))."""
    wanted = {str(folder): int(part["bytes"]) if as_user(server.user) else 0}
    if server.local:
        place = str(like.get("location") or psql.query("SELECT to_json(current_setting('data_directory'))"))
        wanted[place] = wanted.get(place, 0) + int(part["facts"]["size"])
    disks: dict[int, tuple[str, int]] = {}
    for place, size in wanted.items():
        path = Path(place)
        while not path.exists():
            path = path.parent
        device = path.stat().st_dev
        before = disks.get(device, ("", 0))
        disks[device] = (place if size >= before[1] else before[0], before[1] + size)
    for place, size in disks.values():
        free = pg_tool.free_bytes(Path(place))
        if size and free < size + min_free:
            raise RestoreError(
                "space",
                f"There is no room to restore beside the live database: {place} has {free} bytes free; the restore takes {size} and"
                f" {min_free} are to stay free. Nothing was changed. Free some space, or remove what earlier restores replaced.",
                free=free,
                wanted=size,
            )


def owners(psql: Psql, held: pg_tool.Archive, database: str) -> None:
    """Every role that owns something in the archive has to be there. Raises RestoreError (code C(owners))."""
    roles = psql.query("SELECT coalesce(json_agg(rolname), '[]') FROM pg_roles")
    strange = held.owners_missing(roles)
    if strange:
        names = sorted({entry.rsplit(" ", 1)[-1] for entry in strange})
        raise RestoreError(
            "owners",
            f"{database} cannot be restored: the server has no role {', '.join(names)}, which owns {len(strange)} objects of the set"
            f" ({strange[0]}, …). Nothing was changed. Name it in postgres_users and run site.yml, which makes it, then run again.",
            roles=names,
        )


def _unproven(psql: Psql, database: str) -> list[str]:
    """What an interrupted restore left; whoever is here holds the lock, so none is under way."""
    found = []
    for name, entry in family(psql, database).items():
        parts = restore_names.split(name)
        if parts and parts.kind == RESTORE and entry.note.get("state") != PROVEN:
            found.append(name)
    return found


def _away(server: Server, name: str) -> None:
    """Removes what was half made; where the server does not let it, the next restore does."""
    # what made us remove it is raised on; a database that is left over is not proven, and the next restore drops it first
    with contextlib.suppress(DatabaseError), server.session() as psql:
        drop(psql, name)


@contextlib.contextmanager
def timescale(server: Server, name: str, held: pg_tool.Archive) -> Iterator[bool]:
    """What TimescaleDB wants done before and after a restore; yields whether the archive has it. Its catalogue is restored by one process.

    Raises DatabaseError.
    """
    if not any(entry.startswith("EXTENSION - timescaledb ") for entry in held.entries):
        yield False
        return
    with server.session(name) as psql:
        psql.query("CREATE EXTENSION IF NOT EXISTS timescaledb", READ_TIMEOUT)
        psql.query("SELECT to_json(timescaledb_pre_restore())", READ_TIMEOUT)
    yield True
    with server.session(name) as psql:
        psql.query("SELECT to_json(timescaledb_post_restore())", READ_TIMEOUT)


def load(server: Server, name: str, folder: Path, part: Mapping[str, object], jobs: int, timeout: float) -> None:
    """Runs pg_restore into the database ``name``. Raises RestoreError, DatabaseError."""
    try:
        held = pg_tool.archive(pg_snapshot.archive_of(folder / str(part["path"])))
    except ToolError as problem:
        raise RestoreError("damaged", f"{problem} Nothing was changed. Take another set.") from problem
    with timescale(server, name, held) as there:
        _load(server, name, folder, part, 1 if there else jobs, timeout)


def _load(server: Server, name: str, folder: Path, part: Mapping[str, object], jobs: int, timeout: float) -> None:
    quoted = name.replace("\\", "\\\\").replace("'", "\\'")
    with readable(server, name, folder, part) as (source, pass_fds):
        argv = ["pg_restore", f"--jobs={jobs}", "--exit-on-error", "--no-password", f"--dbname=dbname='{quoted}'", source]
        options = OPTIONS.format(memory=memory(jobs))
        try:
            with Tool(argv, server.at(name), server.variables, server.user, APPLICATION, pass_fds=pass_fds, options=options) as tool:
                ended = tool.wait(timeout)
        except ToolError as problem:
            raise RestoreError("tool", f"{problem} Nothing was changed.") from problem
    if ended.timed_out:
        raise RestoreError("timeout", f"The restore was ended after {timeout:g} s, its limit. The live database is as before.")
    if ended.rc:
        raise RestoreError(
            "restore",
            f"pg_restore ended with {ended.rc}: {ended.stderr[-800:]}. What it made was removed; the live database is as before.",
        )


def memory(jobs: int) -> int:
    """Kilobytes for each of pg_restore's sessions to build indexes with: at most an eighth of what the node has left for all."""
    with contextlib.suppress(OSError, ValueError):  # no Linux, or another format: a small amount fits everywhere
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return max(min(MEMORY, int(line.split()[1]) // 8 // max(jobs, 1)), 16 * 1024)
    return 64 * 1024


@contextlib.contextmanager
def readable(server: Server, name: str, folder: Path, part: Mapping[str, object]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """A part's dump as the tools' user can read it: itself, or a copy where it belongs to root alone, as sets do.

    Yields how the tool names it and the descriptors that it inherits for that, because its user may not enter the parents.
    """
    dump = folder / str(part["path"]) / DUMP
    archive = pg_snapshot.archive_of(folder / str(part["path"]))
    if not as_user(server.user):
        yield str(archive), ()
        return
    entry = pwd.getpwnam(str(server.user))
    parts = restore_names.split(name)
    what = f"{server.address.host}:{server.address.port}/{parts.base if parts else name}"
    prefix = f".restore-{hashlib.sha256(what.encode()).hexdigest()[:12]}-"
    for stale in folder.parent.glob(f"{prefix}*"):
        shutil.rmtree(stale)  # of a run that was killed; the lock for this database is held by this one
    work = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    handle = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for path in dump.iterdir():
            shutil.copyfile(path, work / path.name, follow_symlinks=False)
            os.chown(work / path.name, entry.pw_uid, entry.pw_gid)
        os.fchown(handle, entry.pw_uid, entry.pw_gid)
        yield f"/proc/self/fd/{handle}{'' if archive == dump else f'/{archive.name}'}", (handle,)
    finally:
        os.close(handle)
        shutil.rmtree(work)


def prove(server: Server, name: str, about: Mapping[str, object], facts: Mapping[str, object], timeout: float) -> dict[str, object]:
    """Compares what was restored with what was saved: every object of the schema, the rows of every table.

    Meanwhile the server's planner gets its statistics, without which the application would crawl after the swap.
    A table that was not counted then is not counted now. Returns C(hash), C(rows) and C(rewritten).
    Raises RestoreError (code C(differs)), DatabaseError.
    """
    known = Fingerprint.load(about)
    with server.session(name) as psql, server.session(name) as analysing, ThreadPoolExecutor(1) as pool:
        # definitions are written as one sees them: names of a schema on this path without it
        psql.apply_settings(search_path=str(about.get("search_path") or ""), statement_timeout=f"{int(timeout * 1000)}ms")
        analysing.apply_settings(statement_timeout=f"{int(timeout * 1000)}ms")
        analysed = pool.submit(analysing.query, "ANALYZE", timeout + 5)
        try:
            objects = psql.query(fingerprint.SCHEMA_QUERY, READ_TIMEOUT)
            tables = psql.query(fingerprint.TABLES_QUERY, READ_TIMEOUT)
            # a table that was not counted when it was saved proves nothing by its number now
            countable = [table for table in tables if known.rows.get(f"{table[0]}.{table[1]}", 0) is not None]
            counting = fingerprint.rows_query(countable, None)
            now = Fingerprint.of(objects, tables, psql.query(counting, timeout + 5) if counting else {})
            server_version = str(psql.query("SELECT to_json(current_setting('server_version'))"))
        except BaseException:
            analysing.stop()
            raise
        analysed.result()
    different, rewritten = fingerprint.restored_differences(known, now)
    major = str(facts.get("server") or server_version).partition(".")[0]
    if server_version.partition(".")[0] != major:  # another version writes definitions differently
        rewritten += [line for line in different if line.startswith("changed: ")]
        different = [line for line in different if not line.startswith("changed: ")]
    for table in sorted(set(known.rows) | set(now.rows)):
        was, found = known.rows.get(table), now.rows.get(table)
        if was != found:
            different.append(f"rows of {table}: {was} were saved, {found} are restored")
    if different:
        raise RestoreError(
            "differs",
            f"What was restored is not what was saved: {'; '.join(different[:5])}. It was removed; the live database is as before."
            " Take another set.",
            differences=different,
        )
    return {"hash": now.hash, "rows": now.rows, "rewritten": rewritten}
