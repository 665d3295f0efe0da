# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.compatible): whether what a deployment brings side by side runs with each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.rollout import compatible
from ansible_collections.phasegate.aistack.plugins.plugin_utils import pages, parts
from ansible_collections.phasegate.aistack.plugins.plugin_utils.controller_action import ControllerAction

ARGUMENTS: dict[str, dict[str, Any]] = {
    "released": {"type": "list", "elements": "str", "required": True},
    "release": {"type": "str", "required": True},
    "answers": {"type": "str", "required": True},
    "ignore": {"type": "bool", "default": False},
    "enforce": {"type": "bool", "default": True},
}


def live_of(answers: Mapping[str, Mapping[str, Any]]) -> dict[str, set[str]]:
    """Component to the releases that hosts say are live of it."""
    found: dict[str, set[str]] = {}
    for answer in answers.values():
        for name, said in (answer.get("components") or {}).items():
            if (said.get("live") or {}).get("release"):
                found.setdefault(name, set()).add(str(said["live"]["release"]))
    return found


class ActionModule(ControllerAction):
    """Read what the nodes said once, and judge."""

    arguments = ARGUMENTS

    def answer(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return what would be broken; fail where something would and nobody has said that it is meant."""
        described = parts.described(self._templar, task_vars, ("hosts", "runs_with"))
        answers = parts.of_hosts(task_vars, args["answers"])
        found = compatible.broken(compatible.rules_of(described, args["released"]), args["released"], args["release"], live_of(answers))
        hosts = {name: task_vars.get("groups", {}).get(one.get("hosts"), []) for name, one in described.items()}
        answered = [host for host, answer in answers.items() if "components" in answer]
        silent = compatible.not_asked(compatible.beside(described, args["released"]), hosts, answered)
        warnings = [silent] if silent else []
        if args["ignore"]:
            warnings += [f"runs_with is ignored, as was asked for: {one.reason}" for one in found]
        elif found and args["enforce"]:
            return pages.refusal(compatible.refusal(found), warnings=warnings)
        refused = [] if args["ignore"] else [f"{one.reason}\nFix: {one.remedy}, or say {compatible.IGNORED}" for one in found]
        return {"changed": False, "refused": refused, "warnings": warnings}
