# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import shutil
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.release import artefact, tree
from ansible_collections.phasegate.aistack.plugins.module_utils.release.artefact import Artefact, ArtefactRefused
from ansible_collections.phasegate.aistack.plugins.module_utils.release.build import Recipe
from ansible_collections.phasegate.aistack.plugins.module_utils.release.place import Include
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import Layout, ReleaseError


def recipe(tmp_path: Path, **given: Any) -> Recipe:
    settings: dict[str, Any] = {
        "component": "api", "tag": "v1", "kind": "node", "tools": tmp_path / "tools", "cache": tmp_path / "cache", "python": sys.executable,
    }
    return Recipe(**{**settings, **given})


def staged(tmp_path: Path, kind: str = "node") -> Layout:
    """A sealed release with what trees may hold."""
    layout = Layout(tmp_path / "root", "api")
    root = layout.release("v1")
    (root / "empty").mkdir(parents=True)
    (root / "node_modules" / ".bin").mkdir(parents=True)
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "main.js").write_text("1\n")
    os.utime(root / "main.js", (1_700_000_000, 1_700_000_000))
    os.link(root / "main.js", root / "same.js")
    (root / "node_modules" / "tool.js").write_text("2\n")
    (root / "node_modules" / ".bin" / "tool").symlink_to("../tool.js")
    if kind == "python":
        (root / ".venv" / "bin").mkdir(parents=True)
        (root / ".venv" / "bin" / "python").symlink_to(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
        (root / ".venv" / "bin" / "python3").symlink_to("python")
    describe(layout, kind)
    tree.seal(root)
    return layout


def describe(layout: Layout, kind: str = "node", **given: Any) -> None:
    root = layout.release("v1")
    hashes = tree.file_hashes(root)
    manifest = {"tag": "v1", "commit": "c", "component": "api", "kind": kind, "tree_hash": tree.tree_hash(hashes), **given}
    for name, value in (("release.json", manifest), ("release.files.json", hashes)):
        (root / name).unlink(missing_ok=True)
        (root / name).write_text(json.dumps(value))


def lay_down(tmp_path: Path, packed: dict[str, Any], path: Path, **given: Any) -> tuple[dict[str, Any], Path]:
    work = tmp_path / "work"
    if work.exists():
        shutil.rmtree(work)
    work.mkdir()
    return artefact.lay_down(Artefact(path, packed["sha256"], "k", "one"), recipe(tmp_path, **given), "c", work), work


@pytest.mark.parametrize("kind", ["node", "python"])
def test_there_and_back(tmp_path: Path, kind: str) -> None:
    layout = staged(tmp_path, kind)
    packed = artefact.pack(layout, "v1", tmp_path / "a.tar.gz")
    assert artefact.pack(layout, "v1", tmp_path / "b.tar.gz")["sha256"] == packed["sha256"]
    assert packed["size"] == (tmp_path / "a.tar.gz").stat().st_size
    assert (tmp_path / "a.tar.gz").stat().st_mode & 0o077 == 0
    assert packed["bound"] is False
    manifest, work = lay_down(tmp_path, packed, tmp_path / "a.tar.gz", kind=kind)
    assert manifest == packed["manifest"] == layout.manifest("v1")
    tree.seal(work)
    before = layout.release("v1")
    names = {path.relative_to(before) for path in before.rglob("*")} - {Path("release.json"), Path("release.files.json")}
    assert {path.relative_to(work) for path in work.rglob("*")} == names
    for name in names:
        here, there = (before / name).lstat(), (work / name).lstat()
        assert (there.st_mode, there.st_size if name.suffix else 0) == (here.st_mode, here.st_size if name.suffix else 0), name
        if (work / name).is_symlink():
            assert os.readlink(work / name) == os.readlink(before / name)
    assert (work / "main.js").stat().st_mtime == 1_700_000_000, "or two nodes would serve one file under two tags"


def test_what_names_the_root_is_told(tmp_path: Path) -> None:
    layout = staged(tmp_path)
    where = layout.release("v1") / "far.bin"
    where.write_bytes(b"x" * ((1 << 20) - 3) + f"{layout.root}/api/staging".encode())
    assert artefact.pack(layout, "v1", tmp_path / "a.tar.gz")["bound"] is True


def test_what_cannot_be_packed(tmp_path: Path) -> None:
    layout = staged(tmp_path)
    with pytest.raises(ReleaseError, match="not staged"):
        artefact.pack(layout, "v2", tmp_path / "a.tar.gz")
    os.mkfifo(layout.release("v1") / "pipe")
    with pytest.raises(ReleaseError, match="pipe is no file"):
        artefact.pack(layout, "v1", tmp_path / "b.tar.gz")
    (tmp_path / "c.tar.gz").symlink_to(tmp_path / "victim")
    with pytest.raises(ReleaseError, match="File exists"):
        artefact.pack(layout, "v1", tmp_path / "c.tar.gz")


def _file(layout: Layout) -> None:
    (layout.release("v1") / "main.js").unlink()
    (layout.release("v1") / "main.js").write_text("another\n")


def _link(layout: Layout) -> None:
    (layout.release("v1") / "node_modules" / "passwd").symlink_to("/etc/passwd")


def _manifest(layout: Layout) -> None:
    (layout.release("v1") / "release.json").unlink()
    (layout.release("v1") / "release.json").write_text("[1]")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_file, "its files are not those of its release.json"),
        (_link, "node_modules/passwd -> /etc/passwd is not"),
        (_manifest, "its release.json cannot be read"),
        (lambda layout: describe(layout, tag="v2"), "it should be"),
        (lambda layout: describe(layout, commit="d"), "it should be"),
        (lambda layout: describe(layout, component="worker"), "it should be"),
        (lambda layout: describe(layout, "python"), "it should be"),
    ],
)
def test_what_is_not_as_it_was_built_is_refused(tmp_path: Path, change: Any, said: str) -> None:
    layout = staged(tmp_path)
    packed = artefact.pack(layout, "v1", tmp_path / "a.tar.gz")
    change(layout)
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as bundle:
        bundle.add(layout.release("v1"), ".", filter=lambda entry: None if entry.name.endswith("same.js") else entry)
    packed["sha256"] = tree.sha256(tmp_path / "b.tar.gz")
    with pytest.raises(ArtefactRefused, match=r"that one built is refused: ") as refused:
        lay_down(tmp_path, packed, tmp_path / "b.tar.gz")
    assert said in str(refused.value)
    assert refused.value.extra == {"artefact_refused": True}


def test_a_damaged_one_is_refused(tmp_path: Path) -> None:
    packed = artefact.pack(staged(tmp_path), "v1", tmp_path / "a.tar.gz")
    with (tmp_path / "a.tar.gz").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(ArtefactRefused, match="arrived damaged"):
        lay_down(tmp_path, packed, tmp_path / "a.tar.gz")
    assert list((tmp_path / "work").iterdir()) == []


def test_an_interpreter_that_this_node_lacks(tmp_path: Path) -> None:
    layout = staged(tmp_path, "python")
    packed = artefact.pack(layout, "v1", tmp_path / "a.tar.gz")
    with pytest.raises(ArtefactRefused, match="is not a file, folder or link inside the release"):
        lay_down(tmp_path, packed, tmp_path / "a.tar.gz", kind="python", python="/absent/python3")
    shutil.rmtree(layout.release("v1") / ".venv")
    packed = artefact.pack(layout, "v1", tmp_path / "b.tar.gz")
    with pytest.raises(ArtefactRefused, match="interpreter of its environment"):
        lay_down(tmp_path, packed, tmp_path / "b.tar.gz", kind="python")


def test_what_a_build_here_depends_on(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    for name in ("uv", "node"):
        (tmp_path / "tools" / name).write_text(f"#!/bin/sh\necho {name} 1.2\n")
        (tmp_path / "tools" / name).chmod(0o755)
    found = artefact.built(recipe(tmp_path, kind="python"))
    assert found["tools"] == {"uv": "uv 1.2"}
    part = Include("web", "dist", "static", "package-lock.json", (("npm", "run", "build"),))
    assert artefact.built(recipe(tmp_path, kind="python", includes=(part,)))["tools"] == {"uv": "uv 1.2", "node": "node 1.2"}
    assert found["platform"]["interpreter"]["minor"] == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert Path(found["platform"]["interpreter"]["path"]).is_file()
    assert found["platform"]["os"].strip()
    assert artefact.built(recipe(tmp_path))["tools"] == {"node": "node 1.2"}
    assert artefact.built(recipe(tmp_path, kind="python", python="/absent")) == {}
    assert artefact.built(recipe(tmp_path, kind="static")) == {}, "the archive is all there is"
    assert artefact.built(recipe(tmp_path, kind="static", build=[["true"]]))["platform"]
    assert artefact.built(recipe(tmp_path, kind="static", lock="package-lock.json"))["tools"] == {"node": "node 1.2"}


def test_variables_count_where_a_build_sees_them(tmp_path: Path) -> None:
    for build, alike in (([], True), ([["npm", "run", "build"]], False)):
        one, two = (artefact.built(recipe(tmp_path, build=build, build_env={"API": value})) for value in ("s3cret1", "s3cret2"))
        assert (one["variables"] == two["variables"]) is alike
        assert "s3cret" not in str(one)
