# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two stacks at one real HAProxy, as the role writes its configuration: none takes the other's frontends away."""

from __future__ import annotations

import http.client
import http.server
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.haproxy import parse_info
from ansible_collections.phasegate.aistack.plugins.module_utils.edge.haproxy import Edge
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.node import not_haproxy

from .test_drain import PATIENCE, free_port, until

ROOT = Path(__file__).resolve().parents[3]
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: phasegate.aistack.edge, tasks_from: configure}
"""
BEFORE = """\
global
    user haproxy
    group haproxy
    maxconn 4096
    hard-stop-after 1h
    stats socket {folder}/admin mode 660 user root group root level admin expose-fd listeners
    server-state-base {folder}
    server-state-file state

defaults
    mode http
    timeout connect 2s
    timeout client 75s
    timeout server 75s
    load-server-state-from-file global
    default-server inter 2s fastinter 1s fall 3 rise 1

frontend web
    bind 127.0.0.1:{web}
    default_backend web

backend web
    server blue 127.0.0.1:{slot} disabled
    server green 127.0.0.1:{slot} disabled
"""
"""What a version before wrote for the stack `shop`, the only one."""


@dataclass
class Node:
    """A node with HAProxy and a slot that answers; C(stack) names the stack whose role runs."""

    folder: Path
    ports: dict[str, int]
    process: Any = None
    wrong: list[Any] = field(default_factory=list)

    @property
    def config(self) -> Path:
        return self.folder / "haproxy.cfg"

    def edge(self, backend: str) -> Edge:
        return Edge(f"{self.folder}/admin", backend, f"{self.folder}/state", master=f"{self.folder}/master")

    def wrote(self, stack: str, name: str) -> str:
        """The configuration after the role ran for a stack with one frontend."""
        slots = {"blue": self.ports["slot"], "green": self.ports["slot"]}
        given = {
            "ansible_python_interpreter": sys.executable, "aistack_name": stack, "aistack_address": "127.0.0.1",
            "edge_frontends": [{"name": name, "port": self.ports[name], "servers": slots}], "edge_bind": ["127.0.0.1"],
            "edge_admin_socket": f"{self.folder}/admin", "edge_state_file": f"{self.folder}/state", "__edge_places": [],
            "__edge_config": str(self.config), "__edge_registry": str(self.folder / "etc"),
            "__edge_dropin": str(self.folder / "unit.d/aistack.conf"), "__edge_state_script": str(self.folder / "edge-state"),
        }
        (self.folder / "vars.json").write_text(json.dumps(given))
        (self.folder / "play.yml").write_text(PLAY)
        command = [str(ROOT / ".venv/bin/ansible-playbook"), "-i", "localhost,", "-c", "local", "-e", f"@{self.folder / 'vars.json'}"]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.folder), "LANG": "C.UTF-8"}
        done = subprocess.run(
            [*command, str(self.folder / "play.yml")], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
            stdin=subprocess.DEVNULL, env={**environment, "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return self.config.read_text()

    def reload(self) -> None:
        """As the unit's ExecReload does."""
        subprocess.run([sys.executable, str(self.folder / "edge-state")], check=True)
        until(lambda: self.edge("web")._ask(f"{self.folder}/master", "show proc"))  # before, the master does not hear it
        before = parse_info(self.edge("web").command("show info"))[0]
        self.process.send_signal(signal.SIGUSR2)
        until(lambda: parse_info(self.edge("web").command("show info"))[0] != before)

    def status(self, name: str) -> int:
        client = http.client.HTTPConnection("127.0.0.1", self.ports[name], timeout=PATIENCE)
        client.request("GET", "/")
        return client.getresponse().status


@pytest.fixture
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    program = shutil.which("haproxy", path="/usr/sbin:/usr/bin")
    assert program, "haproxy is needed: tests/tools/host-packages.sh haproxy"

    class Slot(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            """Be quiet."""

    slot = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slot)
    threading.Thread(target=slot.serve_forever, daemon=True).start()
    folder = tmp_path_factory.mktemp("h")
    node = Node(folder, {"web": free_port(), "api": free_port(), "slot": slot.server_port})
    (folder / "etc").mkdir()
    for stack, component in (("shop", "web"), ("tiny", "api")):
        entry = {"name": stack, "root": str(folder / f"opt-{stack}"), "state_dir": str(folder / stack)}
        (folder / f"etc/{stack}.json").write_text(json.dumps(entry, indent=1, sort_keys=True) + "\n")
        (folder / stack / "components").mkdir(parents=True)
        (folder / stack / "components" / f"{component}.json").write_text("{}")
    node.config.write_text(BEFORE.format(folder=folder, **node.ports))
    command = [program, "-W", "-S", f"{folder}/master", "-f", str(node.config), "-p", f"{folder}/pid"]
    node.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: node.edge("web").servers())
        node.edge("web").set_state("blue", "ready")
        yield node
    finally:
        node.process.terminate()
        node.process.wait(PATIENCE)
        slot.shutdown()
        slot.server_close()


@pytest.mark.whole(beside="tests/integration/edge/test_shared.py")
def test_a_second_stack_comes_to_the_edge_of_a_version_before(node: Node) -> None:
    """Whoever comes first: what was served stays served, without a lost request, and each has its own part from then on."""
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                status: Any = node.status("web")
            except (OSError, http.client.HTTPException) as error:
                status = repr(error)
            if status != 200:
                node.wrong.append(status)

    user = threading.Thread(target=ask, daemon=True)
    user.start()
    assert not_haproxy("127.0.0.1", node.ports["web"]) == "", "the edge is not in its own way"
    second = node.wrote("tiny", "api")
    assert second.count("\nfrontend ") == 2
    assert second.index("# BEGIN stack shop") < second.index("frontend web") < second.index("# BEGIN stack tiny")
    node.reload()
    node.edge("api").set_state("green", "ready")
    assert (node.status("web"), node.status("api")) == (200, 200)
    first = node.wrote("shop", "web")
    assert first.partition("# BEGIN stack tiny")[2] == second.partition("# BEGIN stack tiny")[2], "not a byte of the other's is changed"
    assert "option forwardfor" in first.partition("# BEGIN stack tiny")[0], "its own is as this version has it"
    node.reload()
    assert (node.status("web"), node.status("api")) == (200, 200)
    assert node.wrote("tiny", "api") == first, "nothing is left to do"
    stop.set()
    user.join(PATIENCE)
    assert node.wrong == []
