# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rollbacks that a controller began, as the records of a journal tell of them: which of them are open, and what settled the others.
No I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record


def beginnings(records: Sequence[Record]) -> tuple[list[int], list[tuple[list[int], int]]]:
    """Positions of the beginnings of which :func:`open_rollback` tells, and of those that something else has settled, with what did."""
    begun: list[int] = []
    settled: list[tuple[list[int], int]] = []
    for at, record in enumerate(records):
        if (record.get("op"), record.get("component")) == ("phase", "rollback"):
            if record.get("outcome") == "started":
                begun = [*(other for other in begun if _aim(records[other]) == _aim(record)), at]
            elif record.get("outcome") == "ok":
                begun = []
        elif begun and _settles(record, [records[other] for other in begun]):
            settled.append((begun, at))
            begun = []
    return begun, settled


def _aim(record: Record) -> tuple[Any, Any]:
    detail = record.get("detail") or {}
    return detail.get("level"), detail.get("to")


def moves_of(begun: Sequence[Record]) -> dict[str, Any]:
    """Component to what the beginnings say that it moves from and to."""
    return {name: move for record in begun for name, move in ((record.get("detail") or {}).get("moves") or {}).items()}


def _settles(record: Record, begun: Sequence[Record]) -> bool:
    """Whether a record says that what was begun is of no interest any more."""
    if record.get("outcome") != "ok" or record.get("run") in {other.get("run") for other in begun}:
        return False
    if (record.get("op"), record.get("component")) == ("phase", "deploy"):
        return True
    if record.get("op") != "activate":
        return False
    level, to = _aim(begun[0])
    if level != "config":
        return bool(record.get("release") != to)
    move = moves_of(begun).get(str(record.get("component")))
    return move is not None and (record.get("detail") or {}).get("config") != (move.get("to") or {}).get("config")
