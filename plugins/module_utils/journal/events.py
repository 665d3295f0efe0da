# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the journal tells to those who look at charts and logs: how deployments, rollbacks, drills, gates and their like ended. No I/O.

An event is told when it has ended. What was begun and cut off has its end in the record with which the next run settles it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.words import detail_of, said

KINDS: Mapping[str, str] = {
    "activate": "deployment", "canary": "deployment", "revert": "rollback", "rollback": "rollback", "drill": "drill",
    "migrate": "migration", "backup": "backup", "restore": "restore", "rotate": "rotation", "scale": "scaling", "remove": "removal",
    "phase": "phase",
}
"""Operations that are told, each with the event that it is."""
GATE = "gate"
"""A release was not let through by its gate. A gate that holds is the deployment behind it."""
RESTART = "restart"
DRILL_PASSED = "passed"
"""The verdict of a drill that lost nothing."""
LONGEST = 600
"""Characters of what is said of an event."""
_GATED = ("activate", "prepare", "canary", "scale", "revert")


@dataclass(frozen=True)
class Event:
    """One thing that ended.

    Attributes:
        seq, hash: of its record, which tell it from every other.
        time: UTC, ISO 8601, as the journal has it.
        event: of :data:`KINDS`, or C(gate), or C(restart).
        outcome: C(ok) or C(failed).
        component, release: empty where it is the node's, or of none.
        run, actor: who did it.
        text: the same in a line, with what is worth knowing besides.
    """

    seq: int
    hash: str
    time: str
    event: str
    outcome: str
    component: str
    release: str
    run: str
    actor: str
    text: str


def events(records: Iterable[Record]) -> list[Event]:
    """The events in records, in their order."""
    return [event for event in map(event_of, records) if event is not None]


def event_of(record: Record) -> Event | None:
    """What a record tells; None where it is a beginning, or of no interest to others."""
    outcome = str(record.get("outcome"))
    kind = _kind(record, outcome)
    if not kind or outcome not in ("ok", "failed"):
        return None
    detail, whose = detail_of(record), str(record.get("component") or "")
    if record.get("op") == "drill" and outcome == "ok" and detail.get("verdict") != DRILL_PASSED:
        outcome = "failed"
    component, release = "" if kind == "phase" else whose, str(record.get("release") or "")
    return Event(
        int(record["seq"]), str(record["hash"]), str(record.get("time")), kind, outcome, component, release, str(record.get("run") or ""),
        str(record.get("actor") or ""), _text(record, kind, outcome, " ".join(name for name in (whose, release) if name)),
    )


def _kind(record: Record, outcome: str) -> str:
    op, detail = str(record.get("op")), detail_of(record)
    if op in _GATED and outcome == "failed" and _held_back(detail):
        return GATE
    if op == "prepare":  # what was only proven moves nothing
        return KINDS["activate"] if outcome == "failed" else ""
    return RESTART if op == "activate" and _same_again(record, detail) else KINDS.get(op, "")


def _same_again(record: Record, detail: Mapping[str, Any]) -> bool:
    """Whether what was live was started again, and nothing else moved."""
    before = detail.get("previous")
    if not detail.get("restart") or not isinstance(before, Mapping):
        return False
    return (before.get("release"), before.get("config")) == (record.get("release"), detail.get("config"))


def _held_back(detail: Mapping[str, Any]) -> bool:
    """Whether it was a gate that failed, and not a unit or a file."""
    report = detail.get("report")
    asked = [gate.get("verdict") for gate in detail.get("gates") or [] if isinstance(gate, Mapping)]
    return bool(isinstance(report, Mapping) and report.get("probe")) or any(verdict not in ("pass", None) for verdict in asked)


def _text(record: Record, kind: str, outcome: str, whose: str) -> str:
    detail = detail_of(record)
    more = said(record)
    if record.get("op") == "drill" and detail.get("verdict"):
        more = ": ".join(str(detail[key]) for key in ("verdict", "why") if detail.get(key))
    by = " ".join(f"{word} {record.get(key)}" for word, key in (("run", "run"), ("by", "actor")) if record.get(key))
    more = more if len(more) <= LONGEST else f"{more[:LONGEST]}…"
    text = f"{kind} {whose}".strip() + (" ended" if outcome == "ok" else " failed")
    return text + (f": {more}" if more else "") + (f" ({by})" if by else "")
