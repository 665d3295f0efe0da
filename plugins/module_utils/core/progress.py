# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What long work is at, for those who watch it: step n of m, bytes, who is waited for.

A module answers only when it has ended. Meanwhile it keeps one line in a file that the controller named when it sent the module, and the
controller looks into that file (see the action plugins' ``Followed``). Where nobody named a file nobody watches, and nothing is written.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import replacing
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import printable

VARIABLE = "AISTACK_PROGRESS"
"""Environment variable that holds the name of the file below :data:`FOLDER`; what this process starts does not get it."""
FOLDER = Path("/run/aistack-progress")
EVERY_S = 0.5
"""Seconds between two lines at least; what comes in between is passed over."""
LONGEST = 160
"""Characters of a line."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
OLD_S = 86400.0
"""Seconds after which the file of a module that was killed is removed by the next one."""


class _Told:
    """The one line of this process."""

    def __init__(self) -> None:
        self.name = os.path.basename(os.environ.pop(VARIABLE, ""))
        self.step = ""
        self.began = False
        self.at = 0.0
        self.guard = threading.Lock()


_told = _Told()


def tell(text: str, at_once: bool = False) -> None:
    """Say what is done now; one line, cut to :data:`LONGEST`. It never raises: work does not fail because nobody can watch it."""
    now = time.monotonic()
    with _told.guard:
        if not _told.name or (now - _told.at < EVERY_S and not at_once):
            return
        first, _told.began, _told.at = not _told.began, True, now
        line = printable(" ".join(f"{_told.step}{text}".split()))[:LONGEST]
        with contextlib.suppress(OSError):  # no such folder on this system, no right to it, no room: then it is not shown
            if first:
                _begin()
            with replacing(FOLDER / _told.name, 0o600, lasting=False) as out:
                out.write(line.encode())


def _begin() -> None:
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    atexit.register(_remove, os.getpid())
    for path in FOLDER.iterdir():
        with contextlib.suppress(OSError):  # another one removes it at the same time
            if time.time() - path.stat().st_mtime > OLD_S:
                path.unlink()


def _remove(pid: int) -> None:
    if os.getpid() == pid:
        with contextlib.suppress(OSError):  # it is gone already, or was never written
            (FOLDER / _told.name).unlink()


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """Put ``text`` before everything that is said in the block: "tests, 5 of 9: …"."""
    before, _told.step = _told.step, text
    tell("", at_once=True)
    _told.step = f"{text}: "
    try:
        yield
    finally:
        _told.step = before


@contextlib.contextmanager
def watched(observe: Callable[[], str], every_s: float = 1.0) -> Iterator[None]:
    """Say what ``observe`` returns, again and again while the block runs; for work that cannot speak itself. An empty text says nothing."""
    if not _told.name:
        yield
        return
    done = threading.Event()

    def go_on() -> None:
        while not done.wait(every_s):
            with contextlib.suppress(OSError):  # what is looked at moves away meanwhile
                text = observe()
                if text:
                    tell(text)

    thread = threading.Thread(target=go_on, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(every_s + 1)


def last_line(output: bytes) -> str:
    """Return the last line of what a program has said so far that is not empty; programs that redraw their line have many in one."""
    text = _COLOUR.sub("", output[-4000:].decode("utf-8", "replace")).replace("\r", "\n")
    return next((line.strip() for line in reversed(text.split("\n")) if line.strip()), "")
