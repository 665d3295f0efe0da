# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects in a bucket of an S3 server: put, get; requests signed here (Signature Version 4). Files go and come as streams."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import re
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import quote, urlsplit

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.http import host_header

TIMEOUT = 30.0
"""Seconds in which a server has to say something."""
SAID = 64 * 1024
"""Bytes of an error's text that are looked at."""
BLOCK = 1 << 20


class S3Problem(Exception):
    """The server is out of reach, or refuses; says which bucket, at which address, and why."""


def sign(method: str, url: str, digest: str, access_key: str, secret_key: str, region: str, stamp: str) -> dict[str, str]:
    """Headers that sign a request with AWS Signature Version 4.

    Args:
        url: with a path that is percent-encoded already.
        digest: SHA-256 of the body, in hex.
        stamp: time as ``YYYYMMDDTHHMMSSZ``.
    """
    parts = urlsplit(url)
    headers = {"host": host_header(url), "x-amz-content-sha256": digest, "x-amz-date": stamp}
    names = ";".join(sorted(headers))
    query = "&".join(sorted(parts.query.split("&"))) if parts.query else ""
    canonical = "\n".join(
        [method, parts.path or "/", query, *(f"{name}:{headers[name]}" for name in sorted(headers)), "", names, digest]
    )
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret_key}".encode()
    for part in (stamp[:8], region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    credential = f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {"x-amz-content-sha256": digest, "x-amz-date": stamp, "Authorization": credential}


def said(status: int, body: bytes) -> str:
    """A server's refusal, in its own words."""
    text = body.decode("utf-8", "replace")
    code, message = (re.search(rf"<{name}>([^<]+)</{name}>", text) for name in ("Code", "Message"))
    return f"status {status}" + (f" {code[1]}: {message[1]}" if code and message else f" {text.strip()[:200]}" if text.strip() else "")


@dataclass(frozen=True)
class Bucket:
    """A bucket, with the keys to it. ``timeout`` is in seconds, of each answer."""

    endpoint: str
    name: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"
    ca_file: str = ""
    timeout: float = TIMEOUT

    def __str__(self) -> str:
        return f"the bucket {self.name} at {self.endpoint}"

    def put(self, key: str, body: bytes) -> None:
        """Keep an object. Raises S3Problem."""
        with self._asked("PUT", key, hashlib.sha256(body).hexdigest(), len(body), body) as answer:
            self._good(answer, f"{key} could not be put")

    def put_file(self, key: str, path: Path, digest: str) -> None:
        """Keep a file of this SHA-256; a server takes no other. Raises S3Problem, OSError."""
        with path.open("rb") as stream, self._asked("PUT", key, digest, path.stat().st_size, stream) as answer:
            self._good(answer, f"{key} could not be put")

    def get(self, key: str) -> bytes | None:
        """An object's content; None where there is none. Raises S3Problem."""
        with self._asked("GET", key) as answer:
            if answer.status == 404 and b"NoSuchBucket" not in (body := answer.read(SAID)):
                return None
            if answer.status == 404:
                raise S3Problem(f"{self}: {said(404, body)}")
            self._good(answer, f"{key} could not be got")
            return answer.read()

    def get_file(self, key: str, target: Path) -> bool:
        """Write an object to a file; false where there is none. Raises S3Problem, OSError."""
        with self._asked("GET", key) as answer:
            if answer.status == 404:
                return False
            self._good(answer, f"{key} could not be got")
            with target.open("wb") as out:
                for block in iter(lambda: answer.read(BLOCK), b""):
                    out.write(block)
            left = answer.length
        if left:
            raise S3Problem(f"{self}: {key} came in part, {left} bytes are missing")
        return True

    def _good(self, answer: http.client.HTTPResponse, what: str) -> None:
        if answer.status not in (200, 204):
            raise S3Problem(f"{self}: {what}: {said(answer.status, answer.read(SAID))}")

    @contextmanager
    def _asked(
        self, method: str, key: str, digest: str = hashlib.sha256(b"").hexdigest(), size: int = 0, body: bytes | IO[bytes] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        url = f"{self.endpoint.rstrip('/')}/{quote(self.name)}/{quote(key)}"
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise S3Problem(f"{self.endpoint} is no http or https address")
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        connection: http.client.HTTPConnection | None = None
        try:
            headers = sign(method, url, digest, self.access_key, self.secret_key, self.region, stamp)
            if parts.scheme == "https":
                tls = ssl.create_default_context(cafile=self.ca_file or None)
                connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=self.timeout, context=tls)
            else:
                connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=self.timeout)
            length = {"Content-Length": str(size)} if method == "PUT" else {}
            connection.request(method, parts.path, body=body, headers={"Host": host_header(url), **length, **headers})
            yield connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise S3Problem(f"{self}: {error or type(error).__name__}") from error
        finally:
            if connection is not None:
                connection.close()
