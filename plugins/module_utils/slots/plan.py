# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to be done so that a release runs in a slot and takes the traffic.

Pure: the real state of a node goes in, a list of steps comes out. Every step may be repeated, and a plan that was
interrupted anywhere is taken up by planning again from what is then real. Three rules hold at every point of a plan for
``bluegreen``, however it came to that point:

* where a server took requests before, one does now (``ready`` first, then ``drain``);
* what is in a slot is never exchanged while it runs;
* the ``live`` link moves after the new slot has proven itself and before the old one stops.

With ``recreate`` never more than one slot runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import SLOTS
from ansible_collections.phasegate.aistack.plugins.module_utils.release.content import Content

READY, DOWN, DRAIN, MAINT = "ready", "down", "drain", "maint"
"""States of a slot at the edge. ``down``: made ready, but its health check fails."""

# The steps, in the words that reports use.
CANCEL = "cancel"
"""Take back the timer that would stop this slot."""
WRITE = "write"
"""Point the slot at the release and the config."""
START, STOP, ENABLE, DISABLE = "start", "stop", "enable", "disable"
GATE = "gate"
"""Gate the slot on its own port."""
TO_READY, TO_DRAIN, TO_MAINT = "ready", "drain", "maint"
"""Tell the edge, and write that down."""
PUBLIC = "gate public"
"""Gate once more through the edge's port."""
LIVE, UNLIVE = "live", "no live"
"""Move, or remove, the link that says which slot is live."""
DRAINED = "wait drained"
WEIGH = "weigh"
"""Give the slot a weight at the edge: what it gets of the requests beside the other one."""
RETIRE = "keep warm"
"""Let the slot run for a while, out of traffic, and have a timer stop it."""


@dataclass(frozen=True)
class Slot:
    """What is real about one slot.

    Attributes:
        content: what its links say; None where they are missing or not to be trusted.
        running: whether its unit runs, or is on its way.
        enabled: whether its unit starts at boot.
        edge: its state at the edge; None without an edge.
        retiring: whether a timer is going to stop it.
        stale: whether its ``slot.env`` is not what it should be.
        crash_looping: whether its process dies and is started again and again.
        outdated: whether its unit was changed after it was started.
        weight: what it weighs at the edge; None without an edge.
        short, short_at_boot: whether some of its instances do not run, or do not start at boot, while others do.
    """

    content: Content | None = None
    running: bool = False
    enabled: bool = False
    edge: str | None = None
    retiring: bool = False
    stale: bool = False
    crash_looping: bool = False
    outdated: bool = False
    weight: int | None = None
    short: bool = False
    short_at_boot: bool = False

    @property
    def unhealthy(self) -> bool:
        """Whether it runs, but not so that it could serve."""
        return self.running and (self.crash_looping or self.edge == DOWN)


@dataclass(frozen=True)
class ObservedState:
    """What is real about a component on a node.

    Attributes:
        live: the slot that the ``live`` link names.
        slots: ``blue`` and ``green``.
        edge: whether an edge stands in front of them.
        interrupted: whether the journal knows a switch without an end.
    """

    live: str | None
    blue: Slot
    green: Slot
    edge: bool = False
    interrupted: bool = False

    def slot(self, name: str) -> Slot:
        """The slot called *name*."""
        return self.blue if name == "blue" else self.green

    def put(self, name: str, slot: Slot) -> ObservedState:
        """The same with another *slot* at *name*."""
        return replace(self, blue=slot) if name == "blue" else replace(self, green=slot)


@dataclass(frozen=True)
class Step:
    """One thing to do to one slot; ``value`` is a weight."""

    do: str
    slot: str
    value: int | None = None

    def __str__(self) -> str:
        return f"{self.do} {self.slot}" if self.value is None else f"{self.do} {self.slot} {self.value}"


@dataclass(frozen=True)
class Plan:
    """Steps that end with *slot* live; no step where it is so already."""

    slot: str | None
    steps: tuple[Step, ...]

    def does(self, what: str, slot: str) -> bool:
        """Whether *what* is done to *slot*."""
        return Step(what, slot) in self.steps


def other(slot: str) -> str:
    """The other of the two slots."""
    return "green" if slot == "blue" else "blue"


def serving(observed: ObservedState) -> str | None:
    """The slot that does the work now, or should.

    The edge knows best: a switch that was interrupted has moved the traffic before the ``live`` link. Without an edge, or
    where it has nothing ready, the link counts.
    """
    if observed.edge:
        for state in (READY, DOWN):
            taking = [name for name in SLOTS if observed.slot(name).running and observed.slot(name).edge == state]
            if observed.live in taking:
                return observed.live
            if taking:
                return taking[0]
    return observed.live


def plan_active(
    observed: ObservedState,
    target: Content,
    strategy: str = "bluegreen",
    warm: bool = False,
    fresh: bool = False,
    into: str | None = None,
    trusted: bool = False,
    as_it_runs: bool = False,
) -> Plan:
    """Steps after which *target* is live.

    Args:
        observed: what is real.
        target: what is to be live.
        strategy: ``bluegreen`` or ``recreate``.
        warm: keep the old slot running for a while; only where an edge keeps requests away from it.
        fresh: have it started again even if it is live already.
        into: the slot to use; chosen if None.
        trusted: for going back to a slot that served a moment ago: it is gated only if it has to be started.
        as_it_runs: take a slot that is warm although its unit was changed since it was started: it served so.
    """
    serves = serving(observed)
    # A live slot that hangs or dies again and again is replaced by a fresh start of the same, not argued with.
    restart = fresh or (serves is not None and observed.slot(serves).unhealthy and not trusted)
    slot = into or _choose(observed, target, strategy, serves, restart)
    if strategy == "recreate":
        return Plan(slot, tuple(_recreate(observed, target, slot, restart and (fresh or slot == serves))))
    again = restart and (slot != serves or fresh)
    again = again or (slot != serves and observed.slot(slot).outdated and not (trusted or as_it_runs))
    return Plan(slot, tuple(_bluegreen(observed, target, slot, warm, again, trusted)))


def _choose(observed: ObservedState, target: Content, strategy: str, serves: str | None, restart: bool) -> str:
    if serves is None:
        return next((name for name in SLOTS if observed.slot(name).content == target and not observed.slot(name).stale), "blue")
    here = observed.slot(serves)
    if here.content == target and not here.stale and (strategy == "recreate" or not restart):
        return serves
    return other(serves)


def _bluegreen(observed: ObservedState, target: Content, slot: str, warm: bool, fresh: bool, trusted: bool) -> list[Step]:
    new_is = observed.slot(slot)
    steps, running, edge = _refill(observed, target, slot, fresh)
    if edge == DOWN:  # made ready again after its gate it is up at once; left alone, only after some health checks
        steps.append(Step(TO_MAINT, slot))
        edge = MAINT
    # the timer may have fired before it was taken back: starting twice does no harm
    if not running or new_is.retiring or new_is.short:
        steps.append(Step(START, slot))
    unproven = bool(steps) or observed.live != slot or observed.interrupted or (observed.edge and edge != READY)
    early = observed.live == slot and running and edge == READY and observed.slot(other(slot)).edge in (READY, DOWN)
    if early:  # it serves: the other one takes no request while this one is asked
        steps.append(Step(TO_DRAIN, other(slot)))
        observed = observed.put(other(slot), replace(observed.slot(other(slot)), edge=DRAIN))
    if unproven and not (trusted and running):
        steps.append(Step(GATE, slot))
    # before it takes traffic: a boot starts what is enabled, and the edge remembers where to send
    if not new_is.enabled or new_is.short_at_boot:
        steps.append(Step(ENABLE, slot))
    if observed.edge:
        steps += _shift(observed, slot, edge, trusted, early)
    if observed.live != slot:
        steps.append(Step(LIVE, slot))
    return steps + _relieve(observed, other(slot), warm)


def plan_canary(observed: ObservedState, target: Content, serves: str, share: int) -> Plan:
    """Steps after which *target* gets *share* percent of the requests (1 to 99) beside *serves*, which stays live and alone starts at boot.

    The weights are there before it takes its first request. Whatever ends it plans from what is then real: a switch to *target* drains
    the other one, a way back drains *target*, and where one slot alone is ready its weight says nothing.
    """
    slot = other(serves)
    steps, running, edge = _refill(observed, target, slot, False)
    if edge == DOWN:
        steps.append(Step(TO_MAINT, slot))
        edge = MAINT
    if not running or observed.slot(slot).retiring:
        steps.append(Step(START, slot))
    weights = [Step(WEIGH, serves, 100 - share), Step(WEIGH, slot, share)]
    moved = [step for step in weights if observed.slot(step.slot).weight != step.value]
    if steps or moved or edge != READY:
        steps.append(Step(GATE, slot))
    steps += moved
    if edge != READY:
        steps.append(Step(TO_READY, slot))
    return Plan(slot, tuple(steps))


def _refill(observed: ObservedState, target: Content, slot: str, fresh: bool) -> tuple[list[Step], bool, str | None]:
    """Have *slot* hold *target*: the steps, whether its process runs after them, and its state at the edge then."""
    is_now = observed.slot(slot)
    running, edge = is_now.running, is_now.edge
    steps = [Step(CANCEL, slot)] if is_now.retiring else []
    write = is_now.content != target or is_now.stale
    if not write and not (fresh and running):
        return steps, running, edge
    if observed.edge and edge != MAINT:
        if running and edge != DRAIN:
            steps.append(Step(TO_DRAIN, slot))
        if running:
            steps.append(Step(DRAINED, slot))
        steps.append(Step(TO_MAINT, slot))
        edge = MAINT
    if running:
        steps.append(Step(STOP, slot))
    if write:
        steps.append(Step(WRITE, slot))
    return steps, False, edge


def _shift(observed: ObservedState, slot: str, edge: str | None, trusted: bool, moved: bool) -> list[Step]:
    """Move the traffic to *slot*, whose state at the edge is *edge*, and ask through the edge where that, or what has *moved*, may have
    changed anything.
    """
    steps = []
    if edge != READY:
        steps.append(Step(TO_READY, slot))
    if observed.slot(other(slot)).edge in (READY, DOWN):
        steps.append(Step(TO_DRAIN, other(slot)))
    if (steps or moved or observed.live != slot or observed.interrupted) and not trusted:
        steps.append(Step(PUBLIC, slot))
    return steps


def _relieve(observed: ObservedState, slot: str, warm: bool) -> list[Step]:
    """Take *slot*, which the other one has replaced, out of the boot and the edge, and stop it, at once or later."""
    is_now = observed.slot(slot)
    steps = [Step(DISABLE, slot)] if is_now.enabled else []
    if observed.edge and is_now.edge != MAINT:
        if is_now.running:
            steps.append(Step(DRAINED, slot))
        steps.append(Step(TO_MAINT, slot))
    if is_now.running and not (observed.edge and is_now.retiring):
        steps.append(Step(RETIRE if warm and observed.edge else STOP, slot))
    return steps


def _recreate(observed: ObservedState, target: Content, slot: str, fresh: bool) -> list[Step]:
    old = other(slot)
    new_is, old_is = observed.slot(slot), observed.slot(old)
    steps: list[Step] = []

    def add(do: str, where: str) -> None:
        steps.append(Step(do, where))

    write = new_is.content != target or new_is.stale
    stop_new = new_is.running and (write or fresh)
    for name, state, stops in ((old, old_is, old_is.running), (slot, new_is, stop_new)):
        if state.retiring:
            add(CANCEL, name)
        if stops:
            if observed.edge and state.edge != MAINT:
                if state.edge != DRAIN:
                    add(TO_DRAIN, name)
                add(DRAINED, name)
                add(TO_MAINT, name)
            add(STOP, name)
    edge = MAINT if stop_new and observed.edge else new_is.edge
    if edge == DOWN:
        add(TO_MAINT, slot)
        edge = MAINT
    if write:
        add(WRITE, slot)
    if not new_is.running or stop_new or new_is.retiring or new_is.short:
        add(START, slot)
    if steps or observed.live != slot or observed.interrupted or (observed.edge and edge != READY):
        add(GATE, slot)
    if observed.edge:
        if edge != READY:
            add(TO_READY, slot)
        if old_is.edge != MAINT and not old_is.running:
            add(TO_MAINT, old)
        if edge != READY or observed.live != slot or observed.interrupted:
            add(PUBLIC, slot)
    if observed.live != slot:
        add(LIVE, slot)
    if old_is.enabled:  # off before on: a boot in between starts none rather than two
        add(DISABLE, old)
    if not new_is.enabled or new_is.short_at_boot:
        add(ENABLE, slot)
    return steps


def plan_stopped(observed: ObservedState, unlink: bool = False) -> Plan:
    """Steps after which nothing of the component runs; with *unlink* there is no live slot either."""
    steps: list[Step] = []
    for name in sorted(SLOTS, key=lambda item: item == serving(observed)):
        state = observed.slot(name)
        if state.retiring:
            steps.append(Step(CANCEL, name))
        if observed.edge and state.edge != MAINT:
            if state.running:
                if state.edge != DRAIN:
                    steps.append(Step(TO_DRAIN, name))
                steps.append(Step(DRAINED, name))
            steps.append(Step(TO_MAINT, name))
        if state.enabled:
            steps.append(Step(DISABLE, name))
        if state.running or state.retiring:
            steps.append(Step(STOP, name))
    if unlink and observed.live is not None:
        steps.append(Step(UNLIVE, observed.live))
    return Plan(None if unlink else observed.live, tuple(steps))


def plan_boot(observed: ObservedState, strategy: str = "bluegreen") -> Plan:
    """Steps after which what starts at boot, what the edge sends to and the ``live`` link are one slot again.

    A power cut in the middle of a switch leaves each of them where the step before it had them. One rule decides: the slot that the
    edge sends to serves, if it starts at boot; else the one that the link names; else one that starts at boot. Nothing is gated and
    nothing is written: that slot has served before, or has proven itself on its own port. Where no slot starts at boot, the component
    stands still on purpose and is left so, unless a switch was interrupted (``observed.interrupted``): with ``recreate`` there is a moment
    between taking the old slot out of the boot and the new one into it.
    """
    if not observed.interrupted and not any(observed.slot(name).enabled for name in SLOTS):
        return Plan(observed.live, ())
    for name in SLOTS:  # what is enabled is on its way; whether it answers yet is not asked
        slot = observed.slot(name)
        edge = READY if slot.edge == DOWN else slot.edge
        missing = slot.short and slot.short_at_boot  # an instance that starts at boot is on its way as well
        on_its_way = replace(slot, running=slot.running or slot.enabled, crash_looping=False, stale=False, edge=edge, short=missing)
        observed = observed.put(name, on_its_way)
    order = [serving(observed), *(name for name in SLOTS if observed.slot(name).enabled)]
    serves, content = next(((name, observed.slot(name).content) for name in order if name and observed.slot(name).content), (None, None))
    if content is None:
        return Plan(observed.live, ())
    plan = plan_active(observed, content, strategy, into=serves, trusted=True)
    return Plan(plan.slot, tuple(step for step in plan.steps if step.do not in (GATE, PUBLIC)))
