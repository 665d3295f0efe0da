# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sets that come from elsewhere, and what they say of themselves."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import restore as restore_set, sets as backup_set
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import hash_files
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.sets import BackupSetError
from ansible_collections.phasegate.aistack.plugins.module_utils.core import signature as backup_key


def put_back(node: Any, name: str, *what: str, **more: Any) -> dict[str, Any]:
    base = Path(name).name
    return restore_set.restore(restore_set.Request(node.state, name, node.root, what, min_free=0, lock_wait=1, **more), base)


def refused(node: Any, name: str, *what: str, **more: Any) -> str:
    with pytest.raises(BackupSetError) as caught:
        put_back(node, name, *what, **more)
    assert str(caught.value).startswith("Nothing was restored")
    return str(caught.value)


@pytest.fixture
def extra(node: Any, tmp_path: Path) -> Path:
    """A declared folder with a file."""
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "settings").write_text("old")
    node.describe(files=[str(folder)])
    return folder


def rewritten(path: Path, change: Any) -> None:
    """Change a set's manifest as somebody would who knows how it is made."""
    manifest = json.loads((path / "manifest.json").read_text())
    change(manifest)
    manifest["files"] = {name: one for name, one in hash_files(path).items() if name not in ("manifest.json", "manifest.sig")}
    (path / "manifest.json").write_text(json.dumps(manifest))


def test_the_key_is_made_once_and_is_roots_alone(node: Any, extra: Path) -> None:
    first = backup_set.make(node.request())["name"]
    path = node.state / "backup.key"
    text = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(text.strip()) == 64
    second = backup_set.make(node.request("again"))["name"]
    assert path.read_text() == text
    for name in (first, second):
        assert backup_set.verify(node.state, name)["signature"] == "good"
    assert "backup.key" not in "".join(str(file) for file in (node.state / "backups").rglob("*"))


def test_a_set_that_was_changed_with_its_checksums(node: Any, extra: Path) -> None:
    name = backup_set.make(node.request())["name"]
    path = node.state / "backups" / name
    saved = path / "files/extra" / str(extra / "settings").lstrip("/")
    saved.write_text("of somebody else")
    rewritten(path, lambda manifest: None)
    seen = backup_set.verify(node.state, name)
    assert (seen["verdict"], seen["signature"]) == ("verified", "other")
    told = refused(node, name, "files:extra")
    assert f"was not signed with the key of this node ({node.state}/backup.key): another node made it, or it was changed" in told
    assert f"-e accept_unsigned={name}" in told
    assert (extra / "settings").read_text() == "old"
    refused(node, name, "files:extra", accept_unsigned=["another"])
    put_back(node, name, "files:extra", accept_unsigned=[name])
    assert (extra / "settings").read_text() == "of somebody else"


def test_a_set_of_the_version_before(node: Any, extra: Path) -> None:
    name = backup_set.make(node.request())["name"]
    (node.state / "backups" / name / "manifest.sig").unlink()
    (extra / "settings").write_text("new")
    assert backup_set.verify(node.state, name)["verdict"] == "verified"
    assert "is not signed: a version before made it" in refused(node, name, "files:extra")
    put_back(node, name, "files:extra", accept_unsigned=[name])
    assert (extra / "settings").read_text() == "old"


def test_a_signature_is_of_one_name(node: Any, extra: Path) -> None:
    name = backup_set.make(node.request())["name"]
    other = "20200101T000000Z-daily"
    path = node.state / "backups" / other
    shutil.copytree(node.state / "backups" / name, path)
    assert backup_key.judge(node.state, path) == "other"


def test_a_node_that_lost_its_key(node: Any, extra: Path) -> None:
    name = backup_set.make(node.request())["name"]
    os.rename(node.state / "backup.key", node.state / "away")
    assert "is signed, and this node has no key" in refused(node, name, "files:extra")
    os.rename(node.state / "away", node.state / "backup.key")
    put_back(node, name, "files:extra")


@pytest.mark.parametrize(("mode", "text", "told"), [(0o640, "x" * 64, "is open to others"), (0o600, "short", "has 5 characters, expected")])
def test_a_key_that_is_none(node: Any, extra: Path, mode: int, text: str, told: str) -> None:
    (node.state / "backup.key").write_text(text)
    (node.state / "backup.key").chmod(mode)
    with pytest.raises(BackupSetError, match=f"cannot be signed, the key .* {told}"):
        backup_set.make(node.request())
    assert not list((node.state / "backups").glob("2*"))


def test_a_set_where_others_can_change_it(node: Any, extra: Path, tmp_path: Path) -> None:
    name = backup_set.make(node.request())["name"]
    path = tmp_path / name
    shutil.copytree(node.state / "backups" / name, path)
    path.chmod(0o777)
    assert "can be changed by others than root while it is read" in refused(node, str(path), "files:extra")
    path.chmod(0o700)
    put_back(node, str(path), "files:extra")


def test_a_set_that_says_where_its_files_belong(node: Any, extra: Path, tmp_path: Path) -> None:
    name = backup_set.make(node.request())["name"]
    path = node.state / "backups" / name
    evil = tmp_path / "cron"

    def change(manifest: dict[str, Any]) -> None:
        part = next(one for one in manifest["parts"] if one["name"] == "extra")
        about = dict(next(iter(part["facts"]["sources"].values())))
        (path / part["path"] / str(evil).lstrip("/")).write_text("* * * * * root true")
        part["facts"]["sources"][str(evil).lstrip("/")] = {**about, "source": str(evil)}

    rewritten(path, change)
    told = refused(node, name, "files:extra", accept_unsigned=[name])
    assert f"{evil} is not this part's to write: expected what files in aistack_backup names ({extra})" in told
    assert not evil.exists()


@pytest.mark.parametrize("inside", ["../../etc/passwd", "/etc/passwd"])
def test_a_name_that_leaves_the_set(node: Any, extra: Path, inside: str) -> None:
    name = backup_set.make(node.request())["name"]

    def change(manifest: dict[str, Any]) -> None:
        part = next(one for one in manifest["parts"] if one["name"] == "extra")
        part["facts"]["sources"] = {inside: {**next(iter(part["facts"]["sources"].values())), "link": "x"}}

    rewritten(node.state / "backups" / name, change)
    assert "which is outside of its set" in refused(node, name, "files:extra", accept_unsigned=[name])


@pytest.mark.parametrize(
    ("part", "inside"), [("config", "backend/c1/deeper/env"), ("config", ".ssh/c1/env"), ("credentials", "deeper/x")]
)
def test_parts_of_the_node_itself_have_their_places(node: Any, part: str, inside: str) -> None:
    node.describe()
    name = backup_set.make(node.request())["name"]

    def change(manifest: dict[str, Any]) -> None:
        one = next(entry for entry in manifest["parts"] if entry["name"] == part)
        one["facts"]["sources"] = {inside: {**next(iter(one["facts"]["sources"].values())), "link": "x", "source": "/etc/passwd"}}

    rewritten(node.state / "backups" / name, change)
    assert "is not this part's to write" in refused(node, name, f"files:{part}", accept_unsigned=[name])
