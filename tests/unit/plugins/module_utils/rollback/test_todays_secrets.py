# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever goes back takes today's secrets along: a password that was changed since would be refused, a key would end every session."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.environment import file as env_file
from ansible_collections.phasegate.aistack.plugins.module_utils.node import text as node_text
from ansible_collections.phasegate.aistack.plugins.module_utils.release.content import Content
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import deadman
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.plan import RollbackRequest, plan
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.run import Caller, roll_back
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.contract import Request
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.rollback.fleet import Fleet

SECRETS = ("MAILBOX",)
"""Nobody would guess it from the name: it is declared one."""


def configure(fleet: Fleet, config: str, **values: str) -> None:
    for name in fleet.names:
        folder = fleet.root / "opt" / name / "config" / config
        folder.mkdir(exist_ok=True)
        (folder / "env").write_text(env_file.render_env(values))
        (folder / env_file.NAMES).write_text(env_file.Declared("s", frozenset(SECRETS)).text())


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """v2 serves with a password that was changed when it was deployed; what v1 left is still warm."""
    fleet = Fleet(tmp_path, warm=300)
    configure(fleet, "c1", MAILBOX="hunter2-old", LEVEL="debug")
    configure(fleet, "c2", MAILBOX="hunter2-new", LEVEL="info")
    fleet.deploy(1)
    fleet.deploy(2)
    return fleet


def go(fleet: Fleet, run: str = "rb-1", best_effort: bool = False, **request: Any) -> dict[str, Any]:
    return roll_back(
        fleet.state,
        "shop",
        RollbackRequest(best_effort=best_effort, **request),
        Caller(run, "bob", "5xx", best_effort=best_effort),
        fleet.tools(),
    )


def live(fleet: Fleet) -> list[tuple[str, str, dict[str, str]]]:
    """What is live, by component: release, config, and the environment that the unit reads; journal and links agree."""
    found = []
    fleet.live()
    for name in fleet.names:
        slot = fleet.root / "opt" / name / "slots" / "live"
        release, config = (os.path.basename(os.readlink(slot / kind)) for kind in ("release", "config"))
        last = [record for record in fleet.journal.read() if record["component"] == name and record["op"] in ("activate", "revert")][-1]
        assert (last["outcome"], last["release"], last["detail"]["config"]) == ("ok", release, config)
        found.append((release, config, env_file.read_env(slot / "config" / "env")))
    return found


def configs(fleet: Fleet) -> list[str]:
    return sorted(os.listdir(fleet.root / "opt" / "web" / "config"))


TODAY = {"MAILBOX": "hunter2-new", "LEVEL": "debug"}
THEN = {"MAILBOX": "hunter2-old", "LEVEL": "debug"}


@pytest.mark.parametrize("best_effort", [False, True], ids=["app", "emergency"])
def test_the_release_goes_back_and_the_password_does_not(fleet: Fleet, best_effort: bool) -> None:
    view = fleet.tools().observe(fleet.state)
    made = plan(view, RollbackRequest(best_effort=best_effort))
    assert configs(fleet) == ["c1", "c2", "c3"], "a plan writes nothing"
    answer = go(fleet, best_effort=best_effort)
    assert answer["outcome"] == "ok"
    (release, config, values), *others = live(fleet)
    assert (release, values) == ("v1", TODAY)
    assert all(other == (release, config, values) for other in others)
    assert config == env_file.config_hash(env_file.render_env(TODAY), "s")
    assert configs(fleet) == sorted(["c1", "c2", "c3", config])
    details = [step["detail"] for step in made["steps"]]
    assert [(detail["config"], detail["of"], detail["today"]) for detail in details] == [(config, "c1", ["MAILBOX"])] * 3
    assert [detail["environment"] for detail in details] == [{"added": [], "removed": [], "changed": ["LEVEL"]}] * 3
    moves = fleet.records("rollback")[-1]["detail"]["moves"]
    assert moves["web"] == {"from": {"release": "v2", "config": "c2", "slot": "green"}, "to": {"release": "v1", "config": config}}
    assert "hunter2" not in json.dumps([view, made, answer, fleet.journal.read()])


def test_the_plan_names_what_goes_back_and_what_does_not(fleet: Fleet) -> None:
    view = fleet.tools().observe(fleet.state)
    text = node_text.plan_text({**plan(view, RollbackRequest()), "resumes": None})
    assert "~LEVEL =MAILBOX (as today)" in " ".join(text.split())
    assert "hunter2" not in text


def test_a_slot_whose_password_is_no_longer_valid_is_not_warm(fleet: Fleet) -> None:
    view = fleet.tools().observe(fleet.state)
    steps = {step["component"]: step["detail"]["warm"] for step in plan(view, RollbackRequest())["steps"]}
    assert view["components"]["web"]["slots"]["blue"]["running"] is True, "it runs all the same"
    assert steps["web"] is False
    before = fleet.machines["web"].load()["blue"]["pid"]
    go(fleet)
    assert fleet.machines["web"].load()["blue"]["pid"] != before, "its process had the former value"


def test_a_slot_with_the_secrets_of_today_is_warm(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, warm=300)
    for config, level in (("c1", "debug"), ("c2", "info")):
        configure(fleet, config, MAILBOX="hunter2", LEVEL=level)
    fleet.deploy(1)
    fleet.deploy(2)
    steps = {step["component"]: step["detail"] for step in plan(fleet.tools().observe(fleet.state), RollbackRequest())["steps"]}
    assert (steps["web"]["warm"], steps["web"]["config"], steps["web"]["of"]) == (True, "c1", None)
    before = fleet.machines["web"].load()["blue"]["pid"]
    go(fleet)
    assert fleet.machines["web"].load()["blue"]["pid"] == before
    assert configs(fleet) == ["c1", "c2", "c3"]


def test_the_dead_mans_switch_takes_them_along(fleet: Fleet) -> None:
    answer = deadman.revert(fleet.state, Caller("deploy-2", "root", "not confirmed"), False, fleet.tools())
    assert answer["outcome"] == "ok", answer
    (release, config, values), *_others = live(fleet)
    assert (release, values) == ("v1", TODAY)
    assert answer["components"][0]["to"] == {"slot": "blue", "release": "v1", "config": config}
    assert fleet.records("rollback")[-1]["detail"]["moves"]["web"]["to"]["config"] == config
    assert "hunter2" not in json.dumps([answer, fleet.journal.read()])


def test_what_a_run_takes_back_itself_takes_them_along(fleet: Fleet) -> None:
    slots = fleet.make(fleet.spec("web"), fleet.gate, fleet.journal)
    request = Request(run="deploy-2", actor="ann")
    predicted = slots.revert(Request(run="deploy-2", actor="ann", check=True))
    assert configs(fleet) == ["c1", "c2", "c3"], "check mode writes nothing"
    outcome = slots.revert(request)
    assert outcome.content == predicted.content
    release, config, values = live(fleet)[0]
    assert (release, values) == ("v1", TODAY)
    record = fleet.records("revert")[-1]["detail"]
    assert (record["config"], record["of"]) == (config, "c1")
    assert not slots.revert(request).changed


def test_a_run_that_changed_secrets_alone_leaves_them_and_says_how_to_have_the_former_ones(fleet: Fleet) -> None:
    configure(fleet, "c8", MAILBOX="hunter2-rotated", LEVEL="info")
    slots = fleet.make(fleet.spec("web"), fleet.gate, fleet.journal)
    slots.activate(Content("v2", "c8"), Request(run="rotate-1"))
    outcome = slots.revert(Request(run="rotate-1"))
    assert not outcome.changed
    assert outcome.message.endswith("; only secrets had changed, and those stay (level config to c2 has the former ones)")
    assert live(fleet)[0][:2] == ("v2", "c8")


def test_level_config_asked_for_by_name_is_what_was_asked_for(fleet: Fleet) -> None:
    configure(fleet, "c9", MAILBOX="hunter2-new", LEVEL="info")
    for name in fleet.names:
        slots = fleet.make(fleet.spec(name), fleet.gate, fleet.journal)
        slots.activate(Content("v2", "c1"), Request(run="d3"))
        slots.activate(Content("v2", "c9"), Request(run="d4"))
    made = plan(fleet.tools().observe(fleet.state), RollbackRequest("config", "c1"))
    assert "web: MAILBOX: secret, and changed since; asked for by its name, c1 brings the value of then back" in made["warnings"]
    unnamed = plan(fleet.tools().observe(fleet.state), RollbackRequest("config"))
    assert unnamed["to"] == env_file.config_hash(env_file.render_env(TODAY), "s")
    assert go(fleet, level="config", to="c1")["outcome"] == "ok"
    assert [entry[1:] for entry in live(fleet)] == [("c1", THEN)] * 3


def test_level_config_goes_past_what_differs_in_secrets_alone(fleet: Fleet) -> None:
    configure(fleet, "c8", MAILBOX="hunter2-rotated", LEVEL="info")
    for name in fleet.names:
        slots = fleet.make(fleet.spec(name), fleet.gate, fleet.journal)
        slots.activate(Content("v2", "c8"), Request(run="rotate-1"))
    answer = go(fleet, level="config")
    assert [refusal["code"] for refusal in answer["plan"]["refusals"]] == ["no_previous_config"]
    assert go(fleet, "rb-2", level="config", to="c2")["outcome"] == "ok", "by its name it is had all the same"


def test_a_config_that_was_made_on_a_way_back_that_was_interrupted_can_be_gone_on_to(fleet: Fleet) -> None:
    for name in fleet.names:
        fleet.make(fleet.spec(name), fleet.gate, fleet.journal).activate(Content("v2", "c1"), Request(run="d3"))
        configure(fleet, "c9", MAILBOX="hunter2-new", LEVEL="info")
        fleet.make(fleet.spec(name), fleet.gate, fleet.journal).activate(Content("v2", "c9"), Request(run="d4"))
    made = env_file.config_hash(env_file.render_env(TODAY), "s")
    begun = {"op": "rollback", "release": made, "run": "rb-0", "outcome": "started"}
    fleet.journal.append({**begun, "detail": {"level": "config", "to": made}})
    answer = go(fleet, level="config")
    assert (answer["outcome"], answer["to"]) == ("ok", made)
    assert fleet.records("rollback")[-1]["detail"]["resumes"] == "rb-0"
    assert [entry[1:] for entry in live(fleet)] == [(made, TODAY)] * 3


def test_a_configuration_without_names_beside_it_goes_by_its_names(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    for name in fleet.names:
        (fleet.root / "opt" / name / "config" / "c2" / "env").write_text('LEVEL="info"\nTOKEN="hunter2-new"\n')
    fleet.deploy(1)
    fleet.deploy(2)
    assert go(fleet)["outcome"] == "ok"
    assert [values for _release, _config, values in live(fleet)] == [{"LEVEL": "level-1", "TOKEN": "hunter2-new"}] * 3


def test_a_secret_of_then_that_today_does_not_have_is_told(fleet: Fleet) -> None:
    configure(fleet, "c2", LEVEL="info")
    made = plan(fleet.tools().observe(fleet.state), RollbackRequest())
    beware = "MAILBOX: secret, and not part of the environment of today, so that v1 has the value of then again"
    assert f"web: {beware}" in made["warnings"]
    assert go(fleet)["outcome"] == "ok"
    assert live(fleet)[0] == ("v1", "c1", THEN)


def test_secrets_that_change_between_plan_and_switch_leave_all_as_it_was(fleet: Fleet) -> None:
    tools = fleet.tools()
    plain = tools.observe

    def late(*given: Any, **more: Any) -> dict[str, Any]:
        view = plain(*given, **more)
        configure(fleet, "c2", MAILBOX="hunter2-newest", LEVEL="info")
        return view

    tools.observe = late
    answer = roll_back(fleet.state, "shop", RollbackRequest(), Caller("rb-1", "bob"), tools)
    assert answer["outcome"] == "failed"
    assert all("changed them meanwhile" in row["message"] for row in answer["components"])
    assert fleet.live() == dict.fromkeys(fleet.names, "v2")
    assert go(fleet, "rb-2")["outcome"] == "ok"
    assert live(fleet)[0][2]["MAILBOX"] == "hunter2-newest"


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_killed_anywhere_it_is_finished_with_the_same_configuration(tmp_path: Path, before: bool) -> None:
    deaths = 0
    for step in range(1, 40):
        fleet = Fleet(tmp_path / str(step), "web", warm=300)
        configure(fleet, "c1", MAILBOX="hunter2-old", LEVEL="debug")
        configure(fleet, "c2", MAILBOX="hunter2-new", LEVEL="info")
        fleet.deploy(1)
        fleet.deploy(2)
        machine = fleet.machines["web"]
        child = os.fork()
        if child == 0:
            machine.count, machine.die_at = 0, (step, before)
            try:
                fleet.make(fleet.spec("web"), fleet.gate, fleet.journal).revert(Request(run="deploy-2"))
            finally:
                os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 9:
            break
        deaths += 1
        fleet.make(fleet.spec("web"), fleet.gate, fleet.journal).revert(Request(run="deploy-2"))
        assert live(fleet)[0] == ("v1", env_file.config_hash(env_file.render_env(TODAY), "s"), TODAY), f"killed at {step}"
        assert len(configs(fleet)) == 4
    assert deaths > 8
