# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Traces found by Jaeger's API, and the services in them; the server is a stand-in that answers in its shapes."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core.probe_spec import ProbeError
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.spec import normalise

from .conftest import WebServer

Observe = Callable[..., Attempt]
FIND = "/api/traces"


def trace(*services: str) -> dict[str, Any]:
    """As the API has one: spans name their process, and processes their service."""
    spans = [{"traceID": "4bf9", "spanID": str(number), "operationName": "GET /orders", "startTime": 1796040000000000, "duration": 1200,
              "references": [], "tags": [], "logs": [], "processID": f"p{number}"} for number, _name in enumerate(services)]
    processes = {f"p{number}": {"serviceName": name, "tags": []} for number, name in enumerate(services)}
    return {"traceID": "4bf9", "spans": spans, "processes": processes, "warnings": None}


def answer(*traces: dict[str, Any]) -> tuple[int, Any]:
    return (200, {"data": list(traces), "total": 0, "limit": 0, "offset": 0, "errors": None})


def asked(web: WebServer) -> dict[str, str]:
    path = next(path for _method, path, _headers, _body in reversed(web.seen) if path.startswith(FIND))
    return {key: values[0] for key, values in parse_qs(urlsplit(path).query).items()}


def test_a_trace_has_spans_of_each_service(web: WebServer, observe: Observe) -> None:
    web.routes[FIND] = answer(trace("api"), trace("api", "worker", "postgres"))
    seen = observe(traces=web.url, service="api", operation="GET /orders", tags={"http.status_code": 200, "error": False},
                   services=["api", "worker"], seconds=30)
    assert seen.ok
    assert seen.got == "1 traces of api 'GET /orders' http.status_code=200 error=False through api, postgres, worker"
    query = asked(web)
    assert (query["service"], query["operation"]) == ("api", "GET /orders")
    assert json.loads(query["tags"]) == {"http.status_code": "200", "error": "false"}
    start, end = int(query["start"]) / 1e6, int(query["end"]) / 1e6
    assert 34 <= end - start <= 36
    assert abs(end - 5 - time.time()) < 5


def test_which_service_is_missing_is_named(web: WebServer, observe: Observe) -> None:
    web.routes[FIND] = answer(trace("api"), trace("api", "postgres"))
    seen = observe(traces=web.url, service="api", services=["api", "postgres", "worker"])
    assert (seen.ok, seen.error) == (False, False)
    assert seen.got == "traces of api = 0"
    assert seen.detail == "2 without all of them; the fullest has spans of api, postgres, and lacks worker"
    assert "operation" not in asked(web)
    assert "tags" not in asked(web)


def test_operations_of_the_same_trace(web: WebServer, observe: Observe) -> None:
    web.routes[FIND] = answer(trace("api"))
    assert observe(traces=web.url, service="api", operations=["GET /orders"]).ok
    seen = observe(traces=web.url, service="api", services=["api"], operations=["GET /orders", "SELECT shop"])
    assert seen.detail == "1 without all of them; the fullest has spans of api, and lacks SELECT shop"
    away = observe(traces="http://127.0.0.1:9", service="api", services=["api"], operations=["GET /orders", "SELECT shop"])
    assert away.expected == "traces of api in the last 60 s with spans of api, GET /orders, SELECT shop >= 1"


@pytest.mark.parametrize(("data", "known"), [(["worker", "beat"], "beat, worker"), (None, "no service")])
def test_where_nothing_is_found_the_services_are_named(web: WebServer, observe: Observe, data: Any, known: str) -> None:
    web.routes[FIND] = answer()
    web.routes["/api/services"] = (200, {"data": data, "total": 0, "limit": 0, "offset": 0, "errors": None})
    seen = observe(traces=web.url, service="api")
    assert (seen.got, seen.detail) == ("traces of api = 0", f"the store knows {known}")


def test_how_many(web: WebServer, observe: Observe) -> None:
    web.routes[FIND] = answer(trace("api"), trace("api"))
    assert observe(traces=web.url, service="api", count=2).ok
    seen = observe(traces=web.url, service="api", count=3)
    assert (seen.got, seen.ok, seen.detail) == ("traces of api = 2", False, "")
    assert observe(traces=web.url, service="api", count={"lt": 3}).ok


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((200, "<!DOCTYPE html><html>"), "status 200, no JSON: <!DOCTYPE html><html>"),
        ((200, ["x"]), 'no list in data: ["x"]'),
        ((200, {"data": {"a": 1}}), 'no list in data: {"data": {"a": 1}}'),
        ((200, {"status": "ok"}), 'no list in data: {"status": "ok"}'),
        ((200, {"data": None, "errors": [{"code": 400, "msg": "no"}]}), "no list in data: "),
        ((200, {"data": [{"spans": []}]}), 'no trace: {"spans": []}'),
        ((200, {"data": [{"spans": [{"processID": "p9"}], "processes": {}}]}), "no trace: "),
        ((401, "unauthorized"), "status 401: unauthorized"),
        ((400, {"errors": [{"msg": "malformed 'tags' parameter"}]}), 'status 400: {"errors"'),
    ],
)
def test_what_is_no_answer_is_shown(web: WebServer, observe: Observe, given: Any, said: str) -> None:
    web.routes[FIND] = given
    seen = observe(traces=web.url, service="api")
    assert not seen.ok
    assert seen.got.startswith(said)


def test_an_answer_without_an_end(web: WebServer, observe: Observe) -> None:
    web.routes[FIND] = (200, b"[" + b" " * (5 * 1024 * 1024))
    seen = observe(traces=web.url, service="api")
    assert seen.got.startswith("more than ")
    assert "name operation or tags" in seen.expected


def test_a_store_that_is_away(observe: Observe) -> None:
    assert "refused" in observe(traces="http://127.0.0.1:9", service="api").got


def test_the_password_comes_from_a_file(web: WebServer, observe: Observe, tmp_path: Path) -> None:
    web.routes[FIND] = answer(trace("api"))
    (tmp_path / "password").write_text("s3cret\n")
    assert observe(traces=web.url, service="api", username="reader", password_file=str(tmp_path / "password")).ok
    assert web.seen[-1][2]["Authorization"] == "Basic " + base64.b64encode(b"reader:s3cret").decode()


@pytest.mark.parametrize(
    ("probe", "said"),
    [
        ({}, "service"),
        ({"service": "a", "username": "x"}, "username and password_file belong together"),
        ({"service": "a", "tags": {"a": ["b"]}}, "tags: the value of 'a' is no text"),
        ({"service": "a", "serivces": ["b"]}, r"did you mean services\?"),
        ({"service": "a", "count": 21}, "count: at most 20 are looked at"),
    ],
)
def test_what_makes_no_sense_is_refused(probe: dict[str, Any], said: str) -> None:
    with pytest.raises(ProbeError, match=said):
        normalise({"name": "it", "traces": "http://x", **probe}, None)
