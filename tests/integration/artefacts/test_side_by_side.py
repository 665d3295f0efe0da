# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The trees of one release are built side by side: real Ansible, role release, uv and git; the node is this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .world import ROLE, World, play

TREES = ("api", "jobs")
MEET = (
    "touch {folder}/{name}.builds; for i in $(seq 300); do [ ! -e {folder}/alone ] || exit 0; "
    "[ $(ls {folder}/*.builds | wc -l) = 2 ] && exit 0; sleep 0.2; done; echo nobody came; exit 3"
)
"""A build that ends as soon as the other one has begun as well."""


def described(world: World, **more: Any) -> dict[str, Any]:
    """A stack of two components of one repository."""
    component = {"role": "backend", "hosts": "all", "application": "shop", "path": "api", "lock": "requirements.lock"}
    trees = {name: {**component, "build": [["sh", "-c", MEET.format(folder=world.tmp, name=name)]]} for name in TREES}
    return {
        "aistack_components": {**trees, "worker": {"role": "worker", "hosts": "all", "release_from": "api"}},
        "aistack_applications": {"shop": {"repo": str(world.repo), "release": "v1"}}, "aistack_env": {}, "aistack_run": "r1",
        "aistack_component_name": "api", "aistack_component": component, "release_title": "shop", "release_components": list(TREES),
        "release_build_user": world.user, "release_test_user": world.user, "release_group": "", "release_min_free_bytes": 0,
        "release_python": world.python, "release_artefacts": False, "aistack_environment": world.fetching,
        "__release_configured": {"results": [{"component": name, "path": "", "schema_version": "1"} for name in TREES]},
        **more,
    }


def staged(world: World, node: str, **more: Any) -> dict[str, Any]:
    """Stage on a node; what the task answered."""
    folder = world.tmp / node
    (folder / "tools").mkdir(parents=True)
    (folder / "tools" / "bin").symlink_to(world.tmp / "tools")
    (folder / "worker").mkdir()
    play(world, ROLE, {node: {"folder": str(folder), "aistack_root": str(folder)}}, described(world, **more))
    answer: dict[str, Any] = json.loads((world.tmp / f"{node}.json").read_text())
    return answer


def records(world: World, node: str) -> list[tuple[str, str]]:
    lines = (world.tmp / node / "state/journal.jsonl").read_text().splitlines()
    return [(record["component"], record["outcome"]) for record in map(json.loads, lines)]


def test_two_trees_of_one_host_are_built_at_the_same_time(tmp_path: Path) -> None:
    world = World(tmp_path)
    answer = staged(world, "one")
    came = [(each["component"], each["present"], each["changed"]) for each in answer["results"]]
    assert came == [("api", True, True), ("jobs", True, True)]
    assert {world.runs("one", name) for name in TREES} == {True}
    assert [outcome for _name, outcome in records(world, "one")] == ["started", "started", "ok", "ok"]
    again = play(world, ROLE, {"one": {"folder": str(tmp_path / "one"), "aistack_root": str(tmp_path / "one")}}, described(world))
    assert "changed=0" in again, "what is there costs a question"


def test_one_after_the_other_where_that_is_wanted(tmp_path: Path) -> None:
    world = World(tmp_path)
    (tmp_path / "alone").touch()
    answer = staged(world, "one", release_at_once=1)
    assert [each["present"] for each in answer["results"]] == [True, True]
    assert records(world, "one") == [("api", "started"), ("api", "ok"), ("jobs", "started"), ("jobs", "ok")]


def test_one_that_fails_leaves_the_other_alone(tmp_path: Path) -> None:
    world = World(tmp_path)
    stack = described(world)
    (tmp_path / "alone").touch()
    stack["aistack_components"]["jobs"] = {**stack["aistack_components"]["jobs"], "build": [["sh", "-c", "echo no such luck; exit 3"]]}
    folder = tmp_path / "one"
    (folder / "tools").mkdir(parents=True)
    (folder / "tools" / "bin").symlink_to(tmp_path / "tools")
    said = play(world, ROLE, {"one": {"folder": str(folder), "aistack_root": str(folder)}}, stack, rc=2)
    assert "Building jobs v1 failed" in said
    assert "no such luck" in said
    assert world.runs("one", "api")
    assert sorted(records(world, "one")) == [("api", "ok"), ("api", "started"), ("jobs", "failed"), ("jobs", "started")]
