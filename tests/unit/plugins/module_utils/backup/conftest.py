# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node on paper: a component with a slot, credentials, a SQLite database; and a server that speaks Redis' language."""

from __future__ import annotations

import base64
import json
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.backup.sets import Request
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.listening import hang_up

# Two keys, written by BGSAVE of Redis 7.0.15.
RDB = base64.b64decode(
    "UkVESVMwMDEw+glyZWRpcy12ZXIGNy4wLjE1+gpyZWRpcy1iaXRzwED6BWN0aW1lwqeGAWv6CHVzZWQtbWVtwljVEAD6CGFvZi1iYXNlwAD+APsCAAABYsACAAFh"
    "wAH/M66DkwdTWRc="
)
CHECKED = """[offset 0] Checking RDB file dump.rdb
[offset 118] Checksum OK
[offset 118] \\o/ RDB looks OK! \\o/
[info] 2 keys read
[info] 1 expires
[info] 0 already expired
"""
"""What redis-check-rdb 7.0.15 prints."""


@dataclass
class Node:
    """Folders of a node."""

    root: Path
    state: Path
    description: dict[str, Any] = field(default_factory=dict)

    def describe(self, **more: Any) -> dict[str, Any]:
        """Write ``backup.json``."""
        self.description = {"stack": "lab", **more}
        (self.state / "backup.json").write_text(json.dumps(self.description))
        return self.description

    def request(self, reason: str = "daily", **more: Any) -> Request:
        return Request(self.state, reason, self.root, **{"run": "run-1", "min_free": 0, "wait": 0.2, **more})

    def database(self, rows: int = 3) -> Path:
        """A SQLite database with rows."""
        path = self.root / "memory.db"
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT)")
            connection.executemany("INSERT INTO notes (text) VALUES (?)", [(f"note {number}",) for number in range(rows)])
        connection.close()
        return path


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """A node on which backend v1 is live in the slot blue, with the config c1; green has v0 with c0."""
    root, state = tmp_path / "root", tmp_path / "state"
    for tag in ("v0", "v1"):
        release = root / "backend" / "releases" / tag
        release.mkdir(parents=True)
        (release / "release.json").write_text(json.dumps({"tag": tag, "built_at": f"2026-01-0{tag[1]}", "alembic_heads": ["aaa1"]}))
        (release / "release.files.json").write_text("{}")
    for slot, tag, config in (("blue", "v1", "c1"), ("green", "v0", "c0")):
        folder = root / "backend" / "config" / config
        folder.mkdir(parents=True)
        (folder / "env").write_text(f'DATABASE_URL="postgresql://app:geheim@127.0.0.1:5432/{config}"\n')
        (folder / "env").chmod(0o600)
        links = root / "backend" / "slots" / slot
        links.mkdir(parents=True)
        (links / "release").symlink_to(f"../../releases/{tag}")
        (links / "config").symlink_to(f"../../config/{config}")
    (root / "backend" / "slots" / "live").symlink_to("blue")
    (state / "credentials").mkdir(parents=True)
    (state / "credentials" / "redis_backup").write_text("bk\n")
    (state / "gates").mkdir()
    (state / "gates" / "backend.json").write_text("{}")
    return Node(root, state)


@dataclass
class FakeRedis:
    """What the server answers; ``asked`` has every command."""

    folder: Path
    port: int = 0
    asked: list[list[str]] = field(default_factory=list)
    saving: int = 0
    refuse: dict[str, str] = field(default_factory=dict)
    status: str = "ok"
    busy_answers: int = 0
    clock: int = 1000
    content: bytes = RDB
    keys: int = 2
    says: str = ""

    def answer(self, words: list[str]) -> bytes:
        self.asked.append(words)
        name = words[0]
        if name in self.refuse:
            return f"-{self.refuse[name]}\r\n".encode()
        if name == "TIME":
            return b"*2\r\n" + _bulk(str(self.clock)) + _bulk("1")
        if name == "BGSAVE":
            if self.busy_answers:
                self.busy_answers -= 1
                return b"-ERR Background save already in progress\r\n"
            self.saving = 2
            return b"+Background saving started\r\n"
        if name == "LASTSAVE":
            return f":{self.clock}\r\n".encode()
        if name == "CONFIG":
            values = {"dir": self.says or str(self.folder), "dbfilename": "dump.rdb", "appendonly": "no", "appenddirname": "aofdir"}
            found = {key: value for key, value in values.items() if key == words[2] or (words[2] == "append*" and key.startswith("append"))}
            return f"*{2 * len(found)}\r\n".encode() + b"".join(_bulk(text) for pair in found.items() for text in pair)
        if name == "INFO":
            return _bulk(self._info(words[1]))
        return b"+OK\r\n"

    def _info(self, section: str) -> str:
        if section == "persistence":
            self.saving = max(0, self.saving - 1)
            if not self.saving and not (self.folder / "dump.rdb").exists():
                (self.folder / "dump.rdb").write_bytes(self.content)
            return f"loading:0\r\nrdb_bgsave_in_progress:{int(self.saving > 0)}\r\nrdb_last_bgsave_status:{self.status}\r\n"
        if section == "keyspace":
            return f"# Keyspace\r\ndb0:keys={self.keys},expires=1,avg_ttl=0\r\n"
        return "redis_version:7.0.15\r\nused_memory:1000\r\n"


def _bulk(text: str) -> bytes:
    raw = text.encode()
    return b"$%d\r\n%s\r\n" % (len(raw), raw)


@pytest.fixture
def rdb() -> bytes:
    """An RDB file."""
    return RDB


@pytest.fixture
def checked() -> str:
    """What Redis' own program prints of it."""
    return CHECKED


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[FakeRedis]:
    """A server on loopback that behaves like Redis while it saves."""
    folder = tmp_path / "redis-data"
    folder.mkdir()
    here = FakeRedis(folder)
    listener = socket.create_server(("127.0.0.1", 0))
    here.port = listener.getsockname()[1]

    def serve(line: socket.socket) -> None:
        with line, line.makefile("rb") as stream:
            while True:
                head = stream.readline()
                if not head:
                    return
                words = []
                for _word in range(int(head[1:])):
                    size = int(stream.readline()[1:])
                    words.append(stream.read(size + 2)[:-2].decode())
                line.sendall(here.answer(words))

    def accept() -> None:
        while True:
            try:
                line, _address = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(line,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield here
    hang_up(listener, thread)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Return ``program(name, script)``: puts a shell script first on the path of the programs that parts run."""
    from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import age as backup_age, base as backup_part

    folder = tmp_path / "bin"
    folder.mkdir()
    for module in (backup_part, backup_age):
        monkeypatch.setattr(module, "PATH", f"{folder}:{module.PATH}")

    def put(name: str, script: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return put
