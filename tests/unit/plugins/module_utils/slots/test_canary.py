# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release that gets a share of the requests: what is live stays so, and every way out leads back to one slot."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.haproxy import EdgeError
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.keep import kept
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import LeaseLost
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import canaries_of_run, derive, open_canary
from ansible_collections.phasegate.aistack.plugins.module_utils.node.reconcile import BootSlots
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import operations
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.contract import Failed, Refused, Request
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.slots.test_operations import V1, V2, V3
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.slots.test_prepare import Yard

R2 = Request(run="r2")


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    yard = Yard(tmp_path)
    yard.slots().activate(V1, Request(run="r1"))
    yard.machine.did.clear()
    yard.gate.asked.clear()
    return yard


def shares(yard: Yard) -> dict[str, int]:
    """Of the slots that take requests, what they weigh."""
    state = yard.machine.load()
    weights = state.get("weights", {})
    return {slot: weights.get(slot, 1) for slot in ("blue", "green") if state["edge"][slot] == "ready" and state[slot]["running"]}


def opened(yard: Yard) -> Any:
    return open_canary(yard.journal.read(), "web")


def test_a_share_after_its_gate_and_the_live_release_stays_what_it_is(yard: Yard) -> None:
    outcome = yard.slots().share(V2, 5, R2)
    assert yard.machine.did == ["start green", "weigh blue 95", "weigh green 5", "ready green"]
    assert yard.gate.asked == [("v2", 18001)], "proven on its own port, before it takes a request"
    assert shares(yard) == {"blue": 95, "green": 5}
    assert outcome.message == "web: v2 gets 5 % of the requests in green, beside v1"
    assert (outcome.changed, outcome.slot, outcome.previous) == (True, "green", {"slot": "blue", "release": "v1", "config": "c1"})
    state = yard.machine.load()
    assert (state["blue"]["enabled"], state["green"]["enabled"], yard.slots().node.live()) == (True, False, "blue")
    known = derive(yard.journal.read(), "web")
    assert known.live is not None
    assert (known.live.release, known.previous_good, yard.marks()) == ("v1", None, {"v1": "good"})
    assert (opened(yard).release, opened(yard).detail["weight"], opened(yard).run) == ("v2", 5, "r2")


def test_it_rises_and_ends_as_a_switch(yard: Yard) -> None:
    for percent in (5, 25):
        yard.slots().share(V2, percent, R2)
    assert shares(yard) == {"blue": 75, "green": 25}
    assert opened(yard).detail["weight"] == 25
    assert yard.slots().share(V2, 25, R2).changed is False, "the same once more"
    outcome = yard.slots().activate(V2, R2)
    assert outcome.previous == {"slot": "blue", "release": "v1", "config": "c1"}
    yard.tidy("v2")
    assert opened(yard) is None
    yard.slots().revert(R2)
    yard.tidy("v1")


def test_a_run_that_is_taken_back_takes_the_share_away_first(yard: Yard) -> None:
    yard.slots().prepare(V2, R2)
    yard.slots().share(V2, 5, R2)
    yard.slots().share(V2, 25, R2)
    yard.machine.did.clear()
    outcome = yard.slots().revert(Request(run="r2", reason="errors above 5 %"))
    assert yard.machine.did[0] == "drain green"
    assert outcome.message == "web: v2 gets no requests any more; v1 serves in blue"
    yard.tidy("v1")
    assert (opened(yard), yard.marks()) == (None, {"v1": "good", "v2": "bad"})
    assert yard.slots().revert(R2).changed is False
    with pytest.raises(Refused, match="marked bad"):
        yard.slots().share(V2, 5, Request(run="r3"))


def test_where_the_live_release_died_meanwhile_it_is_what_comes_back(yard: Yard) -> None:
    yard.slots().share(V2, 25, R2)
    state = yard.machine.load()
    state["blue"]["running"] = False
    yard.machine._store(state)
    yard.slots().revert(R2)
    yard.tidy("v1")


@pytest.mark.parametrize("check", [True, False])
def test_what_another_run_shares_out_is_left_where_this_one_fails_before_its_turn(yard: Yard, check: bool) -> None:
    yard.slots().share(V2, 25, R2)
    yard.machine.did.clear()
    outcome = yard.slots().revert(Request(run="r3", reason="the backup failed", check=check))
    assert (outcome.changed, yard.machine.did) == (False, [])
    assert outcome.message == ("web: run r3 activated nothing here that is still to be taken back; v2 keeps the share of the requests that "
                               "run r2 gave it")
    assert (shares(yard), yard.marks(), opened(yard).run) == ({"blue": 75, "green": 25}, {"v1": "good"}, "r2")
    yard.slots().share(V2, 25, Request(run="r3"))
    yard.slots().revert(Request(run="r3", reason="errors above 5 %"))
    yard.tidy("v1")
    assert yard.marks()["v2"] == "bad", "it was this run's by then"


def at_edge(yard: Yard, **states: str) -> None:
    state = yard.machine.load()
    state["edge"].update(states)
    yard.machine._store(state)


@pytest.mark.parametrize("check", [True, False])
def test_beside_what_is_down_there_is_no_share(yard: Yard, check: bool) -> None:
    at_edge(yard, blue="down")
    with pytest.raises(Refused, match="v1, which is live in blue, is down at the edge: v2 would get all requests, and not 5 %"):
        yard.slots().share(V2, 5, Request(run="r2", check=check))
    assert (yard.machine.did, opened(yard), yard.marks()) == ([], None, {"v1": "good"})
    at_edge(yard, blue="ready")
    yard.slots().share(V2, 5, R2)
    at_edge(yard, blue="down")
    with pytest.raises(Refused, match="v3 would get all requests"):
        yard.slots().share(V3, 5, Request(run="r3", check=check))
    assert shares(yard) == {"green": 5}, "what answers is left alone"


def test_where_what_is_live_goes_down_meanwhile_it_stays_what_the_switch_replaces(yard: Yard) -> None:
    yard.slots().share(V2, 5, R2)
    at_edge(yard, blue="down")
    outcome = yard.slots().share(V2, 25, R2)
    assert outcome.previous == {"slot": "blue", "release": "v1", "config": "c1"}
    assert outcome.warnings == ["web: v1, which is live in blue, is down at the edge: v2 gets all requests, and not 25 %"]
    assert (opened(yard).detail["weight"], yard.machine.load()["edge"]) == (25, {"blue": "down", "green": "ready"})
    assert yard.slots().activate(V2, R2).previous == {"slot": "blue", "release": "v1", "config": "c1"}
    yard.tidy("v2")
    yard.slots().revert(R2)
    yard.tidy("v1")


def test_a_switch_to_a_third_release_replaces_what_was_live_and_not_what_had_the_share(yard: Yard) -> None:
    yard.slots().share(V2, 5, R2)
    at_edge(yard, blue="down")
    assert yard.slots().activate(V3, Request(run="r3")).previous == {"slot": "blue", "release": "v1", "config": "c1"}
    yard.tidy("v3")
    yard.slots().revert(Request(run="r3"))
    yard.tidy("v1")


@pytest.mark.parametrize("percent", [5, 25])
def test_one_that_does_not_pass_its_gate_gets_nothing(yard: Yard, percent: int) -> None:
    if percent == 25:
        yard.slots().share(V2, 5, R2)
    yard.gate.fails = ("v2",)
    with pytest.raises(Failed, match="v2 was not made live: slot green did not pass its gate"):
        yard.slots().share(V2, percent, R2)
    yard.tidy("v1")
    assert (shares(yard).keys(), opened(yard), yard.marks()["v2"]) == ({"blue"}, None, "bad")


@pytest.mark.parametrize(("what", "release"), [("another release", "v3"), ("what is live again", "v1"), ("what is live, restarted", "v1")])
def test_whatever_comes_in_between_ends_it(yard: Yard, what: str, release: str) -> None:
    yard.slots().share(V2, 25, R2)
    if what == "another release":
        yard.slots().prepare(V3, Request(run="r3"))
        yard.slots().activate(V3, Request(run="r3"))
    elif what == "what is live again":
        yard.slots().activate(V1, Request(run="r3"), back=True)
    else:
        yard.slots().restart(None, Request(run="r3"))
    yard.tidy(release)
    assert opened(yard) is None


def test_another_run_of_the_same_goes_on(yard: Yard) -> None:
    yard.slots().share(V2, 5, R2)
    yard.slots().prepare(V2, Request(run="r3"))
    assert yard.machine.load()["timers"] == [], "no timer stops what takes requests"
    assert yard.slots().share(V2, 5, Request(run="r3")).changed is True, "it is that run's now"
    assert [canaries_of_run(yard.journal.read(), run) != [] for run in ("r2", "r3")] == [False, True]
    yard.slots().share(V2, 25, Request(run="r3"))
    yard.slots().activate(V2, Request(run="r3"))
    yard.tidy("v2")


def test_a_drained_edge_lets_no_share_through(yard: Yard) -> None:
    yard.slots().share(V2, 25, R2)
    yard.slots().drain(Request(run="r3"))
    assert shares(yard) == {}
    yard.slots().resume(Request(run="r3"))
    assert shares(yard).keys() == {"blue"}


def test_a_node_that_boots_has_one_slot_again(yard: Yard) -> None:
    yard.slots().share(V2, 25, R2)
    state = yard.machine.load()
    for slot in ("blue", "green"):
        state[slot]["running"] = state[slot]["enabled"]
    yard.machine._store(state)
    plain = yard.slots()
    boot = BootSlots(plain.spec, yard.gate, yard.journal, plain.node.systemd, plain.node.edge)
    boot.reconcile(Request(run="boot"))
    assert (yard.serving(), yard.machine.load()["edge"]) == (("blue", "v1"), {"blue": "ready", "green": "maint"})
    yard.slots().share(V2, 25, Request(run="r3"))
    assert shares(yard) == {"blue": 75, "green": 25}


@pytest.mark.parametrize("then", ["again", "back", "emergency"])
def test_killed_anywhere_it_goes_on_or_back(tmp_path: Path, then: str) -> None:
    for step in range(1, 40):
        yard = Yard(tmp_path / str(step))
        yard.slots().activate(V1, Request(run="r1"))
        child = os.fork()
        if not child:
            yard.machine.count, yard.machine.die_at = 0, (step, step % 2 == 0)
            yard.slots().share(V2, 5, R2)
            yard.slots().share(V2, 25, R2)
            os._exit(0)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert "blue" in shares(yard), "what is live takes requests whatever happens"
        if then == "again":
            for percent in (5, 25):
                yard.slots().share(V2, percent, R2)
            yard.slots().activate(V2, R2)
        elif then == "back":
            yard.slots().revert(R2)
        else:
            yard.slots().activate(V1, Request(run="r9"), back=True)
        yard.tidy("v2" if then == "again" else "v1")
        assert opened(yard) is None
        if ended == 0:
            break
    else:
        pytest.fail("it never came to its end")


def test_where_nothing_can_be_shared_out(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="only behind an edge"):
        Yard(tmp_path / "a", edge=False).slots().share(V2, 5, R2)
    with pytest.raises(Refused, match="with two slots at a time"):
        Yard(tmp_path / "b", strategy="recreate").slots().share(V2, 5, R2)
    first = Yard(tmp_path / "c")
    assert first.slots().share(V1, 5, R2).changed is False, "nothing is live yet"
    first.slots().activate(V1, R2)
    assert first.slots().share(V1, 5, R2).changed is False, "it is live"
    checked = first.slots().share(V2, 5, Request(run="r2", check=True))
    assert (checked.changed, checked.message) == (True, "web: v2 would get 5 % of the requests in green, beside v1")
    first.tidy("v1")


def test_a_run_that_loses_its_lease_in_its_share_leaves_it_open(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    yard.slots().share(V2, 5, R2)

    def require(_state_dir: Any, _run: str, what: str) -> None:
        if "weigh" in what:
            raise LeaseLost("run r9 has the lock", {})

    with monkeypatch.context() as patched:
        patched.setattr(operations, "require", require)
        with pytest.raises(LeaseLost):
            yard.slots().share(V2, 25, R2)
    last = yard.journal.read()[-1]
    assert (last["op"], last["outcome"], last["detail"]["error"]) == ("canary", "failed", "run r9 has the lock")
    assert shares(yard) == {"blue": 95, "green": 5}, "whoever has the lock decides"
    assert (opened(yard).release, [found.release for found in canaries_of_run(yard.journal.read(), "r2")]) == ("v2", ["v2"])
    assert open_canary(kept(yard.journal.read(), 0), "web") is not None, "also once the journal was archived"
    yard.slots().activate(V1, Request(run="r9"), back=True)
    yard.tidy("v1")
    assert opened(yard) is None


def test_a_share_that_could_not_be_taken_away_is_open(yard: Yard) -> None:
    yard.slots().share(V2, 5, R2)
    yard.gate.fails = ("v2",)
    yard.machine.raise_at = {"drain green": EdgeError("no answer")}
    with pytest.raises(Failed, match="Going back failed too"):
        yard.slots().share(V2, 25, R2)
    assert (shares(yard).keys(), opened(yard).release) == ({"blue", "green"}, "v2")
    yard.machine.raise_at = {}
    yard.slots().revert(R2)
    yard.tidy("v1")
    assert opened(yard) is None
