# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import (
    base as backup_part,
    bucket as backup_bucket,
    files as backup_files,
    sqlite as backup_sqlite,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import PartError
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.bucket import Bucket
from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc

Program = Callable[[str, str], Path]


def bucket(tmp_path: Path, **more: Any) -> Bucket:
    secret = tmp_path / "secret"
    secret.write_text("sehr-geheim\n")
    return Bucket({"name": "assets", "endpoint": "10.0.0.1:9000", "access_key_id": "app", "secret_key_file": str(secret), **more}, 5)


def test_rclone_is_configured_by_its_environment(tmp_path: Path) -> None:
    assert bucket(tmp_path, region="eu", ca_file="/ca.pem", options={"provider": "Ceph", "acl": "private"}).environment() == {
        "RCLONE_CONFIG": "/dev/null",
        "RCLONE_CONFIG_BUCKET_TYPE": "s3",
        "RCLONE_CONFIG_BUCKET_PROVIDER": "Ceph",
        "RCLONE_CONFIG_BUCKET_NO_CHECK_BUCKET": "true",
        "RCLONE_CONFIG_BUCKET_REGION": "eu",
        "RCLONE_CONFIG_BUCKET_ENDPOINT": "http://10.0.0.1:9000",
        "RCLONE_CONFIG_BUCKET_ACCESS_KEY_ID": "app",
        "RCLONE_CONFIG_BUCKET_SECRET_ACCESS_KEY": "sehr-geheim",
        "RCLONE_CONFIG_BUCKET_ACL": "private",
        "RCLONE_CA_CERT": "/ca.pem",
    }


def test_a_key_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PartError, match=r"Bucket assets on 10\.0\.0\.1:9000: its secret key cannot be read from /nowhere"):
        bucket(tmp_path, secret_key_file="/nowhere").environment()


def test_what_rclone_says_without_the_key(tmp_path: Path, program: Program) -> None:
    program("rclone", 'echo "denied for $RCLONE_CONFIG_BUCKET_SECRET_ACCESS_KEY" >&2; exit 5')
    with pytest.raises(PartError, match=r"rclone copy ended with 5: denied for \*\*\*\*"):
        bucket(tmp_path).rclone("copy", "a", "b")


def test_rclone_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_part, "PATH", str(tmp_path))
    with pytest.raises(PartError, match=r"rclone is not on this node. Install Debian's package rclone"):
        bucket(tmp_path).listing()


def test_rclone_that_does_not_end(tmp_path: Path, program: Program) -> None:
    program("rclone", f"sleep 30 & echo $! > {tmp_path}/pid; wait")
    one = bucket(tmp_path)
    one._timeout = 0.3
    began = time.monotonic()
    with pytest.raises(PartError, match=r"rclone lsjson did not end within 0.3 s and was ended"):
        one.listing()
    assert time.monotonic() - began < 10
    while proc.alive(int((tmp_path / "pid").read_text()), None):  # the kernel is still at what it started
        assert time.monotonic() - began < 10
        time.sleep(0.01)


def test_objects_without_a_checksum_are_compared_by_reading(tmp_path: Path, program: Program) -> None:
    program(
        "rclone",
        'case "$*" in *--download*) echo "* big"; exit 1 ;;'
        ' *) echo "= big"; echo "NOTICE: 1 hashes could not be checked" >&2 ;; esac',
    )
    assert bucket(tmp_path).compare("a", "b").changed == ["big"]


def test_what_a_comparison_says(tmp_path: Path, program: Program) -> None:
    program("rclone", 'printf "= same\\n* changed\\n+ only there\\n- only here\\n"; exit 1')
    seen = bucket(tmp_path).compare("a", "b")
    assert (seen.same, seen.changed, seen.only_first, seen.only_second) == (1, ["changed"], ["only there"], ["only here"])
    assert seen.names == ["changed", "only here", "only there"]


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ('echo "! broken"; exit 1', "1 objects could not be read, broken among them"),
        ('echo "directory not found" >&2; exit 1', "rclone check ended with 1: directory not found"),
    ],
)
def test_a_comparison_that_failed(tmp_path: Path, program: Program, script: str, told: str) -> None:
    program("rclone", script)
    with pytest.raises(PartError, match=told):
        bucket(tmp_path).compare("a", "b")


@pytest.mark.parametrize(
    ("name", "file"),
    [("plain/ü.txt", "plain/ü.txt"), ("we ird␊nl", "we ird\nnl"), ("quoted ‛␊", "quoted ␊"), ("del␡", "del\x7f"), ("␀", "␀")],
)
def test_names_on_disk(name: str, file: str) -> None:
    assert backup_bucket.disk_name(name) == file


def test_sqlite_copy_stands_alone(tmp_path: Path) -> None:
    source = tmp_path / "live.db"
    writing = sqlite3.connect(source, isolation_level=None)
    writing.execute("PRAGMA journal_mode=WAL")
    writing.execute('CREATE TABLE "od""d" (a)')
    writing.execute("INSERT INTO \"od\"\"d\" VALUES (1)")
    saved = backup_sqlite.job({"name": "live", "path": str(source)}).save(tmp_path / "set")
    writing.close()
    assert sorted(path.name for path in (tmp_path / "set" / "sqlite").iterdir()) == ["live.db"]
    assert saved.facts["rows"] == {'od"d': 1}
    assert (tmp_path / "set/sqlite/live.db").stat().st_mode & 0o777 == 0o600
    part = {"path": "sqlite/live.db", "facts": saved.facts}
    assert backup_sqlite.verify(tmp_path / "set", part) == []
    other = {"path": "sqlite/live.db", "facts": {"rows": {'od"d': 2, "gone": 1}}}
    assert [problem.partition(": ")[2] for problem in backup_sqlite.verify(tmp_path / "set", other)] == [
        "table gone has no rows, expected 1",
        'table od"d has 1 rows, expected 2',
    ]


def test_a_sqlite_database_that_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (a)")
    connection.execute("CREATE INDEX i ON t (a)")
    connection.execute("INSERT INTO t VALUES (1)")
    connection.commit()
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_master SET sql = 'CREATE INDEX i ON t (a) WHERE a > 5' WHERE name = 'i'")
    connection.commit()
    connection.close()
    with pytest.raises(PartError, match=r"x\.db is damaged: .*index i"):
        backup_sqlite.job({"name": "x", "path": str(path)}).save(tmp_path / "set")
    (tmp_path / "no.db").write_text("this is no database at all, only a text that is long enough to be looked at")
    with pytest.raises(PartError, match="file is not a database"):
        backup_sqlite.observe(tmp_path / "no.db")


def test_a_sqlite_database_that_somebody_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_sqlite, "BUSY", 0.2)
    path = tmp_path / "x.db"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("CREATE TABLE t (a)")
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(PartError, match="database is locked"):
        backup_sqlite.job({"name": "x", "path": str(path)}).save(tmp_path / "set")
    holder.close()


def test_a_component_description_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "components").mkdir()
    (tmp_path / "components" / "backend.json").write_text("{")
    with pytest.raises(PartError, match=r"backend.json cannot be read .* Deploying writes it again"):
        backup_files.components(tmp_path, tmp_path / "root")


def test_components_by_description_and_by_their_slots(node: Any, tmp_path: Path) -> None:
    (node.state / "components").mkdir()
    (node.state / "components" / "worker.json").write_text('{"component": "worker", "source": "backend", "root": "/srv/other"}')
    found = [(one.name, str(one.root), one.source) for one in backup_files.components(node.state, node.root)]
    assert found == [("backend", str(node.root), "backend"), ("worker", "/srv/other", "backend")]
    assert backup_files.configurations(backup_files.components(node.state, node.root)[0]) == ["c0", "c1"]


def test_a_socket_cannot_be_kept(node: Any) -> None:
    os.mkfifo(node.root / "pipe")
    node.describe(files=[str(node.root / "backend" / "config"), str(node.root / "pipe")])
    with pytest.raises(PartError, match=r"pipe is declared for the backup set and is not there"):
        backup_files.jobs(node.description, node.state, [])[-1].size()
    (node.root / "folder").mkdir()
    os.mkfifo(node.root / "folder" / "pipe")
    job = backup_files.jobs({"files": [str(node.root / "folder")]}, node.state, [])[-1]
    with pytest.raises(PartError, match="is neither a file nor a link"):
        job.save(node.root / "set")


def test_what_components_write_is_kept_while_they_write(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that goes meanwhile, a socket, a folder that is not there yet, and a database that SQLite saves, stop no set."""
    data = node.root / "uploads"
    (data / "2026").mkdir(parents=True)
    os.mkfifo(data / "pipe")
    for name in ("a", "app.db", "app.db-wal", "2026/b"):
        (data / name).write_text(name)
    (data / "link").symlink_to("a")
    described = {"writable": [str(data), str(node.root / "later")], "sqlite": [{"name": "app", "path": str(data / "app.db")}]}
    job = backup_files.jobs(described, node.state, [])[-1]
    assert (job.kind, job.name) == ("files", "writable")
    real = backup_files._written
    gone = [data / "2026" / "b.part", data / "2025" / "c"]
    monkeypatch.setattr(backup_files, "_written", lambda *given: [*real(*given), *(gone if given[0] == data else [])])
    job.size()
    assert [name.rpartition("uploads/")[2] for name in job.save(node.root / "set").facts["sources"]] == ["2026/b", "a", "link"]


def test_what_root_saves_is_what_was_listed(node: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Who owns a folder may exchange a name in it for a link to a file of root's while the set is made."""
    data, secret = node.root / "uploads", tmp_path / "shadow"
    (data / "in").mkdir(parents=True)
    (data / "in" / "a").write_text("a")
    secret.write_text("root's alone")
    for owned in (data, data / "in"):
        os.chown(owned, 65534, 65534) if os.geteuid() == 0 else owned.chmod(0o777)
    (data / "in" / "a").unlink()
    (data / "in" / "a").symlink_to(secret)
    monkeypatch.setattr(backup_files, "_written", lambda folder, described: [data / "in" / "a"])
    kept = backup_files.jobs({"writable": [str(data)]}, node.state, [])[-1].save(node.root / "set").facts["sources"]
    assert [about["link"] for about in kept.values()] == [str(secret)]
    os.rename(data / "in", data / "was")
    (data / "in").symlink_to(tmp_path)
    monkeypatch.setattr(backup_files, "_written", lambda folder, described: [data / "in" / "shadow"])
    with pytest.raises(PartError, match="in on the way there is a link"):
        backup_files.jobs({"writable": [str(data)]}, node.state, [])[-1].save(node.root / "set2")


def test_closed_to_others_and_hashed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o755)
    (tmp_path / "a" / "x").write_text("x")
    (tmp_path / "a" / "x").chmod(0o666)
    (tmp_path / "a" / "y").write_text("y")
    (tmp_path / "a" / "link").symlink_to("x")
    backup_part.close_to_others(tmp_path)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "a" / "x").stat().st_mode) == 0o600
    known = {"a/x": {"sha256": "known", "bytes": 1}, "a/y": {"sha256": "of another size", "bytes": 2}}
    found = backup_part.hash_files(tmp_path, "a", known)
    assert list(found) == ["a/x", "a/y"]
    assert found["a/x"] == {"sha256": "known", "bytes": 1}
    assert found["a/y"]["sha256"].startswith("a1fce4363854ff888cff4b8e7875d600")
    assert list(backup_part.hash_files(tmp_path, "a/y")) == ["a/y"]


def test_a_daemon_that_a_program_leaves_behind_holds_nobody_up() -> None:
    began = time.monotonic()
    ended = backup_part.run_tool(["sh", "-c", "setsid sleep 300 & echo $!"], 30)
    with pytest.raises(PartError, match="did not end within 3 s"):
        backup_part.run_tool(["sh", "-c", "setsid sleep 300 & sleep 300"], 3)
    assert time.monotonic() - began < 25
    while proc.alive(int(ended.stdout), None) and time.monotonic() < began + 40:
        time.sleep(0.05)
    assert not proc.alive(int(ended.stdout), None)
