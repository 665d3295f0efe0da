# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which of a node's interpreters a release is made with; each is a script that tells a version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.release import interpreters, node_python, sandbox
from ansible_collections.phasegate.aistack.plugins.module_utils.release.build import Recipe
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import ReleaseError


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node with Python 3.9, 3.11 and 3.12; python3 is the second."""
    place = tmp_path / "bin"
    place.mkdir()
    for name, version in (("python3.9", "3.9"), ("python3.11", "3.11"), ("python3.12", "3.12"), ("python3", "3.11")):
        (place / name).write_text(f"#!/bin/sh\necho {version}\n")
        (place / name).chmod(0o755)
    monkeypatch.setattr(node_python, "PLACES", (str(place),))
    monkeypatch.setattr(sandbox, "PATH", f"{place}:/usr/bin:/bin")
    return place


def recipe(tmp_path: Path, **given: Any) -> Recipe:
    return Recipe(**{"component": "api", "tag": "v1", "kind": "python", "tools": tmp_path, "cache": tmp_path, **given})


@pytest.mark.parametrize(
    ("asked", "requires", "chosen"),
    [
        ("python3", "", "python3"),
        ("python3", ">=3.9", "python3"),
        ("python3", ">=3.12", "python3.12"),
        ("python3", "<3.11", "python3.9"),
        ("python3", ">=3.8,!=3.11.0,<3.13", "python3"),
        ("python3", ">=3.9,!=3.11.*", "python3.12"),
        ("3.12", "", "python3.12"),
        ("3.12", ">=3.12", "python3.12"),
        ("3.99", "", "3.99"),
    ],
)
def test_the_usual_one_where_it_fits_else_the_newest(node: Path, tmp_path: Path, asked: str, requires: str, chosen: str) -> None:
    found = interpreters.settled(recipe(tmp_path, python=asked, requires=requires), tmp_path)
    assert found.python in (chosen, str(node / chosen))


@pytest.mark.parametrize(("asked", "requires"), [("python3", ">=3.13"), ("3.9", ">=3.12"), ("python3", "==3.10.*")])
def test_a_python_that_nobody_has_is_refused_before_anything_is_built(node: Path, tmp_path: Path, asked: str, requires: str) -> None:
    with pytest.raises(ReleaseError) as refused:
        interpreters.settled(recipe(tmp_path, python=asked, requires=requires), tmp_path)
    said = str(refused.value)
    assert f"api v1 runs on Python {requires} (requires-python), and " in said
    assert f"Found: {node}/python3.11, {node}/python3.12, {node}/python3.9." in said
    assert "nothing was built, nothing is marked" in said
    assert "aistack_components.api.python" in said
    assert refused.value.extra == {"step": "interpreter"}


def test_one_that_is_yet_to_be_brought_is_taken_in_check_mode(node: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "python" / "0123" / "python" / "bin" / "python3")
    made = recipe(tmp_path, python=path, requires=">=3.13")
    assert interpreters.settled(made, tmp_path, check=True).brought
    assert not interpreters.settled(made, tmp_path).brought, "it has to be there by then, and is refused by name when it is not"


def test_files_have_no_interpreter(tmp_path: Path) -> None:
    assert interpreters.settled(recipe(tmp_path, kind="static", requires=">=9"), tmp_path).python == "python3"
