# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal as data: canonical records, the chain of hashes, reading a text that may end torn.

No I/O. A record is one JSON object a line with the keys of C(docs/architecture.md).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Record = dict[str, Any]

GENESIS = "0" * 64
"""``prev`` of the first record."""

OPERATIONS = (
    "stage",
    "configure",
    "prepare",
    "migrate",
    "activate",
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


def canonical(record: Record) -> str:
    """Return the text that is hashed: compact JSON with sorted keys, without ``hash``."""
    body = {key: value for key, value in record.items() if key != "hash"}
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def digest(record: Record) -> str:
    """Return the SHA-256 (hex) of the canonical record."""
    return hashlib.sha256(canonical(record).encode()).hexdigest()


def link(fields: Record, last: Record | None, time: str) -> Record:
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
    record: Record = {
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
    record["hash"] = digest(record)
    return record


def encode(record: Record) -> str:
    """Return the line of a record, newline included."""
    return json.dumps(record, sort_keys=False, separators=(",", ":"), ensure_ascii=True) + "\n"


def _decode(line: bytes) -> Record | None:
    try:
        value = json.loads(line.decode("utf-8"))
    except ValueError:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        return None
    if not isinstance(value, dict) or not isinstance(value.get("seq"), int) or not isinstance(value.get("hash"), str):
        return None
    return value


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


def verify(records: Iterable[Record]) -> list[str]:
    """Check the chain and return one sentence a break; an empty list means that it holds."""
    problems: list[str] = []
    last: Record | None = None
    for record in records:
        where = f"record {record.get('seq')} ({record.get('time')}, {record.get('op')})"
        if digest(record) != record.get("hash"):
            problems.append(f"{where}: its content does not match its hash; it was changed after it was written")
        expected = str(last["hash"]) if last else GENESIS
        if record.get("prev") != expected:
            problems.append(
                f"{where}: expected prev {expected[:12]}…, got {str(record.get('prev'))[:12]}…; "
                "a record before it was removed, inserted or changed"
            )
        number = int(last["seq"]) + 1 if last else 1
        if record.get("seq") != number:
            problems.append(f"{where}: expected seq {number}, got {record.get('seq')}")
        last = record
    return problems
