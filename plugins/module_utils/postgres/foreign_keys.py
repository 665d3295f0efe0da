# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Foreign keys and the rows that break them. Questions only, no I/O.

A key can be broken although the server guards it: it was added NOT VALID, or rows came in while its triggers were switched off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import quoted

COUNTED = 1000
"""Broken rows of one key are counted up to here."""

KEYS_QUERY = """
SELECT coalesce(json_agg(json_build_object(
    'name', k.conname, 'table', n.nspname || '.' || c.relname, 'parent', pn.nspname || '.' || p.relname,
    'table_sql', format('%I.%I', n.nspname, c.relname), 'parent_sql', format('%I.%I', pn.nspname, p.relname),
    'only', c.relkind = 'r', 'parent_only', p.relkind = 'r', 'valid', k.convalidated, 'full', k.confmatchtype = 'f',
    'readable', pg_catalog.has_table_privilege(c.oid, 'SELECT') AND pg_catalog.has_table_privilege(p.oid, 'SELECT'),
    'columns', (SELECT json_agg(json_build_array(a.attname, b.attname, format('OPERATOR(%I.%s)', opn.nspname, o.oprname)) ORDER BY s.at)
                FROM pg_catalog.generate_subscripts(k.conkey, 1) AS s(at)
                JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[s.at]
                JOIN pg_catalog.pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = k.confkey[s.at]
                JOIN pg_catalog.pg_operator o ON o.oid = k.conpfeqop[s.at] JOIN pg_catalog.pg_namespace opn ON opn.oid = o.oprnamespace))
  ORDER BY n.nspname, c.relname, k.conname), '[]')
FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class p ON p.oid = k.confrelid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0
"""


def broken_query(key: Mapping[str, Any], most: int = COUNTED) -> str:
    """A question for the number of rows whose parent is missing, at most ``most`` + 1."""
    filled = " AND ".join(f"c.{quoted(column)} IS NOT NULL" for column, _parent, _equal in key["columns"])
    match = " AND ".join(f"p.{quoted(parent)} {equal} c.{quoted(column)}" for column, parent, equal in key["columns"])
    child, parent = (("ONLY " if key[only] else "") + key[name] for only, name in (("only", "table_sql"), ("parent_only", "parent_sql")))
    wrong = f"{filled} AND NOT EXISTS (SELECT FROM {parent} p WHERE {match})"
    if key["full"]:
        some = " OR ".join(f"c.{quoted(column)} IS NOT NULL" for column, _parent, _equal in key["columns"])
        wrong = f"({wrong}) OR (({some}) AND NOT ({filled}))"
    return f"SELECT count(*) FROM (SELECT FROM {child} c WHERE {wrong} LIMIT {most + 1}) AS broken"


def broken(key: Mapping[str, object], rows: int, most: int = COUNTED) -> dict[str, object]:
    """A broken key for a report: C(constraint), C(table), C(parent), C(rows), C(more) (there are more rows than were counted)."""
    return {"constraint": key["name"], "table": key["table"], "parent": key["parent"], "rows": min(rows, most), "more": rows > most}
