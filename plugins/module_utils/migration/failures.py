# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stopped a migration, in the operator's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.alembic.session import HelperError
from ansible_collections.phasegate.aistack.plugins.module_utils.core.loading import IMPORT_TIMEOUT
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import DatabaseAddress
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.plan import Request
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.policy import Step
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import READ_ONLY


def happened(
    request: Request,
    address: DatabaseAddress,
    steps: Sequence[Step],
    problem: HelperError,
    attempts: Sequence[Mapping[str, Any]],
    waited: str,
    seconds: float,
) -> str:
    """What stopped the steps of a migration, and what to do about it; ``waited`` says which lock it waited for."""
    revision = problem.facts.get("revision") or attempts[-1]["revision"]
    titles = {step.revision.revision: step.revision.doc for step in steps}
    title = f" ({titles[revision]})" if titles.get(revision) else ""
    whose = f"{request.component} {request.release}".strip()
    what = f"{whose}: revision {revision}{title}" if revision else f"{whose}: the migration"
    statement = f" Statement: {problem.facts['statement']}." if problem.facts.get("statement") else ""
    place = f" at {problem.facts['place']}" if problem.facts.get("place") else ""
    where = f"in {address.describe()}"
    if problem.kind == "lock_timeout":
        return (
            f"{what} did not get its lock {where}: {len(attempts)} tries of {request.lock_timeout:g} s each (migrations.lock_timeout)"
            f" in {seconds:.0f} s (migrations.budget: {request.budget:g} s). {waited} Let that transaction end, or end it with"
            f" pg_terminate_backend, and run again.{statement}"
        )
    if problem.kind == "loading":
        return (
            f"{whose}: its code was not loaded within {IMPORT_TIMEOUT:g} s, so that no statement was run {where}. env.py, or what it"
            " imports, takes that long, or waits for something: let it import what the migration needs and no more."
        )
    if problem.kind == "budget":
        return (
            f"{what} was not finished within its budget of {request.budget:g} s {where} and was ended. {waited}"
            f" Split the step, or give it more time in a maintenance window: aistack_components.{request.component}.migrations.budget."
        )
    if problem.kind == "read_only":
        return (
            f"{what} met a read-only database {where}, {len(attempts)} times in {seconds:.0f} s (migrations.budget: {request.budget:g} "
            f"s). {READ_ONLY}"
        )
    if problem.kind == "statement_timeout":
        return f"{what}: a statement took longer than {request.statement_limit:g} s (migrations.statement_timeout) {where}.{statement}"
    kind = f"{problem.facts['type']}: " if problem.facts.get("type") else ""
    code = f" (SQLSTATE {problem.facts['sqlstate']})" if problem.facts.get("sqlstate") else ""
    return f"{what} failed{place} {where}: {kind}{problem}{code}.{statement}"
