# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Prometheus answered, judged for each node and slot by the rules of a window."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.gate.series import earlier, joined, judge_series, questions, quotable
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.trigger import normalise
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.window import Measurement, Reading

SHARE = {"name": "errors", "source": "prometheus", "target": "http://p", "query": "e / r", "sample": "r", "value": 0.05, "figure": "share"}
CANARY = {"name": "slower", "source": "prometheus", "target": "http://p", "query": "s / c", "sample": "c", "times": {"lt": 1.5},
          "slot": "green"}


def at(node: str, slot: str = "", **more: str) -> dict[str, str]:
    return {"node": node, **({"slot": slot} if slot else {}), **more}


def judged(given: dict[str, Any], query: list[Any], **answers: list[Any]) -> Measurement:
    condition = normalise(given)
    return judge_series(condition, joined(condition, {"query": query, **answers}))


def test_within_the_limit() -> None:
    seen = judged(SHARE, [(at("b1", "blue"), 0.01)], sample=[(at("b1", "blue"), 100.0)])
    assert (seen.verdict, seen.got, seen.expected) == ("pass", "0.01 (100 counted) [slot blue]", "share <= 0.05")
    assert (seen.where, seen.value, seen.sample) == ("b1", 0.01, 100.0)


def test_a_slot_without_requests_is_judged_neither_way() -> None:
    both = [(at("b1", "blue"), math.nan), (at("b1", "green"), 0.01)]
    counted = [(at("b1", "blue"), 0.0), (at("b1", "green"), 100.0)]
    assert judged(SHARE, both, sample=counted).verdict == "pass"
    assert judged(SHARE, [both[0], (at("b1", "green"), 0.5)], sample=counted).verdict == "fail"
    nobody = judged(SHARE, both, sample=[(at("b1", "blue"), 0.0), (at("b1", "green"), 3.0)])
    assert nobody.verdict == "inconclusive"
    assert "too few to judge: saw 3, at least 20 are needed [slot green]" in nobody.got


def test_every_node_has_to_pass() -> None:
    good, bad, few = (at("b1"), 0.01), (at("b2"), 0.5), (at("b3"), 0.01)
    counted = [(at("b1"), 100.0), (at("b2"), 100.0), (at("b3"), 1.0)]
    failed = judged(SHARE, [good, bad, few], sample=counted)
    assert (failed.verdict, failed.where, failed.got) == ("fail", "b2", "0.5 (100 counted)")
    assert (judged(SHARE, [good, few], sample=counted).verdict, judged(SHARE, [good], sample=counted).verdict) == ("inconclusive", "pass")
    wanted = {**SHARE, "nodes": ["b1", "b2"]}
    missing = judged(wanted, [good, few], sample=counted)
    assert (missing.verdict, missing.where) == ("inconclusive", "b2")
    assert "the query has no series of b2; nobody shows this figure now" in missing.got
    assert judged({**SHARE, "nodes": ["b2", "b9"]}, [bad], sample=counted).verdict == "fail", "what is missing elsewhere hides no failure"


def test_a_figure_that_disappeared_is_inconclusive_and_says_why() -> None:
    gone = judged(SHARE, [], sample=[])
    assert (gone.verdict, gone.sample) == ("inconclusive", 0.0)
    assert gone.got == "nothing to judge by: the query has no series at all; nobody shows this figure now"
    assert "no series of slot green" in judged(CANARY, [(at("b1", "blue"), 1.0)], sample=[]).got


def test_the_sample_has_the_same_labels() -> None:
    seen = judged(SHARE, [(at("b1"), 0.5)], sample=[(at("b1", queue="x"), 100.0)])
    assert (seen.verdict, "the query of the sample has no such series" in seen.got) == ("inconclusive", True)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_was_divided_by_nothing_is_no_figure(value: float) -> None:
    seen = judged({key: text for key, text in SHARE.items() if key != "sample"}, [({}, value)])
    assert (seen.verdict, "something was divided by nothing" in seen.got) == ("inconclusive", True)


@pytest.mark.parametrize(
    ("blue", "verdict", "said"),
    [
        ((0.2, 100.0), "pass", "1.25 times its baseline 0.2: now 0.25 (50 counted) [slot green]"),
        ((0.1, 100.0), "fail", "2.5 times its baseline 0.1"),
        ((0.2, 3.0), "inconclusive", "nothing to compare with: the other slot saw 3, at least 20 are needed; now 0.25"),
        ((0.0, 100.0), "inconclusive", "nothing to compare with: the other slot is 0"),
        (None, "inconclusive", "nothing to compare with: the other slot has no such figure"),
    ],
)
def test_the_new_slot_against_the_old_one_at_the_same_time(blue: tuple[float, float] | None, verdict: str, said: str) -> None:
    old = [(at("b1", "blue"), blue[0])] if blue else []
    counted = [(at("b1", "blue"), blue[1])] if blue else []
    seen = judged(CANARY, [(at("b1", "green"), 0.25), *old], sample=[(at("b1", "green"), 50.0), *counted])
    assert (seen.verdict, said in seen.got) == (verdict, True), seen.got
    assert seen.expected == "s / c < 1.5 times that of the other slot"


def test_against_itself_before_and_against_another_query() -> None:
    before = {"name": "n", "source": "prometheus", "target": "http://p", "query": "q", "times": 2, "offset": 3600}
    assert questions(before) == {"query": "q", "baseline": "last_over_time((q)[1m:1m] offset 3600s)"} == {
        "query": "q", "baseline": earlier("q", 3600.0)
    }
    slow = judged(before, [(at("b1"), 5.0)], baseline=[(at("b1"), 2.0)])
    assert (slow.verdict, slow.expected) == ("fail", "q <= 2 times what it was 1 h before")
    assert "the baseline has no such figure; now 5" in judged(before, [(at("b1"), 5.0)], baseline=[]).got
    named = {**{key: value for key, value in before.items() if key != "offset"}, "baseline": "other"}
    assert questions(named) == {"query": "q", "baseline": "other"}
    assert judged(named, [(at("b1"), 5.0)], baseline=[(at("b1"), 4.0)]).verdict == "pass"


def test_many_that_fail_are_told_in_a_line() -> None:
    bare = {key: value for key, value in SHARE.items() if key != "sample"}
    seen = judged(bare, [(at(f"b{number}"), 0.5) for number in range(5)])
    assert seen.got == "0.5 [node b0]; 0.5 [node b1]; 0.5 [node b2]; and 2 more"
    assert seen.where == "b0, b1, b2, b3, b4"


def test_what_is_filled_in_cannot_end_a_label() -> None:
    assert quotable('v1"} or vector(1) #\\') == 'v1\\"} or vector(1) #\\\\'


def test_a_reading_comes_back_as_it_was() -> None:
    reading = Reading(3.0, series=joined(normalise(SHARE), {"query": [(at("b1"), 0.5)], "sample": [(at("b1"), 30.0)]}))
    assert Reading.of(reading.to_dict()).to_dict() == reading.to_dict()
    assert reading.to_dict()["series"] == [{"labels": {"node": "b1"}, "value": 0.5, "sample": 30.0}]
