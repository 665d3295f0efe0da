# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every backup set holds of a node's own files: environments, credentials, the node's state, manifests, what is declared.

A part is a folder of copies, 0600 root; where each came from, its mode and its owner are facts of the part.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import place as restore_place
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import Job, PartError, Saved, keep_private
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.plan import WRITABLE
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import FILES, MANIFEST, Layout, LiveLinks

KIND = "files"
RELEASES = "releases"
STATE_FILES = ("journal.jsonl", "journal.jsonl.*.gz", "backup.json")
"""Files and patterns below the state."""
STATE_FOLDERS = ("components", "gates", "receipts")
CREDENTIALS = "credentials"

Sources = dict[str, Path]
"""Path in the part to the file that it is a copy of."""


@dataclass(frozen=True)
class Component:
    """A slotted component of this node: its name, the root that its folders are under, and whose releases it runs."""

    name: str
    root: Path
    source: str

    @property
    def layout(self) -> Layout:
        """Its folders."""
        return Layout(self.root, self.name)


def components(state_dir: Path, root: Path) -> list[Component]:
    """Every slotted component: those that are described under C(<state>/components), and those with slots under ``root``."""
    found: dict[str, Component] = {}
    for path in sorted((state_dir / "components").glob("*.json")):
        try:
            described = json.loads(path.read_text(encoding="utf-8"))
            name = str(described["component"])
            found[name] = Component(name, Path(str(described.get("root") or root)), str(described.get("source") or name))
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise PartError(f"{path} cannot be read ({problem}): it says where a component is. Deploying writes it again.") from problem
    for slots in sorted(root.glob("*/slots")):
        name = slots.parent.name
        if name not in found and slots.is_dir():
            found[name] = Component(name, root, name)
    return [found[name] for name in sorted(found)]


def live(of: Iterable[Component]) -> dict[str, LiveLinks]:
    """What is live: component to release, config and slot; components of which nothing is live are left out."""
    seen = {component.name: component.layout.live() for component in of}
    return {name: value for name, value in seen.items() if value}


def configurations(component: Component) -> list[str]:
    """Names of the configurations that the slots of a component point at."""
    found = {described["config"] for described in component.layout.slots().values() if described and described["config"]}
    return sorted(str(name) for name in found)


def jobs(described: Mapping[str, Any], state_dir: Path, of: list[Component]) -> list[Job]:
    """The jobs for a node's own files. Parts without a file are left out, the environment and the state are always there."""

    def environments() -> Sources:
        return {
            f"{component.name}/{name}/{file.name}": file
            for component in of
            for name in configurations(component)
            for file in _plain(component.layout.configs / name)
        }

    def state() -> Sources:
        files = [file for name in STATE_FILES for file in sorted(state_dir.glob(name))]
        files += [file for name in STATE_FOLDERS for file in _plain(state_dir / name)]
        return {file.relative_to(state_dir).as_posix(): file for file in files if file.is_file()}

    def credentials() -> Sources:
        return {file.name: file for file in _plain(state_dir / CREDENTIALS)}

    def manifests() -> Sources:
        found: Sources = {}
        for component in of:
            live = component.layout.live()
            served = live["release"] if live else None
            for name in (MANIFEST, FILES):
                file = component.layout.release(served) / name if served else None
                if file and file.is_file():
                    found[f"{component.name}/{name}"] = file
        return found

    def declared() -> Sources:
        return {str(file).lstrip("/"): file for path in described.get("files") or [] for file in _declared(Path(str(path)))}

    def written() -> Sources:
        return {str(file).lstrip("/"): file for path in described.get(WRITABLE) or [] for file in _written(Path(str(path)), described)}

    wanted: list[tuple[str, str, str, Callable[[], Sources]]] = [
        (KIND, "config", "files/config", environments),
        (KIND, "state", "files/state", state),
        (RELEASES, "live", "releases", manifests),
    ]
    if (state_dir / CREDENTIALS).is_dir():
        wanted.append((KIND, CREDENTIALS, f"files/{CREDENTIALS}", credentials))
    if described.get("files"):
        wanted.append((KIND, "extra", "files/extra", declared))
    if described.get(WRITABLE):
        wanted.append((KIND, WRITABLE, f"files/{WRITABLE}", written))
    return [_job(*one) for one in wanted]


def _plain(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_file()) if folder.is_dir() else []


def _declared(path: Path) -> list[Path]:
    """A declared path and what is below it; links are kept as links."""
    if path.is_symlink() or path.is_file():
        return [path]
    if not path.is_dir():
        raise PartError(f"{path} is declared for the backup set and is not there. Correct files in aistack_backup and run site.yml, or "
                        "make it.")
    found: list[Path] = []
    for here, names, files in os.walk(path):
        names.sort()
        links = [name for name in names if (Path(here) / name).is_symlink()]
        found += [Path(here) / name for name in sorted([*files, *links])]
    return found


def _written(folder: Path, described: Mapping[str, Any]) -> list[Path]:
    """What components have written: files and links. What a process only talks through holds nothing, and a SQLite database that is
    saved by SQLite is not copied beside it. A folder that is not there yet holds nothing.
    """
    if not folder.is_dir():
        return []
    own = {str(entry["path"]) + end for entry in described.get("sqlite") or [] for end in ("", "-wal", "-shm", "-journal")}
    return [file for file in _declared(folder) if str(file) not in own and (file.is_symlink() or file.is_file())]


def _job(kind: str, name: str, path: str, sources: Callable[[], Sources]) -> Job:
    def size() -> int:
        total = 0
        for file in sources().values():
            with suppress(FileNotFoundError):
                total += file.lstat().st_size
        return total

    def save(folder: Path) -> Saved:
        target = folder / path
        target.mkdir(mode=0o700, parents=True)
        kept = {}
        for inside, file in sorted(sources().items()):
            with suppress(FileNotFoundError):  # removed since it was listed, by whose it is
                about = _keep(file, target / inside)
                if about is not None:
                    kept[inside] = about
        return Saved({"sources": kept})

    return Job(kind, name, path, size, save)


def _keep(file: Path, target: Path) -> dict[str, object] | None:
    """Copy one file; returns where it came from, its mode and its owner, or None where it is gone. A link is noted, not followed.

    Others than root may make names where it is, so that it is opened as a restore opens it: what root reads is what was listed.
    """
    with restore_place.opened(file.parent) as place:
        state = place.lstat(file.name)
        if state is None:
            return None
        about: dict[str, Any] = {
            "source": str(file), "owner": [state.st_uid, state.st_gid], "mode": f"{stat.S_IMODE(state.st_mode):04o}",
        }
        if stat.S_ISLNK(state.st_mode):
            return {**about, "link": os.readlink(file.name, dir_fd=place.handle)}
        if not stat.S_ISREG(state.st_mode):
            raise PartError(f"{file} is neither a file nor a link; a backup set cannot keep it. Declare what is beside it instead.")
        with place.read(file.name) as reading:
            keep_private(reading, target)
    return about


def verify(folder: Path, part: Mapping[str, Any]) -> list[str]:
    """What is wrong with the part, one sentence each; contents are vouched for by the manifest's checksums."""
    base = folder / str(part["path"])
    sources = part["facts"]["sources"]
    return [f"{base / inside} is missing" for inside, about in sources.items() if "link" not in about and not (base / inside).is_file()]
