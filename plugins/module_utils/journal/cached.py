# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal for a process that reads it many times: what was read stays read, and only what was appended since is parsed."""

from __future__ import annotations

import os
import threading

from ansible_collections.phasegate.aistack.plugins.module_utils.journal import chain as journal_chain
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Reading
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal


class QuickJournal(Journal):
    """Reads like :class:`Journal`, from any number of threads. The records that it returns are shared: they are not to be changed."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self._guard = threading.Lock()
        self._known = Reading()
        self._file = -1

    def scan(self) -> Reading:
        """Read what is new. A file that was replaced or shortened is read from its beginning."""
        with self._guard:
            try:
                handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                self._known, self._file = Reading(), -1
                return Reading()
            try:
                seen = os.fstat(handle)
                if seen.st_ino != self._file or seen.st_size < self._known.good_bytes:
                    self._known, self._file = Reading(), seen.st_ino
                new = journal_chain.parse(_rest(handle, self._known.good_bytes, seen.st_size))
            finally:
                os.close(handle)
            self._known = Reading(
                records=self._known.records + new.records,
                torn=new.torn,
                good_bytes=self._known.good_bytes + new.good_bytes,
                unterminated=new.unterminated,
                problems=self._known.problems + new.problems,
            )
            return self._known


def _rest(handle: int, start: int, end: int) -> bytes:
    parts = []
    while start < end:
        part = os.pread(handle, end - start, start)
        if not part:
            break
        parts.append(part)
        start += len(part)
    return b"".join(parts)
