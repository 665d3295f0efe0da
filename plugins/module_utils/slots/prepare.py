# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starting and proving the new slots of several components side by side, before any of them takes traffic."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.haproxy import EdgeError
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import UnitError
from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import SLOTS
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record
from ansible_collections.phasegate.aistack.plugins.module_utils.release.content import Content
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import plan as sp
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.canary import SharingSlots
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.contract import Failed, Outcome, Refused, Request
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.node import GateCall, Judged
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.prepared import OP, ahead, asked_once, prepared_by

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import Definition, Names

PATIENCE_S = 900
"""Seconds after which a slot that nobody switched to is stopped by a timer of the node: whoever prepared it is gone."""


class PreparingSlots(SharingSlots):
    """The slots of one component, of which the idle one is made ready to take over."""

    def prepare(self, target: Content, request: Request) -> Outcome:
        """Start *target* in the idle slot and gate it on its own port; the live release is not touched.

        Only a component behind an edge is prepared: without one, what is started would begin to work. Where *target* is live,
        or has to replace what runs (``recreate``), nothing is done.

        Raises:
            Refused: it is not staged, or marked bad, or something else listens where the edge is to.
            Failed: it did not come up, or did not pass its gate; its slot is stopped again.
        """
        component = self.spec.component
        observed, records = self._observe(request)
        plan = ahead(self._plan(observed, target, False))
        serves, previous = self._previous(observed)
        if not observed.edge or plan.slot == serves or observed.interrupted:
            plan = sp.Plan(plan.slot, ())
        outcome = Outcome(bool(plan.steps), plan.slot, target, previous, plan, f"{component}: nothing to prepare")
        if not plan.steps:
            return outcome
        would = "would be " if request.check else ""
        outcome.message = f"{component}: {target.release} {would}proven in {plan.slot}; it takes no traffic yet"
        if not request.check:
            self._refuse(target, previous, records, request)
        self._refuse_unreachable(target)
        if request.check:
            return outcome
        detail: dict[str, Any] = {"slot": plan.slot, "config": target.config, "steps": [str(step) for step in plan.steps]}
        with self._operation(OP, target.release, request, detail) as op:
            slot = str(plan.slot)
            self.node.systemd.schedule(self.spec.timer_of(slot), PATIENCE_S, self.node.own.retire_script(slot))
            steps = tuple(step for step in plan.steps if step.do != sp.CANCEL)  # the timer is the new one now
            gate = self.gate_for(target.release, live=previous)
            try:
                self._carry_out(sp.Plan(slot, steps), target, gate, serves, previous, outcome, request, op)
            except BaseException:
                with contextlib.suppress(UnitError):  # its timer does it then
                    self.node.execute(sp.Step(sp.STOP, slot), target, gate)
                raise
            op.detail["process"] = self.process(slot)
        return outcome

    def process(self, slot: str) -> str:
        """What identifies the process that runs in *slot*; empty where none does."""
        pid = self.node.systemd.show(self.spec.unit_of(slot))[0].main_pid
        return f"{pid} {proc.start_time(pid)}" if pid else ""

    def _still_to_ask(
        self, gate: Definition, plan: sp.Plan, target: Content, records: Sequence[Record], request: Request
    ) -> Definition:
        """The very process that this run has proven a moment ago is asked once."""
        proven = prepared_by(records, self.spec.component, request.run)
        if not proven or (plan.slot, target.release, target.config) != (proven.get("slot"), proven["release"], proven.get("config")):
            return gate
        if plan.does(sp.STOP, str(plan.slot)) or self.process(str(plan.slot)) != proven.get("process"):
            return gate
        return asked_once(gate)

    def _not_activated(self, observed: sp.ObservedState, records: Sequence[Record], request: Request, nothing: Outcome) -> Outcome:
        """Stop what the run has prepared and never switched to."""
        component = self.spec.component
        shared = super()._not_activated(observed, records, request, nothing)
        if shared is not nothing:
            return shared
        proven = prepared_by(records, component, request.run)
        slot = str(proven.get("slot")) if proven else ""
        if not proven or slot not in SLOTS or slot in (observed.live, sp.serving(observed)):
            return nothing
        is_there = observed.slot(slot)
        if not is_there.running or is_there.content != Content(proven["release"], str(proven.get("config"))):
            return nothing
        plan = sp.Plan(observed.live, (sp.Step(sp.STOP, slot),))
        message = f"{component}: {proven['release']} stopped in {slot}; it had no traffic"
        outcome = replace(nothing, changed=True, plan=plan, message=message)
        if request.check:
            return outcome
        with self._operation("retire", proven["release"], request, {"slot": slot, "reason": request.reason or "not activated"}):
            for step in plan.steps:
                self.node.execute(step, Content("", ""), {})
        return outcome


@dataclass(frozen=True)
class Work:
    """One component to prepare."""

    slots: PreparingSlots
    target: Content
    request: Request


def asked_to_end(gate: GateCall, stop: threading.Event) -> GateCall:
    """*gate*, which gives up without a verdict against the release once *stop* is set."""

    def ask(definition: Definition, context: Names, trouble: Callable[[], str]) -> Judged:
        judged = gate(definition, context, lambda: "this process was asked to end" if stop.is_set() else trouble())
        if stop.is_set() and judged.verdict != "pass":
            return Judged("inconclusive", judged.problem, judged.summary, judged.probes)
        return judged

    return ask


def side_by_side(work: Sequence[Work]) -> tuple[list[tuple[str, Outcome]], list[Exception]]:
    """Prepare all of *work* at the same time; returns component and outcome of what went well, and the failures of the others."""
    done: dict[int, Outcome] = {}
    failed: dict[int, Exception] = {}

    def one(number: int, item: Work) -> None:
        try:
            done[number] = item.slots.prepare(item.target, item.request)
        except (Failed, Refused, EdgeError, UnitError, OSError) as error:
            failed[number] = error
        except Exception as error:
            failed[number] = error
            raise  # nobody expects it: where it came from is printed

    threads = [threading.Thread(target=one, args=pair, name=f"prepare {pair[1].slots.spec.component}") for pair in enumerate(work)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = [item.slots.spec.component for item in work]
    return [(names[number], done[number]) for number in sorted(done)], [failed[number] for number in sorted(failed)]
