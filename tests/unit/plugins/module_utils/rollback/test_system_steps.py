# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The level system: code and data from one backup set of the target's time, or why not and what to do instead."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import facts as rollback_facts
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.plan import STEP_S, RollbackRequest, plan
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.system_steps import put_back
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.rollback.test_plan import Node, codes

PARTS = [("postgres", "app"), ("redis", "broker"), ("files", "config"), ("files", "state"), ("releases", "live")]


def a_set(release: str, made: str = "2026-01-02", **more: Any) -> dict[str, Any]:
    """A verified set of the time of a release, with the heads that its migration left."""
    live = {name: {"release": release, "config": release.replace("v", "c")} for name in ("backend", "worker", "beat")}
    return {
        "name": f"set-{release}", "made": made, "verdict": "verified", "seconds": 100, "format": 2, "stack": "shop-1",
        "heads": {"backend": [{"v1": "aa", "v2": "bb", "v3": "cc"}[release]]}, "live": live,
        "parts": [{"kind": kind, "name": name} for kind, name in PARTS], "left_out": [], **more,
    }


class System(Node):
    """A node whose plans are of the level system."""

    def view(self) -> dict[str, Any]:
        return {**super().view(), "stack": "shop-1", "restores": rollback_facts.restores(self.records)}

    def system(self, **request: Any) -> dict[str, Any]:
        return self.plan(level="system", **request)

    def refusal(self, **request: Any) -> tuple[str, str, str]:
        made = self.system(**request)
        assert len(made["refusals"]) == 1, made["refusals"]
        return made["refusals"][0]["code"], made["refusals"][0]["reason"], made["refusals"][0]["remedy"]

    def restore(self, made: dict[str, Any]) -> dict[str, Any]:
        (step,) = [step for step in made["steps"] if step["do"] == "restore"]
        detail: dict[str, Any] = step["detail"]
        return detail


@pytest.fixture
def node() -> System:
    """Three releases one after the other; the last one's migration cannot be undone. A set of each one's time."""
    node = System()
    node.migrated("v1", "", "aa").switched("v1").migrated("v2", "aa", "bb").switched("v2")
    node.migrated("v3", "bb", "cc", "contract", reversible=False).switched("v3")
    node.backups = [a_set("v1", "2026-01-01"), a_set("v2", "2026-01-02"), a_set("v3", "2026-01-03")]
    return node


def test_everything_stands_still_before_it_is_saved_and_put_back(node: System) -> None:
    made = node.system()
    assert [(step["do"], step["component"]) for step in made["steps"]] == [
        ("stop", "beat"), ("stop", "worker"), ("stop", "backend"), ("backup", "backend"), ("restore", None),
        ("switch", "backend"), ("switch", "worker"), ("switch", "beat"), ("verify", None),
    ]
    assert (made["to"], made["objective_s"], made["expected_s"]) == ("v2", 3600, 4.0 + 100 + 100 + 6 * STEP_S)
    detail = node.restore(made)
    assert (detail["set"], detail["what"]) == ("set-v2", ["postgres:app", "redis:broker", "files:config"])
    assert made["losses"][-1].startswith("everything: all that was written since the backup set set-v2 of 2026-01-02")


def test_a_host_whose_database_another_one_puts_back_takes_its_own_set_and_proves_no_schema(node: System) -> None:
    parts = [{"kind": kind, "name": name} for kind, name in PARTS if kind != "postgres"]
    node.backups = [a_set("v2", parts=parts, heads={})]
    assert codes(node.system()) == ["schema_unproven"], "by itself it would go back to a schema that stays"
    made = node.system(elsewhere={"backend": "host-1"})
    assert [(step["do"], step["component"]) for step in made["steps"]][3:5] == [("backup", None), ("restore", None)]
    assert node.restore(made)["what"] == ["redis:broker", "files:config"]
    assert made["relies"] == [{"component": "backend", "node": "host-1"}]
    assert not any("its database, which stays" in text for text in made["warnings"])


def test_the_secrets_of_the_sets_time_stay_where_they_are(node: System) -> None:
    node.ways = {"c2": {"config": "c2new", "today": ("B",), "kept": (), "problem": ""}}
    made = node.system()
    switches = [step["detail"] for step in made["steps"] if step["do"] == "switch"]
    assert [(detail["config"], detail["of"], detail["today"]) for detail in switches] == [("c2new", "c2", ["B"])] * 3
    assert not any("goes back with the config" in text for text in made["warnings"]), "it is that of the set's time"


def test_the_newest_set_of_the_targets_time_or_the_one_that_is_named(node: System) -> None:
    node.backups.append(a_set("v2", "2025-12-24", name="older"))
    assert node.restore(node.system())["set"] == "set-v2"
    assert node.restore(node.system(backup="older"))["set"] == "older"
    assert node.restore(node.system(to="v1"))["set"] == "set-v1"


def test_no_set_of_the_targets_time(node: System) -> None:
    node.backups = [a_set("v1"), a_set("v3"), {"name": "dump", "format": 1, "made": "2026", "verdict": "verified", "parts": [], "live": {}}]
    code, reason, remedy = node.refusal()
    assert (code, reason) == ("backup_missing", "no backup set on this node was made while v2 was live")
    assert "level=schema (-e to=v2)" in remedy
    node.backups = [a_set("v2", live={"backend": {"release": "v2"}, "worker": {"release": "v3"}, "beat": {"release": "v2"}})]
    assert node.refusal()[0] == "backup_missing", "half of the stack was at another release then"


@pytest.mark.parametrize("wrong", [{"verdict": "unusable: torn"}, {"problem": "db has 2 bytes, expected 4"}, {"verdict": ""}])
def test_a_set_that_cannot_be_relied_on(node: System, wrong: dict[str, Any]) -> None:
    node.backups = [a_set("v2", **wrong)]
    code, reason, remedy = node.refusal()
    assert code == "backup_unverified"
    assert reason.startswith("the backup set set-v2 cannot be relied on: ")
    assert "bring a verified set of that time" in remedy
    assert node.refusal(backup="set-v2")[0] == "backup_unverified"
    node.backups.append(a_set("v2", "2020-01-01", name="sound"))
    assert node.restore(node.system())["set"] == "sound"


def test_a_set_of_another_stack(node: System) -> None:
    node.backups = [a_set("v2", stack="blog")]
    code, reason, remedy = node.refusal()
    assert (code, reason) == ("set_of_another_stack", "the backup set set-v2 is of the stack blog, this node is of shop-1")
    assert "take a set of this stack" in remedy
    assert node.refusal(backup="set-v2")[0] == "set_of_another_stack"


def test_a_target_that_is_not_staged_any_more(node: System) -> None:
    node.staged.remove("v2")
    made = node.system(to="v2")
    assert codes(made) == ["not_here"]
    assert "deploy.yml -e release=v2" in made["refusals"][0]["remedy"]


@pytest.mark.parametrize(
    ("named", "code", "says"),
    [
        ("set-v1", "set_of_another_release", "was made while v1 was live, not v2"),
        ("typo", "backup_missing", "the backup set typo is not on backend-1"),
        ("dump", "no_set", "dump is a dump that was made before a migration"),
    ],
)
def test_a_named_set_that_is_none(node: System, named: str, code: str, says: str) -> None:
    node.backups.append({"name": "dump", "format": 1, "made": "2026", "verdict": "verified", "parts": [], "live": {}})
    found, reason, remedy = node.refusal(backup=named)
    assert found == code
    assert says in reason
    assert "name one of that time (-e set=NAME): set-v2" in remedy


def test_a_set_is_named_for_the_level_system_alone(node: System) -> None:
    made = node.plan(level="schema", backup="set-v2")
    assert codes(made) == ["set_and_level"]
    assert "level=system" in made["refusals"][0]["remedy"]


def test_a_node_without_data_takes_its_own_set_where_the_named_one_is_elsewhere() -> None:
    web = System("frontend", name="web-1").switched("v1").switched("v2")
    assert isinstance(web, System)
    held = {**a_set("v1"), "live": {"frontend": {"release": "v1", "config": "c1"}}, "heads": {}}
    web.backups = [{**held, "parts": [{"kind": "files", "name": "config"}]}]
    made = web.system(backup="of-backend-1")
    assert web.restore(made)["what"] == ["files:config"]
    assert any("of-backend-1 is not here; this node holds no data" in text for text in made["warnings"])
    assert [(step["do"], step["component"]) for step in made["steps"]][:3] == [("stop", "frontend"), ("backup", None), ("restore", None)]


def test_the_sets_schema_has_to_be_one_that_the_target_runs_on(node: System) -> None:
    node.backups = [a_set("v2", heads={"backend": ["cc"]})]  # a deployment of v3 was interrupted behind its migration
    code, reason, remedy = node.refusal()
    assert code == "schema_unproven"
    assert "v2 was never proven on the schema at cc, where the set set-v2 has it; it is made for the schema at bb" in reason
    assert "set=NAME" in remedy
    node.tell("mark", "backend", "v2", state="runs_on", heads=["cc"])
    assert node.system()["allowed"]


def test_what_the_set_does_not_hold_is_said(node: System) -> None:
    parts = [{"kind": "redis", "name": "broker"}, {"kind": "files", "name": "credentials"}]
    node.backups = [a_set("v2", parts=parts, heads={}, left_out=["bucket:assets: no such bucket yet"])]
    node.tell("mark", "backend", "v2", state="runs_on", heads=["cc"])
    made = node.system()
    assert node.restore(made)["what"] == ["redis:broker"]
    assert "backend: not part of the set set-v2: its database, which stays as it is" in made["warnings"]
    assert "not part of the set set-v2: bucket:assets: no such bucket yet" in made["warnings"]
    assert any("put back only by name: files:credentials" in text for text in made["warnings"])
    node.records.pop()
    assert codes(node.system()) == ["schema_unproven"], "the database stays at cc, which v2 was never proven on"


def test_an_environment_that_is_not_the_sets_is_said(node: System) -> None:
    live = {name: {"release": "v2", "config": "c0"} for name in ("backend", "worker", "beat")}
    node.backups = [a_set("v2", live=live)]
    assert any("the set set-v2 is of the time of c0: -e level=config -e to=c0" in text for text in node.system()["warnings"])


def test_a_rollback_that_was_interrupted_behind_its_restore_is_only_finished(node: System) -> None:
    parts = ["postgres:app", "redis:broker", "files:config"]
    node.tell("restore", None, None, run="rb-1", set="set-v2", parts=parts[:1], tables=[])
    assert node.restore(node.system()), "only a part of it came back"
    node.tell("restore", None, None, run="rb-1", set="set-v2", parts=parts, tables=[])
    node.heads = ["bb"]
    made = node.system()
    assert [(step["do"], step["component"]) for step in made["steps"]] == [("switch", "beat"), ("switch", "worker"), ("switch", "backend")]
    assert any("set-v2 was put back by run rb-1; that is not done again" in text for text in made["warnings"])
    node.switched("v3", "backend")  # started again, it has written since
    assert node.restore(node.system())["set"] == "set-v2"


def test_what_is_at_the_target_already_is_started_again(node: System) -> None:
    node.switched("v2", "worker", op="revert")
    made = node.system(to="v2")
    assert [(step["do"], step["component"]) for step in made["steps"]][5:] == [
        ("switch", "backend"), ("switch", "beat"), ("start", "worker"), ("verify", None),
    ]


def test_a_node_with_data_and_no_release_goes_by_the_name_of_the_set() -> None:
    held = {**a_set("v2"), "live": {}, "heads": {}, "parts": [{"kind": "redis", "name": "broker"}]}
    view = {"node": "data-1", "stack": "shop-1", "components": {}, "backups": [held], "problems": []}
    made = plan(view, RollbackRequest(level="system", to="v2"))
    assert codes(made) == ["which_set"]
    assert "set=NAME; here are set-v2" in made["refusals"][0]["remedy"]
    assert codes(plan(view, RollbackRequest(level="system", backup="typo"))) == ["backup_missing"]
    assert codes(plan({**view, "stack": "blog"}, RollbackRequest(level="system", backup="set-v2"))) == ["set_of_another_stack"]
    named = plan(view, RollbackRequest(level="system", to="v2", backup="set-v2"))
    assert [step["do"] for step in named["steps"]] == ["backup", "restore"]
    assert codes(plan(view, RollbackRequest())) == ["no_component"], "its data has no part in another level"
    assert codes(plan({**view, "backups": []}, RollbackRequest(level="system"))) == ["no_component"]


# -- level schema


def test_a_restore_puts_the_database_of_its_component_back_and_nothing_else(node: System) -> None:
    parts = [{"kind": "postgres", "name": "app", "component": "backend"}, {"kind": "postgres", "name": "blog", "component": "blog"}]
    node.backups = [a_set("v2", parts=[*parts, {"kind": "redis", "name": "broker"}])]
    made = node.plan(level="schema", to="v2")
    assert node.restore(made)["what"] == ["postgres:app"]
    assert [step["do"] for step in made["steps"]][:5] == ["stop", "stop", "stop", "backup", "restore"]
    below = node.plan(level="schema", to="v1")
    assert any("what undoing bb takes away can be asked only when the set is back" in text for text in below["warnings"])


def test_a_dump_from_before_a_migration_is_no_set_to_restore(node: System) -> None:
    dump = {"name": "dump", "format": 1, "made": "2026-01-04", "verdict": "verified", "heads": {"backend": ["bb"]}, "live": {}, "parts": []}
    node.backups = [a_set("v2"), dump]
    assert node.restore(node.plan(level="schema"))["set"] == "set-v2"
    node.backups = [dump]
    made = node.plan(level="schema")
    assert codes(made) == ["backup_missing"]
    assert "only dump, a dump from before a migration, which is put back by its name alone (restore.yml)" in made["refusals"][0]["reason"]
    node.backups = [a_set("v2", stack="blog")]
    assert codes(node.plan(level="schema")) == ["backup_missing"]


def test_a_set_from_the_future_is_passed_over(node: System) -> None:
    node.backups = [a_set("v2"), a_set("v2", "2036-01-01", name="later", problem="the clock was ahead", ahead=True)]
    made = node.system()
    assert node.restore(made)["set"] == "set-v2"
    assert "the backup set later is passed over: the clock was ahead" in made["warnings"]


def test_what_stands_still_is_started_though_it_need_not_move(node: System) -> None:
    story = System().migrated("v3", "bb", "cc").switched("v3").switched("v4", "backend", "worker")
    view = story.view()
    view["components"]["beat"]["slots"]["blue"]["running"] = False
    made = plan(view, RollbackRequest(level="schema", to="v3"))
    assert [(step["do"], step["component"]) for step in made["steps"]][-1] == ("start", "beat")


def test_a_node_that_holds_data_alone_puts_a_set_back_once() -> None:
    data = System("db", name="db-1")
    held = {**a_set("v1"), "live": {}, "heads": {}}
    view = {**data.view(), "components": {}, "backups": [held]}
    restored = {"set": held["name"], "parts": put_back(held), "tables": [], "run": "c-1", "seq": 9}
    request = RollbackRequest(level="system", to="v1", backup=str(held["name"]))
    assert [step["do"] for step in plan(view, request)["steps"]] == ["backup", "restore"]
    earlier = {**view, "restores": [restored]}
    assert plan(earlier, request)["steps"], "that was of another rollback"
    made = plan({**earlier, "open_rollback": {"level": "system", "seq": 5, "runs": ["c-1"]}}, request)
    assert (made["allowed"], made["steps"]) == (True, []), "what is live since may have written"
    assert "that is not done again" in made["warnings"][-1]
    assert plan({**earlier, "open_rollback": {"level": "system", "seq": 10, "runs": ["c-2"]}}, request)["steps"]
