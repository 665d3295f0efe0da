# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a record of the journal says of itself, in words for people. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record


def detail_of(record: Record) -> Mapping[str, Any]:
    """What a record has besides; empty where it has nothing that can be read."""
    detail = record.get("detail")
    return detail if isinstance(detail, Mapping) else {}


def said(record: Record) -> str:
    """What is worth knowing of a record."""
    detail, op = detail_of(record), record.get("op")
    if op == "mark":
        return f"{detail.get('state')}: {detail.get('reason')}" if detail.get("reason") else str(detail.get("state") or "")
    report = detail.get("report")
    if isinstance(report, Mapping) and report.get("probe"):
        expected, got = differing(str(report.get("expected")), str(report.get("got")))
        return f"{report['probe']}: expected {expected}, got {got}"
    if op == "migrate" and (detail.get("from") or detail.get("to")):
        return f"{_names(detail.get('from'))} → {_names(detail.get('to'))}"
    for key in ("error", "reason", "task", "evidence", "command"):
        if detail.get(key):
            return " ".join(str(detail[key]).split())[:300]
    return f"slot {detail['slot']}" if detail.get("slot") else ""


def differing(expected: str, got: str) -> tuple[str, str]:
    """Of what was expected and what came those parts that are not the same, where both have as many; else the whole."""
    pairs = list(zip(expected.split(", "), got.split(", ")))
    apart = [pair for pair in pairs if pair[0] != pair[1]]
    if expected.count(", ") != got.count(", ") or not apart:
        return expected, got
    return ", ".join(pair[0] for pair in apart), ", ".join(pair[1] for pair in apart)


def _names(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) and value else str(value or "nothing")
