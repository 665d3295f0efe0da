# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processes of the controller beside a task: a copy of the task's own process that goes on with what it has, its connection above all."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from types import FrameType
from typing import NoReturn

GRACE_S = 2.0
"""Seconds for a process that is ended to clean up after itself."""


def let_go(kept: Iterable[int]) -> None:
    """Point every file that this process has open at nothing, except *kept*: who waits for their end is to see it.

    They stay open as numbers, so that nothing that writes to one of them hits another file.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    folder = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    for number in map(int, os.listdir(folder)):
        if number != nothing and number not in kept:
            with contextlib.suppress(OSError):  # the one that listed them
                os.fstat(number)
                os.dup2(nothing, number, inheritable=number < 3)


def child(again: bool = True) -> int:
    """Fork; 0 in the child, which leads a session of its own. With *again* nobody has to wait for it."""
    pid = os.fork()
    if pid:
        if again:
            os.waitpid(pid, 0)
        return pid
    os.setsid()
    if again and os.fork():
        os._exit(0)
    return 0


def leave(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit  # on its way out a connection removes where it has put a password for ssh


def end(pid: int) -> None:
    """End a process that leads a session, and what it started."""
    with contextlib.suppress(ProcessLookupError):  # it ended by itself
        os.kill(pid, signal.SIGTERM)
    until, ended = time.monotonic() + GRACE_S, False
    while not ended and time.monotonic() < until:
        ended = os.waitpid(pid, os.WNOHANG)[0] == pid
        time.sleep(0 if ended else 0.02)
    for end_it in (os.killpg, os.kill) if not ended else (os.killpg,):  # it may have no group of its own yet
        with contextlib.suppress(ProcessLookupError, PermissionError):  # what became root on this host ends by itself
            end_it(pid, signal.SIGKILL)
    if not ended:
        os.waitpid(pid, 0)


class ending:
    """The process does not go on after the block, whatever comes: what is above on the stack is another program's."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_raised: object) -> NoReturn:
        os._exit(0)
