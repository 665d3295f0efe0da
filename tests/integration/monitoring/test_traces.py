# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's files are read by a stand-in of Jaeger (jaeger_standin.py) that comes as an archive; a run leaves its trace there.

The real one is in tests/integration/traces (`make traces`).
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..traces.conftest import PASSWORD, Store, played

STANDIN = Path(__file__).with_name("jaeger_standin.py")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The stand-in as the project packs the real one, and where it is fetched from."""
    folder = tmp_path_factory.mktemp("archive")
    text = f"#!{sys.executable}\n{STANDIN.read_text(encoding='utf-8')}".encode()
    with tarfile.open(folder / "jaeger.tar.gz", "w:gz") as packed:
        entry = tarfile.TarInfo("jaeger-0.0.0-linux-amd64/jaeger")
        entry.size, entry.mode = len(text), 0o755
        packed.addfile(entry, io.BytesIO(text))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sha256 = hashlib.sha256((folder / "jaeger.tar.gz").read_bytes()).hexdigest()
    yield {"url": f"http://127.0.0.1:{server.server_port}/jaeger.tar.gz", "sha256": sha256}
    server.shutdown()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, archive: dict[str, str]) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("jaeger")
    (folder / "opt/bin").mkdir(parents=True)
    made = Store(folder, str(folder / "opt/bin/jaeger"), jaeger_home=str(folder / "opt"), jaeger_archive=archive, jaeger_password=PASSWORD)
    done = made.configure("method_archive", "configure")
    assert done.returncode == 0, done.stdout + done.stderr
    made.start()
    yield made
    made.stop()


@pytest.fixture
def login(store: Store) -> dict[str, Any]:
    return {"username": "reader", "password_file": str(store.password)}


def test_a_run_leaves_its_trace_and_a_gate_finds_it(store: Store, login: dict[str, Any], tmp_path: Path) -> None:
    done = played(tmp_path, {"url": "{{ 'http' }}" + store.otlp.removeprefix("http")})
    assert done.returncode == 2, done.stderr
    assert f"spans, is at {store.otlp}." in done.stdout
    seen = store.probe(service="aistack", operation="book.yml", tags={"aistack.stack": "shop", "error": True},
                       services=["aistack"], operations=["Asked", "Broken"], **login)
    assert seen.ok, seen
    assert not store.probe(service="aistack", operation="Quick", **login).ok, "it is none of ours, and was quick"
    assert not store.probe(service="aistack", operations=["Probed"], **login).ok


def test_a_request_is_found_by_who_knows_the_password(store: Store, login: dict[str, Any]) -> None:
    store.send(("api", "GET /orders", {"order": 7}), ("worker", "run/mail", {}))
    assert store.probe(service="api", tags={"order": 7}, services=["worker"], **login).ok
    assert store.probe(service="api", services=["beat"], **login).detail.endswith("has spans of api, worker, and lacks beat")
    assert store.probe(service="beat", **login).detail.startswith("the store knows ")
    assert store.probe(service="api").got.startswith("status 401")


def test_a_store_that_is_away_fails_no_run(store: Store, tmp_path: Path) -> None:
    store.stop()
    away = played(tmp_path, {"url": store.otlp})
    told = " ".join((away.stdout + away.stderr).split())
    assert "The trace of this run was not kept: connection refused" in told
    assert (told.count("WARNING"), "Failed on n1" in told) == (1, True), "the run ends as it would without"
