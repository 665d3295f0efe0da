# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.receipt): works out from what a component would be converged.

The inputs of a component are its description, its environment, the files of its role and of the roles that this one includes, the
variables of all of them, and those of the stack that they mention. When none of them has changed, and the files that the role manages
are as it left them, converging again would change nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

from ansible_collections.phasegate.aistack.plugins.plugin_utils import role_files

NOT_INPUTS = {"aistack_component", "aistack_component_name", "aistack_env", "aistack_release_request", "aistack_rotations", "aistack_run",
              "aistack_secrets", "release_allow_bad"}
"""Variables that roles mention, but that say nothing about what they converge to, or are looked at by themselves."""

OWN_AFFAIRS = {"build", "build_env", "cache", "devices", "gate", "gate_settings", "install_scripts", "just_in_time", "lock", "sdists",
               "test_env", "test_env_from", "test_network", "tests", "title"}
"""Keys of a component that no role reads of another one: with another gate of the application the edge is as it was."""

NAMING_FILES = re.compile(r"\w+_tls|aistack_ca|toolchain_ca|grafana_dashboards|superset_(?:assets|lock)")
"""Variables that name files of the controller, whose contents are inputs: a renewed certificate has the path of the one before."""

OF_HOSTS = re.compile(r"\b(?:groups|hostvars)\b")
"""Defaults that speak of these say something else where another host joins, or one has another address."""

role_files.read_own_roles()  # Ansible loads actions before it forks the workers that run them: so all of them have it


def without_facts(variables: Mapping[str, Any]) -> dict[str, object]:
    """*variables* without what a role has gathered of the node, which is not there in a run in which no role has anything to do."""
    facts = variables.get("ansible_facts") or {}
    left = {key: value for key, value in variables.items() if not (key.startswith("ansible_") and key.removeprefix("ansible_") in facts)}
    return {**left, "ansible_facts": {key: value for key, value in facts.items() if key.startswith("aistack_")}}


def _as_json(value: Any) -> Any:
    return sorted(map(str, value)) if isinstance(value, (set, frozenset)) else str(value)


def _seen_by_others(component: Any) -> Any:
    """A component's description without what only its own convergence, proof and build make something of."""
    return {key: value for key, value in component.items() if key not in OWN_AFFAIRS} if isinstance(component, Mapping) else component


def _without_tasks(application: Any) -> Any:
    """An application's description without the tasks of its releases: they belong to deployments, and to no component."""
    return {key: value for key, value in application.items() if key != "release_tasks"} if isinstance(application, Mapping) else application


class ActionModule(ActionBase):
    """Fill in C(inputs) for each component, then ask the node."""

    _supports_check_mode = True
    _supports_diff = False

    def _inputs(self, component: dict[str, Any], name: str, environments: dict[str, Any], task_vars: dict[str, Any]) -> str:
        role = role_files.role_files(component["role"])
        templar = self._templar
        if "ansible_facts" in task_vars:
            templar = templar.copy_with_new_env(available_variables=without_facts(task_vars))
        # a role that ran earlier in this play has left its defaults in sight; they are part of its files, which count already
        variables = {key: self._value(value, templar) for key, value in task_vars.items()
                     if (key.startswith(role.prefixes) or key in role.mentioned) and key not in NOT_INPUTS and key not in role.made
                     and not (key in role.defaults and value == role.defaults[key])}
        named = [path for key, value in variables.items() if NAMING_FILES.fullmatch(key)
                 for path in (value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else [value])
                 if isinstance(path, str) and path]
        if isinstance(variables.get("aistack_components"), Mapping):
            others = variables["aistack_components"].items()
            variables["aistack_components"] = {other: _seen_by_others(described) for other, described in others}
        if isinstance(variables.get("aistack_applications"), Mapping):
            variables["aistack_applications"] = {name: _without_tasks(told) for name, told in variables["aistack_applications"].items()}
        hosts = {key: self._value(trust_as_template(value), templar) for key, value in role.defaults.items()
                 if isinstance(value, str) and OF_HOSTS.search(value) and task_vars.get(key, value) == value}
        described = {
            **({"hosts": hosts} if hosts else {}),
            **({"files": {path: self._digest(path) for path in named}} if named else {}),
            "component": component,
            "role": role.digest,
            "variables": variables,
            "environment": environments.get(component.get("env") or name),
        }
        return hashlib.sha256(json.dumps(described, sort_keys=True, default=_as_json).encode()).hexdigest()

    def _digest(self, path: str) -> str:
        """SHA-256 of a file of the controller, or of all below a folder; empty where it cannot be read, which its role will say."""
        try:
            place = Path(self._loader.path_dwim(path))
            if place.is_dir():
                below = sorted(one for one in place.rglob("*") if one.is_file())
                return hashlib.sha256(b"".join(f"{one.relative_to(place)}\0".encode() + one.read_bytes() for one in below)).hexdigest()
            return hashlib.sha256(place.read_bytes()).hexdigest()
        except OSError:
            return ""

    @staticmethod
    def _value(value: Any, templar: Any) -> Any:
        """What a variable says; as it is written where it speaks of what is known only inside the role, or of facts."""
        try:
            return templar.template(value)
        except AnsibleError:
            return str(value)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module for the components that live on this host; none of them means no connection."""
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        args = dict(self._task.args)
        if not args.get("components"):
            return {"changed": False, "components": {}}
        components = self._templar.template(task_vars["aistack_components"])
        environments = self._templar.template(task_vars.get("aistack_env") or {})
        groups = task_vars.get("groups", {})
        host = task_vars["inventory_hostname"]
        wanted: dict[str, dict[str, Any]] = {}
        for name, given in args["components"].items():
            if host in groups.get(components[name]["hosts"], []):
                wanted[name] = dict(given or {})
                wanted[name].setdefault("inputs", self._inputs(components[name], name, environments, task_vars))
        if not wanted:
            return {"changed": False, "components": {}}
        result: dict[str, Any] = self._execute_module(
            module_name="phasegate.aistack.receipt", module_args=dict(args, components=wanted), task_vars=task_vars,
        )
        return result
