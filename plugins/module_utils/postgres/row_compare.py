# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which rows two versions of a table do not share, without reading either of them out. No I/O.

Each side hashes every row on the server and answers with sums over buckets of keys. Only the keys of buckets whose sums
differ are fetched and compared one by one, a bounded number at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import quoted

BUCKETS = 4096
AT_ONCE = 500_000
"""Keys of both sides together that are fetched at once."""

SAMPLES = 5

SHAPES_QUERY = """
SELECT coalesce(json_agg(json_build_array(n.nspname, c.relname,
  (SELECT coalesce(json_agg(a.attname ORDER BY a.attname), '[]') FROM pg_catalog.pg_attribute a
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  (SELECT coalesce(json_agg(a.attname ORDER BY a.attname), '[]') FROM pg_catalog.pg_constraint k
   JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (k.conkey)
   WHERE k.conrelid = c.oid AND k.contype = 'p'))
  ORDER BY n.nspname, c.relname), '[]')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend x
                  WHERE x.classid = 'pg_catalog.pg_class'::regclass AND x.objid = c.oid AND x.deptype = 'e')
"""

SETTINGS = {
    "search_path": "",
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "iso_8601",
    "extra_float_digits": "1",
    "bytea_output": "hex",
}
"""What the text of a row depends on."""


@dataclass(frozen=True)
class Shape:
    """A table's columns and key, both sorted by name."""

    schema: str
    table: str
    columns: tuple[str, ...]
    key: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.schema}.{self.table}"

    @property
    def sql(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.table)}"

    def common(self, other: Shape) -> Shape | None:
        """The same table with the columns that both have, None where their keys differ or they have none."""
        if not self.key or self.key != other.key:
            return None
        return Shape(self.schema, self.table, tuple(name for name in self.columns if name in other.columns), self.key)


def shapes(answer: Sequence[Sequence[Any]]) -> dict[str, Shape]:
    """SHAPES_QUERY's answer by name."""
    found = [Shape(schema, table, tuple(columns), tuple(key)) for schema, table, columns, key in answer]
    return {shape.name: shape for shape in found}


def _text(columns: Sequence[str]) -> str:
    if len(columns) == 1:
        return f"t.{quoted(columns[0])}::text"
    return "ROW(" + ", ".join(f"t.{quoted(name)}" for name in columns) + ")::text"


def _hashes(columns: Sequence[str], key: Sequence[str], table: str) -> str:
    return (
        f"SELECT pg_catalog.hashtextextended({_text(key)} COLLATE \"C\", 0) AS k,"
        f" pg_catalog.hashtextextended({_text(columns)} COLLATE \"C\", 1) AS c, {_text(key)} AS name FROM ONLY {table} t"
    )


def sums_query(shape: Shape, table: str) -> str:
    """A question for the sums of each bucket of ``table`` (in SQL); C([bucket, rows, sum of keys, sum of contents])."""
    return (
        "SELECT coalesce(json_agg(json_build_array(b, n, k::text, c::text)), '[]') FROM"
        f" (SELECT k & {BUCKETS - 1} AS b, count(*) AS n, sum(k) AS k, sum(c) AS c"
        f" FROM ({_hashes(shape.columns, shape.key, table)}) AS hashed GROUP BY 1) AS sums"
    )


def keys_query(shape: Shape, table: str, buckets: Sequence[int]) -> str:
    """A question for the keys in those buckets and the hash of each row's content."""
    some = ", ".join(map(str, buckets))
    return (
        f"SELECT coalesce(json_agg(json_build_array(name, c::text)), '[]') FROM ({_hashes(shape.columns, shape.key, table)}) AS hashed"
        f" WHERE k & {BUCKETS - 1} IN ({some})"
    )


def content_query(shape: Shape, table: str) -> str:
    """A question for a checksum of all rows, whatever their order: C([rows, sum of contents])."""
    if not shape.columns:
        return f"SELECT json_build_array(count(*), '0') FROM ONLY {table} t"
    text = _text(shape.columns)
    if len(shape.columns) == 1:
        text = f"coalesce({text}, '')"
    return (
        "SELECT json_build_array(count(*), coalesce(sum(pg_catalog.hashtextextended("
        f"{text} COLLATE \"C\", 1)), 0)::text) FROM ONLY {table} t"
    )


@dataclass
class Sums:
    """One side's answer to sums_query."""

    rows: int
    buckets: dict[int, tuple[int, str, str]]

    @staticmethod
    def of(answer: Sequence[Sequence[Any]]) -> Sums:
        return Sums(sum(entry[1] for entry in answer), {entry[0]: (entry[1], entry[2], entry[3]) for entry in answer})


def unlike(live: Sums, kept: Sums, at_once: int = AT_ONCE) -> Iterator[list[int]]:
    """Buckets that differ, in groups whose keys fit into memory."""
    group: list[int] = []
    held = 0
    for bucket in sorted(set(live.buckets) | set(kept.buckets)):
        mine, theirs = live.buckets.get(bucket), kept.buckets.get(bucket)
        if mine == theirs:
            continue
        size = (mine[0] if mine else 0) + (theirs[0] if theirs else 0)
        if group and held + size > at_once:
            yield group
            group, held = [], 0
        group.append(bucket)
        held += size
    if group:
        yield group


@dataclass
class Difference:
    """What a restore does to one table.

    ``live`` and ``kept`` are the rows now and in the set. ``lost`` are rows that only the live one has, ``returned`` those that only
    the set has, ``changed`` those that both have with another content: their later changes are undone. None where it was not
    found out, and ``why`` says why. ``sample`` holds a few keys of lost rows.
    """

    table: str
    live: int | None
    kept: int | None
    lost: int | None = None
    returned: int | None = None
    changed: int | None = None
    sample: list[str] = field(default_factory=list)
    why: str = ""

    @property
    def same(self) -> bool:
        return not self.why and not (self.lost or self.returned or self.changed)

    def add(self, live: Sequence[Sequence[str]], kept: Sequence[Sequence[str]]) -> None:
        """Counts what two answers to keys_query for the same buckets do not share."""
        mine: Mapping[str, str] = {entry[0]: entry[1] for entry in live}
        theirs: Mapping[str, str] = {entry[0]: entry[1] for entry in kept}
        gone = mine.keys() - theirs.keys()
        self.lost = (self.lost or 0) + len(gone)
        self.returned = (self.returned or 0) + len(theirs.keys() - mine.keys())
        self.changed = (self.changed or 0) + sum(mine[name] != theirs[name] for name in mine.keys() & theirs.keys())
        if len(self.sample) < SAMPLES:
            self.sample += sorted(gone)[: SAMPLES - len(self.sample)]

    def as_dict(self) -> dict[str, object]:
        return {
            "table": self.table,
            "live": self.live,
            "set": self.kept,
            "lost": self.lost,
            "returned": self.returned,
            "changed": self.changed,
            "exact": not self.why,
            "same": self.same,
            "sample": self.sample,
            "why": self.why,
        }

    def text(self) -> str:
        """One line for people."""
        if self.same:
            return f"{self.table}: the same {self.live} rows"
        rows = f"{self.table}: {_number(self.live)} rows now, {_number(self.kept)} in the set"
        if self.why:
            return f"{rows}; {self.why}"
        lost = self.lost or 0
        keys = ", ".join([*self.sample, "…"] if lost > len(self.sample) else self.sample)
        parts = [f"{lost} lost" + (f" ({keys})" if keys else "")]
        parts += [f"{self.returned} come back"] if self.returned else []
        parts += [f"{self.changed} go back to what they were"] if self.changed else []
        return f"{rows}: {', '.join(parts)}"


def _number(value: int | None) -> str:
    return "?" if value is None else str(value)
