# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database restored beside the live one, compared with it and proven; what is refused, and what is left behind (nothing)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core import progress
from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import as_user
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import (
    admin as pg_admin,
    compare as pg_compare,
    restore as pg_restore,
    row_compare,
    snapshot as pg_snapshot,
    swap as pg_swap,
    table as pg_table,
)

from .conftest import Shop, refused

# What runs as a process of its own, so that it can be killed: a restore from the set in argv.
RESTORE = """
import json, sys
from pathlib import Path
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.admin import Server
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import DatabaseAddress
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import restore as pg_restore
host, port, user, name, folder, part = sys.argv[1:]
server = Server(DatabaseAddress(host, int(port), "postgres", "postgres"), {}, user or None)
pg_restore.restore_beside(server, name, Path(folder), json.loads(part), min_free=0)
"""


def restore(shop: Shop, folder: Path, part: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return pg_restore.restore_beside(shop.server, shop.name, folder, part, **{"min_free": 0, "origin": "set", **changes})


def takes_writes(shop: Shop, database: str, again: bool) -> None:
    """Whether new sessions in a database may write, as while another server takes over they may not."""
    change = "RESET default_transaction_read_only" if again else "SET default_transaction_read_only = on"
    shop.sql(f"SET default_transaction_read_only = off; ALTER DATABASE {database} {change}", "template1")


@pytest.mark.parametrize("what", ["whole", "table"])
def test_a_server_that_takes_no_writes_for_a_while_is_waited_for(shop: Shop, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    folder, part = shop.set()
    shop.sql("DELETE FROM lines")
    place, told = ("postgres" if what == "whole" else shop.name), list[str]()
    monkeypatch.setattr(progress, "tell", lambda text, at_once=False: told.append(text))
    takes_writes(shop, place, False)
    later = threading.Timer(1.5, takes_writes, (shop, place, True))
    later.start()
    try:
        if what == "whole":
            restore(shop, folder, part)
        else:
            pg_table.restore_table(shop.server, shop.name, "lines", folder, part, min_free=0)
    finally:
        later.join()
    assert "to take writes again: default_transaction_read_only is on" in told[0]


def test_one_that_stays_so_is_named_and_check_mode_does_not_wait(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, part = shop.set()
    monkeypatch.setattr(pg_admin.writable, "__defaults__", ("", 0.5))
    takes_writes(shop, "postgres", False)
    try:
        restore(shop, folder, part, check=True)
        words = ["is read-only: default_transaction_read_only is on. Waited 0.5 s.", "failover", "Nothing was changed"]
        refused("read_only", restore, *words, shop=shop, folder=folder, part=part)
    finally:
        takes_writes(shop, "postgres", True)
    assert shop.databases() == [shop.name]


def test_restored_beside_and_proven(shop: Shop) -> None:
    folder, part = shop.set()
    shop.sql("DELETE FROM lines; UPDATE orders SET total = 0")
    before = shop.about()
    result = restore(shop, folder, part)
    beside = result["beside"]
    assert shop.databases() == [shop.name, beside]
    assert result["rows"] == part["facts"]["rows"]
    assert [line.split(":")[1] for line in result["rewritten"]] == [" constraint public.customers.plan_known"]
    assert result["seconds"]["all"] >= result["seconds"]["restore"] > 0
    assert shop.about() == before
    assert shop.sql("SELECT count(*) FROM lines") == "0", "the live database was touched"
    owners = "SELECT string_agg(DISTINCT c.relowner::regrole::text, ',') FROM pg_class c WHERE relnamespace = 'public'::regnamespace"
    assert shop.sql(owners, beside) == shop.sql(owners)
    assert shop.sql("SELECT datdba::regrole FROM pg_database WHERE datname = current_database()", beside) == "app"
    assert shop.sql("SELECT extname FROM pg_extension WHERE extname = 'pgcrypto'", beside) == "pgcrypto"
    for sequence in ("customers_id_seq", "orders_id_seq"):
        assert shop.sql(f"SELECT last_value FROM {sequence}", beside) == shop.sql(f"SELECT last_value FROM {sequence}")
    statistics = shop.sql("SELECT count(*) FROM pg_stats WHERE tablename = 'orders'", beside)
    assert int(statistics) > 0, "the planner knows nothing about the restored tables"
    assert not list(folder.parent.glob(".restore-*")), "the copy of the dump was left behind"
    with shop.server.session() as psql:
        assert pg_admin.family(psql, shop.name)[beside].note["state"] == "proven"


def test_a_table_that_is_too_large_to_count_proves_nothing_by_its_number(shop: Shop) -> None:
    shop.sql("ANALYZE")
    folder, part = shop.set(count_below=900)
    facts = part["facts"]
    assert (facts["rows"]["public.lines"], facts["rows"]["public.orders"]) == (None, 500)
    assert facts["approximate"] == {"public.lines": 900}
    assert pg_snapshot.verify(folder, part) == []
    result = restore(shop, folder, part)
    assert (result["rows"]["public.lines"], result["rows"]["public.orders"]) == (None, 500)
    assert shop.sql("SELECT count(*) FROM lines", result["beside"]) == "900"
    table = pg_table.restore_table(shop.server, shop.name, "lines", folder, part, min_free=0, check=True)
    assert (table["rows"], table["approximate"]) == (900, True)
    assert pg_table.restore_table(shop.server, shop.name, "lines", folder, part, min_free=0)["rows"] == 900


def test_check_mode_makes_nothing(shop: Shop) -> None:
    folder, part = shop.set()
    result = restore(shop, folder, part, check=True)
    assert result["changed"]
    assert shop.databases() == [shop.name]


def test_a_damaged_set_is_refused_before_anything_is_made(shop: Shop) -> None:
    folder, part = shop.set()
    largest = max((folder / "postgres/shop/dump").iterdir(), key=lambda path: path.stat().st_size)
    os.truncate(largest, largest.stat().st_size - 10)
    refused("damaged", restore, largest.name, "Nothing was changed", shop=shop, folder=folder, part=part)
    refused("damaged", restore, largest.name, shop=shop, folder=folder, part={**part, "files": None}, files=part["files"])
    assert shop.databases() == [shop.name]


def test_no_room(shop: Shop) -> None:
    folder, part = shop.set()
    much = shutil.disk_usage(shop.root).free + 10**12
    refused("space", restore, "bytes free", "are to stay free", shop=shop, folder=folder, part=part, min_free=much)
    assert shop.databases() == [shop.name]


def test_an_owner_that_is_not_there(shop: Shop) -> None:
    shop.sql("CREATE ROLE passing; CREATE TABLE theirs (a integer); ALTER TABLE theirs OWNER TO passing; GRANT SELECT ON theirs TO app")
    folder, part = shop.set()
    shop.sql("DROP TABLE theirs; DROP ROLE passing")
    refused("owners", restore, "no role passing", shop=shop, folder=folder, part=part)
    assert shop.databases() == [shop.name]


def test_a_right_of_nobody_fails_the_restore(shop: Shop) -> None:
    shop.sql("CREATE ROLE passing; GRANT SELECT ON lines TO passing")
    folder, part = shop.set()
    shop.sql("REVOKE ALL ON lines FROM passing; DROP ROLE passing")
    refused("restore", restore, "pg_restore ended with", "passing", shop=shop, folder=folder, part=part)
    assert shop.databases() == [shop.name]


def test_what_is_not_as_it_was_saved_goes_away(shop: Shop) -> None:
    folder, part = shop.set()
    rows = {**part["facts"]["rows"], "public.orders": 499}
    about = folder / "postgres/shop/database.json"
    about.write_text(about.read_text().replace('"public.orders": 500', '"public.orders": 499'))
    false = {**part, "facts": {**part["facts"], "rows": rows}, "files": None}
    refused("differs", restore, "rows of public.orders: 499 were saved, 500 are restored", shop=shop, folder=folder, part=false)
    assert shop.databases() == [shop.name]


def test_too_slow(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, part = shop.set()
    tool = shop.root / "bin" / "pg_restore"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\ntest \"$1\" = --list && exec /usr/bin/pg_restore \"$@\"\nexec sleep 30\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    server = replace(shop.server, user=None)  # whom nobody keeps from finding that tool
    call = {"server": server, "database": shop.name, "folder": folder, "part": part, "min_free": 0, "timeout": 1.0}
    refused("timeout", pg_restore.restore_beside, "ended after 1 s", **call)
    assert shop.databases() == [shop.name]


def test_a_name_that_postgresql_would_cut(shop: Shop) -> None:
    folder, part = shop.set()
    refused("input", pg_restore.restore_beside, "bytes too many", server=shop.server, database="d" * 40, folder=folder, part=part)


def test_one_restore_at_a_time(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, part = shop.set()
    with pg_admin.alone(shop.server, shop.name):
        alone = pg_admin.alone
        monkeypatch.setattr(pg_restore, "alone", lambda server, database, **given: alone(server, database, 0.1, **given))
        refused("busy", restore, "Another restore of database", shop=shop, folder=folder, part=part)
    assert shop.databases() == [shop.name]


def test_what_a_killed_restore_left_goes_with_the_next(shop: Shop) -> None:
    shop.sql("INSERT INTO log (line) SELECT repeat(n::text, 100) FROM generate_series(1, 200000) n")
    folder, part = shop.set()
    words = [str(shop.cluster.folder), str(shop.cluster.port), shop.server.user or "", shop.name, str(folder), json.dumps(part)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / ".collections")}
    child = subprocess.Popen([sys.executable, "-c", RESTORE, *words], env=environment)
    end = time.monotonic() + 30
    while len(shop.databases()) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    (left,) = set(shop.databases()) - {shop.name}
    refused("not_proven", choose, left, shop=shop, name=left)
    time.sleep(1.1)  # names have seconds
    result = restore(shop, folder, part)
    assert result["removed"] == [left]
    assert shop.databases() == sorted([shop.name, result["beside"]])
    assert not list(folder.parent.glob(".restore-*"))


def choose(shop: Shop, name: str) -> None:
    pg_swap.swap(shop.server, shop.name, name, wait=0.1)


def test_the_tools_user_reads_a_copy_that_only_it_can_read(shop: Shop) -> None:
    if not as_user(shop.server.user):
        pytest.fail("this test has to run as root: only root works as another user")
    folder, part = shop.set()
    with pg_restore.readable(shop.server, shop.name, folder, part) as (name, pass_fds):
        (copy,) = folder.parent.glob(".restore-*")
        assert name == f"/proc/self/fd/{pass_fds[0]}"
        assert copy.stat().st_mode & 0o077 == 0
        assert {path.name for path in copy.iterdir()} == {path.name for path in (folder / "postgres/shop/dump").iterdir()}
    assert not copy.exists()


def test_what_the_restore_takes_and_brings(shop: Shop) -> None:
    folder, part = shop.set()
    shop.sql(
        "INSERT INTO orders (customer, total) SELECT 1, 5 FROM generate_series(1, 7);"
        "DELETE FROM lines WHERE number <= 3;"
        "UPDATE customers SET name = 'other' WHERE id IN (4, 5);"
        "INSERT INTO log (line) VALUES ('only now');"
        "CREATE TABLE newer (a integer); INSERT INTO newer VALUES (1), (2);"
        'INSERT INTO "odd ""name""" VALUES (2)'
    )
    beside = restore(shop, folder, part)["beside"]
    found = pg_compare.compare(shop.server, shop.name, beside)
    tables = {entry["table"]: entry for entry in found["tables"]}

    def numbers(name: str) -> tuple[Any, ...]:
        return tuple(tables[name][key] for key in ("live", "set", "lost", "returned", "changed"))

    assert numbers("public.orders") == (507, 500, 7, 0, 0)
    assert tables["public.orders"]["sample"] == ["501", "502", "503", "504", "505"]
    assert numbers("public.lines") == (897, 900, 0, 3, 0)
    assert numbers("public.customers") == (20, 20, 0, 0, 2)
    assert numbers("public.newer") == (2, 0, 2, 0, 0)
    assert numbers("public.log")[:3] == (8, 0, None)
    assert "without a common primary key" in tables["public.log"]["why"]
    assert numbers('public.odd "name"') == (2, 1, 1, 0, 0)
    assert tables["public.alembic_version"]["same"]
    assert (found["lost"], found["returned"], found["changed"], found["exact"], found["same"]) == (10, 3, 2, False, False)
    assert "public.orders: 507 rows now, 500 in the set: 7 lost (501, 502, 503, 504, 505, …)" in found["lines"]
    assert not any(line.startswith("public.alembic_version") for line in found["lines"])
    some = pg_compare.compare(shop.server, shop.name, beside, ["public.orders"])
    assert [entry["table"] for entry in some["tables"]] == ["public.orders"]
    call = {"server": shop.server, "database": shop.name, "beside": beside, "tables": ["public.nothing"]}
    refused("unknown_table", pg_compare.compare, "public.nothing", **call)


def test_what_is_the_same_is_the_same_whatever_the_settings(shop: Shop) -> None:
    folder, part = shop.set()
    beside = restore(shop, folder, part)["beside"]
    shop.sql(f"ALTER DATABASE {shop.name} SET timezone = 'Asia/Seoul'; ALTER DATABASE {shop.name} SET extra_float_digits = -3")
    found = pg_compare.compare(shop.server, shop.name, beside)
    assert found["same"], found["lines"]
    assert found["lines"] == []


def test_many_differences_are_fetched_in_pieces(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, part = shop.set()
    shop.sql("UPDATE lines SET what = what || '!' WHERE number > 100; DELETE FROM lines WHERE number <= 50")
    beside = restore(shop, folder, part)["beside"]
    unlike = row_compare.unlike
    pieces: list[list[int]] = []

    def small(live: row_compare.Sums, kept: row_compare.Sums) -> Any:
        for piece in unlike(live, kept, 100):
            pieces.append(piece)
            yield piece

    monkeypatch.setattr(row_compare, "unlike", small)
    found = pg_compare.compare(shop.server, shop.name, beside, ["public.lines"])
    (entry,) = found["tables"]
    assert (entry["lost"], entry["returned"], entry["changed"]) == (0, 50, 800)
    assert len(pieces) > 5


def test_out_of_time_the_rows_are_counted(shop: Shop) -> None:
    folder, part = shop.set()
    beside = restore(shop, folder, part)["beside"]
    found = pg_compare.compare(shop.server, shop.name, beside, ["public.orders"], budget=0)
    (entry,) = found["tables"]
    assert (entry["live"], entry["set"], entry["lost"], entry["exact"]) == (500, 500, None, False)
    assert "within the time" in entry["why"]
    assert not found["exact"]


def test_others_write_meanwhile(shop: Shop) -> None:
    """A restore beside takes nothing from the live one: its users do not notice."""
    folder, part = shop.set()
    ending = threading.Event()
    slowest = [0.0]

    def write() -> None:
        with shop.session() as psql:
            while not ending.is_set():
                began = time.monotonic()
                psql.query("INSERT INTO orders (customer, total) VALUES (1, 1)")
                slowest[0] = max(slowest[0], time.monotonic() - began)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        beside = restore(shop, folder, part)["beside"]
        found = pg_compare.compare(shop.server, shop.name, beside, ["public.orders"])
    finally:
        ending.set()
        writer.join()
    assert found["tables"][0]["lost"] > 0
    assert slowest[0] < 1.0
