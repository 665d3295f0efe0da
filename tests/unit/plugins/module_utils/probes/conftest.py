# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real servers on loopback, and programs that answer with what the real ones printed."""

from __future__ import annotations

import http.server
import json
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context
from ansible_collections.phasegate.aistack.plugins.module_utils.probes import REGISTRY
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.spec import normalise
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.listening import hang_up

Route = Callable[[http.server.BaseHTTPRequestHandler, bytes], tuple[int, Any, Mapping[str, str]]]


class WebServer:
    """A server whose answers a test sets: ``routes[path]`` is ``(status, body[, headers])`` or a function that gives that."""

    def __init__(self) -> None:
        self.routes: dict[str, Any] = {}
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.seen.append((self.command, self.path, dict(self.headers), body))
                route = outer.routes.get(self.path.split("?")[0], (404, "not here"))
                status, content, *rest = route(self, body) if callable(route) else route
                raw = content if isinstance(content, bytes) else (content if isinstance(content, str) else json.dumps(content)).encode()
                with suppress(BrokenPipeError, ConnectionResetError):  # a probe whose time is over hangs up
                    self.send_response(status)
                    for name, value in (rest[0] if rest else {}).items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(raw)))
                    self.end_headers()
                    if self.command != "HEAD":
                        self.wfile.write(raw)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer

            def log_message(self, *_arguments: Any) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.close()


@pytest.fixture
def observe() -> Callable[..., Attempt]:
    """Run one probe once, as the inventory would give it."""

    def run(names: Mapping[str, Any] | None = None, **probe: Any) -> Attempt:
        spec = normalise({"name": "it", **probe}, None)
        one = REGISTRY[spec["type"]](spec)
        return one.run(Context(timeout=one.attempt_timeout, names=names or {}))

    return run


@pytest.fixture
def talk() -> Iterator[Callable[[Callable[[socket.socket], None]], int]]:
    """Start a TCP server whose conversation is a function; returns its port."""
    listeners: list[tuple[socket.socket, threading.Thread]] = []

    def start(conversation: Callable[[socket.socket], None]) -> int:
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)

        def serve() -> None:
            while True:
                try:
                    client, _address = listener.accept()
                except OSError:
                    return
                with suppress(OSError), client:  # a probe whose time is over hangs up
                    conversation(client)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        listeners.append((listener, thread))
        return int(listener.getsockname()[1])

    yield start
    for listener, thread in listeners:
        hang_up(listener, thread)


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Put a shell script before all else on the path; its arguments are kept in ``<name>.args``."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def write(name: str, script: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {folder}/{name}.args\n{script}\n", encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return folder / f"{name}.args"

    return write
