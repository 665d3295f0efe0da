# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The scratch database of a drill: restored from a set, looked at, and gone again whatever happens.

There is one for each database at a time, C(<database>__drill). Who makes it holds an advisory lock for as long as it is needed;
what stands there while nobody holds it is of a dead drill and goes before the next.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.drill import plan as pure
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import locks as migration_locks
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import (
    observe as db_fingerprint,
    restore as pg_restore,
    row_compare,
    settings as database_settings,
    snapshot as pg_snapshot,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.admin import (
    RestoreError,
    Server,
    alone,
    drop,
    properties,
    read_note,
    write_note,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import TABLES_QUERY, literal
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError, Psql
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.swap import run_all

APPLICATION = "aistack-drill"
STATE = "drill"


@dataclass(frozen=True)
class Source:
    """What is restored: the part ``part`` of the set in ``folder``; ``files`` are the manifest's checksums.

    ``timeout`` is in seconds, ``min_free`` in bytes.
    """

    folder: Path
    part: Mapping[str, Any]
    files: Mapping[str, Any] | None
    origin: str
    timeout: float = 3600.0
    min_free: int = pg_snapshot.MIN_FREE
    jobs: int = 2


@contextlib.contextmanager
def ours(server: Server, database: str, check: bool = False) -> Iterator[Psql]:
    """A session that holds the lock of drills on ``database``, with what a dead drill left removed (not with ``check``).

    Raises RestoreError, DatabaseError, ValueError (the name is too long).
    """
    name = pure.scratch_name(database)
    with alone(server, name, 1.0, writes=not check) as psql:
        psql.apply_settings(statement_timeout="0")
        if not check:
            _away(server, psql, name)
        yield psql


def _away(server: Server, psql: Psql, name: str) -> None:
    """Removes the scratch database, but no database that no drill made. Raises RestoreError, DatabaseError."""
    found = psql.query(
        f"SELECT json_build_array(shobj_description(oid, 'pg_database')) FROM pg_database WHERE datname = {literal(name)}"
    )
    if found is None:
        return
    if read_note(found[0]).get("state") != STATE:  # no note yet: a drill that died right after it had made it left it empty
        with server.session(name) as inside:
            if inside.query(TABLES_QUERY):
                raise RestoreError(
                    "foreign",
                    f"There is a database {name} that no drill made: it has tables and not our note. Nothing was changed. A drill"
                    " needs this name: rename that database, or drop it if nobody needs it.",
                )
    drop(psql, name)


def ready(server: Server, psql: Psql, database: str, source: Source) -> None:
    """Whether it can be restored: the archive is whole, there is room, its owners exist. Raises RestoreError, DatabaseError."""
    held = pg_restore.whole(source.folder, source.part, source.files, source.jobs)
    about = pg_snapshot.about(source.folder, source.part)
    like = properties(psql, database) or about["database"]
    pg_restore.room(server, psql, like, source.folder, source.part, source.min_free)
    pg_restore.owners(psql, held, database)


@contextlib.contextmanager
def restored(server: Server, psql: Psql, database: str, source: Source) -> Iterator[tuple[str, float]]:
    """The scratch database, restored and proven, with the seconds that it took; dropped at the end.

    ``psql`` is the session of :func:`ours`. Raises RestoreError, DatabaseError.
    """
    name = pure.scratch_name(database)
    about = pg_snapshot.about(source.folder, source.part)
    like = properties(psql, database) or about["database"]
    began = time.monotonic()
    try:
        psql.query(database_settings.create_statement(name, like), 600)
        write_note(psql, name, state=STATE, set=source.origin)
        run_all(psql, database_settings.apply_statements(name, like)[:-1])  # the last one is the comment
        pg_restore.load(server, name, source.folder, source.part, source.jobs, source.timeout)
        pg_restore.prove(server, name, about, source.part["facts"], source.timeout)
        yield name, round(time.monotonic() - began, 3)
    finally:
        try:
            drop(psql, name)
        except DatabaseError:  # this session is over; with a new one, or else the next drill removes it
            with contextlib.suppress(DatabaseError), server.session() as again:  # then the next drill, as said above
                drop(again, name)


def observe(server: Server, name: str, budget: float) -> dict[str, object]:
    """Everything that is compared: schema, rows, contents of tables and of columns. ``budget`` is in seconds.

    Raises DatabaseError; also where the time does not suffice, because half a comparison would be none.
    """
    began = time.monotonic()
    taken = db_fingerprint.take(
        server.at(name), server.variables, server.user, keys=False, checksums=(db_fingerprint.ALL,), budget=budget
    )
    unread = sorted({*taken["uncounted"], *(table for table, digest in taken["checksums"].items() if digest is None)})
    columns: dict[str, dict[str, Any]] = {}
    with server.session(name, APPLICATION) as psql:
        psql.apply_settings(**row_compare.SETTINGS)
        for table, shape in row_compare.shapes(psql.query(row_compare.SHAPES_QUERY, db_fingerprint.READ_TIMEOUT)).items():
            columns[table] = {}
            for query in pure.columns_queries(shape):
                left = budget - (time.monotonic() - began)
                if unread or left <= 0:
                    what = ", ".join(unread or [table])
                    raise DatabaseError("timeout", f"{what} could not be read within {budget:g} s", "57014")
                columns[table].update(psql.query(query, left + 5))
    return {"fingerprint": taken["fingerprint"], "heads": taken["heads"], "columns": columns, "hash": taken["hash"]}


def migrating(server: Server, database: str) -> bool:
    """Whether a migration of the live database is under way: it holds the advisory lock, or one of its sessions still works.

    Raises DatabaseError.
    """
    with server.session(database, APPLICATION) as psql:
        return not migration_locks.try_once(psql, database)
