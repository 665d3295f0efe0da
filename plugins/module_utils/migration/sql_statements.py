# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the statements of a migration lock, break and lose, in plain words. No I/O.

The lock modes are those of PostgreSQL's documentation, "Explicit Locking" and the notes of each ALTER TABLE form.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.version_table import DEFAULT

RISKS = ("none", "low", "medium", "high")
_NAME = r'(?P<table>(?:"[^"]+"|[\w$]+)(?:\.(?:"[^"]+"|[\w$]+))*)'
_DOLLAR = re.compile(r"\$(?:[A-Za-z_]\w*)?\$")


@dataclass(frozen=True)
class Statement:
    """One statement: ``phase`` is ``expand`` (old code goes on working), ``contract`` (it may not) or ``data``."""

    text: str
    action: str
    table: str = ""
    lock: str = ""
    blocks: str = ""
    risk: str = "low"
    phase: str = "expand"
    loses_data: bool = False
    references: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        return {
            "text": self.text,
            "action": self.action,
            "table": self.table,
            "lock": self.lock,
            "blocks": self.blocks,
            "risk": self.risk,
            "phase": self.phase,
            "loses_data": self.loses_data,
            "references": list(self.references),
        }


def split(sql: str) -> list[str]:
    """The statements of ``sql`` without comments; quotes, dollar quotes and nested comments are respected."""
    statements: list[str] = []
    part: list[str] = []
    at, size = 0, len(sql)
    while at < size:
        char = sql[at]
        pair = sql[at : at + 2]
        if pair == "--":
            end = sql.find("\n", at)
            at = size if end < 0 else end
            continue
        if pair == "/*":
            at = _comment_end(sql, at)
            part.append(" ")
            continue
        if char in "'\"":
            end = _quote_end(sql, at)
            part.append(sql[at:end])
            at = end
            continue
        if char == "$":
            tag = _DOLLAR.match(sql, at)
            if tag:
                close = sql.find(tag.group(), tag.end())
                end = size if close < 0 else close + len(tag.group())
                part.append(sql[at:end])
                at = end
                continue
        if char == ";":
            statements.append("".join(part).strip())
            part = []
        else:
            part.append(char)
        at += 1
    statements.append("".join(part).strip())
    return [text for text in statements if text]


def _comment_end(sql: str, at: int) -> int:
    depth = 0
    while at < len(sql):
        if sql[at : at + 2] == "/*":
            depth += 1
            at += 2
        elif sql[at : at + 2] == "*/":
            depth -= 1
            at += 2
            if not depth:
                return at
        else:
            at += 1
    return at


def _quote_end(sql: str, at: int) -> int:
    quote = sql[at]
    backslash = quote == "'" and at > 0 and sql[at - 1] in "eE" and (at < 2 or not (sql[at - 2].isalnum() or sql[at - 2] == "_"))
    at += 1
    while at < len(sql):
        if backslash and sql[at] == "\\":
            at += 2
        elif sql[at] == quote:
            if sql[at : at + 2] != quote * 2:
                return at + 1
            at += 2
        else:
            at += 1
    return at


CREATES = "creates a table"
UNKNOWN = "is not known to this check"
QUIET = ("transaction or setting", "notes the revision", "makes the version table")
"""Actions of statements that Alembic adds itself."""
_REFERENCES = re.compile(rf"\bREFERENCES\s+{_NAME}", re.I)
_ALL = "reads and writes"
_EXCLUSIVE = "ACCESS EXCLUSIVE"
Make = Callable[[str, "re.Match[str]"], Statement]


def _say(
    action: str,
    lock: str = "",
    blocks: str = "",
    risk: str = "low",
    phase: str = "expand",
    loses: bool = False,
) -> Make:
    def make(text: str, match: re.Match[str]) -> Statement:
        table = match.groupdict().get("table") or ""
        return Statement(text, action, table.replace('"', ""), lock, blocks, risk, phase, loses)

    return make


def _create_table(text: str, match: re.Match[str]) -> Statement:
    table = match.group("table").replace('"', "")
    found = (name.replace('"', "") for name in _REFERENCES.findall(text))
    others = tuple(dict.fromkeys(name for name in found if name != table))
    if not others:
        return Statement(text, CREATES, table, risk="none")
    blocks = f"writes to {', '.join(others)}, for a moment"
    return Statement(text, CREATES, table, "SHARE ROW EXCLUSIVE", blocks, "low", references=others)


def without(statement: Statement, new: set[str]) -> Statement:
    """The statement as it is where the tables in ``new`` were made by this very migration: what only touches them locks nobody out."""
    if statement.action == CREATES:
        left = tuple(name for name in statement.references if name not in new)
        if left == statement.references:
            return statement
        if not left:
            return Statement(statement.text, CREATES, statement.table, risk="none")
        blocks = f"writes to {', '.join(left)}, for a moment"
        return Statement(statement.text, CREATES, statement.table, statement.lock, blocks, "low", references=left)
    if statement.table in new:
        return Statement(statement.text, statement.action + " (the table is new)", statement.table, risk="none")
    return statement


def _add_column(text: str, match: re.Match[str]) -> Statement:
    table = match.group("table").replace('"', "")
    rest = match.group("rest").upper()
    default = re.search(r"\bDEFAULT\s+(.*)", rest, re.S)
    generated = re.search(r"\bGENERATED\s+(?:ALWAYS|BY DEFAULT)\s+AS\b", rest) or re.search(r"\b(?:BIG|SMALL)?SERIAL\b", rest)
    if re.search(r"\bNOT NULL\b", rest) and not default and not generated:
        return Statement(
            text,
            "adds a required column without a default: fails where rows exist, and the running code's inserts fail",
            table,
            _EXCLUSIVE,
            _ALL,
            "high",
            "contract",
        )
    if generated or (default and re.search(r"\b(RANDOM|GEN_RANDOM_UUID|UUID_GENERATE\w*|CLOCK_TIMESTAMP|NEXTVAL)\s*\(", default.group(1))):
        return Statement(text, "adds a column with a value of its own for each row: rewrites the table", table, _EXCLUSIVE, _ALL, "high")
    return Statement(text, "adds a column", table, _EXCLUSIVE, _ALL + ", for a moment", "low")


def _alter(rest: str) -> str:
    return rf"ALTER TABLE (?:IF EXISTS )?(?:ONLY )?{_NAME}\s*\*? {rest}"


_IF = r"(?:IF (?:NOT )?EXISTS )?"
_COLUMN = r'(?:"[^"]+"|[\w$]+)'
_RULES: tuple[tuple[str, Make], ...] = (
    (r"(?:BEGIN|START TRANSACTION|COMMIT|END|ROLLBACK|SET|RESET|SHOW)\b", _say("transaction or setting", risk="none")),
    (rf"CREATE (?:(?:GLOBAL |LOCAL )?TEMP(?:ORARY)? |UNLOGGED )?TABLE {_IF}{_NAME}", _create_table),
    (
        rf"CREATE (?:UNIQUE )?INDEX CONCURRENTLY .*?\bON (?:ONLY )?{_NAME}",
        _say("builds an index beside the running work", "SHARE UPDATE EXCLUSIVE", "other schema changes"),
    ),
    (rf"CREATE (?:UNIQUE )?INDEX .*?\bON (?:ONLY )?{_NAME}", _say("builds an index", "SHARE", "writes until it is built", "medium")),
    (r"DROP INDEX CONCURRENTLY", _say("drops an index beside the running work", "SHARE UPDATE EXCLUSIVE", "other schema changes")),
    (rf"DROP INDEX {_IF}{_NAME}", _say("drops an index", _EXCLUSIVE, _ALL + ", for a moment")),
    (rf"DROP TABLE {_IF}{_NAME}", _say("drops a table and its rows", _EXCLUSIVE, _ALL, "high", "contract", True)),
    (rf"DROP (?:MATERIALIZED )?VIEW {_IF}{_NAME}", _say("drops a view", _EXCLUSIVE, _ALL, "medium", "contract")),
    (r"DROP SCHEMA\b", _say("drops a schema and all in it", _EXCLUSIVE, _ALL, "high", "contract", True)),
    (r"DROP (?:TYPE|DOMAIN|FUNCTION|PROCEDURE|SEQUENCE|EXTENSION)\b", _say("drops what code may use", "", "", "medium", "contract")),
    (rf"TRUNCATE (?:TABLE )?(?:ONLY )?{_NAME}", _say("removes every row", _EXCLUSIVE, _ALL, "high", "contract", True)),
    (
        r"ALTER TYPE .*\bADD VALUE\b",
        _say("adds a value to an enumerated type; not usable before the transaction ends"),
    ),
    (r"ALTER (?:TYPE|DOMAIN)\b", _say("changes a type that running code uses", "", "", "medium", "contract")),
    (_alter(r"RENAME (?:TO|COLUMN|(?!CONSTRAINT))"), _say("renames what running code uses", _EXCLUSIVE, _ALL, "high", "contract")),
    (_alter(r"RENAME CONSTRAINT"), _say("renames a constraint", _EXCLUSIVE, _ALL + ", for a moment")),
    (_alter(r"SET SCHEMA"), _say("moves a table that running code uses", _EXCLUSIVE, _ALL, "high", "contract")),
    (
        _alter(rf"(?:.*, ?)?DROP (?:COLUMN )?{_IF}(?!CONSTRAINT\b|DEFAULT\b|NOT NULL\b|EXPRESSION\b|IDENTITY\b){_COLUMN}"),
        _say("drops a column and its values", _EXCLUSIVE, _ALL, "high", "contract", True),
    ),
    (_alter(r".*\bDROP CONSTRAINT\b"), _say("drops a constraint", _EXCLUSIVE, _ALL + ", for a moment")),
    (
        _alter(rf".*\bALTER (?:COLUMN )?{_COLUMN} (?:SET DATA )?TYPE\b"),
        _say("changes a column's type: rewrites the table in most cases", _EXCLUSIVE, _ALL, "high", "contract"),
    ),
    (
        _alter(r".*\bSET NOT NULL\b"),
        _say("makes a column required: reads every row, and the running code's inserts may fail", _EXCLUSIVE, _ALL, "high", "contract"),
    ),
    (_alter(r".*\b(?:DROP NOT NULL|SET DEFAULT|DROP DEFAULT)\b"), _say("changes a column's rule", _EXCLUSIVE, _ALL + ", for a moment")),
    (
        _alter(r"ADD .*\bFOREIGN KEY\b.*\bNOT VALID\b"),
        _say("adds a foreign key that only new rows are held to", "SHARE ROW EXCLUSIVE", "writes to both tables, for a moment"),
    ),
    (
        _alter(r"ADD .*\bFOREIGN KEY\b"),
        _say("adds a foreign key and reads every row", "SHARE ROW EXCLUSIVE", "writes to both tables until it is checked", "medium"),
    ),
    (_alter(r"ADD .*\bUSING INDEX\b"), _say("makes an index a constraint", _EXCLUSIVE, _ALL + ", for a moment")),
    (
        _alter(rf"ADD (?:CONSTRAINT {_COLUMN} )?(?:UNIQUE|PRIMARY KEY|EXCLUDE)\b"),
        _say("adds a constraint and builds its index", _EXCLUSIVE, _ALL + " until it is built", "high"),
    ),
    (_alter(r"ADD .*\bCHECK\b.*\bNOT VALID\b"), _say("adds a rule that only new rows are held to", _EXCLUSIVE, _ALL + ", for a moment")),
    (
        _alter(rf"ADD (?:CONSTRAINT {_COLUMN} )?CHECK\b"),
        _say("adds a rule and reads every row", _EXCLUSIVE, _ALL + " until it is checked", "medium"),
    ),
    (_alter(r"VALIDATE CONSTRAINT"), _say("checks old rows against a rule", "SHARE UPDATE EXCLUSIVE", "other schema changes")),
    (_alter(rf"ADD (?:COLUMN )?{_IF}(?P<rest>{_COLUMN} .*)"), _add_column),
    (_alter(r".*"), _say("changes a table", _EXCLUSIVE, _ALL, "medium")),
    (rf"INSERT INTO {_NAME}", _say("writes rows", "ROW EXCLUSIVE", "schema changes", "low", "data")),
    (
        rf"UPDATE (?:ONLY )?{_NAME}",
        _say("changes rows", "ROW EXCLUSIVE", "other writers of the same rows until the end", "medium", "data"),
    ),
    (
        rf"DELETE FROM (?:ONLY )?{_NAME}",
        _say("removes rows", "ROW EXCLUSIVE", "other writers of the same rows until the end", "high", "data", True),
    ),
    (rf"LOCK (?:TABLE )?{_NAME}", _say("takes a lock by itself", _EXCLUSIVE, _ALL, "medium")),
    (rf"COMMENT ON (?:TABLE|COLUMN) {_NAME}", _say("writes a comment", "SHARE UPDATE EXCLUSIVE", "other schema changes", "none")),
    (
        r"CREATE (?:OR REPLACE )?(?:TYPE|DOMAIN|SEQUENCE|(?:MATERIALIZED )?VIEW|FUNCTION|PROCEDURE|EXTENSION|SCHEMA)\b",
        _say("creates something new", risk="none"),
    ),
    (rf"CREATE (?:OR REPLACE )?(?:CONSTRAINT )?TRIGGER .*?\bON {_NAME}", _say("adds a trigger", "SHARE ROW EXCLUSIVE", "writes", "medium")),
    (r"(?:GRANT|REVOKE|SELECT|ANALYZE)\b", _say("rights or reading", risk="none")),
)
_COMPILED = tuple((re.compile(pattern, re.I | re.S), make) for pattern, make in _RULES)


@functools.lru_cache(maxsize=8)
def _of_versions(table: str) -> tuple[tuple[re.Pattern[str], Make], ...]:
    """What Alembic itself does to the table of versions."""
    name = rf'(?:{_COLUMN}\.)?"?{re.escape(table)}(?![\w$])'
    return (
        (re.compile(rf"(?:INSERT INTO|UPDATE|DELETE FROM) {name}", re.I), _say("notes the revision", risk="none")),
        (re.compile(rf"CREATE TABLE (?:IF NOT EXISTS )?{name}", re.I), _say("makes the version table", risk="none")),
    )


def describe(text: str, version_table: str = DEFAULT) -> Statement:
    """What one statement does; ``version_table``: where Alembic notes the revision.

    What no rule knows is said to be unknown, at medium risk.
    """
    flat = " ".join(text.split())
    for pattern, make in (*_of_versions(version_table), *_COMPILED):
        match = pattern.match(flat)
        if match:
            return make(text, match)
    return Statement(text, UNKNOWN, risk="medium")


def created(statements: list[Statement]) -> set[str]:
    """Names of the tables that these statements create."""
    return {entry.table for entry in statements if entry.action == CREATES and entry.table}


def commits_inside(sql: str) -> bool:
    """True where the SQL of one step ends its transaction before its last statement (``autocommit_block``)."""
    words = [text.split(None, 1)[0].upper() for text in split(sql)]
    commits = [at for at, word in enumerate(words) if word == "COMMIT"]
    return any(word != "COMMIT" for at in commits for word in words[at + 1 :])
