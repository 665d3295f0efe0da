# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.migration import sql_statements as sql


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';' ; -- a; b\nSELECT 2", ["SELECT ';'", "SELECT 2"]),
        ("SELECT 'it''s; x'; SELECT 2", ["SELECT 'it''s; x'", "SELECT 2"]),
        (r"SELECT E'\'; x'; SELECT 2", [r"SELECT E'\'; x'", "SELECT 2"]),
        ('ALTER TABLE "a;b" ADD c int', ['ALTER TABLE "a;b" ADD c int']),
        ("CREATE FUNCTION f() AS $b$ a; b; $b$; SELECT 2", ["CREATE FUNCTION f() AS $b$ a; b; $b$", "SELECT 2"]),
        ("DO $$ BEGIN; END $$;", ["DO $$ BEGIN; END $$"]),
        ("/* a; /* b; */ c; */ SELECT 1", ["SELECT 1"]),
        ("", []),
        ("SELECT 'open", ["SELECT 'open"]),
    ],
)
def test_split(text: str, parts: list[str]) -> None:
    assert sql.split(text) == parts


EXPAND, CONTRACT, DATA = "expand", "contract", "data"
EXCLUSIVE = "ACCESS EXCLUSIVE"


@pytest.mark.parametrize(
    ("text", "table", "lock", "phase", "risk"),
    [
        ("CREATE TABLE t (id int)", "t", "", EXPAND, "none"),
        ("CREATE TABLE t (id int REFERENCES t (id))", "t", "", EXPAND, "none"),
        ("CREATE TABLE t (id int, FOREIGN KEY(id) REFERENCES s.u (id))", "t", "SHARE ROW EXCLUSIVE", EXPAND, "low"),
        ("CREATE INDEX ix ON t (a)", "t", "SHARE", EXPAND, "medium"),
        ("CREATE UNIQUE INDEX CONCURRENTLY ix ON s.t (a)", "s.t", "SHARE UPDATE EXCLUSIVE", EXPAND, "low"),
        ("ALTER TABLE t ADD COLUMN a TEXT", "t", EXCLUSIVE, EXPAND, "low"),
        ("ALTER TABLE t ADD COLUMN a TEXT DEFAULT 'x' NOT NULL", "t", EXCLUSIVE, EXPAND, "low"),
        ("ALTER TABLE t ADD COLUMN a UUID DEFAULT gen_random_uuid() NOT NULL", "t", EXCLUSIVE, EXPAND, "high"),
        ("ALTER TABLE t ADD COLUMN a SERIAL NOT NULL", "t", EXCLUSIVE, EXPAND, "high"),
        ("ALTER TABLE t ADD COLUMN a TEXT NOT NULL", "t", EXCLUSIVE, CONTRACT, "high"),
        ("ALTER TABLE t DROP COLUMN a", "t", EXCLUSIVE, CONTRACT, "high"),
        ('ALTER TABLE ONLY "T x" DROP "a b"', "T x", EXCLUSIVE, CONTRACT, "high"),
        ("ALTER TABLE t ADD COLUMN b INT, DROP COLUMN a", "t", EXCLUSIVE, CONTRACT, "high"),
        ("ALTER TABLE t DROP CONSTRAINT c", "t", EXCLUSIVE, EXPAND, "low"),
        ("ALTER TABLE t DROP CONSTRAINT c, DROP COLUMN a", "t", EXCLUSIVE, CONTRACT, "high"),
        ("ALTER TABLE t ALTER COLUMN a DROP NOT NULL", "t", EXCLUSIVE, EXPAND, "low"),
        ("ALTER TABLE t ALTER COLUMN a DROP DEFAULT", "t", EXCLUSIVE, EXPAND, "low"),
        ("ALTER TABLE t ALTER COLUMN a SET NOT NULL", "t", EXCLUSIVE, CONTRACT, "high"),
        ("ALTER TABLE t ALTER COLUMN a TYPE BIGINT USING a::bigint", "t", EXCLUSIVE, CONTRACT, "high"),
        ("ALTER TABLE t RENAME a TO b", "t", EXCLUSIVE, CONTRACT, "high"),
        ("ALTER TABLE t RENAME TO u", "t", EXCLUSIVE, CONTRACT, "high"),
        ("ALTER TABLE t RENAME CONSTRAINT a TO b", "t", EXCLUSIVE, EXPAND, "low"),
        ("ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY(a) REFERENCES u (id)", "t", "SHARE ROW EXCLUSIVE", EXPAND, "medium"),
        ("ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY(a) REFERENCES u (id) NOT VALID", "t", "SHARE ROW EXCLUSIVE", EXPAND, "low"),
        ("ALTER TABLE t ADD CONSTRAINT u UNIQUE (a)", "t", EXCLUSIVE, EXPAND, "high"),
        ("ALTER TABLE t ADD CONSTRAINT u UNIQUE USING INDEX ix", "t", EXCLUSIVE, EXPAND, "low"),
        ("ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0)", "t", EXCLUSIVE, EXPAND, "medium"),
        ("ALTER TABLE t VALIDATE CONSTRAINT c", "t", "SHARE UPDATE EXCLUSIVE", EXPAND, "low"),
        ("DROP TABLE IF EXISTS t", "t", EXCLUSIVE, CONTRACT, "high"),
        ("TRUNCATE t", "t", EXCLUSIVE, CONTRACT, "high"),
        ("DELETE FROM t", "t", "ROW EXCLUSIVE", DATA, "high"),
        ("UPDATE t SET a = 1", "t", "ROW EXCLUSIVE", DATA, "medium"),
        ("ALTER TYPE mood ADD VALUE 'x'", "", "", EXPAND, "low"),
        ("ALTER TYPE mood RENAME VALUE 'x' TO 'y'", "", "", CONTRACT, "medium"),
        ("DROP TYPE mood", "", "", CONTRACT, "medium"),
        ("VACUUM t", "", "", EXPAND, "medium"),
    ],
)
def test_what_a_statement_does(text: str, table: str, lock: str, phase: str, risk: str) -> None:
    found = sql.describe(text)
    assert (found.table, found.lock, found.phase, found.risk) == (table, lock, phase, risk)
    assert sql.describe(text.lower().replace("t x", "T x")).phase == phase


def test_losing_data_is_said() -> None:
    for text in ("DROP TABLE t", "ALTER TABLE t DROP COLUMN a", "DELETE FROM t", "TRUNCATE t"):
        assert sql.describe(text).loses_data, text
    assert not sql.describe("ALTER TABLE t ADD COLUMN a int").loses_data


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("BEGIN; ALTER TABLE t ADD a int; COMMIT;", False),
        ("BEGIN; ALTER TABLE t ADD a int; COMMIT; CREATE INDEX CONCURRENTLY ix ON t (a); BEGIN; COMMIT;", True),
        ("SELECT 1", False),
    ],
)
def test_commits_inside(text: str, inside: bool) -> None:
    assert sql.commits_inside(text) is inside


def test_new_tables_lock_nobody_out() -> None:
    made = sql.describe("CREATE TABLE t (a int REFERENCES u (id), b int REFERENCES v (id))")
    assert made.blocks == "writes to u, v, for a moment"
    assert sql.without(made, {"u"}).blocks == "writes to v, for a moment"
    assert sql.without(made, {"u", "v"}).lock == ""
    assert sql.without(sql.describe("CREATE INDEX ix ON t (a)"), {"t"}).lock == ""
    assert sql.without(sql.describe("CREATE INDEX ix ON t (a)"), {"u"}).lock == "SHARE"
