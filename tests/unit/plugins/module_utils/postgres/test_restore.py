# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import restore as pg_restore
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.tools import read_archive

# What pg_restore --list prints of a database with the extension.
LISTING = """;
; Archive created at 2026-01-31 12:00:00 UTC
;
2; 3079 16385 EXTENSION - timescaledb 
3901; 0 0 COMMENT - EXTENSION timescaledb 
215; 1259 16400 TABLE public metrics app
"""  # noqa: W291 - an entry without an owner ends with a space


class Asked:
    """A server that writes down what it is asked, and where."""

    def __init__(self) -> None:
        self.said: list[str] = []

    @contextlib.contextmanager
    def session(self, database: str) -> Iterator[Any]:
        self.database = database
        yield self

    def query(self, sql: str, _timeout: float) -> None:
        self.said.append(sql)


def test_timescaledb_is_told_before_and_after() -> None:
    server = Asked()
    held = read_archive(LISTING)
    with pg_restore.timescale(server, "shop__restore_x", held) as there:
        assert there
        assert server.said == ["CREATE EXTENSION IF NOT EXISTS timescaledb", "SELECT to_json(timescaledb_pre_restore())"]
    assert server.said[2:] == ["SELECT to_json(timescaledb_post_restore())"]
    assert server.database == "shop__restore_x"


def test_a_restore_that_failed_is_not_told_as_done() -> None:
    server = Asked()
    with pytest.raises(ValueError, match="no"), pg_restore.timescale(server, "x", read_archive(LISTING)):
        raise ValueError("no")
    assert len(server.said) == 2


def test_nothing_is_asked_without_it() -> None:
    server = Asked()
    with pg_restore.timescale(server, "x", read_archive(LISTING.replace("timescaledb", "pgcrypto"))) as there:
        assert not there
    assert server.said == []
