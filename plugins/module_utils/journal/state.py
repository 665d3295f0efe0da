# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the journal's records say about a component: releases, what is live, where to go back to.

Pure: records in, state out. Three readings of the contract are decided here:

* A C(revert) has the shape of an C(activate): C(release), C(detail.slot) and C(detail.config) say
  what is live *after* it. A C(revert) without a release means that nothing serves any more.
* *Previous good* after a C(revert) is counted from the original activation of the release that came
  back, so that going back twice goes back further and never forward again.
* A good release that is activated again counts as marked good then: *newest* is what was live last.
* Activating what is live once more (a restart, another configuration) does not make it newer than it was.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypedDict

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record

_SWITCHES = ("activate", "revert")
SCALE = "scale"
"""Another number of instances of what is live."""
CANARY = "canary"
"""A release that has a share of the requests beside what is live. It is open until a switch settles it, or it failed and lost the share."""
STILL_OPEN = "still_open"
"""In the detail of one that failed: whether it may have its share all the same."""


class Served(TypedDict):
    """What a slot ran before a switch, as the journal notes it: ``slot`` (None where it was not known), ``release``, ``config`` (hash)."""

    slot: str | None
    release: str
    config: str


@dataclass(frozen=True)
class Live:
    """What takes traffic: release, slot, config hash; since when, and by which record."""

    release: str
    slot: str | None
    config: str | None
    since: str
    seq: int


@dataclass(frozen=True)
class Activation:
    """One activation of a run; ``previous`` is what was live before."""

    component: str
    release: str | None
    slot: str | None
    config: str | None
    previous: Served | None
    outcome: str
    run: str
    time: str
    seq: int


@dataclass(frozen=True)
class Interrupted:
    """A ``started`` without an end."""

    op: str
    component: str | None
    release: str | None
    run: str
    actor: str
    time: str
    seq: int
    detail: dict[str, Any]


@dataclass
class ComponentState:
    """Everything the journal knows of a component.

    ``states`` has one of staged, active, good, bad per release (bad before active before good).
    ``marks`` has the last mark alone, so that an active release can be told good from unproven.
    ``candidates`` are the releases to go back to, the newest first: good, still there, and live before what is live now;
    the first of them is ``previous_good``. ``anchor`` is the number of the record since which what is live counts as live.
    """

    component: str
    states: dict[str, str] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    live: Live | None = None
    previous_good: str | None = None
    candidates: list[str] = field(default_factory=list)
    anchor: int = 0
    activations: list[Activation] = field(default_factory=list)
    interrupted: list[Interrupted] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """Return the state as plain data, without what only planning needs."""
        data = asdict(self)
        for key in ("activations", "anchor", "candidates"):
            del data[key]
        return data


def _detail(record: Record) -> dict[str, Any]:
    detail = record.get("detail")
    return detail if isinstance(detail, dict) else {}


def _activation(record: Record) -> Activation:
    detail = _detail(record)
    return Activation(
        component=str(record.get("component")),
        release=record.get("release"),
        slot=detail.get("slot"),
        config=detail.get("config"),
        previous=detail.get("previous"),
        outcome=str(record.get("outcome")),
        run=str(record.get("run", "")),
        time=str(record.get("time", "")),
        seq=int(record.get("seq", 0)),
    )


def activations_of_run(records: Iterable[Record], run: str) -> list[Activation]:
    """Return what ``run`` activated and has not reverted since, newest first: the order to revert in.

    An activation that was begun and has no end is included with the outcome ``started``: it may have
    moved the slot. One that failed is left out, because the slot module gave back what it had taken.
    """
    done: dict[str, Activation] = {}
    begun: dict[str, Activation] = {}
    for record in records:
        component, outcome = record.get("component"), record.get("outcome")
        if record.get("run") != run or not component:
            continue
        if record.get("op") == "revert" and outcome == "ok":
            done.pop(component, None)
            begun.pop(component, None)
        if record.get("op") != "activate":
            continue
        if outcome == "started":
            begun[component] = _activation(record)
            continue
        begun.pop(component, None)
        if outcome == "ok":
            done[component] = _back_to(done.get(component), _activation(record))
    for component, activation in begun.items():
        done[component] = _back_to(done.get(component), activation)
    return sorted(done.values(), key=lambda item: item.seq, reverse=True)


def _back_to(first: Activation | None, activation: Activation) -> Activation:
    """Return ``activation`` with the place to go back to: what was live before the run's first one."""
    return activation if first is None else replace(activation, previous=first.previous)


def interrupted(records: Sequence[Record], component: str | None = None, current_run: str | None = None) -> list[Interrupted]:
    """Return operations that were begun and never ended, oldest first.

    A later end of the same operation on the same component and release settles an earlier
    interruption; so does a later finished switch, for a switch. Operations of ``current_run`` are
    in progress, not interrupted.
    """
    opened: dict[int, Record] = {}
    for record in records:
        if component is not None and record.get("component") != component:
            continue
        outcome = record.get("outcome")
        if outcome == "started":
            if record.get("op") == CANARY:  # the next share takes the place of the one before
                opened = {seq: start for seq, start in opened.items() if not _shares(start, record)}
            opened[int(record.get("seq", 0))] = record
            continue
        for seq, start in list(opened.items()):
            if settles(record, start):
                del opened[seq]
    return [
        Interrupted(
            op=str(start.get("op")),
            component=start.get("component"),
            release=start.get("release"),
            run=str(start.get("run", "")),
            actor=str(start.get("actor", "")),
            time=str(start.get("time", "")),
            seq=seq,
            detail=_detail(start),
        )
        for seq, start in sorted(opened.items())
        if current_run is None or start.get("run") != current_run
    ]


def settles(end: Record, start: Record) -> bool:
    """Whether the record *end* ends what *start* began."""
    if end.get("component") != start.get("component"):
        return False
    if start.get("op") == CANARY:
        taken_away = end.get("op") == CANARY and end.get("outcome") == "failed" and not _detail(end).get(STILL_OPEN)
        return taken_away or (end.get("op") in _SWITCHES and end.get("outcome") == "ok")
    if start.get("op") == SCALE and end.get("op") in _SWITCHES and end.get("outcome") == "ok":
        return True  # the slot that was started and proven has the number that the node keeps
    if end.get("op") in _SWITCHES and start.get("op") in _SWITCHES:
        return end.get("outcome") == "ok" or _same(end, start)
    return _same(end, start)


def _shares(start: Record, later: Record) -> bool:
    return (start.get("op"), start.get("component")) == (CANARY, later.get("component"))


def open_canary(records: Sequence[Record], component: str) -> Interrupted | None:
    """The release that has a share of the requests of *component* beside what is live, with its ``detail``; None where none has."""
    return next((found for found in interrupted(records, component) if found.op == CANARY), None)


def canaries_of_run(records: Sequence[Record], run: str) -> list[Activation]:
    """What *run* has given a share of the requests that is open still, as if it were an activation that was begun."""
    named = dict.fromkeys(str(record.get("component")) for record in records if (record.get("op"), record.get("run")) == (CANARY, run))
    found = [open_canary(records, name) for name in named]
    return [
        Activation(str(one.component), one.release, one.detail.get("slot"), one.detail.get("config"), one.detail.get("previous"), "started",
                   run, one.time, one.seq)
        for one in found if one is not None and one.run == run
    ]


def _same(end: Record, start: Record) -> bool:
    if end.get("op") != start.get("op"):
        return False
    if _detail(end).get("started") == start.get("seq"):
        return True
    return end.get("release") == start.get("release")


def _is_live(live: Live | None, tag: str | None, slot: str | None) -> bool:
    return live is not None and (live.release, live.slot) == (tag, slot)


def good_before(records: Iterable[Record], component: str, release: str, run: str) -> bool:
    """Whether the last mark that the release had before ``run`` is good."""
    marks = [
        _detail(record).get("state")
        for record in records
        if (record.get("op"), record.get("component"), record.get("release")) == ("mark", component, release)
        and record.get("outcome") == "ok" and record.get("run") != run
    ]
    return [state for state in marks if state in ("good", "bad")][-1:] == ["good"]


def derive(
    records: Sequence[Record],
    component: str,
    staged: Collection[str] | None = None,
    current_run: str | None = None,
) -> ComponentState:
    """Derive a component's state.

    Args:
        records: the journal, oldest first; other components' records are ignored.
        component: the component's name.
        staged: releases that are really there, when the caller has looked; they replace what the
            journal believes.
        current_run: this run's id; its unfinished operations are not interruptions.
    """
    mine = [record for record in records if record.get("component") == component]
    state = ComponentState(component=component)
    present: set[str] = set()
    good_at: dict[str, list[int]] = {}
    activated_at: dict[str, int] = {}
    anchor = 0
    for record in mine:
        op, outcome, tag = record.get("op"), record.get("outcome"), record.get("release")
        detail, seq = _detail(record), int(record.get("seq", 0))
        if op in _SWITCHES:
            state.activations.append(_activation(record))
        if outcome != "ok":
            continue
        if op == "stage" and tag:
            present.add(tag)
        elif op == "prune":
            removed = detail.get("removed") or ([tag] if tag else [])
            present.difference_update(removed)
        elif op == "mark" and tag and detail.get("state") in ("good", "bad"):
            state.marks[tag] = detail["state"]
            state.reasons[tag] = str(detail.get("reason") or "")
            if detail["state"] == "good":
                good_at.setdefault(tag, []).append(seq)
        elif op in _SWITCHES and tag:
            again = state.live is not None and state.live.release == tag
            if tag not in activated_at or (op == "activate" and not again):
                activated_at[tag] = seq
            anchor = activated_at[tag]
            if state.marks.get(tag) == "good":  # it serves again and is good still: as if marked again
                good_at.setdefault(tag, []).append(seq)
            state.live = Live(tag, detail.get("slot"), detail.get("config"), str(record.get("time", "")), seq)
        elif op == "revert" or (op == "retire" and _is_live(state.live, tag, detail.get("slot"))):
            state.live = None
    if staged is not None:
        present = set(staged)
    live_tag = state.live.release if state.live else None
    for tag in sorted(present | set(state.marks) | ({live_tag} if live_tag else set())):
        mark = state.marks.get(tag)
        if mark == "bad":
            state.states[tag] = "bad"
        elif tag == live_tag:
            state.states[tag] = "active"
        elif tag in present:
            state.states[tag] = "good" if mark == "good" else "staged"
    before = anchor if state.live else float("inf")
    best: list[tuple[int, str]] = []
    for tag, marks in good_at.items():
        if tag == live_tag or tag not in present or state.marks.get(tag) == "bad":
            continue
        earlier = [seq for seq in marks if seq < before]
        if earlier:
            best.append((max(earlier), tag))
    state.candidates = [tag for _seq, tag in sorted(best, reverse=True)]
    state.previous_good = state.candidates[0] if state.candidates else None
    state.anchor = anchor if state.live else 0
    state.interrupted = interrupted(mine, component, current_run)
    return state
