# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the journal tells about a database's revisions: interrupted migrations, and how far older code runs on it. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.revision_graph import RevisionGraph


@dataclass(frozen=True)
class Ahead:
    """The database is ahead of the code by steps that only expand: ``base`` is where the code's own path meets it."""

    base: tuple[str, ...]
    steps: tuple[str, ...]
    releases: tuple[str, ...]

    def text(self) -> str:
        return (
            f"ahead by {', '.join(self.steps)} of release {', '.join(self.releases)}; these steps only expand the schema,"
            " so this release runs on it"
        )


def migrations(records: Sequence[Record], component: str) -> list[Record]:
    """The component's records about migrations, oldest first."""
    return [entry for entry in records if entry.get("op") == "migrate" and entry.get("component") == component]


def interrupted(records: Sequence[Record], component: str) -> Record | None:
    """The newest migration, if it was begun and never ended."""
    mine = migrations(records, component)
    return mine[-1] if mine and mine[-1].get("outcome") == "started" else None


def ahead(records: Sequence[Record], component: str, current: Sequence[str], graph: RevisionGraph) -> Ahead | None:
    """Walks the upgrades back from ``current`` to revisions that the code has.

    None where the journal does not lead there, or where one of the steps may break older code.
    """
    here = sorted(current)
    steps: list[str] = []
    releases: list[str] = []
    mine = migrations(records, component)
    for position in range(len(mine) - 1, -1, -1):
        if not graph.unknown(here):
            break
        entry, detail = mine[position], mine[position].get("detail") or {}
        complete = entry.get("outcome") == "ok" or (position == len(mine) - 1 and entry.get("outcome") == "started")
        if not complete or sorted(detail.get("to") or []) != here:
            continue
        if detail.get("state") != "upgraded" or detail.get("phase") != "expand":
            return None
        here = sorted(detail.get("from") or [])
        steps = [*detail.get("steps", []), *steps]
        releases.insert(0, str(entry.get("release") or "?"))
    if graph.unknown(here) or not steps:
        return None
    return Ahead(tuple(here), tuple(steps), tuple(dict.fromkeys(releases)))
