# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run as spans: what is in it, what is left out, and what a store answers."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.plugin_utils import run_trace
from ansible_collections.phasegate.aistack.plugins.plugin_utils.run_trace import RunTrace, Span, address, send
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.probes.conftest import WebServer

SECOND = 1_000_000_000
GATE = "phasegate.aistack.gate"


@pytest.fixture
def web() -> Any:
    server = WebServer()
    yield server
    server.close()


def ran(trace: RunTrace, name: str, start: float, end: float, action: str = GATE, failed: bool = False, **result: Any) -> None:
    """A task that a host ran, in seconds since the run began."""
    trace.began(name, "n1", int(start * SECOND))
    trace.ended(name, "n1", name, action, result, failed, int(end * SECOND))


def named(trace: RunTrace) -> dict[str, Span]:
    return {span.name: span for span in trace.spans}


def test_phases_hold_their_tasks_and_end_where_the_next_begins() -> None:
    trace = RunTrace("site.yml", 0)
    ran(trace, "Name the run", 0, 0.1, "phasegate.aistack.stack", ansible_facts={"aistack_run": "20261130T080000Z-abc"})
    ran(trace, "phase0: open", 1, 1.2, "phasegate.aistack.stack", heading="phase0  Prerequisites")
    ran(trace, "again", 1.3, 1.4, "phasegate.aistack.stack", heading="phase0  Prerequisites")
    ran(trace, "work", 2, 3, "phasegate.aistack.release", changed=True)
    ran(trace, "phase1: open", 4, 4.1, "phasegate.aistack.stack", heading="phase1  Foundation  (needs phase0)")
    trace.finish(False, 9 * SECOND)
    spans = named(trace)
    assert len(trace.spans) == 8, "the phase is opened twice, and is one"
    assert (spans["phase0"].start, spans["phase0"].end) == (SECOND, 4 * SECOND)
    assert (spans["phase1"].start, spans["phase1"].end) == (4 * SECOND, 9 * SECOND)
    assert spans["phase0"].parent == spans["phase1"].parent == trace.root.id
    assert spans["work"].parent == spans["phase0"].id
    assert spans["Name the run"].parent == trace.root.id
    assert spans["work"].attributes == {"host": "n1", "aistack.action": "phasegate.aistack.release", "aistack.changed": True}
    assert trace.root.attributes == {"aistack.run": "20261130T080000Z-abc"}
    assert (trace.root.end, trace.root.failed) == (9 * SECOND, False)


def test_of_others_only_what_took_long_or_failed() -> None:
    trace = RunTrace("deploy.yml", 0)
    ran(trace, "quick", 0, 0.9, "ansible.builtin.copy")
    ran(trace, "slow", 0, 1, "ansible.builtin.copy")
    ran(trace, "broken", 0, 0.1, "ansible.builtin.copy", failed=True)
    assert {"slow", "broken"} == set(named(trace)) - {"deploy.yml"}
    assert named(trace)["broken"].failed
    assert not named(trace)["slow"].failed


def test_hosts_of_a_task_are_spans_of_their_own() -> None:
    trace = RunTrace("deploy.yml", 0)
    for host, begin in (("a", 1), ("b", 2)):
        trace.began("task", host, begin * SECOND)
    for host, end in (("b", 3), ("a", 5)):
        trace.ended("task", host, "it", GATE, {}, False, end * SECOND)
    found = [(span.attributes["host"], span.start / SECOND, span.end / SECOND) for span in trace.spans[1:]]
    assert found == [("b", 2, 3), ("a", 1, 5)]


def test_probes_are_spans_of_their_gate_until_their_last_attempt() -> None:
    probes = [
        {"name": "health", "verdict": "pass", "type": "http", "component": "api", "attempts": 3, "got": "s3cret", "expected": "s3cret",
         "history": {"last": [{"at": 1.0, "latency_ms": 5}, {"at": 2.0, "latency_ms": 500}]}},
        {"name": "queue", "verdict": "fail", "type": "celery", "component": None, "attempts": 1, "history": {"last": []}},
        {"name": "late", "verdict": "inconclusive", "type": "http", "attempts": 1, "history": {"last": [{"at": 99, "latency_ms": 1}]}},
        {"name": "not asked", "verdict": "skipped"},
        "no probe",
    ]
    trace = RunTrace("phase.yml", 0)
    ran(trace, "gate", 10, 14, verdict="fail", probes=probes, msg="s3cret", failed=True, stdout="s3cret")
    spans = named(trace)
    assert set(spans) == {"phase.yml", "gate", "probe: health", "probe: queue", "probe: late"}
    assert {span.parent for name, span in spans.items() if name.startswith("probe")} == {spans["gate"].id}
    assert (spans["probe: health"].start, spans["probe: health"].end) == (10 * SECOND, 12.5 * SECOND)
    assert spans["probe: late"].end == 14 * SECOND, "it does not outlast its gate"
    assert [spans[f"probe: {name}"].failed for name in ("health", "queue", "late")] == [False, True, False]
    assert spans["probe: health"].attributes == {
        "host": "n1", "aistack.verdict": "pass", "aistack.attempts": 3, "aistack.component": "api", "aistack.probe": "http"}
    assert spans["gate"].attributes["aistack.verdict"] == "fail"
    assert "s3cret" not in json.dumps(trace.as_otlp()), "what came and what was expected stay on the node"


def test_there_is_an_end_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_trace, "MOST", 3)
    trace = RunTrace("site.yml", 0)
    for number in range(5):
        ran(trace, f"task {number}", 0, 1, probes=[{"name": "p", "verdict": "pass"}])
    trace.finish(True, SECOND)
    assert len(trace.spans) == 3
    assert trace.root.attributes == {"aistack.dropped_spans": 4}
    assert trace.root.failed


def test_as_otlp_has_it() -> None:
    trace = RunTrace("site.yml", 5)
    ran(trace, "gate", 1, 2, verdict="pass", failed=True, probes=[])
    trace.finish(False, 7)
    found = trace.as_otlp("1.0.0")["resourceSpans"][0]
    assert found["resource"]["attributes"] == [{"key": "service.name", "value": {"stringValue": "aistack"}}]
    scope = found["scopeSpans"][0]
    assert scope["scope"] == {"name": "phasegate.aistack", "version": "1.0.0"}
    root, task = scope["spans"]
    assert (root["name"], root["startTimeUnixNano"], root["endTimeUnixNano"], root["status"]) == ("site.yml", "5", "7", {})
    assert "parentSpanId" not in root
    assert (task["parentSpanId"], task["status"]) == (root["spanId"], {"code": 2})
    assert {len(root["traceId"]), len(task["traceId"])} == {32}
    assert {len(root["spanId"]), len(task["spanId"])} == {16}
    span = Span("x", 9, 3, attributes={"a": True, "b": 7, "c": "t"}).as_otlp("0" * 32)
    assert span["endTimeUnixNano"] == "9", "a clock that went back makes no span that ends before it began"
    assert [entry["value"] for entry in span["attributes"]] == [{"boolValue": True}, {"intValue": "7"}, {"stringValue": "t"}]


@pytest.mark.parametrize("given", ["http://s:4318", "http://s:4318/", "http://s:4318/v1/traces"])
def test_the_path_is_added_where_it_is_missing(given: str) -> None:
    assert address(given) == "http://s:4318/v1/traces"


def test_what_is_sent(web: WebServer) -> None:
    web.routes["/v1/traces"] = (200, {"partialSuccess": {}})
    assert send(web.url, {"resourceSpans": []}, 2) == ""
    method, path, headers, body = web.seen[-1]
    assert (method, path, headers["Content-Type"], json.loads(body)) == ("POST", "/v1/traces", "application/json", {"resourceSpans": []})
    web.routes["/v1/traces"] = (200, "")
    assert send(web.url, {}, 2) == ""


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((404, "not here"), "status 404: not here (http://"),
        ((503, "overloaded"), "status 503: overloaded (http://"),
        ((200, "<html>"), "status 200, no JSON: <html>"),
        ((200, ["x"]), "the answer is none of OTLP: "),
        ((200, {"partialSuccess": {"rejectedSpans": "7", "errorMessage": "too old"}}), "7 spans were refused: too old (http://"),
    ],
)
def test_why_it_was_not_kept(web: WebServer, answer: Any, said: str) -> None:
    web.routes["/v1/traces"] = answer
    assert send(web.url, {}, 2).startswith(said)


def test_a_store_that_is_away_costs_its_time_and_no_more() -> None:
    assert "refused" in send("http://127.0.0.1:9", {}, 2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        said = send(f"http://127.0.0.1:{silent.getsockname()[1]}", {}, 0.3)
        assert "0.3 s" in said
        assert time.monotonic() - began < 2
    assert send("ftp://x", {}, 2) == "'ftp://x/v1/traces' is no http or https address"
