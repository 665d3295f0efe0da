# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real HAProxy that is reloaded while a request is on its way: its slot is not drained before that request is answered."""

from __future__ import annotations

import http.client
import http.server
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.haproxy import EdgeError, parse_info, parse_old_workers
from ansible_collections.phasegate.aistack.plugins.module_utils.edge.haproxy import Edge

CONFIGURATION = """
global
    stats socket {folder}/admin mode 600 level admin expose-fd listeners
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend web
    bind 127.0.0.1:{public}
    default_backend web
backend web
    server blue 127.0.0.1:{blue}
    server green 127.0.0.1:{blue} disabled
"""
PATIENCE = 20.0
"""Seconds for what takes a moment: the machine may stand still for a while."""


def until(what: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            found = what()
        except EdgeError:
            found = None
        if found:
            return found
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Site:
    """HAProxy in front of a slot that answers when C(answer) is set; C(arrived) is set by a request."""

    folder: Path
    public: int
    edge: Edge
    arrived: threading.Event = field(default_factory=threading.Event)
    answer: threading.Event = field(default_factory=threading.Event)
    got: list[int | str] = field(default_factory=list)
    process: Any = None

    def visit(self) -> threading.Thread:
        """A user's request, on its way when this returns."""

        def ask() -> None:
            client = http.client.HTTPConnection("127.0.0.1", self.public, timeout=60)
            try:
                client.request("GET", "/")
                self.got.append(client.getresponse().status)
            except OSError as error:
                self.got.append(str(error))

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        assert self.arrived.wait(PATIENCE)
        return thread

    def reload(self) -> None:
        """As ``systemctl reload`` does, to a master that has come up: before, it does not hear it."""
        until(lambda: self.edge._ask(f"{self.folder}/master", "show proc"))
        before = parse_info(self.edge.command("show info"))[0]
        os.kill(self.process.pid, signal.SIGUSR2)
        until(lambda: parse_info(self.edge.command("show info"))[0] != before)


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    program = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert program, "haproxy is needed: tests/tools/host-packages.sh haproxy"
    folder = tmp_path_factory.mktemp("h")
    site = Site(folder, free_port(), Edge(f"{folder}/admin", "web", f"{folder}/state", master=f"{folder}/master"))

    class Slot(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.arrived.set()
            site.answer.wait(60)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            """Be quiet."""

    slot = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slot)
    threading.Thread(target=slot.serve_forever, daemon=True).start()
    (folder / "cfg").write_text(CONFIGURATION.format(folder=folder, public=site.public, blue=slot.server_port))
    command = [program, "-W", "-S", f"{folder}/master", "-f", f"{folder}/cfg", "-p", f"{folder}/pid"]
    site.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: site.edge.servers())
        yield site
    finally:
        site.answer.set()
        site.process.terminate()
        site.process.wait(PATIENCE)
        slot.shutdown()
        slot.server_close()


def test_a_request_of_the_process_before_a_reload_is_waited_for(site: Site) -> None:
    user = site.visit()
    site.reload()
    site.edge.set_state("green", "ready")
    site.edge.set_state("blue", "drain")
    assert site.edge.load("blue").sessions == 0, "the new process knows nothing of it"
    assert site.edge.drained("blue", timeout=0.2) == 1
    assert site.edge.drained("green", timeout=PATIENCE) == 0, "it is not of the other slot"
    assert site.edge.doubt == ""
    threading.Timer(0.3, site.answer.set).start()
    assert site.edge.drained("blue", timeout=PATIENCE) == 0
    user.join(PATIENCE)
    assert site.got == [200]


def test_without_the_master_a_slot_is_not_called_drained_while_an_old_process_lives(site: Site) -> None:
    edge = Edge(site.edge.path, "web", site.edge.state_file, master=f"{site.folder}/nobody")
    assert edge.drained("blue", timeout=PATIENCE) == 0
    assert edge.doubt == "", "nothing was reloaded"
    user = site.visit()
    assert edge.drained("blue", timeout=0.2) == 1
    assert edge.doubt == "", "the process that answers is no former one"
    site.reload()
    old = until(lambda: parse_old_workers(site.edge._ask(site.edge.master, "show proc")))
    assert len(old) == 1
    assert edge.drained("blue", timeout=0.2) == 1
    assert f"HAProxy's process {old[0]} from before a reload" in edge.doubt
    assert f"does not answer at {site.folder}/nobody" in edge.doubt
    site.answer.set()
    user.join(PATIENCE)
    assert edge.drained("blue", timeout=PATIENCE) == 0
    assert (edge.doubt, site.got) == ("", [200])
