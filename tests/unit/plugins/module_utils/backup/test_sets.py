# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import errno
import json
import multiprocessing
import os
import platform
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import (
    catalog,
    command as backup_command,
    copies as backup_copy,
    plan as backup_plan,
    sets as backup_set,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import files as backup_files, registry as backup_jobs
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.sets import BackupSetError
from ansible_collections.phasegate.aistack.plugins.module_utils.core import durable
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lock
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.dump import BackupError
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import view as rollback_view

FORK = multiprocessing.get_context("fork")
RECIPIENT = "age1" + "q" * 58
FAKE_AGE = """
case "$1" in
  --version) echo v1.1.1 ;;
  --encrypt) printf 'age-encryption.org/v1\\n'; cat ;;
  --decrypt) read -r key < /dev/stdin; [ "$key" = good ] || { echo 'age: error: no identity matched' >&2; exit 1; }; tail -c +23 "$4" ;;
esac
"""


def left(node: Any) -> list[str]:
    """What stands where the sets are, apart from the lock."""
    folder = node.state / "backups"
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock") if folder.exists() else []


def test_a_set_holds_what_the_node_cannot_do_without(node: Any) -> None:
    extra = node.root / "etc"
    extra.mkdir()
    (extra / "app.conf").write_text("x=1")
    (extra / "link").symlink_to("app.conf")
    node.describe(sqlite=[{"name": "memory", "path": str(node.database())}], files=[str(extra)])
    made = backup_set.make(node.request())
    path = Path(made["path"])
    assert made["name"].endswith("Z-daily")
    assert (path / "files/config/backend/c1/env").read_text() == (node.root / "backend/config/c1/env").read_text()
    assert (path / "files/config/backend/c0/env").is_file(), "the other slot's, which a rollback goes back to"
    assert (path / "files/credentials/redis_backup").read_text() == "bk\n"
    assert (path / "files/state/gates/backend.json").is_file()
    assert (path / "files/state/backup.json").is_file()
    assert (path / "releases/backend/release.json").is_file()
    assert (path / f"files/extra{extra}/app.conf").read_text() == "x=1"
    modes = {file.stat().st_mode & 0o777 for file in path.rglob("*") if file.is_file()}
    assert modes == {0o600}
    assert {file.stat().st_mode & 0o777 for file in [path, *path.rglob("*")] if file.is_dir()} == {0o700}
    manifest = made["manifest"]
    assert [(part["kind"], part["name"]) for part in manifest["parts"]] == [
        ("sqlite", "memory"), ("files", "config"), ("files", "state"), ("releases", "live"), ("files", "credentials"), ("files", "extra"),
    ]
    assert {"format": 2, "stack": "lab", "reason": "daily", "run": "run-1", "verdict": "verified"}.items() <= manifest.items()
    assert manifest["live"] == {"backend": {"slot": "blue", "release": "v1", "config": "c1"}}
    parts = {f"{part['kind']}:{part['name']}": part for part in manifest["parts"]}
    assert parts["sqlite:memory"]["facts"]["rows"] == {"notes": 3}
    assert parts["files:extra"]["facts"]["sources"][f"{extra}/link".lstrip("/")]["link"] == "app.conf"
    there = [str(file.relative_to(path)) for file in path.rglob("*") if file.is_file() and not file.name.startswith("manifest.")]
    assert sorted(manifest["files"]) == sorted(there)
    assert made["bytes"] == sum(part["bytes"] for part in manifest["parts"])
    assert json.loads((path / "manifest.json").read_text()) == manifest
    seen = backup_set.verify(node.state, made["name"])
    assert (seen["verdict"], seen["problems"]) == ("verified", [])
    assert "geheim" not in json.dumps(manifest)
    records = [record for record in Journal.of(node.state).read() if record["op"] == "backup"]
    assert [(record["outcome"], record["detail"]["set"]) for record in records] == [("started", made["name"]), ("ok", made["name"])]
    assert left(node) == [f".checked-{made['name']}.json", made["name"]]


def test_check_says_what_would_be_and_writes_nothing(node: Any) -> None:
    node.describe(sqlite=[{"name": "memory", "path": str(node.database())}])
    plan = backup_set.make(node.request(), check=True)
    assert plan["parts"]["sqlite:memory"] > 0
    assert plan["needed"] <= plan["free"]
    assert not (node.state / "backups").exists()
    assert not (node.state / "journal.jsonl").exists()


def test_two_sets_of_one_second(node: Any) -> None:
    node.describe()
    names = [backup_set.make(node.request(stamp="20260131T120000Z"))["name"] for _time in range(3)]
    assert names == ["20260131T120000Z-daily", "20260131T120000Z-daily.2", "20260131T120000Z-daily.3"]
    assert [one["name"] for one in backup_set.listed(node.state)] == names[::-1]


@pytest.mark.parametrize(
    ("description", "told"),
    [
        (None, "backup.json is not there: nobody said what this node has to save. Say it in aistack_backup"),
        ({"stack": "lab", "sqlitee": []}, "unknown key 'sqlitee'; did you mean 'sqlite'?"),
        ({"sqlite": [{"name": "m", "path": "/nowhere/m.db"}]}, "sqlite:m: SQLite m: /nowhere/m.db is not there"),
        ({"files": ["/nowhere/at/all"]}, "files:extra: /nowhere/at/all is declared for the backup set and is not there"),
        ({"redis": [{"name": "r", "port": 1}]}, "redis:r: Redis r on 127.0.0.1:1 cannot be reached: connection refused"),
    ],
)
def test_what_cannot_be_saved_is_an_error_before_anything_is_written(node: Any, description: Any, told: str) -> None:
    if description is not None:
        node.describe(**description)
    with pytest.raises(BackupSetError) as caught:
        backup_set.make(node.request())
    assert told in str(caught.value)
    assert "Nothing was moved" in str(caught.value)
    assert left(node) == []
    assert [record["outcome"] for record in Journal.of(node.state).read()] == ["started", "failed"]


def test_all_that_is_wrong_at_once(node: Any) -> None:
    node.describe(sqlite=[{"name": "m", "path": "/nowhere/m.db"}], redis=[{"name": "r", "port": 1}])
    with pytest.raises(BackupSetError, match="2 parts failed") as caught:
        backup_set.make(node.request())
    assert len(caught.value.extra["problems"]) == 2


def test_no_room(node: Any) -> None:
    node.describe(sqlite=[{"name": "memory", "path": str(node.database())}])
    with pytest.raises(BackupSetError, match="bytes free") as caught:
        backup_set.make(node.request(min_free=1 << 60))
    assert caught.value.extra["needed"] > 1 << 60
    assert left(node) == []
    node.describe(min_free_bytes=1 << 60)
    with pytest.raises(BackupSetError, match="are to stay free"):
        backup_set.make(node.request(min_free=None))


def test_the_disk_becomes_full_on_the_way(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    node.describe()

    def full(reading: BinaryIO, target: Path) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr("ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.files.keep_private", full)
    with pytest.raises(BackupSetError, match="No space left on device"):
        backup_set.make(node.request())
    assert left(node) == []


def test_a_part_that_cannot_be_read_back(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    node.describe(sqlite=[{"name": "memory", "path": str(node.database())}])
    monkeypatch.setitem(backup_jobs.VERIFIERS, "sqlite", lambda folder, part: ["it is damaged"])
    with pytest.raises(BackupSetError, match="sqlite:memory: what was saved cannot be used: it is damaged"):
        backup_set.make(node.request())
    assert left(node) == []
    assert Journal.of(node.state).read()[-1]["outcome"] == "failed"


def damage_change(path: Path) -> None:
    (path / "files/config/backend/c1/env").write_text("OTHER=1\n")


def damage_cut(path: Path) -> None:
    file = path / "sqlite/memory.db"
    file.write_bytes(file.read_bytes()[:4096])


def damage_missing(path: Path) -> None:
    (path / "releases/backend/release.json").unlink()


def damage_more(path: Path) -> None:
    (path / "files/config/backend/c1/intruder").write_text("x")


def damage_rename(path: Path) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, "name": "20250101T000000Z-other"}))


def damage_kind(path: Path) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["parts"][0]["kind"] = "qdrant"
    (path / "manifest.json").write_text(json.dumps(manifest))


def damage_manifest(path: Path) -> None:
    (path / "manifest.json").write_text('{"format": 2, "name"')


def damage_format(path: Path) -> None:
    (path / "manifest.json").write_text('{"format": 9}')


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (damage_change, "files/config/backend/c1/env was changed: expected"),
        (damage_cut, "sqlite/memory.db was changed: expected"),
        (damage_missing, "releases/backend/release.json is missing"),
        (damage_more, "files/config/backend/c1/intruder is there, and not in the manifest"),
        (damage_rename, "its manifest is that of '20250101T000000Z-other'"),
        (damage_kind, "part qdrant:memory is of a kind that this version does not know"),
        (damage_manifest, "manifest.json cannot be read"),
        (damage_format, "has format 9; this version reads 1 and 2"),
    ],
)
def test_damage_is_found_noted_and_never_chosen(node: Any, damage: Callable[[Path], None], told: str) -> None:
    node.describe(sqlite=[{"name": "memory", "path": str(node.database())}])
    first = backup_set.make(node.request(stamp="20260101T000000Z"))
    second = backup_set.make(node.request(stamp="20260102T000000Z"))
    newest = backup_set.newest_verified(node.state)
    assert newest is not None
    assert newest["name"] == second["name"]
    damage(Path(second["path"]))
    proven = backup_set.newest_verified(node.state, prove=True)
    assert proven is not None
    assert proven["name"] == first["name"]
    seen = backup_set.verify(node.state, second["name"])
    assert any(told in problem for problem in seen["problems"]), seen["problems"]
    assert seen["verdict"].startswith("unusable: ")
    newest = backup_set.newest_verified(node.state)
    assert newest is not None
    assert newest["name"] == first["name"], "what a look found is remembered"


def test_sets_of_another_stack_do_not_count(node: Any) -> None:
    node.describe()
    made = backup_set.make(node.request())
    assert (backup_set.newest_verified(node.state, stack="lab") or {})["name"] == made["name"]
    assert backup_set.newest_verified(node.state, stack="other") is None


@pytest.mark.parametrize("name", ["20250101T000000Z-daily", "../journal", "", "/nowhere", ".lock"])
def test_a_set_that_is_not_there(node: Any, name: str) -> None:
    node.describe()
    made = backup_set.make(node.request())
    with pytest.raises(BackupSetError, match="There is no backup set") as caught:
        backup_set.verify(node.state, name)
    assert made["name"] in str(caught.value)


def kill_at(node: Any, where: str) -> None:
    """Make a set in another process, and kill that process in the middle of it."""

    def body() -> None:
        def die(*_unused: Any) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        setattr({"keep_private": backup_files, "fsync": durable}.get(where, backup_set), where, die)
        backup_set.make(node.request())

    child = FORK.Process(target=body)
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("where", ["keep_private", "hash_files", "write_json", "move", "fsync"])
def test_what_a_killed_one_left_is_swept_by_the_next(node: Any, where: str) -> None:
    node.describe(sqlite=[{"name": "memory", "path": str(node.database())}])
    kill_at(node, where)
    whole = [name for name in left(node) if not name.startswith(".")]
    assert whole == ([] if where != "fsync" else whole)
    assert len(left(node)) == 1
    made = backup_set.make(node.request(stamp="20260101T000000Z"))
    assert [name for name in left(node) if name.startswith(".")] == []
    assert backup_set.verify(node.state, made["name"])["verdict"] == "verified"
    for name in whole:
        assert backup_set.verify(node.state, name)["verdict"] == "verified", "renamed means whole"


def test_the_dump_of_a_running_migration_is_left_alone(node: Any) -> None:
    node.describe()
    theirs = node.state / "backups" / ".partial-20260101T000000Z-backend-aaa1-bbb2"
    ours = node.state / "backups" / ".partial-20260101T000000Z-daily"
    theirs.mkdir(parents=True)
    ours.mkdir()
    backup_set.make(node.request())
    assert theirs.exists()
    assert not ours.exists()


@contextlib.contextmanager
def another(node: Any) -> Iterator[None]:
    """Another process holds the sets."""
    ready, done = FORK.Event(), FORK.Event()

    def body() -> None:
        with backup_set.only_one(node.state, 1):
            ready.set()
            done.wait(20)

    child = FORK.Process(target=body)
    child.start()
    assert ready.wait(10)
    try:
        yield
    finally:
        done.set()
        child.join()


def test_one_at_a_time(node: Any) -> None:
    node.describe()
    with another(node), pytest.raises(BackupSetError, match="Another set is being made, pruned or restored"):
        backup_set.make(node.request())
    assert backup_set.make(node.request())["name"]


def test_the_lease_of_the_run_is_kept(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    node.describe()
    lock = Lock(node.state)
    lock.acquire("run-1", {"actor": "ops"}, lease_s=4)
    seen: list[Any] = []
    real = backup_set._write

    def slow(*words: Any) -> Any:
        time.sleep(5)
        seen.append(lock.holder())
        return real(*words)

    monkeypatch.setattr(backup_set, "_write", slow)
    backup_set.make(node.request())
    assert seen[0]["run"] == "run-1", "longer than the lease, and still ours"
    assert "backup daily" in seen[0]["worker"]["what"]
    assert Journal.of(node.state).read()[-1]["actor"] == "ops"


class FakePsql:
    """A session that knows one number."""

    def __init__(self, address: Any, variables: Any, user: Any, application: str) -> None:
        self.address = address

    def __enter__(self) -> FakePsql:
        return self

    def __exit__(self, *_unused: object) -> None:
        return

    def query(self, sql: str) -> int:
        return 4096


def test_databases_by_the_environment_of_their_component(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def fake(folder: Path, name: str, address: Any, variables: Any, user: Any, **more: Any) -> dict[str, Any]:
        given.update(address=address, variables=variables, user=user, **more)
        (folder / "postgres" / name / "dump").mkdir(parents=True)
        (folder / "postgres" / name / "dump" / "toc.dat").write_text("toc")
        facts = {"tool": "pg_dump 15", "heads": ["aaa1"], "rows": {"public.t": 1}}
        return {"kind": "postgres", "name": name, "path": f"postgres/{name}", "bytes": 3, "seconds": 0.1, "facts": facts, "files": {}}

    monkeypatch.setattr(backup_jobs.pg_snapshot, "make", fake)
    monkeypatch.setattr(backup_jobs, "Psql", FakePsql)
    monkeypatch.setitem(backup_jobs.VERIFIERS, "postgres", lambda folder, part: [])
    node.describe(postgres=[{"name": "db", "component": "backend", "jobs": 3}])
    made = backup_set.make(node.request())
    assert (given["address"].database, given["address"].password, given["jobs"]) == ("c1", "geheim", 3)
    assert made["manifest"]["heads"] == {"backend": ["aaa1"]}
    assert made["manifest"]["tools"]["pg_dump"] == "pg_dump 15"
    assert made["manifest"]["parts"][0]["facts"]["component"] == "backend"
    (node.root / "backend" / "slots" / "live").unlink()
    backup_set.make(node.request())
    assert given["address"].database in ("c0", "c1"), "nothing is live: the newest configuration says where it is"

    def refuse(*_words: Any, **_more: Any) -> dict[str, Any]:
        raise BackupError("No backup: no.")

    monkeypatch.setattr(backup_jobs.pg_snapshot, "make", refuse)
    with pytest.raises(BackupSetError, match=r"postgres:db: No backup: no\."):
        backup_set.make(node.request())


def test_a_database_of_which_nothing_is_here_yet_is_left_out_and_told(node: Any) -> None:
    node.describe(postgres=[{"name": "db", "component": "newcomer"}])
    made = backup_set.make(node.request())
    assert "component newcomer has no environment on this node yet" in made["left_out"][0]
    assert made["manifest"]["left_out"] == made["left_out"]


def test_an_address_that_cannot_be_read_shows_no_password(node: Any) -> None:
    node.describe(postgres=[{"name": "db", "component": "backend", "url_variable": "URL"}])
    with pytest.raises(BackupSetError, match=r"has no URL\. Correct its url_variable in aistack_backup"):
        backup_set.make(node.request())
    (node.root / "backend/config/c1/env").write_text('URL="mysql://app:geheim@h/x"\n')
    with pytest.raises(BackupSetError, match="its address cannot be read from URL") as caught:
        backup_set.make(node.request())
    assert "geheim" not in str(caught.value)


def test_encrypted_parts(node: Any, program: Callable[[str, str], Path]) -> None:
    program("age", FAKE_AGE)
    node.describe(encrypt={"recipient": RECIPIENT}, sqlite=[{"name": "memory", "path": str(node.database())}])
    made = backup_set.make(node.request())
    path = Path(made["path"])
    assert sorted(file.name for file in (path / "files").iterdir()) == ["config.tar.age", "credentials.tar.age", "state.tar.age"]
    assert (path / "sqlite/memory.db.tar.age").is_file()
    assert not (path / "sqlite/memory.db").exists()
    part = made["manifest"]["parts"][0]
    assert part["encrypted"] == {"recipient": RECIPIENT, "path": "sqlite/memory.db"}
    assert part["facts"]["rows"] == {"notes": 3}, "the manifest stays readable"
    assert backup_set.verify(node.state, made["name"])["verdict"] == "verified"
    file = path / "sqlite/memory.db.tar.age"
    file.write_bytes(b"plain" + file.read_bytes())
    problems = backup_set.verify(node.state, made["name"])["problems"]
    assert any("is no file that age made" in problem for problem in problems)


def test_encryption_that_fails_leaves_nothing(node: Any, program: Callable[[str, str], Path]) -> None:
    program("age", 'case "$1" in --version) echo v1 ;; *) cat >/dev/null; echo "age: error: malformed recipient" >&2; exit 1 ;; esac')
    node.describe(encrypt={"recipient": RECIPIENT})
    with pytest.raises(BackupSetError, match=r"cannot be encrypted for age1q.*: age ended with 1: age: error: malformed recipient"):
        backup_set.make(node.request())
    assert left(node) == []


def test_retention(node: Any) -> None:
    node.describe(keep={"last": 1, "days": 0})
    names = [backup_set.make(node.request(stamp=f"2026010{day}T000000Z"))["name"] for day in range(1, 5)]
    journal = Journal.of(node.state)
    journal.append({"op": "stage", "component": "backend", "release": "v1", "outcome": "ok"})
    journal.append({"op": "migrate", "component": "backend", "release": "v1", "outcome": "ok", "detail": {"backup": f"/b/{names[0]}"}})
    backup_set.verify(node.state, names[1])
    predicted = backup_set.pruned(node.request(), check=True)
    assert predicted["removed"] == names[1:3]
    assert [one["name"] for one in backup_set.listed(node.state)] == names[::-1]
    done = backup_set.pruned(node.request())
    assert done == predicted
    assert done["kept"] == {
        names[3]: "the newest verified one",
        names[0]: "made before backend v1 was migrated to, which is staged",
    }
    assert left(node) == [names[0], names[3]], "what was noted about them is gone as well"
    assert journal.read()[-1]["detail"]["sets"] == names[1:3]
    assert backup_set.pruned(node.request())["removed"] == []


def test_a_dump_of_before_is_listed_and_verified(node: Any) -> None:
    folder = node.state / "backups" / "20260101T000000Z-backend-aaa1-bbb2"
    folder.mkdir(parents=True)
    (folder / "db.dump").write_bytes(b"PGDMP")
    manifest = {"format": 1, "component": "backend", "file": "db.dump", "sha256": "0" * 64, "bytes": 5, "fingerprint": {}, "made": "x"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    one = backup_set.listed(node.state)[0]
    assert (one["format"], one["parts"], one["verdict"], one["reason"]) == (1, ["postgres:backend"], "verified", "migrate")
    assert backup_set.newest_verified(node.state) is None, "it holds one database only"
    assert "db.dump was changed" in backup_set.verify(node.state, folder.name)["problems"][0]
    assert catalog.listed(node.state)[0]["verdict"].startswith("unusable")


def test_the_command(node: Any, capsys: pytest.CaptureFixture[str]) -> None:
    node.describe(keep={"last": 1, "days": 0}, min_free_bytes=0)

    def run(*words: str) -> tuple[int, str, str]:
        rc = backup_command.command(words, str(node.state), str(node.root))
        told = capsys.readouterr()
        return rc, told.out, told.err

    assert run("--list")[:2] == (0, f"no backup set in {node.state}/backups\n")
    assert run("--dry-run")[1].startswith("would make ")
    rc, out, _err = run("--reason", "daily", "--json")
    first = json.loads(out)
    assert (rc, first["verdict"], first["removed"]) == (0, "verified", [])
    assert "verified" in run("--list")[1]
    assert run("--verify", "newest")[:2] == (0, f"{first['name']}: verified\n")
    second = json.loads(run("--reason", "daily2", "--json", "--no-prune")[1])
    assert second["name"] != first["name"]
    assert run("--prune")[1] == f"removed {min(first['name'], second['name'])}\n"
    rest = backup_set.listed(node.state)[0]
    damage_change(Path(rest["path"]))
    rc, out, _err = run("--verify", rest["name"])
    assert rc == 1
    assert "was changed" in out
    assert run("--nonsense")[0] == 2
    (node.state / "backup.json").unlink()
    rc, _out, err = run()
    assert (rc, "Say it in aistack_backup" in err) == (1, True)
    assert json.loads(run("--json")[2])["failed"] is True


def test_the_time_for_a_part_is_the_descriptions(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    real = backup_jobs.build

    def build(described: Any, state_dir: Any, of: Any, previous: Any, timeout: float) -> Any:
        seen.append(timeout)
        return real(described, state_dir, of, previous, timeout)

    monkeypatch.setattr(backup_jobs, "build", build)
    for more in ({}, {"timeout": 21600}):
        node.describe(**more)
        backup_set.make(node.request(f"t{len(more)}"))
    backup_set.make(node.request("given", timeout=5.0))
    assert backup_command.command(["--timeout", "7", "--reason", "words"], str(node.state), str(node.root)) == 0
    assert seen == [3600.0, 21600.0, 5.0, 7.0]
    assert backup_jobs.patience_of(node.state) == 21600.0
    assert backup_jobs.patience_of(node.state / "nowhere") == 3600.0


def test_a_unit_that_failed_is_noted_until_a_set_was_made(node: Any, program: Any, capsys: pytest.CaptureFixture[str]) -> None:
    program("journalctl", 'case "$*" in *--unit=aistack-backup@shop.service*) printf "No backup set: no space\\n\\nFailed\\n" ;; esac')
    node.describe()
    words = ["--note-failure", "aistack-backup@shop.service"]
    assert backup_command.command(words, str(node.state), str(node.root)) == 0
    assert "aistack-backup@shop.service made no backup set: No backup set: no space | Failed" in capsys.readouterr().out
    note = node.state / "backup.failed"
    assert json.loads(note.read_text())["why"] == "No backup set: no space | Failed"
    assert note.stat().st_mode & 0o777 == 0o600
    backup_set.make(node.request())
    assert not note.exists()


def test_a_set_from_the_future_is_passed_over(node: Any) -> None:
    node.describe(keep={"last": 0, "days": 0})
    now = backup_set.make(node.request())["name"]
    later = backup_set.make(node.request(stamp=backup_plan.stamp_of(time.time() + 86400)))["name"]
    first = catalog.listed(node.state)[0]
    assert first["name"] == later
    assert "passed over: its name is 24.0 h ahead of this node's clock" in first["verdict"]
    newest = catalog.newest_verified(node.state)
    assert newest
    assert newest["name"] == now
    seen = {one["name"]: one for one in rollback_view.backup_sets(node.state / "backups")}
    assert (seen[later]["ahead"], "ahead" in seen[now]) == (True, False)
    gone = backup_set.pruned(node.request())
    assert (gone["removed"], gone["kept"][now]) == ([], "the newest verified one")


def test_what_the_copy_before_has_is_copied_on_the_other_side(node: Any, program: Any) -> None:
    said = node.root / "said"
    program(
        "rclone",
        f'echo "$RCLONE_CONFIG $*" >> {said}\n'
        "case $1 in\n"
        "lsf) echo 20250101T000000Z-daily/manifest.json ;;\n"
        """backend) echo '{"Features": {"Copy": true}}' ;;\n"""
        "esac",
    )
    config = node.state / backup_copy.CONFIG
    config.write_text("[offsite]\\ntype = s3\\nsecret_access_key = geheim\\n")
    config.chmod(0o600)
    node.describe(copy={"remote": "offsite", "path": "bucket/sets/", "keep": {"last": 9}})
    name = backup_set.make(node.request())["name"]
    assert backup_copy.copy(node.request())["place"] == f"offsite:bucket/sets/{platform.node()}"
    lines = said.read_text().splitlines()
    copied = next(line for line in lines if " copy " in line)
    place = f"offsite:bucket/sets/{platform.node()}"
    assert f"--copy-dest {place}/20250101T000000Z-daily {node.state}/backups/{name} {place}/{name}" in copied
    assert "--exclude /manifest.json" in copied
    order = [line.split()[1] for line in lines]
    assert order.index("copy") < order.index("check") < order.index("copyto"), "the manifest is last"
    assert all(line.startswith(f"{config} ") and "geheim" not in line for line in lines)
