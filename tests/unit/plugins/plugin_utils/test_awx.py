# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Job templates and verbs say the same."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.stack import verbs as said
from ansible_collections.phasegate.aistack.plugins.plugin_utils import awx
from ansible_collections.phasegate.aistack.plugins.plugin_utils.verb_table import read_verbs

VERBS = read_verbs()
JOBS = [name for name in VERBS if name not in awx.NOT_A_JOB]
SETTINGS: dict[str, Any] = {"stack": "shop", "organization": "shop", "releases": ["v2", "v1"], "playbooks": "playbooks"}
TEMPLATES = {entry["verb"]: entry for entry in awx.templates(VERBS, SETTINGS)}


def test_every_verb_that_can_be_a_job_is_one() -> None:
    assert list(TEMPLATES) == JOBS
    assert {name: entry["playbook"] for name, entry in TEMPLATES.items()} == {name: f"playbooks/{VERBS[name]['playbook']}" for name in JOBS}
    assert [name for name in JOBS if TEMPLATES[name]["allow_simultaneous"] == VERBS[name]["lock"]] == []


@pytest.mark.parametrize("name", JOBS)
def test_a_survey_asks_for_what_the_verb_knows(name: str) -> None:
    asked = {entry["variable"]: entry for entry in TEMPLATES[name]["survey_spec"].get("spec", [])}
    known = said.parameters(VERBS[name])
    assert set(asked) == set(known) - awx.FILES
    for variable, entry in asked.items():
        parameter = known[variable]
        kind = parameter.get("type", "str")
        assert entry["question_name"].startswith("Consent: ") == bool(parameter.get("consent"))
        assert entry["question_description"] == parameter["help"]
        if parameter.get("required"):
            assert (entry["required"], entry["min"]) == (True, 1) or entry["type"] == "multiplechoice"
        if parameter.get("consent") and kind == "bool":
            assert (entry["choices"], entry["default"]) == ("true\nfalse", str(parameter["default"]).lower())
        if parameter.get("default") is None:
            assert "default" not in entry
            assert entry["type"] in ("text", "textarea") or variable == "release", "AWX takes no empty number and no empty choice"
        else:
            # what AWX says to the verb where nobody changes anything is the verb's default
            assert said.value_problem(parameter, entry["default"]) == ""
            assert str(entry["default"]).lower() == str(float(parameter["default"]) if kind == "float" else parameter["default"]).lower()


def test_the_choices_of_a_release_are_its_tags() -> None:
    release = TEMPLATES["deploy"]["survey_spec"]["spec"][0]
    assert (release["type"], release["choices"], release["required"]) == ("multiplechoice", "v2\nv1", True)
    typed = awx.templates(VERBS, {**SETTINGS, "releases": [], "verbs": ["deploy"]})[0]["survey_spec"]["spec"][0]
    assert (typed["type"], typed["required"]) == ("text", False)
    assert awx.tags(["v1.9.0", "v1.10.0", "nightly=1", "v1.10.0-rc1"], 2) == ["v1.10.0", "v1.10.0-rc1"]


def test_documents_outlive_the_job_where_a_folder_is_named() -> None:
    kept = {entry["verb"]: entry["extra_vars"] for entry in awx.templates(VERBS, {**SETTINGS, "documents": "/kept/"})}
    assert kept["rollback"] == {"documents": "/kept/rollbacks"}
    assert kept["healthcheck"]["output"].startswith("/kept/healthcheck-{{ awx_job_id")
    assert kept["healthcheck"]["output"].endswith(".json")
    assert list(kept["watch"]) == ["output", "report"]
    assert list(kept["healthcheck"]) == ["junit", "output"], "in an order of its own: in another one they would count as changed"
    assert kept["healthcheck"]["junit"].endswith(".xml")
    assert kept["report"]["output"].endswith(".html")
    assert [entry["extra_vars"] for entry in TEMPLATES.values() if entry["extra_vars"]] == []


def test_the_workflow_goes_back_only_where_the_stack_is_not_well() -> None:
    nodes = {node["identifier"]: node["related"] for node in awx.workflow(VERBS, SETTINGS)["nodes"]}
    leads = {(name, way, entry["identifier"]) for name, ways in nodes.items() for way, entries in ways.items() for entry in entries}
    assert leads == {
        ("plan", "success_nodes", "approval"),
        ("approval", "success_nodes", "backup"),
        ("backup", "success_nodes", "deploy"),
        ("deploy", "success_nodes", "verify"),
        ("deploy", "failure_nodes", "healthcheck"),
        ("verify", "failure_nodes", "emergency_rollback"),
        ("healthcheck", "failure_nodes", "emergency_rollback"),
    }
    assert awx.workflow(VERBS, {**SETTINGS, "verbs": ["plan", "deploy"]}) == {}


def test_what_the_workflow_is_asked_its_jobs_know() -> None:
    asked = {entry["variable"] for entry in awx.workflow(VERBS, SETTINGS)["survey_spec"]["spec"]}
    assert asked <= {name for verb in awx.FLOW for name in said.parameters(VERBS[verb])}


def test_nodes_are_compared_as_awx_shows_them() -> None:
    wanted = awx.workflow(VERBS, {**SETTINGS, "approval_timeout": 60})["nodes"]
    number = {node["identifier"]: index for index, node in enumerate(wanted, 1)}
    shown = [
        {
            "id": number[node["identifier"]],
            "identifier": node["identifier"],
            "summary_fields": {
                "unified_job_template": {
                    "name": node["unified_job_template"]["name"],
                    "description": node["unified_job_template"].get("description", "of the template"),
                    "unified_job_type": "workflow_approval" if node["identifier"] == "approval" else "job",
                }
            },
            **{way: [number[entry["identifier"]] for entry in ways] for way, ways in node["related"].items()},
        }
        for node in wanted
    ]
    assert awx.drawn(shown) == awx.graph(wanted)
    shown[3]["success_nodes"] = []
    assert awx.drawn(shown) != awx.graph(wanted)
    assert awx.graph(awx.workflow(VERBS, SETTINGS)["nodes"]) != awx.graph(wanted), "the time of an approval"


def test_only_what_the_role_made_is_stale_or_its_own() -> None:
    mine = {"description": awx.mark("shop", "x")}
    found = {
        "job_templates": [
            {"id": 1, "name": "shop deploy", **mine},
            {"id": 2, "name": "shop old", **mine},
            {"id": 3, "name": "theirs", "description": ""},
        ],
        "projects": [{"id": 4, "name": "shop", "description": "Made by phasegate.aistack for shop2."}],
    }
    names = {"job_templates": ["shop deploy", "shop plan"], "projects": ["shop"]}
    assert [entry["id"] for entry in awx.own("shop", found)] == [1, 2]
    assert [entry["id"] for entry in awx.stale("shop", found, names)] == [2]
    assert awx.strangers("shop", found, names) == ["project 'shop' (id 4)"]
    assert awx.missing(found, names) == ["job templates: shop plan"]


@pytest.mark.parametrize(
    ("names", "told"),
    [(["deplay"], "there is no such verb (did you mean deploy?)"), (["init"], "it works for the one who sits at the controller")],
)
def test_a_verb_that_is_none_is_refused(names: list[str], told: str) -> None:
    with pytest.raises(awx.Unfit) as raised:
        awx.wanted(VERBS, names)
    assert told in str(raised.value)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"name": "chat", "type": "webhook"}, "expected configuration, a mapping; got NoneType"),
        ({"type": "webhook", "configuration": {}}, "an entry without a name: expected name, a text"),
        ({"name": "chat", "type": "webhook", "configuration": {}, "on": ["eror"]}, "there is no event eror; expected started"),
    ],
)
def test_a_notification_that_makes_no_sense(entry: dict[str, Any], told: str) -> None:
    with pytest.raises(awx.Unfit) as raised:
        awx.notification("shop", entry)
    assert told in str(raised.value)


def test_a_notification_says_what_awx_would_fill_in() -> None:
    made = awx.notification("shop", {"name": "chat", "type": "webhook", "configuration": {"url": "u"}})
    assert made["configuration"] == {**awx.WEBHOOK, "url": "u"}
    assert (made["name"], made["on"]) == ("shop chat", ["error"])


def test_a_project_has_a_playbook_for_each_verb() -> None:
    files = awx.wrappers(VERBS, [])
    assert sorted(files) == sorted(VERBS[name]["playbook"] for name in JOBS)
    assert "import_playbook: phasegate.aistack.deploy\n" in files["deploy.yml"]
