# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies of sets in another place, which a dead disk does not take along: C(<path>/<node>/<set>) of a remote of rclone.

rclone's configuration is a file of root's alone, so that no secret is on a command line. The manifest is copied last: what has none
there is no set. What is the same in the copy before is copied on the other side, where its server can do that.
"""

from __future__ import annotations

import json
import platform
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import catalog, plan as backup_plan
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.catalog import MANIFEST, BackupSetError, folder_of
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import files as backup_files, registry as backup_jobs
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import (
    PartError,
    close_to_others,
    run_tool,
    walk_files,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.plan import NAME, Seen
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.sets import PARTIAL, Request, only_one
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import fsync, move, write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import Ended
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal, utc_now

CONFIG = "backup.rclone.conf"
NOTE = "backup.copied"
_WORDS = ("--log-level", "NOTICE", "--transfers", "8", "--checkers", "8", "--retries", "2", "--contimeout", "10s", "--timeout", "60s")
_NOT_THERE = 3  # rclone's exit status for a folder that does not exist


class Copies:
    """The copies of one node's sets. Raises PartError where there can be none."""

    def __init__(self, state_dir: Path, described: Mapping[str, Any], timeout: float | None = None, node: str = "") -> None:
        given = described.get("copy")
        if not given:
            raise PartError("nobody said where sets are copied to. Name the place as copy in aistack_backup, and run site.yml.")
        self.state_dir = state_dir
        self.config = Path(str(given.get("config_file") or state_dir / CONFIG))
        self.place = f"{given['remote']}:{str(given['path']).rstrip('/')}/{node or platform.node()}"
        self.keep: Mapping[str, int] = {**backup_plan.KEEP, **(described.get("keep") or {}), **(given.get("keep") or {})}
        self.timeout = backup_jobs.patience(described, timeout)

    def rclone(self, *words: str, good: Iterable[int] = (0,)) -> Ended:
        """One command. Raises PartError where it ends otherwise than ``good``."""
        try:
            mode = self.config.stat().st_mode
        except OSError as problem:
            told = f"copies: rclone's configuration {self.config} cannot be read: {problem.strerror}."
            raise PartError(f"{told} Give it as backup_copy_config in the inventory, and run site.yml, which writes it.") from problem
        if mode & 0o077:
            raise PartError(f"copies: {self.config} is open to others (mode {mode & 0o777:04o}) and has keys. Expected 0600. Run "
                            "site.yml, which writes it so.")
        ended = run_tool(["rclone", *words, *_WORDS], self.timeout, {"RCLONE_CONFIG": str(self.config)}, "rclone")
        if ended.rc not in set(good):
            said = " | ".join([line for line in ended.stderr.splitlines() if line.strip()][-3:]) or "no message"
            raise PartError(f"copies in {self.place}: rclone {words[0]} ended with {ended.rc}: {said}")
        return ended

    def names(self) -> list[str]:
        """Whole copies, the oldest first."""
        words = ("lsf", "-R", "--files-only", "--max-depth", "2", "--include", f"/*/{MANIFEST}")
        ended = self.rclone(*words, self.place, good=(0, _NOT_THERE))
        found = [line.rpartition("/")[0] for line in ended.stdout.splitlines()] if ended.rc == 0 else []
        return sorted(name for name in found if NAME.match(name))

    def put(self, path: Path) -> bool:
        """Copy a set, unless it is there already; returns whether it was. It is compared afterwards."""
        there = self.names()
        if path.name in there:
            return False
        target = f"{self.place}/{path.name}"
        before = ("--copy-dest", f"{self.place}/{there[-1]}") if there and self._copies_itself() else ()
        self.rclone("copy", "--checksum", "--exclude", f"/{MANIFEST}", *before, str(path), target)
        self.rclone("check", "--one-way", "--exclude", f"/{MANIFEST}", str(path), target)
        self.rclone("copyto", "--checksum", str(path / MANIFEST), f"{target}/{MANIFEST}")
        return True

    def _copies_itself(self) -> bool:
        """Whether the other side copies its own files."""
        features = json.loads(self.rclone("backend", "features", self.place).stdout or "{}").get("Features") or {}
        return bool(features.get("Copy"))

    def prune(self, needed: Mapping[str, str]) -> list[str]:
        """Remove the copies that are as old as sets are kept; returns their names."""
        sets = [Seen(name, "verified") for name in self.names()]
        removed, _kept = backup_plan.retention(sets, self.keep, needed, time.time())
        for name in removed:
            self.rclone("deletefile", f"{self.place}/{name}/{MANIFEST}")  # first, so that half of one is none
            self.rclone("purge", f"{self.place}/{name}")
        return removed

    def get(self, name: str, target: Path) -> None:
        """Bring a copy into a folder that is there."""
        there = self.names()
        if name not in there:
            shown = ", ".join(there[-5:]) or "none"
            raise PartError(f"there is no copy of {name} in {self.place}; the newest there: {shown}.")
        self.rclone("copy", "--checksum", f"{self.place}/{name}", str(target))


def _described(request: Request) -> Mapping[str, Any]:
    return request.description if request.description is not None else backup_jobs.load_description(request.state_dir)


def copy(request: Request, check: bool = False) -> dict[str, Any]:
    """Copy the newest verified set and remove old copies; returns C(name), C(place), C(changed), C(removed). Raises BackupSetError."""
    state_dir = request.state_dir
    try:
        described = _described(request)
        copies = Copies(state_dir, described, request.timeout)
        newest = catalog.newest_verified(state_dir)
        if newest is None:
            raise PartError(f"{folder_of(state_dir)} has no verified set. Make one: backup.yml.")
        answer = {"name": newest["name"], "place": copies.place}
        if check:
            return {**answer, "changed": newest["name"] not in copies.names(), "removed": []}
        # without the lock on the sets: a deployment does not wait for it, and the newest set is never pruned
        changed = copies.put(Path(newest["path"]))
        note = {"name": newest["name"], "place": copies.place, "time": utc_now()}
        write_file(state_dir / NOTE, json.dumps(note, indent=1) + "\n", 0o600)
        of = backup_files.components(state_dir, request.root)
        staged = {component.name: component.layout.staged() for component in of}
        removed = copies.prune(backup_plan.named_sets(Journal.of(state_dir).read(), staged))
    except PartError as problem:
        raise BackupSetError(f"The newest set was not copied: {problem}") from problem
    return {**answer, "changed": changed, "removed": removed}


def copied(state_dir: Path) -> dict[str, Any] | None:
    """The newest set that was copied and compared: C(name), C(place), C(time); None where none was."""
    try:
        document = json.loads((state_dir / NOTE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return dict(document) if isinstance(document, dict) and NAME.match(str(document.get("name"))) else None


def fetch(request: Request, name: str, node: str = "", check: bool = False) -> dict[str, object]:
    """Bring a copy back to C(<state>/backups) and read it back whole; returns C(name), C(path), C(place), C(changed).

    ``node``: of another node's copies. Who made it is judged when it is restored. Raises BackupSetError.
    """
    state_dir = request.state_dir
    final = folder_of(state_dir) / name
    try:
        copies = Copies(state_dir, _described(request), request.timeout, node)
        answer = {"name": name, "path": str(final), "place": copies.place}
        if not NAME.match(name):
            raise PartError(f"{name!r} is no name of a set.")
        if final.is_dir():
            return {**answer, "changed": False}
        if check:
            return {**answer, "changed": name in copies.names()}
        with only_one(state_dir, request.wait):
            partial = final.with_name(PARTIAL + name)
            partial.mkdir(mode=0o700)
            try:
                copies.get(name, partial)
                close_to_others(partial)
                for file in walk_files(partial):
                    fsync(file)
                move(partial, final)
            finally:
                if partial.exists():
                    shutil.rmtree(partial)
        problems = catalog.verify(state_dir, name)["problems"]
    except (PartError, OSError) as problem:
        raise BackupSetError(f"The copy of {name} was not fetched: {problem}") from problem
    if problems:
        shutil.rmtree(final)
        raise BackupSetError(
            f"The copy of {name} in {copies.place} cannot be used: {'; '.join(problems[:3])}. It was removed here. Fetch another.",
            problems=problems,
        )
    return {**answer, "changed": True}
