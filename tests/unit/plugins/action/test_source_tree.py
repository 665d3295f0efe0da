# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A tag's tree on a node: the controller resolves and packs, the node unpacks, and nobody sees the repository's password."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.action import source_tree
from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc
from ansible_collections.phasegate.aistack.plugins.module_utils.release import mirror

Answer = dict[str, Any]


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    path = tmp_path / "repo"
    path.mkdir()
    (path / "main.py").write_text("1\n")
    for command in (
        ["init", "--quiet"], ["config", "user.name", "t"], ["config", "user.email", "t@example.com"],
        ["add", "--all"], ["commit", "--quiet", "--message", "one"], ["tag", "v1.0.0"],
    ):
        subprocess.run(["git", *command], cwd=path, check=True, capture_output=True)
    return path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Answer]:
    """``run(check=False, **args)``; ``calls`` of the answer is what the node was asked."""

    def act(check: bool = False, **args: Any) -> Answer:
        calls: list[dict[str, Any]] = []

        def module(module_name: str, module_args: dict[str, Any], task_vars: Any) -> Answer:
            assert module_name == "phasegate.aistack.source_tree"
            calls.append(module_args)
            return {"changed": True, "commit": module_args["commit"]}

        action = source_tree.ActionModule.__new__(source_tree.ActionModule)
        action._task = SimpleNamespace(args={"mirror_dir": str(tmp_path / "mirrors"), **args}, check_mode=check, async_val=0)
        action._connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/remote", join_path=lambda *parts: "/".join(parts)))
        monkeypatch.setattr(source_tree.ActionBase, "run", lambda self, tmp, task_vars: {})
        monkeypatch.setattr(action, "_execute_module", module)
        monkeypatch.setattr(action, "_transfer_file", lambda local, remote: None)
        monkeypatch.setattr(action, "_fixup_perms2", lambda paths: None)
        return {**action.run(task_vars={}), "calls": calls}

    return act


def test_it_is_resolved_here_and_unpacked_there(run: Callable[..., Answer], repo: Path) -> None:
    only = run(repo=str(repo), tag="v1.0.0")
    assert (only["calls"], only["changed"]) == ([], False)
    assert run(check=True, repo=str(repo), tag="v1.0.0", dest="/there")["calls"] == []
    brought = run(repo=str(repo), tag="v1.0.0", commit=only["commit"], dest="/there")
    (call,) = brought["calls"]
    assert set(call) == {"tag", "commit", "dest", "archive", "archive_sha256"}, "not the repository, nor a folder of the controller"
    assert call["archive"] == "/remote/tree.tar.gz"


def test_another_commit_is_refused(run: Callable[..., Answer], repo: Path) -> None:
    refused = run(repo=str(repo), tag="v1.0.0", commit="0" * 40, dest="/there")
    assert f"expected commit {'0' * 40}, got" in refused["msg"]
    assert refused["calls"] == []
    assert "There is no tag" in run(repo=str(repo), tag="v2.0.0")["msg"]
    assert "needs repo and tag" in run(tag="v2.0.0")["msg"]


def test_git_gets_the_password_by_its_environment(run: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def git(argv: list[str], _limit: float, **more: Any) -> Any:
        seen.extend(argv)
        assert more["env"]["GIT_CONFIG_VALUE_0"].startswith("Authorization: Basic ")
        return proc.Ended(128, "", "fatal: unable to access 'https://deploy:glpat-SECRET@git.invalid/': refused")

    monkeypatch.setattr(mirror.proc, "finish", git)
    answer = run(repo="https://deploy:glpat-SECRET@git.invalid/comfyui.git", tag="v1.0.0")
    assert "https://git.invalid/comfyui.git" in seen
    assert "SECRET" not in " ".join(seen) + answer["msg"]
