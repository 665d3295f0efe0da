# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a rotation keeps tells readers the same as what there was, however the journal goes on."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.backup.plan import named_sets
from ansible_collections.phasegate.aistack.plugins.module_utils.journal import chain as journal_chain, keep as journal_keep
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import activations_of_run, derive, good_before, interrupted
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.facts import (
    component_facts,
    interrupted_rollback,
    interrupted_rollbacks,
    last_rollback,
    open_rollback,
    restores,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.postmortem import gathered
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.prepared import prepared_by

COMPONENTS = ("web", "worker")
TAGS = tuple(f"v{number}" for number in range(8))
NEWEST = 30

Record = dict[str, Any]


def history(dice: random.Random, again: bool) -> Iterator[Record]:
    """Records without an end, of runs that do anything that a node can be asked for, and are killed now and then.

    With *again* a release that was removed may be deployed once more.
    """
    number = 0
    there: dict[str, list[str]] = {name: [] for name in COMPONENTS}
    live: dict[str, str | None] = {}
    while True:
        number += 1
        run, name = f"r{number}", dice.choice(COMPONENTS)
        slot, config = dice.choice(("blue", "green")), dice.choice(("c1", "c2", "c3"))
        detail: Record = {"slot": slot, "config": config, "timings": {"gate": number}, "previous": {"release": dice.choice(TAGS)}}
        if dice.random() < 0.3:
            detail["backup"] = {"path": f"/b/set{number}"}
        what = dice.choice(("deploy", "deploy", "restart", "revert", "retire", "mark", "migrate", "rollback", "prune", "other", "restore",
                            "planned"))
        if not there[name]:
            what = "deploy"
        tag = dice.choice(there[name]) if what != "deploy" else dice.choice(TAGS) if again else f"v{number}"
        common = {"run": run, "component": name, "release": tag}
        yield {"run": run, "op": "lock", "outcome": "ok"}
        if what == "deploy":
            there[name] = [*(one for one in there[name] if one != tag), tag]
            yield {**common, "op": "stage", "outcome": "ok"}
            yield {**common, "op": "prepare", "outcome": "ok", "detail": {"slot": slot}}
        if what in ("deploy", "restart", "revert", "retire", "migrate"):
            op = {"deploy": "activate", "restart": "activate"}.get(what, what)
            if op == "migrate":
                detail |= {"state": dice.choice(("upgraded", "downgraded")), "from": [dice.choice("abc")], "to": [dice.choice("abc")],
                           "phase": "expand", "steps": ["s"]}
            if op == "revert" and dice.random() < 0.2:
                common["release"] = None
            live[name] = tag if op in ("activate", "revert") else live.get(name)
            yield {**common, "op": op, "outcome": "started", "detail": detail}
            if dice.random() < 0.1:
                continue  # killed
            yield {**common, "op": op, "outcome": dice.choice(("ok", "ok", "ok", "failed")), "detail": {**detail, "reason": "x"}}
        if what in ("deploy", "mark"):
            state = dice.choice(("good", "good", "good", "bad", "runs_on"))
            yield {
                **common,
                "op": "mark",
                "outcome": "ok",
                "detail": {"state": state, "reason": f"n{number}", "heads": [dice.choice("abc")]},
            }
        elif what == "rollback":
            yield {"run": run, "op": what, "release": tag, "outcome": "started", "detail": {"from": dice.choice(TAGS)}}
            if dice.random() < 0.7:
                yield {
                    "run": run,
                    "op": what,
                    "release": tag,
                    "outcome": dice.choice(("ok", "failed")),
                    "detail": {"from": dice.choice(TAGS)},
                }
        elif what == "planned":
            level, to = dice.choice(("app", "app", "config")), dice.choice(there[name])
            begun = {"level": level, "to": to, "from": "x", "moves": {name: {"to": {"release": to, "config": config}}}}
            planned = {"run": run, "op": "phase", "component": "rollback"}
            yield {**planned, "outcome": "started", "detail": begun}
            if dice.random() < 0.6:
                yield {**planned, "outcome": dice.choice(("ok", "failed", "failed"))}
        elif what == "prune":
            removed = [one for one in there[name][:-2] if one != live.get(name)][:2]
            there[name] = [one for one in there[name] if one not in removed]
            yield {"run": run, "op": what, "component": name, "outcome": "ok", "detail": {"removed": removed}}
        elif what == "restore":
            yield {"run": run, "op": what, "outcome": "ok", "detail": {"set": f"set{number}"}}
        elif what == "other":
            yield {**common, "op": dice.choice(("drill", "backup", "configure")), "outcome": dice.choice(("started", "ok", "failed"))}


def grown(records: list[Record], source: Iterator[Record], count: int) -> list[Record]:
    for _number in range(count):
        records.append(journal_chain.link(next(source), records[-1] if records else None, "2026-01-01T00:00:00.000Z"))
    return records


def core(records: list[Record]) -> Record:
    """What is planned with, of the releases that are there."""
    said: Record = {
        "cut": interrupted_rollback(records),
        "cuts": interrupted_rollbacks(records),
        "last": last_rollback(records),
        "open": open_rollback(records),
        "restores": restores(records),
        "interrupted": interrupted(records),
        "seq": records[-1]["seq"],
        "story": gathered({"n": records[-NEWEST:]}, str(records[-1]["run"])),
    }
    for name in COMPONENTS:
        state = derive(records, name)
        there = sorted(tag for tag, known in state.states.items() if known != "bad" or tag in state.candidates)
        facts = component_facts(records, {"component": name}, there, None)
        said[name] = {
            "live": state.live,
            "states": state.states,
            "candidates": state.candidates,
            "anchor": state.anchor,
            "bad": sorted(tag for tag, mark in state.marks.items() if mark == "bad"),
            "marks": {tag: (state.marks.get(tag), state.reasons.get(tag)) for tag in there},
            "cut": facts["interrupted"],
            "was live": [any(one["release"] == tag for one in facts["history"]) for tag in there],
            "migration": facts["migrations"][-1:],
            "migrated": [one for one in facts["migrations"] if one["outcome"] == "ok"],
            "taken back": [activations_of_run(records, str(record["run"])) for record in records[-NEWEST:]],
            "before": [good_before(records, name, tag, run) for tag in there for run in ("", str(records[-1]["run"]))],
            "prepared": prepared_by(records, name, str(records[-1]["run"])),
            "stopped": [one["seq"] for one in records if one["component"] == name and one["op"] == "retire"
                        and facts["interrupted"] and one["seq"] > facts["interrupted"]["seq"]],
        }
    return said


def everything(records: list[Record]) -> Record:
    """All that readers make of the journal."""
    said = core(records)
    for name in COMPONENTS:
        facts = component_facts(records, {"component": name}, TAGS, None)
        proofs = sorted({(one["release"], tuple(one["heads"])) for one in facts.pop("proofs")})
        facts.pop("migrations")
        said[name] |= {**facts, "proofs": proofs, "state": derive(records, name).as_dict()}
        said[name]["state of all"] = asdict(derive(records, name, staged=TAGS)) | {"activations": None}
    there = {name: [tag for tag, known in derive(records, name).states.items() if known != "bad"] for name in COMPONENTS}
    return said | {"sets": named_sets(records, there), "some sets": named_sets(records, {})}


@pytest.mark.parametrize("seed", range(20))
def test_readers_are_told_the_same_before_and_after_and_from_then_on(seed: int) -> None:
    dice = random.Random(seed)
    source = history(dice, True)
    whole: list[Record] = []
    short: list[Record] = []
    for _rotation in range(3):
        start = len(whole)
        grown(whole, source, dice.randrange(60, 150))
        short = journal_keep.kept([*short, *whole[start:]], NEWEST, 10_000)
        assert everything(short) == everything(whole)
        assert set(map(str, short)) <= set(map(str, whole))
    assert len(short) < len(whole)


@pytest.mark.parametrize("seed", range(20))
def test_where_much_was_switched_what_is_there_is_told_the_same(seed: int) -> None:
    dice = random.Random(1000 + seed)
    source = history(dice, False)
    whole: list[Record] = []
    short: list[Record] = []
    for _rotation in range(3):
        start = len(whole)
        grown(whole, source, dice.randrange(150, 400))
        short = journal_keep.kept([*short, *whole[start:]], NEWEST, 6)
        assert core(short) == core(whole)


def test_what_stays_does_not_grow_with_what_is_left() -> None:
    """A release a day for as long as it takes, the older ones removed."""
    records: list[Record] = []
    sizes = []
    for number in range(1200):
        tag, run = f"v{number}", f"r{number}"
        common = {"run": run, "component": "web", "release": tag}
        for record in (
            {"run": run, "op": "lock", "outcome": "ok"},
            {**common, "op": "stage", "outcome": "started"},
            {**common, "op": "stage", "outcome": "ok"},
            {**common, "op": "migrate", "outcome": "ok", "detail": {"from": [str(number)], "to": [str(number + 1)], "state": "upgraded"}},
            {**common, "op": "activate", "outcome": "started", "detail": {"slot": "blue", "config": "c", "set": f"s{number}"}},
            {**common, "op": "activate", "outcome": "ok", "detail": {"slot": "blue", "config": "c", "set": f"s{number}"}},
            {**common, "op": "mark", "outcome": "ok", "detail": {"state": "good", "reason": "gate"}},
            {"run": run, "component": "web", "op": "prune", "outcome": "ok", "detail": {"removed": [f"v{number - 4}"]}},
        ):
            records.append(journal_chain.link(record, records[-1] if records else None, "2026-01-01T00:00:00.000Z"))
        if number % 400 == 399:
            before = derive(records, "web")
            records = journal_keep.kept(records)
            after = derive(records, "web")
            assert (after.live, after.candidates, after.states) == (before.live, before.candidates, before.states)
            sizes.append(len(records))
    assert sizes[0] < 1900
    assert sizes[-1] == sizes[1]
