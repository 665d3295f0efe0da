# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traces in a real Jaeger: found by the probe, kept over a restart, bounded, behind a password; and the trace of a run itself."""

from __future__ import annotations

import json
import stat
import subprocess
import urllib.request
from pathlib import Path

from ..conftest import Cluster
from .conftest import PASSWORD, Store, instrumented, played

REQUEST = (
    ("edge", "GET", {}),
    ("shop-api", "GET /orders/{id}", {"http.response.status_code": 200, "order": "4711"}),
    ("postgresql", "SELECT shop", {"db.system": "postgresql"}),
    ("shop-worker", "run/app.tasks.send_mail", {"celery.state": "SUCCESS"}),
)
SERVICES = ["edge", "shop-api", "postgresql", "shop-worker"]


def test_a_request_is_found_through_all_that_it_went_through(store: Store) -> None:
    store.send(*REQUEST)
    seen = store.found(service="shop-api", services=SERVICES)
    assert seen.ok, seen
    assert seen.got == "1 traces of shop-api through edge, postgresql, shop-api, shop-worker"
    by_all = {"operation": "GET /orders/{id}", "tags": {"order": "4711", "http.response.status_code": 200}, "services": SERVICES}
    assert store.probe(service="shop-api", **by_all).ok
    assert not store.probe(service="shop-api", operation="GET /orders").ok
    assert not store.probe(service="shop-api", tags={"order": "4712"}).ok


def test_an_application_sends_by_packages_of_opentelemetry_alone(store: Store, cluster: Cluster, tmp_path: Path) -> None:
    """Backend, database and Celery in one trace; the edge has none, since Debian's HAProxy is built without it."""
    with instrumented(store, cluster, tmp_path) as url:
        with urllib.request.urlopen(f"{url}/orders/1", timeout=10) as answer:
            assert json.load(answer) == {"order": 2}
        wanted = {"services": ["shop-api", "shop-worker"], "operations": ["SELECT", "apply_async/shop.mail", "run/shop.mail"]}
        seen = store.found(within=20, service="shop-api", operation="GET /orders/{order}", seconds=120, **wanted)
        assert seen.ok, f"{seen}\n{(tmp_path / 'shop.log').read_text()}"
        assert store.probe(service="shop-worker", tags={"db.system": "postgresql"}).ok
        lacking = store.probe(service="shop-api", services=["shop-mailer"])
    assert "and lacks shop-mailer" in lacking.detail


def test_a_service_that_is_missing_is_named(store: Store) -> None:
    store.send(("lonely-api", "GET /", {}), ("postgresql", "SELECT", {}))
    assert store.found(service="lonely-api").ok
    seen = store.probe(service="lonely-api", services=["postgresql", "shop-worker"])
    assert not seen.ok
    assert seen.detail == "1 without all of them; the fullest has spans of lonely-api, postgresql, and lacks shop-worker"


def test_who_never_sent_is_told_from_whom_the_store_knows(store: Store) -> None:
    store.send(("known-api", "GET /", {}))
    assert store.found(service="known-api").ok
    seen = store.probe(service="unknown-api")
    assert not seen.ok
    assert seen.got == "traces of unknown-api = 0"
    assert "known-api" in seen.detail.removeprefix("the store knows ").split(", ")


def test_what_is_too_old_does_not_count(store: Store) -> None:
    store.send(("old-api", "GET /", {}), ago=300)
    assert store.found(service="old-api", seconds=600).ok
    assert not store.probe(service="old-api", seconds=60).ok


def test_a_run_leaves_its_trace_there(store: Store, tmp_path: Path) -> None:
    done = played(tmp_path, {"url": store.otlp})
    assert f"spans, is at {store.otlp}." in done.stdout, done.stdout + done.stderr
    assert store.found(service="aistack", operation="book.yml", tags={"aistack.stack": "shop", "error": True}).ok
    assert store.probe(service="aistack", operation="Broken", tags={"host": "n1"}).ok


def test_what_was_taken_is_there_after_a_restart(store: Store) -> None:
    store.send(("kept-api", "GET /", {}))
    assert store.found(service="kept-api", seconds=600).ok
    store.stop()
    store.start()
    assert store.found(service="kept-api", seconds=600).ok


def test_over_the_bound_it_begins_again(store: Store) -> None:
    store.send(("bound-api", "GET /", {}))
    assert store.found(service="bound-api").ok
    over = store.lines_of("ExecStart", "jaeger-bound.service")[0].replace("exec systemctl try-restart jaeger.service", "echo over")
    assert subprocess.run(["/bin/sh", "-c", over], capture_output=True, text=True, check=True, timeout=10).stdout == "", "far below it"
    store.stop()
    store.variables["jaeger_bytes"] = "1KB"
    assert store.configure().returncode == 0
    over = store.lines_of("ExecStart", "jaeger-bound.service")[0].replace("exec systemctl try-restart jaeger.service", "echo over")
    assert subprocess.run(["/bin/sh", "-c", over], capture_output=True, text=True, check=True, timeout=10).stdout == "over\n"
    store.start()
    assert not store.probe(service="bound-api").ok, "all of it is gone"
    store.send(("bound-api", "GET /", {}))
    assert store.found(service="bound-api").ok


def test_the_api_wants_its_password_and_no_file_tells_it(secured: Store) -> None:
    secured.send(*REQUEST)
    assert [secured.asked("/api/services", password) for password in ("", "wrong", PASSWORD)] == [401, 401, 200]
    assert secured.probe(service="shop-api").got.startswith("status 401")
    login = {"username": "reader", "password_file": str(secured.password)}
    assert secured.found(service="shop-api", services=SERVICES, **login).ok
    modes = {name: stat.S_IMODE((secured.folder / name).stat().st_mode) for name in ("htpasswd", "credentials/jaeger")}
    assert modes == {"htpasswd": 0o640, "credentials/jaeger": 0o600}
    for name in ("jaeger.yml", "jaeger.service", "log"):
        assert PASSWORD not in (secured.folder / name).read_text(encoding="utf-8"), name


def test_in_memory_the_newest_stay(secured: Store) -> None:
    login = {"username": "reader", "password_file": str(secured.password)}
    for number in range(25):
        secured.send((f"api-{number}", "GET /", {}))
        assert secured.found(service=f"api-{number}", **login).ok
    assert not secured.probe(service="api-0", **login).ok


def test_a_wrong_configuration_does_not_replace_the_one_before(store: Store) -> None:
    before = (store.folder / "jaeger.yml").read_text(encoding="utf-8")
    store.variables["jaeger_storage"], store.variables["jaeger_traces"] = "memory", "many"
    done = store.configure()
    store.variables.update(jaeger_storage="badger", jaeger_traces=20000)
    assert done.returncode != 0
    assert "max_traces" in done.stdout
    assert (store.folder / "jaeger.yml").read_text(encoding="utf-8") == before
    assert json.loads((store.folder / "variables.json").read_text(encoding="utf-8"))
