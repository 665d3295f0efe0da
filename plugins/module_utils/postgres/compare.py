# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a restore would take away and bring back, table by table, before anybody agrees to it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import row_compare
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.admin import RestoreError, Server, refused
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError, Psql
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.row_compare import Difference, Shape, Sums

BUDGET = 300.0
"""Seconds for all tables together; those that are not reached are counted only."""

COUNT_TIMEOUT = 120.0


class OutOfTime(Exception):
    """The budget is spent."""


class Pair:
    """Two sessions that answer at the same time: in the live database and in the restored one."""

    def __init__(self, live: Psql, kept: Psql, end: float) -> None:
        self._sessions = (live, kept)
        self._end = end
        for psql in self._sessions:
            psql.apply_settings(**row_compare.SETTINGS, idle_in_transaction_session_timeout="0", lock_timeout="10s")
            psql.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def ask(self, live: str, kept: str, timeout: float | None = None) -> tuple[Any, Any]:
        """Both answers. Raises OutOfTime, DatabaseError."""
        limit = self._end - time.monotonic() if timeout is None else timeout
        if limit <= 0:
            raise OutOfTime
        for psql in self._sessions:
            psql.query(f"SAVEPOINT question; SET LOCAL statement_timeout = '{int(limit * 1000)}ms'")
        with ThreadPoolExecutor(2) as pool:
            answers = [pool.submit(psql.query, sql, limit + 5) for psql, sql in zip(self._sessions, (live, kept))]
        problems = [problem for problem in (answer.exception() for answer in answers) if problem]
        for psql in self._sessions:
            psql.query(f"{'ROLLBACK TO' if problems else 'RELEASE'} SAVEPOINT question")
        for problem in problems:
            if isinstance(problem, DatabaseError) and problem.kind == "timeout":
                raise OutOfTime from problem
            raise problem
        return answers[0].result(), answers[1].result()


def table(pair: Pair, live: Shape, kept: Shape, live_sql: str, kept_sql: str) -> Difference:
    """What two versions of a table do not share; C(*_sql) are their names in SQL. Raises DatabaseError."""
    shape = live.common(kept)
    try:
        if shape is None:
            return _without_key(pair, live, kept, live_sql, kept_sql)
        mine, theirs = pair.ask(row_compare.sums_query(shape, live_sql), row_compare.sums_query(shape, kept_sql))
        sums = Sums.of(mine), Sums.of(theirs)
        result = Difference(live.name, sums[0].rows, sums[1].rows, 0, 0, 0)
        for buckets in row_compare.unlike(*sums):
            result.add(*pair.ask(row_compare.keys_query(shape, live_sql, buckets), row_compare.keys_query(shape, kept_sql, buckets)))
    except OutOfTime:
        counts = pair.ask(_count(live_sql), _count(kept_sql), COUNT_TIMEOUT)
        return Difference(live.name, *counts, why="which rows differ was not found out within the time for comparing (budget)")
    if live.columns != kept.columns:
        others = sorted(set(live.columns) ^ set(kept.columns))
        result.why = f"{result.lost} lost, {result.returned} come back; their columns differ ({', '.join(others)})"
    return result


def _without_key(pair: Pair, live: Shape, kept: Shape, live_sql: str, kept_sql: str) -> Difference:
    mine, theirs = pair.ask(row_compare.content_query(live, live_sql), row_compare.content_query(kept, kept_sql))
    if live.columns == kept.columns and list(mine) == list(theirs):
        return Difference(live.name, mine[0], theirs[0], 0, 0, 0)
    return Difference(live.name, mine[0], theirs[0], why="it differs, but without a common primary key nobody can tell which rows")


def _count(name: str) -> str:
    return f"SELECT count(*) FROM ONLY {name}"


def compare(server: Server, database: str, beside: str, tables: Sequence[str] = (), budget: float = BUDGET) -> dict[str, object]:
    """Compares the live database with a restored one.

    Returns C(tables) (a list, see Difference.as_dict; all of them, or those named), C(lost), C(returned) and C(changed) over all
    tables, C(exact) (whether all of them were found out) and C(lines) for people: only of tables that differ.
    """
    end = time.monotonic() + budget
    found: list[Difference] = []
    try:
        with server.session(database) as live, server.session(beside) as kept:
            pair = Pair(live, kept, end)
            mine, theirs = map(row_compare.shapes, pair.ask(row_compare.SHAPES_QUERY, row_compare.SHAPES_QUERY, COUNT_TIMEOUT))
            unknown = sorted(set(tables) - set(mine) - set(theirs))
            if unknown:
                names = ", ".join(unknown)
                raise RestoreError("unknown_table", f"Neither {database} nor {beside} has a table {names}; expected schema.table.")
            for name in sorted(set(tables) or set(mine) | set(theirs)):
                found.append(_one(pair, name, mine.get(name), theirs.get(name)))
    except DatabaseError as problem:
        raise refused(problem, f"{database} and {beside} could not be compared") from problem
    return summary(found)


def _one(pair: Pair, name: str, live: Shape | None, kept: Shape | None) -> Difference:
    if live and kept:
        return table(pair, live, kept, live.sql, kept.sql)
    if live:
        rows = pair.ask(_count(live.sql), "SELECT 0", COUNT_TIMEOUT)[0]
        return Difference(name, rows, 0, rows, 0, 0, why="" if rows == 0 else f"the set has no such table: all {rows} rows are lost")
    rows = pair.ask("SELECT 0", _count(kept.sql if kept else ""), COUNT_TIMEOUT)[1]
    return Difference(name, 0, rows, 0, rows, 0)


def summary(found: Sequence[Difference]) -> dict[str, object]:
    """Differences of several tables as one answer."""
    totals = {key: sum(getattr(entry, key) or 0 for entry in found) for key in ("lost", "returned", "changed")}
    return {
        "tables": [entry.as_dict() for entry in found],
        **totals,
        "exact": all(entry.lost is not None for entry in found),
        "same": all(entry.same for entry in found),
        "lines": [entry.text() for entry in found if not entry.same],
    }
