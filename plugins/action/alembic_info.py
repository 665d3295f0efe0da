# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.alembic_info): plans here what the node cannot plan, because the release is not there yet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.phasegate.aistack.plugins.module_utils.migration import alembic_request, controller_plan
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.alembic_plan import MigrationError, Request
from ansible_collections.phasegate.aistack.plugins.module_utils.pure.names import printable

SQUAWK_LOCK = Path(__file__).resolve().parents[2] / "roles" / "toolchain" / "files" / "squawk.txt"

display = Display()


def separated(args: Mapping[str, Any]) -> tuple[dict[str, Any], controller_plan.Origin | None]:
    """The arguments for the node, and what this controller can plan from; None where no repository is named."""
    node = {name: value for name, value in args.items() if name not in alembic_request.ON_CONTROLLER}
    own = {name: args[name] for name in alembic_request.ON_CONTROLLER if args.get(name)}
    if not own.get("repo") or not args.get("release"):
        return node, None
    own["squawk_lock"] = str(SQUAWK_LOCK) if SQUAWK_LOCK.is_file() else ""
    return node, controller_plan.Origin(**own)


def request_of(args: Mapping[str, Any], answer: Mapping[str, Any], state: str) -> Request:
    """The request, in the types of the module that has just checked the arguments."""
    checked = (answer.get("invocation") or {}).get("module_args") or args
    return alembic_request.of({**checked, "state": state})


def planned(request: Request, seen: Mapping[str, Any], origin: controller_plan.Origin, why: str) -> dict[str, Any] | str:
    """The plan's document, or why there is none. Raises MigrationError."""
    try:
        return controller_plan.document(request, seen, origin, why)
    except (controller_plan.Unavailable, OSError) as problem:
        display.vv(printable(f"alembic: no plan on the controller: {problem}"))
        return str(problem)


def unknown_words(plan: Mapping[str, Any]) -> list[str]:
    """A sentence for each thing about a plan that is not known, so that a check is never silent about it."""
    name = f"What {plan.get('component')} {plan.get('release')} would do to the database is NOT known"
    reasons = [] if plan.get("known") else [plan.get("why")]
    return [f"{name}: {str(why).rstrip('. ')}." for why in [*reasons, *((plan.get("verdict") or {}).get("undecided") or [])]]


class ActionModule(ActionBase):
    """Ask the node; where it knows nothing yet, plan here."""

    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the node's plan, or the controller's."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        args, origin = separated(self._task.args)
        answer: dict[str, Any] = self._execute_module(
            module_name="phasegate.aistack.alembic_info", module_args=args, task_vars=task_vars
        )
        seen = answer.pop("seen", None)
        result.update(answer)
        if answer.get("failed") or seen is None or origin is None:
            return result
        request = request_of(args, answer, "downgraded" if args.get("direction") == "downgrade" else "upgraded")
        try:
            plan = planned(request, seen, origin, str(answer.get("why", "")))
        except MigrationError as problem:
            result.update(failed=True, msg=str(problem), code=problem.code, **alembic_request.brief(problem.facts))
            return result
        if isinstance(plan, str):
            plan = {"why": f"{answer.get('why', '')}; and the controller cannot plan it: {plan}"}
            plan["text"] = controller_plan.text({**answer, **plan})
        result.update(plan)
        return result
