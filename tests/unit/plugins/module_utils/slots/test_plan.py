# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans of slots, walked through in every state and interrupted after every step.

The model below is what the steps do to a node, written down independently of the planner.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from functools import cache

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import SLOTS
from ansible_collections.phasegate.aistack.plugins.module_utils.release.content import Content
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import plan as sp
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.plan import ObservedState, Slot, Step

A, B, C = Content("v1", "aaa"), Content("v2", "bbb"), Content("v3", "ccc")
EDGE = (sp.READY, sp.DOWN, sp.DRAIN, sp.MAINT)


def do(observed: ObservedState, step: Step, target: Content) -> ObservedState:
    """What a step does to a node; refuses what must never happen."""
    slot = observed.slot(step.slot)
    if step.do == sp.WRITE:
        assert not slot.running, f"{step}: the content of a running slot was exchanged"
        slot = replace(slot, content=target, stale=False)
    elif step.do == sp.START:
        slot = replace(slot, running=True)
    elif step.do == sp.STOP:
        slot = replace(slot, running=False, retiring=False, crash_looping=False)
    elif step.do in (sp.ENABLE, sp.DISABLE):
        slot = replace(slot, enabled=step.do == sp.ENABLE)
    elif step.do == sp.GATE:
        assert slot.running, f"{step}: nothing runs there"
    elif step.do == sp.TO_READY:
        assert slot.running, f"{step}: traffic was sent to a slot that does not run"
        slot = replace(slot, edge=sp.READY)
    elif step.do in (sp.TO_DRAIN, sp.TO_MAINT):
        slot = replace(slot, edge=step.do)
    elif step.do == sp.LIVE:
        return replace(observed, live=step.slot)
    elif step.do == sp.UNLIVE:
        return replace(observed, live=None)
    elif step.do == sp.RETIRE:
        assert slot.edge == sp.MAINT, f"{step}: kept warm while it takes requests"
        slot = replace(slot, retiring=True)
    elif step.do == sp.CANCEL:
        slot = replace(slot, retiring=False)
    else:
        assert step.do in (sp.DRAINED, sp.PUBLIC)
    return observed.put(step.slot, slot)


def available(observed: ObservedState) -> bool:
    if not observed.edge:  # what runs beside the live slot has not proven itself
        return observed.live is not None and observed.slot(observed.live).running
    return any(observed.slot(name).running and observed.slot(name).edge == sp.READY for name in SLOTS)


def walk(observed: ObservedState, plan: sp.Plan, target: Content) -> list[ObservedState]:
    """The world before the plan and after each of its steps."""
    observations = [observed]
    for step in plan.steps:
        observations.append(do(observations[-1], step, target))
    return observations


@cache
def taken_up(observed: ObservedState, target: Content, strategy: str = "bluegreen") -> list[ObservedState]:
    """The world before and after each step of the next run, where one was interrupted in this state; many ways lead to the same."""
    return walk(observed, sp.plan_active(observed, target, strategy), target)


@cache
def rebooted(observed: ObservedState, strategy: str) -> ObservedState:
    """The node after the power came back: enabled units run, timers are gone, the edge is as it was written down, and so is the link.

    Then what the node does by itself at boot; with ``recreate`` two never run at any point of it. The journal knows the switch as begun.
    """
    for name in SLOTS:
        slot = observed.slot(name)
        state = slot.edge if slot.enabled or slot.edge != sp.READY else sp.DOWN
        observed = observed.put(name, replace(slot, running=slot.enabled, retiring=False, crash_looping=False, edge=state))
    observed = replace(observed, interrupted=True)
    both = observed.blue.running and observed.green.running
    path = walk(observed, sp.plan_boot(observed, strategy), A)
    assert strategy != "recreate" or both or not any(step.blue.running and step.green.running for step in path), observed
    for name in SLOTS:
        if path[-1].slot(name).running and path[-1].slot(name).edge == sp.DOWN:  # its health check passes by and by
            path[-1] = path[-1].put(name, replace(path[-1].slot(name), edge=sp.READY))
    return path[-1]


def agreed(observed: ObservedState) -> bool:
    """Whether one slot runs, is live, is enabled and has the traffic, and the other is out of all of it."""
    if observed.live is None:
        return False
    live, old = observed.slot(observed.live), observed.slot(sp.other(observed.live))
    fronted = live.edge == sp.READY and old.edge == sp.MAINT
    return live.running and live.enabled and not old.running and not old.enabled and (fronted or not observed.edge)


def finished(observed: ObservedState, target: Content) -> None:
    assert observed.live is not None
    live, old = observed.slot(observed.live), observed.slot(sp.other(observed.live))
    assert live.content == target
    assert live.running
    assert live.enabled
    assert not old.enabled
    assert not live.retiring
    if observed.edge:
        assert live.edge == sp.READY
        assert old.edge == sp.MAINT
        assert not old.running or old.retiring
    else:
        assert not old.running


FLAGS = (False, True)


def slots(edge: bool, full: bool) -> list[Slot]:
    """All states of one slot; not *full*: those that differ in what decides about traffic."""
    rare = FLAGS if full else (False,)
    combinations = itertools.product((None, A, B), FLAGS, rare, EDGE if edge else (None,), rare, rare)
    # the edge's health check says `down` of a slot that does not run
    return [Slot(*values) for values in combinations if values[3] != sp.READY or values[1]]


def observations(edge: bool) -> list[ObservedState]:
    """Every combination of two slots, a live link that makes sense, and an interruption."""
    each = slots(edge, full=False)
    return [
        ObservedState(live, blue, green, edge, interrupted)
        for live, blue, green, interrupted in itertools.product((None, *SLOTS), each, each, FLAGS)
        if live is None or (blue if live == "blue" else green).content is not None
    ]


def sample(edge: bool) -> list[ObservedState]:
    """Some of the combinations with everything in them; the same ones every time."""
    chosen, each = random.Random(7), slots(edge, full=True)
    return [
        ObservedState(chosen.choice((None, *SLOTS)), chosen.choice(each), chosen.choice(each), edge, chosen.random() < 0.3)
        for _number in range(2000)
    ]


@pytest.mark.parametrize("edge", [True, False])
@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("target", [A, C])
def test_bluegreen_ends_live_and_never_without_a_server(edge: bool, warm: bool, fresh: bool, target: Content) -> None:
    for observed in observations(edge) + sample(edge):
        path = walk(observed, sp.plan_active(observed, target, warm=warm, fresh=fresh), target)
        finished(path[-1], target)
        if available(observed):
            assert all(available(step) for step in path), observed


@pytest.mark.parametrize("edge", [True, False])
@pytest.mark.parametrize(("first", "then"), [(A, A), (C, C), (C, A), (A, C), (C, Content("v4", "ddd"))])
def test_bluegreen_interrupted_anywhere_is_taken_up(edge: bool, first: Content, then: Content) -> None:
    """Interrupted after each step; the next run wants the same, or something else."""
    for observed in random.Random(3).sample(observations(edge), 500 if edge else 100) + sample(edge)[:500]:
        for cut in walk(observed, sp.plan_active(observed, first, warm=True), first):
            path = taken_up(replace(cut, interrupted=True), then)
            finished(path[-1], then)
            if available(observed):
                assert all(available(step) for step in path), (observed, cut)


@pytest.mark.parametrize("edge", [True, False])
@pytest.mark.parametrize("strategy", ["bluegreen", "recreate"])
def test_a_second_plan_is_empty(edge: bool, strategy: str) -> None:
    for observed in observations(edge) + sample(edge):
        end = walk(observed, sp.plan_active(observed, A, strategy), A)[-1]
        assert sp.plan_active(replace(end, interrupted=False), A, strategy).steps == ()


@pytest.mark.parametrize("edge", [True, False])
@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("target", [A, C])
def test_recreate_never_runs_two(edge: bool, fresh: bool, target: Content) -> None:
    for observed in observations(edge) + sample(edge):
        plan = sp.plan_active(observed, target, "recreate", fresh=fresh)
        path = walk(observed, plan, target)
        finished(path[-1], target)
        for step, after in zip(plan.steps, path[1:]):
            if step.do == sp.START:
                assert not (after.blue.running and after.green.running), observed
        for cut in path:
            finished(taken_up(replace(cut, interrupted=True), target, "recreate")[-1], target)


@pytest.mark.parametrize("edge", [True, False])
@pytest.mark.parametrize("strategy", ["bluegreen", "recreate"])
@pytest.mark.parametrize(("target", "fresh"), [(A, False), (A, True), (C, False)])
def test_power_lost_after_any_step_somebody_serves_after_the_boot(edge: bool, strategy: str, target: Content, fresh: bool) -> None:
    for observed in observations(edge) + sample(edge):
        empty = any(slot.content is None and (slot.running or slot.enabled) for slot in (observed.blue, observed.green))
        if empty or not agreed(rebooted(observed, strategy)):
            continue  # a node that would not have served after a boot before anything was begun
        path = walk(observed, sp.plan_active(observed, target, strategy, fresh=fresh), target)
        for cut in path:
            assert agreed(rebooted(cut, strategy)), (observed, cut)
            if strategy == "recreate":
                assert not (cut.blue.enabled and cut.green.enabled) or (observed.blue.enabled and observed.green.enabled), cut


@pytest.mark.parametrize("edge", [True, False])
@pytest.mark.parametrize("strategy", ["bluegreen", "recreate"])
def test_power_lost_while_going_back_and_while_the_boot_is_tidied(edge: bool, strategy: str) -> None:
    state = (sp.READY, sp.MAINT) if edge else (None, None)
    before = ObservedState("blue", Slot(A, True, True, state[0]), Slot(B, False, False, state[1]), edge)
    for cut in walk(before, sp.plan_active(before, C, strategy), C):
        for again in walk(cut, sp.plan_active(cut, A, strategy, into="blue", trusted=True), A):
            assert agreed(rebooted(again, strategy)), (cut, again)
        dark = replace(cut, blue=replace(cut.blue, running=cut.blue.enabled), green=replace(cut.green, running=cut.green.enabled))
        dark = replace(dark, interrupted=True)
        for again in walk(dark, sp.plan_boot(dark, strategy), C):
            assert agreed(rebooted(again, strategy)), (cut, again)


@pytest.mark.parametrize("edge", [True, False])
def test_bluegreen_serves_after_a_boot_even_where_nothing_tidies_it(edge: bool) -> None:
    """What is written down at the edge and what is enabled fit after every step."""
    state = (sp.READY, sp.MAINT) if edge else (None, None)
    before = ObservedState("blue", Slot(A, True, True, state[0]), Slot(None, False, False, state[1]), edge)
    for cut in walk(before, sp.plan_active(before, C, warm=True), C):
        dark = replace(cut, blue=replace(cut.blue, running=cut.blue.enabled), green=replace(cut.green, running=cut.green.enabled))
        assert available(dark), cut


@pytest.mark.parametrize("strategy", ["bluegreen", "recreate"])
def test_a_boot_leaves_alone_what_is_in_order_and_what_stands_still(strategy: str) -> None:
    for edge in (True, False):
        for observed in observations(edge) + sample(edge):
            end = replace(walk(observed, sp.plan_active(observed, A, strategy, warm=True), A)[-1], interrupted=False)
            assert sp.plan_boot(end, strategy).steps == ()
            stopped = replace(walk(observed, sp.plan_stopped(observed), A)[-1], interrupted=False)
            assert sp.plan_boot(stopped, strategy).steps == ()


def test_a_boot_ends_a_drain_that_lost_its_timer() -> None:
    observed = ObservedState("blue", Slot(A, True, True, sp.DRAIN), Slot(None, edge=sp.MAINT), edge=True)
    assert [str(step) for step in sp.plan_boot(observed, "bluegreen").steps] == ["ready blue"]


@pytest.mark.parametrize("strategy", ["bluegreen", "recreate"])
def test_going_back_after_a_failed_gate_leaves_the_old_slot_as_it_was(strategy: str) -> None:
    edge = strategy == "bluegreen"
    state = (sp.READY, sp.MAINT) if edge else (None, None)
    before = ObservedState("blue", Slot(A, True, True, state[0]), Slot(B, False, False, state[1]), edge)
    plan = sp.plan_active(before, C, strategy)
    for cut in walk(before, plan, C):
        back = sp.plan_active(cut, A, strategy, into="blue", trusted=True)
        path = walk(cut, back, A)
        finished(path[-1], A)
        if edge:
            assert all(available(step) for step in path)
            assert cut.blue.running != back.does(sp.GATE, "blue"), "what served a moment ago is not put to a new test"


def test_first_activation() -> None:
    bare = ObservedState(None, Slot(edge=sp.MAINT), Slot(edge=sp.MAINT), edge=True)
    plan = sp.plan_active(bare, A, warm=True)
    assert [str(step) for step in plan.steps] == [
        "write blue", "start blue", "gate blue", "enable blue", "ready blue", "gate public blue", "live blue",
    ]


def test_an_ordinary_switch_is_ready_first_then_drain() -> None:
    observed = ObservedState("blue", Slot(A, True, True, sp.READY), Slot(None, edge=sp.MAINT), edge=True)
    steps = [str(step) for step in sp.plan_active(observed, B).steps]
    assert steps == [
        "write green", "start green", "gate green", "enable green", "ready green", "drain blue", "gate public green", "live green",
        "disable blue", "wait drained blue", "maint blue", "stop blue",
    ]
    assert [str(step) for step in sp.plan_active(observed, B, warm=True).steps][-1] == "keep warm blue"


def test_a_warm_slot_comes_back_without_being_written() -> None:
    observed = ObservedState("green", Slot(A, True, False, sp.MAINT, retiring=True), Slot(B, True, True, sp.READY), edge=True)
    plan = sp.plan_active(observed, A)
    assert [str(step) for step in plan.steps][:5] == ["cancel blue", "start blue", "gate blue", "enable blue", "ready blue"]
    assert not plan.does(sp.WRITE, "blue")


def test_the_live_slot_that_died_is_started_where_it_is() -> None:
    observed = ObservedState("blue", Slot(A, False, True, sp.DOWN), Slot(None, edge=sp.MAINT), edge=True)
    assert [str(step) for step in sp.plan_active(observed, A).steps] == [
        "maint blue", "start blue", "gate blue", "ready blue", "gate public blue",
    ]


def test_the_live_slot_that_hangs_is_replaced_by_the_same_release() -> None:
    observed = ObservedState("blue", Slot(A, True, True, sp.DOWN), Slot(None, edge=sp.MAINT), edge=True)
    plan = sp.plan_active(observed, A)
    assert plan.slot == "green"
    assert plan.does(sp.WRITE, "green")


@pytest.mark.parametrize("unlink", [True, False])
def test_stopped(unlink: bool) -> None:
    for edge in (True, False):
        for observed in observations(edge) + sample(edge):
            path = walk(observed, sp.plan_stopped(observed, unlink), A)
            for name in SLOTS:
                assert not path[-1].slot(name).running
                assert not path[-1].slot(name).enabled
                assert path[-1].slot(name).edge in (None, sp.MAINT)
            assert path[-1].live == (None if unlink else observed.live)
            assert sp.plan_stopped(path[-1], unlink).steps == ()


@pytest.mark.parametrize("strategy", ["bluegreen", "recreate"])
def test_a_live_slot_that_dies_again_and_again_is_started_again(strategy: str) -> None:
    observed = ObservedState("blue", Slot(A, True, True, crash_looping=True), Slot(None))
    plan = sp.plan_active(observed, A, strategy)
    assert plan.does(sp.STOP, "blue")
    assert plan.slot == ("green" if strategy == "bluegreen" else "blue")
    finished(walk(observed, plan, A)[-1], A)
