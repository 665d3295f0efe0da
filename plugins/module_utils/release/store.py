# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases on a node: where they are, whether they are as they were staged, marking, and which may go."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypedDict

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import SLOTS, version_key
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import Home
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import ComponentState, derive
from ansible_collections.phasegate.aistack.plugins.module_utils.release import tree
from ansible_collections.phasegate.aistack.plugins.module_utils.release.image import ImageEntry, images_of

MANIFEST = "release.json"
FILES = "release.files.json"
DRILL = ".drill.json"
"""What the record of a release's drills ends with. It lies beside the tree, which never changes."""
TREES = ".trees"
"""Below the releases: trees of which the component's folder is a part. The release itself is a link to that folder."""


class ReleaseError(Exception):
    """Something about a release is not as it has to be. ``extra`` is returned beside the message."""

    def __init__(self, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.extra = extra


class Builder(TypedDict, total=False):
    """Where a release was made: ``host``, ``actor``, ``run``, ``platform``."""

    host: str
    actor: str
    run: str
    platform: str


class Disk(TypedDict, total=False):
    """What a release takes: ``bytes`` in all, ``new_bytes`` that it shares with no other."""

    bytes: int
    new_bytes: int


class Origin(TypedDict):
    """The artefact that a release was laid down from: its ``key``, its ``sha256``, and the node that it was ``built_on``."""

    key: str
    sha256: str
    built_on: str


class Manifest(TypedDict, total=False):
    """What a staged release says of itself, C(release.json) in its tree. :mod:`release.staging` writes it once, before the release gets its
    name; :func:`read_manifest` reads it.

    It has no ``format``: a release never changes, and its manifest with it, so that manifests of all versions lie side by side. Keys came
    and none went: what a version before did not write is missing, and whoever reads says what that means.

    Attributes:
        tag, component: whose it is; ``commit``: 40 hex digits, None where the tree came from no repository.
        kind: C(python), C(node), C(static) or C(image).
        tree_hash: over the files' hashes, SHA-256; ``lock_hash``: SHA-256 of the lock file, None without one.
        alembic_heads: heads of its migrations, the only one in ``alembic_head`` as well; None where they are not known.
        alembic_asked: whether Alembic itself said so; ``alembic_why``: why it could not.
        env_schema_version: of the environment's schema.
        build_env: what of the environment its build used, by name; None for what had no value. Missing: not noted.
        builder: where, by whom.
        built_at: UTC, ISO 8601.
        tests: one for each command, as :func:`build.run_tests` returns them.
        disk: bytes.
        artefact: what it was laid down from, where it was not built here.
        images: of a release that is an image, by service; the tree is empty then.
    """

    tag: str
    commit: str | None
    component: str
    kind: str
    tree_hash: str
    lock_hash: str | None
    alembic_head: str | None
    alembic_heads: list[str] | None
    alembic_asked: bool
    alembic_why: str
    env_schema_version: str | None
    build_env: dict[str, str | None]
    builder: Builder
    built_at: str
    tests: list[dict[str, object]]
    disk: Disk
    artefact: Origin
    images: dict[str, ImageEntry]


_Between = TypedDict("_Between", {"from": str, "to": str}, total=False)


class Drilled(_Between, total=False):
    """What a rehearsal of going back ``from`` a release ``to`` another found; :mod:`drill.run` writes it beside the tree of the first.

    Attributes:
        time: UTC, ISO 8601; ``run``: in which.
        set, made: the backup set that it was tried on.
        verdict: see :mod:`drill.plan`; ``why``: in a sentence.
        lost, schema, goes: sentences: rows that are gone, tables that differ, what the newer release writes into what goes.
        differences: by table.
        seconds: by step; ``recovery_s``: what the way back takes, None where it failed.
    """

    time: str
    run: str
    set: str
    made: str
    verdict: str
    why: str
    lost: list[str]
    differences: list[dict[str, object]]
    schema: list[str]
    goes: list[str]
    seconds: dict[str, float]
    recovery_s: float | None


class Links(TypedDict):
    """What the links of a slot point at: a ``release`` and a ``config`` (hash); None for a link that is not there."""

    release: str | None
    config: str | None


class LiveLinks(Links):
    """The same of the slot that is live, and which that is: ``blue`` or ``green``."""

    slot: str


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the tree in *folder*, of whichever version.

    Raises:
        OSError: it is not there.
        ValueError: it is no manifest.
    """
    value: Manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError("it is no mapping")
    return value


class Layout(Home):
    """The folders of one component, and what is in them."""

    def staged(self) -> list[str]:
        """Return the releases that are there, newest staging first. Half-staged ones are hidden by their name."""
        try:
            entries = [entry for entry in os.scandir(self.releases) if not entry.name.startswith(".")]
        except OSError:
            return []
        present = [entry.name for entry in entries if (Path(entry.path) / MANIFEST).is_file()]
        return sorted(present, key=lambda tag: (self._staged_at(tag), version_key(tag)), reverse=True)

    def top(self, tag: str) -> tuple[Path, str]:
        """Return the top of a release's tree, and the component's folder in it; empty where that is the same."""
        try:
            names = os.readlink(self.release(tag)).split("/")
        except OSError:  # no link: the tree is the component's folder
            return self.release(tag), ""
        return (self.releases / TREES / tag, "/".join(names[2:])) if names[:2] == [TREES, tag] else (self.release(tag), "")

    def remove(self, tag: str) -> None:
        """Remove a release: first its name."""
        top, inner = self.top(tag)
        tree.remove(self.release(tag))
        if inner:
            tree.remove(top)

    def strays(self) -> list[Path]:
        """Return trees that no release leads to: whoever staged or removed them was cut off."""
        try:
            entries = sorted(os.scandir(self.releases / TREES), key=lambda entry: entry.name)
        except OSError:  # no release here has more than its component's folder
            return []
        return [Path(entry.path) for entry in entries if self.top(entry.name)[1] == ""]

    def _staged_at(self, tag: str) -> str:
        return str((self.manifest(tag) or {}).get("built_at", ""))

    def manifest(self, tag: str) -> Manifest | None:
        """Return a release's manifest, or None when it is not there or cannot be read."""
        try:
            return read_manifest(self.release(tag))
        except (OSError, ValueError):
            return None

    def drill_file(self, tag: str) -> Path:
        """Where the drills of going back from a release are written down."""
        return self.releases / f"{tag}{DRILL}"

    def made_of(self, tag: str) -> dict[str, str | None]:
        """What tells a release from another with its name: C(tree_hash), and the digest of its C(image), whose tree is empty."""
        manifest = self.manifest(tag) or {}
        return {"tree_hash": manifest.get("tree_hash"), "image": next((one["digest"] for one in images_of(manifest).values()), None)}

    def drills(self, tag: str) -> dict[str, Drilled]:
        """Return the last drill of going back from a release to each other one; those of another with its name do not count."""
        try:
            value = json.loads(self.drill_file(tag).read_text(encoding="utf-8"))
            same = all(value.get(key) == now for key, now in self.made_of(tag).items())
            found: dict[str, Any] = dict(value["drills"]) if same else {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}  # never drilled, or nothing that a drill wrote: the next one writes it again
        return {str(to): record for to, record in found.items() if _mapping(record)}

    def slots(self) -> dict[str, Links | None]:
        """Return what blue and green point at; None for an empty slot."""
        found: dict[str, Links | None] = {}
        for slot in SLOTS:
            release, config = (_points_at(self.slots_dir / slot / kind) for kind in ("release", "config"))
            found[slot] = {"release": release, "config": config} if release or config else None
        return found

    def live(self) -> LiveLinks | None:
        """Return the live slot as the links have it, or None."""
        slot = _points_at(self.live_link)
        described = self.slots().get(slot) if slot in SLOTS else None
        return {"slot": slot, **described} if slot is not None and described else None


def _mapping(value: object) -> bool:
    return isinstance(value, dict)


def _points_at(link: Path) -> str | None:
    try:
        return os.path.basename(os.readlink(link).rstrip("/")) or None
    except OSError:
        return None


def state_of(layout: Layout, journal: Journal, run: str = "") -> ComponentState:
    """Return the component's state from the journal and the releases that are really there."""
    return derive(journal.read(), layout.component, staged=layout.staged(), current_run=run or None)


def dirty(layout: Layout, tag: str) -> list[str]:
    """Return how a staged release differs from what was staged; an empty list means that it does not.

    Folders made from the lock file are not looked at, see :data:`tree.INSTALLED`.
    """
    path = layout.release(tag)
    manifest = layout.manifest(tag)
    if manifest is None:
        return [f"missing {MANIFEST}"]
    now = tree.file_hashes(*layout.top(tag))
    if tree.tree_hash(now) == manifest.get("tree_hash"):
        return []
    try:
        before = json.loads((path / FILES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return [f"missing {FILES}", "changed tree hash"]
    return tree.differences(before, now) or [f"changed {MANIFEST} or {FILES}"]


def refuse_dirty(layout: Layout, tag: str) -> None:
    """Raise ReleaseError when a staged release is not as it was staged."""
    found = dirty(layout, tag)
    if not found:
        return
    shown = ", ".join(found[:10]) + (f" and {len(found) - 10} more" if len(found) > 10 else "")
    raise ReleaseError(
        f"The release {tag} of {layout.component} in {layout.release(tag)} was changed after it was staged: {shown}. "
        "Expected: a staged release never changes. Find out who changed it; if it does not run, remove the folder and deploy it again, "
        "else release the change under a new tag.",
        changed_files=found,
    )


def mark(layout: Layout, journal: Journal, tag: str, verdict: str, reason: str, run: str, actor: str, check: bool) -> bool:
    """Mark a release good or bad; returns whether the journal has to say something new.

    A mark that stands is repeated only after the release was activated again, so that *newest good*
    follows what was live last.

    Raises:
        ReleaseError: a release that was never staged here is to be called good.
    """
    records = journal.read()
    state = derive(records, layout.component, staged=layout.staged())
    if verdict == "good" and tag not in layout.staged():
        raise ReleaseError(f"The release {tag} of {layout.component} cannot be marked good: it is not staged in {layout.releases}.")
    marked = activated = 0
    for record in records:
        if record.get("component") == layout.component and record.get("release") == tag and record.get("outcome") == "ok":
            if record.get("op") == "mark":
                marked = record["seq"]
            elif record.get("op") == "activate":
                activated = record["seq"]
    if state.marks.get(tag) == verdict and marked > activated:
        return False
    if not check:
        journal.mark(layout.component, tag, verdict, reason, run, actor)
    return True


GOOD_BEHIND = 2
"""Good releases that always stay behind the live one: what is gone back to once may have to be left as well."""


def ranked(state: ComponentState, staged: Iterable[str]) -> list[tuple[str, str]]:
    """What may be gone back to, the most useful first, each with what it is.

    Good releases that served before the live one, the last one first; other good ones; what never served; what is bad.
    *staged* has the newest first.
    """
    kinds: dict[str, list[str]] = {"good": [], "staged": [], "bad": []}
    live = state.live.release if state.live else None
    for tag in staged:
        if tag != live and tag not in state.candidates:
            kinds[state.marks.get(tag, "staged")].append(tag)
    behind = [tag for tag in state.candidates if tag != live]
    return [
        *((tag, "good, and served before") for tag in behind),
        *((tag, "good") for tag in kinds["good"]),
        *((tag, "never live") for tag in kinds["staged"]),
        *((tag, "bad") for tag in kinds["bad"]),
    ]


def prunable(layout: Layout, state: ComponentState, keep: int, keep_releases: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """Return the releases that may go, oldest last, and why each of the others stays.

    ``keep`` counts the releases besides the live one; good ones come first, and :data:`GOOD_BEHIND` of them stay whatever it says.
    """
    why: dict[str, str] = {}
    staged = layout.staged()
    for number, (tag, kind) in enumerate(ranked(state, staged)):
        if number < keep:
            why[tag] = f"one of {keep} to go back to ({kind})"
    for tag in keep_releases:
        why[tag] = "named in keep_releases"
    for item in state.interrupted:
        if item.release:
            why[item.release] = f"an interrupted {item.op} names it"
    for users in users_of(layout):
        for slot, described in users.slots().items():
            if described and described["release"]:
                why[described["release"]] = f"in the slot {slot} of {users.component}"
    for tag in state.candidates[1:GOOD_BEHIND]:
        why[tag] = "good, behind the previous good"
    if state.previous_good:
        why[state.previous_good] = "previous good"
    if state.live:
        why[state.live.release] = "live"
    return [tag for tag in staged if tag not in why], {tag: why[tag] for tag in staged if tag in why}


def users_of(layout: Layout) -> list[Layout]:
    """Return the components that run this component's trees: itself, and those whose releases link here."""
    users = [layout]
    here = layout.releases.resolve()
    try:
        names = sorted(entry.name for entry in os.scandir(layout.root) if entry.is_dir())
    except OSError:
        return users
    for name in names:
        other = Layout(layout.root, name)
        if name != layout.component and other.releases.is_symlink() and other.releases.resolve() == here:
            users.append(other)
    return users


def shared_exemptions(layout: Layout, journal: Journal) -> list[str]:
    """Return the good releases behind the live ones of the other components that run this component's trees."""
    records = journal.read()
    found: list[str] = []
    for users in users_of(layout)[1:]:
        found += derive(records, users.component, staged=layout.staged()).candidates[:GOOD_BEHIND]
    return found
