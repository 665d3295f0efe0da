# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter dsn: whatever the password holds, those who read the address read the password."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.phasegate.aistack.plugins.filter.dsn import FilterModule, dsn, pgpass
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.check import environment_problems
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import parse_url

PASSWORDS = [
    "plain", "p@ss:w/rd'\"$x%y#z é", "Zm9vYmFy/K58+n91UW5==", 'pa"ss\\word-12chars', "100%25", "a b\tc", "?q=1&r=[2]", "ключ", "{{ x }}",
]


@pytest.mark.parametrize("password", PASSWORDS)
def test_the_collection_reads_every_password(password: str) -> None:
    read = parse_url(dsn(password, user="us/er@", host="db-1", port=5433, database="sh-op"))
    assert (read.user, read.password, read.host, read.port, read.database) == ("us/er@", password, "db-1", 5433, "sh-op")


@pytest.mark.parametrize("password", PASSWORDS)
def test_the_schema_of_an_environment_takes_it(password: str) -> None:
    url = dsn(password, "postgresql+asyncpg", user="shop", host="10.0.0.1", port=5432, database="shop")
    schema = [{"name": "DATABASE_URL", "type": "dsn", "required": True, "secret": True}]
    assert environment_problems({"schema": schema, "values": {"DATABASE_URL": url}}, [], "node-1") == []


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_broker_without_a_user(password: str) -> None:
    read = urlsplit(dsn(password, "redis", host="10.0.0.1", port=6379, database=0))
    assert (read.scheme, read.username, unquote(read.password or ""), read.hostname, read.port, read.path) == (
        "redis", "", password, "10.0.0.1", 6379, "/0",
    )


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"user": "shop", "host": "db", "database": "shop"}, "postgresql://shop@db/shop"),
        ({"host": "db", "port": "5432", "database": "shop"}, "postgresql://db:5432/shop"),
        ({"user": "u", "host": "fd00::1", "port": 5432, "database": "d"}, "postgresql://u@[fd00::1]:5432/d"),
        ({"user": "u", "host": "db", "database": "d", "options": {"sslmode": "verify-full", "keepalives": True}},
         "postgresql://u@db/d?sslmode=verify-full&keepalives=true"),
        ({"user": "u", "host": "db", "database": "d", "options": {"options": "-csearch_path=a b"}},
         "postgresql://u@db/d?options=-csearch_path%3Da%20b"),
        ({"user": "u", "host": "/run/postgresql", "port": 5433, "database": "d"}, "postgresql://u@/d?host=%2Frun%2Fpostgresql&port=5433"),
    ],
)
def test_parts_at_their_places(parts: dict[str, object], expected: str) -> None:
    assert dsn("", **parts) == expected


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"scheme": "Postgres QL"}, "scheme: expected a word"),
        ({"host": "db/shop"}, "host: expected a name"),
        ({"host": "db", "port": "http"}, "port: expected a number from 1 to 65535, got 'http'"),
        ({"host": "db", "port": 70000}, "port: expected"),
        ({"host": "db", "database": "sh op"}, "database: expected letters"),
    ],
)
def test_what_is_no_address_is_refused_without_the_password(parts: dict[str, object], problem: str) -> None:
    with pytest.raises(AnsibleFilterError, match=problem) as refused:
        dsn("hush-hush", **parts)
    assert "hush" not in str(refused.value)


def test_its_name() -> None:
    assert FilterModule().filters() == {"dsn": dsn, "pgpass": pgpass}


@pytest.mark.parametrize("password", [42798, 1.1, True])
def test_a_password_of_which_yaml_made_something_else(password: object) -> None:
    with pytest.raises(AnsibleFilterError, match="password: is no text to YAML, and perhaps not what was written; quote it"):
        dsn(password, user="shop", host="db", database="shop")


READER = {"host": "10.0.0.11", "database": "shop", "user": "reader", "password": "a:b\\c"}


def test_libpq_finds_a_password_whatever_it_holds() -> None:
    assert pgpass([READER, {**READER, "port": 5433, "host": "::1", "password": "plain"}]) == (
        "10.0.0.11:5432:shop:reader:a\\:b\\\\c\n\\:\\:1:5433:shop:reader:plain\n"
    )
    assert pgpass([READER], port=6000).startswith("10.0.0.11:6000:")
    assert pgpass([]) == ""


@pytest.mark.parametrize("change", [{"password": ""}, {"password": "two\nlines"}, {"password": None}])
def test_what_libpq_cannot_read_is_refused_without_it(change: dict[str, object]) -> None:
    with pytest.raises(AnsibleFilterError) as refused:
        pgpass([{**READER, **change}])
    assert str(refused.value) == "phasegate.aistack.pgpass: password: expected a text of one line each, got none, or several"
