# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A release is built once and laid down everywhere else: real Ansible, uv and git; the nodes are folders of this machine."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from .world import World

NODES = ("one", "two", "three")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_one_node_builds_and_the_others_need_no_tools(world: World) -> None:
    both = world.stage(["one", "two"])
    assert {name: answer.get("msg") for name, answer in both.items() if answer.get("failed")} == {}
    built, laid = sorted(both, key=lambda name: "kept" not in both[name]["artefact"])
    assert both[built]["artefact"]["kept"] is True
    assert both[laid]["artefact"]["from"] == built, "the second waited for what the first built"
    key = both[built]["artefact"]["key"]
    assert sorted(path.name for path in world.store.iterdir()) == [f"{key}.{end}" for end in ("intoto", "json", "lock", "tar.gz")]
    assert {path.stat().st_mode & 0o077 for path in [world.store, *world.store.iterdir()]} == {0}
    facts = json.loads((world.store / f"{key}.json").read_text())
    assert (facts["built_on"], facts["built_by"], facts["tag"], facts["bound"]) == (built, "anna", "v1", False)

    subprocess.run(["chmod", "-R", "u+w", world.tmp / "one/api/releases"], check=True)
    shutil.rmtree(world.release("one"))  # as retention does
    foreseen = world.stage(["one", "three"], "bare", ["--check"])
    assert {answer["artefact"]["plan"] for answer in foreseen.values()} == {f"would be laid down from an artefact built on {built}"}
    assert not world.release("three").exists()
    bare = world.stage(["one", "three"], "bare")
    assert {name: answer["artefact"] for name, answer in bare.items()} == {name: {"key": key, "from": built} for name in bare}
    assert world.tested() == 1, "tests that passed are not run again"
    for name in NODES:
        assert world.runs(name), name
    manifests = {name: json.loads((world.release(name) / "release.json").read_text()) for name in NODES}
    assert len({manifest["tree_hash"] for manifest in manifests.values()}) == 1
    assert manifests["three"]["artefact"] == {"key": key, "sha256": facts["sha256"], "built_on": built}
    assert [test["from"] for test in manifests["three"]["tests"]] == ["artefact"]
    records = [json.loads(line) for line in (world.tmp / "three/state/journal.jsonl").read_text().splitlines()]
    assert [(record["op"], record["detail"]["how"]) for record in records] == [("stage", "laid down from artefact")] * 2


def test_without_an_artefact_a_bare_node_cannot_have_it(world: World) -> None:
    """What the test before this one proves is due to the artefact alone."""
    assert "needs uv" in world.stage(["one"], "bare")["one"]["msg"]


def test_two_builds_of_the_same_are_compared(world: World) -> None:
    world.stage(["one"])
    kept = {"folder": str(world.tmp / "store"), "keep": 2, "rebuild": True}
    same = world.stage(["two"], artefacts=kept)["two"]
    assert same["artefact"]["kept"] is True
    assert not same.get("warnings"), "an environment of uv with compiled files is the same each time"
    (facts,) = [json.loads(path.read_text()) for path in world.store.glob("*.json")]
    assert (facts["built_on"], facts["differs"]) == ("two", [])
    other = {"build": [["sh", "-c", "date +%s%N > built_at; date +%s%N > \"only-$(date +%N)\""]]}
    world.stage(["three"], **other, artefacts={**kept, "folder": str(world.tmp / "other")})
    answer = world.stage(["four"], **other, artefacts={**kept, "folder": str(world.tmp / "other")})["four"]
    assert "api v1 was built again from the same as on three, and 3 files are not the same: changed built_at; " in answer["warnings"][0]
