# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.node): asks a node's own command, without Python or a module there."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.decision import is_back, not_back
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.node_answer import read

ARGUMENTS: dict[str, dict[str, Any]] = {
    "verb": {"type": "str", "required": True, "choices": ["plan", "rollback", "status"]},
    "stack": {"type": "str", "default": ""},
    "level": {"type": "str", "default": ""},
    "to": {"type": "str", "default": ""},
    "set": {"type": "str", "default": ""},
    "elsewhere": {"type": "dict", "default": {}},
    "reason": {"type": "str", "default": ""},
    "run": {"type": "str", "default": ""},
    "allow_bad": {"type": "bool", "default": False},
    "best_effort": {"type": "bool", "default": False},
    "force_lock": {"type": "bool", "default": False},
    "enforce": {"type": "bool", "default": True},
}
TAKES = {
    "plan": ("level", "to", "set", "allow_bad", "best_effort"),
    "rollback": ("level", "to", "reason", "run", "allow_bad", "best_effort", "force_lock"),
    "status": (),
}
"""What the command's verbs know; the rest may come from defaults of a play and is left out."""


def command(args: Mapping[str, Any]) -> str:
    """The line that the node's shell gets: C(aistack [--stack NAME] VERB --json …)."""
    words = ["aistack", *(("--stack", args["stack"]) if args["stack"] else ()), args["verb"], "--json"]
    for name in TAKES[args["verb"]]:
        if args[name]:
            words += [f"--{name.replace('_', '-')}", *((args[name],) if isinstance(args[name], str) else ())]
    if args["verb"] == "plan" and args["level"] in ("schema", "system"):
        words += [word for name, host in args["elsewhere"].items() for word in ("--elsewhere", f"{name}={host}")]
    return shlex.join(words)


class ActionModule(ActionBase):
    """Run one command over the connection, and read what it says."""

    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the answer; fail, where that is enforced, for one that is none, or that says that the node is not back."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validated, args = self.validate_argument_spec(argument_spec=ARGUMENTS)
        moves = args["verb"] == "rollback"
        if moves and self._task.check_mode:
            return {**result, "skipped": True, "msg": "nothing goes back in check mode"}
        done = self._low_level_execute_command(command(args))
        answer = read(done["rc"], str(done.get("stdout") or ""), str(done.get("stderr") or ""))
        # said here, because Ansible takes any other exit status than 0 for a failure, which may be an answer
        result.update(answer=answer, rc=done["rc"], changed=bool(moves and answer.get("changed")), failed=False)
        if not args["enforce"]:
            return result
        if moves and not is_back(answer, done["rc"]):
            node = str((task_vars or {}).get("inventory_hostname", ""))
            return {**result, "failed": True, "msg": not_back(node, args["to"], answer)}
        if not moves and ("silent" in answer or "absent" in answer):
            return {**result, "failed": True, "msg": str(answer.get("silent") or answer.get("absent"))}
        return result
