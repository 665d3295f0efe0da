# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Another number of instances of what is live, while it works: those that come are proven, those that go end what they hold first.

The number is written first, so that whatever comes in between, a deployment, a way back, a boot, goes by the one that is meant. Killed
anywhere, it is finished by the same call: what runs, what starts at boot and the links of the slot say what is left to be done.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Optional

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.haproxy import EdgeError
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import UnitError
from ansible_collections.phasegate.aistack.plugins.module_utils.core.instances import alone, refusal
from ansible_collections.phasegate.aistack.plugins.module_utils.core.kept_instances import instances_of
from ansible_collections.phasegate.aistack.plugins.module_utils.journal import state as release_state
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import LeaseLost, require
from ansible_collections.phasegate.aistack.plugins.module_utils.release.content import Content
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import component_file, plan as sp
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.celery_drain import DrainError
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.contract import Failed, Outcome, Refused, Request, Terminated
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.intake import Intake
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.node import GateFailed, failure_report
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.prepare import PreparingSlots

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import Served

FindIntake = Callable[[], Optional[Intake]]
ENDS = "end tasks"
"""A step: an instance takes nothing more and ends what it holds."""
TAKES = "take tasks"
"""A step: an instance that was made to take nothing more does again."""
_TROUBLE = (GateFailed, EdgeError, UnitError, DrainError, OSError, ValueError)


class EndedBehind(Terminated):
    """A signal came when the number of instances was changed behind a switch, which stays."""


@dataclass(frozen=True)
class _Change:
    """What is to be done to the slot that is live.

    Attributes:
        former: how many instances there were, and ``former_said`` what the inventory said then.
        number, said: the same afterwards.
        come, go: instances that are not there yet, or not wholly, and that are there still.
        idle: instances that stay, and were made to take nothing more by a call that came to no end.
        begun: whether a change of their number was begun and has no end.
        runs: whether the slot does.
    """

    slot: str
    former: int
    former_said: int
    number: int
    said: int
    come: list[str]
    go: list[str]
    idle: list[str]
    begun: bool
    runs: bool = True

    @property
    def unproven(self) -> bool:
        """Whether the slot has to pass its gate."""
        return bool(self.come) or (self.begun and self.runs and not self.go)

    @property
    def steps(self) -> tuple[sp.Step, ...]:
        """In this order."""
        steps = [sp.Step(sp.START, name) for name in self.come] + [sp.Step(TAKES, name) for name in self.idle]
        steps += [sp.Step(sp.GATE, self.slot)] if self.unproven else []
        return (*steps, *(sp.Step(do, name) for name in self.go for do in (ENDS, sp.STOP, sp.DISABLE)))


class ScalingSlots(PreparingSlots):
    """The slots of one component, whose number of instances changes while they work."""

    def agree(self, number: int, said: int, request: Request, find: FindIntake, outcome: Outcome) -> None:
        """Behind a switch: as :meth:`scale`, where there is something to do. *outcome*, that of the switch, gets what came of it, and that
        *number* is not what the inventory says. That it was not to be had is a warning: what was switched is not to blame, and the node
        keeps the number of before, by which the next call tries again.

        Raises:
            EndedBehind: a signal came.
        """
        component = self.spec.component
        live = self.node.live()
        if alone(self.spec.ports, self.spec.strategy) and (live is None or len(self.node.own.existing(live)) == 1):
            return
        try:
            scaled = self.scale(number, said, request, find)
        except Failed as error:
            stays = f"{outcome.message.partition(': ')[2]} all the same"
            outcome.warnings.append(f"{error}. The inventory says {number}, and the next deployment tries it again; {stays}")
            return
        except Terminated as error:
            raise EndedBehind(f"{error} behind the switch, which stays: {outcome.message.partition(': ')[2]}") from error
        if scaled.changed:
            outcome.changed, outcome.message = True, f"{outcome.message}; {scaled.message.partition(': ')[2]}"
            outcome.warnings += scaled.warnings
            # what is only looked at has not switched yet: who comes does in the slot that would be live, and who goes is not started there
            slot, was = str(outcome.plan.slot), str(scaled.plan.slot)
            steps = [replace(step, slot=step.slot.replace(was, slot, 1)) for step in scaled.plan.steps
                     if slot == was or step.do in (sp.START, sp.GATE)]
            outcome.plan = sp.Plan(outcome.plan.slot, (*outcome.plan.steps, *steps))
        if number != said:
            outcome.warnings.append(
                f"{component} runs {number} instances, the inventory says {said}: scale.yml set that, and it stays so until the inventory "
                f"says another number. To go by the inventory now: scale.yml -e component={component} -e instances={said}"
            )

    def scale(self, number: int, said: int, request: Request, find: FindIntake = lambda: None) -> Outcome:
        """Have what is live run as *number* instances; nothing is done where it does.

        Args:
            number: of instances.
            said: what the inventory says; a deployment keeps *number* until that is another one.
            request: who asks.
            find: gives the intake of its workers; None where it has none that could be told to take nothing more.

        Raises:
            Refused: it cannot have so many, or nothing is live.
            Failed: those that were to come did not pass the gate, or those that were to go did not end what they hold; it has as many as
                before then.
        """
        component = self.spec.component
        why = refusal(component, number, bool(self.spec.ports))
        if why:
            raise Refused(why)
        observed, _records = self._observe(request)
        live, previous = observed.live, self._previous(observed)[1]
        content = observed.slot(live).content if live else None
        if live is None or content is None:
            if request.check:
                return Outcome(False, None, None, None, sp.Plan(None, ()), f"{component}: nothing is live that could be scaled")
            raise Refused(f"{component}: nothing is live here that could have more or fewer instances; activate a release first")
        kept, kept_said = instances_of(self.spec.state_dir, component)
        if kept is None and not request.check:
            raise Refused(f"{component}: this node keeps no description of it ({component_file.path_of(self.spec.state_dir, component)}). "
                          "Deploy it once, which writes it")
        former = kept or self.spec.instances
        runs, intake = observed.slot(live).running, find()
        change = self._change(live, runs, (former, kept_said or former), (number, said), intake)
        plan = sp.Plan(live, change.steps)
        changed = bool(plan.steps) or change.begun or (former, kept_said or former) != (number, said)
        outcome = Outcome(changed, live, content, previous, plan)
        word = "instance" if number == 1 else "instances"
        outcome.message = f"{component}: {'would run' if request.check and outcome.changed else 'runs'} {number} {word}"
        if not runs:
            outcome.message = f"{component}: is stopped; started again, it runs {number} {word}"
        elif change.former != number:
            outcome.message += f", {change.former} before"
        if request.check or not outcome.changed:
            return outcome
        detail: dict[str, Any] = {"from": change.former, "to": number, "slot": live, "steps": [str(step) for step in plan.steps]}
        with self._operation(release_state.SCALE, content.release, request, detail) as op:
            try:
                self._out(change, request, intake)
                self._in(change, request, intake)
                self._settle(outcome)
            finally:
                outcome.timings = dict(self.node.timings)
                op.detail.update({"timings": outcome.timings, **({"gates": self.node.asked} if self.node.asked else {})})
        outcome.warnings += self.node.remarks()
        return outcome

    def _change(self, live: str, runs: bool, before: tuple[int, int], after: tuple[int, int], intake: Intake | None) -> _Change:
        """What is to be done, by what is real. What was begun and has no end counts from where it began.

        Raises:
            Failed: nobody can tell who was made to take nothing more.
        """
        begun = [found for found in release_state.interrupted(self.journal.read(), self.spec.component)
                 if found.op == release_state.SCALE]
        (former, former_said), (number, said) = before, after
        if begun:
            former = int(begun[0].detail.get("from") or former)
        self._count(number)
        if not runs:  # it was stopped on purpose: whoever starts it goes by the number that is kept
            return _Change(live, former, former_said, number, said, [], [], [], bool(begun), runs=False)
        units, there = self.node.units(lenient=True), self.node.own.existing(live)
        come = [name for name in self.node.own.wanted(live) if not (units[name].running and units[name].enabled)]
        go = there[number:]
        if go and former <= number:  # the number was written, and no more
            former = len(there)
        try:
            idle = intake.stopped(self.node.own.wanted(live)) if intake is not None else []
        except DrainError as error:
            raise Failed(str(error), {"got": str(error)}) from error
        return _Change(live, former, former_said, number, said, come, go, idle, bool(begun))

    def _count(self, number: int) -> None:
        """From here on a slot has *number* instances."""
        self.spec = replace(self.spec, instances=number)
        self.node.spec = replace(self.node.spec, instances=number)

    def _keep(self, number: int, said: int) -> None:
        """Write the number down, and use it."""
        component_file.set_instances(self.spec.state_dir, self.spec.component, number, said)
        self._count(number)

    def _out(self, change: _Change, request: Request, intake: Intake | None) -> None:
        """Start those that come, and prove all of the slot; where that fails there are as many as before."""
        component, slot = self.spec.component, change.slot
        content = self.node.content(slot) or Content("", "")
        try:
            require(self.spec.state_dir, request.run, f"give {component} another number of instances")
            self._keep(change.number, change.said)
            if change.come:
                self.node.execute(sp.Step(sp.START, slot), content, {})
                self.node.execute(sp.Step(sp.ENABLE, slot), content, {})
            if intake is not None and change.steps:  # whoever was to go, and stays now
                intake.go_on(self.node.own.wanted(slot))
            if change.unproven:
                live: Served = {"slot": slot, "release": content.release, "config": content.config}
                gate = self.gate_for(content.release, saved_first=True, live=live)
                require(self.spec.state_dir, request.run, f"prove the instances of {component}")
                self.node.execute(sp.Step(sp.GATE, slot), content, gate)
        except LeaseLost:
            raise
        except _TROUBLE as error:
            report, told = failure_report(error), self._back(change, intake)
            raise Failed(f"{component}: {change.number} instances were not to be had: {error}. {told}", report) from error
        except BaseException:
            self._keep(change.former, change.former_said)
            raise

    def _back(self, change: _Change, intake: Intake | None) -> str:
        """Have as many as before; what became of that, in words."""
        former = change.former
        beyond = self.node.own.existing(change.slot)[former:]  # also those that a run before this one has started
        try:
            self._keep(former, change.former_said)
            with contextlib.suppress(DrainError):  # one that does not even answer: it has the time that any stop leaves
                self._idle(beyond, intake)
            self._stop(beyond, change.slot, intake)
            self.node.systemd.reload_if_changed()
        except _TROUBLE as error:
            return f"Going back to {former} failed too: {error}. Run the same again once that is fixed"
        return f"There are {former} as before. Correct what is said above, and run the same again"

    def _in(self, change: _Change, request: Request, intake: Intake | None) -> None:
        """Those that go take nothing more, end what they hold, and are stopped."""
        component = self.spec.component
        if not change.go:
            return
        try:
            self._idle(change.go, intake)
            require(self.spec.state_dir, request.run, f"stop instances of {component}")
        except LeaseLost:
            raise
        except DrainError as error:
            self._keep(change.former, change.former_said)
            raise Failed(
                f"{error} There are {change.former} instances as before. Wait until they are done and run the same again, or give them "
                f"longer (aistack_components.{component}.slots.drain_timeout)", {"got": str(error)},
            ) from error
        except BaseException:
            self._keep(change.former, change.former_said)
            raise
        try:
            self._stop(change.go, change.slot, intake)
        except _TROUBLE as error:
            raise Failed(f"{component}: an instance could not be stopped: {error}. Run the same again", {"got": str(error)}) from error

    def _idle(self, instances: Sequence[str], intake: Intake | None) -> None:
        """Have those of *instances* that run take nothing more, and end what they hold."""
        units = [self.spec.unit_of(name) for name in instances]
        running = [name for name, state in zip(instances, self.node.systemd.show(*units) if units else ()) if state.running]
        if intake is not None and running:
            intake.end(running)

    def _stop(self, instances: Sequence[str], slot: str, intake: Intake | None) -> None:
        """Stop *instances*, take them out of the boot, and forget those beyond the number that is kept."""
        units = [self.spec.unit_of(name) for name in instances]
        if units:
            self.node.killed += self.node.systemd.stop_all(units)
        for unit in units:
            self.node.systemd.disable(unit)
        if intake is not None and instances:
            intake.forget(instances)
        self.node.own.unlink(slot)
