# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A task of a release that is not live, with stand-ins for systemd's programs that run what they are told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import LeaseLost, Lock
from ansible_collections.phasegate.aistack.plugins.module_utils.node import container, one_off, release_task
from ansible_collections.phasegate.aistack.plugins.module_utils.node.release_task import Task, TaskFailed

from .test_one_off import state as node

state = node  # the node of those tests: v1 is live in blue
NEXT = Task("seed", "after_migration", "api", "v2", "n", ["sh", "-c", "echo hush-hush; echo done"], "run-1", "me", 60)


@pytest.fixture
def staged(state: Path, tmp_path: Path) -> Path:
    """v2 is staged and configured; v1 serves."""
    home = tmp_path / "root" / "api"
    (home / "releases" / "v2" / ".venv" / "bin").mkdir(parents=True)
    (home / "config" / "n").mkdir()
    (home / "config" / "n" / "env").write_text('SECRET_KEY="hush-hush"\n', encoding="utf-8")
    return state


def run(state: Path, tmp_path: Path, task: Task, check: bool = False) -> dict[str, object]:
    return release_task.run(str(tmp_path / "root"), state, task, check)


def records(state: Path) -> list[tuple[str, str, str]]:
    return [(record["op"], record["outcome"], record["detail"]["task"]) for record in Journal.of(state).read()]


def test_it_is_run_once_for_a_release_and_again_where_it_says_always(staged: Path, tmp_path: Path) -> None:
    assert run(staged, tmp_path, NEXT, check=True)["msg"] == "would run the task seed (after_migration) of api v2"
    assert not (staged / "journal.jsonl").exists()
    assert run(staged, tmp_path, NEXT)["changed"]
    assert records(staged) == [("task", "started", "seed"), ("task", "ok", "seed")]
    again = run(staged, tmp_path, NEXT)
    assert (again["changed"], again["done"]) == (False, True)
    assert "was done at" in str(again["msg"])
    assert len(records(staged)) == 2
    assert run(staged, tmp_path, replace(NEXT, always=True))["changed"]
    assert run(staged, tmp_path, replace(NEXT, name="more"))["changed"]
    assert "hush" not in (staged / "journal.jsonl").read_text(encoding="utf-8")


def test_tree_and_environment_are_those_of_the_release_and_nothing_is_the_live_slots(staged: Path, tmp_path: Path) -> None:
    tree = tmp_path / "root" / "api" / "releases" / "v2"
    unit = "[Service]\nUser=shop\nWorkingDirectory=/r/api/slots/%i/release\nEnvironmentFile=/r/api/slots/%i/slot.env\nProtectHome=yes\n"
    (tmp_path / "bin" / "systemctl").write_text(f"#!/bin/sh\n[ \"$1\" = cat ] && printf '{unit.replace('%', '%%')}'\n", encoding="utf-8")
    (tree / ".venv" / "bin" / "python").symlink_to("/bin/echo")
    run(staged, tmp_path, replace(NEXT, command=["{python}", "-m", "{release_path}"]))
    words = (tmp_path / "bin" / "systemd-run.words").read_text(encoding="utf-8").splitlines()
    settings = [words[place + 1] for place, word in enumerate(words) if word == "--property"]
    assert settings[:4] == ["User=shop", "ProtectHome=yes", f"WorkingDirectory={tree}", f"EnvironmentFile={tree.parents[1]}/config/n/env"]
    assert "Environment=AISTACK_COMPONENT=api AISTACK_RELEASE=v2" in settings
    assert not any("slots" in setting for setting in settings)
    assert words[-3:] == [f"{tree}/.venv/bin/python", "-m", str(tree)]
    assert "--unit=aistack-task-api.service" in words


def test_one_that_fails_says_what_it_said_what_holds_and_what_to_do(staged: Path, tmp_path: Path) -> None:
    with pytest.raises(TaskFailed) as failed:
        run(staged, tmp_path, replace(NEXT, command=["sh", "-c", "echo with hush-hush; exit 3"]))
    lines = str(failed.value).splitlines()
    assert lines[0].startswith("The task seed (after_migration) of api v2 did not end well: exit status 3, after ")
    assert lines[0].endswith("Nothing was switched; the schema is the one of this release, and stays so.")
    assert lines[2:] == ["  with ****[SECRET_KEY]", "  Mend it and deploy again: what was done for this release is not done twice."]
    assert records(staged)[-1] == ("task", "failed", "seed")
    with pytest.raises(TaskFailed, match=r"it ran past 0\.1 s and was ended.*Give it more time"):
        run(staged, tmp_path, replace(NEXT, command=["sh", "-c", "sleep 0.2; exit 1"], timeout=0.1))
    assert run(staged, tmp_path, NEXT)["changed"], "what failed was not done"


def test_what_cannot_be_run(staged: Path, tmp_path: Path) -> None:
    with pytest.raises(TaskFailed, match="cannot be run: there is no program nope"):
        run(staged, tmp_path, replace(NEXT, command=["nope"]))
    with pytest.raises(TaskFailed, match=r"releases/v3 is not there\. Nothing was migrated"):
        run(staged, tmp_path, replace(NEXT, release="v3", point="before_migration"))
    assert not (staged / "journal.jsonl").exists()


def test_a_run_that_lost_the_lock_runs_nothing(staged: Path, tmp_path: Path) -> None:
    lock = Lock(staged)
    lock.acquire("run-1", {"actor": "ann"}, 60)
    lock.acquire("run-2", {"actor": "bob"}, 60, break_lock=True)
    with pytest.raises(LeaseLost, match="does not have the lock"):
        run(staged, tmp_path, NEXT)
    assert "task" not in [record["op"] for record in Journal.of(staged).read()]


def test_what_was_cut_off_is_made_up_for_and_nothing_else(staged: Path, tmp_path: Path) -> None:
    late = replace(NEXT, point="after_activation", cut_off=True)
    journal = Journal.of(staged)
    assert run(staged, tmp_path, late)["msg"] == "the task seed (after_activation) of api v2 is not run: what made it live came to its end"
    journal.append({"op": "activate", "component": "api", "release": "v2", "run": "run-0", "actor": "", "outcome": "ok", "detail": {}})
    assert run(staged, tmp_path, late, check=True)["changed"]
    assert run(staged, tmp_path, late)["changed"]
    assert run(staged, tmp_path, late)["done"]
    journal.append({"op": "phase", "component": "p1", "release": None, "run": "run-0", "actor": "", "outcome": "ok", "detail": {}})
    assert not run(staged, tmp_path, replace(late, always=True))["changed"], "what has been live for long runs none"


@pytest.mark.parametrize("gives_back", [False, True])
def test_one_that_was_ended_because_another_run_took_the_lock_was_not_done(
    staged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gives_back: bool
) -> None:
    lock = Lock(staged)
    lock.acquire("run-1", {"actor": "ann"}, 60)

    def taken(*_given: object) -> int:
        lock.acquire("run-2", {"actor": "bob"}, 60, break_lock=True)
        if gives_back:
            lock.release("run-2")
        return 0  # which systemd-run says of a service that was stopped

    monkeypatch.setattr(one_off, "_wait", taken)
    with pytest.raises(LeaseLost, match="note that the task seed"):
        run(staged, tmp_path, NEXT)
    ended = [record["outcome"] for record in Journal.of(staged).read() if record["op"] == "task"]
    assert ended == ["started", "failed"]


def test_where_containers_run_it_is_one_of_the_releases_image(staged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = "sha256:" + "a" * 64
    home = tmp_path / "root" / "api" / "releases" / "v2"
    manifest = {"images": {"api": {"reference": "api:v2", "digest": digest}}}
    (home / "release.json").write_text(json.dumps(manifest), encoding="utf-8")
    (staged / "containers").mkdir()
    (staged / "containers" / "api.json").write_text(json.dumps({"stack": "shop", "user": "image", "port": 80}), encoding="utf-8")

    class Docker:
        def digest(self, name: str) -> str:
            return name

    monkeypatch.setattr(container, "Docker", Docker)
    place = tmp_path / "run" / "compose.json"
    container.write_of_release(str(tmp_path / "root"), staged, "api", "v2", tmp_path / "root/api/config/n/env", place)
    (service,) = json.loads(place.read_text(encoding="utf-8"))["services"].values()
    assert (service["image"], service["environment"]["SECRET_KEY"]) == (digest, "hush-hush")
    assert "ports" not in service
    assert place.stat().st_mode & 0o777 == 0o600
