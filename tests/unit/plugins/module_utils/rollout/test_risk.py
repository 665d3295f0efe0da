# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which of its two strategies a component comes to a release by, and why."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.rollout import risk

ROLLING, CANARY = {"rolling": {"limit": 1}}, {"canary": {"weights": [5, 100], "hold": 60, "triggers": ["errors"]}}
BOTH = {"strategy": "bluegreen", "careful": ROLLING}


@pytest.mark.parametrize(("component", "target", "live", "asked", "contracted", "strategy", "why"), [
    (BOTH, "v5.0.0", {"v4.1.0"}, "", [], ROLLING, "api: careful, because v5.0.0 is another major version than v4.1.0"),
    (BOTH, "v4.0.0", {"v5.0.0"}, "", [], ROLLING, "api: careful, because v4.0.0 is another major version than v5.0.0"),
    (BOTH, "api..v5.0.0", {"api..v5.0.0", "api..v4.1.0"}, "", [], ROLLING,
     "api: careful, because api/v5.0.0 is another major version than api/v4.1.0"),
    (BOTH, "v4.2.0", {"v4.1.0"}, "", [], "bluegreen",
     "api: strategy, because the major version of v4.2.0 is that of what is live, and the schema loses nothing"),
    (BOTH, "v4.2.0", {"v4.1.0"}, "", ["api"], ROLLING, "api: careful, because the schema of api has lost what the release before may use"),
    (BOTH, "v4.2.0", {"v4.1.0"}, "", ["api", "mail"], ROLLING,
     "api: careful, because the schema of api, mail has lost what the release before may use"),
    (BOTH, "nightly", {"v4.1.0"}, "", ["api"], ROLLING, "api: careful, because the schema of api has lost what the release before may use"),
    (BOTH, "v4.2.0", {"v4.1.0"}, "high", [], ROLLING, "api: careful, because of -e risk=high"),
    (BOTH, "v5.0.0", {"v4.1.0"}, "low", ["api"], "bluegreen", "api: strategy, because of -e risk=low"),
    (BOTH, "nightly", {"v4.1.0"}, "", [], "bluegreen",
     "api: strategy; nightly names no version, so nobody can tell whether the major one changes (-e risk=high takes careful)"),
    (BOTH, "nightly", {"daily"}, "", [], "bluegreen",
     "api: strategy; nightly, daily name no version, so nobody can tell whether the major one changes (-e risk=high takes careful)"),
    (BOTH, "nightly", {"nightly"}, "", [], "bluegreen",
     "api: strategy, because the major version of nightly is that of what is live, and the schema loses nothing"),
    (BOTH, "v5.0.0", set(), "", ["api"], "bluegreen", ""),
    (BOTH, "v5.0.0", set(), "high", [], "bluegreen", "api: -e risk=high changes nothing: nothing is live yet"),
    ({"strategy": CANARY, "careful": ROLLING}, "v5.0.0", set(), "", [], "bluegreen", ""),
    ({"strategy": CANARY}, "v5.0.0", set(), "", [], "bluegreen", ""),
    ({"strategy": CANARY}, "v5.0.0", {"v4.1.0"}, "", ["api"], CANARY, ""),
    ({}, "v5.0.0", {"v4.1.0"}, "low", [], None, ""),
    ({}, "v5.0.0", {"v4.1.0"}, "high", [], None, "api: -e risk=high changes nothing: it has no careful"),
])
def test_what_is_taken(
    component: dict[str, Any], target: str, live: set[str], asked: str, contracted: list[str], strategy: Any, why: str
) -> None:
    assert risk.chosen("api", component, target, live, asked, contracted) == (strategy, why)


@pytest.mark.parametrize(("plan", "does"), [
    ({}, False), (None, False), ({"pending": []}, False), ({"pending": [{"phase": "expand", "sql": "ALTER"}]}, False),
    ({"pending": [{"phase": "expand", "sql": "ALTER"}, {"phase": "contract", "sql": "DROP"}]}, True),
    ({"pending": [{"phase": "expand", "sql": None}]}, True),
])
def test_what_a_migration_takes_away(plan: Any, does: bool) -> None:
    assert risk.contracts(plan) is does


def record(op: str, component: str = "api", outcome: str = "ok", release: str = "v2", **detail: Any) -> Any:
    return {"op": op, "component": component, "outcome": outcome, "release": release, "detail": detail}


LOST = record("migrate", state="upgraded", phase="contract")
WAS, AGAIN, ENDED = record("activate", release="v1"), record("activate", release="v1"), record("phase", "deploy")


@pytest.mark.parametrize(("records", "lost"), [
    ([], False), ([LOST], True), ([record("migrate", state="upgraded", phase="expand")], False),
    ([record("migrate", outcome="started", state="upgraded", phase="contract")], False),
    ([record("migrate", "mail", state="upgraded", phase="contract")], False),
    ([LOST, record("migrate", state="upgraded", phase="expand")], True),
    ([LOST, record("migrate", state="downgraded", phase="contract")], False),
    ([LOST, record("activate")], True), ([LOST, record("phase", "deploy")], True),
    ([LOST, record("activate"), record("phase", "deploy", outcome="failed")], True),
    ([LOST, record("activate"), record("phase", "deploy")], False), ([LOST, record("activate"), record("phase", "phase1")], False),
    ([LOST, record("activate"), record("revert"), record("phase", "deploy")], True),
    ([LOST, record("activate", "mail"), record("phase", "deploy")], True),
    ([LOST, record("activate"), record("phase", "deploy"), LOST], True),
    # what was live all the time is started again
    ([WAS, LOST, AGAIN, ENDED], True), ([WAS, LOST, record("activate"), ENDED], False),
    ([WAS, LOST, record("activate"), AGAIN, ENDED], True), ([WAS, LOST, record("activate"), record("activate"), ENDED], False),
    ([WAS, LOST, AGAIN, record("activate"), ENDED], False), ([WAS, record("activate", "mail"), LOST, AGAIN, ENDED], True),
    ([WAS, LOST, record("activate"), LOST, record("activate"), ENDED], True),
    # where the journal does not go back so far, what an activation replaced tells it
    ([LOST, record("activate", previous={"release": "v2"}), ENDED], True),
    ([LOST, record("activate", previous={"release": "v1"}), record("activate", previous={"release": "v2"}), ENDED], False),
    # what is written down as applied gives nothing back
    ([LOST, record("migrate", state="stamped")], True), ([LOST, record("migrate", state="stamped"), record("activate"), ENDED], False),
])
def test_a_run_that_never_came_to_its_end_is_remembered(records: list[Any], lost: bool) -> None:
    assert risk.contracted(records, "api") is lost


def test_whose_schema_has_lost_something() -> None:
    before = [{"api": {"contracted": True}, "mail": {"contracted": False}}, {}]
    assert risk.contracting(["web", "mail", "api"], before, [[], ["web"]]) == ["web", "api"]
    assert risk.contracting(["web"], before, [["mail"]]) == [], "of another run's components nothing is said"
