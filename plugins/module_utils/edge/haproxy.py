# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HAProxy through its admin socket: who takes requests, switching it, and writing it down.

What is set through the socket is lost at a reload or a crash unless it was written to the server state file; so every
switch is followed by :meth:`Edge.persist`.
"""

from __future__ import annotations

import csv
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.core import flock, progress
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.edge.rules import ASSETS

MASTER = "/run/haproxy-master.sock"
"""Where Debian's unit has the master answer (C(-S)): it passes a command on to a process from before a reload."""
ANSWER_LIMIT = 16 * 1024 * 1024
"""Bytes of an answer that are read at most."""

# Bits of srv_admin_state (HAProxy 2.6 and 3.0, include/haproxy/server-t.h). 0x04 (configured as `disabled`) stays set
# after a server has been made ready, so it says nothing about now.
_MAINT = 0x01 | 0x02 | 0x20 | 0x40
_DRAIN = 0x08 | 0x10
_STOPPED = 0


WANTED = "Expected an HAProxy from 2.6 on. See haproxy -v on the node"


class EdgeError(Exception):
    """HAProxy did not do as asked; the message says what was asked, where, and what came."""


@dataclass(frozen=True)
class Server:
    """One server of a backend section.

    Attributes:
        state: ``ready``, ``drain`` or ``maint`` as the administrator set it; ``down`` where it is ready but its health
            check fails.
    """

    backend: str
    name: str
    address: str
    port: int
    state: str


@dataclass(frozen=True)
class Load:
    """What a server has to do.

    Attributes:
        sessions: sessions open now (``scur``).
        status: HAProxy's word for it, such as ``UP``, ``DRAIN``, ``MAINT``, ``DOWN``.
    """

    sessions: int
    status: str


def parse_servers_state(text: str) -> list[Server]:
    """Read ``show servers state`` (format version 1).

    Raises:
        EdgeError: it is in another form.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2 or lines[0].strip() != "1" or not lines[1].startswith("# "):
        raise EdgeError(f"`show servers state` answered in a form that is not known here: {text[:80]!r}. {WANTED}")
    names = lines[1][2:].split()
    servers = []
    for line in lines[2:]:
        row = dict(zip(names, line.split()))
        try:
            servers.append(
                Server(
                    backend=row["be_name"],
                    name=row["srv_name"],
                    address=row["srv_addr"],
                    port=int(row["srv_port"]),
                    state=_word(int(row["srv_admin_state"]), int(row["srv_op_state"])),
                )
            )
        except (KeyError, ValueError) as error:
            raise EdgeError(f"`show servers state`: line {line!r} lacks {error}") from error
    return servers


def _word(admin: int, operational: int) -> str:
    if admin & _MAINT:
        return "maint"
    if admin & _DRAIN:
        return "drain"
    return "down" if operational == _STOPPED else "ready"


def stat_rows(text: str) -> dict[tuple[str, str], dict[str, str]]:
    """Read ``show stat``: ``(section, server)`` to its row; a section's frontend and its sum are ``FRONTEND`` and ``BACKEND``.

    Raises:
        EdgeError: it is in another form.
    """
    if not text.startswith("# pxname,"):
        raise EdgeError(f"`show stat` answered in a form that is not known here: {text[:80]!r}. {WANTED}")
    rows = csv.DictReader(text[2:].splitlines())
    return {(row["pxname"], row["svname"]): row for row in rows if row.get("pxname") and row.get("svname")}


def parse_stat(text: str) -> dict[tuple[str, str], Load]:
    """Read ``show stat``: ``(backend, server)`` to its load; frontends and sums are there as well.

    Raises:
        EdgeError: it is in another form.
    """
    return {key: Load(int(row["scur"] or 0), row["status"] or "") for key, row in stat_rows(text).items()}


def parse_info(text: str) -> tuple[str, float]:
    """Read ``show info``: the process' number, and for how many seconds it has been running.

    Raises:
        EdgeError: it is in another form.
    """
    lines = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    try:
        return lines["Pid"].strip(), float(lines["Uptime_sec"])
    except (KeyError, ValueError) as error:
        raise EdgeError(f"`show info` answered in a form that is not known here, without {error}: {text[:80]!r}. {WANTED}") from error


def parse_old_workers(text: str) -> list[int]:
    """Read ``show proc``: the processes from before a reload that still have requests.

    Raises:
        EdgeError: it is in another form.
    """
    if not text.startswith("#<PID>"):
        raise EdgeError(f"`show proc` answered in a form that is not known here: {text[:80]!r}. {WANTED}")
    section, found = "", []
    for line in text.splitlines()[1:]:
        words = line.split()
        if line.startswith("#"):
            section = line[1:].strip()
        elif section == "old workers" and words and words[0].isdigit():
            found.append(int(words[0]))
    return found


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
        chunks: list[bytes] = []
        size = 0
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
                client.settimeout(self.timeout)
                client.connect(path)
                client.sendall(line.encode() + b"\n")
                client.shutdown(socket.SHUT_WR)  # the master waits for more otherwise
                while True:
                    chunk = client.recv(65536)
                    if not chunk:
                        break
                    size += len(chunk)
                    if size > ANSWER_LIMIT:
                        raise EdgeError(f"`{line}` at {path}: more than {ANSWER_LIMIT} bytes came")
                    chunks.append(chunk)
        except OSError as error:
            raise EdgeError(
                f"`{line}` at the admin socket {path}: {error or type(error).__name__}. "
                "Is haproxy running, and does its configuration have this `stats socket`?"
            ) from error
        return b"".join(chunks).decode("utf-8", "replace")

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
