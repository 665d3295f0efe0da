# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carrying a plan of the levels app and config out on this node.

All components start and prove themselves side by side. Then the traffic moves in reverse order of dependency, but not before every
one of them has passed: a node goes back as a whole, or stays as it is. With best effort each moves as soon as it has proven itself,
and those that did not are named. What was interrupted anywhere is finished by running it again.
"""

from __future__ import annotations

import contextlib
import os
import platform
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.haproxy import EdgeError
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import UnitError
from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Entry
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.emergency import EmergencyJournal, EmergencyLock
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import (
    Acquired,
    Lease,
    LeaseLost,
    Lock,
    LockHeld,
    Owner,
    describe,
    keep_lease,
    require,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.release import way_back
from ansible_collections.phasegate.aistack.plugins.module_utils.release.content import Content
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import facts as rollback_facts
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.gate import BackGate, SwitchBarrier
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.plan import RollbackRequest, plan, resumed
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.view import observe
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.waivers import BaselineComparison
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import component_file
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.canary import SharingSlots
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.contract import Failed, Refused, Request
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.node import GateCall, Spec

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.contract import (
        InterruptedRollback,
        Move,
        Outcome,
        Plan,
        Row,
        Switch,
        View,
    )

LEASE_S = 300.0
WORKER_WAIT_S = 10.0
"""Seconds to wait for a process of a dead run that still works on this node."""
NODE = "aistack"
"""What stands for the controller in a lease that this node took by itself."""
USERS_FIRST_S = 10.0
"""Seconds for which what no user reaches lets go first what users do reach, in an emergency: the boots of workers would slow it down."""
TROUBLE = (Failed, Refused, UnitError, EdgeError, OSError, ValueError)

MakeSlots = Callable[[Spec, GateCall, Journal], SharingSlots]
MakeGate = Callable[[], GateCall]
Say = Callable[[str], None]


class Locked(Exception):
    """Another run has this node; the message says whose it is and what to do."""


@dataclass
class Caller:
    """Who asks for a rollback, and how it is to be done.

    Attributes:
        force_lock: take the lock from whoever has it.
        best_effort: components that do not come up do not hold the others, and none has to be better than the live release.
        stop: set where this process is asked to end.
    """

    run: str
    actor: str
    reason: str = ""
    force_lock: bool = False
    best_effort: bool = False
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass
class Tools:
    """What works on the node; replaced in tests."""

    make: MakeSlots = SharingSlots
    gate: MakeGate | None = None
    say: Say = lambda text: None
    observe: Callable[..., View] = observe

    def new_gate(self) -> GateCall:
        """A gate; the engine and its probes are loaded only where one is asked."""
        if self.gate is not None:
            return self.gate()
        from ansible_collections.phasegate.aistack.plugins.module_utils.slots.gate import SlotGate

        return SlotGate()


def take_lock(state_dir: Path, caller: Caller, lock: Lock | None = None) -> Acquired:
    """Take the lock of this node, as *lock* if given; a dead or expired owner is no obstacle.

    Raises:
        Locked: a living run has it.
    """
    lock = lock or Lock(state_dir)
    lease, dead = _left_behind(state_dir)
    owner = lease.get("owner") or {}
    mine: Owner = {
        "actor": caller.actor,
        "controller": platform.node(),
        "controller_id": NODE,
        "pid": os.getpid(),
        "pid_started": proc.start_time(os.getpid()),
    }
    if owner and lease.get("run") == caller.run:  # a part of that run: the lease stays with whoever took it
        mine = owner
    try:
        seconds = max(LEASE_S, float(lease.get("lease_s") or 0.0)) if mine is owner else LEASE_S
        return lock.acquire(caller.run, mine, seconds, lease.get("run") if dead else None, caller.force_lock, WORKER_WAIT_S)
    except LockHeld as held:
        raise Locked(
            f"another run has the lock of this node ({lock.path}): {describe(held.lease)}. Wait for it to end; if it is known not to"
            " work any more, say --force-lock"
        ) from held


def roll_back(state_dir: Path, stack: str, request: RollbackRequest, caller: Caller, tools: Tools | None = None) -> Outcome:
    """Plan and carry out; returns ``plan``, ``outcome`` (``ok``, ``failed``, ``partial``, ``refused``), ``components``, ``seconds``.

    ``ok`` without components: everything was there already. ``refused``: nothing was touched. ``failed``: some component did not come
    up, and all are as they were, unless a row says ``stuck``. ``partial``: with best effort, some went back and some did not.

    Raises:
        Locked: another run has this node.
    """
    began = time.monotonic()
    tools = tools or Tools()
    journal = EmergencyJournal(Journal.of(state_dir).path)
    request = _interrupted_at_the_end(state_dir, journal, request)
    view, request, made = _planned(state_dir, stack, request, tools, journal)
    if _there(view, made):
        return with_notes(journal, _nothing_left(EmergencyLock(state_dir, journal), view, made, began, caller))
    if _refused(view, made):
        return _answer(made, "refused", [], began, caller)
    if not caller.force_lock:  # a part of a run that lost the lock does not take it as if it began now
        try:
            require(state_dir, caller.run, f"go back to {made['to']}", beside=True)
        except LeaseLost as lost:
            raise Locked(str(lost).rstrip(".")) from lost
    journal.begin()
    lock = EmergencyLock(state_dir, journal)
    lease = take_lock(state_dir, caller, lock)
    try:
        with keep_lease(state_dir, caller.run, f"rollback to {made['to']}"):
            if _last(journal) != view["seq"] + (lease.how != "renewed"):  # somebody did something between the look and the lock
                view, request, made = _planned(state_dir, stack, request, tools, journal)
            if _there(view, made):
                answer = _answer(made, "ok", [], began, caller)
            elif _refused(view, made):
                answer = _answer(made, "refused", [], began, caller)
            else:
                answer = RollbackRun(state_dir, journal, view, made, caller, tools).run(began)
    finally:
        if lease.how != "renewed":  # else it belongs to whoever runs this as a part of something larger
            with contextlib.suppress(LockHeld):  # somebody took it by force meanwhile
                lock.release(caller.run)
    return with_notes(journal, answer)


def _last(journal: Journal) -> int:
    records = journal.read()
    return int(records[-1]["seq"]) if records else 0


def _planned(state_dir: Path, stack: str, request: RollbackRequest, tools: Tools,
             journal: Journal) -> tuple[View, RollbackRequest, Plan]:
    view = tools.observe(state_dir, stack, journal=journal)
    request = resumed(view, request)
    return view, request, plan(view, request)


def _resumes(view: View, made: Plan) -> InterruptedRollback | None:
    interrupted = view.get("interrupted_rollback")
    return interrupted if interrupted and interrupted.get("to") == made["to"] and interrupted.get("level") == made["level"] else None


def _only_there(made: Plan) -> bool:
    return [refusal["code"] for refusal in made["refusals"]] == ["already_there"]


def _refused(view: View, made: Plan) -> bool:
    """Whether nothing is to be done. A rollback that was interrupted at its very end still has to be noted as done."""
    return not made["allowed"] and not (_only_there(made) and _resumes(view, made))


def _there(view: View, made: Plan) -> bool:
    """Whether everything is at the target, and this command's own journal has nothing to be ended."""
    return _only_there(made) and not _resumes(view, made)


def _left_behind(state_dir: Path) -> tuple[Lease, bool]:
    """The lease that is there, and whether it is of a process of this node's command that is dead."""
    lease = Lock(state_dir).current() or {}
    owner = lease.get("owner") or {}
    dead = owner.get("controller_id") == NODE and not proc.alive(int(owner.get("pid") or 0), owner.get("pid_started"))
    return lease, dead


def _interrupted_at_the_end(state_dir: Path, journal: Journal, request: RollbackRequest) -> RollbackRequest:
    """*request*, or the target of the rollback that was noted as done here and killed before it gave the lock back."""
    lease, dead = _left_behind(state_dir)
    if request.to is not None or not dead:
        return request
    last = rollback_facts.last_rollback(journal.read()) or {}
    level = str(last.get("level"))
    same = level == request.level or (level == "config" and not request.level_named)
    if last.get("run") != lease.get("run") or last.get("outcome") != "ok" or not same:
        return request
    return replace(request, level=level, to=last.get("to"))


def _nothing_left(lock: Lock, view: View, made: Plan, began: float, caller: Caller) -> Outcome:
    """Everything is there. A lock that the run which brought it there has left behind is given back, if nobody works under it."""
    lease, dead = _left_behind(lock.state_dir)
    run = lease.get("run")
    begun = view.get("open_rollback") or {}
    mine = run is not None and run in (*(begun.get("runs") or ()), (view.get("last_rollback") or {}).get("run")) and run != caller.run
    if mine and (dead or caller.force_lock or lock.holder() is None):
        take_lock(lock.state_dir, caller, lock)
        lock.release(caller.run)
    elif mine:
        made["warnings"].append(f"the run that brought it there has the lock of this node yet: {describe(lease)}")
    if begun.get("to") == made["to"] and caller.run not in begun["runs"]:
        how = f"rollback.yml -e to={made['to']}{'' if begun.get('level') == 'app' else ' -e level=' + str(begun.get('level'))}"
        made["warnings"].append(f"run {begun['runs'][-1]} did not come to its gates and its post-mortem: {how} finishes it")
    return _answer(made, "ok", [], began, caller)


def with_notes(journal: EmergencyJournal, answer: Outcome) -> Outcome:
    """*answer*, with what a full disk meant as ``disk`` and as warnings of its first component."""
    found = journal.notes()
    if found:
        answer["disk"] = found
        for row in answer["components"][:1]:
            row["warnings"] = [*(row.get("warnings") or []), *found]
    return answer


def _answer(made: Plan, outcome: str, rows: Sequence[Row], began: float, caller: Caller) -> Outcome:
    return {
        "changed": any(row.get("changed") for row in rows),
        "outcome": outcome,
        "run": caller.run,
        "level": made["level"],
        "from": made["from"],
        "to": made["to"],
        "best_effort": caller.best_effort,
        "seconds": round(time.monotonic() - began, 3),
        "components": [{**row} for row in rows],
        "plan": made,
    }


class RollbackRun:
    """One rollback under way, under the lock."""

    def __init__(self, state_dir: Path, journal: Journal, view: View, made: Plan, caller: Caller, tools: Tools) -> None:
        self.state_dir, self.journal, self.view = state_dir, journal, view
        self.made, self.caller, self.tools = made, caller, tools
        self.steps = [step for step in made["steps"] if step["do"] == "switch"]
        self.of = {step["component"]: of for step in self.steps if (of := step["detail"].get("of"))}
        self.users = [step["component"] for step in self.steps if step["detail"].get("fronted")]
        self.interrupted = _resumes(view, made)
        self.rows: dict[str, Row] = {}

    def run(self, began: float) -> Outcome:
        """Do it; the journal says so before and after."""
        made, caller = self.made, self.caller
        moves: dict[str, Move] = {}
        for step in self.steps:
            to = _target(step)
            moves[step["component"]] = {"from": step["detail"]["from"], "to": {"release": to.release, "config": to.config}}
        moves.update((self.interrupted or {}).get("moves") or {})  # where it was interrupted, what was left no longer shows
        detail = {
            "level": made["level"],
            "application": made["application"],
            "from": (self.interrupted or {}).get("from") or made["from"],
            "moves": moves,
            "reason": caller.reason,
            "best_effort": caller.best_effort,
            **({"resumes": self.interrupted["run"]} if self.interrupted else {}),
        }
        self._settle_older()
        outcome = "failed"
        try:
            with self.journal.operation("rollback", None, made["to"], caller.run, caller.actor, detail) as operation:
                outcome = self._switch()
                told = ("component", "outcome", "seconds", "message")
                rows = [{key: row.get(key) for key in told} for row in self.rows.values()]
                seconds = round(time.monotonic() - began, 3)
                operation.detail.update(
                    outcome=outcome, seconds=seconds, components=rows, unverified=made["unverified"], warnings=made["warnings"]
                )
                if outcome == "ok" or caller.best_effort:
                    self._mark(moves)
                if outcome != "ok":
                    raise Incomplete(self._sentence(outcome))
        except Incomplete:
            pass  # the journal has it; the caller reads the outcome
        return _answer(made, outcome, list(self.rows.values()), began, caller)

    def _settle_older(self) -> None:
        """End the records of rollbacks that were interrupted and that this one does not take up."""
        for item in rollback_facts.interrupted_rollbacks(self.journal.read()):
            if item.release == self.made["to"]:
                continue  # the end of this one ends it
            detail = {"started": item.seq, "error": f"interrupted; run {self.caller.run} goes to {self.made['to']} instead"}
            self._append("rollback", None, item.release, item.run, "failed", detail)

    def _append(
        self, op: str, component: str | None, release: str | None, run: str, outcome: str, detail: dict[str, Any]
    ) -> None:
        record: Entry = {"op": op, "component": component, "release": release, "run": run, "actor": self.caller.actor}
        self.journal.append({**record, "outcome": outcome, "detail": detail})

    def _sentence(self, outcome: str) -> str:
        bad = [f"{row['component']}: {row['message']}" for row in self.rows.values() if row["outcome"] != "ok"]
        return f"{outcome}: {'; '.join(bad)}"

    # -- the switches

    def _switch(self) -> str:
        names = [step["component"] for step in self.steps]
        barrier = SwitchBarrier(names, self.caller.best_effort, self.caller.stop)
        for step in self.steps:
            self.rows[step["component"]] = _row(step)
        self._side_by_side(
            {
                step["component"]: (self._move, (step["component"], _target(step), self.rows[step["component"]], barrier))
                for step in self.steps
            }
        )
        self.made["unverified"] += [f"{name}: {text}" for name, row in self.rows.items() for text in row.get("unverified") or []]
        failed = [row for row in self.rows.values() if row["outcome"] != "ok"]
        if not failed:
            return "ok"
        if self.caller.best_effort:
            return "partial" if len(failed) < len(self.rows) else "failed"
        self._undo(failed)
        return "failed"

    def _side_by_side(self, work: Mapping[str, tuple[Callable[..., None], tuple[Any, ...]]]) -> None:
        threads = [threading.Thread(target=call, args=given, name=f"rollback {name}") for name, (call, given) in work.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _slots(self, name: str, target: Content, barrier: SwitchBarrier | None,
               request: Request) -> tuple[SharingSlots, BaselineComparison | None]:
        spec = component_file.spec_of(self.view["components"][name]["description"], self.state_dir)
        gate = BackGate(name, target, self.tools.new_gate(), self.caller.stop, barrier, bool(spec.edge))
        slots = self.tools.make(spec, gate, self.journal)
        found = (self.view["components"][name].get("slots") or {}).items()
        gate.watch(slots.node, {slot: pid for slot, described in found if (pid := described.get("pid"))})
        if self.caller.best_effort and barrier is not None:
            # what is not verified is no reason to call a release good
            gate.comparison = BaselineComparison(slots.node, self.tools.new_gate, lambda: setattr(request, "mark_good", False))
            if spec.strategy == "recreate":
                gate.comparison.ask_now(slots.gate_for(target.release, saved_first=True))
        return slots, gate.comparison

    def _move(self, name: str, target: Content, row: Row, barrier: SwitchBarrier | None) -> None:
        """Bring one component to *target*; what came of it goes into *row*."""
        began = time.monotonic()
        request = Request(
            run=self.caller.run,
            actor=self.caller.actor,
            reason=self.caller.reason,
            allow_bad=True,  # the planner has seen to that
            mark_bad=False,  # what it stands on may be down: that is not its fault
            mark_good=barrier is not None,
        )
        if barrier is not None and self.caller.best_effort and name not in self.users:
            barrier.wait_for_switch(self.users, USERS_FIRST_S)
        try:
            if barrier is not None and name in self.of:
                self._configure(name, target, self.of[name])
            slots, comparison = self._slots(name, target, barrier, request)
            outcome = slots.activate(target, request, back=True)
        except TROUBLE as error:
            row["outcome"], row["message"] = "failed", str(error)
            if isinstance(error, Failed):
                row["report"] = error.report
        else:
            row["outcome"], row["changed"], row["slot"] = "ok", outcome.changed, outcome.slot
            row["message"], row["warnings"] = outcome.message, outcome.warnings
            row["previous"], row["timings"] = outcome.previous, outcome.timings
            row["unverified"] = list(comparison.unverified) if comparison is not None else []
        finally:
            row["seconds"] = round(time.monotonic() - began, 3)
            if barrier is not None:
                barrier.end(name, row["outcome"] == "ok", row["message"])
            self.tools.say(
                f"{name}: {'went back' if row['outcome'] == 'ok' else 'did not go back'} ({row['seconds']:.1f} s): {row['message']}"
            )

    def _configure(self, name: str, target: Content, of: str) -> None:
        """Have the configuration of then with the secrets of today, which the plan names."""
        made = way_back.make(self.view["components"][name]["description"]["root"], name, of).config
        if made != target.config:
            what = f"the plan has the config {target.config}, and the secrets that are live now make it {made}"
            raise ValueError(f"{name}: {what}: somebody changed them meanwhile. It stays as it is; run the same again")

    def _undo(self, failed: Sequence[Row]) -> None:
        """All or nothing: those that moved return to where they were."""
        work: dict[str, tuple[Callable[..., None], tuple[Any, ...]]] = {}
        back: dict[str, Row] = {}
        for name, row in self.rows.items():
            before, to = row.get("previous"), row.get("to") or {}
            if (
                row["outcome"] == "ok"
                and row["changed"]
                and before
                and (before["release"], before["config"]) != (to.get("release"), to.get("config"))
            ):
                back[name] = {"component": name, "outcome": "failed", "message": ""}
                work[name] = (self._move, (name, Content(before["release"], before["config"]), back[name], None))
        why = ", ".join(row["component"] for row in failed)
        self._side_by_side(work)
        for name, undone in back.items():
            row, (_call, (_name, before, _row, _turns)) = self.rows[name], work[name]
            if undone["outcome"] == "ok":
                row["outcome"], row["message"] = "undone", f"returned to {before.release}, because {why} did not go back"
            else:
                at = (row.get("to") or {}).get("release")
                row["outcome"], row["message"] = "stuck", f"is at {at}; it could not return: {undone['message']}"

    def _mark(self, moves: Mapping[str, Move]) -> None:
        """What was left is bad: it is not chosen again unless asked for by name."""
        if self.made["level"] == "config":
            return
        records = self.journal.read()
        for name, move in moves.items():
            gone, to = (move.get("from") or {}).get("release"), (move.get("to") or {}).get("release")
            row = self.rows.get(name)
            if not gone or gone == to or (row is not None and row["outcome"] != "ok") or name not in self.view["components"]:
                continue
            marks = [
                record
                for record in records
                if record.get("op") == "mark" and record.get("component") == name and record.get("release") == gone
            ]
            states = [(record.get("detail") or {}).get("state") for record in marks]
            if [state for state in states if state in ("good", "bad")][-1:] == ["bad"]:
                continue
            reason = self.caller.reason or "taken back"
            self.journal.mark(name, gone, "bad", f"{reason} (went back to {to})", self.caller.run, self.caller.actor)


class Incomplete(Exception):
    """Not every component went back."""


def _target(step: Switch) -> Content:
    return Content(step["detail"]["release"], step["detail"]["config"])


def _row(step: Switch) -> Row:
    detail = step["detail"]
    return {
        "component": step["component"],
        "from": detail["from"],
        "to": {"release": detail["release"], "config": detail["config"]},
        "outcome": "failed",
        "message": "it ended without a word; see what this command wrote besides",
        "changed": False,
        "seconds": 0.0,
    }
