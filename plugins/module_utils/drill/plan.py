# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A drilled rollback: how a restored database gets to its start, what the way there and back cost, and what is told of it. No I/O.

A *look* at a database is C(fingerprint) (see :mod:`postgres.fingerprint`, with C(checksums) by table) and C(columns): table to column to
C([rows that hold something, sum over their hashes]).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.drill.text import FAILED, IRREVERSIBLE, LOSES, PASSED, shortened
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.revision_graph import RevisionGraph
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.schema_path import same, words
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import fingerprint
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import Fingerprint, quoted
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.row_compare import Shape
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.version_table import ASSUMED, VersionTable

FORMAT = 1
SUFFIX = "__drill"
"""What the scratch database's name ends with. It is always the same, so that the server's rules of access can name it."""

AT_ONCE = 40
"""Columns in one question: PostgreSQL takes a hundred arguments, and each column is two."""


Look = Mapping[str, Any]


def scratch_name(database: str) -> str:
    """The scratch database beside ``database``. Raises ValueError where PostgreSQL would cut its name."""
    name = database + SUFFIX
    if len(name.encode()) > 63:
        raise ValueError(f"the scratch database would be {name}, which has {len(name.encode())} bytes; PostgreSQL cuts names after 63")
    return name


@dataclass(frozen=True)
class Way:
    """How a restored database gets to the schema of the older release: C(how) is empty (it is there), C(up) or C(down).

    C(problem) says why it cannot.
    """

    how: str = ""
    problem: str = ""


def way(held: Sequence[str], older: RevisionGraph, newer: RevisionGraph, tags: tuple[str, str]) -> Way:
    """How a database at ``held`` gets to the heads of ``older``; ``tags`` are the older and the newer release."""
    goal, before, after = older.heads(), *tags
    for tag, graph in ((before, older), (after, newer)):
        if len(graph.heads()) > 1:
            return Way(problem=f"{tag} has {len(graph.heads())} heads ({words(graph.heads())}); a drill goes along one line")
    strangers = newer.unknown(goal)
    if strangers:
        return Way(problem=f"{after} does not contain {words(strangers)}, where {before} ends: they are not on one line")
    if same(held, goal):
        return Way()
    if not older.unknown(held):
        return Way("up")
    if not newer.unknown(held):
        return Way("down")
    return Way(problem=f"its database is at {words(held)}, which neither {before} (at {words(goal)}) nor {after} contains")


def columns_queries(shape: Shape) -> list[str]:
    """Questions for C({column: [rows that hold something, sum over their hashes]}) of a table, together for all its columns."""
    queries = []
    for at in range(0, len(shape.columns), AT_ONCE):
        parts = ", ".join(
            f"'{name.replace(chr(39), chr(39) * 2)}', json_build_array(count(t.{quoted(name)}),"
            f" coalesce(sum(pg_catalog.hashtextextended(t.{quoted(name)}::text COLLATE \"C\", 1)), 0)::text)"
            for name in shape.columns[at : at + AT_ONCE]
        )
        queries.append(f"SELECT json_build_object({parts}) FROM ONLY {shape.sql} t")
    return queries


@dataclass(frozen=True)
class TableDifference:
    """One table before and after: ``lost`` and ``other`` are half sentences; what is only there afterwards is no loss."""

    table: str
    before: int | None
    after: int | None
    lost: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    def text(self) -> str:
        return f"{self.table}: {'; '.join([*self.lost, *self.other])}"

    def as_dict(self) -> dict[str, object]:
        return {"table": self.table, "before": self.before, "after": self.after, "lost": self.lost, "other": self.other}


def _rows(count: int) -> str:
    return f"{count} row{'' if count == 1 else 's'}"


def differences(before: Look, after: Look, version: VersionTable) -> list[TableDifference]:
    """Tables whose rows, columns or contents are not as before; that of Alembic itself is left out."""
    was, now = Fingerprint.load(before["fingerprint"]), Fingerprint.load(after["fingerprint"])
    digests = tuple(observe["fingerprint"].get("checksums") or {} for observe in (before, after))
    found = []
    for name in sorted(set(was.rows) | set(now.rows)):
        if version.is_named(name):
            continue
        entry = TableDifference(name, was.rows.get(name), now.rows.get(name))
        if name not in now.rows:
            held = entry.before
            entry.lost.append(f"the table is gone, with {'its rows' if held is None else _rows(held)}")
        elif name not in was.rows:
            entry.other.append(f"the table was not there before; it has {_rows(entry.after or 0)}")
        else:
            _compare(entry, before["columns"].get(name) or {}, after["columns"].get(name) or {})
            if not entry.lost and not entry.other and digests[0].get(name) != digests[1].get(name):
                entry.lost.append("its rows are put together differently than before")
        if entry.lost or entry.other:
            found.append(entry)
    return found


def _compare(entry: TableDifference, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Rows and columns of a table that is there both times."""
    before, after = entry.before, entry.after
    fewer = max((before or 0) - (after or 0), 0)
    if before is not None and after is not None and before != after:
        gone = before - after
        text = f"{gone} of {_rows(before)} are gone" if gone > 0 else f"{_rows(-gone)} more than the {before} before"
        (entry.lost if gone > 0 else entry.other).append(text)
    for column in sorted(set(was) | set(now)):
        if column not in now:
            entry.lost.append(f"column {column} is gone, with {was[column][0]} values")
        elif column not in was:
            entry.other.append(f"column {column} was not there before")
        elif was[column][0] - now[column][0] > fewer:
            entry.lost.append(f"column {column}: {was[column][0] - now[column][0]} of {was[column][0]} values are gone")
        elif was[column] != now[column] and before == after:
            entry.lost.append(f"column {column}: its values are others than before")


def schema_differences(before: Look, after: Look) -> list[str]:
    """Objects of the schema that are new, gone or changed; what PostgreSQL only writes in another way is left out."""
    found, _rewritten = fingerprint.restored_differences(Fingerprint.load(before["fingerprint"]), Fingerprint.load(after["fingerprint"]))
    return found


@dataclass
class DrillRun:
    """What happened.

    Attributes:
        first, last: the database at the older release, before the way up and after the way down.
        held, again: at the newer release, as it was saved and as the way down and up left it; None where it was not saved there.
        seconds: of C(restore), C(prepare), C(upgrade), C(downgrade).
        goes: what the way down takes: tables and columns of the newer release, each with its rows.
        version: the table of versions, which is no data.
        stuck: why the way down cannot be gone, broken: what failed on the way; both empty where all went through.
    """

    first: Look | None = None
    last: Look | None = None
    held: Look | None = None
    again: Look | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    goes: list[str] = field(default_factory=list)
    stuck: str = ""
    broken: str = ""
    version: VersionTable = ASSUMED


def judge(drill_run: DrillRun) -> dict[str, object]:
    """C(verdict), C(why) (a sentence), C(lost), C(differences) (by table), C(schema), C(goes), C(seconds), C(recovery_s).

    The recovery is the way down; where there is none, it is the restore. None where the drill failed.
    """
    result: dict[str, Any] = {
        "verdict": PASSED, "why": "", "lost": [], "differences": [], "schema": [], "goes": list(drill_run.goes),
        "seconds": dict(drill_run.seconds), "recovery_s": drill_run.seconds.get("downgrade"),
    }
    if drill_run.stuck:
        return {**result, "verdict": IRREVERSIBLE, "why": drill_run.stuck, "recovery_s": drill_run.seconds.get("restore")}
    if drill_run.broken:
        return {**result, "verdict": FAILED, "why": drill_run.broken, "recovery_s": None}
    if drill_run.first is None or drill_run.last is None:
        raise ValueError("a drill is judged by what the database was before and after")
    found = differences(drill_run.first, drill_run.last, drill_run.version)
    written = (
        differences(drill_run.held, drill_run.again, drill_run.version)
        if drill_run.held is not None and drill_run.again is not None
        else []
    )
    result["differences"] = [entry.as_dict() for entry in found]
    result["lost"] = [f"{entry.table}: {text}" for entry in found for text in entry.lost]
    result["lost"] += [f"{entry.table} (written by the newer release): {text}" for entry in written for text in entry.lost]
    result["schema"] = schema_differences(drill_run.first, drill_run.last)
    strange = [f"{entry.table}: {text}" for entry in found for text in entry.other]
    if result["schema"] or strange:
        result.update(
            verdict=FAILED, recovery_s=None, why=f"afterwards the schema is not as before: {shortened([*result['schema'], *strange])}"
        )
    elif result["lost"]:
        result.update(verdict=LOSES, why=f"lost: {shortened(result['lost'])}")
    return result
