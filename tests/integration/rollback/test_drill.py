# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way back, rehearsed in the lab: it passes, it is told in the plan, and the live release notices nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from ..refusals.conftest import FINGERPRINT, Lab
from .conftest import BEFORE, bring

NEWER = "v4.17.0"
RELEASES = "/opt/aistack/backend/releases"
COPIES = "cd / && runuser -u postgres -- psql -XAtq postgres -c \"select datname from pg_database where datname like '%drill%'\""
STAND_IN = "cd / && runuser -u postgres -- createdb -T template0 sparklio__drill"


@pytest.fixture(scope="module")
def newer(lab: Lab) -> Iterator[Lab]:
    """v4.17.0 is live with a migration of its own, v4.1.0 behind it; afterwards schema and code are back at v4.1.0."""
    bring(lab, BEFORE)
    bring(lab, NEWER)
    yield lab
    back = lab.play("rollback", "-e", "level=schema", "-e", f"to={BEFORE}", "-e", f"confirm={BEFORE}")
    assert back.rc == 0, back.text


def test_there_and_back_on_a_copy(newer: Lab) -> None:
    newer.on("backend-1", f"rm -f {RELEASES}/{NEWER}.drill.json")  # of an earlier run of this test
    plan = newer.play("rollback", "-e", "level=schema", "-e", f"to={BEFORE}", "--check")
    assert plan.rc == 0, plan.text
    plan.says(f"going back from {NEWER} to {BEFORE} was never drilled")
    saved = newer.play("backup", "-e", "reason=drill", "--limit", "backend-1")
    assert saved.rc == 0, saved.text
    before = newer.on("backend-1", FINGERPRINT)
    newer.on("backend-1", STAND_IN)  # what a drill that was killed at once leaves behind
    drilled = newer.play("drill", "-e", f"to={BEFORE}")
    assert drilled.rc == 0, drilled.text
    drilled.says(f"Drill of backend on backend-1: {NEWER} → {BEFORE}: PASSED", "recovery by the downgrade")
    assert newer.on("backend-1", FINGERPRINT) == before
    assert newer.on("backend-1", COPIES).strip() == ""
    assert newer.serving()["backend"] == NEWER
    record = json.loads(newer.on("backend-1", f"cat {RELEASES}/{NEWER}.drill.json"))["drills"][BEFORE]
    assert record["verdict"] == "passed"
    assert 0 < record["recovery_s"] < record["seconds"]["all"]
    assert newer.journal()[-1]["op"] == "drill"
    plan = newer.play("rollback", "-e", "level=schema", "-e", f"to={BEFORE}", "--check")
    assert plan.rc == 0, plan.text
    plan.says("backend: drilled 20", "nothing lost")


def test_refused_before_anything(newer: Lab) -> None:
    seq = newer.journal()[-1]["seq"]
    for arguments, said in (
        (["-e", "component=redis"], "redis has no migrations"),
        (["-e", "to=v9.9.9"], "v9.9.9 is not staged"),
        (["-e", "set=20200101T000000Z-daily"], "There is no backup set"),
    ):
        refused = newer.play("drill", *arguments)
        assert refused.rc != 0
        refused.says(said)
    assert newer.journal()[-1]["seq"] == seq
    assert newer.on("backend-1", COPIES).strip() == ""
