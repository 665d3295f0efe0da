# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy's answers, captured from 2.6 and 3.0, and an admin socket that answers like them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.haproxy import EdgeError, parse_servers_state
from ansible_collections.phasegate.aistack.plugins.module_utils.edge.haproxy import Edge
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.listening import hang_up

CAPTURED = Path(__file__).parents[3] / "fixtures/haproxy"


def captured(what: str, version: str) -> str:
    return (CAPTURED / f"{what}-{version}.txt").read_text()


class Haproxy(threading.Thread):
    """An admin socket. Server states are kept; ``obeys`` says whether `set server` has any effect."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.states = {"blue": (2, 4), "green": (0, 5)}
        self.weights = {"blue": 1, "green": 1}
        self.sessions = [2, 1, 0]
        self.obeys = True
        self.asked: list[str] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()

    def run(self) -> None:
        while True:
            try:
                client, _address = self.listener.accept()
            except OSError:
                return
            with client:
                line = client.makefile().readline().strip()
                self.asked.append(line)
                client.sendall(self.answer(line).encode())

    def answer(self, line: str) -> str:
        if line == "show servers state":
            head = captured("show-servers-state", "2.6").splitlines()[:2]
            rows = [
                f"3 web {n} {name} 127.0.0.1 {op} {admin} {self.weights[name]} 1 0 8 2 0 6 0 0 0 - 2800{n} - 0 0 - - 0"
                for n, (name, (op, admin)) in enumerate(self.states.items(), 1)
            ]
            return "\n".join([*head, *rows, ""])
        if line == "show info":
            return "Name: HAProxy\nPid: 1\nUptime_sec: 5\n\n"
        if line.startswith("show stat"):
            left = self.sessions.pop(0) if len(self.sessions) > 1 else self.sessions[0]
            return f"# pxname,svname,qcur,qmax,scur,smax,slim,stot,status,\nweb,blue,0,0,{left},0,,0,DRAIN,\n\n"
        words = line.split()
        name = words[2].partition("/")[2]
        if name not in self.states:
            return "No such server.\n\n"
        if self.obeys and words[3] == "weight":
            self.weights[name] = int(words[4])
        elif self.obeys:
            self.states[name] = {"ready": (2, 4), "drain": (2, 12), "maint": (0, 5)}[words[4]]
        return "\n"


@pytest.fixture
def haproxy(tmp_path: Path) -> Iterator[Haproxy]:
    server = Haproxy(tmp_path / "s")
    server.start()
    yield server
    hang_up(server.listener, server)


@pytest.fixture
def edge(tmp_path: Path, haproxy: Haproxy) -> Edge:
    return Edge(str(tmp_path / "s"), "web", str(tmp_path / "state"), timeout=2, master=str(tmp_path / "nobody"))


def test_a_switch_is_made_seen_and_written_down(edge: Edge, haproxy: Haproxy, tmp_path: Path) -> None:
    edge.set_state("green", "ready")
    assert edge.servers()["green"].state == "ready"
    assert "set server web/green state ready" in haproxy.asked
    assert [server.state for server in parse_servers_state((tmp_path / "state").read_text())] == ["ready", "ready"]
    edge.set_state("blue", "drain")
    assert [server.state for server in parse_servers_state((tmp_path / "state").read_text())] == ["drain", "ready"]
    assert not list(tmp_path.glob(".server-state*"))


def test_a_switch_that_has_no_effect_is_an_error(edge: Edge, haproxy: Haproxy) -> None:
    haproxy.obeys = False
    with pytest.raises(EdgeError, match="expected state ready, got maint"):
        edge.set_state("green", "ready")
    with pytest.raises(EdgeError, match="No such server"):
        edge.set_state("red", "ready")


def test_a_weight_is_given_seen_and_written_down(edge: Edge, haproxy: Haproxy, tmp_path: Path) -> None:
    edge.weigh("green", 5)
    assert "set server web/green weight 5" in haproxy.asked
    assert {name: server.weight for name, server in edge.servers().items()} == {"blue": 1, "green": 5}
    assert [server.weight for server in parse_servers_state((tmp_path / "state").read_text())] == [1, 5]
    haproxy.obeys = False
    with pytest.raises(EdgeError, match="it weighs 5 afterwards"):
        edge.weigh("green", 25)
    with pytest.raises(EdgeError, match="No such server"):
        edge.weigh("red", 5)


def test_a_good_state_file_is_not_replaced_by_nonsense(edge: Edge, haproxy: Haproxy, tmp_path: Path) -> None:
    edge.persist()
    before = (tmp_path / "state").read_text()
    haproxy.answer = lambda line: "Permission denied\n"
    with pytest.raises(EdgeError):
        edge.persist()
    assert (tmp_path / "state").read_text() == before


def test_draining(edge: Edge, haproxy: Haproxy) -> None:
    assert edge.drained("blue", timeout=5, interval=0.01) == 0
    haproxy.sessions = [4]
    assert edge.drained("blue", timeout=0.05, interval=0.01) == 4


def test_no_haproxy_and_no_section(edge: Edge, tmp_path: Path) -> None:
    with pytest.raises(EdgeError, match=r"no backend section `other`: run site\.yml once, which makes it"):
        Edge(edge.path, "other", "/x").servers()
    with pytest.raises(EdgeError, match=r"admin socket .*/none"):
        Edge(str(tmp_path / "none"), "web", "/x").servers()
