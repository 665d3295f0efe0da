# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines counted by the APIs of VictoriaLogs and of Loki: who says nothing is named, and what is no answer of theirs as well."""

from __future__ import annotations

import base64
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
QUERY = "/select/logsql/query"
# as VictoriaLogs 1.52.1 answered
ROWS = '{"component":"api","lines":"12"}\n{"component":"worker","lines":"3"}\n'
# as Loki's reference has it
VECTOR = {"status": "success", "data": {"resultType": "vector", "result": [
    {"metric": {"component": "api"}, "value": [1796040000.1, "12"]}, {"metric": {"component": "worker"}, "value": [1796040000.1, "3"]}]}}


def asked(web: WebServer) -> str:
    return parse_qs(urlsplit(web.seen[-1][1]).query)["query"][0]


def test_each_component_has_said_something(web: WebServer, observe: Observe) -> None:
    web.routes[QUERY] = (200, ROWS)
    seen = observe(logs=web.url, components=["api", "worker"])
    assert seen.ok
    assert seen.got == "api 12, worker 3"
    assert asked(web) == '_time:60s component:in("api","worker") | stats by (component) count() lines'


def test_who_says_nothing_is_named(web: WebServer, observe: Observe) -> None:
    web.routes[QUERY] = (200, ROWS)
    seen = observe(logs=web.url, components=["api", "worker", "beat"], lines=10)
    assert (seen.ok, seen.error) == (False, False)
    assert seen.got == "lines of worker = 3, lines of beat = 0"
    assert seen.detail == "in the last 60 s: api 12, worker 3, beat 0"


def test_no_line_at_all(web: WebServer, observe: Observe) -> None:
    web.routes[QUERY] = (200, "")
    seen = observe(logs=web.url, nodes=["one"], seconds=5)
    assert seen.got == "lines of one = 0"
    assert "lines of one >= 1" in seen.expected


def test_units_and_a_stack(web: WebServer, observe: Observe) -> None:
    web.routes[QUERY] = (200, '{"unit":"aistack-api@blue.service","lines":"2"}')
    assert observe(logs=web.url, units=["aistack-api@blue.service"], stack="shop", seconds=300, lines={"le": 2}).ok
    assert asked(web) == '_time:300s stack:="shop" unit:in("aistack-api@blue.service") | stats by (unit) count() lines'


def test_loki(web: WebServer, observe: Observe) -> None:
    web.routes["/loki/api/v1/query"] = (200, VECTOR)
    seen = observe(logs=web.url, store="loki", components=["api", "beat"], stack="shop")
    assert seen.got == "lines of beat = 0"
    assert asked(web) == 'sum by (component) (count_over_time({stack="shop",component=~"api|beat"} [60s]))'
    assert observe(logs=web.url, store="loki", components=["api", "worker"]).ok
    assert asked(web) == 'sum by (component) (count_over_time({stack=~".+",component=~"api|worker"} [60s]))'
    observe(logs=web.url, store="loki", units=["a.service"])
    assert asked(web) == 'sum by (unit) (count_over_time({stack=~".+"} | unit=~"a\\\\.service" [60s]))'


@pytest.mark.parametrize(
    ("store", "answer", "said"),
    [
        ("victorialogs", (200, "<!DOCTYPE html><html>"), "status 200, no lines of JSON: <!DOCTYPE html><html>"),
        ("victorialogs", (200, "[1]"), "status 200, no objects: [1]"),
        ("victorialogs", (401, "unauthorized"),
         "status 401: unauthorized; it wants a login: give username and password_file, or secret_file"),
        ("victorialogs", (400, "cannot parse query"), "status 400: cannot parse query"),
        ("loki", (200, "<html>"), "status 200, no JSON: <html>"),
        ("loki", (200, {"status": "error"}), 'no data.result: {"status": "error"}'),
        ("loki", (429, "too many outstanding requests"), "status 429: too many outstanding requests"),
    ],
)
def test_what_is_no_answer_is_shown(web: WebServer, observe: Observe, store: str, answer: Any, said: str) -> None:
    web.routes[QUERY] = web.routes["/loki/api/v1/query"] = answer
    seen = observe(logs=web.url, store=store, components=["api"])
    assert not seen.ok
    assert seen.got == said


def test_a_store_that_is_away(observe: Observe) -> None:
    assert "refused" in observe(logs="http://127.0.0.1:9", components=["api"]).got


def test_the_password_comes_from_a_file(web: WebServer, observe: Observe, tmp_path: Path) -> None:
    web.routes[QUERY] = (200, ROWS)
    (tmp_path / "password").write_text("s3cret\n")
    assert observe(logs=web.url, components=["api"], username="reader", password_file=str(tmp_path / "password")).ok
    assert web.seen[-1][2]["Authorization"] == "Basic " + base64.b64encode(b"reader:s3cret").decode()


@pytest.mark.parametrize(
    ("probe", "said"),
    [
        ({}, "give one of components, units, nodes"),
        ({"components": ["a"], "nodes": ["b"]}, "give one of components, units, nodes"),
        ({"components": ['a") or (']}, "is no name"),
        ({"components": ["a"], "stack": '"'}, "is no name"),
        ({"components": ["a"], "username": "x"}, "username and password_file belong together"),
        ({"components": ["a"], "store": "elastic"}, "elastic"),
    ],
)
def test_what_makes_no_sense_is_refused(probe: dict[str, Any], said: str) -> None:
    with pytest.raises(ProbeError, match=said):
        normalise({"name": "it", "logs": "http://x", **probe}, None)
