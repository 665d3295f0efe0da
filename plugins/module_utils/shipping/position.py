# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far the journals, systemd's and the node's own, are sent: what a store has answered for, and what of it is safe there.

A store answers before it writes: VictoriaLogs holds what it took in memory for some seconds, and a power cut takes it away. So a cursor
counts as settled only some seconds after the answer, and if the same connection still works then. Whenever the store was away, and at
each start, reading goes on from what is settled: a line may come twice then, and none is lost.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import write_file


class Position:
    """Where to go on in the journal.

    Args:
        path: keeps it. Where it is not there, what is said from now on is sent.
        settle: seconds after its answer in which a store may still lose what it took.
        clock: monotonic.
        newest: gives the number of the newest record of the node's own journal; asked where nothing is kept of it.
    """

    def __init__(
        self, path: Path, settle: float, clock: Callable[[], float] = time.monotonic, newest: Callable[[], int] = lambda: 0
    ) -> None:
        self.path, self.settle, self._clock = path, settle, clock
        self._answered: deque[tuple[float, str, int]] = deque()
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            self.cursor, self.since = str(kept["cursor"]), float(kept["since"])
            self.record = int(kept["record"]) if "record" in kept else newest()
        except FileNotFoundError:
            self.cursor, self.since, self.record = "", time.time(), newest()
            self._keep()
        except (ValueError, KeyError, TypeError):
            # a file that says nothing: better twice than never
            self.cursor, self.since, self.record = "", 0.0, 0

    def _keep(self) -> None:
        write_file(self.path, json.dumps({"cursor": self.cursor, "since": self.since, "record": self.record}), 0o600)

    def answered(self, cursor: str, record: int) -> None:
        """The store has answered for everything up to *cursor*, and for events up to the record with that number."""
        self._answered.append((self._clock(), cursor, record))

    @property
    def due(self) -> bool:
        """Whether something would be settled if the store answered now."""
        return bool(self._answered) and self._clock() - self._answered[0][0] >= self.settle

    def confirmed(self) -> None:
        """The store has just answered, over the same connection as all before."""
        settled = None
        while self.due:
            settled = self._answered.popleft()
        if settled:
            _at, self.cursor, self.record = settled
            self._keep()

    def back(self) -> None:
        """The store was away: what is not settled may be lost there."""
        self._answered.clear()
