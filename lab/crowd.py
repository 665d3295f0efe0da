# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many users of the application in lab/fleet at once: requests at a steady rate, long sessions over WebSockets, tasks in a queue.

What they saw is counted: requests that were not answered with 200, sessions that the other side ended, tasks that were lost or done twice.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import random
import socket
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

ASKERS = 25
"""Threads that ask; each keeps a connection, as a browser or a proxy does."""
WORD_S = 1.0
"""Seconds from one word of a session to the next."""


@dataclass
class Seen:
    """What the users saw.

    Attributes:
        asked: requests that were sent; ``failed``: of these those without an answer of 200, in words.
        versions: answers by the release that gave them.
        late: requests that were due and could not be sent in time, since all who ask were waiting.
        sessions: sessions that were opened; ``refused``: in words, those that could not be; ``cut``: seconds for which a session had
            lasted when the other side ended it, each.
    """

    asked: int = 0
    failed: list[str] = field(default_factory=list)
    versions: Counter[str] = field(default_factory=Counter)
    late: int = 0
    sessions: int = 0
    refused: list[str] = field(default_factory=list)
    cut: list[float] = field(default_factory=list)


class Session:
    """One session over a WebSocket. Raises OSError where the other side does not answer, or not as it should."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port), timeout=10)
        lines = [f"GET /talk HTTP/1.1\r\nHost: {host}:{port}", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
        self.socket.sendall("\r\n".join([*lines, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""]).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._read(1)
        if not answer.startswith(b"HTTP/1.1 101"):
            raise OSError(answer.decode(errors="replace").splitlines()[0])

    def _read(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            part = self.socket.recv(count - len(found))
            if not part:
                raise OSError("the other side closed the connection")
            found += part
        return found

    def _send(self, kind: int, text: bytes) -> None:
        mask = os.urandom(4)
        hidden = bytes(byte ^ mask[place % 4] for place, byte in enumerate(text))
        self.socket.sendall(struct.pack("!BB", 0x80 | kind, 0x80 | len(text)) + mask + hidden)

    def say(self, text: bytes) -> None:
        """Say *text* (125 bytes at most) and wait until it is repeated; answers pings meanwhile."""
        self._send(1, text)
        while True:
            kind, length = struct.unpack("!BB", self._read(2))
            came = self._read(length & 0x7F)
            if kind & 0x0F == 9:
                self._send(10, came)
            elif kind & 0x0F == 8:
                raise OSError(f"the other side ended the session: {came[2:].decode(errors='replace') or 'without a reason'}")
            else:
                if came != text:
                    raise OSError(f"said {text!r}, came back {came!r}")
                return

    def leave(self) -> None:
        """End it as a client does."""
        try:
            self._send(8, struct.pack("!H", 1000))
        finally:
            self.socket.close()


class Crowd:
    """Users at some places (address and port) as long as this context lasts.

    Args:
        places: where the application is reached; users go to all of them in turn.
        rate: requests a second over all of them.
        sessions: sessions that are open at any time; each lasts 10 to 40 seconds, then its user comes again.
        path: what is asked for.
    """

    def __init__(self, places: list[tuple[str, int]], rate: float, sessions: int, path: str = "/work") -> None:
        self.places, self.rate, self.sessions, self.path = places, rate, sessions, path
        self.seen = Seen()
        self._over, self._lock, self._due = threading.Event(), threading.Lock(), itertools.count()
        self._began = time.monotonic()
        users = [threading.Thread(target=self._ask, args=(number,), daemon=True) for number in range(ASKERS)]
        self._threads = users + [threading.Thread(target=self._talk, args=(number,), daemon=True) for number in range(sessions)]

    def __enter__(self) -> Crowd:
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_problem: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def _ask(self, number: int) -> None:
        host, port = self.places[number % len(self.places)]
        way: http.client.HTTPConnection | None = None
        while not self._over.is_set():
            with self._lock:
                due = self._began + next(self._due) / self.rate
            wait = due - time.monotonic()
            if wait > 0 and self._over.wait(wait):
                return
            problem, version = "", ""
            try:
                if way is None:
                    way = http.client.HTTPConnection(host, port, timeout=10)
                way.request("GET", self.path)
                answer = way.getresponse()
                body = answer.read()
                if answer.status == 200:
                    version = json.loads(body)["version"]
                else:
                    problem = f"status {answer.status}"
                if answer.will_close:
                    way.close()
                    way = None
            except (OSError, http.client.HTTPException, ValueError) as error:
                problem, way = repr(error), None
            with self._lock:
                self.seen.asked += 1
                self.seen.late += wait < -1
                if problem:
                    self.seen.failed.append(f"{time.monotonic() - self._began:.1f} s: {host}: {problem}")
                else:
                    self.seen.versions[version] += 1

    def _talk(self, number: int) -> None:
        host, port = self.places[number % len(self.places)]
        while not self._over.wait(random.uniform(0, 1)):
            began, lasts = time.monotonic(), random.uniform(10, 40)
            try:
                session = Session(host, port)
            except OSError as error:
                self.seen.refused.append(f"{began - self._began:.1f} s: {host}: {error}")  # append of a list is one step for all threads
                continue
            self.seen.sessions += 1
            try:
                while time.monotonic() - began < lasts and not self._over.wait(WORD_S):
                    session.say(str(time.monotonic()).encode())
                session.leave()
            except OSError:
                self.seen.cut.append(round(time.monotonic() - began, 1))
