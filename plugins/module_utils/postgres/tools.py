# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL's own tools as processes: the password in their environment only, bounded in time, and what an archive holds."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc
from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import Ended
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import DatabaseAddress
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import tool_environment

_ENTRY = re.compile(r"^\d+; \d+ \d+ (.*)$", re.M)
_DATA = "TABLE DATA "
_BLOCK = 1 << 20

PATIENCE = 5.0
"""Seconds that a tool is given to end by itself."""


class ToolError(Exception):
    """A tool is not there, or an archive cannot be read."""


class Tool:
    """One running tool in a session of its own. Use as a context manager: what still runs at the end of it is ended."""

    def __init__(
        self,
        argv: Sequence[str],
        address: DatabaseAddress,
        variables: Mapping[str, str],
        user: str | None,
        application: str,
        stdout: int = proc.PIPE,
        pass_fds: Iterable[int] = (),
        options: str = "",
        stdin: int = proc.NOTHING,
    ) -> None:
        """``options`` are settings of the server for the tool's sessions, in the form of PGOPTIONS."""
        environment = tool_environment(address, variables, user, application)
        if options:
            environment["PGOPTIONS"] = options
        self._began = time.monotonic()
        try:
            self._child = proc.start(argv, environment, "/", stdin, stdout, user=user, pass_fds=pass_fds)
        except OSError as problem:
            raise ToolError(f"{argv[0]} cannot be run on this node: {problem.strerror}. Install PostgreSQL's client package.") from None

    def __enter__(self) -> Tool:
        return self

    def __exit__(self, *_unused: object) -> None:
        self.stop()
        for pipe in (self._child.stdout, self._child.stderr):
            if pipe:
                pipe.close()

    def wait(self, timeout: float) -> Ended:
        """Waits at most ``timeout`` seconds; then the tool is ended and C(timed_out) set."""
        done = proc.ended(self._child, None, max(timeout, 0.0), stop=self.stop)
        return replace(done, stderr=done.stderr.strip(), seconds=time.monotonic() - self._began)

    def stop(self) -> None:
        """Asks it to end, so that it can cancel what it has the server do; kills it after PATIENCE seconds."""
        proc.stop(self._child, PATIENCE)


def version(tool: str) -> str:
    """What C(tool --version) prints. Raises ToolError."""
    try:
        return proc.finish([tool, "--version"], cwd="/").stdout.strip()
    except OSError as problem:
        raise ToolError(f"{tool} cannot be run on this node: {problem.strerror}. Install PostgreSQL's client package.") from None


def too_old(tool: str, server: str) -> str:
    """Why a tool cannot serve a server of that version, and the package that can; empty where it does. Raises ToolError."""
    said = version(tool)
    found, wanted = re.search(r"\) (\d+)", said), re.match(r"\d+", server)
    if not found or not wanted or int(found.group(1)) >= int(wanted.group()):
        return ""
    return (
        f"{tool} on this node is older ({found.group(1)}) than the server ({server}), and would refuse it. Install the client package of"
        f" {wanted.group()} here, such as postgresql-client-{wanted.group()}."
    )


@dataclass(frozen=True)
class Archive:
    """What C(pg_restore --list) shows: one line for each entry, without its numbers."""

    entries: list[str]
    numbered: list[str]

    @property
    def tables(self) -> int:
        """Number of tables whose rows are in the archive."""
        return sum(entry.startswith(_DATA) for entry in self.entries)

    def lacks(self, tables: Iterable[str]) -> list[str]:
        """Which of those tables (with their schema) have no rows entry."""
        held = [entry[len(_DATA) :] for entry in self.entries if entry.startswith(_DATA)]
        plain = {" ".join(entry.split(" ")[:2]) for entry in held}
        missing = []
        for name in tables:
            wanted = " ".join(name.split(".", 1))
            if wanted not in plain and not any(entry.startswith(wanted + " ") for entry in held):
                missing.append(name)
        return sorted(missing)

    def owners_missing(self, roles: Iterable[str]) -> list[str]:
        """Entries whose owner is none of ``roles``; an entry without an owner ends with a space."""
        ends = tuple(" " + role for role in roles)
        return [entry for entry in self.entries if not entry.endswith((" ", *ends))]


def read_archive(listing: str) -> Archive:
    """The answer of C(pg_restore --list) as an Archive."""
    return Archive(_ENTRY.findall(listing), [line for line in listing.splitlines() if line and not line.startswith(";")])


def archive(path: Path, user: str | None = None) -> Archive:
    """Reads an archive's list: a file (as ``user``, through an open handle) or a folder. Raises ToolError."""
    folder = path.is_dir()
    argv = ["pg_restore", "--list", *([str(path)] if folder else [])]
    try:
        with contextlib.ExitStack() as stack:
            handle: proc.Stream = proc.NOTHING if folder else stack.enter_context(open(path, "rb"))
            child = proc.finish(argv, cwd="/", stdin=handle, user=None if folder else user)
    except FileNotFoundError as problem:
        if problem.filename == str(path):
            raise ToolError(f"{path} is not there.") from None
        raise ToolError("pg_restore is not on this node. Install PostgreSQL's client package.") from None
    if child.rc:
        raise ToolError(f"{path} cannot be read back: {child.stderr.strip()[-400:]}")
    return read_archive(child.stdout)


def free_bytes(folder: Path) -> int:
    """Free space for an ordinary user where ``folder`` is or will be."""
    while not folder.exists():
        folder = folder.parent
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize


def sha256(path: Path) -> str:
    """SHA-256 of a file, read back from disk; a link is not followed. Raises OSError."""
    digest = hashlib.sha256()
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb", buffering=0) as handle:
        for block in iter(lambda: handle.read(_BLOCK), b""):
            digest.update(block)
    return digest.hexdigest()


def hash_files(root: Path, folder: Path, jobs: int) -> dict[str, dict[str, object]]:
    """Path relative to ``root`` to C(sha256) and C(bytes), for every file below ``folder``; ``jobs`` at a time, the largest first."""
    found = sorted(((path.stat().st_size, path) for path in folder.rglob("*") if path.is_file()), reverse=True)
    with ThreadPoolExecutor(max(jobs, 1)) as pool:
        digests = list(pool.map(lambda entry: sha256(entry[1]), found))
    pairs = zip(found, digests)
    return {path.relative_to(root).as_posix(): {"sha256": digest, "bytes": size} for (size, path), digest in sorted(pairs, key=str)}
