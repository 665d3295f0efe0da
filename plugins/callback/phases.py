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
  - On a terminal the task that runs at the moment is shown with a clock that ticks and with what long work is at (which
    step, how many bytes, who is waited for), and is replaced by what came of it. Without a terminal a task that goes on
    has a line every 30 seconds.
  - With C(-v) results that changed nothing are shown too.
extends_documentation_fragment:
  - default_callback
"""

import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible import constants as C, context
from ansible.executor.stats import AggregateStats
from ansible.executor.task_result import CallbackTaskResult as TaskResult
from ansible.playbook import Playbook
from ansible.playbook.play import Play
from ansible.playbook.task import Task
from ansible.plugins.callback import CallbackBase
from ansible.utils.display import Display

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import printable
from ansible_collections.phasegate.aistack.plugins.plugin_utils import board

SLOW = 1.0
"""Seconds from which on a task that changed nothing is worth a line."""
NEW_FILE = 12
"""Lines of a new file up to which a difference shows them without being asked: of a first run nobody reads hundreds."""
NOT_YET = re.compile(r"failed to look up (?:user|group) .* up to this point")
"""What Ansible warns of in check mode where the user is made by an earlier task of the same run."""
STEP = re.compile(r"\(\d+/\d+\) ")
"""How the names of a playbook's steps begin."""
ASKING = ("ansible.builtin.pause", "pause", "phasegate.aistack.report")
"""Actions that may ask somebody: what he reads and types stays as it is."""


class Clock:
    """What the running task is at, shown again while nothing else is: in place on a terminal, else in a line now and then."""

    TICK_S = 1.0
    LINE_S = 30.0

    def __init__(self, display: Display) -> None:
        self._display = display
        self._began = self._at = time.monotonic()
        self._name = ""
        self._transient = False
        self._guard = display._lock  # held by the display while it writes, and by Ansible while it forks
        self._stopped = threading.Event()
        self._folder: Path | None = None
        self._terminal = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    def start(self) -> None:
        """Begin to tick; without room for the board what long work is at is not shown, only how long it takes."""
        try:
            self._folder = board.open_for_run()
        except OSError as error:
            self._display.warning(f"What long work is at is not shown: {error}")
        plain = self._display.display

        def display(*args: Any, **given: Any) -> None:  # what workers and warnings say does not go behind the running line
            if self._display._final_q:  # in a worker, whose words come here
                plain(*args, **given)
                return
            with self._guard:
                self.clear()
                plain(*args, **given)

        self._display.display = display  # type: ignore[method-assign]  # on purpose: the one display through which everybody speaks
        threading.Thread(target=self._go_on, name="clock", daemon=True).start()

    def stop(self) -> None:
        """Tick no more."""
        self._stopped.set()
        self.task("")

    def task(self, name: str) -> None:
        """Another task runs now; none where the name is empty."""
        with self._guard:
            self.clear()
            self._name, self._at = name, time.monotonic()
            if self._terminal and name:
                self._draw()

    def clear(self) -> None:
        """Take the running line away, so that another one can be written."""
        with self._guard:  # else a tick in between is a line that nobody takes away
            if self._transient:
                sys.stdout.write("\r\x1b[K")
                sys.stdout.flush()
                self._transient = False

    def _go_on(self) -> None:
        lines = 0
        at = self._at
        while not self._stopped.wait(self.TICK_S):
            with self._guard:
                if not self._name:
                    continue
                if self._terminal:
                    self._draw()
                    continue
                if at != self._at:
                    at, lines = self._at, 0
                seconds = time.monotonic() - self._at
                if seconds >= (lines + 1) * self.LINE_S:
                    lines = int(seconds / self.LINE_S)
                    self._display.display(self._text(seconds))

    def _draw(self) -> None:
        now = time.monotonic()
        minutes, seconds = divmod(int(now - self._began), 60)
        width = max(40, shutil.get_terminal_size().columns - 1)
        text = f"  {minutes:02d}:{seconds:02d}    {self._text(now - self._at).strip()}"
        self.clear()
        sys.stdout.write(text if len(text) <= width else f"{text[: width - 1]}…")
        sys.stdout.flush()
        self._transient = True

    def _text(self, seconds: float) -> str:
        took = f"  {seconds:.0f} s" if seconds >= SLOW else ""
        said = board.read(self._folder) if self._folder is not None else {}
        same: dict[str, list[str]] = {}
        for host, text in said.items():
            same.setdefault(text, []).append(host)
        told = "".join(f"  {', '.join(hosts)}: {text}" for text, hosts in same.items())
        return printable(f"  {'…':<8} {self._name}{took}{told}")


def short_diff(diff: Any, values: Mapping[str, Any]) -> str:
    """What is as clear in one line: a path and what becomes of it, or a file that is not there yet; empty where all of it is needed."""
    before, after = (diff.get("before"), diff.get("after")) if isinstance(diff, Mapping) else (None, None)
    if isinstance(before, Mapping) and isinstance(after, Mapping) and after.get("path"):
        changes = [f"{key} {before.get(key, '-')} → {value}" for key, value in after.items() if value != before.get(key)]
        plain = all(isinstance(value, (str, int)) for value in [*before.values(), *after.values()])
        return f"  {after['path']}: {', '.join(changes)}" if changes and plain else ""
    if before or diff is None or not isinstance(after, str):
        return ""
    header, lines = str(diff.get("after_header") or ""), len(after.splitlines())
    path = str(values.get("dest") or values.get("path") or header)
    if path == header and "/ansible-local-" in header:  # where check mode has rendered a template, whose destination it does not say
        path = os.path.basename(header)
    shortened = lines > NEW_FILE and (header.startswith("/") or path.startswith("/"))
    return f"  {path}: a new file of {lines} lines; -v shows them" if shortened else ""


def counted(number: int, what: str) -> str:
    """*number* things, in words."""
    return f"{number} {what}{'' if number == 1 else 's'}"


class CallbackModule(CallbackBase):
    """One line for each thing that happened."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "phasegate.aistack.phases"
    _refused: bool | None = None
    """Whether all that failed was refused; None where nothing did."""

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()
        self._task_began: dict[str, float] = {}
        self._clock = Clock(self._display)
        self._play = ""
        self._asked_changes = 0
        self._unreported: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        self._warned: set[tuple[str, str]] = set()

    def _line(self, text: str, color: str | None = None) -> None:
        self._clock.clear()
        self._display.display(printable(text), color=color)  # much of it is what nodes and releases say

    def _seconds(self, task: Task) -> float:
        return time.monotonic() - self._task_began.get(task._uuid, time.monotonic())

    @staticmethod
    def _asked(task: Task) -> bool:
        """Whether the playbook only asks what would be, and takes a refusal for an answer: it prints that answer itself."""
        return bool(task.check_mode and task.ignore_errors)

    @staticmethod
    def _predicted(task: Task) -> bool:
        """Whether a change is one that would be made: roles of this collection ask even where check mode is off for a task."""
        return bool(task.check_mode or (context.CLIARGS.get("check") and str(task.get_name()).startswith("phasegate.aistack.")))

    @staticmethod
    def _task_name(task: Task) -> str:
        name = " ".join(str(task.get_name()).removeprefix("phasegate.aistack.").split())
        if STEP.match(name):
            return name
        parent = getattr(task, "_parent", None)
        while parent is not None:  # of what is included the step is the one that the playbook gave the include
            step = STEP.match(str(getattr(parent, "name", "") or ""))
            if step:
                return f"{step[0]}{name}"
            parent = getattr(parent, "_parent", None)
        return name

    def _row(self, word: str, result: TaskResult, color: str | None, note: str = "") -> None:
        seconds = self._seconds(result.task)
        took = f"  {seconds:.1f} s" if seconds >= SLOW else ""
        self._line(f"  {word:<8} {result.host.get_name():<12} {self._task_name(result.task)}{took}{note}", color)

    def v2_playbook_on_start(self, playbook: Playbook) -> None:
        """Begin counting the time."""
        self._began = time.monotonic()
        self._clock.start()

    def v2_playbook_on_play_start(self, play: Play) -> None:
        """Remember the play; its heading is printed with the first thing that happens in it."""
        self._play = play.get_name().strip()

    def v2_playbook_on_no_hosts_matched(self) -> None:
        """Say that nothing can happen: an inventory without nodes is a mistake."""
        said = "No node of the inventory is where this play works (the group aistack, or what -e aistack_hosts=GROUP says)."
        self._line(said, C.COLOR_ERROR)

    def v2_playbook_on_task_start(self, task: Task, is_conditional: bool) -> None:
        """Show what is being done now."""
        self._task_began[task._uuid] = time.monotonic()
        self._clock.task("" if task.action in ASKING else self._task_name(task))

    def v2_playbook_on_handler_task_start(self, task: Task) -> None:
        """Handlers are tasks like any other."""
        self.v2_playbook_on_task_start(task, False)

    def v2_playbook_on_include(self, included_file: Any) -> None:
        """Includes are of no interest to an operator."""

    def _heading(self, values: Mapping[str, object]) -> None:
        if values.get("heading"):
            self._line("")
            self._line(str(values["heading"]), C.COLOR_HIGHLIGHT)

    def _warnings(self, result: TaskResult) -> None:
        """A line for each warning of a task, once for each node: Ansible leaves it to the callback to show them."""
        host = result.host.get_name()
        for text in map(str, result.result.get("warnings") or []):
            if (host, text) not in self._warned and not (result.task.check_mode and NOT_YET.search(text)):
                self._warned.add((host, text))
                self._line(f"  {'warning':<8} {host:<12} {text}", C.COLOR_WARN)

    def v2_runner_item_on_ok(self, result: TaskResult) -> None:
        """Of one turn of a loop only its warnings are of interest; the task tells the rest."""
        self._warnings(result)

    def v2_runner_item_on_failed(self, result: TaskResult) -> None:
        """Likewise."""
        self._warnings(result)

    def v2_runner_on_ok(self, result: TaskResult) -> None:
        """A line for what changed, for a gate, and for what took its time."""
        values = dict(result.result)
        action = str(result.task.action)
        self._warnings(result)
        if self._asked(result.task):
            self._asked_changes += bool(values.get("changed"))
            if self._display.verbosity == 0:
                return
        self._heading(values)
        self._show_diff(result)
        if action in ("ansible.builtin.debug", "debug") and "msg" in values:
            text = values["msg"]
            self._line("\n".join(f"    {line}" for line in text) if isinstance(text, list) else str(text))
        elif "verdict" in values and values.get("probes"):
            passed = values["verdict"] == "pass"
            if passed or result.task.check_mode or values.get("enforced"):
                colours = {"pass": C.COLOR_OK, "skipped": C.COLOR_SKIP}
                self._row(str(values["verdict"]), result, colours.get(values["verdict"], C.COLOR_WARN),
                          f"  {values.get('summary', '')}")
            for probe in values["probes"]:
                if probe.get("severity") == "warning" and probe.get("verdict") not in ("pass", "skipped"):
                    self._line(f"  {'warning':<8} {result.host.get_name():<12} {probe['name']}: "
                               f"expected {probe.get('expected')}, got {probe.get('got')}", C.COLOR_WARN)
        elif values.get("changed"):
            self._row("would" if self._predicted(result.task) else "changed", result, C.COLOR_CHANGED)
        elif self._display.verbosity > 0 or (self._seconds(result.task) >= SLOW and not result.task.loop):
            self._row("ok", result, C.COLOR_OK)

    def _show_diff(self, result: TaskResult) -> None:
        if not result.task.diff:
            return
        for values in result.result.get("results", [result.result]):
            if values.get("diff") and values.get("changed"):
                diffs = values["diff"] if isinstance(values["diff"], list) else [values["diff"]]
                for diff in diffs:
                    text = (self._display.verbosity == 0 and short_diff(diff, values)) or self._get_diff(diff)
                    if text.strip():
                        self._line(text.rstrip())

    def v2_runner_on_failed(self, result: TaskResult, ignore_errors: bool = False) -> None:
        """The text that the module wrote for people; where there is none, all that is known."""
        values = dict(result.result)
        if values.get("quiet") or (self._asked(result.task) and self._display.verbosity == 0):
            return
        host = result.host.get_name()
        self._warnings(result)
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
        # from ansible-core 2.20 an item that failed tells it by its exception alone
        items = [item for item in values.get("results", []) if isinstance(item, dict) and (item.get("failed") or "exception" in item)]
        items = items or [values]
        for item in items:
            text = str(item.get("msg") or item.get("censored") or "no message")
            self._refused = text.startswith("Refused") and self._refused is not False
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
        meant = result.task.delegate_to or result.host.get_name()  # whichever was to do it
        self._line(f"    Try: ansible -m ping {meant}", C.COLOR_UNREACHABLE)

    def v2_runner_on_skipped(self, result: TaskResult) -> None:
        """Nothing happened, nothing is printed."""

    def v2_on_file_diff(self, result: TaskResult) -> None:
        """Differences are shown with the result itself."""

    def v2_playbook_on_stats(self, stats: AggregateStats) -> None:
        """One line for all nodes, with the time."""
        self._clock.stop()
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
            refused = self._refused and not changed and not any(total["unreachable"] for total in totals.values())
            self._line(f"\n{'Refused' if refused else 'Failed'} on {', '.join(bad)} after {took}.", C.COLOR_ERROR)
        else:
            said = f"\n{counted(len(hosts), 'node')}, {counted(changed, 'change')}, {took}."
            self._line(said, C.COLOR_CHANGED if changed else C.COLOR_OK)
