# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses that the filter dsn makes, as libpq itself reads them."""

from __future__ import annotations

import psycopg2.extensions
import pytest

from ansible_collections.phasegate.aistack.plugins.filter.dsn import dsn

PASSWORDS = ["plain", "p@ss:w/rd'\"$x%y#z é", 'pa"ss\\word-12chars', "100%25", "a b\tc", "?q=1&r=[2]", "ключ", "{{ x }}"]


@pytest.mark.parametrize("password", PASSWORDS)
def test_libpq_reads_every_password(password: str) -> None:
    url = dsn(password, user="us/er@", host="db-1", port=5433, database="sh-op")
    assert psycopg2.extensions.parse_dsn(url) == {
        "user": "us/er@", "password": password, "host": "db-1", "port": "5433", "dbname": "sh-op",
    }


@pytest.mark.parametrize(
    "parts",
    [
        {"user": "shop", "host": "db", "database": "shop"},
        {"user": "u", "host": "fd00::1", "port": 5432, "database": "d"},
        {"user": "u", "host": "db", "database": "d", "options": {"options": "-csearch_path=a b"}},
        {"user": "u", "host": "/run/postgresql", "port": 5433, "database": "d"},
    ],
)
def test_libpq_finds_the_parts(parts: dict[str, object]) -> None:
    read = psycopg2.extensions.parse_dsn(dsn("", **parts))
    assert (read["dbname"], read["host"], read["user"]) == (parts["database"], parts["host"], parts["user"])
