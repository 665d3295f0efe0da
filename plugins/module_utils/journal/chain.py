# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal as data: canonical records, the chain of hashes, reading a text that may end torn.

No I/O. A record is one JSON object a line with the keys of C(docs/architecture.md).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict


class Entry(TypedDict, total=False):
    """What is given to the journal to be written down; ``op`` and ``outcome`` are needed, the rest is filled in.

    Attributes:
        time: UTC, ISO 8601 with milliseconds.
        run: the run's name, empty where none is known; ``actor``: who.
        op: one of :data:`OPERATIONS`; ``outcome``: one of :data:`OUTCOMES`.
        component: whom it concerns, None: the node; ``release``: its tag, None where there is none.
        detail: what the operation says of itself; its keys are those of the operation (docs/architecture.md, "Journal").
    """

    time: str
    run: str
    actor: str
    op: str
    component: str | None
    release: str | None
    outcome: str
    detail: dict[str, Any]


class _Numbered(Entry):
    seq: int


class _Body(_Numbered, total=False):
    """What is hashed."""

    prev: str


class Record(_Body):
    """A line of the journal. :func:`link` writes it, :func:`parse` reads it, and whoever plans, shows or judges reads that.

    It has no ``format``: what is written is never written again, so that each reader takes a record of any version. A key that an older
    version did not write is missing, one that this version does not know stays as it is.

    Attributes:
        seq: number from 1; ``hash``: SHA-256 (hex) of the canonical record. A line without both is no record.
        prev: ``hash`` of the record before, :data:`GENESIS` in the first.
    """

    hash: str


GENESIS = "0" * 64
"""``prev`` of the first record."""

SEAL = "seal"
"""The operation of the record with which a file begins whose older part was archived."""

MISSING = "journal_missing"
"""Key in the detail of a record that was appended where records were missing: ``seq`` and ``hash`` of the last of those."""

OPERATIONS = (
    "stage",
    "configure",
    "prepare",
    "migrate",
    "canary",
    "activate",
    "scale",
    "revert",
    "mark",
    "retire",
    "prune",
    "phase",
    "lock",
    "converge",
    "rollback",
    "backup",
    "restore",
    "drill",
    "rotate",
    "run",
    "task",
    "remove",
    "seal",
)
OUTCOMES = ("started", "ok", "failed")
KEYS = ("seq", "time", "run", "actor", "op", "component", "release", "outcome", "detail", "prev", "hash")


@dataclass
class Reading:
    """What a journal's text holds.

    ``records`` are the readable ones, in order. ``torn`` is an unreadable last line (an append that
    a crash cut short), or None. ``good_bytes`` is the length in bytes of the text before it.
    ``problems`` name unreadable lines elsewhere, which a crash does not explain.
    """

    records: list[Record] = field(default_factory=list)
    torn: str | None = None
    good_bytes: int = 0
    unterminated: bool = False
    problems: list[str] = field(default_factory=list)


def canonical(record: _Body) -> str:
    """Return the text that is hashed: compact JSON with sorted keys, without ``hash``."""
    body = {key: value for key, value in record.items() if key != "hash"}
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def digest(record: _Body) -> str:
    """Return the SHA-256 (hex) of the canonical record."""
    return hashlib.sha256(canonical(record).encode()).hexdigest()


def link(fields: Entry, last: Record | None, time: str) -> Record:
    """Return a complete record made of ``fields``, chained to ``last`` (None for the first).

    Raises:
        ValueError: an unknown key, operation or outcome, or a detail that is not an object.
    """
    unknown = sorted(set(fields) - set(KEYS))
    if unknown:
        raise ValueError(f"journal record has unknown keys: {', '.join(unknown)}; allowed: {', '.join(KEYS)}")
    if fields.get("op") not in OPERATIONS:
        raise ValueError(f"journal record has op {fields.get('op')!r}; allowed: {', '.join(OPERATIONS)}")
    outcome = fields.get("outcome", "ok")
    if outcome not in OUTCOMES:
        raise ValueError(f"journal record has outcome {outcome!r}; allowed: {', '.join(OUTCOMES)}")
    detail = fields.get("detail")
    if detail is None:
        detail = {}
    if not isinstance(detail, dict):
        raise ValueError(f"journal record's detail must be an object, got {type(detail).__name__}")
    body: _Body = {
        "seq": int(last["seq"]) + 1 if last else 1,
        "time": fields.get("time") or time,
        "run": fields.get("run") or "",
        "actor": fields.get("actor") or "",
        "op": fields["op"],
        "component": fields.get("component"),
        "release": fields.get("release"),
        "outcome": outcome,
        "detail": detail,
        "prev": str(last["hash"]) if last else GENESIS,
    }
    return {**body, "hash": digest(body)}


def encode(record: Record) -> str:
    """Return the line of a record, newline included."""
    return json.dumps(record, sort_keys=False, separators=(",", ":"), ensure_ascii=True) + "\n"


def _decode(line: bytes) -> Record | None:
    try:
        record: Record = json.loads(line.decode("utf-8"))
    except ValueError:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        return None
    return record if _numbered(record) else None


def _numbered(value: object) -> bool:
    """Whether what was read has what each record has."""
    return isinstance(value, dict) and isinstance(value.get("seq"), int) and isinstance(value.get("hash"), str)


def parse(raw: bytes) -> Reading:
    """Read a journal's bytes. A last line that cannot be read is torn, not an error."""
    reading = Reading()
    lines = raw.split(b"\n")
    unterminated = lines.pop()  # b"" when the text ends with a newline
    position = 0
    for number, line in enumerate(lines, start=1):
        end = position + len(line) + 1
        record = _decode(line)
        if record is not None:
            reading.records.append(record)
            reading.good_bytes = end
        elif number == len(lines) and not unterminated:
            reading.torn = line.decode("utf-8", "replace")
        elif line.strip():
            reading.problems.append(f"line {number} is not a journal record: {line[:60].decode('utf-8', 'replace')!r}")
            reading.good_bytes = end
        else:
            reading.good_bytes = end
        position = end
    if unterminated:
        record = _decode(unterminated)
        if record is not None:
            reading.records.append(record)
            reading.good_bytes = position + len(unterminated)
            reading.unterminated = True
        else:
            reading.torn = unterminated.decode("utf-8", "replace")
    return reading


def lines_digest(records: Iterable[Record]) -> str:
    """The SHA-256 (hex) of records as they are written."""
    told = hashlib.sha256()
    for record in records:
        told.update(encode(record).encode())
    return told.hexdigest()


def split(records: Sequence[Record]) -> tuple[Sequence[Record], Sequence[Record]]:
    """What was carried over from archived parts, and the chain of the file itself, which begins with its C(seal) if it has one."""
    for at, record in enumerate(records):
        if record.get("op") == SEAL:
            return records[:at], records[at:]
    return [], records


def verify(records: Sequence[Record]) -> list[str]:
    """Check one file and return one sentence a break; an empty list means that it holds.

    Its chain begins with the first record of all, or with a C(seal), whose C(prev) an archived part has to answer for. Records
    before the seal are copies out of archived parts: the seal vouches for them.
    """
    carried, chained = split(records)
    problems = [] if not chained or chained[0].get("op") != SEAL else _carried(carried, chained[0])
    return [*problems, *(problem for problem in check(chained))]


def _carried(carried: Sequence[Record], seal: Record) -> list[str]:
    detail = seal.get("detail") or {}
    if lines_digest(carried) == detail.get("carried_sha256"):
        return []
    before = f"the {len(carried)} records before record {seal.get('seq')} (seal), copies of older ones,"
    where = f"{detail.get('file')} and the parts before it"
    return [f"{before} are not the {detail.get('carried')} that it was written with; they stand as they were in {where}"]


def check(records: Iterable[Record], last: Record | None = None) -> Iterator[str]:
    """One sentence for each break in a chain that goes on from *last*; without it, from the first record of all or from a C(seal)."""
    for record in records:
        where = f"record {record.get('seq')} ({record.get('time')}, {record.get('op')})"
        if digest(record) != record.get("hash"):
            yield f"{where}: its content does not match its hash; it was changed after it was written"
        begins = last is None and record.get("op") == SEAL
        expected = str(last["hash"]) if last else GENESIS
        if not begins and record.get("prev") != expected:
            yield (
                f"{where}: expected prev {expected[:12]}…, got {str(record.get('prev'))[:12]}…; "
                "a record before it was removed, inserted or changed"
            )
        number = int(last["seq"]) + 1 if last else 1
        if not begins and record.get("seq") != number:
            yield f"{where}: expected seq {number}, got {record.get('seq')}"
        missing = (record.get("detail") or {}).get(MISSING)
        if missing:
            yield f"{where}: the journal had been truncated when it was written; records up to {missing.get('seq')} were there before"
        last = record
