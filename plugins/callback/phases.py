# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator sees: phases, components, gates, and what came instead where one fails."""

from __future__ import annotations

DOCUMENTATION = r"""
name: phases
type: stdout
short_description: Phases, components and gates, one line for each thing that happened
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Prints one line for each change and each gate, with the node and the time it took, and nothing for what was
    as it should be.
  - A failure is printed as the text that the module wrote for people, without a dictionary around it.
  - On a terminal the task that runs at the moment is shown and replaced by what came of it.
  - With C(-v) results that changed nothing are shown too.
extends_documentation_fragment:
  - default_callback
"""

import os
import sys
import time
from typing import Any

from ansible import constants as C
from ansible.executor.stats import AggregateStats
from ansible.executor.task_result import CallbackTaskResult as TaskResult
from ansible.playbook import Playbook
from ansible.playbook.play import Play
from ansible.playbook.task import Task
from ansible.plugins.callback import CallbackBase

from ansible_collections.phasegate.aistack.plugins.module_utils.pure.node_answer import plain

SLOW = 1.0
"""Seconds from which on a task that changed nothing is worth a line."""


class CallbackModule(CallbackBase):
    """One line for each thing that happened."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "phasegate.aistack.phases"

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()
        self._task_began: dict[str, float] = {}
        self._transient = False
        self._play = ""
        self._asked_changes = 0
        self._unreported: dict[str, list[tuple[str, dict[str, Any]]]] = {}

    def _is_terminal(self) -> bool:
        return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    def _clear(self) -> None:
        if self._transient:
            sys.stdout.write("\r\x1b[K")
            sys.stdout.flush()
            self._transient = False

    def _line(self, text: str, color: str | None = None) -> None:
        self._clear()
        self._display.display(plain(text), color=color)  # a node may say anything

    def _seconds(self, task: Task) -> float:
        return time.monotonic() - self._task_began.get(task._uuid, time.monotonic())

    @staticmethod
    def _asked(task: Task) -> bool:
        """Whether the playbook only asks what would be, and takes a refusal for an answer: it prints that answer itself."""
        return bool(task.check_mode and task.ignore_errors)

    @staticmethod
    def _task_name(task: Task) -> str:
        return " ".join(str(task.get_name()).removeprefix("phasegate.aistack.").split())

    def _row(self, word: str, result: TaskResult, color: str | None, note: str = "") -> None:
        seconds = self._seconds(result.task)
        took = f"  {seconds:.1f} s" if seconds >= SLOW else ""
        self._line(f"  {word:<8} {result.host.get_name():<12} {self._task_name(result.task)}{took}{note}", color)

    def v2_playbook_on_start(self, playbook: Playbook) -> None:
        """Begin counting the time."""
        self._began = time.monotonic()

    def v2_playbook_on_play_start(self, play: Play) -> None:
        """Remember the play; its heading is printed with the first thing that happens in it."""
        self._play = play.get_name().strip()

    def v2_playbook_on_no_hosts_matched(self) -> None:
        """Say that nothing can happen: an inventory without nodes is a mistake."""
        self._line("No node of the inventory is in the group that this play works on.", C.COLOR_ERROR)

    def v2_playbook_on_task_start(self, task: Task, is_conditional: bool) -> None:
        """Show on a terminal what is being done now."""
        self._task_began[task._uuid] = time.monotonic()
        if self._is_terminal():
            self._clear()
            minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
            sys.stdout.write(f"  {minutes:02d}:{seconds:02d}    {self._task_name(task)} …"[:110])
            sys.stdout.flush()
            self._transient = True

    def v2_playbook_on_handler_task_start(self, task: Task) -> None:
        """Handlers are tasks like any other."""
        self.v2_playbook_on_task_start(task, False)

    def v2_playbook_on_include(self, included_file: Any) -> None:
        """Includes are of no interest to an operator."""

    def _heading(self, values: dict[str, Any]) -> None:
        if values.get("heading"):
            self._line("")
            self._line(str(values["heading"]), C.COLOR_HIGHLIGHT)

    def v2_runner_on_ok(self, result: TaskResult) -> None:
        """A line for what changed, for a gate, and for what took its time."""
        values = dict(result.result)
        action = str(result.task.action)
        if self._asked(result.task):
            self._asked_changes += bool(values.get("changed"))
            if self._display.verbosity == 0:
                return
        self._heading(values)
        self._show_diff(result)
        if "text" in values and action.endswith(".report"):
            self._line(str(values["text"]))
        elif action in ("ansible.builtin.debug", "debug") and "msg" in values:
            text = values["msg"]
            self._line("\n".join(f"    {line}" for line in text) if isinstance(text, list) else str(text))
        elif "verdict" in values and values.get("probes"):
            passed = values["verdict"] == "pass"
            if passed or result.task.check_mode or values.get("enforced"):
                self._row(str(values["verdict"]), result, C.COLOR_OK if passed else C.COLOR_WARN,
                          f"  {values.get('summary', '')}")
            for probe in values["probes"]:
                if probe.get("severity") == "warning" and probe.get("verdict") not in ("pass", "skipped"):
                    self._line(f"  {'warning':<8} {result.host.get_name():<12} {probe['name']}: "
                               f"expected {probe.get('expected')}, got {probe.get('got')}", C.COLOR_WARN)
        elif values.get("changed"):
            self._row("would" if result.task.check_mode else "changed", result, C.COLOR_CHANGED)
        elif self._display.verbosity > 0 or (self._seconds(result.task) >= SLOW and not result.task.loop):
            self._row("ok", result, C.COLOR_OK)

    def _show_diff(self, result: TaskResult) -> None:
        if not result.task.diff:
            return
        for values in result.result.get("results", [result.result]):
            if values.get("diff") and values.get("changed"):
                text = self._get_diff(values["diff"])
                if text.strip():
                    self._line(text.rstrip())

    def v2_runner_on_failed(self, result: TaskResult, ignore_errors: bool = False) -> None:
        """The text that the module wrote for people; where there is none, all that is known."""
        values = dict(result.result)
        if values.get("quiet") or (self._asked(result.task) and self._display.verbosity == 0):
            return
        host = result.host.get_name()
        if str(result.task.action).endswith(".report"):  # it explains what failed; the failure has its line already
            if self._unreported.pop(host, None):
                self._line(f"\n  {host}:", C.COLOR_ERROR)
            else:
                self._row("FAILED", result, C.COLOR_ERROR)
            self._explain(values)
            return
        self._row("FAILED", result, C.COLOR_ERROR)
        if self._display.verbosity == 0 and self._has_rescue(result.task):
            self._unreported.setdefault(host, []).append((self._task_name(result.task), values))
            return
        self._explain(values)

    @staticmethod
    def _has_rescue(task: Task) -> bool:
        """Whether the task stands in a block with a rescue, which reports what failed."""
        parent = getattr(task, "_parent", None)
        while parent is not None:
            if getattr(parent, "rescue", None):
                return True
            parent = getattr(parent, "_parent", None)
        return False

    def _explain(self, values: dict[str, Any]) -> None:
        items = [item for item in values.get("results", []) if isinstance(item, dict) and item.get("failed")] or [values]
        for item in items:
            text = str(item.get("msg") or item.get("censored") or "no message")
            for line in text.splitlines():
                self._line(f"    {line}", C.COLOR_ERROR)
            for name in ("stderr", "stdout", "module_stderr", "module_stdout"):
                if item.get(name) and str(item[name]).strip() not in text:
                    self._line(f"    {name}:", C.COLOR_ERROR)
                    for line in str(item[name]).strip().splitlines()[-20:]:
                        self._line(f"      {line}")
        if self._display.verbosity > 1:
            self._line(self._dump_results(values))

    def v2_runner_on_unreachable(self, result: TaskResult) -> None:
        """Name the node, the address, and what the connection said."""
        self._row("UNREACHED", result, C.COLOR_UNREACHABLE)
        for line in str(result.result.get("msg", "")).splitlines():
            self._line(f"    {line}", C.COLOR_UNREACHABLE)
        self._line(f"    Try: ansible -m ping {result.host.get_name()}", C.COLOR_UNREACHABLE)

    def v2_runner_on_skipped(self, result: TaskResult) -> None:
        """Nothing happened, nothing is printed."""

    def v2_on_file_diff(self, result: TaskResult) -> None:
        """Differences are shown with the result itself."""

    def v2_playbook_on_stats(self, stats: AggregateStats) -> None:
        """One line for all nodes, with the time."""
        self._clear()
        for host, failures in self._unreported.items():
            for name, values in failures:
                self._line(f"\n  {'FAILED':<8} {host:<12} {name}", C.COLOR_ERROR)
                self._explain(values)
        hosts = sorted(stats.processed)
        totals = {host: stats.summarize(host) for host in hosts}
        bad = [host for host in hosts if totals[host]["failures"] or totals[host]["unreachable"]]
        changed = sum(total["changed"] for total in totals.values()) - self._asked_changes
        minutes, seconds = divmod(time.monotonic() - self._began, 60)
        took = f"{int(minutes)} min {seconds:.0f} s" if minutes else f"{seconds:.1f} s"
        if bad:
            self._line(f"\nFailed on {', '.join(bad)} after {took}.", C.COLOR_ERROR)
        else:
            self._line(f"\n{len(hosts)} nodes, {changed} changes, {took}.", C.COLOR_CHANGED if changed else C.COLOR_OK)
