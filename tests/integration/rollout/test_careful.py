# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""deploy.yml and plan.yml themselves: a release that changes a lot comes by another strategy."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal

from .world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path, strategy="bluegreen", more={"careful": {"rolling": {"limit": 1}}})
    made.serving("v1")
    return made


def words(said: str) -> str:
    return " ".join(said.split())


def test_another_major_version_comes_in_batches_and_the_plan_says_so(world: World) -> None:
    status, said = world.plan("v2")
    assert status == 0, said
    assert "api: careful, because v2 is another major version than v1" in words(said)
    assert "batch 1 of 3, then its gate" in words(said)
    status, said = world.deploy("v2")
    assert status == 0, said
    assert "The order of the switch api: careful, because v2 is another major version than v1 api, 3 batches one after" in words(said)
    assert world.started() == "a v2 b v2 c v2"


def test_a_schema_that_lost_something_in_a_run_that_never_ended_is_remembered(world: World) -> None:
    """Nothing is pending any more when such a run is gone on with."""
    with Journal.of(world.folder / "b" / "state").operation("migrate", "api", "v1.1.0", detail={"state": "upgraded", "phase": "contract"}):
        pass
    status, said = world.deploy("v1.1.0")
    assert status == 0, said
    assert "api: careful, because the schema of api has lost what the release before may use" in words(said)
    assert "3 batches one after the other" in words(said)


@pytest.mark.whole(beside="tests/unit/plugins/module_utils/rollout/test_risk.py")
def test_the_operator_has_the_last_word(world: World) -> None:
    status, said = world.deploy("v2", "-e", "risk=low")
    assert status == 0, said
    assert "api: strategy, because of -e risk=low" in words(said)
    assert "batches" not in said
    status, said = world.plan("v1.1.0", "-e", "risk=high")
    assert "api: careful, because of -e risk=high" in words(said)
    status, said = world.deploy("v1", "-e", "risk=medium")
    assert status == 2, said
    assert "risk: expected one of high, low, got medium" in said
