# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a downgrade takes away for good: tables, columns, rows, how many rows hold something there, and who said yes. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ansible_collections.phasegate.aistack.plugins.module_utils.migration.revision_graph import Refusal, Revision
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.sql_statements import UNKNOWN, Statement

_IDENTIFIER = r'(?:"(?:[^"]|"")+"|[\w$]+)'
_NAME = rf"{_IDENTIFIER}(?:\.{_IDENTIFIER})*"
_LIST = rf"(?P<names>{_NAME}(?:\s*,\s*{_NAME})*)"
_FORMS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("table", re.compile(rf"DROP TABLE (?:IF EXISTS )?{_LIST}", re.I)),
    ("rows", re.compile(rf"TRUNCATE (?:TABLE )?(?:ONLY )?{_LIST}", re.I)),
    ("rows", re.compile(rf"DELETE FROM (?:ONLY )?(?P<names>{_NAME})", re.I)),
    ("schema", re.compile(rf"DROP SCHEMA (?:IF EXISTS )?{_LIST}", re.I)),
)
_ALTER = re.compile(rf"ALTER TABLE (?:IF EXISTS )?(?:ONLY )?(?P<table>{_NAME})\s*\*? (?P<rest>.*)", re.I | re.S)
_COLUMN = re.compile(
    rf"\bDROP (?:COLUMN )?(?:IF EXISTS )?(?!(?:CONSTRAINT|DEFAULT|NOT|EXPRESSION|IDENTITY|COLUMN|IF)\b)(?P<column>{_IDENTIFIER})", re.I
)


class Step(Protocol):
    """What is looked at of a step."""

    @property
    def revision(self) -> Revision: ...

    @property
    def statements(self) -> Sequence[Statement]: ...

    @property
    def sql(self) -> str | None: ...

    @property
    def sql_error(self) -> str: ...


@dataclass(frozen=True)
class Loss:
    """One thing that goes. ``table`` and ``column`` are as the statement writes them.

    ``kind``: table, column, rows or schema. ``rows``: how many rows hold something there; None where they were not counted,
    and ``why`` then says why not.
    """

    revision: str
    kind: str
    table: str
    column: str = ""
    rows: int | None = None
    why: str = "not counted"

    @property
    def name(self) -> str:
        """What it is accepted by: ``table`` or ``table.column``."""
        return (f"{self.table}.{self.column}" if self.column else self.table).replace('"', "")

    def query(self) -> str:
        """SQL that counts the rows that hold something there; empty where that cannot be told by one query."""
        if self.kind == "schema" or not self.table:
            return ""
        return f"SELECT to_json(count({self.column or '*'})) FROM {self.table}"

    def text(self) -> str:
        """In words, for a list."""
        what = {"rows": "rows of"}.get(self.kind, self.kind)
        if self.rows is None:
            return f"{what} {self.name} (how many rows hold something there is not known: {self.why})"
        if self.kind == "column":
            held = f"{self.rows} row{' holds' if self.rows == 1 else 's hold'} something there"
        else:
            held = f"{'up to ' if self.kind == 'rows' and self.rows else ''}{self.rows} row{'' if self.rows == 1 else 's'}"
        return f"{what} {self.name} ({held})"

    def as_dict(self) -> dict[str, object]:
        return {
            "revision": self.revision,
            "kind": self.kind,
            "name": self.name,
            "rows": self.rows,
            "why": self.why if self.rows is None else "",
            "text": self.text(),
        }


@dataclass(frozen=True)
class Down:
    """A downgrade: what it takes (None: nobody has looked), where it ends, and what was accepted for this one run.

    ``accept_loss`` names tables, columns (``table.column``), and revisions whose downgrade is empty or cannot be looked into.
    """

    losses: tuple[Loss, ...] | None = None
    to_base: bool = False
    accept_loss: tuple[str, ...] = ()
    allow_base: bool = False


def found(steps: Iterable[Step]) -> list[Loss]:
    """What the steps' statements take away, in order; rows are still to be counted."""
    losses: list[Loss] = []
    for step in steps:
        for statement in step.statements:
            if statement.loses_data:
                losses += _of(step.revision.revision, " ".join(statement.text.split()))
    return list(dict.fromkeys(losses))


def _of(revision: str, text: str) -> list[Loss]:
    for kind, form in _FORMS:
        match = form.match(text)
        if match:
            return [Loss(revision, kind, name) for name in re.findall(_NAME, match.group("names"))]
    match = _ALTER.match(text)
    columns = [found.group("column") for found in _COLUMN.finditer(match.group("rest"))] if match else []
    if match and columns:
        return [Loss(revision, "column", match.group("table"), column) for column in columns]
    return [Loss(revision, "rows", "", why=f"the statement cannot be taken apart: {text[:120]}")]


def judge(steps: Sequence[Step], down: Down) -> tuple[list[Refusal], list[str]]:
    """What refuses a downgrade, and what is only to be known. What a policy accepts in general accepts nothing here."""
    losses = list(down.losses) if down.losses is not None else found(steps)
    refusals: list[Refusal] = []
    warnings: list[str] = []
    if down.to_base and not down.allow_base:
        refusals.append(
            Refusal(
                "to_base",
                f"The downgrade leads to base: it undoes every revision ({', '.join(step.revision.revision for step in steps)}).",
                "Name the revision to go back to; or, if nothing of the database is needed any more, say so: -e migrate_allow_base=true.",
            )
        )
    for step in steps:
        for refusal in _unproven(step):
            if step.revision.revision in down.accept_loss:
                warnings.append(f"{refusal.reason} Accepted by -e accept_loss.")
            else:
                refusals.append(refusal)
        warnings += [
            f"Revision {step.revision.revision}: whether this takes data away cannot be told: {entry.text[:160]}"
            for entry in step.statements
            if entry.action == UNKNOWN
        ]
    held = [loss for loss in losses if loss.rows != 0]
    open_losses = [loss for loss in held if loss.name not in down.accept_loss]
    if open_losses:
        names = ",".join(dict.fromkeys(loss.name for loss in open_losses))
        refusals.append(
            Refusal(
                "data_loss",
                f"The downgrade loses data: {'; '.join(loss.text() for loss in open_losses)}.",
                "Go back with -e level=app, where nothing is lost, if the older code runs on this schema; or accept by name what goes:"
                f" the same command with -e accept_loss={names}. The backup from before the downgrade keeps it.",
                open_losses[0].revision,
            )
        )
    warnings += [f"Goes for good: {loss.text()}. Accepted by -e accept_loss." for loss in held if loss.name in down.accept_loss]
    warnings += [f"Goes, and holds nothing: {loss.text()}." for loss in losses if loss.rows == 0]
    known = {loss.name for loss in losses} | {step.revision.revision for step in steps}
    strangers = [name for name in down.accept_loss if name not in known]
    if strangers:
        warnings.append(f"-e accept_loss names what this downgrade does not touch: {', '.join(strangers)}.")
    return refusals, warnings


def _unproven(step: Step) -> Iterable[Refusal]:
    """A downgrade that does nothing, or that nobody can look into."""
    revision = step.revision.revision
    name = f"Revision {revision}{f' ({step.revision.doc})' if step.revision.doc else ''}"
    restore = "Restore the database from a backup set made before it"
    if not step.revision.reversible:
        yield Refusal(
            "irreversible",
            f"{name} cannot be reversed: its downgrade() does nothing.",
            f"{restore}; or, if what it did may stay, pass over it by name: the same command with -e accept_loss={revision}.",
            revision,
        )
    elif step.sql is None:
        yield Refusal(
            "unknown_sql",
            f"{name}: what its downgrade takes away cannot be told, because its SQL cannot be shown: {step.sql_error or 'no reason given'}",
            f"{restore}; or, if you have read the script, accept it by name: the same command with -e accept_loss={revision}.",
            revision,
        )
