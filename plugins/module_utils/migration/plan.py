# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Planning a migration: what the release wants, where the database stands, what would run and whether it may."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from ansible_collections.phasegate.aistack.plugins.module_utils.alembic.session import AlembicSession, HelperError
from ansible_collections.phasegate.aistack.plugins.module_utils.core.loading import IMPORT_TIMEOUT
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import ROOT, STATE, Home
from ansible_collections.phasegate.aistack.plugins.module_utils.environment import placeholders
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import DatabaseAddress, elsewhere, parse_url
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.file import read_env, secrets_beside
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import (
    code_place,
    data_loss,
    extensions,
    history as migration_history,
    policy as migration_policy,
    squawk,
    text as migration_text,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.data_loss import Down, Loss
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.policy import Policy, Step, Verdict
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.revision_graph import Path as RevisionPath, RevisionGraph
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import fingerprint
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError, Psql
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.version_table import VersionTable

READ_TIMEOUT = 30.0
"""Seconds for a question to the catalog."""

COUNT_TIMEOUT = 60.0
"""Seconds that counting rows may take: of all tables for a fingerprint, of one table or column that a downgrade takes."""


class MigrationError(Exception):
    """Nothing went on from here. ``code`` for programs; ``facts`` go into the module's result."""

    def __init__(self, code: str, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.code = code
        self.facts = facts


class ReleaseCodeError(MigrationError):
    """The release's code could not be loaded, or failed. ``helper`` is what was told of it."""

    def __init__(self, helper: HelperError, message: str, **facts: Any) -> None:
        super().__init__("release_code", message, **facts)
        self.helper = helper


class Catalog(Protocol):
    """Who answers questions about the database: a session with psql, or what a node said before."""

    def query(self, sql: str, timeout: float = 30.0) -> Any: ...


class NotYet(Exception):
    """What a plan is made from is not there: no release tree, no environment, no database. The text says which."""


@dataclass
class Request:
    """What the modules are asked for. Times are in seconds.

    ``database`` is another one on the same server that takes the place of the one in the environment: every address there is changed,
    and a connection of the release's code that leads elsewhere is refused before it does anything.
    """

    component: str
    release: str = ""
    root: str = ROOT
    state_dir: str = STATE
    release_path: str = ""
    python: str = ""
    env_file: str = ""
    user: str | None = "aistack"
    ini: str = "alembic.ini"
    x: Mapping[str, str] = field(default_factory=dict)
    url_variable: str = "DATABASE_URL"
    database: str = ""
    tables: Sequence[str] = ()
    policy: Mapping[str, Any] = field(default_factory=dict)
    squawk: str = ""
    state: str = "upgraded"
    target: str = "head"
    budget: float = 60.0
    lock_timeout: float = 2.0
    statement_timeout: float = 0.0
    lock_wait: float = 90.0
    backup: bool = True
    backup_timeout: float | None = None
    min_free_bytes: int = 268435456
    accept_interrupted: bool = False
    accept_loss: Sequence[str] = ()
    allow_base: bool = False
    run: str = ""
    actor: str = ""
    made_up: Sequence[str] = ()
    """Variables that hold no value of the node's, because only a plan is made."""
    wrapper: Sequence[str] = ()
    """Stands in front of the command that runs the release's code: a sandbox on the controller, nothing on a node."""

    image: str = ""
    """Digest of the image that the release's code is in, where its manifest does not name it: a plan is made of one that is not staged."""

    node_state: str = ""
    """Where the node says how containers are run, where ``state_dir`` is none of the node's: a drill's."""

    @property
    def digest(self) -> str:
        return self.image or code_place.digest_of(self.tree)

    @property
    def direction(self) -> str:
        return "downgrade" if self.state == "downgraded" else "upgrade"

    @property
    def tree(self) -> Path:
        return Path(self.release_path or Home(self.root, self.component).release(self.release))

    @property
    def interpreter(self) -> str:
        return self.python or str(self.tree / ".venv" / "bin" / "python")

    @property
    def linter(self) -> str:
        return self.squawk or os.path.join(self.root, "tools", "bin", "squawk")

    @property
    def statement_limit(self) -> float:
        """No statement may outlast the budget: after a kill it is what ends the work on the server."""
        return min(self.statement_timeout, self.budget) if self.statement_timeout > 0 else self.budget


@dataclass
class MigrationContext:
    """What the request stands on: the environment of the release and the address in it."""

    variables: dict[str, str]
    address: DatabaseAddress


@dataclass
class Plan:
    """What would run, and whether it may."""

    graph: RevisionGraph
    path: RevisionPath
    steps: list[Step]
    verdict: Verdict
    fresh: bool
    transaction: str
    versions: dict[str, Any]
    losses: list[Loss] = field(default_factory=list)

    def describe(self, request: Request, address: DatabaseAddress) -> dict[str, object]:
        document: dict[str, Any] = {
            "known": True,
            "why": "",
            "component": request.component,
            "release": request.release,
            "direction": self.path.direction,
            "database": address.as_dict(),
            "current": list(self.path.current),
            "heads": self.graph.heads(),
            "bases": self.graph.bases(),
            "target": list(self.path.target),
            "up_to_date": not self.path.steps and not self.path.refusals,
            "beyond": self.path.beyond,
            "note": self.path.note,
            "fresh": self.fresh,
            "transaction": self.transaction,
            "pending": [step.as_dict() for step in self.steps],
            "losses": [loss.as_dict() for loss in self.losses],
            "verdict": self.verdict.as_dict(),
            "versions": self.versions,
        }
        document["text"] = migration_text.plan_text(document)
        return document


def context_of(request: Request) -> MigrationContext:
    """Reads the environment file. Raises NotYet where something is not there, MigrationError where it is wrong."""
    missing = code_place.missing(request)
    if missing:
        raise NotYet(missing)
    require_configuration(request)
    if not request.env_file or not os.path.exists(request.env_file):
        raise NotYet(f"{request.component} has no environment on this node: {request.env_file or 'its file'} does not exist")
    try:
        variables = read_env(request.env_file)
    except OSError as problem:
        raise MigrationError("env_file", f"{request.env_file} cannot be read: {problem.strerror}") from problem
    url = variables.get(request.url_variable, "")
    if not url:
        raise MigrationError(
            "no_url",
            f"{request.env_file} has no {request.url_variable}. Set it in aistack_env.{request.component}.values, or name the variable"
            f" that holds the database's address: aistack_components.{request.component}.migrations.database: NAME.",
        )
    try:
        address = parse_url(url)
    except ValueError as problem:
        raise MigrationError("bad_url", f"{request.url_variable} in {request.env_file} is no PostgreSQL address: {problem}.") from None
    if request.database:
        return MigrationContext(elsewhere(variables, address.database, request.database), replace(address, database=request.database))
    return MigrationContext(variables, address)


def require_configuration(request: Request) -> None:
    """Raises MigrationError where the tree has no configuration of Alembic."""
    missing = code_place.unconfigured(request)
    if missing:
        raise _no_ini(request, missing)


def _no_ini(request: Request, missing: str) -> MigrationError:
    below = "the folder that the image begins in (WORKDIR)" if request.digest else "the component's path"
    return MigrationError(
        "no_ini",
        f"{missing}; the component {request.component} declares migrations. Name its place:"
        f" aistack_components.{request.component}.migrations.config: FILE, below {below}.",
    )


def connect(request: Request, context: MigrationContext, application: str = "aistack-migrate-watch") -> Psql:
    """A psql session. Raises MigrationError in the operator's words."""
    try:
        return Psql(context.address, context.variables, request.user, application)
    except DatabaseError as problem:
        raise MigrationError(problem.kind, f"{request.component}: {problem} Nothing was migrated.") from problem
    except LookupError as problem:
        raise MigrationError("user", f"{request.component}: {problem}; it is to run the migration. Run site.yml with the component's "
                                     "phase, which makes it.") from problem


def start(request: Request, context: MigrationContext) -> AlembicSession:
    """The helper, with the release's Alembic still to be opened. Raises MigrationError."""
    try:
        return AlembicSession(code_place.runner(request), context.variables, request.component, secrets_beside(request.env_file))
    except HelperError as problem:
        raise MigrationError("python", f"{request.component}: {problem}") from problem
    except LookupError as problem:
        raise MigrationError("user", f"{request.component}: {problem}; it is to run the migration. Run site.yml with the component's "
                                     "phase, which makes it.") from problem


def ask(request: Request, session: AlembicSession, op: str, **arguments: Any) -> dict[str, Any]:
    """A question to the release's code. Raises MigrationError that names file and line in the release where there is one."""
    try:
        if op == "open":
            return session.open(request.ini, request.lock_timeout, request.statement_limit, database=request.database, x=request.x)
        answer = session.request(op, IMPORT_TIMEOUT, **arguments)
        if op == "current":
            session.version = VersionTable.of(answer)
        return answer
    except HelperError as problem:
        if problem.kind == "budget":
            raise ReleaseCodeError(
                problem,
                f"{request.component}: the migrations of release {request.release} were not read within {IMPORT_TIMEOUT:g} s ({op})."
                " env.py, or what it imports, takes that long, or waits for something: let it import what the migration needs and no"
                " more. Nothing was migrated.",
            ) from problem
        if problem.facts.get("kind") == "no_ini":
            raise _no_ini(request, str(problem)) from problem
        place = f" at {problem.facts['place']}" if problem.facts.get("place") else ""
        kind = f"{problem.facts['type']}: " if problem.facts.get("type") else ""
        raise ReleaseCodeError(
            problem,
            f"{request.component}: the migrations of release {request.release} cannot be read ({op}){place}: {kind}{problem}."
            f" Look at env.py and the scripts in {code_place.words(request)}. Nothing was migrated.",
            output=session.said() if problem.kind != "ended" else "",
        ) from problem


def locate(request: Request, session: AlembicSession, graph: RevisionGraph) -> tuple[RevisionPath, dict[str, object]]:
    """Where the database stands and which way leads to the target."""
    seen = ask(request, session, "current")
    return way(request, graph, seen["current"], lambda: Journal.of(request.state_dir).read()), seen


def _policy_of(request: Request) -> str:
    """Where an inventory says what is allowed, for ways out."""
    return f"aistack_components.{request.component}.migrations.policy"


def target_of(request: Request) -> str:
    """The target; C(head) means all heads where the policy says that the release has several on purpose."""
    return "heads" if request.target == "head" and Policy.of(request.policy).heads == "all" else request.target


def way(
    request: Request, graph: RevisionGraph, current: Sequence[str], records: Callable[[], Sequence[Record]]
) -> RevisionPath:
    """The way from ``current`` to the target; the journal's ``records`` are read where the database is ahead of the release."""
    target = target_of(request)
    if request.state == "downgraded":
        return graph.downgrade(list(current), target)
    path = graph.upgrade(list(current), target, _policy_of(request))
    if any(entry.code == "database_ahead" for entry in path.refusals):
        older = migration_history.ahead(records(), request.component, list(current), graph)
        if older:
            reached = graph.upgrade(older.base, target)
            if not reached.steps and not reached.refusals:
                return RevisionPath("upgrade", path.current, reached.target, beyond=True, note=older.text())
    return path


def present_tables(psql: Psql, names: Sequence[str]) -> dict[str, list[str]]:
    """Which of ``names`` the database has."""
    if not names:
        return {"expected": [], "present": [], "missing": []}
    wanted = ", ".join(fingerprint.literal(name) for name in names)
    found = set(
        psql.query(
            "SELECT coalesce(json_agg(name), '[]') FROM unnest(ARRAY["
            + wanted
            + "]) AS name WHERE to_regclass(name) IS NOT NULL OR to_regclass(quote_ident(name)) IS NOT NULL"
        )
    )
    return {
        "expected": list(names),
        "present": [name for name in names if name in found],
        "missing": [name for name in names if name not in found],
    }


def take_fingerprint(psql: Psql, timeout: float = COUNT_TIMEOUT) -> fingerprint.Fingerprint:
    """Schema and rows now. Tables whose rows cannot be counted within ``timeout`` seconds are left uncounted. Raises DatabaseError."""
    objects = psql.query(fingerprint.SCHEMA_QUERY, READ_TIMEOUT)
    tables = psql.query(fingerprint.TABLES_QUERY, READ_TIMEOUT)
    counting = fingerprint.rows_query(tables)
    counted = None
    if counting:
        psql.query(f"SET statement_timeout = '{int(timeout * 1000)}ms'")
        try:
            counted = psql.query(counting, timeout + 5)
        except DatabaseError as problem:
            if problem.kind != "timeout":
                raise
        psql.query("SET statement_timeout = 0")
    return fingerprint.Fingerprint.of(objects, tables, counted)


def counted(psql: Catalog, losses: Iterable[Loss], timeout: float = COUNT_TIMEOUT) -> list[Loss]:
    """The losses with the number of rows that hold something there; ``why`` where one cannot be counted. Raises DatabaseError."""
    wanted = list(losses)
    if not any(loss.query() for loss in wanted):
        return wanted
    try:
        psql.query(f"SET statement_timeout = '{int(timeout * 1000)}ms'")
    except DatabaseError as problem:
        if problem.kind != "unknown":
            raise
        return [replace(loss, why=str(problem)) for loss in wanted]
    for at, loss in enumerate(wanted):
        try:
            wanted[at] = replace(loss, rows=int(psql.query(loss.query(), timeout + 5))) if loss.query() else loss
        except DatabaseError as problem:
            if problem.kind not in ("statement", "timeout"):
                raise
            wanted[at] = replace(loss, why=f"not counted within {timeout:g} s" if problem.kind == "timeout" else str(problem))
    psql.query("SET statement_timeout = 0")
    return wanted


def alembic_target(path: RevisionPath) -> str | list[str]:
    """The target as Alembic's commands take it."""
    if not path.target:
        return "base"
    return path.target[0] if len(path.target) == 1 else list(path.target)


def complete(
    request: Request,
    session: AlembicSession,
    psql: Catalog,
    graph: RevisionGraph,
    path: RevisionPath,
    seen: Mapping[str, Any],
    versions: dict[str, Any],
) -> Plan:
    """The whole plan: SQL, lint, phases, verdict."""
    order = list(path.steps)
    if len(order) > 1:
        named = ask(request, session, "order", current=list(path.current), target=alembic_target(path), direction=path.direction)["steps"]
        if sorted(named) == sorted(entry.revision for entry in order):
            order = [graph.revisions[name] for name in named]
    steps = [Step(revision) for revision in order]
    before = path.current
    wanted = []
    for revision in order:
        wanted.append({"revision": revision.revision, "before": list(before), "direction": path.direction})
        before = graph.heads_after(before, revision, path.direction)
    said = ask(request, session, "sql", steps=wanted) if wanted else {"steps": {}}
    rendered, version = said["steps"], VersionTable.of(seen if seen.get("version_table") else said)
    for step in steps:
        answer = rendered.get(step.revision.revision) or {}
        step.sql = answer.get("sql")
        step.sql_error = str(answer.get("error") or "")
        if step.sql is None and request.made_up and not answer.get("own"):
            what = f"revision {step.revision.revision}"
            step.unsure = placeholders.unsure(request.made_up, step.sql_error, str(answer.get("place") or ""), what)
        if path.direction == "upgrade":
            squawk.judge(request.linter, step)
    migration_policy.analyse(steps, version.name)
    fresh = False
    if steps and not path.current:
        fresh = not any(
            not version.matches(schema, name) for schema, name, _rows, _read in psql.query(fingerprint.TABLES_QUERY, READ_TIMEOUT)
        )
    losses = counted(psql, data_loss.found(steps)) if path.direction == "downgrade" else []
    down = Down(tuple(losses), bool(steps) and not path.target, tuple(request.accept_loss), request.allow_base)
    verdict = migration_policy.judge(steps, Policy.of(request.policy), path.direction, fresh, down, _policy_of(request))
    absent = tuple(extensions.missing(steps, psql)) if path.direction == "upgrade" else ()
    verdict = replace(verdict, refusals=path.refusals + absent + verdict.refusals)
    return Plan(graph, path, steps, verdict, fresh, str(seen.get("transaction", "")), versions, losses)


def unknown(request: Request, why: str) -> dict[str, object]:
    """The plan's document where nothing can be known yet."""
    document = {
        "known": False,
        "why": why,
        "component": request.component,
        "release": request.release,
        "direction": request.direction,
        "database": {},
        "current": [],
        "heads": [],
        "bases": [],
        "target": [],
        "up_to_date": False,
        "beyond": False,
        "note": "",
        "fresh": False,
        "transaction": "",
        "pending": [],
        "losses": [],
        "verdict": Verdict().as_dict(),
        "versions": {},
        "tables": {"expected": list(request.tables), "present": [], "missing": []},
    }
    document["text"] = migration_text.plan_text(document)
    return document


def inspect(request: Request) -> dict[str, Any]:
    """The plan as a document; reads only. What is not there yet is said in ``why``. Raises MigrationError for what is wrong."""
    try:
        context = context_of(request)
    except NotYet as problem:
        return unknown(request, str(problem))
    with start(request, context) as session:
        try:
            psql = connect(request, context)
        except MigrationError as problem:
            if problem.code in ("unreachable", "missing", "tool"):
                return unknown(request, str(problem))
            raise
        with psql:
            versions = versions_of(ask(request, session, "open"), psql)
            graph = RevisionGraph.of(ask(request, session, "graph")["revisions"])
            path, seen = locate(request, session, graph)
            plan = complete(request, session, psql, graph, path, seen, versions)
            return {**plan.describe(request, context.address), "tables": present_tables(psql, request.tables)}


def versions_of(opened: Mapping[str, object], psql: Psql) -> dict[str, Any]:
    """Versions of what takes part."""
    return {
        "alembic": opened.get("alembic", ""),
        "sqlalchemy": opened.get("sqlalchemy", ""),
        "python": opened.get("python", ""),
        "postgresql": psql.query("SELECT to_json(current_setting('server_version'))"),
    }
