# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backup sets of a node: everything that a deployment could damage, saved together, proven, then named.

A set is made in C(<state>/backups/.partial-<name>) and renamed when every part of it was read back. One is made at a time, under
a lock on C(<state>/backups/.lock), which ends with its process: whatever partial folder stands there afterwards is of a dead one
and is swept. What a later look found is noted beside the sets, in C(.checked-<name>.json); a set itself never changes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import failure as backup_failed, plan as backup_plan
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.catalog import (
    CHECKED,
    MANIFEST,
    BackupSetError,
    folder_of,
    listed,
    load,
    locate,
    newest_verified,
    verify,
    write_json,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import (
    age as backup_age,
    files as backup_files,
    objects as backup_list,
    registry as backup_jobs,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import (
    Files,
    Job,
    PartError,
    Saved,
    close_to_others,
    hash_files,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.plan import FORMAT, Room, Seen, SetManifest
from ansible_collections.phasegate.aistack.plugins.module_utils.core import flock, progress, signature as backup_key
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import fsync, move
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import ROOT
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal, utc_now
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import keep_lease
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.tools import free_bytes
from ansible_collections.phasegate.aistack.plugins.module_utils.release import tree

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import LiveLinks

PARTIAL = ".partial-"
REMOVING = ".removing-"
LOCK = ".lock"
MIN_FREE = 268435456

# a dump before a migration has more hyphens; it is swept by those who make it
_OWN_PARTIAL = re.compile(r"^\.partial-\d{8}T\d{6}Z-[^-]+\Z")


@dataclass
class Request:
    """What is to be made.

    Attributes:
        reason: becomes part of the name; ``stamp`` (``yyyymmddThhmmssZ``) the rest of it, now if empty.
        description: as in ``backup.json``; read from there if None.
        min_free: bytes that have to stay free besides; the description's, or 256 MiB, if None.
        timeout: seconds for one part; the description's if None; ``wait``: seconds to wait for another set that is being made.
    """

    state_dir: Path
    reason: str
    root: Path = Path(ROOT)
    run: str = ""
    actor: str = ""
    stamp: str = ""
    description: Mapping[str, Any] | None = None
    min_free: int | None = None
    timeout: float | None = None
    wait: float = 300.0


@dataclass
class Preflight:
    """Everything known before something is written."""

    described: dict[str, Any]
    jobs: list[Job]
    left_out: list[str]
    live: dict[str, LiveLinks]
    room: Room
    recipient: str


@contextlib.contextmanager
def only_one(state_dir: Path, wait: float) -> Iterator[None]:
    """Hold the lock on the sets while the block runs, with what dead processes left swept. Raises BackupSetError."""
    folder = folder_of(state_dir)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        end = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise BackupSetError(
                        f"Another set is being made, pruned or restored on this node for more than {wait:g} s, by"
                        f" {flock.named(folder / LOCK)} (lock {folder / LOCK}). Wait for it and run again."
                    ) from None
                progress.tell(f"waits for {flock.named(folder / LOCK)}, which makes, prunes or restores a set")
                time.sleep(0.1)
        for path in folder.iterdir():
            if _OWN_PARTIAL.fullmatch(path.name) or path.name.startswith(REMOVING):
                shutil.rmtree(path)
        yield
    finally:
        os.close(handle)


def make(request: Request, check: bool = False) -> dict[str, Any]:
    """Make a set; returns C(name), C(path), C(manifest), C(bytes), C(seconds), C(left_out).

    With ``check`` nothing is written: C(name), C(parts) with their sizes, C(needed) and C(free) in bytes, C(left_out).

    Raises:
        BackupSetError: it cannot be made, does not fit, or cannot be read back; nothing of it is left, nothing was moved.
    """
    if check:
        preflight = _preflight(request)
        room = {"needed": preflight.room.needed, "free": preflight.room.free}
        return {"name": _name(request), "parts": dict(preflight.room.sizes), **room, "left_out": preflight.left_out}
    journal = Journal.of(request.state_dir)
    with contextlib.ExitStack() as stack:
        stack.enter_context(only_one(request.state_dir, request.wait))
        name = _name(request)
        stack.enter_context(keep_lease(request.state_dir, request.run, f"backup {request.reason}", beside=True))
        told = {"set": name, "reason": request.reason}
        operation = stack.enter_context(journal.operation("backup", run=request.run, actor=request.actor, detail=told))
        preflight = _preflight(request)
        manifest = _write(request, preflight, folder_of(request.state_dir) / name)
        total = backup_list.total(manifest)
        operation.detail.update(bytes=total, seconds=manifest["seconds"], verdict=manifest["verdict"])
        backup_failed.clear(request.state_dir)
    path = folder_of(request.state_dir) / name
    return {
        "name": name,
        "path": str(path),
        "manifest": manifest,
        "bytes": total,
        "seconds": manifest["seconds"],
        "left_out": preflight.left_out,
    }


def _name(request: Request) -> str:
    """The set's name, or the next one where two sets of one second have the same reason. Raises BackupSetError."""
    stamp = request.stamp or backup_plan.stamp_of(time.time())
    try:
        name = backup_plan.set_name(stamp, request.reason)
    except ValueError as problem:
        raise BackupSetError(f"No backup set: {problem}.") from problem
    number, found = 2, name
    while os.path.lexists(folder_of(request.state_dir) / found):
        found = f"{name}.{number}"
        number += 1
    return found


def _preflight(request: Request) -> Preflight:
    """Look at everything that is to be saved, and at the disk. Raises BackupSetError."""
    try:
        if request.description is None:
            described = backup_jobs.load_description(request.state_dir)
        else:
            described = backup_jobs.checked(request.description, "the description given")
        of = backup_files.components(request.state_dir, request.root)
        previous = _previous(request.state_dir)
        timeout = backup_jobs.patience(described, request.timeout)
        jobs, left_out = backup_jobs.build(described, request.state_dir, of, previous, timeout)
        recipient = str((described.get("encrypt") or {}).get("recipient", ""))
        if recipient:
            backup_age.version()
    except PartError as problem:
        raise BackupSetError(f"No backup set: {problem} Nothing was moved.") from problem
    sizes, problems = _each(jobs, lambda job: job.size())
    if problems:
        raise BackupSetError(_several("No backup set", problems), problems=problems)
    given = request.min_free if request.min_free is not None else described.get("min_free_bytes")
    folder = folder_of(request.state_dir)
    room = backup_plan.room(sizes, free_bytes(folder), MIN_FREE if given is None else int(given), bool(recipient), str(folder))
    if room.problem:
        raise BackupSetError(f"No backup set: {room.problem}. Nothing was moved.", needed=room.needed, free=room.free)
    return Preflight(described, jobs, left_out, backup_files.live(of), room, recipient)


def _several(what: str, problems: Sequence[str]) -> str:
    if len(problems) == 1:
        return f"{what}: {problems[0]} Nothing was moved."
    return f"{what}: {len(problems)} parts failed. Nothing was moved.\n" + "\n".join(f"  - {problem}" for problem in problems)


def _each(jobs: Sequence[Job], work: Any) -> tuple[dict[str, Any], list[str]]:
    """Do something for every job, side by side; returns the answers by title, and what went wrong."""
    answers: dict[str, Any] = {}
    problems: list[str] = []
    with ThreadPoolExecutor(max(1, len(jobs))) as pool:
        futures = [(job, pool.submit(work, job)) for job in jobs]
        for job, future in futures:
            try:
                answers[job.title] = future.result()
            except PartError as problem:
                problems.append(f"{job.title}: {problem}")
            except OSError as problem:
                problems.append(f"{job.title}: {problem.filename or 'its files'}: {problem.strerror or problem}.")
    return answers, problems


def _write(request: Request, preflight: Preflight, final: Path) -> SetManifest:
    """Make the folder, prove it, rename it; returns the manifest."""
    partial = final.with_name(PARTIAL + final.name)
    began = time.monotonic()
    made = utc_now()
    try:
        partial.mkdir(mode=0o700)
        with progress.watched(lambda: _so_far(partial, preflight.jobs)):
            answers, problems = _each(preflight.jobs, lambda job: _part(job, partial, preflight.recipient))
        if problems:
            raise BackupSetError(_several("No backup set", problems), problems=problems)
        parts = [answers[job.title][0] for job in preflight.jobs]
        files: Files = {}
        tools: dict[str, str] = {"python": platform.python_version()}
        for _part_of_set, known, versions in answers.values():
            files.update(known)
            tools.update({tool: version for tool, version in versions.items() if version})
        if preflight.recipient:
            tools["age"] = backup_age.version()
        files, objects = backup_list.write(partial, parts, files)
        manifest: SetManifest = {
            "format": FORMAT,
            "name": final.name,
            "stack": str(preflight.described.get("stack") or ""),
            "node": platform.node(),
            "reason": request.reason,
            "run": request.run,
            "made": made,
            "seconds": round(time.monotonic() - began, 3),
            "verdict": backup_plan.verdict([]),
            "tools": dict(sorted(tools.items())),
            "parts": parts,
            "files": files,
            "live": preflight.live,
            "heads": {
                part["facts"]["component"]: part["facts"].get("heads", [])
                for part in parts
                if part["kind"] == "postgres" and part["facts"].get("component") and part["facts"].get("heads", []) is not None
            },
            "left_out": preflight.left_out,
        }
        if objects:
            manifest["objects"] = objects
        close_to_others(partial)
        write_json(partial / MANIFEST, manifest)
        backup_key.sign(request.state_dir, partial, final.name)
        for here, _names, _files in os.walk(partial):
            fsync(Path(here))
        move(partial, final)
    except backup_key.KeyProblem as problem:
        raise BackupSetError(f"No backup set: it cannot be signed, {problem}. Nothing was moved.") from problem
    except OSError as problem:
        raise BackupSetError(f"No backup set: {problem.filename or partial}: {problem.strerror}. Nothing was moved.") from problem
    finally:
        if partial.exists():
            shutil.rmtree(partial)
    return manifest


def _so_far(folder: Path, jobs: Sequence[Job]) -> str:
    """How much of a set there is, and what it is made of."""
    size = backup_plan.size_text(sum(path.lstat().st_size for path in folder.rglob("*")))
    return f"{size} so far of {', '.join(job.title for job in jobs)}"


def _part(job: Job, folder: Path, recipient: str) -> tuple[dict[str, object], Files, dict[str, str]]:
    """Save and prove one part; returns it as the manifest has it, the checksums of its files, the tools' versions."""
    began = time.monotonic()
    saved: Saved = job.save(folder)
    part: dict[str, Any] = {"kind": job.kind, "name": job.name, "path": job.path, "facts": saved.facts}
    wrong = backup_jobs.verify(folder, part)
    if wrong:
        raise PartError("what was saved cannot be used: " + "; ".join(wrong) + ".")
    known: Mapping[str, Mapping[str, Any]] = saved.files
    if recipient:
        part, known = backup_age.encrypt(folder, part, recipient), {}
    files = hash_files(folder, str(part["path"]), known)
    total = sum(int(entry["bytes"]) for entry in files.values())
    ordered = {key: part[key] for key in ("kind", "name", "path")}
    seconds = round(time.monotonic() - began, 3)
    return {**ordered, "bytes": total, "seconds": seconds, **part}, files, saved.tools


def _previous(state_dir: Path) -> tuple[Path, SetManifest] | None:
    newest = newest_verified(state_dir)
    return (Path(newest["path"]), load(Path(newest["path"]))) if newest else None


def pruned(request: Request, check: bool = False) -> dict[str, Any]:
    """Remove the sets that nobody needs; returns C(removed), oldest first, and C(kept) with the reason for each.

    Raises BackupSetError.
    """
    state_dir = request.state_dir
    with contextlib.ExitStack() as stack:
        if not check:
            stack.enter_context(only_one(state_dir, request.wait))
        try:
            described = request.description if request.description is not None else backup_jobs.load_description(state_dir)
            of = backup_files.components(state_dir, request.root)
        except PartError as problem:
            raise BackupSetError(f"No set was removed: {problem}") from problem
        journal = Journal.of(state_dir)
        needed = backup_plan.named_sets(journal.read(), {component.name: component.layout.staged() for component in of})
        sets = [Seen(one["name"], one["verdict"], one["format"] != 1) for one in listed(state_dir)]
        removed, kept = backup_plan.retention(sets, {**backup_plan.KEEP, **(described.get("keep") or {})}, needed, time.time())
        if removed and not check:
            with journal.operation("prune", run=request.run, actor=request.actor, detail={"sets": removed}):
                for name in removed:
                    tree.remove(folder_of(state_dir) / name)
                    with contextlib.suppress(FileNotFoundError):  # not every set was ever read back
                        (folder_of(state_dir) / f"{CHECKED}{name}.json").unlink()
    return {"removed": removed, "kept": kept}


__all__ = [
    "BackupSetError",
    "Request",
    "folder_of",
    "listed",
    "load",
    "locate",
    "make",
    "newest_verified",
    "only_one",
    "pruned",
    "verify",
]
