# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What keeps the lease of a node alive from the controller, whatever the run does meanwhile and on whichever node.

One process for each lease, beside the run and not a part of it: a play waits for nothing of it, and it needs none of Ansible's forks. It
asks the node at each third of the lease to lengthen it, and ends by itself once the run has ended, however it ended, and once the run
gave the lease back, which removes the mark that it looks at. So a controller that is killed, cut off or asleep lengthens nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.core import beside, proc

LOOK_S = 0.3
"""Seconds between two observations at whether the run is still there."""
SHORTEST_ASK_S = 15.0
"""What one question to a node may take at least, however short the lease."""

Ask = Callable[[], bool]
"""Lengthens the lease; false where it is not this run's any more. Raises what it likes where the node does not answer."""
Say = Callable[[str], None]


@dataclass
class Beat:
    """How one lease is lengthened.

    Attributes:
        what: whose lease it is, for people.
        ask: see :data:`Ask`; it runs in a process of its own each time.
        say: told once when the node cannot be reached, and when the lease is another's.
        for_ask: file descriptors that *ask* needs.
        stands: whether there still is something to keep.
        halted: whether the run stands still, as one that was put into the background by Ctrl+Z: then nothing is lengthened.
    """

    what: str
    ask: Ask
    say: Say
    for_ask: tuple[int, ...] = ()
    stands: Callable[[], bool] = lambda: True
    halted: Callable[[], bool] = lambda: False

    def go_on(self, lease_s: float) -> None:
        """Lengthen a lease of ``lease_s`` seconds again and again until it stands no more, or is another's."""
        told, pause = False, lease_s / 3
        while self._rest(pause):
            if self.halted():
                continue
            answer, error = self.once(max(lease_s / 3, SHORTEST_ASK_S))
            if not self.stands():
                return
            if answer is False:
                self.say(f"{self.what}: the lock is not this run's any more. The run stops at its next step there.")
                return
            if answer is None and not told:
                self.say(
                    f"{self.what}: the lock could not be lengthened: {error}. This is tried again until the run ends; while it is in vain "
                    f"the lock runs out {lease_s:g} s after it was last lengthened, and if another run takes it then, this one stops there."
                )
            told, pause = answer is None, lease_s / (10 if answer is None else 3)

    def once(self, seconds: float) -> tuple[bool | None, str]:
        """Ask in a process that is ended after ``seconds``, or at once where nothing stands any more: the answer, or None and why."""
        here, there = os.pipe()
        child = beside.child(again=False)
        if not child:
            with beside.ending():
                signal.signal(signal.SIGTERM, beside.leave)
                beside.let_go({there, *self.for_ask})
                os.write(there, json.dumps(self._answer()).encode())
        os.close(there)
        told, end = b"", time.monotonic() + seconds
        try:
            while True:
                left = end - time.monotonic()
                if left <= 0 or not self.stands():
                    return None, f"no answer within {seconds:g} s"
                if select.select([here], [], [], min(LOOK_S, left))[0]:
                    got = os.read(here, 65536)
                    told += got
                    if not got:
                        break
        finally:
            os.close(here)
            beside.end(child)
        try:
            said = json.loads(told)
        except ValueError:
            return None, "the process that asks ended without a word"
        return said["answer"], said["error"]

    def _answer(self) -> dict[str, object]:
        try:
            return {"answer": self.ask(), "error": ""}
        except Exception as error:  # noqa: BLE001 - whatever a connection plugin raises: people are told, and it is tried again
            return {"answer": None, "error": " ".join(str(error).split())[:500] or type(error).__name__}

    def _rest(self, seconds: float) -> bool:
        """Wait; false as soon as nothing stands any more."""
        end = time.monotonic() + seconds
        while self.stands():
            left = end - time.monotonic()
            if left <= 0:
                return True
            time.sleep(min(LOOK_S, left))
        return False


class Mark:
    """A file in the run's own temporary folder; the lease is kept alive for as long as the file is what it was."""

    def __init__(self, folder: str | os.PathLike[str], name: str) -> None:
        self.path = Path(folder) / f"lease-{name}"
        self.text = ""

    def set(self) -> None:
        """Begin; who was kept alive by an earlier one ends."""
        self.text = secrets.token_hex(8)
        self.path.write_text(self.text, encoding="ascii")

    def remove(self) -> None:
        """End whatever is kept alive by this name."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # nothing is kept alive by it
            self.path.unlink()

    def stands(self) -> bool:
        """Whether it is the one that was set here."""
        try:
            return self.path.read_text(encoding="ascii") == self.text
        except OSError:
            return False


class Heart:
    """The process beside the run. Made before the node is asked for the first time, so that no connection is shared with it."""

    def __init__(self, mark: Mark, beat: Beat, controller: int, for_say: Iterable[int] = ()) -> None:
        """
        Args:
            mark: what it lives by.
            beat: what it does; its ``stands`` is filled in here.
            controller: the process of the run.
            for_say: file descriptors that ``beat.say`` needs; the others are let go.

        Raises:
            OSError: there is no room for the mark, or no process could be made.
        """
        started = proc.start_time(controller)
        mark.set()
        here, self._go = os.pipe()
        if beside.child():
            os.close(here)
            return
        with beside.ending():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a worker of Ansible's would end its whole group
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            beside.let_go({here, *for_say, *beat.for_ask})
            lease_s = _number(here)
            beat.stands = lambda: mark.stands() and proc.alive(controller, started)
            beat.halted = lambda: proc.stopped(controller)
            if lease_s > 0:
                beat.go_on(lease_s)

    def go(self, lease_s: float) -> None:
        """The lease is taken: begin. ``lease_s`` is how long it lasts."""
        with contextlib.suppress(BrokenPipeError):  # it ended already: the lease runs out, and the next step says so
            os.write(self._go, f"{lease_s}\n".encode())
        self.leave()

    def leave(self) -> None:
        """There is nothing to keep."""
        if self._go >= 0:
            os.close(self._go)
            self._go = -1


def _number(handle: int) -> float:
    text = b""
    while not text.endswith(b"\n"):
        got = os.read(handle, 100)
        if not got:
            return 0.0
        text += got
    return float(text)
