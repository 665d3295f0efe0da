# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""After a boot: what starts by itself, what the edge sends to and the C(live) link are one slot again.

A unit of the node runs this at each boot. Where the power was lost in the middle of a switch each of the three is as the step before
left it; :func:`slots.plan.plan_boot` has the rule. A switch that was interrupted stays open in the journal: the next run gates it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.haproxy import EdgeError
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import UnitError
from ansible_collections.phasegate.aistack.plugins.module_utils.journal import state as release_state
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lock, LockHeld, from_before, keep_lease
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.run import TROUBLE, Caller, take_lock
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import component_file, plan as sp
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.contract import Failed, Outcome, Request
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.node import GateCall, Judged, Spec
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.operations import Slots

DRAIN_S = 5.0
"""Seconds for requests that a slot has which is to go: what was open before the boot is gone."""
_SWITCHES = ("activate", "revert")


class BootSlots(Slots):
    """The slots of one component, brought into agreement."""

    def reconcile(self, request: Request) -> Outcome:
        """Do what :func:`slots.plan.plan_boot` says; nothing where they agree.

        Raises:
            Failed: a step could not be done; doing it again is safe.
        EdgeError, UnitError: they do not answer.
        """
        # strict in check mode as well: where the edge does not answer, nothing can be said
        observed = self.node.observe()
        observed = replace(observed, interrupted=self._interrupted(observed.live))
        plan = sp.plan_boot(observed, self.spec.strategy)
        _serves, previous = self._previous(observed)
        content = observed.slot(plan.slot).content if plan.slot else None
        outcome = Outcome(bool(plan.steps), plan.slot, content, previous, plan, f"{self.spec.component}: nothing to do")
        if not plan.steps or content is None:
            return outcome
        steps = [str(step) for step in plan.steps]
        outcome.message = f"{self.spec.component}: {content.release} in {plan.slot} serves: {', '.join(steps)}"
        if request.check:
            return outcome
        detail = {"slot": plan.slot, "config": content.config, "steps": steps, "reason": request.reason}
        with self._operation("converge", content.release, request, detail):
            try:
                for step in plan.steps:
                    self.node.execute(step, content, {})
            except (EdgeError, UnitError, OSError) as error:
                raise Failed(f"{self.spec.component}: {error}", {"got": str(error)}) from error
            self._settle(outcome)
        outcome.warnings += self.node.remarks()
        return outcome

    def _interrupted(self, live: str | None) -> bool:
        """Whether a switch was interrupted, and what is live was not stopped on purpose since."""
        records = self.journal.read()
        interrupted = [found.seq for found in release_state.interrupted(records, self.spec.component) if found.op in _SWITCHES]
        mine = [record for record in records if record.get("component") == self.spec.component and record["op"] == "retire"]
        stopped = [record["seq"] for record in mine if (record.get("detail") or {}).get("slot") == live]
        return bool(interrupted) and not any(seq > max(interrupted) for seq in stopped)


class MakeSlots(Protocol):
    """Makes the slots of a component; replaced in tests."""

    def __call__(self, spec: Spec, gate: GateCall, journal: Journal) -> BootSlots: ...


def _no_gate(_definition: Mapping[str, object], _context: Mapping[str, object], _trouble: Any) -> Judged:
    return Judged("pass")


def reconcile(state_dir: Path, caller: Caller, make: MakeSlots = BootSlots) -> dict[str, Any]:
    """Bring every component of a stack into agreement.

    Returns:
        ``changed``, ``outcome`` (``ok`` or ``failed``) and ``components``: rows of ``component``, ``outcome``, ``changed``, ``message``.
        Nothing is written, and no lock is taken, where there is nothing to do.

    Raises:
        Locked: another run is at work on this node.
    """
    described, problems = component_file.load_all(state_dir)
    rows = [_one(state_dir, described[name], caller, make, check=True) for name in sorted(described)]
    if any(row["changed"] for row in rows):
        with _locked(state_dir, caller):
            # those that are needed first
            order = sorted(described, key=lambda name: (int(described[name].get("order") or 0), name))
            rows = [_one(state_dir, described[name], caller, make) for name in order]
    failed = any(row["outcome"] == "failed" for row in rows)
    return {
        "changed": any(row["changed"] for row in rows),
        "outcome": "failed" if failed else "ok",
        "components": rows,
        "problems": problems,
    }


def _one(
    state_dir: Path, description: component_file.Description, caller: Caller, make: MakeSlots, check: bool = False
) -> dict[str, object]:
    spec = component_file.spec_of(description, state_dir)
    spec = replace(spec, drain_timeout=min(DRAIN_S, spec.drain_timeout))
    slots = make(spec, _no_gate, Journal.of(state_dir))
    row: dict[str, Any] = {"component": spec.component, "outcome": "failed", "changed": False}
    request = Request(run=caller.run, actor=caller.actor, reason=caller.reason)
    try:
        outcome = slots.reconcile(replace(request, check=check))
        row.update(outcome="ok", changed=outcome.changed, message="; ".join([outcome.message, *outcome.warnings]))
    except TROUBLE as error:
        row["message"] = str(error)
    return row


@contextlib.contextmanager
def _locked(state_dir: Path, caller: Caller) -> Iterator[None]:
    """Have the node for this process.

    A run that held it when the power was lost has no process here any more, but may hold its lease for a quarter of an hour yet. This is
    done in its name then, so that whoever takes the lease over waits for it.
    """
    what = "after the boot"
    lease = Lock(state_dir).holder()
    if lease is not None and from_before(lease):
        with keep_lease(state_dir, str(lease["run"]), what):
            yield
        return
    take_lock(state_dir, caller)
    try:
        with keep_lease(state_dir, caller.run, what):
            yield
    finally:
        with contextlib.suppress(LockHeld):  # somebody broke in and has it now
            Lock(state_dir).release(caller.run)
