# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back through a history that went forth and back."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.migration.schema_path import Proof, prove, way_back


def moved(*revisions: str, release: str = "v", state: str = "upgraded", outcome: str = "ok") -> dict[str, Any]:
    """A migration from the first revision over the others; "" is no revision."""
    heads = [[revision] if revision else [] for revision in revisions]
    steps = list(revisions[1:]) if state == "upgraded" else list(revisions[:-1])
    entry = {"release": release, "state": state, "from": heads[0], "to": heads[-1], "steps": steps, "outcome": outcome}
    return {**entry, "phase": "expand", "reversible": True}


FIRST = moved("", "1", release="v1")
SECOND = moved("1", "2", release="v2")
THIRD = moved("2", "3", release="v3")
BACK = moved("3", "2", release="v3", state="downgraded")


def undone(target: list[str], present: list[str], history: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    way = way_back("web", target, present, history, [])
    assert not way.problem, way.problem
    return [(str(entry["release"]), list(entry["undo"])) for entry in way.downgrades]


@pytest.mark.parametrize(
    "history",
    [
        [FIRST, SECOND],
        [FIRST, SECOND, THIRD, BACK],
        [FIRST, SECOND, THIRD, BACK, THIRD, BACK],
        [FIRST, SECOND, moved("2", "3", outcome="failed")],
        [FIRST, SECOND, THIRD, SECOND],  # a set of the time of 1 was restored in between, and 2 came again
    ],
    ids=["straight", "there and back", "twice", "one failed", "restored and migrated again"],
)
def test_going_forth_and_back_leaves_the_way_further_back(history: list[dict[str, Any]]) -> None:
    assert undone(["1"], ["2"], history) == [("v2", ["2"])]
    assert prove(["1"], ["2"], history, [], "v1") == Proof("additive", ("2",))


def test_what_was_undone_in_part() -> None:
    many = moved("1", "2", "3", "4", release="v4")
    back = moved("4", "3", "2", release="v4", state="downgraded")
    assert undone(["1"], ["2"], [FIRST, many, back]) == [("v4", ["2"])]
    assert undone(["1"], ["3"], [FIRST, many, back, moved("2", "3", release="v5")]) == [("v5", ["3"]), ("v4", ["2"])]


def test_after_a_restore_to_an_earlier_schema() -> None:
    assert undone([], ["1"], [FIRST, SECOND, THIRD]) == [("v1", ["1"])]


def test_what_the_journal_does_not_tell() -> None:
    assert way_back("web", ["1"], ["2"], [FIRST, moved("7", "2")], []).code == "no_way_back"
    assert way_back("web", ["1"], ["9"], [FIRST, SECOND], []).code == "no_way_back"
