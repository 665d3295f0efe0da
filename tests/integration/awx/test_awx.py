# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stack in the stand-in of AWX: laid down, laid down again, changed, taken away. The tests of this file build on each other."""

from __future__ import annotations

import socket
from typing import Any

from ansible_collections.phasegate.aistack.tests.integration.awx.conftest import VERBS, Stack
from ansible_collections.phasegate.aistack.tests.integration.awx.standin_awx import Awx

TITLES = sorted(f"shop {verb.replace('_', ' ')}" for verb in VERBS)
KINDS = (
    "execution_environments",
    "credentials",
    "projects",
    "inventories",
    "inventory_sources",
    "notification_templates",
    "teams",
    "job_templates",
    "workflow_job_templates",
    "workflow_job_template_nodes",
    "workflow_approval_templates",
    "schedules",
)


def surveys(awx: Awx) -> dict[str, dict[str, Any]]:
    """Name of a template to its questions by variable."""
    return {
        awx.items[kind][number]["name"]: {asked["variable"]: asked for asked in spec["spec"]}
        for (kind, number), spec in awx.surveys.items()
    }


def ways(awx: Awx) -> dict[str, dict[str, list[str]]]:
    """The workflow: identifier of a node to the nodes that come after it, by outcome."""
    called = {number: node["identifier"] for number, node in awx.items["workflow_job_template_nodes"].items()}
    found: dict[str, dict[str, list[str]]] = {name: {} for name in called.values()}
    for (kind, number, way), numbers in awx.linked.items():
        if kind == "workflow_job_template_nodes" and numbers:
            found[called[number]][way.removesuffix("_nodes")] = [called[each] for each in numbers]
    return found


def granted(awx: Awx, team: str) -> dict[str, list[str]]:
    """Role to the names of the objects on which a team has it."""
    number = awx.one("teams", team)["id"]
    found: dict[str, list[str]] = {}
    for (kind, item, role), each in awx.roles.items():
        if number in awx.granted.get(each, ()):
            found.setdefault(role, []).append(awx.items[kind][item]["name"])
    return {role: sorted(names) for role, names in found.items()}


def test_the_first_run_makes_everything(stack: Stack) -> None:
    awx = stack.awx
    awx.seed("organizations", name="Default")
    checked = stack.run("--check")
    assert checked.status == 0, checked.said
    assert "would be made in AWX:" in checked.said
    assert "job templates: shop deploy" in checked.said
    assert awx.writes == []
    ran = stack.run()
    assert ran.status == 0, ran.said
    assert awx.named("organizations") == ["Default", "shop"]
    assert {kind: awx.named(kind) for kind in ("projects", "inventories", "inventory_sources", "execution_environments")} == {
        "projects": ["shop"],
        "inventories": ["shop"],
        "inventory_sources": ["shop repository"],
        "execution_environments": ["shop"],
    }
    assert awx.named("credentials") == ["shop machine"]
    assert awx.named("job_templates") == TITLES
    assert awx.one("job_templates", "shop deploy")["playbook"] == "playbooks/deploy.yml"
    assert awx.one("job_templates", "shop deploy")["allow_simultaneous"] is False
    asked = surveys(awx)
    assert asked["shop deploy"]["release"]["choices"] == "v1.10.0\nv1.9.0", "newest first, and no tag that cannot be a release"
    assert asked["shop deploy"]["break_lock"]["question_name"] == "Consent: break lock"
    assert asked["shop deploy"]["break_lock"]["default"] == "false"
    assert asked["shop healthcheck"]["deadline"]["type"] == "float"
    assert "output" not in asked["shop plan"]
    assert awx.one("job_templates", "shop plan")["extra_vars"].startswith('{"output": "/runner/documents/plan-')
    assert ways(awx) == {
        "plan": {"success": ["approval"]},
        "approval": {"success": ["backup"]},
        "backup": {"success": ["deploy"]},
        "deploy": {"success": ["verify"], "failure": ["healthcheck"]},
        "verify": {"failure": ["emergency_rollback"]},
        "healthcheck": {"failure": ["emergency_rollback"]},
        "emergency_rollback": {},
    }
    assert [item["timeout"] for item in awx.items["workflow_approval_templates"].values()] == [86400]
    assert awx.named("schedules") == ["shop backup"]
    assert granted(awx, "shop operators") == {"execute": sorted([*TITLES, "shop deployment"])}
    assert granted(awx, "shop viewers") == {"read": sorted([*TITLES, "shop deployment", "shop"])}
    assert awx.named("teams") == ["shop operators", "shop viewers"], "no approvers, whose name is empty"
    deploy = awx.one("job_templates", "shop deploy")["id"]
    linked = {
        way: [awx.items[kind][each]["name"] for each in awx.linked["job_templates", deploy, way]]
        for way, kind in (("credentials", "credentials"), ("labels", "labels"), ("notification_templates_error", "notification_templates"))
    }
    assert linked == {
        "credentials": ["shop machine"],
        "labels": ["phasegate"],
        "notification_templates_error": ["shop chat"],
    }


def test_the_second_run_changes_nothing(stack: Stack) -> None:
    before = stack.state()
    ran = stack.run()
    assert ran.status == 0, ran.said
    assert ran.changed == 0, ran.said
    assert stack.state() == before


def test_a_new_tag_changes_the_surveys_that_ask_for_a_release(stack: Stack) -> None:
    before, had = surveys(stack.awx), stack.state()
    stack.awx.writes.clear()
    ran = stack.run("--tags", "awx_templates", awx_releases=["v1.9.0", "v1.10.0", "v2.0.0"])
    assert ran.status == 0, ran.said
    now = surveys(stack.awx)
    assert {name for name in now if now[name] != before[name]} == {"shop deploy", "shop plan", "shop deployment"}
    assert now["shop deploy"]["release"]["choices"] == "v2.0.0\nv1.10.0\nv1.9.0"
    assert [write for write in stack.awx.writes if "survey_spec" not in write and "workflow_approval" not in write] == []
    assert len([write for write in stack.awx.writes if "survey_spec" in write]) == 3
    assert stack.state()[0] == had[0]


def test_what_it_cannot_do_is_said_and_nothing_is_changed(stack: Stack) -> None:
    before = stack.state()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        silent = stack.run(awx_url=f"http://127.0.0.1:{unused.getsockname()[1]}")
    assert silent.status == 2
    assert "cannot be asked. Nothing was changed." in silent.said
    assert "Connection refused" in silent.said
    assert "Is the address in awx_url right" in silent.said
    stack.awx.token, kept = "another", stack.awx.token
    wrong = stack.run()
    stack.awx.token = kept
    assert wrong.status == 2
    assert "The token is wrong, withdrawn or past its time" in wrong.said
    assert "HTTP 401" in wrong.said
    assert stack.state() == before


def test_an_object_of_somebody_else_is_not_taken_over(stack: Stack) -> None:
    awx = stack.awx
    number = awx.seed("teams", name="shop viewers", organization=awx.one("organizations", "shop")["id"], description="of the works council")
    mine = next(each for each, item in awx.items["teams"].items() if item["name"] == "shop viewers" and each != number)
    kept = awx.items["teams"].pop(mine)
    before = stack.state()
    ran = stack.run()
    assert ran.status == 2
    assert f"team 'shop viewers' (id {number})" in ran.said
    assert "give the stack another name in AWX (awx_name). Nothing was changed." in ran.said
    assert stack.state() == before
    awx.items["teams"][mine] = kept
    del awx.items["teams"][number]


def test_absent_takes_away_what_it_made_and_nothing_else(stack: Stack) -> None:
    awx = stack.awx
    shop = awx.one("organizations", "shop")["id"]
    for title in TITLES[:-1]:  # each takes its time, and one is as good as six
        awx.delete("job_templates", awx.one("job_templates", title)["id"])
    awx.seed("projects", name="somebody's", organization=shop, description="")
    ran = stack.run(awx_state="absent")
    assert ran.status == 0, ran.said
    assert {kind: awx.named(kind) if kind != "workflow_job_template_nodes" else list(awx.items[kind]) for kind in KINDS} == {
        kind: ["somebody's"] if kind == "projects" else [] for kind in KINDS
    }
    assert awx.named("organizations") == ["Default", "shop"], "somebody has something in there"
    assert "projects: somebody's" in ran.said
    awx.delete("projects", awx.one("projects", "somebody's")["id"])
    ran = stack.run(awx_state="absent")
    assert ran.status == 0, ran.said
    assert awx.named("organizations") == ["Default"]


def test_the_playbooks_of_the_project_are_written_alone(stack: Stack) -> None:
    stack.awx.writes.clear()
    ran = stack.run("--tags", "awx_playbooks", awx_checkout=str(stack.folder / "checkout"), awx_verbs=["plan"])
    assert ran.status == 0, ran.said
    assert [path.name for path in (stack.folder / "checkout" / "playbooks").iterdir()] == ["plan.yml"]
    assert stack.awx.writes == []


def test_a_variable_that_makes_no_sense_is_refused(stack: Stack) -> None:
    ran = stack.run(awx_project_repo="", awx_name="shop.x")
    assert ran.status == 2
    assert "awx_project_repo  expected the repository of the inventory, got nothing" in ran.said
    assert "letters, digits, blanks, _ and -; got shop.x" in ran.said
