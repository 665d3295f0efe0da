# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node's own files and SQLite databases from a backup set.

An environment comes back as the folder that its hash names; which one a slot runs with stays as it is. Other files go where they
came from. A SQLite database is overwritten by SQLite itself, in one transaction, while others use it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import place as restore_place, sqlite as backup_sqlite
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import PartError, bytes_of, keep_private
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.files import CREDENTIALS
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.restore import (
    Loss,
    RestoreContext,
    enter,
    need,
    place_for,
    shortened,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.plan import WRITABLE
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import Layout

NEVER = {
    "state": "the journal only grows, and what a component is was written by the live release; read it in the set",
}
"""Parts that are evidence."""


_CONFIG = re.compile(r"(?!\.)[A-Za-z0-9._-]+/(?!\.)[A-Za-z0-9._-]+/[A-Za-z0-9._-]+")


class FilesRestore:
    """Environments, credentials, declared files."""

    def __init__(self, context: RestoreContext) -> None:
        self.context = context
        self.sources: Mapping[str, Mapping[str, Any]] = context.part["facts"]["sources"]

    def plan(self, check: bool) -> Loss:
        """Which files would be replaced and which come back."""
        self._refuse()
        differ, gone = self._seen()
        lines = []
        if differ:
            lines.append(
                f"{self.context.title}: {len(differ)} files are replaced: {shortened([str(self._target(name)) for name in differ])}"
            )
        if gone:
            lines.append(f"{self.context.title}: {len(gone)} files come back: {shortened([str(self._target(name)) for name in gone])}")
        counts = {"replaced": len(differ), "returned": len(gone), "same": len(self.sources) - len(differ) - len(gone)}
        return Loss(lines or [f"{self.context.title}: nothing differs"], counts, bool(lines))

    def _refuse(self) -> None:
        """What is never put back, and what today's description does not name: a set says itself where its files came from."""
        name = str(self.context.part["name"])
        if self.context.part["kind"] == "releases" or name in NEVER:
            raise PartError(f"{self.context.title} is not put back: {NEVER.get(name, 'a release is staged, never restored')}.")
        strange = [inside for inside in self.sources if not self._allowed(inside)]
        if strange:
            raise PartError(
                f"{self.context.title}: {shortened([str(self._target(inside)) for inside in strange])} is not this part's to write:"
                f" expected {self._places()}. Nothing was changed. Declare it in"
                f" {'the component' if name == WRITABLE else 'aistack_backup'} and run site.yml, or take it out of"
                f" {self.context.path} by hand."
            )

    def _allowed(self, inside: str) -> bool:
        if self.context.part["name"] == "config":
            return bool(_CONFIG.fullmatch(inside))
        if self.context.part["name"] == CREDENTIALS:
            return "/" not in inside
        target = str(self._target(inside))
        return any(target == path.rstrip("/") or target.startswith(f"{path.rstrip('/')}/") for path in self._named())

    def _named(self) -> Sequence[str]:
        """Files and folders that today's description names for this part."""
        return self.context.written if self.context.part["name"] == WRITABLE else self.context.declared

    def _places(self) -> str:
        """Where files of this part belong, for messages."""
        if self.context.part["name"] == "config":
            return f"{self.context.root}/<component>/config/<hash>/<file>"
        if self.context.part["name"] == CREDENTIALS:
            return f"files in {self.context.state_dir / CREDENTIALS}"
        named = ", ".join(self._named()) or "nothing"
        if self.context.part["name"] == WRITABLE:
            return f"what 'writable' of this node's components names ({named})"
        return f"what files in aistack_backup names ({named})"

    def _target(self, name: str) -> Path:
        """Where a file belongs: an environment under its component's folder of today, a declared file at its own path."""
        if self.context.part["name"] == CREDENTIALS:
            return self.context.state_dir / CREDENTIALS / name
        if self.context.part["name"] != "config":
            return Path("/") / name
        component, _slash, rest = name.partition("/")
        known = next((one.layout for one in self.context.of if one.name == component), Layout(self.context.root, component))
        return known.configs / rest

    def _seen(self) -> tuple[list[str], list[str]]:
        """Files that are there and differ, files that are not there."""
        differ, gone = [], []
        for name, about in self.sources.items():
            same = self._same(name, about)
            if same is None:
                gone.append(name)
            elif not same:
                differ.append(name)
        return differ, gone

    def _same(self, name: str, about: Mapping[str, object]) -> bool | None:
        """Whether a file is as in the set; None where it is not there."""
        target = self._target(name)
        try:
            with restore_place.opened(target.parent) as place:
                state = place.lstat(target.name)
                if state is None:
                    return None
                if "link" in about:
                    return stat.S_ISLNK(state.st_mode) and os.readlink(target.name, dir_fd=place.handle) == about["link"]
                saved = self.context.path / name
                if not stat.S_ISREG(state.st_mode) or state.st_size != saved.stat().st_size:
                    return False
                with place.read(target.name) as there, open(saved, "rb") as then:
                    return _alike(there, then)
        except FileNotFoundError:
            return None

    def run(self) -> dict[str, object]:
        """Put them back; returns C(replaced), C(returned) (paths) and C(kept), the folder with what was there."""
        self._refuse()
        differ, gone = self._seen()
        need(self.context.state_dir, bytes_of(self.context.path), self.context.min_free, self.context.title)
        kept = ""
        if differ:
            place = place_for(self.context)
            kept = str(place)
            for name in differ:
                self._keep(self._target(name), place / name)
            enter(self.context, place, what="files", files={name: str(self._target(name)) for name in differ})
        for name in [*differ, *gone]:
            self._put(name)
        changed = {"replaced": differ, "returned": gone}
        return {**{key: [str(self._target(name)) for name in names] for key, names in changed.items()}, "kept": kept}

    def _keep(self, target: Path, kept: Path) -> None:
        """Save what is there; a link says in the note where it was."""
        with restore_place.opened(target.parent) as place:
            state = place.lstat(target.name)
            if state is not None and stat.S_ISREG(state.st_mode):
                with place.read(target.name) as reading:
                    keep_private(reading, kept)

    def _put(self, name: str) -> None:
        about, target = self.sources[name], self._target(name)
        owner = (int(about["owner"][0]), int(about["owner"][1]))
        with restore_place.opened(target.parent, make=True) as place:
            state = place.lstat(target.name)
            if state is not None and stat.S_ISDIR(state.st_mode):
                raise PartError(f"{target} is a folder now; expected a file. Nothing of it was touched. Move it away and run again.")
            if "link" in about:
                place.link(target.name, str(about["link"]), owner)
                return
            with open(self.context.path / name, "rb") as reading:
                place.put(target.name, reading, int(str(about["mode"]), 8), owner)


def _alike(first: BinaryIO, second: BinaryIO) -> bool:
    """Whether two files hold the same."""
    while True:
        one, other = first.read(1 << 20), second.read(1 << 20)
        if one != other:
            return False
        if not one:
            return True


class SqliteRestore:
    """One SQLite database."""

    def __init__(self, context: RestoreContext) -> None:
        self.context = context
        self.target = Path(str(context.entry["path"]))

    def plan(self, check: bool) -> Loss:
        """Rows of each table now and in the set."""
        then: Mapping[str, int] = self.context.part["facts"]["rows"]
        try:
            with restore_place.holding(self.target) as (place, name):
                place.read(name).close()  # a link of somebody else's is refused before anything is made of it
        except FileNotFoundError:
            return Loss([f"{self.target} is not there and comes back with {sum(then.values())} rows"], {"rows_then": sum(then.values())})
        try:
            with backup_sqlite.opened(self.target) as live, backup_sqlite.opened(self.context.path) as saved:
                now = backup_sqlite.rows(live)
                if now == dict(then) and backup_sqlite.same(live, saved):
                    return Loss([f"{self.context.title}: nothing differs"], {"rows_now": sum(now.values())}, False)
        except PartError as problem:
            return Loss([f"{self.target} cannot be read ({problem}); it is replaced as it is"], {"rows_then": sum(then.values())})
        lines = [
            f"{self.target}: table {name} has {now.get(name, 'no')} rows now, {then.get(name, 'no such table')} in the set"
            for name in sorted(set(now) | set(then))
            if now.get(name) != then.get(name)
        ]
        lost = sum(max(0, count - then.get(name, 0)) for name, count in now.items())
        told = f"{self.target}: every row is replaced by the set's; rows changed since are as they were then"
        return Loss([*lines, told], {"rows_now": sum(now.values()), "rows_then": sum(then.values()), "rows_fewer": lost})

    def run(self) -> dict[str, object]:
        """Put it back; returns C(rows) and C(kept), the file with what was there."""
        facts = self.context.part["facts"]
        size = self.context.path.stat().st_size
        kept = ""
        with restore_place.opened(self.target.parent, make=True):
            pass  # where it was removed with its folder
        with restore_place.holding(self.target) as (place, name):
            state = place.lstat(name)
            if state is not None:
                need(self.context.state_dir, state.st_size, self.context.min_free, self.context.title)
                folder = place_for(self.context)
                kept = str(folder / self.target.name)
                self._keep(place, name, Path(kept))
                enter(self.context, folder, what=f"SQLite database {self.target}")
                need(place.path, size, self.context.min_free, self.context.title)
                if self._overwrite(place, name, state):
                    return {"rows": backup_sqlite.observe(place.path / name)["rows"], "kept": kept}
            need(place.path, size, self.context.min_free, self.context.title)
            for suffix in ("-wal", "-shm", "-journal"):
                place.remove(name + suffix)
            with open(self.context.path, "rb") as reading:
                place.put(name, reading, int(str(facts["mode"]), 8), (int(facts["owner"][0]), int(facts["owner"][1])))
            return {"rows": backup_sqlite.observe(place.path / name)["rows"], "kept": kept}

    def _keep(self, place: restore_place.Place, name: str, kept: Path) -> None:
        """Save what is there: by SQLite, or as it is where SQLite cannot read it."""
        with place.read(name):
            pass
        try:
            backup_sqlite.copy(place.path / name, kept)
        except PartError as problem:
            if "locked" in str(problem):
                raise
            for suffix in ("", "-wal"):
                if place.lstat(name + suffix) is not None:
                    target = kept.with_name(kept.name + suffix)
                    target.unlink(missing_ok=True)
                    with place.read(name + suffix) as reading:
                        keep_private(reading, target)

    def _overwrite(self, place: restore_place.Place, name: str, state: os.stat_result) -> bool:
        """Have SQLite write the set's pages over the live ones; False where it cannot read the live one at all.

        SQLite works by path, so it does that as the one whose folder it is, and can harm nobody else.
        """
        around = os.fstat(place.handle)
        owner = around if around.st_uid else state

        def work() -> None:
            with backup_sqlite.opened(self.context.path) as reading:
                reading.execute("SELECT count(*) FROM sqlite_master").fetchone()  # opens the file, which is root's alone
                restore_place.become(owner.st_uid, owner.st_gid)
                with backup_sqlite.opened(place.path / name, "rw") as writing:
                    backup_sqlite.into(reading, writing)

        try:
            restore_place.in_child(work)
        except PartError as problem:
            if "locked" in str(problem):
                raise PartError(f"{problem} Nothing was changed. Stop what uses it, and run again.") from problem
            return False
        return True
