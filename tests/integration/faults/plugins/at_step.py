# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Something happens at a named step of a playbook: the controller is killed, or a command of the test is run.

Reads C(AT_STEP), a JSON object: C(step), a part of the task's name; C(after), seconds into the task; C(run), a command as a list, or
nothing for SIGKILL to the whole process group; C(trace), a file to which the name of every step is appended when it begins, and once
more behind C(changed) when it changed something; C(acted) when the command has ended well, and why where it has not.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from typing import Any

from ansible.executor.task_result import CallbackTaskResult as TaskResult
from ansible.playbook.task import Task
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: at_step
type: aggregate
short_description: A fault at a named step
description: For the fault tests only.
"""


class CallbackModule(CallbackBase):
    """Counts the steps, and acts once."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "at_step"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._wanted: dict[str, Any] = json.loads(os.environ["AT_STEP"])
        self._done = False

    @staticmethod
    def _name(task: Task) -> str:
        return " ".join(str(task.get_name()).removeprefix("phasegate.aistack.").split())

    def _trace(self, text: str) -> None:
        if self._wanted.get("trace"):
            with open(self._wanted["trace"], "a", encoding="utf-8") as file:
                file.write(text + "\n")

    def v2_playbook_on_task_start(self, task: Task, is_conditional: bool) -> None:
        """Note the step; where it is the wanted one, let the fault happen."""
        name = self._name(task)
        self._trace(name)
        if self._done or not self._wanted.get("step") or self._wanted["step"] not in name:
            return
        self._done = True
        self._trace(f"fault {name}")
        if self._wanted.get("run") and not self._wanted.get("after"):
            self._act()
        else:
            timer = threading.Timer(float(self._wanted.get("after") or 0), self._act)
            timer.daemon = True
            timer.start()

    def v2_runner_on_ok(self, result: TaskResult) -> None:
        """Note what changed something."""
        if result.result.get("changed"):
            self._trace(f"changed {self._name(result.task)}")

    def _act(self) -> None:
        if self._wanted.get("run"):
            done = subprocess.run(
                self._wanted["run"], stdin=subprocess.DEVNULL, check=False, timeout=120, capture_output=True, text=True
            )
            self._trace("acted" if done.returncode == 0 else f"could not act: {done.stdout} {done.stderr}")
        else:
            os.killpg(os.getpgrp(), signal.SIGKILL)
