# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.rollback_plan): one decision out of the plans that the nodes made for themselves."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.levels import LEVELS
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import release_name
from ansible_collections.phasegate.aistack.plugins.module_utils.release.mirror import Source, SourceError
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import todo
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.begun import settled
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.decision import answer_of, decide, decision_text
from ansible_collections.phasegate.aistack.plugins.module_utils.rollout import compatible
from ansible_collections.phasegate.aistack.plugins.plugin_utils import pages, parts
from ansible_collections.phasegate.aistack.plugins.plugin_utils.controller_action import ControllerAction

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.contract import Answer

ARGUMENTS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["decided", "again"], "default": "decided"},
    "decision": {"type": "dict", "default": {}},
    "reason": {"type": "str", "default": ""},
    "answers": {"type": "str", "required": True},
    "to": {"type": "str", "default": ""},
    "level": {"type": "str", "default": "app"},
    "best_effort": {"type": "bool", "default": False},
    "again": {"type": "bool", "default": False},
    "repositories": {"type": "list", "elements": "str", "default": []},
}


def code(plans: Mapping[str, Answer], repositories: Iterable[str]) -> list[str]:
    """What the code loses by the steps of the plans, as far as the mirrors of the repositories on this machine tell."""
    pairs: dict[tuple[str, str], None] = {}
    for plan in plans.values():
        for step in plan.get("steps") or []:
            if step["do"] != "switch":
                continue
            commits, left = step["detail"].get("commit") or {}, (step["detail"].get("from") or {}).get("release")
            newer, older = (commits.get(left) if left else None), commits.get(step["detail"].get("release"))
            if newer and older:
                pairs[newer, older] = None
    lines: dict[str, None] = {}
    for repo in repositories:
        for newer, older in pairs:
            if newer != older:
                lines.update(dict.fromkeys(Source(repo).changes(newer, older)))
    return list(lines)


def sets(plans: Mapping[str, Answer], nodes: Iterable[str]) -> list[str]:
    """The backup sets that the steps of the nodes put back, each once."""
    steps = [step for node in nodes for step in plans[node].get("steps") or []]
    return sorted({str(step["detail"]["set"]) for step in steps if step["do"] == "restore"})


def moves(decision: Mapping[str, Any]) -> bool:
    """Whether any node has anything to do: a run that only finishes what another had done makes nobody wait."""
    return any(decision["plans"][node].get("steps") for node in decision["nodes"])


def beside(plans: Mapping[str, Answer], nodes: Iterable[str], to: str, components: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What does not run side by side, by C(runs_with) of the components, once the nodes are at a release; a line each."""
    live: dict[str, set[str]] = {}
    after: dict[str, set[str]] = {}
    for node, plan in plans.items():
        for entry in plan.get("candidates") or []:
            live.setdefault(entry["component"], set()).add(entry["present"])
            after.setdefault(entry["component"], set()).add(to if node in nodes else entry["present"])
    return compatible.broken_back(compatible.rules_of(components, components), after, live)


class ActionModule(ControllerAction):
    """Read the answers, decide, say so."""

    arguments = ARGUMENTS

    def answer(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the decision; fail where it is a refusal."""
        if args["level"] not in LEVELS:
            known = f"There is no level {args['level']}; expected one of {', '.join(LEVELS)}. Nothing was touched."
            return pages.refusal(known)
        plans = {str(host): answer_of(found) for host, found in parts.of_hosts(task_vars, args["answers"]).items()}
        if args["state"] == "again":
            return {"changed": False, "todo": todo.again(args["decision"], plans, args["level"], args["reason"])}
        to, since = release_name(args["to"]) or None, None if args["again"] else time.time()
        decision = decide(plans, to, args["best_effort"], since, args["level"])
        plans = settled(plans, decision)
        # whoever calls for an emergency has no time for it, and a config is that of the same release
        if decision["allowed"] and not args["best_effort"] and args["level"] != "config":
            told = beside(plans, decision["nodes"], str(decision["to"]), parts.described(self._templar, task_vars, ("runs_with",)))
            decision = {**decision, "warnings": [*decision["warnings"], *told], "notes": [*decision["notes"], *told]}
        text = decision_text({**decision, "plans": plans})
        if not decision["allowed"]:
            return pages.refusal(text)
        try:
            lost = code(plans, args["repositories"])
        except SourceError as error:  # the plan is whole without it: it says why it lacks the list
            lost = [f"not known here: {error}"]
        decision = {**decision, "plans": plans}
        return {
            **decision, "todo": todo.before(decision, list(plans)), "moves": moves(decision),
            "sets": sets(plans, decision["nodes"]), "code": lost, "text": text,
            "changed": False,
        }
