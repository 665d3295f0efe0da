# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rollbacks that were begun and not finished, as the plans of all nodes tell of them, and which nodes are there already. No I/O."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.contract import (
        Answer,
        Begun,
        Candidate,
        Decision,
        JustBack,
        Plan,
    )

JUST_S = 900.0
"""Seconds in which a second emergency that names no release is taken for a repetition of the first."""
THERE = "every component is at {to} already"

Plans = Mapping[str, "Answer"]


def moment(text: Any) -> float | None:
    """An ISO 8601 time as seconds since 1970; None where it is none."""
    try:
        return datetime.datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def begun(plans: Plans, level: str) -> Begun | None:
    """The newest rollback of *level* that a controller began and that any node knows not to be finished; None where there is none.

    C(to), C(from), C(runs) (the oldest first), C(began) (seconds since 1970, of the first), C(part): the nodes of
    which something moves.
    """
    known = {node: one for node, plan in plans.items() if (one := plan.get("open"))}
    found = {node: one for node, one in known.items() if one.get("level") == level and one["runs"]}
    if not found:
        return None
    newest = max(found.values(), key=lambda one: str(one["runs"][-1]))
    same = {node: one for node, one in found.items() if one.get("to") == newest.get("to")}
    first = min(same.values(), key=lambda one: str(one.get("since")))
    part = [node for node, one in same.items() if one.get("moves")]
    runs = sorted({str(run) for one in same.values() for run in one["runs"]})
    return {"to": newest.get("to"), "from": first.get("from"), "runs": runs, "began": moment(first.get("since")), "part": part}


def stands(begun_: Begun, candidates: Sequence[Candidate]) -> bool:
    """Whether everything is where a rollback found it or where it goes; elsewhere something came since, of which not every node knows."""
    known = {begun_["to"], *(str(begun_["from"]).split(", "))}
    return not begun_["from"] or all(entry["present"] in known for entry in candidates)


def just_back(plans: Plans, now: float) -> Begun | None:
    """What nodes went back to within the last :data:`JUST_S` seconds before *now*, and are at still; None where none did.

    As of :func:`begun`, and C(nodes): node to its last rollback, with C(ago) in seconds.
    """
    nodes: dict[str, JustBack] = {}
    for node, plan in plans.items():
        last = plan.get("last_rollback") or {}
        then = moment(last.get("time"))
        if last.get("outcome") != "ok" or then is None or not 0 <= now - then <= JUST_S:
            continue
        if {entry["present"] for entry in plan["candidates"]} == {last.get("to")}:
            nodes[node] = {**last, "began": then, "ago": now - then}
    if not nodes:
        return None
    newest = max(nodes.values(), key=lambda last: float(last["began"]))
    same = [last for last in nodes.values() if last.get("to") == newest.get("to")]
    first = min(same, key=lambda last: float(last["began"]))
    runs = sorted({str(last.get("run")) for last in same})
    return {"to": newest.get("to"), "from": first.get("from"), "runs": runs, "began": first["began"], "nodes": nodes}


def can_all(plans: Plans, tag: str) -> bool:
    """Whether every component on every node is at a release, or can go back to it."""
    return all(tag == entry["present"] or tag in entry["tags"] for plan in plans.values() for entry in plan["candidates"])


def only_there(plan: Plan) -> bool:
    """Whether a node has nothing to do because it is where it was asked to go."""
    return [refusal.get("code") for refusal in plan.get("refusals") or []] == ["already_there"]


def is_there(plan: Plan, target: str | None) -> bool:
    """Whether a node is at the target as a whole, and has no step to take for it. One without a release has a step or a refusal, or is."""
    if not plan["candidates"]:
        codes = {refusal.get("code") for refusal in plan.get("refusals") or []}
        none_here = set() if plan.get("level") == "system" else {"no_component"}  # of the level system it may have a part by its data
        return not plan.get("steps") and codes <= none_here
    if any(entry["present"] != target for entry in plan["candidates"]):
        return False
    steps = plan.get("steps") or []
    if plan.get("level") in ("schema", "system"):
        return not steps and (bool(plan.get("allowed", True)) or only_there(plan))
    # a plan that was made without a target goes on from here; one that finishes a switch goes to it
    return not any((step.get("detail") or {}).get("release") == target for step in steps)


def summed(finishes: Sequence[Begun]) -> Decision:
    """What a decision says about what it finishes: C(resumes) and C(began)."""
    times = [began for one in finishes if (began := one.get("began")) is not None]
    return {"resumes": sorted({run for one in finishes for run in one["runs"]}), "began": min(times, default=None)}


def notes(
    plans: Plans, begun_: Begun | None, just: Begun | None, target: str | None, level: str, there: bool
) -> list[str]:
    """What is to be known about rollbacks that were begun: what this finishes, and what it does not.

    ``just`` is left out where the target was named.
    """
    lines: list[str] = []
    if just is not None and just["to"] == target and there:
        ago = min(float(last["ago"]) for last in just["nodes"].values())
        lines.append(
            f"it went back from {just['from']} to {just['to']} {ago:.0f} s ago (run {', '.join(just['runs'])}), and does not go back twice;"
            " to go back further name the release, -e to=TAG, or say -e again=true"
        )
    if begun_ is not None and begun_["to"] == target:
        lines.append(f"this finishes what run {', '.join(begun_['runs'])} began" + (f"; {THERE.format(to=target)}" if there else ""))
    others = {
        (one["runs"][-1], str(one.get("level")), str(one.get("to")))
        for plan in plans.values()
        if (one := plan.get("open")) and one.get("runs") and (one.get("level"), one.get("to")) != (level, target)
    }
    return lines + [
        f"the rollback to {to} (level {other}) that run {run} began is not finished; that is: rollback.yml -e level={other} -e to={to}"
        for run, other, to in sorted(others)
    ]


def settled(plans: Plans, decision: Decision) -> dict[str, Answer]:
    """The plans as they are shown and carried out: a node that is there refuses nothing, has no steps, and says C(there)."""
    found: dict[str, Answer] = {}
    for node, plan in plans.items():
        if decision.get("allowed") and node in (decision.get("nodes") or []) and is_settled(plan, decision.get("to")):
            to = plan.get("to") if plan.get("level") == "config" else decision.get("to")
            plan = {**plan, "there": True, "to": to, "allowed": True, "refusals": [], "steps": [], "expected_s": 0.0}
        found[node] = {**plan}
    return found


def is_settled(plan: Plan, target: str | None) -> bool:
    """:func:`is_there` for every level."""
    return only_there(plan) if plan.get("level") == "config" else is_there(plan, target)


def beginning(decision: Decision, plan: Plan, level: str, reason: str) -> dict[str, object]:
    """What a node's journal says when a controller begins: the detail that :func:`rollback.facts.open_rollback` reads back."""
    moves = {
        step["component"]: {
            "from": (step.get("detail") or {}).get("from"),
            "to": {key: (step.get("detail") or {}).get(key) for key in ("release", "config")},
        }
        for step in plan.get("steps") or []
        if step["do"] == "switch"
    }
    known = {key: decision.get(key) for key in ("to", "from", "resumes")}
    return {"level": level, "reason": reason, **known, "moves": moves}
