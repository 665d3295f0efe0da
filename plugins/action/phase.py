# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.phase): what a phase asks, and what its answers leave to do, worked out once for all hosts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleError

from ansible_collections.phasegate.aistack.plugins.filter import stack as filters
from ansible_collections.phasegate.aistack.plugins.module_utils.stack.check import required_phases
from ansible_collections.phasegate.aistack.plugins.plugin_utils import pages, parts, phases
from ansible_collections.phasegate.aistack.plugins.plugin_utils.controller_action import ControllerAction

ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["planned", "judged"], "default": "planned"},
    "receipts": {"type": "str", "required": True},
    "answers": {"type": "str", "default": ""},
    "probes": {"type": "list", "elements": "dict", "default": []},
    "proof_seconds": {"type": "float", "default": 30},
}


class Filled:
    """A template's context as filters want it: variables by name, filled in."""

    def __init__(self, templar: Any, task_vars: Mapping[str, Any]) -> None:
        self._templar, self._vars = templar, task_vars

    def get(self, name: str) -> Any:
        """The variable's value; None where there is none. Raises what filling it in raises."""
        return self._templar.template(self._vars[name]) if name in self._vars else None


class ActionModule(ControllerAction):
    """Read the variables of all hosts once, and say what follows."""

    arguments = ARGUMENTS

    def answer(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return what is asked, or what the answers say."""
        try:
            described, components = (self._templar.template(task_vars.get(f"aistack_{name}") or {}) for name in ("phases", "components"))
        except AnsibleError as error:
            return pages.refusal(f"The phase {args['name']} cannot be worked out: {error}")
        own = list(described[args["name"]].get("components", []))
        groups = task_vars.get("groups", {})
        if args["state"] == "judged":
            receipts, answers = (parts.of_hosts(task_vars, args[name]) for name in ("receipts", "answers"))
            stale = phases.stale_components(own, components, groups, receipts, answers)
            return {"changed": False, "stale": stale, "unproven": phases.unproven(args["probes"], answers)}
        context, facts = Filled(self._templar, task_vars), task_vars.get("ansible_facts", {})
        required = required_phases(described, args["name"])
        proven = phases.recently_proven(facts.get("aistack_proven") or {}, args["proof_seconds"])
        acceptance = self._templar.template(task_vars.get("aistack_acceptance") or {})
        probes = filters.phase_probes(context, described, components, acceptance, required, facts.get("aistack_accepted") or [], proven)
        asked = probes + filters.gate_probes(context, components, own)
        absent = []
        if self._task.check_mode:
            before = filters.phase_components(described, required)
            absent = phases.absent_components(before + own, components, groups, parts.of_hosts(task_vars, args["receipts"]))
        return {
            "changed": False, "required": required, "probes": probes, "asked": asked, "absent": absent,
            "elsewhere": any(probe.get("component") and probe.get("from") for probe in asked),
        }
