# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Triggers judged by a stand-in for Prometheus, which speaks its API; the real one is asked in C(tests/integration/monitoring)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.gate.watch import GateError, Watch, prepared

from .conftest import WebServer

HTML = "<!DOCTYPE html><html><body>sign in</body></html>"


class StandIn:
    """Answers queries by a table, a vector of ``(labels, value)`` each; slowly where it is told to."""

    def __init__(self, server: WebServer) -> None:
        self.url, self.slow, self.now, self.most = server.url, 0.0, 0, 0
        self.vectors: dict[str, list[tuple[dict[str, str], float]]] = {}
        self.asked: list[str] = []
        self.lock = threading.Lock()
        self.server = server
        server.routes["/api/v1/query"] = self.answer

    def answer(self, _handler: Any, body: bytes) -> tuple[int, Any]:
        query = parse_qs(body.decode())["query"][0]
        with self.lock:
            self.asked.append(query)
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(self.slow)
        with self.lock:
            self.now -= 1
        result = [{"metric": {"__name__": "x", **labels}, "value": [1.0, str(value)]} for labels, value in self.vectors.get(query, [])]
        return 200, {"status": "success", "data": {"resultType": "vector", "result": result}}


@pytest.fixture
def standin(web: WebServer) -> StandIn:
    found = StandIn(web)
    found.vectors = {"share": [({"node": "b1"}, 0.01)], "count": [({"node": "b1"}, 100.0)]}
    return found


@pytest.fixture
def watch(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Watch some conditions, every tenth of a second."""

    def run(*conditions: dict[str, Any], **more: Any) -> dict[str, Any]:
        settings = {"interval": 0.1, "state_dir": str(tmp_path / "state"), "root": str(tmp_path / "root"), **more}
        return Watch(prepared(conditions), **settings).run()

    return run


def share(standin: StandIn, **changes: Any) -> dict[str, Any]:
    return {"name": "errors", "source": "prometheus", "target": standin.url, "query": "share", "sample": "count", "value": 0.05,
            "window": 0.3, "then": {"level": "app"}, **changes}


def test_the_four_verdicts(standin: StandIn, watch: Callable[..., dict[str, Any]]) -> None:
    began = time.monotonic()
    passed = watch(share(standin))
    assert (passed["verdict"], passed["conditions"][0]["where"]) == ("pass", "b1")
    assert time.monotonic() - began >= 0.2, "its window has to be over: before that it reaches back before the watch"
    standin.vectors["share"] = [({"node": "b1"}, 0.5)]
    failed = watch(share(standin), duration=30, passes=0)
    assert (failed["verdict"], failed["elapsed_s"] < 3) == ("fail", True)
    assert "FAIL  b1  errors: 0.5 (100 counted) (expected share <= 0.05; 1 failed, by Prometheus)" in failed["msg"]
    standin.vectors["count"] = [({"node": "b1"}, 3.0)]
    few = watch(share(standin))
    assert (few["verdict"], "saw 3, at least 20 are needed" in few["msg"]) == ("inconclusive", True)
    other = watch(share(standin), {"name": "other", "source": "metrics", "target": "http://127.0.0.1:9/", "gauge": "x", "value": 1,
                                   "window": 0.3, "error_limit": 0})
    assert (other["verdict"], [row["verdict"] for row in other["conditions"]]) == ("error", ["inconclusive", "error"])


def test_what_lies_before_is_judged_at_once(standin: StandIn, watch: Callable[..., dict[str, Any]]) -> None:
    began = time.monotonic()
    found = watch(share(standin, window=300), at_once=True)
    assert (found["verdict"], time.monotonic() - began < 2, sorted(standin.asked)) == ("pass", True, ["count", "share"])
    memory = {"name": "m", "source": "node", "target": "memory", "value": 100}
    with pytest.raises(GateError, match="at_once: 'm' is not asked of Prometheus"):
        watch(memory, at_once=True)
    assert watch(share(standin, times=2, value=None, offset=60), record=True)["conditions"] == [], "it needs no recorded baseline"


def test_a_figure_that_disappears_with_a_release_is_inconclusive(standin: StandIn, watch: Callable[..., dict[str, Any]]) -> None:
    del standin.vectors["share"]
    found = watch(share(standin))
    assert (found["verdict"], found["conditions"][0]["measurements"]["failed"]) == ("inconclusive", 0)
    assert "the query has no series at all; nobody shows this figure now" in found["msg"]


@pytest.mark.parametrize(
    ("route", "said"),
    [
        ((200, HTML), "status 200, no JSON: <!DOCTYPE html>"),
        ((401, "Unauthorized"), "status 401: Unauthorized"),
        ((503, {"status": "error", "error": "query timed out"}), "status 503"),
        ((400, {"status": "error", "error": "1:5: parse error: unclosed left parenthesis"}), "unclosed left parenthesis"),
        ((200, {"status": "success", "data": {"result": [{"metric": {}, "values": [[1, "2"]]}]}}), "no vector"),
        ((200, {"status": "success"}), "no vector: nothing"),
        (None, "connection refused"),
    ],
)
@pytest.mark.parametrize("policy", ["wait", "pass", "fail"])
def test_a_prometheus_that_cannot_be_asked_is_unverified_and_no_failure(
    standin: StandIn, watch: Callable[..., dict[str, Any]], route: Any, said: str, policy: str
) -> None:
    standin.server.routes["/api/v1/query"] = route
    given = share(standin, on_inconclusive=policy, error_limit=0, **({} if route else {"target": "http://127.0.0.1:9"}))
    found = watch(given)
    assert found["verdict"] == "inconclusive", "whatever a small sample counts as, silence is neither a pass nor a failure"
    assert "not verified: Prometheus does not answer: " in found["msg"]
    assert said in found["msg"]


def test_a_token_that_expired_is_not_shown(standin: StandIn, watch: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("hush-hush\n")
    standin.server.routes["/api/v1/query"] = lambda handler, _body: (401, f"expired: {handler.headers['Authorization']}", {})
    found = watch(share(standin, secret_file=str(token), error_limit=0))
    assert "status 401" in found["msg"]
    assert standin.server.seen[-1][2]["Authorization"] == "Bearer hush-hush"
    assert "hush-hush" not in json.dumps(found)


def test_twenty_conditions_are_asked_side_by_side(standin: StandIn, watch: Callable[..., dict[str, Any]]) -> None:
    """With their samples these are 40 questions and one that all share; one after the other they would take a minute."""
    standin.slow = 1.0
    conditions = []
    for number in range(20):
        standin.vectors.update({f"share{number}": [({"node": "b1"}, 0.01)], f"count{number}": [({"node": "b1"}, 100.0)]})
        conditions.append(share(standin, name=f"c{number}", query=f"share{number}", sample=f"count{number}", value=None, times=2,
                                baseline="share"))
    took = []
    for _turn in range(3):  # a busy machine may be late itself
        standin.asked.clear()
        began = time.monotonic()
        found = watch(*conditions, at_once=True, interval=5)
        took.append(time.monotonic() - began)
        assert found["verdict"] == "pass"
        assert (len(standin.asked), standin.asked.count("share")) == (41, 1)
        assert standin.most > 20, "how many were under way at the same time"
        if took[-1] <= 1.3 * standin.slow:
            return
    pytest.fail(f"{took} s, of queries that take {standin.slow} s")


def test_questions_and_endpoints_are_asked_side_by_side(standin: StandIn, watch: Callable[..., dict[str, Any]]) -> None:
    standin.slow = 0.4

    def slow(_handler: Any, _body: bytes) -> tuple[int, str]:
        time.sleep(0.4)
        return 200, "x 1\n"

    ends = [{"name": f"e{number}", "source": "metrics", "target": f"{standin.url}/m{number}", "gauge": "x", "value": 1, "window": 0.1,
             "min_sample": 1} for number in range(5)]
    standin.server.routes.update({f"/m{number}": slow for number in range(5)})
    began = time.monotonic()
    assert watch(share(standin, window=0.1), *ends, duration=0.1)["verdict"] == "pass"
    assert time.monotonic() - began < 2.0, "two looks at six sources, of which each takes 0.4 s"


def test_a_release_that_is_called_like_a_query_stays_a_label(
    standin: StandIn, watch: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    slot = tmp_path / "root" / "api" / "slots" / "blue"
    slot.mkdir(parents=True)
    (slot.parent / "live").symlink_to("blue")
    odd = tmp_path / "releases" / 'v1"} or vector(9) #'
    odd.mkdir(parents=True)
    (slot / "release").symlink_to(odd)
    given = share(standin, component="api", query='x{release="${release}",slot="${slot}"}')
    watch({key: value for key, value in given.items() if key != "sample"}, at_once=True)
    assert standin.asked == ['x{release="v1\\"} or vector(9) #",slot="blue"}']


def test_the_same_trigger_at_its_source_and_by_prometheus(standin: StandIn) -> None:
    memory = {"name": "errors", "source": "node", "target": "memory", "value": 100}
    assert [one["source"] for one in prepared([memory, share(standin)])] == ["node", "prometheus"]
    with pytest.raises(GateError, match="'errors' is there twice"):
        prepared([share(standin), share(standin)])
    with pytest.raises(GateError, match="'errors' has no 'target', which is the address of Prometheus"):
        prepared([{key: value for key, value in share(standin).items() if key != "target"}])


def test_slices_come_to_the_same_as_one_run(standin: StandIn, tmp_path: Path) -> None:
    asked, state = prepared([share(standin)]), None
    standin.vectors["share"] = [({"node": "b1"}, float("nan"))]
    while True:
        found = Watch(asked, 0.1, 5, 1, root=str(tmp_path), resume=state).run(0.001)
        if found["verdict"] != "waiting":
            break
        assert "NaN" not in json.dumps(found["state"]), "which is no JSON"
        standin.vectors["share"] = [({"node": "b1"}, 0.02)]
        state = json.loads(json.dumps(found["state"]))
        time.sleep(found["due_s"])
    assert (found["verdict"], found["conditions"][0]["value"]) == ("pass", 0.02)
