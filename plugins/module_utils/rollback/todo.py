# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node has to do in a rollback, as its tasks take it. Pure: plans in, lists out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.begun import beginning
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.decision import plan_holds

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.contract import Answer, Decision, Step, Task

SLOT = ("unit", "strategy", "ports", "edge")
"""Of a component's description what its slots are stopped and started by."""


def todo_of(plan: Answer, shown: Answer | None = None) -> dict[str, Any]:
    """The steps of a node's plan, sorted.

    Args:
        plan: that of now.
        shown: the one that was consented to, whose descriptions count; left out it is the same.

    Returns:
        C(steps), all of them; C(restores), C(downgrades); C(allowed), the downgrades that can be asked about before anything is touched,
        since no set is put back below them; C(stop) and C(start), with what slots are stopped and started by; C(backup), whether a backup
        set has to be made; C(goes), whether the node's command has components to take back; C(edges), component to what drains it.
    """
    steps = list(plan.get("steps") or [])
    known = (plan if shown is None else shown).get("descriptions") or {}

    def those(what: str) -> list[Step]:
        return [step for step in steps if step["do"] == what]

    def slots(what: str) -> list[dict[str, Any]]:
        names = [step["component"] for step in those(what)]
        return [{"component": name, **{key: known[name].get(key) for key in SLOT}} for name in names if name]

    restores, downgrades = those("restore"), those("downgrade")
    below = {step.get("component") for step in restores}
    return {
        "steps": steps, "restores": restores, "downgrades": downgrades,
        "allowed": [step for step in downgrades if step.get("component") not in below],
        "stop": slots("stop"), "start": slots("start"), "backup": bool(those("backup")),
        "goes": bool((plan if shown is None else shown).get("candidates")),
        "edges": [{"component": name, "edge": one["edge"]} for name, one in known.items() if one.get("edge")],
    }


def before(decision: Decision, hosts: list[str]) -> dict[str, dict[str, Any]]:
    """Host to what it has to do by the plan that is shown; nothing on a host that takes no part."""
    return {host: todo_of(decision["plans"][host] if host in decision["nodes"] else {}) for host in hosts}


def again(decision: Decision, answers: Mapping[str, Answer], level: str, reason: str) -> dict[str, dict[str, Any]]:
    """Host to what it has to do by its plan of now, some of which may be done already.

    ``answers`` maps each host to the plan that it made now; C(holds) says whether that does nothing but what was shown, C(begins) is what
    the journal says when it begins, C(notes) what it says of a database that another host has taken back for it.
    """
    found: dict[str, dict[str, Any]] = {}
    for host, asked in answers.items():
        part = host in decision["nodes"]
        shown: Answer = decision["plans"][host] if part else {}
        here = asked if part and "steps" in asked and not shown.get("there") else shown
        found[host] = {**todo_of(here, shown), "holds": not part or plan_holds(asked, shown),
                       "begins": beginning(decision, here, level, reason)}
    for host, mine in found.items():
        relies = decision["plans"][host].get("relies") or [] if host in decision["nodes"] else []
        mine["notes"] = [
            note(step, one["node"])
            for one in relies
            for step in (found.get(one["node"]) or {}).get("downgrades") or []
            if step["component"] == one["component"]
        ]
    return found


def note(step: Task, host: str) -> dict[str, Any]:
    """The record of a downgrade for the journals of the other hosts of its component: each plans its way back out of its own."""
    detail = step["detail"]
    moved = {"state": "downgraded", "from": detail.get("from"), "to": detail.get("to"), "steps": detail.get("revisions"), "host": host}
    return {"op": "migrate", "component": step["component"], "release": detail.get("release"), "outcome": "ok", "detail": moved}
