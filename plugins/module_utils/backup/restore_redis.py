# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Redis from a backup set: the server is stopped, its files are exchanged by rename, and it has to read back every key.

A server with an append-only file does not look at its RDB file when it starts. It gets an append-only file whose base is the set's
RDB file; Redis 7 and later keep it as a folder with a manifest, which is what is written here. Where the exchange does not end
well the server gets its old files back.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import backup_redis
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.backup_part import PartError, copy_private, sync
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.backup_redis import Server, where
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.restore_part import Ground, Loss, Manager, enter, need, place_for
from ansible_collections.phasegate.aistack.plugins.module_utils.durable import fsync_dir
from ansible_collections.phasegate.aistack.plugins.module_utils.release import tree
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.unit import UnitError

UNIT = "redis-server.service"
NEW = ".aistack-restore"
ASK = 5.0
"""Seconds for a question to the server that is to be replaced."""


class RedisRestore:
    """One server."""

    def __init__(self, ground: Ground, manager: Manager) -> None:
        self.ground = ground
        self.manager = manager
        self.unit = str(ground.entry.get("unit") or UNIT)
        self.layout: dict[str, str] = dict(ground.part["facts"]["layout"])
        self.version = str(ground.part["facts"]["server"])

    def plan(self, check: bool) -> Loss:
        """All that was written since is lost; how many keys there are now and were then."""
        then = sum(self.ground.part["facts"]["databases"].values())
        name = where(self.ground.entry)
        try:
            with Server(self.ground.entry, ASK) as server:
                now = sum(server.keys().values())
                self.layout = server.layout()
                self.version = server.info("server").get("redis_version", "")
        except PartError as problem:
            told = f"{name} does not answer ({problem}); it gets {then} keys of the set, whatever its files hold"
            return Loss([told], {"keys_then": then})
        self._refuse()
        line = f"{name}: its {now} keys are replaced by {then} of the set; what was written since is lost, tasks in its queues included"
        return Loss([line, f"{name} is stopped for a moment"], {"keys_now": now, "keys_then": then})

    def _refuse(self) -> None:
        major = self.version.partition(".")[0]
        if self.layout.get("appendonly") == "yes" and (not major.isdigit() or int(major) < 7):
            raise PartError(
                f"{where(self.ground.entry)} has an append-only file and is version {self.version or 'unknown'}: from 7 on one can be made"
                " of a set. Nothing was changed. Turn appendonly off, or restore by hand."
            )
        if not Path(self.layout["dir"]).is_dir():
            raise PartError(f"{where(self.ground.entry)}: its folder {self.layout['dir']} is not on this node. Nothing was changed.")

    def run(self) -> dict[str, Any]:
        """Exchange the files; returns C(keys), C(down_seconds), C(replaced)."""
        self._refuse()
        data = Path(self.layout["dir"])
        need(data, 2 * self.ground.path.stat().st_size, self.ground.min_free, self.ground.title)
        new = data / NEW
        tree.remove(new)  # of a restore that was killed
        counts = self._prepare(data, new)
        began = time.monotonic()
        self._stop()
        place = place_for(self.ground)
        old = data / f"replaced-{place.name}"
        enter(self.ground, place, paths=[str(old)], what="the files that Redis had")
        moved: list[tuple[Path, Path]] = []
        try:
            old.mkdir(mode=0o700)
            self._exchange(data, new, old, moved)
            keys = self._start(counts)
        except (PartError, OSError) as problem:
            self._back(moved, old, str(problem))
            old.rmdir()
            tree.remove(place)
            raise PartError(f"{self.ground.title} was not put back: {problem} It has its old files again and was started.") from problem
        finally:
            tree.remove(new)
        return {"keys": keys, "down_seconds": round(time.monotonic() - began, 3), "replaced": str(old)}

    def _names(self) -> list[str]:
        return [name for name in (self.layout["dbfilename"], self.layout.get("appenddirname", "")) if name]

    def _prepare(self, data: Path, new: Path) -> dict[str, Any]:
        """Everything that the server is to find, in a folder beside, in its own name."""
        owner = data.stat()
        new.mkdir(mode=0o700)
        files = [new / self.layout["dbfilename"]]
        folders = [new]
        if self.layout.get("appendonly") == "yes":
            folder = new / self.layout["appenddirname"]
            base = f"{self.layout['appendfilename']}.1.base.rdb"
            folder.mkdir(mode=0o750)
            manifest = folder / f"{self.layout['appendfilename']}.manifest"
            manifest.write_text(f"file {base} seq 1 type b\n", encoding="utf-8")
            sync(manifest)
            copy_private(self.ground.path, folder / base)
            files += [folder / base, manifest]
            folders.append(folder)
        copy_private(self.ground.path, files[0])
        for path in files:
            os.chmod(path, 0o660)
        if os.geteuid() == 0:
            for path in [*files, *folders]:
                os.chown(path, owner.st_uid, owner.st_gid)
        for folder in folders:
            fsync_dir(folder)
        return backup_redis.check(files[0])

    def _stop(self) -> None:
        try:
            self.manager.stop(self.unit)
        except UnitError as problem:
            raise PartError(f"{self.ground.title}: {problem}. Nothing was changed.") from problem
        try:
            with Server(self.ground.entry, 1.0):
                pass
        except PartError:
            return
        self._start({})
        raise PartError(
            f"{self.ground.title}: a server still answers on port {self.ground.entry['port']} although {self.unit} is stopped. Nothing was"
            " changed. Name its unit in the description."
        )

    def _exchange(self, data: Path, new: Path, old: Path, moved: list[tuple[Path, Path]]) -> None:
        """Rename the old files away and the new ones in; ``moved`` has every rename, for the way back."""
        for folder, target in ((data, old), (new, data)):
            for name in self._names():
                if os.path.lexists(folder / name):
                    os.rename(folder / name, target / name)
                    moved.append((folder / name, target / name))
        for folder in (data, old):
            fsync_dir(folder)

    def _back(self, moved: list[tuple[Path, Path]], old: Path, why: str) -> None:
        """The old files again. Raises PartError where the server does not come up with them either."""
        try:
            self.manager.stop(self.unit)
            for before, after in reversed(moved):
                if os.path.lexists(after):
                    os.rename(after, before)
            self._start({})
        except (PartError, UnitError, OSError) as problem:
            raise PartError(
                f"{self.ground.title} was not put back: {why} Its old files are in {self.layout['dir']} again, or still in"
                f" {old}, and it does not start with them: {problem}"
            ) from problem

    def _start(self, counts: dict[str, Any]) -> int:
        """Start it and have it say what it read; returns the number of keys. Raises PartError."""
        try:
            self.manager.start(self.unit)
        except UnitError as problem:
            raise PartError(f"{problem}.") from problem
        end = time.monotonic() + min(self.ground.timeout, 600)
        while True:
            try:
                with Server(self.ground.entry, 2.0) as server:
                    status = server.info("persistence")
                    if status.get("loading") == "0":
                        return self._proven(counts, status, sum(server.keys().values()))
                    said = "it still reads its files"
            except PartError as problem:
                said = str(problem)
                if "did not read back" in said:
                    raise
            if time.monotonic() >= end:
                raise PartError(f"{self.unit} was started and is not ready: {said}")
            time.sleep(0.1)

    def _proven(self, counts: dict[str, Any], status: dict[str, str], keys: int) -> int:
        """Every key of the file was read, or had expired meanwhile."""
        if "keys" in counts and "rdb_last_load_keys_loaded" in status:
            read = int(status["rdb_last_load_keys_loaded"]) + int(status["rdb_last_load_keys_expired"])
            if read != counts["keys"]:
                raise PartError(f"{self.unit} did not read back what the set holds: expected {counts['keys']} keys, got {read}.")
        return keys
