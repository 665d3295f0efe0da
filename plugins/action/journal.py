# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of C(phasegate.aistack.journal): who runs, and whether the run that holds the lock still lives.

The lease names the C(ansible-playbook) process that took it. When that process ran on this very
controller and is gone, the lease is taken over at once; one that lives is left alone.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import socket
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.phasegate.aistack.plugins.module_utils import proc


def controller_id() -> str:
    """Return a text that tells two controllers of the same host name apart: machine and process namespace."""
    parts = [socket.gethostname()]
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        try:
            parts.append(Path(path).read_text(encoding="ascii").strip())
            break
        except OSError:
            continue
    try:
        parts.append(os.readlink("/proc/self/ns/pid"))
    except OSError:
        parts.append("")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def owner_facts() -> dict[str, Any]:
    """Return who runs: action plugins work in a child of the C(ansible-playbook) process."""
    pid = os.getppid()
    try:
        actor = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        actor = str(os.getuid())
    return {
        "actor": actor,
        "controller": socket.gethostname(),
        "controller_id": controller_id(),
        "pid": pid,
        "pid_started": proc.start_time(pid),
    }


def is_dead(lease: dict[str, Any]) -> bool:
    """Tell whether the holder ran on this controller and is gone."""
    owner = lease.get("owner") or {}
    if owner.get("controller_id") != controller_id() or not owner.get("pid"):
        return False
    return not proc.alive(int(owner["pid"]), owner.get("pid_started"))


class ActionModule(ActionBase):
    """Fill in C(owner); take over from a dead run of this controller."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module, a second time if the holder of the lock turned out to be dead."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = dict(self._task.args)
        args["owner"] = {**owner_facts(), **(args.get("owner") or {})}

        def call(**more: Any) -> dict[str, Any]:
            answer: dict[str, Any] = self._execute_module(
                module_name="phasegate.aistack.journal", module_args={**args, **more}, task_vars=task_vars
            )
            return answer

        answer = call()
        lease = answer.get("lease") or {}
        if answer.get("failed") and args.get("state") == "locked" and lease and is_dead(lease):
            answer = call(dead_run=lease.get("run"))
        result.update(answer)
        return result
