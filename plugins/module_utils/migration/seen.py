# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node can tell about a database without the release that is to migrate it: where it stands, and what was done to it.

The release's own Alembic is not asked. The controller plans from it, where the release is not on the node yet.
"""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.alembic import version_file
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import Home
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import parse_url
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.file import read_env
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import history as migration_history, plan as alembic_plan
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.plan import MigrationContext, MigrationError, Request
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import fingerprint
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.version_table import heads_query


def _address(request: Request) -> tuple[MigrationContext | None, str]:
    """The environment that is to come, or else the one that is live, and which of them it is."""
    live = str(Home(request.root, request.component).live_env)
    for path in (request.env_file, live):
        if path and os.path.exists(path):
            try:
                variables = read_env(path)
                return MigrationContext(variables, parse_url(variables.get(request.url_variable, ""))), path
            except (OSError, ValueError) as problem:
                return None, f"{request.url_variable} in {path} tells no address: {problem}"
    return None, "no environment is rendered"


def observe(request: Request) -> dict[str, object]:
    """Where the database stands.

    C(known) is whether it could be looked at, C(why) why not; C(bare) whether nothing of the component is on this node, so
    that its database can only be a new one; C(current) its revisions, C(fresh) whether it is empty, C(history) what the journal
    holds about earlier migrations.
    """
    bare = not os.path.lexists(Home(request.root, request.component).live_link)
    seen: dict[str, Any] = {
        "known": False, "why": "", "bare": bare, "current": [], "fresh": True, "database": {},
        "tables": {"expected": list(request.tables), "present": [], "missing": list(request.tables)},
        "history": migration_history.migrations(Journal.of(request.state_dir).read(), request.component),
    }
    version = version_file.load(request.state_dir, request.component)
    context, seen["why"] = _address(request)
    if context is None:
        return seen
    seen["database"] = context.address.as_dict()
    try:
        with alembic_plan.connect(request, context) as psql:
            tables = psql.query(version.tables_query())
            seen["fresh"] = all(version.matches(schema, name) for schema, name, _rows, _read in psql.query(fingerprint.TABLES_QUERY))
            table, seen["why"] = version.only(tables, not seen["fresh"])
            if seen["why"]:
                return seen
            if table:
                seen["current"] = psql.query(heads_query(table))
            seen["tables"] = alembic_plan.present_tables(psql, request.tables)
    except (DatabaseError, MigrationError) as problem:
        seen["why"] = str(problem)
        return seen
    if not seen["fresh"] and not seen["current"] and not tables:
        seen["why"] = f"it holds tables, but none named {version.name}"
        return seen
    return {**seen, "known": True, "why": ""}
