# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""deploy.yml itself, on three hosts that are this machine: one changes after the other, and what fails on one takes back who changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from .world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    tmp_path.chmod(0o755)
    made = World(tmp_path)
    made.serving("v1")
    return made


def test_one_after_the_other_also_where_the_controller_was_killed_in_between(world: World) -> None:
    """It dies when the gate behind the first host is asked."""
    serves = f"$(readlink {world.folder}/a/api/slots/$(readlink {world.folder}/a/api/slots/live)/release)"
    world.on("gate", "a", f"case {serves} in */v2) kill -9 $(cat {world.folder}/run) ;; esac")
    assert world.deploy("v2")[0] == -9
    assert (world.live(), world.started()) == ({"a": "v2", "b": "v1", "c": "v1"}, "a v2")
    world.on("gate", "a", "")
    world.strategy = {"rolling": {"limit": 1, "hold": 1, "triggers": ["memory"]}}
    world.triggers = [{"name": "memory", "source": "node", "target": "memory", "value": {"le": 100}, "window": 1, "min_sample": 2,
                       "then": "notice"}]
    status, text = world.deploy("v2")
    assert status == 0, text
    assert "1. a (there already), then its gate, 1 s in which memory judges, and its gate again\n" in text
    assert (world.live(), world.started()) == (dict.fromkeys("abc", "v2"), "b v2 c v2")
    assert text.count(": triggers, for 1 s]") == 3, text
    second, third = text.index("api: batch 2 of 3: b: gate, after the hold"), text.index("api: batch 3 of 3: c: gate]")
    assert "activate v2 in the idle slot" in text[second:third], "the third one begins when the second one is proven"


def test_the_second_hosts_gate_takes_the_first_back_and_the_third_was_never_touched(world: World) -> None:
    world.on("start", "b", f"touch {world.folder}/b/api/unfit")
    status, text = world.deploy("v2")
    assert status == 2, text
    assert (world.live(), world.started()) == (dict.fromkeys("abc", "v1"), "a v2 b v2 a v1")
    assert {("activate", "v2", "ok"), ("revert", "v1", "ok")} <= set(world.journal("a"))
    assert world.journal("c") == []


def test_a_host_that_is_down_at_its_turn_is_named_with_what_to_do(world: World) -> None:
    world.on("start", "a", f"touch {world.folder}/b/down")
    status, text = world.deploy("v2")
    assert status == 4, text
    assert (world.live(), world.started()) == (dict.fromkeys("abc", "v1"), "a v2 a v1")
    assert world.journal("c") == []
    assert "not known of b: not reached: it left this run before its end" in text
    assert "next: once b answers, deploy.yml -e release=TAG" in text
