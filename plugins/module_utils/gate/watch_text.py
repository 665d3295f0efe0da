# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a watch says: a line while it goes on, and at its end which trigger failed, where, with which figures, and what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import ERROR, FAIL, INCONCLUSIVE, PASS, WAITING, joint

_WORDS = {PASS: "PASS", FAIL: "FAIL", INCONCLUSIVE: "????", ERROR: "ERROR"}
_ORDER = (FAIL, ERROR, INCONCLUSIVE, PASS)
PROMETHEUS = "prometheus"
AUTOMATIC = "app"
"""The level that a watch may go back by itself; the others need consent."""


def row_line(row: Mapping[str, Any]) -> str:
    """One condition on one line."""
    counted = row["measurements"]
    said = ", ".join(f"{counted[key]} {word}" for key, word in _COUNTS if counted[key]) or "nothing measured"
    said += ", by Prometheus" if row.get("source") == PROMETHEUS else ""
    where = f"{row['where']}  " if row.get("where") else ""
    word = _WORDS.get(row["verdict"], row["verdict"])
    return f"{word:<5} {where}{row['name']}: {row['got']} (expected {row['expected']}; {said})"


_COUNTS = (
    ("passed", "passed"),
    ("failed", "failed"),
    ("inconclusive", "too few to judge"),
    ("errors", "not measurable"),
    ("by_policy", "passed by policy"),
)


def progress_line(host: str, answer: Mapping[str, Any]) -> str:
    """How it goes, while it goes on: the time, and the figures as they are now."""
    asked = {True: " by Prometheus", False: ""}
    figures = "; ".join(f"{row['name']}{asked[row.get('source') == PROMETHEUS]}: {row['now']}"
                        for row in answer.get("conditions", []) if row["now"])
    return f"  … {host} {answer['elapsed_s']:.0f} of {answer['duration_s']:.0f} s  {figures or 'the first window is not over'}"


def cut_short(answer: Mapping[str, Any], why: str) -> dict[str, object]:
    """The answer of a watch that was ended before its time, as one that is over: what was seen counts, what was not is open."""
    rows = []
    for row in answer["conditions"]:
        seen = row["measurements"]
        if row["verdict"] == WAITING:
            row = {**row, "verdict": PASS if seen["passed"] else INCONCLUSIVE, "got": f"{row['got']}; {why}"}
        rows.append(row)
    kept = {key: value for key, value in answer.items() if key not in ("state", "due_s")}
    return {**kept, "conditions": rows, "verdict": joint((row["verdict"], "critical") for row in rows), "summary": why, "msg": why}


def command_for(then: Any, reason: str) -> str:
    """What an operator runs when a trigger has failed."""
    level = then.get("level") if isinstance(then, Mapping) else None
    said = re.sub(r"[\"'`$\\!]", "", reason)  # it stands between quotation marks of a shell
    if level == AUTOMATIC:
        return f"ansible-playbook phasegate.aistack.emergency_rollback -e \"reason='{said}'\""
    if level:
        return f"ansible-playbook phasegate.aistack.rollback -e level={level} -e \"reason='{said}'\""
    return f"decide by hand; the plan is shown by: ansible-playbook phasegate.aistack.rollback --check -e \"reason='{said}'\""


def watch_result(results: Mapping[str, Any], triggers: Sequence[Mapping[str, Any]], act: bool) -> dict[str, object]:
    """All nodes together.

    Args:
        results: host to the result of ``metric_gate`` there.
        triggers: ``aistack_triggers``, for those that a person pulls, and what Prometheus was asked beside them.
        act: whether the watch may go back by itself.

    Returns:
        ``verdict``; ``rows``; ``acts`` (whether to go back now) and the ``reason`` for it; ``next``, what to do, a line for each
        trigger that failed; ``text``, a page.
    """
    rows: list[dict[str, Any]] = []
    for host, result in results.items():
        if result.get("conditions") is None:
            got = str(result.get("msg") or "no answer").strip().splitlines()[0]
            kind = "not reached" if result.get("unreachable") else "could not watch"
            empty = {key: 0 for key, _word in _COUNTS}
            lost = {"name": kind, "verdict": ERROR, "got": got, "expected": "an answer", "then": "notice", "measurements": empty}
            rows.append({**lost, "where": host})
            continue
        rows += [{**row, "where": row.get("where") or host} for row in result["conditions"]]
    rows, notes = _counted(rows, triggers)
    rows.sort(key=lambda row: _ORDER.index(row["verdict"]) if row["verdict"] in _ORDER else 0)
    verdict = joint((row["verdict"], "critical") for row in rows) if rows else INCONCLUSIVE
    fired = [row for row in rows if row["verdict"] == FAIL]
    pulls = [row for row in fired if isinstance(row["then"], Mapping) and row["then"].get("level") == AUTOMATIC]
    cause = (pulls or fired or [{}])[0]
    reason = f"{cause['name']} on {cause['where']}: {cause['got']}" if cause else ""
    acts = bool(act and pulls)
    lines = [row_line(row) for row in rows] or [_nothing(triggers)]
    lines += notes
    lines += [f"hand  {trigger['name']}: not measured, pulled by a person" for trigger in triggers if trigger.get("source") == "manual"]
    follow = [f"{row['name']}: {command_for(row['then'], '{name} on {where}'.format(**row))}" for row in fired]
    lines += _next(verdict, follow, acts, act, reason) if rows else []
    return {"verdict": verdict, "rows": rows, "acts": acts, "reason": reason, "next": follow, "text": "\n".join(lines)}


def _counted(rows: Sequence[dict[str, Any]], triggers: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows that count of triggers that were judged twice, by Prometheus and at their own source; and a line for each of the others.

    What Prometheus judged counts, and a failure that was seen at either. Where it could not judge, the source alone does.
    """
    at_source = {row["name"] for row in rows if row.get("source") not in (None, PROMETHEUS)}
    judged = {row["name"] for row in rows if row.get("source") == PROMETHEUS and row["verdict"] in (PASS, FAIL)}
    found, notes = [], []
    for row in rows:
        asked, twice = row.get("source") == PROMETHEUS, row["name"] in at_source
        if asked and twice and row["name"] not in judged:
            notes.append(f"      {row['name']}: judged at its source, since Prometheus on {row['where']} could not: {row['got']}")
        elif asked or row["name"] not in judged or row["verdict"] == FAIL or row.get("source") is None:
            found.append(row)
    seen = {row["name"] for row in rows if row.get("source") == PROMETHEUS}
    absent = {str(one.get("from")) for one in triggers if one.get("source") == PROMETHEUS and one["name"] not in seen}
    notes += [f"      Prometheus was not asked: no answer from {host}, or it is not part of this run" for host in sorted(absent)]
    return found, notes


def _nothing(triggers: Sequence[Mapping[str, Any]]) -> str:
    """Why nothing was watched."""
    if not triggers:
        return "Nothing was watched: aistack_triggers is empty. Name there what is to be watched, each trigger with a source and a limit."
    return "Nothing was watched: no trigger of aistack_triggers that is measured has a node in this run (without --limit they have)."


def _next(verdict: str, follow: Sequence[str], acts: bool, act: bool, reason: str) -> list[str]:
    """What follows, in a sentence or a command for each trigger that failed."""
    if acts:
        return ["", f"Going back now, once, because {reason}"]
    if follow:
        by_hand = ["  Not done by itself: only triggers with `then: {level: app}` are."] if act else []
        return ["", "What to do:", *(f"  {line}" for line in follow), *by_hand]
    if verdict == PASS:
        return ["", "No trigger failed."]
    return ["", "No trigger failed, but not all of them could be judged: see above what was missing, and watch again."]
