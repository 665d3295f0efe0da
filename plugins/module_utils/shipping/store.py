# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The store that lines are pushed to: one connection, which is kept, so that a store that was away in between is noticed."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from urllib.parse import urlencode, urlsplit

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import excerpt
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.http import client_context

TIMEOUT = 30.0
"""Seconds for one answer."""
_NOTHING = b'{"streams":[]}'
_BAD = (400, 413, 422)
"""What is sent is not taken, whoever sends it when."""
_TLS = "Client sent an HTTP request to an HTTPS server"
"""What a server written in Go says that speaks TLS, to whom does not. No line is refused by that."""
_TODO = {
    401: "it does not take the password (log_shipper_password): put it right and run site.yml; ",
    403: "it does not take the password (log_shipper_password): put it right and run site.yml; ",
    404: "it takes no lines there (log_shipper_store, log_shipper_url); ",
    429: "there may be no room on the disk of the store (victorialogs_keep_free), which wants some made; ",
}


class Away(Exception):
    """The store does not answer, or another one does: what it took last may be lost."""


class NotNow(Exception):
    """It answers and takes nothing: a password, an address, or room is missing.

    Attributes:
        todo: what helps, with what stands behind it; empty where nobody knows.
    """

    todo = ""


class Refused(Exception):
    """It does not take these lines."""


class Store:
    """Args:
        url: address to push to.
        headers: sent with each push.
        ca_file: CA certificates instead of the system's.
        timeout: seconds for one answer.

    Attributes:
        ahead: seconds by which this node's clock is ahead of the store's, by its last answer.
    """

    def __init__(self, url: str, headers: Mapping[str, str] | None = None, ca_file: str = "", timeout: float = TIMEOUT) -> None:
        self.parts = urlsplit(url)
        self._headers = {"Content-Type": "application/json", "User-Agent": "phasegate-aistack-ship", **(headers or {})}
        self._tls: ssl.SSLContext | None = client_context(ca_file or None) if self.parts.scheme == "https" else None
        self._timeout = timeout
        self._connection: http.client.HTTPConnection | None = None
        self._ended = False  # by the store, behind a whole answer
        self.ahead = 0.0

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
        path = (self.parts.path or "/") + (f"?{self.parts.query}" if self.parts.query else "")
        status, said = self._exchange(path, body, self._headers, 65536)
        if status >= 500:
            raise Away(f"status {status}: {excerpt(said, 120)}")
        if status in _BAD and body != _NOTHING:
            raise Refused(f"status {status}: {excerpt(said, 120)}")
        if status not in (200, 204, *_BAD):
            no = NotNow(f"status {status}: {excerpt(said, 120)}")
            no.todo = _TODO.get(status, "")
            raise no

    def ask(self, path: str, form: Mapping[str, str], limit: int) -> tuple[int, str]:
        """Ask the same server something else, over the same connection.

        Args:
            form: sent along.
            limit: bytes of the answer that are read; with a longer one the connection is a new one.

        Returns:
            Status and text.

        Raises:
            Away: see there.
        """
        headers = {**self._headers, "Content-Type": "application/x-www-form-urlencoded"}
        return self._exchange(path, urlencode(form).encode(), headers, limit)

    def _exchange(self, path: str, body: bytes, headers: Mapping[str, str], limit: int) -> tuple[int, str]:
        if self._ended:  # a new one only now: a server lets one go on which nothing is said for some seconds
            self.connect()
        if self._connection is None:
            raise Away("the connection was lost")
        try:
            self._connection.request("POST", path, body=body, headers=dict(headers))
            answer = self._connection.getresponse()
            said = answer.read(limit).decode("utf-8", "replace")
            ends = answer.will_close or not answer.isclosed()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Away(f"{type(error).__name__}: {error}") from error
        try:
            self.ahead = time.time() - parsedate_to_datetime(answer.headers["Date"]).timestamp()
        except (TypeError, ValueError, IndexError):
            self.ahead = 0.0  # it does not say
        if ends:
            self.close()
            self._ended = True
        if answer.status == 400 and not self._tls and said.startswith(_TLS):
            raise Away("it speaks TLS: log_shipper_url has to begin with https, which site.yml sees to in a stack")
        return answer.status, said

    def close(self) -> None:
        """Let the connection go."""
        if self._connection is not None:
            self._connection.close()
        self._connection, self._ended = None, False
