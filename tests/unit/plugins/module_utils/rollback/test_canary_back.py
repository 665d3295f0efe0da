# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node whose controller is lost while a release has a share of the requests: the emergency, and the dead man's switch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import open_canary
from ansible_collections.phasegate.aistack.plugins.module_utils.node import status, text
from ansible_collections.phasegate.aistack.plugins.module_utils.release.content import Content
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import deadman, plan as rollback_plan
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.decision import decide
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.node_answer import wrong
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.view import observe
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.canary import SharingSlots
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.contract import Request
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.rollback.fleet import AllUnits, Fleet
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.rollback.test_deadman import Timers
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.rollback.test_run import go

RUN = "deploy-3"
V3 = Content("v3", "c3")


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """Everything is at v2; of web v3 has a quarter of the requests."""
    fleet = Fleet(tmp_path, "web", "worker", warm=300)
    for number in (1, 2):
        fleet.deploy(number)
    share(fleet)
    fleet.events.clear()
    return fleet


def share(fleet: Fleet, content: Content = V3, name: str = "web") -> None:
    slots = fleet.make(fleet.spec(name), fleet.gate, fleet.journal)
    assert isinstance(slots, SharingSlots)
    slots.share(content, 25, Request(run=RUN))


def ready(fleet: Fleet) -> list[str]:
    return [slot for slot, state in fleet.machines["web"].load()["edge"].items() if state == "ready"]


@pytest.mark.parametrize("best_effort", [True, False])
def test_an_emergency_takes_the_share_away_and_stays_at_what_is_live(fleet: Fleet, best_effort: bool) -> None:
    assert len(ready(fleet)) == 2
    answer = go(fleet, best_effort=best_effort)
    assert (answer["outcome"], answer["to"]) == ("ok", "v2")
    assert next(step for name, step in fleet.events if name == "web") == "drain", "before anything else"
    assert fleet.live() == {"web": "v2", "worker": "v2"}
    assert len(ready(fleet)) == 1
    assert open_canary(fleet.journal.read(), "web") is None
    assert fleet.marks("web")["v3"] == "bad"


@pytest.mark.parametrize("to", [None, "v2"])
@pytest.mark.parametrize("level", ["app", "config"])
@pytest.mark.parametrize("names", [("web",), ("web", "worker"), ("web", "page")])
def test_the_same_release_with_another_configuration_goes_back_to_its_own(
    tmp_path: Path, names: tuple[str, ...], level: str, to: str | None
) -> None:
    fleet = Fleet(tmp_path, *names)
    for number in (1, 2):
        fleet.deploy(number)
    for name in {"web", "page"} & set(names):
        share(fleet, Content("v2", "c3"), name)
    view = observe(fleet.state, systemd=AllUnits(fleet))
    assert rollback_plan.common_target(rollback_plan.candidates(view)) == "v2"
    answer = go(fleet, level=level, to=to)
    assert (answer["outcome"], answer["to"]) == ("ok", "v2" if level == "app" else "c2")
    assert fleet.live() == dict.fromkeys(names, "v2")
    for name in {"web", "page"} & set(names):
        slots = fleet.make(fleet.spec(name), fleet.gate, fleet.journal)
        assert slots.node.content(str(slots.node.live())) == Content("v2", "c2")
        assert open_canary(fleet.journal.read(), name) is None
        assert fleet.marks(name)["v2"] == "good"
    assert len(ready(fleet)) == 1


def test_where_nothing_was_good_before_it_goes_back_to_its_own_all_the_same(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, "web")
    fleet.deploy(1)
    share(fleet, Content("v1", "c3"))
    assert go(fleet, best_effort=True)["to"] == "v1"
    assert fleet.live() == {"web": "v1"}


def test_a_controller_decides_so_as_well(tmp_path: Path) -> None:
    answers: dict[str, Any] = {}
    for node in ("a", "b"):
        fleet = Fleet(tmp_path / node, "web")
        for number in (1, 2):
            fleet.deploy(number)
        share(fleet, Content("v2", "c3"))
        answers[node] = rollback_plan.plan(observe(fleet.state, systemd=AllUnits(fleet)), rollback_plan.RollbackRequest())
        assert wrong(answers[node]) is None
    found = decide(answers)
    assert (found["to"], found["allowed"], found["there"]) == ("v2", True, False)


def test_a_run_that_is_not_confirmed_loses_its_share(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadman, "AGAIN_FOR_S", 0.0)
    timers: Any = Timers()
    armed: Any = deadman.arm(fleet.state, "shop", RUN, 60, "ann", sys.executable, timers)
    assert armed["returns"]["web"]["release"] == "v2"
    answer = deadman.revert(fleet.state, deadman.Caller(RUN, "root", "not confirmed"), True, fleet.tools())
    assert [(row["component"], row["outcome"]) for row in answer["components"]] == [("web", "ok")]
    assert (fleet.live()["web"], len(ready(fleet)), open_canary(fleet.journal.read(), "web")) == ("v2", 1, None)


def test_the_nodes_status_tells_of_it(fleet: Fleet) -> None:
    found = status.observe(fleet.state, "shop", "/opt", AllUnits(fleet))
    assert [(item["op"], item["release"], item["detail"]["weight"]) for item in found["interrupted"]] == [("canary", "v3", 25)]
    said = " ".join(" ".join(text._cut(found["interrupted"][0])).split())
    assert said.startswith("- canary: v3 of web gets 25 % of the requests beside what is live, run deploy-3")
    slots: Any = {"blue": {"release": "v2", "running": True, "edge": "ready"}, "green": {"release": "v3", "running": True, "edge": "ready"}}
    row: Any = {"live": {"slot": "blue", "release": "v2"}, "slots": slots}
    assert text._behind(row) == "v3 in green, takes a share of the requests"
