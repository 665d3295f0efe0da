# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each place where a run that lost the lock is stopped, by itself: without that place the row or the test of it fails.

What happens within a switch is in ``module_utils/rollback/test_fence.py``.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import restore as restore_set, sets as backup_set
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import postgres_restore as restore_postgres
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.restore import RestoreContext
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.sets import BackupSetError
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import LeaseLost, Lock
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import migrate as alembic
from ansible_collections.phasegate.aistack.plugins.module_utils.release import staging
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import deadman

Call = Callable[..., dict[str, Any]]
MINE, THEIRS = {"actor": "ann"}, {"actor": "bob"}
LOST = "run r1 does not have the lock of this node"
PORTS = {"blue": 18000, "green": 18001, "public": 8000}


@pytest.fixture
def lock(tmp_path: Path) -> Lock:
    lock = Lock(tmp_path / "state")
    lock.acquire("r1", MINE, 60)
    return lock


def lose(lock: Lock) -> None:
    """What breaks in takes the lock."""
    lock.acquire("r2", THEIRS, 60, break_lock=True)


def files(folder: Path) -> dict[str, str]:
    """Everything below a folder, but for what only guards and empty folders are."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or (path.is_file() and path.name not in (".lock", ".lock.guard")):
            found[str(path.relative_to(folder))] = os.readlink(path) if path.is_symlink() else path.read_text(errors="replace")
    return found


RELEASE = {"component": "api", "release": "v1", "kind": "static", "commit": "c1", "min_free_bytes": 0, "python": sys.executable,
           "build_user": "root", "test_user": "root"}
SLOT = {"component": "api", "ports": PORTS, "edge": {"address": "10.0.0.1"}, "description": {"application": "shop", "order": 1}}

MODULES: dict[str, tuple[str, dict[str, Any]]] = {
    "take the lock again": ("journal", {"state": "locked"}),
    "record a success": ("journal", {"state": "unlocked", "record": {"op": "phase", "component": "deploy"}}),
    "configure": ("env_files", {"components": [{"component": "api", "schema": [{"name": "A"}], "values": {"A": "1"}}]}),
    "units": ("units", {"components": [{"component": "api", "unit": "", "user": "root", "group": "root", "folders": ["/nonexistent/x"]}]}),
    "stage": ("release", {**RELEASE, "state": "staged", "archive": "release.tar.gz", "archive_sha256": "0" * 64}),
    "mark": ("release", {**RELEASE, "state": "marked", "mark": "good"}),
    "lend": ("release", {"component": "api", "state": "lent", "lent_to": ["worker"]}),
    "prune": ("release", {"component": "api", "state": "pruned", "keep": 1}),
    "arm": ("dead_man", {"state": "armed", "seconds": 60, "command": sys.executable}),
    "confirm": ("dead_man", {"state": "confirmed"}),
    "prepare": ("slots", {"components": [{**SLOT, "release": "v1", "config": "c1"}]}),
    "activate": ("slot", {**SLOT, "state": "active", "release": "v1", "config": "c1"}),
    "restart": ("slot", {**SLOT, "state": "restarted"}),
    "stop": ("slot", {**SLOT, "state": "stopped"}),
    "migrate": ("alembic", {"component": "api", "env_file": "/nonexistent/env"}),
    "save": ("backup_set", {"reason": "deploy"}),
}


@pytest.mark.parametrize("step", MODULES)
def test_a_module_of_a_run_that_lost_the_lock_changes_nothing(
    call: Call, lock: Lock, tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "preflight", lambda request: None)
    (lock.state_dir / "backup.json").write_text('{"stack": "lab"}')
    name, given = MODULES[step]
    lose(lock)
    before = files(tmp_path)
    places = {"state_dir": str(lock.state_dir), **({} if name == "journal" else {"root": str(tmp_path / "root")})}
    answer = call(name, **{"run": "r1", **places, **given})
    assert answer.get("failed"), answer
    assert LOST in answer["msg"], answer["msg"]
    assert "bob" in answer["msg"]
    assert files(tmp_path) == before


def test_what_such_a_run_activated_is_not_taken_back_by_it(call: Call, lock: Lock, tmp_path: Path, warned: list[str]) -> None:
    """It is no failure: the way back of a run that failed goes on with the other nodes."""
    detail = {"slot": "blue", "config": "c1", "previous": {"release": "v0", "config": "c0"}}
    lock.journal.append({"op": "activate", "component": "api", "release": "v1", "outcome": "ok", "run": "r1", "detail": detail})
    lose(lock)
    before = files(tmp_path)
    answer = call("slot", **SLOT, state="reverted", run="r1", state_dir=str(lock.state_dir), root=str(tmp_path / "root"))
    assert answer["changed"] is False
    assert "nothing was taken back" in answer["msg"]
    assert LOST in answer["msg"]
    assert LOST in warned[0]
    assert files(tmp_path) == before


# -- what loses the lock on the way


def test_no_attempt_of_a_migration_begins_without_the_lock(lock: Lock, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    session = SimpleNamespace(request=lambda direction, *_words, **_named: asked.append(direction), application="x")
    request = SimpleNamespace(state_dir=lock.state_dir, run="r1", component="api", direction="upgrade", budget=5.0)
    course = SimpleNamespace(request=request, result={}, psql=None, session=session)
    monkeypatch.setattr(alembic, "Watcher", lambda psql, application: SimpleNamespace(observe=None, last=None))
    monkeypatch.setattr(alembic.alembic_plan, "alembic_target", lambda path: "head")
    plan: Any = SimpleNamespace(path=None, steps=[])
    alembic._attempts(course, plan, None, None)
    assert asked == ["upgrade"]
    lose(lock)
    with pytest.raises(LeaseLost, match="could migrate api"):
        alembic._attempts(course, plan, None, None)
    assert asked == ["upgrade"]


class Part:
    """A part of a set that is put back, and what comes after it."""

    def __init__(self, done: list[str], title: str, after: Callable[[], None] = lambda: None) -> None:
        self.done, self.title, self.after = done, title, after

    def run(self) -> Mapping[str, Any]:
        self.done.append(self.title)
        self.after()
        return {}


@pytest.fixture
def put_back(lock: Lock, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], list[str]]:
    """Put two parts of a set back; *late* loses the lock between them."""
    done: list[str] = []

    def work(late: bool) -> list[str]:
        parts = [("env", Part(done, "env", lambda: lose(lock) if late else None)), ("redis:queue", Part(done, "redis:queue"))]

        @contextlib.contextmanager
        def opened(*_words: Any) -> Iterator[Any]:
            yield {"name": "set-1"}, parts

        monkeypatch.setattr(restore_set, "_opened", opened)
        monkeypatch.setattr(restore_set, "_planned", lambda *_words: {"changed": True})
        monkeypatch.setattr(backup_set, "locate", lambda *_words: Path("set-1"))
        restore_set.restore(restore_set.Request(lock.state_dir, "set-1", run="r1"), "set-1")
        return done

    return work


def test_a_set_is_not_put_back_without_the_lock(lock: Lock, put_back: Callable[[bool], list[str]]) -> None:
    lose(lock)
    before = files(lock.state_dir)
    with pytest.raises(BackupSetError, match=r"could restore set-1.*Not put back: env, redis:queue"):
        put_back(False)
    assert files(lock.state_dir) == before, "not even that it began is noted"


def test_no_further_part_of_a_set_is_put_back_once_the_lock_is_lost(lock: Lock, put_back: Callable[[bool], list[str]]) -> None:
    with pytest.raises(BackupSetError, match=r"could put redis:queue back.*Put back before that: env\. Not put back: redis:queue"):
        put_back(True)


@pytest.fixture
def database(lock: Lock, monkeypatch: pytest.MonkeyPatch) -> restore_postgres.PostgresRestore:
    """A database that was restored beside the live one when the lock is lost."""
    part = object.__new__(restore_postgres.PostgresRestore)
    part.context = RestoreContext(lock.state_dir, Path("/nonexistent"), {}, None, {}, "set-1", "s", run="r1")
    part.name, part.server = "shop", None

    def swapped(*_words: Any) -> None:
        pytest.fail("what is live was replaced")

    monkeypatch.setattr(restore_postgres.pg_swap, "swap", swapped)
    monkeypatch.setattr(restore_postgres.pg_table, "swap_table", swapped)
    monkeypatch.setattr(restore_postgres.pg_table, "compare_table", lambda *_words: lose(lock))
    monkeypatch.setattr(part, "_whole", lambda: "shop__beside")
    monkeypatch.setattr(part, "_compared", lambda: lose(lock))
    monkeypatch.setattr(part, "_table", lambda table: "beside")
    return part


def test_a_restored_database_does_not_take_the_place_of_the_live_one(database: restore_postgres.PostgresRestore) -> None:
    with pytest.raises(LeaseLost, match="could put the restored shop in the place of the live one"):
        database.run()


def test_a_restored_table_does_not_take_the_place_of_the_live_one(database: restore_postgres.PostgresRestore) -> None:
    database.context = replace(database.context, tables=["orders"])
    with pytest.raises(LeaseLost, match="could put the restored table orders in the place of the live one"):
        database.run()


def test_what_is_armed_stays_where_a_run_that_lost_the_lock_confirms(call: Call, lock: Lock) -> None:
    place = lock.state_dir / deadman.FOLDER / "r1.json"
    place.parent.mkdir()
    place.write_text('{"run": "r1"}')
    lose(lock)
    assert LOST in call("dead_man", state="confirmed", run="r1", state_dir=str(lock.state_dir))["msg"]
    assert place.exists()
