# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the parts of a backup set have in common: a job that saves one thing, programs, files that nobody else may read."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import fsync
from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import Ended, Stream
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.tools import sha256

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HASHERS = 4
"""Files that are read at the same time; SHA-256 runs beside other threads."""

Files = dict[str, dict[str, Any]]
"""Path relative to the set to C(sha256) and C(bytes)."""


class PartError(Exception):
    """A part cannot be saved, is not what it was, or cannot be put back; the message says what to do."""


@dataclass(frozen=True)
class Saved:
    """What a job has to say: ``facts`` for the manifest, ``files`` whose checksums it knows already, ``tools`` with versions."""

    facts: dict[str, Any]
    files: Files = field(default_factory=dict)
    tools: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One thing to save.

    Attributes:
        kind, name: of the part; ``path``: file or folder in the set that it makes.
        size: bytes that it may take at most.
        save: makes ``path`` in the set's folder. Raises PartError, or OSError.
    """

    kind: str
    name: str
    path: str
    size: Callable[[], int]
    save: Callable[[Path], Saved]

    @property
    def title(self) -> str:
        """Kind and name."""
        return f"{self.kind}:{self.name}"


def run_tool(
    argv: Sequence[str],
    timeout: float,
    environment: Mapping[str, str] | None = None,
    package: str = "",
    stdin: Stream = proc.NOTHING,
    given: bytes | None = None,
    stdout: Stream = proc.PIPE,
) -> Ended:
    """Run a program in a session of its own; what it makes is for root only.

    Args:
        argv: never holds a secret; ``environment`` may.
        timeout: seconds; past them the whole session is ended.
        package: what to install where it is not there.
        stdin, stdout: files, or nothing; ``given`` is written to its standard input.

    Raises:
        PartError: it is not there, or did not end in time.
    """
    try:
        env = {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": "/root", **(environment or {})}
        ended = proc.finish(argv, timeout, given, env=env, cwd="/", stdin=stdin, stdout=stdout, umask=0o077)
    except FileNotFoundError:
        hint = f"Install Debian's package {package} (role backup does where it is declared)." if package else ""
        raise PartError(f"{argv[0]} is not on this node. {hint}".strip()) from None
    except OSError as problem:
        raise PartError(f"{argv[0]} cannot be started: {problem.strerror}.") from problem
    if ended.timed_out:
        raise PartError(f"{argv[0]} {' '.join(argv[1:2])} did not end within {timeout:g} s and was ended.")
    return ended


def tool_version(argv: Sequence[str], package: str = "") -> str:
    """First line of what a program says of itself. Raises PartError."""
    ended = run_tool(argv, 30, package=package)
    return ((ended.stdout or ended.stderr).strip().splitlines() or [""])[0]


def keep_private(reading: BinaryIO, target: Path) -> int:
    """Copy an open file for root only, on disk when this returns; returns its bytes. ``target`` must not be there.

    Holes and other file systems do not matter; the folder above ``target`` is made.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as writing:
        return copy_stream(reading, writing)


def copy_stream(reading: BinaryIO, writing: BinaryIO) -> int:
    """Copy an open file into another; on disk when this returns; returns its bytes."""
    shutil.copyfileobj(reading, writing, 1 << 20)
    writing.flush()
    os.fsync(writing.fileno())
    return writing.tell()


def walk_files(folder: Path) -> Iterator[Path]:
    """Every regular file below a folder, links left out, in order."""
    for here, names, files in os.walk(folder):
        names.sort()
        for name in sorted(files):
            path = Path(here) / name
            if stat.S_ISREG(path.lstat().st_mode):
                yield path


def bytes_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; nothing for what is not there."""
    if path.is_dir():
        return sum(inner.lstat().st_size for inner in walk_files(path))
    return path.lstat().st_size if path.exists() else 0


def close_to_others(folder: Path) -> None:
    """Make everything below a folder root's alone, whatever a program made it; contents stay."""
    for here, names, files in os.walk(folder):
        for name in [*names, *files]:
            path = Path(here) / name
            state = path.lstat()
            if stat.S_ISLNK(state.st_mode):
                continue
            wanted = 0o700 if stat.S_ISDIR(state.st_mode) else 0o600
            if stat.S_IMODE(state.st_mode) != wanted:
                os.chmod(path, wanted)
            if os.geteuid() == 0 and (state.st_uid, state.st_gid) != (0, 0):
                os.chown(path, 0, 0)


def hash_files(
    root: Path, path: str = "", known: Mapping[str, Mapping[str, object]] | None = None, but: tuple[str, ...] = ()
) -> Files:
    """Checksums of the file or of all files below the folder ``path`` of ``root``; they are on disk when this returns.

    Those in ``known`` (names relative to ``root``) are taken from there; those that begin with one of ``but`` are left out.
    """
    have = known or {}
    found: Files = {}
    todo: list[tuple[str, Path]] = []
    start = root / path
    for file in [start] if start.is_file() else walk_files(start):
        relative = file.relative_to(root).as_posix()
        if but and relative.startswith(but):
            continue
        if relative in have and have[relative]["bytes"] == file.lstat().st_size:
            found[relative] = {"sha256": have[relative]["sha256"], "bytes": have[relative]["bytes"]}
        else:
            todo.append((relative, file))

    def one(entry: tuple[str, Path]) -> tuple[str, dict[str, object]]:
        fsync(entry[1])
        return entry[0], {"sha256": sha256(entry[1]), "bytes": entry[1].lstat().st_size}

    with ThreadPoolExecutor(HASHERS) as pool:
        found.update(pool.map(one, sorted(todo, key=lambda entry: entry[1].lstat().st_size, reverse=True)))
    return dict(sorted(found.items()))
