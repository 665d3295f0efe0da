# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where Alembic notes the revision: in the table that the release's env.py names (version_table, version_table_schema). No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import literal, quoted

DEFAULT = "alembic_version"


@dataclass(frozen=True)
class VersionTable:
    """A table of revisions. Without ``schema`` it is looked for in all of them.

    ``recorded``: an env.py named it, it is not assumed. ``problem``: why what the node recorded is not known.
    """

    name: str = DEFAULT
    schema: str = ""
    recorded: bool = False
    problem: str = ""

    @staticmethod
    def of(answer: Mapping[str, object]) -> VersionTable:
        """From C(version_table) and C(version_table_schema), as the release's Alembic says them; Alembic's own name where it does not."""
        name = answer.get("version_table")
        if not name:
            return VersionTable()
        return VersionTable(str(name), str(answer.get("version_table_schema") or ""), True)

    def as_dict(self) -> dict[str, object]:
        return {"version_table": self.name, "version_table_schema": self.schema or None}

    def text(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name

    def matches(self, schema: str, name: str) -> bool:
        return name == self.name and self.schema in ("", schema)

    def is_named(self, full: str) -> bool:
        """Whether ``schema.table`` is this one."""
        return full == self.text() if self.schema else full.endswith(f".{self.name}")

    def tables_query(self) -> str:
        """SQL for the tables of this name, quoted and with their schema."""
        inside = f" AND n.nspname = {literal(self.schema)}" if self.schema else ""
        return (
            "SELECT coalesce(json_agg(quote_ident(n.nspname) || '.' || quote_ident(c.relname)), '[]') FROM pg_class c"
            f" JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = {literal(self.name)}{inside} AND c.relkind IN ('r', 'p')"
        )

    def only(self, found: Sequence[str], others: bool) -> tuple[str, str]:
        """The table to read of those ``found``, and why there is none to read; both empty where nothing was ever migrated.

        ``others``: the database has tables besides.
        """
        if self.problem:
            return "", self.problem
        if len(found) > 1:
            return "", f"there are {len(found)} tables {self.name}: {', '.join(found)}"
        if not found and self.recorded and others:
            return "", (
                f"there is no table {self.text()}, which the release that was migrated last names as its table of versions, but there are"
                " others. Migrate again with the release that fits this database, or restore the table from a backup set"
            )
        return (found[0] if found else ""), ""


ASSUMED = VersionTable()


def heads_query(table: str) -> str:
    """SQL for the revisions in a quoted table."""
    return f"SELECT coalesce(json_agg(version_num ORDER BY version_num), '[]') FROM {table}"


def question(objects: Iterable[Sequence[Any]], tables: Iterable[Sequence[Any]], version: VersionTable) -> str | None:
    """SQL for the revisions of a database whose objects and tables are as :mod:`postgres.fingerprint` asks for them.

    Empty where it has no table of versions, None where a recorded one cannot be told or read. What only carries Alembic's own name is
    read wherever it is.
    """
    columns = {name for kind, name, _definition in objects if kind == "column"}
    known = [(schema, name, may) for schema, name, _estimate, may in tables]
    sources = [
        f"{quoted(schema)}.{quoted(name)}"
        for schema, name, may in known
        if may and version.matches(schema, name) and f"{schema}.{name}.version_num" in columns
    ]
    if version.problem or (version.recorded and version.only(sources, bool(known))[1]):
        return None
    if not sources:
        return ""
    return heads_query("(" + " UNION ALL ".join(f"SELECT version_num FROM {source}" for source in sources) + ") AS heads")
