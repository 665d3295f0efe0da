# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node with several components that lives in a folder: what the tests of rollbacks work on."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import UnitState
from ansible_collections.phasegate.aistack.plugins.module_utils.journal import state as release_state
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.release.content import Content
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.run import Tools
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.view import observe
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import component_file
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.canary import SharingSlots
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.contract import Request
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.node import EdgeSpec, Judged, Spec
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.operations import Slots
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.plan import Step
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.slots.test_operations import (
    GATE,
    PORTS,
    FakeEdge,
    FakeSystemd,
    Machine,
    slot_of,
)

KINDS = {"web": "fronted", "worker": "plain", "beat": "recreate", "page": "fronted"}


class WholeMachine(Machine):
    """Kept whole or not at all: another thread may be writing when the process is killed."""

    def _store(self, state: dict[str, Any]) -> None:
        aside = self.path.with_name(f"{self.path.name}.new")
        aside.write_text(json.dumps(state))
        aside.rename(self.path)


class PidSystemd(FakeSystemd):
    """Remembers each start, so that one process can be told from the next."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.fails: dict[str, BaseException] = {}

    def start(self, unit: str) -> None:
        state = self.machine.load()[slot_of(unit)]
        if not state["running"]:
            self.machine.change(f"pid {slot_of(unit)}", lambda now: now.update(pid=now.get("pid", 100) + 1))
            self.machine.change("note", lambda now: now[slot_of(unit)].update(pid=now["pid"]))
        super().start(unit)

    def show(self, *units: str) -> list[UnitState]:
        state = self.machine.load()
        found = []
        for unit, seen in zip(units, super().show(*units)):
            pid = state[slot_of(unit)].get("pid", 0) if seen.running and not unit.endswith(".timer") else 0
            found.append(UnitState(unit, seen.load, seen.active, enabled=seen.enabled, needs_reload=seen.needs_reload, main_pid=pid))
        return found


class AllUnits:
    """systemd of the whole node, for those who ask about every unit at once."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet

    def show(self, *units: str) -> list[UnitState]:
        return [self.fleet.systemd(re.split("[-@]", unit)[1]).show(unit)[0] for unit in units]


class FleetGate:
    """Passes everything but what is in ``fails``: (component, release), for the slot's port; ``public`` for the edge's."""

    def __init__(self) -> None:
        self.fails: set[tuple[str, str]] = set()
        self.public: set[tuple[str, str]] = set()
        self.asked: list[tuple[str, str, bool]] = []
        self.definitions: list[tuple[str, Mapping[str, Any]]] = []
        self.before: dict[str, Callable[[], None]] = {}
        self.lock = threading.Lock()

    def __call__(self, definition: Mapping[str, Any], context: Mapping[str, Any], trouble: Callable[[], str]) -> Judged:
        key, public = (context["component"], context["release"]), context["port"] == PORTS["public"]
        if not public and context["component"] in self.before:
            self.before[context["component"]]()
        with self.lock:
            self.asked.append((*key, public))
            self.definitions.append((context["component"], definition))
        why = trouble()
        if why or key in (self.public if public else self.fails):
            return Judged("fail", {"probe": "health", "expected": "status 200", "got": why or "connection refused", "attempts": 3})
        return Judged("pass")


class Fleet:
    """A node with ``web`` behind an edge, ``worker`` beside it and one ``beat``; releases v1, v2, v3 with configs c1, c2, c3."""

    def __init__(self, root: Path, *names: str, warm: int = 0) -> None:
        self.root, self.warm = root, warm
        self.kind: type[Slots] = SharingSlots
        root.mkdir(parents=True, exist_ok=True)
        self.events: list[tuple[str, str]] = []
        self.names = list(names or ("web", "worker", "beat"))
        self.gate = FleetGate()
        self.machines = {name: WholeMachine(root / f"{name}.machine") for name in self.names}
        self.state = root / "state"
        self.journal = Journal(self.state / "journal.jsonl")
        self.said: list[str] = []
        for order, name in enumerate(self.names):
            for number in (1, 2, 3):
                release = root / "opt" / name / "releases" / f"v{number}"
                release.mkdir(parents=True, exist_ok=True)
                manifest = {"tag": f"v{number}", "alembic_heads": [], "commit": f"{number}" * 40, "built_at": f"2026-01-0{number}"}
                (release / "release.json").write_text(json.dumps(manifest))
                config = root / "opt" / name / "config" / f"c{number}"
                config.mkdir(parents=True, exist_ok=True)
                (config / "env").write_text(f'LEVEL="level-{number}"\nTOKEN="hunter2"\n')
            component_file.save(component_file.describe(self.spec(name), {"application": "shop", "order": order}), self.state)

    def spec(self, name: str, **options: Any) -> Spec:
        fronted = KINDS.get(name) == "fronted"
        return Spec(
            component=name,
            root=self.root / "opt",
            state_dir=self.state,
            ports=PORTS if fronted else {},
            edge=EdgeSpec("/s", name, "/f") if fronted else None,
            strategy="recreate" if KINDS.get(name) == "recreate" else "bluegreen",
            warm=self.warm,
            **options,
        )

    def systemd(self, name: str) -> Any:
        return PidSystemd(self.machines[name])

    def make(self, spec: Spec, gate: Any, journal: Journal) -> Slots:
        machine = self.machines[spec.component]
        edge: Any = FakeEdge(machine) if spec.edge else None
        slots = self.kind(spec, gate, journal, self.systemd(spec.component), edge)
        slots.node.holder = lambda port: ""
        slots.node.outsider = lambda address, port: ""
        execute = slots.node.execute

        def noted(step: Step, target: Content, definition: Mapping[str, Any]) -> None:
            execute(step, target, definition)
            self.events.append((spec.component, step.do))

        slots.node.execute = noted
        return slots

    def deploy(self, number: int, *names: str, run: str = "") -> None:
        for name in names or self.names:
            slots = self.make(self.spec(name, gate=GATE), self.gate, self.journal)
            slots.activate(Content(f"v{number}", f"c{number}"), Request(run=run or f"deploy-{number}", actor="ann"))
        self.gate.asked.clear()
        self.gate.definitions.clear()
        self.events.clear()
        for machine in self.machines.values():
            machine.did.clear()

    def tools(self) -> Tools:
        return Tools(self.make, lambda: self.gate, self.said.append, partial(observe, systemd=AllUnits(self)))

    def live(self) -> dict[str, str | None]:
        """What the journal and the links agree on, by component."""
        found: dict[str, str | None] = {}
        records = self.journal.read()
        for name in self.names:
            slots = self.make(self.spec(name), self.gate, self.journal)
            live = slots.node.live()
            content = slots.node.content(live) if live else None
            known = release_state.derive(records, name).live
            assert (known.release if known else None) == (content.release if content else None), f"{name}: journal and links differ"
            state = self.machines[name].load()
            if live:
                assert state[live]["running"], f"{name}: {live} does not run"
                if slots.node.edge is not None:
                    assert state["edge"][live] == "ready"
            found[name] = content.release if content else None
        assert self.journal.verify() == []
        return found

    def marks(self, name: str) -> dict[str, str]:
        return release_state.derive(self.journal.read(), name).marks

    def records(self, op: str) -> list[dict[str, Any]]:
        return [record for record in self.journal.read() if record["op"] == op]
