# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases saved into sets: what is in the set, what is refused, what is noticed when it is damaged."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import snapshot as pg_snapshot, tools as pg_tool
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.dump import BackupError

from ..conftest import PASSWORD
from .conftest import Shop

ROWS = {
    "public.alembic_version": 1,
    "public.customers": 20,
    "public.lines": 900,
    "public.log": 0,
    'public.odd "name"': 1,
    "public.orders": 500,
}


def failed(shop: Shop, *words: str, **changes: Any) -> BackupError:
    folder = shop.root / "backups" / "failed"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    values = {"name": "shop", "address": shop.address, "variables": {}, "user": shop.server.user, "min_free": 0, **changes}
    with pytest.raises(BackupError) as caught:
        pg_snapshot.make(folder, **values)
    for word in words:
        assert word in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert not [path for path in folder.rglob("*") if path.is_file()], "half a part was left behind"
    return caught.value


def test_a_part_says_what_it_holds(shop: Shop) -> None:
    folder, part = shop.set()
    assert (part["kind"], part["name"], part["path"]) == ("postgres", "shop", "postgres/shop")
    facts = part["facts"]
    assert facts["rows"] == ROWS
    assert facts["heads"] == ["abc1"]
    assert facts["tables"] == len(ROWS)
    assert facts["database"]["name"] == shop.name
    assert facts["tool"].startswith("pg_dump")
    assert facts["size"] > part["bytes"] > 0
    assert "postgres/shop/dump/toc.dat" in part["files"]
    assert part["bytes"] == sum(entry["bytes"] for entry in part["files"].values())
    for path in folder.rglob("*"):
        state = path.stat()
        assert stat.S_IMODE(state.st_mode) == (0o700 if path.is_dir() else 0o600), path
        assert state.st_uid == os.geteuid(), path
    assert PASSWORD not in json.dumps(part)
    assert pg_snapshot.verify(folder, part) == []
    files = part.pop("files")
    assert pg_snapshot.verify(folder, part, files) == []
    assert pg_snapshot.about(folder, part)["database"]["comment"] == "the shop"


def test_the_numbers_are_those_of_the_dump_while_others_write(shop: Shop) -> None:
    ending = threading.Event()

    def write() -> None:
        with shop.session() as psql:
            while not ending.is_set():
                psql.query("INSERT INTO orders (customer, total) SELECT 1, 1 FROM generate_series(1, 50)")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        folder, part = shop.set()
    finally:
        ending.set()
        writer.join()
    assert int(shop.sql("SELECT count(*) FROM orders")) > part["facts"]["rows"]["public.orders"]
    listed = pg_tool.archive(folder / "postgres/shop/dump").numbered
    (entry,) = [line for line in listed if " TABLE DATA public orders " in line]
    dump = pg_tool.Tool(["gzip", "-dc", str(folder / f"postgres/shop/dump/{entry.split(';')[0]}.dat.gz")], shop.address, {}, None, "t")
    with dump:
        rows = dump.wait(20).stdout.partition("\\.")[0].splitlines()
    assert len(rows) == part["facts"]["rows"]["public.orders"]


def _truncated(where: Path) -> None:
    file = max((where / "dump").iterdir(), key=lambda path: path.stat().st_size)
    os.truncate(file, file.stat().st_size // 2)


def _flipped(where: Path) -> None:
    file = max((where / "dump").glob("*.gz"), key=lambda path: path.stat().st_size)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def _missing(where: Path) -> None:
    next((where / "dump").glob("*.gz")).unlink()


def _strange(where: Path) -> None:
    (where / "dump" / "9999.dat.gz").write_bytes(b"")


def _without_list(where: Path) -> None:
    (where / "dump" / "toc.dat").unlink()


def _broken_list(where: Path) -> None:
    os.truncate(where / "dump" / "toc.dat", 100)


def _another_schema(where: Path) -> None:
    document = json.loads((where / "database.json").read_text())
    document["objects"].popitem()
    (where / "database.json").write_text(json.dumps(document))


DAMAGE: list[tuple[Callable[[Path], None], str]] = [
    (_truncated, " bytes, the manifest "),
    (_flipped, "its SHA-256 differs"),
    (_missing, "is missing"),
    (_strange, "is not in the manifest"),
    (_without_list, "holds no dump"),
    (_broken_list, "cannot be read back"),
    (_another_schema, "has another schema"),
]


@pytest.mark.parametrize(("damage", "words"), DAMAGE, ids=lambda value: getattr(value, "__name__", ""))
def test_damage_is_noticed(shop: Shop, damage: Callable[[Path], None], words: str) -> None:
    folder, part = shop.set()
    damage(folder / "postgres" / "shop")
    problems = pg_snapshot.verify(folder, part)
    assert any(words in problem for problem in problems), problems


@pytest.mark.parametrize("damage", [_without_list, _broken_list, _another_schema], ids=lambda value: value.__name__)
def test_damage_is_noticed_without_checksums(shop: Shop, damage: Callable[[Path], None]) -> None:
    folder, part = shop.set()
    del part["files"]
    damage(folder / "postgres" / "shop")
    assert pg_snapshot.verify(folder, part)


def test_a_path_out_of_the_set_is_none(shop: Shop) -> None:
    folder, part = shop.set()
    for path in ("/etc", "../other", ""):
        assert "has a path that is none" in pg_snapshot.verify(folder, {**part, "path": path})[0]


def test_no_room(shop: Shop) -> None:
    failed(shop, "bytes free", "are to stay free. ", min_free=shutil.disk_usage(shop.root).free + 10**12)


def test_no_way_in(shop: Shop) -> None:
    failed(shop, "refused the password", address=replace(shop.address, password="wrong-one"))


def test_no_server(shop: Shop) -> None:
    failed(shop, "No connection to", address=replace(shop.address, port=1))


def test_no_database(shop: Shop) -> None:
    failed(shop, "does not exist", address=replace(shop.address, database="nowhere"))


def test_no_name(shop: Shop) -> None:
    failed(shop, "cannot name a part", name="../x")


def test_no_user(shop: Shop) -> None:
    if os.geteuid() != 0:
        pytest.fail("this test has to run as root: only root works as another user")
    failed(shop, "this host has no user nobody-of-that-name", user="nobody-of-that-name")


def test_a_table_that_may_not_be_read(shop: Shop) -> None:
    shop.sql("CREATE TABLE hidden (a integer)")
    failed(shop, "permission denied", "hidden")


def test_a_table_that_is_locked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pg_snapshot, "LOCK_WAIT", "500ms")
    with shop.session() as psql:
        psql.query("BEGIN")
        psql.query("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        failed(shop, "Somebody holds a lock on one of its tables for longer than 500ms")


def test_too_slow(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = shop.root / "bin" / "pg_dump"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\ntest \"$1\" = --version && exit\nexec sleep 30\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    began = time.monotonic()
    failed(shop, "took longer than", timeout=1.0, user=None)
    assert time.monotonic() - began < 10


def test_a_schema_that_changes_meanwhile(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(tool: str) -> str:
        shop.sql("CREATE OR REPLACE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
        return tool

    monkeypatch.setattr(pg_snapshot.pg_tool, "version", version)
    failed(shop, "was changed while it was dumped", "function public.note()")


def test_twice_into_one_set(shop: Shop) -> None:
    folder, part = shop.set()
    with pytest.raises(BackupError, match="exists already"):
        pg_snapshot.make(folder, "shop", shop.address, {}, shop.server.user)
    assert pg_snapshot.verify(folder, part) == []


def test_a_stranger_in_the_dump_is_not_taken(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is made the folder belongs to the tool's user; what somebody else of that name puts there is not given to root."""
    if os.geteuid() != 0:
        pytest.fail("this test has to run as root: only root works as another user")
    owner = pwd.getpwnam(str(shop.server.user)).pw_uid
    target = shop.root / "precious"
    target.write_text("that user's own")
    os.chown(target, owner, -1)

    judge = pg_snapshot.pg_dump.judge

    def meddle(*words: Any) -> None:
        (shop.root / "backups/failed/postgres/shop/dump/9999.dat.gz").symlink_to(target)
        judge(*words)

    monkeypatch.setattr(pg_snapshot.pg_dump, "judge", meddle)
    failed(shop, "9999.dat.gz")
    assert target.stat().st_uid == owner
