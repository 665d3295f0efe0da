# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The store that lines are pushed to: one connection, which is kept, so that a store that was away in between is noticed."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import excerpt
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.http import client_context

TIMEOUT = 30.0
"""Seconds for one answer."""
_NOTHING = b'{"streams":[]}'
_BAD = (400, 413, 422)
"""What is sent is not taken, whoever sends it when."""


class Away(Exception):
    """The store does not answer, or another one does: what it took last may be lost."""


class NotNow(Exception):
    """It answers and takes nothing: a password, an address, or room is missing."""


class Refused(Exception):
    """It does not take these lines."""


class Store:
    """Args:
        url: address to push to.
        headers: sent with each push.
        ca_file: CA certificates instead of the system's.
        timeout: seconds for one answer.
    """

    def __init__(self, url: str, headers: Mapping[str, str] | None = None, ca_file: str = "", timeout: float = TIMEOUT) -> None:
        self.parts = urlsplit(url)
        self._headers = {"Content-Type": "application/json", "User-Agent": "phasegate-aistack-ship", **(headers or {})}
        self._tls: ssl.SSLContext | None = client_context(ca_file or None) if self.parts.scheme == "https" else None
        self._timeout = timeout
        self._connection: http.client.HTTPConnection | None = None

    @property
    def place(self) -> str:
        """Its address for people: without what may be secret."""
        return f"{self.parts.scheme}://{self.parts.hostname}:{self.parts.port or (443 if self._tls else 80)}"

    def connect(self) -> None:
        """Have a new connection.

        Raises:
            Away: there is none to be had.
        """
        self.close()
        host, port = self.parts.hostname or "", self.parts.port
        if self._tls:
            self._connection = http.client.HTTPSConnection(host, port, timeout=self._timeout, context=self._tls)
        else:
            self._connection = http.client.HTTPConnection(host, port, timeout=self._timeout)
        try:
            self._connection.connect()
            self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            self.close()
            raise Away(str(error.strerror or error)) from error

    def push(self, body: bytes = _NOTHING) -> None:
        """Push what :func:`lines.body` made; without anything, ask whether it is still there.

        Raises:
            Away, NotNow, Refused: see there.
        """
        if self._connection is None:
            raise Away("the connection was lost")
        path = (self.parts.path or "/") + (f"?{self.parts.query}" if self.parts.query else "")
        try:
            self._connection.request("POST", path, body=body, headers=self._headers)
            answer = self._connection.getresponse()
            said = answer.read(65536).decode("utf-8", "replace")
            ends = answer.will_close
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Away(f"{type(error).__name__}: {error}") from error
        if ends:
            self.connect()
        if answer.status >= 500:
            raise Away(f"status {answer.status}: {excerpt(said, 120)}")
        if answer.status in _BAD and body != _NOTHING:
            raise Refused(f"status {answer.status}: {excerpt(said, 120)}")
        if answer.status not in (200, 204, *_BAD):
            raise NotNow(f"status {answer.status}: {excerpt(said, 120)}")

    def close(self) -> None:
        """Let the connection go."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None
