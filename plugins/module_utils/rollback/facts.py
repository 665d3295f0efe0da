# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the planner has to know of one component, from the journal's records and what was found on the node. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.begun import beginnings, moves_of
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import ComponentState, Interrupted, derive, interrupted
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import schema_path

Record = dict[str, Any]

_SWITCHES = ("activate", "revert")
_KEPT = ("state", "from", "to", "steps", "phase", "reversible", "backup", "seconds")


def component_facts(
    records: Sequence[Record],
    description: Mapping[str, Any],
    staged: Sequence[str],
    live: Mapping[str, Any] | None,
    **found: Any,
) -> dict[str, Any]:
    """The view of one component.

    Args:
        records: the whole journal.
        description: the component's description, as it stands on the node.
        staged: releases that are there, the newest first.
        live: ``release``, ``slot`` and ``config`` as the links have it.
        found: what else was found, taken over as it is: ``slots``, ``configs``, ``manifests``, ``env``, ``way_back``,
            ``database``.
    """
    name = str(description["component"])
    source = str(description.get("source") or name)
    state = derive(records, name, staged=staged)
    interrupted = [item for item in state.interrupted if item.op in _SWITCHES]
    return {
        "description": dict(description),
        "live": dict(live) if live else None,
        "journal_live": asdict(state.live) if state.live else None,
        "anchor": state.anchor,
        "candidates": state.candidates,
        "marks": state.marks,
        "bad": _bad(records, state, source, staged),
        "history": _history(state),
        "interrupted": _interrupted(interrupted[-1]) if interrupted else None,
        "timings": _timings(records, name),
        "staged": list(staged),
        "migrations": migrations(records, source),
        "proofs": proofs(records, (name, source)),
        **found,
    }


def _bad(records: Sequence[Record], state: ComponentState, source: str, staged: Sequence[str]) -> dict[str, str]:
    """Bad releases and why; a tree that its own component marked bad is bad for those that run it, too."""
    found: dict[str, str] = {}
    for known in (derive(records, source, staged=staged), state) if source != state.component else (state,):
        found.update({tag: known.reasons.get(tag, "") for tag, mark in known.marks.items() if mark == "bad"})
    return found


def _history(state: ComponentState) -> list[dict[str, Any]]:
    """What was live, the oldest first."""
    return [
        {"release": item.release, "config": item.config, "slot": item.slot, "run": item.run, "time": item.time, "seq": item.seq}
        for item in state.activations
        if item.outcome == "ok" and item.release
    ]


def _interrupted(item: Interrupted) -> dict[str, Any]:
    return {
        "op": item.op,
        "release": item.release,
        "config": item.detail.get("config"),
        "run": item.run,
        "time": item.time,
        "seq": item.seq,
    }


def _timings(records: Sequence[Record], name: str) -> dict[str, dict[str, float]]:
    """Seconds of the last switch to each release, by kind of step."""
    found = {}
    for record in records:
        if (
            record.get("component") == name
            and record.get("op") in _SWITCHES
            and record.get("outcome") == "ok"
            and record.get("release")
        ):
            timings = (record.get("detail") or {}).get("timings")
            if timings:
                found[str(record["release"])] = dict(timings)
    return found


def migrations(records: Sequence[Record], component: str) -> list[dict[str, Any]]:
    """The migrations of a component's database, the oldest first."""
    return [
        {
            "release": record.get("release"),
            "outcome": record.get("outcome"),
            "time": record.get("time"),
            "seq": record.get("seq"),
            **{key: value for key, value in (record.get("detail") or {}).items() if key in _KEPT},
        }
        for record in records
        if record.get("op") == "migrate" and record.get("component") == component
    ]


def proofs(records: Sequence[Record], components: Sequence[str]) -> list[dict[str, Any]]:
    """On which schemas releases were seen to run: C(release) and C(heads)."""
    return [
        {"release": record.get("release"), "heads": list((record.get("detail") or {}).get("heads") or [])}
        for record in records
        if record.get("op") == "mark"
        and record.get("outcome") == "ok"
        and record.get("component") in components
        and (record.get("detail") or {}).get("state") == "runs_on"
    ]


def database_facts(migrated: Sequence[Mapping[str, Any]], heads: Sequence[str] | None, why: str) -> dict[str, Any]:
    """Where the database stands: C(heads), C(from) whom that is known, C(why) it could not be asked itself."""
    if heads is not None:
        return {"heads": sorted(heads), "from": "database", "why": ""}
    known = schema_path.known_heads(migrated)
    return {"heads": known, "from": "journal" if known is not None else "nobody", "why": why}


def interrupted_rollback(records: Sequence[Record]) -> dict[str, Any] | None:
    """The newest rollback that was begun and never ended, unless something was deployed since."""
    left = [item for item in interrupted(records) if item.op == "rollback"]
    if not left:
        return None
    newest = left[-1]
    later = [
        record
        for record in records
        if record.get("op") == "activate" and int(record.get("seq", 0)) > newest.seq and record.get("run") != newest.run
    ]
    if later:
        return None
    return {
        "run": newest.run,
        "time": newest.time,
        "seq": newest.seq,
        "actor": newest.actor,
        "to": newest.release,
        **newest.detail,
    }


def last_rollback(records: Sequence[Record]) -> dict[str, Any] | None:
    """The newest rollback that ended: C(run), C(time), C(from), C(to), C(level), C(outcome)."""
    for record in reversed(records):
        if record.get("op") == "rollback" and record.get("outcome") != "started":
            detail = record.get("detail") or {}
            told = {key: detail.get(key) for key in ("from", "level", "seconds")}
            return {**told, "to": record.get("release"), **{key: record.get(key) for key in ("run", "time", "outcome")}}
    return None


def restores(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The restores of backup sets that ended well, the oldest first: C(set), C(parts), C(tables), C(run), C(seq)."""
    return [
        {
            "set": detail.get("set"),
            "parts": list(detail.get("parts") or []),
            "tables": list(detail.get("tables") or []),
            "run": record.get("run"),
            "seq": int(record.get("seq") or 0),
        }
        for record in records
        if record.get("op") == "restore" and record.get("outcome") == "ok"
        for detail in (record.get("detail") or {},)
    ]


def interrupted_rollbacks(records: Sequence[Record]) -> list[Interrupted]:
    """All rollbacks that were begun and never ended, the oldest first."""
    return [item for item in interrupted(records) if item.op == "rollback"]


def open_rollback(records: Sequence[Record]) -> dict[str, Any] | None:
    """The planned rollback that a controller began here and did not bring to its end, whether it was killed or failed; else None.

    The controller notes beginning and end as C(phase) of C(rollback). Runs with the same aim are one: each takes up what the one before
    left. It is settled by a good end, by a deployment, and by whatever else goes elsewhere.

    Returns:
        C(runs), the oldest first; C(level), C(to) and C(from) of the whole stack; C(since) and C(seq) of the first beginning;
        C(moves): component to what it moves C(to) on this node, as far as they have been begun.
    """
    begun = [records[at] for at in beginnings(records)[0]]
    if not begun:
        return None
    first = begun[0]
    return {
        "runs": list(dict.fromkeys(str(record.get("run") or "") for record in begun)),
        **{key: (first.get("detail") or {}).get(key) for key in ("level", "to", "from")},
        "since": first.get("time"),
        "seq": int(first.get("seq") or 0),
        "moves": moves_of(begun),
    }
