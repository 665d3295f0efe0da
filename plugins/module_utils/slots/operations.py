# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Operations on the slots of a component: make a release live, take it back, restart, stop, tell.

Each reads what is real, plans (:mod:`slots.plan`), writes the journal, does the steps, and on failure goes back.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.haproxy import EdgeError
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import Systemd, UnitError
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import SLOTS, task_unit
from ansible_collections.phasegate.aistack.plugins.module_utils.edge.haproxy import Edge
from ansible_collections.phasegate.aistack.plugins.module_utils.gate import saved as saved_gate
from ansible_collections.phasegate.aistack.plugins.module_utils.journal import state as release_state
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import LeaseLost, require
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import Served
from ansible_collections.phasegate.aistack.plugins.module_utils.release import way_back
from ansible_collections.phasegate.aistack.plugins.module_utils.release.content import Content
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import app_log, plan as sp
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.contract import Failed, Log, Outcome, Refused, Request
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.node import GateCall, GateFailed, Node, Spec, failure_report
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.plan import ObservedState, Plan

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import Definition
    from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import LiveLinks
    from ansible_collections.phasegate.aistack.plugins.module_utils.slots.contract import Report, StillLive

_TROUBLE = (GateFailed, EdgeError, UnitError, OSError)
FAST_DRAIN_S = 5.0
"""Seconds of draining where a signal asked the process to end."""


class Slots:
    """The slots of one component on this node.

    Args:
        spec: what is said about them.
        gate: judges a slot.
        journal: the node's journal.
        systemd, edge: how units and the edge are reached; made from *spec* if None.
    """

    def __init__(self, spec: Spec, gate: GateCall, journal: Log, systemd: Systemd | None = None, edge: Edge | None = None) -> None:
        self.spec = spec
        self.journal = journal
        if edge is None and spec.edge is not None:
            edge = Edge(spec.edge.socket, spec.edge.backend, spec.edge.state_file)
        self.node = Node(spec, gate, systemd or Systemd(stop_timeout=spec.stop_timeout), edge)
        self.gates_file = saved_gate.path_of(spec.state_dir, spec.component)

    # -- operations

    def activate(self, target: Content, request: Request, fresh: bool = False, back: bool = False) -> Outcome:
        """Make *target* live, after it has passed its gate.

        Args:
            target: release and config, both on this node.
            request: who asks.
            fresh: start it again even where it is live.
            back: it served before: judged by the gate of that time, and noted as a way back, which does not make it newer.

        Raises:
            Refused: it is not staged, or marked bad, or something else listens where the edge is to.
            Failed: it did not come up, or did not pass its gate; what was live before serves on.
        """
        observed, records = self._observe(request)
        serves, previous = self._previous(observed)
        # what is live as it was described before would go on so: the same of it is started by the unit of now
        restart = not back and serves is not None and observed.slot(serves).content == target and observed.slot(serves).outdated
        plan = self._plan(observed, target, fresh or restart, back)
        outcome = Outcome(bool(plan.steps) or observed.interrupted, plan.slot, target, previous, plan)
        if not outcome.changed:
            outcome.message = f"{self.spec.component}: {target.release} is live in {plan.slot}"
            return outcome
        if request.check:
            outcome.message = f"{self.spec.component}: would make {target.release} live in {plan.slot}"
            outcome.warnings += [f"{missing} yet" for missing in [self.node.missing(target)] if missing]
            starts = [step.slot for step in plan.steps if step.do == sp.START and not observed.slot(step.slot).running]
            taken = [taken for taken in map(self.node.port_taken, starts) if taken]
            if taken:
                raise Refused(f"{self.spec.component}: {target.release} would not start: {taken[0]}")
            if not back:
                self._refuse_unreachable(target)
            return outcome
        self._refuse(target, previous, records, request)
        if not back:  # who goes back is in a hurry, and told by the gate
            self._refuse_unreachable(target)
        came_from = self._interrupted_previous(records, target) if observed.interrupted else previous
        outcome.previous = came_from
        detail: dict[str, Any] = {
            "slot": plan.slot,
            "config": target.config,
            "previous": came_from,
            "restart": fresh or restart,
            "steps": [str(step) for step in plan.steps],
        }
        if back:
            gone = came_from["release"] if came_from else None
            detail.update({"reverted": {"release": gone, "run": ""}, "reason": request.reason})
        with self._operation("revert" if back else "activate", target.release, request, detail) as op:
            if back:  # what it does belongs to what is left, and nobody waits for it here
                self.node.systemd.end(task_unit(self.spec.component))
            runs = self._goes_on(observed, plan)
            gate = self.gate_for(target.release, saved_first=back or (fresh and not restart), live=previous, warm=runs)
            asked = self._still_to_ask(gate, plan, target, records, request)
            self._carry_out(plan, target, asked, serves, previous, outcome, request, op)
            if not (back and outcome.warm_until):  # who goes back is in a hurry, and the timer of the warm slot ends with it
                self._settle(outcome)
            self._save_gate(target.release, gate)
            if request.mark_good and release_state.derive(records, self.spec.component).marks.get(target.release) != "good":
                self._mark(target.release, "good", "its gate held", request)
        outcome.message = f"{self.spec.component}: {target.release} is live in {plan.slot}"
        return outcome

    def restart(self, target: Content | None, request: Request) -> Outcome:
        """Start *target*, or what is live, again: in the other slot where an edge allows it, else in place.

        Raises:
            Refused: nothing is live and nothing was named.
            Failed: as for :meth:`activate`.
        """
        if target is None:
            observed, _records = self._observe(request)
            serves = sp.serving(observed)
            target = observed.slot(serves).content if serves else None
            if target is None and request.check:
                return Outcome(False, None, None, None, Plan(None, ()), f"{self.spec.component}: nothing is live that could be restarted")
            if target is None:
                raise Refused(f"{self.spec.component}: nothing is live here that could be restarted; activate a release first")
        return self.activate(target, request, fresh=True)

    def revert(self, request: Request) -> Outcome:
        """Take back what the run *request.run* activated for this component; nothing to do where it activated nothing.

        Raises:
            Refused: what it replaced is no longer on this node.
            Failed: what it replaced did not come up; what was live before serves on.
        """
        observed, records = self._observe(request)
        component = self.spec.component
        mine = [a for a in release_state.activations_of_run(records, request.run) if a.component == component]
        nothing = Outcome(
            False, observed.live, observed.slot(observed.live).content if observed.live else None, None, Plan(observed.live, ())
        )
        if not mine:
            nothing.message = f"{component}: run {request.run} activated nothing here that is still to be taken back"
            return self._not_activated(observed, records, request, nothing)
        later = [a for a in release_state.derive(records, component).activations if a.seq > mine[0].seq and a.run != request.run]
        if any(a.outcome != "failed" for a in later):
            nothing.message = f"{component}: run {later[-1].run} has switched since; what {request.run} activated is no longer live"
            return nothing
        serves, current = self._previous(observed)
        back, gone = mine[0].previous, mine[0].release
        target = way_back.content(self.spec.root, component, back)
        plan = self._plan(observed, target, False, True) if target else sp.plan_stopped(observed, unlink=True)
        outcome = Outcome(bool(plan.steps) or observed.interrupted, plan.slot, target, current, plan)
        did, where = "would go" if request.check else "went", target.release if target else "nothing"
        outcome.message = f"{component}: {did} back from {gone} to {where}"
        if not outcome.changed and back and target and target.config != back["config"]:
            outcome.message += f"; only secrets had changed, and those stay (level config to {back['config']} has the former ones)"
        if request.check or not outcome.changed:
            return outcome
        way_back.content(self.spec.root, component, back, write=True)
        if target and self.node.missing(target):
            raise Refused(f"{component}: cannot go back to {target.release}: {self.node.missing(target)}")
        detail = {
            "slot": plan.slot,
            "config": target.config if target else None,
            "of": back["config"] if back else None,
            "reverted": {"release": gone, "run": request.run},
            "previous": current,
            "reason": request.reason,
        }
        with self._operation("revert", target.release if target else None, request, detail) as op:
            self.node.systemd.end(task_unit(component))
            runs = self._goes_on(observed, plan)
            gate = self.gate_for(target.release, saved_first=True, live=current, warm=runs) if target else {}
            # where it does not come up again, what it stands on is to blame: it was good
            self._carry_out(plan, target, gate, serves, current, outcome, replace(request, mark_bad=False), op)
            self._settle(outcome)
            if gone and request.mark_bad and gone != (target.release if target else None):
                self._mark(gone, "bad", request.reason or f"taken back with everything that run {request.run} activated", request)
        return outcome

    def stop(self, request: Request) -> Outcome:
        """Take the component out of traffic and stop it, and a task that runs; the ``live`` link stays, so that it can be started again."""
        observed, _records = self._observe(request)
        plan = sp.plan_stopped(observed)
        _serves, previous = self._previous(observed)
        content = observed.slot(observed.live).content if observed.live else None
        outcome = Outcome(bool(plan.steps), observed.live, content, previous, plan, f"{self.spec.component}: stopped")
        if request.check:
            return outcome
        try:  # data may be about to go back under it
            self.node.systemd.end(task_unit(self.spec.component), wait=True)
        except UnitError as error:
            raise Failed(f"{self.spec.component}: a task of a release could not be stopped: {error}", {"got": str(error)}) from error
        if not plan.steps:
            return outcome
        if self.node.edge is not None:  # what stands still on purpose is not to be led requests again
            self.node.systemd.cancel(self.spec.resume_timer)
        detail = {"slot": observed.live, "reason": request.reason or "stopped"}
        with self._operation("retire", content.release if content else None, request, detail):
            try:
                for step in plan.steps:
                    self.node.execute(step, content or Content("", ""), {})
            except _TROUBLE as error:
                raise Failed(f"{self.spec.component}: could not be stopped: {error}", {"got": str(error)}) from error
            self._settle(outcome)
        outcome.timings = self.node.timings
        outcome.warnings += self.node.remarks()
        return outcome

    def drain(self, request: Request, resume_after: int = 0, command: str = "") -> Outcome:
        """Let the live slot take no new request, and wait until it has answered those that it has.

        What it could not answer within ``drain_timeout`` is a warning. :meth:`resume`, or a switch, ends it; so does a restart of the edge.

        Args:
            request: who asks.
            resume_after: seconds after which the node ends it by itself, if nobody has: whoever asked may be gone. 0: never.
            command: what it then runs, a line for the shell.
        """
        if resume_after and self.node.edge is not None and not request.check:
            self.node.systemd.schedule(self.spec.resume_timer, resume_after, command)
        return self._at_edge("drain", request)

    def resume(self, request: Request, by_timer: bool = False) -> Outcome:
        """Let the live slot take requests again, where :meth:`drain` had it refuse them. *by_timer*: its timer is what asks."""
        if self.node.edge is not None and not by_timer and not request.check:
            self.node.systemd.cancel(self.spec.resume_timer)
        return self._at_edge("ready", request)

    def _at_edge(self, wanted: str, request: Request) -> Outcome:
        observed, _records = self._observe(request)
        _serves, previous = self._previous(observed)
        content = observed.slot(observed.live).content if observed.live else None
        outcome = Outcome(False, observed.live, content, previous, Plan(observed.live, ()), f"{self.spec.component}: nothing to {wanted}")
        edge = self.node.edge
        if edge is None or observed.live is None or observed.slot(observed.live).edge != {"drain": "ready", "ready": "drain"}[wanted]:
            return outcome
        outcome.changed = True
        outcome.message = f"{self.spec.component}: {observed.live} takes {'no new requests' if wanted == 'drain' else 'requests again'}"
        if request.check:
            return outcome
        try:
            if wanted == "drain" and observed.slot(sp.other(observed.live)).edge in (sp.READY, sp.DOWN):  # a canary takes none either
                edge.set_state(sp.other(observed.live), "maint")
            edge.set_state(observed.live, wanted)
            left = edge.drained(observed.live, self.spec.drain_timeout) if wanted == "drain" else 0
        except EdgeError as error:
            raise Failed(f"{self.spec.component}: could not be set to {wanted} at the edge: {error}", {"got": str(error)}) from error
        if left:
            outcome.warnings.append(f"{self.spec.component}: {left} requests not answered after {self.spec.drain_timeout:g} s{edge.doubt}")
        return outcome

    def status(self) -> dict[str, Any]:
        """What is real: live slot, and per slot its content, unit and edge state."""
        observed, records = self._observe(Request(check=True))
        units = self.node.units(lenient=True)
        return {
            "live": observed.live,
            "serving": sp.serving(observed),
            "interrupted": observed.interrupted,
            "marks": release_state.derive(records, self.spec.component).marks,
            "slots": {
                name: {
                    "release": slot.content.release if slot.content else None,
                    "config": slot.content.config if slot.content else None,
                    "running": slot.running,
                    "enabled": slot.enabled,
                    "edge": slot.edge,
                    "warm": slot.retiring,
                    "port": self.spec.ports.get(name),
                    "pid": units[name].main_pid or None,
                    "restarts": units[name].restarts,
                    "since": units[name].active_since or None,
                }
                for name, slot in ((name, observed.slot(name)) for name in SLOTS)
            },
        }

    # -- parts of them

    def _still_to_ask(self, gate: Definition, plan: Plan, target: Content, records: Sequence[Record], request: Request) -> Definition:
        return gate

    def _not_activated(self, observed: ObservedState, records: Sequence[Record], request: Request, nothing: Outcome) -> Outcome:
        return nothing

    def gate_for(
        self, release: str, saved_first: bool = False, live: Served | LiveLinks | None = None, warm: bool = False
    ) -> Definition:
        """The gate of *release*: what was asked for, else the one it was activated with, else none.

        Going back and restarting take the saved one first: an old release is judged as it was, not as a newer one is. So does what is
        *live* and stays so, where what was asked for is the gate that another release was activated with. How a process was started is
        judged as of now, unless it is *warm*: it runs since then.
        """
        gates = self._gates()
        saved = gates.get(release)
        given = self.spec.gate or None
        stays = live is not None and live["release"] == release
        if stays and given and saved_gate.of_another(gates, release, given.get("probes") or []):
            saved_first = True
        if saved_first and saved:
            return {**saved} if warm else saved_gate.as_started(saved, given or gates.get(live["release"] or "" if live else ""))
        chosen: Definition = given or saved or {"probes": []}
        return {**chosen}

    @staticmethod
    def _goes_on(observed: ObservedState, plan: Plan) -> bool:
        """Whether the process that is to be live runs already, and is not started again."""
        return plan.slot in SLOTS and observed.slot(plan.slot).running and not plan.does(sp.STOP, plan.slot)

    def _gates(self) -> dict[str, Definition]:
        try:
            return saved_gate.load(self.spec.state_dir, self.spec.component)
        except ValueError as error:
            raise Refused(f"{self.gates_file} is not JSON ({error}); remove it and activate again") from error

    def _save_gate(self, release: str, gate: Definition) -> None:
        known = self._gates()
        if known.get(release) == gate:
            return  # as on the way back, which must not need room on the disk for it
        kept = {tag: saved for tag, saved in known.items() if self.node.release_path(Content(tag, "")).is_dir()}
        kept[release] = gate
        saved_gate.save(self.spec.state_dir, self.spec.component, kept)

    def _observe(self, request: Request) -> tuple[ObservedState, list[Record]]:
        observed = self.node.observe(lenient=request.check)
        records = self.journal.read()
        left = release_state.interrupted(records, self.spec.component)
        return replace(observed, interrupted=any(i.op in ("activate", "revert", "canary") for i in left)), records

    def _plan(self, observed: ObservedState, target: Content, fresh: bool, back: bool = False) -> Plan:
        return sp.plan_active(observed, target, self.spec.strategy, warm=self.spec.warm > 0, fresh=fresh, as_it_runs=back)

    def _previous(self, observed: ObservedState) -> tuple[str | None, Served | None]:
        serves = sp.serving(observed)
        content = observed.slot(serves).content if serves else None
        if serves is None or content is None:
            return None, None
        return serves, {"slot": serves, "release": content.release, "config": content.config}

    def _interrupted_previous(self, records: Sequence[Record], target: Content) -> Served | None:
        """What was live before a switch that was interrupted and is now taken up, or a share: the journal knows, links and edge may not."""
        left = release_state.interrupted(records, self.spec.component)
        for found in reversed(left):
            if found.op in ("activate", "revert") and found.release == target.release and found.detail.get("config") == target.config:
                before: Served | None = found.detail.get("previous")
                return {**before} if before else None
        # beside a share the edge may send everything to what has it: what is live is down, or drained already
        shared: list[Served | None] = [found.detail.get("previous") for found in left if found.op == release_state.CANARY]
        known = next((before for before in shared if before), None)
        return {**known} if known else self._previous(self.node.observe())[1]

    def _refuse(self, target: Content, previous: Served | None, records: Sequence[Record], request: Request) -> None:
        missing = self.node.missing(target)
        if missing:
            raise Refused(f"{self.spec.component}: {missing}. Deploy it first: deploy.yml -e release={target.release}")
        state = release_state.derive(records, self.spec.component)
        is_live = previous is not None and previous["release"] == target.release
        if state.marks.get(target.release) == "bad" and not is_live and not request.allow_bad:
            reason = state.reasons.get(target.release) or "no reason given"
            raise Refused(
                f"{self.spec.component}: release {target.release} is marked bad ({reason}). "
                "Choose another release, or say -e allow_bad=true if it is to be tried again"
            )

    def _refuse_unreachable(self, target: Content) -> None:
        taken = self.node.edge_taken()
        if taken:
            raise Refused(f"{self.spec.component}: {target.release} could not be reached: {taken}")

    def _carry_out(
        self,
        plan: Plan,
        target: Content | None,
        gate: Definition,
        serves: str | None,
        previous: Served | None,
        outcome: Outcome,
        request: Request,
        op: Any,
    ) -> None:
        """Do the steps; before the new slot is live a failure leads back, afterwards it is reported and the rest done."""
        proven, content = False, target or Content("", "")
        try:
            for step in plan.steps:
                try:
                    if not proven:
                        require(self.spec.state_dir, request.run, f"go on with {self.spec.component} ({step})")
                    self.node.execute(step, content, gate)
                except _TROUBLE as error:
                    if not proven:
                        raise
                    outcome.warnings.append(f"{self.spec.component}: {content.release} is live, but `{step}` failed: {error}")
                proven = proven or step.do == sp.LIVE
        except _TROUBLE as error:
            report = failure_report(error)
            if report.get("answered"):
                where = f"aistack_components.{self.spec.component}.gate, probe {report['probe']}"
                report["fix_gate"] = f"fix the gate ({where}) and run again with -e allow_bad=true"
            elif app_log.misses_app(report["log_tail"]):
                where = f"aistack_components.{self.spec.component}.options.app"
                report["fix_gate"] = f"fix what names the application ({where}) and run again with -e allow_bad=true"
            report.update(self._go_back(plan, serves, previous))
            blame = isinstance(error, GateFailed) and not error.public and error.judged.verdict == "fail"
            if blame and target and request.mark_bad and not (previous and previous["release"] == target.release):
                report["marked_bad"] = self._mark(target.release, "bad", str(error)[:500], request)
            op.detail["report"] = {key: value for key, value in report.items() if key != "log_tail"}
            good = not request.mark_bad or bool(previous and target and previous["release"] == target.release)
            raise Failed(self._sentence(error, target, report, good), report) from error
        except BaseException as error:
            if not proven and not isinstance(error, LeaseLost):  # whoever has the lock now decides what is live
                self.node.spec = replace(self.node.spec, drain_timeout=min(FAST_DRAIN_S, self.node.spec.drain_timeout))
                op.detail["report"] = self._go_back(plan, serves, previous)
            raise
        finally:
            outcome.timings = dict(self.node.timings)
            op.detail.update({"gates": self.node.asked} if self.node.asked else {})
        outcome.warnings += self.node.remarks()
        if any(step.do == sp.RETIRE for step in self.node.done):
            outcome.warm_until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.spec.warm))
        op.detail.update({"timings": outcome.timings, "warm_until": outcome.warm_until, "unfinished": list(outcome.warnings)})

    def _settle(self, outcome: Outcome) -> None:
        """Have systemd know what is started at boot now."""
        try:
            self.node.systemd.reload_if_changed()
        except UnitError as error:  # a boot goes by what is on disk
            outcome.warnings.append(f"{self.spec.component}: {error}")

    def _go_back(self, plan: Plan, serves: str | None, previous: Served | None) -> Report:
        """Make what was live before serve again, alone. Its own troubles are told, never raised: the first failure counts."""
        try:
            observed = self.node.observe()
            if serves is None or previous is None:
                back, content = sp.plan_stopped(observed, unlink=True), Content("", "")
            elif plan.slot == serves:  # the live slot itself was to be repaired: there is nothing else to go back to
                return {"still_serving": None, "went_back": []}
            else:
                content = Content(previous["release"], previous["config"])
                back = sp.plan_active(observed, content, self.spec.strategy, into=serves, trusted=True)
            gate = self.gate_for(content.release, saved_first=True)
            for step in back.steps:
                self.node.execute(step, content, gate)
            self.node.systemd.reload_if_changed()
        except (*_TROUBLE, Refused) as error:
            return {"still_serving": None, "went_back": [str(s) for s in self.node.done], "going_back_failed": str(error)}
        still: StillLive | None = {"release": previous["release"], "slot": serves} if previous else None
        return {"still_serving": still, "went_back": [str(step) for step in back.steps]}

    def _sentence(self, error: BaseException, target: Content | None, report: Report, good: bool) -> str:
        still = report.get("still_serving")
        if report.get("going_back_failed"):
            ending = f"Going back failed too: {report['going_back_failed']}. Run the same again once that is fixed"
        elif still:
            ending = f"{still['release']} serves as before, in {still['slot']}. "
            if report["verdict"] == "error" and report["probe"]:
                where = f"aistack_components.{self.spec.component}.gate, probe {report['probe']}"
                ending += f"Fix the gate ({where}), or what it names on the node"
            elif good:  # it was before: a new tag would not help it
                ending += "Correct what the probe names, and run the same command again, or go to another release"
            else:
                ending += "Fix the release and deploy it under a new tag"
            if report.get("fix_gate"):
                ending += f"; or, where {'the answer' if report.get('answered') else 'the release'} is right, {report['fix_gate']}"
        else:
            ending = "Nothing served before. See the log's tail in this report"
        return f"{self.spec.component}: {target.release if target else 'nothing'} was not made live: {error}. {ending}."

    def _mark(self, release: str, state: str, reason: str, request: Request) -> bool:
        """Note it in the journal; False where a gate that has changed since would make bad what was good before this run."""
        if state == "bad" and release_state.good_before(self.journal.read(), self.spec.component, release, request.run):
            return False
        self.journal.mark(self.spec.component, release, state, reason, request.run, request.actor)
        return True

    def _operation(self, op: str, release: str | None, request: Request, detail: Mapping[str, object]) -> AbstractContextManager[Any]:
        return self.journal.operation(op, self.spec.component, release, request.run, request.actor, detail)
