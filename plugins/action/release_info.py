# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.release_info): refuses a release that would be chosen and that a node calls bad."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.phasegate.aistack.plugins.filter.stack import marked_bad, open_doubts
from ansible_collections.phasegate.aistack.plugins.plugin_utils import pages, parts


def bad_text(bad: list[str]) -> str:
    """The refusal of what is marked bad."""
    listed = "\n".join(bad)
    return (f"Refused. Nothing was touched.\n{listed}\n  It is not chosen again. Correct it and give it a new tag, or ask for it by name "
            "with -e allow_bad=true.")  # fmt: skip


class ActionModule(ActionBase):
    """Ask the node, unless its answer is there already or nothing is asked; then judge."""

    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what the node says; fail where it calls bad what would be chosen and that is refused."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables, args = task_vars or {}, dict(self._task.args)
        refuse, release, answer = args.pop("refuse_bad", False), str(args.pop("release", None) or ""), args.pop("answer", None)
        if args.get("doubts"):
            return {**result, **self._settled(args["doubts"], str(args.get("answers") or ""), release, variables)}
        if args.get("components") == []:
            return {**result, "changed": False, "components": {}}
        if not isinstance(answer, Mapping):
            answer = self._execute_module(module_name="phasegate.aistack.release_info", module_args=args, task_vars=variables)
        result.update(answer)
        if not boolean(refuse) or "components" not in answer:
            return result
        release = str(self._templar.template(variables.get("release_request") or "")) or release  # what the role goes by
        described = parts.described(self._templar, variables, ("application", "release_from"))
        applications = self._templar.template(variables.get("aistack_applications") or {})
        bad = marked_bad(answer["components"], release, described, applications)
        return pages.refusal(bad_text(bad)) if bad else result

    def _settled(self, doubts: Mapping[str, str], answers: str, release: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Whether what the hosts that are still there have said settles the doubts; a refusal where it does not."""
        here = variables.get("ansible_play_hosts") or []
        there = {host: answer for host, answer in parts.of_hosts(variables, answers).items() if host in here}
        described = parts.described(self._templar, variables, ("hosts",))
        left = open_doubts(doubts, described, variables.get("groups", {}), there, release)
        listed = "\n".join(left)
        return pages.refusal(f"Refused. Nothing was touched.\n{listed}") if left else {"changed": False}
