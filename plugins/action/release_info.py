# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.release_info): refuses a release that would be chosen and that a node calls bad."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import application_of, release_name
from ansible_collections.phasegate.aistack.plugins.module_utils.release import source_check
from ansible_collections.phasegate.aistack.plugins.plugin_utils import pages, parts


def bad_text(bad: list[str]) -> str:
    """The refusal of what is marked bad."""
    listed = "\n".join(bad)
    return (f"Refused. Nothing was touched.\n{listed}\n  It is not chosen again. Correct it and give it a new tag, or ask for it by name "
            "with -e allow_bad=true.")


def open_doubts(doubts: Mapping[str, str], components: Mapping[str, Any], groups: Mapping[str, Sequence[str]],
                there: Mapping[str, Mapping[str, Any]], release: str = "") -> list[str]:
    """Of what the module stack doubts, what the nodes do not settle."""
    hosts = {name: groups.get(components[name]["hosts"], []) for name in doubts}
    return source_check.open_doubts(doubts, hosts, there, release)


def marked_bad(there: Mapping[str, Any], release: str, components: Mapping[str, Any] | None = None,
               applications: Mapping[str, Any] | None = None) -> list[str]:
    """Why a release is not to be chosen on a node, where it is not live: of what M(phasegate.aistack.release_info) said.

    Where no *release* was asked for, what is live stays, and where nothing is, that which the inventory names would be chosen.
    """
    known, found = components or {}, []
    for name, said in there.items():
        live = (said.get("live") or {}).get("release")
        tag = release or live or ((applications or {}).get(application_of(name, known)) or {}).get("release")
        tag = release_name(str(tag)) if tag else tag
        if tag != live and (said.get("marks") or {}).get(tag) == "bad":
            reason = (said.get("reasons") or {}).get(tag) or "no reason given"
            found.append(f"The release {tag} of {name} is marked bad on this node: {reason}.")
    return found


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
