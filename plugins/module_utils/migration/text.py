# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of a migration as a page of text. No I/O."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

MAX_SQL_LINES = 60
WIDTH = 98
"""Characters in a line of prose; statements stay as they are."""


def _revisions(names: list[str]) -> str:
    return ", ".join(names) or "nothing (no revision yet)"


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False, break_long_words=False)


def plan_text(plan: Mapping[str, Any], sql: bool = True) -> str:
    """The document of alembic_info or alembic as text for a reader; ``sql`` adds the statements themselves."""
    title = f"Migration of {plan.get('component', '?')} to release {plan.get('release') or '?'}"
    lines = [title, "=" * len(title)]
    if not plan.get("known"):
        lines += _wrapped(f"Nothing known yet: {str(plan.get('why', '')).rstrip('. ')}.", "", "  ")
        return "\n".join(lines)
    where = plan.get("database") or {}
    if plan.get("basis"):
        lines += _wrapped(str(plan["basis"]), "Planned   ", " " * 10)
    if where:
        host = where.get("host") or "the local socket"
        lines.append(f"Database  {where.get('name')} on {host}:{where.get('port')} as {where.get('user')}")
    lines.append(f"Now at    {_revisions(plan.get('current') or [])}")
    lines.append(f"Goes to   {', '.join(plan.get('target') or []) or ('base' if plan.get('direction') == 'downgrade' else '?')}")
    pending = plan.get("pending") or []
    verdict = plan.get("verdict") or {}
    if not pending and verdict.get("allowed", True):
        lines.append(f"Nothing to do{': the database is ' + plan['note'] if plan.get('note') else ''}.")
        return "\n".join(lines)
    if plan.get("fresh"):
        lines.append("The database is empty: nothing runs on it yet.")
    verb = "undo" if plan.get("direction") == "downgrade" else "run"
    for number, step in enumerate(pending, 1):
        lines += ["", *_wrapped(f"{number}. {verb} {step['revision']}  {step.get('doc', '')}".rstrip(), "", "   ")]
        marks = [
            f"phase {step['phase']}",
            f"risk {step['risk']}",
            "reversible" if step["reversible"] else "NOT reversible",
        ]
        if step.get("autocommit"):
            marks.append("COMMITS PART-WAY")
        lines.append("   " + ", ".join(marks))
        for entry in step.get("statements") or []:
            lock = f"; {entry['lock']} lock, blocks {entry['blocks']}" if entry.get("lock") else ""
            table = f" [{entry['table']}]" if entry.get("table") else ""
            lines += _wrapped(f"{entry['action']}{table}{lock}", "   - ", "     ")
        for finding in step.get("findings") or []:
            lines += _wrapped(f"lint {finding['rule']}: {finding['message']}", "   ", "     ")
        if step.get("sql") is None:
            lines += _wrapped(f"SQL cannot be shown: {step.get('sql_error', '')}", "   ", "     ")
        elif sql:
            body = [line for line in step["sql"].splitlines() if line.strip()]
            lines += [f"     {line}" for line in body[:MAX_SQL_LINES]]
            if len(body) > MAX_SQL_LINES:
                lines.append(f"     … {len(body) - MAX_SQL_LINES} more lines")
    if plan.get("losses"):
        lines += ["", "Takes away:"] + [line for loss in plan["losses"] for line in _wrapped(loss["text"], "  - ", "    ")]
    refusals = verdict.get("refusals") or []
    if verdict.get("warnings"):
        lines += ["", "To know:"] + [line for text in verdict["warnings"] for line in _wrapped(text, "  - ", "    ")]
    if refusals:
        lines += ["", "Refused:"]
        for entry in refusals:
            lines += _wrapped(entry["reason"], "  - ", "    ") + _wrapped(f"Fix: {entry['remedy']}", "    ", "    ")
    undecided = verdict.get("undecided") or []
    if undecided:
        lines += ["", "NOT known:"] + [line for text in undecided for line in _wrapped(text, "  - ", "    ")]
    elif not refusals:
        unseen = any(step.get("sql") is None for step in pending)
        lines += ["", "Allowed, but the SQL of what is marked above could not be looked at." if unseen else "Allowed."]
    return "\n".join(lines)
