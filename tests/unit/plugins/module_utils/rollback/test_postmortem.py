# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The post-mortem holds what the journals tell: when, what, why as it was recorded, what was lost, what is left to do."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import postmortem as postmortem_text

PLAN = {
    "level": "schema", "application": "sparklio", "from": "v4.2.0", "to": "v4.1.0", "allowed": True, "refusals": [], "warnings": [],
    "unverified": [], "losses": ["backend: what 0012 brought goes"], "objective_s": 3600, "expected_s": 38.0,
    "steps": [
        {"do": "stop", "component": "backend", "detail": {}},
        {
            "do": "downgrade", "component": "backend",
            "detail": {"release": "v4.2.0", "revisions": ["0012"], "from": ["0012"], "to": ["0002"], "expected_s": 30.0},
        },
    ],
}
MERGED = {"nodes": {"backend-1": PLAN, "web-1": {**PLAN, "steps": [PLAN["steps"][0]]}}}
ROWS = [
    {"node": "backend-1", "component": "backend", "outcome": "ok", "seconds": 12.34, "said": ""},
    {"node": "web-1", "component": "frontend", "outcome": "ok", "seconds": 3.0, "said": ""},
]


def records(*entries: tuple[str, str, str, str, str, dict[str, Any]]) -> list[dict[str, Any]]:
    """(time, run, op, release, outcome, detail) of the component backend; rollbacks and phases name none or a phase."""
    return [
        {
            "seq": number, "time": f"2026-01-02T{time}:00.000Z", "run": run, "actor": "ann", "op": op, "release": release or None,
            "outcome": outcome, "component": {"rollback": None, "phase": "deploy"}.get(op, "backend"), "detail": detail,
        }
        for number, (time, run, op, release, outcome, detail) in enumerate(entries, 1)
    ]


ROLLBACK = {"level": "schema", "from": "v4.2.0", "reason": "agents fail, 25 %"}
JOURNAL = records(
    ("01:00", "r0", "activate", "v4.1.0", "ok", {"slot": "blue"}),
    ("02:00", "r1", "stage", "v4.2.0", "ok", {}),
    ("02:01", "r1", "migrate", "v4.2.0", "ok", {"from": ["0002"], "to": ["0012"]}),
    ("02:02", "r1", "activate", "v4.2.0", "started", {}),
    ("02:03", "r1", "activate", "v4.2.0", "ok", {"slot": "green"}),
    ("02:20", "r2", "activate", "v4.3.0", "failed", {"error": "gate: version is v4.1.0"}),
    ("02:21", "r2", "phase", "", "failed", {"task": "Activate"}),
    ("02:30", "r9", "rollback", "v4.1.0", "started", ROLLBACK),
    ("02:31", "r9", "migrate", "v4.2.0", "ok", {"from": ["0012"], "to": ["0002"], "losses": {"router_visits": 7, "router_logs.x": None}}),
    ("02:32", "r9", "activate", "v4.1.0", "ok", {"slot": "blue"}),
    ("02:33", "r9", "mark", "v4.2.0", "ok", {"state": "bad", "reason": "agents fail, 25 % (went back to v4.1.0)"}),
    ("02:33", "r9", "mark", "v4.1.0", "ok", {"state": "runs_on", "heads": ["0002"]}),
    ("02:33", "r9", "rollback", "v4.1.0", "ok", {**ROLLBACK, "seconds": 72.4}),
)
FACTS = {
    "stack": "sparklio",
    "run": "r9",
    "owner": "ann@laptop",
    "notified": ["chat"],
    "journals": {"backend-1": JOURNAL},
    "plan": "/tmp/plan.md",
}


def document(outcome: dict[str, Any] | None = None, merged: Any = None, **changes: Any) -> str:
    merged = MERGED if merged is None else merged
    return postmortem_text.postmortem_markdown(merged, {"rows": ROWS, **(outcome or {})}, {**FACTS, **changes})


def section(text: str, title: str) -> list[str]:
    """The lines of one section, without the empty ones."""
    body = text.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    return [line for line in body.splitlines() if line]


def test_basic_facts_come_from_the_journal() -> None:
    text = document()
    assert text.startswith("# Post-mortem: sparklio, rollback v4.2.0 → v4.1.0\n")
    basics = section(text, "Basic facts")
    for row in (
        "| Outcome | complete |",
        "| Reason | agents fail, 25 % |",
        "| Affected version | v4.2.0, live since 2026-01-02T02:03:00.000Z, for 30 minutes |",
        "| Restored version | v4.1.0 |",
        "| Level | schema (database schema) |",
        "| Began | 2026-01-02T02:30:00.000Z |",
        "| Ended | 2026-01-02T02:33:00.000Z |",
        "| Time | 72.4 s, within the objective of 3600 s |",
        "| Owner | ann@laptop |",
        "| Notified | chat |",
        "| Plan | /tmp/plan.md |",
    ):
        assert row in basics


def test_the_cause_is_what_was_recorded_and_nothing_else() -> None:
    assert section(document(reason="asked for by hand"), "Cause") == [
        "As it was recorded:",
        "- asked for by hand",
        "- agents fail, 25 %",
        "- backend: v4.3.0 does not go live: gate: version is v4.1.0",
        "- deploy failed at: Activate",
    ]
    assert section(document(journals={}), "Cause") == ["As it was recorded:", "Nothing was recorded."]
    assert "- Root cause: (to be written)" in section(document(), "To be written by people")


def test_the_timeline_begins_with_the_deployment_that_was_taken_back() -> None:
    assert section(document(), "Timeline (UTC)")[2:] == [
        "| 2026-01-02T02:01:00.000Z | backend-1 | backend: schema 0002 → 0012 by v4.2.0 |",
        "| 2026-01-02T02:03:00.000Z | backend-1 | backend: v4.2.0 goes live in slot green |",
        "| 2026-01-02T02:20:00.000Z | backend-1 | backend: v4.3.0 does not go live: gate: version is v4.1.0 |",
        "| 2026-01-02T02:21:00.000Z | backend-1 | deploy failed at: Activate |",
        "| 2026-01-02T02:30:00.000Z | backend-1 | rollback to v4.1.0 (level schema) begins |",
        "| 2026-01-02T02:31:00.000Z | backend-1 | backend: schema 0012 → 0002 by v4.2.0 |",
        "| 2026-01-02T02:32:00.000Z | backend-1 | backend: v4.1.0 goes live in slot blue |",
        "| 2026-01-02T02:33:00.000Z | backend-1 | backend: v4.2.0 is marked bad: agents fail, 25 % (went back to v4.1.0) |",
        "| 2026-01-02T02:33:00.000Z | backend-1 | rollback to v4.1.0 (level schema) ends well after 72.4 s |",
    ]
    assert section(document(journals={}), "Timeline (UTC)") == ["The journals tell nothing about this run."]


def test_nodes_that_went_back_by_themselves_have_runs_of_their_own() -> None:
    other = [{**record, "run": record["run"].replace("r9", "own")} for record in JOURNAL]
    text = document(journals={"backend-1": JOURNAL, "web-1": other}, run="")
    assert "| 2026-01-02T02:30:00.000Z | web-1 | rollback to v4.1.0 (level schema) begins |" in text
    assert "- [x] v4.2.0 is marked bad on backend-1, web-1:" in text


def test_what_was_done_and_how_it_came_out() -> None:
    done = section(document(), "What was done")
    assert "- backend: take no more requests and tasks, end those that run, stop (on backend-1, web-1)" in done
    assert "- backend: schema 0012 → 0002; undo 0012, run by the code of v4.2.0, which knows how (on backend-1)" in done
    assert "| backend-1 | backend | back | 12.3 s |  |" in done


def test_what_was_lost_is_what_was_counted() -> None:
    assert section(document(), "What was lost") == ["- router_visits: 7 rows", "- router_logs.x: a number of rows that is not known"]
    assert section(document({"losses": []}), "What was lost") == ["Nothing."]
    assert section(document({"losses": ["table t: 1 row"]}), "What was lost") == ["- table t: 1 row"]
    assert section(document(journals={}), "What was lost") == [
        "- backend-1, web-1: backend: what 0012 brought goes (as planned; not counted)"
    ]


def test_what_a_restore_took_away_and_kept() -> None:
    done = {
        "postgres:app": {"replaced": "app__replaced_1", "lost": {"lost": 3}},
        "files:config": {"replaced": ["/a"], "kept": "/state/replaced/1"},
        "bucket:b": {"replaced": 2, "kept": ""},
    }
    parts = [{"lines": ["app: 3 rows are lost"], "change": True}, {"lines": ["files:config: nothing differs"], "change": False}]
    outcome = {"restored": {"backend-1": [{"parts": parts, "done": done}], "web-1": []}, "seconds": 90.0}
    text = document(outcome, level="system")
    assert section(text, "What was lost")[0] == "- backend-1: app: 3 rows are lost"
    assert section(text, "What was lost")[1] == "- router_visits: 7 rows", "what a downgrade took away besides"
    kept = section(text, "Verification")
    assert "- backend-1: postgres:app: app__replaced_1" in kept
    assert "- backend-1: files:config: /state/replaced/1" in kept
    assert not any("bucket:b" in line for line in kept)
    basics = section(text, "Basic facts")
    assert "| Level | system (whole system) |" in basics
    assert "| Time | 90.0 s, within the objective of 3600 s |" in basics
    assert any("lost data" in line for line in section(document(outcome, journals={}), "Follow-ups"))


def test_follow_ups() -> None:
    lines = section(document(backup="set-1"), "Follow-ups")
    assert lines[0] == (
        "- [x] v4.2.0 is marked bad on backend-1: it is not chosen again, unless somebody names it with `-e allow_bad=true`."
    )
    assert lines[1].endswith("more closely for 30 minutes, with watch.yml (until 2026-01-02 03:03 UTC).")
    assert lines[2].startswith("- [ ] Hotfix: branch off the tag v4.2.0, fix it,")
    assert "`deploy.yml -e release=NEWTAG`" in lines[2]
    assert lines[-1] == "- [ ] Decide what of the lost data is to be brought back from the backup set set-1."
    assert not any("lost data" in line for line in section(document({"losses": []}, journals={}), "Follow-ups"))
    unmarked = section(document(journals={"backend-1": JOURNAL[:8]}), "Follow-ups")
    assert unmarked[0] == "- [ ] v4.2.0 is NOT marked bad in any journal: mark it, so that it is not chosen again."


def test_what_is_not_back_is_said_everywhere() -> None:
    stuck = {"node": "web-1", "component": "frontend", "outcome": "stuck", "seconds": 0, "said": "gate | page"}
    rows = [*ROWS[:1], {**stuck, "warnings": ["the disk is full"]}]
    text = document({"rows": rows})
    assert "- Beware: web-1: the disk is full" in section(text, "What was done")
    assert "| Outcome | NOT complete |" in text
    assert "| web-1 | frontend | STUCK |  | gate \\| page |" in text
    assert "- [ ] frontend on web-1 is not back (gate \\| page): run the rollback again." in text
    assert "- **Action**: rollback not complete (v4.2.0 → v4.1.0)" in text
    assert "| Outcome | NOT complete: no space left |" in document({"error": "no space left"})


@pytest.mark.parametrize(
    ("outcome", "until", "came"),
    [
        ({"rows": []}, 13, "complete"),  # the journal has the end
        ({"rows": []}, 8, "not known: neither the report nor a journal tells"),  # it was interrupted
        ({"rows": [], "result": "finished"}, 8, "complete"),
        ({"result": "failed"}, 13, "NOT complete"),
    ],
)
def test_that_nobody_said_otherwise_is_no_proof(outcome: dict[str, Any], until: int, came: str) -> None:
    text = document(outcome, journals={"backend-1": JOURNAL[:until]})
    assert f"| Outcome | {came} |" in text
    assert ("v4.1.0 serves" in text) == (came == "complete")


def test_a_rollback_that_failed_by_the_journal_is_not_complete() -> None:
    ended = [*JOURNAL[:12], {**JOURNAL[12], "outcome": "failed", "detail": {**ROLLBACK, "error": "stuck: worker"}}]
    text = document({"rows": []}, journals={"backend-1": ended})
    assert "| Outcome | NOT complete |" in text
    assert "rollback to v4.1.0 (level schema) does not come to its end: stuck: worker |" in text


def test_the_announcement() -> None:
    assert section(document(), "Announcement") == [
        "- **Situation**: agents fail, 25 %",
        "- **Action**: rollback done (v4.2.0 → v4.1.0)",
        "- **State now**: v4.1.0 serves, and passed its gates",
        "- **Lost**: router_visits: 7 rows; router_logs.x: a number of rows that is not known",
        "- **Next**: find the cause, and deploy a hotfix under a new tag",
    ]


def test_evidence_of_gates_and_data() -> None:
    probe = {"name": "ready", "component": "backend", "verdict": "pass", "severity": "critical", "got": "200", "expected": "200"}
    gates = {"b1": {"probes": [probe]}, "w1": {"unreachable": True, "msg": "no route"}}
    then = {"item": "backend", "fingerprint": {}}
    same = {"item": then, "differences": {"schema": [], "rows": [], "contents": [], "same": True}, "foreign_keys": {"checked": 4}}
    keys = {"checked": 4, "violations": [{"table": "a", "rows": 2, "parent": "b"}]}
    less = {"item": then, "differences": {"schema": ["column x is gone"], "rows": ["a: 3 → 1"], "contents": []}, "foreign_keys": keys}
    found = postmortem_text.evidence(gates, {"b1": [same, less], "w1": [{"item": then, "msg": "no answer"}]})
    gated = {(entry["name"], entry["verdict"]) for entry in found[:2]}
    assert gated == {("the node answers on w1", "error"), ("backend: ready on b1", "pass")}
    assert [(entry["verdict"], entry["evidence"]) for entry in found[2:]] == [
        ("pass", "schema and rows; 4 foreign keys hold"),
        ("differs", "column x is gone; a: 3 → 1; a: 2 rows without a parent in b"),
        ("error", "no answer"),
    ]


def test_verification() -> None:
    found = [{"name": "health", "verdict": "pass", "evidence": "200, version v4.1.0"}]
    lines = section(document({"verification": found, "kept": ["database sparklio_before_r9"]}), "Verification")
    assert "| health | PASS | 200, version v4.1.0 |" in lines
    assert "- database sparklio_before_r9" in lines
    assert "Nothing was verified besides the gates of the slots." in section(document(), "Verification")


@pytest.mark.parametrize(
    ("seconds", "limit", "words"),
    [
        (12.0, 600.0, "12.0 s, within the objective of 600 s"),
        (601.0, 600.0, "601.0 s, LONGER THAN the objective of 600 s"),
        (12.0, None, "12.0 s"),
        (None, 600.0, "not measured"),
    ],
)
def test_the_time_beside_the_objective(seconds: float | None, limit: float | None, words: str) -> None:
    assert postmortem_text.measured(seconds, limit) == words


def test_people_are_told_before_what_is_foreseen() -> None:
    told = postmortem_text.notice_facts(MERGED, FACTS)
    assert told["losses"] == ["backend-1, web-1: backend: what 0012 brought goes"]
    assert (told["expected_s"], told["objective_s"], told["stack"]) == (38.0, 3600, "sparklio")
    assert "journals" not in told
    assert "done" not in told


def test_people_are_told_afterwards_what_was_done_and_what_was_lost() -> None:
    told = postmortem_text.notice_facts(MERGED, FACTS, {"result": "finished", "rows": ROWS})
    assert told["losses"] == ["router_visits: 7 rows", "router_logs.x: a number of rows that is not known"]
    assert told["seconds"] == 72.4
    assert len(told["done"]) == 2
    assert any("downgrade" in line or "0012" in line for line in told["done"]), told["done"]


def test_after_a_failure_nothing_counts_as_done_and_the_loss_as_foreseen() -> None:
    told = postmortem_text.notice_facts(MERGED, {"stack": "sparklio"}, {"result": "failed"})
    assert told["done"] == []
    assert told["losses"] == ["backend-1, web-1: backend: what 0012 brought goes (foreseen; the journals tell how far it went)"]


def test_a_failure_is_not_told_as_done_nor_its_losses_as_lost() -> None:
    row = {"node": "web-1", "component": "frontend", "outcome": "failed", "seconds": 1.0, "said": "no answer"}
    outcome = {"result": "failed", "error": "web-1: Go back: no answer", "rows": [row]}
    journal = [record for record in JOURNAL if record["op"] != "migrate"]
    text = document(outcome, journals={"backend-1": journal})
    assert "| Outcome | NOT complete: web-1: Go back: no answer |" in text
    assert section(text, "What was lost") == [
        "- backend-1, web-1: backend: what 0012 brought goes (foreseen; the journals tell how far it went)"
    ]
    todo = "\n".join(section(text, "Follow-ups"))
    assert "frontend on web-1 is not back (no answer): run the rollback again" in todo
    assert "Fix what stopped it, and run the same command again" in todo
    assert "run the same command again" not in document()


def test_a_run_that_finishes_another_tells_the_whole_story() -> None:
    begun = {"op": "phase", "component": "rollback", "outcome": "started", "release": None, "actor": "ann"}
    aim = {"level": "app", "to": "v4.1.0", "from": "v4.2.0"}
    finish = {**begun, "run": "r10", "seq": 20, "time": "2026-01-02T03:00:00.000Z", "detail": aim}
    journals = {"backend-1": [*JOURNAL, finish], "web-1": [finish]}
    text = document(run="r10", resumes=["r9"], journals=journals, merged={"nodes": {"backend-1": {**PLAN, "steps": []}}})
    assert text.startswith("# Post-mortem: sparklio, rollback v4.2.0 → v4.1.0\n")
    assert any("rollback to v4.1.0 (level schema) begins" in line for line in section(text, "Timeline (UTC)"))
    assert any("run r10 of the whole stack goes back to v4.1.0" in line for line in section(text, "Timeline (UTC)"))
    assert section(text, "What was done")[0] == "- what run r9 had begun was finished; the timeline has what it did"
    assert "| Restored version | v4.1.0 |" in text
