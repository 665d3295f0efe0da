# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HAProxy sends requests where it should: states of the servers of a backend section, through the admin socket."""

from __future__ import annotations

from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import CannotJudge, Context, NotAsExpected
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.haproxy import SOCKET, EdgeError, ask, stat_rows, word
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import check, check_all, describe, describe_all, show
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import did_you_mean
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe, judge


def _asked(path: str, command: str, timeout: float) -> str:
    try:
        return ask(path, command, timeout)
    except FileNotFoundError as error:
        raise NotAsExpected(f"the admin socket {path} is not there") from error
    except ConnectionRefusedError as error:
        raise NotAsExpected(f"nobody answers on the admin socket {path}") from error


def states(text: str) -> dict[str, dict[str, str]]:
    """What ``show stat`` says: section to server to ``ready``, ``drain``, ``maint`` or ``down``.

    Raises:
        CannotJudge: it is in another form.
    """
    found: dict[str, dict[str, str]] = {}
    try:
        for (name, server), row in stat_rows(text).items():
            if server != "FRONTEND":
                section = found.setdefault(name, {})
                section.update({} if server == "BACKEND" else {server: word(row.get("status") or "")})
    except EdgeError as error:
        raise CannotJudge(str(error)) from error
    return found


class Haproxy(Probe):
    """Ask the admin socket for one section."""

    type = "haproxy"
    target = Option("str", "name of the backend section", required=True)
    options = {
        "socket": Option("str", "admin socket", default=SOCKET),
        "servers": Option("paths", "server to state: ready (or UP), drain, maint, down"),
        "ready": Option("figure", "how many servers take requests, where servers is not given", default=1),
    }
    hint = "try: echo 'show servers state' | socat stdio " + SOCKET

    def _servers(self) -> dict[str, object]:
        wanted = self.spec.get("servers") or {}
        return {
            str(name): word(rule.upper() if rule != "no check" else rule) if isinstance(rule, str) else rule
            for name, rule in wanted.items()
        }

    def _ready(self) -> Any:
        return self.spec.get("ready", None if self.spec.get("servers") else 1)

    def expectation(self) -> str:
        parts = [describe_all(self._servers())] if self.spec.get("servers") else []
        if self._ready() is not None:
            parts.append(f"servers that are ready: {describe(self._ready())}")
        return ", ".join(parts)

    def observe(self, context: Context) -> Attempt:
        path = str(self.spec.get("socket") or SOCKET)
        sections = states(_asked(path, "show stat", context.remaining()))
        name = str(self.spec["target"])
        if name not in sections:
            said = f"HAProxy has no section '{name}'{did_you_mean(name, sections)}"
            return Attempt(False, said, self.expectation(), f"sections: {show(sorted(sections))}")
        came: dict[str, Any] = sections[name]
        found = check_all(self._servers(), came)
        ready = [server for server, state in came.items() if state == "ready"]
        if self._ready() is not None:
            found += check(self._ready(), len(ready), "ready")
        return judge(found, self.expectation(), show(came), f"{name}: {show(came)}")
