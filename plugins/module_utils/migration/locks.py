# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Locks of a migration: the advisory lock between two runs, and who stands in a migration's way."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.alembic.session import APPLICATION
from ansible_collections.phasegate.aistack.plugins.module_utils.core import progress
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.admin import name_session
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import literal
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError, Psql

POLL = 0.5
"""Seconds between two tries for the advisory lock."""

_SESSION = """
  json_build_object('pid', a.pid, 'application', a.application_name, 'user', a.usename, 'state', a.state,
                    'since', to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                    'query_start', to_char(a.query_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                    'transaction_start', to_char(a.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                    'client', host(a.client_addr))
"""


class LockHeld(Exception):
    """Another session holds the advisory lock, or an older migration still works. ``holders`` are its sessions."""

    def __init__(self, message: str, holders: list[dict[str, Any]]) -> None:
        super().__init__(message)
        self.holders = holders


def key(database: str) -> int:
    """The advisory lock's number: 64 bits with sign, from the database's name.

    Two components with migrations of one database take turns: each would take the other's sessions and changes for its own.
    """
    digest = hashlib.sha256(f"aistack-migrate/{database}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def take(psql: Psql, database: str, component: str, wait: float) -> float:
    """Takes the advisory lock on ``psql`` and waits until no older migration works any more; returns the seconds waited.

    Raises LockHeld after ``wait`` seconds. The lock is free when the session ends.
    """
    number = key(database)
    began = time.monotonic()
    held = False
    while True:
        held = held or bool(psql.query(f"SELECT to_json(pg_try_advisory_lock({number}))"))
        others = _leftovers(psql) if held else _holders(psql, number)
        if held and not others:
            return time.monotonic() - began
        if time.monotonic() - began >= wait:
            what = (
                "An older migration's session still works on this database"
                if held
                else f"{component} waits: another run migrates the database {database} and holds its advisory lock"
            )
            who = "; ".join(map(name_session, others)) or "its session is not visible to this user"
            raise LockHeld(
                f"{what}: {who}. Waited {wait:g} s (lock_wait). Let it finish and run again; if nothing runs there any more, end it with"
                f" SELECT pg_terminate_backend({others[0]['pid'] if others else 'PID'}).",
                others,
            )
        time.sleep(POLL)


def try_once(psql: Psql, database: str) -> bool:
    """Takes the advisory lock if it is free and nothing of an older migration works any more."""
    return bool(psql.query(f"SELECT to_json(pg_try_advisory_lock({key(database)}))")) and not _leftovers(psql)


def _holders(psql: Psql, number: int) -> list[dict[str, object]]:
    high, low = (number >> 32) & 0xFFFFFFFF, number & 0xFFFFFFFF
    return list(
        psql.query(
            f"SELECT coalesce(json_agg({_SESSION}), '[]') FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
            f" WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.classid = {high} AND l.objid = {low}"
        )
    )


def _leftovers(psql: Psql) -> list[dict[str, object]]:
    return list(
        psql.query(
            f"SELECT coalesce(json_agg({_SESSION}), '[]') FROM pg_stat_activity a"
            f" WHERE (a.application_name = {literal(APPLICATION)} OR a.application_name LIKE {literal(f'{APPLICATION}/%')})"
            " AND a.datname = current_database() AND a.state IS DISTINCT FROM 'idle'"
        )
    )


def terminate(psql: Psql, application: str, wait: float = 10.0) -> bool:
    """Ends the sessions of one helper on the server, by its name; True when none is left after ``wait`` seconds."""
    end = time.monotonic() + wait
    while time.monotonic() < end:
        left = psql.query(
            "SELECT coalesce(json_agg(pg_terminate_backend(pid)), '[]') FROM pg_stat_activity"
            f" WHERE application_name = {literal(application)} AND datname = current_database()"
        )
        if not left:
            return True
        time.sleep(0.1)
    return False


@dataclass
class Watcher:
    """Samples who the migration waits for: the helper ``application``. ``last`` is the newest sample in which it waited."""

    psql: Psql
    application: str
    last: list[dict[str, Any]] = field(default_factory=list)
    waited: float = 0.0
    broken: str = ""
    _seen: float = 0.0

    def observe(self) -> None:
        """One sample; a database that does not answer is noted, the migration itself will tell more."""
        if self.broken:
            return
        now = time.monotonic()
        try:
            sample = self.psql.query(
                f"""
                SELECT coalesce(json_agg(json_build_object(
                    'pid', w.pid, 'mode', l.mode, 'relation', l.relation::regclass::text,
                    'blockers', (SELECT coalesce(json_agg({_SESSION}), '[]') FROM pg_stat_activity a
                                 WHERE a.pid = ANY (pg_blocking_pids(w.pid))))), '[]')
                FROM pg_stat_activity w LEFT JOIN pg_locks l ON l.pid = w.pid AND NOT l.granted
                WHERE w.application_name = {literal(self.application)} AND w.datname = current_database() AND w.wait_event_type = 'Lock'
                """,
                5,
            )
        except DatabaseError as problem:
            self.broken = str(problem)
            return
        if sample:
            self.last = sample
            progress.tell(self.words())
            self.waited += min(now - self._seen, 1.0) if self._seen else 0.0
        self._seen = now if sample else 0.0

    def words(self) -> str:
        """Who was waited for, as a sentence; empty where nobody was seen."""
        sentences = []
        for entry in self.last:
            lock = f"{_mode(entry['mode'])} lock" if entry.get("mode") else "a lock"
            on = f" on {entry['relation']}" if entry.get("relation") else ""
            blockers = "; ".join(map(name_session, entry["blockers"])) or "a session that is not visible to this user"
            sentences.append(f"It waited for the {lock}{on}, held by {blockers}.")
        return " ".join(sentences)


def _mode(name: str) -> str:
    """C(AccessExclusiveLock) as the documentation writes it: ACCESS EXCLUSIVE."""
    text = name[: -len("Lock")] if name.endswith("Lock") else name
    return "".join(" " + char if char.isupper() else char for char in text).strip().upper()
