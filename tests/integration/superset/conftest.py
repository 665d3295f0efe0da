# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Superset, laid down and prepared by its role, over a PostgreSQL of its own with the tables of the reference application."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ..conftest import PASSWORD, Cluster
from ..role_tasks import run_tasks

ROOT = Path(__file__).resolve().parents[3]
ASSETS = ROOT / "lab/app/superset/assets"
MIGRATION = ROOT / "lab/app/backend/migrations/versions/0001_six_tables.py"
KEPT = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "phasegate" / "superset"
"""Where the role lays Superset down: 800 MB, once."""
ADMIN = "s3cret-of-the-boss"
READER = "s3cret:of\\the@reader"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class World:
    """This machine as a node, with the role's folders elsewhere, and root in the place of the server's user."""

    folder: Path
    variables: dict[str, Any]
    port: int
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def password_file(self) -> Path:
        return self.folder / "etc/admin.password"

    def play(self, *steps: str, words: tuple[str, ...] = (), **more: Any) -> subprocess.CompletedProcess[str]:
        """Steps of the role."""
        plain = {**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"}
        return run_tasks(self.folder, [("superset", name) for name in steps], {**self.variables, **more}, *words, timeout=1800,
                         environment=plain)

    def start(self) -> None:
        """Start the server by the lines of its unit, and wait until it is healthy."""
        unit = (self.folder / "unit.service").read_text(encoding="utf-8")
        line = re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)
        assert line
        said = {**dict(re.findall(r'^Environment="(\w+)=(.*)"$', unit, re.MULTILINE)), "PATH": os.environ["PATH"]}
        with (self.folder / "log").open("ab") as log:
            self.children.append(subprocess.Popen(line[1].split(), env=said, cwd=self.folder / "data", stdout=log, stderr=log))
        for _attempt in range(240):
            # it has not begun to listen
            with suppress(OSError, urllib.error.URLError), urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:
                if answer.read() == b"OK":
                    return
            time.sleep(0.5)
        pytest.fail("Superset did not start: " + (self.folder / "log").read_text()[-3000:])

    def stop(self) -> None:
        for child in self.children:
            child.terminate()
        for child in self.children:
            child.wait(30)
        self.children.clear()


@pytest.fixture(scope="session")
def world(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder, port = tmp_path_factory.mktemp("superset"), free_port()
    for name in ("etc", "data"):
        (folder / name).mkdir()
    (KEPT / "releases").mkdir(parents=True, exist_ok=True)
    quoted = READER.replace("'", "''")
    cluster.admin("CREATE DATABASE superset OWNER app; ")
    cluster.admin("CREATE DATABASE shop OWNER app;")
    cluster.admin(f"CREATE ROLE reader LOGIN PASSWORD '{quoted}' IN ROLE pg_read_all_data;")
    variables: dict[str, Any] = {
        "ansible_python_interpreter": "/usr/bin/python3", "superset_home": str(KEPT), "superset_uv": str(ROOT / ".venv/bin/uv"),
        "superset_build_user": "root", "superset_user": "root", "superset_port": port, "superset_workers": 1,
        "superset_admin_user": "boss", "superset_admin_password": ADMIN,
        "superset_metadata": {"host": "127.0.0.1", "port": cluster.port, "database": "superset", "user": "app", "password": PASSWORD},
        "superset_connection": {"name": "shop", "host": "127.0.0.1", "port": cluster.port, "database": "shop", "user": "reader",
                                "password": READER},
        "superset_assets": [str(ASSETS)], "__superset_folder": str(folder / "etc"), "__superset_data": str(folder / "data"),
        "__superset_unit_file": str(folder / "unit.service"),
    }
    here = World(folder, variables, port)
    try:
        done = here.play("stage", "configure", "prepare")
        assert done.returncode == 0, done.stdout + done.stderr
        address = f"postgresql+psycopg2://app@127.0.0.1:{cluster.port}/shop"
        subprocess.run(
            [str(KEPT / "current/bin/python"), str(Path(__file__).with_name("tables.py")), address, str(MIGRATION)],
            env={"PATH": os.environ["PATH"], "PGPASSWORD": PASSWORD}, check=True,
        )
        cluster.admin("SET ROLE app;\n" + Path(__file__).with_name("rows.sql").read_text(encoding="utf-8"), "shop")
        here.start()
        yield here
    finally:
        here.stop()
