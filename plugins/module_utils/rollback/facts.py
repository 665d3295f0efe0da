# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the planner has to know of one component, from the journal's records and what was found on the node. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.begun import beginnings, moves_of
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import (
    CANARY,
    ComponentState,
    Interrupted,
    Live,
    derive,
    interrupted,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import schema_path

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.migration.schema_path import Migration, RunsOn
    from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import LiveLinks
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.contract import (
        Component,
        Cut,
        Database,
        InterruptedRollback,
        JournalLive,
        LastRollback,
        OpenRollback,
        Restored,
        Switched,
    )
    from ansible_collections.phasegate.aistack.plugins.module_utils.slots.component_file import Description

_SWITCHES = ("activate", "revert")
_KEPT = ("state", "from", "to", "steps", "phase", "reversible", "backup", "seconds")


def component_facts(
    records: Sequence[Record],
    description: Description,
    staged: Sequence[str],
    live: LiveLinks | None,
) -> Component:
    """The view of one component.

    Args:
        records: the whole journal.
        description: the component's description, as it stands on the node.
        staged: releases that are there, the newest first.
        live: as the links have it.

    What else was found is added by :mod:`rollback.view`: slots, configs, manifests, drills, environments, ways back, database.
    """
    name = str(description["component"])
    source = str(description.get("source") or name)
    state = derive(records, name, staged=staged)
    interrupted = [item for item in state.interrupted if item.op in (CANARY, *_SWITCHES)]
    return {
        "description": {**description},
        "live": {**live} if live else None,
        "journal_live": _live(state.live) if state.live else None,
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
    }


def _live(found: Live) -> JournalLive:
    return {"release": found.release, "slot": found.slot, "config": found.config, "since": found.since, "seq": found.seq}


def _bad(records: Sequence[Record], state: ComponentState, source: str, staged: Sequence[str]) -> dict[str, str]:
    """Bad releases and why; a tree that its own component marked bad is bad for those that run it, too."""
    found: dict[str, str] = {}
    for known in (derive(records, source, staged=staged), state) if source != state.component else (state,):
        found.update({tag: known.reasons.get(tag, "") for tag, mark in known.marks.items() if mark == "bad"})
    return found


def _history(state: ComponentState) -> list[Switched]:
    """What was live, the oldest first."""
    return [
        {"release": item.release, "config": item.config, "slot": item.slot, "run": item.run, "time": item.time, "seq": item.seq}
        for item in state.activations
        if item.outcome == "ok" and item.release
    ]


def _interrupted(item: Interrupted) -> Cut:
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


def migrations(records: Sequence[Record], component: str) -> list[Migration]:
    """The migrations of a component's database, the oldest first."""
    return [_migration(record) for record in records if record.get("op") == "migrate" and record.get("component") == component]


def _migration(record: Record) -> Migration:
    noted: Any = {key: value for key, value in (record.get("detail") or {}).items() if key in _KEPT}
    detail: Migration = noted  # as migrations note it
    return {
        "release": record.get("release"),
        "outcome": record.get("outcome"),
        "time": record.get("time"),
        "seq": record.get("seq"),
        **detail,
    }


def proofs(records: Sequence[Record], components: Sequence[str]) -> list[RunsOn]:
    """On which schemas releases were seen to run: C(release) and C(heads)."""
    return [
        {"release": record.get("release"), "heads": list((record.get("detail") or {}).get("heads") or [])}
        for record in records
        if record.get("op") == "mark"
        and record.get("outcome") == "ok"
        and record.get("component") in components
        and (record.get("detail") or {}).get("state") == "runs_on"
    ]


def database_facts(migrated: Sequence[Migration], heads: Sequence[str] | None, why: str) -> Database:
    """Where the database stands: C(heads), C(from) whom that is known, C(why) it could not be asked itself."""
    if heads is not None:
        return {"heads": sorted(heads), "from": "database", "why": ""}
    known = schema_path.known_heads(migrated)
    return {"heads": known, "from": "journal" if known is not None else "nobody", "why": why}


def interrupted_rollback(records: Sequence[Record]) -> InterruptedRollback | None:
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
    noted: Any = newest.detail
    detail: InterruptedRollback = noted  # as :mod:`rollback.run` notes it
    return {"run": newest.run, "time": newest.time, "seq": newest.seq, "actor": newest.actor, "to": newest.release, **detail}


def last_rollback(records: Sequence[Record]) -> LastRollback | None:
    """The newest rollback that ended: C(run), C(time), C(from), C(to), C(level), C(outcome)."""
    for record in reversed(records):
        if record.get("op") == "rollback" and record.get("outcome") != "started":
            detail = record.get("detail") or {}
            return {
                "from": detail.get("from"),
                "to": record.get("release"),
                "level": detail.get("level"),
                "seconds": detail.get("seconds"),
                "run": record.get("run"),
                "time": record.get("time"),
                "outcome": record.get("outcome"),
            }
    return None


def restores(records: Sequence[Record]) -> list[Restored]:
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


def open_rollback(records: Sequence[Record]) -> OpenRollback | None:
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
    detail = first.get("detail") or {}
    return {
        "runs": list(dict.fromkeys(str(record.get("run") or "") for record in begun)),
        "level": detail.get("level"),
        "to": detail.get("to"),
        "from": detail.get("from"),
        "since": first.get("time"),
        "seq": int(first.get("seq") or 0),
        "moves": moves_of(begun),
    }
