# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets put back with the real programs: what comes back, what is kept, what is refused, and what happens when it is interrupted."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import restore as restore_set, sets as backup_set
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import redis_restore as restore_redis, restore as restore_part
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.sets import BackupSetError
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import UnitError
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal

from .conftest import Identity, Node, RealRedis, Store

FORK = multiprocessing.get_context("fork")


class Units:
    """What systemd would do."""

    def __init__(self, redis: RealRedis | None) -> None:
        self.redis = redis

    def start(self, unit: str) -> None:
        assert unit == "redis-server.service"
        assert self.redis
        self.redis.start()

    def stop(self, unit: str) -> bool:
        assert self.redis
        self.redis.stop()
        return True


def ask(node: Node, name: str, *what: str, redis: RealRedis | None = None, **more: Any) -> restore_set.Request:
    return restore_set.Request(node.state, name, node.root, what, min_free=0, lock_wait=1, manager=Units(redis), run="run-2", **more)


def put_back(node: Node, name: str, *what: str, **more: Any) -> dict[str, Any]:
    return restore_set.restore(ask(node, name, *what, **more), name)


def refused(node: Node, name: str, *what: str, confirm: str | None = None, **more: Any) -> BackupSetError:
    with pytest.raises(BackupSetError) as caught:
        restore_set.restore(ask(node, name, *what, **more), name if confirm is None else confirm)
    assert "Nothing was restored" in str(caught.value)
    return caught.value


@pytest.fixture
def broker(redis: RealRedis, node: Node, tmp_path: Path) -> str:
    """A set with the keys a, b and one that lives on; since then a was changed, b removed, c added."""
    redis.cli("MSET", "a", "1", "b", "2")
    redis.cli("SET", "lives", "on", "EX", "1000")
    redis.cli("SELECT", "0")
    node.describe(redis=[redis.entry(tmp_path / "password")])
    made = backup_set.make(node.request())
    redis.cli("SET", "a", "changed")
    redis.cli("DEL", "b")
    redis.cli("SET", "c", "new")
    redis.cli("SET", "d", "new")
    return str(made["name"])


def test_redis_comes_back_and_what_it_had_is_kept(redis: RealRedis, node: Node, broker: str) -> None:
    planned = restore_set.plan(ask(node, broker, "redis"))
    assert planned["parts"][0]["counts"] == {"keys_now": 4, "keys_then": 3}
    assert "its 4 keys are replaced by 3 of the set; what was written since is lost" in planned["lines"][0]
    assert redis.cli("GET", "a") == "changed", "a plan changes nothing"
    done = put_back(node, broker, "redis", redis=redis)["done"]["redis:broker"]
    assert [redis.cli("GET", key) for key in ("a", "b", "c")] == ["1", "2", ""]
    assert int(redis.cli("TTL", "lives")) > 0
    assert done["keys"] == 3
    kept = Path(done["replaced"])
    assert sorted(path.name for path in kept.iterdir()) == (["appendonlydir", "dump.rdb"] if redis.appendonly else ["dump.rdb"])
    assert kept.stat().st_mode & 0o077 == 0
    assert not (redis.data / restore_redis.NEW).exists()
    redis.cli("SET", "after", "1")
    redis.stop()
    redis.start()
    if redis.appendonly:
        assert redis.cli("GET", "after") == "1", "what is written afterwards goes into the new append-only file"
    assert redis.cli("GET", "b") == "2"
    note = restore_part.replaced(node.state)[0]
    assert (note["part"], note["set"], note["paths"]) == ("redis:broker", broker, [str(kept)])
    record = Journal.of(node.state).read()[-1]
    assert (record["op"], record["outcome"], record["detail"]["set"]) == ("restore", "ok", broker)


def test_redis_that_does_not_run_any_more(redis: RealRedis, node: Node, broker: str) -> None:
    redis.stop()
    (redis.data / "dump.rdb").write_bytes(b"garbage")
    planned = restore_set.plan(ask(node, broker, "redis"))
    assert "does not answer" in planned["lines"][0]
    put_back(node, broker, "redis", redis=redis)
    assert redis.cli("GET", "b") == "2"


def test_redis_gets_its_files_back_when_it_does_not_come_up(
    redis: RealRedis, node: Node, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = redis.start
    starts: list[int] = []

    def broken() -> None:
        starts.append(1)
        if len(starts) == 1:
            raise UnitError("systemd could not start redis-server.service: no", ["systemctl"], 1, "no")
        real()

    monkeypatch.setattr(redis, "start", broken)
    with pytest.raises(BackupSetError, match=r"It has its old files again and was started. Not put back: redis:broker") as caught:
        put_back(node, broker, "redis", redis=redis)
    assert caught.value.extra["done"] == {}
    monkeypatch.undo()
    if redis.appendonly:
        assert redis.cli("GET", "c") == "new"
    assert not list(redis.data.glob("replaced-*"))
    assert restore_part.replaced(node.state) == []
    assert Journal.of(node.state).read()[-1]["outcome"] == "failed"


def test_redis_that_reads_back_less_is_not_accepted(redis: RealRedis, node: Node, broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = restore_redis.backup_redis.check

    def more(path: Path) -> dict[str, Any]:
        return {**real(path), **({"keys": 99} if str(path).startswith("/proc/") else {})}

    monkeypatch.setattr(restore_redis.backup_redis, "check", more)
    with pytest.raises(BackupSetError, match="did not read back what the set holds: expected 99 keys, got 3"):
        put_back(node, broker, "redis", redis=redis)
    if redis.appendonly:
        assert redis.cli("GET", "c") == "new", "the old files serve"


def kill_at_rename(function: Callable[[], Any], count: int) -> None:
    """Run something in another process and kill that at its so manieth rename from one open folder into another."""

    def body() -> None:
        real = os.rename
        calls: list[int] = []

        def die(source: Any, target: Any, **where: int) -> None:
            if where.get("src_dir_fd") != where.get("dst_dir_fd"):
                calls.append(1)
                if len(calls) == count:
                    os.kill(os.getpid(), signal.SIGKILL)
            real(source, target, **where)

        os.rename = die
        function()

    child = FORK.Process(target=body)
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL


class Gone:
    """Units of a run that is going to be killed: the server stops, and nobody starts it."""

    def __init__(self, redis: RealRedis) -> None:
        self.redis = redis

    def start(self, unit: str) -> None:
        return

    def stop(self, unit: str) -> bool:
        assert self.redis.child
        os.kill(self.redis.child.pid, signal.SIGTERM)
        for _attempt in range(200):
            if not self.redis.cli("PING"):
                break
            time.sleep(0.02)
        return True


@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_a_killed_restore_of_redis_is_finished_by_running_it_again(redis: RealRedis, node: Node, broker: str, call: int) -> None:
    request = restore_set.Request(node.state, broker, node.root, ["redis"], min_free=0, manager=Gone(redis))
    renames = 4 if redis.appendonly else 2
    kill_at_rename(lambda: restore_set.restore(request, broker), min(call, renames))
    redis.stop()
    put_back(node, broker, "redis", redis=redis)
    assert [redis.cli("GET", key) for key in ("a", "b", "c")] == ["1", "2", ""]
    outcomes = [record["outcome"] for record in Journal.of(node.state).read() if record["op"] == "restore"]
    assert outcomes == ["started", "started", "ok"]


def test_redis_that_was_taken_over_exchanges_what_root_prepares(
    redis: RealRedis, node: Node, broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "shadow"
    victim.write_text("root's")
    victim.chmod(0o600)
    new = redis.data / restore_redis.NEW
    real = os.fsync

    def fsync(handle: int) -> None:
        real(handle)
        if new.exists() and not (redis.data / "away").exists():
            os.rename(new, redis.data / "away")
            new.mkdir(mode=0o777)
            for name in ("dump.rdb", "appendonlydir"):
                (new / name).symlink_to(victim)

    monkeypatch.setattr(os, "fsync", fsync)
    with contextlib.suppress(BackupSetError):  # refused or not, what counts is who was written to
        put_back(node, broker, "redis", redis=redis)
    state = victim.stat()
    assert (victim.read_text(), state.st_mode & 0o777, state.st_uid) == ("root's", 0o600, os.geteuid())
    assert redis.cli("PING") == "PONG"


@pytest.mark.parametrize("said", [{"dir": "/etc"}, {"dbfilename": "../../etc/passwd"}, {"appenddirname": "/etc"}])
def test_names_that_redis_says_are_not_believed(
    redis: RealRedis, node: Node, broker: str, said: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = restore_redis.Server.layout
    monkeypatch.setattr(restore_redis.Server, "layout", lambda self: {**real(self), **said})
    told = "its folder is /etc, expected" if "dir" in said else "expected plain names of files"
    assert told in str(refused(node, broker, "redis", redis=redis))
    assert redis.cli("GET", "c") == "new"


@pytest.fixture
def objects(store: Store, node: Node) -> str:
    """A set of the bucket; since then one object was changed, one removed, one added."""
    node.describe(buckets=[store.entry()])
    made = backup_set.make(node.request())
    store.put("a.txt", "changed")
    store.put("new/n.txt", "new")
    (store.bucket / "deep/b.txt").unlink()
    return str(made["name"])


def test_a_bucket_comes_back_and_what_it_had_is_kept(store: Store, node: Node, objects: str) -> None:
    before = store.content()
    planned = restore_set.plan(ask(node, objects, "bucket"))
    assert planned["parts"][0]["counts"] == {"replaced": 1, "removed": 1, "returned": 1, "same": 1}
    assert any("1 objects that came since are removed: new/n.txt" in line for line in planned["lines"])
    assert store.content() == before
    done = put_back(node, objects, "bucket:assets")["done"]["bucket:assets"]
    assert store.content() == {"a.txt": "one", "deep/b.txt": "two", "deep/er/ü c\n.txt": "three"}
    kept = Path(done["kept"])
    saved = {str(path.relative_to(kept)): path.read_text() for path in kept.rglob("*") if path.is_file()}
    assert saved == {"a.txt": "changed", "new/n.txt": "new"}
    assert kept.stat().st_mode & 0o077 == 0
    again = put_back(node, objects, "bucket")["done"]["bucket:assets"]
    assert (again["replaced"], again["removed"], again["returned"], again["kept"]) == (0, 0, 0, "")
    assert restore_set.plan(ask(node, objects, "bucket"))["changed"] is False


def test_what_comes_into_a_bucket_meanwhile_stays(store: Store, node: Node, objects: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.bucket_restore import BucketRestore

    real = BucketRestore._keep

    def busy(self: Any, names: Any) -> str:
        store.put("arrives.txt", "now")
        return real(self, names)

    monkeypatch.setattr(BucketRestore, "_keep", busy)
    put_back(node, objects, "bucket")
    assert store.content()["arrives.txt"] == "now"
    assert store.content()["a.txt"] == "one"


def test_a_bucket_is_not_touched_where_what_it_has_cannot_be_saved(store: Store, node: Node, objects: str) -> None:
    before = store.content()
    with pytest.raises(BackupSetError, match="bytes free"):
        restore_set.restore(restore_set.Request(node.state, objects, node.root, ["bucket"], min_free=1 << 60), objects)
    assert store.content() == before


def test_a_sqlite_database_in_use_comes_back(node: Node, tmp_path: Path) -> None:
    path = tmp_path / "live.db"
    live = sqlite3.connect(path, isolation_level=None)
    live.execute("PRAGMA journal_mode=WAL")
    live.execute("CREATE TABLE notes (text TEXT)")
    live.executemany("INSERT INTO notes VALUES (?)", [("old",), ("older",)])
    node.describe(sqlite=[{"name": "memory", "path": str(path)}])
    name = backup_set.make(node.request())["name"]
    live.execute("INSERT INTO notes VALUES ('new')")
    live.execute("CREATE TABLE more (x)")
    live.execute("INSERT INTO more VALUES (1)")
    planned = restore_set.plan(ask(node, name))
    assert planned["parts"][0]["counts"] == {"rows_now": 4, "rows_then": 2, "rows_fewer": 2}
    assert any("table more has 1 rows now, no such table in the set" in line for line in planned["lines"])
    done = put_back(node, name)["done"]["sqlite:memory"]
    assert live.execute("SELECT text FROM notes ORDER BY text").fetchall() == [("old",), ("older",)], "the open connection sees it"
    assert restore_set.plan(ask(node, name))["changed"] is False
    live.execute("UPDATE notes SET text = 'odd' WHERE text = 'old'")
    assert restore_set.plan(ask(node, name))["changed"] is True, "the same number of rows is not the same"
    live.execute("UPDATE notes SET text = 'old' WHERE text = 'odd'")
    kept = sqlite3.connect(done["kept"])
    assert kept.execute("SELECT count(*) FROM notes").fetchone() == (3,)
    kept.close()
    live.close()
    path.write_bytes(b"garbage" * 1000)
    done = put_back(node, name)["done"]["sqlite:memory"]
    assert done["rows"] == {"notes": 2}
    assert Path(done["kept"]).read_bytes().startswith(b"garbage")
    path.unlink()
    assert "comes back with 2 rows" in restore_set.plan(ask(node, name))["lines"][0]
    assert put_back(node, name)["done"]["sqlite:memory"]["rows"] == {"notes": 2}


@pytest.fixture
def configured(node: Node) -> str:
    """A set with the environment of a slotted component, credentials and a declared file."""
    config = node.root / "backend" / "config" / "c1"
    config.mkdir(parents=True)
    (config / "env").write_text('KEY="old"\n')
    (config / "env").chmod(0o640)
    (node.root / "backend/slots/blue").mkdir(parents=True)
    (node.root / "backend/slots/blue/config").symlink_to("../../config/c1")
    (node.root / "backend/slots/blue/release").symlink_to("../../releases/v1")
    (node.state / "credentials").mkdir()
    (node.state / "credentials/x").write_text("secret")
    extra = node.root / "extra"
    extra.mkdir()
    (extra / "file").write_text("as it was")
    (extra / "link").symlink_to("file")
    node.describe(files=[str(extra)])
    return str(backup_set.make(node.request())["name"])


def test_an_environment_comes_back(node: Node, configured: str) -> None:
    env = node.root / "backend/config/c1/env"
    env.write_text('KEY="tampered"\n')
    planned = restore_set.plan(ask(node, configured))
    assert [part["part"] for part in planned["parts"]] == ["files:config"], "the rest only by its name"
    done = put_back(node, configured, "env")["done"]["files:config"]
    assert done["replaced"] == [str(env)]
    assert env.read_text() == 'KEY="old"\n'
    assert env.stat().st_mode & 0o777 == 0o640
    assert (Path(done["kept"]) / "backend/c1/env").read_text() == 'KEY="tampered"\n'
    assert put_back(node, configured, "env")["done"]["files:config"] == {"replaced": [], "returned": [], "kept": ""}
    env.unlink()
    env.parent.rmdir()
    assert put_back(node, configured, "env")["done"]["files:config"]["returned"] == [str(env)]
    assert env.read_text() == 'KEY="old"\n'


def test_declared_files_and_credentials_by_name(node: Node, configured: str) -> None:
    extra = node.root / "extra"
    (extra / "file").write_text("changed")
    (extra / "link").unlink()
    (extra / "link").symlink_to("elsewhere")
    (node.state / "credentials/x").unlink()
    put_back(node, configured, "files:extra", "files:credentials")
    assert (extra / "file").read_text() == "as it was"
    assert os.readlink(extra / "link") == "file"
    assert (node.state / "credentials/x").read_text() == "secret"
    (extra / "file").unlink()
    (extra / "file").mkdir()
    with pytest.raises(BackupSetError, match="is a folder now; expected a file"):
        put_back(node, configured, "files:extra")


def test_what_components_wrote_comes_back_to_whose_it_was(node: Node) -> None:
    """Without being named, as the database that speaks of it does; what was written since stays."""
    data = node.root / "uploads"
    (data / "2026").mkdir(parents=True, mode=0o700)
    (data / "2026" / "a.png").write_text("then")
    if os.geteuid() == 0:
        for path in (data, data / "2026", data / "2026" / "a.png"):
            os.chown(path, 1234, 1235)
    node.describe(writable=[str(data)])
    name = str(backup_set.make(node.request())["name"])
    (data / "2026" / "a.png").unlink()
    (data / "2026").rmdir()
    (data / "new.png").write_text("since")
    planned = {part["part"]: part["lines"] for part in restore_set.plan(ask(node, name))["parts"]}
    assert planned["files:writable"] == [f"files:writable: 1 files come back: {data}/2026/a.png"]
    put_back(node, name)
    assert (data / "2026" / "a.png").read_text() == "then"
    assert (data / "new.png").read_text() == "since"
    around, owner = data.stat(), (data / "2026").stat()
    assert (owner.st_uid, owner.st_gid, owner.st_mode) == (around.st_uid, around.st_gid, around.st_mode)
    node.describe(writable=[])
    assert "expected what 'writable' of this node's components names (nothing)" in str(refused(node, name, "files:writable"))


@pytest.mark.parametrize(("part", "told"), [("files:state", "the journal only grows"), ("releases", "a release is staged, never restored")])
def test_evidence_is_never_put_back(node: Node, configured: str, part: str, told: str) -> None:
    assert told in str(refused(node, configured, part))


def test_consent_is_the_name_of_the_set(node: Node, configured: str) -> None:
    env = node.root / "backend/config/c1/env"
    env.write_text("changed")
    for confirm in ("", "yes", configured.lower()):
        problem = refused(node, configured, confirm=confirm)
        assert problem.extra["refused"] is True
        assert f"Expected -e confirm={configured}" in str(problem)
    assert env.read_text() == "changed"
    assert restore_set.restore(ask(node, configured), configured, check=True)["done"] == {}
    assert env.read_text() == "changed"
    assert "restore" not in [record["op"] for record in Journal.of(node.state).read()]


def test_refusals(node: Node, configured: str) -> None:
    assert f"the set {configured} has no redis, postgres:x; it has: files:config" in str(refused(node, configured, "redis", "postgres:x"))
    with pytest.raises(BackupSetError, match="There is no backup set"):
        restore_set.plan(ask(node, "20200101T000000Z-daily"))
    described = json.loads((node.state / "backup.json").read_text())
    node.describe(**{**described, "stack": "other"})
    assert "is of the stack 'lab', this node is of 'other'" in str(refused(node, configured))
    node.describe(**described)
    with backup_set.only_one(node.state, 1), pytest.raises(BackupSetError, match="Another set is being made"):
        put_back(node, configured)
    file = backup_set.folder_of(node.state) / configured / "files/config/backend/c1/env"
    file.write_text("damaged")
    assert "cannot be used: files/config/backend/c1/env was changed" in str(refused(node, configured))


def test_a_part_that_is_not_described_any_more(store: Store, node: Node, objects: str) -> None:
    node.describe()
    assert "bucket:assets is not in aistack_backup of this node any more" in str(refused(node, objects, "bucket"))


def test_an_encrypted_set_comes_back_with_its_identity_only(
    redis: RealRedis, store: Store, node: Node, identity: Identity, tmp_path: Path
) -> None:
    redis.cli("SET", "a", "1")
    node.describe(encrypt={"recipient": identity.recipient}, redis=[redis.entry(tmp_path / "password")], buckets=[store.entry()])
    name = str(backup_set.make(node.request())["name"])
    redis.cli("SET", "a", "2")
    before = store.content()
    store.put("a.txt", "changed")
    assert "Give the key that opens it: -e identity_file=FILE" in str(refused(node, name))
    other = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
    assert "age ended with 1" in str(refused(node, name, identity=other))
    put_back(node, name, redis=redis, identity=identity.text)
    assert redis.cli("GET", "a") == "1"
    assert store.content() == before
    assert [path.name for path in backup_set.folder_of(node.state).iterdir() if path.name.startswith(".partial")] == []
    texts = [path.read_text(errors="replace") for path in node.state.rglob("*") if path.is_file()]
    assert not any("AGE-SECRET-KEY" in text for text in texts), "the identity is nowhere on the node"


def test_what_was_replaced_goes_when_it_is_old(store: Store, node: Node, objects: str) -> None:
    put_back(node, objects, "bucket")
    names = [note["name"] for note in restore_part.replaced(node.state)]
    assert len(names) == 1
    assert restore_set.prune_replaced(node.state, node.root, check=False) == []
    node.describe(buckets=[store.entry()], keep={"last": 1, "days": 0})
    assert restore_set.prune_replaced(node.state, node.root, check=True) == names
    assert len(restore_part.replaced(node.state)) == 1
    assert restore_set.prune_replaced(node.state, node.root, check=False) == names
    assert restore_part.replaced(node.state) == []
