# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database as a part of a set: found by its component's environment, put back beside, compared, swapped, and dropped in time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils import backup_set, restore_part, restore_set
from ansible_collections.phasegate.aistack.plugins.module_utils.backup_set import BackupSetError

from ..conftest import PASSWORD, Cluster
from .conftest import Node


@pytest.fixture
def sales(cluster: Cluster, node: Node, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database with three orders and two customers, described for the node through its component's environment."""
    name = f"s{abs(hash(request.node.nodeid)) % 10**10}"
    cluster.admin(f"CREATE DATABASE {name} OWNER app")
    cluster.admin(
        "SET ROLE app; CREATE TABLE customers (id int PRIMARY KEY, name text); CREATE TABLE orders (id int PRIMARY KEY, what text);"
        "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY); INSERT INTO alembic_version VALUES ('aaa1');"
        "INSERT INTO customers VALUES (1, 'a'), (2, 'b'); INSERT INTO orders VALUES (1, 'x'), (2, 'y'), (3, 'z')",
        name,
    )
    config = node.root / "backend" / "config" / "c1"
    config.mkdir(parents=True)
    password = quote(PASSWORD, safe="")
    (config / "env").write_text(f'DATABASE_URL="postgresql+psycopg2://app:{password}@127.0.0.1:{cluster.port}/{name}"\n')
    slot = node.root / "backend" / "slots" / "blue"
    slot.mkdir(parents=True)
    (slot / "config").symlink_to("../../config/c1")
    (slot / "release").symlink_to("../../releases/v1")
    (node.root / "backend" / "slots" / "live").symlink_to("blue")
    entry = {"name": "sales", "component": "backend", "user": "postgres", "admin": {"host": str(cluster.folder)}}
    node.describe(postgres=[entry], keep={"last": 1, "days": 0})
    yield name
    for left in cluster.admin(f"SELECT datname FROM pg_database WHERE datname LIKE '{name}%'").splitlines():
        cluster.admin(f"DROP DATABASE {left} WITH (FORCE)")


def ask(node: Node, name: str, *what: str, **more: Any) -> restore_set.Request:
    return restore_set.Request(node.state, name, node.root, what or ("postgres",), min_free=1024, run="run-2", **more)


def made(node: Node) -> str:
    return str(backup_set.make(node.request())["name"])


def test_a_database_comes_back(cluster: Cluster, node: Node, sales: str) -> None:
    done = backup_set.make(node.request())
    name = done["name"]
    part = done["manifest"]["parts"][0]
    assert part["facts"]["rows"] == {"public.alembic_version": 1, "public.customers": 2, "public.orders": 3}
    assert done["manifest"]["heads"] == {"backend": ["aaa1"]}
    assert backup_set.verify(node.state, name)["problems"] == []
    cluster.admin("DELETE FROM customers WHERE id = 1; UPDATE orders SET what = 'new' WHERE id = 1", sales)
    cluster.admin("INSERT INTO orders VALUES (4, 'lost'), (5, 'lost')", sales)
    planned = restore_set.plan(ask(node, name))
    assert planned["parts"][0]["counts"] == {"rows_lost": 2, "rows_returned": 1, "rows_changed": 1}
    assert f"{sales}: 2 rows are lost, 1 come back, 1 are as they were then" in planned["lines"][0]
    assert any("orders" in line for line in planned["lines"][1:])
    assert cluster.admin("SELECT count(*) FROM orders", sales) == "5", "a plan changes nothing that is live"
    beside = cluster.admin(f"SELECT datname FROM pg_database WHERE datname LIKE '{sales}__restore%'")
    assert beside
    result = restore_set.restore(ask(node, name), name)
    swapped = result["done"]["postgres:sales"]
    assert swapped["restored"] == beside, "what was restored for the plan is what is swapped in"
    assert swapped["lost"]["lost"] == 2
    assert cluster.admin("SELECT count(*), min(what) FROM orders", sales) == "3|x"
    assert cluster.admin("SELECT count(*) FROM orders", swapped["replaced"]) == "5", "what was replaced is kept"
    note = restore_part.replaced(node.state)[0]
    assert (note["database"], note["of"]) == (swapped["replaced"], sales)
    assert restore_set.prune_replaced(node.state, node.root, check=False) == [note["name"]]
    assert cluster.admin(f"SELECT count(*) FROM pg_database WHERE datname = '{swapped['replaced']}'") == "0"


def test_check_mode_makes_nothing(cluster: Cluster, node: Node, sales: str) -> None:
    name = made(node)
    planned = restore_set.plan(ask(node, name), check=True)
    assert planned["parts"][0]["counts"] == {"rows_then": 6}
    assert restore_set.restore(ask(node, name), name, check=True)["done"] == {}
    assert cluster.admin(f"SELECT count(*) FROM pg_database WHERE datname LIKE '{sales}%'") == "1"


def test_one_table_comes_back(cluster: Cluster, node: Node, sales: str) -> None:
    name = made(node)
    cluster.admin("DELETE FROM orders; DELETE FROM customers", sales)
    planned = restore_set.plan(ask(node, name, "postgres:sales", tables=["public.orders"]))
    assert planned["parts"][0]["counts"] == {"rows_lost": 0, "rows_returned": 3, "rows_changed": 0}
    restore_set.restore(ask(node, name, "postgres:sales", tables=["public.orders"]), name)
    assert cluster.admin("SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM customers)", sales) == "3|0"
    with pytest.raises(BackupSetError, match=r"The set has no table public\.nothing; it has: public\.alembic_version"):
        restore_set.plan(ask(node, name, "postgres:sales", tables=["public.nothing"]))
    with pytest.raises(BackupSetError, match="tables are of one database: name it alone in what"):
        restore_set.plan(ask(node, name, "postgres", "env", tables=["public.orders"]))


def test_sessions_that_do_not_leave(cluster: Cluster, node: Node, sales: str) -> None:
    name = made(node)
    from ansible_collections.phasegate.aistack.plugins.module_utils.psql import Psql
    from ansible_collections.phasegate.aistack.plugins.module_utils.pure.database_url import DatabaseAddress

    with Psql(DatabaseAddress("127.0.0.1", cluster.port, "app", sales, PASSWORD), {}, None, "a-worker") as session:
        session.query("SELECT 1")
        with pytest.raises(BackupSetError, match="a-worker") as caught:
            restore_set.restore(ask(node, name, wait=0.3), name)
        assert caught.value.extra["done"] == {}
        assert session.query("SELECT count(*) FROM orders") == 3
        restore_set.restore(ask(node, name, wait=0.1, terminate=True), name)
    assert cluster.admin("SELECT count(*) FROM orders", sales) == "3"


def test_a_truncated_dump_is_refused(cluster: Cluster, node: Node, sales: str) -> None:
    name = made(node)
    file = max((backup_set.folder_of(node.state) / name / "postgres/sales/dump").glob("*.gz"), key=lambda path: path.stat().st_size)
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(BackupSetError, match=r"Nothing was restored: the set .* cannot be used: postgres/sales/dump/.* was changed"):
        restore_set.restore(ask(node, name), name)


def test_rows_that_are_written_while_it_is_saved(cluster: Cluster, node: Node, sales: str) -> None:
    stop = threading.Event()

    def write() -> None:
        number = 10
        while not stop.is_set():
            cluster.admin(f"INSERT INTO orders VALUES ({number}, 'w')", sales)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        name = made(node)
    finally:
        stop.set()
        writer.join()
    facts = backup_set.load(backup_set.folder_of(node.state) / name)["parts"][0]["facts"]
    restore_set.restore(ask(node, name), name)
    assert int(cluster.admin("SELECT count(*) FROM orders", sales)) == facts["rows"]["public.orders"]


def test_an_administrator_over_the_network(cluster: Cluster, node: Node, sales: str, tmp_path: Path) -> None:
    from ansible_collections.phasegate.aistack.plugins.module_utils.backup_part import PartError
    from ansible_collections.phasegate.aistack.plugins.module_utils.pure.database_url import DatabaseAddress
    from ansible_collections.phasegate.aistack.plugins.module_utils.restore_postgres import server_of

    password = tmp_path / "admin"
    password.write_text("geheim\n")
    address = DatabaseAddress("10.0.0.9", 5433, "app", "sales", "x")
    server = server_of({"name": "sales", "admin": {"host": "10.0.0.9", "user": "root", "password_file": str(password)}}, address)
    assert (server.address.host, server.address.port, server.address.user, server.address.password) == ("10.0.0.9", 5433, "root", "geheim")
    assert server.user is None
    assert server_of({"name": "sales"}, address).address.host == "10.0.0.9", "no socket of that port here"
    with pytest.raises(PartError, match="the administrator's password cannot be read from /nowhere"):
        server_of({"name": "sales", "admin": {"password_file": "/nowhere"}}, address)
