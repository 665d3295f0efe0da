# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a verb is told with."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.report.refusals import for_playbooks
from ansible_collections.phasegate.aistack.plugins.module_utils.stack import verbs

DEPLOY: dict[str, Any] = {
    "playbook": "deploy.yml",
    "parameters": [
        {"name": "release", "help": "h"},
        {"name": "within", "help": "h", "type": "int", "minimum": 1},
        {"name": "allow_bad", "help": "h", "type": "bool", "was": "badly"},
        {"name": "level", "help": "h", "choices": ["app", "schema"]},
        {"name": "only", "help": "h", "type": "list"},
    ],
}
RESTORE: dict[str, Any] = {"playbook": "restore.yml", "parameters": [{"name": "set", "help": "h", "required": True}]}
VERBS = {"deploy": DEPLOY, "restore": RESTORE}


def test_names_that_nobody_knows() -> None:
    given = ["release", "relase", "aistack_hosts", "release_keep", "own", "mine"]
    assert verbs.unknown(DEPLOY, given, [*verbs.FOREIGN, "release_"], ["own"]) == ["mine", "relase"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("relase", "did you mean 'release'?"), ("badly", "did you mean 'allow_bad'?"), ("set", "restore.yml knows it"),
        ("qqqq", "it knows: allow_bad, level, only, release, within"),
    ],
)
def test_the_remedy_of_a_name(name: str, said: str) -> None:
    assert verbs.unknown_problem(VERBS, DEPLOY, name) == f"{name}: deploy.yml knows no such variable; {said}"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"within": "60", "allow_bad": "yes", "level": "app", "only": "a,b", "release": "v1"}, []),
        ({"within": 60, "allow_bad": False}, []),
        ({"within": "abc"}, ["within: expected a whole number of at least 1, got abc (h)"]),
        ({"within": 0}, ["within: expected a whole number of at least 1, got 0 (h)"]),
        ({"within": ""}, ["within: expected a whole number of at least 1, got nothing (h)"]),
        ({"allow_bad": "yess"}, ["allow_bad: expected true or false, got yess (h)"]),
        ({"level": "ap"}, ["level: expected one of app, schema, got ap (h)"]),
        ({"only": ["a"]}, ["only: expected words with commas between them, got ['a'] (h)"]),
    ],
)
def test_values(given: dict[str, Any], said: list[str]) -> None:
    assert verbs.value_problems(DEPLOY, given) == said


def test_an_empty_answer_of_a_form_says_nothing() -> None:
    assert verbs.value_problems(DEPLOY, {"within": "", "level": "", "release": "", "allow_bad": ""}, form=True) == []
    assert verbs.value_problems(RESTORE, {"set": ""}, form=True) == ["set: has to be given: h; say -e set=…"]
    assert verbs.value_problems(DEPLOY, {"within": "0"}, form=True) != []


def test_what_has_to_be_given() -> None:
    assert verbs.value_problems(RESTORE, {}) == ["set: has to be given: h; say -e set=…"]


def test_who_is_left_out() -> None:
    missing = verbs.left_out({"api": ["b1", "b2"], "worker": ["b1"]}, ["b2"])
    assert missing == {"b1": ["api", "worker"]}
    assert verbs.left_out_text(missing, []) == "not in this run: b1 (api, worker)"
    assert verbs.left_out_text(missing, ["b1"]) == "failed or did not answer earlier in this run: b1 (api, worker)"


def test_a_remedy_in_the_words_of_the_door() -> None:
    assert for_playbooks("choose v1, or say --allow-bad") == "choose v1, or say -e allow_bad=true"
    assert for_playbooks("name a release (--to)") == "name a release (-e to=TAG)"


def test_a_refusal_of_a_part_of_the_hosts_has_a_line_for_each_thing() -> None:
    said = verbs.partial_refusal("deploy.yml", {"b1": ["api"], "w1": ["web"]}, ["w1"]).splitlines()
    assert said[0] == "Refused: deploy.yml would do its work on a part of the hosts only. Nothing was touched."
    assert said[1:3] == ["  Not in this run: b1 (api)", "  Failed or did not answer earlier in this run: w1 (web)"]
    assert said[3].startswith("  That is dangerous: ")
    assert said[-1].endswith("say so: -e partial=true.")
    assert max(map(len, said)) <= 120


@pytest.mark.parametrize("typed", ["../x", "-x", "v1;id", "v1 v2", "v1\n", "", "a" * 101, None, ["v1"], 4])
def test_a_name_that_is_none_is_refused_as_what_was_typed(typed: Any) -> None:
    verb = {"playbook": "rollback.yml", "parameters": [{"name": "to", "type": "name", "help": "h"}]}
    (said,) = verbs.value_problems(verb, {"to": typed})
    assert said.startswith("to: expected a name: a letter or a digit, then at most 99 letters, digits and . _ + -, got ")
    assert not verbs.value_problems(verb, {"to": "v4.1.0"})


@pytest.mark.parametrize(
    ("only", "skip", "left"),
    [
        (["all"], [], ["ground", "service", "top"]),
        (["top", "ground"], [], ["ground", "top"]),
        (["all"], ["service"], ["ground", "top"]),
        (["tagged"], ["redis_install"], ["ground", "service", "top"]),
        (["all"], ["molecule-notest", "notest"], ["ground", "service", "top"]),
        (["shop"], [], ["ground", "service", "top"]),
        (["shop", "ground"], ["ground"], ["service", "top"]),
    ],
    ids=[
        "all", "two, in their order", "without one", "a step of a role is left out", "what molecule leaves out",
        "a tag of the importing play", "of that without one",
    ],
)
def test_tags_choose_phases(only: list[str], skip: list[str], left: list[str]) -> None:
    assert verbs.chosen_phases(["ground", "service", "top"], only, skip, ["always", "shop"], ["redis_"]) == left


@pytest.mark.parametrize(
    ("phases", "only", "skip", "said"),
    [
        (["ground"], ["grond"], [], "--tags grond: there is no phase grond (did you mean ground?)"),
        (["ground"], ["always"], [], "--tags always: there is no phase always"),
        (["ground"], ["redis_install"], [], "--tags redis_install: there is no phase redis_install"),
        (["ground"], ["all"], ["grond"], "--skip-tags grond: there is no phase grond (did you mean ground?)"),
        (["ground"], ["all"], ["ground"], "--skip-tags: nothing is left to be done"),
        ([], ["all"], [], "aistack_phases: is missing or empty"),
    ],
    ids=["a typing error", "Ansible's own tag", "a step of a role alone", "a typing error, left out", "nothing left", "no phases"],
)
def test_tags_that_choose_nothing_are_refused(phases: list[str], only: list[str], skip: list[str], said: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(said)):
        verbs.chosen_phases(phases, only, skip, ["always"], ["redis_"])


def test_tags_of_other_plays_are_their_affair_where_the_site_is_imported() -> None:
    phases = ["ground", "service"]
    assert verbs.chosen_phases(phases, ["mine"], [], ["always"], [], imported=True) == []
    assert verbs.chosen_phases(phases, ["mine", "service"], [], ["always"], [], imported=True) == ["service"]
    with pytest.raises(ValueError, match="did you mean ground"):
        verbs.chosen_phases(phases, ["grond"], [], ["always"], [], imported=True)


@pytest.mark.parametrize(
    ("only", "skip", "said"),
    [
        (["all"], [], ""),
        (["all"], ["notest"], ""),
        (["untagged"], [], ""),
        (["shop"], [], ""),
        (["phase3"], [], "--tags phase3"),
        (["always"], [], "--tags always"),
        (["tagged"], [], "--tags tagged"),
        (["all"], ["all"], "--skip-tags all"),
        (["shop"], ["shop"], "--skip-tags shop"),
    ],
)
def test_a_verb_without_tags_is_done_whole_or_refused(only: list[str], skip: list[str], said: str) -> None:
    problem = verbs.tag_problem("backup.yml", only, skip, ["always", "shop"])
    assert problem == (f"Refused: backup.yml would do nothing under {said}. Nothing was touched. It is one whole and has no tags: "
                       "run it without." if said else "")


GROUPS = {"all": ["n1", "n2"], "ungrouped": [], "aistak": ["n1"], "web": ["n2"], "empty": []}


@pytest.mark.parametrize(
    ("wanted", "none"), [("web", False), ("n2", False), ("aistack", True), ("empty", True), ("web:&n1", False), ("w*", False)]
)
def test_a_name_without_hosts(wanted: str, none: bool) -> None:
    assert verbs.matches_none(wanted, GROUPS) is none


def test_no_node_is_a_refusal_that_names_the_remedy() -> None:
    said = verbs.no_nodes("aistack", GROUPS)
    for part in ("no host in a group 'aistack'. Did you mean 'aistak'?", "Groups with hosts: aistak, web.",
                 "aistack: {children: {aistak: {}}}", "-e aistack_hosts=GROUP"):
        assert part in said
    assert "children: {GROUP: {}}" in verbs.no_nodes("aistack", {"all": []})
