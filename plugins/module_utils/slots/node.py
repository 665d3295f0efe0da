# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The slots of one component on this node: what is real about them, and each single step that changes them."""

from __future__ import annotations

import errno
import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.haproxy import EdgeError
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import Systemd, UnitError, UnitState, now
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import fsync, replace_link, write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.core.masking import Masker
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import SLOTS
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import Home
from ansible_collections.phasegate.aistack.plugins.module_utils.core.sockets import at, holders, outsiders, shown
from ansible_collections.phasegate.aistack.plugins.module_utils.edge.haproxy import Edge
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.file import parse_env, secrets_beside
from ansible_collections.phasegate.aistack.plugins.module_utils.release.content import Content
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import plan as sp
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.contract import noted
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.plan import ObservedState, Slot, Step
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.units import SlotUnits

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import Definition, Names, ProbeRow
    from ansible_collections.phasegate.aistack.plugins.module_utils.slots.contract import Report

_TIMING = {
    sp.START: "start_s",
    sp.GATE: "gate_s",
    sp.PUBLIC: "gate_s",
    sp.TO_READY: "shift_s",
    sp.TO_DRAIN: "shift_s",
    sp.TO_MAINT: "shift_s",
    sp.LIVE: "shift_s",
    sp.DRAINED: "drain_s",
    sp.STOP: "stop_s",
    sp.RETIRE: "stop_s",
}


def listener(port: int) -> str:
    """Who listens on a TCP port of this node, in words; empty if nobody does."""
    return shown(holders(port))


def not_haproxy(address: str, port: int) -> str:
    """Who listens in the place of HAProxy, in words; empty if it does, or nobody."""
    return shown(outsiders((address, port), "haproxy"))


@dataclass(frozen=True)
class EdgeSpec:
    """Where the edge of a component is: admin socket, backend section, state file, address that its port is bound to."""

    socket: str
    backend: str
    state_file: str
    address: str = "127.0.0.1"


@dataclass(frozen=True)
class Spec:
    """All that is said about a component's slots on a node.

    Attributes:
        unit: name of the unit, with ``%s`` or ``{slot}`` where the slot's name goes.
        ports: ``blue``, ``green`` and ``public``; empty for a component that listens nowhere.
        gate: ``probes`` (canonical) and the settings of the gate; None where nothing was given.
        drain_timeout, stop_timeout, warm: seconds.
        instances: processes of a slot.
    """

    component: str
    root: Path
    state_dir: Path
    unit: str = ""
    ports: Mapping[str, int] = field(default_factory=dict)
    edge: EdgeSpec | None = None
    strategy: str = "bluegreen"
    gate: Definition | None = None
    drain_timeout: float = 60.0
    stop_timeout: float = 30.0
    warm: int = 0
    instances: int = 1

    def unit_of(self, slot: str) -> str:
        """The unit that runs *slot*, or one of its instances."""
        template = self.unit or f"aistack-{self.component}@{{slot}}.service"
        return template.replace("{slot}", slot).replace("%s", slot)

    def timer_of(self, slot: str) -> str:
        """Name, without suffix, of the transient timer that stops *slot* when it has been kept warm."""
        return f"aistack-{self.component}-retire-{slot}"

    @property
    def resume_timer(self) -> str:
        """Name, without suffix, of the transient timer that ends a drain which nobody ended."""
        return f"aistack-{self.component}-resume"


class Unmet(TypedDict, total=False):
    """The probe that a gate was not passed for: what it ``expected`` and ``got``; ``answered``: whether something answered at all."""

    probe: str | None
    expected: str | None
    got: str | None
    attempts: int | None
    answered: bool | None


@dataclass(frozen=True)
class Judged:
    """What a gate said.

    Attributes:
        verdict: ``pass``, ``fail``, ``inconclusive`` or ``error``.
        problem: of the first critical probe that did not pass: ``probe``, ``expected``, ``got``, ``attempts``.
        summary: one line.
        probes: one row for each probe, as the gate has it: ``name``, ``severity``, ``verdict``, ``expected``, ``got``.
    """

    verdict: str
    problem: Unmet = field(default_factory=Unmet)
    summary: str = ""
    probes: Sequence[ProbeRow] = ()


GateCall = Callable[["Definition", "Names", Callable[[], str]], Judged]
"""``gate(definition, context, trouble)``: runs the probes; ``trouble()`` says why going on is pointless, or nothing."""


class GateFailed(Exception):
    """A slot did not pass its gate."""

    def __init__(self, slot: str, public: bool, judged: Judged, log_tail: list[str]) -> None:
        problem = judged.problem
        where = "through the edge" if public else "on its own port"
        super().__init__(
            f"slot {slot} did not pass its gate {where}: probe {problem.get('probe', '?')}: "
            f"expected {problem.get('expected', '?')}, got {problem.get('got', judged.verdict)} "
            f"(verdict {judged.verdict}, attempts {problem.get('attempts', 0)})"
        )
        self.slot = slot
        self.public = public
        self.judged = judged
        self.log_tail = log_tail


@dataclass
class Node:
    """The slots of one component on this node.

    Attributes:
        timings: seconds by kind of step, added up over everything that was done.
        done: the steps that were done.
        left: sessions that were still open when a slot's draining was given up, by slot; and what of them is not known.
        killed: units that did not end when they were asked to, in order.
        asked: the gates that slots had to pass, in order, as the journal keeps them: ``slot``, ``release``, ``public`` (through the edge),
            ``verdict``, ``probes`` (see :func:`contract.noted`).
    """

    spec: Spec
    gate: GateCall
    systemd: Systemd
    edge: Edge | None = None
    holder: Callable[[int], str] = listener
    outsider: Callable[[str, int], str] = not_haproxy
    timings: dict[str, float] = field(default_factory=dict)
    done: list[Step] = field(default_factory=list)
    left: dict[str, tuple[int, str]] = field(default_factory=dict)
    killed: list[str] = field(default_factory=list)
    began: dict[str, float] = field(default_factory=dict)
    fresh_starts: set[str] = field(default_factory=set)
    asked: list[dict[str, Any]] = field(default_factory=list)

    def remarks(self) -> list[str]:
        """What has to be known of the steps that were done, although each of them was."""
        name = self.spec.component
        found = [
            f"{name}: {left} sessions were still open on {slot} after {self.spec.drain_timeout:g} s of draining{doubt}"
            for slot, (left, doubt) in self.left.items()
        ]
        return found + [
            f"{name}: {unit} did not end when it was asked to (SIGTERM) and was killed: what it was doing was interrupted. Last output"
            f" lines: journalctl -u {unit}. Fix what it does at SIGTERM, or give it longer (aistack_components.{name}.slots.stop_timeout)"
            for unit in self.killed
        ]

    # -- where things are

    @property
    def home(self) -> Home:
        """Folders of the component."""
        return Home(self.spec.root, self.spec.component)

    @property
    def slots(self) -> Path:
        """Folder of the slots."""
        return self.home.slots_dir

    def release_path(self, content: Content) -> Path:
        """Tree of a release."""
        return self.home.release(content.release)

    def config_path(self, content: Content) -> Path:
        """Folder of a config."""
        return self.home.configs / content.config

    def missing(self, content: Content) -> str:
        """What of *content* is not on this node, in words; empty if all is there."""
        if not self.release_path(content).is_dir():
            return f"release {content.release} is not staged here: {self.release_path(content)} does not exist"
        if not (self.config_path(content) / "env").exists():
            return f"config {content.config} is not here: {self.config_path(content) / 'env'} does not exist"
        return ""

    # -- what is real

    def observe(self, lenient: bool = False) -> ObservedState:
        """Read what is real about the slots.

        Args:
            lenient: on a node that has no systemd or edge yet (check mode): take them for empty.

        Raises:
            EdgeError, UnitError: they do not answer, and it is not lenient.
        """
        units = self.units(lenient)
        states: dict[str, str | None] = dict.fromkeys(SLOTS)
        weights: dict[str, int] = {}
        if self.edge is not None:
            try:
                servers = self.edge.servers()
                states = {slot: servers[slot].state for slot in SLOTS}
                weights = {slot: servers[slot].weight for slot in SLOTS}
            except EdgeError:
                if not lenient:
                    raise
                states = dict.fromkeys(SLOTS, sp.MAINT)
            except KeyError as error:
                raise EdgeError(f"backend section {self.edge.backend} has no server {error}; it needs `blue` and `green`") from error
        found = {slot: self._slot(slot, units, states[slot], weights.get(slot)) for slot in SLOTS}
        return ObservedState(live=self.live(), blue=found["blue"], green=found["green"], edge=self.edge is not None)

    @property
    def own(self) -> SlotUnits:
        """The units of the slots."""
        return SlotUnits(self.spec, self.systemd)

    def units(self, lenient: bool = False) -> dict[str, UnitState]:
        """States of the units of both slots, by instance, and of their timers, under ``<slot>.timer``."""
        names = {instance: self.spec.unit_of(instance) for slot in SLOTS for instance in self.own.existing(slot)}
        names.update({f"{slot}.timer": f"{self.spec.timer_of(slot)}.timer" for slot in SLOTS})
        try:
            found = self.systemd.show(*names.values())
            if any(state.needs_reload for state in found):  # a process before this one was interrupted before systemd knew what is enabled
                self.systemd.reload()
                found = self.systemd.show(*names.values())
            return dict(zip(names, found))
        except UnitError:
            if not lenient:
                raise
            return {key: UnitState(name) for key, name in names.items()}

    def _slot(self, slot: str, units: Mapping[str, UnitState], edge: str | None, weight: int | None) -> Slot:
        content = self.content(slot)
        stale = content is not None and _read(self.slots / slot / "slot.env") != self.slot_env(slot, content)
        retiring = units[f"{slot}.timer"].active == "active"
        return replace(self.own.seen(slot, units), content=content, edge=edge, retiring=retiring, stale=stale, weight=weight)

    def live(self) -> str | None:
        """The slot that the ``live`` link names."""
        name = _link(self.home.live_link)
        return name if name in SLOTS else None

    def content(self, slot: str) -> Content | None:
        """What the links of *slot* name; None where one is missing."""
        release, config = _link(self.slots / slot / "release"), _link(self.slots / slot / "config")
        return Content(release, config) if release and config else None

    def slot_env(self, slot: str, content: Content) -> str:
        """What stands in the ``slot.env`` of *slot*."""
        values = {
            "AISTACK_COMPONENT": self.spec.component,
            "AISTACK_RELEASE": content.release,
            "AISTACK_SLOT": slot,
            "AISTACK_PORT": str(self.spec.ports.get(slot, "")),
        }
        return "".join(f"{key}={value}\n" for key, value in values.items())

    def context(self, slot: str, content: Content, public: bool = False) -> Names:
        """What the names in a probe are filled in with, and since when logs count."""
        return {
            "since": self.began.get(slot),
            "component": self.spec.component,
            "release": content.release,
            "release_path": str(self.release_path(content)),
            "config_path": str(self.config_path(content)),
            "slot": slot,
            "port": self.spec.ports.get("public" if public else slot),
            "unit": self.spec.unit_of(slot),
            "instances": self.own.wanted(slot),
            "units": self.own.units(slot),
            "own": not public,
        }

    # -- steps

    def execute(self, step: Step, target: Content, definition: Definition) -> None:
        """Do one step. Doing it twice does no harm.

        Raises:
            GateFailed, EdgeError, UnitError, OSError: it could not be done.
        """
        begin = time.monotonic()
        try:
            self._execute(step, target, definition)
        finally:
            key = _TIMING.get(step.do)
            if key:
                self.timings[key] = round(self.timings.get(key, 0.0) + time.monotonic() - begin, 3)
        self.done.append(step)

    def _execute(self, step: Step, target: Content, definition: Definition) -> None:
        slot, own = step.slot, self.own
        if step.do == sp.CANCEL:
            self.systemd.cancel(self.spec.timer_of(slot))
        elif step.do == sp.WRITE:
            self.write(slot, target)
        elif step.do == sp.START:
            self._start(slot)
        elif step.do == sp.STOP:
            self.systemd.cancel(self.spec.timer_of(slot))
            self.killed += own.stop(slot)
        elif step.do == sp.ENABLE:
            for unit in own.units(slot):
                self.systemd.enable(unit)
        elif step.do == sp.DISABLE:
            for unit in own.all_units(slot):
                self.systemd.disable(unit)
        elif step.do in (sp.GATE, sp.PUBLIC):
            self._gate(slot, definition, step.do == sp.PUBLIC)
        elif step.do == sp.LIVE:
            replace_link(self.home.live_link, slot)
        elif step.do == sp.UNLIVE:
            self.home.live_link.unlink()
            fsync(self.slots)
        elif step.do == sp.RETIRE:
            self.systemd.schedule(self.spec.timer_of(slot), self.spec.warm, self.own.retire_script(slot))
        elif self.edge is None:
            raise EdgeError(f"step `{step}` needs an edge, and {self.spec.component} has none")
        elif step.do == sp.DRAINED:
            left = self.edge.drained(slot, self.spec.drain_timeout)
            if left:
                self.left[slot] = (left, self.edge.doubt)
        elif step.value is not None:
            self.edge.weigh(slot, step.value)
        else:
            self.edge.set_state(slot, step.do)

    def _start(self, slot: str) -> None:
        """Start what is to run in *slot* and does not: a warm slot does, unless its timer was quicker than this."""
        self.began[slot] = now()
        self.own.link(slot)
        idle = self.own.idle(slot)
        self.fresh_starts.update([self.spec.unit_of(slot)] if self.spec.instances == 1 else idle)
        taken = self.port_taken(slot) if idle else ""
        if taken:
            raise UnitError(taken, [], 1, "")
        for unit in idle:
            self.systemd.start(unit)

    def port_taken(self, slot: str) -> str:
        """Say who listens where a slot is to listen, and what to do; empty if nobody does."""
        port = self.spec.ports.get(slot)
        holder = self.holder(port) if port else ""
        if not holder:
            return ""
        return (
            f"port {port} of slot {slot} is taken by {holder}: expected nobody to listen there. "
            "Stop it, or give the slot another port in aistack_ports"
        )

    def edge_taken(self) -> str:
        """Say who listens where the edge is to be reached, and what to do; empty if it does, or nobody."""
        port = self.spec.ports.get("public")
        held = self.outsider(self.spec.edge.address, port) if self.spec.edge and port else ""
        if not held or not self.spec.edge or not port:
            return ""
        return (
            f"{at(self.spec.edge.address, port)} is held by {held}. Expected nobody there but HAProxy. "
            "Stop what holds the place, or give the component another port in aistack_ports and have site.yml bring it to the edge"
        )

    def write(self, slot: str, content: Content) -> None:
        """Point *slot* at *content*. ``slot.env`` goes last: until it fits, the slot counts as not written."""
        folder = self.slots / slot
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        replace_link(folder / "release", f"../../releases/{content.release}")
        replace_link(folder / "config", f"../../config/{content.config}")
        self.own.unlink(slot)
        self.own.link(slot)
        write_file(folder / "slot.env", self.slot_env(slot, content), 0o644)

    def _gate(self, slot: str, definition: Definition, public: bool) -> None:
        content = self.content(slot)
        if content is None:
            folder = self.slots / slot
            lost = f"slot {slot} of {self.spec.component} has lost its links ({folder}/release and config). Deploy its release again"
            raise UnitError(lost, [], 1, "")
        began = self.began.setdefault(slot, now())
        trouble = self.own.watch(slot, self.fresh_starts)
        if public:
            address = self.spec.edge.address if self.spec.edge else "127.0.0.1"
            definition = public_gate(definition, address)
        judged = self.gate(definition, self.context(slot, content, public), trouble)
        told = {"slot": slot, "release": content.release, "public": public, "verdict": judged.verdict}
        self.asked.append({**told, "probes": [noted(row) for row in judged.probes]})
        if judged.verdict != "pass":
            raise GateFailed(slot, public, judged, self.log_tail(slot, content, began))

    def log_tail(self, slot: str, content: Content, since: float) -> list[str]:
        """The last lines of the slot's log since *since*, without what its environment keeps secret."""
        env = self.config_path(content) / "env"
        masker = Masker.of(parse_env(_read(env)), secrets_beside(env))
        return [masker.mask(line) for line in self.own.log_tail(slot, since)]


def failure_report(error: BaseException) -> Report:
    """What a failed step is told as: C(probe), C(expected), C(got), C(attempts), C(verdict) and C(log_tail)."""
    if isinstance(error, GateFailed):
        asked = error.judged.problem
        return {
            "probe": asked.get("probe"),
            "expected": asked.get("expected"),
            "got": asked.get("got"),
            "attempts": asked.get("attempts"),
            "answered": asked.get("answered"),
            "verdict": error.judged.verdict,
            "log_tail": error.log_tail,
        }
    return {"probe": None, "expected": None, "got": str(error), "attempts": 0, "verdict": "error", "log_tail": []}


def public_gate(definition: Definition, address: str) -> Definition:
    """The part of a gate that is asked once more through the edge: critical probes of the slot's port, once.

    The slot's own port is on the loopback address, the edge's perhaps on another: *address* takes its place.
    """
    probes = []
    for probe in definition.get("probes", []):
        text = json.dumps(probe)
        if "${port}" in text and probe.get("severity", "critical") == "critical":
            moved = re.sub(r"(?:127\.0\.0\.1|localhost|\[::1\]):\$\{port\}", f"{address}:${{port}}", text)
            probes.append(json.loads(moved))
    deadline = min(15, definition.get("deadline") or 15)
    return {
        "probes": probes,
        "interval": 0.2,
        "successes": 1,
        "min_healthy_time": 0,
        "deadline": deadline,
        "start_period": 0,
        "failures": 0,
    }


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _link(path: Path) -> str | None:
    try:
        return os.path.basename(os.readlink(path)) or None
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EINVAL):  # not there, or not a link
            return None
        raise
