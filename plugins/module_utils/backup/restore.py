# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Putting a backup set back, or parts of it: proven first, losses told before anybody consents, what is replaced is kept."""

from __future__ import annotations

import contextlib
import json
import platform
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import (
    catalog,
    dump as restore_dump,
    plan as backup_plan,
    sets as backup_set,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import (
    age as backup_age,
    files as backup_files,
    registry as backup_jobs,
    restore as restore_part,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import PartError
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.bucket_restore import BucketRestore
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.files import Component
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.files_restore import FilesRestore, SqliteRestore
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.postgres_restore import PostgresRestore, drop as drop_database
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.redis_restore import RedisRestore
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.restore import Loss, Manager, RestoreContext, Restorer
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.plan import SetManifest
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.sets import BackupSetError
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import Systemd
from ansible_collections.phasegate.aistack.plugins.module_utils.core import progress
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import ROOT
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import LeaseLost, keep_lease, require

LISTS = {"postgres": "postgres", "redis": "redis", "bucket": "buckets", "sqlite": "sqlite"}
"""Kind of a part to the list of the description that says where it belongs."""


@dataclass
class Request:
    """What is to be put back.

    Attributes:
        name: of the set.
        what: parts, as C(kind) or C(kind:name); those that hold data, and the environment, where empty.
        tables: only these tables of the one database that is meant.
        identity, identity_file: of age, for an encrypted set; the text touches no disk.
        timeout: seconds for one part; the description's if None.
        wait, terminate: how sessions are made to leave a database.
        accept_unsigned: names of sets that are restored although the key of this node did not sign them.
    """

    state_dir: Path
    name: str
    root: Path = Path(ROOT)
    what: Sequence[str] = ()
    tables: Sequence[str] = ()
    identity: str = ""
    identity_file: str = ""
    terminate: bool = False
    wait: float = 10.0
    min_free: int = backup_set.MIN_FREE
    timeout: float | None = None
    lock_wait: float = 60.0
    run: str = ""
    actor: str = ""
    accept_unsigned: Sequence[str] = ()
    manager: Manager | None = None


def plan(request: Request, check: bool = False) -> dict[str, object]:
    """What putting it back would take away; nothing that is live changes.

    Without ``check``, databases are restored beside the live ones for that, and stay there for :func:`restore`.
    Returns C(set), C(made), C(age) (seconds), C(node), C(parts) (C(part), C(lines), C(counts), C(change)), C(lines), C(prepared),
    C(warnings).
    Raises BackupSetError.
    """
    with _opened(request, check) as (manifest, restorers):
        return _planned(request, manifest, restorers, check)


def restore(request: Request, confirm: str, check: bool = False) -> dict[str, object]:
    """Put it back; returns the plan, and C(done): part to what was done, C(seconds).

    ``confirm`` has to be the set's name. With ``check`` only the plan. Raises BackupSetError; ``extra`` has C(plan) and C(done)
    where it was interrupted on the way.
    """
    name = backup_set.locate(request.state_dir, request.name).name
    if confirm != name:
        told = f"confirm is {confirm!r}" if confirm else "confirm was not given"
        raise BackupSetError(
            "Nothing was restored: this takes away what the plan lists, and has to be confirmed with the set's name."
            f" Expected -e confirm={name}; {told}.",
            refused=True,
        )
    with _opened(request, check) as (manifest, restorers):
        planned = _planned(request, manifest, restorers, check)
        # a database is exchanged even where it holds the same rows
        planned["changed"] = planned["changed"] or any(title.startswith("postgres:") for title, _restorer in restorers)
        if check:
            return {**planned, "done": {}}
        done: dict[str, Any] = {}
        began = time.monotonic()
        detail = {"set": manifest["name"], "parts": [title for title, _restorer in restorers], "tables": list(request.tables)}
        try:
            with (
                keep_lease(request.state_dir, request.run, f"restore {manifest['name']}"),
                Journal.of(request.state_dir).operation("restore", run=request.run, actor=request.actor, detail=detail) as operation,
            ):
                operation.detail["done"] = done
                for title, restorer in restorers:
                    require(request.state_dir, request.run, f"put {title} back")
                    with progress.step(f"puts {title} back, {len(done) + 1} of {len(restorers)}"):
                        done[title] = _run(title, restorer)
        except (PartError, LeaseLost) as problem:
            rest = [title for title, _restorer in restorers if title not in done]
            told = f" Put back before that: {', '.join(done)}." if done else ""
            raise BackupSetError(f"{problem}{told} Not put back: {', '.join(rest)}.", plan=planned, done=done) from problem
        return {**planned, "done": done, "seconds": round(time.monotonic() - began, 3)}


def _run(title: str, restorer: Restorer) -> dict[str, object]:
    try:
        return restorer.run()
    except OSError as problem:
        raise PartError(f"{title}: {problem.filename or 'its files'}: {problem.strerror or problem}.") from problem


def _planned(request: Request, manifest: SetManifest, restorers: list[tuple[str, Restorer]], check: bool) -> dict[str, Any]:
    losses: list[tuple[str, Loss]] = []
    problems: list[str] = []
    for title, restorer in restorers:
        try:
            losses.append((title, restorer.plan(check)))
        except PartError as problem:
            problems.append(str(problem))
        except OSError as problem:
            problems.append(f"{title}: {problem.filename or 'its files'}: {problem.strerror or problem}.")
    if problems:
        raise BackupSetError("Nothing was restored: " + " ".join(problems), problems=problems)
    warnings = []
    if manifest.get("node") != platform.node():
        warnings.append(f"the set was made on {manifest.get('node')}, this is {platform.node()}")
    return {
        "set": manifest["name"],
        "made": manifest["made"],
        "age": round(time.time() - backup_plan.moment(manifest["name"])),
        "node": manifest.get("node"),
        "parts": [{"part": title, "lines": loss.lines, "counts": loss.counts, "change": loss.change} for title, loss in losses],
        "lines": [line for _title, loss in losses for line in loss.lines],
        "warnings": warnings,
        "prepared": [name for _title, loss in losses for name in loss.prepared],
        "changed": any(loss.change for _title, loss in losses),
    }


@contextlib.contextmanager
def _opened(request: Request, check: bool) -> Iterator[tuple[SetManifest, list[tuple[str, Restorer]]]]:
    """The set's manifest and who puts its parts back, after the set was read back whole. Raises BackupSetError."""
    path = backup_set.locate(request.state_dir, request.name)
    with contextlib.ExitStack() as stack:
        stack.enter_context(backup_set.only_one(request.state_dir, request.lock_wait))
        seen = backup_set.verify(request.state_dir, request.name, note=not check)
        manifest: SetManifest = seen["manifest"]
        if seen["problems"]:
            raise BackupSetError(
                f"Nothing was restored: the set {path.name} cannot be used: {'; '.join(seen['problems'][:3])}. Take another set; a verified"
                f" one is {(backup_set.newest_verified(request.state_dir) or {'name': 'not there'})['name']}.",
                problems=seen["problems"],
            )
        why = "What it holds is written as root"
        catalog.require_ours(request.state_dir, path, str(seen["signature"]), request.accept_unsigned, "Nothing was restored", why)
        whole = manifest["format"] == backup_plan.FORMAT
        opening = path.with_name(f"{backup_set.PARTIAL}{backup_plan.stamp_of(time.time())}-opened")
        try:
            described = _described(request, whole)
            of = backup_files.components(request.state_dir, request.root)
            if not whole:
                opening.mkdir(mode=0o700)
                stack.callback(shutil.rmtree, opening)
                entry = restore_dump.entry_of(manifest, described, of)
                described = {**described, "postgres": [entry]}
                dump = restore_dump.part_of(path, manifest, entry, opening)
                manifest = {"node": platform.node(), **manifest, "name": path.name, "parts": [dump], "files": None}
            elif manifest.get("stack") != described.get("stack", ""):
                raise PartError(
                    f"the set {path.name} is of the stack {manifest.get('stack')!r}, this node is of {described.get('stack', '')!r}."
                    " Take a set of this stack."
                )
            parts = _chosen(request, manifest, path.name)
            for part in parts:
                _inside(part)
            if any(part.get("encrypted") for part in parts):
                opening.mkdir(mode=0o700)
                stack.callback(shutil.rmtree, opening)
            restorers = []
            for part in parts:
                if part.get("encrypted"):
                    plain = _open(request, path, part, opening)
                    restorer = _restorer(request, described, of, path.name, opening, plain, None)
                else:
                    restorer = _restorer(request, described, of, path.name, path if whole else opening, part, manifest["files"])
                restorers.append((f"{part['kind']}:{part['name']}", restorer))
        except PartError as problem:
            raise BackupSetError(f"Nothing was restored: {problem}") from problem
        except OSError as problem:
            raise BackupSetError(f"Nothing was restored: {problem.filename or path}: {problem.strerror}.") from problem
        yield manifest, restorers


def _described(request: Request, needed: bool) -> Mapping[str, object]:
    """What this node has to save; nothing where nobody said and a dump before a migration is put back. Raises PartError."""
    if not needed and not (request.state_dir / backup_jobs.DESCRIPTION).exists():
        return {}
    return backup_jobs.load_description(request.state_dir)


def _inside(part: Mapping[str, Any]) -> None:
    """Every name that a part has in its set stays in the set. Raises PartError."""
    names = [str(part["path"]), *map(str, part.get("facts", {}).get("sources", ())), str(part.get("encrypted", {}).get("path", ""))]
    wrong = [name for name in names if name.startswith("/") or ".." in name.split("/")]
    if wrong:
        raise PartError(f"{part['kind']}:{part['name']} names {wrong[0]!r}, which is outside of its set.")


def _open(request: Request, path: Path, part: Mapping[str, Any], into: Path) -> dict[str, object]:
    """Decrypt one part and judge what is inside. Raises PartError."""
    restore_part.need(into, int(part["bytes"]), request.min_free, f"{part['kind']}:{part['name']}")
    plain = backup_age.decrypt(path, part, into, request.identity, request.identity_file)
    _inside(plain)
    wrong = backup_jobs.verify(into, plain)
    if wrong:
        raise PartError(f"{part['kind']}:{part['name']}: what was encrypted is damaged: {'; '.join(wrong)}.")
    return plain


def _chosen(request: Request, manifest: SetManifest, name: str) -> list[dict[str, Any]]:
    parts, unknown = backup_plan.chosen(manifest["parts"], request.what)
    held = ", ".join(f"{part['kind']}:{part['name']}" for part in manifest["parts"])
    if unknown:
        raise PartError(f"the set {name} has no {', '.join(unknown)}; it has: {held}.")
    if not parts:
        raise PartError(f"the set {name} has nothing to put back unless it is named (-e what=PART); it has: {held}.")
    databases = [part for part in parts if part["kind"] == "postgres"]
    if request.tables and (len(databases) != 1 or len(parts) != 1):
        raise PartError(f"tables are of one database: name it alone, -e what=postgres:NAME; the set has: {held}.")
    return parts


def _restorer(
    request: Request,
    described: Mapping[str, Any],
    of: list[Component],
    origin: str,
    folder: Path,
    part: Mapping[str, Any],
    files: Mapping[str, Any] | None,
) -> Restorer:
    """Who puts a part back. Raises PartError."""
    kind, name = str(part["kind"]), str(part["name"])
    entries = described.get(LISTS[kind], []) if kind in LISTS else []
    entry = next((one for one in entries or [] if one["name"] == name), None)
    if kind in LISTS and entry is None:
        told = f"{kind}:{name} is not in aistack_backup of this node any more, so nobody says where it belongs."
        raise PartError(f"{told} Put it back there, run site.yml, then this again.")
    context = RestoreContext(
        state_dir=request.state_dir,
        run=request.run,
        folder=folder,
        part=part,
        files=files,
        entry=entry or {},
        root=request.root,
        declared=[str(path) for path in described.get("files") or []],
        written=[str(path) for path in described.get(backup_plan.WRITABLE) or []],
        origin=origin,
        stamp=backup_plan.stamp_of(time.time()),
        of=of,
        tables=request.tables,
        wait=request.wait,
        terminate=request.terminate,
        min_free=request.min_free,
        timeout=backup_jobs.patience(described, request.timeout),
    )
    if kind == "postgres":
        return PostgresRestore(context)
    if kind == "redis":
        return RedisRestore(context, request.manager or Systemd())
    if kind == "bucket":
        return BucketRestore(context)
    return SqliteRestore(context) if kind == "sqlite" else FilesRestore(context)


def prune_replaced(state_dir: Path, root: Path, check: bool) -> list[str]:
    """Remove what restores replaced longer ago than sets are kept; returns the names. Raises BackupSetError."""
    try:
        described = backup_jobs.load_description(state_dir)
        of = backup_files.components(state_dir, root)
        days = int({**backup_plan.KEEP, **(described.get("keep") or {})}["days"])

        def drop(note: Mapping[str, object]) -> bool:
            name = str(note["part"]).partition(":")[2]
            entry = next((one for one in described.get("postgres") or [] if one["name"] == name), None)
            if entry is None:
                raise PartError(f"{note['part']} is not in aistack_backup any more; the database {note['database']} stays. Drop it by "
                                "hand.")
            return drop_database(entry, of, note, check)

        return restore_part.prune_replaced(state_dir, days, check, drop)
    except (PartError, json.JSONDecodeError) as problem:
        raise BackupSetError(f"What restores replaced was not removed: {problem}") from problem
