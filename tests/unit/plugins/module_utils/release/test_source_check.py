# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is known of a release before any node is touched, out of a real git repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.release import mirror, source_check

from .test_mirror import Repository

LOCKED = f"x==1 \\\n    --hash=sha256:{'0' * 64}\n"
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 4089\n"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.setenv("HOME", str(tmp_path))  # where the mirrors are
    made = Repository(tmp_path / "repo")
    made.commit({"api/requirements.lock": LOCKED, "api/main.py": "", "web/package.json": "{}", "uv.lock": ""}, "v1.0.0")
    return made


def observe(repository: Repository, tag: str = "v1.0.0", cached: bool = False, **described: Any) -> source_check.Survey:
    component = {"application": "shop", "path": "api", "lock": "requirements.lock", **described}
    return source_check.survey({"api": component}, {"shop": (str(repository.path), tag)}, cached)


def test_nothing_to_say_of_what_fits(repository: Repository) -> None:
    assert observe(repository) == source_check.Survey()
    assert observe(repository, path="web", lock=None, kind="static") == source_check.Survey()


def test_a_tag_that_is_not_there_is_refused_once(repository: Repository) -> None:
    components = {name: {"application": "shop", "path": "api", "lock": "requirements.lock"} for name in ("api", "worker")}
    found = source_check.survey(components, {"shop": (str(repository.path), "v1.0.1")}, False)
    assert len(found.refused) == 1
    assert "There is no tag 'v1.0.1'" in found.refused[0]
    assert "Nearest: v1.0.0" in found.refused[0]


@pytest.mark.parametrize(
    ("described", "said"),
    [
        ({"lock": "locked.txt"}, "The release v1.0.0 of api has no lock file locked.txt in api"),
        ({"lock": "../requirements.lock"}, "leads out of the component's folder"),
        ({"lock": "../../uv.lock"}, "leads out of the repository"),
        ({"path": "web", "lock": "../package-lock.json", "kind": "node"}, "has no lock file ../package-lock.json in web"),
        ({"path": "ap"}, "has no folder ap. Folders there: api, web."),
        ({"path": "web", "lock": None, "kind": "node"}, "has no lock file package-lock.json in web"),
        ({"includes": [{"path": "web"}]}, "The release v1.0.0 of api (includes) has no lock file package-lock.json in web"),
        ({"includes": [{"path": "ui", "lock": "yarn.lock"}]}, "has no folder ui. Folders there: api, web."),
    ],
    ids=["no lock file", "outside", "outside of all", "no workspace", "no folder", "npm's by default", "of a part", "no part"],
)
def test_what_the_tree_lacks_is_a_doubt(repository: Repository, described: dict[str, Any], said: str) -> None:
    found = observe(repository, **described)
    assert found.refused == []
    assert said in found.doubts["api"]


def test_files_that_git_lfs_keeps_are_refused_by_name(repository: Repository) -> None:
    repository.commit({".gitattributes": "*.gguf filter=lfs diff=lfs merge=lfs -text\n", "api/model.gguf": POINTER}, "v1.1.0")
    said = observe(repository, "v1.1.0").doubts["api"]
    assert "api/model.gguf" in said
    assert "Git LFS" in said
    assert observe(repository, "v1.1.0", path="web", lock="", kind="static").doubts == {}, "it is in another folder"


def test_a_text_about_lfs_is_none(repository: Repository) -> None:
    repository.commit({"api/pointer.txt": POINTER}, "v1.2.0")
    assert observe(repository, "v1.2.0").doubts == {}, "nothing in the tree says that LFS keeps anything"


def test_packages_that_nobody_will_install_are_a_warning(repository: Repository) -> None:
    repository.commit({"api/pyproject.toml": "[project]\ndependencies = ['fastapi']\n"}, "v1.1.0")
    assert observe(repository, "v1.1.0").warnings == []
    told = observe(repository, "v1.1.0", lock=None).warnings
    assert len(told) == 1
    assert "api names no lock, so that v1.1.0 gets no packages, although its pyproject.toml lists some" in told[0]


def test_a_work_tree_with_changes_is_said_and_cannot_be_staged(repository: Repository) -> None:
    (repository.path / "api" / "main.py").write_text("print()\n")
    found = observe(repository)
    assert found.warnings == [f"{repository.path} has changes that are not committed, and that v1.0.0 therefore lacks: api/main.py"]
    assert "Commit and tag them" in found.doubts["api"]


def test_a_tag_that_was_fetched_once_is_not_asked_for(repository: Repository) -> None:
    assert observe(repository, cached=True) == source_check.Survey()
    repository.path.rename(repository.path.with_name("moved"))
    assert observe(repository, cached=True) == source_check.Survey()
    away = observe(repository)
    assert away.refused == []
    assert "cannot be reached" in away.doubts["api"]


def test_a_tag_that_was_moved_is_not_judged_by_what_it_was(repository: Repository) -> None:
    assert "no folder site" in observe(repository, cached=True, path="site", lock=None, kind="static").doubts["api"]
    repository.commit({"site/index.html": "hello"})
    repository.git("tag", "--force", "v1.0.0")
    api = {"application": "shop", "path": "api", "lock": "requirements.lock"}
    site = {"application": "shop", "path": "site", "kind": "static"}
    assert source_check.survey({"api": api, "site": site}, {"shop": (str(repository.path), "v1.0.0")}, True) == source_check.Survey()
    assert observe(repository, cached=True, path="site", lock=None, kind="static") == source_check.Survey()


def test_a_folder_for_mirrors_that_cannot_be_made_is_a_doubt(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / ".cache").write_text("in the way")
    found = observe(repository)
    assert found.refused == []
    assert ".cache" in found.doubts["api"]


def test_a_mirror_knows_no_strange_names(repository: Repository) -> None:
    observe(repository)
    assert mirror.Source(str(repository.path)).known("../../HEAD") == ""


def test_nodes_settle_doubts() -> None:
    doubts, hosts = {"api": "no tag", "web": "no tag", "flow": "no lock"}, {"api": ["a", "b"], "web": ["a"], "flow": ["b"]}
    staged = {"releases": {"v1": {}}, "live": None}
    serves = {"releases": {"v0": {}}, "live": {"release": "v0"}}
    there = {"a": {"components": {"api": staged, "web": serves}}, "b": {"components": {"api": staged, "flow": serves}}}
    assert source_check.open_doubts(doubts, hosts, there, "v1") == ["no tag", "no lock"]
    assert source_check.open_doubts(doubts, hosts, there) == ["no tag"], "api is staged, and not live"
    assert source_check.open_doubts({"flow": "x"}, hosts, {"a": {}}, "v1") == [], "its host is not in this run"
    assert source_check.open_doubts({"api": "x"}, hosts, {"a": {"failed": True}}, "v1") == ["x"]


def test_a_lock_without_hashes_is_known_before_anything_is_staged(repository: Repository) -> None:
    hand = "# by hand\nfastapi==0.115.0\nuvicorn==0.30.0\n"
    repository.commit({"api/requirements.lock": hand, "api/requirements.in": "fastapi\n"}, "v1.1.0")
    said = observe(repository, "v1.1.0").doubts["api"]
    assert "requirements.lock in api" in said
    assert "fastapi==0.115.0 and 1 more" in said
    assert "uv pip compile --universal --generate-hashes --no-header requirements.in -o requirements.lock" in said


def test_the_way_names_another_file_where_the_list_is_its_own_source(repository: Repository) -> None:
    repository.commit({"api/requirements.txt": "fastapi==0.115.0\n"}, "v1.1.0")
    said = observe(repository, "v1.1.0", lock="requirements.txt").doubts["api"]
    assert "uv pip compile --universal --generate-hashes --no-header requirements.txt -o requirements.lock" in said
    assert "lock: requirements.lock" in said


def test_a_lock_without_alembic_is_known_before_anything_is_built(repository: Repository) -> None:
    repository.commit({"api/requirements.lock": LOCKED, "api/requirements.in": "x\n"}, "v1.1.0")
    said = observe(repository, "v1.1.0", migrations={"config": "alembic.ini"}).doubts["api"]
    assert "The lock file requirements.lock in api of api v1.1.0" in said
    assert "does not name alembic" in said
    assert "aistack_components.api.migrations" in said
    assert "uv pip compile --universal --generate-hashes --no-header requirements.in -o requirements.lock" in said
    assert "does not name alembic" in observe(repository, "v1.1.0", migrations={}).doubts["api"], "all as by default"
    assert observe(repository, "v1.1.0").doubts == {}, "nothing migrates"


@pytest.mark.parametrize(
    "line", ["alembic==1.16.0", "Alembic[tz]==1.16.0", "-r more.lock", "./wheels/own.whl", "own @ https://example.org/own.whl"]
)
def test_a_lock_that_has_alembic_or_may_have_it_is_taken(repository: Repository, line: str) -> None:
    repository.commit({"api/requirements.lock": f"{LOCKED}{line} \\\n    --hash=sha256:{'1' * 64}\n    # via x\n"}, "v1.1.0")
    assert observe(repository, "v1.1.0", migrations={"config": "alembic.ini"}).doubts == {}


def test_a_lock_of_another_kind_needs_no_alembic(repository: Repository) -> None:
    repository.commit({"web/package-lock.json": "{}"}, "v1.1.0")
    assert observe(repository, "v1.1.0", path="web", lock=None, kind="node", migrations={"config": "alembic.ini"}).doubts == {}


LOCK = """version = 1
requires-python = ">=3.12"

[[package]]
name = "api"
version = "0.1.0"
source = { virtual = "api" }
dependencies = [
    { name = "six" },
]

[package.metadata]
requires-dist = [{ name = "six", specifier = ">=1" }]

[[package]]
name = "six"
version = "1.17.0"
source = { registry = "https://packages.example.org/simple" }
"""
PROJECT = """[project]
name = "API"
requires-python = ">=3.11"
dependencies = [
    "six>=1",  # "not" this
]
"""


def test_a_uv_lock_that_is_older_than_its_project_is_known_before_anything_is_staged(repository: Repository) -> None:
    repository.commit({"uv.lock": LOCK, "api/pyproject.toml": PROJECT}, "v1.1.0")
    assert observe(repository, "v1.1.0", lock="../uv.lock") == source_check.Survey()
    assert "does not name alembic" in observe(repository, "v1.1.0", lock="../uv.lock", migrations={}).doubts["api"]
    repository.commit({"api/pyproject.toml": PROJECT.replace('"six>=1",', '"six>=1", "Some.Thing[x]>=2",')}, "v1.3.0")
    said = observe(repository, "v1.3.0", lock="../uv.lock").doubts["api"]
    assert "The lock file ../uv.lock of api v1.3.0" in said
    assert "asks for some-thing: the lock was made before. Lock it (uv lock)" in said


def test_the_python_of_a_release_is_its_projects_word(repository: Repository) -> None:
    repository.commit({"uv.lock": LOCK, "api/pyproject.toml": PROJECT}, "v1.1.0")
    repository.commit({"api/pyproject.toml": "[project]\nname = 'api'\n", "api/pylock.toml": 'requires-python = ">=3.13"\n'}, "v1.2.0")

    def said(tag: str, lock: str) -> str:
        source = mirror.Source(str(repository.path), "api", lock=lock)
        return source_check.requires_python(source, tag, source.resolve(tag), lock)

    assert said("v1.1.0", "../uv.lock") == ">=3.11"
    assert said("v1.2.0", "../uv.lock") == ">=3.12"
    assert said("v1.2.0", "pylock.toml") == ">=3.13"
    assert said("v1.0.0", "requirements.lock") == ""
