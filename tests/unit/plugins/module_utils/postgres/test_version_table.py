# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Alembic notes the revision."""

from __future__ import annotations

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.migration import sql_statements
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.version_table import ASSUMED, VersionTable, question

OWN = VersionTable("shop_migrations", "ops", True)


def test_what_the_release_says() -> None:
    assert VersionTable.of({}) == ASSUMED
    assert VersionTable.of({"version_table": "shop_migrations", "version_table_schema": "ops"}) == OWN
    assert VersionTable.of(OWN.as_dict()) == OWN
    assert VersionTable.of({"version_table": "v", "version_table_schema": None}).text() == "v"


def test_its_name() -> None:
    assert OWN.matches("ops", "shop_migrations")
    assert not OWN.matches("public", "shop_migrations")
    assert (OWN.is_named("ops.shop_migrations"), OWN.is_named("x.ops.shop_migrations")) == (True, False)
    assert (ASSUMED.is_named("any.alembic_version"), ASSUMED.is_named("any.my_alembic_version")) == (True, False)
    assert "c.relname = 'o''dd'" in VersionTable("o'dd").tables_query()


def test_which_is_read() -> None:
    assert ASSUMED.only([], True) == ("", "")
    assert ASSUMED.only(["a.b"], True) == ("a.b", "")
    assert OWN.only([], False) == ("", "")
    assert "there is no table ops.shop_migrations" in OWN.only([], True)[1]
    assert ASSUMED.only(["a.x", "b.x"], True)[1] == "there are 2 tables alembic_version: a.x, b.x"
    assert VersionTable(problem="unreadable").only(["a.b"], True) == ("", "unreadable")


def test_what_a_snapshot_asks() -> None:
    objects = [["column", f"{name}.version_num", "x"] for name in ("public.alembic_version", "ops.shop_migrations")]
    objects.append(["column", "s.alembic_version.other", "x"])
    tables = [["public", "alembic_version", 1, True], ["s", "alembic_version", 1, True], ["ops", "shop_migrations", 1, True]]
    assumed = question(objects, tables, ASSUMED)
    assert assumed is not None
    assert ('"public"."alembic_version"' in assumed, '"s"' in assumed, "shop" in assumed) == (True, False, False)
    own = question(objects, tables, OWN)
    assert own is not None
    assert ('"ops"."shop_migrations"' in own, "alembic_version" in own) == (True, False)
    assert question(objects, tables[1:2], ASSUMED) == ""
    assert question(objects, tables[:1], OWN) is None, "it was recorded, and is gone"
    assert question([], [], OWN) == "", "nothing was migrated yet"
    assert question(objects, tables, VersionTable(problem="unreadable")) is None


@pytest.mark.parametrize("name", ["shop_migrations", "ops.shop_migrations", '"Ops 1"."shop_migrations"'])
def test_what_alembic_does_to_it_is_no_steps_work(name: str) -> None:
    for text in (f"UPDATE {name} SET version_num='b'", f"DELETE FROM {name} WHERE version_num='b'", f"INSERT INTO {name} VALUES ('b')"):
        assert sql_statements.describe(text, "shop_migrations").action == "notes the revision"
    assert sql_statements.describe(f"CREATE TABLE {name} (version_num TEXT)", "shop_migrations").action == "makes the version table"
    assert sql_statements.describe("DELETE FROM shop_migrations_2", "shop_migrations").loses_data
    assert sql_statements.describe("DELETE FROM alembic_version", "shop_migrations").loses_data
