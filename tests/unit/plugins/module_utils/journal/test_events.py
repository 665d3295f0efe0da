# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which records are told to charts and logs, as what, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal import chain
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.events import LONGEST, event_of, events

TIME = "2026-11-30T12:00:00.250Z"
PROBE = {"probe": "health", "expected": "status 200, version v2", "got": "status 503, version v2"}


def record(op: str, outcome: str = "ok", component: str | None = "api", release: str | None = "v2", **detail: Any) -> Any:
    fields: Any = {"op": op, "component": component, "release": release, "outcome": outcome, "detail": detail}
    return chain.link(fields, None, TIME)


@pytest.mark.parametrize(
    ("what", "event", "outcome", "text"),
    [
        (record("activate", slot="green"), "deployment", "ok", "deployment api v2 ended: slot green"),
        (record("activate", "failed", error="no such unit"), "deployment", "failed", "deployment api v2 failed: no such unit"),
        (record("activate", "failed", report=PROBE), "gate", "failed", "gate api v2 failed: health: expected status 200, got status 503"),
        (record("prepare", "failed", gates=[{"verdict": "pass"}, {"verdict": "fail"}]), "gate", "failed", "gate api v2 failed"),
        (record("prepare", "failed", gates=[{"verdict": "pass"}], report={"probe": None}), "deployment", "failed",
         "deployment api v2 failed"),
        (record("canary", slot="green", weight=5), "deployment", "ok", "deployment api v2 ended: slot green"),
        (record("activate", restart=True, config="c", previous={"release": "v2", "config": "c"}), "restart", "ok", "restart api v2 ended"),
        (record("activate", restart=True, config="d", previous={"release": "v2", "config": "c"}), "deployment", "ok",
         "deployment api v2 ended"),
        (record("revert", release="v1", reason="too slow"), "rollback", "ok", "rollback api v1 ended: too slow"),
        (record("rollback", component=None, release="v1"), "rollback", "ok", "rollback v1 ended"),
        (record("drill", verdict="passed"), "drill", "ok", "drill api v2 ended: passed"),
        (record("drill", verdict="loses", why="3 rows"), "drill", "failed", "drill api v2 failed: loses: 3 rows"),
        (record("migrate", **{"from": ["a"], "to": ["b"]}), "migration", "ok", "migration api v2 ended: a → b"),
        (record("backup", component=None, release=None), "backup", "ok", "backup ended"),
    ],
)
def test_what_ended(what: Any, event: str, outcome: str, text: str) -> None:
    found = event_of(what)
    assert found
    assert (found.event, found.outcome, found.text, found.time, found.seq) == (event, outcome, text, TIME, 1)
    assert (found.component, found.release) == (what["component"] or "", what["release"] or "")


@pytest.mark.parametrize("what", [record("activate", "started"), record("prepare"), record("lock"), record("mark"), record("stage")])
def test_what_is_not_told(what: Any) -> None:
    assert event_of(what) is None


def test_a_phase_is_of_no_component_and_says_who() -> None:
    fields: Any = {"op": "phase", "component": "deploy", "outcome": "failed", "run": "deploy-7", "actor": "ann",
                   "detail": {"task": "Acceptance"}}
    (found,) = events([chain.link(fields, None, TIME)])
    assert (found.event, found.component, found.run, found.actor) == ("phase", "", "deploy-7", "ann")
    assert found.text == "phase deploy failed: Acceptance (run deploy-7 by ann)"


def test_what_is_said_has_an_end() -> None:
    found = event_of(record("activate", "failed", report={**PROBE, "got": "x" * 9000}))
    assert found
    assert len(found.text) < LONGEST + 50
    assert found.text.endswith("x…")


def test_a_record_of_which_nothing_is_known_is_no_obstacle() -> None:
    odd: Any = {"seq": 1, "hash": "0", "op": "activate", "outcome": "failed", "detail": ["no", "object"]}
    found = event_of(odd)
    assert found
    assert (found.event, found.text, found.time) == ("deployment", "deployment failed", "None")
