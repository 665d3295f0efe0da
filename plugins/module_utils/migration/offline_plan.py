# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of a migration without the database: a tree, its interpreter and made-up variables, from where the database is said to stand.

The graph and the SQL are the release's own, rendered offline. What cannot be known so is no refusal: it is said, with the whole error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.environment import placeholders
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import DatabaseAddress
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import plan as alembic_plan, text as migration_text
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.plan import MigrationContext, Plan, ReleaseCodeError, Request
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.revision_graph import RevisionGraph
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import fingerprint
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError

STAND_IN_URL = "postgresql://planned:planned@localhost:5432/planned"
OTHER_PYTHON = ("SyntaxError", "IndentationError")
"""Errors without a place in the release that another interpreter may not have."""


class Unavailable(Exception):
    """The plan cannot be made here; the text says why and what would help."""


class NoEnvironment(Unavailable):
    """There is no environment for the release's code here; on a node with its own interpreter there may be one."""


@dataclass
class Said:
    """Answers the planner's one question to the database from what the node said."""

    fresh: bool
    asked: list[str] = field(default_factory=list)

    def query(self, sql: str, timeout: float = 30.0) -> Any:
        """The tables: none, or one whose name says that there are some. Raises DatabaseError for anything else."""
        self.asked.append(sql)
        if sql != fingerprint.TABLES_QUERY:
            raise DatabaseError("unknown", "the database is not asked where only a plan is made")
        return [] if self.fresh else [["public", "as the node said", 0, 0]]


def known(seen: Mapping[str, object]) -> None:
    """Nothing is guessed. Raises Unavailable where the node could not say where the database stands."""
    if not seen.get("known") and not seen.get("bare"):
        raise Unavailable(f"where the database stands is not known: {seen.get('why') or 'the node did not say'}")


def _url(variable: str, schema: Sequence[Mapping[str, object]]) -> str:
    """The made-up address of the database, by the driver that the real one names: SQLAlchemy's own choice need not be there."""
    scheme = next((placeholders.scheme(entry) for entry in schema if entry.get("name") == variable), "")
    return STAND_IN_URL.replace("postgresql", scheme, 1) if scheme.partition("+")[0] in ("postgresql", "postgres") else STAND_IN_URL


def make(request: Request, seen: Mapping[str, Any], schema: Sequence[Mapping[str, Any]]) -> Plan:
    """The plan of the tree that *request* names, with variables made up by *schema*.

    Raises:
        Unavailable: the release's code stops, and the made-up values may be why.
        MigrationError: the release's migrations are wrong whatever the values are.
    """
    variables = {**placeholders.placeholder_env(schema), request.url_variable: _url(request.url_variable, schema)}
    local = replace(
        request, made_up=[name for name in placeholders.made_up(schema) if name != request.url_variable] or [request.url_variable]
    )
    context = MigrationContext(variables, DatabaseAddress("localhost", 5432, "planned", "planned"))
    try:
        with alembic_plan.start(local, context) as session:
            opened = alembic_plan.ask(local, session, "open")
            graph = RevisionGraph.of(alembic_plan.ask(local, session, "graph")["revisions"])
            path = alembic_plan.way(local, graph, seen.get("current") or [], lambda: list(seen.get("history") or []))
            versions = {key: opened.get(key, "") for key in ("alembic", "sqlalchemy", "python")}
            database = Said(bool(seen.get("fresh")))
            return alembic_plan.complete(local, session, database, graph, path, {}, {**versions, "postgresql": ""})
    except ReleaseCodeError as problem:
        facts = problem.helper.facts
        kind = str(facts.get("type") or "")
        if problem.helper.kind not in ("ended", "budget") and not facts.get("place") and kind not in OTHER_PYTHON:
            raise
        error = f"{kind}: {problem.helper}" if kind else str(problem.helper)
        what = f"what {request.release} does to the database"
        kind_of = NoEnvironment if kind in OTHER_PYTHON else Unavailable
        raise kind_of(placeholders.unsure(local.made_up, error, str(facts.get("place") or ""), what)) from problem


def describe(request: Request, plan: Plan, seen: Mapping[str, Any], basis: str) -> dict[str, object]:
    """The plan in the shape of alembic_info, with ``basis``: how it was made."""
    address = seen.get("database") or {}
    found = plan.describe(
        request,
        DatabaseAddress(
            str(address.get("host", "")), int(address.get("port", 5432)), str(address.get("user", "")), str(address.get("name", ""))
        ),
    )
    found["database"] = dict(address)
    found["basis"] = basis
    found["tables"] = seen.get("tables") or {"expected": list(request.tables), "present": [], "missing": list(request.tables)}
    found["text"] = migration_text.plan_text(found)
    return found


def empty_words(request: Request, seen: Mapping[str, object]) -> str:
    """What a plan from an empty database has to say for itself; nothing where the node knew better."""
    if seen.get("known"):
        return ""
    return (
        f" The database could not be looked at ({seen.get('why')}); nothing of {request.component} runs here yet, so this is the way from"
        " an empty one."
    )
