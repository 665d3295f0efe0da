# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.diagnose): what a node is told of its stack, and rules over what it answers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.phasegate.aistack.plugins.action.gate import Places
from ansible_collections.phasegate.aistack.plugins.action.journal import is_dead
from ansible_collections.phasegate.aistack.plugins.module_utils.core.probe_spec import ProbeError
from ansible_collections.phasegate.aistack.plugins.module_utils.diagnosis import rules
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.default import UNITS, role_of
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.saved import ACTIVATED
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.description import queues_of
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.spec import normalise
from ansible_collections.phasegate.aistack.plugins.plugin_utils import diagnoses, owner, pages, parts

KEYS = ("hosts", "role", "port", "unit", "options", "application", "release_from")
SERVERS = ("redis", "postgres", "ollama")
"""Roles whose addresses a node compares with those in environments."""
NOT_THERE = {"changed": False, "findings": [], "problems": [], "lock": "", "asked": False, "files": {}}
"""Of a node that has none of the components that were asked for."""


def told(components: Mapping[str, Mapping[str, Any]], mine: Iterable[str], ports: Mapping[str, Any], stack: str) -> list[dict[str, object]]:
    """What a node is told of its components: C(component), C(role); C(unit) and C(port) of one without slots, C(queues) of a worker."""
    found = []
    for name in mine:
        component = components[name]
        role = role_of(component)
        row: dict[str, Any] = {"component": name, "role": role}
        released = component.get("application") or component.get("release_from")
        unit = component.get("unit") or ("" if released else UNITS.get(role, "")).replace("{stack}", stack)
        if unit:
            row["unit"] = str(unit)
        port = ports.get(component.get("port") or (role if role in SERVERS else ""))
        if port and not released:
            row["port"] = int(port)
        if role == "worker":
            row["queues"] = queues_of(component)
        found.append(row)
    return found


class ActionModule(ActionBase):
    """Tell the node what to look at, complete what it saw, and compare it with the rules."""

    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The findings of this host; a host without a component that is asked for is not contacted."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables, args = task_vars or {}, dict(self._task.args)
        try:
            own = self._templar.template(variables.get("aistack_diagnoses") or [])
        except AnsibleError as error:
            return {**result, **pages.refusal(f"aistack_diagnoses cannot be filled in: {error}")}
        wrong = diagnoses.problems(own)
        if wrong:
            listed = "\n".join(f"  - {line}" for line in wrong)
            many = f"{len(wrong)} problem{'s' if len(wrong) > 1 else ''}"
            return {**result, **pages.refusal(f"The rules of aistack_diagnoses cannot be used ({many}). Nothing was looked at.\n{listed}")}
        host, groups = str(variables.get("inventory_hostname", "")), variables.get("groups", {})
        components = parts.described(self._templar, variables, KEYS)
        only = [str(name) for name in args.get("only") or ()]
        mine = [name for name, one in components.items() if host in groups.get(one.get("hosts"), []) and (not only or name in only)]
        if only and not mine:
            return {**result, **NOT_THERE}
        ports = self._templar.template(variables.get("aistack_ports") or {})
        stack = str(self._templar.template(variables.get("aistack_name") or ""))
        places = self._places(components, ports, variables)
        sent = {
            **args,
            "probes": self._probes(args.get("probes") or (), host, variables, mine if only else None),
            "components": told(components, mine, ports, stack),
            "places": [{**place, "host": None} for place in places],
            "addresses": [str(place["address"]) for place in places if place["host"] == host],
            "workers": {name: queues_of(one) for name, one in components.items() if role_of(one) == "worker"},
            "gate": {
                "judge_by": ACTIVATED,
                "ports": {name: ports[one["port"]] for name, one in components.items() if one.get("port") in ports},
                "units": {name: one["unit"] for name, one in components.items() if one.get("unit")},
            },
            "controller_time": time.time(),
        }
        answer = self._execute_module(module_name="phasegate.aistack.diagnose", module_args=sent, task_vars=variables, wrap_async=False)
        answer.pop("invocation", None)
        if answer.get("unreachable"):
            return {**result, **answer}
        if "evidence" not in answer:  # the page names it, and the others are judged all the same
            return {**result, **NOT_THERE, "asked": True, "silent": str(answer.get("msg") or "no answer that can be read")}
        return {**result, **self._judged(answer, diagnoses.in_use(own), host, variables)}

    @staticmethod
    def _judged(answer: dict[str, Any], chosen: Sequence[Mapping[str, Any]], host: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The answer with what rules find in it, instead of the evidence."""
        evidence, lease = answer.pop("evidence"), answer.pop("lease", None)
        dead = bool(lease) and (is_dead(lease) or owner.has_ended(lease, owner.job_facts(variables)))
        for lock in evidence.get("locks") or ():
            lock["dead"] = dead
        held = next((lock["holder"] for lock in evidence.get("locks") or () if not lock["dead"] and not lock["expired"]), "")
        found = rules.findings(chosen, evidence, host)
        return {**answer, "changed": False, "findings": found, "lock": held, "asked": True}

    @staticmethod
    def _places(
        components: Mapping[str, Mapping[str, Any]], ports: Mapping[str, Any], variables: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Where the servers of the inventory are. An address that cannot be filled in is left out."""
        hostvars, groups = variables.get("hostvars") or {}, variables.get("groups", {})
        found: list[dict[str, Any]] = []
        for name, one in components.items():
            role = role_of(one)
            port = int(ports.get(one.get("port") or role) or 0)
            for host in groups.get(one.get("hosts"), []) if role in SERVERS and port else []:
                try:
                    address = str(hostvars[host].get("aistack_address") or "")
                except (AnsibleError, KeyError):
                    continue
                found.append({"component": name, "role": role, "address": address, "port": port, "host": host})
        return [place for place in found if place["address"]]

    @staticmethod
    def _probes(given: Iterable[Any], host: str, variables: Mapping[str, Any], only: Sequence[str] | None) -> list[dict[str, object]]:
        """The probes that this host asks. One that cannot be used is the gate's to refuse: here it is left out."""
        places = Places(variables.get("groups", {}), variables.get("ansible_play_hosts_all") or [host])
        mine = []
        for probe in given:
            try:
                canonical = normalise(probe, None)
                hosts = places.of(canonical)
            except (ProbeError, LookupError):
                continue
            if (hosts is None or host in hosts) and (only is None or canonical.get("component") in only):
                mine.append(canonical)
        return mine
