# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a watch says, and whether it goes back by itself."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.gate.watch_text import (
    command_for,
    cut_short,
    progress_line,
    row_line,
    watch_result,
)

BY_HAND = {"name": "a hole", "source": "manual", "then": "manual"}
APP = {"level": "app"}


def row(verdict: str, name: str = "errors", then: Any = None, passed: int = 0) -> dict[str, Any]:
    measured = {"passed": passed, "failed": int(verdict == "fail"), "inconclusive": 0, "errors": 0, "by_policy": 0}
    figures = {"got": "0.25 (25 of 100)", "now": "0.2 (20 of 100)", "expected": "share <= 0.05"}
    return {"name": name, "then": then or APP, "verdict": verdict, **figures, "measurements": measured}


def answer(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"verdict": "waiting", "conditions": list(rows), "elapsed_s": 30.0, "duration_s": 1800.0, "state": {}, "due_s": 1}


def test_one_line_for_each() -> None:
    assert row_line(row("fail")) == "FAIL  errors: 0.25 (25 of 100) (expected share <= 0.05; 1 failed)"
    assert "errors by Prometheus: 0.2" in progress_line("b1", answer(judged("waiting")))
    assert progress_line("b1", answer(row("waiting"))) == "  … b1 30 of 1800 s  errors: 0.2 (20 of 100)"


@pytest.mark.parametrize(
    ("act", "then", "acts", "said"),
    [
        (False, APP, False, "phasegate.aistack.emergency_rollback -e \"reason='errors on b1'\""),
        (True, APP, True, "Going back now, once, because errors on b1: 0.25 (25 of 100)"),
        (True, {"level": "schema"}, False, "phasegate.aistack.rollback -e level=schema"),
        (True, "manual", False, "decide by hand"),
        (True, "notice", False, "Not done by itself"),
    ],
)
def test_who_goes_back(act: bool, then: Any, acts: bool, said: str) -> None:
    found = watch_result({"b1": answer(row("fail", then=then)), "g1": answer()}, [], act)
    assert (found["verdict"], found["acts"]) == ("fail", acts)
    assert said in found["text"]
    assert found["text"].splitlines()[0].startswith("FAIL  b1  errors")


def test_the_reason_is_the_trigger_that_goes_back() -> None:
    found = watch_result({"b1": answer(row("fail", "memory", "notice"), row("fail"))}, [], True)
    assert (found["acts"], found["reason"]) == (True, "errors on b1: 0.25 (25 of 100)")


@pytest.mark.parametrize("verdict", ["inconclusive", "error", "pass"])
def test_only_a_failure_goes_back(verdict: str) -> None:
    found = watch_result({"b1": answer(row(verdict), row("pass", "cpu"))}, [BY_HAND], True)
    assert (found["verdict"], found["acts"], found["reason"]) == (verdict, False, "")
    assert "a hole: not measured, pulled by a person" in found["text"]
    assert ("No trigger failed." in found["text"]) is (verdict == "pass")


def test_a_node_that_cannot_be_asked_is_named() -> None:
    lost = {"unreachable": True, "msg": "no route to host\nmore"}
    found = watch_result({"b1": answer(row("pass")), "g1": lost, "w1": {"failed": True, "msg": "broken"}}, [], True)
    assert (found["verdict"], found["acts"]) == ("error", False)
    assert "ERROR g1  not reached: no route to host" in found["text"]
    assert "ERROR w1  could not watch: broken" in found["text"]


def test_nothing_to_watch_is_no_pass() -> None:
    found = watch_result({"b1": answer()}, [BY_HAND], False)
    assert found["verdict"] == "inconclusive"
    assert "no trigger of aistack_triggers that is measured has a node in this run" in found["text"]
    assert "not all of them could be judged" not in found["text"]


def test_without_triggers_the_list_is_named() -> None:
    assert watch_result({"b1": answer()}, [], False)["text"].startswith("Nothing was watched: aistack_triggers is empty.")


def test_a_watch_that_another_host_ended() -> None:
    cut = cut_short(answer(row("waiting", passed=2), row("waiting", "cpu"), row("fail", "swap")), "ended early")
    assert [one["verdict"] for one in cut["conditions"]] == ["pass", "inconclusive", "fail"]
    assert (cut["verdict"], "state" in cut) == ("fail", False)


def test_a_name_cannot_leave_its_quotation_marks() -> None:
    assert command_for(APP, "x'\"; rm `a` $b") .endswith("-e \"reason='x; rm a b'\"")


def judged(verdict: str, source: str = "prometheus", **more: Any) -> dict[str, Any]:
    return {**row(verdict), "source": source, **more}


ASKED = {"name": "errors", "source": "prometheus", "from": "b1", "then": APP}


def test_what_prometheus_judged_counts() -> None:
    found = watch_result({"b1": answer(judged("pass", where="b1"), judged("inconclusive", "haproxy"))}, [ASKED], True)
    assert (found["verdict"], len(found["rows"]), found["rows"][0]["source"]) == ("pass", 1, "prometheus")
    assert "by Prometheus)" in found["text"]
    web = watch_result({"b1": answer(judged("fail", where="w1")), "w1": answer(judged("pass", "haproxy"))}, [ASKED], True)
    assert (web["verdict"], web["acts"], web["rows"][0]["where"]) == ("fail", True, "w1")


def test_where_prometheus_cannot_judge_the_source_counts_and_the_page_says_so() -> None:
    away = judged("inconclusive", got="not verified: Prometheus does not answer: status 401", where="")
    found = watch_result({"b1": answer(away, judged("pass", "haproxy")), "w1": answer(judged("pass", "haproxy"))}, [ASKED], True)
    assert (found["verdict"], [one["source"] for one in found["rows"]]) == ("pass", ["haproxy", "haproxy"])
    said = "errors: judged at its source, since Prometheus on b1 could not: not verified: Prometheus does not answer: status 401"
    assert said in found["text"]
    failed = watch_result({"b1": answer(away, judged("fail", "haproxy"))}, [ASKED], True)
    assert (failed["verdict"], failed["acts"]) == ("fail", True), "a Prometheus that is down keeps nobody from going back"


def test_a_failure_that_the_source_saw_counts_beside_prometheus() -> None:
    found = watch_result({"b1": answer(judged("pass"), judged("fail", "metrics"))}, [ASKED], False)
    assert (found["verdict"], len(found["rows"])) == ("fail", 2)


def test_without_another_source_it_stays_open() -> None:
    found = watch_result({"b1": answer(judged("inconclusive"))}, [ASKED], True)
    assert (found["verdict"], found["acts"], len(found["rows"])) == ("inconclusive", False, 1)


def test_a_prometheus_that_nobody_asked_is_named() -> None:
    found = watch_result({"w1": answer(judged("pass", "haproxy"))}, [ASKED], False)
    assert "Prometheus was not asked: no answer from b1, or it is not part of this run" in found["text"]
    assert found["verdict"] == "pass"
