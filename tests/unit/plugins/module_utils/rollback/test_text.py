# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan's document and table say what the runbook wants, and nothing that nobody knows."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import text as rollback_text


def switch(component: str, **changes: Any) -> dict[str, Any]:
    detail = {
        "release": "v4.1.0",
        "config": "c1",
        "from": {"release": "v4.2.0", "config": "c1", "slot": "green"},
        "commit": {"v4.2.0": "aaaa1111bbbb2222cccc", "v4.1.0": "dddd3333eeee4444ffff"},
        "environment": {"added": [], "removed": [], "changed": []},
        "fronted": True,
        "strategy": "bluegreen",
        "warm": False,
        "expected_s": 6.4,
        **changes,
    }
    return {"do": "switch", "component": component, "detail": detail}


def plan(*steps: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "level": "app", "application": "sparklio", "from": "v4.2.0", "to": "v4.1.0", "allowed": True, "refusals": [],
        "steps": list(steps), "losses": [], "warnings": [], "unverified": [], "objective_s": 600, "expected_s": 8.5, **changes,
    }


APP = {
    "nodes": {
        "backend-1": plan(switch("backend"), switch("worker", warm=True, fronted=False)),
        "web-1": plan(switch("frontend", config="c9", environment={"added": ["NEW"], "removed": [], "changed": ["BACKEND_URL"]})),
    }
}
DOWN = {
    "do": "downgrade",
    "component": "backend",
    "detail": {"release": "v4.2.0", "revisions": ["0012"], "from": ["0012"], "to": ["0002"], "expected_s": 30.0},
}
RESTORE = {
    "do": "restore",
    "component": None,
    "detail": {
        "set": "20260101T000000Z-deploy",
        "made": "2026-01-01T00:00:00Z",
        "parts": ["postgres sparklio", "ollama models"],
        "expected_s": 600,
    },
}
SCHEMA = {
    "nodes": {
        "backend-1": plan(
            {"do": "backup", "component": "backend", "detail": {"expected_s": 0.0}},
            {"do": "stop", "component": "backend", "detail": {}},
            DOWN,
            switch("backend", strategy="recreate"),
            {"do": "verify", "component": None, "detail": {}},
            level="schema",
            losses=["backend: what 0012 brought into the database goes"],
            unverified=["backend: something"],
            objective_s=3600,
            expected_s=38.0,
        )
    }
}
FACTS = {
    "stack": "sparklio",
    "reason": "agents fail, 25 %",
    "owner": "ann@laptop",
    "run": "run-9",
    "time": "2026-01-02T03:04:05Z",
    "notified": ["chat", "ops"],
    "dashboards": ["http://grafana/d/1"],
    "approved": "-e confirm=v4.1.0",
}


def document(merged: Any, **changes: Any) -> str:
    return rollback_text.plan_markdown(merged, {**FACTS, **changes})


def section(text: str, title: str) -> list[str]:
    """The lines of one section, without the empty ones."""
    body = text.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    return [line for line in body.splitlines() if line]


def test_basic_facts() -> None:
    text = document(APP)
    assert text.startswith("# Rollback plan: sparklio, v4.2.0 → v4.1.0\n")
    basics = section(text, "Basic facts")
    for row in (
        "| Reason | agents fail, 25 % |",
        "| Level | app (application): code only: the slots move, no data does |",
        "| From | v4.2.0 (commit aaaa1111bbbb) |",
        "| To | v4.1.0 (commit dddd3333eeee) |",
        "| Owner | ann@laptop |",
        "| Approved | -e confirm=v4.1.0 |",
        "| Expected time | 8 s; objective of the level 5 to 10 minutes (at most 600 s) |",
        "| Nodes | backend-1, web-1 |",
        "| Impact | no request is refused |",
    ):
        assert row in basics
    assert "Refused" not in text


def test_the_checklist_is_ticked_by_facts_alone() -> None:
    assert section(document(APP), "Checklist") == [
        "- [x] Present version and commit: v4.2.0 (commit aaaa1111bbbb)",
        "- [x] Target: v4.1.0 (commit dddd3333eeee)",
        "- [x] Migrations between them: none: the schema stays as it is",
        "- [x] Backup: not needed, no data moves",
        "- [x] Notified: chat, ops",
        "- [x] Dashboards: http://grafana/d/1",
        "- [x] Approved: -e confirm=v4.1.0",
    ]
    bare = section(rollback_text.plan_markdown(SCHEMA, {}), "Checklist")
    assert bare[2:] == [
        "- [x] Migrations between them: undo 0012",
        "- [ ] Backup: still to be taken",
        "- [ ] Notified: nobody; name receivers in aistack_notices",
        "- [ ] Dashboards: none named",
        "- [ ] Approved: not yet",
    ]
    assert "- [x] Backup: set-1" in section(document(SCHEMA, backup="set-1"), "Checklist")


def test_scope_and_steps() -> None:
    assert section(document(APP), "Scope") == [
        "- [x] Code: backend, frontend, worker",
        "- [x] Environment and configuration: frontend",
        "- [ ] Database schema",
        "- [ ] Data from a backup set",
        "- [ ] External services and models",
    ]
    assert section(document(APP), "Steps") == [
        "On backend-1:",
        "1. backend: v4.2.0 → v4.1.0; its slot is started, passes its gate and moves the traffic at the edge (6 s)",
        "2. worker: v4.2.0 → v4.1.0; its slot is warm, passes its gate and takes over (6 s)",
        "On web-1:",
        "1. frontend: v4.2.0 → v4.1.0, configuration c1 → c9; its slot is started, passes its gate and moves the traffic at the edge (6 s)",
    ]
    assert section(document(SCHEMA), "Steps") == [
        "On backend-1:",
        "1. backend: take a backup set and verify it",
        "2. backend: take no more requests and tasks, end those that run, stop",
        "3. backend: schema 0012 → 0002; undo 0012, run by the code of v4.2.0, which knows how (30 s)",
        "4. backend: v4.2.0 → v4.1.0; the old instance is stopped first, passes its gate and takes over (6 s)",
        "5. compare tables, rows and foreign keys with what they were, and ask every gate",
    ]
    assert "- [x] Database schema: backend" in section(document(SCHEMA), "Scope")
    assert "| Impact | backend stands still from the first stop to the last gate |" in document(SCHEMA)


def test_a_restore_of_the_whole_system() -> None:
    merged = {"nodes": {"a": plan(RESTORE, level="system", losses=["everything: all that was written since"])}}
    text = document(merged)
    assert "1. everything: restore postgres sparklio, ollama models from the backup set 20260101T000000Z-deploy of" in text
    assert "- [x] Data from a backup set: ollama models, postgres sparklio" in section(text, "Scope")
    assert "- [x] External services and models: ollama models" in section(text, "Scope")
    assert "- [x] Migrations between them: restore 20260101T000000Z-deploy" in section(text, "Checklist")
    assert any("What a restore replaces is kept" in line for line in section(text, "Recovery, if it does not work"))


def test_the_page_of_a_plan_with_a_restore() -> None:
    """The whole page, as an operator reads it before the consent."""
    moved = switch("backend", warm=True)
    steps = [{"do": "stop", "component": "backend", "detail": {}}, {"do": "backup", "component": "backend", "detail": {}}, RESTORE, moved]
    merged = {
        "nodes": {"backend-1": plan(*steps, level="system", losses=["everything: all since the set"], objective_s=3600, expected_s=606.4)},
        "data_loss": {"backend-1": [{"lines": ["sparklio: 3 rows are lost, 0 come back, 1 are as they were then", "  workflows: 3 lost"]}]},
        "not_covered": ["comfyui", "ollama"],
    }
    shown = rollback_text.plan_text(merged).splitlines()
    assert [re.sub(r"(?<=\S) {2,}", "  ", line) for line in shown if not line.startswith("──")] == [
        "Rollback, level system: v4.2.0 → v4.1.0",
        "",
        "node  step  component  what  expected",
        "backend-1  stop  backend  take no more requests and tasks, end those that run, stop",
        "backend-1  backup  backend  take a backup set and verify it",
        (
            "backend-1  restore  (all)  restore postgres sparklio, ollama models from the backup set 20260101T000000Z-deploy of"
            " 2026-01-01T00:00:00Z; beside what is there, proven, then swapped  600 s"
        ),
        "backend-1  switch  backend  v4.2.0 → v4.1.0; its slot is warm, passes its gate and moves the traffic at the edge  6 s",
        "",
        "expected 606 s, objective of the level 3600 s",
        "lost:",
        "  - backend-1: everything: all since the set",
        "counted, table by table, before anything that serves is touched:",
        "  - backend-1: sparklio: 3 rows are lost, 0 come back, 1 are as they were then",
        "  - backend-1: workflows: 3 lost",
        "to know:",
        "  - not part of the set: programs, configuration and models of comfyui, ollama; they stay as they are",
        "to be accepted by name: -e accept_set=20260101T000000Z-deploy",
    ]
    text = document(merged)
    assert section(text, "What is lost") == [
        "- backend-1: everything: all since the set",
        "- backend-1: sparklio: 3 rows are lost, 0 come back, 1 are as they were then",
        "- backend-1: workflows: 3 lost",
    ]
    assert any("models of comfyui, ollama" in line for line in section(text, "Not verified, and to know"))
    assert "accept_set" not in rollback_text.plan_text(APP)


def test_differences() -> None:
    lines = section(document(APP, code=["3 files changed"]), "Differences")
    assert "- backend: v4.2.0 (aaaa1111bbbb) → v4.1.0 (dddd3333eeee)" in lines
    assert "- 3 files changed" in lines
    assert "- frontend on web-1: added NEW; changed BACKEND_URL" in lines
    assert "The schema stays as it is." in lines
    undone = "- backend: schema 0012 → 0002; undo 0012, run by the code of v4.2.0, which knows how"
    assert undone in section(document(SCHEMA), "Differences")
    assert "DROP TABLE visits;" in section(document(SCHEMA, sql=["DROP TABLE visits;"]), "Differences")


def test_the_page_and_the_table_name_what_becomes_of_the_environment() -> None:
    merged = copy.deepcopy(APP)
    merged["nodes"]["backend-1"]["steps"][0]["detail"]["today"] = ["DATABASE_URL", "SMTP_PW"]
    said = "backend on backend-1: as today DATABASE_URL, SMTP_PW"
    assert f"- {said}" in section(document(merged), "Differences")
    table = rollback_text.plan_text(merged)
    assert f"environment, names only:\n  - {said}\n  - frontend on web-1: added NEW; changed BACKEND_URL\n" in table
    assert "environment" not in rollback_text.plan_text({"nodes": {"backend-1": plan(switch("backend"))}})


def test_what_is_lost_not_verified_and_risky() -> None:
    assert section(document(APP), "What is lost") == ["Nothing."]
    assert section(document(APP), "Not verified, and to know") == ["Everything that the plan goes by was looked at."]
    assert section(document(SCHEMA), "What is lost") == ["- backend-1: backend: what 0012 brought into the database goes"]
    risks = section(document(SCHEMA, risks=["The moon is full."]), "Risks")
    assert "- Data is lost; see What is lost." in risks
    assert "- Something that the plan goes by could not be looked at; see Not verified." in risks
    assert "- backend: no slot is warm, so that the boot of the old release comes on top." in risks
    assert risks[-1] == "- The moon is full."
    late = copy.deepcopy(APP)
    late["nodes"]["web-1"]["expected_s"] = 700
    assert "- It is expected to take 700 s, longer than the objective of 600 s." in section(document(late), "Risks")


def test_recovery_names_the_release_that_is_left() -> None:
    recovery = section(document(APP), "Recovery, if it does not work")
    assert recovery[0].startswith("- Interrupted anywhere: run the same command again")
    assert "- Going forward again is a deployment: deploy.yml -e release=v4.2.0 -e allow_bad=true. Its tree stays on the nodes." in recovery
    recovery = section(document(SCHEMA, backup="set-1"), "Recovery, if it does not work")
    assert "- The backup set set-1 holds what was there before." in recovery


REFUSED = {"code": "no_previous_good", "reason": "there is none", "remedy": "deploy one"}


def test_a_refused_plan_says_so_first() -> None:
    merged = {"nodes": {node: plan(allowed=False, refusals=[REFUSED]) for node in ("a", "b")}}
    text = document(merged)
    assert text.index("**Refused.**") < text.index("## Basic facts")
    assert "- a, b: there is none (no_previous_good). Fix: deploy one" in text
    shown = rollback_text.plan_text(merged)
    assert "REFUSED; nothing was touched.\n  - a, b: there is none (no_previous_good). Fix: deploy one" in shown
    assert "expected" not in shown
    assert "REFUSED" in rollback_text.plan_text({"nodes": {}})
    assert not rollback_text.allowed({"nodes": {"a": plan(), "b": plan(allowed=False)}})


def test_the_table() -> None:
    merged = {**copy.deepcopy(SCHEMA), "silent": {"web-1": "not reached"}}
    lines = rollback_text.plan_text(merged).splitlines()
    assert lines[0] == "Rollback, level schema: v4.2.0 → v4.1.0"
    assert lines[2].split() == ["node", "step", "component", "what", "expected"]
    assert lines[6].split()[:4] == ["backend-1", "downgrade", "backend", "schema"]
    assert lines[6].endswith("30 s")
    assert lines[-6:] == [
        "expected 38 s, objective of the level 3600 s",
        "lost:",
        "  - backend-1: backend: what 0012 brought into the database goes",
        "not verified:",
        "  - backend-1: backend: something",
        "without web-1: not reached",
    ]
    assert "lost: nothing" in rollback_text.plan_text(APP)


@pytest.mark.parametrize("reason", ["a | b", "a\nb"])
def test_a_reason_does_not_break_the_table(reason: str) -> None:
    rows = [line for line in document(APP, reason=reason).splitlines() if line.startswith("| Reason")]
    assert len(rows) == 1
    assert rows[0].replace("\\|", "").count("|") == 3
