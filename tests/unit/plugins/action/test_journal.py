# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of the lock, with real C(ansible-playbook) processes that live, and that are killed."""

from __future__ import annotations

import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.action import journal
from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import utc_now
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lock
from ansible_collections.phasegate.aistack.tests.unit.plugins.action.controller import Controller

PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: Lock
      phasegate.aistack.journal: {{state: locked, run: "{run}", state_dir: "{state}"}}
    - name: Work
      ansible.builtin.command: sleep {seconds}
      changed_when: false
    - name: Unlock
      phasegate.aistack.journal: {{state: unlocked, run: "{run}", state_dir: "{state}"}}
"""


@pytest.fixture
def controller(tmp_path: Path) -> Controller:
    return Controller(tmp_path)


def test_a_living_run_is_refused_a_killed_one_is_taken_over(controller: Controller) -> None:
    first = controller.start("first", 60, PLAY)
    try:
        controller.wait_for_lock("first", first)
        owner = (Lock(controller.state).current() or {})["owner"]
        assert owner["pid"] == first.pid, "the lease names the ansible-playbook process itself"
        assert proc.alive(owner["pid"], owner["pid_started"])
        second = controller.start("second", 0, PLAY)
        said = second.communicate(timeout=60)[0]
        assert second.returncode != 0
        assert "held by" in said
        assert "run first" in said
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
    third = controller.start("third", 0, PLAY)
    said = third.communicate(timeout=60)[0]
    assert third.returncode == 0, said
    notes = [record["detail"] for record in Lock(controller.state).journal.read() if record["op"] == "lock"]
    assert [note["action"] for note in notes] == ["acquired", "taken_over", "released"]
    assert notes[1]["reason"] == "its process is dead"
    assert notes[1]["replaced"]["run"] == "first"


@pytest.mark.parametrize(
    ("owner", "dead"),
    [
        ({}, False),
        ({"pid": 1, "controller_id": "another controller"}, False),
        ({"pid": os.getpid(), "pid_started": proc.start_time(os.getpid())}, False),
        ({"pid": os.getpid(), "pid_started": "an earlier life"}, True),
        ({"pid": 2**22 + 1, "pid_started": "x"}, True),
    ],
    ids=["unknown", "elsewhere", "alive", "number used again", "gone"],
)
def test_who_is_dead(owner: dict[str, object], dead: bool) -> None:
    here = {"controller_id": journal.controller_id()} if owner else {}
    assert journal.is_dead({"owner": {**here, **owner}}) is dead


def test_the_lock_of_a_job_goes_to_the_next_one_when_awx_says_that_it_has_ended(
    controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    says: dict[str, Any] = {"id": 17, "name": "shop deploy", "status": "running", "started": utc_now(), "finished": None}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(says).encode())

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"http://127.0.0.1:{server.server_port}"
    for name, value in {"AWX_HOST": host, "CONTROLLER_HOST": host, "CONTROLLER_OAUTH_TOKEN": "t", "no_proxy": "*"}.items():
        monkeypatch.setenv(name, value)
    try:
        # a job in a container that nobody can look into any more
        job = {"id": "17", "awx": host, "api": host, "template": "shop deploy"}
        Lock(controller.state).acquire("first", {"actor": "kim", "controller_id": "another container", "pid": 7, "job": job})
        refused = controller.start("second", 0, PLAY, "-e", "awx_job_id=18 awx_job_template_name=any")
        said = refused.communicate(timeout=60)[0]
        assert refused.returncode == 2, said
        assert "kim in job 17 of AWX" in said
        assert f"{host}/#/jobs/playbook/17" in said
        says.update(status="canceled", finished=utc_now())
        third = controller.start("third", 0, PLAY, "-e", "awx_job_id=19")
        said = third.communicate(timeout=60)[0]
        assert third.returncode == 0, said
    finally:
        server.shutdown()
        server.server_close()
    notes = [record["detail"] for record in Lock(controller.state).journal.read() if record["op"] == "lock"]
    assert [note["action"] for note in notes] == ["acquired", "taken_over", "released"]
    assert notes[1]["replaced"]["owner"]["job"]["id"] == "17"
    assert notes[2]["replaced"]["owner"]["job"]["id"] == "19"


def test_what_a_stack_has_to_itself_is_worked_out_here() -> None:
    class Templar:
        def template(self, value: Any) -> Any:
            return value

    action = journal.ActionModule.__new__(journal.ActionModule)
    action._templar = Templar()
    described = {"api": {"role": "backend", "hosts": "be", "application": "shop", "port": "api"}, "redis": {"role": "redis", "hosts": "be"}}
    variables = {"aistack_components": described, "aistack_ports": {"api": 8000, "api_blue": 18000}, "groups": {"be": ["a"]},
                 "inventory_hostname": "a"}
    assert action._claims(variables) == {"components": ["api"], "roles": ["redis"], "ports": {"8000": "api", "18000": "api"}}
    assert action._claims({**variables, "inventory_hostname": "b"}) == {"components": [], "roles": [], "ports": {}}
