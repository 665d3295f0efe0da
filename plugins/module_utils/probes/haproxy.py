# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HAProxy sends requests where it should: states of the servers of a backend section, through the admin socket."""

from __future__ import annotations

import csv
import socket
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import OUTPUT_LIMIT, CannotJudge, Context, NotAsExpected
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import check, check_all, describe, describe_all, show
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import did_you_mean
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe, judge

SOCKET = "/run/haproxy/admin.sock"
_WORDS = (("UP", "ready"), ("no check", "ready"), ("MAINT", "maint"), ("DRAIN", "drain"), ("NOLB", "drain"), ("DOWN", "down"))


def ask(path: str, command: str, context: Context) -> str:
    """One command through the admin socket.

    Raises:
        NotAsExpected: nobody answers there.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(context.remaining())
            client.connect(path)
            client.sendall(f"{command}\n".encode())
            answer = b""
            while len(answer) < OUTPUT_LIMIT:
                client.settimeout(context.remaining())
                chunk = client.recv(65536)
                if not chunk:
                    break
                answer += chunk
    except FileNotFoundError as error:
        raise NotAsExpected(f"the admin socket {path} is not there") from error
    except ConnectionRefusedError as error:
        raise NotAsExpected(f"nobody answers on the admin socket {path}") from error
    return answer.decode("utf-8", "replace")


def states(text: str) -> dict[str, dict[str, str]]:
    """Read ``show stat``: section to server to ``ready``, ``drain``, ``maint`` or ``down``.

    Raises:
        CannotJudge: it is in another form.
    """
    if not text.startswith("# pxname,"):
        raise CannotJudge(f"show stat answered in a form that is not known: {text[:60]!r}")
    found: dict[str, dict[str, str]] = {}
    for row in csv.DictReader(text[2:].splitlines()):
        if row.get("svname") in (None, "", "FRONTEND"):
            continue
        section = found.setdefault(str(row["pxname"]), {})
        if row["svname"] != "BACKEND":
            section[str(row["svname"])] = word(row.get("status") or "")
    return found


def word(status: str) -> str:
    """HAProxy's status in one word; what is not known is kept in lower case."""
    return next((ours for theirs, ours in _WORDS if status.startswith(theirs)), status.lower())


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

    def _servers(self) -> dict[str, Any]:
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

    def look(self, context: Context) -> Attempt:
        path = str(self.spec.get("socket") or SOCKET)
        sections = states(ask(path, "show stat", context))
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
