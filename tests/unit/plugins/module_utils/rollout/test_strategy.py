# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a strategy may say, and the words of what is wrong with one."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import examine
from ansible_collections.phasegate.aistack.plugins.module_utils.rollout.strategy import CAREFUL, STRATEGY, at_first, limit_of, problems

TRIGGERS = [
    {"name": "errors", "source": "haproxy", "target": "web", "then": {"level": "app"}},
    {"name": "slow", "source": "metrics", "window": 300, "then": {"level": "app"}},
    {"name": "a hole", "source": "manual", "then": "manual"},
]


def wrong(strategy: Any, hosts: int = 3, **more: Any) -> list[str]:
    component = {"port": "web", "gate": [{"name": "health"}], "strategy": strategy, **more}
    kept, found = examine("web.strategy", strategy, STRATEGY)
    return found or problems("web", {**component, "strategy": kept}, hosts, TRIGGERS)


@pytest.mark.parametrize("strategy", [
    "bluegreen", "recreate", {"rolling": {}}, {"rolling": {"limit": 3}}, {"rolling": {"limit": "25%", "hold": 30}},
    {"rolling": {"limit": "1", "hold": 60, "triggers": ["errors"]}}, {"rolling": {"hold": 300, "triggers": ["slow", "errors"]}},
    {"canary": {"weights": [5, 25, 100], "hold": 300, "triggers": ["slow"]}},
])
def test_what_may_be_said(strategy: Any) -> None:
    assert wrong(strategy) == []


@pytest.mark.parametrize(("strategy", "said"), [
    ("yolo", "web.strategy: 'yolo' is not one of bluegreen, recreate, rolling, canary"),
    ("bluegren", "is not one of bluegreen, recreate, rolling, canary; did you mean 'bluegreen'?"),
    ("rolling", "web.strategy: 'rolling' has settings; write strategy: {rolling: {limit: 1}}"),
    ("canary", "write strategy: {canary: {weights: [5, 25, 100]}}"),
    ({}, "web.strategy: says nothing; write one of {rolling: {limit: 1}} and"),
    ({"rolling": {}, "canary": {"weights": [100]}}, "web.strategy: has both; write one of"),
    ({"roling": {}}, "web.strategy: unknown key 'roling'; did you mean 'rolling'?"),
    ({"rolling": {"limits": 1}}, "web.strategy.rolling: unknown key 'limits'; did you mean 'limit'?"),
    ({"rolling": {"limit": 0}}, "web.strategy.rolling.limit: with 0 no host would ever change; expected 1 at least"),
    ({"rolling": {"limit": "0%"}}, "with 0% no host would ever change"),
    ({"rolling": {"limit": 4}}, "limit: 4 is more than the 3 hosts of the component; expected 3 at most, or strategy: bluegreen"),
    ({"rolling": {"limit": "120%"}}, "limit: 120% is more than all hosts; expected 1% to 100%"),
    ({"rolling": {"limit": "a few"}}, "limit: the text 'a few' is no number of hosts; expected one such as 1, or a share such as 25%"),
    ({"rolling": {"limit": -1}}, "limit: -1 is no number of hosts"),
    ({"rolling": {"hold": -1}}, "web.strategy.rolling.hold: must be a number from 0 on, is -1"),
    ({"rolling": {"hold": 7200}}, "hold: 7200 is too long; expected 3600 seconds at most"),
    ({"rolling": {"triggers": ["errors"]}}, "hold: is missing: triggers are judged while a batch is held"),
    ({"rolling": {"hold": 60, "triggers": ["eror"]}}, "rolling.triggers: aistack_triggers has no 'eror'; did you mean 'errors'?"),
    ({"rolling": {"hold": 60, "triggers": ["a hole"]}}, "triggers: 'a hole' is pulled by a person; there is nothing to judge"),
    ({"rolling": {"hold": 60, "triggers": ["slow"]}}, "hold: 60 s are shorter than the 300 s that 'slow' judges together (its window)"),
    ({"rolling": {"hold": 30, "triggers": ["errors"]}}, "hold: 30 s are shorter than the 60 s that 'errors' judges"),
    ({"canary": {}}, "web.strategy.canary: 'weights' is missing"),
    ({"canary": {"weights": [25, 5, 100]}}, "web.strategy.canary.weights: [25, 5, 100] does not rise"),
    ({"canary": {"weights": [5, 5, 100]}}, "[5, 5, 100] does not rise"),
    ({"canary": {"weights": [5, 25]}}, "weights: [5, 25] ends with 25; the last one has to be 100"),
    ({"canary": {"weights": [5, 100]}}, "web.strategy.canary: nothing would judge a share before it rises; name triggers, and how long to"),
    ({"canary": {"weights": [5, 100], "hold": 60}}, "nothing would judge a share before it rises"),
    ({"canary": {"weights": [0, 100]}}, "[0, 100]: each is a share in percent, 1 to 100"),
])
def test_what_is_wrong_with_it(strategy: Any, said: str) -> None:
    found = wrong(strategy)
    assert any(said in line for line in found), found


def test_what_the_rest_of_the_component_says() -> None:
    assert wrong({"canary": {"weights": [5, 100]}}, port=None)[0].startswith("web.strategy.canary: the component has no port, so that no")
    assert wrong({"rolling": {"hold": 30}}, gate=[])[0].startswith("web.strategy.rolling.hold: nothing would be judged in these 30 s")
    assert wrong({"rolling": {"limit": 2}}, hosts=1)[0].endswith("2 is more than the 1 host of the component; expected 1 at most, "
                                                                 "or strategy: bluegreen for all at once")
    assert wrong({"rolling": {"limit": 2}}, hosts=0) == [], "a group that is not there is said elsewhere"
    assert problems("web", {"strategy": {"rolling": {"hold": 60, "triggers": ["x"]}}}, 3, None) == [
        "web.strategy.rolling.triggers: aistack_triggers has no 'x'; there is no trigger at all"
    ]


@pytest.mark.parametrize(("limit", "hosts", "expected"), [
    (1, 10, 1), (3, 10, 3), ("3", 10, 3), ("25%", 10, 2), ("25%", 4, 1), ("25%", 3, 1), ("25%", 1, 1), ("50%", 3, 1), ("100%", 3, 3),
    ("99%", 3, 2), (5, 3, 3),
])
def test_never_more_than_was_said(limit: Any, hosts: int, expected: int) -> None:
    assert limit_of(limit, hosts) == expected


def test_where_nothing_is_live_there_is_nothing_to_share_with() -> None:
    assert at_first({"canary": {"weights": [5, 100]}}) == "bluegreen"
    assert at_first({"rolling": {"limit": 2}}) == {"rolling": {"limit": 2}}
    assert at_first(None) is None


@pytest.mark.parametrize(("careful", "said"), [
    ("bluegreen", "web.careful: must be {rolling: {…}} or {canary: {…}}, is the text 'bluegreen'"),
    ({}, "web.careful: says nothing; write one of {rolling: {limit: 1}} and"),
    ({"roling": {}}, "web.careful: unknown key 'roling'; did you mean 'rolling'?"),
    ({"rolling": {"limit": 4}}, "web.careful.rolling.limit: 4 is more than the 3 hosts of the component"),
    ({"canary": {"weights": [25, 5, 100]}}, "web.careful.canary.weights: [25, 5, 100] does not rise"),
    ({"canary": {"weights": [5, 100]}}, "web.careful.canary: nothing would judge a share before it rises"),
    ({"rolling": {"hold": 60, "triggers": ["eror"]}}, "web.careful.rolling.triggers: aistack_triggers has no 'eror'; did you mean"),
])
def test_what_is_wrong_with_the_careful_one(careful: Any, said: str) -> None:
    component = {"port": "web", "gate": [{"name": "health"}], "strategy": {"rolling": {"limit": 2}}}
    kept, found = examine("web.careful", careful, CAREFUL)
    found = found or problems("web", {**component, "careful": kept}, 3, TRIGGERS)
    assert any(said in line for line in found), found
    assert all(line.startswith("web.careful") for line in found), "what is right is not complained of"


def test_both_strategies_of_a_component() -> None:
    careful = {"rolling": {"limit": 1}}
    assert problems("web", {"strategy": "bluegreen", "careful": careful}, 3, TRIGGERS) == []
    assert problems("web", {"careful": careful}, 3, TRIGGERS) == []
    (said,) = problems("web", {"strategy": "recreate", "careful": careful}, 1, TRIGGERS)
    assert said.startswith("web.careful: strategy: recreate stops the old slot on the one host that runs it, so that nothing of it can")
    assert len(problems("web", {"strategy": "yolo", "careful": {"rolling": {"limit": 9}}}, 3, TRIGGERS)) == 2
