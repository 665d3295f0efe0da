# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A way back to a release that retention removed: its tree comes from what is kept. Nodes are folders, their command is a stand-in."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .world import ROOT, World, play

BOOK = f"""
- hosts: all
  gather_facts: false
  module_defaults:
    group/phasegate.aistack.aistack: {{root: "{{{{ folder }}}}", state_dir: "{{{{ folder }}}}/state"}}
  vars: {{to: v1, __rollback: {{level: app}}}}
  tasks:
    - phasegate.aistack.node: {{verb: plan, to: v1, enforce: false}}
      register: __plan
    - ansible.builtin.include_tasks: {ROOT}/playbooks/tasks/rollback_tree_back.yml
    - ansible.builtin.copy: {{content: "{{{{ __plan.answer | to_json }}}}", dest: "{{{{ folder }}}}.json", mode: "0600"}}
      check_mode: false
"""
COMMAND = """#!/bin/sh
# stands in for the node's own command: it can go back where the tree is
if [ -e {tree} ]; then cat {folder}/allowed.json; else cat {folder}/refused.json; exit 2; fi
"""
REFUSED: dict[str, Any] = {
    "allowed": False, "to": "v1", "candidates": [], "steps": [], "warnings": [],
    "refusals": [
        {"code": "not_here", "component": "api", "reason": "api: v1 was live here once, but its tree is gone", "remedy": "deploy it"}
    ],
}
ALLOWED: dict[str, Any] = {**REFUSED, "allowed": True, "steps": [{"do": "switch", "detail": {}}], "warnings": ["one"], "refusals": []}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """One node, on which v1 was built and kept, and from which retention has taken it."""
    here = World(tmp_path)
    here.stage(["one"])
    subprocess.run(["chmod", "-R", "u+w", tmp_path / "one/api/releases"], check=True)
    shutil.rmtree(here.release("one"))
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin/aistack"
    command.write_text(COMMAND.format(tree=here.release("one"), folder=tmp_path))
    command.chmod(0o755)
    for name, answer in (("refused", REFUSED), ("allowed", ALLOWED)):
        (tmp_path / f"{name}.json").write_text(json.dumps(answer))
    (tmp_path / "one/tools").mkdir()
    shutil.rmtree(tmp_path / "mirrors")
    shutil.rmtree(tmp_path / "shop")  # nor is the repository needed
    return here


def asked(world: World, *words: str, **more: Any) -> tuple[dict[str, Any], str]:
    component = {"role": "backend", "hosts": "all", "application": "shop", "path": "api", "lock": "requirements.lock"}
    common = {
        "aistack_components": {"api": component}, "aistack_applications": {"shop": {"repo": str(world.repo), "release": "v1"}},
        "aistack_artefacts": {"folder": str(world.tmp / "store")}, "aistack_run": "r1", "release_python": world.python,
        "toolchain_group": "", "release_min_free_bytes": 0, **more,
    }
    said = play(world, BOOK, {"one": {"folder": str(world.tmp / "one")}}, common, words)
    return dict(json.loads((world.tmp / "one.json").read_text())), said


def test_a_tree_that_retention_removed_comes_back(world: World) -> None:
    plan, _said = asked(world, "--check")
    assert not world.release("one").exists()
    (refusal,) = plan["refusals"]
    assert "its tree is gone; it is kept as an artefact that one built; without check mode that is laid down first" in refusal["reason"]
    plan, _said = asked(world)
    assert plan["allowed"]
    assert plan["warnings"] == ["one", "api: the tree of v1 was laid down from what is kept of it (an artefact that one built)"]
    assert world.runs("one")
    assert json.loads((world.release("one") / "release.json").read_text())["commit"]
    _plan, said = asked(world)
    assert "changed=1" in said, "only the test's own file"


def test_what_is_not_kept_and_what_was_changed_is_said(world: World) -> None:
    plan, _said = asked(world, aistack_artefacts={"folder": str(world.tmp / "empty")})
    assert "its tree is gone; no artefact of it is kept for this platform" in plan["refusals"][0]["reason"]
    plan, _said = asked(world, aistack_artefacts=False)
    assert "its tree is gone; artefacts are not kept" in plan["refusals"][0]["reason"]
    next(world.store.glob("*.tar.gz")).write_bytes(b"changed")
    plan, _said = asked(world)
    assert plan["allowed"] is False
    assert "is damaged: its SHA-256 is not" in plan["refusals"][0]["reason"]
    assert not world.release("one").exists()


def test_an_image_is_not_looked_for_among_what_is_kept(world: World) -> None:
    image = {"role": "container", "runtime": "compose", "kind": "image", "hosts": "all", "application": "shop"}
    plan, _said = asked(world, aistack_components={"api": image})
    assert "images are kept by Docker alone, and go with their releases" in plan["refusals"][0]["reason"]
    assert not world.release("one").exists()
