# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""deploy.yml itself: a release that would come beside one that does not run with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .world import World


class TwoApplications(World):
    """Beside the component a second one, of another application, that runs with releases of the same major version."""

    def inventory(self) -> dict[str, Any]:
        found = super().inventory()
        variables = found["all"]["vars"]
        api = variables["aistack_components"]["api"]
        variables["aistack_applications"]["jobs"] = variables["aistack_applications"]["shop"]
        variables["aistack_components"]["jobs"] = {**api, "application": "jobs", "gate": [], "runs_with": {"api": "major"}}
        variables["aistack_phases"]["phase1"]["components"].append("jobs")
        return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = TwoApplications(tmp_path)
    made.serving("v1")
    slot = tmp_path / "c" / "jobs" / "slots" / "blue"
    for place in (slot, tmp_path / "c" / "jobs" / "releases" / "v1"):
        place.mkdir(parents=True)
    (slot / "release").symlink_to("../../releases/v1")
    (slot.parent / "live").symlink_to("blue")
    return made


def test_a_release_that_would_not_run_beside_what_is_live_is_refused_before_the_lock(world: World) -> None:
    status, said = world.deploy("v2")
    assert status == 2, said
    told = " ".join(said.replace("\\n", "\n").split())
    assert "releases would run side by side that are not made for it. - api would be at v2 beside jobs, which stays at v1; jobs" in told
    assert "-e runs_with=ignore" in told
    assert world.started() == ""
    assert set(world.live().values()) == {"v1"}
    assert "Take the lock" not in said
    assert [world.journal(host) for host in "abc"] == [[], [], []]


@pytest.mark.whole(beside="tests/unit/plugins/module_utils/rollout/test_compatible.py")
def test_the_plan_says_so(world: World) -> None:
    status, said = world.plan("v2")
    assert status == 2, said
    told = " ".join(said.split())
    assert "- api would be at v2 beside jobs, which stays at v1; jobs runs with api of the same major version" in told
    assert "deploy.yml -e release=v2 would be refused. The reason stands on the page above" in told
    status, said = world.plan("v1.1.0")
    assert status == 0, said


def test_who_means_it_deploys_it_and_is_warned(world: World) -> None:
    status, said = world.deploy("v2", "-e", "runs_with=ignore")
    assert status == 0, said
    assert "runs_with is ignored, as was asked for: api would be at v2 beside jobs, which" in " ".join(said.split())
    assert set(world.live().values()) == {"v2"}


def test_a_word_that_is_not_known_is_refused(world: World) -> None:
    status, said = world.deploy("v2", "-e", "runs_with=whatever")
    assert status == 2, said
    assert "runs_with: expected one of ignore, got whatever" in said
