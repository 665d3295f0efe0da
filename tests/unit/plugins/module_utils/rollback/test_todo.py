# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each node has to do, by the plan that was shown and by that of now."""

from __future__ import annotations

from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.migration.schema_path import known_heads
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.facts import migrations
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.todo import again, before, todo_of

EDGE = {"socket": "/run/edge", "backend": "api"}
KNOWN = {"api": {"unit": "aistack-api", "strategy": "bluegreen", "ports": {"blue": 1}, "edge": EDGE, "user": "shop"}}
SWITCH = {"do": "switch", "component": "api", "detail": {"release": "v1", "config": "c", "from": {"release": "v2"}}}
STEPS = [
    {"do": "backup", "component": None, "detail": {}}, {"do": "stop", "component": "api", "detail": {}},
    {"do": "restore", "component": "api", "detail": {"set": "s"}}, {"do": "downgrade", "component": "api", "detail": {"to": ["1"]}},
    {"do": "downgrade", "component": "flow", "detail": {"to": ["1"]}}, SWITCH,
]


def plan(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    candidates = [{"component": "api", "present": "v2", "tags": ["v2", "v1"]}]
    return {"allowed": True, "from": "v2", "to": "v1", "steps": list(steps), "descriptions": KNOWN, "candidates": candidates,
            "refusals": [], **more}


def test_steps_by_kind() -> None:
    todo = todo_of(plan(*STEPS))
    assert [step["component"] for step in todo["downgrades"]] == ["api", "flow"]
    assert [step["component"] for step in todo["allowed"]] == ["flow"], "below a set the schema that would be asked about is not there yet"
    assert todo["stop"] == [{"component": "api", "unit": "aistack-api", "strategy": "bluegreen", "ports": {"blue": 1}, "edge": EDGE}]
    assert (todo["start"], todo["backup"], todo["goes"]) == ([], True, True)
    assert todo["edges"] == [{"component": "api", "edge": EDGE}]


def test_a_host_that_takes_no_part_has_nothing_to_do() -> None:
    decision = {"nodes": ["a"], "plans": {"a": plan(SWITCH), "b": {"absent": "no command"}}}
    todo = before(decision, ["a", "b"])
    assert todo["a"]["steps"] == [SWITCH]
    assert todo["b"] == todo_of({})
    assert not any(todo["b"].values())


def test_what_is_done_by_now_is_not_done_again() -> None:
    decision = {"nodes": ["a"], "plans": {"a": plan(*STEPS), "b": {}}, "to": "v1", "from": "v2", "resumes": []}
    now = plan(SWITCH, descriptions={}, candidates=[])
    found = again(decision, {"a": now, "b": {"silent": "it was not asked"}}, "schema", "broken")
    assert (found["a"]["steps"], found["a"]["holds"]) == ([SWITCH], True)
    assert found["a"]["goes"], "what is shown says which components there are"
    assert found["a"]["begins"]["moves"]["api"]["to"] == {"release": "v1", "config": "c"}
    assert (found["b"]["steps"], found["b"]["holds"], found["b"]["begins"]["moves"]) == ([], True, {})


def test_what_another_host_did_to_the_database_is_noted_where_it_is_relied_on() -> None:
    detail = {"release": "v2", "revisions": ["2"], "from": ["2"], "to": ["1"], "expected_s": 3.0}
    undo = {"do": "downgrade", "component": "api", "detail": detail}
    relies = [{"component": "api", "node": "a"}]
    plans = {"a": plan(undo, SWITCH), "b": plan(SWITCH, relies=relies), "c": plan(SWITCH)}
    decision = {"nodes": ["a", "b", "c"], "plans": plans, "to": "v1", "from": "v2", "resumes": []}
    found = again(decision, plans, "schema", "broken")
    assert found["b"]["notes"] == [{
        "op": "migrate", "component": "api", "release": "v2", "outcome": "ok",
        "detail": {"state": "downgraded", "from": ["2"], "to": ["1"], "steps": ["2"], "host": "a"},
    }]
    assert known_heads(migrations(found["b"]["notes"], "api")) == ["1"], "its journal knows where the database stands"
    assert (found["a"]["notes"], found["c"]["notes"]) == ([], [])
    done = again(decision, {**plans, "a": plan(SWITCH)}, "schema", "broken")
    assert done["b"]["notes"] == [], "it was done before"


def test_a_node_that_would_do_more_than_was_shown_does_not_hold() -> None:
    decision = {"nodes": ["a"], "plans": {"a": plan(SWITCH)}, "to": "v1", "from": "v2", "resumes": []}
    more = plan(SWITCH, {**SWITCH, "component": "other"})
    assert not again(decision, {"a": more}, "app", "broken")["a"]["holds"]


def test_a_node_that_was_there_when_it_was_shown_stays_there() -> None:
    decision = {"nodes": ["a"], "plans": {"a": plan(there=True)}, "to": "v1", "from": "v2", "resumes": ["r"]}
    assert again(decision, {"a": plan(SWITCH)}, "app", "broken")["a"]["steps"] == []
