# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One host builds, the others have no tools: real Ansible, role release, uv and git; the hosts are folders of this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .world import ROLE, World, play


class Stack:
    """Nodes without tools, and a host with them."""

    def __init__(self, world: World) -> None:
        self.world = world
        seen = "env | grep -E '^(PUBLIC|SECRET)' > built"
        self.component: dict[str, Any] = {
            "role": "backend", "hosts": "nodes", "application": "shop", "path": "api", "lock": "requirements.lock",
            "build": [["sh", "-c", seen]], "build_env": ["PUBLIC"], "tests": [["{python}", "main.py"]],
        }
        self.artefacts: dict[str, Any] = {"folder": str(world.tmp / "store"), "on": "builder"}
        self.builder: dict[str, Any] = {}

    def stage(self, *nodes: str, words: tuple[str, ...] = (), rc: int = 0, **more: Any) -> str:
        world = self.world
        hosts: dict[str, dict[str, Any]] = {}
        for name in (*nodes, "builder"):
            folder = world.tmp / name
            if not folder.exists():
                (folder / "tools").mkdir(parents=True)
                (folder / "tools" / "bin").symlink_to(world.tmp / ("tools" if name == "builder" else "bare"))
                (folder / "env").write_text('PUBLIC="blue"\nSECRET="hush"\n')
            hosts[name] = {"folder": str(folder), "aistack_root": str(folder), "aistack_state": f"{folder}/state"}
        hosts["builder"].update(self.builder)
        common = {
            "aistack_components": {"api": self.component}, "aistack_run": "r1",
            "aistack_applications": {"shop": {"repo": str(world.repo), "release": "v1"}},
            "aistack_env": {"api": {"schema": [{"name": "PUBLIC"}, {"name": "SECRET", "secret": True}],
                                    "values": {"PUBLIC": "blue", "SECRET": "hush"}}},
            "aistack_component_name": "api", "aistack_component": self.component,
            "release_build_user": world.user, "release_test_user": world.user, "release_group": "", "release_min_free_bytes": 0,
            "release_python": world.python, "aistack_artefacts": self.artefacts, "aistack_environment": world.fetching,
            "__release_configured": {"results": [{"component": "api", "path": "{{ folder }}/env", "schema_version": "1"}]},
            **more,
        }
        return play(world, ROLE, hosts, common, words, rc, groups={"nodes": list(nodes)})

    def answer(self, node: str) -> dict[str, Any]:
        (found,) = json.loads((self.world.tmp / f"{node}.json").read_text())["results"]
        return dict(found)

    def records(self, name: str) -> list[str]:
        path = self.world.tmp / name / "state/journal.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [f"{record['op']} {record['outcome']}" for record in map(json.loads, lines)]


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(World(tmp_path))


def test_one_host_builds_for_nodes_without_tools(stack: Stack) -> None:
    world = stack.world
    stack.stage("one", words=("--check",))
    assert stack.answer("one")["artefact"]["plan"] == "would be built on builder"
    said = stack.stage("one", "two", words=("-v",))
    assert (world.runs("one"), world.runs("two")) == (True, True)
    (facts,) = [json.loads(path.read_text()) for path in world.store.glob("*.json")]
    assert facts["built_on"] == "builder"
    assert stack.records("builder") == ["stage started", "stage ok"]
    assert stack.records("two") == ["stage started", "stage ok"]
    assert json.loads((world.release("two") / "release.json").read_text())["artefact"]["built_on"] == "builder"
    seen = (world.release("one") / "built").read_text()
    assert "PUBLIC=blue" in seen
    assert "hush" not in seen
    assert "hush" not in said, "an environment goes to the host that builds, not into what is shown"
    assert not list((world.tmp / "builder").rglob("build.env"))
    statement = json.loads(next(world.store.glob("*.intoto")).read_text())
    assert statement["subject"][0]["digest"]["sha256"] == facts["sha256"]
    built = statement["predicate"]["buildDefinition"]["externalParameters"]
    assert (built["tag"], built["component"], built["commit"]) == ("v1", "api", facts["commit"])
    assert statement["predicate"]["runDetails"]["builder"]["version"]["uv"].startswith("uv ")
    stack.stage("one", "two", "three")
    assert world.runs("three")
    assert stack.records("builder") == ["stage started", "stage ok"], "once"


def test_a_build_host_that_is_down_is_named(stack: Stack) -> None:
    stack.stage("one")
    stack.builder = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    said = stack.stage("two", rc=0)
    assert "failed=0" in said, "what is kept needs nobody"
    stack.artefacts["folder"] = str(stack.world.tmp / "other")
    assert "failed=0" in stack.stage("one"), "what is there needs nobody"
    said = stack.stage("three", rc=2)
    assert "The build host builder (aistack_artefacts.on) could not be reached" in said
    assert "api v1 is neither on the node nor among the artefacts" in said
    assert not stack.world.release("three").exists()


def test_a_build_host_of_another_platform_is_refused(stack: Stack) -> None:
    for name, version in (("bare", "3.97"), ("tools", "3.98")):
        python = stack.world.tmp / name / "thepython"
        asked = f"case \"$*\" in *-S*) echo cpython {version} /usr/bin/thepython ;; *) exec {stack.world.python} \"$@\" ;; esac"
        python.write_text(f"#!/bin/sh\n{asked}\n")
        python.chmod(0o755)
    said = stack.stage("one", rc=2, release_python="thepython")
    assert "api: builder builds for another platform than that of the node: it has interpreter" in said
    assert not stack.world.release("one").exists()


def test_what_a_build_that_fails_says_is_shown(stack: Stack) -> None:
    stack.component["build"] = [["sh", "-c", "echo no such luck; exit 3"]]
    said = stack.stage("one", rc=2)
    assert "no such luck" in said
    assert stack.records("builder") == ["stage started", "stage failed"]
    assert stack.records("one") == []
