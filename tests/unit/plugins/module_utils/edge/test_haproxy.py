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

from ansible_collections.phasegate.aistack.plugins.module_utils.edge.haproxy import (
    Edge,
    EdgeError,
    Load,
    parse_info,
    parse_old_workers,
    parse_servers_state,
    parse_stat,
    stat_rows,
)
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.listening import hang_up

CAPTURED = Path(__file__).parents[3] / "fixtures/haproxy"


def captured(what: str, version: str) -> str:
    return (CAPTURED / f"{what}-{version}.txt").read_text()


@pytest.mark.parametrize(("version", "expected"), [("2.6", ["maint", "maint"]), ("3.0", ["maint", "ready"])])
def test_servers_state_as_captured(version: str, expected: list[str]) -> None:
    servers = parse_servers_state(captured("show-servers-state", version))
    assert [(server.backend, server.name, server.port) for server in servers] == [("probe", "blue", 28001), ("probe", "green", 28002)]
    assert [server.state for server in servers] == expected


# Lines of 2.6.12: srv_op_state and srv_admin_state after `set server`. 4 (configured as disabled) stays after `ready`.
@pytest.mark.parametrize(
    ("operational", "admin", "state"),
    [(2, 4, "ready"), (2, 0, "ready"), (0, 4, "down"), (0, 5, "maint"), (0, 12, "drain"), (2, 8, "drain")],
)
def test_words_of_the_state(operational: int, admin: int, state: str) -> None:
    head = captured("show-servers-state", "2.6").splitlines()[:2]
    line = f"3 web 1 blue 127.0.0.1 {operational} {admin} 1 1 0 8 2 0 6 0 0 0 - 28001 - 0 0 - - 0"
    assert parse_servers_state("\n".join([*head, line]))[0].state == state


@pytest.mark.parametrize("version", ["2.6", "3.0"])
def test_stat_as_captured(version: str) -> None:
    loads = parse_stat(captured("show-stat", version))
    assert loads[("probe", "blue")] == Load(0, "MAINT")
    assert loads[("probe", "green")].status == {"2.6": "MAINT", "3.0": "UP"}[version]


@pytest.mark.parametrize("text", ["", "2\n# be_id\n", "Unknown command\n", "1\n# be_name srv_name\nweb blue\n"])
def test_another_form_is_an_error(text: str) -> None:
    with pytest.raises(EdgeError):
        parse_servers_state(text)


def test_stat_in_another_form_is_an_error() -> None:
    with pytest.raises(EdgeError, match="not known here"):
        parse_stat("Permission denied\n")


@pytest.mark.parametrize("version", ["2.6", "3.0"])
def test_a_sections_own_row(version: str) -> None:
    row = stat_rows(captured("show-stat", version))[("probe", "BACKEND")]
    assert {"hrsp_5xx", "req_tot", "rtime"} <= set(row)


def test_which_process_answers() -> None:
    assert parse_info("Name: HAProxy\nPid: 4711\nUptime: 0d 0h01m05s\nUptime_sec: 65\n\n") == ("4711", 65.0)
    for text in ("Permission denied\n", "Pid: 1\n", "Pid: 1\nUptime_sec: long\n"):
        with pytest.raises(EdgeError, match="not known here"):
            parse_info(text)


PROCESSES = """\
#<PID>          <type>          <reloads>       <uptime>        <version>
353             master          1 [failed: 0]   0d00h00m02s     2.6.12-1+deb12u4
# workers
368             worker          0               0d00h00m00s     2.6.12-1+deb12u4
# old workers
355             worker          1               0d00h00m02s     2.6.12-1+deb12u4
# programs

"""


def test_processes_from_before_a_reload() -> None:
    """As captured from 2.6."""
    assert parse_old_workers(PROCESSES) == [355]
    assert parse_old_workers(PROCESSES.replace("# old workers\n355", "# programs\n355")) == []
    with pytest.raises(EdgeError, match="show proc"):
        parse_old_workers("Unknown command\n")


class Haproxy(threading.Thread):
    """An admin socket. Server states are kept; ``obeys`` says whether `set server` has any effect."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.states = {"blue": (2, 4), "green": (0, 5)}
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
                f"3 web {n} {name} 127.0.0.1 {op} {admin} 1 1 0 8 2 0 6 0 0 0 - 2800{n} - 0 0 - - 0"
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
        if self.obeys:
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
