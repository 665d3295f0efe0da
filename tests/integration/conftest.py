# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A PostgreSQL of its own for the tests that need a real one."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PASSWORD = "s3cret/with@odd:chars"


def _as_postgres() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    try:
        entry = pwd.getpwnam("postgres")
    except KeyError:
        pytest.fail("there is no user postgres: apt-get install postgresql")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        pytest.fail("no PostgreSQL server on this machine: apt-get install postgresql")
    return found[-1].parent


@dataclass
class Cluster:
    """A running server on loopback."""

    port: int
    folder: Path
    bin: Path

    def admin(self, sql: str, database: str = "postgres") -> str:
        """Runs SQL as superuser over the socket."""
        child = subprocess.run(
            ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", str(self.folder), "-p", str(self.port), "-U", "postgres", "-d", database],
            input=sql,
            capture_output=True,
            text=True,
            check=False,
            **_as_postgres(),
        )
        assert child.returncode == 0, child.stderr
        return child.stdout.strip()

    def ctl(self, *words: str) -> None:
        child = subprocess.run(
            [self.bin / "pg_ctl", "-D", self.folder / "data", "-w", "-l", self.folder / "log", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            cwd="/",
            **_as_postgres(),
        )
        assert child.returncode == 0, (self.folder / "log").read_text()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


OF_A_NODE = (Path("/etc/aistack"), Path("/usr/local/bin/aistack"))
"""What a playbook leaves on this machine where it takes this machine for a node."""


@pytest.fixture(scope="session", autouse=True)
def bytecode() -> Iterator[None]:
    """What Python makes of Ansible's modules is kept as long as these tests run: see lab/bytecode/sitecustomize.py."""
    if os.environ.get("AISTACK_TEST_BYTECODE"):  # `make test` keeps it for all its jobs
        yield
        return
    with tempfile.TemporaryDirectory(prefix="aistack-bytecode-", dir="/tmp") as folder, pytest.MonkeyPatch.context() as patch:
        Path(folder).chmod(0o755)
        patch.setenv("AISTACK_TEST_BYTECODE", folder)
        patch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2] / "lab" / "bytecode"), prepend=os.pathsep)
        yield


@pytest.fixture(scope="session", autouse=True)
def postgres_programs() -> Iterator[None]:
    """The programs of PostgreSQL themselves, and not Debian's wrapper, which costs more than what it starts: there is one server here."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/psql"), key=lambda path: int(path.parts[-3]))
    with pytest.MonkeyPatch.context() as patch:
        if found:
            patch.setenv("PATH", str(found[-1].parent), prepend=os.pathsep)
        yield


@pytest.fixture(scope="session", autouse=True)
def nothing_of_before() -> None:
    """Stacks whose folders are those of an earlier test: a run that was killed left them, and they would be taken for this machine's."""
    for stack in OF_A_NODE[0].glob("*.json"):
        if "/pytest-of-" in json.loads(stack.read_text(encoding="utf-8"))["state_dir"]:
            stack.unlink()


@pytest.fixture(autouse=True)
def this_machine(nothing_of_before: None) -> Iterator[None]:
    """The machine that runs the tests is left as it was."""
    before = {path for place in OF_A_NODE if place.exists() for path in (place, *place.rglob("*"))}
    yield
    for place in OF_A_NODE:
        made = [path for path in (*place.rglob("*"), place) if path not in before and path.exists()]
        for path in sorted(made, reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="aistack-pg-", dir="/tmp"))
    folder.chmod(0o755)
    data = folder / "data"
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        entry = pwd.getpwnam("postgres") if _as_postgres() else None
        assert entry
        for path in (folder, data):
            os.chown(path, entry.pw_uid, entry.pw_gid)
    here = Cluster(_free_port(), folder, _binaries())
    child = subprocess.run(
        [here.bin / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N", "--auth-host=scram-sha-256", "-E", "UTF8", "--locale=C"],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        **_as_postgres(),
    )
    assert child.returncode == 0, child.stderr
    here.ctl("start", "-o", f"-p {here.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off")
    try:
        here.admin(f"CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'")
        yield here
    finally:
        try:
            here.ctl("stop", "-m", "immediate")
        finally:
            shutil.rmtree(folder)
