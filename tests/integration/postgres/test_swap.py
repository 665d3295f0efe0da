# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restored database in the place of the live one: what survives, who is in the way, what an interruption leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import (
    admin as pg_admin,
    names as restore_names,
    restore as pg_restore,
    swap as pg_swap,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError, Psql

from .conftest import Shop, refused

# What runs as a process of its own, so that it can be killed while it waits for a session to leave.
SWAP = """
import sys
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.admin import Server
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import DatabaseAddress
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import swap as pg_swap
host, port, user, name = sys.argv[1:]
server = Server(DatabaseAddress(host, int(port), "postgres", "postgres"), {}, user or None)
pg_swap.swap(server, name, wait=0, terminate=True, grace=60)
"""


def restored(shop: Shop) -> str:
    folder, part = shop.set(f"set{time.monotonic_ns()}")
    return str(pg_restore.restore_beside(shop.server, shop.name, folder, part, min_free=0)["beside"])


def swap(shop: Shop, **changes: Any) -> dict[str, Any]:
    return pg_swap.swap(shop.server, shop.name, **{"wait": 0.3, **changes})


def rows(shop: Shop, database: str = "") -> int:
    return int(shop.sql("SELECT count(*) FROM orders", database))


def wait_for(what: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def test_everything_about_the_database_survives(shop: Shop) -> None:
    before = shop.about()
    beside = restored(shop)
    shop.sql("INSERT INTO orders (customer, total) SELECT 1, 1 FROM generate_series(1, 9)")
    result = swap(shop)
    assert result["restored"] == beside
    assert 0 < result["refused_seconds"] < 1
    assert shop.databases() == sorted([shop.name, result["replaced"]])
    assert shop.about() == before
    assert shop.about(result["replaced"]) == before
    assert (rows(shop), rows(shop, result["replaced"])) == (500, 509)
    with shop.session() as psql:
        assert psql.query("SELECT to_json(current_setting('work_mem'))") == "7MB"
        assert psql.query("SELECT to_json(current_setting('search_path'))") == '"$user", public, "odd, one"'
        psql.query("INSERT INTO customers (name) VALUES ('new')")
        psql.query("INSERT INTO orders (customer, total) VALUES (21, 1)")
        psql.query("CREATE TABLE public.more (a integer)")
        assert psql.query("SELECT max(id) FROM orders") == 501, "the sequence did not go on"


def test_there_and_back(shop: Shop) -> None:
    restored(shop)
    shop.sql("INSERT INTO orders (customer, total) VALUES (1, 1)")
    before = shop.about()
    replaced = swap(shop)["replaced"]
    assert rows(shop) == 500
    back = swap(shop, beside=replaced)
    assert rows(shop) == 501
    assert shop.about() == before
    assert shop.databases() == sorted([shop.name, back["replaced"]])


def test_check_mode_changes_nothing(shop: Shop) -> None:
    beside = restored(shop)
    before = shop.about()
    with shop.session("watcher") as psql:
        psql.query("SELECT 1")
        result = swap(shop, check=True)
        assert [entry["application"] for entry in result["sessions"]] == ["watcher"]
        assert psql.query("SELECT 1") == 1
    assert shop.databases() == [shop.name, beside]
    assert shop.about() == before


def test_who_does_not_leave_is_named(shop: Shop) -> None:
    beside = restored(shop)
    with shop.session("checkout-7") as psql:
        problem = refused("connections", swap, "checkout-7", f"pid {psql.pid}", "-e terminate=true", shop=shop)
        assert [entry["pid"] for entry in problem.facts["sessions"]] == [psql.pid]
        psql.query("INSERT INTO orders (customer, total) VALUES (1, 1)")
    assert shop.databases() == [shop.name, beside]
    assert rows(shop) == 501


def test_who_leaves_in_time_is_waited_for(shop: Shop) -> None:
    restored(shop)
    psql = shop.session()
    leaving = threading.Timer(1.5, psql.close)  # it takes a while until the swap begins to wait, on a machine that has more to do
    leaving.start()
    result = swap(shop, wait=10.0)
    leaving.join()
    assert 0.1 < result["waited"] < 5
    assert result["ended"] == []
    assert result["refused_seconds"] < 1


def test_who_stays_is_ended_where_that_is_wanted(shop: Shop) -> None:
    restored(shop)
    with shop.session("idler") as idle, shop.session("worker") as busy:
        busy.query("BEGIN")
        busy.query("INSERT INTO orders (customer, total) VALUES (1, 1)")
        result = swap(shop, terminate=True, grace=0.2)
        assert {entry["application"] for entry in result["ended"]} == {"idler", "worker"}
        for psql in (idle, busy):
            with pytest.raises(DatabaseError):
                psql.query("SELECT 1")
    assert result["refused_seconds"] < 1
    assert (rows(shop), rows(shop, result["replaced"])) == (500, 500)


def test_a_crowd_that_connects_again_and_again(shop: Shop) -> None:
    """Clients with a pool that comes back at once: none gets in between, and none waits longer than a second."""
    restored(shop)
    ending = threading.Event()
    gaps: list[float] = []
    lost: list[str] = []

    def client(number: int) -> None:
        last, psql = time.monotonic(), None
        while not ending.is_set():
            try:
                psql = psql or shop.session(f"client-{number}")
                psql.query("INSERT INTO orders (customer, total) VALUES (1, 1)")
                gaps.append(time.monotonic() - last)
                last = time.monotonic()
            except DatabaseError as problem:
                lost.append(str(problem))
                if psql:
                    psql.close()
                psql = None
        if psql:
            psql.close()

    crowd = [threading.Thread(target=client, args=(number,)) for number in range(3)]
    for each in crowd:
        each.start()
    try:
        wait_for(lambda: len(gaps) > 30)
        result = swap(shop, wait=0.0, terminate=True, grace=0.2)
        written = len(gaps)
        wait_for(lambda: len(gaps) > written + 30)
    finally:
        ending.set()
        for each in crowd:
            each.join()
    assert lost, "nobody was interrupted: this proves nothing"
    assert result["refused_seconds"] < 1
    assert max(gaps) < 2, "a client waited longer than the swap took"
    assert rows(shop) > 500, "nobody wrote into the restored database"


def test_a_killed_swap_leaves_the_live_database_open(shop: Shop) -> None:
    beside = restored(shop)
    words = [str(shop.cluster.folder), str(shop.cluster.port), shop.server.user or "", shop.name]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / ".collections")}
    with shop.session("stays") as psql:
        psql.query("BEGIN")
        psql.query("INSERT INTO orders (customer, total) VALUES (1, 1)")  # a transaction under way is given its grace
        child = subprocess.Popen([sys.executable, "-c", SWAP, *words], env=environment)
        moving = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'ALTER DATABASE%RENAME%' AND state = 'active'"
        moving += " AND pid <> pg_backend_pid()"
        wait_for(lambda: shop.sql(moving, "postgres") == "1")
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        psql.query("COMMIT")
        wait_for(lambda: shop.sql(moving, "postgres") == "0")
    with shop.session() as psql:
        assert psql.query("SELECT count(*) FROM orders") == 501
    assert shop.databases() == [shop.name, beside]
    assert swap(shop)["restored"] == beside
    assert rows(shop) == 500


def test_a_swap_that_fails_between_its_renames_is_undone(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = restored(shop)
    before = shop.about()
    query = Psql.query

    def failing(self: Psql, sql: str, timeout: float = 30.0) -> Any:
        if sql.startswith(f'ALTER DATABASE "{beside}" RENAME'):
            raise DatabaseError("ended", "the server is gone")
        return query(self, sql, timeout)

    monkeypatch.setattr(Psql, "query", failing)
    refused("database", swap, "serves as before", shop=shop)
    monkeypatch.undo()
    wait_for(lambda: shop.databases() == [shop.name, beside])
    assert shop.about() == before
    swap(shop)


def test_subscriptions_are_in_the_way(shop: Shop) -> None:
    beside = restored(shop)
    shop.sql("CREATE SUBSCRIPTION feed CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false)")
    try:
        refused("obstacle", swap, "subscriptions: feed", shop=shop)
        assert shop.databases() == [shop.name, beside]
    finally:
        shop.sql("ALTER SUBSCRIPTION feed SET (slot_name = NONE)")
        shop.sql("DROP SUBSCRIPTION feed")


def test_nothing_restored(shop: Shop) -> None:
    refused("nothing_restored", swap, "Restore a set first", shop=shop)
    refused("unknown_database", swap, "there are: none", shop=shop, beside="postgres")
    assert shop.databases() == [shop.name]


def test_only_the_databases_own_family_is_looked_at(shop: Shop) -> None:
    other = restore_names.beside(shop.name + "x", "restore", restore_names.stamp())
    shop.cluster.admin(f'CREATE DATABASE "{other}"')
    try:
        refused("unknown_database", swap, "There is no database", shop=shop, beside=other)
        refused("unknown_database", pg_swap.drop_beside, "nothing was removed", server=shop.server, database=shop.name, names=[other])
    finally:
        shop.cluster.admin(f'DROP DATABASE "{other}"')


def test_the_live_one_is_gone(shop: Shop) -> None:
    """Dropped by somebody: the set knows what belonged to it."""
    folder, part = shop.set()
    before = shop.about()
    shop.cluster.admin(f"DROP DATABASE {shop.name}")
    beside = pg_restore.restore_beside(shop.server, shop.name, folder, part, min_free=0)["beside"]
    assert shop.databases() == [beside]
    refused("last_copy", pg_swap.drop_beside, "last copy", server=shop.server, database=shop.name, names=[beside])
    assert swap(shop, check=True)["changed"]
    result = swap(shop)
    assert result["note"].startswith("there was no database")
    assert shop.databases() == [shop.name]
    assert shop.about() == before
    assert rows(shop) == 500


def test_what_was_replaced_is_kept_until_it_is_old(shop: Shop) -> None:
    restored(shop)
    first = swap(shop)["replaced"]
    time.sleep(1.1)  # names have seconds
    second = swap(shop, beside=first)["replaced"]
    found = pg_swap.overview(shop.server, shop.name)
    assert [entry["name"] for entry in found["replaced"]] == [second]
    assert found["live"]["name"] == shop.name
    assert found["restored"] == []
    drop = pg_swap.drop_beside
    assert drop(shop.server, shop.name, older_than=3600.0)["dropped"] == []
    assert drop(shop.server, shop.name, keep=1)["dropped"] == []
    assert drop(shop.server, shop.name, check=True)["dropped"] == [second]
    assert shop.databases() == [shop.name, second]
    gone = drop(shop.server, shop.name)
    assert gone["dropped"] == [second]
    assert gone["freed"] > 0
    assert not drop(shop.server, shop.name)["changed"]
    assert shop.databases() == [shop.name]


def test_the_comment_of_somebody_else_is_no_note() -> None:
    assert pg_admin.read_note("the shop") == {}
    assert pg_admin.read_note('{"aistack": 5}') == {}
    assert pg_admin.read_note(None) == {}
