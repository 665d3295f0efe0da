# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The owner of a folder exchanges names in it while root restores into it."""

from __future__ import annotations

import contextlib
import os
import pwd
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import restore as restore_set, sets as backup_set
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import place as restore_place, sqlite as backup_sqlite
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import PartError
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.sets import BackupSetError

NOBODY = 65534


def his(path: Path) -> None:
    """Give something to the one who attacks."""
    path.chmod(0o777 if path.is_dir() else 0o666)
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file of root's alone."""
    path = tmp_path / "shadow"
    path.write_text("root's")
    path.chmod(0o600)
    return path


def untouched(victim: Path) -> None:
    state = victim.stat()
    assert (victim.read_text(), state.st_mode & 0o777, state.st_uid) == ("root's", 0o600, os.geteuid())


@pytest.fixture
def at_every_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Return ``at_every_step(swap)``: runs it whenever something was brought to disk."""

    def arm(swap: Callable[[], None]) -> None:
        real = os.fsync

        def fsync(handle: int) -> None:
            real(handle)
            swap()

        monkeypatch.setattr(os, "fsync", fsync)

    return arm


def swap_hidden(folder: Path, victim: Path) -> Callable[[], None]:
    """Put a link to the victim in the place of whatever is being prepared in a folder."""

    def swap() -> None:
        for path in folder.glob(".*.restore"):
            if not path.is_symlink():
                with contextlib.suppress(OSError):  # it is gone, or not an attacker's to take away
                    path.unlink()
                    path.symlink_to(victim)

    return swap


@pytest.fixture
def service() -> Iterator[Path]:
    """A folder of a service that was taken over, where it can be reached by its owner."""
    with tempfile.TemporaryDirectory(prefix="aistack-service-", dir="/tmp") as around:
        os.chmod(around, 0o755)
        folder = Path(around) / "service"
        folder.mkdir()
        his(folder)
        yield folder


def put_back(node: Any, name: str, *what: str) -> dict[str, Any]:
    return restore_set.restore(restore_set.Request(node.state, name, node.root, what, min_free=0, lock_wait=1), name)


def database(path: Path, *texts: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS notes (text TEXT)")
        connection.executemany("INSERT INTO notes VALUES (?)", [(text,) for text in texts])
        connection.commit()


def test_what_an_earlier_version_saved_goes_to_the_user_that_has_the_folder_now(service: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All components ran as one user; a set of then has its number."""
    now = service.stat()
    before = SimpleNamespace(pw_uid=4242, pw_gid=now.st_gid)
    monkeypatch.setattr(pwd, "getpwnam", lambda name: {"aistack": before}[name])
    with restore_place.opened(service) as place:
        assert place.heir(4242, now.st_gid) == ((now.st_uid, now.st_gid) if now.st_uid else (4242, now.st_gid))
        assert place.heir(4243, 7) == (4243, 7)  # of somebody else
        before.pw_gid += 1  # the folder is of somebody else
        assert place.heir(4242, 7) == (4242, 7)
        monkeypatch.setattr(pwd, "getpwnam", lambda name: {}[name])
        assert place.heir(4242, 7) == (4242, 7)


def test_a_sqlite_database_that_comes_back(node: Any, service: Path, victim: Path, at_every_step: Any) -> None:
    path = service / "memory.db"
    database(path, "old")
    his(path)
    node.describe(sqlite=[{"name": "memory", "path": str(path)}])
    name = backup_set.make(node.request())["name"]
    path.unlink()
    at_every_step(swap_hidden(service, victim))
    with contextlib.suppress(BackupSetError):  # refused or not, what counts is who was written to
        put_back(node, name, "sqlite")
    untouched(victim)


def test_declared_files_that_come_back(node: Any, service: Path, victim: Path, at_every_step: Any) -> None:
    path = service / "settings"
    path.write_text("old")
    his(path)
    node.describe(files=[str(service)])
    name = backup_set.make(node.request())["name"]
    path.write_text("new")
    at_every_step(swap_hidden(service, victim))
    put_back(node, name, "files:extra")
    untouched(victim)


def test_a_folder_that_became_a_link(node: Any, service: Path, tmp_path: Path) -> None:
    inner = service / "inner"
    inner.mkdir()
    (inner / "passwd").write_text("old")
    node.describe(files=[str(service)])
    name = backup_set.make(node.request())["name"]
    elsewhere = tmp_path / "etc"
    elsewhere.mkdir()
    (elsewhere / "passwd").write_text("root's")
    os.rename(inner, service / "away")
    inner.symlink_to(elsewhere)
    with pytest.raises(BackupSetError, match="inner on the way there is a link, in a folder where others than root make names"):
        put_back(node, name, "files:extra")
    assert (elsewhere / "passwd").read_text() == "root's"


def test_a_sqlite_database_that_became_a_link(node: Any, service: Path, tmp_path: Path) -> None:
    path, other = service / "memory.db", tmp_path / "other.db"
    database(path, "old")
    his(path)
    database(other, "of another service")
    node.describe(sqlite=[{"name": "memory", "path": str(path)}])
    name = backup_set.make(node.request())["name"]
    path.unlink()
    path.symlink_to(other)
    with pytest.raises(BackupSetError, match=r"memory.db on the way there is a link"):
        put_back(node, name, "sqlite")
    with pytest.raises(BackupSetError, match=r"memory.db on the way there is a link"):
        backup_set.make(node.request("again"))
    with contextlib.closing(sqlite3.connect(other)) as connection:
        assert connection.execute("SELECT text FROM notes").fetchall() == [("of another service",)]


def test_a_live_sqlite_database_is_written_as_its_owner(node: Any, service: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path, other = service / "memory.db", tmp_path / "other.db"
    database(path, "old")
    his(path)
    database(other, "of another service")
    other.chmod(0o600)
    node.describe(sqlite=[{"name": "memory", "path": str(path)}])
    name = backup_set.make(node.request())["name"]
    database(path, "new")
    real = backup_sqlite.opened

    def opened(which: Path, mode: str = "ro") -> Any:
        if which == path and mode == "rw":  # the last moment before it is written
            os.rename(path, service / "away")
            path.symlink_to(other)
            (service / "who").write_text(str(os.geteuid()))
        return real(which, mode)

    monkeypatch.setattr(backup_sqlite, "opened", opened)
    with contextlib.suppress(BackupSetError):  # refused or not, what counts is who was written to
        put_back(node, name, "sqlite")
    assert (service / "who").read_text() == str(NOBODY if os.geteuid() == 0 else os.geteuid())
    with contextlib.closing(sqlite3.connect(other)) as connection:
        kept = connection.execute("SELECT text FROM notes").fetchall()
    assert os.geteuid() or kept == [("of another service",)]


def test_links_of_root_are_followed(tmp_path: Path) -> None:
    real = tmp_path / "disk" / "data"
    real.mkdir(parents=True)
    (tmp_path / "data").symlink_to("disk/data")
    (tmp_path / "file").symlink_to(real / "file")
    (real / "file").write_text("x")
    with restore_place.opened(tmp_path / "data" / "new", make=True) as place:
        assert os.fstat(place.handle).st_ino == (real / "new").stat().st_ino
    with restore_place.holding(tmp_path / "file") as (place, name):
        assert place.path / name == real / "file"
        assert place.read(name).read() == b"x"
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="Too many levels"), restore_place.opened(tmp_path / "loop"):
        pass


def test_nothing_but_a_regular_file_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    with restore_place.opened(tmp_path) as place:
        with pytest.raises(PartError, match="is no regular file"):
            place.read("pipe")
        with pytest.raises(PartError, match="is a link; expected a file"):
            place.read("link")


def test_a_folder_goes_without_what_it_links_to(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "old" / "deep").mkdir(parents=True)
    (tmp_path / "old" / "deep" / "link").symlink_to(victim)
    (tmp_path / "old" / "folder").symlink_to(tmp_path)
    with restore_place.opened(tmp_path) as place:
        place.remove("old")
        place.remove("old")
    untouched(victim)
    assert not (tmp_path / "old").exists()
