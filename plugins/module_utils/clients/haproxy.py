# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HAProxy's admin socket: one question, and its answers read. What they mean for slots, gates and triggers is said there."""

from __future__ import annotations

import csv
import socket
import time
from dataclasses import dataclass

SOCKET = "/run/haproxy/admin.sock"
ANSWER_LIMIT = 16 * 1024 * 1024
"""Bytes of an answer that are read at most."""

# Bits of srv_admin_state (HAProxy 2.6 and 3.0, include/haproxy/server-t.h). 0x04 (configured as `disabled`) stays set
# after a server has been made ready, so it says nothing about now.
_MAINT = 0x01 | 0x02 | 0x20 | 0x40
_DRAIN = 0x08 | 0x10
_STOPPED, _STOPPING = 0, 3
_WORDS = (("UP", "ready"), ("no check", "ready"), ("MAINT", "maint"), ("DRAIN", "drain"), ("NOLB", "drain"), ("DOWN", "down"))

WANTED = "Expected an HAProxy from 2.6 on. See haproxy -v on the node"


class EdgeError(Exception):
    """HAProxy did not do as asked; the message says what was asked, where, and what came."""


@dataclass(frozen=True)
class Server:
    """One server of a backend section.

    Attributes:
        state: ``ready``, ``drain`` or ``maint`` as the administrator set it; ``down`` where it is ready but its health
            check fails.
        weight: what it gets of the requests, beside the other servers' weights.
    """

    backend: str
    name: str
    address: str
    port: int
    state: str
    weight: int = 1


@dataclass(frozen=True)
class Load:
    """What a server has to do.

    Attributes:
        sessions: sessions open now (``scur``).
        status: HAProxy's word for it, such as ``UP``, ``DRAIN``, ``MAINT``, ``DOWN``.
    """

    sessions: int
    status: str


def ask(path: str, line: str, timeout: float) -> str:
    """Send one command to the socket *path* and return the whole answer, within *timeout* seconds.

    Raises:
        OSError: nobody listens there, or no complete answer came in time.
        EdgeError: more than ANSWER_LIMIT bytes came.
    """
    end = time.monotonic() + timeout
    answer = bytearray()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(timeout)
        client.connect(path)
        client.sendall(line.encode() + b"\n")
        client.shutdown(socket.SHUT_WR)  # the master waits for more otherwise
        while True:
            left = end - time.monotonic()
            if left <= 0:
                raise socket.timeout("timed out")
            client.settimeout(left)
            chunk = client.recv(65536)
            if not chunk:
                return answer.decode("utf-8", "replace")
            answer += chunk
            if len(answer) > ANSWER_LIMIT:
                raise EdgeError(f"`{line}` at {path}: more than {ANSWER_LIMIT} bytes came")


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
                    weight=int(row["srv_uweight"]),
                )
            )
        except (KeyError, ValueError) as error:
            raise EdgeError(f"`show servers state`: line {line!r} lacks {error}") from error
    return servers


def _word(admin: int, operational: int) -> str:
    if admin & _MAINT:
        return "maint"
    if admin & _DRAIN or operational == _STOPPING:
        return "drain"
    return "down" if operational == _STOPPED else "ready"


def word(status: str) -> str:
    """C(status) of ``show stat`` in the same words; what is not known is kept in lower case."""
    return next((ours for theirs, ours in _WORDS if status.startswith(theirs)), status.lower())


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
