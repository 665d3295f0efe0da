# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A PostgreSQL server seen by its administrator: databases beside each other, who is connected, one run at a time."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import DatabaseAddress
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import (
    names as restore_names,
    read_only,
    settings as database_settings,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import literal, quoted
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import READ_ONLY, DatabaseError, Psql

APPLICATION = "aistack-restore"
LOCAL = ("", "localhost", "127.0.0.1", "::1")
READ_TIMEOUT = 60.0
TAKES_WRITES = 60.0
"""Seconds for which a restore waits for a server that takes no writes, as during a failover."""


class RestoreError(Exception):
    """It does not go on from here. ``code`` for programs; ``facts`` go into the module's result."""

    def __init__(self, code: str, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.code = code
        self.facts = facts


@dataclass(frozen=True)
class Server:
    """A server and who administers it. ``address`` names the database that the administrator's own sessions use.

    ``user`` is the system user that the tools run as where this process is root: over the local socket the server asks for it.
    """

    address: DatabaseAddress
    variables: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None

    def at(self, database: str) -> DatabaseAddress:
        return replace(self.address, database=database)

    def session(self, database: str = "", application: str = APPLICATION) -> Psql:
        """A session in ``database``, the administrator's own if left out. Raises DatabaseError."""
        return Psql(self.at(database or self.address.database), self.variables, self.user, application)

    @property
    def local(self) -> bool:
        """Whether the server's disks are this node's."""
        return self.address.host in LOCAL or self.address.host.startswith("/")


@dataclass(frozen=True)
class Database:
    """A database of the server; ``note`` is what this collection wrote into its comment."""

    name: str
    allowed: bool
    size: int
    note: dict[str, Any]

    def as_dict(self) -> dict[str, object]:
        parts = restore_names.split(self.name)
        return {**self.note, "name": self.name, "bytes": self.size, "open": self.allowed, "stamp": parts.stamp if parts else ""}


def properties(psql: Psql, database: str) -> dict[str, object] | None:
    """What belongs to a database besides its content; None where there is none."""
    found = psql.query(database_settings.properties_query(database), READ_TIMEOUT)
    return dict(found) if found else None


def family(psql: Psql, base: str) -> dict[str, Database]:
    """A database and what stands beside it, by name."""
    answer = psql.query(
        "SELECT coalesce(json_agg(json_build_array(datname, datallowconn, pg_database_size(oid), shobj_description(oid, 'pg_database'))"
        f" ORDER BY datname), '[]') FROM pg_database WHERE datname = {literal(base)} OR starts_with(datname::text, {literal(base + '__')})",
        READ_TIMEOUT,
    )
    found = {}
    for name, allowed, size, comment in answer:
        parts = restore_names.split(name)
        if name == base or (parts and parts.base == base):
            found[name] = Database(name, allowed, size, read_note(comment))
    return found


def read_note(comment: str | None) -> dict[str, object]:
    """The note in a comment; empty where somebody else wrote it."""
    try:
        document = json.loads(comment or "")
    except ValueError:
        return {}
    note = document.get("aistack") if isinstance(document, dict) else None
    return dict(note) if isinstance(note, dict) else {}


def write_note(psql: Psql, database: str, **note: Any) -> None:
    """Notes in the comment of a restored database how far it is."""
    text = json.dumps({"aistack": note}, sort_keys=True)
    psql.query(f"COMMENT ON DATABASE {quoted(database)} IS {literal(text)}")


def drop(psql: Psql, database: str) -> None:
    """Removes a database and ends its sessions."""
    psql.query(f"DROP DATABASE IF EXISTS {quoted(database)} WITH (FORCE)", 600)


def writable(server: Server, database: str = "", seconds: float = TAKES_WRITES) -> Psql:
    """As :meth:`Server.session`, for somebody who is about to write: what takes no writes for a while is waited for.

    Raises RestoreError (code C(read_only)) where it still takes none after ``seconds``, and DatabaseError.
    """
    psql, why = read_only.wait(server.session(database), lambda: server.session(database), seconds)
    if why:
        psql.close()
        told = f"{psql.address.describe()} is read-only: {why.rstrip('. ')}. Waited {seconds:g} s. {READ_ONLY} Nothing was changed."
        raise RestoreError("read_only", told)
    return psql


@contextmanager
def alone(server: Server, database: str, wait: float = 10.0, writes: bool = True) -> Iterator[Psql]:
    """A session of the administrator that holds the advisory lock for restores of that database; with ``writes`` one that takes them.

    Raises RestoreError (code C(busy)) where another one holds it for longer than ``wait`` seconds; see also :func:`writable`.
    """
    digest = hashlib.sha256(f"aistack-restore/{database}".encode()).digest()
    number = int.from_bytes(digest[:8], "big", signed=True)
    with writable(server) if writes else server.session() as psql:
        end = time.monotonic() + wait
        while not psql.query(f"SELECT to_json(pg_try_advisory_lock({number}))"):
            if time.monotonic() >= end:
                raise RestoreError(
                    "busy",
                    f"Another restore of database {database} is under way on {server.address.host or 'this node'}; waited {wait:g} s."
                    " Nothing was changed. Let it end, or end its session (application_name aistack-restore) and run again.",
                )
            time.sleep(0.2)
        yield psql


def sessions(psql: Psql, database: str) -> list[dict[str, Any]]:
    """Who is connected to a database, this session and the server's own workers left out."""
    return list(
        psql.query(
            "SELECT coalesce(json_agg(json_build_object('pid', pid, 'application', application_name, 'user', usename, 'state', state,"
            " 'busy', state IS DISTINCT FROM 'idle',"
            " 'since', to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
            " 'query_start', to_char(query_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
            " 'transaction_start', to_char(xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
            " 'client', host(client_addr)) ORDER BY pid), '[]') FROM pg_stat_activity"
            f" WHERE datname = {literal(database)} AND pid <> pg_backend_pid() AND backend_type NOT LIKE 'autovacuum%'"
        )
    )


def describe_sessions(entries: Sequence[Mapping[str, object]], most: int = 8) -> str:
    """Sessions in words."""
    shown = "; ".join(name_session(dict(entry)) for entry in entries[:most])
    return shown + (f"; and {len(entries) - most} more" if len(entries) > most else "")


def refused(problem: DatabaseError, what: str) -> RestoreError:
    """A failure of the server in the course of ``what``."""
    return RestoreError("database", f"{what}: {problem}")


def name_session(entry: Mapping[str, object]) -> str:
    """One session in words."""
    parts = [f"pid {entry['pid']}", f"user {entry.get('user') or '?'}", f"application {entry.get('application') or 'without a name'}"]
    if entry.get("client"):
        parts.append(f"from {entry['client']}")
    if entry.get("query_start"):
        parts.append(f"query since {entry['query_start']}")
    if entry.get("transaction_start"):
        parts.append(f"in a transaction since {entry['transaction_start']}")
    elif entry.get("since"):
        parts.append(f"connected since {entry['since']}")
    if not entry.get("state"):
        parts.append("since when is not visible to this user (pg_read_all_stats shows it)")
    return ", ".join(parts)
