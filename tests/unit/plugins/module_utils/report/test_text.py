# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pages for people: tables and failures say what, where, expected, got, and what is live now."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.gate.default import without
from ansible_collections.phasegate.aistack.plugins.module_utils.report.text import failure_text, failures, health_rows, health_text


def probe(name: str, component: str, verdict: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "component": component, "verdict": verdict, "latency_ms": 12.0, "severity": "critical", **more}


def test_health_has_a_row_for_each_component_and_node_and_names_what_came() -> None:
    results = {
        "n1": {"probes": [probe("select 1", "db", "pass"), probe("ready", "web", "fail", expected="200", got="503", latency_ms=80.0)],
               "contexts": {"web": {"release": "v1"}}},
        "n2": {"probes": [probe("reaches web", "web", "fail", severity="warning")]},
        "n3": {"unreachable": True, "msg": "no route to host\nmore"},
    }
    rows = health_rows(results, ["db", "web"])
    assert [(row["component"], row["node"], row["verdict"]) for row in rows] == [
        ("db", "n1", "pass"), ("web", "n1", "fail"), ("web", "n2", "warning"), ("(node)", "n3", "error"),
    ]
    text = health_text(rows)
    assert "ready: expected 200, got 503" in text
    assert "2 of 3 components fail: (node), web" in text
    assert "v1" in text


def test_health_of_a_healthy_stack_says_so() -> None:
    rows = health_rows({"n1": {"probes": [probe("select 1", "db", "pass")]}}, ["db"])
    assert health_text(rows).endswith("the one component that was asked passes")
    assert health_text(rows, without=["toolchain"]).endswith("passes; 1 component has no gate: toolchain")
    assert health_text(rows, without=["toolchain", "api"]).endswith("passes; 2 components have no gate: toolchain, api")


def test_who_has_no_gate() -> None:
    api = {"role": "backend", "gate": []}
    components = {"toolchain": {"role": "toolchain"}, "edge": {"role": "edge"}, "api": api, "w": {"role": "worker"}}
    assert without(components) == ["toolchain", "w"]
    assert without(components, ["w", "api"]) == ["w"]


def test_health_goes_by_the_gate_of_the_live_release_and_shows_what_todays_says() -> None:
    today = probe("answer", "api", "fail", severity="warning", expected="new", got="old", judged_by="inventory", live="v1", hint="fix it")
    rows = health_rows({"n1": {"probes": [probe("answer", "api", "pass", severity="critical"), today]}}, ["api"])
    assert [(row["verdict"], row["passed"], row["probes"]) for row in rows] == [("pass", 1, 1)]
    text = health_text(rows)
    assert "n1: api: v1 is live, and passes the gate that it was activated with. The inventory's gate of today says: answer: " in text
    assert text.endswith("the one component that was asked passes")


def test_failure_of_a_slot_says_what_is_live_now() -> None:
    text = failure_text("backend: activate v4.2.0", {"report": {
        "probe": "health", "where": "n1", "expected": "200", "got": "connection refused", "attempts": 7,
        "log_tail": ["Traceback", "boom"], "still_serving": {"release": "v4.1.0", "slot": "blue"},
    }})
    for part in ("backend: activate v4.2.0", "connection refused", "7", "boom", "v4.1.0 in slot blue, as before"):
        assert part in text


def test_of_a_long_log_is_said_where_it_ends() -> None:
    for count, heading in (19, "log"), (30, "log        its end, the newest line last:"):
        text = failure_text("api: activate v2", {"report": {"probe": "health", "log_tail": [f"line {number}" for number in range(count)]}})
        assert heading in text.splitlines()


@pytest.mark.parametrize(
    ("report", "said"),
    [
        ({"marked_bad": True}, "next       fix it and deploy it under a new tag"),
        ({"marked_bad": True, "fix_gate": "fix x"}, "allow_bad=true. Or, where the release is right: fix x"),
        ({"marked_bad": True, "mend_gate": "mend z"}, "allow_bad=true. Or, where the release is right: mend z"),
        ({"marked_bad": True, "answered": True, "fix_gate": "fix y"}, "allow_bad=true. Or, where the answer is right: fix y"),
        ({"verdict": "error", "probe": "health"}, "next       fix the gate, or what it names on the node, and run the same "),
        ({"verdict": "inconclusive", "probe": "health"}, "next       look in its log whether it was on its way, and run the same "),
        ({"verdict": "error", "probe": None}, "next       fix that, and run the same command again"),
        ({}, "next       fix that, and run the same command again"),
        ({"marked_bad": True, "going_back_failed": "no disk"}, "next       fix why nothing serves, and run the same command again: no d"),
    ],
    ids=[
        "the release is to blame",
        "option",
        "option of before",
        "or the gate",
        "the gate is to blame",
        "time is",
        "systemd",
        "something else is",
        "nothing serves",
    ],
)
def test_failure_of_a_slot_says_what_to_do(report: dict[str, object], said: str) -> None:
    assert said in failure_text("backend: activate v4.2.0", {"report": report})


def test_failure_of_anything_else_keeps_its_message() -> None:
    assert "disk is full" in failure_text("stage", {"results": [{"failed": False}, {"failed": True, "msg": "disk is full"}]})


def test_a_loss_is_accepted_by_a_command_that_can_be_typed() -> None:
    losses = [{"name": "user.nickname", "rows": 1}, {"name": "logs", "rows": None}, {"name": "empty", "rows": 0}]
    refused = {"code": "data_loss", "msg": "The downgrade loses data", "plan": {"losses": losses}}
    command = "ansible-playbook phasegate.aistack.rollback -e level=schema"
    assert failure_text("may it", {"results": [{"failed": True, **refused}]}, command).splitlines()[-1] == (
        f"next       if that may go: {command} -e accept_loss=user.nickname,logs"
    )
    assert "next" not in failure_text("may it", {**refused, "code": "busy"}, command)


def test_failures_name_node_task_and_what_was_said() -> None:
    failed = {"inventory_hostname": "n2", "ansible_failed_task": {"name": "Go back"}, "ansible_failed_result": {"msg": "no answer\nmore"}}
    silent = {"inventory_hostname": "n3", "ansible_failed_task": {"name": "Go back"}, "ansible_failed_result": {"rc": 1}}
    assert failures([{"inventory_hostname": "n1"}, failed, silent]) == ["n2: Go back: no answer", "n3: Go back"]
