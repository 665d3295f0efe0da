# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import os
import subprocess
import sys
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


def _bundle(*members: tarfile.TarInfo) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as bundle:
        for info in members:
            data = b"text" if info.type == tarfile.REGTYPE else b""
            info.size = len(data)
            bundle.addfile(info, io.BytesIO(data))
    return raw.getvalue()


LINK, FOLDER = tarfile.SYMTYPE, tarfile.DIRTYPE
WAYS_OUT = {
    "below a link that leaves by its real path": [
        member("a/y/z", FOLDER), member("a/y/z/s", LINK, "../../.."), member("t", LINK, "a/y/z/s/.."), member("t/evil"),
    ],
    "a link that leaves by its real path, first": [member("t", LINK, "a/s/.."), member("a/s", LINK, "../b/.."), member("b", FOLDER)],
    "below a link that stays inside": [member("d", FOLDER), member("l", LINK, "d"), member("l/f")],
    "below a link that comes later": [member("l/f"), member("l", LINK, "d")],
    "below a file": [member("f"), member("f/g")],
    "a file over a link": [member("l", LINK, "f"), member("l")],
    "a file over a file": [member("f"), member("./f")],
    "a link over a folder": [member("d", FOLDER), member("d", LINK, "e")],
    "a folder over a link": [member("d", LINK, "e"), member("d", FOLDER)],
    "up": [member("../evil")],
    "up, inside by its text": [member("d", FOLDER), member("d/../evil")],
    "absolute": [member("/evil")],
    "a link to an absolute place": [member("l", LINK, "/evil")],
    "a hard link": [member("f"), member("h", tarfile.LNKTYPE, "f")],
    "a device": [member("dev", tarfile.CHRTYPE)],
    "a pipe": [member("pipe", tarfile.FIFOTYPE)],
    "two lines": [member("a\nb")],
    "a goal of two lines": [member("l", LINK, "a\nb")],
    "no name": [member(".")],
}


@pytest.mark.parametrize("members", WAYS_OUT.values(), ids=WAYS_OUT.keys())
@pytest.mark.parametrize("filtered", [True, False], ids=["", "without the filter of newer Pythons"])
def test_no_archive_leads_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, members: list[tarfile.TarInfo], filtered: bool
) -> None:
    if not filtered:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    target = tmp_path / "1" / "2" / "t"
    target.mkdir(parents=True)
    (tmp_path / "a.tar").write_bytes(_bundle(*members))
    with pytest.raises(ValueError, match="inside the release"):
        tree.unpack(tmp_path / "a.tar", target)
    assert [path for path in tmp_path.rglob("evil") if path.is_file()] == []


def test_a_mode_that_changes_the_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    for mode in (0o4755, 0o2755, 0o1755):
        info = member("su")
        info.mode = mode
        (tmp_path / "a.tar").write_bytes(_bundle(info))
        with pytest.raises(ValueError, match="inside the release"):
            tree.unpack(tmp_path / "a.tar", tmp_path / "t")


def test_what_lies_on_disk_already_is_not_followed(tmp_path: Path) -> None:
    for name, infos in (("d", [member("d/evil")]), ("evil", [member("evil")]), ("l", [member("l", FOLDER)])):
        target = tmp_path / name
        target.mkdir()
        (target / name).symlink_to(tmp_path / "there")
        (tmp_path / "there").mkdir(exist_ok=True)
        (tmp_path / "a.tar").write_bytes(_bundle(*infos))
        with pytest.raises(ValueError, match="inside the release"):
            tree.unpack(tmp_path / "a.tar", target)
    assert list((tmp_path / "there").iterdir()) == []


def test_links_that_stay_inside(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "python3.11").touch()
    (tmp_path / "python3").symlink_to("python3.11")
    python = str(tmp_path / "python3")
    infos = [
        member("l", LINK, "d/f"), member("d/up", LINK, "../l"), member("d/f"), member("d/self", LINK, "."),
        member("later", LINK, "made/by/build"), member("bin", LINK, python), member("by", LINK, "bin"),
    ]
    (tmp_path / "a.tar").write_bytes(_bundle(*infos))
    tree.unpack(tmp_path / "a.tar", tmp_path / "t", goals=(f"{python}.11",))
    assert (tmp_path / "t/d/up").read_text() == "text"
    assert os.readlink(tmp_path / "t/later") == "made/by/build"
    assert os.readlink(tmp_path / "t/bin") == python
    for away in (f"{python}.11/../other", str(tmp_path), str(tmp_path / "t/d/f")):
        (tmp_path / "away").mkdir(exist_ok=True)
        (tmp_path / "a.tar").write_bytes(_bundle(member(f"l{len(away)}", LINK, away)))
        with pytest.raises(ValueError, match="leads elsewhere"):
            tree.unpack(tmp_path / "a.tar", tmp_path / "away", goals=(f"{python}.11",))


def test_an_archive_that_was_cut_short(tmp_path: Path) -> None:
    whole = archive(tmp_path / "a.tgz", [member(f"f{number}") for number in range(9)]).read_bytes()
    plain = _bundle(*[member(f"f{number}") for number in range(9)])
    for number, data in enumerate((whole[: len(whole) // 2], plain[:514], b"no archive")):
        target = tmp_path / str(number)
        target.mkdir()
        (tmp_path / "cut").write_bytes(data)
        with pytest.raises(ValueError, match="no whole archive"):
            tree.unpack(tmp_path / "cut", target)


HAND_MADE = """
import pathlib, sys, tarfile
if hasattr(tarfile, "data_filter"):
    del tarfile.data_filter
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import controller_plan
from ansible_collections.phasegate.aistack.plugins.module_utils.release import mirror, tree
repo, work = sys.argv[1:]
source = mirror.Source(repo, "", work + "/mirrors")
archive = source.archive("v1", source.resolve("v1"))
target = pathlib.Path(work, "deep", "er", "t")
target.mkdir(parents=True)
try:
    tree.unpack(archive.path, target)
except ValueError as error:
    print("refused", error)
try:
    controller_plan.checkout(controller_plan.Origin(repo, "", mirror_dir=work + "/mirrors", plan_dir=work + "/deep/er/plan"), "v1")
except controller_plan.Unavailable as error:
    print("planned", error)
print("escaped", [str(path) for path in pathlib.Path(work).rglob("evil") if target not in path.resolve().parents])
"""


def _git(repo: Path, *argv: str, text: str = "") -> str:
    return subprocess.run(["git", *argv], cwd=repo, input=text, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("python", [sys.executable, *filter(os.path.exists, ["/usr/bin/python3"])])
def test_a_tag_made_by_hand_writes_nowhere_else(tmp_path: Path, python: str) -> None:
    """A tree that holds a name twice, as a link and as a folder; no work tree could, but git stores, fetches and archives it."""
    repo = tmp_path / "repo"
    repo.mkdir()
    _git(repo, "init", "--quiet")
    evil = _git(repo, "hash-object", "-w", "--stdin", text="evil\n")
    up, there = (_git(repo, "hash-object", "-w", "--stdin", text=goal) for goal in ("../../..", "a/y/z/s/.."))
    made = _git(repo, "mktree", text=f"120000 blob {up}\ts\n")
    for name in ("z", "y"):
        made = _git(repo, "mktree", text=f"040000 tree {made}\t{name}\n")
    below = _git(repo, "mktree", text=f"100644 blob {evil}\tevil\n")
    root = _git(repo, "mktree", text=f"040000 tree {made}\ta\n120000 blob {there}\tt\n040000 tree {below}\tt\n")
    names = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    _git(repo, "tag", "v1", _git(repo, *names, "commit-tree", "-m", "one", root))
    (tmp_path / "work").mkdir()
    found = subprocess.run(
        [python, "-c", HAND_MADE, str(repo), str(tmp_path / "work")],
        env={**os.environ, "PYTHONPATH": str(Path(tree.__file__).parents[6])},
        capture_output=True, text=True, check=False,
    )
    assert "escaped []" in found.stdout, found.stdout + found.stderr
    assert "refused t" in found.stdout
    assert "planned the archive of v1 cannot be unpacked: t" in found.stdout
