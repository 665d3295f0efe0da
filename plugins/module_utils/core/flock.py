# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lock of a file, waited for as long as makes sense: a process that is stopped while it has one would block all others for ever."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE_S = 30.0
"""Seconds for what others do in a moment: replace a small file, write a line."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.001, 0.02
_STATES = {"T": "stopped", "t": "stopped by a debugger", "D": "waiting for a disk"}


class Stuck(TimeoutError):
    """Somebody had the lock for longer than that takes; the message names who."""

    def __init__(self, path: str | os.PathLike[str], seconds: float) -> None:
        self.message = (
            f"{os.fspath(path)} has been locked for more than {seconds:g} s by {named(path)}. Expected it to be free again by then. "
            "Look at that process: where it is stopped, `kill -CONT` lets it go on; where it hangs, end it with `kill -9`, which "
            "damages nothing. Then run the same again"
        )
        super().__init__(errno.ETIMEDOUT, self.message)

    def __str__(self) -> str:
        return self.message


@contextmanager
def held(path: str | os.PathLike[str], seconds: float | None = None) -> Iterator[int]:
    """Hold the lock of a file, which is made where it is missing, 0600; gives its descriptor. Raises Stuck, OSError."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        take(handle, path, seconds)
        yield handle
    finally:
        os.close(handle)


def take(handle: int, path: str | os.PathLike[str], seconds: float | None = None) -> None:
    """Lock an open file, for as long as it is open; ``seconds`` is PATIENCE_S if None. Raises Stuck, OSError."""
    patience, pause = PATIENCE_S if seconds is None else seconds, _FIRST_PAUSE_S
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= end:
                raise Stuck(path, patience) from None
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)


def holders(path: str | os.PathLike[str]) -> list[tuple[int, str, str]]:
    """Who has the lock of a file, as far as can be seen: number, name, and state (a letter) of each process."""
    try:
        wanted = os.stat(path)
    except OSError:
        return []
    found = []
    for opened in Path("/proc").glob("[0-9]*/fd"):
        with contextlib.suppress(OSError, ValueError, IndexError):  # it ended in between, or is another user's
            if _holds(opened, wanted):
                front, _bracket, rest = (opened.parent / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")
                found.append((int(opened.parent.name), front.partition("(")[2], rest.split()[0]))
    return sorted(found)


def _holds(opened: Path, wanted: os.stat_result) -> bool:
    for name in os.listdir(opened):
        with contextlib.suppress(OSError):  # closed in between
            seen = os.stat(opened / name)
            if (seen.st_dev, seen.st_ino) == (wanted.st_dev, wanted.st_ino):
                info = (opened.parent / "fdinfo" / name).read_text(encoding="ascii", errors="replace")
                if any(line.startswith("lock:") and "FLOCK" in line for line in info.splitlines()):
                    return True
    return False


def named(path: str | os.PathLike[str]) -> str:
    """Who has the lock of a file, for people."""
    found = holders(path)
    if not found:
        return "a process that cannot be seen from here (`fuser -v` on that file, as root, names it)"
    return ", ".join(f"process {pid} ({', '.join([name, *([_STATES[state]] if state in _STATES else [])])})" for pid, name, state in found)
