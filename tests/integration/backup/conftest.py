# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Redis of its own on loopback, a bucket that rclone knows, an identity of age, and a node on paper around them."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.phasegate.aistack.plugins.module_utils.backup.sets import Request

ROLE = Path(__file__).resolve().parents[3] / "roles" / "redis" / "vars" / "main.yml"
BACKUP_RULES: str = yaml.safe_load(ROLE.read_text(encoding="utf-8"))["__redis_backup_rules"]
"""What role redis gives to its user for backups."""


def needed(program: str) -> str:
    """Path of a program of this machine, which these tests cannot do without."""
    found = shutil.which(program)
    if not found:
        pytest.fail(f"{program} is not on this machine: tests/tools/host-packages.sh redis-server rclone age")
    return found


@dataclass
class RealRedis:
    """A server with its folder. ``unit`` is what would be its unit's name."""

    folder: Path
    port: int
    appendonly: bool
    child: subprocess.Popen[bytes] | None = None
    log: list[str] = field(default_factory=list)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        config = self.folder / "redis.conf"
        lines = [
            f"port {self.port}", "bind 127.0.0.1", f"dir {self.data}", 'save ""', f"appendonly {'yes' if self.appendonly else 'no'}",
            "user default on >app-password ~* &* +@all", f"user backup on >bk-password {BACKUP_RULES}",
        ]
        config.write_text("\n".join(lines) + "\n")
        who: dict[str, Any] = {}
        if os.geteuid() == 0:
            entry = pwd.getpwnam("redis")
            who = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        self.child = subprocess.Popen(
            [needed("redis-server"), str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", umask=0o007, **who
        )
        self.log.append("start")
        for _attempt in range(200):
            # not yet: it is asked again
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                if self.cli("PING") == "PONG":
                    return
            time.sleep(0.02)
        pytest.fail("Redis did not start")

    def stop(self) -> None:
        self.log.append("stop")
        if self.child is not None:
            self.child.terminate()
            self.child.wait(20)
            self.child = None

    def cli(self, *words: str) -> str:
        child = subprocess.run(
            ["redis-cli", "-p", str(self.port), *words],
            capture_output=True, text=True, check=False, env={**os.environ, "REDISCLI_AUTH": "app-password"},
        )
        return child.stdout.strip()

    def entry(self, password_file: Path) -> dict[str, Any]:
        """What the description says of it."""
        password_file.write_text("bk-password\n")
        return {
            "name": "broker", "host": "127.0.0.1", "port": self.port, "username": "backup", "password_file": str(password_file),
            "unit": "redis-server.service", "dir": str(self.data),
        }


@pytest.fixture(params=[False, True], ids=["rdb", "aof"])
def redis(request: pytest.FixtureRequest) -> Iterator[RealRedis]:
    """A running server, once with an append-only file and once without."""
    folder = Path(tempfile.mkdtemp(prefix="aistack-redis-", dir="/tmp"))
    folder.chmod(0o755)
    (folder / "data").mkdir(mode=0o750)
    if os.geteuid() == 0:
        entry = pwd.getpwnam("redis")
        os.chown(folder / "data", entry.pw_uid, entry.pw_gid)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    here = RealRedis(folder, port, request.param)
    here.start()
    try:
        yield here
    finally:
        here.stop()
        shutil.rmtree(folder)


@dataclass
class Store:
    """A bucket that is a folder, as rclone sees it."""

    folder: Path
    name: str = "assets"

    @property
    def bucket(self) -> Path:
        return self.folder / self.name

    def entry(self) -> dict[str, Any]:
        return {"name": self.name, "options": {"type": "alias", "remote": str(self.folder)}}

    def put(self, key: str, content: str) -> None:
        path = self.bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def content(self) -> dict[str, str]:
        return {str(path.relative_to(self.bucket)): path.read_text() for path in self.bucket.rglob("*") if path.is_file()}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    needed("rclone")
    here = Store(tmp_path / "store")
    for key, content in {"a.txt": "one", "deep/b.txt": "two", "deep/er/ü c\n.txt": "three"}.items():
        here.put(key, content)
    return here


@dataclass
class Node:
    root: Path
    state: Path

    def describe(self, **more: Any) -> None:
        (self.state / "backup.json").write_text(json.dumps({"stack": "lab", **more}))

    def request(self, reason: str = "daily", **more: Any) -> Request:
        return Request(self.state, reason, self.root, **{"run": "run-1", "min_free": 0, "wait": 5.0, "timeout": 60.0, **more})


@pytest.fixture
def node(tmp_path: Path) -> Node:
    (tmp_path / "root").mkdir()
    (tmp_path / "state").mkdir()
    return Node(tmp_path / "root", tmp_path / "state")


@dataclass
class Identity:
    """A key pair of age; the identity is a file outside the node."""

    file: Path
    text: str
    recipient: str


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    needed("age")
    text = subprocess.run([needed("age-keygen")], capture_output=True, text=True, check=True).stdout
    file = tmp_path / "elsewhere.txt"
    file.write_text(text)
    file.chmod(0o600)
    recipient = next(line for line in text.splitlines() if "public key" in line).split()[-1]
    return Identity(file, text, recipient)
