# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's folder of artefacts: C(<folder>/<application>/<component>/<key>.tar.gz), and C(<key>.json) that says what it is.

Only the operator may read it: a build may have put secrets into a tree. Beside them C(<key>.lock), held by who builds, and
C(<key>.unfit), which says why a build of that key cannot be kept.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.release.artefact_key import artefact_key, base_key
from ansible_collections.phasegate.aistack.plugins.module_utils.release.tree import sha256

FOLDER = "~/.cache/phasegate/artefacts"
KEEP = 10
POLL = 0.3
"""Seconds between two observations at a lock that another holds."""
STALE = 24 * 3600.0
"""Seconds after which what is no artefact is removed: locks, and what was fetched in part."""


def application_of(repo: str) -> str:
    """Return the name of a repository as a folder's: the last part of its address."""
    name = re.sub(r"\.git$", "", repo.rstrip("/")).rpartition("/")[2].rpartition(":")[2]
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name).lstrip(".") or "application"


@dataclass(frozen=True)
class Stored:
    """An artefact on the controller. ``facts`` is what its C(.json) says: C(sha256), C(size), C(built_on), C(tests), …"""

    path: Path
    key: str
    facts: Mapping[str, Any]

    @property
    def described(self) -> Path:
        return self.path.with_name(f"{self.key}.json")

    @property
    def built_on(self) -> str:
        return str(self.facts.get("built_on") or "another node")

    def whole(self) -> bool:
        """Whether the file is what was kept."""
        try:
            return sha256(self.path) == self.facts.get("sha256")
        except OSError:
            return False

    def used(self) -> None:
        """Note that it was of use; what was not for longest goes first."""
        with contextlib.suppress(OSError):  # pruned in between: the file that is open is still good
            os.utime(self.described)

    def discard(self) -> None:
        """Remove it, where that is allowed; the file that says what it is goes first."""
        with contextlib.suppress(OSError):  # one that stays is looked at again by whoever wants it, and is not used while it is damaged
            for path in (self.described, self.path):
                path.unlink(missing_ok=True)


class Store:
    """The artefacts of one component."""

    def __init__(self, folder: str | os.PathLike[str], application: str, component: str, keep: int = KEEP) -> None:
        self.folder = Path(folder).expanduser() / application / component
        self.keep = keep

    def _make(self) -> None:
        for path in (self.folder.parents[1], self.folder.parent, self.folder):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def get(self, key: str) -> Stored | None:
        """Return the artefact of a key, or None."""
        path = self.folder / f"{key}.tar.gz"
        try:
            facts = json.loads((self.folder / f"{key}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return Stored(path, key, facts) if isinstance(facts, dict) and path.is_file() else None

    def of_base(self, base: str) -> Stored | None:
        """Return the newest artefact that was built from the same, whichever versions the tools had."""
        found = [stored for stored in map(self.get, self._keys()) if stored is not None and stored.facts.get("base") == base]
        return found[0] if found else None

    def _keys(self) -> list[str]:
        """Return all keys, the last used first."""

        def used(path: Path) -> float:
            try:
                return path.stat().st_mtime
            except OSError:
                return 0.0

        return [path.stem for path in sorted(self.folder.glob("*.json"), key=used, reverse=True)]

    @contextlib.contextmanager
    def building(self, key: str, seconds: float) -> Iterator[None]:
        """Hold a key while it is built; others wait, for ``seconds`` at most. Who waited looks again before building.

        A key that cannot be kept is held by nobody: to wait for it would be in vain.
        """
        try:
            self._make()
            handle = os.open(self.folder / f"{key}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:  # nothing can be kept there; who builds says so when he tries
            yield
            return
        until = time.monotonic() + seconds
        try:
            while not (self.folder / f"{key}.unfit").exists():
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= until:
                        break
                    time.sleep(POLL)
            yield
        finally:
            os.close(handle)

    def unfit(self, key: str, why: str) -> None:
        """Note that what is built under a key cannot be kept."""
        self._make()
        write_file(self.folder / f"{key}.unfit", f"{why}\n", 0o600)

    def incoming(self, key: str) -> Path:
        """Return where an artefact is fetched to before it is kept."""
        self._make()
        return self.folder / f".{key}.{os.getpid()}"

    def add(self, key: str, fetched: Path, facts: Mapping[str, object]) -> Stored:
        """Keep what was fetched, and remove what is too old."""
        os.chmod(fetched, 0o600)
        path = self.folder / f"{key}.tar.gz"
        os.rename(fetched, path)
        (self.folder / f"{key}.unfit").unlink(missing_ok=True)
        write_file(self.folder / f"{key}.json", json.dumps(dict(facts), sort_keys=True, indent=1) + "\n", 0o600)
        self.prune()
        return Stored(path, key, facts)

    def prune(self) -> list[str]:
        """Keep the newest by last use; returns the keys that went."""
        gone = self._keys()[self.keep :]
        for key in gone:
            Stored(self.folder / f"{key}.tar.gz", key, {}).discard()
        left = set(self._keys())
        for path in self.folder.iterdir():
            with contextlib.suppress(OSError):  # another run prunes as well
                if path.name.split(".")[0] not in left and path.stat().st_mtime < time.time() - STALE:
                    path.unlink()
        return gone


@dataclass(frozen=True)
class Wanted:
    """What a node would build. ``built`` is what it said of itself, ``root`` below which it keeps releases."""

    store: Store
    commit: str
    path: str
    recipe: Mapping[str, Any]
    built: Mapping[str, Any]
    root: str

    @property
    def key(self) -> str:
        return artefact_key(self.commit, self.path, self.recipe, self.built)

    @property
    def base(self) -> str:
        return base_key(self.commit, self.path, self.recipe, self.built)

    def find(self) -> Stored | None:
        """Return the artefact that fits, or None. A node without tools takes what any version of them has built."""
        found = self.store.get(self.key)
        if found is None and not self.built.get("tools"):
            found = self.store.of_base(self.base)
        if found is None or (found.facts.get("bound") and found.facts.get("root") != self.root):
            return None
        return found

    def facts(self, packed: Mapping[str, Any], **provenance: str) -> dict[str, object]:
        """Return what is written down beside an artefact: what it is, and who built it from what, where and when."""
        manifest = packed["manifest"]
        told = {name: manifest.get(name) for name in ("tag", "component", "tree_hash", "lock_hash", "built_at", "tests")}
        plain = {"commit": self.commit, "path": self.path, "base": self.base, "root": self.root}
        made = {name: self.built.get(name) for name in ("platform", "tools")}
        return {**told, **plain, **made, **{name: packed[name] for name in ("sha256", "size", "bound")}, **provenance}
