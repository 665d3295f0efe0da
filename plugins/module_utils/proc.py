# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes: run one with a deadline and keep what it said; tell whether one is still alive."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Finished:
    """A command that ended. ``seconds`` is wall time; ``output`` is stdout and stderr as they came."""

    argv: list[str]
    rc: int
    output: str
    seconds: float
    timed_out: bool = False


def tail(text: str, lines: int = 40) -> str:
    """Return the last ``lines`` non-empty lines of a text."""
    return "\n".join([line.rstrip() for line in text.splitlines() if line.strip()][-lines:])


def run(
    argv: Sequence[str],
    cwd: str | os.PathLike[str],
    env: Mapping[str, str],
    timeout: float,
    user: str | None = None,
) -> Finished:
    """Run a command in a session of its own, as ``user`` if this process is root.

    ``timeout`` is in seconds; past it the whole session is ended and ``timed_out`` is set.
    A command that is not there gives ``rc`` 127, one that may not be run 126, as a shell would.

    Raises:
        LookupError: there is no such user.
    """
    began = time.monotonic()
    uid = gid = None
    groups: list[int] | None = None
    if user is not None and os.geteuid() == 0:
        try:
            entry = pwd.getpwnam(user)
        except KeyError as missing:
            raise LookupError(f"there is no user {user} on this host") from missing
        uid, gid, groups = entry.pw_uid, entry.pw_gid, []
    try:
        child = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=uid,
            group=gid,
            extra_groups=groups,
        )
    except OSError as error:
        rc = 126 if isinstance(error, PermissionError) else 127
        return Finished(list(argv), rc, f"{argv[0]}: {error.strerror}", time.monotonic() - began)
    timed_out = False
    try:
        raw, _unused = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        timed_out = True
        _end(child.pid)
        raw, _unused = child.communicate()
    except BaseException:
        _end(child.pid)
        child.wait()
        raise
    output = raw.decode("utf-8", "replace")
    return Finished(list(argv), child.returncode, output, time.monotonic() - began, timed_out)


def _end(session: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it may end by itself in between
        os.killpg(session, signal.SIGKILL)


def start_time(pid: int) -> str | None:
    """Return a text that identifies this life of ``pid``, or None when there is no such process.

    On Linux the boot and the start time in clock ticks since it; elsewhere what ``ps`` prints.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
        shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return shown.stdout.strip() or None
    fields = stat.rpartition(")")[2].split()
    if fields[0] in ("Z", "X"):
        return None
    return f"{boot_id()[:8]}:{fields[19]}"


def boot_id() -> str:
    """Return this boot's id; an empty text where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def alive(pid: int, started: str | None) -> bool:
    """Tell whether the process that had ``pid`` and began at ``started`` still runs."""
    now = start_time(pid)
    return now is not None and (not started or now == started)
