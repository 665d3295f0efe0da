# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.rollback_plan): one decision out of the plans that the nodes made for themselves."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.phasegate.aistack.plugins.module_utils.pure.rollback_stack import answer_of, decide, decision_text

ARGUMENTS: dict[str, dict[str, Any]] = {
    "answers": {"type": "dict", "required": True},
    "to": {"type": "str", "default": ""},
    "best_effort": {"type": "bool", "default": False},
    "again": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):
    """Read the answers, decide, say so."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the decision; fail where it is a refusal."""
        super().run(tmp, task_vars)
        _validated, args = self.validate_argument_spec(argument_spec=ARGUMENTS)
        plans = {str(node): answer_of(result or {}) for node, result in args["answers"].items()}
        decision = decide(plans, args["to"] or None, args["best_effort"], None if args["again"] else time.time())
        text = decision_text(decision)
        return {**decision, "plans": plans, "text": text, "msg": text, "changed": False, "failed": not decision["allowed"]}
