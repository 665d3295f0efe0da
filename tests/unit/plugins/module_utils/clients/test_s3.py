# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a client does with a server's answers. Against a real MinIO: tests/integration/store."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.s3 import Bucket, S3Problem

DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>"
NO_BUCKET = b"<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>"
ANSWERS = {"denied": (403, DENIED), "no-bucket": (404, NO_BUCKET), "gone": (404, b"<Error><Code>NoSuchKey</Code></Error>")}


class Answering(BaseHTTPRequestHandler):
    """Answers by the object's name; keeps what is put."""

    kept: dict[str, bytes] = {}

    def _reply(self, status: int, body: bytes, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        name = self.path.rpartition("/")[2]
        whole = sha256(body).hexdigest() == self.headers["x-amz-content-sha256"]
        self.kept[self.path] = body
        self._reply(*(ANSWERS.get(name) or ((200, b"") if whole else (400, b"bad"))))

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        if name == "part":
            self._reply(200, b"12345", 10)
        else:
            self._reply(*(ANSWERS.get(name) or (200, self.kept.get(self.path, b""))))

    def log_message(self, *_said: object) -> None: ...


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Bucket(f"http://127.0.0.1:{server.server_address[1]}", "kept", "key", "hush", timeout=5)
    server.shutdown()
    server.server_close()


def test_there_and_back(bucket: Bucket, tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    packed.write_bytes(b"a tree" * 1000)
    bucket.put_file("shop/a b.tar.gz", packed, sha256(packed.read_bytes()).hexdigest())
    assert bucket.get_file("shop/a b.tar.gz", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == packed.read_bytes()
    bucket.put("shop/x", b"x")
    assert bucket.get("shop/x") == b"x"
    assert bucket.get("gone") is None
    assert not bucket.get_file("gone", tmp_path / "none")


def test_refusals_say_which_bucket_and_why(bucket: Bucket, tmp_path: Path) -> None:
    for ask in (lambda: bucket.get("denied"), lambda: bucket.put("denied", b""), lambda: bucket.get_file("denied", tmp_path / "x")):
        with pytest.raises(S3Problem, match=r"the bucket kept at http://127.* status 403 AccessDenied: Access Denied"):
            ask()
    with pytest.raises(S3Problem, match="status 404 NoSuchBucket: The specified bucket does not exist"):
        bucket.get("no-bucket")
    with pytest.raises(S3Problem, match="part came in part, 5 bytes are missing"):
        bucket.get_file("part", tmp_path / "part")
    assert "hush" not in repr(bucket)


@pytest.mark.parametrize(
    ("endpoint", "words"), [("http://127.0.0.1:1", "refused"), ("ftp://x", "no http"), ("http://x:99999", r"[Pp]ort")]
)
def test_what_cannot_be_reached(endpoint: str, words: str) -> None:
    with pytest.raises(S3Problem, match=words):
        Bucket(endpoint, "kept", "key", "hush", timeout=2).get("x")
