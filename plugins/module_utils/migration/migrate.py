# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Migrating a database with a release's Alembic: planned, backed up, bounded in time, verified, journaled.

The order: look (nothing pending: done) → lock → look again → plan → policy → interrupted run → fingerprint → backup → journal
→ move, again after a lock timeout while the budget lasts → verify. After a failure the database is as before, and that is proven
by the fingerprint; where a script committed part-way, what differs is named, with the command that restores the backup.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.alembic import version_file
from ansible_collections.phasegate.aistack.plugins.module_utils.alembic.session import AlembicSession, HelperError
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import registry as backup_jobs
from ansible_collections.phasegate.aistack.plugins.module_utils.core.loading import IMPORT_TIMEOUT
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import require
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import (
    failures as alembic_words,
    history as migration_history,
    locks as migration_locks,
    plan as alembic_plan,
    preflight,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.locks import LockHeld, Watcher
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.plan import (
    MigrationContext,
    MigrationError,
    NotYet,
    Plan,
    Request,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.revision_graph import RevisionGraph
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import dump as pg_dump, fingerprint
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import Fingerprint
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError, Psql
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.version_table import ASSUMED, VersionTable

RETRIED = ("lock_timeout", "deadlock", "read_only")
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 10.0
"""Seconds before the second try and at most between two; each is multiplied by a random factor of 0.5 to 1.5."""

HERE = ("backup", "losses")
"""What a record of a migration says of the node that ran it: other hosts of the component note the rest."""

SPARE = 0.5
"""Seconds that a try takes besides waiting for its lock; with less than that left there is none."""


@dataclass
class Migration:
    """One call: the request and everything that is known about its course."""

    request: Request
    context: MigrationContext
    psql: Psql
    session: AlembicSession
    result: dict[str, Any] = field(default_factory=dict)

    def question(self, op: str, **arguments: Any) -> dict[str, Any]:
        return alembic_plan.ask(self.request, self.session, op, **arguments)

    @property
    def version(self) -> VersionTable:
        return self.session.version or ASSUMED

    def reopen(self) -> None:
        """A new helper, after the old one was ended."""
        self.session.close()
        self.session = alembic_plan.start(self.request, self.context)
        self.question("open")


def migrate(request: Request, check: bool = False) -> dict[str, Any]:
    """Does what ``request.state`` says; returns the module's result. ``check`` only plans.

    Raises MigrationError; its ``facts`` hold what the operator needs.
    """
    try:
        context = alembic_plan.context_of(request)
    except NotYet as problem:
        if check:
            return {"changed": False, "plan": alembic_plan.unknown(request, str(problem)), "msg": f"Nothing known yet: {problem}."}
        raise MigrationError("not_yet", f"{request.component} cannot be migrated: {problem}. Deploy it first (site.yml).") from problem
    session = alembic_plan.start(request, context)
    try:
        psql = alembic_plan.connect(request, context, "aistack-migrate-lock")
    except MigrationError as problem:
        session.close()
        if check and problem.code in ("unreachable", "missing", "tool"):
            return {"changed": False, "plan": alembic_plan.unknown(request, str(problem)), "msg": f"Nothing known yet: {problem}"}
        raise
    migration = Migration(request, context, psql, session)
    try:
        with version_file.kept(request, lambda: migration.psql, check, lambda: migration.session.version):
            return _run(migration, check)
    except MigrationError as problem:
        problem.facts = {**migration.result, **problem.facts}
        raise
    except DatabaseError as problem:
        code = problem.kind if problem.kind == "read_only" else "database"
        raise MigrationError(code, f"{request.component}: {problem}", **migration.result) from problem
    finally:
        migration.session.close()
        migration.psql.close()


def _run(migration: Migration, check: bool) -> dict[str, object]:
    request = migration.request
    began = time.monotonic()
    versions = alembic_plan.versions_of(migration.question("open"), migration.psql)
    graph = RevisionGraph.of(migration.question("graph")["revisions"])
    if request.state == "stamped":
        return _stamp(migration, graph, check)
    path, seen = alembic_plan.locate(request, migration.session, graph)
    stopped = _interrupted(request)
    if not path.steps or check:
        plan = alembic_plan.complete(request, migration.session, migration.psql, graph, path, seen, versions)
        _keep(migration, plan)
        if not plan.verdict.allowed:
            _refuse(migration, plan)
        if not path.steps:
            return _nothing_to_do(migration, stopped, check)
        preflight.dumper(request, str(versions["postgresql"]))
        return {**migration.result, "changed": True, "msg": f"{request.component}: {_count(plan)} would run.", "diff": _diff(plan)}
    preflight.dumper(request, str(versions["postgresql"]))
    migration.psql = preflight.writable(request, migration.context, migration.psql)
    migration.result["lock_waited"] = round(_lock(migration), 3)
    path, seen = alembic_plan.locate(request, migration.session, graph)
    plan = alembic_plan.complete(request, migration.session, migration.psql, graph, path, seen, versions)
    _keep(migration, plan)
    if not plan.verdict.allowed:
        _refuse(migration, plan)
    stopped = _interrupted(request)  # again: the run that held the lock may have ended its record meanwhile
    if not plan.path.steps:
        return _nothing_to_do(migration, stopped, check, locked=True)
    before = alembic_plan.take_fingerprint(migration.psql)
    if stopped:
        _judge_interrupted(migration, stopped, plan, before)
    backup = _backup(migration, plan, before)
    _move(migration, plan, before, backup)
    migration.result["seconds"] = round(time.monotonic() - began, 3)
    migration.result["diff"] = _diff(plan)
    return {**migration.result, "changed": True}


def _keep(migration: Migration, plan: Plan) -> None:
    document = plan.describe(migration.request, migration.context.address)
    document["tables"] = alembic_plan.present_tables(migration.psql, migration.request.tables)
    migration.result.update({"plan": document, "from": document["current"], "to": document["target"]})


def _refuse(migration: Migration, plan: Plan) -> None:
    request = migration.request
    reasons = "\n".join(f"  - {entry.reason}\n    Fix: {entry.remedy}" for entry in plan.verdict.refusals)
    raise MigrationError(
        plan.verdict.refusals[0].code,
        f"The migration of {request.component} to release {request.release} is refused; nothing was changed.\n{reasons}",
        **migration.result,
    )


def _count(plan: Plan) -> str:
    return f"{len(plan.steps)} step{'s' if len(plan.steps) != 1 else ''}"


def _diff(plan: Plan) -> dict[str, str]:
    here = f"revision: {', '.join(plan.path.current) or 'none'}\n"
    there = f"revision: {', '.join(plan.path.target) or 'none'}\n"
    sql = "\n".join(step.sql or f"-- {step.revision.revision}: {step.sql_error}" for step in plan.steps)
    return {"before_header": "database", "after_header": "database and the SQL that leads there", "before": here, "after": there + sql}


def _nothing_to_do(migration: Migration, stopped: Mapping[str, object] | None, check: bool, locked: bool = False) -> dict[str, object]:
    request, plan = migration.request, migration.result["plan"]
    missing = plan["tables"]["missing"]
    if missing and request.state == "upgraded":
        raise MigrationError(
            "missing_tables",
            f"{request.component}: the database says revision {', '.join(plan['current']) or 'none'}, but the tables"
            f" {', '.join(missing)} do not exist in {migration.context.address.describe()}. The revision was noted without running the"
            " scripts, or someone dropped them. Restore them from a backup, or stamp the revision that is really there and run again.",
            **migration.result,
        )
    if stopped and not check and (locked or migration_locks.try_once(migration.psql, migration.context.address.database)):
        _end_interrupted(request, stopped, "ok", "found complete by the next run")
        migration.result["resumed"] = stopped["run"]
    where = (", ".join(plan["current"]) or "no revision") + (f", {plan['note']}" if plan["note"] else "")
    return {**migration.result, "changed": False, "msg": f"{request.component}: the database is at {where}; nothing to do."}


def _lock(migration: Migration) -> float:
    request = migration.request
    preflight.pooler_refused(request, migration.context, migration.psql)
    try:
        return migration_locks.take(migration.psql, migration.context.address.database, request.component, request.lock_wait)
    except LockHeld as problem:
        raise MigrationError("lock_held", f"{request.component}: {problem} Nothing was migrated.", holders=problem.holders) from problem


def _interrupted(request: Request) -> Mapping[str, Any] | None:
    """The newest migration of this component, if it was begun and never ended."""
    return migration_history.interrupted(Journal.of(request.state_dir).read(), request.component)


def _end_interrupted(request: Request, stopped: Mapping[str, Any], outcome: str, how: str) -> None:
    detail = {**stopped["detail"], "started": stopped["seq"], "interrupted": True, "ended_by": request.run, "how": how}
    Journal.of(request.state_dir).append(
        {
            "op": "migrate",
            "component": request.component,
            "release": stopped["release"],
            "run": stopped["run"],
            "actor": request.actor,
            "outcome": outcome,
            "detail": detail,
        }
    )


def _judge_interrupted(migration: Migration, stopped: Mapping[str, Any], plan: Plan, now: Fingerprint) -> None:
    """Goes on where the interrupted run left the database as it was, or at a whole revision; refuses where it left half a step."""
    request, detail = migration.request, stopped["detail"]
    migration.result["resumed"] = stopped["run"]
    if list(plan.path.current) != list(detail.get("from") or []):
        _end_interrupted(request, stopped, "failed", f"interrupted; the database stood at {', '.join(plan.path.current)}")
        return
    if detail.get("schema") in (None, now.hash):
        _end_interrupted(request, stopped, "failed", "interrupted; the database is as before")
        return
    if request.accept_interrupted:
        _end_interrupted(request, stopped, "failed", "interrupted; the changed schema was accepted")
        return
    manifest = pg_dump.load(str(detail.get("backup") or ""))
    differences = fingerprint.schema_differences(Fingerprint.load(manifest["fingerprint"]), now) if manifest else []
    raise MigrationError(
        "interrupted",
        f"{request.component}: the migration of run {stopped['run'] or '?'} ({stopped['time']}) was interrupted and left half a step"
        f" behind: the database still says revision {', '.join(plan.path.current) or 'none'}, but its schema is another."
        f" {_listed(differences)} {_way_back(migration, str(detail.get('backup') or ''))}"
        " If the schema was changed on purpose since then, say so: -e migrate_accept_interrupted=true. Nothing was changed now.",
        differences=differences,
        **migration.result,
    )


def _backup(migration: Migration, plan: Plan, before: Fingerprint) -> pg_dump.Backup | None:
    request = migration.request
    if not request.backup:
        migration.result["backup"] = None
        return None
    size = int(migration.psql.query("SELECT pg_database_size(current_database())"))
    try:
        made = pg_dump.make(
            Path(request.state_dir) / "backups",
            migration.context.address,
            migration.context.variables,
            request.user,
            request.component,
            request.release,
            ("_".join(plan.path.current), "_".join(plan.path.target)),
            before,
            size,
            request.min_free_bytes,
            request.backup_timeout if request.backup_timeout is not None else backup_jobs.patience_of(Path(request.state_dir)),
            request.run,
            request.url_variable,
            str(migration.psql.query(pg_dump.SEARCH_PATH)),
        )
    except pg_dump.BackupError as problem:
        raise MigrationError("backup", f"{request.component}: {problem}", **migration.result) from problem
    migration.result["backup"] = made.as_dict()
    return made


def _move(migration: Migration, plan: Plan, before: Fingerprint, backup: pg_dump.Backup | None) -> None:
    request = migration.request
    detail = {
        "state": request.state,
        "from": list(plan.path.current),
        "to": list(plan.path.target),
        "steps": [step.revision.revision for step in plan.steps],
        "phase": "contract" if any(step.phase == "contract" or step.sql is None for step in plan.steps) else "expand",
        "reversible": all(step.revision.reversible for step in plan.steps),
        "schema": before.hash,
        "backup": str(backup.path) if backup else "",
        **({"losses": {loss.name: loss.rows for loss in plan.losses}} if plan.losses else {}),
    }
    journal = Journal.of(request.state_dir)
    with journal.operation("migrate", request.component, request.release, request.run, request.actor, detail) as operation:
        began = time.monotonic()
        _attempts(migration, plan, before, backup)
        after = alembic_plan.take_fingerprint(migration.psql)
        _verify(migration, plan, after, backup)
        migration.result["fingerprint"] = {
            "before": before.summary(),
            "after": after.summary(),
            "differences": fingerprint.schema_differences(before, after),
            "rows": fingerprint.row_differences(before, after, migration.version.is_named),
        }
        spent = round(time.monotonic() - began, 3)
        operation.detail.update({"seconds": spent, "attempts": len(migration.result["attempts"]), "schema_after": after.hash})
    migration.result["noted"] = {
        "op": "migrate", "component": request.component, "release": request.release, "outcome": "ok",
        "detail": {name: value for name, value in {**detail, **operation.detail}.items() if name not in HERE},
    }
    migration.result["msg"] = (
        f"{request.component}: {_count(plan)} {'undone' if request.state == 'downgraded' else 'run'} in {spent:.1f} s,"
        f" now at {', '.join(plan.path.target) or 'base'}."
    )


def _attempts(migration: Migration, plan: Plan, before: Fingerprint, backup: pg_dump.Backup | None) -> None:
    """Moves; again after a lock timeout, as long as the budget lasts and the database is as it was."""
    request = migration.request
    began = time.monotonic()
    spent = 0.0
    attempts: list[dict[str, Any]] = []
    migration.result["attempts"] = attempts
    target = alembic_plan.alembic_target(plan.path)
    watcher = Watcher(migration.psql, migration.session.application)
    reached: list[str] = []
    connected: list[float] = []

    def note(event: Mapping[str, object]) -> None:
        connected.append(time.monotonic())
        if event["event"] == "step":
            reached.append(str(event["revision"]))

    while True:
        require(request.state_dir, request.run, f"migrate {request.component}")
        at = time.monotonic()
        reached.clear()
        connected.clear()
        asked = {"target": target, "steps": [step.revision.revision for step in plan.steps]}
        try:
            migration.session.request(request.direction, max(0.1, request.budget - spent), watcher.observe, note, IMPORT_TIMEOUT, **asked)
            attempts.append({"outcome": "ok", "seconds": round(time.monotonic() - at, 3)})
            migration.result["waited_for"] = watcher.last
            return
        except HelperError as problem:
            attempts.append(
                {
                    "outcome": problem.kind,
                    "seconds": round(time.monotonic() - at, 3),
                    "message": str(problem),
                    "revision": problem.facts.get("revision") or (reached[-1] if reached else ""),
                    "waited_for": watcher.last,
                }
            )
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (len(attempts) - 1)) * random.uniform(0.5, 1.5)
            spent += time.monotonic() - connected[0] if connected else 0.0  # the budget counts from the first statement
            left = request.budget - spent - request.lock_timeout - SPARE
            if problem.kind not in RETRIED or left <= 0 or _moved(migration, plan, before):
                raise _failure(migration, plan, before, backup, problem, watcher, time.monotonic() - began) from problem
            time.sleep(min(pause, left))
            spent += min(pause, left)


def _moved(migration: Migration, plan: Plan, before: Fingerprint) -> bool:
    """True where a try left half a step behind: then another try would only do harm."""
    if not any(step.autocommit for step in plan.steps):
        return False
    return alembic_plan.take_fingerprint(migration.psql).hash != before.hash


def _verify(migration: Migration, plan: Plan, after: Fingerprint, backup: pg_dump.Backup | None) -> None:
    request = migration.request
    now = migration.question("current")["current"]
    if sorted(now) != sorted(plan.path.target):
        raise MigrationError(
            "not_there",
            f"{request.component}: Alembic reported success, but the database is at {', '.join(now) or 'no revision'} and not at"
            f" {', '.join(plan.path.target)}. It may be that env.py does not commit. "
            f"{_way_back(migration, str(backup.path) if backup else '')}",
            **migration.result,
        )
    tables = alembic_plan.present_tables(migration.psql, request.tables)
    migration.result["plan"]["tables"] = tables
    migration.result["current"] = now
    if tables["missing"]:
        raise MigrationError(
            "missing_tables",
            f"{request.component}: the database is at {', '.join(now)}, but the expected tables {', '.join(tables['missing'])} do not exist"
            f" in it. Correct the scripts, or"
            f" aistack_components.{request.component}.migrations.tables. {_way_back(migration, str(backup.path) if backup else '')}",
            **migration.result,
        )


def _failure(
    migration: Migration,
    plan: Plan,
    before: Fingerprint,
    backup: pg_dump.Backup | None,
    problem: HelperError,
    watcher: Watcher,
    seconds: float,
) -> MigrationError:
    """What happened, whether the database is as before, and what to do."""
    output = migration.session.said()
    migration.session.kill()
    migration.result["waited_for"] = watcher.last
    tries, waited = migration.result["attempts"], watcher.words()
    happened = alembic_words.happened(migration.request, migration.context.address, plan.steps, problem, tries, waited, seconds)
    folder = str(backup.path) if backup else ""
    try:
        gone = migration_locks.terminate(migration.psql, migration.session.application)
        after = alembic_plan.take_fingerprint(migration.psql)
        migration.reopen()
        now = migration.question("current")["current"]
    except (DatabaseError, MigrationError) as trouble:
        state = (
            f"Whether the database is as before could not be looked at: {trouble} The server rolls an open transaction back by itself;"
            f" the next run compares. {_way_back(migration, folder)}"
        )
        migration.result["database_state"] = "unknown"
        return MigrationError(problem.kind, f"{happened} {state}", output=output, **migration.result)
    changes = fingerprint.schema_differences(before, after)
    if sorted(now) != sorted(plan.path.current):
        changes.insert(0, f"revision: was {', '.join(plan.path.current) or 'none'}, is {', '.join(now) or 'none'}")
    rows = fingerprint.row_differences(before, after, migration.version.is_named)
    migration.result["fingerprint"] = {"before": before.summary(), "after": after.summary(), "differences": changes, "rows": rows}
    if not gone:
        state = "Its session on the server has not ended yet, so what is true now may still change. " + _listed(changes)
        migration.result["database_state"] = "unknown"
    elif changes or (rows and any(step.autocommit for step in plan.steps)):
        state = f"The database is NOT as before: part of the work was committed. {_listed(changes + rows)} {_way_back(migration, folder)}"
        migration.result["database_state"] = "changed"
    else:
        state = (
            f"The database is as before: revision {', '.join(now) or 'none'}, same schema (fingerprint {after.hash[:12]})."
            + (f" The running release wrote meanwhile: {'; '.join(rows)}." if rows else "")
        )
        migration.result["database_state"] = "unchanged"
    return MigrationError(problem.kind, f"{happened} {state}", output=output, **migration.result)


def _listed(lines: list[str], limit: int = 20) -> str:
    if not lines:
        return "What differs cannot be listed."
    more = f"; and {len(lines) - limit} more" if len(lines) > limit else ""
    return "What differs: " + "; ".join(lines[:limit]) + more + "."


def _way_back(migration: Migration, folder: str) -> str:
    if not folder:
        return "No backup was made before (migrations.backup is false)."
    command = pg_dump.restore_command(folder)
    migration.result["restore_command"] = command
    return f"The backup from before is {folder}. This shows what putting it back takes away, and asks for consent: {command}"


def _stamp(migration: Migration, graph: RevisionGraph, check: bool) -> dict[str, object]:
    """Notes a revision without running anything."""
    request = migration.request
    try:
        named = alembic_plan.target_of(request)
        target = [] if named == "base" else graph.heads() if named in ("head", "heads") else graph.resolve(named)
    except LookupError as problem:
        raise MigrationError("unknown_target", f"{request.component}: {problem} Nothing was changed.") from problem
    if named == "head" and len(target) > 1:
        raise MigrationError("several_heads", f"{request.component}: the release has the heads {', '.join(target)}; name one, or heads.")
    here = migration.question("current")["current"]
    migration.result.update({"from": here, "to": target, "current": here})
    migration.result["diff"] = {"before": f"revision: {', '.join(here) or 'none'}\n", "after": f"revision: {', '.join(target) or 'none'}\n"}
    if sorted(here) == sorted(target):
        return {**migration.result, "changed": False, "msg": f"{request.component}: already noted as {', '.join(target) or 'base'}."}
    if check:
        return {**migration.result, "changed": True, "msg": "The revision would be noted."}
    _lock(migration)
    detail = {"state": "stamped", "from": here, "to": target}
    with Journal.of(request.state_dir).operation("migrate", request.component, request.release, request.run, request.actor, detail):
        strangers = graph.unknown(here)
        migration.question("stamp", target=target, purge=bool(strangers))
        now = migration.question("current")["current"]
        if sorted(now) != sorted(target):
            raise MigrationError("not_there", f"{request.component}: the database says {', '.join(now) or 'nothing'} after the stamp.")
    return {**migration.result, "changed": True, "current": now, "msg": f"{request.component}: noted as {', '.join(target) or 'base'}."}
