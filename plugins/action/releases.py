# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of C(phasegate.aistack.releases): stages the releases of several components of a host, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ansible_collections.phasegate.aistack.plugins.action import release
from ansible_collections.phasegate.aistack.plugins.module_utils.core.caller import CALLER
from ansible_collections.phasegate.aistack.plugins.plugin_utils.forked import side_by_side

ARGUMENTS: dict[str, dict[str, Any]] = {
    "components": {"type": "list", "elements": "dict", "required": True},
    "shared": {"type": "dict", "default": {}},
    "at_once": {"type": "int", "default": 4},
    "build_for": {"type": "dict", "default": {}},
    "build_values": {"type": "dict", "default": {}},
    "built_before": {"type": "bool", "default": False},
    "root": {"type": "str"},
    "state_dir": {"type": "str"},
    **CALLER,
}


class ActionModule(release.ActionModule):
    """C(release) for each component, in a process of its own."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Stage all of them; what each answered is in C(results), as a loop has it."""
        result: dict[str, Any] = super(release.ActionModule, self).run(tmp, task_vars)
        _validated, args = self.validate_argument_spec(argument_spec=ARGUMENTS)
        common = {name: args[name] for name in ("root", "state_dir", "run", "actor") if args.get(name)}
        components = [{**args["shared"], **given, **common} for given in args["components"]]
        wrong = [f"components[{number}] has no component" for number, given in enumerate(components) if not given.get("component")]
        if wrong:
            return {**result, "failed": True, "msg": "; ".join(wrong)}
        orders = {str(given["component"]): _order(str(given["component"]), args) for given in components}
        host, on = self._host, getattr(self._task, "delegate_to", None)

        def job(given: dict[str, Any]) -> dict[str, Any]:
            self._host = f"{host} {given['component']}" if len(components) > 1 else host  # what each is at is shown by itself
            try:
                answer = self._one(given, task_vars, orders[str(given["component"])])
            finally:
                self.cleanup()
                self._connection._shell.tmpdir = None  # the next one makes its own
            return {**answer, "component": str(given["component"])}

        answers = side_by_side([partial(job, given) for given in components], args["at_once"])
        self._host = host
        if args["build_for"]:
            for given, answer in zip(components, answers):
                if answer.pop("unreachable", None):
                    answer.update(failed=True, msg=build_host_down(str(on), f"{given['component']} {given.get('release')}", answer["msg"]))
        return {**result, **_joined(components, answers)}


def _order(component: str, args: Mapping[str, Any]) -> release.Order:
    """What is ordered of a component, where another host builds."""
    return release.Order(args["build_for"].get(component) or {}, args["build_values"].get(component) or {}, args["built_before"])


def build_host_down(on: str, what: str, why: Any) -> str:
    """That the host that builds does not answer, and what to do."""
    return (
        f"The build host {on} (aistack_artefacts.on) could not be reached: {str(why).strip()} {what} is neither on the node nor among the "
        "artefacts that are kept. Nothing was staged of it; what is live is untouched. Start the host and run the same again, or leave "
        "aistack_artefacts.on out, so that nodes build for themselves (they then need the tools of role toolchain: site.yml)."
    )


def _joined(components: Sequence[Mapping[str, Any]], answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One result of several: failed or changed where one is, with the words and warnings of all."""
    for given, answer in zip(components, answers):
        answer["component"] = str(given["component"])
    warnings = [warning for answer in answers for warning in answer.pop("warnings", None) or []]
    failed = [answer for answer in answers if answer.get("failed")]
    lost = [answer for answer in answers if answer.get("unreachable")]
    joined: dict[str, Any] = {"results": list(answers), "changed": any(answer.get("changed") for answer in answers)}
    if warnings:
        joined["warnings"] = list(dict.fromkeys(map(str, warnings)))
    if failed or lost:
        joined["failed" if failed else "unreachable"] = True
        joined["msg"] = "\n".join(str(answer.get("msg") or "no message") for answer in failed or lost)
    return joined
