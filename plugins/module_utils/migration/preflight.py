# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to hold before a migration begins: somebody to make the backup, a database that takes writes, a session that is its own."""

from __future__ import annotations

from ansible_collections.phasegate.aistack.plugins.module_utils.migration import plan as alembic_plan, pooler
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.plan import MigrationContext, MigrationError, Request
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import read_only, tools as pg_tool
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import READ_ONLY, DatabaseError, Psql
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.tools import ToolError


def dumper(request: Request, server: str) -> None:
    """Whether pg_dump can make the backup of a server of that version. Raises MigrationError."""
    try:
        old = pg_tool.too_old("pg_dump", server) if request.backup else ""
    except ToolError as problem:
        old = str(problem)
    if old:
        raise MigrationError("tool", f"{request.component}: {old} Nothing was migrated.")


def writable(request: Request, context: MigrationContext, psql: Psql) -> Psql:
    """The session to go on with; a database that is read-only for a while, as during a failover, is waited for. Raises MigrationError."""

    def connect() -> Psql:
        return Psql(context.address, context.variables, request.user, "aistack-migrate-lock")

    psql, why = read_only.wait(psql, connect, request.lock_wait)
    if why:
        psql.close()
        raise MigrationError(
            "read_only",
            f"{request.component}: {context.address.describe()} is read-only: {why.rstrip('. ')}. Waited {request.lock_wait:g} s"
            f" (migrate_lock_wait). {READ_ONLY} Nothing was migrated.",
        )
    return psql


def pooler_refused(request: Request, context: MigrationContext, psql: Psql) -> None:
    """Neither the lock nor the limits of a migration hold where a pooler stands between this session and the server."""
    with alembic_plan.connect(request, context) as second:
        try:
            shared = pooler.shares_connections(psql, second)
        except DatabaseError as problem:
            raise MigrationError(problem.kind, f"{request.component}: {problem} Nothing was migrated.") from problem
    if shared:
        raise MigrationError(
            "pooler",
            f"{request.component}: {context.address.describe()} leads to a pooler that gives each transaction another connection of"
            " the server (pgbouncer with pool_mode=transaction, or its kin). The lock between two runs and the limits of a migration"
            " would hold for whoever gets that connection next. Expected the server itself, or a pooler with pool_mode=session. Give the"
            " migration a direct address: a variable of its own in the environment's schema, named by migrations.database of the"
            " component. Nothing was migrated.",
        )
