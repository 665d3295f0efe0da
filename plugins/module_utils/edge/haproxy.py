# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HAProxy through its admin socket: who takes requests, switching it, and writing it down.

What is set through the socket is lost at a reload or a crash unless it was written to the server state file; so every
switch is followed by :meth:`Edge.persist`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.haproxy import (
    EdgeError,
    Load,
    Server,
    ask,
    parse_info,
    parse_old_workers,
    parse_servers_state,
    parse_stat,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.core import flock, progress
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.edge.rules import ASSETS

MASTER = "/run/haproxy-master.sock"
"""Where Debian's unit has the master answer (C(-S)): it passes a command on to a process from before a reload."""


class Edge:
    """One backend section of the HAProxy of this node.

    Args:
        path: its admin socket.
        backend: name of the section.
        state_file: where the server state is written.
        timeout: seconds for one command.
        master: the socket of the master, for processes from before a reload.
    """

    def __init__(self, path: str, backend: str, state_file: str, timeout: float = 5.0, master: str = MASTER) -> None:
        self.path = path
        self.backend = backend
        self.state_file = state_file
        self.timeout = timeout
        self.master = master
        self.unasked: list[int] = []
        """Processes from before a reload that could not be asked when a server was last drained."""

    def command(self, line: str) -> str:
        """Send one command and return the answer.

        Raises:
            EdgeError: nobody listens, or no complete answer came in time.
        """
        return self._ask(self.path, line)

    def _ask(self, path: str, line: str) -> str:
        try:
            return ask(path, line, self.timeout)
        except OSError as error:
            raise EdgeError(
                f"`{line}` at the admin socket {path}: {error or type(error).__name__}. "
                "Is haproxy running, and does its configuration have this `stats socket`?"
            ) from error

    def servers(self) -> dict[str, Server]:
        """The servers of the section by name.

        Raises:
            EdgeError: HAProxy does not answer, or has no such section.
        """
        found = {s.name: s for s in parse_servers_state(self.command("show servers state")) if s.backend == self.backend}
        if not found:
            raise EdgeError(f"the HAProxy behind {self.path} has no backend section `{self.backend}`: run site.yml once, which makes it")
        return found

    def set_state(self, server: str, state: str) -> None:
        """Make *server* ``ready``, ``drain`` or ``maint``, see that it is, and write it down.

        Raises:
            EdgeError: HAProxy refused, or it is not so afterwards.
        """
        answer = self.command(f"set server {self.backend}/{server} state {state}").strip()
        if answer:
            raise EdgeError(f"`set server {self.backend}/{server} state {state}` at {self.path}: HAProxy says: {answer}")
        now = self.servers()[server].state
        if now != state and not (state == "ready" and now == "down"):
            raise EdgeError(f"server {self.backend}/{server}: expected state {state}, got {now}")
        self.persist()

    def weigh(self, server: str, weight: int) -> None:
        """Give *server* a weight (0 to 256), see that it has it, and write it down.

        Raises:
            EdgeError: HAProxy refused, or it is not so afterwards.
        """
        line = f"set server {self.backend}/{server} weight {weight}"
        answer = self.command(line).strip()
        if answer:
            raise EdgeError(f"`{line}` at {self.path}: HAProxy says: {answer}")
        now = self.servers()[server].weight
        if now != weight:
            raise EdgeError(f"`{line}` at {self.path}: it weighs {now} afterwards")
        self.persist()

    def load(self, server: str) -> Load:
        """What *server* has to do now, files that are asked of both slots included."""
        loads = parse_stat(self.command("show stat -1 4 -1"))
        try:
            return replace(loads[(self.backend, server)], sessions=self._sessions(loads, server))
        except KeyError:
            raise EdgeError(f"`show stat` at {self.path} has no server {self.backend}/{server}") from None

    def _sessions(self, loads: Mapping[tuple[str, str], Load], server: str) -> int:
        """Open sessions of *server* in both sections that lead to it."""
        return sum(loads[section, server].sessions for section in (self.backend, f"{self.backend}{ASSETS}") if (section, server) in loads)

    def drained(self, server: str, timeout: float, interval: float = 0.05) -> int:
        """Wait until *server* has no session left, in processes of HAProxy from before a reload neither.

        Returns:
            Sessions that are still open after *timeout* seconds; 0 where it was emptied. A process that could not be asked counts as one:
            it lives because it has some.
        """
        end = time.monotonic() + timeout
        while True:
            left = self.load(server).sessions + self._left_before(server)
            if left == 0 or time.monotonic() >= end:
                return left
            progress.tell(f"{left} sessions still open on {self.backend}/{server}, waits for {end - time.monotonic():.0f} s more at most")
            time.sleep(interval)

    @property
    def doubt(self) -> str:
        """What C(drained) could not find out, as a sentence to go on with; empty where it knows."""
        if not self.unasked:
            return ""
        return (
            f". HAProxy's process {', '.join(map(str, self.unasked))} from before a reload has open sessions and could not be asked whether"
            f" they are of this slot: the master does not answer at {self.master} (option -S of haproxy, as in Debian's unit)"
        )

    def _left_before(self, server: str) -> int:
        """Sessions of *server* in processes from before a reload."""
        self.unasked = []
        try:
            old = parse_old_workers(self._ask(self.master, "show proc"))
        except EdgeError:
            self.unasked = self._siblings()
            return len(self.unasked)
        left = 0
        for pid in old:
            try:
                answer = self._ask(self.master, f"@!{pid} show stat -1 4 -1")
                if not answer.startswith("Can't find the target PID"):  # it has ended meanwhile
                    left += self._sessions(parse_stat(answer), server)
            except EdgeError:  # it ends at this moment, or hangs: the next look tells
                self.unasked.append(pid)
        return left + len(self.unasked)

    def _siblings(self) -> list[int]:
        """Other processes of this HAProxy's master, which are those from before a reload; none where it has no master."""
        own = parse_info(self.command("show info"))[0]
        name, parent = _process(own)
        if not name or _process(parent)[0] != name:
            return []
        others = (pid for pid in os.listdir("/proc") if pid.isdigit() and pid != own)
        return sorted(int(pid) for pid in others if _process(pid) == (name, parent))

    def persist(self) -> None:
        """Write the state of all servers to the state file, whole or not at all.

        Other components of the node switch at the same HAProxy: the lock keeps an older answer from replacing a newer.
        """
        with flock.held(f"{self.state_file}.lock"):
            text = self.command("show servers state")
            parse_servers_state(text)  # never replace a good file by something else
            write_file(Path(self.state_file), text, 0o644)


def _process(pid: str) -> tuple[str, str]:
    """Name of a process and number of its parent; empty where there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            head, _bracket, rest = file.read().rpartition(")")
    except OSError:
        return "", ""
    fields = rest.split()
    return ("", "") if fields[0] in ("Z", "X") else (head.partition("(")[2], fields[1])
