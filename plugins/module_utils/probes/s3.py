# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An S3 server keeps what it is given: put, get, compare, delete; requests signed here (Signature Version 4)."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import socket
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import CannotJudge, Context, NotAsExpected, excerpt
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.http import Answer, host_header, request
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe

_PREFIX = ".aistack-probe"


def sign(
    method: str, url: str, body: bytes, access_key: str, secret_key: str, region: str, stamp: str
) -> dict[str, str]:
    """Headers that sign a request with AWS Signature Version 4.

    Args:
        url: with a path that is percent-encoded already.
        stamp: time as ``YYYYMMDDTHHMMSSZ``.
    """
    parts = urlsplit(url)
    digest = hashlib.sha256(body).hexdigest()
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


class S3(Probe):
    """Write a small object, read it back, compare, delete it."""

    type = "s3"
    target = Option("str", "address of the server, or endpoint, or env_file")
    options = {
        "endpoint": Option("str", "address of the server, instead of the short form"),
        "bucket": Option("str", "name of the bucket, or bucket_env"),
        "access_key_id": Option("str", "name of the key, where it is no secret"),
        "access_key_file": Option("str", "file on the node with the access key"),
        "secret_key_file": Option("str", "file on the node with the secret key"),
        "env_file": Option("str", "environment file on the node, for what is not given otherwise"),
        "endpoint_env": Option("str", "name of the address in there", default="MINIO_ENDPOINT"),
        "bucket_env": Option("str", "name of the bucket in there", default="MINIO_BUCKET"),
        "access_key_env": Option("str", "name of the access key in there", default="MINIO_ACCESS_KEY"),
        "secret_key_env": Option("str", "name of the secret key in there", default="MINIO_SECRET_KEY"),
        "region": Option("str", "region of the bucket", default="us-east-1"),
        "round_trip": Option("bool", "write, read and remove an object; false only asks whether the key reaches the bucket", default=True),
        "size": Option("int", "bytes of the object", default=1024),
        "ca_file": Option("str", "CA certificates on the node, instead of the system's"),
    }
    hint = "does the bucket exist, does the key's policy allow put, get and delete in it, and do the clocks agree?"

    @staticmethod
    def check(spec: Mapping[str, object]) -> list[str]:
        if spec.get("env_file"):
            return []
        problems = [] if spec.get("target") or spec.get("endpoint") else ["'s3' needs the server's address, or env_file"]
        if not spec.get("access_key_id") and not spec.get("access_key_file"):
            problems.append("'s3' needs access_key_id or access_key_file, or env_file")
        return problems + [f"'s3' needs {key}, or env_file" for key in ("bucket", "secret_key_file") if not spec.get(key)]

    @property
    def changes(self) -> bool:
        return self.spec.get("round_trip") is not False

    def expectation(self) -> str:
        return "put, get, compare, delete" if self.changes else "the bucket is there"

    def observe(self, context: Context) -> Attempt:
        store = _Store(self.spec, context)
        if not self.changes:
            store.require("HEAD", "", (200,), "the bucket")
            return Attempt(True, f"the bucket {store.bucket} is there", self.expectation())
        body = os.urandom(int(self.spec.get("size") or 1024))
        host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())
        key = f"{_PREFIX}/{host}-{os.urandom(8).hex()}"
        began = time.monotonic()
        store.require("PUT", key, (200,), "put", body)
        try:
            came = store.require("GET", key, (200,), "get").body
        finally:
            gone = store.ask("DELETE", key)
        if came != body:
            raise NotAsExpected(f"{len(came)} bytes came back, and not those that were put", "the same bytes")
        if gone.status not in (200, 204):
            raise NotAsExpected(f"delete: {_said(gone)}", "delete: status 204")
        took = (time.monotonic() - began) * 1000
        return Attempt(True, f"{len(body)} bytes there and back in bucket {store.bucket}", self.expectation(), f"{took:.0f} ms")


class _Store:
    """A bucket, with the keys to it."""

    def __init__(self, spec: Mapping[str, Any], context: Context) -> None:
        self._context = context
        self._ca_file = spec.get("ca_file")
        environment = context.secrets.environment(spec["env_file"]) if spec.get("env_file") else {}

        def value(key: str, default_name: str, direct: Any) -> str:
            if direct:
                return str(direct)
            name = str(spec.get(f"{key}_env") or default_name)
            if not environment.get(name):
                raise CannotJudge(f"{spec.get('env_file')} has no {name}")
            return environment[name]

        def secret(key: str, default_name: str) -> str:
            path = spec.get(f"{key}_file")
            if not path and spec.get(f"{key}_id"):
                return str(spec[f"{key}_id"])
            found = context.secrets.read(path) if path else value(key, default_name, None)
            context.secrets.add(found, 4)
            return found

        endpoint = value("endpoint", "MINIO_ENDPOINT", spec.get("target") or spec.get("endpoint"))
        self._endpoint = (endpoint if "://" in endpoint else f"http://{endpoint}").rstrip("/")
        self.bucket = value("bucket", "MINIO_BUCKET", spec.get("bucket"))
        self._access = secret("access_key", "MINIO_ACCESS_KEY")
        self._secret = secret("secret_key", "MINIO_SECRET_KEY")
        self._region = str(spec.get("region") or "us-east-1")

    def ask(self, method: str, key: str, body: bytes = b"") -> Answer:
        """One signed request."""
        url = f"{self._endpoint}/{quote(self.bucket)}" + (f"/{quote(key)}" if key else "")
        try:
            host_header(url)
        except ValueError as error:
            raise CannotJudge(f"'{self._endpoint}': {error}") from error
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = sign(method, url, body, self._access, self._secret, self._region, stamp)
        return request(url, self._context, method, body or None, headers, self._ca_file)

    def require(self, method: str, key: str, good: tuple[int, ...], what: str, body: bytes = b"") -> Answer:
        """One signed request that has to be answered with one of these statuses."""
        answer = self.ask(method, key, body)
        if answer.status not in good:
            raise NotAsExpected(f"{what}: {_said(answer)}", f"{what}: status {good[0]}", f"bucket {self.bucket} at {self._endpoint}")
        return answer


def _said(answer: Answer) -> str:
    code = re.search(r"<Code>([^<]+)</Code>", answer.text)
    message = re.search(r"<Message>([^<]+)</Message>", answer.text)
    said = f"{code.group(1)}: {message.group(1)}" if code and message else excerpt(answer.text)
    return f"status {answer.status}" + (f" {said}" if answer.body else "")
