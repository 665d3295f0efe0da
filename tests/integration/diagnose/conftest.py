# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node in a folder, whose components have real environments and talk to real servers; only systemd and its journal are stand-ins."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import Systemd
from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import Ended
from ansible_collections.phasegate.aistack.plugins.module_utils.diagnosis import causes, rules
from ansible_collections.phasegate.aistack.plugins.module_utils.diagnosis.causes import Cause
from ansible_collections.phasegate.aistack.plugins.module_utils.diagnosis.evidence import Asked, Gathered, gather
from ansible_collections.phasegate.aistack.plugins.plugin_utils import diagnoses

ROLES = {"worker": "worker", "api": "backend"}


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Node:
    """What a node has of a stack.

    Attributes:
        failed: units that systemd says have failed; the others run.
        logs: unit to what its journal holds.
    """

    folder: Path
    failed: set[str] = field(default_factory=set)
    logs: dict[str, str] = field(default_factory=dict)
    seen: Gathered | None = None

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def component(self, name: str, environment: Mapping[str, str], ports: Mapping[str, int] | None = None, edge: Any = None) -> None:
        """Lay down a component that is live in blue."""
        home = self.root / name
        (home / "config" / "c1").mkdir(parents=True)
        (home / "config" / "c1" / "env").write_text("".join(f'{key}="{value}"\n' for key, value in environment.items()), encoding="utf-8")
        (home / "releases" / "v1").mkdir(parents=True)
        slot = home / "slots" / "blue"
        slot.mkdir(parents=True)
        (slot / "config").symlink_to("../../config/c1")
        (slot / "release").symlink_to("../../releases/v1")
        (home / "slots" / "live").symlink_to("blue")
        (self.state / "components").mkdir(parents=True, exist_ok=True)
        described = {"format": 1, "component": name, "root": str(self.root), "unit": f"aistack-{name}@{{slot}}.service",
                     "ports": dict(ports or {}), "edge": edge, "source": name, "application": "shop"}
        (self.state / "components" / f"{name}.json").write_text(json.dumps(described), encoding="utf-8")

    def fails(self, name: str, script: str, environment: Mapping[str, str] | None = None) -> None:
        """Start a program as the unit of a component would; it ends, and what it said is in the journal."""
        done = subprocess.run([sys.executable, "-c", script], env={"PATH": os.environ["PATH"], **(environment or {})}, capture_output=True,
                              text=True, timeout=20, check=False, cwd=self.folder)
        assert done.returncode != 0
        unit = f"aistack-{name}@blue.service"
        self.failed.add(unit)
        self.logs[unit] = done.stdout + done.stderr

    def _systemd(self, cmd: Sequence[str], timeout: float) -> Ended:
        if cmd[:2] == ["systemctl", "show"]:
            units = cmd[cmd.index("--") + 1 :]
            said = [f"Id={unit}\nLoadState=loaded\nActiveState={'failed' if unit in self.failed else 'active'}\nSubState=x\n"
                    f"ExecMainCode=1\nExecMainStatus={1 if unit in self.failed else 0}\nNRestarts=3\n" for unit in units]
            return Ended(0, "\n".join(said), "")
        wanted = [word.partition("=")[2] for word in cmd if word.startswith("--unit=")]
        return Ended(0, "".join(self.logs.get(unit, "") for unit in wanted), "")

    def diagnosed(self, *, places: Sequence[Mapping[str, Any]] = (), only: Sequence[str] = ("worker", "api"), **asked: Any) -> list[Cause]:
        """The causes of this node by the rules that come along."""
        mine = [{"component": name, "role": ROLES.get(name, name), **({"queues": ["celery"]} if name == "worker" else {})} for name in only]
        given: dict[str, Any] = {"components": mine, "workers": {"worker": ["celery"]}, "addresses": ["127.0.0.1"], **asked}
        self.seen = gather(Asked(str(self.root), str(self.state), places=places, **given), Systemd(run=self._systemd))
        return causes.ranked(rules.findings(diagnoses.in_use([]), self.seen.evidence, "node"))


@pytest.fixture
def node(tmp_path: Path) -> Node:
    found = Node(tmp_path)
    found.root.mkdir()
    found.state.mkdir()
    return found


@dataclass
class Redis:
    """A real server."""

    port: int

    def ask(self, *words: str) -> str:
        """What redis-cli prints."""
        argv = ["redis-cli", "-p", str(self.port), "--no-auth-warning", "-a", "right", *words]
        return subprocess.run(argv, capture_output=True, text=True, timeout=10, check=True).stdout.strip()


@contextlib.contextmanager
def listening(argv: Sequence[str], port: int) -> Iterator[None]:
    """A server that runs while the block does."""
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < until, f"{argv[0]} does not listen"
                assert child.poll() is None, f"{argv[0]} ended with {child.returncode}"
                time.sleep(0.05)
        yield
    finally:
        child.terminate()
        child.wait(10)


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    with tempfile.TemporaryDirectory(prefix="aistack-redis-", dir="/tmp") as folder:
        port = free_port()
        argv = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder, "--requirepass", "right"]
        with listening(argv, port):
            yield Redis(port)
