# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database, or some of its tables, from a backup set: restored beside the live one, compared with it, swapped in by rename."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import PartError
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.registry import database
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.restore import Loss, RestoreContext, enter, place_for
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import DatabaseAddress
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import require
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import (
    compare as pg_compare,
    restore as pg_restore,
    swap as pg_swap,
    table as pg_table,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.admin import RestoreError, Server, sessions
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError

SOCKETS = "/var/run/postgresql"
PROVEN = pg_swap.PROVEN


def server_of(entry: Mapping[str, Any], address: DatabaseAddress) -> Server:
    """Who administers a database's server: C(admin) of the entry, else PostgreSQL's own user over the local socket.

    Raises PartError.
    """
    given: Mapping[str, Any] = entry.get("admin") or {}
    socket = Path(SOCKETS) / f".s.PGSQL.{address.port}"
    host = str(given.get("host") or (SOCKETS if socket.exists() else address.host))
    password = ""
    if given.get("password_file"):
        path = Path(str(given["password_file"]))
        try:
            password = path.read_text(encoding="utf-8").strip()
        except OSError as problem:
            told = f"postgres:{entry['name']}: the administrator's password cannot be read from {path}: {problem.strerror}."
            raise PartError(told) from problem
    user = str(given.get("user") or "postgres")
    system_user = str(given.get("system_user") or ("postgres" if host.startswith("/") else "")) or None
    where = DatabaseAddress(host, int(given.get("port") or address.port), user, str(given.get("database") or "postgres"), password)
    return Server(where, {}, system_user)


class PostgresRestore:
    """One database."""

    def __init__(self, context: RestoreContext) -> None:
        self.context = context
        found = database(context.entry, list(context.of))
        if found is None:
            raise PartError(
                f"{context.title}: component {context.entry['component']} has no environment on this node, so nobody says where its"
                " database is. Put the environment back first (-e what=env), or run site.yml once."
            )
        self.address = found[0]
        self.name = self.address.database
        self.server = server_of(context.entry, self.address)
        self.prepared: list[str] = []

    def plan(self, check: bool) -> Loss:
        """Rows that would be lost, table by table. Without ``check`` it is restored beside the live one for that, and stays there."""
        try:
            if check:
                return self._estimate()
            if not self.context.tables:
                self._whole()
                return replace(self._loss("", self._compared()), prepared=self.prepared)
            seen = [(table, self._table(table)) for table in self.context.tables]
            losses = [self._loss(table, pg_table.compare_table(self.server, self.name, table, space)) for table, space in seen]
        except RestoreError as problem:
            raise PartError(str(problem)) from problem
        lines = [line for loss in losses for line in loss.lines]
        return Loss(lines, _sum([loss.counts for loss in losses]), any(loss.change for loss in losses), self.prepared)

    def _estimate(self) -> Loss:
        """Whether it could be done, and what the set holds; nothing is made."""
        folder, part, min_free = self.context.folder, self.context.part, self.context.min_free
        facts = part["facts"]
        live = pg_swap.overview(self.server, self.name)["live"]
        for table in self.context.tables:
            pg_table.restore_table(self.server, self.name, table, folder, part, min_free=min_free, check=True)
        if not self.context.tables and not self._beside():
            pg_restore.restore_beside(self.server, self.name, folder, part, min_free=min_free, check=True)
        rows = sum(count for count in facts["rows"].values() if count)
        large = sum((facts.get("approximate") or {}).values())
        told = f"{self.name}: {f'about {rows + large}' if large else rows} rows of the set take the place of what is there"
        now = f" ({live['bytes']} bytes)" if live else " (there is no such database now)"
        counts = {"rows_then": rows + large, **({"approximate": True} if large else {})}
        return Loss([f"{told}{now}; which rows that loses is found out when it is restored beside, not in check mode"], counts)

    def _beside(self) -> str:
        """The database that was restored from this very set already; empty where there is none."""
        for entry in reversed(pg_swap.overview(self.server, self.name)["restored"]):
            if (entry.get("state"), entry.get("set"), entry.get("part")) == (PROVEN, self.context.origin, self.context.part["name"]):
                return str(entry["name"])
        return ""

    def _whole(self) -> str:
        """Restored beside, now or before; returns its name."""
        there = self._beside()
        if there:
            return there
        return self._made_beside(partial(pg_restore.restore_beside, self.server, self.name))

    def _made_beside(self, restored: Callable[..., Mapping[str, object]]) -> str:
        """Restore beside what is live, out of the set; returns what it is called there."""
        context = self.context
        made = restored(context.folder, context.part, timeout=context.timeout, min_free=context.min_free, origin=context.origin)
        self.prepared.append(str(made["beside"]))
        return self.prepared[-1]

    def _compared(self) -> dict[str, object]:
        if pg_swap.overview(self.server, self.name)["live"] is None:
            return {"lost": 0, "returned": 0, "changed": 0, "lines": [f"there is no database {self.name} now"], "same": False}
        return pg_compare.compare(self.server, self.name, self._beside())

    def _table(self, table: str) -> str:
        """One table restored beside, now or before; returns its schema."""
        schema, name = pg_table.name_of(table)
        with self.server.session(self.name) as psql:
            known = pg_table.spaces(psql, name)
        for space, note in sorted(known.items(), reverse=True):
            if (note.get("state"), note.get("set"), note.get("schema")) == (PROVEN, self.context.origin, schema):
                return space
        return self._made_beside(partial(pg_table.restore_table, self.server, self.name, table))

    def _loss(self, table: str, seen: Mapping[str, Any]) -> Loss:
        counts = {f"rows_{key}": int(seen[key]) for key in ("lost", "returned", "changed")}
        what = f"{self.name}{', ' + table if table else ''}"
        if seen.get("same"):
            return Loss([f"{what}: every row is as in the set"], counts, False)
        told = f"{what}: {seen['lost']} rows are lost, {seen['returned']} come back, {seen['changed']} are as they were then"
        exact = [] if seen.get("exact", True) else ["not all of it could be counted in time: more may be lost"]
        return Loss([told, *(f"  {line}" for line in seen["lines"]), *exact], counts)

    def run(self) -> dict[str, object]:
        """Swap it in; returns what the swap says, and C(lost): the comparison of a moment before."""
        try:
            if self.context.tables:
                return {"tables": {table: self._swap_table(table) for table in self.context.tables}}
            beside = self._whole()
            lost = self._compared()
            require(self.context.state_dir, self.context.run, f"put the restored {self.name} in the place of the live one")
            done = pg_swap.swap(self.server, self.name, beside, self.context.wait, self.context.terminate)
        except RestoreError as problem:
            raise PartError(str(problem)) from problem
        if done.get("replaced"):
            place = place_for(self.context)
            enter(self.context, place, what="the database that was there", database=done["replaced"], of=self.name)
        return {**done, "lost": {key: lost[key] for key in ("lost", "returned", "changed", "lines")}}

    def _swap_table(self, table: str) -> dict[str, object]:
        space = self._table(table)
        lost = pg_table.compare_table(self.server, self.name, table, space)
        require(self.context.state_dir, self.context.run, f"put the restored table {table} in the place of the live one")
        done = pg_table.swap_table(self.server, self.name, table, space)
        return {**done, "lost": {key: lost[key] for key in ("lost", "returned", "changed", "lines")}}


def _sum(counts: list[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for one in counts:
        for key, value in one.items():
            total[key] = total.get(key, 0) + value
    return total


def drop(entry: Mapping[str, object], of: list[Any], note: Mapping[str, object], check: bool = False) -> bool:
    """Remove a database that was replaced, by its note, unless somebody is connected to it; returns whether it is gone, or would be.

    Raises PartError.
    """
    name, base = str(note["database"]), str(note["of"])
    found = database(entry, of)
    if found is None:
        raise PartError(f"postgres:{entry['name']}: nobody says where its database is any more; {name} stays.")
    server = server_of(entry, found[0])
    try:
        if name in [one["name"] for one in pg_swap.overview(server, base)["replaced"]]:
            with server.session() as psql:
                if sessions(psql, name):
                    return False
            if not check:
                pg_swap.drop_beside(server, base, names=[name])
    except (RestoreError, DatabaseError) as problem:
        raise PartError(str(problem)) from problem
    return True
