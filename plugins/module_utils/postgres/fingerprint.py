# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fingerprint of a database: every object of its schema with its definition, and rows per table. No I/O.

Two fingerprints with the same hash have the same tables, columns, constraints, indexes, views, sequences, types, functions,
triggers and extensions. Physical order of columns, statistics, rights and the next value of a sequence are left out.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ROWS_EXACT_BELOW = 2_000_000
"""Tables with more estimated rows are not counted: that would take longer than the migration."""

_SPACES = """
  SELECT oid, nspname FROM pg_catalog.pg_namespace
  WHERE nspname <> 'information_schema' AND nspname !~ '^pg_'
"""

SCHEMA_QUERY = f"""
WITH ns AS ({_SPACES}),
rel AS (
  SELECT c.oid, n.nspname || '.' || c.relname AS name, c.relkind, c.relpersistence, c.reloptions, c.relrowsecurity
  FROM pg_catalog.pg_class c JOIN ns n ON n.oid = c.relnamespace
),
objects(kind, name, definition) AS (
  SELECT 'table', name, concat_ws(' ', relkind, relpersistence, relrowsecurity, reloptions::text) FROM rel WHERE relkind IN ('r','p','f')
  UNION ALL
  SELECT 'column', r.name || '.' || a.attname,
         concat_ws(' ', pg_catalog.format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'not null' END,
                   CASE WHEN d.adbin IS NOT NULL THEN 'default ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,
                   nullif(a.attidentity, ''), nullif(a.attgenerated, ''))
  FROM rel r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
  WHERE r.relkind IN ('r','p','f')
  UNION ALL
  SELECT 'view', name, pg_catalog.pg_get_viewdef(oid) FROM rel WHERE relkind IN ('v','m')
  UNION ALL
  SELECT 'sequence', r.name,
         concat_ws(' ', pg_catalog.format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle)
  FROM rel r JOIN pg_catalog.pg_sequence s ON s.seqrelid = r.oid
  UNION ALL
  SELECT 'index', r.name, pg_catalog.pg_get_indexdef(r.oid) || CASE WHEN i.indisvalid THEN '' ELSE ' INVALID' END
  FROM rel r JOIN pg_catalog.pg_index i ON i.indexrelid = r.oid
  UNION ALL
  SELECT 'constraint', r.name || '.' || k.conname, pg_catalog.pg_get_constraintdef(k.oid)
  FROM rel r JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid
  UNION ALL
  SELECT 'trigger', r.name || '.' || t.tgname, pg_catalog.pg_get_triggerdef(t.oid)
  FROM rel r JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal
  UNION ALL
  SELECT 'type', n.nspname || '.' || t.typname,
         (SELECT string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid)
  FROM pg_catalog.pg_type t JOIN ns n ON n.oid = t.typnamespace WHERE t.typtype = 'e'
  UNION ALL
  SELECT 'function', n.nspname || '.' || p.proname || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')',
         pg_catalog.pg_get_functiondef(p.oid)
  FROM pg_catalog.pg_proc p JOIN ns n ON n.oid = p.pronamespace
  WHERE p.prokind IN ('f','p')
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend x WHERE x.objid = p.oid AND x.deptype = 'e')
  UNION ALL
  SELECT 'extension', extname, extversion FROM pg_catalog.pg_extension
)
SELECT coalesce(json_agg(json_build_array(kind, name, definition) ORDER BY kind, name), '[]') FROM objects
"""

TABLES_QUERY = f"""
WITH ns AS ({_SPACES})
SELECT coalesce(json_agg(json_build_array(n.nspname, c.relname, greatest(c.reltuples, 0)::bigint,
                                          pg_catalog.has_table_privilege(c.oid, 'SELECT')) ORDER BY 1, 2), '[]')
FROM pg_catalog.pg_class c JOIN ns n ON n.oid = c.relnamespace WHERE c.relkind = 'r'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend x
                  WHERE x.classid = 'pg_catalog.pg_class'::regclass AND x.objid = c.oid AND x.deptype = 'e')
"""
"""Ordinary tables with their estimated rows and whether they may be read; what an extension brings along is not data."""


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """An SQL string constant."""
    return "'" + text.replace("'", "''") + "'"


def rows_query(tables: Iterable[Sequence[Any]], below: int | None = ROWS_EXACT_BELOW) -> str | None:
    """One query that counts the rows of those tables that may be read and have fewer rows than ``below`` (None: all of them).

    None where there are none.
    """
    counts = [
        f"SELECT {literal(schema + '.' + name)} AS name, count(*) AS rows FROM {quoted(schema)}.{quoted(name)}"
        for schema, name, estimate, readable in tables
        if readable and (below is None or estimate < below)
    ]
    if not counts:
        return None
    return "SELECT json_object_agg(name, rows) FROM (" + " UNION ALL ".join(counts) + ") AS counted"


@dataclass
class Fingerprint:
    """``objects``: (kind, name) to definition; ``rows``: table to number, None where it was not counted."""

    objects: dict[str, str] = field(default_factory=dict)
    rows: dict[str, int | None] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """SHA-256 of the schema; rows are not part of it, because the running release goes on writing."""
        text = json.dumps(self.objects, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def empty(self) -> bool:
        return not any(name.startswith("table ") for name in self.objects)

    def tables(self) -> set[str]:
        """Tables and views, with their schema and, where it is C(public), also without."""
        found = {name.split(" ", 1)[1] for name in self.objects if name.startswith(("table ", "view "))}
        return found | {name[len("public.") :] for name in found if name.startswith("public.")}

    def as_dict(self) -> dict[str, object]:
        return {"hash": self.hash, "objects": self.objects, "rows": self.rows}

    def summary(self) -> dict[str, object]:
        """Without the definitions: for results and the journal."""
        return {"hash": self.hash, "objects": len(self.objects), "rows": self.rows}

    @staticmethod
    def of(objects: Iterable[Sequence[Any]], tables: Iterable[Sequence[Any]], counted: Mapping[str, Any] | None) -> Fingerprint:
        """From the answers of the queries above."""
        rows: dict[str, int | None] = {}
        for schema, name, _estimate, _readable in tables:
            value = (counted or {}).get(f"{schema}.{name}")
            rows[f"{schema}.{name}"] = None if value is None else int(value)
        return Fingerprint({f"{kind} {name}": " ".join(str(text or "").split()) for kind, name, text in objects}, rows)

    @staticmethod
    def load(document: Mapping[str, Any]) -> Fingerprint:
        """From C(as_dict)."""
        return Fingerprint(dict(document.get("objects") or {}), dict(document.get("rows") or {}))


def schema_differences(before: Fingerprint, after: Fingerprint) -> list[str]:
    """One line for each object that is new, gone or changed."""
    lines = [f"new: {name}" for name in sorted(set(after.objects) - set(before.objects))]
    lines += [f"gone: {name}" for name in sorted(set(before.objects) - set(after.objects))]
    for name in sorted(set(before.objects) & set(after.objects)):
        if before.objects[name] != after.objects[name]:
            lines.append(f"changed: {name}: was {_short(before.objects[name])}, is {_short(after.objects[name])}")
    return lines


_NAME = r"(?:\"[^\"]+\"|\w+)"
_TYPE = rf"(?:character varying|double precision|bit varying|time(?:stamp)? with(?:out)? time zone|{_NAME}(?:\.{_NAME})?)"
_CAST = re.compile(rf"::{_TYPE}(?:\(\d+(?:,\s*\d+)?\))?(?:\[\])*")
_EXPRESSIONS = ("column ", "constraint ", "index ", "view ", "trigger ")


def restored_differences(dumped: Fingerprint, restored: Fingerprint) -> tuple[list[str], list[str]]:
    """What a restore changed: what must not differ, and what PostgreSQL only writes in another way.

    PostgreSQL moves casts and brackets when it reads an expression of its own back: C((ARRAY['a'::varchar])::text[]) becomes
    C(ARRAY[('a'::varchar)::text]). An extension comes in the version that the server has.
    """
    harmless = {
        name
        for name in set(dumped.objects) & set(restored.objects)
        if name.startswith("extension ") or (name.startswith(_EXPRESSIONS) and _bare(dumped.objects[name]) == _bare(restored.objects[name]))
    }

    def part(whole: Fingerprint, inside: bool) -> Fingerprint:
        return Fingerprint({name: text for name, text in whole.objects.items() if (name in harmless) is inside})

    return schema_differences(part(dumped, False), part(restored, False)), schema_differences(part(dumped, True), part(restored, True))


def _bare(text: str) -> str:
    """A definition without casts, brackets and spaces."""
    return re.sub(r"[()\s]", "", _CAST.sub("", text))


def row_differences(before: Fingerprint, after: Fingerprint, left_out: Callable[[str], bool]) -> list[str]:
    """One line for each table whose number of rows is another; uncounted ones and those ``left_out`` (the one of versions) are not told."""
    lines = []
    for name in sorted(set(before.rows) & set(after.rows)):
        was, now = before.rows[name], after.rows[name]
        if was is not None and now is not None and was != now and not left_out(name):
            lines.append(f"rows of {name}: were {was}, are {now}")
    return lines


def _short(text: str) -> str:
    return repr(text if len(text) <= 120 else text[:119] + "…")
