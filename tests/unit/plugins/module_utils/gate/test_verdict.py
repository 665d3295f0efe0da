# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counting attempts: when a gate is passed, failed, undecided."""

from __future__ import annotations

import json

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import Settings, SettingsError, Tally, joint

OK = {"ok": True, "error": False, "got": "g", "expected": "e", "detail": "", "latency_ms": 1.0}
BAD = {**OK, "ok": False}
ERROR = {**BAD, "error": True}


def tally(settings, *attempts, once=False):
    """A tally after attempts ``(at, what)`` that took a tenth of a second each."""
    seen = Tally(once=once)
    for at, attempt in attempts:
        seen.add(settings, at, at + 0.1, attempt)
    return seen


@pytest.mark.parametrize(
    ("settings", "attempts", "verdict"),
    [
        ({}, [], "inconclusive"),
        ({}, [(0, OK)], "pass"),
        ({}, [(0, BAD)], "fail"),
        ({}, [(0, BAD), (1, OK)], "pass"),
        ({}, [(0, OK), (1, BAD)], "fail"),
        ({"successes": 2}, [(0, OK)], "inconclusive"),
        ({"successes": 2}, [(0, OK), (1, OK)], "pass"),
        ({"successes": 2}, [(0, OK), (1, BAD), (2, OK)], "inconclusive"),
        ({"successes": 2}, [(0, OK), (1, BAD), (2, OK), (3, OK)], "pass"),
        ({"min_healthy_time": 3}, [(0, OK), (1, OK), (2, OK)], "inconclusive"),
        ({"min_healthy_time": 3}, [(0, OK), (1, OK), (2, OK), (3, OK)], "pass"),
        ({"min_healthy_time": 3}, [(0, OK), (1, OK), (2, BAD), (3, OK), (4, OK)], "inconclusive"),
        ({"failures": 2}, [(0, BAD), (1, BAD), (2, OK)], "fail"),
        ({"failures": 2}, [(0, BAD), (1, OK), (2, BAD), (3, OK)], "pass"),
        ({"failures": 2, "start_period": 1.5}, [(0, BAD), (1, BAD), (2, BAD), (3, OK)], "pass"),
        ({"failures": 2, "start_period": 1.5}, [(0, BAD), (2, BAD), (3, BAD), (4, OK)], "fail"),
        ({}, [(0, ERROR), (1, OK)], "error"),
    ],
)
def test_verdict(settings, attempts, verdict):
    chosen = Settings.of(settings)
    assert tally(chosen, *attempts).verdict(chosen, 100) == verdict


def test_a_hole_in_the_attempts_breaks_the_healthy_time():
    chosen = Settings.of({"min_healthy_time": 3})
    assert tally(chosen, (0, OK), (60, OK)).verdict(chosen, 61) == "inconclusive"


def test_what_changes_something_passes_once():
    chosen = Settings.of({"successes": 3, "min_healthy_time": 60})
    assert tally(chosen, (0, OK), once=True).verdict(chosen, 1) == "pass"
    assert tally(chosen, (0, BAD), once=True).verdict(chosen, 1) == "fail"


def test_history_is_bounded_and_survives_a_slice():
    chosen = Settings.of({"successes": 2})
    seen = tally(chosen, *((at, BAD) for at in range(50)), (50, OK))
    again = Tally.from_dict(json.loads(json.dumps(seen.to_dict())))
    assert again == seen
    assert (again.attempts, again.first["attempt"], [entry["attempt"] for entry in again.recent]) == (51, 1, [47, 48, 49, 50, 51])
    again.add(chosen, 51, 51.1, OK)
    assert again.verdict(chosen, 52) == "pass"


def test_flaps_are_counted():
    chosen = Settings()
    assert tally(chosen, (0, OK), (1, BAD), (2, BAD), (3, OK), (4, BAD)).flaps == 2


@pytest.mark.parametrize(
    ("pairs", "verdict"),
    [
        ([], "pass"),
        ([("pass", "critical"), ("pass", "critical")], "pass"),
        ([("pass", "critical"), ("fail", "warning")], "pass"),
        ([("fail", "critical"), ("error", "critical")], "fail"),
        ([("error", "critical"), ("inconclusive", "critical")], "error"),
        ([("inconclusive", "critical"), ("pass", "critical")], "inconclusive"),
        ([("skipped", "critical"), ("pass", "critical")], "pass"),
        ([("skipped", "critical")], "skipped"),
        ([("skipped", "critical"), ("fail", "warning")], "pass"),
    ],
)
def test_joint(pairs, verdict):
    assert joint(pairs) == verdict


@pytest.mark.parametrize("given", [{"interval": 0}, {"successes": 0}, {"deadline": -1}, {"deadlin": 3}, {"interval": "x"}])
def test_settings_that_make_no_sense(given):
    with pytest.raises(SettingsError):
        Settings.of(given)
