# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.metric_gate): which host watches what, how it goes, and an end for all at a failure."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.phasegate.aistack.plugins.action.gate import Places
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import printable
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.trigger import TriggerError, normalise
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import FAIL, PASS, WAITING
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.watch_text import cut_short, progress_line, row_line
from ansible_collections.phasegate.aistack.plugins.modules.metric_gate import argument_spec
from ansible_collections.phasegate.aistack.plugins.plugin_utils import pages

LOST = 4
"""Looks after each other that may fail because the host cannot be reached, before it counts as unreachable."""

display = Display()


class ActionModule(ActionBase):
    """Pick, watch in slices, report."""

    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Watch the conditions that belong to this host; without any, answer at once and contact nobody."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        _validated, args = self.validate_argument_spec(argument_spec=argument_spec())
        host = str(variables.get("inventory_hostname", ""))
        places = Places(variables.get("groups", {}), variables.get("ansible_play_hosts_all") or [host])
        mine, problems = self._pick(args["conditions"], host, places)
        if problems:
            listed = "\n".join(f"  - {problem}" for problem in problems)
            msg = f"The conditions cannot be used ({len(problems)} problems). Nothing was looked at.\n{listed}"
            return pages.refusal(msg, verdict="error")
        if not mine:
            said = "no condition for this host"
            return {**result, "changed": False, "verdict": PASS, "conditions": [], "elapsed_s": 0.0, "duration_s": 0.0,
                    "summary": said, "msg": said, "enforced": False}
        enforce = args["enforce"] and not self._task.check_mode
        sent = {**args, "conditions": mine, "enforce": False, "slice": 0.001}
        answer = self._slices(sent, host, variables)
        answer.pop("invocation", None)
        answer.pop("state", None)
        if "conditions" in answer:
            for row in answer["conditions"]:
                row["where"] = row.get("where") or host
            answer["enforced"] = enforce
            if answer["verdict"] != PASS:
                wrong = [row_line(row) for row in answer["conditions"] if row["verdict"] != PASS]
                answer.update(failed=enforce, msg="\n".join([str(answer["summary"]), *wrong]))
        return {**result, **pages.brief(answer, "conditions")}

    @staticmethod
    def _pick(given: Sequence[Any], host: str, places: Places) -> tuple[list[dict[str, object]], list[str]]:
        """The conditions of this host, and every problem of any of them."""
        mine: list[dict[str, Any]] = []
        problems: list[str] = []
        for index, one in enumerate(given):
            name = one.get("name", "no name") if isinstance(one, Mapping) else repr(one)
            where = f"conditions[{index}] ({name})"
            try:
                condition = normalise(one)
                hosts = places.of(condition)
            except TriggerError as error:
                problems += [f"{where}: {problem}" for problem in error.problems]
                continue
            except LookupError as error:
                problems.append(f"{where}: {error.args[0]}")
                continue
            if condition["source"] != "manual" and (hosts is None or host in hosts):
                mine.append(condition)
        return mine, problems

    def _slices(self, sent: dict[str, Any], host: str, variables: dict[str, Any]) -> dict[str, Any]:
        """One look after the other, with a line for each, until it is decided here or has failed on another host.

        Hosts are watched by processes of their own. The one that fails says so in the folder that all processes of this run share.
        """
        mark = Path(C.DEFAULT_LOCAL_TMP) / f"watch-{self._task._uuid}"
        answer: dict[str, Any] = {}
        lost = 0
        while True:
            try:
                answer = self._execute_module(module_name="phasegate.aistack.metric_gate", module_args=dict(sent), task_vars=variables)
                lost = 0
            except AnsibleConnectionFailure as problem:
                lost += 1
                if lost > LOST or "state" not in answer:
                    raise
                display.warning(printable(f"{host} cannot be reached for the {lost}. time, the watch goes on: {problem}"))
            if answer.get("failed") or answer.get("verdict") != WAITING:
                if answer.get("verdict") == FAIL:
                    mark.touch()
                return answer
            sent["resume"] = answer["state"]
            display.display(printable(progress_line(host, answer)))
            due = time.monotonic() + (float(answer["due_s"]) if not lost else float(sent["interval"]))
            while time.monotonic() < due:
                if mark.exists():
                    return cut_short(answer, f"ended after {answer['elapsed_s']:.0f} s, because another host failed")
                time.sleep(min(0.5, max(0.0, due - time.monotonic())))
