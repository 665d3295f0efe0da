# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Redis' language over a connection, for those who only ask: the password stays off every command line."""

from __future__ import annotations

import socket
import ssl
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import OUTPUT_LIMIT, Context, NotAsExpected
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import show


class RedisError(Exception):
    """The server answered with an error."""


class Connection:
    """A connection that speaks RESP2, over TLS where a context for it is given; ``name`` is the one in the certificate if not the host."""

    def __init__(self, host: str, port: int, context: Context, tls: ssl.SSLContext | None = None, name: str = "") -> None:
        self._context = context
        if host.startswith("/"):
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(context.remaining())
            self._socket.connect(host)
        else:
            self._socket = socket.create_connection((host, port), timeout=context.remaining())
        if tls is not None:
            plain = self._socket
            try:
                plain.settimeout(context.remaining())
                self._socket = tls.wrap_socket(plain, server_hostname=name or host)
            except BaseException:
                plain.close()
                raise
        self._buffer = b""

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def command(self, *words: str) -> Any:
        """Send one command and return the reply: text, number, list or None.

        Raises:
            RedisError: the server says no.
            NotAsExpected: what comes is not Redis' language, or nothing in time.
        """
        raw = [word.encode() for word in words]
        self._socket.settimeout(self._context.remaining())
        self._socket.sendall(b"*%d\r\n" % len(raw) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in raw))
        return self._reply()

    def _fill(self) -> None:
        self._socket.settimeout(self._context.remaining())
        chunk = self._socket.recv(65536)
        if not chunk:
            raise NotAsExpected("the connection was closed")
        self._buffer += chunk
        if len(self._buffer) > OUTPUT_LIMIT:
            raise NotAsExpected(f"an answer of more than {OUTPUT_LIMIT} bytes")

    def _line(self) -> str:
        while b"\r\n" not in self._buffer:
            self._fill()
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        return line.decode("utf-8", "replace")

    def _reply(self) -> Any:
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == "+":
            return rest
        if kind == "-":
            raise RedisError(rest)
        if kind in (":", "$", "*") and rest.lstrip("-").isdigit():
            size = int(rest)
            if kind == ":":
                return size
            if size < 0:
                return None
            if kind == "*":
                return [self._reply() for _item in range(size)]
            while len(self._buffer) < size + 2:
                self._fill()
            body, self._buffer = self._buffer[:size], self._buffer[size + 2 :]
            return body.decode("utf-8", "replace")
        raise NotAsExpected(f"the answer is not Redis' language: {show(line, 60)}")
