# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of an artefact; nodes are folders, in which the real module runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.module_utils.testing import patch_module_args
from ansible.plugins.action import ActionBase

from ansible_collections.phasegate.aistack.plugins.action import release
from ansible_collections.phasegate.aistack.plugins.modules import release as module


@dataclass
class World:
    tmp: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    cannot_fetch: bool = False

    def __post_init__(self) -> None:
        self.repo = self.tmp / "shop"
        self.repo.mkdir()
        (self.repo / "VERSION").write_text("1\n")
        (self.tmp / "bin").mkdir()
        for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "one"], ["tag", "v1"]):
            named = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
            subprocess.run(["git", *named, *words], cwd=self.repo, check=True, capture_output=True)

    @property
    def store(self) -> Path:
        return self.tmp / "store" / "shop" / "web"

    def kept(self) -> Path:
        (found,) = self.store.glob("*.tar.gz")
        return found

    def stage(self, node: str, check: bool = False, **given: Any) -> dict[str, Any]:
        """Stage on one node; returns what the task would say."""
        root = self.tmp / node
        root.mkdir(exist_ok=True)
        remote = self.tmp / f"{node}-{len(list(self.tmp.iterdir()))}"
        remote.mkdir()
        build = ["sh", "-c", f"echo built >> {self.tmp}/built; echo 1 > built"]
        args = {
            "component": "web", "release": "v1", "repo": str(self.repo), "kind": "static", "build": [build],
            "build_user": "root", "test_user": "root",
            "mirror_dir": str(self.tmp / "mirrors"), "root": str(root), "state_dir": str(root / "state"), "min_free_bytes": 0,
            "python": sys.executable, "group": "", "artefacts": {"folder": str(self.tmp / "store")}, **given,
        }

        def execute(module_name: str, module_args: dict[str, Any], task_vars: Any) -> dict[str, Any]:
            self.capsys.readouterr()
            with patch_module_args({**module_args, "_ansible_check_mode": check}), pytest.raises(SystemExit):
                module.main()
            answer: dict[str, Any] = json.loads(self.capsys.readouterr().out)
            return answer

        def fetch(there: str, here: str) -> None:
            if self.cannot_fetch:
                raise AnsibleError("no way to fetch")
            shutil.copy(there, here)

        action = release.ActionModule.__new__(release.ActionModule)
        action._task = SimpleNamespace(args=args, check_mode=check, async_val=0, action="phasegate.aistack.release")
        shell = SimpleNamespace(tmpdir=str(remote), join_path=lambda *parts: "/".join(parts))
        action._connection = SimpleNamespace(_shell=shell, fetch_file=fetch)
        self.monkeypatch.setattr(ActionBase, "run", lambda self, tmp, task_vars: {})
        self.monkeypatch.setattr(action, "_execute_module", execute)
        self.monkeypatch.setattr(action, "_transfer_file", shutil.copy)
        self.monkeypatch.setattr(action, "_fixup_perms2", lambda paths: None)
        answer = action.run(task_vars={"inventory_hostname": node})
        assert "built" not in answer, "it holds a hash of the component's variables"
        return answer

    def builds(self) -> int:
        path = self.tmp / "built"
        return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> World:
    return World(tmp_path, monkeypatch, capsys)


def test_built_once(world: World) -> None:
    assert world.stage("one", check=True)["artefact"]["plan"] == "would be built"
    first = world.stage("one")
    assert first["artefact"]["kept"] is True
    assert first["timings"]["pack and fetch"] >= 0
    assert world.stage("two", check=True)["artefact"]["plan"] == "would be laid down from an artefact built on one"
    second = world.stage("two")
    assert second["timings"]["wait"] >= 0
    assert second["artefact"] == {"key": first["artefact"]["key"], "from": "one"}
    assert second["manifest"]["artefact"]["built_on"] == "one"
    assert (second["changed"], second["present"], second["manifest"]["tree_hash"]) == (True, True, first["manifest"]["tree_hash"])
    assert (world.tmp / "two/web/releases/v1/built").read_text() == "1\n"
    assert world.builds() == 1
    assert "artefact" not in world.stage("two"), "it is there"


def test_a_damaged_one_is_said_removed_and_built_again(world: World) -> None:
    world.stage("one")
    kept = world.kept()
    kept.write_bytes(b"damaged")
    assert world.stage("two", check=True)["artefact"]["plan"] == "would be built"
    assert kept.exists(), "check mode changes nothing"
    answer = world.stage("two")
    assert not answer.get("failed")
    assert f"The artefact {kept} is damaged" in answer["warnings"][0]
    assert (answer["artefact"]["kept"], world.builds()) == (True, 2)
    assert world.stage("three")["artefact"]["from"] == "two"


def test_what_a_node_refuses_is_removed_and_built_there(world: World) -> None:
    world.stage("one")
    facts = next(world.store.glob("*.json"))
    world.kept().write_bytes(b"damaged before it was kept")
    forged = module.artefact.tree.sha256(world.kept())
    facts.write_text(json.dumps({**json.loads(facts.read_text()), "sha256": forged}))
    answer = world.stage("two")
    assert not answer.get("failed")
    assert "that one built is refused: it is no whole archive" in answer["warnings"][0]
    assert "removed from the controller" in answer["warnings"][0]
    assert (answer["artefact"]["kept"], world.builds()) == (True, 2)


def test_what_cannot_be_fetched_fails_nothing(world: World) -> None:
    world.cannot_fetch = True
    answer = world.stage("one")
    assert (answer["present"], answer["artefact"]["kept"]) == (True, False)
    assert "not kept as an artefact, so that other nodes build it again: no way to fetch" in answer["warnings"][0]
    assert [path.suffix for path in world.store.iterdir() if path.suffix != ".lock"] == [".unfit"]
    world.cannot_fetch = False
    assert world.stage("two")["artefact"]["kept"] is True


def test_a_folder_that_cannot_be_written_fails_nothing(world: World) -> None:
    (world.tmp / "store").write_text("no folder")
    answer = world.stage("one")
    assert (answer["present"], answer["artefact"]["kept"]) == (True, False)
    assert "not kept as an artefact" in answer["warnings"][0]


def test_a_build_that_fails_keeps_nothing(world: World) -> None:
    failing = {"tests": [["sh", "-c", "exit 1"]]}
    for node in ("one", "two"):
        assert "own tests" in world.stage(node, **failing)["msg"]
    assert list(world.store.glob("*.tar.gz")) == []
    assert world.builds() == 2
    assert world.stage("three")["artefact"]["kept"] is True


def test_switched_off(world: World) -> None:
    for off in (False, "false"):
        assert "artefact" not in world.stage("one", check=True, artefacts=off)
    assert "artefact" not in world.stage("one", artefacts=False)
    assert not world.store.exists()


@pytest.mark.parametrize("wrong", [{"keep": 0}, {"keep": "some"}, {"folders": "/srv"}, "perhaps", 3])
def test_settings_that_make_no_sense(world: World, wrong: Any) -> None:
    answer = world.stage("one", artefacts=wrong)
    assert answer["failed"]
    assert "false or a mapping with folder and keep" in answer["msg"]
    assert world.builds() == 0
