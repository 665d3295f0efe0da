# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who listens here, asked of the kernel."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core import sockets
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.node import listener

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:18EB 00000000:0000 0A 00000000:00000000 00:00000000 00000000   102        0 24551 1 0000000000000000 100 0 0 10 0
   1: 0100007F:18EB 0100007F:A03E 01 00000000:00000000 00:00000000 00000000   102        0 24552 1 0000000000000000 20 4 30 10 -1
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt
   0: 00000000000000000000000001000000:1F40 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 9931
"""


def test_proc_net_tcp_of_linux() -> None:
    assert list(sockets.listeners(TCP, 4)) == [("127.0.0.1", 6379, "24551", 102)]
    assert list(sockets.listeners(TCP6, 6)) == [("::1", 8000, "9931", 0)]


@pytest.fixture
def port() -> Iterator[int]:
    """A port of the loopback address on which this process listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.fixture
def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_who_listens(port: int, free: int) -> None:
    assert f"(pid {os.getpid()}" in listener(port)
    assert listener(free) == ""


def test_what_is_in_the_way(port: int, free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "_unit", lambda pid: "shop.service")
    assert sockets.in_the_way([("127.0.0.1", free), ("*", free), ("localhost", free)], "haproxy.service") == []
    said = sockets.in_the_way([("127.0.0.1", port), ("127.0.0.1", free)], "haproxy.service")
    assert len(said) == 1
    assert said[0].startswith(f"127.0.0.1:{port} is held by ")
    assert f"(pid {os.getpid()}, unit shop.service) on 127.0.0.1" in said[0]
    assert sockets.in_the_way([("0.0.0.0", port)], "haproxy.service") != [], "all addresses include that one"
    assert sockets.in_the_way([("127.0.0.2", port)], "haproxy.service") == [], "another address is free"
    assert sockets.in_the_way([("127.0.0.1", port)], "shop.service") == [], "its own"
    assert "192.0.2.7 is no address of this node" in sockets.in_the_way([("192.0.2.7", free)], "haproxy.service")[0]
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        taken = silent.getsockname()[1]
        assert sockets.in_the_way([("127.0.0.1", taken)]) == [f"127.0.0.1:{taken} is held by a socket that does not listen"]


def test_who_listens_where_a_program_should(port: int, free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sockets.outsiders(("127.0.0.1", free), "haproxy") == []
    assert [holder.pid for holder in sockets.outsiders(("127.0.0.1", port), "haproxy")] == [os.getpid()]
    assert sockets.outsiders(("127.0.0.2", port), "haproxy") == [], "somewhere else"
    monkeypatch.setattr(sockets, "_comm", lambda pid: "haproxy")
    assert sockets.outsiders(("127.0.0.1", port), "haproxy") == []
    monkeypatch.setattr(sockets, "_links", lambda pid: [])
    assert sockets.outsiders(("127.0.0.1", port), "haproxy") == [], "in a container root may not see HAProxy's"


def test_what_a_unit_does_not_listen_on(port: int, free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "_unit", lambda pid: "haproxy.service")
    assert sockets.not_held([("127.0.0.1", port)], "haproxy.service") == []
    assert sockets.not_held([("127.0.0.1", port)], "haproxy.service", os.getpid()) == []
    assert sockets.not_held([("127.0.0.1", free)], "haproxy.service") == [f"127.0.0.1:{free} is not held by haproxy.service, but by nobody"]
    assert "0.0.0.0" in sockets.not_held([("0.0.0.0", port)], "haproxy.service")[0], "one address is not all"
    assert "is not held by haproxy.service (pid 1), but by" in sockets.not_held([("127.0.0.1", port)], "haproxy.service", 1)[0]
    assert "is not held by nginx.service" in sockets.not_held([("127.0.0.1", port)], "nginx.service")[0]


@pytest.mark.parametrize(
    ("given", "numbers"),
    [("*", ["0.0.0.0"]), ("-::1", ["::1"]), ("[::1]", ["::1"]), ("10.0.0.1", ["10.0.0.1"]), ("nobody.invalid", [])],
)
def test_addresses_as_configurations_write_them(given: str, numbers: list[str]) -> None:
    assert sockets.addresses(given) == numbers


@pytest.mark.parametrize(
    ("unit", "uid", "pid", "mine"),
    [
        ("db.service", 102, 0, True),
        ("db.service", 0, 0, True),  # made before it gave up being root
        ("db.service", 33, 0, False),
        ("other.service", 102, 0, False),
        ("db.service", 102, 71, True),
        ("db.service", 102, 99, False),
    ],
)
def test_what_root_may_not_see_in_a_container(monkeypatch: pytest.MonkeyPatch, unit: str, uid: int, pid: int, mine: bool) -> None:
    monkeypatch.setattr(sockets, "_closed_processes", lambda: iter([("71", 102), ("72", 33)]))
    monkeypatch.setattr(sockets, "_unit", {"71": "db.service", "72": "web.service"}.get)
    assert sockets.Holder("127.0.0.1", uid=uid).belongs_to(unit, pid) is mine


def test_connections_that_a_service_holds(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            monkeypatch.setattr(sockets, "_unit", lambda pid: "it.service" if pid == str(os.getpid()) else "")
            assert sockets.connected("it.service", port) == 1
            assert sockets.connected("other.service", port) == 0
        assert sockets.connected("it.service", port) == 0
