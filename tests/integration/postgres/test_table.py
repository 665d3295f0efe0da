# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One table of a set in the place of the live one: what hangs on it goes on working, and what cannot be done is said before."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import (
    fingerprint,
    restore as pg_restore,
    row_compare,
    table as pg_table,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import Fingerprint
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError, Psql

from .conftest import Shop, refused

ROWS = "SELECT count(*), coalesce(sum(total), 0), max(id) FROM orders"
RIGHTS = "SELECT relacl::text, relowner::regrole, reloptions::text, obj_description(oid) FROM pg_class WHERE oid = 'orders'::regclass"


def schema(shop: Shop, without: str = "__replaced_") -> dict[str, str]:
    with shop.server.session(shop.name) as psql:
        psql.apply_settings(search_path="")
        objects = psql.query(fingerprint.SCHEMA_QUERY)
    return Fingerprint.of([entry for entry in objects if without not in entry[1]], [], None).objects


def restore(shop: Shop, table: str, folder: Path, part: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return pg_table.restore_table(shop.server, shop.name, table, folder, part, **{"min_free": 0, "origin": "set", **changes})


def swap(shop: Shop, table: str, **changes: Any) -> dict[str, Any]:
    return pg_table.swap_table(shop.server, shop.name, table, **changes)


def spaces(shop: Shop) -> list[str]:
    return shop.sql("SELECT nspname FROM pg_namespace WHERE nspname ~ '__restore_' ORDER BY 1").split()


def test_a_table_with_all_that_hangs_on_it(shop: Shop) -> None:
    folder, part = shop.set()
    original, before, rights = shop.sql(ROWS), schema(shop), shop.sql(RIGHTS)
    shop.sql("UPDATE orders SET total = 0 WHERE id > 10; INSERT INTO orders (customer, total) SELECT 1, 7 FROM generate_series(1, 5)")
    live = shop.sql(ROWS)
    result = restore(shop, "orders", folder, part)
    assert result["rows"] == 500
    assert spaces(shop) == [result["beside"]]
    assert shop.sql(ROWS) == live, "the live table was touched"
    found = pg_table.compare_table(shop.server, shop.name, "orders")
    (entry,) = found["tables"]
    assert (entry["lost"], entry["returned"], entry["changed"]) == (5, 0, 490)
    swapped = swap(shop, "public.orders")
    assert 0 < swapped["refused_seconds"] < 1
    assert shop.sql(ROWS) == original
    assert schema(shop) == before
    assert shop.sql(RIGHTS) == rights
    assert spaces(shop) == []
    schema_name, _dot, replaced = swapped["replaced"].partition(".")
    assert shop.sql(ROWS.replace("orders", f'{schema_name}."{replaced}"')) == live
    assert shop.sql("SELECT attacl::text FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'total'") == "{reader=w/app}"
    with shop.session() as psql:  # as the application's user: keys, sequence, trigger, view, rights
        with pytest.raises(DatabaseError, match="foreign key"):
            psql.query("INSERT INTO orders (customer, total) VALUES (9999, 1)")
        with pytest.raises(DatabaseError, match="foreign key"):
            psql.query('INSERT INTO lines VALUES (1, 9999, \'x\')')
        logged = psql.query("SELECT count(*) FROM log")
        psql.query("INSERT INTO orders (customer, total) VALUES (3, 1)")
        assert psql.query("SELECT max(id) FROM orders") == 507, "the sequence did not go on where the live one was"
        assert psql.query("SELECT count(*) FROM log") == logged + 1
        dear = psql.query("SELECT sum(total) FROM dear")
        psql.query("UPDATE orders SET total = total + 1 WHERE id = 1")
        assert psql.query("SELECT sum(total) FROM dear") == dear + 1, "the view reads the replaced table"
        psql.query("DELETE FROM customers WHERE id = 5")
        psql.query("DROP TABLE lines, orders CASCADE")  # nothing of the replaced one holds on to it


def test_serial_numbers_and_keys_of_others(shop: Shop) -> None:
    folder, part = shop.set()
    before = schema(shop)
    shop.sql("UPDATE customers SET name = 'gone'; INSERT INTO customers (name) VALUES ('after the set')")
    restore(shop, "customers", folder, part)
    swap(shop, "customers")
    assert schema(shop) == before
    assert shop.sql("SELECT count(*), min(name) FROM customers") == "20|c1"
    assert shop.sql("SELECT pg_get_serial_sequence('customers', 'id')") == "public.customers_id_seq"
    with shop.session() as psql:
        assert psql.query("INSERT INTO customers (name) VALUES ('n') RETURNING id") == 22
        psql.query("DELETE FROM customers WHERE id = 1")
        assert psql.query("SELECT count(*) FROM orders WHERE customer = 1") == 0, "ON DELETE CASCADE was lost"


def test_rows_of_others_would_refer_to_nothing(shop: Shop) -> None:
    folder, part = shop.set()
    shop.sql("INSERT INTO customers (name) VALUES ('new'); INSERT INTO orders (customer, total) VALUES (21, 1)")
    restore(shop, "customers", folder, part)
    before = schema(shop, "__restore_")
    refused("orphans", swap, "orders", "rows would refer to others that are not there", shop=shop, table="customers")
    assert schema(shop, "__restore_") == before
    assert shop.sql("SELECT count(*) FROM customers") == "21"


def test_its_own_rows_would_refer_to_nothing(shop: Shop) -> None:
    folder, part = shop.set()
    shop.sql("DELETE FROM customers WHERE id = 3")
    restore(shop, "orders", folder, part)
    refused("orphans", swap, "orders_customer_fkey", shop=shop, table="orders")
    assert shop.sql("SELECT count(*) FROM orders") == "475"


def test_a_name_that_needs_quotes(shop: Shop) -> None:
    folder, part = shop.set()
    shop.sql('DELETE FROM "odd ""name"""')
    restore(shop, 'odd "name"', folder, part)
    swap(shop, 'public.odd "name"')
    assert shop.sql('SELECT count(*) FROM "odd ""name"""') == "1"


def test_check_mode_makes_nothing(shop: Shop) -> None:
    folder, part = shop.set()
    before = schema(shop, "nothing")
    assert restore(shop, "orders", folder, part, check=True)["changed"]
    assert schema(shop, "nothing") == before
    restore(shop, "orders", folder, part)
    before = schema(shop, "nothing")
    assert swap(shop, "orders", check=True)["changed"]
    assert schema(shop, "nothing") == before


ENTANGLED = [
    ("CREATE MATERIALIZED VIEW most AS SELECT max(total) AS m FROM orders", "the materialized view public.most reads it"),
    ("CREATE TABLE special () INHERITS (orders)", "it inherits from another table, or another one from it"),
    ("ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON orders USING (true)", "policy own on table public.orders depends"),
    ("CREATE FUNCTION f(o orders) RETURNS integer LANGUAGE sql AS 'SELECT 1'", "depends on it"),
    ("CREATE PUBLICATION p FOR TABLE orders", "depends on it"),
    ("CREATE RULE r AS ON DELETE TO orders DO ALSO NOTHING", "depends on it"),
    ("ALTER TABLE orders REPLICA IDENTITY USING INDEX orders_pkey", "identifies its rows for replication"),
]


@pytest.mark.parametrize(("sql", "words"), ENTANGLED, ids=[words for _sql, words in ENTANGLED])
def test_what_cannot_be_replaced_alone(shop: Shop, sql: str, words: str) -> None:
    folder, part = shop.set()
    restore(shop, "orders", folder, part)
    shop.sql(f"SET ROLE app; {sql}")
    refused("entangled", swap, words, "Nothing was changed", shop=shop, table="orders")
    refused("entangled", restore, words, shop=shop, table="orders", folder=folder, part=part)


def test_partitions(shop: Shop) -> None:
    shop.sql("SET ROLE app; CREATE TABLE days (day date) PARTITION BY RANGE (day); CREATE TABLE day1 PARTITION OF days DEFAULT")
    folder, part = shop.set()
    refused("entangled", restore, "it is partitioned, or a partition", shop=shop, table="day1", folder=folder, part=part)


def test_another_shape(shop: Shop) -> None:
    folder, part = shop.set()
    shop.sql("ALTER TABLE orders ADD COLUMN note text")
    refused("shape", restore, "new: column public.orders.note", "take the schema back", shop=shop, table="orders", folder=folder, part=part)
    assert spaces(shop) == []


def test_tables_that_are_not_there(shop: Shop) -> None:
    folder, part = shop.set()
    refused("unknown_table", restore, "The set has no table public.ordres", shop=shop, table="ordres", folder=folder, part=part)
    shop.sql("DROP TABLE lines")
    refused("unknown_table", restore, "The live database has no table public.lines", shop=shop, table="lines", folder=folder, part=part)
    refused("nothing_restored", swap, "Restore it from a set first", shop=shop, table="orders")
    refused("not_proven", swap, "is not there", shop=shop, table="orders", beside="orders__restore_20200101t000000z")


def test_a_damaged_set(shop: Shop) -> None:
    folder, part = shop.set()
    (folder / "postgres/shop/dump/toc.dat").write_bytes(b"PGDMP")
    refused("damaged", restore, "toc.dat", shop=shop, table="orders", folder=folder, part=part)
    assert spaces(shop) == []


def test_fewer_rows_than_were_saved(shop: Shop) -> None:
    folder, part = shop.set()
    rows = {**part["facts"]["rows"], "public.orders": 501}
    false = {**part, "facts": {**part["facts"], "rows": rows}}
    refused("differs", restore, "501 rows were saved, 500 are restored", shop=shop, table="orders", folder=folder, part=false)
    assert spaces(shop) == []


def test_rows_that_the_table_does_not_take(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """psql ends in the midst of the rows: pg_restore is not waited for."""
    shop.sql("INSERT INTO orders (customer, total) SELECT 1, 1 FROM generate_series(1, 100000)")
    folder, part = shop.set()
    pump = pg_table._pump

    def elsewhere(lines: Any, out: Any, target: str) -> bool:
        return pump(lines, out, target.replace("orders", "nothing", 2))

    monkeypatch.setattr(pg_table, "_pump", elsewhere)
    began = time.monotonic()
    refused("restore", restore, "psql ended with", "does not exist", shop=shop, table="orders", folder=folder, part=part)
    assert time.monotonic() - began < 20
    assert spaces(shop) == []


def test_no_room(shop: Shop) -> None:
    folder, part = shop.set()
    refused("space", restore, "bytes free", shop=shop, table="orders", folder=folder, part=part, min_free=10**18)
    assert spaces(shop) == []


def test_a_table_in_use(shop: Shop) -> None:
    folder, part = shop.set()
    restore(shop, "orders", folder, part)
    before = schema(shop)
    with shop.session() as psql:
        psql.query("BEGIN")
        psql.query("SELECT count(*) FROM orders")
        refused("locked", swap, "somebody works on it", shop=shop, table="orders")
    assert schema(shop) == before
    swap(shop, "orders")


def test_a_swap_that_fails_half_way_is_undone(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, part = shop.set()
    beside = restore(shop, "orders", folder, part)["beside"]
    before, rows = schema(shop), shop.sql(ROWS)
    query = Psql.query

    def failing(self: Psql, sql: str, timeout: float = 30.0) -> Any:
        if sql.startswith("CREATE TRIGGER"):
            self.close()
            raise DatabaseError("ended", "the server is gone")
        return query(self, sql, timeout)

    monkeypatch.setattr(Psql, "query", failing)
    refused("database", swap, "is as before", shop=shop, table="orders")
    monkeypatch.undo()
    assert (schema(shop), shop.sql(ROWS)) == (before, rows)
    assert swap(shop, "orders")["beside"] == beside


def test_a_schema_that_would_differ_is_taken_back(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, part = shop.set()
    restore(shop, "orders", folder, part)
    before = schema(shop)
    statements = pg_table.table_swap.swap
    monkeypatch.setattr(pg_table.table_swap, "swap", lambda *words: [sql for sql in statements(*words) if "CREATE TRIGGER" not in sql])
    refused("differs", swap, "gone: trigger public.orders.noted", shop=shop, table="orders")
    assert schema(shop) == before


def test_what_an_interrupted_restore_left(shop: Shop) -> None:
    folder, part = shop.set()
    shop.sql("CREATE SCHEMA orders__restore_20200101t000000z; CREATE TABLE orders__restore_20200101t000000z.orders (a integer)")
    shop.sql("CREATE SCHEMA orders__restore_mine")  # somebody's own
    result = restore(shop, "orders", folder, part)
    assert result["removed"] == ["orders__restore_20200101t000000z"]
    assert spaces(shop) == sorted([result["beside"], "orders__restore_mine"])


def test_replaced_tables_are_kept_until_they_are_old(shop: Shop) -> None:
    folder, part = shop.set()
    restore(shop, "orders", folder, part)
    replaced = swap(shop, "orders")["replaced"]
    drop = pg_table.drop_tables
    assert drop(shop.server, shop.name, older_than=3600.0)["dropped"] == []
    assert drop(shop.server, shop.name, keep=1)["dropped"] == []
    assert drop(shop.server, shop.name, check=True)["dropped"] == [replaced]
    assert drop(shop.server, shop.name)["dropped"] == [replaced]
    assert not drop(shop.server, shop.name)["changed"]
    assert "__replaced_" not in json.dumps(schema(shop, "nothing"))


def test_two_versions_in_one_database_are_compared(shop: Shop) -> None:
    folder, part = shop.set()
    beside = restore(shop, "lines", folder, part)["beside"]
    found = pg_table.compare_table(shop.server, shop.name, "lines", beside)
    assert found["same"]
    assert len(row_compare.SETTINGS) > 3
    refused("not_proven", pg_table.compare_table, "is not there", server=shop.server, database=shop.name, table="lines", beside="x")


def test_the_whole_database_is_restored_with_a_table_beside(shop: Shop) -> None:
    """What was replaced belongs to the database until it is dropped: a set with it can be restored."""
    folder, part = shop.set()
    restore(shop, "orders", folder, part)
    swap(shop, "orders")
    folder, part = shop.set("later")
    result = pg_restore.restore_beside(shop.server, shop.name, folder, part, min_free=0)
    assert any("__replaced_" in name for name in result["rows"])
