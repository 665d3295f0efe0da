# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database as it is at one moment: schema, rows, foreign keys, contents; and what differs from an earlier moment.

All of it is read in one transaction that sees one state, however long it takes. Whatever does not fit into the time is named.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import DatabaseAddress
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import fingerprint, foreign_keys, row_compare, version_table
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import Fingerprint
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError, Psql
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.version_table import ASSUMED, VersionTable

APPLICATION = "aistack-fingerprint"
READ_TIMEOUT = 60.0
ALL = "all"


class Reader:
    """A transaction that sees one state, and asks within a budget of seconds."""

    def __init__(self, psql: Psql, budget: float) -> None:
        self._psql = psql
        self._end = time.monotonic() + budget
        psql.apply_settings(**row_compare.SETTINGS, idle_in_transaction_session_timeout="0", lock_timeout="10s")
        psql.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def catalog(self, sql: str) -> Any:
        """An answer from the catalog. Raises DatabaseError."""
        return self._psql.query(sql, READ_TIMEOUT)

    def within(self, sql: str) -> Any:
        """An answer, None where the budget does not reach or the rows may not be read. Raises DatabaseError."""
        left = self._end - time.monotonic()
        if left <= 0:
            return None
        self._psql.query(f"SAVEPOINT question; SET LOCAL statement_timeout = '{int(left * 1000) + 1}ms'")
        try:
            answer = self._psql.query(sql, left + 5)
        except DatabaseError as problem:
            if problem.sqlstate not in ("57014", "42501", "55P03"):  # too slow, not allowed, locked
                raise
            self._psql.query("ROLLBACK TO SAVEPOINT question")
            return None
        self._psql.query("RELEASE SAVEPOINT question")
        return answer


def take(
    address: DatabaseAddress,
    variables: Mapping[str, str],
    user: str | None,
    before: Mapping[str, object] | None = None,
    keys: bool = True,
    checksums: Sequence[str] = (),
    budget: float = 120.0,
    version: VersionTable = ASSUMED,
) -> dict[str, Any]:
    """Observes a database, and compares it with an earlier observation.

    ``before`` is an earlier C(fingerprint), or what C(database.json) of a set says. ``checksums`` names tables whose contents are
    hashed too (C(all): every one), ``budget`` is in seconds.

    Returns C(hash) and C(objects) of the schema, C(rows) by table (None: not counted), C(uncounted), C(heads) of Alembic,
    C(foreign_keys), C(checksums) by table, C(fingerprint) (to be given as ``before`` later), C(differences) and C(seconds).
    Raises DatabaseError, LookupError (no such user or table).
    """
    began = time.monotonic()
    with Psql(address, variables, user, APPLICATION) as psql:
        reader = Reader(psql, budget)
        objects = reader.catalog(fingerprint.SCHEMA_QUERY)
        tables = reader.catalog(fingerprint.TABLES_QUERY)
        found = Fingerprint.of(objects, tables, _rows(reader, tables))
        hashed = _contents(reader, checksums)
        result = {
            **found.summary(),
            "uncounted": sorted(name for name, rows in found.rows.items() if rows is None),
            "heads": list(reader.within(alembic) or []) if (alembic := version_table.question(objects, tables, version)) else [],
            "foreign_keys": _foreign_keys(reader) if keys else None,
            "checksums": hashed,
            "fingerprint": {**found.as_dict(), "checksums": hashed},
        }
    result["differences"] = differences(before, found, hashed) if before is not None else None
    return {**result, "seconds": round(time.monotonic() - began, 3)}


def _rows(reader: Reader, tables: Sequence[Sequence[Any]]) -> dict[str, object]:
    """Rows of every table: all small ones with one question, each large one with its own."""
    counting = fingerprint.rows_query(tables)
    counted: dict[str, Any] = dict((reader.within(counting) if counting else None) or {})
    for entry in tables:
        name = f"{entry[0]}.{entry[1]}"
        if name not in counted:
            single = fingerprint.rows_query([entry], None)
            counted.update((reader.within(single) if single else None) or {})
    return counted


def _contents(reader: Reader, wanted: Sequence[str]) -> dict[str, str | None]:
    """For each wanted table a SHA-256 over its columns, its number of rows and a sum over them; None where it was not read."""
    if not wanted:
        return {}
    shapes = row_compare.shapes(reader.catalog(row_compare.SHAPES_QUERY))
    names = sorted(shapes) if ALL in wanted else [name if "." in name else f"public.{name}" for name in wanted]
    unknown = sorted(set(names) - set(shapes))
    if unknown:
        raise LookupError(f"the database has no table {', '.join(unknown)}; it has {', '.join(sorted(shapes)[:20]) or 'none'}")
    hashed: dict[str, str | None] = {}
    for name in names:
        answer = reader.within(row_compare.content_query(shapes[name], shapes[name].sql))
        text = f"{','.join(shapes[name].columns)}|{answer[0]}|{answer[1]}" if answer else ""
        hashed[name] = hashlib.sha256(text.encode()).hexdigest() if answer else None
    return hashed


def _foreign_keys(reader: Reader) -> dict[str, object]:
    """C(checked) (number), C(not_valid), C(violations) and C(unchecked): keys as C(table.constraint)."""
    keys = reader.catalog(foreign_keys.KEYS_QUERY)
    result: dict[str, Any] = {"checked": 0, "violations": [], "unchecked": []}
    result["not_valid"] = [f"{key['table']}.{key['name']}" for key in keys if not key["valid"]]
    for key in sorted(keys, key=lambda each: bool(each["valid"])):  # those that nobody guards first, while there is time
        rows = reader.within(foreign_keys.broken_query(key)) if key["readable"] else None
        if rows is None:
            result["unchecked"].append(f"{key['table']}.{key['name']}")
            continue
        result["checked"] += 1
        if rows:
            result["violations"].append(foreign_keys.broken(key, int(rows)))
    return result


def differences(before: Mapping[str, Any], now: Fingerprint, checksums: Mapping[str, str | None]) -> dict[str, object]:
    """What is not as before: C(schema), C(rows) and C(contents), a line each, C(by_table) ({before, now}) and C(same)."""
    earlier = Fingerprint.load(before)
    strict, rewritten = fingerprint.restored_differences(earlier, now)
    by_table = {
        name: {"before": earlier.rows.get(name), "now": now.rows.get(name)}
        for name in sorted(set(earlier.rows) | set(now.rows))
        if earlier.rows.get(name) != now.rows.get(name) or (name in earlier.rows) != (name in now.rows)
    }
    rows = [f"{name}: {_count(name, earlier)} before, {_count(name, now)} now" for name in by_table]
    known = before.get("checksums") or {}
    contents = [
        f"{name}: its contents are others than before"
        for name, digest in sorted(checksums.items())
        if digest and known.get(name) and known[name] != digest
    ]
    return {
        "schema": strict,
        "rewritten": rewritten,
        "rows": rows,
        "contents": contents,
        "by_table": by_table,
        "same": not (strict or rows or contents),
    }


def _count(table: str, moment: Fingerprint) -> str:
    if table not in moment.rows:
        return "no such table"
    rows = moment.rows[table]
    return "rows not counted" if rows is None else f"{rows} rows"
