# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is told what about a deployment: the play itself, on this machine, with a stack that is nothing but an acceptance probe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
Ran = subprocess.CompletedProcess[str]


@pytest.fixture
def answering() -> Iterator[int]:
    """The port of a server that answers 200."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def deploy(tmp_path: Path) -> Callable[..., Ran]:
    """Return ``deploy(port, notices, *arguments)``, which runs deploy.yml with a stack whose acceptance asks that port."""
    book = yaml.safe_load((ROOT / "playbooks" / "deploy.yml").read_text(encoding="utf-8"))
    # the play as it is, but for the place of the node's command: this machine keeps its own
    book[0]["module_defaults"]["phasegate.aistack.node_command"] = {
        "command": f"{tmp_path}/bin/aistack", "registry": f"{tmp_path}/registry", "python": sys.executable,
        "root": f"{tmp_path}/root", "state_dir": f"{tmp_path}/state", "units": f"{tmp_path}/units",
    }
    (tmp_path / "bin").mkdir()
    (tmp_path / "deploy.yml").write_text(yaml.safe_dump(book, sort_keys=False), encoding="utf-8")
    (tmp_path / "tasks").symlink_to(ROOT / "playbooks" / "tasks")
    # releases that serve, as a node shows them; the component itself belongs to another application, which is not deployed
    slot = tmp_path / "root" / "api" / "slots" / "blue"
    slot.mkdir(parents=True)
    (tmp_path / "root" / "api" / "releases" / "v1.0.0").mkdir(parents=True)
    (slot / "release").symlink_to("../../releases/v1.0.0")
    (slot.parent / "live").symlink_to("blue")

    who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    (tmp_path / "repo").mkdir(exist_ok=True)
    (tmp_path / "repo" / "main.py").write_text("app = None\n", encoding="utf-8")
    commit = ["commit", "--quiet", "--message", "x"]
    for words in (["init", "--quiet", "repo"], ["-C", "repo", "add", "--all"], ["-C", "repo", *commit], ["-C", "repo", "tag", "v1.1.0"]):
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    def run(port: int, notices: Any, *arguments: str, group: str = "elsewhere") -> Ran:
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "aistack_name": "shop",
            "aistack_root": f"{tmp_path}/root",
            "aistack_state": f"{tmp_path}/state",
            "aistack_applications": {"shop": {"repo": f"{tmp_path}/repo", "release": "v1.1.0"}},
            "aistack_components": {"api": {"role": "backend", "hosts": group, "application": "shop"}},
            "aistack_phases": {"phase1": {"title": "Shop", "components": ["api"], "acceptance": ["page"]}},
            "aistack_acceptance": {"page": {"http": f"http://127.0.0.1:{port}/", "from": "aistack"}},
            "aistack_accept_deadline": 2,
            "aistack_notices": notices,
            "release_min_free_bytes": 1 << 60,  # nothing can be staged, which turns out under the lock only
        }
        groups = {"aistack": {"hosts": {"node": None}}, "elsewhere": {"hosts": {"other": None}}}
        inventory = {"all": {"children": groups, "vars": variables}}
        (tmp_path / "inventory.yml").write_text(json.dumps(inventory), encoding="utf-8")
        return subprocess.run(
            [str(ROOT / ".venv" / "bin" / "ansible-playbook"), "-i", "inventory.yml", "deploy.yml", "-e", "release=v1.1.0",
             "-e", "backup=false", "-e", "partial=true", *arguments],
            cwd=tmp_path, env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"), "ANSIBLE_NOCOLOR": "1"},
            capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
        )

    return run


@pytest.fixture
def told(tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """Return what the receiver that :func:`pager` describes was told so far."""
    return lambda: [json.loads(line) for line in (tmp_path / "told").read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def pager(tmp_path: Path) -> dict[str, Any]:
    """A receiver that keeps what it is told."""
    (tmp_path / "told").touch()
    return {"kind": "command", "name": "pager", "command": ["sh", "-c", f"cat >> {tmp_path}/told; echo >> {tmp_path}/told"]}


def test_before_and_after_and_who_is_not_reached_stops_nothing(
    deploy: Callable[..., Ran], answering: int, pager: dict[str, Any], told: Callable[[], list[dict[str, Any]]]
) -> None:
    hook = {"kind": "command", "name": "freeze", "command": ["grep", "-q", '"to": "v1.1.0"'], "events": ["before_deploy"]}
    done = deploy(answering, [{"kind": "webhook", "name": "chat", "url": "http://127.0.0.1:1/s3cret", "timeout": 2}, pager, hook])
    assert done.returncode == 0, done.stdout + done.stderr
    began, ended = told()
    assert (began["title"], ended["title"]) == ("[shop] deploy started: v1.0.0 → v1.1.0", "[shop] deploy finished: v1.0.0 → v1.1.0")
    assert {"stack": "shop", "application": "shop", "from": "v1.0.0", "to": "v1.1.0", "nodes": []}.items() <= began["facts"].items()
    assert began["facts"]["run"] == ended["facts"]["run"]
    assert ended["facts"]["done"][0] == "api: v1.1.0"
    assert ended["facts"]["done"][1].startswith("phase1: 1 probe: 1 passed")
    assert 0 < ended["facts"]["seconds"] < 120
    said = " ".join((done.stdout + done.stderr).split())
    assert "notice deploy_started: chat was not told: connection refused" in said
    assert "notice deploy_finished: chat was not told: connection refused" in said
    assert "s3cret" not in said


@pytest.mark.parametrize(
    ("group", "nodes", "error"),
    [
        ("elsewhere", [], "node: (5/5) Accept: phase1: The gate failed: 1 of 1 probes did not pass within"),
        ("aistack", ["node"], "node: shop: stage v1.1.0: The release v1.1.0 of api was not staged: the disk of "),
    ],
    ids=["not accepted", "not staged"],
)
def test_a_deployment_that_fails(
    deploy: Callable[..., Ran], pager: dict[str, Any], told: Callable[[], list[dict[str, Any]]], group: str, nodes: list[str], error: str
) -> None:
    assert deploy(1, [pager], group=group).returncode != 0
    began, ended = told()
    assert (began["event"], ended["event"]) == ("deploy_started", "deploy_failed")
    assert ended["facts"]["nodes"] == nodes
    assert ended["facts"]["error"].startswith(error)
    assert "\n" not in ended["facts"]["error"]


def test_a_command_that_is_asked_refuses_before_the_lock_is_taken(
    deploy: Callable[..., Ran], answering: int, pager: dict[str, Any], told: Callable[[], list[dict[str, Any]]], tmp_path: Path
) -> None:
    hook = {**pager, "name": "freeze", "events": ["before_deploy"], "command": ["sh", "-c", "echo no deployments on Fridays >&2; exit 1"]}
    done = deploy(answering, [pager, hook])
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Refused by freeze, which is asked before a deployment (aistack_notices). Nothing was touched." in done.stdout
    assert "no deployments on Fridays" in done.stdout
    assert told() == [], "what did not begin is not told"
    assert not (tmp_path / "state").exists()


def test_what_does_not_begin_is_not_told(
    deploy: Callable[..., Ran], answering: int, pager: dict[str, Any], told: Callable[[], list[dict[str, Any]]], tmp_path: Path
) -> None:
    wrong = deploy(answering, [pager, {"kind": "webhook", "ulr": "https://chat.example.com/s3cret"}])
    assert wrong.returncode != 0
    assert "aistack_notices[1]: unknown key 'ulr' for a webhook; did you mean 'url'?" in wrong.stdout
    assert "Nothing was touched" in wrong.stdout
    assert "s3cret" not in wrong.stdout
    assert not (tmp_path / "state").exists()
    checked = deploy(answering, [pager], "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert told() == []
