# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is no lock file for us gets one sentence with the command that makes one."""

from __future__ import annotations

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.release import lock_file


@pytest.mark.parametrize(
    ("lock", "kind", "said"),
    [
        ("server/poetry.lock", "python", "poetry export --only main --format requirements.txt -o requirements.lock"),
        ("Pipfile.lock", "python", "pipenv requirements --hash > requirements.lock"),
        ("pyproject.toml", "python", "uv pip compile --universal --generate-hashes --no-header pyproject.toml -o requirements.lock"),
        ("package-lock.json", "python", "or another kind"),
        ("../uv.lock", "python", "leads out of the repository: the component's path is all of it"),
        ("../requirements.lock", "python", "leads out of the component's folder"),
        ("../libs/uv.lock", "python", "leads out of the component's folder"),
        ("/srv/requirements.lock", "python", "leads out of the component's folder"),
        ("yarn.lock", "python", "or another kind"),
        ("bun.lock", "node", "expected package-lock.json, pnpm-lock.yaml or yarn.lock. Make it with npm install --package-lock-only"),
        ("bun.lockb", "static", "npm install --package-lock-only"),
        ("uv.lock", "node", "none that npm, pnpm or Yarn reads"),
    ],
)
def test_what_is_no_lock_file(lock: str, kind: str, said: str) -> None:
    problem = lock_file.problem(lock, kind)
    assert said in problem
    assert "\n" not in problem


@pytest.mark.parametrize(
    ("lock", "kind"),
    [
        ("requirements.lock", "python"), ("requirements.txt", "python"), ("deploy/locked..txt", "python"), ("pylock.toml", "python"),
        ("package-lock.json", "node"), ("npm-shrinkwrap.json", "node"), ("uv.lock", "python"), ("pylock.api.toml", "python"),
        ("pnpm-lock.yaml", "node"), ("yarn.lock", "static"),
    ],
)
def test_what_is_one(lock: str, kind: str) -> None:
    assert lock_file.problem(lock, kind) == ""


@pytest.mark.parametrize(
    ("lock", "kind", "path", "fits"),
    [
        ("../uv.lock", "python", "backend", True), ("../../uv.lock", "python", "apps/api", True), ("../../uv.lock", "python", "api", False),
        ("../pnpm-lock.yaml", "node", "web", True), ("../package-lock.json", "static", "web", True),
        ("../pylock.toml", "python", "api", False),
    ],
)
def test_the_lock_of_a_workspace_lies_above(lock: str, kind: str, path: str, fits: bool) -> None:
    assert (lock_file.problem(lock, kind, path) == "") is fits


@pytest.mark.parametrize(
    ("lock", "kind", "reads"),
    [
        ("../uv.lock", "python", "uv"), ("pylock.toml", "python", "pylock"), ("pylock.api.toml", "python", "pylock"),
        ("requirements.lock", "python", "list"), ("package-lock.json", "node", "npm"), ("../pnpm-lock.yaml", "node", "pnpm"),
        ("yarn.lock", "static", "yarn"),
    ],
)
def test_what_reads_it(lock: str, kind: str, reads: str) -> None:
    assert lock_file.tool(lock, kind) == reads


def test_the_way_to_one_goes_by_what_is_there() -> None:
    said = lock_file.missing("requirements.lock", "python", ["app.py", "pyproject.toml", "uv.lock"])
    assert "uv export" in said
    assert "(lock: uv.lock is there)" in said
    assert "uv lock" in lock_file.missing("../uv.lock", "python", [])
    assert "has yarn.lock: name it as lock" in lock_file.missing("package-lock.json", "node", ["package.json", "yarn.lock"])
    assert "--generate-hashes --no-header requirements.txt -o locked.txt" in lock_file.missing("locked.txt", "python", ["requirements.txt"])
    assert "requirements.in" in lock_file.missing("requirements.lock", "python", [])


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("pyproject.toml", '[project]\ndependencies = [\n  "fastapi",\n]\n', True),
        ("pyproject.toml", "[project]\ndependencies = []\n[tool.ruff]\n", False),
        ("pyproject.toml", "[tool.poetry.dependencies]\npython = '^3.12'\n", True),
        ("requirements.txt", "# none\n\n", False),
        ("requirements-web.txt", "-r base.txt\nflask==3\n", True),
        ("requirements.lock", "flask==3\n", False),
        ("app.py", "dependencies = ['x']", False),
    ],
)
def test_packages_are_wanted(name: str, text: str, wanted: bool) -> None:
    assert lock_file.wanted_by(name, text) is wanted
