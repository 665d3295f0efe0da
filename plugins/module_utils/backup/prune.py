# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What restores leave beside live data: it stays for as long as sets are kept, and then goes, unless somebody works on it.

In files that is what was replaced. On a database's server it is what was replaced (C(<name>__replaced_<stamp>)) and what was restored,
proven and never swapped in (C(<name>__restore_<stamp>)): whole databases, tables, and schemas that hold a restored table.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import (
    plan as backup_plan,
    restore as restore_set,
    sets as backup_set,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import files as backup_files, registry as backup_jobs
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import PartError
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.postgres_restore import server_of
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.sets import BackupSetError, Request
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import admin as pg_admin, names as restore_names, swap as pg_swap
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.admin import READ_TIMEOUT, RestoreError, Server
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import literal, quoted
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.names import REPLACED, RESTORE
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError, Psql

LOCK_TIMEOUT = "2s"
"""How long a table's removal waits for those who work on it; whoever comes after it waits as long."""

REASONS = {
    "55P03": "somebody works on it",
    "55006": "somebody is connected to it",
    "2BP01": "something else of the database depends on it",
}
"""Errors of PostgreSQL that say that a thing is in use."""


@dataclass
class Pruned:
    """What went, or would, and what is as old and stays, with the reason: C(database <name>), C(table <database>: <schema.name>)."""

    gone: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)

    def drop(self, title: str, psql: Psql, *statements: str) -> None:
        """Remove one thing; that it is in use keeps it, and no other. Raises DatabaseError where the server is not there any more."""
        try:
            pg_swap.run_all(psql, list(statements)) if len(statements) > 1 else psql.query(statements[0], READ_TIMEOUT)
            self.gone.append(title)
        except DatabaseError as problem:
            if problem.kind in ("unreachable", "ended"):
                raise
            self.kept[title] = f"{REASONS.get(problem.sqlstate, 'it cannot be removed')}: {problem}"


def prune(request: Request, check: bool = False) -> dict[str, object]:
    """Remove what restores left longer ago than the description keeps sets.

    Returns C(replaced) (names of what was replaced, as they stand in C(<state>/replaced)), C(beside) (what went on the databases'
    servers) and C(beside_kept) (what is as old and stays there, and why; a server that does not answer is one line of it).
    Raises BackupSetError.
    """
    state_dir = request.state_dir
    found = _beside(request, check=True)  # a restore that is under way holds the lock on the sets only while it is at work
    if not check and found.gone:
        with backup_set.only_one(state_dir, request.wait):
            journal = Journal.of(state_dir)
            with journal.operation("prune", run=request.run, actor=request.actor, detail={"beside": found.gone}) as operation:
                found = _beside(request, check=False)
                operation.detail["beside"] = found.gone
    replaced = restore_set.prune_replaced(state_dir, request.root, check)
    return {"replaced": replaced, "beside": found.gone, "beside_kept": found.kept}


def _beside(request: Request, check: bool) -> Pruned:
    found = Pruned()
    try:
        described = request.description if request.description is not None else backup_jobs.load_description(request.state_dir)
        of = backup_files.components(request.state_dir, request.root)
    except PartError as problem:
        raise BackupSetError(f"What restores left was not removed: {problem}") from problem
    older_than = int({**backup_plan.KEEP, **(described.get("keep") or {})}["days"]) * 86400.0
    for entry in described.get("postgres") or []:
        try:
            about = backup_jobs.database(entry, of)
            if about is not None:  # else its component was never deployed here, and nothing of it was restored
                _of_database(server_of(entry, about[0]), about[0].database, older_than, check, found)
        except (PartError, RestoreError, DatabaseError) as problem:
            # an older copy that stays for another day harms nobody; that the set before was pruned must not fail for it
            found.kept[f"postgres:{entry['name']}"] = f"what stands beside it was not removed: {problem}"
    return found


def _of_database(server: Server, base: str, older_than: float, check: bool, found: Pruned) -> None:
    now = time.time()
    with pg_admin.alone(server, base) as psql:
        known = pg_admin.family(psql, base)
        for name in restore_names.aged(known, older_than, now):
            title = f"database {name}"
            if base not in known:
                found.kept[title] = f"there is no database {base}, so this may be its last copy"
            elif present := pg_admin.sessions(psql, name):
                found.kept[title] = f"{REASONS['55006']}: {pg_admin.describe_sessions(present)}"
            elif check:
                found.gone.append(title)
            else:
                found.drop(title, psql, f"DROP DATABASE IF EXISTS {quoted(name)}")
        if base in known:
            with server.session(base) as inside:
                _of_tables(inside, base, older_than, check, found)


def _of_tables(psql: Psql, base: str, older_than: float, check: bool, found: Pruned) -> None:
    """Tables that were replaced, and schemas with a table that was restored and not swapped in."""
    psql.apply_settings(search_path="", lock_timeout=LOCK_TIMEOUT)
    answer: Mapping[str, Any] = psql.query(
        "SELECT json_build_object('tables', (SELECT coalesce(json_agg(json_build_array(n.nspname, c.relname)), '[]')"
        " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE c.relkind = 'r' AND strpos(c.relname, {literal(f'__{REPLACED}_')}) > 0),"
        " 'schemas', (SELECT coalesce(json_agg(nspname), '[]') FROM pg_catalog.pg_namespace"
        f" WHERE strpos(nspname, {literal(f'__{RESTORE}_')}) > 0))",
        READ_TIMEOUT,
    )
    now = time.time()
    # never with CASCADE: what somebody built upon a table is not ours to remove
    statements: dict[str, tuple[str, ...]] = {}
    for schema, name in answer["tables"]:
        statements[f"{schema}.{name}"] = (f"DROP TABLE {quoted(schema)}.{quoted(name)}",)
    for schema in answer["schemas"]:
        parts = restore_names.split(schema)
        if parts:
            inside = f"{quoted(schema)}.{quoted(parts.base)}"
            statements[schema] = (f"DROP TABLE IF EXISTS {inside}", f"DROP SCHEMA {quoted(schema)}")
    for name in restore_names.aged(statements, older_than, now):
        title = f"{'schema' if name in answer['schemas'] else 'table'} {base}: {name}"
        if check:
            found.gone.append(title)
        else:
            found.drop(title, psql, *statements[name])
