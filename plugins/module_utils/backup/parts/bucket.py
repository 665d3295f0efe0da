# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A bucket as a part of a backup set, by rclone: copied, what did not change linked to the set before, checked against the bucket.

A bucket has no snapshot. An object that is written while it is copied is taken as it was at some moment in between, and counted;
any other difference that is left after three rounds fails the part. Objects without a checksum of their own are compared by
reading them.

rclone writes into existing files in place, which would change the set before: it only ever writes into files of its own here
(C(--compare-dest) into an empty folder, then C(--immutable)).
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import objects as backup_list
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import (
    Files,
    Job,
    PartError,
    Saved,
    run_tool,
    tool_version,
    walk_files,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.plan import SetManifest
from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import Ended

KIND = "bucket"
PACKAGE = "rclone"
ROUNDS = 3
REMOTE = "BUCKET"
_QUIET = ("--log-level", "NOTICE", "--transfers", "8", "--checkers", "8")
_PATIENCE = ("--retries", "2", "--low-level-retries", "3", "--contimeout", "5s", "--timeout", "60s")
_UNCHECKED = "hashes could not be checked"
_NOT_THERE = 3  # rclone's exit status for a folder that does not exist

Listing = dict[str, tuple[int, str]]
"""Object to size in bytes and time of its last change, by the server's clock."""


@dataclass(frozen=True)
class Differences:
    """What C(rclone check) saw from the first place to the second: names in rclone's spelling."""

    same: int
    changed: list[str]
    only_first: list[str]
    only_second: list[str]

    @property
    def names(self) -> list[str]:
        """All that is not the same."""
        return sorted([*self.changed, *self.only_first, *self.only_second])


class Bucket:
    """One bucket, with the keys to it in rclone's environment and nowhere else."""

    def __init__(self, entry: Mapping[str, Any], timeout: float) -> None:
        self.entry = entry
        self.name = str(entry["name"])
        self._timeout = timeout
        self.place = f"{REMOTE}:{self.name}"

    def __str__(self) -> str:
        return f"Bucket {self.name} on {self.entry.get('endpoint') or self.entry.get('options', {}).get('type', 'its server')}"

    def environment(self) -> dict[str, str]:
        """rclone's configuration. C(options) of the entry are rclone's own names for its backend, C(type) included."""
        settings: dict[str, str] = {"type": "s3", "provider": "Minio", "no_check_bucket": "true"}
        settings["region"] = str(self.entry.get("region") or "us-east-1")
        endpoint = str(self.entry.get("endpoint") or "")
        if endpoint:
            settings["endpoint"] = endpoint if "://" in endpoint else f"http://{endpoint}"
        if self.entry.get("access_key_id"):
            settings["access_key_id"] = str(self.entry["access_key_id"])
        if self.entry.get("secret_key_file"):
            path = Path(str(self.entry["secret_key_file"]))
            try:
                settings["secret_access_key"] = path.read_text(encoding="utf-8").strip()
            except OSError as problem:
                raise PartError(f"{self}: its secret key cannot be read from {path}: {problem.strerror}.") from problem
        settings.update({str(key): str(value) for key, value in (self.entry.get("options") or {}).items()})
        prefix = f"RCLONE_CONFIG_{REMOTE}_"
        extra = {"RCLONE_CA_CERT": str(self.entry["ca_file"])} if self.entry.get("ca_file") else {}
        return {"RCLONE_CONFIG": os.devnull, **{prefix + key.upper(): value for key, value in settings.items()}, **extra}

    def rclone(self, *words: str, good: Iterable[int] = (0,)) -> Ended:
        """One command of rclone. Raises PartError where it ends otherwise than ``good``."""
        environment = self.environment()
        ended = run_tool(["rclone", *words, *_QUIET, *_PATIENCE], self._timeout, environment, PACKAGE)
        if ended.rc not in set(good):
            raise PartError(f"{self}: rclone {words[0]} ended with {ended.rc}: {_said(ended, environment)}")
        return ended

    def listing(self) -> Listing:
        """What is in the bucket."""
        ended = self.rclone("lsjson", "-R", "--files-only", "--use-server-modtime", "--no-mimetype", self.place, good=(0, _NOT_THERE))
        if ended.rc == _NOT_THERE:
            raise PartError(f"{self} does not exist, or its key may not list it.")
        return {str(entry["Path"]): (int(entry["Size"]), str(entry["ModTime"])) for entry in json.loads(ended.stdout or "[]")}

    def compare(self, first: str, second: str) -> Differences:
        """Compare two places by checksum; by content where an object has none."""
        words = ("check", "--combined", "-", first, second)
        ended = self.rclone(*words, good=(0, 1))
        if _UNCHECKED in ended.stderr:
            ended = self.rclone(*words, "--download", good=(0, 1))
        found: dict[str, list[str]] = {"=": [], "*": [], "+": [], "-": [], "!": []}
        for line in ended.stdout.splitlines():
            found.setdefault(line[:1], []).append(line[2:])
        if found["!"]:
            raise PartError(f"{self}: {len(found['!'])} objects could not be read, {found['!'][0]} among them: {_said(ended, {})}")
        if ended.rc and not (found["*"] or found["+"] or found["-"]):
            raise PartError(f"{self}: rclone check ended with {ended.rc}: {_said(ended, self.environment())}")
        return Differences(len(found["="]), found["*"], found["+"], found["-"])


def _said(ended: Ended, environment: Mapping[str, str]) -> str:
    """The end of what rclone printed, without the secret key."""
    text = " | ".join([line for line in ended.stderr.splitlines() if line.strip()][-3:]) or "no message"
    secret = environment.get(f"RCLONE_CONFIG_{REMOTE}_SECRET_ACCESS_KEY")
    return text.replace(secret, "****") if secret else text


def disk_name(name: str) -> str:
    """The file that rclone writes for an object on a local disk: control characters stand as pictures in its own spelling."""
    plain: list[str] = []
    quoted = False
    for char in name:
        code = ord(char)
        if quoted:
            plain.append(char)
            quoted = False
        elif char == "‛":
            quoted = True
        elif 0x2400 < code < 0x2420:
            plain.append(chr(code - 0x2400))
        else:
            plain.append("\x7f" if code == 0x2421 else char)
    return "".join(plain)


def job(entry: Mapping[str, Any], timeout: float, previous: tuple[Path, SetManifest] | None) -> Job:
    """The job of one entry of C(buckets); ``previous`` is the newest verified set, folder and manifest, to share objects with."""
    path = f"buckets/{entry['name']}"
    before = _before(entry, previous)

    def size() -> int:
        have = {} if before is None else {file.relative_to(before[0]).as_posix(): file.lstat().st_size for file in walk_files(before[0])}
        return sum(count for name, (count, _when) in Bucket(entry, timeout).listing().items() if have.get(disk_name(name)) != count)

    def save(folder: Path) -> Saved:
        return _save(Bucket(entry, timeout), folder, path, before)

    return Job(KIND, str(entry["name"]), path, size, save)


def _before(entry: Mapping[str, Any], previous: tuple[Path, SetManifest] | None) -> tuple[Path, SetManifest, str] | None:
    """The folder of this bucket in the set before, that set's manifest, and the folder's path in it; None where it has none."""
    if previous is None:
        return None
    folder, manifest = previous
    for part in manifest.get("parts", ()):
        if (part["kind"], part["name"]) == (KIND, entry["name"]) and not part.get("encrypted") and (folder / part["path"]).is_dir():
            return folder / part["path"], manifest, str(part["path"])
    return None


def _save(bucket: Bucket, folder: Path, path: str, before: tuple[Path, SetManifest, str] | None) -> Saved:
    target = folder / path
    target.mkdir(mode=0o700, parents=True)
    listed = bucket.listing()
    shared = ["--compare-dest", str(before[0])] if before else []
    bucket.rclone("copy", "--checksum", "--metadata", *shared, bucket.place, str(target))
    linked = _link(listed, target, before[0]) if before else []
    left = Differences(0, [], [], [])
    for _round in range(ROUNDS):
        left = bucket.compare(bucket.place, str(target))
        if not left.names:
            break
        for name in [*left.changed, *left.only_second]:
            with contextlib.suppress(FileNotFoundError):  # what is not found stays a difference, and ends as an error
                (target / disk_name(name)).unlink()
        bucket.rclone("copy", "--checksum", "--metadata", "--immutable", bucket.place, str(target), good=range(10))
    if left.names:
        left = bucket.compare(bucket.place, str(target))
    moving = _explained(bucket, listed, left)
    objects = sum(1 for _file in walk_files(target))
    facts = {
        "objects": objects,
        "endpoint": str(bucket.entry.get("endpoint") or ""),
        "linked": 0,
        "changed_meanwhile": moving,
    }
    files = _known(target, path, linked, before)
    facts["linked"] = len(files)
    return Saved(facts, files, {"rclone": tool_version(["rclone", "version"], PACKAGE)})


def _link(listed: Listing, target: Path, before: Path) -> list[str]:
    """Link what was not copied because the set before has it; returns the files relative to the bucket."""
    linked = []
    for name in listed:
        file = disk_name(name)
        here, there = target / file, before / file
        if os.path.lexists(here) or not there.is_file() or there.is_symlink():
            continue
        here.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # another file system, or too many links: it is copied by the next round
            os.link(there, here)
            linked.append(file)
    return linked


def _explained(bucket: Bucket, listed: Listing, left: Differences) -> int:
    """How many objects were written meanwhile. Raises PartError where anything else differs."""
    if not left.names:
        return 0
    now = bucket.listing()
    still = [name for name in left.names if name in listed and listed[name] == now.get(name)]
    if still:
        raise PartError(
            f"{bucket}: {len(still)} objects are not in the set as they are in the bucket, {still[0]!r} among them, although nobody changed"
            " them meanwhile. Run it again; if it stays so, the server gives other bytes than it lists, or the disk here does."
        )
    return len(left.names)


def _known(target: Path, path: str, linked: Iterable[str], before: tuple[Path, SetManifest, str] | None) -> Files:
    """Checksums of linked files, from the manifest of the set before; that they are as the bucket has them was just checked."""
    if before is None:
        return {}
    source, manifest, earlier = before
    files: Files = {}
    wanted = {f"{earlier}/{file}": file for file in linked}
    with contextlib.suppress(OSError, EOFError, ValueError):  # what is not known is read
        for name, entry in backup_list.objects_of(source.parents[len(Path(earlier).parts) - 1], manifest):
            file = wanted.get(name)
            if file is None:
                continue
            here = target / file
            if here.is_file() and (source / file).is_file() and here.samefile(source / file):
                files[f"{path}/{file}"] = {"sha256": entry["sha256"], "bytes": entry["bytes"]}
    return files


def verify(folder: Path, part: Mapping[str, Any]) -> list[str]:
    """What is wrong with the part, one sentence each; contents are vouched for by the manifest's checksums."""
    path = folder / str(part["path"])
    if not path.is_dir():
        return [f"{path} is missing"]
    count = sum(1 for _file in walk_files(path))
    if count != part["facts"]["objects"]:
        return [f"{path} holds {count} objects, expected {part['facts']['objects']}"]
    return []
