# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.migration.revision_graph import Revision, RevisionGraph


def graph(*edges: tuple[str, tuple[str, ...]], **extra: Any) -> RevisionGraph:
    return RevisionGraph({name: Revision(name, down, doc=f"title {name}", **extra) for name, down in edges})


LINE = graph(("a1", ()), ("b2", ("a1",)), ("c3", ("b2",)))
FORK = graph(("a1", ()), ("b2", ("a1",)), ("c3", ("a1",)))
MERGED = graph(("a1", ()), ("b2", ("a1",)), ("c3", ("a1",)), ("d4", ("b2", "c3")), ("e5", ("d4",)))


def names(path: Any) -> list[str]:
    return [step.revision for step in path.steps]


@pytest.mark.parametrize(
    ("shape", "current", "target", "steps"),
    [
        (LINE, [], "head", ["a1", "b2", "c3"]),
        (LINE, ["a1"], "head", ["b2", "c3"]),
        (LINE, ["a1"], "b2", ["b2"]),
        (LINE, ["a1"], "b", ["b2"]),
        (LINE, ["c3"], "head", []),
        (FORK, ["b2"], "heads", ["c3"]),
        (MERGED, ["b2"], "head", ["c3", "d4", "e5"]),
        (MERGED, ["b2", "c3"], "head", ["d4", "e5"]),
    ],
)
def test_the_way_up(shape: RevisionGraph, current: list[str], target: str, steps: list[str]) -> None:
    path = shape.upgrade(current, target)
    assert names(path) == steps
    assert path.refusals == ()


@pytest.mark.parametrize(
    ("shape", "current", "target", "code", "words"),
    [
        (FORK, ["a1"], "head", "several_heads", ["two heads", "b2 (title b2)", "c3", "alembic merge -m 'merge heads' b2 c3"]),
        (LINE, ["zz"], "head", "database_ahead", ["zz", "c3"]),
        (LINE, ["a1"], "zz", "unknown_target", ["'zz'", "c3"]),
        (graph(("ab1", ()), ("ab2", ("ab1",))), [], "ab", "unknown_target", ["ambiguous", "ab1, ab2"]),
    ],
)
def test_no_way_up(shape: RevisionGraph, current: list[str], target: str, code: str, words: list[str]) -> None:
    path = shape.upgrade(current, target)
    assert path.steps == ()
    assert [entry.code for entry in path.refusals] == [code]
    for word in words:
        assert word in path.refusals[0].text()


def test_a_database_beyond_the_target_is_left_alone() -> None:
    path = LINE.upgrade(["c3"], "a1")
    assert path.beyond
    assert names(path) == []


@pytest.mark.parametrize(
    ("shape", "current", "target", "steps"),
    [
        (LINE, ["c3"], "a1", ["c3", "b2"]),
        (LINE, ["c3"], "base", ["c3", "b2", "a1"]),
        (MERGED, ["e5"], "d4", ["e5"]),
        (MERGED, ["d4"], "a1", ["d4", "c3", "b2"]),
        (LINE, ["c3"], "-1", ["c3"]),
        (LINE, ["c3"], "-2", ["c3", "b2"]),
        (LINE, ["c3"], "-3", ["c3", "b2", "a1"]),
    ],
)
def test_the_way_down(shape: RevisionGraph, current: list[str], target: str, steps: list[str]) -> None:
    assert names(shape.downgrade(current, target)) == steps


def test_no_way_down() -> None:
    assert LINE.downgrade(["b2"], "c3").refusals[0].code == "target_not_below"
    assert LINE.downgrade(["zz"], "a1").refusals[0].code == "database_ahead"
    assert LINE.downgrade(["b2"], "zz").refusals[0].code == "unknown_target"


def test_steps_back_end_at_a_revision() -> None:
    assert LINE.downgrade(["c3"], "-2").target == ("a1",)
    assert LINE.downgrade(["c3"], "-3").target == ()


@pytest.mark.parametrize(
    ("shape", "current", "target", "words"),
    [
        (LINE, ["b2"], "-3", "3 steps back from b2 cannot be gone: there are only 2."),
        (LINE, [], "-1", "1 step back from base cannot be gone: there are only 0."),
        (MERGED, ["e5"], "-2", "below d4 there are the branches b2, c3"),
        (FORK, ["b2", "c3"], "-1", "it is at b2, c3"),
        (LINE, ["c3"], "-0", "'-0' does not exist"),
    ],
)
def test_steps_back_that_could_mean_several_things(shape: RevisionGraph, current: list[str], target: str, words: str) -> None:
    path = shape.downgrade(current, target)
    assert path.steps == ()
    assert [entry.code for entry in path.refusals] == ["unknown_target"]
    assert words in path.refusals[0].reason


def test_heads_after_each_step() -> None:
    revisions = MERGED.revisions
    assert MERGED.heads_after(["b2"], revisions["c3"]) == ("b2", "c3") or MERGED.heads_after(["b2"], revisions["c3"]) == ("c3", "b2")
    assert MERGED.heads_after(["b2", "c3"], revisions["d4"]) == ("d4",)
    assert MERGED.heads_after(["d4"], revisions["d4"], "downgrade") == ("b2", "c3")
    assert LINE.heads_after(["a1"], LINE.revisions["a1"], "downgrade") == ()


def test_branch_labels_and_circles() -> None:
    labelled = RevisionGraph.of(
        [
            {"revision": "a1", "down_revisions": []},
            {"revision": "b2", "down_revisions": ["a1"], "branch_labels": ["reports"]},
            {"revision": "c3", "down_revisions": ["b2"]},
        ]
    )
    assert labelled.resolve("reports") == ["c3"]
    with pytest.raises(ValueError, match="circle"):
        graph(("a1", ("b2",)), ("b2", ("a1",))).ordered(["a1", "b2"])
