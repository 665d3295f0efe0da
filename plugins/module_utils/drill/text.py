# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is told of a drilled rollback: a line in a plan, and a page. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.events import DRILL_PASSED
from ansible_collections.phasegate.aistack.plugins.module_utils.report.text import table

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import Drilled

PASSED = DRILL_PASSED
LOSES, IRREVERSIBLE, FAILED, UNNEEDED = "loses", "irreversible", "failed", "unneeded"
SHOWN = 4


def shortened(names: Sequence[str]) -> str:
    """The first of many."""
    return "; ".join(names[:SHOWN]) + (f"; and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def line(record: Drilled) -> str:
    """A record in one line, for a plan: C(drilled 2026-01-31: 12.3 s, nothing lost)."""
    day = f"drilled {str(record.get('time') or '')[:10]}"
    verdict, seconds = record.get("verdict"), record.get("recovery_s")
    took = "time not known" if seconds is None else f"{float(seconds):.1f} s"
    if verdict == IRREVERSIBLE:
        return f"{day}: cannot be taken back ({record.get('why')}); restoring its database took {took}"
    if verdict == FAILED:
        return f"{day}: FAILED: {record.get('why')}"
    if verdict == LOSES:
        return f"{day}: {took}, {record.get('why')}"
    goes = record.get("goes") or []
    return f"{day}: {took}, nothing lost" + (f"; what {record.get('from')} writes into these goes: {shortened(goes)}" if goes else "")


def for_plan(drills: Mapping[str, Mapping[str, Drilled]], component: str, newer: str, older: str) -> str:
    """What a plan that takes the schema back says of its rehearsal; ``drills`` is tag to what was drilled from there."""
    record = (drills.get(newer) or {}).get(older)
    if record:
        return f"{component}: {line(record)}"
    return (
        f"{component}: going back from {newer} to {older} was never drilled; drill.yml -e component={component} -e from={newer}"
        f" -e to={older} tries it on a copy and tells what it takes"
    )


def pages(results: Sequence[Mapping[str, object]]) -> str:
    """What drills found, for people; each entry is what the module returned, with C(node)."""
    return "\n\n".join(page(result) for result in results)


_STEPS = ("restore", "prepare", "upgrade", "downgrade", "all")


def page(result: Mapping[str, Any]) -> str:
    """One drill at one glance: the verdict, the times, every table that is not as before."""
    where = f" on {result['node']}" if result.get("node") else ""
    head = f"Drill of {result.get('component')}{where}: {result.get('from')} → {result.get('to')}"
    verdict = result.get("verdict")
    if not verdict:
        return f"{head}: {result.get('msg') or 'nothing was drilled'}"
    lines = [f"{head}: {str(verdict).upper()}"]
    if verdict == UNNEEDED:
        return "\n".join([*lines, f"  {result.get('msg')}"])
    recovery = result.get("recovery_s")
    how = "by restoring its database" if verdict == IRREVERSIBLE else "by the downgrade"
    lines += [f"  {result.get('why') or 'nothing is lost, and the schema is as before'}"]
    lines += [f"  recovery {how}: {float(recovery):.1f} s"] if recovery is not None else []
    seconds, told = result.get("seconds") or {}, result.get("steps") or {}
    rows = [["step", "seconds", "what"]]
    rows += [[step, f"{float(seconds[step]):.1f}", str(told.get(step, ""))] for step in _STEPS if step in seconds]
    lines += ["", *table(rows)]
    rows = [["table", "rows before", "rows after", "what is not as before"]]
    for entry in result.get("differences") or []:
        counts = ["-" if entry[key] is None else str(entry[key]) for key in ("before", "after")]
        rows.append([entry["table"], *counts, "; ".join([*entry["lost"], *entry["other"]])])
    lines += ["", *table(rows)] if len(rows) > 1 else []
    alike = int(result.get("tables") or 0) - len(rows) + 1
    if "downgrade" in seconds and verdict != IRREVERSIBLE and alike > 0:
        lines += ["", f"{alike} {'other ' if len(rows) > 1 else ''}table{'s' if alike != 1 else ''}: rows and contents as before"]
    for title, key in (("schema", "schema"), ("lost", "lost"), ("goes with the downgrade", "goes")):
        found = result.get(key) or []
        lines += ["", f"{title}:", *(f"  - {text}" for text in found)] if found else []
    lines += ["", f"written into {result['record']}"] if result.get("record") else []
    return "\n".join(lines)
