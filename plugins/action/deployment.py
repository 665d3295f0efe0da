# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.deployment): what people are told of a deployment, out of the answers of all nodes."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.rollout import plan
from ansible_collections.phasegate.aistack.plugins.plugin_utils import pages, parts
from ansible_collections.phasegate.aistack.plugins.plugin_utils.controller_action import ControllerAction

ARGUMENTS: dict[str, dict[str, Any]] = {
    "application": {"type": "str", "required": True},
    "release": {"type": "str", "required": True},
    "released": {"type": "list", "elements": "str", "required": True},
    "answers": {"type": "str", "required": True},
    "named": {"type": "bool", "default": True},
    "run": {"type": "str", "required": True},
    "finished": {"type": "bool", "default": False},
    "phases": {"type": "list", "elements": "str", "default": []},
    "migrations": {"type": "str", "default": ""},
    "evidence": {"type": "str", "default": ""},
    "drain": {"type": "bool", "default": False},
}
_OF_TASKS = ("role", "port", "options", "slots")


def live_releases(answers: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The releases that the nodes say are live, each once."""
    components = [said for answer in answers.values() for said in (answer.get("components") or {}).values()]
    return sorted({str(said["live"]["release"]) for said in components if (said.get("live") or {}).get("release")})


def seconds_of(run: str, now: datetime.datetime) -> float:
    """Seconds since a run began, which its identifier says."""
    began = datetime.datetime.strptime(run.split("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    return (now - began).total_seconds()


def done_lines(released: Sequence[str], release: str, migrated: Iterable[Mapping[str, Any]], phases: Sequence[str],
               evidence: str) -> list[str]:
    """What was done, a line each. Of a node that holds two databases the later one is named."""
    said = [str(one.get("msg") or "") for one in migrated if one.get("changed")]
    return [*said, f"{', '.join(released)}: {release}", *([f"{', '.join(phases)}: {evidence}"] if evidence else [])]


class ActionModule(ControllerAction):
    """Read what the nodes said once, and say what follows."""

    arguments = ARGUMENTS

    def answer(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the facts of notices; fail where no release was named and one is live."""
        answers = parts.of_hosts(task_vars, args["answers"])
        live = live_releases(answers)
        if live and not args["named"]:
            return pages.refusal(
                f"Refused: no release was named, and {args['application']} is live: {', '.join(live)}. Nothing was touched.\n"
                f"  The inventory's {args['release']} is taken only where nothing is live, because it may be older than what is.\n"
                "  Expected the release by name: -e release=TAG."
            )
        described, groups = parts.described(self._templar, task_vars, ("hosts",)), task_vars.get("groups", {})
        in_play = task_vars.get("ansible_play_hosts_all") or []
        there = dict.fromkeys(host for name in args["released"] for host in groups.get(described[name]["hosts"], []))
        facts: dict[str, Any] = {
            "stack": str(self._templar.template(task_vars.get("aistack_name") or "")), "application": args["application"],
            "from": ", ".join(live), "to": args["release"], "run": args["run"], "nodes": [host for host in there if host in in_play],
        }
        if args["finished"]:
            migrated = parts.of_hosts(task_vars, args["migrations"]).values()
            facts["done"] = done_lines(args["released"], args["release"], migrated, args["phases"], args["evidence"])
            facts["seconds"] = seconds_of(args["run"], datetime.datetime.now(datetime.timezone.utc))
        result: dict[str, Any] = {"changed": False, "facts": facts, "live": live}
        if args["drain"] and not args["finished"]:
            serves = {name for answer in answers.values() for name, said in (answer.get("components") or {}).items() if said.get("live")}
            asked = parts.described(self._templar, task_vars, _OF_TASKS)
            told = plan.not_drained({name: asked[name] for name in args["released"] if name in serves})
            result["warnings"] = [told] if told else []
        return result
