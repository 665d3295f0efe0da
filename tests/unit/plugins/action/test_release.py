# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of a release: what it asks the node, when it sends an archive, what it refuses by itself."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.plugins.action import ActionBase

from ansible_collections.phasegate.aistack.plugins.action import release


class Node:
    """Stands for the node: notes the calls, and holds what it was sent."""

    def __init__(self, staged: dict[str, str] | None = None) -> None:
        self.staged = staged or {}
        self.calls: list[dict[str, Any]] = []
        self.sent: list[tuple[str, str]] = []

    def module(self, module_name: str, module_args: dict[str, Any], task_vars: Any) -> dict[str, Any]:
        assert module_name == "phasegate.aistack.release"
        self.calls.append(dict(module_args))
        tag = module_args.get("release", "")
        if tag in self.staged:
            return {"changed": False, "present": True, "commit": self.staged[tag]}
        if "archive" not in module_args:
            return {"changed": True, "present": False}
        self.staged[tag] = module_args["commit"]
        return {"changed": True, "present": True, "commit": module_args["commit"]}


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    path = tmp_path / "repo"
    (path / "backend").mkdir(parents=True)
    (path / "backend" / "app.py").write_text("1\n")
    for command in (
        ["init", "--quiet"], ["config", "user.name", "t"], ["config", "user.email", "t@example.com"],
        ["add", "--all"], ["commit", "--quiet", "--message", "one"], ["tag", "v1.0.0"],
    ):
        subprocess.run(["git", *command], cwd=path, check=True, capture_output=True)
    return path


def run(node: Node, monkeypatch: pytest.MonkeyPatch, check: bool = False, **args: Any) -> dict[str, Any]:
    action = release.ActionModule.__new__(release.ActionModule)
    action._task = SimpleNamespace(args=args, check_mode=check, async_val=0, action="phasegate.aistack.release")
    shell = SimpleNamespace(tmpdir="/remote", join_path=lambda *parts: "/".join(parts))
    action._connection = SimpleNamespace(_shell=shell)
    monkeypatch.setattr(ActionBase, "run", lambda self, tmp, task_vars: {})
    monkeypatch.setattr(action, "_execute_module", node.module)
    monkeypatch.setattr(action, "_transfer_file", lambda local, remote: node.sent.append((local, remote)))
    monkeypatch.setattr(action, "_fixup_perms2", lambda paths: None)
    return action.run(task_vars={})


@pytest.fixture
def args(repo: Path, tmp_path: Path) -> dict[str, Any]:
    return {"component": "backend", "release": "v1.0.0", "repo": str(repo), "path": "backend", "mirror_dir": str(tmp_path / "mirrors")}


def test_one_call_and_no_archive_where_it_is_staged(args: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    node = Node({"v1.0.0": "c"})
    assert run(node, monkeypatch, **args)["changed"] is False
    assert len(node.calls) == 1
    assert node.sent == []
    assert not (tmp_path / "mirrors").exists()


def test_it_is_sent_where_it_is_missing(args: dict[str, Any], monkeypatch: pytest.MonkeyPatch, repo: Path) -> None:
    node = Node()
    answer = run(node, monkeypatch, **args)
    commit = subprocess.run(["git", "rev-parse", "v1.0.0"], cwd=repo, check=True, capture_output=True, text=True).stdout.strip()
    assert (answer["changed"], answer["commit"]) == (True, commit)
    assert len(node.calls) == 2
    assert [remote for _local, remote in node.sent] == ["/remote/release.tar.gz"]
    assert node.calls[1]["archive"] == "/remote/release.tar.gz"
    assert len(node.calls[1]["archive_sha256"]) == 64
    assert node.calls[0]["actor"]
    assert "repo" not in node.calls[0], "it may carry a password"


def test_check_mode_asks_once_and_sends_nothing(args: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node()
    answer = run(node, monkeypatch, check=True, **args)
    assert (answer["changed"], answer["present"]) == (True, False)
    assert node.sent == []


def test_check_mode_looks_into_the_tree_of_the_tag(args: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    answer = run(Node(), monkeypatch, check=True, **args, lock="requirements.lock")
    assert answer["failed"]
    assert "has no lock file requirements.lock in backend" in answer["msg"]
    assert not run(Node({"v1.0.0": "c"}), monkeypatch, check=True, **args, lock="requirements.lock").get("failed"), "it is staged"


def test_a_tag_that_is_not_there_costs_no_connection(args: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node()
    answer = run(node, monkeypatch, **{**args, "release": "v1.0.1"})
    assert answer["failed"]
    assert "no tag 'v1.0.1'" in answer["msg"]
    assert node.calls == []


def test_a_tag_of_another_name(args: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node()
    assert run(node, monkeypatch, **{**args, "release": "spring", "ref": "v1.0.0"})["present"] is True
    assert node.calls[1]["release"] == "spring"


def test_a_dirty_checkout_is_refused_unless_it_is_staged_already(args: dict[str, Any], monkeypatch: pytest.MonkeyPatch, repo: Path) -> None:
    (repo / "backend" / "app.py").write_text("2\n")
    node = Node()
    answer = run(node, monkeypatch, **args)
    assert answer["failed"]
    assert "not committed" in answer["msg"]
    assert node.sent == []
    assert not run(Node({"v1.0.0": "c"}), monkeypatch, **args).get("failed")


def test_an_unreachable_repository(args: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    away = {**args, "repo": str(tmp_path / "gone.git")}
    refused = run(Node(), monkeypatch, **away)
    assert refused["failed"]
    assert "cannot be reached" in refused["msg"]
    held = run(Node({"v1.0.0": "c"}), monkeypatch, **away)
    assert not held.get("failed")
    assert "could not be checked" in held["warnings"][0]


def test_other_states_go_straight_to_the_node(args: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node({"v1.0.0": "c"})
    run(node, monkeypatch, component="backend", state="pruned", keep=2)
    assert node.calls[0]["keep"] == 2


def test_an_image_needs_its_dockerfile_or_an_archive_that_is_the_pinned_one(
    args: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    node = Node()
    answer = run(node, monkeypatch, **args, kind="image")
    assert "The release v1.0.0 of backend has no Dockerfile in backend" in answer["msg"]
    packed = tmp_path / "backend-v1.0.0.tar"
    made = {"load": str(tmp_path / "backend-{release}.tar"), "sha256": {"v1.0.0": hashlib.sha256(b"image").hexdigest()}}
    assert f"{packed} on the controller, which is not there" in run(node, monkeypatch, **args, kind="image", image=made)["msg"]
    packed.write_bytes(b"another")
    assert "and that is another one: expected the SHA-256" in run(node, monkeypatch, True, **args, kind="image", image=made)["msg"]
    assert node.sent == []
    packed.write_bytes(b"image")
    assert run(node, monkeypatch, **args, kind="image", image=made)["changed"]
    assert node.sent == [(str(packed), "/remote/image.tar")]
    assert node.calls[-1]["archive_sha256"] == made["sha256"]["v1.0.0"]
    made["sha256"] = {"v0.9.0": "0" * 64}
    answer = run(Node(), monkeypatch, **args, kind="image", image=made)
    assert "image.sha256 has nothing for v1.0.0" in answer["msg"]


def test_without_a_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = run(Node(), monkeypatch, component="backend", release="v1")
    assert answer["failed"]
    assert "needs repo and release" in answer["msg"]


def test_a_python_that_does_not_fit_is_asked_for_again(args: dict[str, Any], monkeypatch: pytest.MonkeyPatch, repo: Path) -> None:
    (repo / "backend/pyproject.toml").write_text('[project]\nname = "api"\nrequires-python = ">=3.12"\n')
    for command in (["add", "--all"], ["commit", "--quiet", "--message", "two"], ["tag", "v1.1.0"]):
        subprocess.run(["git", *command], cwd=repo, check=True, capture_output=True)
    node = Node()
    asked = node.module

    def module(module_name: str, module_args: dict[str, Any], task_vars: Any) -> dict[str, Any]:
        minor = "3.13" if module_args.get("requires_python") else "3.11"
        return {**asked(module_name, module_args, task_vars), "built": {"platform": {"interpreter": {"minor": minor}}}}

    monkeypatch.setattr(node, "module", module)
    assert run(node, monkeypatch, **{**args, "release": "v1.1.0"})["present"]
    assert [call.get("requires_python") for call in node.calls] == [None, ">=3.12", ">=3.12", None], "the last one packs what was built"
    assert node.calls[2]["archive"]
    node.calls.clear()
    assert run(node, monkeypatch, **{**args, "release": "v1.1.0"})["present"]
    assert len(node.calls) == 1, "what is staged is asked for once"
