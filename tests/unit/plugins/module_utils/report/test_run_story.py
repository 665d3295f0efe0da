# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run's report says what the journals say: the outcome in a sentence, gates with what came, what to do next, and lengths that fit."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.report import run_story, run_text
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.report import sample_run
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.report.sample_run import Pen

JOURNALS = sample_run.journals()


def of(pen: Pen, **more: Any) -> dict[str, Any]:
    return run_story.story_of({"n": pen.records}, **more)


def test_the_newest_run_is_told_and_one_that_is_named() -> None:
    assert run_story.story_of(JOURNALS)["run"] == sample_run.BAD
    good = run_story.story_of(JOURNALS, sample_run.GOOD, "sparklio")
    assert good["sentence"] == "Deployment of v4.1.0 went well: 3 switches on 2 nodes in 65 s, all 12 probes passed."
    assert (good["outcome"], good["verb"], good["nodes"], good["actor"]) == ("ok", "deploy", ["backend-1", "web-1"], "kim@laptop")
    assert [run["releases"][0] for run in good["runs"]] == ["v4.3.0", "v4.1.0", "v4.0.1", "v4.0.0"]


def test_a_failure_says_where_and_what_came_and_the_remedy() -> None:
    story = run_story.story_of(JOURNALS, sample_run.BAD)
    assert story["sentence"] == (
        "Deployment of v4.3.0 failed: backend on backend-1 did not pass its gate"
        " (health: expected version = v4.3.0, got version = v4.2.9); v4.1.0 serves as before."
    )
    assert story["next"][0].startswith("Fix it and deploy it under a new tag; this one is marked bad")
    assert story["next"][1] == "Its log: `ansible-playbook phasegate.aistack.logs -e component=backend`."
    text = run_text.run_text(story)
    assert "  expected  status 200, status = ok, version = v4.3.0\n  got       status 200, status = ok, version = v4.2.9" in text
    assert text.splitlines()[-1] == story["sentence"]


def test_a_gate_of_a_version_before_is_known_by_its_failure_alone() -> None:
    pen = Pen()
    pen.did(0, 4, "r", "activate", "api", "v1", slot="blue", timings={"gate_s": 2})
    report = {"probe": "health", "expected": "status 200", "got": "connection refused", "attempts": 3, "verdict": "fail"}
    begun = pen.put(5, "r2", "activate", "api", "v2", "started", slot="green")
    pen.put(9, "r2", "activate", "api", "v2", "failed", started=begun, slot="green", report=report)
    assert of(pen, run="r")["gates"] == []
    gate = of(pen)["gates"][0]
    assert (gate["verdict"], gate["probes"][0]["name"], gate["probes"][0]["got"]) == ("fail", "health", "connection refused")


def test_what_has_no_end_is_told_as_such() -> None:
    pen = Pen()
    pen.put(0, "r", "lock", None, None, "ok", action="acquired")
    pen.put(1, "r", "activate", "api", "v1", "started", slot="blue")
    pen.put(5, "r", "lock", None, None, "ok", action="renewed")
    story = of(pen)
    assert story["outcome"] == "open"
    assert "activate of api on n has no end in the journal" in story["sentence"]
    assert "run the same command again" in story["next"][0]


def test_an_emergency_and_a_planned_rollback_are_called_so() -> None:
    pen = Pen()
    pen.did(0, 3, "e", "rollback", None, "v1", level="app", reason="errors")
    assert of(pen)["title"] == "Emergency rollback"
    pen.put(10, "p", "phase", "rollback", None, "started", level="app", to="v1")
    pen.did(11, 3, "p", "rollback", None, "v1", level="app")
    pen.put(15, "p", "phase", "rollback", None, "ok", level="app")
    story = of(pen)
    assert (story["title"], story["outcome"]) == ("Rollback", "ok")
    assert story["sentence"].startswith("Rollback to v1 went well")


def test_phases_follow_each_other_and_the_worst_node_counts() -> None:
    first, second = Pen(), Pen()
    for pen, outcome in ((first, "ok"), (second, "failed")):
        pen.put(0, "r", "lock", None, None, "ok", action="acquired")
        pen.put(4, "r", "phase", "phase0", None, "ok", evidence="2 probes: 2 passed")
        pen.put(5, "r", "lock", None, None, "ok", action="acquired")
        pen.put(9, "r", "phase", "phase1", None, outcome, task="Accept: page" if outcome == "failed" else "")
    story = run_story.story_of({"a": first.records, "b": second.records})
    at = [(phase["name"], phase["outcome"], phase["start"] - story["start"], phase["end"] - story["start"]) for phase in story["phases"]]
    assert at == [("phase0", "ok", 0, 4), ("phase1", "failed", 5, 9)]
    assert story["sentence"] == "Run of the phases phase0, phase1 failed: Accept: page on b."


def test_a_run_that_nobody_knows_and_a_journal_without_any() -> None:
    story = run_story.story_of(JOURNALS, "nope", silent={"gpu-1": "no route"})
    assert story["run"] == ""
    text = run_text.no_run(story)
    assert "knows of a run nope" in text
    assert f"{sample_run.GOOD}  2026-01-31 13:00:00  deploy  v4.1.0" in text
    assert "gpu-1: no route" in text
    assert "nothing was deployed here yet" in run_text.no_run(run_story.story_of({"a": []}))


def test_a_node_that_is_silent_is_named() -> None:
    story = run_story.story_of(JOURNALS, silent={"gpu-1": "no route to host"})
    assert story["next"][-1] == "gpu-1 did not answer, and is not part of this report: no route to host"


@pytest.mark.parametrize("run", [sample_run.GOOD, sample_run.BAD])
def test_what_is_drawn_fits(run: str) -> None:
    plot = run_text.layout(run_story.story_of(JOURNALS, run))
    bars = [one for node in plot["nodes"] for row in node["rows"] for one in row["bars"]]
    drawn = [*plot["axis"], *plot["phases"], *bars, *(part for one in bars for part in one["sub"]), *plot["durations"], *plot["latencies"]]
    assert bars
    assert [one for one in drawn if not 0 <= one.get("x", 0) <= 100 or not 0 < one.get("w", 1) <= 100] == []
    assert 3 <= len(plot["axis"]) <= 8
    assert max(one["w"] for one in plot["durations"]) == 100
    assert plot["history"][0]["columns"][-1]["now"], "the last column is this run, whatever came after it"


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"run": "r"},
        {"run": "r", "op": "activate", "time": "yesterday", "outcome": "ok", "detail": "x"},
        {"run": "r", "op": "activate", "outcome": "failed", "detail": {"gates": [1], "timings": 3, "report": []}},
    ],
)
def test_a_record_that_is_none_stops_nothing(record: dict[str, Any]) -> None:
    story = run_story.story_of({"n": [record]})
    if story["run"]:
        run_text.layout(story)
        run_text.run_text(story)
