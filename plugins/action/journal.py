# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of C(phasegate.aistack.journal): who runs, and whether the run that holds the lock still lives.

The lease names the C(ansible-playbook) process that took it. When that process ran on this very
controller and is gone, the lease is taken over at once; one that lives is left alone. While the process
goes on, the lease is kept alive from here, over the connection that took it. A job of AWX works in a container of its own, so AWX is
asked of one, where it may be.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.heartbeat import Beat, Heart, Mark
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lease, Owner
from ansible_collections.phasegate.aistack.plugins.module_utils.node.claims import node_claims
from ansible_collections.phasegate.aistack.plugins.plugin_utils import owner, parts

display = Display()


def controller_id() -> str:
    """Return a text that tells two controllers of the same host name apart: machine and process namespace."""
    known = [socket.gethostname()]
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        try:
            known.append(Path(path).read_text(encoding="ascii").strip())
            break
        except OSError:
            continue
    try:
        known.append(os.readlink("/proc/self/ns/pid"))
    except OSError:
        known.append("")
    return hashlib.sha256("\n".join(known).encode()).hexdigest()[:16]


def owner_facts() -> Owner:
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


def is_dead(lease: Lease) -> bool:
    """Tell whether the holder ran on this controller and is gone."""
    holder = lease.get("owner") or {}
    if holder.get("controller_id") != controller_id() or not holder.get("pid"):
        return False
    return not proc.alive(int(holder["pid"]), holder.get("pid_started"))


class ActionModule(ActionBase):
    """Fill in C(owner); take over from a dead run of this controller; keep the lease alive until it is given back."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module, a second time if the holder of the lock turned out to be dead."""
        args = dict(self._task.args)
        if isinstance(args.get("stack"), dict) and "claims" not in args["stack"]:
            args["stack"] = {**args["stack"], "claims": self._claims(task_vars or {})}
        heart, troubles = None, []
        if not self._task.check_mode and args.get("state") in ("locked", "unlocked"):
            mark = self._mark(args, task_vars or {})
            mark.remove()
            if args["state"] == "locked":
                try:
                    heart = self._heart(mark, args, task_vars or {})
                except OSError as error:
                    troubles.append(f"The lock is not kept alive while other nodes are worked on: {error}")
        try:
            result: dict[str, Any] = super().run(tmp, task_vars)
            result.update(self._asked(args, task_vars))
            if heart and not result.get("failed") and result.get("lease"):
                heart.go(float(result["lease"]["lease_s"]))
        finally:
            if heart:
                heart.leave()
        if troubles:
            result["warnings"] = [*(result.get("warnings") or []), *troubles]
        return result

    def _claims(self, variables: dict[str, Any]) -> dict[str, Any]:
        """What the stack of this run has on the node to itself."""
        components = parts.described(self._templar, variables, ("hosts", "role", "application", "release_from", "port"))
        ports = self._templar.template(variables.get("aistack_ports") or {})
        return node_claims(components, ports, variables.get("groups", {}), str(variables.get("inventory_hostname", "")))

    def _asked(self, given: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, object]:
        job = owner.job_facts(task_vars or {})
        args = {**given, "owner": {**owner_facts(), **job, **(given.get("owner") or {})}}
        answer = self._module(args, task_vars)
        held: Any = answer.get("lease") or {}
        lease: Lease = held
        if answer.get("failed") and args.get("state") == "locked" and lease:
            if is_dead(lease) or owner.has_ended(lease, job):
                answer = self._module({**args, "dead_run": lease.get("run")}, task_vars)
            else:
                answer["msg"] = f"{answer.get('msg', '')}{owner.unanswered(lease, job)}"
        return answer

    def _module(self, args: Mapping[str, object], task_vars: Mapping[str, object] | None) -> dict[str, object]:
        answer: dict[str, Any] = self._execute_module(module_name="phasegate.aistack.journal", module_args=args, task_vars=task_vars)
        return answer

    def _mark(self, args: Mapping[str, object], task_vars: Mapping[str, object]) -> Mark:
        whose = f"{task_vars.get('inventory_hostname')}\n{self._task.delegate_to}\n{args.get('state_dir')}"
        return Mark(C.DEFAULT_LOCAL_TMP, hashlib.sha256(whose.encode()).hexdigest()[:16])

    def _heart(self, mark: Mark, args: Mapping[str, object], task_vars: Mapping[str, object]) -> Heart:
        asked: dict[str, Any] = {key: args[key] for key in ("state_dir", "run") if key in args}

        def ask() -> bool:
            try:
                answer = self._module({**asked, "state": "renewed"}, task_vars)
            finally:
                self.cleanup(force=True)
            if answer.get("failed") or "lock_action" not in answer:
                raise RuntimeError(answer.get("msg") or "the node gave no answer")
            return bool(answer["lock_action"] == "renewed")

        def say(text: str) -> None:
            display.display(f"[WARNING]: {text}", color=C.COLOR_WARN, stderr=True)

        lockfile = self._play_context.connection_lockfd
        beat = Beat(str(task_vars.get("inventory_hostname")), ask, say, (lockfile,) if lockfile is not None else ())
        writer = getattr(display._final_q, "_writer", None)  # what a worker says reaches the screen by way of the run's process
        return Heart(mark, beat, os.getppid(), [writer.fileno()] if writer is not None else [])
