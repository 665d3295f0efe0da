# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the journal says was done once for a release."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.keep import kept
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.once import cut_off, done

ASKED = ("api", "v1", "after_migration", "seed")


def record(op: str, outcome: str = "ok", component: str = "api", release: str = "v1", **detail: Any) -> Record:
    return {"op": op, "outcome": outcome, "component": component, "release": release, "detail": detail}


TASK = record("task", point="after_migration", task="seed")


def test_what_ended_well_was_done_and_what_was_interrupted_was_not() -> None:
    assert done([TASK, record("activate")], *ASKED) is TASK
    assert done([{**TASK, "outcome": "started"}, {**TASK, "outcome": "failed"}], *ASKED) is None
    for other in (("web", *ASKED[1:]), ("api", "v2", *ASKED[2:]), (*ASKED[:2], "before_migration", "seed"), (*ASKED[:3], "sow")):
        assert done([TASK], *other) is None


@pytest.mark.parametrize(
    ("after", "stays"),
    [
        (record("revert"), True),
        (record("rollback"), True),
        (record("phase", component="rollback", level="app"), True),
        (record("phase", component="rollback", level="system"), False),
        (record("phase", "started", component="rollback", level="schema"), False),
        (record("restore"), False),
        (record("migrate", state="downgraded"), False),
        (record("migrate", component="other", state="downgraded"), False),
        (record("migrate", "failed", state="downgraded"), True),
        (record("migrate", state="upgraded"), True),
        (record("migrate", state="stamped"), True),
    ],
)
def test_it_is_done_again_where_data_was_taken_back(after: Record, stays: bool) -> None:
    assert (done([TASK, after], *ASKED) is TASK) is stays


def test_a_journal_that_is_rotated_remembers_it() -> None:
    stage = record("stage")
    taken = record("phase", component="rollback", level="system")
    many = [record("backup") for _number in range(20)]
    left = kept([stage, TASK, *many], newest=5, switches=2)
    assert done(left, *ASKED) is not None
    left = kept([stage, TASK, taken, record("phase", component="rollback", level="app"), *many], newest=5, switches=2)
    assert done(left, *ASKED) is None
    moves = [record("migrate", state="downgraded"), *(record("migrate", state="upgraded") for _number in range(250))]
    assert done(kept([stage, TASK, *moves, *many], newest=5, switches=2), *ASKED) is None


def by(run: str, op: str, outcome: str = "ok", **more: Any) -> Record:
    return {**record(op, outcome, **more), "run": run}


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([], False),
        ([by("r1", "activate")], True),
        ([by("r1", "phase"), by("r1", "activate")], True),  # the end of the phase before
        ([by("r1", "activate"), by("r1", "phase")], False),
        ([by("r1", "activate"), by("r2", "phase")], True),
        ([by("r1", "activate"), by("r1", "phase", "failed")], True),
        ([by("r1", "activate"), by("r2", "activate", restart=True), by("r2", "phase")], True),
        ([by("r1", "activate", "started")], False),
        ([by("r1", "activate", release="v2")], False),
    ],
)
def test_a_run_that_was_cut_off_behind_its_switch(records: list[Record], expected: bool) -> None:
    assert cut_off(records, "api", "v1") is expected
