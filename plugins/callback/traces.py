# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sends what a run did, and how long each part of it took, to a store of traces."""

from __future__ import annotations

DOCUMENTATION = r"""
name: traces
type: notification
short_description: A run as a trace, sent by OTLP
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Sends one trace at the end of a run to the store that C(aistack_traces) names, by OTLP over HTTP. It has a span for the run, for each
    phase, for each task of this collection, for each other task that took a second or failed, and for each probe.
  - Where the inventory has no C(aistack_traces) nothing is recorded.
  - No result of a task, no argument and no message is in it, only names, hosts and verdicts.
  - A store that is away costs the timeout of C(aistack_traces) at most, and a warning.
requirements:
  - "It is enabled in C(ansible.cfg): C(callbacks_enabled = phasegate.aistack.traces)."
"""

import os
import time
from collections.abc import Mapping
from typing import Any

from ansible import context
from ansible.errors import AnsibleError
from ansible.executor.stats import AggregateStats
from ansible.executor.task_result import CallbackTaskResult as TaskResult
from ansible.inventory.host import Host
from ansible.playbook import Playbook
from ansible.playbook.play import Play
from ansible.playbook.task import Task
from ansible.plugins.callback import CallbackBase
from ansible.template import Templar

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import printable
from ansible_collections.phasegate.aistack.plugins.plugin_utils.run_trace import RunTrace, send

VARIABLE = "aistack_traces"
TIMEOUT_S = 2.0
"""Seconds for sending where the inventory says none."""


def settings_of(play: Play) -> tuple[dict[str, Any], str]:
    """C(aistack_traces), as the first host of the inventory sees it, and the name of the stack.

    Raises:
        AnsibleError: it cannot be filled in.
    """
    manager = play.get_variable_manager()
    for host in manager._inventory.get_hosts("all")[:1]:
        known = manager.get_vars(play=play, host=host, include_hostvars=False)
        if VARIABLE in known:
            templar = Templar(loader=play.get_loader(), variables=known)
            given = templar.template(known[VARIABLE]) or {}
            if not isinstance(given, Mapping):
                raise AnsibleError("it is no mapping")
            return dict(given), str(templar.template(known.get("aistack_name") or ""))
    return {}, ""


class CallbackModule(CallbackBase):
    """Record, and send at the end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "phasegate.aistack.traces"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._trace: RunTrace | None = None
        self._asked = False
        self._name = ""
        self._began = time.time_ns()
        self._url = ""
        self._timeout = TIMEOUT_S

    def v2_playbook_on_start(self, playbook: Playbook) -> None:
        """Remember how the run is called."""
        self._name = os.path.basename(str(playbook._file_name))
        self._began = time.time_ns()

    def v2_playbook_on_play_start(self, play: Play) -> None:
        """With the first play the inventory is known, and whether a trace is wanted."""
        if self._asked:
            return
        self._asked = True
        try:
            given, stack = settings_of(play)
            self._url = str(given.get("url") or "")
            self._timeout = float(given.get("timeout") or TIMEOUT_S)
            if given and not self._url.startswith(("http://", "https://")):
                raise AnsibleError(f"url: '{self._url}' does not begin with http:// or https://")
        except (AnsibleError, TypeError, ValueError) as error:
            self._display.warning(printable(f"{VARIABLE}: {error}; this run leaves no trace"))
            self._url = ""
        if not self._url:
            self.disabled = True
            return
        self._trace = RunTrace(self._name, self._began)
        self._trace.root.attributes.update({"aistack.stack": stack} if stack else {})
        self._trace.root.attributes.update({"aistack.check": True} if context.CLIARGS.get("check") else {})

    def v2_runner_on_start(self, host: Host, task: Task) -> None:
        """A host begins a task."""
        if self._trace:
            self._trace.began(task._uuid, host.get_name(), time.time_ns())

    def _ended(self, result: TaskResult, failed: bool = False) -> None:
        if self._trace:
            name = printable(" ".join(str(result.task.get_name()).split()))
            self._trace.ended(result.task._uuid, result.host.get_name(), name, str(result.task.resolved_action or result.task.action),
                              result.result, failed, time.time_ns())

    def v2_runner_on_ok(self, result: TaskResult) -> None:
        """A host has ended a task."""
        self._ended(result)

    def v2_runner_on_failed(self, result: TaskResult, ignore_errors: bool = False) -> None:
        """Likewise, and it failed."""
        self._ended(result, failed=not ignore_errors)

    def v2_runner_on_unreachable(self, result: TaskResult) -> None:
        """Likewise: the host was not there."""
        self._ended(result, failed=True)

    def v2_playbook_on_stats(self, stats: AggregateStats) -> None:
        """The run is over: send it."""
        if not self._trace:
            return
        totals = [stats.summarize(host) for host in stats.processed]
        self._trace.finish(any(total["failures"] or total["unreachable"] for total in totals), time.time_ns())
        why = send(self._url, self._trace.as_otlp(), self._timeout)
        if why:
            self._display.warning(printable(f"The trace of this run was not kept: {why}. Nothing else depends on it."))
        else:
            self._display.display(printable(f"Trace {self._trace.id}, {len(self._trace.spans)} spans, is at {self._url}."))
