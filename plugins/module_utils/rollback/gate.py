# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gates of components that go back together: each is judged as it was, and none takes traffic before all have passed."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ansible_collections.phasegate.aistack.plugins.module_utils.release.content import Content
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.waivers import BaselineComparison
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.node import GateCall, Judged, Node

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import Definition, Names

ASKED_TO_END = "this command was asked to end"
QUICK_S = 0.25
"""Seconds between two attempts of a probe, at most."""
STANDING_S = 1.0
"""Seconds of passing without a break that a release needs, at most: it has proven itself longer when it was deployed."""
URGENT_S = 0.25
"""The same in an emergency, where every second of it is one in which users are served by what is to go."""

_WORKING, _PASSED, _MOVED, _FAILED = "working", "passed", "moved", "failed"


class SwitchBarrier:
    """Holds components that go back together until each may take its traffic, in their order.

    Args:
        names: the components in the order in which they move.
        free: nobody waits for anybody.
        stop: set where this process is asked to end.
    """

    def __init__(self, names: Sequence[str], free: bool, stop: threading.Event) -> None:
        self._order = list(names)
        self.free = free
        self._stop = stop
        self._state = dict.fromkeys(names, _WORKING)
        self._why: dict[str, str] = {}
        self._changed = threading.Condition()

    def wait(self, name: str) -> str:
        """*name* has passed its gate: wait for its turn. Returns why it must not take it, or nothing."""
        with self._changed:
            self._set(name, _PASSED)
            if self.free:
                return ASKED_TO_END if self._stop.is_set() else ""
            while self._open(name):
                self._changed.wait(0.2)
            failed = [other for other in self._order if self._state[other] == _FAILED]
            if failed:
                return f"{failed[0]} did not go back: {self._why.get(failed[0]) or 'no reason given'}"
            return ASKED_TO_END if self._stop.is_set() and _MOVED not in self._state.values() else ""

    def _open(self, name: str) -> bool:
        """Whether it is still to be seen who may move."""
        states = self._state
        if _FAILED in states.values() or (self._stop.is_set() and _MOVED not in states.values()):
            return False
        if _WORKING in states.values():
            return True
        return any(states[other] == _PASSED for other in self._order[: self._order.index(name)])

    def wait_for_switch(self, names: Sequence[str], seconds: float) -> None:
        """Wait until each of *names* has moved or come to its end, for *seconds* at most."""
        end = time.monotonic() + seconds
        with self._changed:
            while any(self._state[name] not in (_MOVED, _FAILED) for name in names):
                if self._stop.is_set() or time.monotonic() >= end:
                    return
                self._changed.wait(0.2)

    def moved(self, name: str) -> None:
        """*name* has its traffic."""
        with self._changed:
            self._set(name, _MOVED)

    def end(self, name: str, well: bool, why: str = "") -> None:
        """*name* has come to its end."""
        with self._changed:
            self._why[name] = why
            self._set(name, _MOVED if well else _FAILED)

    def _set(self, name: str, state: str) -> None:
        self._state[name] = state
        self._changed.notify_all()


class BackGate:
    """Judges a slot to which a component goes back, then waits for its turn.

    The probes are those that the release was activated with. A slot that has been running all along since it served is asked once;
    one that had to be started stands the same test as then, with shorter pauses between the attempts and for a shorter time; for
    the shortest where nobody waits for anybody, which is an emergency.

    Args:
        name: the component.
        target: what it goes back to; where anything else is judged, the component is on its way back from there, having failed.
        gate: runs the probes.
        stop: set where this process is asked to end.
        barrier: says whose turn it is; None where nobody else moves.
        fronted: whether the gate is asked once more through the edge, after the traffic has moved.

    Attributes:
        comparison: set where what fails on the live release as well is waived; without it, the gate alone decides.
    """

    def __init__(
        self, name: str, target: Content, gate: GateCall, stop: threading.Event, barrier: SwitchBarrier | None, fronted: bool
    ) -> None:
        self.name, self._target, self._gate, self._stop, self._barrier = name, target, gate, stop, barrier
        self._fronted = fronted
        self.comparison: BaselineComparison | None = None
        self._node: Node | None = None
        self._pids: dict[str, int] = {}
        self._first = True

    def watch(self, node: Node, pids: Mapping[str, int] | None = None) -> None:
        """Remember which processes run before anything is done: *pids* by slot, or what is found now."""
        self._node = node
        if pids is None:
            pids = {slot: state.main_pid for slot, state in node.units(lenient=True).items() if state.running and state.main_pid}
        self._pids = dict(pids)

    def __call__(self, definition: Definition, context: Names, trouble: Callable[[], str]) -> Judged:
        """Ask, and where it passes on its own port, wait for the others."""
        judged_is = (context["release"], os.path.basename(str(context["config_path"])))
        if judged_is != (self._target.release, self._target.config):
            self._end("it did not come up")
            return self._gate(definition, context, trouble)
        first, self._first = self._first, False
        judged = self._judged(definition, context, trouble, first)
        if judged.verdict != "pass":
            self._end(f"its gate says {judged.verdict}")
        elif self._barrier is not None:
            why = self._barrier.wait(self.name) if first else ""
            if why:
                self._end(why)
                return Judged(
                    "inconclusive", {"probe": "the others", "expected": "all of them pass", "got": why, "attempts": 0}, why
                )
            if not first or not self._fronted:
                self._barrier.moved(self.name)
        return judged

    def _judged(self, definition: Definition, context: Names, trouble: Callable[[], str], first: bool) -> Judged:
        """What the gate says: *first* of the slot's own port, then through the edge."""
        if not first:
            ask = self._gate if self.comparison is None else partial(self.comparison.public, self._gate)
            return ask(definition, context, trouble)

        def asked_to_end() -> str:
            return ASKED_TO_END if self._stop.is_set() else trouble()

        warm = self._warm(str(context["slot"]))
        urgent = self._barrier is not None and self._barrier.free
        definition = once(definition) if warm else quick(definition, URGENT_S if urgent else STANDING_S)
        if self.comparison is None:
            return self._gate(definition, context, asked_to_end)
        return self.comparison.judge(self._gate, definition, context, asked_to_end, warm)

    def _end(self, why: str) -> None:
        """This one does not move: the others must not wait for it."""
        if self._barrier is not None:
            self._barrier.end(self.name, False, why)
            self._barrier = None

    def _warm(self, slot: str) -> bool:
        """Whether the very process that ran in *slot* before this command still runs there."""
        before = self._pids.get(slot)
        if self._node is None or not before:
            return False
        return self._node.systemd.show(self._node.spec.unit_of(slot))[0].main_pid == before


def once(definition: Definition) -> Definition:
    """*definition*, satisfied as soon as every probe has passed once."""
    return {**quick(definition), "successes": 1, "min_healthy_time": 0}


def quick(definition: Definition, standing: float = STANDING_S) -> Definition:
    """*definition* with short pauses and *standing* seconds to stand; failures that end it early may go on for as long as before."""
    pause = float(definition.get("interval") or 1.0)
    found: Definition = {**definition, "interval": min(QUICK_S, pause)}
    healthy, failures = definition.get("min_healthy_time"), definition.get("failures")
    if healthy:
        found["min_healthy_time"] = min(standing, float(healthy))
    if failures:
        found["failures"] = math.ceil(int(failures) * max(1.0, pause / QUICK_S))
    return found
