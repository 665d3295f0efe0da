# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports that somebody else holds, and ports that a service does not listen on."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.haproxy import EdgeError
from ansible_collections.phasegate.aistack.plugins.module_utils.core import sockets
from ansible_collections.phasegate.aistack.plugins.modules import listeners

Call = Callable[..., dict[str, Any]]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where a process of shop.service listens."""
    monkeypatch.setattr(sockets, "_unit", lambda pid: "shop.service")
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("check", [True, False])
def test_free(call: Call, place: str, check: bool) -> None:
    assert not call("listeners", check=check, unit="shop.service", places=[place]).get("failed")
    refused = call("listeners", check=check, unit="haproxy.service", places=["127.0.0.2:65001", place])
    assert f"{place} is held by" in refused["msg"]
    assert f"(pid {os.getpid()}, unit shop.service)" in refused["msg"]
    assert "another port in aistack_ports" in refused["msg"]
    assert len(refused["problems"]) == 1


def test_held(call: Call, place: str) -> None:
    assert call("listeners", state="held", unit="shop.service", places=[place])["changed"] is False
    missing = call("listeners", state="held", unit="shop.service", places=[place, "127.0.0.2:65001"], timeout=0)
    assert "127.0.0.2:65001 is not held by shop.service, but by nobody" in missing["msg"]
    assert "journalctl -u shop.service" in missing["msg"]
    assert not call("listeners", check=True, state="held", unit="other.service", places=[place]).get("failed"), "nothing was done"


def test_held_by_the_process_that_answers(call: Call, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[int | None] = [None, 1, os.getpid()]

    def command(_edge: Any, _line: str) -> str:
        pid = answers.pop(0) if len(answers) > 1 else answers[0]
        if pid is None:
            raise EdgeError("nobody listens")
        return f"Pid: {pid}\nUptime_sec: 1\n"

    monkeypatch.setattr(listeners.Edge, "command", command)
    given = {"state": "held", "unit": "shop.service", "places": [place], "socket": "/s"}
    assert call("listeners", timeout=20, **given)["problems"] == []
    answers[:] = [1]
    assert "is not held by shop.service (pid 1), but by" in call("listeners", timeout=0, **given)["msg"]


@pytest.mark.parametrize("wrong", ["8000", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:70000"])
def test_what_is_no_place(call: Call, wrong: str) -> None:
    assert f"got {wrong!r}" in call("listeners", unit="shop.service", places=[wrong])["msg"]
