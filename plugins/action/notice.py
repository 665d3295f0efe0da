# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.notice): tells people what is being done, which nobody who is not reached stops; asks commands
that may refuse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleError
from ansible.utils.display import Display

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import printable
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import what
from ansible_collections.phasegate.aistack.plugins.module_utils.notice import send as notice_send
from ansible_collections.phasegate.aistack.plugins.module_utils.notice.messages import ASKED, EVENTS
from ansible_collections.phasegate.aistack.plugins.module_utils.report.text import failures
from ansible_collections.phasegate.aistack.plugins.plugin_utils import pages
from ansible_collections.phasegate.aistack.plugins.plugin_utils.controller_action import ControllerAction
from ansible_collections.phasegate.aistack.plugins.plugin_utils.rollback_pages import RollbackPages

display = Display()


ARGUMENTS: dict[str, Any] = {
    "event": {"type": "str", "required": True, "choices": [*EVENTS, *ASKED]},
    "besides": {"type": "str", "default": "", "choices": ["", *ASKED]},
    "facts": {"type": "dict", "default": {}},
    "failures": {"type": "bool", "default": False},
    "rollback": {"type": "dict", "default": {}},
    "ended": {"type": "str", "default": "", "choices": ["", "finished", "failed"]},
}


class ActionModule(ControllerAction):
    """Read the receivers, send, warn."""

    arguments = ARGUMENTS

    def answer(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Send one event; what does not arrive is a warning."""
        if args["rollback"]:
            args["facts"] = RollbackPages(self._templar, task_vars, args["rollback"]).notice(args["ended"])
        if args["failures"]:
            hosts = task_vars.get("ansible_play_hosts_all") or []
            args["facts"] = {**args["facts"], "error": "; ".join(failures(task_vars["hostvars"].raw_get(host) for host in hosts))}
        entries, failed = self._receivers(task_vars.get("aistack_notices") or [])
        facts = {"stack": str(self._filled(task_vars.get("aistack_name")) or ""), **args["facts"]}
        if args["event"] in ASKED:
            return self._asked(args["event"], facts, entries, failed)
        result = notice_send.send_all(entries, args["event"], facts, self._task.check_mode, args["besides"])
        failed += result["failed"]
        for entry in failed:
            entry.pop("events", None)
            display.warning(printable(f"notice {args['event']}: {entry['name']} was not told: {entry['why']}"))
        told = ", ".join(result["sent"]) or "nobody"
        said = f"{'would tell' if self._task.check_mode else 'told'} {told}" + (f"; {len(failed)} not reached" if failed else "")
        return {"changed": False, "sent": result["sent"], "not_reached": failed, "msg": f"{args['event']}: {said}"}

    def _asked(self, event: str, facts: dict[str, Any], entries: list[Any], failed: list[dict[str, Any]]) -> dict[str, Any]:
        """Ask, and fail where one refuses, or cannot be asked: silence is no consent. *failed* are those that cannot be filled in."""
        unknown = [entry for entry in failed if event in entry.get("events", ())]
        result: dict[str, list[Any]] = {"sent": [], "failed": unknown}
        if not unknown:
            result = notice_send.ask_all(entries, event, facts, self._task.check_mode)
        if result["failed"]:
            refused, verb = result["failed"][0], ASKED[event][0]
            return pages.refusal(printable(
                f"Refused by {refused['name']}, which is asked before a {'deployment' if verb == 'deploy' else verb} "
                f"(aistack_notices). Nothing was touched.\n  {refused['why']}\n"
                "  Do what it says, and run the same again; without it, take the event out of its entry."
            ), refused=True)
        asked = ", ".join(result["sent"]) or "nobody"
        return {"changed": False, "sent": result["sent"], "not_reached": [],
                "msg": f"{event}: {'would ask' if self._task.check_mode else 'asked'} {asked}"}

    def _filled(self, value: Any) -> Any:
        return self._templar.template(value)

    def _receivers(self, raw: Any) -> tuple[list[Any], list[dict[str, Any]]]:
        """The receivers, filled in one by one, None for one whose secret cannot be had now: no reason to leave out the others."""
        failed: list[dict[str, Any]] = []
        try:
            given = self._filled(raw) if isinstance(raw, str) else raw
        except AnsibleError as problem:
            return [], [{"name": "aistack_notices", "why": f"it cannot be filled in: {type(problem).__name__}"}]
        if isinstance(given, Mapping) or not isinstance(given, Sequence) or isinstance(given, str):
            return [], [{"name": "aistack_notices", "why": f"it must be a list, is {what(given, secret=True)}"}]
        entries: list[Any] = []
        for index, entry in enumerate(given):
            try:
                entries.append(self._filled(entry))
            except AnsibleError as problem:
                name = entry.get("name") if isinstance(entry, Mapping) else None
                why = f"aistack_notices[{index}] cannot be filled in ({type(problem).__name__}); is a variable or the vault missing?"
                events = entry.get("events") if isinstance(entry, Mapping) else None
                failed.append({"name": str(name or f"notice {index + 1}"), "why": why, "events": list(events or ())})
                entries.append(None)
        return entries, failed
