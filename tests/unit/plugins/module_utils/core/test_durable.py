# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files are there whole or not at all, closed from the first byte on, and one file of the collection sees to that."""

from __future__ import annotations

import ast
import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core import durable

PLUGINS = Path(durable.__file__).parents[2]

RENAMES = {
    "module_utils/core/durable.py": "the one place",
    "module_utils/backup/parts/place.py": "within and between folders that are held open, since somebody else owns what is above them",
    "module_utils/backup/parts/age.py": "out of a folder that goes with the block; the whole part is brought to disk where it is put back",
    "module_utils/release/artefact_store.py": "a cache: what is lost with the power is built again",
    "module_utils/release/build.py": "inside a tree that is being built, and is brought to disk as a whole",
    "module_utils/release/next_site.py": "inside a tree that is being built, and is brought to disk as a whole",
    "module_utils/release/tree.py": "inside a tree that is being built; and what is removed is hidden first",
}
"""Files that rename something themselves, and why."""


def renames(source: str) -> list[int]:
    """Lines that rename a file: of os, of shutil, or of a path."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name, of = node.func.attr, node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            given = len(node.args) + len(node.keywords)
            dated = any(keyword.arg in ("tzinfo", "microsecond") for keyword in node.keywords)
            replaces = name == "replace" and not dated and (of == "os" or given == 1)
            if replaces or name in ("rename", "renames") or (of, name) == ("shutil", "move"):
                found.append(node.lineno)
    return found


def test_nobody_else_renames_a_file_into_its_place() -> None:
    found = {path.relative_to(PLUGINS).as_posix() for path in sorted(PLUGINS.rglob("*.py")) if renames(path.read_text(encoding="utf-8"))}
    assert found == set(RENAMES)


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("os.rename(a, b)", [1]),
        ("\nos.replace(a, b)", [2]),
        ("a.rename(b)", [1]),
        ("(folder / name).replace(target)", [1]),
        ("shutil.move(a, b)", [1]),
        ("text.replace('a', 'b')", []),
        ("replace(state, port=1)", []),
        ("now.replace(tzinfo=utc)", []),
    ],
)
def test_a_rename_is_seen(source: str, lines: list[int]) -> None:
    assert renames(source) == lines


def test_a_file_is_closed_until_it_is_whole_and_has_its_mode_then(tmp_path: Path) -> None:
    path = tmp_path / "env"
    before = os.umask(0o077)
    try:
        with durable.replacing(path, 0o644) as out:
            out.write(b"half")
            out.flush()
            (beside,) = tmp_path.iterdir()
            assert (beside.name[:5], stat.S_IMODE(beside.stat().st_mode)) == (".env.", 0o600)
            out.write(b" and half")
    finally:
        os.umask(before)
    assert list(tmp_path.iterdir()) == [path]
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"half and half", 0o644)


def test_what_fails_leaves_what_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "env"
    durable.write_file(path, "before", 0o600)

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            durable.write_file(path, "after", 0o600)
    wrong: Any = "er"  # no bytes
    with contextlib.suppress(TypeError), durable.replacing(path, 0o600) as out:
        out.write(b"aft")
        out.write(wrong)
    assert {entry.name: entry.read_text() for entry in tmp_path.iterdir()} == {"env": "before"}


def test_a_link_in_its_place_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("theirs")
    (tmp_path / "manifest").symlink_to("elsewhere")
    durable.write_file(tmp_path / "manifest", "ours", 0o444)
    assert not (tmp_path / "manifest").is_symlink()
    assert (tmp_path / "elsewhere").read_text() == "theirs"


@pytest.mark.parametrize(
    ("how", "synced"),
    [({}, ["file", "folder"]), ({"named": False}, ["file"]), ({"lasting": False}, [])],
)
def test_what_reaches_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: dict[str, bool], synced: list[str]) -> None:
    seen: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda handle: seen.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file"))
    durable.write_file(tmp_path / "deep" / "file", "x", 0o600, **how)
    assert seen == synced


def test_a_link_is_the_former_one_or_the_new_one(tmp_path: Path) -> None:
    link = tmp_path / "live"
    (tmp_path / f".live.{os.getpid()}").write_text("of a dead process")
    for target in ("blue", "green"):
        durable.replace_link(link, target)
        assert os.readlink(link) == target
    assert [entry.name for entry in tmp_path.iterdir()] == ["live"]
    durable.move(link, tmp_path / "former")
    assert [entry.name for entry in tmp_path.iterdir()] == ["former"]
    with pytest.raises(FileNotFoundError):
        durable.move(link, tmp_path / "former")
