# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which release a slot had at a moment, by the node's own journal: a line may be sent long after it was said. Pure."""

from __future__ import annotations

import datetime
from bisect import bisect_right
from collections.abc import Iterable

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record

_SWITCHES = ("prepare", "canary", "activate", "revert")


class Releases:
    """What the slots of a node held.

    Args:
        records: of its journal, oldest first.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._held: dict[tuple[str, str], tuple[list[int], list[str]]] = {}
        for record in records:
            slot, release = (record.get("detail") or {}).get("slot"), record.get("release")
            if record.get("op") in _SWITCHES and release and slot:
                times, tags = self._held.setdefault((str(record.get("component")), str(slot)), ([], []))
                times.append(micros(record["time"]))
                tags.append(release)

    def at(self, component: str, slot: str, time: int) -> str:
        """The release in a slot at *time*, microseconds since 1970; empty where the journal does not say."""
        times, tags = self._held.get((component, slot), ([], []))
        place = bisect_right(times, time)
        return tags[place - 1] if place else ""


def micros(text: str) -> int:
    """Microseconds since 1970 of a time as the journal writes it. Raises ValueError."""
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return round(moment.timestamp() * 1_000_000)
