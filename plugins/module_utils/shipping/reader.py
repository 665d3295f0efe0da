# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading systemd's journal as it grows, by C(journalctl), in portions."""

from __future__ import annotations

import os
import select
import subprocess
import time
from pathlib import Path
from types import TracebackType

from ansible_collections.phasegate.aistack.plugins.module_utils.shipping.lines import FIELDS
from ansible_collections.phasegate.aistack.plugins.module_utils.shipping.position import Position

PORTION = 1024 * 1024
"""Bytes of entries that are taken together at most, unless one alone is longer."""
LINGER = 0.2
"""Seconds for which a portion that has begun is waited for."""


class Ended(Exception):
    """journalctl has ended, which it does not do by itself."""


def _this_machine() -> list[str]:
    """What entries of this machine's own journal have."""
    try:
        return [f"_MACHINE_ID={Path('/etc/machine-id').read_text(encoding='ascii').strip()}"]
    except OSError:
        return []


class Reader:
    """The entries behind a position. C(folder): journal files of another folder than the system's."""

    def __init__(self, position: Position, folder: str = "") -> None:
        # without --merge, --follow leaves out what waits from before the last boot; with it, journals of other machines are in sight
        own = [] if folder else _this_machine()
        start = f"--after-cursor={position.cursor}" if position.cursor else f"--since=@{position.since:.6f}"
        argv = ["journalctl", "--quiet", "--no-pager", "--all", "--follow", "--no-tail", "--merge", "--output=json",
                f"--output-fields={','.join(FIELDS)}", start, *([f"--directory={folder}"] if folder else []), *own]
        self._child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self._pipe = self._child.stdout.fileno() if self._child.stdout else -1
        self._rest = b""

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._child.kill()
        self._child.wait()
        if self._child.stdout:
            self._child.stdout.close()

    def portion(self, wait: float) -> list[bytes]:
        """The next entries, a JSON text each; none where nothing came for *wait* seconds.

        Raises:
            Ended: there will be no more.
        """
        until, begun = time.monotonic() + wait, False
        while len(self._rest) < PORTION or b"\n" not in self._rest:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._pipe], [], [], left)[0]:
                break
            data = os.read(self._pipe, PORTION)
            if not data and b"\n" not in self._rest:
                raise Ended(f"journalctl ended with exit status {self._child.wait()}")
            if not data:
                break
            self._rest += data
            if not begun and b"\n" in data:
                begun, until = True, min(until, time.monotonic() + LINGER)
        whole, _end, self._rest = self._rest.rpartition(b"\n")
        return [line for line in whole.split(b"\n") if line]
