# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import (
    foreign_keys,
    names as restore_names,
    row_compare,
    settings as database_settings,
    table_swap,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import Fingerprint, restored_differences
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.row_compare import Difference, Shape, Sums

WHEN = "20260131t120000z"
NOON = 1769860800.0


def test_names() -> None:
    assert restore_names.stamp(NOON) == WHEN
    name = restore_names.beside("app", "restore", WHEN)
    assert name == f"app__restore_{WHEN}"
    parts = restore_names.split(name)
    assert parts is not None
    assert (parts.base, parts.kind, parts.stamp) == ("app", "restore", WHEN)
    assert restore_names.age(WHEN, NOON + 60) == 60
    for other in ("app", "app__restore_", f"app__other_{WHEN}", f"app__restore_{WHEN}x", f"__restore_{WHEN}"):
        assert restore_names.split(other) is None
    nested = restore_names.split(f"a__restore_{WHEN}__replaced_{WHEN}")
    assert nested is not None
    assert (nested.base, nested.kind) == (f"a__restore_{WHEN}", "replaced")


def test_names_that_postgresql_would_cut() -> None:
    assert len(restore_names.beside("d" * 36, "replaced", WHEN)) == 63
    with pytest.raises(ValueError, match=r"1 bytes too many.* may have 36 bytes"):
        restore_names.beside("d" * 37, "replaced", WHEN)
    with pytest.raises(ValueError, match="bytes too many"):
        restore_names.beside("ü" * 20, "replaced", WHEN)
    cut = restore_names.shortened("ü" * 40, "replaced", WHEN)
    assert len(cut.encode()) <= 63
    assert cut.endswith(f"__replaced_{WHEN}")


def test_what_is_dropped() -> None:
    names = [f"{base}__replaced_2026013{day}t120000z" for base in ("a", "b") for day in (0, 1)]
    others = ["a", f"a__restore_{WHEN}", "a__replaced_by_me"]
    drop = restore_names.to_drop
    assert drop(names + others, None, 0, NOON) == sorted(names)
    assert drop(names, None, 1, NOON) == ["a__replaced_20260130t120000z", "b__replaced_20260130t120000z"]
    assert drop(names, 3600.0, 0, NOON) == ["a__replaced_20260130t120000z", "b__replaced_20260130t120000z"]
    assert drop(names, 3600.0, 1, NOON + 86400) == ["a__replaced_20260130t120000z", "b__replaced_20260130t120000z"]
    assert drop(names, 86400.0 * 9, 0, NOON) == []


def test_what_is_old() -> None:
    names = ["a__replaced_20260130t120000z", "s.b__restore_20260131t110000z", f"a__restore_{WHEN}", "a__restore_mine", "a"]
    assert restore_names.aged(names, 0.0, NOON) == sorted(names[:3])
    assert restore_names.aged(names, 3600.0, NOON) == names[:2]
    assert restore_names.aged(iter(names), 3601.0, NOON) == names[:1]
    assert restore_names.aged(names, 86401.0, NOON) == []


LIKE: dict[str, Any] = {
    "row": {"datcollate": "C.UTF-8", "datctype": "C", "datconnlimit": 7, "datlocprovider": "c"},
    "owner": 'o"x',
    "encoding": "UTF8",
    "tablespace": "pg_default",
    "comment": "it's",
    "settings": [
        {"role": "", "config": ["work_mem=4MB", 'search_path="$user", public, "a, b"', "app.key=a=b", 'search_path=""']},
        {"role": "r", "config": ["statement_timeout=1s"]},
    ],
    "acl": [
        {"grantee": "", "privilege": "CONNECT", "grantable": False},
        {"grantee": "r", "privilege": "CREATE", "grantable": True},
    ],
}


def test_a_database_like_another() -> None:
    made = database_settings.create_statement("n", LIKE)
    assert made == (
        'CREATE DATABASE "n" WITH TEMPLATE template0 OWNER "o""x" ENCODING \'UTF8\' LC_COLLATE \'C.UTF-8\' LC_CTYPE \'C\''
    )
    assert database_settings.apply_statements("n", LIKE) == [
        'ALTER DATABASE "n" OWNER TO "o""x"',
        'ALTER DATABASE "n" SET "work_mem" TO \'4MB\'',
        'ALTER DATABASE "n" SET "search_path" TO \'$user\', \'public\', \'a, b\'',
        'ALTER DATABASE "n" SET "app.key" TO \'a=b\'',
        'ALTER DATABASE "n" SET "search_path" TO \'\'',
        'ALTER ROLE "r" IN DATABASE "n" SET "statement_timeout" TO \'1s\'',
        'REVOKE ALL ON DATABASE "n" FROM PUBLIC',
        'REVOKE ALL ON DATABASE "n" FROM "o""x"',
        'GRANT CONNECT ON DATABASE "n" TO PUBLIC',
        'GRANT CREATE ON DATABASE "n" TO "r" WITH GRANT OPTION',
        'ALTER DATABASE "n" WITH CONNECTION LIMIT 7',
        'COMMENT ON DATABASE "n" IS \'it\'\'s\'',
    ]
    plain = database_settings.apply_statements("n", {**LIKE, "acl": None, "settings": [], "comment": None})
    assert plain[1:] == ['ALTER DATABASE "n" WITH CONNECTION LIMIT 7', 'COMMENT ON DATABASE "n" IS NULL']


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"datlocprovider": "i", "daticulocale": "de"}, "LOCALE_PROVIDER icu ICU_LOCALE 'de'"),
        ({"datlocprovider": "i", "datlocale": "de", "daticurules": "&a"}, "LOCALE_PROVIDER icu ICU_LOCALE 'de' ICU_RULES '&a'"),
        ({"datlocprovider": "b", "datlocale": "C.UTF-8"}, "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"),
    ],
)
def test_a_database_with_another_collation(row: dict[str, str], words: str) -> None:
    made = database_settings.create_statement("n", {**LIKE, "row": {**LIKE["row"], **row}, "tablespace": "fast"})
    assert made.endswith(f'{words} TABLESPACE "fast"')


def sums(**rows: tuple[int, int, int]) -> Sums:
    return Sums.of([[int(name[1:]), values[0], str(values[1]), str(values[2])] for name, values in rows.items()])


def test_buckets_that_differ() -> None:
    live = sums(b1=(2, 10, 20), b2=(3, 1, 1), b3=(1, 5, 5), b4=(1, 1, 1))
    kept = sums(b1=(2, 10, 20), b2=(3, 1, 2), b4=(1, 1, 1), b9=(4, 4, 4))
    assert live.rows == 7
    assert list(row_compare.unlike(live, kept)) == [[2, 3, 9]]
    assert list(row_compare.unlike(live, kept, at_once=5)) == [[2], [3, 9]]
    assert list(row_compare.unlike(live, live)) == []


def test_differences_are_counted_and_told() -> None:
    found = Difference("public.t", 5, 4, 0, 0, 0)
    assert found.same
    assert found.text() == "public.t: the same 5 rows"
    found.add([[str(n), "x"] for n in range(7)], [["1", "y"], ["2", "x"], ["9", "x"]])
    found.add([["11", "x"]], [])
    assert (found.lost, found.returned, found.changed) == (6, 1, 1)
    assert found.sample == ["0", "3", "4", "5", "6"]
    assert found.text() == (
        "public.t: 5 rows now, 4 in the set: 6 lost (0, 3, 4, 5, 6, …), 1 come back, 1 go back to what they were"
    )
    assert not found.same
    assert Difference("t", None, 3, why="because").text() == "t: ? rows now, 3 in the set; because"


def test_queries_name_columns_and_not_their_order() -> None:
    shape = Shape("public", "t", ("a", 'b"x'), ("a",))
    assert shape.common(Shape("public", "t", ("a", "c"), ("a",))) == Shape("public", "t", ("a",), ("a",))
    assert shape.common(Shape("public", "t", ("a",), ())) is None
    assert shape.common(Shape("public", "t", ("a",), ("b",))) is None
    assert 'ROW(t."a", t."b""x")::text' in row_compare.sums_query(shape, shape.sql)
    assert "IN (3, 4)" in row_compare.keys_query(shape, shape.sql, [3, 4])
    assert "coalesce(t.\"a\"::text, '')" in row_compare.content_query(Shape("s", "t", ("a",), ()), "s.t")
    assert "count(*)" in row_compare.content_query(Shape("s", "t", (), ()), "s.t")


def shape(**changes: Any) -> dict[str, Any]:
    table: dict[str, Any] = {
        "schema": "public",
        "table": "t",
        "sql": "public.t",
        "kind": "r",
        "persistence": "p",
        "partition": False,
        "typed": False,
        "identity": "d",
        "owner": "app",
        "options": None,
        "toast_options": None,
        "tablespace": None,
        "comment": None,
        "acl": None,
        "family": 0,
        "columns": [],
        "indexes": [],
        "foreign": [],
        "incoming": [],
        "triggers": [],
        "statistics": [],
        "views": [],
        "others": [],
    }
    return {**table, **changes}


REFUSED = [
    ({"kind": "p"}, "partitioned"),
    ({"partition": True}, "partitioned"),
    ({"family": 1}, "inherits"),
    ({"typed": True}, "table of a type"),
    ({"identity": "i"}, "identifies its rows"),
    ({"views": [{"sql": "v", "kind": "m"}]}, "materialized view v"),
    ({"views": [{"sql": "r", "kind": "r"}]}, "r reads it"),
    ({"incoming": [{"table": "x", "kind": "p", "partition": False}]}, "partitioned table x"),
    ({"indexes": [{"name": "i", "valid": False}]}, "index i is not valid"),
    ({"others": ["policy p"]}, "policy p depends on it"),
]


@pytest.mark.parametrize(("changes", "words"), REFUSED, ids=[words for _changes, words in REFUSED])
def test_tables_that_cannot_be_replaced_alone(changes: dict[str, Any], words: str) -> None:
    (reason,) = table_swap.refusals(shape(**changes))
    assert words in reason
    assert table_swap.refusals(shape()) == []


def test_a_table_is_made_like_the_live_one() -> None:
    table = shape(persistence="u", options=["fillfactor=80"], toast_options=["autovacuum_enabled=false"], tablespace="fast")
    made, owner = table_swap.make(table, "space")
    assert made == (
        'CREATE UNLOGGED TABLE "space"."t" (LIKE public.t INCLUDING ALL EXCLUDING INDEXES EXCLUDING STATISTICS)'
        ' WITH (fillfactor=80, toast.autovacuum_enabled=false) TABLESPACE "fast"'
    )
    assert owner == 'ALTER TABLE "space"."t" OWNER TO "app"'


def test_its_indexes_keep_their_names() -> None:
    indexes = [
        {"name": "t_pkey", "definition": "CREATE UNIQUE INDEX t_pkey ON public.t USING btree (id)", "constraint": "PRIMARY KEY (id)"},
        {"name": "t_a", "definition": "CREATE INDEX t_a ON public.t USING btree (a) WHERE (a > 0)", "constraint": None},
    ]
    assert table_swap.fill_up(shape(indexes=indexes), "space") == [
        'ALTER TABLE "space"."t" ADD CONSTRAINT "t_pkey" PRIMARY KEY (id)',
        'CREATE INDEX t_a ON "space"."t" USING btree (a) WHERE (a > 0)',
    ]
    strange = [{"name": "x", "definition": "CREATE INDEX x ON elsewhere USING btree (a)", "constraint": None}]
    with pytest.raises(ValueError, match="index x cannot be read"):
        table_swap.fill_up(shape(indexes=strange), "space")


def test_the_statements_of_a_swap() -> None:
    plain: dict[str, Any] = {"type": "integer", "identity": "", "generated": "", "default": True, "sequence": None, "acl": []}
    columns = [
        {**plain, "name": "id", "identity": "d", "default": False, "sequence": ["public", "t_id_seq"]},
        {**plain, "name": "n", "sequence": ["public", "t_n_seq"]},
        {**plain, "name": "g", "generated": "s"},
    ]
    table = shape(
        columns=columns,
        incoming=[{"table": "public.x", "name": "x_fkey", "definition": "FOREIGN KEY (t) REFERENCES public.t(id)"}],
        foreign=[{"name": "t_self", "definition": "FOREIGN KEY (n) REFERENCES public.t(id)"}],
        triggers=[{"name": "g", "definition": "CREATE TRIGGER g", "enabled": "D"}],
        acl=[{"grantee": "", "privilege": "SELECT", "grantable": False}],
    )
    assert table_swap.swap(table, "space", "old", WHEN) == [
        "LOCK TABLE public.t IN ACCESS EXCLUSIVE MODE",
        'ALTER TABLE public.x DROP CONSTRAINT "x_fkey"',
        'ALTER TABLE public.t DROP CONSTRAINT "t_self"',
        f'ALTER SEQUENCE "public"."t_id_seq" RENAME TO "t_id_seq__replaced_{WHEN}"',
        'ALTER TABLE public.t ALTER COLUMN "n" DROP DEFAULT',
        'ALTER TABLE public.t RENAME TO "old"',
        'ALTER TABLE "space"."t" SET SCHEMA "public"',
        f'SELECT setval(\'"public"."t_id_seq"\', last_value, is_called) FROM "public"."t_id_seq__replaced_{WHEN}"',
        'ALTER SEQUENCE "public"."t_n_seq" OWNED BY "public"."t"."n"',
        'ALTER TABLE "public"."t" ADD CONSTRAINT "t_self" FOREIGN KEY (n) REFERENCES public.t(id)',
        'ALTER TABLE public.x ADD CONSTRAINT "x_fkey" FOREIGN KEY (t) REFERENCES public.t(id)',
        "CREATE TRIGGER g",
        'ALTER TABLE "public"."t" DISABLE TRIGGER "g"',
        'REVOKE ALL ON "public"."t" FROM "app"',
        'GRANT SELECT ON "public"."t" TO PUBLIC',
        f'COMMENT ON TABLE "public"."old" IS \'replaced on {WHEN} by a restored table\'',
        'DROP SCHEMA "space"',
    ]
    assert table_swap.identities(table) == [("id", "t_id_seq", "integer")]


def test_what_belongs_to_a_table() -> None:
    whole = Fingerprint(
        {
            "table public.t": "r",
            "table public.t2": "r",
            "column public.t.a": "int",
            "column public.t2.a": "int",
            "index public.i": "CREATE INDEX i ON public.t USING btree (a)",
            "index public.j": "CREATE INDEX j ON public.t2 USING btree (a)",
            "trigger public.t.g": "x",
            "function public.t.f()": "x",
        },
        {"public.t": 4},
    )
    found = table_swap.objects_of(whole, "public", "t", "public.t")
    assert sorted(found.objects) == ["column public.t.a", "index public.i", "table public.t", "trigger public.t.g"]
    assert found.rows == {"public.t": 4}


# As PostgreSQL 15 writes it before and after a restore.
BEFORE = "CHECK (((plan)::text = ANY ((ARRAY['free'::character varying, 'paid'::character varying])::text[])))"
AFTER = "CHECK (((plan)::text = ANY (ARRAY[('free'::character varying)::text, ('paid'::character varying)::text])))"


def test_what_a_restore_only_writes_differently() -> None:
    before = Fingerprint({"constraint public.c.k": BEFORE, "extension e": "1.0", "table public.c": "r"})
    after = Fingerprint({"constraint public.c.k": AFTER, "extension e": "1.1", "table public.c": "r"})
    different, rewritten = restored_differences(before, after)
    assert different == []
    assert len(rewritten) == 2
    other = Fingerprint({**after.objects, "constraint public.c.k": AFTER.replace("paid", "gone")})
    assert len(restored_differences(before, other)[0]) == 1
    assert restored_differences(before, Fingerprint({"table public.c": "p"}))[0] == [
        "gone: constraint public.c.k",
        "gone: extension e",
        "changed: table public.c: was 'r', is 'p'",
    ]
    function = Fingerprint({"function f()": "SELECT (1)"}), Fingerprint({"function f()": "SELECT 1"})
    assert len(restored_differences(*function)[0]) == 1, "a function's text is what it does"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("a::timestamp without time zone", "a", True),
        ("a::numeric(10,2)", "(a)::numeric", True),
        ('a::"Odd Type"[]', "a", True),
        ("a::public.mood", "a", True),
        ("a > 1", "a > 2", False),
        ("nextval('x'::regclass)", "nextval('y'::regclass)", False),
    ],
)
def test_casts_and_brackets(one: str, other: str, same: bool) -> None:
    different, _rewritten = restored_differences(Fingerprint({"column t.a": one}), Fingerprint({"column t.a": other}))
    assert (different == []) is same


def test_broken_keys() -> None:
    key = {
        "name": "k",
        "table": "s.c",
        "parent": "s.p",
        "table_sql": "s.c",
        "parent_sql": "s.p",
        "only": True,
        "parent_only": False,
        "full": False,
        "columns": [["a", "x", "OPERATOR(pg_catalog.=)"], ["b", "y", "="]],
    }
    assert foreign_keys.broken_query(key, 9) == (
        'SELECT count(*) FROM (SELECT FROM ONLY s.c c WHERE c."a" IS NOT NULL AND c."b" IS NOT NULL AND NOT EXISTS'
        ' (SELECT FROM s.p p WHERE p."x" OPERATOR(pg_catalog.=) c."a" AND p."y" = c."b") LIMIT 10) AS broken'
    )
    assert 'OR ((c."a" IS NOT NULL OR c."b" IS NOT NULL) AND NOT (' in foreign_keys.broken_query({**key, "full": True})
    assert foreign_keys.broken(key, 10, 9) == {"constraint": "k", "table": "s.c", "parent": "s.p", "rows": 9, "more": True}
