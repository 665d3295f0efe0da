# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database is, and what is noticed when it is not as before."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import (
    observe as db_fingerprint,
    restore as pg_restore,
    snapshot as pg_snapshot,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError

from .conftest import Shop


def take(shop: Shop, **changes: Any) -> dict[str, Any]:
    return db_fingerprint.take(shop.address, {}, shop.server.user, **changes)


def unguarded(shop: Shop, sql: str) -> None:
    """Changes rows while the server does not look after foreign keys."""
    shop.sql(f"SET session_replication_role = replica; {sql}")


def test_what_it_says(shop: Shop) -> None:
    found = take(shop, checksums=["all"])
    assert found["rows"]["public.orders"] == 500
    assert found["uncounted"] == []
    assert found["heads"] == ["abc1"]
    assert found["foreign_keys"] == {"checked": 3, "not_valid": [], "violations": [], "unchecked": []}
    assert set(found["checksums"]) == set(found["rows"])
    assert found["differences"] is None
    assert found["objects"] == len(found["fingerprint"]["objects"])
    json.dumps(found)


def test_nothing_has_changed(shop: Shop) -> None:
    before = take(shop, checksums=["all"])
    shop.sql("VACUUM FULL orders; ANALYZE")
    after = take(shop, before=json.loads(json.dumps(before["fingerprint"])), checksums=["all"])
    assert after["differences"]["same"], after["differences"]
    assert after["hash"] == before["hash"]


def test_what_has_changed(shop: Shop) -> None:
    before = take(shop, checksums=["public.customers", "lines", "orders"])
    shop.sql(
        "DELETE FROM lines WHERE number < 5; UPDATE customers SET name = 'x' WHERE id = 1; DROP INDEX orders_by_customer;"
        "CREATE TABLE extra (a integer); GRANT SELECT ON extra TO app; DROP TABLE log CASCADE"
    )
    found = take(shop, before=before["fingerprint"], checksums=["customers", "lines", "orders"])["differences"]
    assert not found["same"]
    assert found["by_table"]["public.lines"] == {"before": 900, "now": 896}
    assert "public.lines: 900 rows before, 896 rows now" in found["rows"]
    assert "public.extra: no such table before, 0 rows now" in found["rows"]
    assert "public.log: 0 rows before, no such table now" in found["rows"]
    assert found["contents"] == [f"public.{name}: its contents are others than before" for name in ("customers", "lines")]
    assert "gone: index public.orders_by_customer" in found["schema"]
    assert "new: table public.extra" in found["schema"]


def test_contents_are_the_same_in_any_order_and_with_any_settings(shop: Shop) -> None:
    before = take(shop, checksums=["all"])["checksums"]
    shop.sql("CREATE TABLE copy AS TABLE lines; TRUNCATE lines; INSERT INTO lines SELECT * FROM copy ORDER BY number DESC; DROP TABLE copy")
    shop.sql(f"ALTER DATABASE {shop.name} SET timezone = 'Asia/Seoul'")
    assert take(shop, checksums=["all"])["checksums"] == before


def test_rows_without_a_parent(shop: Shop) -> None:
    unguarded(shop, "DELETE FROM customers WHERE id = 2; DELETE FROM orders WHERE id IN (7, 8)")
    keys = take(shop)["foreign_keys"]
    told = {entry["constraint"]: entry["rows"] for entry in keys["violations"]}
    assert told == {"orders_customer_fkey": 25, "lines_order_fkey": 4}
    assert keys["checked"] == 3
    assert keys["violations"][0]["table"] == "public.lines"
    assert keys["violations"][0]["parent"] == "public.orders"


def test_many_rows_without_a_parent_are_counted_to_a_limit(shop: Shop) -> None:
    unguarded(shop, "INSERT INTO lines SELECT n, 5000, 'x' FROM generate_series(1000, 2500) n")
    (entry,) = take(shop)["foreign_keys"]["violations"]
    assert (entry["rows"], entry["more"]) == (1000, True)


def test_keys_that_the_server_never_checked(shop: Shop) -> None:
    shop.sql(
        "SET ROLE app; CREATE TABLE far (a integer, b integer); CREATE UNIQUE INDEX far_key ON far (a, b);"
        "CREATE TABLE near (a integer, b integer); INSERT INTO near VALUES (1, 1), (2, NULL), (NULL, NULL);"
        "ALTER TABLE near ADD CONSTRAINT loose FOREIGN KEY (a, b) REFERENCES far (a, b) NOT VALID;"
        "ALTER TABLE near ADD CONSTRAINT strict FOREIGN KEY (a, b) REFERENCES far (a, b) MATCH FULL NOT VALID"
    )
    keys = take(shop)["foreign_keys"]
    assert sorted(keys["not_valid"]) == ["public.near.loose", "public.near.strict"]
    assert {entry["constraint"]: entry["rows"] for entry in keys["violations"]} == {"loose": 1, "strict": 2}


def test_keys_of_partitioned_tables_and_other_types(shop: Shop) -> None:
    shop.sql(
        "SET ROLE app; CREATE TABLE parts (a bigint) PARTITION BY RANGE (a); CREATE TABLE parts1 PARTITION OF parts DEFAULT;"
        "ALTER TABLE parts ADD CONSTRAINT of_orders FOREIGN KEY (a) REFERENCES orders (id)"
    )
    shop.sql("INSERT INTO parts VALUES (1)")
    unguarded(shop, "INSERT INTO parts VALUES (77777)")
    assert [(entry["constraint"], entry["rows"]) for entry in take(shop)["foreign_keys"]["violations"]] == [("of_orders", 1)]


def test_what_may_not_be_read_is_named(shop: Shop) -> None:
    shop.sql("CREATE TABLE hidden (a integer PRIMARY KEY REFERENCES orders); INSERT INTO hidden VALUES (1)")
    found = take(shop, checksums=["all"])
    assert found["uncounted"] == ["public.hidden"]
    assert found["checksums"]["public.hidden"] is None
    assert found["foreign_keys"]["unchecked"] == ["public.hidden.hidden_a_fkey"]
    again = take(shop, before=found["fingerprint"])
    assert again["differences"]["same"], "what was not counted before was taken for a difference"
    shop.sql("GRANT SELECT ON hidden TO app")
    assert take(shop, before=found["fingerprint"])["differences"]["rows"] == ["public.hidden: rows not counted before, 1 rows now"]


def test_out_of_time(shop: Shop) -> None:
    found = take(shop, checksums=["orders"], budget=0)
    assert found["uncounted"] == sorted(found["rows"])
    assert found["foreign_keys"]["checked"] == 0
    assert len(found["foreign_keys"]["unchecked"]) == 3
    assert found["checksums"] == {"public.orders": None}
    full = take(shop)
    assert not take(shop, before=full["fingerprint"], budget=0)["differences"]["same"], "what was not counted was taken for the same"


def test_a_slow_table_does_not_take_the_others_along(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.sql("UPDATE pg_class SET reltuples = 5e6 WHERE relname = 'orders'")
    within = db_fingerprint.Reader.within

    def slow(self: db_fingerprint.Reader, sql: str) -> Any:
        return within(self, f"SELECT pg_sleep(5), ({sql})") if '"public"."orders"' in sql else within(self, sql)

    monkeypatch.setattr(db_fingerprint.Reader, "within", slow)
    found = take(shop, keys=False, budget=1.5)
    assert found["uncounted"] == ["public.orders"]
    assert found["rows"]["public.lines"] == 900


def test_one_state_is_seen(shop: Shop) -> None:
    """Rows move between two tables all the time; their sum does not change, although each is counted by a question of its own."""
    shop.sql("UPDATE pg_class SET reltuples = 5e6 WHERE relname = 'lines'")
    ending = threading.Event()

    def move() -> None:
        with shop.session() as psql:
            at = 0
            while not ending.is_set():
                at += 1
                psql.query(f"WITH gone AS (DELETE FROM lines WHERE number = {at} RETURNING 1) INSERT INTO log (line) SELECT 'x' FROM gone")

    mover = threading.Thread(target=move)
    mover.start()
    try:
        for _each in range(5):
            rows = take(shop, keys=False)["rows"]
            assert rows["public.lines"] + rows["public.log"] == 900
    finally:
        ending.set()
        mover.join()


def test_compared_with_a_set(shop: Shop) -> None:
    folder, part = shop.set()
    about = pg_snapshot.about(folder, part)
    assert take(shop, before=about)["differences"]["same"]
    assert take(shop)["hash"] == part["facts"]["hash"]
    beside = pg_restore.restore_beside(shop.server, shop.name, folder, part, min_free=0)["beside"]
    found = db_fingerprint.take(shop.server.at(beside), {}, shop.server.user, about)["differences"]
    assert found["same"]
    assert len(found["rewritten"]) == 1


def test_unknown_tables(shop: Shop) -> None:
    with pytest.raises(LookupError, match=r"no table public\.ordres; it has .*public\.orders"):
        take(shop, checksums=["ordres"])


def test_no_database(shop: Shop) -> None:
    with pytest.raises(DatabaseError, match="does not exist"):
        db_fingerprint.take(shop.server.at("nowhere"), {}, shop.server.user)
