# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node's own files and SQLite databases from a backup set.

An environment comes back as the folder that its hash names; which one a slot runs with stays as it is. Other files go where they
came from. A SQLite database is overwritten by SQLite itself, in one transaction, while others use it.
"""

from __future__ import annotations

import filecmp
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import backup_sqlite
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.backup_part import PartError, bytes_of, copy_private
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.restore_part import Ground, Loss, enter, need, place_for, some
from ansible_collections.phasegate.aistack.plugins.module_utils.durable import fsync_dir

NEVER = {
    "state": "the journal only grows, and what a component is was written by what serves now; read it in the set",
}
"""Parts that are evidence."""


class FilesRestore:
    """Environments, credentials, declared files."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.sources: Mapping[str, Mapping[str, Any]] = ground.part["facts"]["sources"]

    def plan(self, check: bool) -> Loss:
        """Which files would be replaced and which come back."""
        self._refuse()
        differ, gone = self._seen()
        lines = []
        if differ:
            lines.append(f"{self.ground.title}: {len(differ)} files are replaced: {some([str(self._target(name)) for name in differ])}")
        if gone:
            lines.append(f"{self.ground.title}: {len(gone)} files come back: {some([str(self._target(name)) for name in gone])}")
        counts = {"replaced": len(differ), "returned": len(gone), "same": len(self.sources) - len(differ) - len(gone)}
        return Loss(lines or [f"{self.ground.title}: nothing differs"], counts, bool(lines))

    def _refuse(self) -> None:
        name = str(self.ground.part["name"])
        if self.ground.part["kind"] == "releases" or name in NEVER:
            raise PartError(f"{self.ground.title} is not put back: {NEVER.get(name, 'a release is staged, never restored')}.")

    def _target(self, name: str) -> Path:
        """Where a file belongs: an environment under its component's folder of today, everything else where it came from."""
        if self.ground.part["name"] != "config":
            return Path(str(self.sources[name]["source"]))
        component, _slash, rest = name.partition("/")
        for known in self.ground.of:
            if known.name == component:
                return known.layout.base / "config" / rest
        return Path(str(self.sources[name]["source"]))

    def _seen(self) -> tuple[list[str], list[str]]:
        """Files that are there and differ, files that are not there."""
        differ, gone = [], []
        for name, about in self.sources.items():
            target = self._target(name)
            if not os.path.lexists(target):
                gone.append(name)
            elif "link" in about:
                if not target.is_symlink() or os.readlink(target) != about["link"]:
                    differ.append(name)
            elif target.is_symlink() or not target.is_file() or not filecmp.cmp(self.ground.path / name, target, shallow=False):
                differ.append(name)
        return differ, gone

    def run(self) -> dict[str, Any]:
        """Put them back; returns C(replaced), C(returned) (paths) and C(kept), the folder with what was there."""
        self._refuse()
        differ, gone = self._seen()
        need(self.ground.state_dir, bytes_of(self.ground.path), self.ground.min_free, self.ground.title)
        kept = ""
        if differ:
            place = place_for(self.ground)
            kept = str(place)
            for name in differ:
                target = self._target(name)
                if target.is_file() and not target.is_symlink():
                    copy_private(target, place / name)
            enter(self.ground, place, what="files", files={name: str(self._target(name)) for name in differ})
        for name in [*differ, *gone]:
            self._put(name)
        changed = {"replaced": differ, "returned": gone}
        return {**{key: [str(self._target(name)) for name in names] for key, names in changed.items()}, "kept": kept}

    def _put(self, name: str) -> None:
        about, target = self.sources[name], self._target(name)
        if target.is_dir() and not target.is_symlink():
            raise PartError(f"{target} is a folder now; expected a file. Nothing of it was touched. Move it away and run again.")
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.restore")
        beside.unlink(missing_ok=True)
        if "link" in about:
            os.symlink(str(about["link"]), beside)
        else:
            copy_private(self.ground.path / name, beside)
            os.chmod(beside, int(str(about["mode"]), 8))
        if os.geteuid() == 0:
            os.chown(beside, int(about["owner"][0]), int(about["owner"][1]), follow_symlinks=False)
        os.rename(beside, target)
        fsync_dir(target.parent)


class SqliteRestore:
    """One SQLite database."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.target = Path(str(ground.entry.get("path") or ground.part["facts"]["source"]))

    def plan(self, check: bool) -> Loss:
        """Rows of each table now and in the set."""
        then: Mapping[str, int] = self.ground.part["facts"]["rows"]
        if not self.target.exists():
            return Loss([f"{self.target} is not there and comes back with {sum(then.values())} rows"], {"rows_then": sum(then.values())})
        try:
            with backup_sqlite.opened(self.target) as live, backup_sqlite.opened(self.ground.path) as saved:
                now = backup_sqlite.rows(live)
                if now == dict(then) and backup_sqlite.same(live, saved):
                    return Loss([f"{self.ground.title}: nothing differs"], {"rows_now": sum(now.values())}, False)
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

    def run(self) -> dict[str, Any]:
        """Put it back; returns C(rows) and C(kept), the file with what was there."""
        facts = self.ground.part["facts"]
        size = self.ground.path.stat().st_size
        kept = ""
        if self.target.exists():
            need(self.ground.state_dir, self.target.stat().st_size, self.ground.min_free, self.ground.title)
            place = place_for(self.ground)
            kept = str(place / self.target.name)
            self._keep(Path(kept))
            enter(self.ground, place, what=f"SQLite database {self.target}")
            need(self.target.parent, size, self.ground.min_free, self.ground.title)
            if self._overwrite():
                return {"rows": backup_sqlite.look(self.target)["rows"], "kept": kept}
        need(self.target.parent, size, self.ground.min_free, self.ground.title)
        beside = self.target.with_name(f".{self.target.name}.restore")
        beside.unlink(missing_ok=True)
        self.target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        copy_private(self.ground.path, beside)
        os.chmod(beside, int(str(facts["mode"]), 8))
        if os.geteuid() == 0:
            os.chown(beside, int(facts["owner"][0]), int(facts["owner"][1]))
        for suffix in ("-wal", "-shm", "-journal"):
            self.target.with_name(self.target.name + suffix).unlink(missing_ok=True)
        os.rename(beside, self.target)
        fsync_dir(self.target.parent)
        return {"rows": backup_sqlite.look(self.target)["rows"], "kept": kept}

    def _keep(self, kept: Path) -> None:
        """Save what is there: by SQLite, or as it is where SQLite cannot read it."""
        try:
            backup_sqlite.copy(self.target, kept)
        except PartError as problem:
            if "locked" in str(problem):
                raise
            for suffix in ("", "-wal"):
                file = self.target.with_name(self.target.name + suffix)
                if file.exists():
                    target = kept.with_name(kept.name + suffix)
                    target.unlink(missing_ok=True)
                    copy_private(file, target)

    def _overwrite(self) -> bool:
        """Have SQLite write the set's pages over the live ones; False where it cannot read the live one at all."""
        try:
            with backup_sqlite.opened(self.ground.path) as reading, backup_sqlite.opened(self.target, "rw") as writing:
                backup_sqlite.into(reading, writing)
        except PartError as problem:
            if "locked" in str(problem):
                raise PartError(f"{problem} Nothing was changed. Stop what uses it, and run again.") from problem
            return False
        return True
