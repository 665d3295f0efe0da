# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which hosts change together, who judges them, and what an earlier run has done of it already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import OF_A_SLOT
from ansible_collections.phasegate.aistack.plugins.module_utils.rollout.plan import (
    Batch,
    Step,
    batches,
    cannot_be_asked,
    first,
    held,
    not_drained,
    of_slot,
    page,
    steps,
)

TEN = [f"h{number}" for number in range(10)]


def cut(hosts: Sequence[str], strategy: Any) -> list[tuple[str, ...]]:
    return [batch.hosts for batch in batches(hosts, strategy)]


@pytest.mark.parametrize("strategy", [None, "bluegreen", "recreate"])
@pytest.mark.parametrize("count", [1, 3, 10])
def test_without_batches_all_change_together(strategy: Any, count: int) -> None:
    assert batches(TEN[:count], strategy) == [Batch(tuple(TEN[:count]))]


@pytest.mark.parametrize(("limit", "count", "sizes"), [
    (1, 1, [1]), (1, 3, [1, 1, 1]), (2, 3, [2, 1]), (3, 3, [3]), (1, 10, [1] * 10), (4, 10, [4, 4, 2]),
    ("25%", 1, [1]), ("25%", 3, [1, 1, 1]), ("25%", 10, [2] * 5), ("34%", 3, [1, 1, 1]), ("70%", 3, [2, 1]), ("100%", 10, [10]),
])
def test_rolling(limit: Any, count: int, sizes: list[int]) -> None:
    found = cut(TEN[:count], {"rolling": {"limit": limit}})
    assert [len(hosts) for hosts in found] == sizes
    assert [host for hosts in found for host in hosts] == TEN[:count], "each once, in the order of the inventory"


def test_what_a_batch_has_to_prove() -> None:
    assert batches(["a", "b"], {"rolling": {"hold": 30, "triggers": ["errors"]}}) == [
        Batch(("a",), 100, 30.0, ("errors",)), Batch(("b",), 100, 30.0, ("errors",)),
    ]
    assert batches(["a"], {"canary": {"weights": [5, 25, 100], "hold": 300}}) == [
        Batch(("a",), 5, 300.0), Batch(("a",), 25, 300.0), Batch(("a",), 100, 300.0),
    ]
    assert batches([], {"rolling": {}}) == []


@pytest.mark.parametrize(("there", "holds"), [
    ([], [30, 30, 30]),
    (["a"], [30, 30, 30]),
    (["a", "b"], [0, 30, 30]),
    (["a", "b", "c"], [0, 0, 0]),
    (["b"], [30, 0, 30]),
])
def test_a_run_that_goes_on_holds_what_another_may_have_ended_in(there: list[str], holds: list[float]) -> None:
    assert held(batches(["a", "b", "c"], {"rolling": {"hold": 30}}), there) == holds


ROLLING: dict[str, Any] = {"strategy": {"rolling": {"limit": 1, "hold": 120, "triggers": ["errors"]}}, "gate_settings": {"deadline": 90}}


def walk(there: Sequence[str] = (), **described: Any) -> list[Step]:
    known = {"api": ROLLING, "web": {}, **described}
    return steps(["api", "web"], known, {"api": ["a", "b", "c"], "web": ["c", "d"]}, ["a", "b", "c", "d"], {"api": there})


def test_one_component_after_the_other_and_of_each_its_batches() -> None:
    found = walk()
    assert [(step["component"], step["hosts"], step["number"], step["of"]) for step in found] == [
        ("api", ["a"], 1, 3), ("api", ["b"], 2, 3), ("api", ["c"], 3, 3), ("web", ["c", "d"], 1, 1),
    ]
    assert [step["label"] for step in found[2:]] == ["api: batch 3 of 3: c", "web"]
    assert [step["proof"] for step in found] == [True, True, True, False], "as it was where all hosts change together"


def test_a_host_judges_once_it_has_switched_and_others_always() -> None:
    assert [step["judges"] for step in walk()] == [["a", "d"], ["a", "b", "d"], ["a", "b", "c", "d"], ["a", "b", "c", "d"]]


def test_a_short_window_is_looked_at_often_enough() -> None:
    assert [step["look"] for step in walk()][:1] == [5]
    short = steps(["api"], {"api": ROLLING}, {"api": ["a"]}, ["a"], {}, {"errors": 4.0})
    assert short[0]["look"] == 2


def test_the_gate_of_a_batch_has_to_pass_for_its_hold() -> None:
    with_triggers = walk()[0]
    assert (with_triggers["hold"], with_triggers["triggers"]) == (120, ["errors"])
    assert with_triggers["gate"] == {**OF_A_SLOT, "deadline": 90}, "the triggers take the time"
    alone = walk(api={"strategy": {"rolling": {"hold": 120}}})[0]
    assert alone["gate"] == {**OF_A_SLOT, "interval": 2, "min_healthy_time": 120, "deadline": 180}
    again = walk(["a", "b"])
    assert [(step["hold"], step["triggers"]) for step in again[:3]] == [(0, []), (120, ["errors"]), (120, ["errors"])]


def test_who_goes_back_by_himself_counts_again_while_others_take_their_turn() -> None:
    assert [step["armed"] for step in walk()] == [["a"], ["a", "b"], ["a", "b", "c"], ["a", "b", "c", "d"]]
    assert [step["armed"] for step in walk(api={})] == [["a", "b", "c"], ["a", "b", "c", "d"]], "also where all hosts change together"


@pytest.mark.parametrize(("web", "drain", "expected"), [
    ({}, True, ("", 0)),
    ({"role": "worker"}, False, ("", 0)),
    ({"role": "worker"}, True, ("wait", 300)),
    ({"role": "shop.roles.worker", "slots": {"drain_timeout": 900, "long_tasks": "tell"}}, True, ("wait", 900)),
    ({"role": "worker", "slots": {"drain_timeout": 900, "long_tasks": "tell"}}, False, ("tell", 0)),
    ({"role": "worker", "slots": {"long_tasks": "wait"}}, False, ("wait", 300)),
    ({"role": "worker", "slots": {"long_tasks": "refuse"}}, True, ("refuse", 0)),
])
def test_what_is_done_about_tasks_and_how_long_it_may_take(web: dict[str, Any], drain: bool, expected: tuple[str, float]) -> None:
    """Who refuses is not overruled by a flag for all, and the dead man's switch has to outlast the waiting."""
    found = steps(["api", "web"], {"api": {}, "web": web}, {"api": ["a"], "web": ["b"]}, ["a", "b"], {}, None, drain=drain)
    assert [(step["long_tasks"], step["drain"]) for step in found] == [("", 0), expected]


@pytest.mark.parametrize(("component", "expected"), [
    ({"role": "worker"}, False),
    ({"role": "container"}, True),
    ({"role": "phasegate.aistack.container", "options": {"command": ["celery", "-A", "app", "worker"]}, "port": "flower"}, True),
    ({"role": "container", "port": "api"}, False),
    ({"role": "container", "options": {"command": ["celery", "-A", "app", "beat"]}}, False),
])
def test_who_may_hold_tasks_and_is_asked_by_nobody(component: dict[str, Any], expected: bool) -> None:
    assert cannot_be_asked(component) is expected
    assert bool(not_drained({"jobs": component})) is expected


def test_what_is_proven_before_anything_takes_traffic() -> None:
    assert first(walk()) == {"a": ["api"], "c": ["web"], "d": ["web"]}


def test_the_order_in_words() -> None:
    assert page(walk(["a"]), {"api": ["a"]}).splitlines() == [
        "The order of the switch",
        "  api, 3 batches one after the other:",
        "    1. a (there already), then its gate, 120 s in which errors judges, and its gate again",
        "    2. b, then its gate, 120 s in which errors judges, and its gate again",
        "    3. c, then its gate, 120 s in which errors judges, and its gate again",
    ]
    assert page(walk(api={}), {}) == ""
    held_alone = page(walk(api={"strategy": {"rolling": {"hold": 30}}}), {})
    assert held_alone.splitlines()[-1] == "    3. c, then its gate, for 30 s without a break"
    assert page(walk(api={"strategy": {"rolling": {}}}), {}).splitlines()[-1] == "    3. c, then its gate"


def test_shares_of_a_canary() -> None:
    canary = {"strategy": {"canary": {"weights": [5, 25, 100], "hold": 60, "triggers": ["errors", "slow"]}}}
    found = walk(api=canary)
    assert [(step["hosts"], step["weight"], step["hold"], step["triggers"]) for step in found[:3]] == [
        (["a", "b", "c"], weight, 60, ["errors", "slow"]) for weight in (5, 25, 100)
    ]
    assert [step["label"] for step in found[1:3]] == ["api: 25 % of the requests: a, b, c", "api: batch 3 of 3: a, b, c"]
    assert found[3]["weight"] == 100
    assert page(found, {}).splitlines()[1:] == [
        "  api, 3 shares of the requests one after the other:",
        "    1. 5 % on a, b, c, then 60 s in which errors, slow judge it",
        "    2. 25 % on a, b, c, then 60 s in which errors, slow judge it",
        "    3. a, b, c, then its gate, 60 s in which errors, slow judge, and its gate again",
    ]


def test_a_host_on_which_nothing_is_live_has_its_turn_when_all_requests_move() -> None:
    canary = {"strategy": {"canary": {"weights": [5, 25, 100], "hold": 60, "triggers": ["errors"]}}}
    hosts, everywhere = {"api": ["a", "b", "c"]}, ["a", "b", "c", "d"]
    found = steps(["api"], {"api": canary}, hosts, everywhere, {}, live={"api": ["a", "c"]})
    assert [(step["weight"], step["hosts"], step["judges"]) for step in found] == [
        (5, ["a", "c"], ["a", "c", "d"]), (25, ["a", "c"], ["a", "c", "d"]), (100, ["a", "b", "c"], everywhere),
    ]
    assert [step["armed"] for step in found] == [["a", "c"], ["a", "c"], ["a", "c", "b"]]
    assert first(found) == {"a": ["api"], "c": ["api"]}, "what waits for hours would be stopped again"
    assert page(found, {}).splitlines()[2:] == [
        "    1. 5 % on a, c, then 60 s in which errors judges it",
        "    2. 25 % on a, c, then 60 s in which errors judges it",
        "    3. a, b, c, then its gate, 60 s in which errors judges, and its gate again",
    ]


def test_without_a_live_release_anywhere_a_canary_is_one_switch() -> None:
    assert [batch.weight for batch in batches(["a"], {"canary": {"weights": [5, 100]}}, live=())] == [100]


def test_triggers_judge_the_slot_that_has_the_share() -> None:
    given: list[dict[str, Any]] = [
        {"name": "errors", "source": "haproxy", "target": "api", "ratio": ["hrsp_5xx", "req_tot"]},
        {"name": "of blue", "source": "haproxy", "target": "api", "server": "blue"},
        {"name": "of another", "source": "haproxy", "target": "web"},
        {"name": "slow", "source": "metrics", "component": "api", "target": "http://127.0.0.1:${port}/metrics", "window": 60},
        {"name": "memory", "source": "node", "target": "memory"},
    ]
    found = of_slot(given, "api", "green", 18001)
    assert [one.get("server") for one in found] == ["green", "blue", None, None, None]
    assert found[3] == {**given[3], "target": "http://127.0.0.1:18001/metrics"}
    assert found[4] == given[4]
