# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner: told what a node's journal says and what lies on it, where does it go back to, or why does it refuse?"""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal import chain as journal_chain
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import facts as rollback_facts
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.plan import (
    STEP_S,
    RollbackRequest,
    candidates,
    common_target,
    plan,
)

ORDER = {"backend": 1, "worker": 2, "beat": 3}
HEADS = {"v1": ["aa"], "v2": ["bb"], "v3": ["cc"], "v4": ["cc"]}


class Node:
    """A node's journal told in short sentences, and what lies on the node."""

    def __init__(self, *components: str, name: str = "backend-1") -> None:
        self.name = name
        self.components = components or ("backend", "worker", "beat")
        self.records: list[dict[str, Any]] = []
        self.staged = ["v4", "v3", "v2", "v1"]
        self.live: dict[str, dict[str, Any] | None] = dict.fromkeys(self.components)
        self.heads: list[str] | None = None
        self.why = ""
        self.backups: list[dict[str, Any]] = []
        self.warm: set[str] = set()
        self.configs = ["c0", "c1", "c2", "c3", "c4"]
        self.ways: dict[str, dict[str, Any]] = {}
        self.built: dict[str, str] = {}
        self.bare: set[str] = set()

    def tell(
        self, op: str, component: str | None, release: str | None, outcome: str = "ok", run: str = "", **detail: Any
    ) -> Node:
        fields = {"op": op, "component": component, "release": release, "outcome": outcome, "run": run, "detail": detail}
        last = self.records[-1] if self.records else None
        self.records.append(journal_chain.link(fields, last, f"2026-01-01T00:00:{len(self.records):02d}Z"))
        return self

    def switched(
        self, release: str, *components: str, op: str = "activate", config: str | None = None, good: bool = True
    ) -> Node:
        for name in components or self.components:
            before = self.live[name]
            slot = "green" if before and before["slot"] == "blue" else "blue"
            self.live[name] = {"release": release, "slot": slot, "config": config or release.replace("v", "c")}
            detail = {"slot": slot, "config": config or release.replace("v", "c"), "previous": before, "timings": {"gate_s": 4.0}}
            self.tell(op, name, release, run=f"run-{release}", **detail)
            if good:
                self.tell("mark", name, release, state="good")
        return self

    def migrated(self, release: str, before: str, after: str, phase: str = "expand", **detail: Any) -> Node:
        given = {
            "state": "upgraded",
            "from": [before] if before else [],
            "to": [after],
            "steps": [after],
            "phase": phase,
            "reversible": True,
            **detail,
        }
        self.heads = [after]
        return self.tell("migrate", "backend", release, **given)

    def bad(self, release: str, *components: str) -> Node:
        for name in components or self.components:
            self.tell("mark", name, release, state="bad", reason="5xx after an hour")
        return self

    def manifest(self, tag: str) -> dict[str, Any]:
        heads = {"alembic_heads": [], "alembic_asked": True} if tag in self.bare else {"alembic_heads": HEADS.get(tag)}
        return {**heads, "commit": f"commit-{tag}", "build_env": self.built}

    def view(self) -> dict[str, Any]:
        views = {}
        for name in self.components:
            live = self.live[name]
            description = {
                "component": name,
                "source": "backend" if name in ORDER else name,
                "application": "shop",
                "order": ORDER.get(name, 9),
                "strategy": "recreate" if name == "beat" else "bluegreen",
                "edge": {"backend": name} if name in ("backend", "frontend") else None,
                "database": {"url_variable": "DATABASE_URL"} if name == "backend" else None,
            }
            slots = {"blue": {"release": live["release"], "config": live["config"], "running": True}} if live else {}
            if name in self.warm:
                slots["green"] = {"release": "v2", "config": "c2", "running": True}
            facts: dict[str, Any] = rollback_facts.component_facts(self.records, description, self.staged, live)
            facts.update(
                slots=slots,
                configs=self.configs,
                manifests={tag: self.manifest(tag) for tag in self.staged},
                env={"c2": {"A": "1", "B": "2"}, "c3": {"A": "1", "B": "3", "C": "4"}, "c2new": {"A": "1", "B": "3"}},
                way_back=self.ways,
                database=None,
            )
            if name == "backend":
                facts["database"] = rollback_facts.database_facts(facts["migrations"], self.heads, self.why)
            views[name] = facts
        return {"node": self.name, "components": views, "backups": self.backups, "problems": []}

    def plan(self, **request: Any) -> dict[str, Any]:
        made = plan(self.view(), RollbackRequest(**request))
        json.dumps(made)  # plain data
        assert made["allowed"] == (not made["refusals"])
        assert made["allowed"] or made["steps"] == []
        return made


@pytest.fixture
def node() -> Node:
    """Three releases were live one after the other; each migration only added something."""
    node = Node().tell("stage", "backend", "v1").migrated("v1", "", "aa").switched("v1").migrated("v2", "aa", "bb").switched("v2")
    return node.migrated("v3", "bb", "cc").switched("v3")


def codes(made: dict[str, Any]) -> list[str]:
    return sorted({refusal["code"] for refusal in made["refusals"]})


def moved(made: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (step["component"], step["detail"]["release"], step["detail"]["config"])
        for step in made["steps"]
        if step["do"] == "switch"
    ]


def test_back_to_the_previous_good_in_reverse_order(node: Node) -> None:
    made = node.plan()
    assert made["allowed"]
    assert (made["from"], made["to"], made["application"], made["level"]) == ("v3", "v2", "shop", "app")
    assert moved(made) == [("beat", "v2", "c2"), ("worker", "v2", "c2"), ("backend", "v2", "c2")]
    assert made["objective_s"] == 600
    assert made["expected_s"] == 4.0
    detail = made["steps"][2]["detail"]
    assert detail["commit"] == {"v3": "commit-v3", "v2": "commit-v2"}
    assert detail["environment"] == {"added": [], "removed": ["C"], "changed": ["B"]}
    assert detail["from"] == {"release": "v3", "config": "c3", "slot": "blue"}
    assert made["losses"] == ["beat: nobody does its work for some seconds, because only one instance may run at a time"]


def test_going_back_twice_goes_further_back_and_never_forward(node: Node) -> None:
    node.switched("v2", op="revert").bad("v3")
    assert node.plan()["to"] == "v1"
    node.switched("v1", op="revert").bad("v2")
    made = node.plan()
    assert codes(made) == ["no_previous_good"]
    assert {refusal["component"] for refusal in made["refusals"]} == {"backend", "worker", "beat"}


def test_skipping_a_good_release_does_not_make_it_the_next_one(node: Node) -> None:
    node.switched("v1", op="revert").bad("v3").switched("v1")  # the second is a restart
    assert codes(node.plan()) == ["no_previous_good"]
    assert codes(node.plan(to="v2")) == ["newer"]


def test_no_previous_good_names_the_component(node: Node) -> None:
    fresh = Node("backend", "beat").switched("v1", "backend").switched("v2")
    made = fresh.plan()
    assert codes(made) == ["no_previous_good"]
    assert [refusal["reason"] for refusal in made["refusals"]] == ["beat: no release here was good before v2"]
    assert "--to" in made["refusals"][0]["remedy"]
    kept = fresh.plan(best_effort=True)
    assert moved(kept) == [("backend", "v1", "c1")]
    assert any(text.startswith("beat stays as it is") for text in kept["warnings"])


def test_bad_releases_are_passed_over_and_refused_by_name(node: Node) -> None:
    node.bad("v2", "worker")
    assert node.plan()["to"] == "v1"
    made = node.plan(to="v2")
    assert codes(made) == ["bad"]
    assert made["refusals"][0]["component"] == "worker"
    assert "5xx after an hour" in made["refusals"][0]["reason"]
    assert "--allow-bad" in made["refusals"][0]["remedy"]
    allowed = node.plan(to="v2", allow_bad=True)
    assert allowed["to"] == "v2"
    assert any("marked bad" in text for text in allowed["warnings"])


def test_a_tree_that_is_bad_for_its_own_component_is_bad_for_all_that_run_it(node: Node) -> None:
    node.bad("v2", "backend")
    assert "v2" not in candidates(node.view())[1]["tags"]


@pytest.mark.parametrize(
    ("to", "code", "says"),
    [
        ("v9", "never_deployed", "was never deployed here"),
        ("v4", "newer", "has not been live yet"),
        ("v3", "already_there", "already"),
        ("v2.5", "never_deployed", "choose one of v2, v1"),
    ],
)
def test_targets_that_are_refused(node: Node, to: str, code: str, says: str) -> None:
    made = node.plan(to=to)
    assert codes(made) == [code]
    assert says in made["refusals"][0]["reason"] + made["refusals"][0]["remedy"]


def test_what_was_live_only_later_is_newer(node: Node) -> None:
    node.switched("v2", op="revert").bad("v3")
    made = node.plan(to="v3", allow_bad=True)
    assert codes(made) == ["newer"]
    assert "deploy.yml -e release=v3 -e allow_bad=true" in made["refusals"][0]["remedy"]


def test_an_old_release_that_was_deployed_again_goes_back_to_what_it_replaced() -> None:
    """Which release is newer is a matter of when it was live, not of its name: somebody deployed the wrong one."""
    story = Node("backend").switched("v1").switched("v2").switched("v1")
    assert story.plan()["to"] == "v2"
    assert story.plan(to="v2")["allowed"]
    went = Node("backend").switched("v1").switched("v2").switched("v1", op="revert")
    made = went.plan(to="v2")
    assert codes(made) == ["newer"]
    assert made["refusals"][0]["reason"] == "backend: v2 is newer than v1: it was live only after it"
    assert made["refusals"][0]["remedy"] == "going forward is a deployment: deploy.yml -e release=v2", "there is nothing behind it"


def test_a_release_that_was_pruned_and_a_config_that_is_gone(node: Node) -> None:
    node.staged.remove("v2")
    assert node.plan()["to"] == "v1"
    assert codes(node.plan(to="v2")) == ["not_here"]
    assert "rollback.yml -e to=v2 lays it down from what is kept of it" in node.plan(to="v2")["refusals"][0]["remedy"]
    node.configs.remove("c1")
    assert codes(node.plan(to="v1")) == ["config_gone"]


def test_an_image_that_was_pruned_is_laid_down_from_nothing(node: Node) -> None:
    node.staged.remove("v2")
    view = node.view()
    for component in view["components"].values():
        component["manifests"]["v3"]["images"] = {"api": {"reference": "api:3.0.0-0a1b2c3", "digest": f"sha256:{'3' * 64}"}}
    made = plan(view, RollbackRequest(to="v2"))
    refusal = made["refusals"][0]
    assert refusal["reason"].endswith("v2 was live here once, but it went with its image")
    assert refusal["remedy"] == "choose one of v1, or deploy it: deploy.yml -e release=v2"


def test_a_tree_that_was_laid_down_again_gets_the_config_of_today(node: Node) -> None:
    """Retention takes a release and its config; the tree can be brought back."""
    node.configs.remove("c1")
    view = node.view()
    for component in view["components"].values():  # worker and beat run the same tree
        component["manifests"]["v1"]["artefact"] = {"key": "k", "built_on": "one"}
    made = plan(view, RollbackRequest(to="v1"))
    step = next(step for step in made["steps"] if step["component"] == "backend")
    assert made["allowed"]
    assert step["detail"]["config"] == step["detail"]["from"]["config"]
    assert "backend: no config that v1 was live with is here any more: it gets that of v3" in "\n".join(made["warnings"])


def test_a_release_goes_back_with_the_config_it_was_last_active_with(node: Node) -> None:
    again = Node("backend").switched("v1", config="c0").switched("v1", config="c1").switched("v2")
    assert moved(again.plan()) == [("backend", "v1", "c1")]
    again.configs.remove("c1")
    assert moved(again.plan()) == [("backend", "v1", "c0")]


@pytest.mark.parametrize("level", ["app", "schema"])
def test_the_secrets_of_then_stay_where_they_are(node: Node, level: str) -> None:
    node.ways = {"c2": {"config": "c2new", "today": ("B",), "kept": ("OLD",), "problem": ""}}
    node.warm = {"backend"}
    made = node.plan(level=level, to="v2")
    assert moved(made) == [(name, "v2", "c2new") for name in (("beat", "worker", "backend") if level == "app" else ORDER)]
    detail = next(step["detail"] for step in made["steps"] if step["do"] == "switch" and step["component"] == "backend")
    assert (detail["of"], detail["today"], detail["warm"]) == ("c2", ["B"], False)
    assert detail["environment"] == {"added": [], "removed": ["C"], "changed": []}
    beware = "backend: OLD: secret, and not part of the environment of today, so that v2 has the value of then again"
    assert beware in made["warnings"]


def test_secrets_that_cannot_be_compared_are_said(node: Node) -> None:
    node.ways = {"c2": {"config": "c2", "today": (), "kept": (), "problem": "no secret could be compared"}}
    made = node.plan()
    assert "backend: no secret could be compared" in made["warnings"]
    assert (made["steps"][0]["detail"]["config"], made["steps"][0]["detail"]["of"]) == ("c2", None)


def test_a_config_by_the_name_of_its_release_has_the_secrets_of_today(node: Node) -> None:
    node.ways = {"c2": {"config": "c2new", "today": ("B",), "kept": (), "problem": ""}}
    assert moved(node.plan(level="config", to="v2")) == [("beat", "v3", "c2new"), ("worker", "v3", "c2new"), ("backend", "v3", "c2new")]
    assert moved(node.plan(level="config", to="c2")) == [("beat", "v3", "c2"), ("worker", "v3", "c2"), ("backend", "v3", "c2")]


def test_what_a_release_was_built_with_does_not_change_with_its_configuration(node: Node) -> None:
    node.built = {"B": "a hash"}
    made = node.plan(level="config", to="c2")
    assert "backend: B (build_env) stays as v3 was built with it, whatever a configuration says" in made["warnings"]
    assert made["allowed"], "C changes as well"
    node.built = {"B": "a hash", "C": "another"}
    refused = node.plan(level="config", to="c2")
    assert codes(refused) == ["built_in"]
    assert "nothing would change but B, C of beat, which v3 was built with" in refused["refusals"][0]["reason"]


def test_level_and_application_have_to_be_known(node: Node) -> None:
    assert codes(node.plan(level="galaxy")) == ["unknown_level"]
    assert codes(node.plan(application="other")) == ["unknown_application"]
    two = node.view()
    two["components"]["beat"]["description"]["application"] = "blog"
    assert codes(plan(two, RollbackRequest())) == ["which_application"]
    assert plan(two, RollbackRequest(application="blog"))["steps"][0]["component"] == "beat"
    assert codes(plan({"node": "n", "components": {}}, RollbackRequest())) == ["no_component"]
    assert codes(Node("backend").plan()) == ["nothing_live"]


# -- code and schema


def test_additive_steps_are_allowed_and_said(node: Node) -> None:
    made = node.plan(to="v1")
    assert made["allowed"]
    assert "not proven by a gate, only by being additive: bb, cc only added" in made["warnings"][0]


def test_code_that_is_not_proven_on_the_schema_is_refused_before_anything_moves(node: Node) -> None:
    story = Node().migrated("v1", "", "aa").switched("v1").migrated("v2", "aa", "bb", "contract").switched("v2")
    made = story.plan()
    assert codes(made) == ["schema_unproven"]
    assert (
        "made for the schema at aa and was never proven on the present one at bb, which is ahead by bb"
        in made["refusals"][0]["reason"]
    )
    assert "level=schema" in made["refusals"][0]["remedy"]
    assert codes(story.plan(best_effort=True)) == ["schema_unproven"], "best effort is no reason to break data"
    story.tell("mark", "backend", "v1", state="runs_on", heads=["bb"], reason="its gate held on it")
    proven = story.plan()
    assert proven["allowed"]
    assert proven["warnings"] == []


def test_a_proof_of_another_release_or_schema_does_not_count() -> None:
    story = Node("backend").migrated("v1", "", "aa").switched("v1").migrated("v2", "aa", "bb", "contract").switched("v2")
    story.tell("mark", "backend", "v2", state="runs_on", heads=["bb"]).tell(
        "mark", "backend", "v1", state="runs_on", heads=["aa"]
    )
    assert codes(story.plan()) == ["schema_unproven"]


def test_the_database_says_more_than_the_journal(node: Node) -> None:
    node.heads = ["dd"]  # somebody migrated by hand
    made = node.plan()
    assert codes(made) == ["schema_unproven"]
    assert "the journal does not tell how it came there" in made["refusals"][0]["reason"]


def test_a_database_that_is_away_is_said_and_does_not_stop_an_emergency(node: Node) -> None:
    node.heads, node.why = None, "connection refused"
    made = node.plan()
    assert made["allowed"]
    said = "backend: the database does not answer (connection refused); its schema is taken to be at cc, where the journal's last"
    assert made["unverified"] == [f"{said} migration left it"]
    empty = Node("backend").switched("v1").switched("v2")
    empty.why = "connection refused"
    assert "connection refused" in empty.plan()["unverified"][0]
    assert codes(empty.plan(level="schema")) == ["database_away"]


def test_a_target_between_the_steps_of_one_migration() -> None:
    story = (
        Node("backend").migrated("v2", "aa", "bb").switched("v2").migrated("v4", "aa", "cc", steps=["bb", "cc"]).switched("v4")
    )
    story.records = [record for record in story.records if (record["op"], record["release"]) != ("migrate", "v2")]
    made = story.plan()
    assert made["allowed"]
    assert "additive: cc only" in made["warnings"][0]


# -- schema and system


def test_schema_goes_back_by_the_newer_releases_downgrade(node: Node) -> None:
    story = Node().migrated("v1", "", "aa").switched("v1").migrated("v2", "aa", "bb", "contract", seconds=7).switched("v2")
    made = story.plan(level="schema")
    assert [(step["do"], step["component"]) for step in made["steps"]] == [
        ("backup", "backend"), ("stop", "beat"), ("stop", "worker"), ("stop", "backend"), ("downgrade", "backend"),
        ("switch", "backend"), ("switch", "worker"), ("switch", "beat"), ("verify", None),
    ]
    assert made["steps"][4]["detail"] == {"release": "v2", "revisions": ["bb"], "from": ["bb"], "to": ["aa"], "expected_s": 7}
    assert made["expected_s"] == 4.0 + 7 + 6 * STEP_S, "the switches go side by side, everything else one after the other"
    assert made["losses"][1].startswith("backend: what bb brought into the database goes")


@pytest.mark.parametrize("reversible", [True, False])
def test_a_host_whose_database_another_one_moves_goes_with_it_and_moves_none(reversible: bool) -> None:
    story = Node().migrated("v1", "", "aa").switched("v1").migrated("v2", "aa", "bb", "contract", reversible=reversible).switched("v2")
    made = story.plan(level="schema", elsewhere={"backend": "host-1"})
    assert [(step["do"], step["component"]) for step in made["steps"]] == [
        ("stop", "beat"), ("stop", "worker"), ("stop", "backend"),
        ("switch", "backend"), ("switch", "worker"), ("switch", "beat"), ("verify", None),
    ], "the database is saved where it is moved"
    assert made["relies"] == [{"component": "backend", "node": "host-1"}]
    assert "backend: its database is taken back on host-1, while everything stands still" in made["warnings"]
    assert not any("what bb brought" in text for text in made["losses"]), "said by the host that moves it"
    story.heads = ["aa"]
    done = story.plan(level="schema", elsewhere={"backend": "host-1"})
    assert ([step["do"] for step in done["steps"]], done["relies"]) == (["switch"] * 3, []), "it has been moved"
    story.heads, story.why = None, "connection refused"
    assert codes(story.plan(level="schema", elsewhere={"backend": "host-1"})) == ["database_away"], "it is proven here as well"


def test_a_host_that_is_at_the_target_stands_still_while_another_one_moves_its_database() -> None:
    story = Node().migrated("v1", "", "aa").switched("v1").migrated("v2", "aa", "bb", "contract")
    made = story.plan(level="schema", to="v1", elsewhere={"backend": "host-1"})
    assert [step["do"] for step in made["steps"]] == ["stop"] * 3 + ["start"] * 3 + ["verify"]


def test_several_migrations_are_undone_by_code_that_knows_them_all(node: Node) -> None:
    """The release that brought the older one would be asked about a schema that it does not know, before anything is undone."""

    def undone() -> list[tuple[str, list[str]]]:
        made = node.plan(level="schema", to="v1")
        return [(step["detail"]["release"], step["detail"]["revisions"]) for step in made["steps"] if step["do"] == "downgrade"]

    assert undone() == [("v3", ["cc"]), ("v3", ["bb"])]
    node.switched("v4")
    assert undone() == [("v4", ["cc"]), ("v4", ["bb"])], "what is live is there, and the release that migrated may be no more"
    back = {"state": "downgraded", "steps": ["cc"]}
    node.migrated("v4", "cc", "bb", **back)
    assert undone() == [("v4", ["bb"])], "killed between the two, it goes on by the same code: that of what brought bb may be no more"
    node.migrated("v3", "bb", "cc").migrated("v3", "cc", "bb", **back)
    assert undone() == [("v2", ["bb"])], "what is live has undone nothing of it"
    node.migrated("v3", "bb", "cc").switched("v2", op="revert")
    assert undone() == [("v3", ["cc"]), ("v3", ["bb"])], "what is live is behind the schema"


def test_a_downgrade_to_no_revision_says_what_it_needs() -> None:
    """A release without migrations: the schema is refused by the name of a parameter, which is said before anything stands still."""
    story = Node("backend").tell("stage", "backend", "v0").switched("v0").migrated("v1", "", "aa").switched("v1")
    story.migrated("v2", "aa", "bb").switched("v2")
    story.staged, story.bare = [*story.staged, "v0"], {"v0"}
    said = "backend: v0 has no migrations, and its schema no revision: only -e migrate_allow_base=true lets a downgrade undo them all"
    made = story.plan(level="schema", to="v0")
    assert [step["detail"]["to"] for step in made["steps"] if step["do"] == "downgrade"] == [["aa"], []]
    assert made["warnings"].count(said) == 1
    assert said not in story.plan(level="schema", to="v1")["warnings"]


def test_where_a_step_cannot_be_undone_a_restore_is_proposed_with_its_price() -> None:
    story = Node("backend").migrated("v1", "", "aa").switched("v1")
    story.migrated("v2", "aa", "bb", "contract").switched("v2").migrated("v3", "bb", "cc", "contract", reversible=False).switched(
        "v3"
    )
    missing = story.plan(level="schema", to="v1")
    assert codes(missing) == ["backup_missing"]
    assert (
        "cc cannot be undone by its downgrade, and no backup set holds the database of backend at bb"
        in missing["refusals"][0]["reason"]
    )
    kept = {"name": "20260101-deploy", "made": "2026-01-01", "verdict": "verified", "heads": {"backend": ["bb"]}, "seconds": 40}
    story.backups = [{**kept, "verdict": "failed: truncated", "made": "2026-01-02"}]
    assert codes(story.plan(level="schema", to="v1")) == ["backup_unverified"]
    story.backups = [{**kept, "problem": "db.dump is missing"}]
    assert "db.dump is missing" in story.plan(level="schema", to="v1")["refusals"][0]["reason"]
    story.backups = [kept, {**kept, "name": "older", "made": "2025-12-31"}]
    made = story.plan(level="schema", to="v1")
    middle = [(step["do"], step["detail"].get("set") or step["detail"].get("revisions")) for step in made["steps"][2:4]]
    assert middle == [("restore", "20260101-deploy"), ("downgrade", ["bb"])]
    assert "all that was written since the backup set 20260101-deploy" in made["losses"][0]


def test_of_many_steps_that_cannot_be_undone_the_oldest_counts() -> None:
    story = Node("backend").migrated("v1", "", "aa").switched("v1").migrated("v2", "aa", "bb", reversible=False).switched("v2")
    story.migrated("v3", "bb", "cc", reversible=False).switched("v3")
    sets = {head: {"name": head, "made": head, "verdict": "verified", "heads": {"backend": [head]}} for head in ("aa", "bb")}
    story.backups = [sets["bb"]]
    assert codes(story.plan(level="schema", to="v1")) == ["backup_missing"]
    story.backups = list(sets.values())
    made = story.plan(level="schema", to="v1")
    assert [step["detail"]["set"] for step in made["steps"] if step["do"] == "restore"] == ["aa"]
    assert not [step for step in made["steps"] if step["do"] == "downgrade"]


def test_a_set_is_the_way_where_the_journal_does_not_know_one(node: Node) -> None:
    node.heads = ["dd"]
    made = node.plan(level="schema")
    assert codes(made) == ["no_way_back"]
    node.backups = [{"name": "s", "made": "2026", "verdict": "verified", "heads": {"backend": ["bb"]}}]
    assert [step["do"] for step in node.plan(level="schema")["steps"]].count("restore") == 1


def test_schema_level_where_the_schema_is_right_already(node: Node) -> None:
    story = Node().migrated("v3", "bb", "cc").switched("v3").switched("v4")
    made = story.plan(level="schema")
    assert [step["do"] for step in made["steps"]] == ["switch", "switch", "switch"]
    assert "-e level=app would do" in made["warnings"][0]


def test_system_needs_a_set_of_the_targets_time(node: Node) -> None:
    assert codes(node.plan(level="system")) == ["backup_missing"]
    found = {
        "name": "s1", "made": "2026-01-01", "verdict": "verified", "seconds": 100, "heads": {"backend": ["bb"]},
        "live": {name: {"release": "v2"} for name in ORDER}, "parts": [{"kind": "postgres", "name": "app"}, {"kind": "redis", "name": "r"}],
    }
    node.backups = [{**found, "live": {name: {"release": "v1"} for name in ORDER}}]
    assert codes(node.plan(level="system")) == ["backup_missing"]
    node.backups = [{**found, "verdict": "failed"}]
    assert codes(node.plan(level="system")) == ["backup_unverified"]
    node.backups = [found]
    made = node.plan(level="system")
    restore = next(step for step in made["steps"] if step["do"] == "restore")
    assert restore["detail"]["parts"] == ["postgres app", "redis r"]
    assert made["expected_s"] == 4.0 + 100 + 100 + 6 * STEP_S, "what is there is saved, and the set put back"


# -- config


def test_the_last_config_change_is_taken_back(node: Node) -> None:
    story = Node().switched("v1").switched("v1", "backend", config="c2")
    story.records[-2]["run"] = "change"
    made = story.plan(level="config")
    assert (made["from"], made["to"], made["objective_s"]) == ("c2", "c1", 300)
    assert moved(made) == [("backend", "v1", "c1")]


def test_a_config_change_of_a_run_goes_back_on_all_its_components() -> None:
    story = Node().switched("v1").switched("v1", config="c2")
    assert [name for name, *_rest in moved(story.plan(level="config"))] == ["beat", "worker", "backend"]


def test_configs_by_name(node: Node) -> None:
    made = node.plan(level="config", to="v2")
    assert moved(made) == [("beat", "v3", "c2"), ("worker", "v3", "c2"), ("backend", "v3", "c2")]
    assert "v3 was never live with the config c2" in made["warnings"][0]
    assert moved(node.plan(level="config", to="c1"))[0] == ("beat", "v3", "c1")
    assert codes(node.plan(level="config")) == ["no_previous_config"]
    assert codes(node.plan(level="config", to="c9")) == ["never_deployed"]
    assert codes(node.plan(level="config", to="c3")) == ["already_there"]


# -- what was interrupted


def test_a_deployment_that_was_interrupted_goes_back_to_what_was_live() -> None:
    story = Node().switched("v1").switched("v2").switched("v3", "backend")
    story.tell("activate", "worker", "v3", "started", slot="blue", config="c3")
    made = story.plan()
    assert made["to"] == "v2"
    assert [name for name, *_rest in moved(made)] == ["worker", "backend"], "beat was not touched"


def test_an_interrupted_switch_alone_goes_back_to_what_it_was_to_replace() -> None:
    story = Node("backend").switched("v1").switched("v2").tell("activate", "backend", "v3", "started", slot="blue", config="c3")
    assert (story.plan()["from"], story.plan()["to"]) == ("v3", "v2")


def test_the_warm_slot_is_quick(node: Node) -> None:
    node.warm = {"backend"}
    made = node.plan()
    assert {step["component"]: (step["detail"]["warm"], step["detail"]["expected_s"]) for step in made["steps"]} == {
        "beat": (False, 4.0), "worker": (False, 4.0), "backend": (True, 1.0),
    }


# -- many nodes


def entry(component: str, present: str, *tags: str) -> dict[str, Any]:
    return {"node": "n", "component": component, "present": present, "tags": list(tags)}


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ([], None),
        ([entry("a", "v3", "v3", "v2", "v1"), entry("b", "v3", "v3", "v2", "v1")], "v2"),
        ([entry("a", "v3", "v2", "v1"), entry("b", "v3", "v3", "v1")], "v1"),
        ([entry("a", "v3", "v2"), entry("b", "v3", "v1")], None),
        ([entry("a", "v3", "v3", "v2", "v1"), entry("b", "v2", "v2", "v1")], "v2"),
        ([entry("a", "v2", "v2"), entry("b", "v2", "v2")], None),
        ([entry("a", "v5", "v4", "v3", "v2"), entry("b", "v5", "v3", "v4", "v2")], "v4"),
        ([entry("a", "v5", "v4", "v3", "v2"), entry("b", "v5", "v3", "v2", "v4")], "v3"),
    ],
)
def test_common_target(lists: list[dict[str, Any]], expected: str | None) -> None:
    assert common_target(lists) == expected


def test_two_nodes_agree(node: Node) -> None:
    web = Node("frontend", name="web-1").switched("v1", "frontend").switched("v3", "frontend")
    both = candidates(node.view(), "shop") + candidates(web.view(), "shop")
    assert [(found["node"], found["component"]) for found in both][-1] == ("web-1", "frontend")
    assert common_target(both) == "v1"


def test_an_interrupted_rollback_is_known_until_something_is_deployed(node: Node) -> None:
    node.tell("rollback", None, "v2", "started", run="rb-1", level="app")
    interrupted = rollback_facts.interrupted_rollback(node.records)
    assert interrupted is not None
    assert (interrupted["run"], interrupted["to"], interrupted["level"]) == ("rb-1", "v2", "app")
    node.switched("v4")
    assert rollback_facts.interrupted_rollback(node.records) is None
    assert len(rollback_facts.interrupted_rollbacks(node.records)) == 1
    node.tell("rollback", None, "v2", "failed", run="rb-1")
    assert rollback_facts.interrupted_rollbacks(node.records) == []


# -- what a controller began


def begun(node: Node, run: str, to: str, outcome: str = "started", level: str = "app", **detail: Any) -> Node:
    return node.tell("phase", "rollback", None, outcome, run=run, level=level, to=to, **{"from": "v3", **detail})


def test_a_rollback_of_a_controller_is_open_until_it_ended_well(node: Node) -> None:
    assert rollback_facts.open_rollback(node.records) is None
    begun(node, "c-1", "v2")
    begun(node, "c-1", "v2", "failed")
    first = rollback_facts.open_rollback(node.records)
    assert first is not None
    assert (first["runs"], first["to"], first["from"], first["level"]) == (["c-1"], "v2", "v3", "app")
    begun(node, "c-2", "v2", **{"from": "v2"})
    again = rollback_facts.open_rollback(node.records)
    assert again is not None
    assert (again["runs"], again["from"], again["seq"]) == (["c-1", "c-2"], "v3", first["seq"])
    begun(node, "c-3", "v1")
    other = rollback_facts.open_rollback(node.records)
    assert other is not None
    assert (other["runs"], other["to"]) == (["c-3"], "v1"), "another aim"
    begun(node, "c-4", "v1", "ok")
    assert rollback_facts.open_rollback(node.records) is None


def test_a_rollback_of_a_controller_is_settled_by_what_goes_elsewhere(node: Node) -> None:
    begun(node, "c-1", "v2")
    node.switched("v2")
    assert rollback_facts.open_rollback(node.records), "this is where it was to go"
    node.tell("activate", "backend", "v4", "started", run="d-1").tell("activate", "backend", "v4", "failed", run="d-1")
    assert rollback_facts.open_rollback(node.records), "that one did not go elsewhere"
    node.tell("activate", "backend", "v3", run="c-1")
    assert rollback_facts.open_rollback(node.records), "its own way back where a node could not go"
    node.switched("v4")
    assert rollback_facts.open_rollback(node.records) is None
    begun(node, "c-2", "v2").tell("phase", "deploy", None, run="d-2")
    assert rollback_facts.open_rollback(node.records) is None


def test_a_config_that_was_begun_is_known_by_component(node: Node) -> None:
    moves = {"backend": {"to": {"release": "v3", "config": "c1"}}}
    begun(node, "c-1", "c1", level="config", moves=moves)
    begun(node, "c-2", "c1", level="config", moves={"worker": {"to": {"release": "v3", "config": "c2"}}})
    node.tell("activate", "backend", "v3", run="n-1", config="c1").tell("activate", "beat", "v3", run="n-1", config="c9")
    found = rollback_facts.open_rollback(node.records)
    assert found is not None
    assert sorted(found["moves"]) == ["backend", "worker"]
    node.tell("activate", "backend", "v3", run="d-1", config="c7")
    assert rollback_facts.open_rollback(node.records) is None
