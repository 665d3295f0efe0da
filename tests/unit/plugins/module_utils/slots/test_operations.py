# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Operations on slots: on a node that lives in a folder, so that a process that is killed leaves it as it was."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.haproxy import EdgeError, Load, Server
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import UNKEPT, UnitError, UnitState
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.file import NAMES, Declared, quote
from ansible_collections.phasegate.aistack.plugins.module_utils.journal import state as release_state
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.release.content import Content
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.contract import Failed, Refused, Request, Terminated
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.node import EdgeSpec, Judged, Spec, public_gate
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.operations import Slots

PORTS = {"blue": 18000, "green": 18001, "public": 8000}
V1, V2, V3 = Content("v1", "c1"), Content("v2", "c2"), Content("v3", "c2")
GATE = {"probes": [{"name": "health", "type": "http", "target": "http://127.0.0.1:${port}/health"}]}


class Machine:
    """systemd and HAProxy of a node, kept in a file. ``die_at``: the process is killed at that change, before or after it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.die_at: tuple[int, bool] | None = None
        self.raise_at: dict[str, BaseException] = {}
        self.count = 0
        self.did: list[str] = []
        self.watch: Callable[[dict[str, Any]], None] | None = None
        if not path.exists():
            off = {"running": False, "enabled": False}
            self._store({"blue": dict(off), "green": dict(off), "edge": {"blue": "maint", "green": "maint"}, "timers": []})

    def load(self) -> dict[str, Any]:
        return dict(json.loads(self.path.read_text()))

    def _store(self, state: dict[str, Any]) -> None:
        self.path.write_text(json.dumps(state))

    def tick(self, before: bool) -> None:
        """Killed here, if it is time."""
        self.count += before
        if self.die_at == (self.count, before):
            os._exit(9)

    def change(self, what: str, apply: Callable[[dict[str, Any]], None]) -> None:
        if what in self.raise_at:
            raise self.raise_at[what]
        self.tick(before=True)
        state = self.load()
        apply(state)
        self._store(state)
        self.did.append(what)
        if self.watch:
            self.watch(state)
        self.tick(before=False)


OFF = {"running": False, "enabled": False}


def slot_of(unit: str) -> str:
    """The slot of a unit or a timer; of the second and further instances of a slot their own names."""
    found = re.search(r"(?:blue|green)(?:-\d+)?(?=\.|$)", unit)
    assert found, unit
    return found[0]


def slot_like(name: str) -> bool:
    """Whether it is the name of a slot or of an instance."""
    return name.startswith(("blue", "green"))


class FakeSystemd:
    stop_timeout = 1.0

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.stubborn = False
        """Whether what is stopped ends only by SIGKILL."""
        self.outdated = False
        self.ended: list[tuple[str, bool]] = []
        """Transient units that were asked to end, and whether they were waited for."""

    def end(self, unit: str, wait: bool = False) -> None:
        self.ended.append((unit, wait))

    def show(self, *units: str) -> list[UnitState]:
        state = self.machine.load()
        found = []
        for unit in units:
            slot = slot_of(unit)
            if unit.endswith(".timer"):
                found.append(UnitState(unit, active="active" if slot in state["timers"] else "inactive"))
            else:
                here = state.get(slot, OFF)
                active = "active" if here["running"] else "inactive"
                really = here["enabled"]
                known = here.get("known", really)  # as of when the units were read
                since, files = here.get("since", 0.0), tuple(state.get("files", ()))
                found.append(UnitState(unit, "loaded", active, enabled=known, needs_reload=known != really, entered=since, files=files))
        return found

    def _set(self, verb: str, unit: str, key: str, value: bool) -> None:
        slot = slot_of(unit)
        self.machine.change(f"{verb} {slot}", lambda state: state.setdefault(slot, dict(OFF)).update({key: value}))

    def start(self, unit: str) -> None:
        slot = slot_of(unit)
        started = {"running": True, "since": time.monotonic()}
        self.machine.change(f"start {slot}", lambda state: state.setdefault(slot, dict(OFF)).update(started))

    def stop(self, unit: str) -> bool:
        self._set("stop", unit, "running", False)
        return not self.stubborn

    def stop_all(self, units: Sequence[str]) -> list[str]:
        return [unit for unit in units if not self.stop(unit)]

    def enable(self, unit: str) -> None:
        self._at_boot("enable", unit, True)

    def disable(self, unit: str) -> None:
        self._at_boot("disable", unit, False)

    def _at_boot(self, verb: str, unit: str, value: bool) -> None:
        slot = slot_of(unit)

        def apply(state: dict[str, Any]) -> None:
            here = state.setdefault(slot, dict(OFF))
            here.setdefault("known", here["enabled"])
            here["enabled"] = value

        self.machine.change(f"{verb} {slot}", apply)
        self.outdated = True

    def reload_if_changed(self) -> None:
        if self.outdated:
            self.reload()

    def reload(self) -> None:
        self.machine.change("reload", lambda state: [here.pop("known", None) for name, here in state.items() if slot_like(name)])
        self.outdated = False

    def schedule(self, name: str, seconds: int, script: str) -> None:
        if name.endswith("-resume"):
            self.machine.change("later resume", lambda state: state.update(resume=[seconds, script]))
            return
        self.machine.change(f"later {slot_of(name)}", lambda state: state["timers"].append(slot_of(name)))

    def cancel(self, name: str) -> None:
        if name.endswith("-resume"):
            if self.machine.load().get("resume"):
                self.machine.change("cancel resume", lambda state: state.pop("resume"))
            return
        slot = slot_of(name)
        if slot in self.machine.load()["timers"]:
            self.machine.change(f"cancel {slot}", lambda state: state["timers"].remove(slot))

    def log_tail(self, units: Sequence[str], since: float, lines: int = 30) -> list[str]:
        return ["connecting to postgresql://app:hunter22@db/x", f"{' and '.join(units)} says boo"]


class FakeEdge:
    backend = "web"
    doubt = ""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.left = 0

    def servers(self) -> dict[str, Server]:
        state = self.machine.load()
        words = {slot: "down" if word == "ready" and not state[slot]["running"] else word for slot, word in state["edge"].items()}
        weights = state.get("weights", {})
        return {slot: Server("web", slot, "127.0.0.1", PORTS[slot], word, weights.get(slot, 1)) for slot, word in words.items()}

    def weigh(self, server: str, weight: int) -> None:
        self.machine.change(f"weigh {server} {weight}", lambda now: now.setdefault("weights", {}).update({server: weight}))

    def set_state(self, server: str, state: str) -> None:
        self.machine.change(f"{state} {server}", lambda now: now["edge"].update({server: state}))

    def drained(self, server: str, timeout: float) -> int:
        return self.left

    def load(self, server: str) -> Load:
        return Load(0, "UP")


class MortalJournal(Journal):
    """The journal; the process may be killed at an append as well."""

    machine: Machine

    def append(self, record: dict[str, Any]) -> dict[str, Any]:
        self.machine.tick(before=True)
        complete = super().append(record)
        self.machine.tick(before=False)
        return complete


class FakeGate:
    """Passes everything but the releases in ``fails`` (on the slot's port) and ``fails_public``."""

    def __init__(self, fails: tuple[str, ...] = (), fails_public: tuple[str, ...] = ()) -> None:
        self.fails, self.fails_public = fails, fails_public
        self.asked: list[tuple[str, Any]] = []
        self.definitions: list[Mapping[str, Any]] = []
        self.verdict, self.more = "fail", dict[str, Any]()

    def __call__(self, definition: Mapping[str, Any], context: Mapping[str, Any], trouble: Callable[[], str]) -> Judged:
        public = context["port"] == PORTS["public"]
        self.asked.append((context["release"], context["port"]))
        self.definitions.append(definition)
        if context["release"] in (self.fails_public if public else self.fails):
            problem = {"probe": "health", "expected": "status 200", "got": "connection refused", "attempts": 7}
            return Judged(self.verdict, {**problem, **self.more})
        return Judged("pass")


class Bench:
    """A node with three staged releases."""

    def __init__(self, root: Path, edge: bool = True, **options: Any) -> None:
        self.root, self.with_edge, self.options = root, edge, options
        for content in (V1, V2, V3):
            (root / "opt/web/releases" / content.release).mkdir(parents=True, exist_ok=True)
            (root / "opt/web/config" / content.config).mkdir(parents=True, exist_ok=True)
            (root / "opt/web/config" / content.config / "env").write_text("DATABASE_URL=postgresql://app:hunter22@db/x\nLEVEL=info\n")
        self.machine = Machine(root / "machine.json")
        self.gate = FakeGate()
        self.holders: dict[int, str] = {}
        self.outsiders: dict[tuple[str, int], str] = {}
        self.journal = MortalJournal(root / "state/journal.jsonl")
        self.journal.machine = self.machine

    def slots(self, **options: Any) -> Slots:
        spec = Spec(
            component="web",
            root=self.root / "opt",
            state_dir=self.root / "state",
            ports=PORTS if self.with_edge else {},
            edge=EdgeSpec("/s", "web", "/f") if self.with_edge else None,
            **{"gate": GATE, **self.options, **options},
        )
        edge: Any = FakeEdge(self.machine) if self.with_edge else None
        systemd: Any = FakeSystemd(self.machine)
        slots = Slots(spec, self.gate, self.journal, systemd, edge)
        slots.node.holder = lambda port: self.holders.get(port, "")
        slots.node.outsider = lambda address, port: self.outsiders.get((address, port), "")
        return slots

    def serving(self) -> tuple[str, str] | None:
        """The slot and the release that do the work."""
        state = self.machine.load()
        slots = self.slots().node
        if self.with_edge:
            taking = [s for s in ("blue", "green") if state["edge"][s] == "ready" and state[s]["running"]]
        else:
            taking = [s for s in ("blue", "green") if s == slots.live() and state[s]["running"]]
        content = slots.content(taking[0]) if taking else None
        return (taking[0], content.release) if content else None

    def tidy(self, release: str) -> None:
        """One slot does the work, the other is out of the way, and the journal agrees."""
        state, node = self.machine.load(), self.slots().node
        live = node.live()
        assert live is not None
        assert self.serving() == (live, release)
        other = "green" if live == "blue" else "blue"
        assert state[live]["enabled"]
        assert not state[other]["enabled"]
        assert not state[other]["running"] or other in state["timers"]
        if self.with_edge:
            assert state["edge"][other] == "maint"
        known = release_state.derive(self.journal.read(), "web")
        assert known.live is not None
        assert (known.live.slot, known.live.release) == (live, release)
        assert [item for item in known.interrupted if item.op in ("activate", "revert")] == []
        assert self.journal.verify() == []

    def marks(self) -> dict[str, str]:
        return release_state.derive(self.journal.read(), "web").marks


@pytest.fixture(params=[True, False], ids=["edge", "no edge"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    return Bench(tmp_path, request.param)


@pytest.fixture
def fronted(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_first_activation_then_the_next_then_nothing(bench: Bench) -> None:
    first = bench.slots().activate(V1, Request(run="r1"))
    assert (first.changed, first.slot, first.previous) == (True, "blue", None)
    bench.tidy("v1")
    second = bench.slots().activate(V2, Request(run="r2"))
    assert (second.slot, second.previous) == ("green", {"slot": "blue", "release": "v1", "config": "c1"})
    bench.tidy("v2")
    records = len(bench.journal.read())
    again = bench.slots().activate(V2, Request(run="r3"))
    assert (again.changed, again.plan.steps) == (False, ())
    assert len(bench.journal.read()) == records
    assert bench.marks() == {"v1": "good", "v2": "good"}
    env = (bench.root / "opt/web/slots/green/slot.env").read_text()
    assert env == f"AISTACK_COMPONENT=web\nAISTACK_RELEASE=v2\nAISTACK_SLOT=green\nAISTACK_PORT={18001 if bench.with_edge else ''}\n"
    assert os.readlink(bench.root / "opt/web/slots/green/release") == "../../releases/v2"


def test_new_is_ready_before_old_drains_and_the_gate_is_asked_on_both_ports(fronted: Bench) -> None:
    fronted.slots().activate(V1, Request())
    fronted.machine.did.clear()
    fronted.gate.asked.clear()
    fronted.slots().activate(V2, Request())
    did = fronted.machine.did
    assert did == [
        *("start green", "enable green", "ready green", "drain blue", "disable blue", "maint blue", "stop blue", "reload"),
    ]
    assert fronted.gate.asked == [("v2", 18001), ("v2", 8000)]


@pytest.mark.parametrize("strategy", ["bluegreen", "recreate"])
def test_a_release_that_fails_leaves_the_old_one_as_it_was(tmp_path: Path, strategy: str) -> None:
    bench = Bench(tmp_path, edge=strategy == "bluegreen", strategy=strategy)
    bench.slots().activate(V1, Request(run="r1"))
    bench.machine.did.clear()
    bench.gate.fails = ("v2",)
    with pytest.raises(Failed) as failed:
        bench.slots().activate(V2, Request(run="r2"))
    report = failed.value.report
    assert (report["probe"], report["expected"], report["got"], report["attempts"]) == ("health", "status 200", "connection refused", 7)
    assert report["still_serving"] == {"release": "v1", "slot": "blue"}
    assert "v1 serves as before, in blue" in str(failed.value)
    assert any("says boo" in line for line in report["log_tail"])
    assert "hunter22" not in json.dumps(report)
    assert "hunter22" not in json.dumps(bench.journal.read())
    if strategy == "bluegreen":
        assert not any(step.split()[0] in ("ready", "drain", "maint") for step in bench.machine.did), "the edge was touched"
    bench.tidy("v1")
    assert bench.marks() == {"v1": "good", "v2": "bad"}
    with pytest.raises(Refused, match=r"marked bad .*health"):
        bench.slots().activate(V2, Request(run="r3"))
    bench.gate.fails = ()
    bench.slots().activate(V2, Request(run="r4", allow_bad=True))
    assert bench.marks()["v2"] == "good"


@pytest.mark.parametrize("verdict", ["pass", "fail"])
def test_the_journal_keeps_what_a_gate_expected_and_got(fronted: Bench, verdict: str) -> None:
    probe = {"name": "health", "severity": "critical", "verdict": verdict, "expected": "version = v1", "got": "x" * 900, "attempts": 2}

    def gate(_definition: Mapping[str, Any], _context: Mapping[str, Any], _trouble: Callable[[], str]) -> Judged:
        problem = {} if verdict == "pass" else {"probe": "health"}
        return Judged(verdict, problem, "1 probe", [{**probe, "latency_ms": 12.5, "log_tail": ["x"]}])

    slots = fronted.slots()
    slots.node.gate = gate
    if verdict == "pass":
        slots.activate(V1, Request(run="r1"))
    else:
        with pytest.raises(Failed):
            slots.activate(V1, Request(run="r1"))
    ended = next(record for record in fronted.journal.read() if record["op"] == "activate" and record["outcome"] != "started")
    assert [entry["public"] for entry in ended["detail"]["gates"]] == ([False, True] if verdict == "pass" else [False])
    assert ended["detail"]["gates"][0] == {
        "slot": "blue", "release": "v1", "public": False, "verdict": verdict, "probes": [{**probe, "got": "x" * 300, "latency_ms": 12.5}],
    }


def test_an_answer_that_may_be_right_names_the_gate_as_well(fronted: Bench) -> None:
    fronted.slots().activate(V1, Request(run="r1"))
    fronted.gate.fails, fronted.gate.more = ("v2",), {"answered": True}
    with pytest.raises(Failed, match=r"fix the gate \(aistack_components.web.gate, probe health\) and run again with -e allow_bad=true"):
        fronted.slots().activate(V2, Request(run="r2"))
    assert fronted.marks()["v2"] == "bad"


APP_NOT_THERE = 'ERROR:    Error loading ASGI app. Attribute "application" not found in module "app.main".'


def test_a_log_that_misses_the_application_names_the_option(fronted: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeSystemd, "log_tail", lambda *_: ["Started", APP_NOT_THERE])
    fronted.slots().activate(V1, Request(run="r1"))
    fronted.gate.fails = ("v2",)
    with pytest.raises(Failed) as failed:
        fronted.slots().activate(V2, Request(run="r2"))
    way = "aistack_components.web.options.app"
    assert way in failed.value.report["fix_gate"]
    assert way in str(failed.value)
    assert "run again with -e allow_bad=true" in str(failed.value)


def test_a_gate_that_cannot_be_judged_makes_no_release_bad_and_is_what_is_to_be_fixed(fronted: Bench) -> None:
    fronted.slots().activate(V1, Request(run="r1"))
    fronted.gate.fails, fronted.gate.verdict = ("v2",), "error"
    with pytest.raises(Failed, match=r"Fix the gate \(aistack_components.web.gate, probe health\), or what it names") as failed:
        fronted.slots().activate(V2, Request(run="r2"))
    assert "new tag" not in str(failed.value)
    assert fronted.marks() == {"v1": "good"}


def test_a_gate_that_changed_makes_no_good_release_bad(tmp_path: Path) -> None:
    bench = Bench(tmp_path, edge=True)
    bench.slots().activate(V1, Request(run="r1"))
    bench.slots().activate(V2, Request(run="r2"))
    bench.gate.fails = ("v1",)
    with pytest.raises(Failed) as failed:
        bench.slots().activate(V1, Request(run="r3"))
    assert not failed.value.report["marked_bad"]
    assert bench.marks() == {"v1": "good", "v2": "good"}
    assert bench.journal.read()[-1]["outcome"] == "failed"


def test_a_wrong_edge_is_noticed_and_traffic_goes_back(fronted: Bench) -> None:
    fronted.slots().activate(V1, Request())
    fronted.gate.fails_public = ("v2",)
    with pytest.raises(Failed, match="through the edge"):
        fronted.slots().activate(V2, Request())
    fronted.tidy("v1")
    assert "v2" not in fronted.marks(), "the edge was wrong, not the release"


def test_a_first_activation_that_fails_leaves_nothing(bench: Bench) -> None:
    bench.gate.fails = ("v1",)
    with pytest.raises(Failed) as failed:
        bench.slots().activate(V1, Request())
    assert failed.value.report["still_serving"] is None
    state = bench.machine.load()
    assert not state["blue"]["running"]
    assert bench.slots().node.live() is None


def test_a_config_that_fails_does_not_make_the_live_release_bad(bench: Bench) -> None:
    bench.slots().activate(V2, Request())
    bench.gate.fails = ("v2",)
    with pytest.raises(Failed):
        bench.slots().activate(Content("v2", "c1"), Request())
    assert bench.marks() == {"v2": "good"}
    bench.gate.fails = ()
    bench.tidy("v2")


def test_what_is_not_staged_is_refused_untouched(bench: Bench) -> None:
    for content, word in ((Content("v9", "c1"), "v9 is not staged"), (Content("v1", "c9"), "config c9 is not here")):
        with pytest.raises(Refused, match=word):
            bench.slots().activate(content, Request())
    assert bench.machine.did == []
    assert bench.journal.read() == []


def test_check_mode_tells_and_touches_nothing(bench: Bench) -> None:
    for expected_slot in ("blue", "green"):
        content = V1 if expected_slot == "blue" else V2
        before = sorted(str(path) for path in bench.root.rglob("*"))
        outcome = bench.slots().activate(content, Request(check=True))
        assert (outcome.changed, outcome.slot) == (True, expected_slot)
        assert str(outcome.plan.steps[0]) == f"write {expected_slot}"
        assert sorted(str(path) for path in bench.root.rglob("*")) == before
        bench.slots().activate(content, Request())
    unstaged = bench.slots().activate(Content("v9", "c9"), Request(check=True))
    assert "not staged here" in unstaged.warnings[0]


@pytest.mark.parametrize("back", [False, True])
def test_a_warm_slot_of_an_older_unit_is_started_again_by_a_deployment_and_taken_so_by_a_way_back(fronted: Bench, back: bool) -> None:
    fronted.slots().activate(V1, Request(run="r1"))
    fronted.slots(warm=300).activate(V2, Request(run="r2"))
    unit = fronted.root / "aistack-web@.service"
    state = fronted.machine.load()
    state["files"] = [str(unit)]
    fronted.machine.path.write_text(json.dumps(state))
    unit.write_text("[Service]\nUser=aistack-web\n")
    fronted.machine.did.clear()
    fronted.slots(warm=300).activate(V1, Request(run="r3"), back=back)
    assert fronted.serving() == ("blue", "v1")
    assert ("stop blue" in fronted.machine.did, "start blue" in fronted.machine.did) == (not back, not back)
    fronted.machine.did.clear()
    assert fronted.slots(warm=300).activate(V1, Request(run="r4")).changed is back  # what went back gets the unit of now by a deployment


@pytest.mark.parametrize("warm", [0, 300])
def test_reverted(fronted: Bench, warm: int) -> None:
    fronted.slots().activate(V1, Request(run="r1"))
    fronted.slots(warm=warm).activate(V2, Request(run="r2"))
    fronted.machine.did.clear()
    outcome = fronted.slots(warm=warm).revert(Request(run="r2", reason="the frontend failed"))
    assert (outcome.changed, outcome.slot, outcome.content) == (True, "blue", V1)
    fronted.tidy("v1")
    assert fronted.marks() == {"v1": "good", "v2": "bad"}
    assert release_state.derive(fronted.journal.read(), "web").reasons["v2"] == "the frontend failed"
    if warm:
        assert fronted.machine.did[0] == "cancel blue"
    assert not fronted.slots().revert(Request(run="r2")).changed
    assert not fronted.slots().revert(Request(run="r7")).changed


def test_reverting_the_first_activation_leaves_nothing_live(bench: Bench) -> None:
    bench.slots().activate(V1, Request(run="r1"))
    outcome = bench.slots().revert(Request(run="r1"))
    assert (outcome.changed, outcome.slot, outcome.content) == (True, None, None)
    state = bench.machine.load()
    assert not state["blue"]["running"]
    assert not state["blue"]["enabled"]
    assert bench.slots().node.live() is None
    assert release_state.derive(bench.journal.read(), "web").live is None


def test_a_later_run_is_not_undone(bench: Bench) -> None:
    for number, content in enumerate((V1, V2, V3), 1):
        bench.slots().activate(content, Request(run=f"r{number}"))
    outcome = bench.slots().revert(Request(run="r2"))
    assert not outcome.changed
    assert "r3" in outcome.message
    bench.tidy("v3")


def test_going_back_uses_the_gate_of_the_old_release(fronted: Bench) -> None:
    old = {"probes": [{"name": "old", "type": "tcp", "target": "127.0.0.1:${port}"}], "deadline": 3}
    fronted.slots(gate=old).activate(V1, Request(run="r1"))
    fronted.slots().activate(V2, Request(run="r2"))
    saved = json.loads((fronted.root / "state/gates/web.json").read_text())
    assert {tag: gate["probes"][0]["name"] for tag, gate in saved.items()} == {"v1": "old", "v2": "health"}
    fronted.gate.definitions.clear()
    fronted.slots().revert(Request(run="r2"))
    assert fronted.gate.definitions[0] == old


OLD_GATE = {"probes": [{"name": "old", "type": "http", "target": "http://127.0.0.1:${port}/old"}]}


@pytest.mark.parametrize("strategy", ["bluegreen", "recreate"])
def test_what_is_live_by_an_older_unit_is_started_by_the_one_of_now(tmp_path: Path, strategy: str) -> None:
    """As where a worker takes other queues: nothing else of it has changed, and it would go on with the former ones."""
    bench = Bench(tmp_path, edge=strategy == "bluegreen", strategy=strategy)
    bench.slots().activate(V1, Request(run="r1"))
    unit = tmp_path / "aistack-web@.service"
    unit.write_text("")
    bench.machine.path.write_text(json.dumps({**bench.machine.load(), "files": [str(unit)]}))
    would = bench.slots().activate(V1, Request(run="r2", check=True))
    assert would.changed
    bench.gate.definitions.clear()
    again = bench.slots().activate(V1, Request(run="r2"))
    assert (again.changed, again.slot) == (True, "green" if strategy == "bluegreen" else "blue")
    assert bench.gate.definitions[0] == GATE
    assert not bench.slots().activate(V1, Request(run="r3")).changed
    switched = [record for record in bench.journal.read() if (record["op"], record["run"]) == ("activate", "r2")]
    assert [record["detail"]["restart"] for record in switched] == [True, True]


def test_a_restart_judges_what_is_live_by_its_own_gate(fronted: Bench) -> None:
    fronted.slots(gate=OLD_GATE).activate(V1, Request(run="r1"))
    fronted.gate.definitions.clear()
    fronted.slots().restart(None, Request(run="r2"))
    assert fronted.gate.definitions[0] == OLD_GATE


TAKES = {"name": "queues", "type": "celery", "target": "app", "queues": ["celery"]}


@pytest.mark.parametrize("warm", [0, 300])
def test_a_way_back_judges_how_a_process_is_started_by_the_unit_of_now(fronted: Bench, warm: int) -> None:
    """A component has one unit: a worker that takes other queues since takes them whichever release it runs, unless it runs since then."""
    fronted.slots(gate={"probes": [*OLD_GATE["probes"], TAKES]}).activate(V1, Request(run="r1"))
    today = {**TAKES, "queues": ["default"]}
    fronted.slots(gate={"probes": [*GATE["probes"], today]}, warm=warm).activate(V2, Request(run="r2"))
    fronted.gate.definitions.clear()
    fronted.slots(gate=None, warm=warm).activate(V1, Request(run="r3"), back=True)
    assert fronted.gate.definitions[0]["probes"] == [*OLD_GATE["probes"], TAKES if warm else today]


def test_a_way_back_that_fails_asks_for_no_new_tag(fronted: Bench) -> None:
    fronted.slots().activate(V1, Request(run="r1"))
    fronted.slots().activate(V2, Request(run="r2"))
    fronted.gate.fails = ("v1",)
    with pytest.raises(Failed, match=r"v2 serves as before, in green\. Correct what the probe names, and run the same command again"):
        fronted.slots(gate=None).activate(V1, Request(run="r3", mark_bad=False), back=True)


def test_a_task_of_what_is_left_ends_on_the_way_back(fronted: Bench) -> None:
    task = "aistack-task-web.service"
    slots = fronted.slots()
    slots.activate(V1, Request(run="r1"))
    slots.activate(V2, Request(run="r2"))
    ended = cast(Any, slots.node.systemd).ended
    assert ended == [], "a deployment has no other run's task to end"
    slots.activate(V1, Request(run="r3"), back=True)
    slots.activate(V2, Request(run="r4"))
    slots.revert(Request(run="r4"))
    assert ended == [(task, False)] * 2, "nobody waits while what is broken serves"
    slots.stop(Request(run="r5", check=True))
    slots.stop(Request(run="r5"))
    slots.stop(Request(run="r5"))
    assert ended[2:] == [(task, True)] * 2, "data may go back under it next, also where the slots stand still already"


def test_what_goes_back_without_a_fault_of_its_own_stays_good(fronted: Bench) -> None:
    fronted.slots().activate(V1, Request(run="r1"))
    fronted.slots().activate(V2, Request(run="r2"))
    assert fronted.slots().revert(Request(run="r2", mark_bad=False, reason="workers did not end their tasks")).changed
    assert fronted.marks() == {"v1": "good", "v2": "good"}
    assert fronted.slots().activate(V2, Request(run="r3")).changed, "nobody has to say allow_bad"


def test_what_stays_live_is_not_judged_by_the_gate_of_another_release(fronted: Bench) -> None:
    fronted.slots(gate=OLD_GATE).activate(V1, Request(run="r1"))
    fronted.slots().activate(V2, Request(run="r2"))
    fronted.slots().revert(Request(run="r2"))
    fronted.gate.definitions.clear()
    fronted.slots().activate(Content("v1", "c2"), Request(run="r3"))  # another configuration, while the inventory's gate is that of v2
    assert fronted.gate.definitions[0] == OLD_GATE
    own = {"probes": [{**OLD_GATE["probes"][0], "name": "newer"}]}
    fronted.gate.definitions.clear()
    fronted.slots(gate=own).activate(V1, Request(run="r4"))  # a gate that is nobody's is meant
    assert fronted.gate.definitions[0] == own


def test_a_deployment_is_judged_by_what_is_asked_for_whoever_had_it_before(fronted: Bench) -> None:
    fronted.slots(gate=OLD_GATE).activate(V1, Request(run="r1"))
    fronted.slots().activate(V2, Request(run="r2"))
    fronted.gate.definitions.clear()
    fronted.slots().activate(V1, Request(run="r3"))
    assert fronted.gate.definitions[0] == GATE


def test_restarted_takes_the_other_slot_or_stays_where_there_may_be_one(tmp_path: Path) -> None:
    blue = Bench(tmp_path / "a")
    blue.slots().activate(V1, Request())
    assert blue.slots().restart(None, Request()).slot == "green"
    blue.tidy("v1")
    one = Bench(tmp_path / "b", edge=False, strategy="recreate")
    one.slots().activate(V1, Request())
    one.machine.did.clear()
    assert one.slots().restart(None, Request()).slot == "blue"
    assert one.machine.did == ["stop blue", "start blue"]
    with pytest.raises(Refused, match="nothing is live"):
        Bench(tmp_path / "c").slots().restart(None, Request())


def test_stopped_and_started_again(bench: Bench) -> None:
    bench.slots().activate(V1, Request())
    assert bench.slots().stop(Request()).changed
    assert bench.serving() is None
    assert not bench.slots().stop(Request()).changed
    bench.slots().activate(V1, Request())
    bench.tidy("v1")


def test_drained_and_resumed(fronted: Bench) -> None:
    fronted.slots().activate(V1, Request())
    seq = len(fronted.machine.did)
    assert fronted.slots().drain(Request(check=True)).changed
    assert fronted.machine.load()["edge"]["blue"] == "ready", "check mode changes nothing"
    assert fronted.slots().drain(Request()).changed
    assert not fronted.slots().drain(Request()).changed
    assert fronted.slots().resume(Request()).changed
    assert not fronted.slots().resume(Request()).changed
    assert fronted.machine.did[seq:] == ["drain blue", "ready blue"]
    fronted.tidy("v1")


def test_a_drain_that_nobody_ends_ends_by_itself(fronted: Bench) -> None:
    fronted.slots().activate(V1, Request())
    fronted.slots().drain(Request(), 90, "exec aistack resume web")
    assert fronted.machine.load()["resume"] == [90, "exec aistack resume web"]
    assert fronted.slots().resume(Request(), by_timer=True).changed
    assert fronted.machine.load()["edge"]["blue"] == "ready"
    fronted.slots().drain(Request(), 90, "exec aistack resume web")
    assert fronted.slots().resume(Request()).changed
    assert "resume" not in fronted.machine.load(), "somebody ended it"
    fronted.slots().drain(Request(), 90, "exec aistack resume web")
    fronted.slots().stop(Request())
    assert "resume" not in fronted.machine.load(), "it stands still on purpose"


def test_a_switch_ends_draining_and_nothing_is_left_to_resume(fronted: Bench) -> None:
    fronted.slots().activate(V1, Request())
    fronted.slots().drain(Request())
    fronted.slots().activate(V2, Request())
    assert fronted.serving() == ("green", "v2")
    assert not fronted.slots().resume(Request()).changed
    fronted.tidy("v2")


def test_requests_that_are_not_answered_in_time_are_told(fronted: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    fronted.slots().activate(V1, Request())
    monkeypatch.setattr(FakeEdge, "drained", lambda self, server, timeout: 3)
    assert "3 requests" in fronted.slots().drain(Request()).warnings[0]


def test_without_an_edge_there_is_nothing_to_drain(bench: Bench) -> None:
    bench.slots().activate(V1, Request())
    fronted = bench.slots().spec.edge is not None
    assert bench.slots().drain(Request()).changed == fronted


def test_trouble_with_the_old_slot_after_the_switch_is_told_not_undone(fronted: Bench) -> None:
    fronted.slots().activate(V1, Request())
    fronted.machine.raise_at = {"stop blue": UnitError("will not go", ["systemctl"], 1, "")}
    outcome = fronted.slots().activate(V2, Request())
    assert fronted.serving() == ("green", "v2")
    assert "will not go" in outcome.warnings[0]
    fronted.machine.raise_at = {}
    assert [str(step) for step in fronted.slots().activate(V2, Request()).plan.steps] == ["stop blue"]
    fronted.tidy("v2")


@pytest.mark.parametrize("at", ["start green", "ready green", "drain blue"])
@pytest.mark.parametrize(
    "error", [EdgeError("no answer"), Terminated("ended by signal 15"), KeyboardInterrupt()], ids=["error", "signal", "ctrl-c"]
)
def test_an_exception_goes_back_and_ends_the_record(fronted: Bench, at: str, error: BaseException) -> None:
    fronted.slots().activate(V1, Request())
    fronted.machine.raise_at = {at: error}
    with pytest.raises((Failed, type(error))):
        fronted.slots().activate(V2, Request())
    assert fronted.journal.read()[-1]["outcome"] == "failed"
    fronted.tidy("v1")


def test_sessions_that_stay_are_told(fronted: Bench) -> None:
    fronted.slots().activate(V1, Request())
    slots = fronted.slots()
    assert isinstance(slots.node.edge, FakeEdge)
    slots.node.edge.left = 3
    slots.node.edge.doubt = ". Process 7 could not be asked"
    warning = slots.activate(V2, Request()).warnings[0]
    assert warning == "web: 3 sessions were still open on blue after 60 s of draining. Process 7 could not be asked"


@pytest.mark.parametrize("strategy", ["bluegreen", "no edge", "recreate"])
def test_a_slot_that_does_not_stop_is_killed_and_named_and_the_switch_is_done(tmp_path: Path, strategy: str) -> None:
    bench = Bench(tmp_path, edge=strategy == "bluegreen", strategy="recreate" if strategy == "recreate" else "bluegreen")
    bench.slots().activate(V1, Request())
    slots = bench.slots()
    systemd: Any = slots.node.systemd
    systemd.stubborn = True
    outcome = slots.activate(V2, Request(run="r2"))
    said = "web: aistack-web@blue.service did not end when it was asked to (SIGTERM) and was killed"
    assert [text.split(":", 2)[:2] for text in outcome.warnings] == [said.split(":")]
    assert "slots.stop_timeout" in outcome.warnings[0]
    bench.tidy("v2")
    end = [record for record in bench.journal.read() if record["op"] == "activate"][-1]
    assert (end["outcome"], end["detail"]["unfinished"]) == ("ok", outcome.warnings)
    slots = bench.slots()
    systemd = slots.node.systemd
    systemd.stubborn = True
    assert "was killed" in slots.stop(Request()).warnings[0]


def test_a_slot_that_cannot_be_stopped_at_all_is_named_and_the_switch_is_done(fronted: Bench) -> None:
    fronted.slots().activate(V1, Request())
    fronted.machine.raise_at = {"stop blue": UnitError("could not stop aistack-web@blue.service, not even by SIGKILL", [], 1, "")}
    outcome = fronted.slots().activate(V2, Request(run="r2"))
    assert "v2 is live, but `stop blue` failed: could not stop aistack-web@blue.service, not even by SIGKILL" in outcome.warnings[0]
    assert fronted.serving() == ("green", "v2")


def test_of_which_one_may_run_is_not_started_beside_one_that_cannot_be_stopped(tmp_path: Path) -> None:
    bench = Bench(tmp_path, edge=False, strategy="recreate")
    bench.slots().activate(V1, Request())
    bench.machine.raise_at = {"stop blue": UnitError("could not stop aistack-web@blue.service, not even by SIGKILL", [], 1, "")}
    with pytest.raises(Failed, match=r"could not stop aistack-web@blue\.service.*v1 serves as before"):
        bench.slots().activate(V2, Request(run="r2"))
    bench.machine.raise_at = {}
    bench.tidy("v1")


def run_and_die(bench: Bench, at: tuple[int, bool], work: Callable[[Slots], object]) -> bool:
    """Do *work* in a process that is killed at a change; returns whether it was."""
    child = os.fork()
    if child == 0:
        bench.machine.die_at, bench.machine.count = at, 0
        try:
            work(bench.slots())
        except BaseException:  # noqa: BLE001 - a child of fork must never come back
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.parametrize("then", ["same", "other", "back"])
@pytest.mark.parametrize("strategy", ["bluegreen", "no edge", "recreate"])
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_killed_anywhere_the_next_call_finishes_or_goes_back(tmp_path: Path, strategy: str, then: str, before: bool) -> None:
    deaths = 0
    for step in range(1, 30):
        bench = Bench(tmp_path / str(step), edge=strategy == "bluegreen", strategy="recreate" if strategy == "recreate" else "bluegreen")
        bench.slots().activate(V1, Request(run="r1"))
        if not run_and_die(bench, (step, before), lambda slots: slots.activate(V2, Request(run="r2"))):
            break
        deaths += 1
        if strategy != "recreate":
            assert bench.serving() is not None, f"killed at {step}: nothing serves"
        if then == "same":
            finished = bench.slots().activate(V2, Request(run="r3"))
            bench.tidy("v2")
            bench.slots().revert(Request(run="r3"))
            bench.tidy("v1" if finished.changed else "v2")
        elif then == "other":
            bench.slots().activate(V3, Request(run="r3"))
            bench.tidy("v3")
        else:
            bench.slots().revert(Request(run="r2"))
            bench.tidy("v1")
    assert deaths >= 4


def test_never_two_instances_while_recreating(tmp_path: Path) -> None:
    bench = Bench(tmp_path, edge=False, strategy="recreate")
    bench.slots().activate(V1, Request())
    seen: list[int] = []
    bench.machine.watch = lambda state: seen.append(state["blue"]["running"] + state["green"]["running"])
    bench.slots().activate(V2, Request(run="r2"))
    bench.slots().revert(Request(run="r2"))
    bench.slots().restart(None, Request())
    assert max(seen) == 1


def test_status(fronted: Bench) -> None:
    fronted.slots().activate(V1, Request())
    status = fronted.slots(warm=60).status()
    assert (status["live"], status["serving"], status["interrupted"]) == ("blue", "blue", False)
    assert status["slots"]["blue"]["edge"] == "ready"
    assert status["slots"]["green"]["release"] is None


def test_the_retire_timer_looks_before_it_stops(fronted: Bench) -> None:
    """The script itself, with a systemctl that writes down what it is told."""
    node, folder = fronted.slots().node, fronted.slots().node.slots
    folder.mkdir(parents=True, exist_ok=True)
    live, told = folder / "live", folder / "told"
    program = folder / "systemctl"
    program.write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    program.chmod(0o755)
    stops = "disable --now --quiet aistack-web@blue.service\n"
    for points, stopped in (("blue", ""), ("green", stops), (None, stops)):
        live.unlink(missing_ok=True)
        if points:
            live.symlink_to(points)
        told.write_text("")
        script = node.own.retire_script("blue")
        assert not set(script) & set(UNKEPT)
        subprocess.run(["/bin/sh", "-c", script], env={"PATH": f"{folder}:/usr/bin:/bin"}, check=True)
        assert told.read_text() == stopped


def test_public_gate_takes_critical_probes_of_the_port_to_the_edge() -> None:
    gate = public_gate(
        {
            "probes": [
                {"name": "a", "type": "http", "target": "http://127.0.0.1:${port}/x"},
                {"name": "b", "type": "http", "target": "http://127.0.0.1:${port}/y", "severity": "warning"},
                {"name": "c", "type": "unit", "target": "${unit}"},
            ],
            "deadline": 60,
            "min_healthy_time": 9,
        },
        "10.0.0.1",
    )
    assert [probe["target"] for probe in gate["probes"]] == ["http://10.0.0.1:${port}/x"]
    assert (gate["deadline"], gate["min_healthy_time"]) == (15, 0)


def test_log_lines_are_masked_by_what_the_environment_really_holds(fronted: Bench) -> None:
    """Values as systemd reads them: quoted ones, and lines of those that have several."""
    nasty = 'pa$$w"rd\\x9'
    env = f"API_KEY={quote(nasty)}\nPEM_KEY={quote('first line' + chr(10) + 'second line')}\nURL=postgresql://u:p4ssw0rd@h/d\nLEVEL=debug\n"
    (fronted.root / "opt/web/config/c1/env").write_text(env)
    slots = fronted.slots()
    lines = [f"key {nasty}", "PEM second line", "password p4ssw0rd at debug", "amqp://u:other@h"]
    slots.node.systemd.log_tail = lambda unit, since, lines_=30: lines
    assert slots.node.log_tail("blue", V1, 0.0) == ["key ****[API_KEY]", "PEM ****[PEM_KEY]", "password **** at debug", "amqp://u:****@h"]


def test_the_log_is_shown_without_what_is_declared_secret(fronted: Bench) -> None:
    """Names alone do not tell: LICENCE is in no list of words."""
    folder = fronted.root / "opt/web/config/c1"
    (folder / "env").write_text("LICENCE=qwertz-7\nLEVEL=info\n")
    slots = fronted.slots()
    slots.node.systemd.log_tail = lambda unit, since, lines_=30: ["licence qwertz-7 at info"]
    assert slots.node.log_tail("blue", V1, 0.0) == ["licence qwertz-7 at info"]
    (folder / NAMES).write_text(Declared("s", frozenset({"LICENCE"})).text())
    assert slots.node.log_tail("blue", V1, 0.0) == ["licence ****[LICENCE] at info"]


def test_a_port_that_is_taken_names_the_process(fronted: Bench) -> None:
    fronted.slots().activate(V1, Request())
    fronted.holders = {18001: "nginx (pid 7)"}
    with pytest.raises(Failed, match=r"port 18001 of slot green is taken by nginx \(pid 7\)"):
        fronted.slots().activate(V2, Request())
    fronted.tidy("v1")
    assert "v2" not in fronted.marks(), "the release has no part in it"


def test_check_mode_sees_a_port_that_is_taken(fronted: Bench) -> None:
    fronted.slots().activate(V1, Request())
    before = fronted.slots().activate(V2, Request(check=True))
    assert before.changed
    fronted.holders = {18000: "the live slot itself", 18001: "nginx (pid 7)"}
    with pytest.raises(Refused, match=r"v2 would not start: port 18001 of slot green is taken by nginx \(pid 7\)"):
        fronted.slots().activate(V2, Request(check=True))
    fronted.slots().activate(V1, Request(check=True))


@pytest.mark.parametrize("check", [True, False])
def test_a_port_of_the_edge_that_is_taken_names_the_process_and_nothing_is_touched(fronted: Bench, check: bool) -> None:
    fronted.slots().activate(V1, Request())
    fronted.outsiders = {("127.0.0.1", 8000): "nginx (pid 7) on 0.0.0.0"}
    fronted.machine.did.clear()
    said = r"web: v2 could not be reached: 127\.0\.0\.1:8000 is held by nginx \(pid 7\) on 0\.0\.0\.0\. Expected nobody there but HAProxy"
    with pytest.raises(Refused, match=said):
        fronted.slots().activate(V2, Request(check=check))
    assert fronted.machine.did == []
    fronted.tidy("v1")
    assert "v2" not in fronted.marks(), "the release has no part in it"
    fronted.slots().activate(V1, Request(check=check))  # nothing is to be done


def test_whoever_goes_back_is_not_kept_by_a_port_of_the_edge(fronted: Bench) -> None:
    fronted.slots().activate(V1, Request(run="r1"))
    fronted.slots().activate(V2, Request(run="r2"))
    fronted.outsiders = {("127.0.0.1", 8000): "nginx (pid 7) on 0.0.0.0"}
    fronted.slots().activate(V1, Request(run="r3"), back=True)
    fronted.tidy("v1")
