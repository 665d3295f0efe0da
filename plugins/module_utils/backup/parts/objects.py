# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The objects of a set's buckets, in a list beside the manifest: a bucket has a million of them, and planning needs none.

``objects.jsonl.gz`` has one JSON list a line, in order: path in the set, bytes, SHA-256. The manifest has its checksum among C(files), and
under C(objects) what it holds: C(file), C(count), C(bytes). Sets of older versions have all of it among C(files).
"""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import HASHERS, Files, hash_files, walk_files
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.plan import SetManifest
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import replacing
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.tools import sha256

NAME = "objects.jsonl.gz"
BUCKET = "bucket"
_AT_ONCE = 4096
_TOLD = 20
"""Problems of objects that are told one by one."""


def folders(parts: Sequence[Mapping[str, object]]) -> list[str]:
    """Where the objects of a set are, each with a slash at its end; an encrypted bucket is one file."""
    return [f"{part['path']}/" for part in parts if part.get("kind") == BUCKET and not part.get("encrypted")]


def write(folder: Path, parts: Sequence[Mapping[str, object]], files: Files) -> tuple[Files, dict[str, object] | None]:
    """Move objects from ``files`` into the list; returns what is left, the list among it, and what the manifest says of the list."""
    places = tuple(folders(parts))
    objects = sorted(name for name in files if name.startswith(places)) if places else []
    if not objects:
        return dict(sorted(files.items())), None
    with replacing(folder / NAME, 0o600, named=False) as out, gzip.GzipFile("", "wb", 6, out, mtime=0) as packed:
        for name in objects:
            packed.write(json.dumps([name, files[name]["bytes"], files[name]["sha256"]]).encode() + b"\n")
    told = {"file": NAME, "count": len(objects), "bytes": sum(int(files[name]["bytes"]) for name in objects)}
    rest = {name: entry for name, entry in files.items() if not name.startswith(places)}
    return dict(sorted({**rest, **hash_files(folder, NAME)}.items())), told


def total(manifest: SetManifest) -> int:
    """Bytes of all files of a set."""
    files = manifest.get("files") or {}
    return sum(int(entry["bytes"]) for entry in files.values()) + int((manifest.get("objects") or {}).get("bytes") or 0)


def objects_of(folder: Path, manifest: SetManifest) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each object of a set: its path and C(bytes), C(sha256); of sets of older versions too.

    Raises:
        OSError, EOFError, ValueError: the list cannot be read.
    """
    if not manifest.get("objects"):
        places = tuple(folders(manifest.get("parts", [])))
        yield from ((name, dict(entry)) for name, entry in (manifest.get("files") or {}).items() if places and name.startswith(places))
        return
    with gzip.open(folder / NAME, "rt", encoding="utf-8") as lines:
        for line in lines:
            name, size, digest = json.loads(line)
            yield str(name), {"bytes": int(size), "sha256": str(digest)}


def problems(folder: Path, manifest: SetManifest) -> list[str]:
    """What is wrong with the objects, one sentence each: changed, missing, not in the list. No more than some thousand are held."""
    if not manifest.get("objects"):
        return []
    places = tuple(folders(manifest.get("parts", [])))
    found: list[str] = []
    listed, last, many = 0, "", 0
    try:
        entries = objects_of(folder, manifest)
        with ThreadPoolExecutor(HASHERS) as pool:
            while batch := list(itertools.islice(entries, _AT_ONCE)):
                for name, _entry in batch:
                    if name <= last or not name.startswith(places) or ".." in name.split("/"):
                        return [f"{NAME} names {name!r}, which is out of order or in no bucket of this set"]
                    last = name
                listed += len(batch)
                for problem in filter(None, pool.map(lambda one: _problem(folder, *one), batch)):
                    many += 1
                    found += [problem] if many <= _TOLD else []
    except (OSError, EOFError, ValueError, TypeError) as problem:
        return [f"{NAME} cannot be read: {problem}"]
    if many > _TOLD:
        found.append(f"{many - _TOLD} more objects are missing or were changed")
    there = sum(1 for place in places for _file in walk_files(folder / place))
    if there > listed or (there != listed and not many):
        found.append(f"there are {there} objects, {listed} in {NAME}")
    if listed != manifest["objects"].get("count"):
        found.append(f"{NAME} has {listed} objects, the manifest {manifest['objects'].get('count')}")
    return found


def _problem(folder: Path, name: str, entry: Mapping[str, Any]) -> str:
    path = folder / name
    if path.is_symlink() or not path.is_file():
        return f"{name} is missing"
    size, digest = path.stat().st_size, sha256(path)
    if digest != entry["sha256"]:
        told = f"expected {entry['bytes']} bytes with SHA-256 {entry['sha256'][:12]}…, got {size} bytes with SHA-256 {digest[:12]}…"
        return f"{name} was changed: {told}"
    return ""
