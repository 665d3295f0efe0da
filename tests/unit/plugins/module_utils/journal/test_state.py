# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal import chain as journal_chain
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import activations_of_run, derive, interrupted


class Story:
    """A journal told in short sentences; every sentence is one record."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def tell(self, op: str, release: str | None = None, outcome: str = "ok", component: str = "backend", run: str = "r1",
             **detail: Any) -> Story:
        fields = {"op": op, "component": component, "release": release, "outcome": outcome, "run": run, "detail": detail}
        self.records.append(journal_chain.link(fields, self.records[-1] if self.records else None, f"t{len(self.records) + 1}"))
        return self

    def deployed(self, release: str, slot: str = "blue", run: str = "r1", good: bool = True, **detail: Any) -> Story:
        self.tell("stage", release, run=run).tell("activate", release, run=run, slot=slot, config="c", **detail)
        return self.tell("mark", release, run=run, state="good") if good else self


def test_an_empty_journal() -> None:
    state = derive([], "backend")
    assert (state.states, state.live, state.previous_good, state.interrupted) == ({}, None, None, [])


def test_states() -> None:
    story = Story().deployed("v1").deployed("v2", "green").tell("stage", "v3").tell("mark", "v4", state="bad", reason="tests failed")
    state = derive(story.records, "backend")
    assert state.states == {"v1": "good", "v2": "active", "v3": "staged", "v4": "bad"}
    assert state.marks["v2"] == "good"
    assert state.reasons["v4"] == "tests failed"
    assert state.live is not None
    assert (state.live.release, state.live.slot) == ("v2", "green")


def test_other_components_do_not_count() -> None:
    story = Story().deployed("v1").tell("activate", "v9", component="worker", slot="blue")
    state = derive(story.records, "backend")
    assert state.live is not None
    assert state.live.release == "v1"


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        (Story().deployed("v1"), None),
        (Story().deployed("v1").deployed("v2"), "v1"),
        (Story().deployed("v1").deployed("v2").tell("activate", "v3", slot="green"), "v2"),
        (Story().deployed("v1").deployed("v2").deployed("v3", good=False), "v2"),
        (Story().deployed("v1").deployed("v2", good=False).deployed("v3"), "v1"),
        (Story().deployed("v1").deployed("v2").tell("mark", "v2", state="bad").deployed("v3"), "v1"),
        (Story().deployed("v1").deployed("v2").deployed("v3").tell("mark", "v2", state="bad"), "v1"),
        (Story().deployed("v1").tell("mark", "v1", state="bad").tell("mark", "v1", state="good").deployed("v2"), "v1"),
        (Story().deployed("v1").deployed("v2").tell("prune", removed=["v1"]).tell("prune", removed=["zz"]), None),
        # v1 is activated once more: going back from v3 means going back to it
        (Story().deployed("v1").deployed("v2").tell("activate", "v1", slot="blue").deployed("v3"), "v1"),
        # marked good only after the activation of what is live now: that did not serve before it
        (Story().deployed("v1").tell("stage", "v2").tell("activate", "v3", slot="green").tell("mark", "v2", state="good"), "v1"),
        # went back from v2 to v1: previous good lies before v1, not ahead
        (Story().deployed("v0").deployed("v1").deployed("v2").tell("revert", "v1", slot="blue"), "v0"),
        (Story().deployed("v1").deployed("v2").tell("revert", "v1", slot="blue"), None),
        # nothing is live any more
        (Story().deployed("v1").tell("revert", None), "v1"),
        # a failed activation moves nothing
        (Story().deployed("v1").deployed("v2").tell("activate", "v3", "started").tell("activate", "v3", "failed"), "v1"),
    ],
)
def test_previous_good(story: Story, expected: str | None) -> None:
    assert derive(story.records, "backend").previous_good == expected


def test_every_release_to_go_back_to_the_newest_first() -> None:
    story = Story().deployed("v1").deployed("v2").deployed("v3", good=False).deployed("v4")
    state = derive(story.records, "backend")
    assert state.candidates == ["v2", "v1"]
    assert state.previous_good == "v2"
    assert not {"candidates", "anchor", "activations"} & set(state.as_dict())


def test_a_restart_of_what_came_back_is_no_step_forward() -> None:
    story = Story().deployed("v1").deployed("v2").deployed("v3").tell("revert", "v1", slot="blue")
    before = derive(story.records, "backend")
    after = derive(story.tell("activate", "v1", slot="green").records, "backend")
    assert (before.candidates, before.anchor) == (after.candidates, after.anchor) == ([], 2)


def test_what_is_really_there_beats_the_journal() -> None:
    story = Story().deployed("v1").deployed("v2").deployed("v3")
    state = derive(story.records, "backend", staged=["v1", "v3"])
    assert state.previous_good == "v1"
    assert "v2" not in state.states


def test_retiring_the_warm_slot_leaves_the_live_one() -> None:
    story = Story().deployed("v1", "blue").deployed("v2", "green").tell("retire", "v1", slot="blue")
    assert derive(story.records, "backend").live is not None
    story.tell("retire", "v2", slot="green")
    assert derive(story.records, "backend").live is None


def test_interrupted() -> None:
    story = Story().tell("stage", "v1", "started").tell("stage", "v1", started=1).tell("stage", "v2", "started")
    story.tell("activate", "v1", "started", component="worker")
    found = interrupted(story.records)
    assert [(item.op, item.component, item.release) for item in found] == [("stage", "backend", "v2"), ("activate", "worker", "v1")]
    assert derive(story.records, "backend").interrupted[0].release == "v2"
    assert interrupted(story.records, current_run="r1") == []


def test_a_later_end_settles_an_interruption() -> None:
    story = Story().tell("stage", "v2", "started", run="dead").tell("stage", "v2", "started").tell("stage", "v2", "failed")
    assert interrupted(story.records) == []


def test_a_finished_switch_settles_another_that_was_interrupted() -> None:
    story = Story().tell("activate", "v2", "started", run="dead").tell("revert", "v1", slot="blue")
    assert interrupted(story.records) == []


def test_a_failed_end_of_another_release_settles_nothing() -> None:
    story = Story().tell("stage", "v2", "started").tell("stage", "v3", "failed")
    assert [item.release for item in interrupted(story.records)] == ["v2"]


def test_activations_of_a_run_newest_first() -> None:
    before = {"slot": "blue", "release": "v1", "config": "c"}
    story = Story().deployed("v1", run="old")
    story.tell("activate", "v2", "started", run="new", slot="green", previous=before)
    story.tell("activate", "v2", "ok", run="new", slot="green", previous=before)
    story.tell("activate", "v2", "ok", run="new", component="worker", slot="green", previous=None)
    story.tell("activate", "v2", "started", run="new", component="beat", slot="green", previous=None)
    found = activations_of_run(story.records, "new")
    assert [(item.component, item.outcome) for item in found] == [("beat", "started"), ("worker", "ok"), ("backend", "ok")]
    assert found[2].previous == before


def test_failed_and_reverted_activations_need_no_revert() -> None:
    story = Story().tell("activate", "v2", "started", slot="green").tell("activate", "v2", "failed", slot="green")
    assert activations_of_run(story.records, "r1") == []
    story.tell("activate", "v2", slot="green").tell("revert", "v1", slot="blue")
    assert activations_of_run(story.records, "r1") == []


def test_two_activations_of_a_run_go_back_to_before_the_first() -> None:
    before = {"slot": "blue", "release": "v1", "config": "c"}
    between = {"slot": "green", "release": "v2", "config": "c"}
    story = Story().tell("activate", "v2", slot="green", previous=before).tell("activate", "v3", slot="blue", previous=between)
    assert activations_of_run(story.records, "r1")[0].previous == before


def test_the_first_activation_of_all_goes_back_to_nothing() -> None:
    between = {"slot": "blue", "release": "v1", "config": "c"}
    story = Story().tell("activate", "v1", slot="blue", previous=None).tell("activate", "v2", slot="green", previous=between)
    assert activations_of_run(story.records, "r1")[0].previous is None


def test_a_second_activation_that_failed_leaves_the_first_to_be_taken_back() -> None:
    before = {"slot": "blue", "release": "v1", "config": "c"}
    story = Story().tell("activate", "v2", slot="green", previous=before)
    story.tell("activate", "v3", "started", slot="blue").tell("activate", "v3", "failed", slot="blue")
    found = activations_of_run(story.records, "r1")
    assert [(item.release, item.outcome, item.previous) for item in found] == [("v2", "ok", before)]


def test_as_dict_is_plain() -> None:
    data = derive(Story().deployed("v1").records, "backend").as_dict()
    assert data["live"]["release"] == "v1"
    assert "activations" not in data
