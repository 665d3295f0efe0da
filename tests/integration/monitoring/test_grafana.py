# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's files are read by a stand-in of Grafana's server (grafana_standin.py), which asks the real Prometheus; the probe asks it."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import json
import re
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context
from ansible_collections.phasegate.aistack.plugins.module_utils.probes import REGISTRY
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.spec import normalise

from ..role_tasks import run_tasks
from .conftest import PASSWORD, World, free_ports, wait

ADMIN = "s3cret-of-the-boss"
UIDS = [f"aistack-{name}" for name in ("system", "application", "worker", "database", "deployments")]
OWN = {"uid": "mine", "title": "Mine", "panels": [{"type": "text", "title": "a text"}]}


class Node:
    """This machine, with the role's folders elsewhere; root's group in the place of the server's."""

    def __init__(self, folder: Path, prometheus: int, url: str, sha256: str) -> None:
        self.folder, self.etc = folder, folder / "etc"
        (self.port,) = free_ports(1)
        (folder / "own.json").write_text(json.dumps(OWN), encoding="utf-8")
        self.variables: dict[str, Any] = {
            "ansible_python_interpreter": "/usr/bin/python3", "grafana_url": url, "grafana_sha256": sha256, "grafana_port": self.port,
            "grafana_home": str(folder / "opt"), "grafana_admin_user": "boss", "grafana_admin_password": ADMIN,
            "grafana_prometheus_url": f"http://127.0.0.1:{prometheus}", "prometheus_password": PASSWORD,
            "grafana_dashboards": [str(folder / "own.json")], "__grafana_user": "root", "__grafana_folder": str(self.etc),
            "__grafana_unit_file": str(folder / "unit.service"), "__grafana_data": str(folder / "data"),
        }
        (folder / "opt").mkdir()

    def play(self, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """What the role does between preflight and start, without its user."""
        return run_tasks(self.folder, [("grafana", "unpack"), ("grafana", "configure")], {**self.variables, **more}, *words)

    def start(self) -> subprocess.Popen[bytes]:
        """Start the server by the lines of its unit."""
        unit = (self.folder / "unit.service").read_text(encoding="utf-8")
        line, env = (re.search(rf"^{key}=(.*)$", unit, re.MULTILINE) for key in ("ExecStart", "EnvironmentFile"))
        assert line
        assert env
        words = dict(re.findall(r"^(\w+)=\"?([^\"\n]*)\"?$", Path(env[1]).read_text(encoding="utf-8"), re.MULTILINE))
        return subprocess.Popen(line[1].split(), env=words, stdin=subprocess.DEVNULL)

    def probe(self, **more: Any) -> Attempt:
        """Ask once, as a gate does."""
        login = {"username": "boss", "password_file": str(self.etc / "admin.password")}
        one = REGISTRY["grafana"](normalise({"name": "it", "grafana": f"http://127.0.0.1:{self.port}", **login, **more}, None))
        return one.run(Context(timeout=one.attempt_timeout, names={}))


def texts(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, world: World) -> Iterator[Node]:
    """Installed from an archive and configured; its runs are kept in ``node.runs``."""
    folder = tmp_path_factory.mktemp("grafana")
    program = f"#!{sys.executable}\n" + (Path(__file__).parent / "grafana_standin.py").read_text(encoding="utf-8")
    (folder / "served").mkdir()
    with tarfile.open(folder / "served/server.tar.gz", "w:gz") as archive:
        for name, text, mode in (("grafana-v0/bin/grafana", program, 0o755), ("grafana-v0/conf/defaults.ini", "", 0o644)):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), mode
            archive.addfile(entry, io.BytesIO(text.encode()))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder / "served"))
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    sha256 = hashlib.sha256((folder / "served/server.tar.gz").read_bytes()).hexdigest()
    one = Node(folder, world.ports["prometheus"], f"http://127.0.0.1:{web.server_port}/server.tar.gz", sha256)
    bare = one.play("--check", "--diff")
    assert bare.returncode == 0, bare.stdout + bare.stderr
    assert not one.etc.exists(), "check mode changes nothing"
    done = one.play("--diff")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not {ADMIN, PASSWORD} & set(re.findall(r"[\w-]+", bare.stdout + done.stdout)), "a secret is shown"
    server = one.start()
    yield one
    server.terminate()
    server.wait(20)
    web.shutdown()
    web.server_close()


def test_a_gate_finds_dashboards_and_the_data_source(node: Node) -> None:
    seen = wait(lambda: (got := node.probe(datasource="aistack-prometheus", dashboards=[*UIDS, "mine"])).ok and got) or node.probe()
    assert seen.got == "database ok, data source aistack-prometheus: OK, 6 dashboards", (seen.got, seen.detail)
    assert not node.probe(dashboards=["yours"]).ok
    (node.folder / "wrong").write_text("admin")
    assert node.probe(dashboards=["mine"], password_file=str(node.folder / "wrong")).got.startswith("status 401")


def test_secrets_are_for_the_server_alone(node: Node) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in node.etc.rglob("*") if path.is_file()}
    assert {name: modes[name] for name in ("admin.password", "secret.key", "grafana.env", "grafana.ini")} == {
        "admin.password": 0o640, "secret.key": 0o640, "grafana.env": 0o600, "grafana.ini": 0o644}
    for path in (*node.etc.rglob("*"), node.folder / "unit.service"):
        if path.is_file() and path.name not in ("admin.password", "grafana.env"):
            text = path.read_text(encoding="utf-8")
            assert ADMIN not in text, path
            assert PASSWORD not in text, path


def test_again_it_changes_nothing_and_what_is_wrong_replaces_nothing(node: Node) -> None:
    before = texts(node.etc)
    done = node.play()
    assert ", 0 changes, " in done.stdout, done.stdout
    assert texts(node.etc) == before
    (node.folder / "own.json").write_text(json.dumps({**OWN, "panel": []}), encoding="utf-8")
    done = node.play()
    assert done.returncode != 0
    assert "own.json: unknown key 'panel'; did you mean 'panels'?" in done.stdout
    assert texts(node.etc) == before
    (node.folder / "own.json").write_text(json.dumps(OWN), encoding="utf-8")


def test_a_dashboard_that_is_not_wanted_any_more_goes(node: Node) -> None:
    done = node.play(grafana_dashboards=[])
    assert done.returncode == 0, done.stdout + done.stderr
    assert node.probe(dashboards=UIDS).got == "database ok, 5 dashboards"
    assert not node.probe(dashboards=["mine"]).ok
