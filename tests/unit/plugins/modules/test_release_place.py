# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A release that keeps more of its repository than the component's folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import Layout

from .test_release import Call, Node

FILES = {"srv/api/main.sh": "cat ../../proto/word\n", "proto/word": "word\n"}
ASKED: dict[str, Any] = {"path": "srv/api", "context": ["proto"], "tests": [["sh", "main.sh"]], "test_sandbox": "none"}


@pytest.fixture
def node(tmp_path: Path, call: Call) -> Node:
    return Node(tmp_path, call)


def trees(node: Node) -> list[str]:
    return sorted(path.name for path in (node.path("x").parent / ".trees").iterdir())


def test_the_context_lies_where_it_was(node: Node) -> None:
    done = node.stage("v1", FILES, **ASKED)
    assert done["present"], done
    assert done["manifest"]["tests"][0]["summary"] == "word"
    assert os.readlink(node.path("v1")) == ".trees/v1/srv/api"
    assert sorted(path.name for path in node.path("v1").iterdir()) == ["main.sh", "release.files.json", "release.json"]
    assert (node.path("v1") / ".." / ".." / "proto" / "word").read_text() == "word\n"
    assert node.ask("v1", **ASKED)["changed"] is False
    assert node.info("backend")["components"]["backend"]["releases"]["v1"]["tag"] == "v1"
    assert {path.stat().st_mode & 0o222 for path in node.path("v1").iterdir()} == {0}


def test_a_change_anywhere_in_the_tree_is_seen(node: Node) -> None:
    node.stage("v1", FILES, **ASKED)
    word = node.path("v1").resolve().parents[1] / "proto/word"
    word.chmod(0o644)
    word.write_text("other\n")
    assert "was changed after it was staged: changed proto/word" in node.ask("v1", **ASKED)["msg"]


def test_equal_files_are_shared_and_what_goes_goes_whole(node: Node) -> None:
    big = {**FILES, "proto/big": "x" * 50_000}
    for tag, slot in (("v1", "blue"), ("v2", "green")):
        node.stage(tag, big, **ASKED)
        node.activate(tag, slot)
    first, second = (node.path(tag).resolve().parents[1] / "proto/big" for tag in ("v1", "v2"))
    assert first.stat().st_ino == second.stat().st_ino
    node.stage("v3", big, **ASKED)
    assert node.prune(0)["removed"] == ["v3"]
    assert trees(node) == ["v1", "v2"], "both are in a slot"


def test_what_was_cut_off_is_swept(node: Node) -> None:
    node.stage("v1", FILES, **ASKED)
    node.path("v1").unlink()  # as if it had been killed before the link was made, or after it was removed
    assert Layout(node.root, "backend").strays() == [node.path("x").parent / ".trees/v1"]
    node.stage("v2", FILES, **ASKED)
    assert trees(node) == ["v2"]
    assert node.stage("v1", FILES, **ASKED)["present"]
    assert trees(node) == ["v1", "v2"]


def test_it_is_packed_and_laid_down_as_a_whole(node: Node, tmp_path: Path) -> None:
    node.stage("v1", FILES, **ASKED)
    target = tmp_path / "packed.tar.gz"
    packed = node.ask("v1", state="packed", artefact=str(target))["packed"]
    shutil.rmtree(node.root / "backend/releases/.trees")
    node.path("v1").unlink()
    given = {"artefact": str(target), "artefact_sha256": packed["sha256"], "artefact_key": "k", "artefact_built_on": "one"}
    laid = node.ask("v1", **ASKED, **given)
    assert laid["present"], laid
    assert laid["manifest"]["tree_hash"] == packed["manifest"]["tree_hash"]
    assert os.readlink(node.path("v1")) == ".trees/v1/srv/api"
    assert node.ask("v1", **ASKED)["changed"] is False


def test_a_component_without_context_is_a_folder(node: Node) -> None:
    node.stage("v1", {"main.sh": "true\n"}, path="srv/api", tests=[["sh", "main.sh"]], test_sandbox="none")
    assert not node.path("v1").is_symlink()
    assert not (node.path("v1").parent / ".trees").exists()
