# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets made with the real programs: Redis, rclone, age, SQLite."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import sets as backup_set
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import (
    age as backup_age,
    bucket as backup_bucket,
    redis as backup_redis,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import PartError
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.sets import BackupSetError

from .conftest import Identity, Node, RealRedis, Store


def part_of(made: dict[str, Any], title: str) -> dict[str, Any]:
    found: dict[str, Any] = next(part for part in made["manifest"]["parts"] if f"{part['kind']}:{part['name']}" == title)
    return found


def verified(node: Node, made: dict[str, Any]) -> bool:
    seen = backup_set.verify(node.state, made["name"])
    assert seen["problems"] == []
    return bool(seen["verdict"] == "verified")


def test_redis_saves_while_others_write(redis: RealRedis, node: Node, tmp_path: Path) -> None:
    redis.cli("MSET", "a", "1", "b", "2")
    redis.cli("SET", "soon", "gone", "PX", "1")
    redis.cli("SELECT", "3")
    node.describe(redis=[redis.entry(tmp_path / "password")])
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            redis.cli("RPUSH", "queue", str(number))
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        made = backup_set.make(node.request())
    finally:
        stop.set()
        writer.join()
    facts = part_of(made, "redis:broker")["facts"]
    assert facts["checked"] == "redis-check-rdb"
    assert facts["keys"] - facts["expires"] in (2, 3)
    assert facts["layout"]["appendonly"] == ("yes" if redis.appendonly else "no")
    assert made["manifest"]["tools"]["redis"].split(".")[0].isdigit()
    assert verified(node, made)


def test_the_user_for_backups_may_do_nothing_else(redis: RealRedis, tmp_path: Path) -> None:
    entry = redis.entry(tmp_path / "password")
    redis.cli("SET", "a", "1")
    with backup_redis.Server(entry, 5) as server:
        for words in (("GET", "a"), ("FLUSHALL",), ("CONFIG", "SET", "dir", "/tmp"), ("SHUTDOWN",), ("ACL", "LIST")):
            with pytest.raises(PartError, match="NOPERM"):
                server.ask(*words)
    assert redis.cli("GET", "a") == "1"


def test_a_truncated_rdb_is_unusable(redis: RealRedis, node: Node, tmp_path: Path) -> None:
    redis.cli("SET", "a", "x" * 1000)
    node.describe(redis=[redis.entry(tmp_path / "password")])
    made = backup_set.make(node.request())
    file = Path(made["path"]) / "redis" / "broker.rdb"
    file.write_bytes(file.read_bytes()[:-20])
    problems = backup_set.verify(node.state, made["name"])["problems"]
    assert any("was changed" in problem for problem in problems)
    assert any("is no RDB file that Redis can read back" in problem for problem in problems)


def inodes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_ino for path in folder.rglob("*") if path.is_file()}


def test_an_unchanged_object_costs_nothing_and_the_set_before_never_changes(store: Store, node: Node) -> None:
    node.describe(buckets=[store.entry()])
    first = backup_set.make(node.request(stamp="20260101T000000Z"))
    assert part_of(first, "bucket:assets")["facts"]["objects"] == 3
    store.put("a.txt", "one, changed")
    store.put("new.txt", "four")
    (store.bucket / "deep/b.txt").unlink()
    second = backup_set.make(node.request(stamp="20260102T000000Z"))
    before, now = (inodes(Path(made["path"]) / "buckets/assets") for made in (first, second))
    assert sorted(now) == ["a.txt", "deep/er/ü c\n.txt", "new.txt"]
    assert now["deep/er/ü c\n.txt"] == before["deep/er/ü c\n.txt"]
    assert now["a.txt"] != before["a.txt"]
    assert part_of(second, "bucket:assets")["facts"]["linked"] == 1
    assert (Path(first["path"]) / "buckets/assets/a.txt").read_text() == "one"
    assert verified(node, first)
    assert verified(node, second)


def test_the_same_size_and_time_but_another_content(store: Store, node: Node) -> None:
    node.describe(buckets=[store.entry()])
    backup_set.make(node.request(stamp="20260101T000000Z"))
    state = (store.bucket / "a.txt").stat()
    store.put("a.txt", "two")
    os.utime(store.bucket / "a.txt", ns=(state.st_atime_ns, state.st_mtime_ns))
    second = backup_set.make(node.request(stamp="20260102T000000Z"))
    assert (Path(second["path"]) / "buckets/assets/a.txt").read_text() == "two"


def test_a_damaged_set_is_not_linked_from(store: Store, node: Node) -> None:
    node.describe(buckets=[store.entry()])
    first = backup_set.make(node.request(stamp="20260101T000000Z"))
    (Path(first["path"]) / "buckets/assets/a.txt").write_text("bit rot")
    second = backup_set.make(node.request(stamp="20260102T000000Z"))
    assert (Path(second["path"]) / "buckets/assets/a.txt").read_text() == "one"
    assert verified(node, second)


def test_objects_that_come_and_go_meanwhile(store: Store, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer changes something before each comparison: the set is made all the same, and says how much moved."""
    node.describe(buckets=[store.entry()])
    backup_set.make(node.request(stamp="20260101T000000Z"))
    real = backup_bucket.Bucket.compare
    rounds: list[int] = []

    def busy(bucket: Any, first: str, second: str) -> Any:
        rounds.append(len(rounds))
        store.put("a.txt", f"version {len(rounds)}")
        store.put(f"log/{len(rounds)}", "line")
        return real(bucket, first, second)

    monkeypatch.setattr(backup_bucket.Bucket, "compare", busy)
    made = backup_set.make(node.request(stamp="20260102T000000Z"))
    facts = part_of(made, "bucket:assets")["facts"]
    assert facts["changed_meanwhile"] == 2
    assert len(rounds) == backup_bucket.ROUNDS + 1
    monkeypatch.undo()
    assert verified(node, made)


def test_a_copy_that_is_not_like_the_bucket_fails_the_set(store: Store, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.describe(buckets=[store.entry()])
    real = backup_bucket.Bucket.compare

    def rotten(bucket: Any, first: str, second: str) -> Any:
        (Path(second) / "a.txt").write_text("rotten")
        return real(bucket, first, second)

    monkeypatch.setattr(backup_bucket.Bucket, "compare", rotten)
    with pytest.raises(BackupSetError, match=r"1 objects are not in the set as they are in the bucket, 'a\.txt' among them"):
        backup_set.make(node.request())
    assert backup_set.listed(node.state) == []


def test_a_bucket_that_is_not_there(store: Store, node: Node) -> None:
    node.describe(buckets=[{**store.entry(), "name": "nowhere"}])
    with pytest.raises(BackupSetError, match="Bucket nowhere on alias does not exist, or its key may not list it"):
        backup_set.make(node.request())


def test_an_empty_bucket(store: Store, node: Node) -> None:
    (store.folder / "empty").mkdir()
    node.describe(buckets=[{**store.entry(), "name": "empty"}])
    made = backup_set.make(node.request())
    assert part_of(made, "bucket:empty")["facts"]["objects"] == 0
    assert verified(node, made)


def test_no_key_on_a_command_line_nor_in_a_message(node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "secret"
    secret.write_text("sehr-geheim\n")
    lines: list[Any] = []
    real = subprocess.Popen

    def watched(argv: Any, **more: Any) -> Any:
        lines.append(argv)
        return real(argv, **more)

    monkeypatch.setattr(subprocess, "Popen", watched)
    entry = {"name": "assets", "endpoint": "http://127.0.0.1:1", "access_key_id": "app", "secret_key_file": str(secret)}
    node.describe(buckets=[entry])
    with pytest.raises(BackupSetError, match=r"assets on http://127\.0\.0\.1:1: rclone lsjson ended .*connection refused") as caught:
        backup_set.make(node.request())
    assert "sehr-geheim" not in f"{caught.value} {lines} {caught.value.extra}"
    assert any(argv[0] == "rclone" for argv in lines)


def test_sqlite_while_somebody_writes(node: Node, tmp_path: Path) -> None:
    path = tmp_path / "live.db"
    writing = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    writing.execute("PRAGMA journal_mode=WAL")
    writing.execute("CREATE TABLE pairs (a INTEGER, b INTEGER)")
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            writing.execute("BEGIN")
            writing.execute("INSERT INTO pairs VALUES (?, NULL)", (number,))
            writing.execute("UPDATE pairs SET b = a WHERE a = ?", (number,))
            writing.execute("COMMIT")
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    node.describe(sqlite=[{"name": "live", "path": str(path)}])
    try:
        made = backup_set.make(node.request())
    finally:
        stop.set()
        writer.join()
        writing.close()
    copy = sqlite3.connect(f"file:{made['path']}/sqlite/live.db?mode=ro", uri=True)
    count, half = copy.execute("SELECT count(*), count(*) FILTER (WHERE b IS NULL) FROM pairs").fetchone()
    copy.close()
    assert half == 0, "a whole state, never the middle of a transaction"
    assert part_of(made, "sqlite:live")["facts"]["rows"] == {"pairs": count}
    assert verified(node, made)


def test_an_encrypted_set_opens_with_its_identity_only(
    redis: RealRedis, store: Store, node: Node, identity: Identity, tmp_path: Path
) -> None:
    redis.cli("SET", "a", "1")
    node.describe(encrypt={"recipient": identity.recipient}, redis=[redis.entry(tmp_path / "password")], buckets=[store.entry()])
    made = backup_set.make(node.request())
    path = Path(made["path"])
    assert b"three" not in b"".join(file.read_bytes() for file in path.rglob("*.age"))
    assert {part["path"][-8:] for part in made["manifest"]["parts"]} == {".tar.age"}
    assert verified(node, made)
    assert made["manifest"]["tools"]["age"]
    part = part_of(made, "bucket:assets")
    for text, told in (("", "Give the key that opens it"), ("AGE-SECRET-KEY-1", "malformed secret key")):
        with pytest.raises(PartError, match=told):
            backup_age.decrypt(path, part, tmp_path / f"no{len(text)}", text)
    other = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True).stdout
    with pytest.raises(PartError, match="no identity matched any of the recipients"):
        backup_age.decrypt(path, part, tmp_path / "other", other)
    for number, given in enumerate(({"identity": identity.text}, {"identity_file": str(identity.file)})):
        opened = tmp_path / f"opened{number}"
        opened.mkdir()
        plain = backup_age.decrypt(path, part, opened, **given)
        assert plain["path"] == "buckets/assets"
        assert "encrypted" not in plain
        inside = opened / plain["path"]
        assert {str(file.relative_to(inside)): file.read_text() for file in inside.rglob("*") if file.is_file()} == store.content()
    assert "AGE-SECRET-KEY" not in json.dumps(made["manifest"])


def test_an_encrypted_part_that_was_cut(store: Store, node: Node, identity: Identity, tmp_path: Path) -> None:
    node.describe(encrypt={"recipient": identity.recipient}, buckets=[store.entry()])
    made = backup_set.make(node.request())
    part = part_of(made, "bucket:assets")
    file = Path(made["path"]) / part["path"]
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(PartError, match="bucket:assets cannot be decrypted: age ended with 1"):
        backup_age.decrypt(Path(made["path"]), part, tmp_path / "opened", identity.text)
    assert backup_set.verify(node.state, made["name"])["verdict"].startswith("unusable")
