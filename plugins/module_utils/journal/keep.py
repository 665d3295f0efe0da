# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which records of a journal stay at hand when it is rotated: those that planning can still need. No I/O.

What readers of the journal make of its records (:mod:`journal.file.state`, :mod:`rollback.run.facts`, :mod:`migration.history`,
:mod:`backup.plan`, :mod:`slots.prepared`) is the same of these as of all, where a component has switched :data:`SWITCHES` times or less.
Of one that has switched more often, releases that are gone, configurations and sets that were used further back are told by the
archived part alone; the releases that are there keep their marks, their order and their place behind what is live.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.begun import beginnings
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.once import TASK, called, takes_back
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import settles

NEWEST = 1000
"""Records that stay in any case, without a gap: runs that are under way, and what people look at."""

SWITCHES = 100
"""Switches of each component that stay with everything that was said of it since."""

OF_A_KIND = 200
"""Migrations of each component, sets that records name, and restores, that stay."""

SEAL = "seal"
_LIVE = ("activate", "revert", "retire")
_TOLD = (*_LIVE, "stage", "mark")
"""Of these the last one alone would tell something that is not so: a release was removed, or judged otherwise, since."""


def kept(records: Sequence[Record], newest: int = NEWEST, switches: int = SWITCHES) -> list[Record]:
    """The records that stay, oldest first; C(seal) never does, because each file has its own."""
    return [records[at] for at in sorted(_Choice(records, newest, switches).made()) if records[at].get("op") != SEAL]


def _detail(record: Record) -> dict[str, Any]:
    detail = record.get("detail")
    return detail if isinstance(detail, dict) else {}


def _named(record: Record) -> Iterator[str]:
    """Backup sets that a record names."""
    for key in ("backup", "set"):
        value = _detail(record).get(key)
        path = value.get("path") if isinstance(value, dict) else value
        if path:
            yield str(path)


class _Choice:
    """Positions of records that stay."""

    def __init__(self, records: Sequence[Record], newest: int, switches: int) -> None:
        self.records = records
        self.switches = switches
        self.tail = max(0, len(records) - newest)
        self.keep: set[int] = set(range(self.tail, len(records)))
        self.opened, self.ends = _opened(records)
        of: dict[str, list[int]] = {}  # positions by component
        for at, record in enumerate(records):
            of.setdefault(str(record.get("component") or ""), []).append(at)
        self.components = [_Component(records, mine) for name, mine in of.items() if name]

    def made(self) -> set[int]:
        self._runs()
        self._ended()
        self._rollbacks()
        for component in self.components:
            self.keep.update(component.needed(self.switches, self.opened))
        self.keep.update(self.opened)
        self.keep.update([self.ends[at] for at in self.keep if at in self.ends])  # what was ended is not to look interrupted
        for component in self.components:
            self.keep.update(component.around(self.keep))
        return self.keep

    def _runs(self) -> None:
        """What runs switched that may be under way yet: they may be asked to take it back."""
        runs = {self.records[at].get("run") for at in range(self.tail, len(self.records))} - {"", None}
        self.keep.update(at for at in range(self.tail) if self.records[at].get("run") in runs and self.records[at].get("op") in _LIVE)

    def _ended(self) -> None:
        """The last end of each kind of operation, and the restores."""
        ended = [at for at, record in enumerate(self.records) if record.get("outcome") != "started" and record.get("op") not in _TOLD]
        self.keep.update(_last(self.records, ended, lambda one: (one.get("op"), one.get("component"), one.get("outcome"))))
        restores = [at for at in ended if self.records[at].get("op") == "restore" and self.records[at].get("outcome") == "ok"]
        self.keep.update(restores[-OF_A_KIND:])
        self.keep.update([at for at, record in enumerate(self.records) if takes_back(record)][-1:])

    def _rollbacks(self) -> None:
        """Of each rollback that has no end, whether something was deployed since; of a controller's without a good end, its beginnings."""
        activated = [at for at, record in enumerate(self.records) if record.get("op") == "activate"]
        for start in self.opened:
            if self.records[start].get("op") == "rollback":
                others = (at for at in reversed(activated) if self.records[at].get("run") != self.records[start].get("run"))
                self.keep.update(at for at in [next(others, -1)] if at > start)
        begun, settled = beginnings(self.records)
        self.keep.update(begun)
        stay = set(self.opened)
        self.keep.update(at for starts, at in settled if stay.intersection(starts))


def _last(records: Sequence[Record], positions: Iterable[int], kind: Callable[[Record], Any]) -> set[int]:
    """The last position of each kind; a record of the kind None is none of them."""
    found = {kind(records[at]): at for at in positions}
    found.pop(None, None)
    return set(found.values())


def _verdict(record: Record) -> str | None:
    state = _detail(record).get("state")
    return state if state in ("good", "bad") else None


class _Component:
    """The records of one component."""

    def __init__(self, records: Sequence[Record], mine: Sequence[int]) -> None:
        self.records = records
        self.mine = mine
        self.ok = [at for at in mine if records[at].get("outcome") == "ok"]
        self.switched = [at for at in self.ok if records[at].get("op") in _LIVE]
        self.marks = [at for at in self.ok if records[at].get("op") == "mark"]
        self.runs = _Runs(records, self.switched)
        self.tags: set[str] = set()

    def _tag(self, at: int) -> str:
        return str(self.records[at].get("release") or "")

    def needed(self, switches: int, opened: Sequence[int]) -> set[int]:
        """What tells what is live, what was before it, how good it was, where the schema came from, what was interrupted."""
        window = self.switched[-switches] if len(self.switched) > switches else -1
        before = [at for at in self.switched if at < window]
        recent = [at for at in [*self.switched, *self.marks] if at >= window]
        there = _there(self.records, self.ok)
        self.tags = (there | {self._tag(at) for at in [*recent, *before[-1:]]}) - {""}
        staged = [at for at in self.ok if self.records[at].get("op") == "stage" and self._tag(at) in there]
        last = _last(self.records, before, lambda one: one.get("release") if one.get("op") != "retire" else None)
        return {
            *recent,
            *before[-1:],
            *_last(self.records, staged, lambda one: one.get("release")),
            *(at for at in last if self._tag(at) in self.tags),
            *(at for tag, at in self.runs.since.items() if tag in self.tags),
            *self._verdicts(),
            *self._migrations(),
            *self._sets(),
            *self._tasks(),
            *self._stopped(opened),
        }

    def around(self, keep: Collection[int]) -> set[int]:
        """What makes the switches that stay mean what they meant: where their row began, what was live before, what they were worth."""
        found: set[int] = set()
        since = set(self.runs.since.values())
        for place, at in enumerate(self.switched):
            if at not in keep:
                continue
            found.add(self.runs.first[at])
            while at in since and place > 0:
                place -= 1
                found |= {self.switched[place], self.runs.first[self.switched[place]]}
                if self.records[self.switched[place]].get("op") != "retire":
                    break
        verdicts: dict[str, list[int]] = {}
        for at in self.marks:
            if _verdict(self.records[at]):
                verdicts.setdefault(self._tag(at), []).append(at)
        for at in self.switched:
            if at in found or at in keep:
                earlier = verdicts.get(self._tag(at), [])
                number = bisect.bisect_left(earlier, at)
                found.update(earlier[number - 1 : number] if number else [])
        return found

    def _verdicts(self) -> set[int]:
        """The verdict on each release that is there, those before it that order depends on, every bad one; on which schemas they run."""
        records = self.records
        verdicts = [at for at in self.marks if _verdict(records[at])]
        last = {self._tag(at): at for at in verdicts}
        of_tags = [at for at in verdicts if self._tag(at) in self.tags]
        other_run = [at for at in of_tags if records[at].get("run") != records[last[self._tag(at)]].get("run")]
        proofs = [at for at in self.marks if self._tag(at) in self.tags and not _verdict(records[at])]
        ever_bad = {self._tag(at) for at in verdicts if _verdict(records[at]) == "bad"}
        found = {at for tag, at in last.items() if tag in self.tags or tag in ever_bad}
        found |= _last(records, other_run, lambda one: one.get("release"))
        found |= _last(records, proofs, lambda one: (one.get("release"), str(_detail(one).get("state")), str(_detail(one).get("heads"))))
        good = [at for at in of_tags if _verdict(records[at]) == "good"]
        for edge in (at for tag, at in self.runs.since.items() if tag in self.tags):
            found |= _last(records, (at for at in good if at < edge), lambda one: one.get("release"))
        return found

    def _migrations(self) -> set[int]:
        moves = [at for at in self.mine if self.records[at].get("op") == "migrate"]
        done = [at for at in moves if self.records[at].get("outcome") == "ok"]
        of_tags = (at for at in done if self._tag(at) in self.tags)
        return {
            *moves[-1:],
            *done[-OF_A_KIND:],
            *_last(self.records, of_tags, lambda one: (one.get("release"), _detail(one).get("state"))),
        }

    def _sets(self) -> list[int]:
        """The last record that names a set, of each release; first of those that are there."""
        named: dict[tuple[str, str], int] = {}
        for at in self.mine:
            if self.records[at].get("op") in ("migrate", "activate"):
                for name in _named(self.records[at]):
                    named.pop((name, self._tag(at)), None)
                    named[(name, self._tag(at))] = at
        there = [at for (_name, tag), at in named.items() if tag in self.tags]
        return [*there[-OF_A_KIND:], *list(named.values())[-OF_A_KIND:]]

    def _tasks(self) -> set[int]:
        """What was done once for each release that is there."""
        return _last(self.records, (at for at in self.ok if self.records[at].get("op") == TASK and self._tag(at) in self.tags), called)

    def _stopped(self, opened: Sequence[int]) -> list[int]:
        """Where a switch has no end: what was stopped on purpose since."""
        own = set(self.mine)
        cut = [at for at in opened if at in own and self.records[at].get("op") in _LIVE]
        return [at for at in self.mine if cut and at > cut[0] and self.records[at].get("op") == "retire"]


class _Runs:
    """Switches in a row that have the same release live.

    ``first`` maps a switch to the one with which its row began; ``since`` a release to the switch since which it counts as live, as
    :func:`journal.state.derive` has it.
    """

    def __init__(self, records: Sequence[Record], switched: Sequence[int]) -> None:
        self.first: dict[int, int] = {}
        self.since: dict[str, int] = {}
        live: tuple[str, Any] | None = None
        begin = -1
        for at in switched:
            record = records[at]
            op, tag, slot = record.get("op"), record.get("release"), _detail(record).get("slot")
            self.first[at] = at
            if op == "retire":
                live = None if live == (tag, slot) else live
            elif not tag:
                live = None
            else:
                again = live is not None and live[0] == tag
                begin = begin if again else at
                self.first[at] = begin
                if tag not in self.since or (op == "activate" and not again):
                    self.since[str(tag)] = at
                live = (str(tag), slot)


def _there(records: Sequence[Record], ok: Sequence[int]) -> set[str]:
    """Releases that are on the node, as the journal knows it."""
    there: set[str] = set()
    for at in ok:
        tag, op = records[at].get("release"), records[at].get("op")
        if op == "stage" and tag:
            there.add(str(tag))
        elif op == "prune":
            there.difference_update(_detail(records[at]).get("removed") or ([tag] if tag else []))
    return there


def _opened(records: Sequence[Record]) -> tuple[list[int], dict[int, int]]:
    """Positions of what was begun and has no end, the oldest first; and of what ended the others, by their beginnings."""
    opened: dict[Any, dict[int, Record]] = {}
    ends: dict[int, int] = {}
    for at, record in enumerate(records):
        here = opened.setdefault(record.get("component"), {})
        if record.get("outcome") == "started":
            here[at] = record
            continue
        for start in [start for start, begun in here.items() if settles(record, begun)]:
            del here[start]
            ends[start] = at
    return sorted(at for here in opened.values() for at in here), ends
