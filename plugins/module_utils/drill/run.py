# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rollback rehearsed where it hurts nobody: a set's database beside the live one, up to the newer release and back again.

The live database is not touched, and nothing that serves waits for a drill. It therefore takes no lock of the node: it does not begin
while another run holds that or a migration is under way, and gives way at its next step where one has begun since. The code of the
releases gets an environment in which the scratch database has the place of the live one, and each connection that it makes is checked.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.alembic import version_file
from ansible_collections.phasegate.aistack.plugins.module_utils.backup import catalog
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.catalog import BackupSetError
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import (
    age as backup_age,
    files as backup_files,
    postgres_restore as restore_postgres,
    registry as backup_jobs,
    restore as restore_part,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import PartError
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.plan import FORMAT
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import ROOT, STATE
from ansible_collections.phasegate.aistack.plugins.module_utils.drill import plan as pure, scratch as drill_scratch, text as drill_text
from ansible_collections.phasegate.aistack.plugins.module_utils.drill.plan import DrillRun
from ansible_collections.phasegate.aistack.plugins.module_utils.drill.scratch import Source
from ansible_collections.phasegate.aistack.plugins.module_utils.journal import lock
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal, utc_now
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import interrupted
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import code_place, migrate as alembic, plan as alembic_plan
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.plan import MigrationError, NotYet
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.revision_graph import RevisionGraph
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.schema_path import heads_of_release, words
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.admin import RestoreError, Server
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.dump import BackupError
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError, Psql
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import Drilled, Layout, state_of

PLACE = ".drill-"
"""What the folder for a drill's own files begins with; it lies in the state directory and goes with the drill."""

ALLOW = {
    "contract": "allow", "irreversible": "allow", "autocommit": "allow", "unknown_sql": "allow", "lint": [], "lint_missing": "allow"
}
"""On a scratch database everything may be tried; whether it may be done for good is decided when it is."""

ACCEPTED = ("data_loss", "unknown_sql", "to_base")
"""Refusals of a downgrade that a drill passes over: it is there to find out what they mean."""

OUTSIDE = (
    "unreachable", "missing", "tool", "user", "password", "refused", "ended", "env_file", "no_url", "bad_url", "no_ini", "python",
    "not_yet", "lock_held", "release_code", "database",
)
"""Failures that say nothing about the migrations, unless they came while these ran."""

LONGEST = 600
"""Characters of a message that are kept."""


class DrillError(Exception):
    """Nothing was drilled, or not to its end, and nothing is written down of it. ``extra`` is returned beside the message."""

    def __init__(self, code: str, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.code = code
        self.extra = {"code": code, **extra}


@dataclass
class Request:
    """What is to be drilled. Times are in seconds.

    Attributes:
        newer, older: releases; what is live and the previous good one if empty. With ``newer`` alone, what is live is ``older``.
        set: name or path of a backup set; the newest verified one if empty.
        look_timeout: for reading the whole database once.
        accept_unsigned: names of sets that are drilled with although the key of this node did not sign them.
    """

    component: str
    newer: str = ""
    older: str = ""
    set: str = ""
    root: Path = Path(ROOT)
    state_dir: Path = Path(STATE)
    user: str | None = "aistack"
    ini: str = "alembic.ini"
    x: Mapping[str, str] = field(default_factory=dict)
    url_variable: str = "DATABASE_URL"
    tables: Sequence[str] = ()
    budget: float = 60.0
    lock_timeout: float = 2.0
    statement_timeout: float = 0.0
    timeout: float = 3600.0
    look_timeout: float = 600.0
    min_free: int = 268435456
    identity: str = ""
    identity_file: str = ""
    accept_unsigned: Sequence[str] = ()
    run: str = ""
    actor: str = ""

    @property
    def layout(self) -> Layout:
        return Layout(self.root, self.component)

    @property
    def journal(self) -> Journal:
        return Journal.of(self.state_dir)


@dataclass
class _Drill:
    """One call, and what is known about it."""

    request: Request
    newer: str
    older: str
    server: Server
    database: str
    env: Path
    entry: Mapping[str, Any]
    stack: str
    place: Path = Path()
    graphs: dict[str, RevisionGraph] = field(default_factory=dict)
    steps: dict[str, str] = field(default_factory=dict)

    @property
    def scratch(self) -> str:
        return pure.scratch_name(self.database)

    def heads(self, tag: str) -> list[str]:
        return self.graphs[tag].heads()

    def alembic(self, tag: str, **more: Any) -> alembic_plan.Request:
        """A request to a release's code, about the scratch database alone."""
        asked = self.request
        return alembic_plan.Request(
            component=asked.component, release=tag, root=str(asked.root), state_dir=str(self.place), node_state=str(asked.state_dir),
            release_path=str(asked.layout.release(tag)), env_file=str(self.env), user=asked.user, ini=asked.ini, x=asked.x,
            url_variable=asked.url_variable, database=self.scratch, policy=ALLOW, budget=asked.budget, lock_timeout=asked.lock_timeout,
            statement_timeout=asked.statement_timeout, lock_wait=10.0, backup=False, allow_base=True, run=asked.run, actor=asked.actor,
            **more,
        )


def run(request: Request, check: bool = False) -> dict[str, object]:
    """Drills going back from one release to another; returns what :func:`pure.judge` found, and what it was found with.

    C(component), C(from), C(to), C(set), C(made), C(verdict), C(msg), C(steps), C(tables), C(time), C(record) (the file that it was
    written into), C(changed). With ``check`` it ends before the database is restored. Raises DrillError.
    """
    try:
        drill = _begin(request)
        with drill_scratch.ours(drill.server, drill.database, check) as psql, _place(request, check) as drill.place:
            if not check:
                _settle(request)
            return _prepared(drill, psql, check)
    except MigrationError as problem:
        raise DrillError(problem.code, f"Nothing was drilled: {_one_line(problem)}{_hint(problem.code)}") from problem
    except (RestoreError, DatabaseError, BackupSetError, BackupError, PartError, NotYet, ValueError, LookupError, OSError) as problem:
        code = str(getattr(problem, "code", "") or getattr(problem, "kind", "") or "input")
        raise DrillError(code, f"Nothing was drilled: {problem}{_hint(code)}") from problem


def _hint(code: str) -> str:
    if code != "refused":
        return ""
    return (
        f" A drill works in a database named <database>{pure.SUFFIX}: run site.yml once, whose role postgres lets the"
        " application in there, or allow it in pg_hba.conf."
    )


def _one_line(problem: Exception) -> str:
    """A message in one line that is not too long for a page."""
    text = " ".join(str(problem).split())
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def _begin(request: Request) -> _Drill:
    """Which releases, and where their database is. Raises DrillError, PartError."""
    newer, older = _tags(request)
    if request.component not in {component.name for component in backup_files.components(request.state_dir, request.root)}:
        raise DrillError("no_component", f"Nothing was drilled: there is no component {request.component} on this node; run site.yml once.")
    described = backup_jobs.load_description(request.state_dir)
    entry = next((one for one in described.get("postgres") or [] if one.get("component") == request.component), None)
    if entry is None:
        raise DrillError(
            "no_database",
            f"Nothing was drilled: {request.state_dir / backup_jobs.DESCRIPTION} names no database of {request.component}, so there is"
            " no set to drill with. Declare it in aistack_backup and make a set: backup.yml.",
        )
    of = backup_files.components(request.state_dir, request.root)
    component = next(one for one in of if one.name == request.component)
    env = backup_jobs.environment_of(component)
    found = backup_jobs.database(entry, of)
    if env is None or found is None:
        raise DrillError("no_environment", f"Nothing was drilled: {request.component} has no environment on this node; run site.yml once.")
    server = restore_postgres.server_of(entry, found[0])
    return _Drill(request, newer, older, server, found[0].database, env, entry, str(described.get("stack") or ""))


def _tags(request: Request) -> tuple[str, str]:
    """The newer and the older release, both staged, both with migrations, which an older one may have none of. Raises DrillError."""
    layout, name = request.layout, request.component
    serves = layout.live()
    live = str((serves["release"] if serves else None) or "")
    newer = request.newer or live
    if not newer:
        raise DrillError("nothing_live", f"Nothing was drilled: nothing of {name} is live on this node. Name the release (-e from=TAG).")
    older = request.older or (state_of(layout, request.journal).previous_good if newer == live else live) or ""
    staged = layout.staged()
    shown = ", ".join(staged) or "none"
    if not older:
        raise DrillError(
            "no_previous_good",
            f"Nothing was drilled: no release of {name} was good before {newer}. Name the one to go back to (-e to=TAG); staged: {shown}.",
        )
    if newer == older:
        raise DrillError("same_release", f"Nothing was drilled: from and to are both {newer}. Name two releases; staged: {shown}.")
    for tag in (newer, older):
        tree = layout.release(tag)
        if tag not in staged:
            raise DrillError(
                "not_staged",
                f"Nothing was drilled: {name} {tag} is not staged on this node ({tree}); staged: {shown}. Deploy it, which stages it,"
                " or name one of these.",
            )
        code = alembic_plan.Request(name, tag, str(request.root), release_path=str(tree), ini=request.ini)
        missing = code_place.unconfigured(code)
        if missing and not (tag == older and _without(layout, tag)):
            raise DrillError(
                "no_migrations",
                f"Nothing was drilled: {name} {tag} has no migrations ({missing}). Going back from or to it"
                f" moves no schema: rollback.yml -e level=app; or name the file: aistack_components.{name}.migrations.config.",
            )
    return newer, older


def _without(layout: Layout, tag: str) -> bool:
    """Whether a release told that it has no migrations when it was staged: the way back to it ends where no revision is."""
    return heads_of_release(tag, layout.manifest(tag), []) == []


@contextlib.contextmanager
def _place(request: Request, check: bool) -> Iterator[Path]:
    """A folder that is gone afterwards; what dead drills left goes first (the lock of drills is held, so none is alive)."""
    if not check:
        for left in request.state_dir.glob(f"{PLACE}{request.component}-*"):
            shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=f"{PLACE}{request.component}-", dir=request.state_dir) as name:
        yield Path(name)


def _settle(request: Request) -> None:
    """Ends the records of dead drills."""
    journal = request.journal
    for item in interrupted(journal.read(), request.component):
        if item.op == "drill":
            detail = {**item.detail, "started": item.seq, "interrupted": True, "error": "interrupted; its database was removed"}
            journal.append(
                {"op": "drill", "component": request.component, "release": item.release, "run": item.run, "outcome": "failed",
                 "detail": detail}
            )


def _prepared(drill: _Drill, psql: Psql, check: bool) -> dict[str, object]:
    """Everything that can be known before something is restored; then the drill."""
    request = drill.request
    _calm(drill, "Nothing was drilled")
    drill.graphs = {tag: _graph(drill, tag) for tag in (drill.older, drill.newer)}
    common: dict[str, Any] = {"component": request.component, "from": drill.newer, "to": drill.older}
    if sorted(drill.heads(drill.newer)) == sorted(drill.heads(drill.older)):
        told = f"both releases have the schema at {words(drill.heads(drill.older))}: nothing of it moves, and level app takes the code back"
        return {**common, "verdict": drill_text.UNNEEDED, "msg": told, "changed": False}
    path, manifest = _set(drill, check)
    source = _source(drill, path, manifest)
    held = [str(head) for head in source.part["facts"].get("heads") or []]
    way = pure.way(held, drill.graphs[drill.older], drill.graphs[drill.newer], (drill.older, drill.newer))
    if way.problem:
        raise DrillError(
            "wrong_schema", f"Nothing was drilled with the set {path.name}: {way.problem}. Name another (-e set=NAME) or other releases."
        )
    drill_scratch.ready(drill.server, psql, drill.database, source)
    common.update(set=path.name, made=manifest.get("made"))
    if check:
        told = f"{path.name} would be restored into {drill.scratch}, and go {words(drill.heads(drill.older))} → "
        return {**common, "changed": True, "msg": f"{told}{words(drill.heads(drill.newer))} and back"}
    return _drilled(drill, psql, source, way, held, common)


def _calm(drill: _Drill, what: str) -> None:
    """Somebody who changes the node goes first. Raises DrillError (code C(busy)), DatabaseError."""
    request = drill.request
    holder = lock.Lock(request.state_dir).holder()
    why = ""
    if holder is not None and (not request.run or holder.get("run") != request.run):
        why = f"another run changes this node: {lock.describe(holder)}"
    elif drill_scratch.migrating(drill.server, drill.database):
        why = f"a migration of {drill.database} is under way"
    if why:
        raise DrillError("busy", f"{what}: {why}. A drill makes nobody wait; run it again when that is done.")


def _graph(drill: _Drill, tag: str) -> RevisionGraph:
    """The revisions of a release, told by its own code; one that has none may not even have Alembic. Raises MigrationError, NotYet."""
    if _without(drill.request.layout, tag):
        return RevisionGraph()
    asked = drill.alembic(tag)
    with alembic_plan.start(asked, alembic_plan.context_of(asked)) as session:
        alembic_plan.ask(asked, session, "open")
        return RevisionGraph.of(alembic_plan.ask(asked, session, "graph")["revisions"])


def _set(drill: _Drill, check: bool) -> tuple[Path, dict[str, object]]:
    """The set, read back whole. Raises DrillError, BackupSetError."""
    state_dir, name = drill.request.state_dir, drill.request.set
    if not name:
        newest = catalog.newest_verified(state_dir, drill.stack)
        if newest is None:
            count = len(catalog.listed(state_dir))
            raise DrillError(
                "no_set",
                f"Nothing was drilled: {catalog.folder_of(state_dir)} has no verified backup set of this stack ({count} of other"
                " kinds). Make one: backup.yml.",
            )
        name = str(newest["name"])
    seen = catalog.verify(state_dir, name, note=not check)
    manifest: dict[str, Any] = seen["manifest"]
    if seen["problems"]:
        other = catalog.newest_verified(state_dir, drill.stack)
        known = f"; a verified one is {other['name']}" if other and other["name"] != seen["name"] else ""
        raise DrillError(
            "unverifiable",
            f"Nothing was drilled: the set {seen['name']} cannot be used: {'; '.join(seen['problems'][:3])}. Nothing can be restored from"
            f" it: make a new one (backup.yml), or name another one (-e set=NAME){known}.",
            problems=seen["problems"],
        )
    if manifest["format"] != FORMAT:
        raise DrillError("no_set", f"Nothing was drilled: {seen['name']} is a dump of before a migration. Name one (-e set=NAME).")
    if str(manifest.get("stack") or "") != drill.stack:
        raise DrillError("other_stack", f"Nothing was drilled: {seen['name']} is of the stack {manifest.get('stack')}, not {drill.stack}.")
    catalog.require_ours(
        state_dir,
        Path(seen["path"]),
        str(seen["signature"]),
        drill.request.accept_unsigned,
        "Nothing was drilled",
        "Its dump is run on the server that serves",
    )
    return Path(seen["path"]), manifest


def _source(drill: _Drill, path: Path, manifest: Mapping[str, Any]) -> Source:
    """The database in the set, decrypted where it has to be. Raises DrillError, PartError."""
    request, name = drill.request, str(drill.entry["name"])
    part = next((one for one in manifest["parts"] if (one["kind"], one["name"]) == ("postgres", name)), None)
    if part is None:
        raise DrillError("no_part", f"Nothing was drilled: the set {path.name} does not hold postgres:{name}. Name another (-e set=NAME).")
    if not part.get("encrypted"):
        return Source(path, part, manifest["files"], path.name, request.timeout, request.min_free)
    restore_part.need(drill.place, int(part["bytes"]), request.min_free, f"postgres:{name}")
    plain = backup_age.decrypt(path, part, drill.place, request.identity, request.identity_file)
    return Source(drill.place, plain, None, path.name, request.timeout, request.min_free)


def _drilled(
    drill: _Drill, psql: Psql, source: Source, way: pure.Way, held: Sequence[str], common: Mapping[str, object]
) -> dict[str, object]:
    request, began, time_of = drill.request, time.monotonic(), utc_now()
    detail = {"to": drill.older, "set": source.origin}
    with request.journal.operation("drill", request.component, drill.newer, request.run, request.actor, detail) as operation:
        drill_run = DrillRun(version=version_file.load(request.state_dir, request.component))
        with drill_scratch.restored(drill.server, psql, drill.database, source) as (name, seconds):
            drill_run.seconds["restore"] = seconds
            drill.steps["restore"] = f"{source.origin} into {name}, at {words(held)}, and compared with what was saved"
            _go(drill, drill_run, way, held)
        drill_run.seconds["all"] = round(time.monotonic() - began, 3)
        judged = pure.judge(drill_run)
        counted = drill_run.first["fingerprint"]["rows"] if drill_run.first else None
        result: dict[str, Any] = {
            **common, **judged, "time": time_of, "steps": drill.steps, "changed": True,
            "tables": None if counted is None else sum(not drill_run.version.is_named(table) for table in counted),
        }
        operation.detail.update({key: judged[key] for key in ("verdict", "why", "seconds", "recovery_s")})
        result["record"] = str(_write(drill, result))
    told: Any = result
    found: Drilled = told  # as it is written down
    return {**result, "msg": drill_text.line(found)}


def _go(drill: _Drill, drill_run: DrillRun, way: pure.Way, held: Sequence[str]) -> None:
    """The way there and back; it ends at the first step that does not work, with the reason in *course*."""
    request, older, newer = drill.request, drill.heads(drill.older), drill.heads(drill.newer)

    def observe() -> Mapping[str, object]:
        return drill_scratch.observe(drill.server, drill.scratch, request.look_timeout)

    if way.how == "up":
        drill.steps["prepare"] = f"{words(held)} → {words(older)}, by the code of {drill.older}"
        if not _move(drill, drill_run, "prepare", drill.older, state="upgraded", target="head"):
            return
    elif way.how == "down":
        drill_run.held = observe() if sorted(held) == sorted(newer) else None
        drill.steps["prepare"] = f"{words(held)} → {words(older)}, by the code of {drill.newer}"
        if not _down(drill, drill_run, "prepare"):
            return
    drill_run.first = observe()
    drill.steps["upgrade"] = f"{words(older)} → {words(newer)}, by the code of {drill.newer}"
    if not _move(drill, drill_run, "upgrade", drill.newer, state="upgraded", target="head", tables=request.tables):
        return
    drill_run.again = observe() if drill_run.held is not None else None
    drill.steps["downgrade"] = f"{words(newer)} → {words(older)}, by the code of {drill.newer}"
    if _down(drill, drill_run, "downgrade"):
        drill_run.last = observe()


def _down(drill: _Drill, drill_run: DrillRun, step: str) -> bool:
    """Goes down to the older release, with the code of the newer one; False where it cannot be gone."""
    goal = drill.heads(drill.older)
    wanted = {"state": "downgraded", "target": goal[0] if goal else "base"}
    plan = alembic_plan.inspect(drill.alembic(drill.newer, **wanted))
    if not plan["known"]:
        raise DrillError("unknown", f"The drill of {drill.request.component} was broken off: {plan['why']}")
    refusals = [entry for entry in plan["verdict"]["refusals"] if entry["code"] not in ACCEPTED]
    drill_run.goes = drill_run.goes or [loss["text"] for loss in plan["losses"]]  # the first way down sees what was saved
    stuck = [entry["reason"] for entry in refusals if entry["code"] == "irreversible"]
    if stuck:
        drill_run.stuck = " ".join(stuck)
        return False
    if refusals:
        drill_run.broken = f"the downgrade is refused: {' '.join(entry['reason'] for entry in refusals)}"
        return False
    named = [loss["name"] for loss in plan["losses"]]
    named += [entry["revision"] for entry in plan["verdict"]["refusals"] if entry["code"] == "unknown_sql"]
    return _move(drill, drill_run, step, drill.newer, accept_loss=tuple(named), **wanted)


def _move(drill: _Drill, drill_run: DrillRun, step: str, tag: str, **wanted: Any) -> bool:
    """Runs migrations of a release on the scratch database; False where they fail. Raises DrillError for what is not their fault."""
    _calm(drill, f"The drill of {drill.request.component} gave way")
    began = time.monotonic()
    try:
        alembic.migrate(drill.alembic(tag, **wanted))
    except MigrationError as problem:
        tried = problem.facts.get("attempts") or []
        if problem.code in OUTSIDE and (not tried or tried[-1]["outcome"] == "ended"):
            raise
        drill_run.broken = f"{step} with the code of {tag}: {_one_line(problem)}"
        return False
    finally:
        drill_run.seconds[step] = round(time.monotonic() - began, 3)
    return True


def _write(drill: _Drill, result: Mapping[str, object]) -> Path:
    """Puts the drill beside the newer release's tree; what was drilled to other releases stays. Returns the file."""
    layout, newer = drill.request.layout, drill.newer
    keys = (
        "from", "to", "time", "set", "made", "verdict", "why", "lost", "differences", "schema", "goes", "seconds", "recovery_s"
    )
    record = {**{key: result.get(key) for key in keys}, "run": drill.request.run}
    path = layout.drill_file(newer)
    document = {
        "format": pure.FORMAT,
        "component": drill.request.component,
        "release": newer,
        **layout.made_of(newer),
        "drills": {**layout.drills(newer), drill.older: record},
    }
    write_file(path, json.dumps(document, indent=1, sort_keys=True) + "\n", 0o640)
    return path
