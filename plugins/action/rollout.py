# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.rollout): which hosts change together, in which order, out of the answers of all nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.rollout import plan, risk
from ansible_collections.phasegate.aistack.plugins.plugin_utils import pages, parts
from ansible_collections.phasegate.aistack.plugins.plugin_utils.controller_action import ControllerAction

ARGUMENTS: dict[str, dict[str, Any]] = {
    "released": {"type": "list", "elements": "str", "required": True},
    "release": {"type": "str", "required": True},
    "answers": {"type": "str", "required": True},
    "configured": {"type": "str", "required": True},
    "drain": {"type": "bool", "default": False},
    "risk": {"type": "str", "default": "", "choices": ["", *risk.RISKS]},
    "contracted": {"type": "str", "default": ""},
}


def has_it(component: str, release: str, answer: Mapping[str, Any], configured: Mapping[str, Any]) -> bool:
    """Whether what a host said was live is the release with the configuration that this run has made."""
    live = (answer.get("components") or {}).get(component, {}).get("live") or {}
    made = {str(one.get("component")): one.get("config") for one in configured.get("results") or []}
    return bool(live) and (live.get("release"), live.get("config")) == (release, made.get(component))


class ActionModule(ControllerAction):
    """Read what the nodes said once, and say what follows."""

    arguments = ARGUMENTS

    def answer(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the steps of the switch; print them where there is more than one of a component."""
        described = parts.described(self._templar, task_vars, ("hosts", "strategy", "careful", "gate_settings", "role", "slots"))
        groups, in_play = task_vars.get("groups", {}), list(task_vars.get("ansible_play_hosts_all") or [])
        hosts = {name: [host for host in groups.get(described[name]["hosts"], []) if host in in_play] for name in args["released"]}
        judged = self._templar.template(task_vars.get("release_gate_settings") or {})  # as the role release has it for every slot
        for name in args["released"]:
            described[name] = {**described[name], "gate_settings": {**judged, **(described[name].get("gate_settings") or {})}}
        answers, configured = parts.of_hosts(task_vars, args["answers"]), parts.of_hosts(task_vars, args["configured"])
        there = {name: [host for host in hosts[name] if has_it(name, args["release"], answers[host], configured[host])] for name in hosts}
        live = {name: [host for host in hosts[name] if (answers[host].get("components") or {}).get(name, {}).get("live")] for name in hosts}
        before = {host: answer.get("components") or {} for host, answer in answers.items()}
        now = [parts.of_hosts(task_vars, args["contracted"])[host] for host in in_play] if args["contracted"] else []
        contracted = risk.contracting(args["released"], before.values(), now)
        told: list[str] = []
        for name in args["released"]:
            tags = {str(before[host][name]["live"]["release"]) for host in live[name]}
            choice = risk.chosen(name, described[name], args["release"], tags, args["risk"], contracted)
            described[name] = {**described[name], "strategy": choice.strategy}
            told += [choice.why] if choice.why else []
        triggers = self._templar.template(task_vars.get("aistack_triggers") or [])
        windows = {str(one["name"]): float(one["window"]) for one in triggers if one.get("window")}
        found = plan.steps(args["released"], described, hosts, in_play, there, windows, live, args["drain"])
        text = plan.page(found, there, told)
        if text:
            pages.show(self._task, text)
        return {"changed": False, "steps": found, "first": plan.first(found), "text": text}
