# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page of plan.yml: what it says, what it calls refused, and that it fits a terminal."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.report.plan_page import WIDTH, page, refusal

STEP = {
    "revision": "0002", "doc": "Feedback", "phase": "expand", "risk": "low", "reversible": True,
    "findings": [], "sql": "ALTER TABLE t ADD COLUMN c TEXT;", "sql_error": "",
    "statements": [
        {"action": "adds a column", "table": "t", "lock": "ACCESS EXCLUSIVE", "blocks": "reads and writes", "loses_data": False}
    ],
}
MIGRATION = {
    "known": True, "component": "backend", "release": "v2", "current": ["0001"], "target": ["0002"], "pending": [STEP],
    "database": {"name": "app", "host": "db", "port": 5432, "user": "app"}, "verdict": {"allowed": True, "refusals": [], "warnings": []},
}
SWITCH = ["write green", "start green", "gate green", "ready green", "drain blue", "live green"]


def said(release: str = "v1", **changes: Any) -> dict[str, Any]:
    answers: dict[str, Any] = {
        "info": {"live": {"release": release, "slot": "blue", "config": "c1"}, "states": {}, "marks": {}, "reasons": {}},
        "unit": {"changed": False},
        "config": {"changed": False, "config": "c1", "path": "/c1/env"},
        "staged": {"changed": True, "present": False, "commit": "0123456789abcdef"},
        "migration": {},
        "slot": {"changed": True, "slot": "green", "steps": SWITCH},
    }
    return {**answers, **changes}


@pytest.fixture
def facts() -> dict[str, Any]:
    components = {
        "postgres": {"hosts": "b"},
        "backend": {
            "hosts": "b", "lock": "requirements.lock", "port": "backend", "tests": [["{python}", "-m", "pytest"]], "migrations": {},
            "gate": [{"name": "health", "http": "http://127.0.0.1/"}, {"name": "far", "http": "http://b/", "from": "web"}],
        },
        "beat": {"hosts": "b", "release_from": "backend", "strategy": "recreate"},
    }
    probe = {"component": "postgres", "name": "select", "verdict": "pass", "expected": "1", "got": "1"}
    made = {
        "stack": "lab", "application": "app", "release": "v2", "order": ["backend", "beat"], "components": components,
        "phases": {"phase1": {"components": ["backend"], "acceptance": ["route"]}}, "acceptance_phases": ["phase1"],
        "nodes": {"b1": {"backend": said(migration=MIGRATION), "beat": said(staged={"skipped": True, "changed": False})}, "web1": {}},
        "opening": {"b1": {"probes": [probe]}}, "leases": {"b1": {"lease": None}},
    }
    return copy.deepcopy(made)


def test_it_tells_all_of_it_and_fits(facts: dict[str, Any]) -> None:
    text = page(facts)
    for expected in (
        "Plan: app v1 → v2 on the stack lab", "would change 2 of 2 places", "blue → green", "commit 0123456789, install exactly",
        "$ {python} -m pytest", "ADD COLUMN c TEXT", "blocks reads and writes", "Allowed.", "tree of backend", "backend: health",
        "phase1: gate of backend, route", "postgres passes", "data: nothing", "beat stops before the new one starts",
        "start green, gate green, give green traffic, drain blue",
    ):
        assert expected in " ".join(text.split())
    assert "far" not in text  # asked from elsewhere: it does not judge the slot
    assert "refused" not in text.lower()
    assert max(map(len, text.splitlines())) <= WIDTH


def test_what_another_node_built_is_laid_down(facts: dict[str, Any]) -> None:
    facts["nodes"]["b1"]["backend"]["staged"]["artefact"] = {"plan": "would be laid down", "from": "b9", "key": "k"}
    text = " ".join(page(facts).split())
    assert "commit 0123456789, laid down from what b9 built; it passed its own tests there" in text
    assert "install exactly" not in text
    facts["nodes"]["b1"]["backend"]["staged"]["artefact"] = {"plan": "would be built on b9", "on": "b9", "key": "k"}
    assert "then its own tests, on b9, then laid down here" in " ".join(page(facts).split())


def test_what_is_live_already_is_one_line(facts: dict[str, Any]) -> None:
    still = said("v2", staged={"changed": False, "present": True}, slot={"changed": False, "slot": "blue", "steps": []})
    facts["nodes"]["b1"] = {"backend": still, "beat": still}
    text = page(facts)
    assert text.count("\n") == 0
    assert "would change nothing" in text
    facts["nodes"]["b1"]["backend"] = {**still, "migration": {"known": False, "why": "no database"}}
    assert "NOT known" in page(facts)
    assert "REFUSED" not in page(facts)
    undecided = {**MIGRATION, "verdict": {"undecided": ["With made-up values for A it stops."]}}
    facts["nodes"]["b1"]["backend"] = {**still, "migration": undecided}
    assert "NOT known (why: below)" in page(facts)
    assert "With made-up values for A" in page(facts)
    assert "REFUSED" not in page(facts)


REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    ("staged", {"failed": True, "msg": "There is no tag 'v2'"}, "backend on b1, staging: There is no tag"),
    ("config", {"failed": True, "msg": "DATABASE_URL: is missing"}, "its environment: DATABASE_URL: is missing"),
    ("migration", {"failed": True, "msg": "Wrong password"}, "migration: Wrong password"),
    ("info", {"live": None, "marks": {"v2": "bad"}, "reasons": {"v2": "gate failed"}}, "v2 was marked bad (gate failed)"),
    (
        "migration",
        {**MIGRATION, "verdict": {"allowed": False, "warnings": [], "refusals": [{"reason": "It drops t.", "remedy": "Keep it."}]}},
        "It drops t.",
    ),
]


@pytest.mark.parametrize(("key", "answer", "expected"), REFUSALS)
def test_refusals(facts: dict[str, Any], key: str, answer: dict[str, Any], expected: str) -> None:
    facts["nodes"]["b1"]["backend"][key] = answer
    text = page(facts)
    assert "would be REFUSED" in text
    assert expected in text.split("Would be refused")[1].split("\n\n")[0]
    assert refusal(facts).startswith("deploy.yml -e release=v2 would be refused. The reason stands on the page above")


def test_what_is_not_known_is_no_refusal(facts: dict[str, Any]) -> None:
    facts["nodes"]["b1"]["backend"]["migration"] = {"known": False, "why": "no database"}
    assert refusal(facts) == ""


def test_a_bad_release_may_be_allowed(facts: dict[str, Any]) -> None:
    facts["nodes"]["b1"]["backend"]["info"]["marks"] = {"v2": "bad"}
    facts["allow_bad"] = True
    assert "REFUSED" not in page(facts)


def test_what_it_stands_on_and_who_is_at_work(facts: dict[str, Any]) -> None:
    facts["opening"]["b1"]["probes"][0].update(verdict="fail", got="connection refused")
    facts["opening"]["web1"] = {"unreachable": True, "msg": "no route\nmore"}
    facts["leases"]["b1"]["lease"] = {"run": "r1", "expires": "10:00", "owner": {"actor": "ann"}}
    text = page(facts)
    assert "postgres on b1: select: expected 1, got connection refused" in text
    assert "web1 cannot be reached: no route. Have it answer (ansible web1 -m ping), and plan again" in text
    assert "besides: not known: web1 did not answer" in text
    assert "b1 is locked by run r1 of ann until 10:00" in text
    assert "postgres FAIL" in text


def test_nodes_that_do_not_answer_make_nothing_known(facts: dict[str, Any]) -> None:
    facts["opening"] = {node: {"unreachable": True, "msg": "no route"} for node in ("b1", "web1")}
    facts["nodes"] = {}
    text = page(facts)
    assert "what is live is not known →" in text
    assert "before:  not known: b1, web1 did not answer" in text
    assert text.endswith("────\n  not known: b1, web1 did not answer")
    for untrue in ("nothing live", "has a gate", "nothing serves yet"):
        assert untrue not in text


def test_environment_differences(facts: dict[str, Any]) -> None:
    diff = {"before": "A=1\nB=2\nS=****\n", "after": "A=3 (changed)\nC=4\nS=**** (changed)\n"}
    facts["nodes"]["b1"]["backend"]["config"] = {"changed": True, "config": "c2", "path": "/c2/env", "diff": diff}
    text = page(facts)
    for line in ("- B=2", "+ C=4", "~ A: 1 → 3 (changed)", "~ S: **** → **** (changed)"):
        assert line in text
    assert "differs" in text


def test_lost_data_and_a_missing_way_back_are_named(facts: dict[str, Any]) -> None:
    step = facts["nodes"]["b1"]["backend"]["migration"]["pending"][0]
    step["reversible"] = False
    step["statements"][0].update(action="drops a column and its data", loses_data=True)
    lost = page(facts).split("Lost\n")[1]
    assert "data: 0002 drops a column and its data of t" in lost
    assert "0002 has no downgrade" in lost
    assert "data: nothing" not in lost


def test_tasks_of_the_release_stand_in_their_order_with_what_was_done(facts: dict[str, Any]) -> None:
    seed, warm = ({"name": name, "component": "backend", "command": ["{python}", "-m", f"app.{name}"]} for name in ("seed", "warm"))
    facts["tasks"] = {"after_activation": [warm], "after_migration": [seed]}
    facts["nodes"]["b1"]["backend"]["tasks"] = [
        {"item": [{"key": "after_migration"}, seed], "done": True, "when": "2026-01-31T12:00:00Z"},
        {"item": [{"key": "after_activation"}, warm], "done": False},
    ]
    text = " ".join(page(facts).split())
    assert (
        "after migration: seed, beside backend on b1 it was done at 2026-01-31T12:00:00Z, and is not run again"
        " after activation: warm, beside backend on b1 $ {python} -m app.warm"
    ) in text
    facts["nodes"]["b1"]["backend"]["tasks"] = []
    assert "seed, beside backend, whose first host did not say whether it was done $ {python} -m app.seed" in " ".join(page(facts).split())


def test_a_task_that_is_pending_is_something_to_do(facts: dict[str, Any]) -> None:
    same = {"changed": False, "present": True}
    task = {"item": [{"key": "after_activation"}, {"name": "seed"}], "done": True}
    facts["nodes"]["b1"] = {"backend": said("v2", slot={**same, "slot": "blue"}, staged=same, tasks=[task])}
    assert page(facts).endswith("deploy.yml would change nothing.")
    task["done"] = False
    assert "would change 1 of 1 places" in page(facts)


def test_a_gate_that_tells_no_release_is_called_weak(facts: dict[str, Any]) -> None:
    text = " ".join(page(facts).split())
    assert "weak: no probe of backend, beat tells which release runs, so that another one would pass as well; add" in text
    facts["components"]["backend"]["gate"][0]["json"] = {"version": "${release}"}
    facts["components"]["beat"]["gate"] = [{"name": "it", "unit": "${unit}", "release": "${release}"}]
    text = " ".join(page(facts).split())
    assert "no probe of" not in text
    assert "weak: that beat runs this release is known of its process alone" in text


def test_hosts_that_change_one_after_the_other(facts: dict[str, Any]) -> None:
    facts["components"]["backend"].update(strategy={"rolling": {"limit": 1, "hold": 60, "triggers": ["errors"]}}, migrations=None)
    facts["groups"] = {"b": ["b2", "b1", "b3"]}
    there = said("v2", slot={"changed": False, "slot": "blue", "steps": []})
    facts["nodes"] = {"b1": {"backend": said()}, "b2": {"backend": there}, "b3": {"backend": said()}}
    facts["order"] = ["backend"]
    told = " ".join(page(facts).partition("Switched, one after the other")[2].partition("Judged by")[0].split())
    steps, proof = "point green at the release, start green, gate green, give green traffic, drain blue, green is live", (
        "then its gate, 60 s in which errors judges, and its gate again")
    assert told.endswith(
        f"- backend on b2: there already; batch 1 of 3, {proof} 1. backend on b1: {steps} batch 2 of 3, {proof} "
        f"2. backend on b3: {steps} batch 3 of 3, {proof}"
    )
    facts["components"]["backend"]["strategy"] = {"canary": {"weights": [5, 100], "hold": 60, "triggers": ["errors"]}}
    told = " ".join(page(facts).partition("Switched, one after the other")[2].partition("Judged by")[0].split())
    assert told.endswith(f"2. backend on b3: {steps} by shares of the requests, 5 %, 100 %, then 60 s in which errors judges it")
    facts["components"]["backend"]["strategy"] = "bluegreen"
    assert "batch" not in page(facts)


def test_what_does_not_run_side_by_side_is_a_refusal(facts: dict[str, Any]) -> None:
    facts["beside"] = ["worker would be at v2 beside gateway, which stays at v1\nFix: deploy gateway first"]
    text = page(facts)
    assert "would be REFUSED (why: below)" in text
    assert "  - worker would be at v2 beside gateway, which stays at v1\n    Fix: deploy gateway first" in text
    assert refusal(facts).startswith("deploy.yml -e release=v2 would be refused. The reason stands on the page above")


def test_which_strategy_it_would_take_and_why(facts: dict[str, Any]) -> None:
    """By the version, by what would be migrated, by what an earlier run has migrated, and by what the operator says."""
    facts["groups"] = {"b": ["b1", "b2"]}
    facts["nodes"]["b2"] = {"backend": said()}
    facts["components"]["backend"]["careful"] = {"rolling": {"limit": 1}}

    def text() -> str:
        return " ".join(page(facts).split())

    assert "backend: careful, because v2 is another major version than v1 1. backend on b1" in text()
    assert "batch 1 of 2, then its gate" in text()
    facts["risk"] = "low"
    assert "backend: strategy, because of -e risk=low" in text()
    assert "batch 1 of 2" not in text()
    facts["risk"], facts["release"] = "", "v1.1.0"
    assert "backend: strategy, because the major version of v1.1.0 is that of what is live" in text()
    facts["nodes"]["b1"]["backend"]["info"]["contracted"] = True
    assert "backend: careful, because the schema of backend has lost what the release before may use" in text()
    facts["nodes"]["b1"]["backend"]["info"]["contracted"] = False
    facts["nodes"]["b1"]["backend"]["migration"]["pending"][0]["phase"] = "contract"
    assert "backend: careful, because the schema of backend has lost" in text()
