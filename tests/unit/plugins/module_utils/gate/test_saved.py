# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""By which gate a release is judged, on a node that lives in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.gate import call as gate_call, saved as saved_gate
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.text import inventory_says
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.spec import normalise

OLD = {"name": "answer", "file": "{folder}/answer", "contains": "old"}
NEW = {"name": "answer", "file": "{folder}/answer", "contains": "new"}


real = gate_call.run_gate


class Api:
    """A component whose process answers with what is in a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root, self.state = folder / "root", folder / "state"
        (self.state / "gates").mkdir(parents=True)
        self.answers("old")
        self.live("v1")

    def answers(self, text: str) -> None:
        (self.folder / "answer").write_text(text)

    def live(self, release: str) -> None:
        slot = self.root / "api" / "slots" / "blue"
        slot.mkdir(parents=True, exist_ok=True)
        (slot / "slot.env").write_text("AISTACK_PORT=1\n")
        (slot / "release").unlink(missing_ok=True)
        (slot / "release").symlink_to(f"../../releases/{release}")
        live = slot.parent / "live"
        live.unlink(missing_ok=True)
        live.symlink_to("blue")

    def probe(self, given: dict[str, Any]) -> dict[str, Any]:
        return normalise(json.loads(json.dumps(given).replace("{folder}", str(self.folder))), "api")

    def activated(self, **gates: list[dict[str, Any]]) -> None:
        kept = {release: {"probes": [self.probe(probe) for probe in probes], "successes": 2} for release, probes in gates.items()}
        saved_gate.save(self.state, "api", kept)

    def saved(self, release: str) -> Any:
        return saved_gate.load(self.state, "api")[release]

    def ask(self, *probes: dict[str, Any], judge_by: str = "activated", check: bool = False, **more: Any) -> dict[str, Any]:
        given = [dict(self.probe(probe), hosts="api") for probe in probes]
        places = {"root": str(self.root), "state_dir": str(self.state)}
        return gate_call.judge({"probes": given, "deadline": 0, "judge_by": judge_by, **places, **more}, check)


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return Api(tmp_path)


def verdicts(answer: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(row["verdict"], row["severity"], row.get("judged_by", "")) for row in answer["probes"]]


def test_after_a_rollback_the_release_is_judged_by_its_own_gate_and_the_inventorys_is_shown(api):
    api.activated(v1=[OLD], v2=[NEW])
    answer = api.ask(NEW)
    assert not answer.get("failed")
    assert answer["verdict"] == "pass"
    assert verdicts(answer) == [("pass", "critical", ""), ("fail", "warning", "inventory")]
    assert answer["contexts"]["api"]["judged_by"] == "the gate that v1 was activated with"
    [said] = inventory_says(answer["probes"])
    assert said.startswith("api: v1 is live, and passes the gate that it was activated with. The inventory's gate of today says: answer: ")
    assert "is the gate of v2: deploy that release, or fix aistack_components.api.gate" in said


def test_by_what_is_given_nothing_changes(api):
    api.activated(v1=[OLD], v2=[NEW])
    answer = api.ask(NEW, judge_by="given")
    assert (answer["failed"], answer["verdict"]) == (True, "fail")
    assert verdicts(answer) == [("fail", "critical", "")]


def test_logs_look_back_so_far_and_are_compared_as_they_are_written(api, monkeypatch):
    log = {"name": "quiet", "log": "api.service", "absent": "Traceback"}
    asked: list[Any] = []
    monkeypatch.setattr(gate_call, "run_gate", lambda probes, *_rest, **_more: asked.append(probes) or real(probes, *_rest, **_more))
    api.activated(v1=[log])
    assert "judged_by" not in api.ask(log, log_since=5)["contexts"]["api"]
    api.ask(OLD, log_since=5)
    assert [[probe.get("since") for probe in probes] for probes in asked] == [[5], [5], [None]]


@pytest.mark.parametrize("judge_by", ["activated", "adopted"])
def test_the_gate_of_the_live_release_is_asked_once(api, judge_by):
    api.activated(v1=[OLD])
    answer = api.ask(OLD, judge_by=judge_by)
    assert verdicts(answer) == [("pass", "critical", "")]
    assert "judged_by" not in answer["contexts"]["api"]
    assert inventory_says(answer["probes"]) == []


def test_where_nothing_was_saved_the_given_gate_counts(api):
    assert api.ask(NEW)["verdict"] == "fail"
    (api.state / "gates" / "api.json").write_text("{")
    assert api.ask(NEW)["verdict"] == "fail"


def test_a_release_that_fails_its_own_gate_fails_whatever_todays_says(api):
    api.activated(v1=[OLD])
    api.answers("new")
    answer = api.ask(NEW)
    assert answer["failed"]
    assert verdicts(answer) == [("fail", "critical", ""), ("pass", "warning", "inventory")]
    assert "What the inventory's gate of today asks instead passes: site.yml makes it the gate of v1" in answer["msg"]
    assert "1 of 1 probes did not pass" in answer["msg"]


def test_a_new_gate_of_the_same_release_is_adopted_where_it_passes(api):
    api.activated(v1=[OLD])
    answer = api.ask({**OLD, "contains": "ol"}, judge_by="adopted")
    assert verdicts(answer) == [("pass", "critical", "")]
    assert [probe["contains"] for probe in api.saved("v1")["probes"]] == ["ol"]
    assert "hosts" not in api.saved("v1")["probes"][0]
    assert api.saved("v1")["successes"] == 2


def test_a_new_gate_that_does_not_pass_is_not_adopted_and_says_that_it_is_new(api):
    api.activated(v1=[OLD])
    answer = api.ask({**OLD, "contains": "other"}, judge_by="adopted")
    assert answer["failed"]
    assert "this gate is new to v1, which was activated with another one" in answer["msg"]
    assert api.saved("v1")["probes"][0]["contains"] == "old"


def test_the_gate_of_another_release_is_not_adopted_and_does_not_count(api):
    api.activated(v1=[OLD], v2=[NEW])
    answer = api.ask(NEW, judge_by="adopted")
    assert answer["verdict"] == "pass"
    assert api.saved("v1")["probes"][0]["contains"] == "old"
    api.live("v2")
    assert api.ask(NEW, judge_by="adopted")["verdict"] == "fail"


def test_a_release_without_a_gate_is_not_asked_what_another_is(api):
    api.activated(v1=[], v2=[NEW])
    answer = api.ask(NEW)
    assert answer["verdict"] == "pass"
    assert verdicts(answer) == [("fail", "warning", "inventory")]
    api.activated(v1=[])
    assert api.ask(NEW)["verdict"] == "fail"


def test_probes_that_another_host_asks_are_those_that_are_given(api):
    api.activated(v1=[OLD], v2=[NEW])
    elsewhere = {**NEW, "name": "from the edge", "from": "edge"}
    assert verdicts(api.ask(NEW, elsewhere)) == [("pass", "critical", ""), ("fail", "critical", ""), ("fail", "warning", "inventory")]


def test_an_acceptance_probe_is_named_as_todays_where_it_fails(api):
    words = "an acceptance probe belongs to its phase and is always the inventory's of today, whichever release is live"
    probe = {**api.probe({**NEW, "name": "elsewhere", "from": "edge"}), "component": None}
    places = {"root": str(api.root), "state_dir": str(api.state), "deadline": 0}
    assert words in gate_call.judge({"probes": [probe], "judge_by": "activated", **places})["msg"]
    assert words not in gate_call.judge({"probes": [probe], **places})["msg"]


class Edge:
    """The host that asks for the component, and keeps no gates of its releases."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.places = {"root": str(api.folder / "nothing"), "state_dir": str(api.folder / "elsewhere"), "deadline": 0}

    def probes(self, given: dict[str, Any]) -> list[dict[str, Any]]:
        return [dict(self.api.probe({**given, "from": "edge"}), hosts="api")]

    def adopted(self, given: dict[str, Any]) -> None:
        """What a deployment leaves on the host of the component."""
        assert self.api.ask(OLD, judge_by="adopted", elsewhere={"api": self.probes(given)})["verdict"] == "pass"

    def kept(self, given: dict[str, Any]) -> dict[str, Any]:
        return self.api.ask(judge_by="kept", elsewhere={"api": self.probes(given)})["kept"]

    def ask(self, given: dict[str, Any], judge_by: str = "activated") -> dict[str, Any]:
        count, aside = saved_gate.asked_elsewhere(judge_by, self.probes(given), self.kept(given))
        return gate_call.judge({"probes": count, "aside": aside, "judge_by": judge_by, **self.places})


@pytest.mark.parametrize("judge_by", ["activated", "adopted"])
def test_what_another_host_asks_goes_by_the_live_release_too(api, judge_by):
    edge = Edge(api)
    api.activated(v1=[OLD], v2=[OLD])
    edge.adopted(OLD)
    api.live("v2")
    edge.adopted(NEW)
    api.live("v1")
    answer = edge.ask(NEW, judge_by)
    assert answer["verdict"] == "pass"
    assert verdicts(answer) == [("pass", "critical", ""), ("fail", "warning", "inventory")]
    assert answer["contexts"]["api"]["judged_by"] == "the gate that v1 was activated with"
    assert "is the gate of v2: deploy that release" in inventory_says(answer["probes"])[0]
    api.live("v2")
    assert verdicts(edge.ask(NEW)) == [("fail", "critical", "")]


def test_what_no_release_has_kept_for_another_host_is_todays(api):
    api.activated(v1=[OLD])
    assert verdicts(Edge(api).ask(NEW)) == [("fail", "critical", "")]
    assert verdicts(Edge(api).ask(OLD)) == [("pass", "critical", "")]


def test_a_new_probe_of_another_host_is_the_live_releases_where_it_is_nobody_elses(api):
    edge = Edge(api)
    api.activated(v1=[OLD], v2=[OLD])
    edge.adopted(OLD)
    assert verdicts(edge.ask({**OLD, "contains": "ol"}, "adopted")) == [("pass", "critical", "")]
    edge.adopted({**OLD, "contains": "ol"})
    assert [probe["contains"] for probe in edge.kept(OLD)["api"]["gates"]["v1"]] == ["ol"]
    assert edge.kept(OLD)["api"]["release"] == "v1"


def test_who_reads_the_file_without_them_finds_the_gates_of_the_releases(api):
    """As the command of a node does that is older than this file."""
    api.activated(v1=[OLD])
    before = dict(api.saved("v1"))
    Edge(api).adopted(NEW)
    read = json.loads(saved_gate.path_of(api.state, "api").read_text())
    assert read["v1"] == before
    assert set(read) == {"v1", saved_gate.ELSEWHERE}
    assert set(saved_gate.load(api.state, "api")) == {"v1"}
    saved_gate.save(api.state, "api", {"v2": before})
    assert set(json.loads(saved_gate.path_of(api.state, "api").read_text())) == {"v2"}, "with a release goes what was kept for it"


def test_check_mode_adopts_nothing(api):
    api.activated(v1=[OLD])
    api.ask({**OLD, "contains": "ol"}, judge_by="adopted", check=True)
    assert api.saved("v1")["probes"][0]["contains"] == "old"


def test_a_word_that_is_none_is_refused(api):
    answer = api.ask(OLD, judge_by="today")
    assert answer["failed"]
    assert "judge_by: 'today' is not one of given, activated, adopted, kept" in answer["msg"]


def test_slices_go_on_with_the_same_probes(api):
    api.activated(v1=[{**OLD, "contains": "never"}, OLD], v2=[NEW])
    first = api.ask(NEW, deadline=0.6, interval=0.1, slice=0.2)
    assert first["verdict"] == "waiting"
    assert len(first["probes"]) == 2
    answer = api.ask(NEW, deadline=0.6, interval=0.1, slice=5, resume=first["state"])
    assert verdicts(answer) == [("fail", "critical", ""), ("pass", "critical", ""), ("fail", "warning", "inventory")]
