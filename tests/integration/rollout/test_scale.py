# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""scale.yml itself, on hosts that are this machine: out, in, what is refused, and what a deployment makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from .world import World

SCALE = "scale.yml"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two hosts, on each of which v1 is live as two processes."""
    tmp_path.chmod(0o755)
    made = World(tmp_path, strategy="bluegreen", hosts=("a", "b"), more={"instances": 2})
    status, text = made.deploy("v1")
    assert status == 0, text
    assert made.running("a") == made.running("b") == ["blue", "blue-2"]
    return made


def scale(world: World, number: int, *words: str) -> tuple[int, str]:
    return world.play(SCALE, "-e", "component=api", "-e", f"instances={number}", *words)


def test_out_in_and_what_deployments_keep_of_it(world: World) -> None:
    status, text = scale(world, 4, "--check")
    assert (status, world.running("a")) == (0, ["blue", "blue-2"]), text
    assert "api: would run 4 instances, 2 before" in text
    status, text = scale(world, 4)
    assert status == 0, text
    assert world.running("a") == world.running("b") == ["blue", "blue-2", "blue-3", "blue-4"]
    assert "api: runs 4 instances, 2 before" in text
    status, text = scale(world, 4)
    assert (status, text.count("changed=0")) == (0, 2), text
    status, text = world.deploy("v2")
    assert status == 0, text
    assert world.running("a") == ["green", "green-2", "green-3", "green-4"]
    assert "api runs 4 instances, the inventory says 2: scale.yml set that" in " ".join(text.split())
    status, text = scale(world, 1, "--limit", "a")
    assert (status, world.running("a")) == (0, ["green"]), text
    assert len(world.running("b")) == 4
    world.more = {"instances": 3}
    status, text = world.deploy("v2")
    assert status == 0, text
    assert world.running("a") == world.running("b") == ["green", "green-2", "green-3"], "another number of the inventory"


def test_those_that_do_not_pass_go_again(world: World) -> None:
    world.on("start", "a", f"test ! -e {world.folder}/a/units/aistack-api@blue-3.service || touch {world.folder}/a/api/unfit")
    status, text = scale(world, 3)
    assert status == 2, text
    assert "3 instances were not to be had: slot blue did not pass its gate" in text
    assert "There are 2 as before" in text
    assert world.running("a") == ["blue", "blue-2"]
    assert not (world.folder / "a/state/lock.json").exists(), "the lock was given back"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("component=api", "instances=0"), "instances: api: 0 instances would leave nobody to do its work"),
        (("component=api", "instances=65"), "instances: api: 65 instances; expected 1 to 64"),
        (("component=api", "instances=many"), "instances: expected a whole number"),
        (("component=api",), "instances: has to be given"),
        (("component=apy", "instances=2"), "component: unknown component 'apy'; did you mean 'api'?"),
        (("instances=2",), "component: has to be given"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_touched(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    tmp_path.chmod(0o755)
    made = World(tmp_path, strategy="bluegreen", hosts=("a",))
    status, text = made.play(SCALE, *(part for word in words for part in ("-e", word)))
    assert status == 2, text
    assert said in text
    assert "Nothing was touched" in text
    assert not (tmp_path / "a/state/journal.jsonl").exists()


def test_a_component_with_a_port_is_refused_with_the_other_way(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    made = World(tmp_path, strategy="bluegreen", hosts=("a",), port=8080)
    status, text = scale(made, 4)
    assert status == 2, text
    assert "component: api cannot be scaled: it has a port, and one process per slot, which is reached there." in text
    assert "More processes are its server's own option" in text
