# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Events of the node's own journal as lines for a store of logs. Pure.

They are read from that journal, and not from systemd's, which may lose the last minutes when the power goes: what is in the node's own was
on the disk before the run went on.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.events import Event, events
from ansible_collections.phasegate.aistack.plugins.module_utils.shipping.lines import Line
from ansible_collections.phasegate.aistack.plugins.module_utils.shipping.releases import micros

PROCESS = "aistack"


def lines(records: Iterable[Record]) -> list[Line]:
    """A line for each event in records; one whose time cannot be read is left out."""
    found = []
    for event in events(records):
        with suppress(ValueError):  # a record that somebody wrote by hand; the chain says so (aistack journal --verify)
            found.append(_line(event))
    return found


def _line(event: Event) -> Line:
    more = {"outcome": event.outcome, "run": event.run, "actor": event.actor}
    return Line(
        f"{event.hash[:16]}-{event.seq}", micros(event.time), event.text, "error" if event.outcome == "failed" else "notice",
        component=event.component, process=PROCESS, event=event.event, release=event.release, more=more,
    )
