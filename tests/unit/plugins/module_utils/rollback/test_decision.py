# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One decision for all nodes: the release that all share, nodes that are silent, reasons against it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.begun import beginning, settled
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.decision import (
    answer_of,
    decide,
    decision_text,
    outcome_rows,
    outcome_text,
    plan_holds,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.node_answer import read


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


def went(to: str = "v2", run: str = "r1", **more: Any) -> dict[str, Any]:
    return {"from": "v3", "to": to, "outcome": "ok", "time": "1970-01-01T00:01:40.000Z", "run": run, **more}


def test_the_same_emergency_twice_goes_back_once() -> None:
    answers = {"b1": plan("b1", "api", "v2", "v2", "v1", last_rollback=went())}
    again = decide(answers, best_effort=True, now=160.0)
    assert (again["allowed"], again["there"], again["from"], again["to"]) == (True, True, "v3", "v2")
    assert again["resumes"] == ["r1"], "people may not have been told yet"
    assert "it went back from v3 to v2 60 s ago (run r1), and does not go back twice" in decision_text(again)
    assert "-e to=TAG" in decision_text(again)
    assert decide(answers, to="v1", now=160.0)["to"] == "v1", "a release that is named is meant"
    assert decide(answers, to="v2", now=160.0)["resumes"] == ["r1"]
    assert decide(answers, now=2000.0)["to"] == "v1", "that was long ago"
    assert decide(answers)["to"] == "v1"
    moved_on = {"b1": plan("b1", "api", "v4", "v4", "v2", last_rollback=went())}
    assert not decide(moved_on, now=160.0)["there"], "it was deployed since"


def test_an_emergency_that_did_not_reach_every_node_is_finished_by_saying_it_again() -> None:
    answers = {"b1": plan("b1", "api", "v2", "v2", "v1", last_rollback=went()), "w1": plan("w1", "web", "v3", "v3", "v1", "v2")}
    going = decide(answers, best_effort=True, now=160.0)
    assert (going["allowed"], going["there"], going["to"], going["resumes"]) == (True, False, "v2", ["r1"])
    cannot = {**answers, "w1": plan("w1", "web", "v3", "v3", "v1")}
    refused = decide(cannot, best_effort=True, now=160.0)
    assert [refusal["code"] for refusal in refused["refusals"]] == ["just_went_back"]
    assert "b1: it went back from v3 to v2 60 s ago (run r1)" in decision_text(refused)


def test_nobody_answers() -> None:
    decision = decide({"b1": {"silent": "not reached: no route to host"}}, best_effort=True)
    assert not decision["allowed"]
    assert "without b1: not reached: no route to host" in decision_text(decision)


def test_nothing_in_common() -> None:
    answers = {"b1": plan("b1", "api", "v3", "v3", "v2"), "w1": plan("w1", "web", "v3", "v1")}
    decision = decide(answers)
    assert not decision["allowed"]
    assert "api on b1 is at v3 and could go back to v2; web on w1 is at v3 and could go back to v1" in decision_text(decision)


def test_where_only_what_is_live_is_left() -> None:
    decision = decide({"b1": plan("b1", "api", "v3", "v3")})
    assert "every component still has here: api on b1 is at v3 and has nothing earlier to go back to" in decision_text(decision)


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


@pytest.mark.parametrize("level", ["schema", "system"])
def test_nobody_goes_back_where_who_moves_the_database_takes_no_part(level: str) -> None:
    moving = {"level": level, "allowed": True, "to": "v2", "steps": [{"do": "stop", "component": "api", "detail": {}}]}
    second = plan("b2", "api", "v3", "v3", "v2", relies=[{"component": "api", "node": "b1"}], **moving)
    step = {"do": "downgrade", "component": "api"} if level == "schema" else {"do": "restore", "component": None}
    first = plan("b1", "api", "v3", "v3", "v2", level=level, allowed=True, to="v2", steps=[{**step, "detail": {}}])
    assert decide({"b1": first, "b2": second}, to="v2")["allowed"]
    idle = {**first, "candidates": [], "steps": [], "refusals": [{"code": "nothing_live", "reason": "r", "remedy": "w"}], "allowed": False}
    others = plan("b1", "web", "v3", "v3", "v2", level=level, allowed=True, to="v2", steps=[])
    for left in ({}, {"b1": idle}, {"b1": others}):
        refused = decide({**left, "b2": second}, to="v2")
        assert [entry["code"] for entry in refused["refusals"]] == ["database_elsewhere"], left
        assert "api: its database is moved by b1, which takes no part in this" in decision_text(refused)
    still = decide({"b1": {**first, "steps": []}, "b2": second}, to="v2")
    assert still["allowed"] is (level == "system"), "a set may have been put back before; a schema that it sees has to be moved"
    at_v2 = plan("b1", "api", "v2", "v2", level=level, allowed=False, to="v2", steps=[], refusals=[ALREADY])
    there = decide({"b1": at_v2, "b2": second}, to="v2")
    assert there["allowed"] is (level == "system")
    if level == "schema":
        assert "and b1 does not move it" in decision_text(still)
    why = {"code": "backup_missing", "component": "api", "reason": "r", "remedy": "w"}
    own = decide({"b1": {**first, "steps": [], "allowed": False, "refusals": [why]}, "b2": second}, to="v2")
    assert [entry["code"] for entry in own["refusals"]] == ["backup_missing"], "why is said once"
    done = decide({"b2": {**second, "steps": [], "allowed": False, "refusals": [ALREADY]}}, to="v2")
    assert not done["refusals"], "it does nothing"


def test_a_node_that_holds_data_alone_takes_part() -> None:
    data = {"candidates": [], "refusals": [], "steps": [{"do": "restore", "component": None, "detail": {"set": "s"}}]}
    decision = decide({**BOTH, "d1": data})
    assert (decision["nodes"], decision["to"]) == (["b1", "w1", "d1"], "v1")
    which = {"code": "which_set", "component": None, "reason": "r", "remedy": "set=NAME"}
    assert not decide({**BOTH, "d1": {**data, "steps": [], "refusals": [which]}})["allowed"]


ALREADY = {"code": "already_there", "component": None, "reason": "every component is there", "remedy": "nothing is to be done"}


def there(node: str, component: str, tag: str, *tags: str, **more: Any) -> dict[str, Any]:
    """The answer of a node that is where it was asked to go."""
    return plan(node, component, tag, *(tags or (tag,)), allowed=False, to=tag, refusals=[ALREADY], **{"level": "app", **more})


def opened(to: str = "v1", level: str = "app", run: str = "r7", **more: Any) -> dict[str, Any]:
    began = {"runs": [run], "to": to, "from": "v3", "level": level, "since": "1970-01-01T00:01:40.000Z", "seq": 9, "moves": {}}
    return {"open": {**began, **more}}


def test_there_where_it_was_asked_to_go_and_nothing_was_begun() -> None:
    decision = decide({"b1": there("b1", "api", "v3"), "w1": there("w1", "web", "v3")}, to="v3", level="app")
    assert (decision["allowed"], decision["there"], decision["resumes"]) == (True, True, [])
    assert decision_text(decision) == "every component is at v3 already; nothing to do"
    nothing = {"code": "no_component", "component": None, "reason": "no component is described on g1", "remedy": "deploy"}
    beside = {**plan("g1", "api", "v3", allowed=False, to="v3", refusals=[nothing]), "candidates": []}
    assert decide({"b1": there("b1", "api", "v3"), "g1": beside}, to="v3", level="app")["there"], "nothing is released on that node"
    silent = decide({"b1": there("b1", "api", "v3"), "w1": {"silent": "not reached"}}, to="v3", level="app")
    assert not silent["allowed"], "nobody knows of that node"


@pytest.mark.parametrize("to", ["v1", None])
@pytest.mark.parametrize(
    ("answers", "is_there"),
    [
        ({"b1": there("b1", "api", "v1", **opened()), "w1": there("w1", "web", "v1", **opened())}, True),  # switched, and not gated
        ({"b1": there("b1", "api", "v1"), "w1": there("w1", "web", "v1", **opened())}, True),  # recorded on some
        ({"b1": there("b1", "api", "v1", **opened()), "w1": plan("w1", "web", "v3", "v3", "v2", "v1", to="v1", **opened())}, False),
        ({"b1": plan("b1", "api", "v3", "v2", "v1", to="v1", **opened()), "w1": plan("w1", "web", "v3", "v2", "v1", to="v1")}, False),
    ],
    ids=["not gated", "recorded on some", "switched on some", "begun on some"],
)
def test_what_was_begun_is_finished(answers: dict[str, Any], to: str | None, is_there: bool) -> None:
    decision = decide(answers, to=to, level="app")
    assert (decision["allowed"], decision["there"], decision["to"]) == (True, is_there, "v1"), decision_text(decision)
    assert (decision["from"], decision["resumes"], decision["began"]) == ("v3", ["r7"], 100.0)
    assert decision["nodes"] == ["b1", "w1"]
    assert "this finishes what run r7 began" in decision_text(decision)
    shown = settled(answers, decision)
    assert all(one["allowed"] and not one["refusals"] for one in shown.values() if "allowed" in one)


def test_what_was_begun_does_not_bind_another_target_nor_another_level() -> None:
    answers = {"b1": plan("b1", "api", "v3", "v2", "v1", to="v2", **opened())}
    other = decide(answers, to="v2", level="app")
    assert (other["allowed"], other["to"], other["resumes"]) == (True, "v2", [])
    schema = {"b1": there("b1", "api", "v1", "v1", **opened(level="schema"))}
    decision = decide(schema, to="v1", level="app")
    assert (decision["there"], decision["resumes"]) == (True, [])
    assert "(level schema) that run r7 began is not finished" in decision_text(decision)
    assert "rollback.yml -e level=schema -e to=v1" in decision_text(decision)


@pytest.mark.parametrize("to", [None, "v1"])
def test_what_one_node_alone_takes_for_begun_long_after_is_no_aim_for_all(to: str | None) -> None:
    """It was away when the others were deployed to, which settled it for them."""
    answers = {"b1": plan("b1", "api", "v5", "v5", "v4", "v1"), "w1": plan("w1", "web", "v3", "v3", "v4", "v1", **opened())}
    decided = decide(answers, to)
    assert (decided["to"], decided["resumes"], decided["began"]) == (to or "v4", [], None)
    assert to or any("run r7 began is not finished" in note for note in decided["notes"])


def test_the_newest_of_two_that_were_begun_is_finished_with_all_its_runs() -> None:
    older, newer = opened("v2", run="r6"), opened("v1", run="r8", runs=["r7", "r8"])
    answers = {"b1": there("b1", "api", "v1", **newer), "w1": plan("w1", "web", "v3", "v2", "v1", to="v2", **older)}
    decision = decide(answers, level="app")
    assert (decision["to"], decision["resumes"]) == ("v1", ["r7", "r8"])


@pytest.mark.parametrize("level", ["schema", "system"])
def test_a_schema_that_is_still_to_go_back_is_no_already_there(level: str) -> None:
    steps = [{"do": "downgrade", "component": "api", "detail": {"release": "v3"}}]
    code_is_back = plan("b1", "api", "v1", "v1", level=level, allowed=True, to="v1", steps=steps)
    decision = decide({"b1": code_is_back}, to="v1", level=level)
    assert (decision["allowed"], decision["there"]) == (True, False)
    away = {"code": "database_away", "component": "api", "reason": "api: no answer", "remedy": "bring it up"}
    unknown = plan("b1", "api", "v1", "v1", level=level, allowed=False, to="v1", refusals=[away])
    assert not decide({"b1": unknown}, to="v1", level=level)["allowed"], "nobody knows whether its schema is there"


def test_an_emergency_goes_where_its_nodes_can_go_whatever_was_begun() -> None:
    answers = {"b1": plan("b1", "api", "v1", "v1", "v0", **opened()), "w1": plan("w1", "web", "v1", "v1", "v0", **opened())}
    assert decide(answers, best_effort=True, now=9000.0, level="app")["to"] == "v0"


def test_a_refusal_of_a_node_names_the_remedy() -> None:
    refusal = {"code": "schema", "component": "api", "reason": "not proven", "remedy": "level=schema"}
    answers = {"b1": plan("b1", "api", "v3", "v3", "v2", refusals=[refusal])}
    assert not decide(answers)["allowed"]
    assert "b1: api: not proven\n    fix: level=schema" in decision_text(decide(answers))
    assert decide(answers, best_effort=True)["allowed"]


def test_a_node_that_only_lacks_a_target_of_its_own_follows_the_others() -> None:
    refusal = {"code": "already_there", "component": None, "reason": "x", "remedy": "y"}
    answers = {"b1": BOTH["b1"], "w1": plan("w1", "web", "v2", "v2", "v1", refusals=[refusal])}
    assert decide(answers)["to"] == "v2"
    assert decide(answers)["allowed"]


@pytest.mark.parametrize(
    ("result", "key", "said"),
    [
        ({"unreachable": True, "msg": "Failed to connect\nmore"}, "silent", "not reached: Failed to connect"),
        ({}, "silent", "it was not asked"),
        ({"answer": read(127, "", "sh: 1: aistack: not found")}, "absent", "nothing was ever released"),
        ({"answer": read(1, "Traceback", "")}, "silent", "exit status 1): Traceback"),
        ({"answer": read(0, "{broken", "")}, "silent", "exit status 0"),
        ({"answer": read(2, "", "aistack plan: error: unrecognized arguments: --elsewhere api=b1")}, "silent", "of another version"),
        ({"answer": read(0, '{"relies": [{"component": "api"}]}', "")}, "silent", "relies: one lacks who is relied on"),
    ],
)
def test_answers_that_are_none(result: dict[str, Any], key: str, said: str) -> None:
    assert said in answer_of(result)[key]


def test_an_answer_may_follow_other_lines() -> None:
    assert read(0, "a banner\n" + json.dumps(BOTH["b1"]) + "\n", "") == BOTH["b1"]


def test_what_became_of_it() -> None:
    decision = {**decide(BOTH), "silent": {"b2": "not reached: no route"}, "nodes": ["b1", "w1", "w2"]}
    went = {"outcome": "partial", "components": [
        {"component": "api", "outcome": "ok", "seconds": 1.26, "message": "api: v1 is live in blue"},
        {"component": "beat", "outcome": "failed", "seconds": 3.0, "message": "its gate says fail"},
    ]}
    there = {"outcome": "refused", "plan": {"refusals": [{"code": "already_there", "reason": "there", "remedy": "nothing"}]}}
    results = {"b1": {"answer": went}, "w1": {"answer": there}, "w2": {"skipped": True}}
    rows = outcome_rows(decision, results)
    assert [(row["node"], row["component"], row["outcome"]) for row in rows] == [
        ("b1", "api", "ok"), ("b1", "beat", "failed"), ("w1", "", "ok"), ("b2", "", "failed"),
    ]
    text = outcome_text(decision, rows)
    assert "b1    api        back    1.3 s  api: v1 is live in blue" in text
    assert text.endswith("NOT everything is back at v1: beat on b1, everything on b2")
    assert outcome_text(decision, rows[:1]).endswith("everything is back at v1 (from v3)")


def test_best_effort_is_refused_where_nobody_can_move() -> None:
    refusal = {"code": "never_deployed", "component": "api", "reason": "api: v9 was never deployed here", "remedy": "choose v1"}
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
    rows = outcome_rows(decide(BOTH), {"b1": {"answer": went}, "w1": {"answer": went}})
    said = outcome_text(decide(BOTH), rows)
    assert "not verified: b1: api: readyz: expected status 200, got status 503\n" in said
    assert "beware: b1: api: v1 is live, but `stop green` failed\n" in said
    assert said.endswith("everything is back at v1 (from v3)"), said


def test_after_another_environment_it_says_what_brings_todays_back() -> None:
    switch = {"do": "switch", "component": "api", "detail": {"release": "v1", "environment": {"changed": ["LOG_LEVEL"]}}}
    decision = {"to": "v1", "from": "v3", "nodes": ["b1"], "allowed": True, "warnings": []}
    rows = [{"node": "b1", "component": "api", "outcome": "ok", "seconds": 1.0, "said": ""}]
    todays = "the next deploy.yml brings the inventory's, and so does site.yml once it converges the component"
    assert todays in outcome_text({**decision, "plans": {"b1": {"level": "app", "steps": [switch]}}}, rows)
    assert todays in outcome_text({**decision, "plans": {"b1": {"level": "config", "steps": []}}}, rows)
    assert todays not in outcome_text({**decision, "plans": {"b1": {"level": "app", "steps": []}}}, rows)


def config(changed_by: str, to: str, **more: Any) -> dict[str, Any]:
    """The plan of one node for the level config."""
    step = {"do": "switch", "component": "api", "detail": {"release": "v3", "config": to, "warm": True, "expected_s": 1.0}}
    return plan("n", "api", "v3", "v3", level="config", allowed=True, to=to, changed_by=changed_by, steps=[step], **{"from": "c9", **more})


NO_OTHER = {"code": "no_previous_config", "component": None, "reason": "v3 was live here with one config only", "remedy": "level app"}


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
    unknown = {"code": "never_deployed", "component": None, "reason": "c1 is neither", "remedy": "status"}
    answers = {"b1": config("", "c1"), "w1": plan("w1", "web", "v3", "v3", level="config", allowed=False, refusals=[unknown])}
    decision = decide(answers, to="c1")
    assert (decision["allowed"], decision["nodes"], decision["to"]) == (True, ["b1"], "c1")
    nowhere = decide({"w1": answers["w1"]}, to="c1")
    assert not nowhere["allowed"]
    assert "w1: c1 is neither" in decision_text(nowhere)


def moving(config: str) -> dict[str, Any]:
    return {"moves": {"api": {"from": {"release": "v3", "config": "c9"}, "to": {"release": "v3", "config": config}}}}


@pytest.mark.parametrize("to", [None, "v2"])
def test_the_level_config_is_finished_on_the_nodes_that_had_a_part_in_it(to: str | None) -> None:
    aim = {"level": "config", "to": to or "c1, c3", "from": "c9"}
    done = there("b1", "api", "v3", level="config") | {"to": "c1", **opened(**aim, **moving("c1"))}
    left = config("", "c3", **opened(**aim, **moving("c3")))
    idle = plan("w2", "web", "v3", "v3", level="config", allowed=False, refusals=[NO_OTHER], **opened(**aim))
    newer = config("20270101T0-z", "c8", **opened(**aim))
    decision = decide({"b1": done, "b2": left, "w1": newer, "w2": idle}, level="config", to=to)
    assert (decision["allowed"], decision["resumes"], decision["from"], decision["there"]) == (True, ["r7"], "c9", False)
    if to is None:
        assert (decision["nodes"], decision["to"]) == (["b1", "b2"], "c1, c3")
    alone = decide({"b1": done, "w2": idle}, level="config", to=to)
    assert (alone["allowed"], alone["there"], alone["nodes"], alone["resumes"]) == (True, True, ["b1"], ["r7"])
    assert settled({"b1": done}, alone)["b1"]["allowed"]


def test_a_config_that_is_there_already_and_was_not_begun() -> None:
    done = there("b1", "api", "v3", level="config") | {"to": "c1"}
    unknown = {"code": "never_deployed", "component": None, "reason": "c1 is neither", "remedy": "status"}
    web = plan("w1", "web", "v3", "v3", level="config", allowed=False, refusals=[unknown])
    decision = decide({"b1": done, "w1": web}, to="c1", level="config")
    assert (decision["allowed"], decision["there"], decision["nodes"]) == (True, True, ["b1"])
    assert decision_text(decision).startswith("every component is at c1 already; nothing to do")


def test_what_the_journal_says_at_the_beginning() -> None:
    shown = config("r", "c1")
    shown["steps"][0]["detail"]["from"] = {"release": "v3", "config": "c9"}
    detail = beginning({"to": "c1, c3", "from": "c9", "resumes": ["r7"], "plans": {}}, shown, "config", "too slow")
    assert detail == {"level": "config", "reason": "too slow", "to": "c1, c3", "from": "c9", "resumes": ["r7"], **moving("c1")}


def test_without_another_config_anywhere_or_with_a_silent_node_it_is_refused() -> None:
    alone = plan("b1", "api", "v3", "v3", level="config", allowed=False, refusals=[NO_OTHER])
    assert "v3 was live here with one config only" in decision_text(decide({"b1": alone}))
    silent = decide({"b1": config("r", "c1"), "b2": {"silent": "not reached"}})
    assert not silent["allowed"]
    assert "b2: not reached" in decision_text(silent)
    busy = {"code": "migrating", "component": "api", "reason": "a migration runs", "remedy": "wait"}
    assert not decide({"b1": config("r", "c1"), "b2": {**alone, "refusals": [busy]}})["allowed"]


def test_a_plan_holds_where_it_does_nothing_but_what_was_shown() -> None:
    shown = config("r", "c1")
    cold = config("r", "c1")
    cold["steps"][0]["detail"].update(warm=False, expected_s=8.0)
    assert plan_holds(cold, shown)
    assert plan_holds({**shown, "steps": []}, shown), "a run that was interrupted has come further"
    there = {**shown, "steps": [], "allowed": False, "refusals": [{"code": "already_there"}]}
    assert plan_holds(there, shown)
    assert not plan_holds(config("r", "c2"), shown)
    assert not plan_holds({**shown, "allowed": False}, shown)
    more = {**shown, "steps": [*shown["steps"], {"do": "restore", "component": None, "detail": {"set": "s"}}]}
    assert not plan_holds(more, shown)
    assert plan_holds(shown, more)


def _said(**detail: Any) -> dict[str, Any]:
    step = {"do": "switch", "component": "api", "detail": {"release": "v1", "from": {"release": "v2", "config": "c2"}, **detail}}
    return read(0, json.dumps({**plan("b1", "api", "v2", "v1"), "steps": [step]}), "")


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


@pytest.mark.parametrize("within", [lambda made: made, lambda made: {"plan": made, "outcome": "refused"}], ids=["plan", "outcome"])
def test_a_node_with_the_command_of_before_is_understood(within: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    before = {"code": "never_deployed", "component": None, "reason": "v9 was never deployed here", "way_out": "choose v1"}
    answer = read(2, json.dumps(within({"candidates": [], "steps": [], "refusals": [before]})), "")
    (refusal,) = answer.get("plan", answer)["refusals"]
    assert (refusal["remedy"], "way_out" in refusal) == ("choose v1", False)


def test_what_a_node_says_does_not_act_upon_the_terminal() -> None:
    told = {**plan("b1", "api", "v2", "v1"), "warnings": ["a\x1b]0;title\x07b\x9b2Jc\u202ed"]}
    assert read(0, json.dumps(told), "")["warnings"] == ["a\ufffd]0;title\ufffdb\ufffd2Jc\ufffdd"]
    assert "\x1b" not in read(1, "", "\x1b[2J")["silent"]


@pytest.mark.parametrize(
    "told",
    [
        {"last_rollback": {**went(), "time": "yesterday"}},
        {"last_rollback": {**went(), "time": 3}},
        {"last_rollback": {**went(), "run": "../r"}},
        {"last_rollback": ["r1"]},
        {"resumes": {"seq": "1; id", "to": "v1"}},
        {"resumes": {"seq": -1}},
        opened(since="soon"),
        opened(runs=[]),
        opened(runs=["a b"]),
        opened(to="../v1"),
        opened(moves={"api": "c1"}),
        opened(moves={"api": {"to": {"config": "/etc"}}}),
        {"open": "r7"},
    ],
)
def test_what_a_node_says_of_earlier_rollbacks_has_its_shape(told: dict[str, Any]) -> None:
    def said(more: dict[str, Any]) -> dict[str, Any]:
        return read(0, json.dumps({**plan("b1", "api", "v2", "v1"), **more}), "")

    assert "candidates" in said({"last_rollback": went(), "resumes": {"seq": 4, "to": "v1"}, **opened(**moving("c1"))})
    assert "cannot be trusted" in said(told)["silent"]


def test_a_node_that_was_taken_back_by_hand_stays_where_the_others_go() -> None:
    """Asked without a target it would go on from there; it is neither shown nor done."""
    further = [{"do": "switch", "component": "api", "detail": {"release": "v1", "config": "c1", "from": {"release": "v2"}}}]
    answers = {
        "b1": plan("b1", "api", "v2", "v2", "v1", level="app", allowed=True, to="v1", steps=further),
        "b2": plan("b2", "api", "v2", "v2", level="app", allowed=False, refusals=[{**ALREADY, "code": "no_previous_good"}]),
        "w1": plan("w1", "web", "v3", "v3", "v2", level="app", allowed=True, to="v2"),
    }
    decision = decide(answers, level="app")
    assert (decision["allowed"], decision["to"]) == (True, "v2")
    shown = settled(answers, decision)
    assert (shown["b1"]["steps"], shown["b1"]["to"], shown["b2"]["allowed"]) == ([], "v2", True)
    assert all(plan_holds(answers[node], shown[node]) for node in answers)
    gone = plan("b1", "api", "v4", "v4", "v2", level="app", allowed=True, to="v2", steps=further)
    assert not plan_holds(gone, shown["b1"]), "somebody deployed meanwhile"
