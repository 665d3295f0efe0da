# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configurations with former secrets go where releases do, and none goes that anything may still go back to."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.environment import file as env_file
from ansible_collections.phasegate.aistack.plugins.module_utils.release import retention
from ansible_collections.phasegate.aistack.plugins.module_utils.release.content import Content
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import Layout
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.plan import RollbackRequest, plan
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.contract import Request
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.rollback.fleet import Fleet


class Story:
    """A node whose component `web` is deployed and configured again and again."""

    def __init__(self, root: Path, *names: str) -> None:
        self.fleet = Fleet(root, *(names or ("web",)))
        self.folder = root / "opt" / "web" / "config"
        for name in self.fleet.names:
            for config in ("c1", "c2", "c3"):
                (root / "opt" / name / "config" / config / "env").unlink()
                (root / "opt" / name / "config" / config).rmdir()

    def configure(self, config: str, name: str = "web", **values: str) -> None:
        folder = self.fleet.root / "opt" / name / "config" / config
        folder.mkdir(exist_ok=True)
        (folder / "env").write_text(env_file.render_env(values or {"NOTE": config}))
        (folder / env_file.NAMES).write_text(env_file.Declared(config, frozenset({"LICENCE"})).text())

    def live(self, release: str, config: str, name: str = "web", run: str = "", **values: str) -> None:
        if not (self.fleet.root / "opt" / name / "config" / config).exists():
            self.configure(config, name, **values)
        slots = self.fleet.make(self.fleet.spec(name), self.fleet.gate, self.fleet.journal)
        slots.activate(Content(release, config), Request(run=run or f"run-{config}"))

    def prune(self, keep: int = 1, run: str = "last", check: bool = False, **given: Any) -> list[str]:
        done = retention.pruned(
            Layout(self.fleet.root / "opt", "web"), str(self.fleet.state), keep, given.get("keep_releases", ()), run, "ann", check
        )
        assert done["changed"] == bool(done["removed"] or done["removed_configs"])
        return sorted(done["removed_configs"])

    def left(self) -> list[str]:
        return sorted(os.listdir(self.folder))

    def plan(self, **request: Any) -> dict[str, Any]:
        return plan(self.fleet.tools().observe(self.fleet.state), RollbackRequest(**request))


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """v1 with three configurations, v2 with five."""
    story = Story(tmp_path)
    for number in range(1, 4):
        story.live("v1", f"a{number}")
    for number in range(1, 6):
        story.live("v2", f"b{number}")
    return story


def test_check_run_check_run(story: Story) -> None:
    story.configure("never-live")
    gone = ["web/a1", "web/a2", "web/b1", "web/b2", "web/b3", "web/never-live"]
    before = story.left()
    assert story.prune(check=True) == gone
    assert story.left() == before
    assert story.prune() == gone
    assert story.left() == ["a3", "b4", "b5"]
    assert story.prune(check=True) == story.prune() == []
    begun, ended = story.fleet.records("prune")
    assert (begun["detail"]["configs"], ended["outcome"], ended["detail"]["removed"]) == (gone, "ok", ["v3"])
    assert story.fleet.live() == {"web": "v2"}


def test_what_a_plan_offers_is_there_and_nothing_else_is_offered(story: Story) -> None:
    story.prune(keep=2)
    assert story.left() == ["a3", "b3", "b4", "b5"]
    assert story.plan()["steps"][0]["detail"]["config"] == "a3"
    assert story.plan(level="config")["to"] == "b4"
    assert story.plan(level="config", to="b3")["allowed"]
    assert [refusal["code"] for refusal in story.plan(level="config", to="b2")["refusals"]] == ["never_deployed"]


@pytest.mark.parametrize("keep", [0, 1, 3])
def test_the_configuration_before_stays_whatever_is_kept(story: Story, keep: int) -> None:
    before = story.plan(level="config")
    story.prune(keep)
    assert story.plan(level="config") == before
    assert before["to"] == "b4"


def test_rotations_in_between_do_not_push_it_out(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.live("v1", "a1", LICENCE="hunter2-0", LEVEL="debug")
    for number in range(4):
        story.live("v1", f"r{number}", LICENCE=f"hunter2-{number}", LEVEL="info")
    before = story.plan(level="config")
    assert before["allowed"]
    assert before["steps"][0]["detail"]["of"] == "a1"
    assert story.prune() == ["web/r0", "web/r1"]
    assert story.left() == ["a1", "r2", "r3"]
    assert story.plan(level="config")["to"] == before["to"]
    assert story.plan(level="config", to="r2")["allowed"], "by its name, the one immediately before it too"


def test_what_a_release_that_goes_had_goes_with_it(story: Story) -> None:
    story.live("v3", "d1")
    for tag in ("v1", "v2", "v3"):
        detail = {"state": "bad" if tag == "v1" else "good", "reason": ""}
        story.fleet.journal.append({"op": "mark", "component": "web", "release": tag, "outcome": "ok", "detail": detail})
    assert story.prune() == ["web/a1", "web/a2", "web/a3", "web/b1", "web/b2", "web/b3", "web/b4"]
    assert sorted(os.listdir(story.fleet.root / "opt/web/releases")) == ["v2", "v3"]


def test_components_that_run_the_tree_of_another(tmp_path: Path) -> None:
    story = Story(tmp_path, "web", "worker")
    for name in story.fleet.names:
        for number in (1, 2, 3):
            story.live("v1", f"{name}{number}", name)
    trees = tmp_path / "opt" / "worker" / "releases"
    subprocess.run(["rm", "-r", str(trees)], check=True)
    trees.symlink_to("../web/releases")
    assert story.prune() == ["web/web1", "worker/worker1"]


def journaled(story: Story, config: str) -> None:
    detail = {"slot": "blue", "config": "b5", "previous": {"slot": "green", "release": "v2", "config": config}}
    story.fleet.journal.append({"op": "activate", "component": "web", "release": "v9", "run": "r", "outcome": "started", "detail": detail})


def interrupted_rollback(story: Story, config: str) -> None:
    moves = {"web": {"from": {}, "to": {"release": "v2", "config": config}}}
    story.fleet.journal.append({"op": "rollback", "release": "v2", "run": "r", "outcome": "started", "detail": {"moves": moves}})


def replaced_by_this_run(story: Story, config: str) -> None:
    detail = {"slot": "blue", "config": "b5", "previous": {"slot": "green", "release": "v2", "config": config}}
    story.fleet.journal.append({"op": "activate", "component": "web", "release": "v2", "run": "last", "outcome": "ok", "detail": detail})


def configured_last(story: Story, config: str) -> None:
    story.fleet.journal.append({"op": "configure", "component": "web", "run": "r", "outcome": "ok", "detail": {"config": config}})


def unconfirmed(story: Story, config: str) -> None:
    folder = story.fleet.state / "confirm"
    folder.mkdir()
    (folder / "r.json").write_text(json.dumps({"returns": {"web": {"release": "v2", "config": config}}}))


def gated(story: Story, config: str) -> None:
    (story.fleet.state / "gates" / "web.json").write_text(json.dumps({"v2": {"probes": [{"env_file": f"/opt/web/config/{config}/env"}]}}))


def linked(story: Story, config: str) -> None:
    slots = story.fleet.root / "opt/web/slots"
    idle = next(slot for slot in ("blue", "green") if slot != os.readlink(slots / "live"))
    (slots / idle / "config").unlink()
    (slots / idle / "config").symlink_to(f"../../config/{config}")


@pytest.mark.parametrize("names", [journaled, interrupted_rollback, replaced_by_this_run, configured_last, unconfirmed, gated, linked])
def test_what_somebody_names_stays(story: Story, names: Any) -> None:
    names(story, "b2")
    assert "web/b2" not in story.prune()
    assert (story.folder / "b2" / "env").exists()
    assert not (story.folder / "b1").exists()


def test_what_a_dead_process_left_goes_and_what_a_living_one_writes_stays(story: Story) -> None:
    for name in (f".staging-x-{os.getpid()}", ".staging-x-999999999", ".removing-b1-999999999", ".note"):
        (story.folder / name).mkdir()
        (story.folder / name / "env").write_text("LICENCE=hunter2\n")
    gone = story.prune()
    assert {"web/.staging-x-999999999", "web/.removing-b1-999999999"} <= set(gone)
    assert story.left() == [".note", f".staging-x-{os.getpid()}", "a3", "b4", "b5"]


def test_nothing_configured_and_nothing_live(tmp_path: Path) -> None:
    story = Story(tmp_path)
    assert story.prune() == []
    story.configure("c1")
    assert story.prune() == ["web/c1"]
