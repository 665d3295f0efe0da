# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database as a part of a set: found by its component's environment, put back beside, compared, swapped, and dropped in time."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import (
    prune as restore_prune,
    restore as restore_set,
    sets as backup_set,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import restore as restore_part
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.sets import BackupSetError
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import DatabaseAddress
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import Psql

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


def databases(cluster: Cluster, sales: str) -> list[str]:
    return cluster.admin(f"SELECT datname FROM pg_database WHERE datname LIKE '{sales}%' ORDER BY 1").splitlines()


def keep(node: Node, days: int) -> None:
    described = json.loads((node.state / "backup.json").read_text())
    node.describe(**{**described, "keep": {"last": 1, "days": days}})


def test_what_restores_left_goes_when_it_is_old(cluster: Cluster, node: Node, sales: str) -> None:
    name = made(node)
    restore_set.plan(ask(node, name))
    prepared = databases(cluster, sales)[1]
    restore_set.plan(ask(node, name, "postgres:sales", tables=["public.orders"]))
    space = cluster.admin("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'orders__restore_%'", sales)
    restore_set.restore(ask(node, name, "postgres:sales", tables=["public.customers"]), name)
    table = cluster.admin("SELECT relname FROM pg_class WHERE relname LIKE 'customers__replaced_%' AND relkind = 'r'", sales)
    cluster.admin(f"CREATE DATABASE {sales}__replaced_by_me; CREATE DATABASE {sales}x__restore_20200101t000000z")  # not ours
    left = [f"database {prepared}", f"schema {sales}: {space}", f"table {sales}: public.{table}"]
    keep(node, 1)
    assert restore_prune.prune(node.request()) == {"replaced": [], "beside": [], "beside_kept": {}}, "all of it is younger than a day"
    keep(node, 0)
    before = databases(cluster, sales)
    assert restore_prune.prune(node.request(), check=True) == {"replaced": [], "beside": left, "beside_kept": {}}
    assert databases(cluster, sales) == before
    assert restore_prune.prune(node.request()) == {"replaced": [], "beside": left, "beside_kept": {}}
    assert databases(cluster, sales) == sorted({*before} - {prepared})
    assert cluster.admin("SELECT (SELECT count(*) FROM customers), (SELECT count(*) FROM orders)", sales) == "2|3"
    assert cluster.admin("SELECT count(*) FROM pg_class WHERE relname LIKE '%\\_\\_re%'", sales) == "0"
    record = Journal.of(node.state).read()[-1]
    assert (record["op"], record["outcome"], record["detail"]["beside"]) == ("prune", "ok", left)
    assert restore_prune.prune(node.request())["beside"] == []
    assert Journal.of(node.state).read()[-1] == record, "nothing to do is nothing to tell"


def test_what_is_in_use_stays_however_old(cluster: Cluster, node: Node, sales: str) -> None:
    name = made(node)
    same = restore_set.restore(ask(node, name), name)
    assert (same["parts"][0]["change"], same["changed"]) == (False, True), "the rows are the same, and the database is another one"
    replaced = same["done"]["postgres:sales"]["replaced"]
    restore_set.plan(ask(node, name))
    prepared = next(one for one in databases(cluster, sales) if "__restore_" in one)
    restore_set.restore(ask(node, name, "postgres:sales", tables=["public.customers"]), name)
    table = cluster.admin("SELECT relname FROM pg_class WHERE relname LIKE 'customers__replaced_%' AND relkind = 'r'", sales)
    cluster.admin(f"CREATE VIEW mine AS SELECT * FROM {table}", sales)

    def session(database: str) -> Psql:
        return Psql(DatabaseAddress("127.0.0.1", cluster.port, "app", database, PASSWORD), {}, None, "a-reader")

    with session(replaced) as first, session(prepared) as second:
        for reader in (first, second):
            reader.query("SELECT 1")
        found = restore_prune.prune(node.request())
        assert (found["replaced"], found["beside"]) == ([], [])
        assert sorted(found["beside_kept"]) == sorted([f"database {replaced}", f"database {prepared}", f"table {sales}: public.{table}"])
        for database in (replaced, prepared):
            assert "a-reader" in found["beside_kept"][f"database {database}"]
        assert "depends on it" in found["beside_kept"][f"table {sales}: public.{table}"]
        assert first.query("SELECT count(*) FROM orders") == 3
    cluster.admin("DROP VIEW mine", sales)
    found = restore_prune.prune(node.request())
    assert found["beside"] == [f"database {replaced}", f"database {prepared}", f"table {sales}: public.{table}"]
    assert len(found["replaced"]) == 1, "the note goes with what it was about"
    assert databases(cluster, sales) == [sales]


def test_a_last_copy_stays_and_a_server_that_does_not_answer_is_told(cluster: Cluster, node: Node, sales: str) -> None:
    restore_set.plan(ask(node, made(node)))
    prepared = databases(cluster, sales)[1]
    cluster.admin(f"ALTER DATABASE {sales} RENAME TO {sales}_away")
    found = restore_prune.prune(node.request())
    assert found["beside"] == []
    assert "may be its last copy" in found["beside_kept"][f"database {prepared}"]
    entry = json.loads((node.state / "backup.json").read_text())["postgres"][0]
    node.describe(postgres=[{**entry, "admin": {"host": "127.0.0.1", "port": 1}}], keep={"days": 0})
    found = restore_prune.prune(node.request())
    assert found["beside"] == []
    assert "was not removed" in found["beside_kept"]["postgres:sales"]


def test_check_mode_makes_nothing(cluster: Cluster, node: Node, sales: str) -> None:
    name = made(node)
    planned = restore_set.plan(ask(node, name), check=True)
    assert planned["parts"][0]["counts"] == {"rows_then": 6}
    assert restore_set.restore(ask(node, name), name, check=True)["done"] == {}
    assert cluster.admin(f"SELECT count(*) FROM pg_database WHERE datname LIKE '{sales}%'") == "1"


def test_a_large_table_is_told_by_the_statistics(cluster: Cluster, node: Node, sales: str) -> None:
    cluster.admin("ANALYZE", sales)
    described = json.loads((node.state / "backup.json").read_text())
    entry = {**described["postgres"][0], "name": "Sales.DB"}
    node.describe(**{**described, "postgres": [entry], "count_below": 3})
    planned = restore_set.plan(ask(node, made(node)), check=True)
    assert "about 6 rows of the set take the place of what is there" in planned["lines"][0]
    assert planned["parts"][0]["counts"] == {"rows_then": 6, "approximate": True}
    assert planned["parts"][0]["part"] == "postgres:Sales.DB", "every name that the description allows can be saved"


def test_one_table_comes_back(cluster: Cluster, node: Node, sales: str) -> None:
    name = made(node)
    cluster.admin("DELETE FROM orders; DELETE FROM customers", sales)
    planned = restore_set.plan(ask(node, name, "postgres:sales", tables=["public.orders"]))
    assert planned["parts"][0]["counts"] == {"rows_lost": 0, "rows_returned": 3, "rows_changed": 0}
    restore_set.restore(ask(node, name, "postgres:sales", tables=["public.orders"]), name)
    assert cluster.admin("SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM customers)", sales) == "3|0"
    with pytest.raises(BackupSetError, match=r"The set has no table public\.nothing; it has: public\.alembic_version"):
        restore_set.plan(ask(node, name, "postgres:sales", tables=["public.nothing"]))
    with pytest.raises(BackupSetError, match="tables are of one database: name it alone, -e what=postgres:NAME"):
        restore_set.plan(ask(node, name, "postgres", "env", tables=["public.orders"]))


def test_sessions_that_do_not_leave(cluster: Cluster, node: Node, sales: str) -> None:
    name = made(node)
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


def test_one_wrong_bit_is_refused_and_nothing_is_lost(cluster: Cluster, node: Node, sales: str) -> None:
    """The same length, another checksum."""
    name = made(node)
    cluster.admin("INSERT INTO orders VALUES (4, 'since')", sales)
    file = max((backup_set.folder_of(node.state) / name / "postgres/sales/dump").glob("*.gz"), key=lambda path: path.stat().st_size)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(BackupSetError, match=r"Nothing was restored: the set .* cannot be used: .*\.gz was changed: expected .*SHA-256"):
        restore_set.restore(ask(node, name), name)
    assert cluster.admin("SELECT count(*) FROM orders", sales) == "4"
    assert cluster.admin(f"SELECT count(*) FROM pg_database WHERE datname LIKE '{sales}%'") == "1"
    with pytest.raises(BackupSetError, match="Take another set; a verified one is not there"):
        restore_set.plan(ask(node, name), check=True)


def test_no_space_is_told_before_anything_is_made(cluster: Cluster, node: Node, sales: str) -> None:
    name = made(node)
    request = replace(ask(node, name), min_free=1 << 60)
    for call in (lambda: restore_set.plan(request), lambda: restore_set.restore(request, name), lambda: restore_set.plan(request, True)):
        with pytest.raises(BackupSetError, match=r"Nothing was restored: .* bytes free.*are to stay free"):
            call()
    assert cluster.admin("SELECT count(*) FROM orders", sales) == "3"
    assert cluster.admin(f"SELECT count(*) FROM pg_database WHERE datname LIKE '{sales}%'") == "1"
    assert "restore" not in [record["op"] for record in Journal.of(node.state).read() if record["outcome"] == "ok"]


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
    from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import PartError
    from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.postgres_restore import server_of

    password = tmp_path / "admin"
    password.write_text("geheim\n")
    address = DatabaseAddress("10.0.0.9", 5433, "app", "sales", "x")
    server = server_of({"name": "sales", "admin": {"host": "10.0.0.9", "user": "root", "password_file": str(password)}}, address)
    assert (server.address.host, server.address.port, server.address.user, server.address.password) == ("10.0.0.9", 5433, "root", "geheim")
    assert server.user is None
    assert server_of({"name": "sales"}, address).address.host == "10.0.0.9", "no socket of that port here"
    with pytest.raises(PartError, match="the administrator's password cannot be read from /nowhere"):
        server_of({"name": "sales", "admin": {"password_file": "/nowhere"}}, address)
