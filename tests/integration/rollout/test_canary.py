# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""deploy.yml itself, with a real HAProxy in front of two slots: a release gets a share of the requests, and loses it or gets all."""

from __future__ import annotations

import http.client
import http.server
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.haproxy import EdgeError
from ansible_collections.phasegate.aistack.plugins.module_utils.edge.haproxy import Edge
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal

from .world import World

CONFIGURATION = """
global
    stats socket {folder}/admin mode 600 level admin
defaults
    mode http
    timeout connect 5s
    timeout client 10s
    timeout server 10s
frontend api
    bind 127.0.0.1:{public}
    default_backend api
backend api
    server blue 127.0.0.1:{blue}
    server green 127.0.0.1:{green} disabled
"""


class Site:
    """HAProxy, what stands behind it, and a visitor who counts by whom he was answered, and how."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broken: set[str] = set()
        self.answered: list[tuple[str, int]] = []
        self.over = threading.Event()
        self.slots = {name: self._slot(name) for name in ("blue", "green")}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        ports = {name: server.server_port for name, server in self.slots.items()}
        (folder / "cfg").write_text(CONFIGURATION.format(folder=folder, public=self.port, **ports))
        program = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        assert program, "haproxy is needed: tests/tools/host-packages.sh haproxy"
        self.process = subprocess.Popen([program, "-db", "-f", f"{folder}/cfg"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        self.edge = Edge(f"{folder}/admin", "api", f"{folder}/edge-state", master=f"{folder}/nobody")
        self.visitor = threading.Thread(target=self._visit, daemon=True)

    def _slot(self, name: str) -> http.server.ThreadingHTTPServer:
        site = self

        class Slot(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(500 if name in site.broken else 200)
                self.send_header("X-Slot", name)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                """Be quiet."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slot)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def begin(self) -> None:
        """Let the visitor in, as soon as there is an edge."""
        end = time.monotonic() + 20
        while True:
            try:
                self.edge.servers()
                break
            except EdgeError:
                assert time.monotonic() < end, "HAProxy did not come up"
                time.sleep(0.05)
        self.visitor.start()

    def _visit(self) -> None:
        while not self.over.is_set():
            client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                client.request("GET", "/")
                answer = client.getresponse()
                self.answered.append((str(answer.getheader("X-Slot")), answer.status))
            except OSError as error:
                self.answered.append((str(error), 0))
            client.close()
            time.sleep(0.01)

    def states(self) -> dict[str, str]:
        return {name: server.state for name, server in self.edge.servers().items()}

    def end(self) -> None:
        self.over.set()
        self.process.terminate()
        self.process.wait(20)
        for server in self.slots.values():
            server.shutdown()
            server.server_close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    tmp_path.chmod(0o755)
    site = Site(tmp_path)
    yield site
    site.end()


def test_a_share_is_judged_before_it_rises_and_is_taken_away_where_it_fails(site: Site, tmp_path: Path) -> None:
    errors = {"name": "errors", "source": "haproxy", "target": "api", "ratio": ["hrsp_5xx", "req_tot"], "value": {"le": 0.5}, "window": 1,
              "min_sample": 2, "socket": f"{tmp_path}/admin", "then": {"level": "app"}}
    canary = {"canary": {"weights": [20, 100], "hold": 2, "triggers": ["errors"]}}
    world = World(tmp_path, strategy=canary, triggers=[errors], hosts=("a",), port=site.port)
    world.serving("v1")
    site.begin()
    site.broken = {"green"}
    status, text = world.deploy("v2")
    assert status == 2, text
    assert "api: 20 % of the requests: a: triggers, for 2 s" in text
    assert (world.live()["a"], site.states()) == ("v1", {"blue": "ready", "green": "maint"})
    green = sum(slot == "green" for slot, _status in site.answered)
    assert 0 < green < len(site.answered) / 2, "a share of the requests, too few to fail a section whose limit is a half"

    site.broken = set()
    site.answered.clear()
    status, text = world.deploy("v2", "-e", "allow_bad=true")
    assert status == 0, text
    assert (world.live()["a"], site.states()) == ("v2", {"blue": "maint", "green": "ready"})
    assert {answer for _slot, answer in site.answered} == {200}, "nobody noticed"
    kept = [(one["op"], one.get("release"), one["outcome"]) for one in Journal.of(tmp_path / "a" / "state").read()]
    switches = [one for one in kept if one[0] in ("canary", "activate", "revert") and one[2] == "ok"]
    assert switches == [("canary", "v2", "ok"), ("revert", "v1", "ok"), ("canary", "v2", "ok"), ("activate", "v2", "ok")]
