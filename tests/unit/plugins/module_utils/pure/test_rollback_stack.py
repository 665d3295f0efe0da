# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One decision for all nodes: the release that all share, nodes that are silent, reasons against it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.pure.rollback_stack import (
    answer_of,
    decide,
    decision_text,
    outcome_rows,
    outcome_text,
    plan_holds,
)


def plan(node: str, component: str, present: str, *tags: str, **more: Any) -> dict[str, Any]:
    entry = {"node": node, "component": component, "present": present, "tags": list(tags)}
    return {"candidates": [entry], "refusals": [], "warnings": [], "unverified": [], **more}


BOTH = {"b1": plan("b1", "api", "v3", "v3", "v2", "v1"), "w1": plan("w1", "web", "v3", "v3", "v1")}


def test_the_newest_that_every_node_has() -> None:
    decision = decide(BOTH)
    assert (decision["to"], decision["from"], decision["allowed"], decision["nodes"]) == ("v1", "v3", True, ["b1", "w1"])
    assert decision_text(decision) == "from v3 to v1 on b1, w1"


def test_an_emergency_names_the_variables_that_go_back() -> None:
    changes = {"environment": {"added": [], "removed": ["FRESH"], "changed": ["LEVEL"]}, "today": ["SMTP_PW"]}
    step = {"do": "switch", "component": "api", "detail": changes}
    plans = {**BOTH, "b1": {**BOTH["b1"], "steps": [step]}, "g1": {"absent": "no command"}}
    text = decision_text({**decide(plans), "plans": plans})
    assert "environment, names only: api on b1: removed FRESH; changed LEVEL; as today SMTP_PW" in text
    refused = {**decide(plans, to="v3"), "plans": plans}
    assert "names only" not in decision_text({**refused, "allowed": False})


def test_what_was_asked_for() -> None:
    assert decide(BOTH, to="v2")["to"] == "v2"


def test_a_node_that_has_no_part_in_it() -> None:
    decision = decide({**BOTH, "g1": {"absent": "the command aistack is not on this node"}})
    assert (decision["allowed"], decision["nodes"], decision["silent"]) == (True, ["b1", "w1"], {})


def test_a_silent_node_refuses_unless_it_is_an_emergency() -> None:
    answers = {**BOTH, "b2": {"silent": "not reached: no route to host"}}
    refused = decide(answers)
    assert not refused["allowed"]
    assert "b2: not reached: no route to host" in decision_text(refused)
    assert "emergency_rollback.yml" in decision_text(refused)
    going = decide(answers, best_effort=True)
    assert (going["allowed"], going["to"]) == (True, "v1")
    assert "without b2: not reached: no route to host" in decision_text(going)


def test_the_same_emergency_twice_goes_back_once() -> None:
    last = {"from": "v3", "to": "v2", "outcome": "ok", "time": "1970-01-01T00:01:40.000Z", "run": "r1"}
    answers = {"b1": plan("b1", "api", "v2", "v2", "v1", last_rollback=last)}
    refused = decide(answers, best_effort=True, now=160.0)
    assert not refused["allowed"]
    assert "b1: it went back from v3 to v2 60 s ago (run r1)" in decision_text(refused)
    assert decide(answers, to="v1", now=160.0)["allowed"], "a release that is named is meant"
    assert decide(answers, now=2000.0)["allowed"], "that was long ago"
    assert decide(answers)["allowed"]
    moved_on = {"b1": plan("b1", "api", "v4", "v4", "v2", last_rollback=last)}
    assert decide(moved_on, now=160.0)["allowed"], "it was deployed since"


def test_nobody_answers() -> None:
    decision = decide({"b1": {"silent": "not reached: no route to host"}}, best_effort=True)
    assert not decision["allowed"]
    assert "without b1: not reached: no route to host" in decision_text(decision)


def test_nothing_in_common() -> None:
    answers = {"b1": plan("b1", "api", "v3", "v3", "v2"), "w1": plan("w1", "web", "v3", "v1")}
    decision = decide(answers)
    assert not decision["allowed"]
    assert "api on b1 (at v3): v3, v2; web on w1 (at v3): v1" in decision_text(decision)


@pytest.mark.parametrize("level", ["schema", "system"])
def test_data_goes_to_the_release_that_all_go_to(level: str) -> None:
    moving = {"level": level, "allowed": True, "to": "v2"}
    answers = {**BOTH, "b1": plan("b1", "api", "v3", "v3", "v2", "v1", **moving)}
    refused = decide(answers)
    assert [entry["code"] for entry in refused["refusals"]] == ["another_target"]
    assert "b1: its data would go to v2, while v1 is the newest release" in decision_text(refused)
    assert "-e to=v1" in decision_text(refused)
    assert decide(answers, to="v2")["allowed"]
    assert decide({**answers, "b1": {**answers["b1"], "level": "app"}})["allowed"], "slots go where they are sent"


def test_a_node_that_holds_data_alone_takes_part() -> None:
    data = {"candidates": [], "refusals": [], "steps": [{"do": "restore", "component": None, "detail": {"set": "s"}}]}
    decision = decide({**BOTH, "d1": data})
    assert (decision["nodes"], decision["to"]) == (["b1", "w1", "d1"], "v1")
    which = {"code": "which_set", "component": None, "reason": "r", "way_out": "set=NAME"}
    assert not decide({**BOTH, "d1": {**data, "steps": [], "refusals": [which]}})["allowed"]


def test_already_there() -> None:
    assert decide(BOTH, to="v3")["refusals"][0]["code"] == "already_there"


def test_a_refusal_of_a_node_names_the_way_out() -> None:
    refusal = {"code": "schema", "component": "api", "reason": "not proven", "way_out": "level=schema"}
    answers = {"b1": plan("b1", "api", "v3", "v3", "v2", refusals=[refusal])}
    assert not decide(answers)["allowed"]
    assert "b1: api: not proven\n    instead: level=schema" in decision_text(decide(answers))
    assert decide(answers, best_effort=True)["allowed"]


def test_a_node_that_only_lacks_a_target_of_its_own_follows_the_others() -> None:
    refusal = {"code": "already_there", "component": None, "reason": "x", "way_out": "y"}
    answers = {"b1": BOTH["b1"], "w1": plan("w1", "web", "v2", "v2", "v1", refusals=[refusal])}
    assert decide(answers)["to"] == "v2"
    assert decide(answers)["allowed"]


@pytest.mark.parametrize(
    ("result", "key", "said"),
    [
        ({"unreachable": True, "msg": "Failed to connect\nmore"}, "silent", "not reached: Failed to connect"),
        ({"rc": 127, "stdout": "", "stderr": "sh: 1: aistack: not found"}, "absent", "nothing was ever released"),
        ({"rc": 1, "stdout": "Traceback", "stderr": ""}, "silent", "exit status 1): Traceback"),
        ({"rc": 0, "stdout": "{broken", "stderr": ""}, "silent", "exit status 0"),
    ],
)
def test_answers_that_are_none(result: dict[str, Any], key: str, said: str) -> None:
    assert said in answer_of(result)[key]


def test_an_answer_may_follow_other_lines() -> None:
    assert answer_of({"rc": 0, "stdout": "a banner\n" + json.dumps(BOTH["b1"]) + "\n"}) == BOTH["b1"]


def test_what_became_of_it() -> None:
    decision = {**decide(BOTH), "silent": {"b2": "not reached: no route"}, "nodes": ["b1", "w1", "w2"]}
    went = {"outcome": "partial", "components": [
        {"component": "api", "outcome": "ok", "seconds": 1.26, "message": "api: v1 is live in blue"},
        {"component": "beat", "outcome": "failed", "seconds": 3.0, "message": "its gate says fail"},
    ]}
    there = {"outcome": "refused", "plan": {"refusals": [{"code": "already_there", "reason": "there", "way_out": "nothing"}]}}
    results = {"b1": {"rc": 1, "stdout": json.dumps(went)}, "w1": {"rc": 2, "stdout": json.dumps(there)}, "w2": {"skipped": True}}
    rows = outcome_rows(decision, results)
    assert [(row["node"], row["component"], row["outcome"]) for row in rows] == [
        ("b1", "api", "ok"), ("b1", "beat", "failed"), ("w1", "", "ok"), ("b2", "", "failed"),
    ]
    text = outcome_text(decision, rows)
    assert "b1    api        back    1.3 s  api: v1 is live in blue" in text
    assert text.endswith("NOT everything is back at v1: beat on b1, everything on b2")
    assert outcome_text(decision, rows[:1]).endswith("everything is back at v1 (from v3)")


def test_best_effort_is_refused_where_nobody_can_move() -> None:
    refusal = {"code": "never_deployed", "component": "api", "reason": "api: v9 was never deployed here", "way_out": "choose v1"}
    answers = {"b1": plan("b1", "api", "v3", "v3", "v1", refusals=[refusal], allowed=False)}
    decision = decide(answers, to="v9", best_effort=True)
    assert not decision["allowed"]
    assert "refused; nothing was touched" in decision_text(decision)
    one_can = {**answers, "w1": plan("w1", "web", "v3", "v3", "v9", allowed=True)}
    assert decide(one_can, to="v9", best_effort=True)["allowed"]


def test_what_was_not_verified_is_told_at_the_end() -> None:
    went = {"outcome": "ok", "components": [
        {"component": "api", "outcome": "ok", "seconds": 1.0, "message": "api: v1 is live in blue",
         "unverified": ["readyz: expected status 200, got status 503"], "warnings": ["v1 is live, but `stop green` failed"]},
    ]}
    rows = outcome_rows(decide(BOTH), {"b1": {"rc": 0, "stdout": json.dumps(went)}, "w1": {"rc": 0, "stdout": json.dumps(went)}})
    said = outcome_text(decide(BOTH), rows)
    assert "not verified: b1: api: readyz: expected status 200, got status 503\n" in said
    assert "beware: b1: api: v1 is live, but `stop green` failed\n" in said
    assert said.endswith("everything is back at v1 (from v3)"), said


def config(changed_by: str, to: str, **more: Any) -> dict[str, Any]:
    """The plan of one node for the level config."""
    step = {"do": "switch", "component": "api", "detail": {"release": "v3", "config": to, "warm": True, "expected_s": 1.0}}
    return plan("n", "api", "v3", "v3", level="config", allowed=True, to=to, changed_by=changed_by, steps=[step], **{"from": "c9", **more})


NO_OTHER = {"code": "no_previous_config", "component": None, "reason": "v3 was live here with one config only", "way_out": "level app"}


def test_each_node_takes_back_its_part_of_the_last_change_of_a_config() -> None:
    answers = {
        "b1": config("20260102T1-a", "c1"),
        "b2": config("20260102T1-a", "c3"),
        "w1": config("20250101T1-b", "c7"),
        "w2": plan("w2", "web", "v3", "v3", level="config", allowed=False, refusals=[NO_OTHER]),
        "g1": {**plan("g1", "x", ""), "candidates": [], "level": "config", "allowed": False},
    }
    decision = decide(answers)
    assert (decision["allowed"], decision["nodes"], decision["to"], decision["from"]) == (True, ["b1", "b2"], "c1, c3", "c9")
    stays = "keeps its config, which that change left alone"
    assert decision["warnings"] == [f"w1: {stays}", f"w2: {stays}"]


def test_a_config_that_is_named_goes_where_it_was() -> None:
    unknown = {"code": "never_deployed", "component": None, "reason": "c1 is neither", "way_out": "status"}
    answers = {"b1": config("", "c1"), "w1": plan("w1", "web", "v3", "v3", level="config", allowed=False, refusals=[unknown])}
    decision = decide(answers, to="c1")
    assert (decision["allowed"], decision["nodes"], decision["to"]) == (True, ["b1"], "c1")
    nowhere = decide({"w1": answers["w1"]}, to="c1")
    assert not nowhere["allowed"]
    assert "w1: c1 is neither" in decision_text(nowhere)


def test_without_another_config_anywhere_or_with_a_silent_node_it_is_refused() -> None:
    alone = plan("b1", "api", "v3", "v3", level="config", allowed=False, refusals=[NO_OTHER])
    assert "v3 was live here with one config only" in decision_text(decide({"b1": alone}))
    silent = decide({"b1": config("r", "c1"), "b2": {"silent": "not reached"}})
    assert not silent["allowed"]
    assert "b2: not reached" in decision_text(silent)
    busy = {"code": "migrating", "component": "api", "reason": "a migration runs", "way_out": "wait"}
    assert not decide({"b1": config("r", "c1"), "b2": {**alone, "refusals": [busy]}})["allowed"]


def test_a_plan_holds_where_it_does_nothing_but_what_was_shown() -> None:
    shown = config("r", "c1")
    cold = config("r", "c1")
    cold["steps"][0]["detail"].update(warm=False, expected_s=8.0)
    assert plan_holds(cold, shown)
    assert plan_holds({**shown, "steps": []}, shown), "a run that was cut off has come further"
    there = {**shown, "steps": [], "allowed": False, "refusals": [{"code": "already_there"}]}
    assert plan_holds(there, shown)
    assert not plan_holds(config("r", "c2"), shown)
    assert not plan_holds({**shown, "allowed": False}, shown)
    more = {**shown, "steps": [*shown["steps"], {"do": "restore", "component": None, "detail": {"set": "s"}}]}
    assert not plan_holds(more, shown)
    assert plan_holds(shown, more)


def _said(**detail: Any) -> dict[str, Any]:
    step = {"do": "switch", "component": "api", "detail": {"release": "v1", "from": {"release": "v2", "config": "c2"}, **detail}}
    return answer_of({"rc": 0, "stdout": json.dumps({**plan("b1", "api", "v2", "v1"), "steps": [step]})})


@pytest.mark.parametrize(
    "detail",
    [
        {"commit": {"v2": "--output=/home/op/.ssh/authorized_keys", "v1": "a" * 40}},
        {"commit": {"v2": "a" * 40 + "\n"}},
        {"commit": {"../v2": "a" * 40}},
        {"release": "../../etc"},
        {"release": "v1\n"},
        {"config": "/etc/passwd"},
        {"set": "a/b"},
        {"release": 3},
    ],
)
def test_an_answer_of_another_shape_is_none(detail: dict[str, Any]) -> None:
    assert "candidates" in _said(commit={"v2": "a" * 40, "v1": None}, config="0123456789abcdef")
    answer = _said(**detail)
    assert list(answer) == ["silent"]
    assert "cannot be trusted" in answer["silent"]


def test_what_a_node_says_does_not_act_upon_the_terminal() -> None:
    told = {**plan("b1", "api", "v2", "v1"), "warnings": ["a\x1b]0;title\x07b\x9b2Jc\u202ed"]}
    assert answer_of({"rc": 0, "stdout": json.dumps(told)})["warnings"] == ["a]0;titleb2Jcd"]
    assert "\x1b" not in answer_of({"rc": 1, "stdout": "", "stderr": "\x1b[2J"})["silent"]
