# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Redis from a backup set: the server is stopped, its files are exchanged by rename, and it has to read back every key.

A server with an append-only file does not look at its RDB file when it starts. It gets an append-only file whose base is the set's
RDB file; Redis 7 and later keep it as a folder with a manifest, which is what is written here. Where the exchange does not end
well the server gets its old files back.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Mapping
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import place as restore_place, redis as backup_redis
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import PartError
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.place import Place
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.redis import Server, where
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.restore import (
    Loss,
    Manager,
    RestoreContext,
    enter,
    need,
    place_for,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import UnitError
from ansible_collections.phasegate.aistack.plugins.module_utils.release import tree

UNIT = "redis-server.service"
NEW = ".aistack-restore"
ASK = 5.0
"""Seconds for a question to the server that is to be replaced."""


class RedisRestore:
    """One server."""

    def __init__(self, context: RestoreContext, manager: Manager) -> None:
        self.context = context
        self.manager = manager
        self.unit = str(context.entry.get("unit") or UNIT)
        self.layout: dict[str, str] = dict(context.part["facts"]["layout"])
        self.version = str(context.part["facts"]["server"])

    def plan(self, check: bool) -> Loss:
        """All that was written since is lost; how many keys there are now and were then."""
        then = sum(self.context.part["facts"]["databases"].values())
        name = where(self.context.entry)
        try:
            with Server(self.context.entry, ASK) as server:
                now = sum(server.keys().values())
                self.layout = server.layout()
                self.version = server.info("server").get("redis_version", "")
        except PartError as problem:
            self._refuse()
            told = f"{name} does not answer ({problem}); it gets {then} keys of the set, whatever its files hold"
            return Loss([told], {"keys_then": then})
        self._refuse()
        line = f"{name}: its {now} keys are replaced by {then} of the set; what was written since is lost, tasks in its queues included"
        return Loss([line, f"{name} is stopped for a moment"], {"keys_now": now, "keys_then": then})

    def _refuse(self) -> None:
        major = self.version.partition(".")[0]
        name = where(self.context.entry)
        if self.layout.get("appendonly") == "yes" and (not major.isdigit() or int(major) < 7):
            raise PartError(
                f"{name} has an append-only file and is version {self.version or 'unknown'}: from 7 on one can be made"
                " of a set. Nothing was changed. Turn appendonly off, or restore by hand."
            )
        # the server says this itself, and root moves what has these names: a server that was taken over could name any
        declared = str(self.context.entry.get("dir") or backup_redis.DIR)
        if os.path.realpath(self.layout["dir"]) != os.path.realpath(declared):
            raise PartError(
                f"{name}: its folder is {self.layout['dir']}, expected {declared}. Nothing was changed. Where the server is right, declare"
                f" 'dir: {self.layout['dir']}' with it in aistack_backup, and run site.yml."
            )
        backup_redis.plain_names(self.context.entry, self.layout)
        if not Path(self.layout["dir"]).is_dir():
            raise PartError(f"{name}: its folder {self.layout['dir']} is not on this node. Nothing was changed.")

    def run(self) -> dict[str, object]:
        """Exchange the files; returns C(keys), C(down_seconds), C(replaced)."""
        self._refuse()
        path = Path(self.layout["dir"])
        need(path, 2 * self.context.path.stat().st_size, self.context.min_free, self.context.title)
        with restore_place.opened(path) as data:
            data.remove(NEW)  # of a restore that was killed
            try:
                with data.made(NEW) as new:
                    return self._run(data, new)
            finally:
                data.remove(NEW)

    def _run(self, data: Place, new: Place) -> dict[str, object]:
        counts = self._prepare(data, new)
        began = time.monotonic()
        self._stop()
        note = place_for(self.context)
        name = f"replaced-{note.name}"
        kept = data.path / name
        enter(self.context, note, paths=[str(kept)], what="the files that Redis had")
        moved: list[tuple[Place, str, Place]] = []
        with data.made(name) as old:
            try:
                self._exchange(data, new, old, moved)
                keys = self._start(counts)
            except (PartError, OSError) as problem:
                self._back(moved, kept, str(problem))
                data.remove(name)
                tree.remove(note)
                raise PartError(
                    f"{self.context.title} was not put back: {problem} It has its old files again and was started."
                ) from problem
        return {"keys": keys, "down_seconds": round(time.monotonic() - began, 3), "replaced": str(kept)}

    def _names(self) -> list[str]:
        return [name for name in (self.layout["dbfilename"], self.layout.get("appenddirname", "")) if name]

    def _prepare(self, data: Place, new: Place) -> dict[str, object]:
        """Everything that the server is to find, in a folder of root's beside, in the server's own name."""
        state = os.fstat(data.handle)
        owner = (state.st_uid, state.st_gid)
        if self.layout.get("appendonly") == "yes":
            base = f"{self.layout['appendfilename']}.1.base.rdb"
            with new.made(self.layout["appenddirname"]) as folder:
                self._copy(folder, base, owner)
                manifest = io.BytesIO(f"file {base} seq 1 type b\n".encode())
                folder.put(f"{self.layout['appendfilename']}.manifest", manifest, 0o660, owner)
                restore_place.give(folder.handle, 0o750, owner)
        counts = self._copy(new, self.layout["dbfilename"], owner)
        os.fsync(new.handle)
        return counts

    def _copy(self, place: Place, name: str, owner: tuple[int, int]) -> dict[str, object]:
        """The set's file under this name; returns what reading it back says."""
        with open(self.context.path, "rb") as reading:
            place.put(name, reading, 0o660, owner)
        with place.read(name) as written:
            return backup_redis.check(Path(f"/proc/{os.getpid()}/fd/{written.fileno()}"))

    def _stop(self) -> None:
        try:
            self.manager.stop(self.unit)
        except UnitError as problem:
            raise PartError(f"{self.context.title}: {problem}. Nothing was changed.") from problem
        try:
            with Server(self.context.entry, 1.0):
                pass
        except PartError:
            return
        self._start({})
        raise PartError(
            f"{self.context.title}: a server still answers on port {self.context.entry['port']} although {self.unit} is stopped. Nothing"
            " was changed. Name its unit (unit) with it in aistack_backup, and run site.yml."
        )

    def _exchange(self, data: Place, new: Place, old: Place, moved: list[tuple[Place, str, Place]]) -> None:
        """Rename the old files away and the new ones in; ``moved`` has every rename, for the way back."""
        for place, target in ((data, old), (new, data)):
            for name in self._names():
                if place.lstat(name) is not None:
                    place.move(name, target)
                    moved.append((place, name, target))
        for place in (data, old):
            os.fsync(place.handle)

    def _back(self, moved: list[tuple[Place, str, Place]], old: Path, why: str) -> None:
        """The old files again. Raises PartError where the server does not come up with them either."""
        try:
            self.manager.stop(self.unit)
            for before, name, after in reversed(moved):
                if after.lstat(name) is not None:
                    after.move(name, before)
            self._start({})
        except (PartError, UnitError, OSError) as problem:
            raise PartError(
                f"{self.context.title} was not put back: {why} Its old files are in {self.layout['dir']} again, or still in"
                f" {old}, and it does not start with them: {problem}"
            ) from problem

    def _start(self, counts: Mapping[str, object]) -> int:
        """Start it and have it say what it read; returns the number of keys. Raises PartError."""
        try:
            self.manager.start(self.unit)
        except UnitError as problem:
            raise PartError(f"{problem}.") from problem
        end = time.monotonic() + min(self.context.timeout, 600)
        while True:
            try:
                with Server(self.context.entry, 2.0) as server:
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

    def _proven(self, counts: Mapping[str, object], status: dict[str, str], keys: int) -> int:
        """Every key of the file was read, or had expired meanwhile."""
        if "keys" in counts and "rdb_last_load_keys_loaded" in status:
            read = int(status["rdb_last_load_keys_loaded"]) + int(status["rdb_last_load_keys_expired"])
            if read != counts["keys"]:
                raise PartError(f"{self.unit} did not read back what the set holds: expected {counts['keys']} keys, got {read}.")
        return keys
