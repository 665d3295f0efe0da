# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A MinIO of its own on loopback, with the keys that role minio makes, and a pair of keys of cosign."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.s3 import Bucket

ROOT = Path(__file__).resolve().parents[3]
PROVISION = ROOT / "roles/minio/files/provision.py"
PLACE = Path(os.environ.get("AISTACK_STORE_TOOLS") or ROOT / "build/store-tools")
"""Where `make store` puts the programs that are built for these tests."""


def needed(program: str) -> str:
    """Path of a program, which these tests cannot do without."""
    found = shutil.which(program, path=f"{PLACE}:{os.environ['PATH']}")
    if not found:
        pytest.fail(f"{program} is neither in {PLACE} nor on this machine: make store")
    return found


@dataclass
class Server:
    """A running MinIO with two buckets, each with a key of its own."""

    folder: Path
    port: int
    child: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "MINIO_ROOT_USER": "root-user", "MINIO_ROOT_PASSWORD": "root-password",
               "MINIO_BROWSER": "off"}
        self.child = subprocess.Popen(
            [needed("minio"), "server", "--quiet", "--address", f"127.0.0.1:{self.port}", str(self.folder / "data")],
            env=env, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for _attempt in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.1)
        pytest.fail("MinIO did not start")

    def stop(self) -> None:
        if self.child is not None:
            self.child.terminate()
            self.child.wait(20)
            self.child = None

    def provide(self) -> None:
        keys = (("builder", "artefacts"), ("stranger", "others"))
        wanted: dict[str, Any] = {
            "mc": needed("mc"), "endpoint": f"127.0.0.1:{self.port}", "certificate": "", "check": False, "change": False,
            "root": {"key": "root-user", "secret": "root-password"}, "buckets": [{"name": bucket} for _key, bucket in keys],
            "users": [{"key": key, "secret": f"{key}-secret", "buckets": [bucket]} for key, bucket in keys],
        }
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        done = subprocess.run(
            [sys.executable, str(PROVISION)], input=json.dumps(wanted), text=True, capture_output=True, env=env, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def bucket(self) -> Bucket:
        return Bucket(self.endpoint, "artefacts", "builder", "builder-secret")

    def said(self, key: str = "builder") -> dict[str, Any]:
        """What aistack_artefacts says of it."""
        secret = self.folder / f"{key}.secret"
        secret.write_text(f"{key}-secret\n")
        return {"store": "s3://artefacts/stacks", "endpoint": self.endpoint, "access_key_id": key, "secret_key_file": str(secret)}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    here = Server(tmp_path_factory.mktemp("minio"), port)
    here.start()
    try:
        here.provide()
        yield here
    finally:
        here.stop()


@dataclass
class Keys:
    """A pair of keys of cosign, without a password."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir()
        (self.folder / "password").write_text("pass word\n")
        env = {**os.environ, "COSIGN_PASSWORD": "pass word"}
        subprocess.run([needed("cosign"), "generate-key-pair"], cwd=self.folder, env=env, check=True, capture_output=True)

    def said(self, **more: Any) -> dict[str, Any]:
        return {
            "key": str(self.folder / "cosign.key"), "public_key": str(self.folder / "cosign.pub"), "program": needed("cosign"),
            "password_file": str(self.folder / "password"), **more,
        }
