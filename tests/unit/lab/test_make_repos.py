# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "lab" / "bin" / "make-repos"
TAGS = [f"v4.{number}.0" for number in range(19)]
GOOD = ("v4.0.0", "v4.1.0", "v4.10.0", "v4.17.0", "v4.18.0")


def build(output: Path) -> str:
    command = [sys.executable, str(SCRIPT), "--output", str(output), "--only", "sparklio", "comfyui", "tiny"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def git(repo: Path, *arguments: str) -> str:
    return subprocess.run(["git", "--git-dir", str(repo), *arguments], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def repos(tmp_path_factory):
    output = tmp_path_factory.mktemp("lab")
    build(output)
    return output / "repos"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = SourceFileLoader("make_repos", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("make_repos", loader))
    monkeypatch.setitem(sys.modules, "make_repos", module)
    loader.exec_module(module)
    return module


def test_the_tags_are_there_and_main_is_the_newest_good_release(repos):
    assert git(repos / "sparklio.git", "tag", "--sort=version:refname").split() == TAGS
    assert git(repos / "tiny.git", "tag").split() == ["v1.0.0", "v1.1.0"]
    assert git(repos / "comfyui.git", "tag").split() == ["v0.1.0-standin"]
    main, newest = (git(repos / "sparklio.git", "rev-parse", name) for name in ("main", "v4.18.0^{commit}"))
    assert main == newest


def test_the_same_sources_give_the_same_commits(repos, tmp_path):
    assert "sparklio" in build(tmp_path)
    for name in ("sparklio.git", "comfyui.git", "tiny.git"):
        assert git(tmp_path / "repos" / name, "show-ref") == git(repos / name, "show-ref")


def test_what_is_up_to_date_is_left_alone(repos):
    before = (repos / "sparklio.git" / "packed-refs").stat().st_mtime_ns
    assert build(repos.parent) == ""
    assert (repos / "sparklio.git" / "packed-refs").stat().st_mtime_ns == before


@pytest.mark.parametrize("tag", TAGS)
def test_the_version_file_says_the_tag_where_it_should(repos, tag):
    shown = {part: git(repos / "sparklio.git", "show", f"{tag}:{part}/VERSION") for part in ("backend", "frontend")}
    assert shown == {"backend": "v4.1.0" if tag == "v4.3.0" else tag, "frontend": tag}


def test_good_releases_share_their_lock_files(repos):
    for path in ("backend/requirements.lock", "frontend/package-lock.json"):
        assert len({git(repos / "sparklio.git", "rev-parse", f"{tag}:{path}") for tag in GOOD}) == 1


def test_a_lock_file_names_no_address(repos):
    for path in ("backend/requirements.lock", "frontend/package-lock.json"):
        content = git(repos / "sparklio.git", "show", f"v4.10.0:{path}")
        assert "resolved" not in content
        assert "--index-url" not in content


def test_revisions_of_different_releases_are_told_apart(repos):
    """From v4.11.0 on: a database at the revision of one case must not look as if it had been migrated by another."""
    found: dict[str, str] = {}
    for tag in TAGS[11:]:
        listed = git(repos / "sparklio.git", "ls-tree", "--name-only", f"{tag}:backend/migrations/versions").split()
        own = sorted(set(listed) - {"0001_six_tables.py", "0002_feedback.py"})
        assert [name[:4] for name in own] in ([], [f"00{tag.split('.')[1]}"]), tag
        found.update(dict.fromkeys(own, tag))
    assert sorted(found.values()) == ["v4.11.0", "v4.12.0", "v4.13.0", "v4.14.0", "v4.17.0"]


def test_a_text_that_is_not_there_once_is_an_error(script, tmp_path):
    tree = {"a.txt": b"x y x"}
    edit = {"file": "a.txt", "with": "z"}
    assert script.replaced(tree, {**edit, "find": "y"}, tmp_path) == b"x z x"
    with pytest.raises(script.Failure, match=r"occurs 2 times, expected 1"):
        script.replaced(tree, {**edit, "find": "x"}, tmp_path)
    with pytest.raises(script.Failure, match=r"no file 'b.txt'"):
        script.replaced(tree, {**edit, "find": "x", "file": "b.txt"}, tmp_path)


def test_a_missing_environment_is_named_with_the_remedy(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "ROOT", tmp_path)
    with pytest.raises(script.Failure, match="make venv"):
        script.build_model(tmp_path / "models")
