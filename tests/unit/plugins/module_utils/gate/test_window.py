# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Figures over a window: growth over restarts, samples, ratios, quantiles, baselines, policies."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.gate.trigger import normalise
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.window import (
    Measurement,
    Reading,
    Tally,
    in_window,
    increase,
    judge,
    measure,
    new_baseline,
)

BAD, ALL = 'requests{status=~"5.."}', "requests"
ERRORS = {"name": "errors", "source": "metrics", "target": "http://x/metrics", "ratio": [BAD, ALL], "value": {"le": 0.05}}


def condition(**changes: Any) -> dict[str, Any]:
    """ERRORS with changes; None takes a key away."""
    return normalise({key: value for key, value in {**ERRORS, **changes}.items() if value is not None})


def seen(*values: dict[str, float], process: str = "") -> list[Reading]:
    """Readings ten seconds apart."""
    return [Reading(10.0 * index, process, None, one) for index, one in enumerate(values)]


def counted(bad: float, everything: float) -> list[Reading]:
    return seen({BAD: 7, ALL: 1000}, {BAD: 7 + bad, ALL: 1000 + everything})


@pytest.mark.parametrize(
    ("values", "grew"),
    [
        ([5, 8, 20], 15),
        ([5, 8, 2, 4], 3 + 2 + 2),  # started again: what it has since counts
        ([None, None, 3], 3),  # nobody had counted it yet
        ([5, None, 7], 2),  # not named once, which is no restart
        ([5, 5], 0),
    ],
)
def test_growth_of_a_counter(values: list[float | None], grew: float) -> None:
    assert increase(seen(*({} if one is None else {"c": one} for one in values)), "c") == grew


def test_processes_are_told_apart() -> None:
    blue = [Reading(0, "blue", -500, {"c": 900}), Reading(10, "blue", -500, {"c": 910})]
    young = Reading(20, "green", 15, {"c": 4})
    assert increase([*blue, young, Reading(30, "green", 15, {"c": 9})], "c") == 10 + 4 + 5
    old = Reading(20, "green", -9000, {"c": 5000})
    assert increase([*blue, old, Reading(30, "green", -9000, {"c": 5001})], "c") == 10 + 1, "what it counted before is not of this window"
    assert increase([*blue, old, Reading(30, "blue", -500, {"c": 913})], "c") == 10 + 3, "they may take turns"


@pytest.mark.parametrize(
    ("bad", "everything", "verdict"),
    [(5, 100, "pass"), (5.01, 100, "fail"), (0, 100, "pass"), (100, 100, "fail"), (1, 20, "pass"), (19, 19, "inconclusive"),
     (0, 0, "inconclusive")],
)
def test_a_ratio_at_its_limit_and_at_its_sample(bad: float, everything: float, verdict: str) -> None:
    assert judge(condition(), counted(bad, everything)).verdict == verdict


def test_at_the_threshold_the_operator_decides() -> None:
    half = seen({"cpu": 90.0}, {"cpu": 90.0})
    node = {"name": "cpu", "source": "node", "target": "cpu"}
    assert judge(normalise({**node, "value": {"lt": 90}}), half).verdict == "fail"
    assert judge(normalise({**node, "value": {"le": 90}}), half).verdict == "pass"
    assert judge(normalise({**node, "value": 90}), half).verdict == "pass"


def test_too_small_a_sample_says_how_small() -> None:
    found = judge(condition(min_sample=50), counted(12, 12))
    assert (found.verdict, found.sample) == ("inconclusive", 12)
    assert found.got == "too few to judge: saw 12, at least 50 are needed"
    nothing = judge(condition(), counted(0, 0))
    assert nothing.got == "too few to judge: saw 0, at least 20 are needed: requests did not grow"


def test_what_passes_says_by_what() -> None:
    found = judge(condition(), counted(3, 100))
    assert (found.got, found.expected) == ("0.03 (3 of 100)", 'requests{status=~"5.."} / requests <= 0.05')


def test_a_name_that_is_not_there_is_never_a_pass() -> None:
    readings = [Reading(at, "", None, {ALL: 1000 + 10 * at}, (BAD,)) for at in (0, 10)]
    found = judge(condition(), readings)
    assert found.verdict == "inconclusive"
    assert "the source has nothing called" in found.got
    appeared = [readings[0], Reading(10, "", None, {ALL: 1100, BAD: 50})]
    assert judge(condition(), appeared).verdict == "fail", "it came with the first error"


def test_rate_and_gauge() -> None:
    rate = condition(ratio=None, rate="requests", value={"ge": 2})
    assert measure(rate, seen({ALL: 5}, {ALL: 25}, {ALL: 45})).value == 2.0
    assert judge(rate, seen({ALL: 5}, {ALL: 24})).verdict == "fail"
    values = seen({"busy": 3}, {}, {"busy": 9}, {"busy": 6})
    for over, value in {"mean": 6, "max": 9, "min": 3, "last": 6}.items():
        assert measure(condition(ratio=None, gauge="busy", over=over), values).value == value
    assert judge(condition(ratio=None, gauge="busy"), seen({"busy": 1}, {})).verdict == "inconclusive"


def histogram(*counts: float) -> dict[str, float]:
    return dict(zip(("h|0.1", "h|1", "h|10", "h|+Inf"), counts))


def quantile(share: float, value: Any, *counts: float) -> Measurement:
    asked = condition(ratio=None, quantile=[share, "h"], value=value)
    return judge(asked, [Reading(0, values=histogram(5, 5, 5, 5)), Reading(10, values=histogram(*(5 + one for one in counts)))])


def test_quantiles_lie_evenly_within_a_bucket() -> None:
    assert quantile(0.5, 1, 0, 100, 100, 100).value == pytest.approx(0.55)
    assert quantile(0.95, 1, 100, 100, 100, 100).value == pytest.approx(0.095)
    assert quantile(0.95, 1, 0, 0, 100, 100).verdict == "fail"
    assert quantile(0.95, 1, 10, 19, 19, 19).verdict == "inconclusive"


def test_above_the_largest_bucket_only_what_is_certain_is_judged() -> None:
    assert quantile(0.95, {"le": 5}, 0, 0, 50, 100).verdict == "fail"
    unsure = quantile(0.95, {"le": 30}, 0, 0, 50, 100)
    assert unsure.verdict == "inconclusive"
    assert "above 10, the largest bucket" in unsure.got
    assert quantile(0.95, {"ge": 30}, 0, 0, 50, 100).verdict == "inconclusive"
    assert quantile(0.95, {"ge": 5}, 0, 0, 50, 100).verdict == "pass"
    assert quantile(0.95, {"le": 5}, 50, 100, 100, 100).verdict == "pass"


def test_a_window_is_judged_once_it_is_full() -> None:
    readings = seen({}, {}, {}, {})
    assert in_window(readings[:2], 10, 20, 4) == []
    assert in_window(readings[:3], 20, 20, 4) == readings[:3]
    assert in_window(readings, 30, 20, 4) == readings[1:], "the newest that lies far enough back is the first"
    assert in_window(readings[:1], 20, 20, 4) == [], "one look is no window"


SLOW = condition(ratio=["took_sum", "took_count"], value=None, times={"lt": 2})


def took(mean: float, count: int = 100) -> list[Reading]:
    return seen({"took_sum": 1, "took_count": 1}, {"took_sum": 1 + mean * count, "took_count": 1 + count})


def kept(mean: float = 0.5, asked: dict[str, Any] = SLOW, **changes: Any) -> dict[str, Any]:
    document, found = new_baseline(asked, took(mean), 1000.0, "v1")
    assert found.verdict == "pass"
    return {**document, **changes}


@pytest.mark.parametrize(("mean", "verdict"), [(0.99, "pass"), (1.0, "fail"), (1.5, "fail"), (0.1, "pass")])
def test_against_a_baseline(mean: float, verdict: str) -> None:
    assert judge(SLOW, took(mean), kept(), 2000.0).verdict == verdict


@pytest.mark.parametrize(
    ("baseline", "said"),
    [
        (None, "no baseline was recorded"),
        ({"problem": "/x.json: torn"}, "cannot be read: /x.json: torn"),
        (kept(at=2000.0 - 8 * 86400), "is 192.0 h old, at most 168.0 h count"),
        (kept(at=9000.0), "h old"),
        (kept(window=30.0), "taken over 30 s, not over 60 s"),
        (kept(sample=49.0), "nothing to compare with"),
        (kept(value=0.0), "nothing to compare with"),
        (kept(asked=condition(ratio=["took_sum", "took_count"], target="http://y", value=None, times=2)), "another figure"),
        ({"at": 1}, "cannot be read"),
    ],
)
def test_a_baseline_that_says_nothing_is_inconclusive(baseline: dict[str, Any] | None, said: str) -> None:
    found = judge(SLOW, took(5.0), baseline, 2000.0)
    assert found.verdict == "inconclusive"
    assert said in found.got


@pytest.mark.parametrize("readings", [took(0.5, 49), took(0.0), took(0.5, 0)])
def test_too_little_makes_no_baseline(readings: list[Reading]) -> None:
    document, found = new_baseline(SLOW, readings, 1000.0, "v1")
    assert (document, found.verdict) == ({}, "inconclusive")


def told(asked: dict[str, Any], *verdicts: str, sample: float = 3.0, passes: int = 0) -> str:
    tally = Tally()
    for verdict in verdicts:
        tally.add(asked, Measurement(verdict, "", "", None, sample))
    return tally.final(passes)


@pytest.mark.parametrize(
    ("settings", "verdicts", "final"),
    [
        ({}, ["pass", "pass"], "pass"),
        ({}, ["pass", "fail", "pass"], "fail"),
        ({"failure_limit": 1}, ["fail", "pass", "fail", "pass"], "pass"),
        ({"failure_limit": 1}, ["pass", "fail", "fail", "pass"], "fail"),
        ({"failure_limit": 1, "failures": "total"}, ["fail", "pass", "fail", "pass"], "fail"),
        ({"failure_limit": 5}, ["fail", "fail"], "fail"),
        ({}, ["inconclusive", "inconclusive"], "inconclusive"),
        ({}, ["inconclusive", "pass", "inconclusive"], "pass"),
        ({}, [], "inconclusive"),
        ({"on_inconclusive": "fail"}, ["pass", "inconclusive"], "fail"),
        ({"on_inconclusive": "pass"}, ["inconclusive"], "pass"),
        ({}, ["error"] * 4 + ["pass"], "pass"),
        ({}, ["pass"] + ["error"] * 5 + ["pass"], "error"),
        ({}, ["pass", "error"], "error"),
        ({"error_limit": 0}, ["error", "pass"], "error"),
        ({}, ["error"] * 5 + ["fail"], "fail"),
    ],
)
def test_what_measurements_come_to(settings: dict[str, Any], verdicts: list[str], final: str) -> None:
    assert told(condition(**settings), *verdicts) == final


def test_no_data_is_never_a_pass_whatever_the_policy() -> None:
    lenient = condition(on_inconclusive="pass")
    assert told(lenient, *["inconclusive"] * 9, sample=0.0) == "inconclusive"
    assert told(lenient, *["inconclusive"] * 9, sample=1.0) == "pass"


def test_as_many_passes_as_asked_for() -> None:
    tally = Tally()
    tally.add(condition(), Measurement("pass", "", ""))
    assert (tally.decided(0), tally.decided(1), tally.decided(2)) == ("", "pass", "")
    assert (tally.final(1), tally.final(2)) == ("pass", "inconclusive")
