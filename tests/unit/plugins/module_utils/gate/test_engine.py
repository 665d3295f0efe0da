# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engine: threads, deadlines, slices, what a node knows about itself."""

from __future__ import annotations

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import NotAsExpected
from ansible_collections.phasegate.aistack.plugins.module_utils.core.probe_spec import Option, ProbeError, TypeSpec
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.file import NAMES, Declared
from ansible_collections.phasegate.aistack.plugins.module_utils.gate import engine
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.engine import live_context, run_gate
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.text import failure_text
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import SettingsError
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe


class Scripted(Probe):
    """Does what its function says; the functions are kept by name, since a probe is data."""

    type = "scripted"
    target = Option("str", "name of the function", required=True)
    options = {"changing": Option("bool", "leaves traces")}
    functions: dict = {}

    @property
    def changes(self):
        return bool(self.spec.get("changing"))

    def observe(self, context):
        return self.functions[self.spec["target"]](context)


@pytest.fixture
def script(monkeypatch):
    """Register functions as probes; returns the probe's definition."""
    from ansible_collections.phasegate.aistack.plugins.module_utils.probes import spec

    monkeypatch.setattr(engine, "REGISTRY", {**engine.REGISTRY, "scripted": Scripted})
    monkeypatch.setattr(spec, "SPECS", {**spec.SPECS, "scripted": TypeSpec(Scripted.target, Scripted.options)})

    def register(function, **more):
        name = f"f{len(Scripted.functions)}"
        Scripted.functions[name] = function
        return {"name": name, "scripted": name, **more}

    return register


def good(_context):
    return Attempt(True, "good", "good")


def bad(_context):
    return Attempt(False, "bad", "good")


def after(count, then=good, before=bad):
    """A probe that holds from its attempt ``count`` on."""
    seen = []

    def observe(context):
        seen.append(1)
        return (then if len(seen) >= count else before)(context)

    return observe


FAST = {"interval": 0.05, "deadline": 1.0}


def test_pass_at_the_first_attempt_returns_at_once(script):
    began = time.monotonic()
    result = run_gate([script(good), script(good)], {"deadline": 30})
    assert (result.verdict, [row["attempts"] for row in result.probes]) == ("pass", [1, 1])
    assert time.monotonic() - began < 15
    assert result.state == {}


def test_twenty_probes_take_as_long_as_the_slowest(script):
    def slow(seconds):
        def observe(_context):
            time.sleep(seconds)
            return Attempt(True, "", "")

        return observe

    began = time.monotonic()
    result = run_gate([script(slow(0.15 * (index % 10 + 1))) for index in range(20)], {"deadline": 20})
    took = time.monotonic() - began
    assert result.verdict == "pass"
    assert took < 8, took  # one after the other takes 16.5 s; how close it comes to 1.5 s is measured by make bench


def test_fail_at_the_deadline_says_what_came(script):
    began = time.monotonic()
    result = run_gate([script(good), script(bad)], {"interval": 0.1, "deadline": 0.5})
    assert 0.5 <= time.monotonic() - began < 10
    assert (result.verdict, result.problem["got"], result.problem["expected"]) == ("fail", "bad", "good")
    assert 2 <= result.problem["attempts"] <= 6
    assert result.problem["history"]["count"] == result.problem["attempts"]
    assert len(result.problem["history"]["last"]) <= 5


def test_deadline_zero_is_one_attempt(script):
    result = run_gate([script(good), script(bad)], {"deadline": 0})
    assert [row["attempts"] for row in result.probes] == [1, 1]
    assert result.verdict == "fail"


def test_waits_until_it_holds(script):
    result = run_gate([script(after(4))], FAST)
    assert (result.verdict, result.probes[0]["attempts"]) == ("pass", 4)


def test_failures_end_it_early(script):
    began = time.monotonic()
    result = run_gate([script(bad), script(good)], {"interval": 0.05, "failures": 3, "deadline": 30})
    assert (result.verdict, result.probes[0]["attempts"]) == ("fail", 3)
    assert time.monotonic() - began < 10


def test_start_period_forgives(script):
    settings = {"interval": 0.05, "failures": 2, "start_period": 0.4, "deadline": 5}
    assert run_gate([script(after(5))], settings).verdict == "pass"
    assert run_gate([script(after(5))], {**settings, "start_period": 0}).verdict == "fail"


def test_healthy_for_a_while(script):
    began = time.monotonic()
    assert run_gate([script(good)], {"interval": 0.05, "min_healthy_time": 0.4, "deadline": 5}).verdict == "pass"
    assert 0.4 <= time.monotonic() - began < 10


def test_not_healthy_for_long_enough_is_inconclusive(script):
    result = run_gate([script(good)], {"interval": 0.05, "min_healthy_time": 5, "deadline": 0.3})
    assert result.verdict == "inconclusive"
    assert "healthy for 0." in result.probes[0]["got"]


def test_a_flap_starts_the_time_again(script):
    looks = iter([good, good, good, bad] + [good] * 1000)

    def observe(context):
        one = next(looks)
        return one(context)

    began = time.monotonic()
    result = run_gate([script(observe)], {"interval": 0.1, "min_healthy_time": 1.5, "deadline": 20})
    assert result.verdict == "pass"
    assert result.probes[0]["flaps"] == 1
    assert time.monotonic() - began >= 1.8


def test_all_have_to_hold_at_the_same_moment(script):
    """One holds only at first, the other only later: no gate."""
    began = time.monotonic()

    def holds(condition):
        return script(lambda _context: Attempt(condition(time.monotonic() - began), "", ""))

    first, second = holds(lambda age: age < 0.2), holds(lambda age: age > 0.4)
    result = run_gate([first, second], FAST)
    assert result.verdict == "fail"
    assert result.problem["name"] == first["name"]


def test_warning_never_fails_it(script):
    result = run_gate([script(good), script(bad, severity="warning")], {**FAST, "deadline": 0.2})
    assert result.verdict == "pass"
    assert result.probes[1]["verdict"] == "fail"


def test_error_ends_it_early_after_a_look_at_all(script):
    def broken(_context):
        return Attempt(False, "psql is not there", "1", error=True)

    result = run_gate([script(broken), script(bad)], {"deadline": 30})
    assert result.verdict == "error", "nobody knows yet whether the other one would have held"
    assert [row["verdict"] for row in result.probes] == ["error", "inconclusive"]
    assert run_gate([script(broken), script(bad)], {"deadline": 0}).verdict == "fail"
    assert run_gate([script(broken)], {"deadline": 30}).verdict == "error"


@pytest.fixture
def says(monkeypatch):
    """A slot whose process answers with what ``said`` holds; returns the probe of its health and what is known of the slot."""

    class Handler(BaseHTTPRequestHandler):
        said = {"version": "v1.0.3", "ready": True}

        def do_GET(self):
            body = json.dumps(self.said).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(engine.v, "SAME_S", 0.2)
    slot = {"release": "v1.1.0", "port": server.server_port, "own": True}
    probe = {"name": "health", "component": "api", "http": "http://127.0.0.1:${port}/health"}
    yield Handler, probe, slot
    server.shutdown()
    server.server_close()


def test_another_releases_name_from_the_slots_own_process_ends_it_early(says):
    _handler, probe, slot = says
    began = time.monotonic()
    result = run_gate([{**probe, "json": {"version": "${release}"}}], {"interval": 0.1, "deadline": 60}, {"api": slot})
    assert time.monotonic() - began < 30
    assert (result.verdict, result.problem["answered"]) == ("fail", True)
    assert result.problem["attempts"] >= 3
    assert "v1.0.3" in result.problem["got"]
    assert "the slot's own process" in result.problem["got"]


@pytest.mark.parametrize(
    ("said", "expected", "known"),
    [
        ({"version": "v1.1.0", "ready": False}, {"version": "${release}", "ready": True}, {}),
        ({"version": "starting"}, {"version": "${release}"}, {}),
        ({"version": ""}, {"version": "${release}"}, {}),
        ({"queue": "1.0"}, {"version": "${release}"}, {}),
        ({"version": "v1.0.3"}, {"version": "v1.1.0"}, {}),
        ({"version": "v1.0.3"}, {"version": "${release}"}, {"own": False}),
    ],
    ids=["not ready yet", "no release", "empty", "missing", "a constant", "through the edge"],
)
def test_what_may_still_change_is_waited_for(says, said, expected, known):
    handler, probe, slot = says
    handler.said = said
    began = time.monotonic()
    result = run_gate([{**probe, "json": expected}], {"interval": 0.1, "deadline": 1.2}, {"api": {**slot, **known}})
    assert time.monotonic() - began >= 1.2
    assert result.verdict == "fail"


def test_a_file_that_a_probe_names_and_that_is_not_there_cannot_be_judged(says):
    _handler, probe, slot = says
    result = run_gate([{**probe, "secret_file": "/nonexistent/token"}], {"deadline": 60}, {"api": slot})
    assert (result.verdict, result.problem["got"]) == ("error", "/nonexistent/token: No such file or directory")


def test_a_probe_that_hangs_is_left_alone(script):
    def hang(_context):
        threading.Event().wait(20)
        return Attempt(True, "", "")

    began = time.monotonic()
    result = run_gate([script(hang, timeout=0.3)], {"deadline": 0.2})
    assert time.monotonic() - began < 10
    assert (result.verdict, result.probes[0]["got"]) == ("fail", "no answer within 0.3 s")


def test_a_probe_that_breaks_is_an_error(script):
    def crash(_context):
        raise NotAsExpected("this is no crash", "something else")

    assert run_gate([script(crash)], {"deadline": 0}).verdict == "fail"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_the_probe_itself_is_an_error(script):
    def crash(_context):
        raise ZeroDivisionError

    result = run_gate([script(crash)], {"deadline": 5})
    assert (result.verdict, result.probes[0]["got"]) == ("error", "the probe itself failed")


def test_names_are_filled_in_from_the_component(script):
    contexts = {"backend": {"port": 18000, "release": "v4.1.0"}}
    Scripted.functions["v4.1.0"] = good
    probe = {"name": "a", "scripted": "${release}", "component": "backend"}
    assert run_gate([probe], {"deadline": 0}, contexts).verdict == "pass"


def test_a_name_without_value_is_an_error_and_says_why(script):
    probe = script(good, component="backend", log_unit="${unit}")
    result = run_gate([probe], {"deadline": 30}, {"backend": {"missing": "nothing is live on node-1"}})
    assert result.verdict == "error"
    assert result.probes[0]["got"] == "${unit} cannot be filled in: nothing is live on node-1"


def test_what_changes_something_is_asked_once_and_never_in_check_mode(script):
    asked = []

    def write(_context):
        asked.append(1)
        return Attempt(True, "", "")

    settings = {"interval": 0.05, "successes": 3, "deadline": 2}
    assert run_gate([script(write, changing=True), script(after(6))], settings).verdict == "pass"
    assert len(asked) == 1
    result = run_gate([script(write, changing=True)], {"deadline": 0}, check_mode=True)
    assert (result.verdict, result.probes[0]["verdict"], len(asked)) == ("skipped", "skipped", 1)


def test_trouble_ends_it_early(script):
    began = time.monotonic()
    result = run_gate([script(bad)], {"deadline": 30}, trouble=lambda: "the unit failed: exit status 3")
    assert time.monotonic() - began < 10
    assert result.verdict == "fail"
    assert "the unit failed: exit status 3" in result.summary


def test_events(script):
    events = []
    run_gate([script(after(2), component="backend")], FAST, {"backend": {}}, on_event=events.append)
    assert [(event["attempt"], event["ok"]) for event in events] == [(1, False), (2, True)]
    assert events[0]["probe"].startswith("backend/")


def sliced(probes, settings, slice_s):
    state, turns = {}, 0
    while True:
        result = run_gate(probes, settings, resume=state, slice_s=slice_s)
        turns += 1
        if result.verdict != "waiting":
            return result, turns
        state = json.loads(json.dumps(result.state))


def test_slices_see_what_one_piece_would(script):
    result, turns = sliced([script(after(8)), script(good)], {"interval": 0.1, "deadline": 5}, 0.3)
    assert (result.verdict, result.probes[0]["attempts"]) == ("pass", 8)
    assert turns >= 2


def test_healthy_time_goes_on_over_slices(script):
    began = time.monotonic()
    result, turns = sliced([script(good)], {"interval": 0.1, "min_healthy_time": 0.9, "successes": 5, "deadline": 5}, 0.3)
    assert result.verdict == "pass"
    assert turns >= 3
    assert 0.9 <= time.monotonic() - began < 10


def test_deadline_counts_over_slices(script):
    began = time.monotonic()
    result, turns = sliced([script(bad)], {"interval": 0.1, "deadline": 0.8}, 0.3)
    assert result.verdict == "fail"
    assert 2 <= turns <= 3
    assert time.monotonic() - began < 15


def test_an_attempt_under_way_at_the_end_of_a_slice_counts(script):
    def slow(_context):
        time.sleep(0.4)
        return Attempt(True, "", "")

    result, turns = sliced([script(slow)], {"interval": 0.1, "successes": 2, "deadline": 5}, 0.2)
    assert (result.verdict, result.probes[0]["attempts"]) == ("pass", 2)
    assert turns <= 2


def test_waiting_probes_say_how_far_they_are(script):
    result = run_gate([script(bad), script(good)], {"interval": 0.05, "deadline": 30}, slice_s=0.2)
    assert result.verdict == "waiting"
    assert [row["verdict"] for row in result.probes] == ["waiting", "pass"]
    assert "1 passed, 1 waiting" in result.summary


def test_after_a_reboot_the_count_starts_again(script):
    first = run_gate([script(good)], {"interval": 0.05, "successes": 50, "deadline": 30}, slice_s=0.2)
    state = {**first.state, "boot": "another"}
    result = run_gate([script(good)], {"interval": 0.05, "successes": 2, "deadline": 30}, resume=state)
    assert (result.verdict, result.probes[0]["attempts"]) == ("pass", 2)


def test_definitions_that_make_no_sense():
    with pytest.raises(ProbeError):
        run_gate([{"name": "a", "htp": "x"}])
    with pytest.raises(SettingsError):
        run_gate([], {"deadlin": 3})


def test_nothing_to_judge_passes():
    assert run_gate([], {"deadline": 5}).verdict == "pass"


def test_log_of_the_unit_is_shown_without_secrets(script, tmp_path, monkeypatch):
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    log = "connecting as app with hunter22xyz\nFATAL: qwertz-7"
    for name, text in (("systemctl", "NRestarts=1\nActiveState=failed"), ("journalctl", log)):
        (bin_dir / name).write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {bin_dir}/{name}.args\ncat <<'X'\n{text}\nX\n")
        (bin_dir / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_dir}:{os.environ['PATH']}")
    (tmp_path / "env").write_text('DB_PASSWORD="hunter22xyz"\nLOG_LEVEL="FATAL"\nLICENCE="qwertz-7"\n')
    (tmp_path / NAMES).write_text(Declared("s", frozenset({"LICENCE"})).text())
    context = {"unit": "aistack-backend@blue.service", "config_path": str(tmp_path)}
    result = run_gate([script(bad, component="backend")], {"deadline": 0}, {"backend": context})
    assert result.probes[0]["log_tail"] == ["connecting as app with ****[DB_PASSWORD]", "FATAL: ****[LICENCE]"]
    assert "--lines=40" in (bin_dir / "journalctl.args").read_text()
    passed = run_gate([script(good, component="backend")], {"deadline": 0}, {"backend": context})
    assert "log_tail" not in passed.probes[0]


def test_report_has_all_that_an_operator_needs(script):
    result = run_gate([script(bad, component="backend"), script(bad, severity="warning")], {"deadline": 0}, {"backend": {}})
    rows = [{**row, "log_tail": ["Traceback"], "log_unit": "u", "hint": "look there"} for row in result.probes]
    text = failure_text(result.verdict, rows, result.elapsed_s)
    assert text.startswith("The gate failed: 1 of 2 probes did not pass")
    for needed in ("backend/", "where     ", "expected  good", "got       bad", "attempts  1 in ", "    Traceback"):
        assert needed in text
    assert "what to do: look there" in text
    assert "only a warning" in text


# -- what a node knows about itself


@pytest.fixture
def node(tmp_path):
    home = tmp_path / "backend"
    (home / "releases" / "v4.1.0").mkdir(parents=True)
    (home / "config" / "abc").mkdir(parents=True)
    slot = home / "slots" / "green"
    slot.mkdir(parents=True)
    (slot / "release").symlink_to("../../releases/v4.1.0")
    (slot / "config").symlink_to("../../config/abc")
    (slot / "slot.env").write_text('AISTACK_SLOT="green"\nAISTACK_PORT="18001"\n')
    (home / "slots" / "live").symlink_to("green")
    return tmp_path


def test_live_slot(node):
    assert live_context(node, "backend") == {
        "component": "backend",
        "slot": "green",
        "unit": "aistack-backend@green.service",
        "release": "v4.1.0",
        "release_path": str(node / "backend/releases/v4.1.0"),
        "config_path": str(node / "backend/config/abc"),
        "port": 18001,
    }
    assert live_context(node, "backend", 8000)["port"] == 8000


def test_live_slot_of_several_instances(node):
    for name in ("green-2", "green-3", "blue-2", "green-x"):
        (node / "backend/slots" / name).symlink_to("green")
    names = live_context(node, "backend")
    assert (names["slot"], names["unit"]) == ("green", "aistack-backend@green.service")
    assert names["instances"] == ["green", "green-2", "green-3"]
    assert names["units"] == [f"aistack-backend@{name}.service" for name in names["instances"]]


@pytest.mark.parametrize(("kept", "number"), [(1, 1), (2, 2), (3, 3)])
def test_the_number_that_the_node_keeps_counts_and_not_what_a_kill_left(node, kept, number):
    for name in ("green-2", "green-3"):
        (node / "backend/slots" / name).symlink_to("green")
    path = node / "state/components/backend.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"instances": kept}))
    names = live_context(node, "backend", state_dir=node / "state")
    assert len(names.get("instances", ["green"])) == number
    path.unlink()
    assert len(live_context(node, "backend", state_dir=node / "state")["instances"]) == 3, "what no file says"


def test_releases_of_another_component(node):
    """A worker runs the tree that the backend staged: its folder of releases is a link."""
    worker = node / "worker"
    (worker / "slots" / "blue").mkdir(parents=True)
    (worker / "releases").symlink_to("../backend/releases")
    (worker / "slots" / "blue" / "release").symlink_to("../../releases/v4.1.0")
    (worker / "slots" / "blue" / "slot.env").write_text("AISTACK_SLOT=blue\n")
    (worker / "slots" / "live").symlink_to("blue")
    known = live_context(node, "worker")
    assert (known["release"], known["release_path"]) == ("v4.1.0", str(node / "backend/releases/v4.1.0"))
    assert "port" not in known


def test_nothing_live(tmp_path):
    known = live_context(tmp_path, "postgres", 5432)
    assert known["port"] == 5432
    assert "nothing is live" in known["missing"]
    assert "unit" not in known
