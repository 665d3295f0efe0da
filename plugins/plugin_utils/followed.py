# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Actions whose work takes long: what it is at is fetched from the node while it goes on, and shown."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import signal
import time
from collections.abc import Iterator
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.phasegate.aistack.plugins.module_utils.core import beside, progress
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import printable
from ansible_collections.phasegate.aistack.plugins.plugin_utils import board

FIRST_S = 2.0
"""Seconds of a module before anybody looks: most are done by then."""
LOOK_S = 2.0
"""Seconds between two observations where somebody sits in front of a clock that ticks."""
LINE_S = 30.0
"""Seconds between two observations, and two lines, where nobody shows a clock (another callback, no terminal)."""

display = Display()


class Followed(ActionBase):
    """Runs modules as any action does. One that takes more than a few seconds is asked what it is at, over the task's own connection."""

    _host = "?"

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Begin as any action does."""
        self._host = str((task_vars or {}).get("inventory_hostname") or "?")
        result: dict[str, Any] = super().run(tmp, task_vars)
        return result

    def _execute_module(self, *args: Any, **given: Any) -> dict[str, Any]:  # as the class above has it
        token, before = secrets.token_hex(16), self._task.environment
        self._task.environment = [*(before if isinstance(before, list) else [before] if before else []), {progress.VARIABLE: token}]
        try:
            with self._looked_after(token):
                answer: dict[str, Any] = super()._execute_module(*args, **given)
                return answer
        finally:
            self._task.environment = before

    def say(self, text: str) -> None:
        """Say what the action itself is at, on the controller."""
        board.put(self._host, text)

    @contextlib.contextmanager
    def _looked_after(self, token: str) -> Iterator[None]:
        parent, lockfile = os.getpid(), self._play_context.connection_lockfd
        writer = getattr(display._final_q, "_writer", None)  # what a worker says reaches the screen by way of the run's process
        kept = [lockfile] if lockfile is not None else []
        try:
            child = beside.child(again=False)
        except OSError:  # no process to be had: then nobody watches
            yield
            return
        if not child:
            with beside.ending():
                signal.signal(signal.SIGTERM, beside.leave)
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                beside.let_go([*kept, *([writer.fileno()] if writer is not None else [])])
                self._look_again_and_again(token, parent)
        try:
            yield
        finally:
            beside.end(child)
            board.take(self._host)

    def _look_again_and_again(self, token: str, parent: int) -> None:
        began = time.monotonic()
        pause = FIRST_S if board.shown() else LINE_S
        while _rest(pause, parent):
            text = self._asked(token)
            if text and board.shown():
                board.put(self._host, text)
            elif text:
                took = time.monotonic() - began
                display.display(printable(f"  … {self._host} {self._task.get_name()}: {took:.0f} s, {text}"))
            pause = LOOK_S if board.shown() else LINE_S

    def _asked(self, token: str) -> str:
        try:
            done = self._low_level_execute_command(f"cat {shlex.quote(str(progress.FOLDER / token))}", executable=None)
        except AnsibleError:  # the node does not answer at this moment; the task itself will say so if it lasts
            return ""
        return str(done.get("stdout", "")).strip() if done.get("rc") == 0 else ""


class FollowedModule(Followed):
    """The module of the same name as it is, looked after; in a task with C(async) as Ansible has it, which looks for its end itself."""

    _supports_async = True
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module."""
        result = super().run(tmp, task_vars)
        result.update(self._execute_module(task_vars=task_vars, wrap_async=self._task.async_val))
        return result


def _rest(seconds: float, parent: int) -> bool:
    """Wait; false as soon as the task has gone."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.getppid() != parent:
            return False
        time.sleep(0.1)
    return os.getppid() == parent
