# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets copied to another place by the real rclone, brought back from there after the disk was lost, and removed there in time."""

from __future__ import annotations

import json
import platform
import shutil
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import (
    catalog,
    command as backup_command,
    copies as backup_copy,
    restore as restore_set,
    sets as backup_set,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.plan import stamp_of
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.sets import BackupSetError

from .conftest import Node, Store


@dataclass
class Elsewhere:
    """Another place, which is a folder, and a node with a bucket and a SQLite database."""

    folder: Path
    node: Node
    database: Path

    @property
    def sets(self) -> Path:
        return self.folder / "sets" / platform.node()

    def names(self) -> list[str]:
        return sorted(path.name for path in self.sets.iterdir())

    def insert(self, text: str) -> None:
        connection = sqlite3.connect(self.database)
        with connection:
            connection.execute("CREATE TABLE IF NOT EXISTS notes (text TEXT)")
            connection.execute("INSERT INTO notes VALUES (?)", (text,))
        connection.close()


@pytest.fixture
def elsewhere(node: Node, store: Store, tmp_path: Path) -> Elsewhere:
    here = Elsewhere(tmp_path / "elsewhere", node, tmp_path / "memory.db")
    here.folder.mkdir()
    config = node.state / backup_copy.CONFIG
    config.write_text(f"[offsite]\ntype = alias\nremote = {here.folder}\n")
    config.chmod(0o600)
    here.insert("one")
    node.describe(
        copy={"remote": "offsite", "path": "sets", "keep": {"last": 1, "days": 0}},
        buckets=[store.entry()],
        sqlite=[{"name": "memory", "path": str(here.database)}],
    )
    return here


def test_a_set_comes_back_from_its_copy_after_the_disk_was_lost(elsewhere: Elsewhere) -> None:
    node = elsewhere.node
    made = backup_set.make(node.request())
    done = backup_copy.copy(node.request())
    assert (done["name"], done["changed"], done["removed"]) == (made["name"], True, [])
    assert elsewhere.names() == [made["name"]]
    noted = backup_copy.copied(node.state)
    assert noted
    assert (noted["name"], noted["place"]) == (made["name"], done["place"])
    assert not backup_copy.copy(node.request())["changed"]
    shutil.rmtree(node.state / "backups")
    elsewhere.database.unlink()
    assert backup_copy.fetch(node.request(), made["name"], check=True)["changed"]
    assert backup_copy.fetch(node.request(), made["name"])["changed"]
    assert not backup_copy.fetch(node.request(), made["name"])["changed"]
    path = node.state / "backups" / made["name"]
    assert {file.stat().st_mode & 0o777 for file in path.rglob("*") if file.is_file()} == {0o600}
    seen = catalog.verify(node.state, made["name"])
    assert (seen["problems"], seen["signature"]) == ([], "good")
    restore_set.restore(restore_set.Request(node.state, made["name"], node.root, ["sqlite", "bucket"], min_free=0), made["name"])
    connection = sqlite3.connect(elsewhere.database)
    assert connection.execute("SELECT text FROM notes").fetchall() == [("one",)]
    connection.close()


def test_old_copies_go_and_half_of_one_is_none(elsewhere: Elsewhere) -> None:
    node = elsewhere.node
    names = []
    for days in (3, 2, 1):
        elsewhere.insert(f"{days} days ago")
        names.append(backup_set.make(node.request(stamp=stamp_of(time.time() - days * 86400)))["name"])
        removed = backup_copy.copy(node.request())["removed"]
        assert removed == names[-2:-1]
    assert elsewhere.names() == names[-1:]
    (elsewhere.sets / names[-1] / "manifest.json").unlink()
    shutil.rmtree(node.state / "backups" / names[-1])
    with pytest.raises(BackupSetError, match=rf"there is no copy of {names[-1]} in offsite:sets/.*; the newest there: none"):
        backup_copy.fetch(node.request(), names[-1])


def test_a_copy_that_was_damaged_is_not_kept(elsewhere: Elsewhere) -> None:
    node = elsewhere.node
    name = backup_set.make(node.request())["name"]
    backup_copy.copy(node.request())
    shutil.rmtree(node.state / "backups")
    (elsewhere.sets / name / "sqlite/memory.db").write_bytes(b"x")
    with pytest.raises(BackupSetError, match=r"cannot be used: sqlite/memory.db was changed"):
        backup_copy.fetch(node.request(), name)
    assert not (node.state / "backups" / name).exists()


def test_the_configuration_is_roots_alone(elsewhere: Elsewhere) -> None:
    node = elsewhere.node
    backup_set.make(node.request())
    config = node.state / backup_copy.CONFIG
    config.chmod(0o644)
    with pytest.raises(BackupSetError, match=r"is open to others \(mode 0644\) and has keys. Expected 0600"):
        backup_copy.copy(node.request())
    config.unlink()
    with pytest.raises(BackupSetError, match=r"cannot be read: No such file or directory. Give it as backup_copy_config"):
        backup_copy.copy(node.request())
    node.describe()
    with pytest.raises(BackupSetError, match=r"nobody said where sets are copied to. Name the place as copy in aistack_backup"):
        backup_copy.copy(node.request())
    assert backup_copy.copied(node.state) is None


def test_the_command_copies_and_tells_where_it_fails(elsewhere: Elsewhere, capsys: pytest.CaptureFixture[str]) -> None:
    node = elsewhere.node
    assert backup_command.command(["--reason", "daily"], str(node.state), str(node.root)) == 0
    (name,) = elsewhere.names()
    assert f"copied to offsite:sets/{platform.node()}" in capsys.readouterr().out
    shutil.rmtree(node.state / "backups" / name)
    assert backup_command.command(["--fetch", name, "--json"], str(node.state), str(node.root)) == 0
    assert json.loads(capsys.readouterr().out)["changed"] is True
    (node.state / backup_copy.CONFIG).write_text("")
    assert backup_command.command(["--copy"], str(node.state), str(node.root)) == 1
    assert "The newest set was not copied: copies in offsite:sets/" in capsys.readouterr().err
