# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An emergency while something that everybody needs is down: no worse than the live release, and what was not verified is told."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.node import text as node_text
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import waivers
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.baseline import Serving, waived, way
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.plan import RollbackRequest
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.run import Caller, Tools, roll_back
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.view import observe
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.node import Judged, Spec, listener
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.operations import Slots
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.rollback import fleet as fleet_module
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.rollback.fleet import AllUnits, Fleet
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.slots.test_operations import PORTS

OLD, NEW = "v1", "v2"
AWAY = "status 503"
REFUSED = "connection refused"


class World:
    """How each release of each component answers each probe; empty means that it passes. ``shut``: ports where nobody listens."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.answers: dict[tuple[str, str], dict[str, str]] = {}
        self.shut: set[tuple[str, str]] = set()
        self.patient = False
        self.asked: list[tuple[str, str, bool, list[str]]] = []
        self.on_start: Callable[[str, str], None] | None = None
        self.lock = threading.Lock()

    def gate(self, definition: Mapping[str, Any], context: Mapping[str, Any], trouble: Callable[[], str]) -> Judged:
        component, release = str(context["component"]), str(context["release"])
        public = context["port"] == PORTS["public"]
        probes = list(definition["probes"])
        with self.lock:
            self.asked.append((component, release, public, [probe["name"] for probe in probes]))
        if not probes:
            if (component, release) in self.shut:
                return Judged("fail", {"probe": "listens", "got": REFUSED})
            return Judged("pass", probes=[{"name": "listens", "verdict": "pass"}])
        end = time.monotonic() + float(definition.get("deadline") or 0)
        why = trouble()
        while True:
            said = self.answers.get((component, release), {})
            rows = [
                {
                    "name": probe["name"], "severity": probe.get("severity", "critical"), "expected": "status 200",
                    "verdict": "fail" if said.get(probe["name"]) else "pass", "got": said.get(probe["name"]) or "status 200",
                }
                for probe in probes
            ]
            bad = [row for row in rows if row["verdict"] == "fail" and row["severity"] == "critical"]
            if not bad and not why:
                return Judged("pass", probes=rows)
            if why or not self.patient or time.monotonic() >= end:
                problem = {"probe": bad[0]["name"] if bad else "unit", "expected": "status 200", "got": why or bad[0]["got"], "attempts": 3}
                return Judged("fail", problem, probes=rows)
            time.sleep(0.01)
            why = trouble()

    def make(self, spec: Spec, gate: Any, journal: Journal) -> Slots:
        slots = self.fleet.make(spec, gate, journal)

        def holder(port: int) -> str:
            slot = next(name for name, number in PORTS.items() if number == port)
            content = slots.node.content(slot)
            runs = self.fleet.machines[spec.component].load()[slot]["running"]
            return "app (pid 7)" if runs and content and (spec.component, content.release) not in self.shut else ""

        slots.node.holder = holder
        return slots

    def go(self, best_effort: bool = True, **request: Any) -> dict[str, Any]:
        tools = Tools(self.make, lambda: self.gate, self.fleet.said.append, partial(observe, systemd=AllUnits(self.fleet)))
        answer = roll_back(
            self.fleet.state,
            "shop",
            RollbackRequest(best_effort=best_effort, **request),
            Caller("rb-1", "bob", "5xx", best_effort=best_effort),
            tools,
        )
        json.dumps(answer)
        return answer

    def dead(self, name: str) -> None:
        """The slot that serves has ended."""
        slots = self.fleet.make(self.fleet.spec(name), self.gate, self.fleet.journal)
        live = slots.node.live()
        assert live is not None
        self.fleet.systemd(name).stop(f"aistack-{name}@{live}.service")


PROBES = [
    {"name": "health", "type": "http", "target": "http://127.0.0.1:${port}/health"},
    {"name": "readyz", "type": "http", "target": "http://127.0.0.1:${port}/readyz"},
]


@pytest.fixture
def make_world(tmp_path: Path) -> Callable[..., World]:
    """A node at the newer of two releases, its database about to go away."""

    def make(*names: str, warm: int = 300) -> World:
        fleet = Fleet(tmp_path, *names, warm=warm)
        fleet.deploy(1)
        fleet.deploy(2)
        for name in fleet.names:
            gates = {tag: {"probes": PROBES, "deadline": 1.0} for tag in (OLD, NEW)}
            (fleet.state / "gates" / f"{name}.json").write_text(json.dumps(gates))
        return World(fleet)

    return make


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world("web")


def both(world: World, **said: str) -> None:
    """Both releases of every component answer like this."""
    for name in world.fleet.names:
        for release in (OLD, NEW):
            world.answers[name, release] = dict(said)


# -- what moves


def test_what_fails_on_the_live_release_as_well_holds_nobody_back(world: World) -> None:
    both(world, readyz=AWAY)
    answer = world.go()
    assert answer["outcome"] == "ok"
    assert world.fleet.live() == {"web": OLD}
    told = "readyz: expected status 200, got status 503; it fails in the same way on green, which served before"
    assert answer["components"][0]["unverified"] == [told]
    assert answer["plan"]["unverified"] == [f"web: {told}"]
    assert world.fleet.records("rollback")[-1]["detail"]["unverified"] == [f"web: {told}"]
    text = " ".join(node_text.rollback_text(answer).split())
    assert f"Not verified - web: {told}" in text
    through_the_edge = [names for _component, release, public, names in world.asked if public and release == OLD]
    assert through_the_edge == [["health"]], "what is waived is not asked of the edge"


def test_the_whole_node_goes_back(make_world: Callable[..., World]) -> None:
    world = make_world("web", "worker", "beat")
    both(world, readyz=AWAY)
    answer = world.go()
    assert answer["outcome"] == "ok"
    assert world.fleet.live() == dict.fromkeys(("web", "worker", "beat"), OLD)
    assert len(answer["plan"]["unverified"]) == 3
    beat = [(release, names) for component, release, _public, names in world.asked if component == "beat"]
    assert beat[0] == (NEW, ["health", "readyz"]), "of which one instance may run is asked before it is stopped"


def test_the_live_release_passes_so_the_probe_counts(world: World) -> None:
    world.answers["web", OLD] = {"readyz": AWAY}
    answer = world.go()
    assert answer["outcome"] == "failed"
    assert world.fleet.live() == {"web": NEW}
    assert "expected status 200, got status 503" in answer["components"][0]["message"]
    assert "--best-effort" not in node_text.rollback_text(answer)
    assert answer["plan"]["unverified"] == []


def test_another_failure_is_not_waived(world: World) -> None:
    world.answers["web", NEW] = {"readyz": AWAY}
    world.answers["web", OLD] = {"readyz": "status 500"}
    assert world.go()["outcome"] == "failed"
    assert world.fleet.live() == {"web": NEW}


def test_another_probe_still_counts(world: World) -> None:
    both(world, readyz=AWAY)
    world.answers["web", OLD]["health"] = "status 500"
    assert world.go()["outcome"] == "failed"
    assert world.fleet.live() == {"web": NEW}


def test_without_best_effort_the_gate_alone_decides(world: World) -> None:
    both(world, readyz=AWAY)
    answer = world.go(best_effort=False)
    assert answer["outcome"] == "failed"
    assert "--best-effort goes back all the same" in " ".join(node_text.rollback_text(answer).split())
    assert world.fleet.live() == {"web": NEW}
    assert not [names for _component, release, _public, names in world.asked if release == NEW]


def test_nothing_serves_so_anything_that_runs_is_better(world: World) -> None:
    world.answers["web", OLD] = {"readyz": AWAY}
    world.dead("web")
    answer = world.go()
    assert answer["outcome"] == "ok"
    assert world.fleet.live() == {"web": OLD}
    assert answer["plan"]["unverified"] == [
        "web: readyz: expected status 200, got status 503; but aistack-web@green.service does not run, so nothing served before"
    ]


def test_the_live_release_runs_and_nobody_listens(world: World) -> None:
    both(world, health=REFUSED, readyz=REFUSED)
    world.answers["web", OLD] = {"readyz": AWAY}
    world.shut.add(("web", NEW))
    answer = world.go()
    assert answer["outcome"] == "ok"
    assert "nobody listens on port" in answer["plan"]["unverified"][0]


def test_all_probes_fail_on_both_and_the_port_is_open(world: World) -> None:
    both(world, health=AWAY, readyz=AWAY)
    answer = world.go()
    assert answer["outcome"] == "ok"
    assert world.fleet.live() == {"web": OLD}
    told = [text.split(": ")[1] for text in answer["plan"]["unverified"]]
    assert told == ["health", "readyz", "through the edge nothing was asked"]
    assert ("web", OLD, False, []) in world.asked, "the port itself is asked"


def test_all_probes_fail_on_both_and_nobody_listens(world: World) -> None:
    both(world, health=REFUSED, readyz=REFUSED)
    world.shut.update({("web", OLD), ("web", NEW)})
    assert world.go()["outcome"] == "failed"
    assert world.fleet.live() == {"web": NEW}


@pytest.mark.parametrize("serving", ["dead", "same"])
def test_never_to_a_slot_that_does_not_run(world: World, serving: str) -> None:
    both(world, readyz=AWAY)
    if serving == "dead":
        world.dead("web")
    gate, machine = world.gate, world.fleet.machines["web"]

    def dies(definition: Mapping[str, Any], context: Mapping[str, Any], trouble: Callable[[], str]) -> Judged:
        if context["release"] == OLD:
            machine.change("dies", lambda state: state[context["slot"]].update(running=False))
        return gate(definition, context, trouble)

    world.gate = dies
    assert world.go()["outcome"] == "failed"
    machine.raise_at = {}
    slots = world.fleet.make(world.fleet.spec("web"), gate, world.fleet.journal)
    live = slots.node.live()
    assert live is not None
    content = slots.node.content(live)
    assert content is not None
    assert content.release == NEW


def test_one_that_fails_does_not_use_the_waiver_of_another(make_world: Callable[..., World]) -> None:
    world = make_world("web", "worker")
    both(world, readyz=AWAY)
    world.answers["worker", NEW] = {}
    answer = world.go()
    assert answer["outcome"] == "partial"
    assert world.fleet.live() == {"web": OLD, "worker": NEW}


# -- what is written down


def test_what_is_not_verified_makes_no_release_good(world: World) -> None:
    both(world, readyz=AWAY)
    world.fleet.journal.append(
        {"op": "mark", "component": "web", "release": OLD, "outcome": "ok", "detail": {"state": "bad", "reason": "leaks"}}
    )
    assert world.go(to=OLD, allow_bad=True)["outcome"] == "ok"
    assert world.fleet.marks("web")[OLD] == "bad"


def test_a_gate_that_passes_asks_nobody_else(world: World) -> None:
    answer = world.go()
    assert answer["outcome"] == "ok"
    assert answer["plan"]["unverified"] == []
    assert {release for _component, release, _public, _names in world.asked} == {OLD}


# -- time


def test_a_slot_with_a_waiver_does_not_wait_for_the_end_of_its_gate(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waivers, "WARM_S", 0.2)
    (world.fleet.state / "gates" / "web.json").write_text(json.dumps({OLD: {"probes": PROBES, "deadline": 60.0}}))
    world.patient = True
    both(world, readyz=AWAY)
    began = time.monotonic()
    assert world.go()["outcome"] == "ok"
    assert time.monotonic() - began < 30


def test_a_slot_without_a_waiver_has_all_its_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The live release is broken by itself; the other one only needs longer than usual."""
    monkeypatch.setattr(waivers, "WARM_S", 0.1)
    (world.fleet.state / "gates" / "web.json").write_text(json.dumps({OLD: {"probes": PROBES, "deadline": 30.0}}))
    world.patient = True
    world.answers["web", NEW] = {"health": "status 500", "readyz": "status 500"}
    world.answers["web", OLD] = {"health": REFUSED, "readyz": REFUSED}
    ready = threading.Timer(1.0, world.answers.update, [{("web", OLD): {}}])
    ready.start()
    answer = world.go()
    ready.join()
    assert answer["outcome"] == "ok"
    assert answer["plan"]["unverified"] == []


def test_asked_to_end_it_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    both(world, readyz=AWAY)
    stop = threading.Event()
    stop.set()
    tools = Tools(world.make, lambda: world.gate, world.fleet.said.append, partial(observe, systemd=AllUnits(world.fleet)))
    answer = roll_back(
        world.fleet.state, "shop", RollbackRequest(best_effort=True), Caller("rb-1", "bob", best_effort=True, stop=stop), tools
    )
    assert answer["outcome"] == "failed"
    assert world.fleet.live() == {"web": NEW}


# -- the same way, or another


def row(got: str, **more: Any) -> dict[str, Any]:
    return {"name": "readyz", "verdict": "fail", "severity": "critical", "expected": "status 200", "got": got, **more}


BLUE = {"slot": "blue", "port": 18000, "release": "v1", "unit": "aistack-web@blue.service"}
GREEN = {"slot": "green", "port": 18001, "release": "v2", "unit": "aistack-web@green.service"}


@pytest.mark.parametrize(
    ("here", "there", "same"),
    [
        (row("status 503"), row("status 503"), True),
        (row("status 503"), row("status 500"), False),
        (row("127.0.0.1:18000: connection refused"), row("127.0.0.1:18001: connection refused"), True),
        (row("version = v1"), row("version = v2"), True),
        (row("version = v1"), row("version = v1"), False),
        (row("refused (http://db:9090/api/v1/query)"), row("refused (http://db:9090/api/v1/query)"), True),
        (row("http://files/v1/x: status 404"), row("http://files/v2/x: status 404"), True),
        (row("no answer within 5 s"), row("no answer within 5 s"), True),
        (row("latency_ms = 812.4 ms"), row("latency_ms = 9.1 ms"), True),
        (row("aistack-web@blue.service: killed (pid 7)"), row("aistack-web@green.service: killed (pid 91)"), True),
        (row("3 of 41 lines of aistack-web@blue.service match ERROR"), row("9 of 80 lines of aistack-web@green.service match ERROR"), True),
        (row("none of 41 lines of aistack-web@blue.service matches up"), row("9 of 80 lines of aistack-web@green.service match up"), False),
        (row("status 503"), row("status 503", verdict="error"), False),
        (row("status 503"), row("status 503", verdict="inconclusive"), False),
        (row("status 503"), row("status 200", verdict="pass"), False),
        (row("status 503"), row("status 503", name="other"), False),
    ],
)
def test_the_same_way(here: dict[str, Any], there: dict[str, Any], same: bool) -> None:
    serving = Serving("green", "", {there["name"]: there}, GREEN)
    assert bool(waived([here], BLUE, serving)) is same


def test_a_warning_needs_no_waiver_and_what_was_not_seen_has_none() -> None:
    serving = Serving(dead="no slot is live")
    assert waived([row("x", severity="warning"), row("x", verdict="inconclusive"), row("x", verdict="pass")], BLUE, serving) == {}
    assert list(waived([row("x")], BLUE, serving)) == ["readyz"]


def test_names_are_whole_words() -> None:
    assert way(row("v10 and v1"), BLUE)[1] == "v10 and ${release}"


# -- the real gate, real ports


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = self.server.statuses[self.path]
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_given: Any) -> None:
        pass


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def served(port: int, ready: int) -> Iterator[None]:
    """An application at *port*: alive, and ready or not."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Answer)
    server.statuses = {"/health": 200, "/readyz": ready}
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("blue", "green", "outcome"), [(503, 503, "ok"), (503, 200, "failed"), (503, 500, "failed"), (200, 503, "ok")])
def test_with_the_real_gate(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch, blue: int, green: int, outcome: str
) -> None:
    """The older release is warm in blue, the newer one serves from green."""
    monkeypatch.setattr(waivers, "WARM_S", 0.5)
    ports = {"blue": free_port(), "green": free_port(), "public": free_port()}
    for module in (fleet_module, fleet_module.FakeEdge.servers.__globals__):
        monkeypatch.setitem(module if isinstance(module, dict) else vars(module), "PORTS", ports)
    world = make_world("web")
    gates = {OLD: {"probes": PROBES, "deadline": 30.0 if outcome == "ok" else 3.0, "interval": 0.2}}
    (world.fleet.state / "gates" / "web.json").write_text(json.dumps(gates))

    def make(spec: Spec, gate: Any, journal: Journal) -> Slots:
        slots = world.fleet.make(spec, gate, journal)
        slots.node.holder = listener
        return slots

    tools = Tools(make, None, world.fleet.said.append, partial(observe, systemd=AllUnits(world.fleet)))
    with served(ports["blue"], blue), served(ports["green"], green), served(ports["public"], blue):
        answer = roll_back(world.fleet.state, "shop", RollbackRequest(best_effort=True), Caller("rb-1", "bob", best_effort=True), tools)
    assert answer["outcome"] == outcome
    assert bool(answer["plan"]["unverified"]) is ((blue, green) == (503, 503))
