# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.release import tree


def make(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


FILES = {"app/main.py": "x = 1\n", "app/other.py": "y = 2\n", "run.sh": "#!/bin/sh\n"}


def test_the_hash_covers_path_content_and_executable(tmp_path: Path) -> None:
    root = make(tmp_path / "a", FILES)
    before = tree.tree_hash(tree.file_hashes(root))
    assert before == tree.tree_hash(tree.file_hashes(make(tmp_path / "b", FILES)))
    seen = {before}
    for change in (
        lambda: (root / "run.sh").chmod(0o755),
        lambda: (root / "app/main.py").write_text("x = 2\n"),
        lambda: (root / "app/main.py").rename(root / "app/renamed.py"),
        lambda: (root / "link").symlink_to("run.sh"),
    ):
        change()
        seen.add(tree.tree_hash(tree.file_hashes(root)))
    assert len(seen) == 5


def test_the_hash_leaves_out_what_is_installed_compiled_or_our_own(tmp_path: Path) -> None:
    root = make(tmp_path / "a", FILES)
    before = tree.file_hashes(root)
    make(root, {".venv/lib/x.py": "", "node_modules/y/index.js": "", "app/__pycache__/main.pyc": "", "release.json": "{}"})
    (root / "app/main.py").chmod(0o444)
    assert tree.file_hashes(root) == before


def test_differences_are_named() -> None:
    assert tree.differences({"a": "1", "b": "1"}, {"a": "2", "c": "1"}) == ["changed a", "missing b", "added c"]


def test_sealing(tmp_path: Path) -> None:
    root = make(tmp_path / "a", FILES)
    (root / "run.sh").chmod(0o700)
    (root / "app/main.py").chmod(0o600)
    (root / "link").symlink_to("/etc/hostname")
    tree.seal(root)
    assert (root / "run.sh").stat().st_mode & 0o777 == 0o555
    assert (root / "app/main.py").stat().st_mode & 0o777 == 0o444
    assert (root / "app").stat().st_mode & 0o777 == 0o755


def test_equal_files_are_shared_and_others_are_not(tmp_path: Path) -> None:
    old = make(tmp_path / "old", {**FILES, "big": "z" * 100_000, "empty": ""})
    new = make(tmp_path / "new", {**FILES, "big": "z" * 100_000, "empty": "", "app/main.py": "x = 9\n", "added": "a"})
    (old / "app/other.py").chmod(0o755)
    tree.seal(old)
    tree.seal(new)
    before = tree.file_hashes(new)
    shared = tree.link_identical(new, old)
    assert shared >= 100_000
    assert (new / "big").stat().st_ino == (old / "big").stat().st_ino
    assert (new / "app/main.py").stat().st_ino != (old / "app/main.py").stat().st_ino
    assert (new / "app/other.py").stat().st_ino != (old / "app/other.py").stat().st_ino, "the mode differs"
    assert tree.file_hashes(new) == before
    total, fresh = tree.usage(new, old)
    assert total - fresh >= 100_000
    assert tree.usage(new) == (total, total)
    assert not list(new.rglob(".*.link"))


def test_removing_the_old_leaves_the_new(tmp_path: Path) -> None:
    old = make(tmp_path / "old", {"big": "z" * 9000})
    new = make(tmp_path / "new", {"big": "z" * 9000})
    tree.seal(old)
    tree.seal(new)
    tree.link_identical(new, old)
    tree.remove(old)
    assert not old.exists()
    assert (new / "big").read_text() == "z" * 9000
    assert os.listdir(tmp_path) == ["new"]
    tree.remove(old)


def archive(path: Path, members: list[tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w:gz") as bundle:
        for member in members:
            data = b"text" if member.isfile() else b""
            member.size = len(data)
            bundle.addfile(member, io.BytesIO(data))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    return info


def test_unpacking(tmp_path: Path) -> None:
    target = tmp_path / "t"
    target.mkdir()
    bundle = archive(tmp_path / "a.tgz", [member("d", tarfile.DIRTYPE), member("d/f"), member("l", tarfile.SYMTYPE, "d/f")])
    tree.unpack(bundle, target)
    assert (target / "l").read_text() == "text"


@pytest.mark.parametrize(
    "bad",
    [
        member("../evil"),
        member("/etc/evil"),
        member("a/../../evil"),
        member("l", tarfile.SYMTYPE, "../../etc/passwd"),
        member("l", tarfile.SYMTYPE, "/etc/passwd"),
        member("h", tarfile.LNKTYPE, "/etc/passwd"),
        member("dev", tarfile.CHRTYPE),
    ],
    ids=lambda info: f"{info.name}->{info.linkname}",
)
def test_nothing_lands_or_points_outside(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    target = tmp_path / "in" / "t"
    target.mkdir(parents=True)
    with pytest.raises(ValueError, match="inside the release"):
        tree.unpack(archive(tmp_path / "a.tgz", [bad]), target)
    assert not (tmp_path / "in" / "evil").exists()
    assert not (tmp_path / "evil").exists()


def test_removing_hides_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "set" / "deep").mkdir(parents=True)
    monkeypatch.setattr("shutil.rmtree", lambda path: None)
    tree.remove(tmp_path / "set")
    assert [path.name for path in tmp_path.iterdir()] == [f".removing-set-{os.getpid()}"]
    tree.remove(tmp_path / "nothing")
