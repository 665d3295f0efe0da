# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Triggers watched for real: a metrics endpoint and an admin socket that count while they are asked, and the node itself."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.gate.watch import GateError, Watch, prepared
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.listening import hang_up

from .conftest import WebServer

ERRORS = {"name": "errors", "source": "metrics", "ratio": ['req_total{status=~"5.."}', "req_total"], "value": {"le": 0.05}, "window": 0.4}


class App:
    """An application that counts: at each look ``good`` and ``bad`` more requests have been answered."""

    def __init__(self, server: WebServer) -> None:
        self.url = f"{server.url}/metrics"
        self.good, self.bad, self.step, self.started = 0, 0, (30, 0), time.time() - 600
        self.named, self.asked = True, 0
        server.routes["/metrics"] = self.page

    def page(self, _handler: Any, _body: bytes) -> tuple[int, str, dict[str, str]]:
        self.asked += 1
        self.good, self.bad = self.good + self.step[0], self.bad + self.step[1]
        lines = ["# TYPE req counter", f'req_total{{status="200"}} {self.good}']
        lines += [f'req_total{{status="503"}} {self.bad}'] if self.bad else []
        lines += ["# TYPE took histogram", f'took_bucket{{path="/a",le="0.5"}} {self.good}']
        lines += [f'took_bucket{{path="/a",le="+Inf"}} {self.good + self.bad}', f"took_sum {self.good * 0.2}", f"took_count {self.good}"]
        lines += [f"process_start_time_seconds {self.started}"] if self.named else []
        return 200, "\n".join(lines) + "\n", {}


@pytest.fixture
def app(web: WebServer) -> App:
    return App(web)


@pytest.fixture
def watch(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Watch one condition, every tenth of a second."""

    def run(condition: dict[str, Any], check: bool = False, **more: Any) -> dict[str, Any]:
        settings = {"interval": 0.1, "state_dir": str(tmp_path / "state"), "root": str(tmp_path / "root"), **more}
        return Watch(prepared([condition]), **settings).run(check=check)

    return run


def test_what_is_as_it_should_be_passes_after_one_window(app: App, watch: Callable[..., dict[str, Any]]) -> None:
    began = time.monotonic()
    found = watch({**ERRORS, "target": app.url})
    assert (found["verdict"], found["changed"]) == ("pass", False)
    assert 0.3 <= time.monotonic() - began < 10
    assert found["conditions"][0]["got"].startswith("0 (0 of ")
    assert found["conditions"][0]["sample"] >= 30


def test_errors_fail_and_end_it_early(app: App, watch: Callable[..., dict[str, Any]]) -> None:
    app.step = (20, 10)
    found = watch({**ERRORS, "target": app.url, "then": {"level": "app"}}, duration=30, passes=0)
    row = found["conditions"][0]
    assert (found["verdict"], row["verdict"], row["then"]) == ("fail", "fail", {"level": "app"})
    assert found["elapsed_s"] < 3
    assert "0.3333 (" in found["msg"]
    assert "/ req_total <= 0.05" in found["msg"]


def test_nobody_asks_anything(app: App, watch: Callable[..., dict[str, Any]]) -> None:
    app.step = (0, 0)
    for policy, verdict in (("wait", "inconclusive"), ("pass", "inconclusive"), ("fail", "fail")):
        found = watch({**ERRORS, "target": app.url, "on_inconclusive": policy}, duration=0.6)
        assert found["verdict"] == verdict
        assert "saw 0, at least 20 are needed" in found["conditions"][0]["got"]


def test_it_waits_for_a_sample_that_is_large_enough(app: App, watch: Callable[..., dict[str, Any]]) -> None:
    app.step = (4, 0)
    found = watch({**ERRORS, "target": app.url, "min_sample": 24}, duration=0.7)
    assert found["verdict"] == "inconclusive"
    assert "at least 24 are needed" in found["msg"]
    app.step = (9, 0)
    assert watch({**ERRORS, "target": app.url, "min_sample": 24}, duration=5)["verdict"] == "pass"


def test_a_restart_within_the_window_is_no_negative_growth(app: App, watch: Callable[..., dict[str, Any]]) -> None:
    def restart() -> None:
        app.good, app.bad, app.started = 0, 0, time.time()

    for app.named in (True, False):
        app.good = 100_000
        later = threading.Timer(0.2, restart)
        later.start()
        found = watch({**ERRORS, "target": app.url})
        later.join()
        assert found["verdict"] == "pass"
        assert 30 <= found["conditions"][0]["sample"] <= 200, found


def test_another_process_brings_its_own_past(app: App, watch: Callable[..., dict[str, Any]]) -> None:
    def switch() -> None:
        app.good, app.bad, app.started = 500_000, 400_000, time.time() - 90_000

    later = threading.Timer(0.2, switch)
    later.start()
    found = watch({**ERRORS, "target": app.url, "min_sample": 20})
    later.join()
    assert (found["verdict"], app.good > 500_000) == ("pass", True)


def test_a_source_that_does_not_answer_is_an_error_and_no_failure(app: App, watch: Callable[..., dict[str, Any]], web: WebServer) -> None:
    found = watch({**ERRORS, "target": "http://127.0.0.1:9/metrics"}, duration=30)
    assert (found["verdict"], found["elapsed_s"] < 5) == ("error", True)
    assert "connection refused (http://127.0.0.1:9/metrics)" in found["msg"]
    assert found["conditions"][0]["measurements"]["errors"] == 5
    web.routes["/metrics"] = (500, "out of order")
    assert "status 500: out of order" in watch({**ERRORS, "target": app.url, "error_limit": 0})["msg"]
    web.routes["/metrics"] = (200, "<html>")
    assert "is no sample" in watch({**ERRORS, "target": app.url, "error_limit": 0})["msg"]


def test_a_name_that_the_endpoint_does_not_have(app: App, watch: Callable[..., dict[str, Any]]) -> None:
    found = watch({**ERRORS, "target": app.url, "ratio": ['req_totel{status="503"}', "req_total"]})
    assert found["verdict"] == "inconclusive"
    assert "the source has nothing called req_totel" in found["msg"]


def test_a_quantile_out_of_the_buckets(app: App, watch: Callable[..., dict[str, Any]]) -> None:
    slow = {"name": "slow", "source": "metrics", "target": app.url, "quantile": [0.9, 'took{path="/a"}'], "value": 1, "window": 0.3}
    fast = watch(slow)
    assert (fast["verdict"], fast["conditions"][0]["value"]) == ("pass", pytest.approx(0.45))
    app.step = (20, 10)
    unsure = watch(slow)
    assert (unsure["verdict"], "finer buckets" in unsure["msg"]) == ("inconclusive", True)
    assert watch({**slow, "value": 0.4})["verdict"] == "fail"
    assert "nothing called took{path=\"/b\"}" not in watch({**slow, "quantile": [0.9, 'took{path="/b"}']})["msg"]


def test_the_port_is_that_of_the_live_slot(app: App, watch: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    slots = tmp_path / "root" / "backend" / "slots"
    target = {**ERRORS, "component": "backend", "target": "http://127.0.0.1:${port}/metrics"}
    assert "${port} cannot be filled in" in watch({**target, "error_limit": 0})["msg"]
    (slots / "blue").mkdir(parents=True)
    (slots / "live").symlink_to("blue")
    (slots / "blue" / "slot.env").write_text(f"AISTACK_PORT={app.url.split(':')[2].split('/')[0]}\n")
    assert watch(target)["verdict"] == "pass"


SLOW = {"name": "Twice as slow", "source": "metrics", "ratio": ["took_sum", "took_count"], "times": {"lt": 2}, "window": 0.4}


def test_a_baseline_is_recorded_and_compared_with(app: App, watch: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    slow, kept = {**SLOW, "target": app.url}, tmp_path / "state" / "baselines" / "twice-as-slow.json"
    assert "no baseline was recorded; now 0.2" in watch(slow)["msg"]
    predicted = watch(slow, check=True, record=True)
    assert (predicted["changed"], kept.exists()) == (True, False)
    recorded = watch(slow, record=True)
    assert (recorded["verdict"], recorded["changed"]) == ("pass", True)
    document = json.loads(kept.read_text())
    assert (document["value"], document["window"]) == (pytest.approx(0.2), 0.4)
    assert watch(slow)["verdict"] == "pass"
    kept.write_text(json.dumps({**document, "value": 0.1}))
    twice = watch(slow)
    assert twice["verdict"] == "fail", "exactly twice"
    assert "2 times its baseline 0.1: now 0.2" in twice["msg"]
    kept.write_text("{torn")
    assert "the baseline cannot be read" in watch(slow)["msg"]
    app.step = (1, 0)
    few = watch(slow, record=True)
    assert (few["verdict"], few["changed"], kept.read_text()) == ("inconclusive", False, "{torn")


def test_a_record_measures_only_what_has_a_baseline(app: App, watch: Callable[..., dict[str, Any]]) -> None:
    found = watch({**ERRORS, "target": app.url}, record=True)
    assert (found["conditions"], app.asked) == ([], 0)


class Haproxy(threading.Thread):
    """An admin socket whose counters go on at each `show stat`."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.total, self.bad, self.step = 5000, 40, (30, 0)
        self.pid, self.uptime, self.asked = 77, 600, 0
        self.lock = threading.Lock()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()

    def run(self) -> None:
        while True:
            try:
                client, _address = self.listener.accept()
            except OSError:
                return
            with client:
                client.sendall(self.answer(client.makefile().readline().strip()).encode())

    def answer(self, line: str) -> str:
        with self.lock:
            return self._answer(line)

    def _answer(self, line: str) -> str:
        if line == "show info":
            return f"Name: HAProxy\nVersion: 3.0.11\nPid: {self.pid}\nUptime: 0d\nUptime_sec: {self.uptime}\n\n"
        self.asked += 1
        self.total, self.bad = self.total + self.step[0], self.bad + self.step[1]
        head = "# pxname,svname,scur,stot,status,hrsp_5xx,req_tot,rtime,\n"
        return f"{head}web,FRONTEND,1,9,OPEN,1,9,,\nweb,blue,0,9,UP,0,,12,\nweb,BACKEND,3,9,UP,{self.bad},{self.total},12,\n\n"


@pytest.fixture
def haproxy(tmp_path: Path) -> Iterator[Haproxy]:
    server = Haproxy(tmp_path / "s")
    server.start()
    yield server
    hang_up(server.listener, server)


def edge(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    asked = {"name": "errors", "source": "haproxy", "target": "web", "socket": str(tmp_path / "s"), "value": 0.05, "window": 0.4}
    return {**asked, **({} if "gauge" in changes else {"ratio": ["hrsp_5xx", "req_tot"]}), **changes}


def test_counters_of_haproxy(haproxy: Haproxy, watch: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    assert watch(edge(tmp_path))["verdict"] == "pass", "errors from before the window are not of it"
    haproxy.step = (30, 3)
    failed = watch(edge(tmp_path))
    assert (failed["verdict"], "0.1 (" in failed["msg"]) == ("fail", True)
    assert watch(edge(tmp_path, gauge="scur", value=3))["verdict"] == "pass"
    assert watch(edge(tmp_path, gauge="rtime", server="blue", value={"lt": 12}))["verdict"] == "fail"


def test_haproxy_was_reloaded(haproxy: Haproxy, watch: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    def reload() -> None:
        with haproxy.lock:
            haproxy.total, haproxy.bad, haproxy.pid, haproxy.uptime = 0, 0, 78, 0

    later = threading.Timer(0.2, reload)
    later.start()
    found = watch(edge(tmp_path))
    later.join()
    assert found["verdict"] == "pass"
    assert 30 <= found["conditions"][0]["sample"] <= 150


def test_a_new_haproxy_that_has_counted_more_than_the_old_one(
    haproxy: Haproxy, watch: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    haproxy.total, haproxy.bad, haproxy.step = 100, 40, (0, 0)

    def reload() -> None:
        haproxy.total, haproxy.bad, haproxy.pid, haproxy.uptime = 500, 100, 78, 0

    later = threading.Timer(0.2, reload)
    later.start()
    found = watch(edge(tmp_path), passes=0)
    later.join()
    assert (found["verdict"], found["conditions"][0]["got"]) == ("fail", "0.2 (100 of 500)")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"target": "wep"}, "has no wep/BACKEND (did you mean web/BACKEND?)"),
        ({"server": "green"}, "has no web/green"),
        ({"ratio": ["hrsp_5xy", "req_tot"]}, "has no column hrsp_5xy (did you mean hrsp_5xx?)"),
        ({"socket": "/nowhere/s"}, "Is haproxy running"),
    ],
)
def test_what_haproxy_does_not_have(
    haproxy: Haproxy, watch: Callable[..., dict[str, Any]], tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    found = watch({**edge(tmp_path), **changes, "error_limit": 0})
    assert (found["verdict"], said in found["msg"]) == ("error", True), found["msg"]


def test_conditions_with_one_source_share_its_answer(haproxy: Haproxy, tmp_path: Path) -> None:
    two = prepared([edge(tmp_path), edge(tmp_path, name="sessions", gauge="scur", value=9)])
    looks = Watch(two, 0.1, 0.4, passes=0).run()
    assert looks["verdict"] == "pass"
    assert 2 <= haproxy.asked <= 5, "once at 0, 0.1, … 0.4 s"


def test_the_node_itself(watch: Callable[..., dict[str, Any]]) -> None:
    for kind in ("cpu", "memory"):
        node = {"name": kind, "source": "node", "target": kind, "window": 0.4}
        found = watch({**node, "value": {"le": 100}})
        assert found["verdict"] == "pass", found
        assert 0 <= found["conditions"][0]["value"] <= 100
        assert watch({**node, "value": {"gt": 100}})["verdict"] == "fail"


def test_slices_come_to_the_same_as_one_run(app: App, tmp_path: Path) -> None:
    app.step = (28, 2)
    asked, state, turns = prepared([{**ERRORS, "target": app.url}]), None, 0
    while True:
        found = Watch(asked, 0.1, 5, 0, resume=state).run(0.001)
        if found["verdict"] != "waiting":
            break
        state = json.loads(json.dumps(found["state"]))
        time.sleep(found["due_s"])
        turns += 1
    assert (found["verdict"], found["conditions"][0]["sample"]) == ("fail", 30.0 * turns)
    assert 2 <= turns <= 4


def test_looks_that_were_missed_are_not_made_up_for(app: App) -> None:
    asked = prepared([{**ERRORS, "target": app.url}])
    first = Watch(asked, 0.1, 10, 0).run(0.001)
    time.sleep(0.5)
    asked_before = app.asked
    Watch(asked, 0.1, 10, 0, resume=first["state"]).run(0.001)
    assert app.asked == asked_before + 1


def test_after_a_restart_of_the_node_the_window_begins_again(app: App) -> None:
    asked = prepared([{**ERRORS, "target": app.url}])
    state = Watch(asked, 0.1, 5, 0).run(0.001)["state"]
    ahead = time.monotonic() + 9000
    state.update(began=ahead - 2, last=ahead, elapsed_s=2.0)
    state["readings"][0][0]["at"] = ahead
    found = Watch(asked, 0.1, 5, 0, resume=state).run(0.001)
    assert (found["verdict"], 2.0 <= found["elapsed_s"] < 10) == ("waiting", True)
    assert len(found["state"]["readings"][0]) == 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"interval": 0.01}, "interval: 0.01 s is too short"),
        ({"interval": 1.0}, "an interval of 1 s leaves one observation"),
        ({"duration": 0.2}, "'errors' judges 0.4 s, which do not fit into 0.2 s"),
        ({"passes": -1}, "cannot be negative"),
    ],
)
def test_times_that_do_not_fit(app: App, watch: Callable[..., dict[str, Any]], settings: dict[str, Any], said: str) -> None:
    with pytest.raises(GateError, match=said):
        watch({**ERRORS, "target": app.url}, **settings)
    assert app.asked == 0


def test_conditions_are_refused_with_every_fault() -> None:
    one = {**ERRORS, "target": "http://x"}
    with pytest.raises(GateError) as refused:
        prepared([one, {**one, "windw": 3}, {"name": "x", "source": "y"}, "z", one])
    for said in ("conditions[1] (errors): unknown key 'windw'", "conditions[2] (x): unknown source 'y'", "conditions[3] ('z')",
                 "'errors' is there twice", "Nothing was looked at"):
        assert said in str(refused.value)
    assert prepared([{"name": "hole", "source": "manual"}]) == []
    assert prepared([one], window=7.0)[0]["window"] == 7.0


def test_what_stands_in_a_file_of_secrets_is_not_shown(
    app: App, watch: Callable[..., dict[str, Any]], web: WebServer, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("hush-hush\n")
    web.routes["/metrics"] = lambda handler, _body: (401, f"no: {handler.headers['Authorization']}", {})
    found = watch({**ERRORS, "target": app.url, "secret_file": str(token), "error_limit": 0})
    assert web.seen[-1][2]["Authorization"] == "Bearer hush-hush"
    assert "status 401" in found["msg"]
    assert "hush-hush" not in json.dumps(found)
