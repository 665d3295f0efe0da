# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Redis as a part of a backup set: a consistent RDB file that the server itself writes.

The server is asked to save (C(BGSAVE)), waited for, and the file it then has is copied. Redis replaces that file by rename, so
the copy is one whole state of the database. The user needs C(+bgsave +lastsave +info +dbsize +time +config|get) and no keys.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import place as restore_place
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import (
    Job,
    PartError,
    Saved,
    keep_private,
    run_tool,
    tool_version,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import CannotJudge, Context, NotAsExpected, os_error_text
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.http import client_context
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.redis import Connection, RedisError

KIND = "redis"
CHECKER = "redis-check-rdb"
PACKAGE = "redis-tools"
CHECK_TIMEOUT = 21600.0
"""Seconds for reading a file back; it ends by itself, this is for a disk that hangs."""
DIR = "/var/lib/redis"
"""Debian's folder of the server; an entry with another one says C(dir)."""
PAUSE = 0.05
"""Seconds between two observations at a save that is under way."""
SPARE = 5.0
"""Seconds beyond those for the save, so that a server that saves too long is told from one that does not answer."""

_COUNTS = {
    "keys": re.compile(r"^\[info\] (\d+) keys read", re.M),
    "expires": re.compile(r"^\[info\] (\d+) expires", re.M),
    "expired": re.compile(r"^\[info\] (\d+) already expired", re.M),
}
_NAMES = ("dbfilename", "appenddirname", "appendfilename")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")
_LAYOUT = ("dir", "dbfilename", "appendonly", "appenddirname", "appendfilename")


def plain_names(entry: Mapping[str, Any], layout: Mapping[str, str]) -> None:
    """What a server says of its files has to be names in its folder. Raises PartError."""
    wrong = [f"{key} {layout[key]!r}" for key in _NAMES if layout.get(key) and not _PLAIN.fullmatch(layout[key])]
    if wrong or not layout.get("dbfilename"):
        said = ", ".join(wrong) or "no dbfilename"
        raise PartError(f"{where(entry)} says {said}; expected plain names of files. Look at its configuration.")


def where(entry: Mapping[str, Any]) -> str:
    """Which server, for messages."""
    return f"Redis {entry['name']} on {entry.get('host') or '127.0.0.1'}:{entry['port']}"


class Server:
    """A logged-in connection; every failure is a PartError that says which server and what to do."""

    def __init__(self, entry: Mapping[str, Any], timeout: float) -> None:
        self._entry = entry
        self._context = Context(timeout + SPARE)
        self._line: Connection | None = None

    def __enter__(self) -> Server:
        with self._explained():
            trusted = self._entry.get("ca_file"), self._entry.get("certificate")
            tls = client_context(*trusted) if self._entry.get("tls") or any(trusted) else None
            host, name = str(self._entry.get("host") or "127.0.0.1"), str(self._entry.get("server_name") or "")
            self._line = Connection(host, int(self._entry["port"]), self._context, tls, name)
        if self._entry.get("password_file"):
            path = Path(str(self._entry["password_file"]))
            try:
                password = path.read_text(encoding="utf-8").strip()
            except OSError as problem:
                self.__exit__()
                raise PartError(f"{where(self._entry)}: its password cannot be read from {path}: {problem.strerror}.") from problem
            user = str(self._entry.get("username") or "")
            self.ask("AUTH", *([user] if user else []), password)
        return self

    def __exit__(self, *_unused: object) -> None:
        if self._line is not None:
            self._line.close()

    @contextmanager
    def _explained(self, command: str = "") -> Iterator[None]:
        name = where(self._entry)
        try:
            yield
        except RedisError as problem:
            hint = ""
            if str(problem).startswith("NOPERM"):
                hint = " Give it a user that may: redis_backup_password of role redis makes one."
            elif str(problem).startswith(("NOAUTH", "WRONGPASS")):
                hint = " Correct its username and password_file in aistack_backup, and run site.yml."
            raise PartError(f"{name} refused {command or 'the connection'}: {problem}.{hint}") from problem
        except CannotJudge as problem:
            raise PartError(f"{name}: {problem}. Correct its ca_file in aistack_backup, and run site.yml.") from problem
        except NotAsExpected as problem:
            raise PartError(f"{name}: {problem.got}.") from problem
        except OSError as problem:
            said = os_error_text(problem, self._context.timeout)
            raise PartError(f"{name} cannot be reached: {said}. Is the server running, and does it listen there?") from problem

    def ask(self, *words: str) -> Any:
        """One command; the message of a refusal names its first words, never its arguments."""
        with self._explained(words[0] if words[0] != "CONFIG" else " ".join(words[:2])):
            if self._line is None:
                raise NotAsExpected("not connected")
            return self._line.command(*words)

    def info(self, section: str) -> dict[str, str]:
        """Names and values of a section of C(INFO)."""
        text = str(self.ask("INFO", section))
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith("#"))

    def layout(self) -> dict[str, str]:
        """Where the server keeps its files: C(dir), C(dbfilename), C(appendonly), C(appenddirname), C(appendfilename)."""
        found: dict[str, str] = {}
        for pattern in ("dir", "dbfilename", "append*"):
            reply = self.ask("CONFIG", "GET", pattern)
            found.update({str(reply[index]): str(reply[index + 1]) for index in range(0, len(reply), 2)})
        return {name: found.get(name, "") for name in _LAYOUT}

    def keys(self) -> dict[str, int]:
        """Number of keys by database, as C(db0): 12."""
        return {name: int(re.findall(r"keys=(\d+)", value)[0]) for name, value in self.info("keyspace").items() if "keys=" in value}


def job(entry: Mapping[str, Any], timeout: float) -> Job:
    """The job of one entry of C(redis) in the description; ``timeout`` in seconds."""
    path = f"redis/{entry['name']}.rdb"

    def size() -> int:
        with Server(entry, min(timeout, 10)) as server:
            return int(server.info("memory").get("used_memory", 0))

    def save(folder: Path) -> Saved:
        return _save(entry, folder / path, timeout)

    return Job(KIND, str(entry["name"]), path, size, save)


def _save(entry: Mapping[str, Any], target: Path, timeout: float) -> Saved:
    with Server(entry, timeout) as server:
        saved_at = _bgsave(entry, server, timeout)
        layout = server.layout()
        keys = server.keys()
        about = server.info("server")
    plain_names(entry, layout)
    source = Path(layout["dir"]) / layout["dbfilename"]
    try:
        with restore_place.opened(source.parent) as place, place.read(source.name) as reading:
            keep_private(reading, target)
            state = os.fstat(reading.fileno())
    except FileNotFoundError:
        raise PartError(
            f"{where(entry)} says that its file is {source}, which is not on this node. A set is made where the server runs: "
            "name that host (hosts) with it in aistack_backup."
        ) from None
    counts = check(target)
    facts = {
        "server": about.get("redis_version", ""),
        "saved_at": saved_at,
        "databases": keys,
        "owner": [state.st_uid, state.st_gid],
        "layout": layout,
        **counts,
    }
    return Saved(facts, tools={"redis": about.get("redis_version", ""), CHECKER: _checker_version()})


def _bgsave(entry: Mapping[str, Any], server: Server, timeout: float) -> int:
    """Have the server save and wait for it; returns the time of the save by the server's clock."""
    end = time.monotonic() + timeout
    began = int(server.ask("TIME")[0])
    while True:
        status = server.info("persistence")
        busy = status.get("loading") == "1" or status.get("rdb_bgsave_in_progress") == "1" or status.get("aof_rewrite_in_progress") == "1"
        if not busy:
            try:
                server.ask("BGSAVE")
                break
            except PartError as refused:  # a save or a rewrite began in between
                if "progress" not in str(refused):
                    raise
        _patience(entry, end, timeout, "is busy with another save or rewrite of its files")
    while True:
        status = server.info("persistence")
        if status.get("rdb_bgsave_in_progress") == "0":
            break
        _patience(entry, end, timeout, "has not finished its save")
    saved_at = int(server.ask("LASTSAVE"))
    if status.get("rdb_last_bgsave_status") != "ok" or saved_at < began:
        raise PartError(
            f"{where(entry)} could not save: rdb_last_bgsave_status is {status.get('rdb_last_bgsave_status')}. Its log says why; "
            "most often its disk is full, or there is no memory left for a copy of the process."
        )
    return saved_at


def _patience(entry: Mapping[str, Any], end: float, timeout: float, what: str) -> None:
    if time.monotonic() >= end:
        raise PartError(f"{where(entry)} {what} after {timeout:g} s.")
    time.sleep(PAUSE)


def _checker_version() -> str:
    return tool_version([CHECKER, "--version"]) if has_checker() else ""


def has_checker() -> bool:
    """Whether Redis' own program that reads RDB files is on this node."""
    return any(os.access(f"{folder}/{CHECKER}", os.X_OK) for folder in ("/usr/bin", "/usr/local/bin", "/usr/sbin"))


def check(path: Path) -> dict[str, object]:
    """Read an RDB file back; returns C(checked) and, where Redis' own program is there, C(keys), C(expires) and C(expired).

    Raises PartError. Without that program only the file's beginning and end are looked at.
    """
    if not has_checker():
        with open(path, "rb") as stream:
            head = stream.read(5)
            stream.seek(max(0, path.stat().st_size - 9))
            tail = stream.read(9)
        if head != b"REDIS" or tail[:1] != b"\xff":
            raise PartError(f"{path} is no whole RDB file: it is truncated, or something else.")
        return {"checked": "beginning and end"}
    ended = run_tool([CHECKER, str(path)], CHECK_TIMEOUT, package=PACKAGE)
    if ended.rc != 0 or "RDB looks OK" not in ended.stdout:
        said = [line for line in (ended.stdout + ended.stderr).splitlines() if line.strip()][-3:]
        raise PartError(f"{path} is no RDB file that Redis can read back: {' | '.join(said)}")
    counted = {name: pattern.search(ended.stdout) for name, pattern in _COUNTS.items()}
    return {"checked": CHECKER, **{name: int(found.group(1)) for name, found in counted.items() if found}}


def verify(folder: Path, part: Mapping[str, Any]) -> list[str]:
    """What is wrong with the part, one sentence each."""
    path = folder / str(part["path"])
    if not path.is_file():
        return [f"{path} is missing"]
    try:
        counts = check(path)
    except PartError as problem:
        return [str(problem)]
    known = part["facts"].get("keys")
    if known is not None and counts.get("keys", known) != known:
        return [f"{path} holds {counts['keys']} keys, expected {known}"]
    return []
