# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What putting back the parts of a backup set has in common: what is known before, what would be lost, what was replaced.

Whatever a restore replaces is kept and entered under C(<state>/replaced), one folder each with C(replaced.json): what it was, from
which set it was replaced, and where it is. It goes when it is older than the sets are kept.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import plan as backup_plan
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import place as restore_place
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import PartError
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.files import Component
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import ROOT
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import utc_now
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.tools import free_bytes
from ansible_collections.phasegate.aistack.plugins.module_utils.release import tree

REPLACED = "replaced"
NOTE = "replaced.json"
SHOWN = 5
"""Names that a line for people shows at most."""


@dataclass(frozen=True)
class Loss:
    """What putting a part back would take away: ``lines`` for people, ``counts`` for programs; nothing to do without ``change``.

    ``prepared`` names what was made beside the live one to find that out.
    """

    lines: list[str]
    counts: dict[str, int] = field(default_factory=dict)
    change: bool = True
    prepared: list[str] = field(default_factory=list)


class Manager(Protocol):
    """What starts and stops units."""

    def start(self, unit: str) -> None:
        """Have it started."""

    def stop(self, unit: str) -> bool:
        """Stop it and wait until it is down."""


@dataclass(frozen=True)
class RestoreContext:
    """What is known of one part that is to be put back.

    Attributes:
        folder: where the part is, plain; ``part``: of the manifest; ``files``: the manifest's checksums, None where it was encrypted.
        entry: what the node's description says of it; empty for a node's own files.
        origin: the set's name; ``stamp``: of this restore.
        of: the components of this node; ``root``: where components are.
        declared: files and folders that the description names today.
        written: folders that the node's components write today.
        tables: only these tables of a database.
        wait, terminate: how sessions are made to leave a database.
        min_free: bytes that have to stay free; ``timeout``: seconds.
        run: whose lease of the node has to stand before anything live is replaced.
    """

    state_dir: Path
    folder: Path
    part: Mapping[str, Any]
    files: Mapping[str, Any] | None
    entry: Mapping[str, Any]
    origin: str
    stamp: str
    of: Sequence[Component] = ()
    root: Path = Path(ROOT)
    declared: Sequence[str] = ()
    written: Sequence[str] = ()
    tables: Sequence[str] = ()
    wait: float = 10.0
    terminate: bool = False
    min_free: int = 0
    timeout: float = 3600.0
    run: str = ""

    @property
    def title(self) -> str:
        """Kind and name."""
        return f"{self.part['kind']}:{self.part['name']}"

    @property
    def path(self) -> Path:
        """The part's file or folder."""
        return self.folder / str(self.part["path"])


class Restorer(Protocol):
    """One kind of part."""

    def plan(self, check: bool) -> Loss:
        """What would be lost; with ``check`` nothing may be written, without, something may be prepared beside."""

    def run(self) -> dict[str, object]:
        """Put it back; returns what was done."""


def need(where: Path, count: int, min_free: int, what: str) -> None:
    """Refuse where a disk is too full. Raises PartError."""
    free = free_bytes(where)
    if free < count + min_free:
        raise PartError(
            f"{what}: {where} has {free} bytes free ({backup_plan.size_text(free)}); {count} are needed and {min_free} are to stay free."
            " Nothing was changed. Free some space there."
        )


def shortened(names: Sequence[str]) -> str:
    """The first of many names."""
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def place_for(context: RestoreContext) -> Path:
    """A new folder under C(<state>/replaced) for what this part replaces."""
    base = context.state_dir / REPLACED
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    number, name = 2, f"{context.stamp}-{context.part['kind']}-{context.part['name']}"
    place = base / name
    while place.exists():
        place = base / f"{name}.{number}"
        number += 1
    place.mkdir(mode=0o700)
    return place


def enter(context: RestoreContext, place: Path, **what: Any) -> None:
    """Write down what is kept in ``place``, or where else it is (C(paths), C(database))."""
    note = {"part": context.title, "set": context.origin, "time": utc_now(), **what}
    write_file(place / NOTE, json.dumps(note, indent=1) + "\n", 0o600)


def replaced(state_dir: Path) -> list[dict[str, Any]]:
    """What restores replaced, the oldest first: the notes, each with C(name) and C(place)."""
    found = []
    base = state_dir / REPLACED
    for place in sorted(base.iterdir()) if base.is_dir() else []:
        try:
            note = json.loads((place / NOTE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            note = {"part": "unknown", "set": "", "time": ""}  # of a restore that was interrupted: what is in there is kept as long
        found.append({**note, "name": place.name, "place": str(place)})
    return found


def prune_replaced(state_dir: Path, days: int, check: bool, drop: Callable[[Mapping[str, Any]], bool]) -> list[str]:
    """Remove what was replaced more than ``days`` ago; returns the names, oldest first.

    ``drop`` removes what is kept elsewhere than in files (a database), given its note; in check mode it only looks. It tells whether
    that is gone, or would be: what is in use stays, and its note with it.
    """
    gone = []
    for note in replaced(state_dir):
        try:
            age = time.time() - backup_plan.moment(note["name"])
        except ValueError:
            continue
        if age < days * 86400:
            continue
        if note.get("database") and not drop(note):
            continue
        gone.append(note["name"])
        if not check:
            for path in note.get("paths", []):
                with contextlib.suppress(FileNotFoundError), restore_place.opened(Path(path).parent) as place:  # gone with its folder
                    place.remove(Path(path).name)
            tree.remove(Path(note["place"]))
    return gone
