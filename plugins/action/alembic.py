# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.alembic): in check mode, plans here what the node cannot plan yet."""

from __future__ import annotations

from typing import Any

from ansible_collections.phasegate.aistack.plugins.action.alembic_info import planned, request_of, separated, unknown_words
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import controller_plan, request as alembic_request
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.plan import MigrationError
from ansible_collections.phasegate.aistack.plugins.plugin_utils.followed import Followed


class ActionModule(Followed):
    """Run the module; in check mode fill in the plan that it could not make."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the node's result, with the controller's plan where there was none."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        args, origin = separated(self._task.args)
        answer: dict[str, Any] = self._execute_module(module_name="phasegate.aistack.alembic", module_args=args, task_vars=task_vars)
        seen = answer.pop("seen", None)
        result.update(answer)
        if answer.get("failed") or not self._task.check_mode or seen is None or args.get("state") == "stamped":
            return result
        why = str(answer["plan"].get("why", ""))
        request = request_of(args, answer, str(args.get("state") or "upgraded"))
        try:
            plan = planned(self, task_vars, request, seen, origin, why) if origin else ""
            if isinstance(plan, str):
                result["plan"]["why"] = f"{why}; and the controller cannot plan it: {plan}" if plan else why
                result["plan"]["text"] = controller_plan.text(result["plan"])
                result["msg"] = f"Nothing known yet: {result['plan']['why'].rstrip('.')}."
            else:
                result.update(controller_plan.outcome(request, plan))
        except MigrationError as problem:
            result.update(failed=True, changed=False, msg=str(problem), code=problem.code, **alembic_request.brief(problem.facts))
        else:
            result["warnings"] = [*(result.get("warnings") or []), *unknown_words(result["plan"])]
        return result
