# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What triggers may say: every fault is named with its key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.phasegate.aistack.plugins.module_utils.gate.trigger import KINDS, check_triggers, normalise

SHARE = {"name": "errors", "source": "haproxy", "target": "web", "ratio": ["hrsp_5xx", "req_tot"], "value": 0.05, "then": {"level": "app"}}
SPARKLIO = Path(__file__).parents[5] / "inventories/sparklio/group_vars/all/triggers.yml"


def problems(*triggers: Any) -> list[str]:
    return check_triggers(list(triggers), ["all", "backend", "web", "b1"], ["backend"])


def test_good_ones() -> None:
    by_hand = {"name": "hole", "source": "manual", "then": "manual", "kind": "security"}
    node = {"name": "cpu", "source": "node", "target": "cpu", "value": {"lt": 90}, "then": "notice", "hosts": ["backend", "b1"]}
    assert problems(SHARE, by_hand, node) == []
    assert check_triggers(None, [], []) == []


def test_canonical_ones_stay_as_they_are() -> None:
    once = normalise(SHARE)
    assert (once["window"], once["min_sample"], once["on_inconclusive"]) == (60.0, 20.0, "wait")
    assert normalise(once) == once


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"source": "prometeus"}, "aistack_triggers[0] (errors): unknown source 'prometeus' (did you mean prometheus?)"),
        ({"source": "haproxi"}, "unknown source 'haproxi' (did you mean haproxy?)"),
        ({"source": "grafana"}, "unknown source 'grafana'; known: metrics, prometheus, haproxy, node, manual"),
        ({"source": None}, "'source' is missing"),
        ({"windows": 5}, "unknown key 'windows' (did you mean window?)"),
        ({"severity": "warning"}, "unknown key 'severity'"),
        ({"then": {"level": "ap"}}, "then.level: no level 'ap' (did you mean app?); known: app, config, schema, system"),
        ({"then": {"levels": "app"}}, "then: unknown key 'levels'"),
        ({"then": "rolback"}, "then: unknown kind of rollback 'rolback'; known: {level: …}, notice, manual"),
        ({"then": None}, "'then' is missing"),
        ({"kind": "perf"}, "kind: 'perf' is not one of emergency, performance, function, security"),
        ({"value": None}, "give one of 'value'"),
        ({"times": 2}, "give one of 'value'"),
        ({"value": {"lte": 1}}, "unknown operator 'lte' (did you mean le?)"),
        ({"ratio": None}, "give one of ratio, rate, gauge; none is there"),
        ({"gauge": "scur"}, "give one of ratio, rate, gauge; got ratio and gauge"),
        ({"ratio": ["hrsp_5xx"]}, "ratio: must be a list of two"),
        ({"min_sample": 0}, "min_sample: has to be at least 1"),
        ({"window": 0}, "window: has to be more than 0 seconds"),
        ({"window": "long"}, "window: 'long' is not a number"),
        ({"on_inconclusive": "ignore"}, "on_inconclusive: 'ignore' is not one of pass, fail, wait"),
        ({"target": None}, "'haproxy' needs a value: name of the backend section"),
        ({"name": None}, "'name' is missing"),
        ({"hosts": "bakend"}, "aistack_triggers[0] (errors).hosts: no group or host 'bakend' (did you mean backend?)"),
        ({"from": "wep"}, ".from: no group or host 'wep' (did you mean web?)"),
        ({"component": "bakend"}, ".component: unknown component 'bakend' (did you mean backend?)"),
        ({"source": "metrics", "target": "http://u:secret@x/"}, "holds a password inside an address"),
        ({"source": "metrics", "ratio": ["a{b=c}", "d"]}, "'a{b=c}' is no name of a metric"),
        ({"source": "metrics", "ratio": None, "quantile": [95, "h"]}, "quantile: must be a list of a number between 0 and 1"),
        ({"source": "node", "ratio": None, "target": "disk"}, "node: 'disk' is not one of cpu, memory, swap"),
        ({"source": "manual"}, "unknown key 'ratio'"),
    ],
)
def test_each_fault_is_named_with_its_key(changes: dict[str, Any], said: str) -> None:
    trigger = {key: value for key, value in {**SHARE, **changes}.items() if value is not None}
    found = problems(trigger)
    assert any(said in line for line in found), found


QUESTION = {"name": "deep", "source": "prometheus", "target": "http://p:9090", "query": "max by (node) (depth)", "value": 5,
            "then": "notice"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"query": None}, "'query' is missing"),
        ({"value": None, "times": 2}, "times: it is not said of what; give offset (seconds before), baseline (a query) or slot"),
        ({"value": None, "times": 2, "offset": 60, "baseline": "x"}, "give one of offset and baseline"),
        ({"offset": 60}, "offset: says what 'times' compares with; there is none"),
        ({"min_sample": 3}, "min_sample: needs 'sample', the query that counts"),
        ({"slot": "red"}, "slot: 'red' is not one of blue, green"),
        ({"slot": "${slot}"}, "${slot}: 'component' says whose it is"),
        ({"query": 'x{release="${realease}"}', "component": "backend"}, "${realease} is not known (did you mean release?)"),
        ({"target": "p:9090"}, "'p:9090' does not begin with http:// or https://"),
        ({"username": "me"}, "username and password_file belong together"),
        ({"nodes": "b1"}, "nodes: must be a list"),
        ({"max_age": 3}, "unknown key 'max_age'"),
        ({"target": None}, "nobody can be asked: no component has the role prometheus; add one, or give 'target'"),
    ],
)
def test_each_fault_of_a_question_is_named_with_its_key(changes: dict[str, Any], said: str) -> None:
    found = problems({key: value for key, value in {**QUESTION, **changes}.items() if value is not None})
    assert any(said in line for line in found), found


def test_a_good_question() -> None:
    assert problems(QUESTION) == []
    once = normalise({**QUESTION, "sample": "count(x)"})
    assert (once["min_sample"], "over" in once, normalise(once)) == (20.0, False, once)
    assert "min_sample" not in normalise(QUESTION)
    without = {key: value for key, value in QUESTION.items() if key != "target"}
    assert check_triggers([without], ["all"], [], prometheus=True) == []


def test_faults_of_the_list() -> None:
    assert problems("errors") == ["aistack_triggers[0]: a trigger is a mapping, this is a text"]
    assert check_triggers({"errors": SHARE}, [], [])[0].startswith("aistack_triggers: must be a list")
    assert problems(SHARE, {**SHARE, "name": "Errors!"}) == [
        "aistack_triggers[1] (Errors!): its name is that of aistack_triggers[0]; names tell triggers apart"
    ]
    by_hand = {"name": "hole", "source": "manual", "then": {"level": "app"}}
    assert "a manual trigger is pulled by a person" in problems(by_hand)[0]


def test_the_triggers_of_the_runbook() -> None:
    given = yaml.safe_load(SPARKLIO.read_text())["aistack_triggers"]
    for one in given:
        if "window" in one:
            one["window"] = 300
    assert problems(*given) == []
    assert {one["kind"] for one in given} == set(KINDS)
    assert [one["then"] for one in given if one["kind"] == "security"] == ["manual"]
