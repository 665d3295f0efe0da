# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import parse_url, with_database
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import (
    Fingerprint,
    row_differences,
    rows_query,
    schema_differences,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.version_table import ASSUMED


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:zq7@h:6000/d", {"PGHOST": "h", "PGPORT": "6000", "PGUSER": "u", "PGPASSWORD": "zq7", "PGDATABASE": "d"}),
        ("postgresql+psycopg2://u:p%40%2F@h/d", {"PGHOST": "h", "PGPORT": "5432", "PGUSER": "u", "PGPASSWORD": "p@/", "PGDATABASE": "d"}),
        ("postgresql+asyncpg://u:a/b?c#d@h/d?ssl=require", {"PGPASSWORD": "a/b?c#d", "PGSSLMODE": "require", "PGHOST": "h"}),
        ("postgres://u@h/d", {"PGUSER": "u", "PGHOST": "h", "PGDATABASE": "d"}),
        ("postgresql://u:zq7@/d?host=/var/run/postgresql&port=6001", {"PGHOST": "/var/run/postgresql", "PGPORT": "6001"}),
        ("postgresql://u:zq7@[::1]:5433/d?sslmode=verify-full&sslrootcert=/c", {"PGHOST": "::1", "PGPORT": "5433", "PGSSLROOTCERT": "/c"}),
        ("postgresql:///d", {"PGDATABASE": "d", "PGPORT": "5432"}),
        ("postgresql+psycopg://u:zq7@h/d?options=-csearch_path%3Dtenant%2Cpublic", {"PGOPTIONS": "-csearch_path=tenant,public"}),
        ("postgresql+psycopg://u:zq%25@/d?host=%2Frun%2Fpg", {"PGHOST": "/run/pg", "PGPASSWORD": "zq%"}),
        ("postgresql://u:zq7@%2FRun%2Fpg/d", {"PGHOST": "/Run/pg", "PGPORT": "5432", "PGPASSWORD": "zq7"}),
        ("postgresql://u@h/d?password=zq%407", {"PGUSER": "u", "PGPASSWORD": "zq@7"}),
        ("postgresql://u:old@h/d?password=zq7&user=v&dbname=e", {"PGUSER": "v", "PGPASSWORD": "zq7", "PGDATABASE": "e"}),
        ("postgresql:///d?host=h&user=v&password=zq7", {"PGHOST": "h", "PGUSER": "v", "PGPASSWORD": "zq7"}),
        ("postgresql://u:zq7@h1:6001,h2:6002/d", {"PGHOST": "h1,h2", "PGPORT": "6001,6002"}),
        ("postgresql://u:zq7@h1,[::1]:6002/d", {"PGHOST": "h1,::1", "PGPORT": "5432,6002"}),
        ("postgresql+psycopg2://u:zq7@/d?host=h1:6001&host=h2", {"PGHOST": "h1,h2", "PGPORT": "6001,5432"}),
        (
            "postgresql+psycopg://u:zq7@/d?host=h1,h2&port=6001,6002&target_session_attrs=primary",
            {"PGHOST": "h1,h2", "PGPORT": "6001,6002", "PGTARGETSESSIONATTRS": "primary"},
        ),
    ],
)
def test_addresses(url: str, expected: dict[str, str]) -> None:
    address = parse_url(url)
    found = address.environment()
    assert {name: found.get(name) for name in expected} == expected
    if address.password:
        assert address.password not in repr(address)
        assert f":{address.password}@" not in address.describe()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://app:p@ss:w/hidden@h/d", "phasegate.aistack.dsn"),
        ("postgresql://app:hid#den@ss@h/d", "percent-encoded"),
        ("hidden@h", "phasegate.aistack.dsn"),
        ("postgresql://u:hidden@h/d?schema=tenant1", "options=-csearch_path%3Dtenant1"),
        ("postgresql://u:hidden@h1,h2,h3/d?port=1,2", "3 hosts and 2 ports"),
    ],
)
def test_what_would_be_dropped_is_refused_with_the_remedy(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        parse_url(url)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("url", [
    "sqlite:///x", "mysql://u:hidden@h/d", "hidden", "postgresql://u:hidden@h:port/d", "postgresql://u:hidden@/d?port=x",
    "postgresql://u:p@hidden/w?rd#1@h/d", "postgresql://u:p@hidden/w@h/d", "postgresql://u:hidden@h:99999/d",
])
def test_no_address(url: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        parse_url(url)
    assert "hidden" not in str(caught.value)


def test_fingerprints() -> None:
    objects = [["table", "public.t", "r p"], ["column", "public.t.a", "int"], ["column", "public.t.b", "text"]]
    tables = [["public", "t", 0, True], ["public", "huge", 10**9, True], ["public", "secret", 0, False]]
    before = Fingerprint.of(objects, tables, {"public.t": 3})
    after = Fingerprint.of([*objects[:1], ["column", "public.t.a", "bigint"], ["index", "public.ix", "x"]], tables, {"public.t": 2})
    assert before.rows == {"public.t": 3, "public.huge": None, "public.secret": None}
    assert before.tables() == {"public.t", "t"}
    assert not before.empty
    assert before.hash != after.hash
    assert Fingerprint.load(before.as_dict()).hash == before.hash
    assert schema_differences(before, after) == [
        "new: index public.ix",
        "gone: column public.t.b",
        "changed: column public.t.a: was 'int', is 'bigint'",
    ]
    assert row_differences(before, after, ASSUMED.is_named) == ["rows of public.t: were 3, are 2"]
    assert schema_differences(before, before) == []


def test_rows_are_counted_where_that_is_quick_and_allowed() -> None:
    query = rows_query([["public", "t'x", 5, True], ["public", "huge", 10**9, True], ["public", "secret", 1, False]])
    assert query is not None
    assert "'public.t''x'" in query
    assert "huge" not in query
    assert "secret" not in query
    assert rows_query([]) is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://app:p%40ss@db:5433/shop", "postgresql://app:p%40ss@db:5433/copy"),
        ("postgresql+asyncpg://app@/shop?host=/run/pg&sslmode=require", "postgresql+asyncpg://app@/copy?host=/run/pg&sslmode=require"),
        ("postgres://u:a/b%40c@h/shop?dbname=shop", "postgres://u:a/b%40c@h/copy"),
        ("postgresql://h", "postgresql://h/copy"),
    ],
)
def test_the_same_address_with_another_database(url: str, expected: str) -> None:
    assert with_database(url, "copy") == expected
    before, after = parse_url(url), parse_url(with_database(url, "copy"))
    assert after.database == "copy"
    assert (after.host, after.port, after.user, after.password) == (before.host, before.port, before.user, before.password)
