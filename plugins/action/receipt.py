# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.receipt): works out from what a component would be converged.

The inputs of a component are its description, the variables of its role and those of the stack that the role
mentions, its environment, and the files of the role itself. When none of them has changed, and the files that the role manages
are as it left them, converging again would change nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.collection_loader import AnsibleCollectionConfig

NOT_INPUTS = {"aistack_component", "aistack_component_name", "aistack_env", "aistack_release_request", "aistack_rotations", "aistack_run",
              "aistack_secrets"}
"""Variables that roles mention, but that say nothing about what they converge to, or are looked at by themselves."""


def role_directory(role: str) -> Path | None:
    """Where a role of this collection, or one given by its full name, keeps its files; None if it is not found."""
    namespace, collection, name = ["phasegate", "aistack", role] if "." not in role else role.split(".", 2)
    bases = [Path(__file__).resolve().parents[2]] if (namespace, collection) == ("phasegate", "aistack") else [
        Path(path) / "ansible_collections" / namespace / collection for path in AnsibleCollectionConfig.collection_paths
    ]
    return next((base / "roles" / name for base in bases if (base / "roles" / name).is_dir()), None)


def role_text(directory: Path | None) -> bytes:
    """Names and contents of a role's files, one after the other."""
    text = b""
    for path in sorted(directory.rglob("*")) if directory else []:
        if path.is_file() and path.suffix != ".pyc":
            text += str(path.relative_to(directory or path)).encode() + b"\0" + path.read_bytes() + b"\0"
    return text


class ActionModule(ActionBase):
    """Fill in C(inputs) for each component, then ask the node."""

    _supports_check_mode = True
    _supports_diff = False

    def _inputs(self, component: dict[str, Any], name: str, environments: dict[str, Any], task_vars: dict[str, Any]) -> str:
        text = role_text(role_directory(component["role"]))
        if component.get("application") or component.get("release_from"):
            text += role_text(role_directory("release"))
        mentioned = set(re.findall(r"\baistack_[a-z_]+\b", text.decode(errors="replace"))) - NOT_INPUTS
        prefix = f"{component['role'].rsplit('.', 1)[-1]}_"
        variables = {key: self._templar.template(value) for key, value in task_vars.items()
                     if key.startswith(prefix) or key in mentioned}
        described = {
            "component": component,
            "role": hashlib.sha256(text).hexdigest(),
            "variables": variables,
            "environment": environments.get(component.get("env") or name),
        }
        return hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()

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
