# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Journal and lock on the way back, where a full disk must not be an obstacle: the reserve is freed, and where that is not enough the way
back goes on without a lock, and with records that nobody could write down. What came of that is told with the result."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.journal import chain as journal_chain, reserve
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.cached import QuickJournal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Entry, Record
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal, utc_now
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lease, Lock, Owner


class EmergencyJournal(QuickJournal):
    """Keeps in mind, in order, what could not be written, and writes it as soon as that is possible; any number of threads.

    Attributes:
        freed: the reserve was freed.
        unlocked: there was no room for the lock.
    """

    rotates = False
    """A way back waits for nothing that can wait, and what waits to be written knows its number already: a seal would take it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self.freed = self.unlocked = False
        self._waiting: list[Entry] = []
        self._turn = threading.RLock()

    def begin(self) -> None:
        """Free the reserve now where there is hardly any room: what is written besides the journal needs some as well."""
        if not reserve.room(self.path.parent):
            self.make_room()

    def make_room(self) -> bool:
        """Free the reserve; False where it is gone already."""
        with self._turn:
            freed = reserve.free(self.path.parent)
            self.freed = self.freed or freed
            return freed

    def append(self, record: Entry) -> Record:
        """As :meth:`Journal.append`; where there is no room, the record as it would be."""
        with self._turn:
            self._waiting.append({**record, "time": record.get("time") or utc_now()})
            try:
                complete = self.read()[-1]  # raises ValueError where it is none
                return self.flush() or complete
            except BaseException:
                self._waiting.pop()
                raise

    def flush(self) -> Record | None:
        """Write what waits; the last record, or None where not all of it could be written."""
        with self._turn:
            last: Record | None = None
            while self._waiting:
                try:
                    last = Journal.append(self, self._waiting[0])
                except OSError as error:
                    if not reserve.is_full(error):
                        raise
                    if not self.make_room():
                        return None
                else:
                    self._waiting.pop(0)
            return last

    def read(self) -> list[Record]:
        """The records, with those that wait to be written."""
        with self._turn:
            records = super().read()
            if self._waiting:
                records = list(records)
            for fields in self._waiting:
                records.append(journal_chain.link(fields, records[-1] if records else None, ""))
            return records

    def notes(self) -> list[str]:
        """What a full disk meant, in sentences; none where it was not full."""
        with contextlib.suppress(OSError):  # what is still not written is told here
            self.flush()
        place, found = self.path.parent, []
        if self.freed:
            found.append(
                f"the disk was full ({place}), and what is kept free for this ({place / reserve.NAME}) was given up. Free some space: the "
                "next ordinary run keeps room again"
            )
        if self.unlocked:
            found.append(f"the disk is full ({place}): there was no room for the lock of this node, and this went on without one")
        if self._waiting:
            told = ", ".join(" ".join(str(r[k]) for k in ("op", "component", "release", "outcome") if r.get(k)) for r in self._waiting)
            found.append(
                f"the disk is full ({place}): the journal lacks {len(self._waiting)} records of this, which stand nowhere but here: "
                f"{told}. Free some space, and look at what is live (aistack status)"
            )
        return found


class EmergencyLock(Lock):
    """The lease, or nobody's where there is no room for one."""

    def __init__(self, state_dir: str | os.PathLike[str], journal: EmergencyJournal) -> None:
        super().__init__(state_dir)
        self.journal: EmergencyJournal = journal
        self._taken: tuple[str, str, Owner, dict[str, Any]] | None = None

    def _note(self, action: str, run: str, owner: Owner, **detail: Any) -> None:
        if action == "released":
            super()._note(action, run, owner, **detail)
        else:  # not before there is a lease: a run that has noted one and has none counts as one that lost it
            self._taken = (action, run, owner, detail)

    def _write(self, lease: Lease) -> None:
        while True:
            try:
                super()._write(lease)
                if self._taken:
                    (action, run, owner, detail), self._taken = self._taken, None
                    super()._note(action, run, owner, **detail)
                return
            except OSError as error:
                if not reserve.is_full(error):
                    raise
            if not self.journal.make_room():
                break
        standing = self.current()
        if standing is None or standing.get("run") != lease["run"]:
            self.path.unlink(missing_ok=True)  # whoever had it does not go on: it is no longer theirs
            self.journal.unlocked = True
