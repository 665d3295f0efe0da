# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A release that gets a share of the requests beside what is live, and the way back from there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import SLOTS
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import LeaseLost
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import CANARY, STILL_OPEN, open_canary
from ansible_collections.phasegate.aistack.plugins.module_utils.release.content import Content
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import plan as sp
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.contract import Outcome, Refused, Request
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.operations import Slots

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import Interrupted, Served


class SharingSlots(Slots):
    """The slots of one component, of which the idle one may get a share of the requests.

    The live slot stays what it is: ``live`` names it, it alone starts at boot, and whatever ends in the middle leaves it serving.
    """

    def share(self, target: Content, percent: int, request: Request) -> Outcome:
        """Have *target* take *percent* of the requests (1 to 99) in the idle slot, once it has passed its gate there.

        Nothing is done where *target* is live, or where nothing is: then a switch gives it everything.

        Raises:
            Refused: no edge could share requests out, it is not staged, or marked bad, or what is live is down: it would get all requests.
            Failed: it did not come up, or did not pass its gate; it gets no requests any more.
        """
        component = self.spec.component
        if self.node.edge is None or self.spec.strategy == "recreate":
            raise Refused(f"{component}: only behind an edge, with two slots at a time, a release can get a share of the requests")
        observed, records = self._observe(request)
        known = open_canary(records, component)
        serves, previous, down = self._beside(observed, target)
        if down and not self._has_it_all(observed, target, known):
            raise Refused(f"{component}: {down}: {target.release} would get all requests, and not {percent} %. Repair what is live, or "
                          "deploy with strategy: bluegreen")
        plan = sp.Plan(serves, ())
        outcome = Outcome(False, serves, target, previous, plan, f"{component}: {target.release} has nothing to share requests with")
        if serves is None or previous is None or Content(previous["release"], previous["config"]) == target:
            return outcome
        plan = sp.plan_canary(observed, target, serves, percent)
        mine = known is not None and (known.run, known.release, known.detail.get("weight")) == (request.run, target.release, percent)
        outcome.plan, outcome.slot, outcome.changed = plan, plan.slot, bool(plan.steps) or not mine
        would = "would get" if request.check else "gets"
        outcome.message = f"{component}: {target.release} {would} {percent} % of the requests in {plan.slot}, beside {previous['release']}"
        outcome.warnings += [f"{component}: {down}: {target.release} gets all requests, and not {percent} %"] if down else []
        if request.check or not outcome.changed:
            return outcome
        self._refuse(target, previous, records, request)
        self._refuse_unreachable(target)
        detail: dict[str, Any] = {"slot": plan.slot, "config": target.config, "weight": percent,
                                  "previous": self._live_before(known, previous), "steps": [str(step) for step in plan.steps]}
        with self._operation(CANARY, target.release, request, detail) as op:
            gate = self.gate_for(target.release, live=previous)
            asked = self._still_to_ask(gate, plan, target, records, request)
            try:
                self._carry_out(plan, target, asked, serves, previous, outcome, request, op)
            except BaseException as error:
                report = op.detail.get("report") or {}
                if isinstance(error, LeaseLost) or report.get("going_back_failed"):
                    op.detail[STILL_OPEN] = True  # nobody has taken its share away, so that the next one has to
                raise
            self._save_gate(target.release, gate)
        return outcome

    def _beside(self, observed: sp.ObservedState, target: Content) -> tuple[str | None, Served | None, str]:
        """What serves beside *target*, and that it is down, in words: what is live counts then, whoever answers at the edge."""
        live = observed.live
        content = observed.slot(live).content if live else None
        if live is None or content is None or content == target or observed.slot(live).edge != sp.DOWN:
            return (*self._previous(observed), "")
        down = f"{content.release}, which is live in {live}, is down at the edge"
        return live, {"slot": live, "release": content.release, "config": content.config}, down

    @staticmethod
    def _has_it_all(observed: sp.ObservedState, target: Content, known: Interrupted | None) -> bool:
        """Whether *target* has a share already, and all requests since what is live is down: without it nobody would answer."""
        idle = observed.slot(sp.other(str(observed.live)))
        return known is not None and known.release == target.release and (idle.content, idle.edge) == (target, sp.READY)

    @staticmethod
    def _live_before(known: Interrupted | None, previous: Served) -> Served:
        """What serves beside it; of a canary that is open already, what served when that one began."""
        before: Served | None = known.detail.get("previous") if known is not None else None
        return before or previous

    def _not_activated(self, observed: sp.ObservedState, records: Sequence[Record], request: Request, nothing: Outcome) -> Outcome:
        """Have what is live get all requests again, where this run shared them out. Of another run's share nothing is known to be wrong."""
        component = self.spec.component
        known = open_canary(records, component)
        before: Served | None = known.detail.get("previous") if known is not None else None
        if known is None or not before:
            return nothing
        if known.run != request.run:
            nothing.message += f"; {known.release} keeps the share of the requests that run {known.run} gave it"
            return nothing
        target = Content(before["release"], before["config"])
        slot = next((name for name in SLOTS if observed.slot(name).content == target), None)
        plan = sp.plan_active(observed, target, self.spec.strategy, into=slot, trusted=slot is not None)
        outcome = replace(nothing, changed=True, slot=plan.slot, content=target, plan=plan)
        went = "would get" if request.check else "gets"
        outcome.message = f"{component}: {known.release} {went} no requests any more; {target.release} serves in {plan.slot}"
        if request.check:
            return outcome
        serves, current = self._previous(observed)
        detail = {"slot": plan.slot, "config": target.config, "of": target.config, "reason": request.reason, "previous": current,
                  "reverted": {"release": known.release, "run": known.run}}
        with self._operation("revert", target.release, request, detail) as op:
            gate = self.gate_for(target.release, saved_first=True, live=current, warm=self._goes_on(observed, plan))
            self._carry_out(plan, target, gate, serves, current, outcome, replace(request, mark_bad=False), op)
            self._settle(outcome)
            if request.mark_bad and known.release and known.release != target.release:
                self._mark(known.release, "bad", request.reason or f"taken back with everything that run {known.run} began", request)
        return outcome
