# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP as probes need it: one request, no redirects, no proxy, certificates always verified, a limit on time and size."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import (
    OUTPUT_LIMIT,
    CannotJudge,
    Context,
    NotAsExpected,
    excerpt,
    os_error_text,
)

_PARTIAL_CHAIN = 0x80000  # ssl.VERIFY_X509_PARTIAL_CHAIN, which Python names from 3.10 on
_FIRST = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.S)


@dataclass(frozen=True)
class Answer:
    """What a server answered. Names of headers are in lower case; ``ms`` runs from the first byte sent to the last read."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    ms: float
    url: str
    reason: str = ""
    more: bool = field(default=False)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            NotAsExpected: it is none.
        """
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise NotAsExpected(
                f"status {self.status}, no JSON: {excerpt(self.text) if self.body else 'an empty body'}", "JSON", self.url
            ) from error


def _pinned(path: str) -> ssl.SSLContext:
    """A client that takes the first certificate in the file, and no other."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            found = _FIRST.search(file.read())
        if not found:
            raise CannotJudge(f"{path}: it holds no certificate")
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.load_verify_locations(cadata=found[0])
    except OSError as error:
        raise CannotJudge(f"{path}: {error.strerror or error}") from error
    tls.verify_flags |= ssl.VerifyFlags(_PARTIAL_CHAIN)
    return tls


def client_context(ca_file: str | None = None, certificate: str | None = None) -> ssl.SSLContext:
    """A client that trusts the certificates in a file, those of the system without one.

    With C(certificate) it takes the first certificate in that file, and no other.

    Raises:
        CannotJudge: a file cannot be read.
    """
    if certificate:
        return _pinned(certificate)
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise CannotJudge(f"{ca_file}: {error.strerror or error}") from error


def host_header(url: str) -> str:
    """What is sent as C(Host): lower case, without the scheme's own port. A signature has to be over the same.

    Raises:
        ValueError: the port is none.
    """
    parts = urlsplit(url)
    name = parts.hostname or ""
    name = f"[{name}]" if ":" in name else name
    own = 443 if parts.scheme == "https" else 80
    return name if parts.port in (None, own) else f"{name}:{parts.port}"


def request(
    url: str,
    context: Context,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    ca_file: str | None = None,
) -> Answer:
    """Ask once.

    Raises:
        NotAsExpected: no connection, no answer in time, or no HTTP; says which address.
        CannotJudge: the address makes no sense, or the CA file cannot be read.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CannotJudge(f"'{url}' is no http or https address")
    try:
        port = parts.port
    except ValueError as error:
        raise CannotJudge(f"'{url}': {error}") from error
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(parts.hostname, port, timeout=context.remaining(), context=client_context(ca_file))
    else:
        connection = http.client.HTTPConnection(parts.hostname, port, timeout=context.remaining())
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    sent = {"Host": host_header(url), "User-Agent": "phasegate-aistack-probe", "Accept": "*/*", "Connection": "close", **(headers or {})}
    began = time.monotonic()
    try:
        connection.connect()
        line = connection.sock  # the connection forgets it where the server closes after its answer
        connection.request(method, path, body=body, headers=sent)
        line.settimeout(context.remaining())
        response = connection.getresponse()
        chunks: list[bytes] = []
        size = 0
        while size < OUTPUT_LIMIT and not response.isclosed():  # Python 3.13 closes it with the last byte
            line.settimeout(context.remaining())
            chunk = response.read1(65536)
            if not chunk:
                break
            chunks.append(chunk)
            size += len(chunk)
        return Answer(
            response.status,
            {name.lower(): value for name, value in response.getheaders()},
            b"".join(chunks),
            round((time.monotonic() - began) * 1000, 1),
            url,
            response.reason,
            size >= OUTPUT_LIMIT,
        )
    except NotAsExpected as late:
        raise NotAsExpected(f"{late.got} ({url})") from late
    except OSError as error:
        raise NotAsExpected(f"{os_error_text(error, context.timeout)} ({url})") from error
    except (http.client.HTTPException, ValueError) as error:
        raise NotAsExpected(f"the answer is no HTTP: {type(error).__name__}: {excerpt(str(error), 80)} ({url})") from error
    finally:
        connection.close()


def ask_json(
    url: str, context: Context, method: str = "GET", data: Any = None, status: int = 200, ca_file: str | None = None
) -> Any:
    """Ask and read JSON.

    Raises:
        NotAsExpected: another status, or no JSON.
        CannotJudge: as :func:`request`.
    """
    body = None if data is None else json.dumps(data).encode()
    headers = {} if data is None else {"Content-Type": "application/json"}
    answer = request(url, context, method, body, headers, ca_file)
    if answer.status != status:
        raise NotAsExpected(f"status {answer.status}: {excerpt(answer.text)}", f"status {status}", f"{method} {url}")
    return answer.json()
