# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Structure of a stack: every fault is named with its key, and orders follow from `after` alone."""

from __future__ import annotations

import copy
import datetime
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option, problems
from ansible_collections.phasegate.aistack.plugins.module_utils.stack.check import (
    addressed,
    check_base,
    check_stack,
    dependency_order,
    find_cycle,
    required_phases,
)

GOOD: dict[str, Any] = {
    "applications": {"shop": {"repo": "/repo.git", "release": "v1"}},
    "ports": {"db": 5432, "web": 8000, "web_blue": 18000, "web_green": 18001},
    "env": {"web": {"schema": [{"name": "PUBLIC_URL"}], "values": {}}},
    "roles": ["backend", "beat", "edge", "frontend", "postgres", "redis", "worker"],
    "groups": {"all": ["a", "b"], "one": ["a"], "two": ["a", "b"]},
    "acceptance": {"smoke": {"http": "http://x", "from": "one"}},
    "phases": {
        "phase0": {"title": "Ground", "components": ["db", "edge"]},
        "phase1": {"title": "House", "requires": ["phase0"], "components": ["web", "worker", "beat"], "acceptance": ["smoke"]},
    },
    "components": {
        "worker": {"role": "worker", "hosts": "one", "release_from": "web", "after": ["web"], "env": "web"},
        "beat": {"role": "beat", "hosts": "one", "release_from": "web", "strategy": "recreate"},
        "web": {"role": "backend", "hosts": "one", "application": "shop", "port": "web", "after": ["db"], "build_env": ["PUBLIC_URL"],
                "sdists": ["lxml"], "test_env": {"A": 1}, "test_network": True, "install_scripts": True},
        "db": {"role": "postgres", "hosts": "one"},
        "edge": {"role": "edge", "hosts": "two"},
    },
}


def broken(path: str, value: Any) -> dict[str, Any]:
    """GOOD with one key replaced; the path's parts are separated by slashes."""
    stack = copy.deepcopy(GOOD)
    *parents, last = path.split("/")
    place = stack
    for parent in parents:
        place = place[parent]
    place[last] = value
    return stack


def test_a_good_stack_has_no_problems() -> None:
    assert check_stack(GOOD) == []


def test_folders_are_measured_by_the_places_of_the_stack() -> None:
    stack = broken("components/web/writable", ["/opt/shop/web"])
    assert check_stack(stack) == []
    assert check_stack({**stack, "root": "/opt/shop", "state": "/var/lib/shop"})[0].startswith(
        "aistack_components.web.writable: /opt/shop/web is in /opt/shop"
    )


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("components/a b", {}, "aistack_components.a b: the name is to be of a-z"),
        ("components/web\n", {}, "the name is to be of a-z"),
        ("components/reconcile", {"application": "shop"}, "aistack_components.reconcile: aistack-reconcile@ is a unit of this collection"),
        ("components/web/gates", [], "aistack_components.web: unknown key 'gates'; did you mean 'gate'?"),
        ("components/web/metrics", {"pth": "/m"}, "aistack_components.web.metrics: unknown key 'pth'; did you mean 'path'?"),
        ("components/db/metrics", {"port": "dbs"}, "aistack_components.db.metrics.port: aistack_ports has no 'dbs'; did you mean 'db'?"),
        ("components/web/migrations", {"evidence": ["smoky"]},
         "aistack_components.web.migrations.evidence: unknown acceptance probe 'smoky'; did you mean 'smoke'?"),
        ("components/web/runs_with", {"workr": "major"},
         "aistack_components.web.runs_with.workr: unknown component 'workr'; did you mean 'worker'?"),
        ("components/db/runs_with", {"web": "major"}, "aistack_components.db.runs_with: nothing reads it, since postgres runs no release"),
        ("phases/phase1/require", [], "aistack_phases.phase1: unknown key 'require'; did you mean 'requires'?"),
        ("phases/phase1/requires", ["phase9"], "aistack_phases.phase1.requires: unknown phase 'phase9'; did you mean 'phase1'?"),
        ("phases/phase0/requires", ["phase1"], "aistack_phases.phase0.requires: 'phase1' does not come before 'phase0'"),
        ("phases/phase1/components", ["web", "worker"], "aistack_components.beat: belongs to no phase"),
        ("phases/phase0/components", ["db", "web"], "aistack_phases.phase1.components: 'web' already belongs to phase0"),
        ("phases/phase1/acceptance", ["smok"], "unknown acceptance probe 'smok'; did you mean 'smoke'?"),
        ("components/db/after", ["worker"], "a cycle: "),
        ("components/db/after", ["dbs"], "aistack_components.db.after: unknown component 'dbs'; did you mean 'db'?"),
        ("components/db/hosts", "ones", "aistack_components.db.hosts: no inventory group 'ones'; did you mean 'one'?"),
        ("components/web/user", "root", "aistack_components.web.user: 'root' cannot be taken"),
        ("components/web/user", "aistack-beat", "aistack_components.web: runs as the user 'aistack-beat', as 'beat' does"),
        ("components/web/writable", ["/etc"], "aistack_components.web.writable: /etc belongs to the system"),
        ("components/db/devices", ["gpu"], "aistack_components.db.devices: only a component that runs a release"),
        ("components/db/role", "", "aistack_components.db: 'role' is missing"),
        ("components/beat/hosts", "two", "aistack_components.beat.hosts: exactly one host may run 'beat'"),
        ("components/worker/release_from", "db", "'db' has no application of its own"),
        ("components/web/application", "shops", "unknown application 'shops'; did you mean 'shop'?"),
        ("components/web/port", "webs", "aistack_ports has no 'webs_blue'"),
        ("components/web/strategy", "yolo", "'yolo' is not one of bluegreen, recreate"),
        ("components/web/strategy", {"rolling": {"limit": 2}}, "web.strategy.rolling.limit: 2 is more than the 1 host of the"),
        ("components/web/strategy", {"rolling": {"hold": 60, "triggers": ["x"]}}, "aistack_triggers has no 'x'; there is no trigger"),
        ("components/db/strategy", {"rolling": {"limit": 1}}, "aistack_components.db.strategy: nothing reads it, since postgres runs no"),
        ("components/worker/slots", {"long_tasks": "kill"}, "components.worker.slots.long_tasks: 'kill' is not one of tell, wait, refuse"),
        ("applications/shop/release", "latest", "aistack_applications.shop.release: 'latest' can mean something else tomorrow; name a tag"),
        ("components/web/slots", {"long_tasks": "wait"}, "components.web.slots.long_tasks: read of workers alone (role worker)"),
        ("components/db/runtime", "docker", "'docker' is not one of systemd"),
        ("components/web/env", "webb", "aistack_env has no 'webb'; did you mean 'web'?"),
        ("ports/web", 5432, "aistack_ports.web: 5432 is already the port of 'db'"),
        ("ports/web", "8000", "aistack_ports.web: must be a port (1 to 65535), is the text '8000'"),
        ("triggers", [{"name": "errors", "source": "node", "target": "cpu", "value": 90, "then": {"level": "ap"}}],
         "aistack_triggers[0] (errors): then.level: no level 'ap' (did you mean app?)"),
        ("triggers", [{"name": "errors", "source": "manual", "then": "manual", "hosts": "ones"}],
         "aistack_triggers[0] (errors).hosts: no group or host 'ones' (did you mean one?)"),
        ("applications/shop/tag", "v1", "aistack_applications.shop: unknown key 'tag'"),
        ("components/web/build_env", ["PUBLIC"],
         "components.web.build_env: the schema of aistack_env.web has no 'PUBLIC'; did you mean 'PUBLIC_URL'?"),
        ("components/worker/test_env_from", ["X"], "components.worker.test_env_from: the schema of aistack_env.web has no 'X'"),
        ("components/beat/test_env_from", ["PUBLIC_URL"],
         "components.beat.test_env_from: the schema of aistack_env.beat has no 'PUBLIC_URL'"),
        ("components/web/lock", "../uv.lock", "components.web.lock: '../uv.lock' leads out of the repository"),
        ("components/web/context", ["../libs"], "components.web.context: '../libs' leads out of the repository"),
        ("components/web/includes", [{"path": "../ui", "output": "dist", "to": "static"}],
         "aistack_components.web.includes[0]: path '../ui' is no folder in the repository"),
        ("components/web/includes", [{"path": "ui", "output": "dist"}], "aistack_components.web.includes[0]: 'to' is missing"),
        ("components/web/context", "libs", "components.web.context: must be a list of folders, is the text"),
        ("components/web/python", {"version": 3.1}, "components.web.python.version: must be a text"),
        ("components/web/python", {"version": "3"}, "components.web.python.version: '3' is no version of Python"),
        ("components/web/python", {"source": "https://x/y.tar.gz", "version": "3.13"}, "source and sha256 belong together"),
        ("components/web/python", {"source": "x", "version": "3.13", "sha256": "12"}, "python.sha256: '12' is no SHA-256"),
        ("components/web/build_env", "PUBLIC_URL", "components.web.build_env: must be a list of names of variables, is the text "),
        ("components/web/test_env", ["A"], "components.web.test_env: must be a mapping of names to values, is a list"),
        ("components/web/test_network", "yes", "components.web.test_network: must be true or false, is the text 'yes'"),
        ("components/web/install_scripts", 1, "components.web.install_scripts: must be true or false, is 1"),
        ("components/web/runtime", "kubernetes", "web.runtime: 'kubernetes' is not one of systemd, compose, launchd, windows"),
        ("components/web/tests", "pytest", "components.web.tests: must be a list of commands, each a list such as [pytest, -q], is the"),
        ("components/web/tests", ["pytest"], "components.web.tests[0]: must be a list such as [pytest, -q], is the text"),
        ("components/web/build", [["make", ["x"]]], "components.web.build[0][1]: must be a text or a number, is a list"),
        ("components/web/exposed", "yes please", "aistack_components.web: unknown key 'exposed'"),
        ("components/db/acceptance", ["smoke"], "aistack_components.db: unknown key 'acceptance'"),
        ("phases/phase0/preflight", [], "aistack_phases.phase0: unknown key 'preflight'"),
        ("components/web/options", "app=x", "components.web.options: must be a mapping of names to values, is the text"),
        ("components/web/slots", {"warn": 1}, "components.web.slots: unknown key 'warn'; did you mean 'warm'?"),
        ("components/web/slots", {"warm": "long"}, "components.web.slots.warm: must be a whole number, is the text 'long'"),
        ("components/web/gate_settings", {"deadline": -1}, "components.web.gate_settings.deadline: must be a number from 0 on, is -1"),
        ("components/web/edge", {"chek": "/health"}, "components.web.edge: unknown key 'chek'; did you mean 'check'?"),
        ("components/web/migrations", {"policy": {"contract": "never"}},
         "components.web.migrations.policy.contract: 'never' is not one of allow, refuse"),
        ("components/web/gate", {"http": "http://x"}, "components.web.gate: must be a list of probes, is a mapping"),
        ("components/web/after", None, "components.web.after: is empty; it must be a list of components, or be left out"),
        ("components/web/user", 1000, "components.web.user: must be a text, is 1000 to YAML; quote it"),
        ("components/web/kind", "static", "components.web.kind: is static, and role backend runs python; write kind: python"),
        ("components/web/role", "frontend",
         "components.web.kind: is not given, which means python, and role frontend runs node; write kind: node"),
        ("components/web/role", "backnd", "components.web.role: this collection has no role 'backnd'; did you mean 'backend'?"),
        ("components/db/role", "backend", "aistack_components.db: role backend runs a release; say which: 'application'"),
        ("components/web/role", "redis", "components.web.role: role redis runs no release; drop 'application'"),
        ("components/web/port", 8000, "components.web.port: must be the name of a port in aistack_ports, is 8000"),
        ("components/web/strategy", {"rolling": {"limit": 1.5}},
         "web.strategy.rolling.limit: must be a whole number of hosts, or a share of them such as 25%, is 1.5"),
        ("applications/shop/release", "../x",
         "aistack_applications.shop.release: '../x' can be the name of no release; expected a letter or a digit"),
        ("applications/shop/release", 1.1, "aistack_applications.shop.release: must be a text, is 1.1 to YAML; quote it"),
        ("env/web/schema", [{"name": "PUBLIC_URL", "requried": True}],
         "aistack_env.web.schema[0] (PUBLIC_URL): unknown key 'requried'; did you mean 'required'?"),
        ("env/web/schema", [{"type": "str"}], "aistack_env.web.schema[0]: 'name' is missing: name of the variable"),
        ("env/web/schemas", [], "aistack_env.web: unknown key 'schemas'; did you mean 'schema'?"),
        ("env/web", "x", "aistack_env.web: must be a mapping, is the text"),
        ("phases/phase1/components", "web", "aistack_phases.phase1.components: must be a list of components, is the text"),
        ("components/web", "backend", "aistack_components.web: must be a mapping, is the text"),
        ("components/web/migrations", {"heads": "all"}, "components.web.migrations: unknown key 'heads'; it stands below policy"),
        ("components/web/warm", 5, "components.web: unknown key 'warm'; it stands below slots"),
        ("components/web/migrations", {"config": "../alembic.ini"},
         "components.web.migrations.config: '../alembic.ini' leads out of the component's folder"),
        ("components/web/migrations", {"config": "/etc/alembic.ini"}, "components.web.migrations.config: '/etc/alembic.ini' leads out of"),
        ("components/web/migrations", {"x": {"tenant": ["a"]}}, "components.web.migrations.x.tenant: must be a text"),
        ("components/web/migrations", {"x": {"a=b": "c"}}, "components.web.migrations.x: 'a=b' cannot be the name of an argument"),
        ("components/db/lock", "x.lock", "aistack_components.db.lock: nothing reads it, since postgres runs no release; drop it"),
        ("components/db/edge", {}, "aistack_components.db.edge: nothing reads it"),
        ("components/worker/lock", "x.lock", "components.worker.lock: nothing reads it, since its tree is that of 'web'; say it there"),
        ("components/web/path", "../..", "components.web.path: '../..' leads out of the repository"),
        ("components/web/path", "/srv", "components.web.path: '/srv' leads out of the repository"),
        ("components/web/output", "dist", "components.web.output: 'dist' is nothing that can be kept of a release of kind python"),
        ("components/worker/gate", [{"celery": "app", "count": 1}],
         "components.worker.gate[0]: during a switch the workers of both slots answer, so that count: 1 fails; name"),
        ("components/web/sdists", "lxml", "components.web.sdists: must be true, false or a list of packages, is the text 'lxml'"),
    ],
)
def test_each_fault_is_named_with_its_key(path: str, value: Any, expected: str) -> None:
    problems = check_stack(broken(path, value))
    assert any(expected in problem for problem in problems), problems


def test_a_count_of_workers_names_the_remedy() -> None:
    (problem,) = check_stack(broken("components/worker/gate", [{"celery": "app", "count": 1}]))
    assert problem.endswith('name those of the slot: workers: ["worker-${slot}@<host>"]')


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("strategy", "recreate"),
        ("gate", [{"celery": "app", "count": {"ge": 1}}]),
        ("gate", [{"celery": "app", "workers": ["worker-${slot}@a"], "count": 1}]),
        ("gate", [{"process": "celery", "count": 1}]),
    ],
)
def test_workers_may_be_counted_where_no_other_slot_answers(key: str, value: Any) -> None:
    stack = broken("components/worker/gate", [{"celery": "app", "count": 1}])
    stack["components"]["worker"][key] = value
    assert check_stack(stack) == []


def test_all_faults_are_reported_at_once() -> None:
    stack = broken("components/web/gates", [])
    stack["ports"]["db"] = 0
    assert len(check_stack(stack)) == 2


def test_order_follows_after_and_the_source_of_a_release() -> None:
    assert dependency_order(GOOD["components"]) == ["db", "web", "worker", "beat", "edge"]
    assert dependency_order(GOOD["components"], ["worker", "db"]) == ["db", "worker"]


def test_required_phases_are_followed_to_the_ground() -> None:
    phases = {"phase0": {}, "phase1": {"requires": ["phase0"]}, "phase2": {"requires": ["phase1"]}}
    assert required_phases(phases, "phase2") == ["phase0", "phase1"]
    assert required_phases(phases, "phase0") == []


def test_who_needs_an_address() -> None:
    components = {"db": {"role": "phasegate.aistack.postgres", "hosts": "one"}, "llm": {"role": "ollama", "hosts": "one"},
                  "api": {"role": "backend", "hosts": "two", "after": ["db"]}}
    groups = {"one": ["a"], "two": ["b", "c"]}
    assert addressed(components, groups) == ["a"]
    components["api"]["after"] = ["llm"]
    assert addressed(components, groups) == ["a", "b", "c"]
    assert addressed({"api": {"role": "backend", "hosts": "two"}}, groups) == []


def test_a_cycle_is_spelled_out() -> None:
    assert find_cycle({"a": ["b"], "b": ["c"], "c": ["a"]}) == ["a", "b", "c", "a"]
    assert find_cycle({"a": ["b"], "b": []}) == []


@pytest.mark.parametrize("role", ["acme.things.backend", "phasegate.aistack.backend"])
def test_a_role_by_its_full_name(role: str) -> None:
    assert check_stack(broken("components/web/role", role)) == []


def test_what_follows_from_a_fault_is_not_said_as_well() -> None:
    assert len(check_stack(broken("phases/phase1/components", "web"))) == 1
    assert len(check_stack(broken("env/web", "x"))) == 2  # and what build_env names is not there


def test_an_environment_without_schema_names_its_variables() -> None:
    assert check_stack(broken("env/web", {"values": {"PUBLIC_URL": "x"}})) == []


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("name", "../x y", "aistack_name: '../x y' cannot be a stack's name: letters, digits, '.', '_' and '-'; files are called so"),
        ("root", "/", "aistack_root: must be an absolute path such as /opt/aistack, without blanks and '..', is '/'"),
        ("root", "opt/shop", "aistack_root: must be an absolute path such as /opt/aistack"),
        ("state", "/var/lib/../x", "aistack_state: must be an absolute path such as /var/lib/aistack"),
        ("state", "/var/lib/my shop", "aistack_state: must be an absolute path"),
        ("state", "/var/lib/a\nUser=root", "aistack_state: must be an absolute path"),
        ("state", "/opt/shop", "aistack_state: is the folder of aistack_root as well; each has one of its own"),
    ],
)
def test_where_a_stack_cannot_be(key: str, value: str, said: str) -> None:
    places = {"name": "shop", "root": "/opt/shop", "state": "/var/lib/shop"}
    assert check_base(**places) == []
    assert said in check_base(**{**places, key: value})[0]


def test_what_a_key_holds_is_called_by_its_name_for_people() -> None:
    date = type("_AnsibleTaggedDate", (datetime.date,), {})(2026, 1, 31)
    assert "must be a mapping, is a date" in check_stack(broken("components/web/options", date))[0].replace(" of names to values", "")
    needed = Option("str", "where it is", required=True)
    assert problems("aistack_root", None, needed) == ["aistack_root: is empty; it must be a text"]


@pytest.mark.parametrize(
    ("component", "key", "value", "said"),
    [
        ("db", "instances", 2, "aistack_components.db.instances: nothing reads it, since postgres runs no release; drop it"),
        ("web", "careful", {"bluegren": {}}, "aistack_components.web.careful: unknown key 'bluegren'; known: canary, rolling"),
        ("web", "careful", {"rolling": None}, "aistack_components.web.careful.rolling: is empty; it must be a mapping, or be left out"),
        ("worker", "runs_with", {"web": {">=": "v4"}},
         "aistack_components.worker.runs_with.web: unknown key '>='; known: ge, gt, le, lt, ne"),
    ],
    ids=["instances", "an unknown strategy", "an empty one", "an unknown operator"],
)
def test_what_is_wrong_is_said_once(component: str, key: str, value: Any, said: str) -> None:
    assert check_stack(broken(f"components/{component}/{key}", value)) == [said]
