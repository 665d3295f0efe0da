# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A frontend that the backend serves: built in the backend's own tree, before it, with stand-ins for npm and uv."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from .test_release import Call, Node

NPM = """#!/bin/sh
case "$1" in
  run) mkdir dist && echo "page of $PUBLIC_URL" > dist/index.html && ln -s index.html dist/same.html ;;
  *) mkdir -p node_modules/left-pad ;;
esac
"""
UV = f"""#!/bin/sh
for last; do :; done
[ "$1" != venv ] || {{ mkdir -p "$last/bin" && ln -s {sys.executable} "$last/bin/python"; }}
"""
FILES = {
    "backend/main.py": "", "backend/static/old.html": "", "frontend/package.json": "{}", "frontend/package-lock.json": "{}",
    "frontend/src/page.ts": "",
}
PART = {"path": "frontend", "output": "dist", "to": "static"}


@pytest.fixture
def node(tmp_path: Path, call: Call) -> Node:
    (tmp_path / "tools").mkdir()
    for name, text in (("npm", NPM), ("uv", UV)):
        (tmp_path / "tools" / name).write_text(text, encoding="utf-8")
        (tmp_path / "tools" / name).chmod(0o755)
    return Node(tmp_path, call)


def stage(node: Node, tag: str, files: dict[str, str] | None = None, **given: Any) -> dict[str, Any]:
    asked = {"kind": "python", "path": "backend", "tools": str(node.tmp / "tools"), "includes": [PART], **given}
    return node.stage(tag, files or FILES, **asked)


def there(node: Node, tag: str) -> list[str]:
    folder = node.path(tag)
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    return sorted(name for name in found if not name.startswith((".venv", "release.", "__pycache__")))


def test_what_a_sibling_builds_is_a_part_of_the_release(node: Node, tmp_path: Path) -> None:
    (tmp_path / "env").write_text('PUBLIC_URL="https://shop"\n', encoding="utf-8")
    build = [["{python}", "-c", "import shutil; shutil.copy('static/index.html', 'seen.html')"]]
    done = stage(node, "v1", build=build, env_file=str(tmp_path / "env"), build_env=["PUBLIC_URL"])
    assert done["present"], done
    assert there(node, "v1") == ["main.py", "seen.html", "static/index.html", "static/same.html"], "in the place of what was there"
    assert (node.path("v1") / "seen.html").read_text(encoding="utf-8") == "page of https://shop\n", "its own build comes behind it"


def test_a_part_inside_of_the_component_leaves_its_packages_behind(node: Node) -> None:
    part = {**PART, "path": "ui", "to": "app/static"}
    done = stage(node, "v1", {"main.py": "", "ui/package-lock.json": "{}"}, path="", includes=[part])
    assert done["present"], done
    assert "app/static/index.html" in there(node, "v1")
    assert not (node.path("v1") / "ui" / "node_modules").exists()


def test_with_a_context_both_keep_their_places(node: Node) -> None:
    done = stage(node, "v1", {**FILES, "shared/a.py": ""}, context=["shared"])
    assert done["present"], done
    assert "static/index.html" in there(node, "v1")
    assert (node.path("v1").resolve().parent / "shared" / "a.py").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"output": "build"}, "its build left no folder build, which output names. Its folders are: dist, src"),
        ({"lock": "yarn.lock"}, "The release v1 of backend has no lock file yarn.lock"),
        ({"build": [["false"]]}, "Building backend v1 failed with exit status 1 (command: false)"),
    ],
)
def test_a_part_that_is_not_made_is_named(node: Node, change: dict[str, Any], said: str) -> None:
    answer = stage(node, "v1", includes=[{**PART, **change}])
    assert answer["failed"]
    assert f"includes, the part of frontend: {said}" in answer["msg"]
    assert not node.path("v1").exists()


def test_a_build_that_leads_out_of_the_tree_takes_nothing_along(node: Node) -> None:
    answer = stage(node, "v1", includes=[{**PART, "build": [["ln", "-s", "/etc", "dist"]]}])
    assert answer["failed"]
    assert "Expected a folder of the release" in answer["msg"]
