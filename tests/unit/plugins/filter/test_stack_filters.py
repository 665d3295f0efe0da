# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters over a stack: a small one with a slotted application, what it follows, and a phase on top of a phase."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.phasegate.aistack.plugins.filter import stack
from ansible_collections.phasegate.aistack.plugins.module_utils.core.probe_spec import ProbeError
from ansible_collections.phasegate.aistack.plugins.module_utils.stack import check
from ansible_collections.phasegate.aistack.plugins.plugin_utils import phases

COMPONENTS: dict[str, Any] = {
    "worker": {"hosts": "backend", "release_from": "api", "after": ["redis"]},
    "api": {
        "hosts": "backend", "application": "shop", "port": "api", "migrations": {"path": "."}, "edge": {"check": "/health"},
        "gate": [{"name": "own", "http": "http://127.0.0.1:${port}/"}, {"name": "seen", "http": "http://b:80/", "from": "web"}],
    },
    "redis": {"hosts": "backend", "unit": "redis.service", "gate": [{"name": "port", "tcp": "b:6379"}]},
    "web": {"hosts": "web", "application": "site", "port": "web"},
}
PORTS = {"api": 80, "api_blue": 81, "api_green": 82, "web": 90, "web_blue": 91, "web_green": 92, "redis": 6379}
GROUPS = {"backend": ["b1", "b2"], "web": ["w1"]}
PHASES: dict[str, Any] = {
    "base": {"components": ["redis"]},
    "app": {"requires": ["base"], "components": ["api", "worker"], "acceptance": ["order"]},
    "ui": {"requires": ["app"], "components": ["web"], "acceptance": ["page"]},
    "extra": {"components": []},
}
ACCEPTANCE = {"order": {"http": "http://b:80/order", "from": "web"}, "page": {"http": "http://w:90/", "from": "backend"}}


def named(probes: list[dict[str, Any]]) -> list[tuple[Any, Any]]:
    return [(probe.get("component"), probe["name"]) for probe in probes]


def test_gate_probes() -> None:
    probes = stack.gate_probes(None, COMPONENTS)
    assert named(probes) == [("api", "own"), ("api", "seen"), ("redis", "port")]
    assert {probe["hosts"] for probe in probes} == {"backend"}
    assert probes[0]["type"] == "http"
    assert probes[0]["target"] == "http://127.0.0.1:${port}/"
    assert named(stack.gate_probes(None, COMPONENTS, ["redis"])) == [("redis", "port")]
    assert stack.gate_probes(None, COMPONENTS, []) == []


def test_a_canonical_probe_stays_as_it_is() -> None:
    probes = stack.gate_probes(None, COMPONENTS)
    again = {"redis": {"hosts": "backend", "gate": [probes[2]]}}
    assert stack.gate_probes(None, again) == [probes[2]]


def test_a_probe_that_cannot_be_used() -> None:
    with pytest.raises(ProbeError, match="htpp"):
        stack.gate_probes(None, {"redis": {"hosts": "backend", "gate": [{"name": "x", "htpp": "http://b/"}]}})


VARIABLES = {"aistack_ports": {"redis": 6379, "ollama": 11434, "grafana": 3001, "superset": 8088, "jaeger": 16686},
             "aistack_address": "10.0.0.5", "aistack_name": "shop", "minio_listen": ["*", "10.0.0.5"], "minio_port": 9001}


@pytest.mark.parametrize(
    ("component", "probes"),
    [
        ({"role": "redis"}, [("its unit runs", "redis-server.service"), ("listens", "127.0.0.1:6379")]),
        ({"role": "phasegate.aistack.redis", "unit": "own.service"}, [("its unit runs", "own.service"), ("listens", "127.0.0.1:6379")]),
        ({"role": "ollama"}, [("its unit runs", "ollama.service"), ("answers", "http://10.0.0.5:11434/api/version")]),
        ({"role": "minio"}, [("its unit runs", "minio.service"), ("listens", "127.0.0.1:9001")]),
        ({"role": "comfyui"}, [("its unit runs", "comfyui.service")]),
        ({"role": "backup"}, [("its unit runs", "aistack-backup@shop.timer")]),
        ({"role": "grafana"}, [("its unit runs", "aistack-grafana.service"), ("answers", "http://127.0.0.1:3001/api/health")]),
        ({"role": "loki"}, [("its unit runs", "aistack-loki.service")]),
        ({"role": "jaeger"}, [("its unit runs", "jaeger.service"), ("listens", "127.0.0.1:16686")]),
        ({"role": "superset"}, [("its unit runs", "aistack-superset.service"), ("answers", "http://127.0.0.1:8088/health")]),
        ({"role": "postgres"}, []),
        ({"role": "edge", "gate": []}, []),
        ({"role": "edge", "runtime": "compose"}, []),
        ({"role": "toolchain"}, []),
        ({"role": "some.other.redis"}, []),
    ],
)
def test_a_component_without_a_gate_has_that_of_its_role(component: dict[str, Any], probes: list[tuple[str, str]]) -> None:
    found = stack.gate_probes(VARIABLES, {"it": {"hosts": "all", **component}})
    assert [(probe["name"], probe["target"]) for probe in found] == probes


def test_a_variable_that_cannot_be_read_is_not_known() -> None:
    class Broken:
        def get(self, name: str) -> None:
            raise KeyError(name)

    found = stack.gate_probes(Broken(), {"it": {"hosts": "all", "role": "redis"}})
    assert [probe["name"] for probe in found] == ["its unit runs"]


def test_slot_probes_are_those_of_its_own_host() -> None:
    assert named(stack.slot_probes(COMPONENTS, "api")) == [("api", "own")]
    assert stack.slot_probes(COMPONENTS, "worker") == []


def test_acceptance_probes() -> None:
    assert named(stack.acceptance_probes(ACCEPTANCE, ["page", "order"])) == [(None, "page"), (None, "order")]


def test_phase_probes() -> None:
    probes = stack.phase_probes(None, PHASES, COMPONENTS, ACCEPTANCE, ["base", "app"])
    assert named(probes) == [("redis", "port"), ("api", "own"), ("api", "seen"), (None, "order")]
    assert stack.phase_probes(None, PHASES, COMPONENTS, ACCEPTANCE, ["extra"]) == []
    assert named(stack.phase_probes(None, PHASES, COMPONENTS, ACCEPTANCE, ["app"], ["order"])) == [("api", "own"), ("api", "seen")]


@pytest.mark.parametrize(
    ("row", "names"),
    [
        ({"verdict": "pass"}, []),
        ({"verdict": "skipped"}, []),
        ({"verdict": "fail", "severity": "warning"}, []),
        ({"verdict": "pass", "component": "api"}, ["port"]),  # of the same name, but another's: nobody answered for this one
        ({"verdict": "fail"}, ["port"]),
        ({"verdict": "error"}, ["port"]),
    ],
)
def test_unproven(row: dict[str, Any], names: list[str]) -> None:
    gates = {"b1": {"probes": [{"component": "redis", "name": "port", **row}]}, "b2": {}}
    assert phases.unproven(stack.gate_probes(None, COMPONENTS, ["redis"]), gates) == names


def test_unproven_goes_by_the_gate_of_the_live_release() -> None:
    wanted = stack.gate_probes(None, COMPONENTS, ["redis"])
    told = {"contexts": {"redis": {"judged_by": "the gate that v1 was activated with"}}}
    own = {"component": "redis", "name": "own", "severity": "critical"}
    beside = {"component": "redis", "name": "port", "severity": "warning", "judged_by": "inventory", "verdict": "fail"}
    assert phases.unproven(wanted, {"b1": {"probes": [{**own, "verdict": "pass"}, beside], **told}}) == []
    assert phases.unproven(wanted, {"b1": {"probes": [{**own, "verdict": "pass"}], **told}}) == []
    assert phases.unproven(wanted, {"b1": {"probes": [{**own, "verdict": "fail"}, beside], **told}}) == ["own"]


def test_what_was_proven_a_moment_ago_is_not_asked_again() -> None:
    now = time.time()
    assert phases.recently_proven({"redis": now - 5, "api": now - 40, "web": now + 100}, 30) == ["redis"]
    assert stack.phase_components(PHASES, ["base", "app", "extra"]) == ["redis", "api", "worker"]
    probes = stack.phase_probes(None, PHASES, COMPONENTS, ACCEPTANCE, ["base", "app"], ["order"], ["redis"])
    assert named(probes) == [("api", "own"), ("api", "seen")]


FRESH = {"components": {"redis": {"fresh": True}}}
STALE = {"components": {"redis": {"fresh": False}}}
PASS = {"component": "redis", "name": "port", "verdict": "pass"}
FAIL = dict(PASS, verdict="fail")


@pytest.mark.parametrize(
    ("receipts", "probes", "stale"),
    [
        ({"b1": FRESH, "b2": FRESH}, [PASS], []),
        ({"b1": FRESH, "b2": FRESH}, [dict(PASS, verdict="skipped")], []),
        ({"b1": FRESH, "b2": FRESH}, [dict(FAIL, severity="warning")], []),
        ({"b1": FRESH, "b2": FRESH}, [dict(FAIL, component="api")], []),
        ({"b1": FRESH, "b2": FRESH}, [PASS, FAIL], ["redis"]),
        ({"b1": FRESH, "b2": STALE}, [PASS], ["redis"]),
        ({"b1": FRESH}, [PASS], ["redis"]),
        ({"b1": FRESH, "b2": {"failed": True}}, [PASS], ["redis"]),
    ],
)
def test_stale_components(receipts: dict[str, Any], probes: list[dict[str, Any]], stale: list[str]) -> None:
    gates = {"b1": {"probes": []}, "b2": {}, "w1": {"probes": probes}}  # wherever the probe ran
    assert stack_stale(receipts, gates) == stale


def stack_stale(receipts: dict[str, Any], gates: dict[str, Any]) -> list[str]:
    return phases.stale_components(["redis"], COMPONENTS, GROUPS, receipts, gates)


def test_released_in_the_order_in_which_they_depend_on_each_other() -> None:
    assert stack.released(COMPONENTS) == ["api", "worker", "web"]
    assert stack.released(COMPONENTS, "shop") == ["api", "worker"]
    assert stack.released(COMPONENTS, "none") == []


def test_edge_frontends_are_those_of_the_host() -> None:
    assert stack.edge_frontends(COMPONENTS, PORTS, GROUPS, "b2") == [
        {"name": "api", "port": 80, "servers": {"blue": 81, "green": 82}, "assets": [], "check": "/health"},
    ]
    assert [front["name"] for front in stack.edge_frontends(COMPONENTS, PORTS, GROUPS, "w1")] == ["web"]
    assert stack.edge_frontends(COMPONENTS, PORTS, GROUPS, "elsewhere") == []
    site = {"web": {**COMPONENTS["web"], "output": "next-standalone"}}
    assert stack.edge_frontends(site, PORTS, GROUPS, "w1")[0]["assets"] == ["/_next/static/"], "Next.js needs no word for it"


POOLED: dict[str, Any] = {
    "edge": {"role": "edge", "hosts": "all"},
    "api": {"hosts": "backend", "application": "shop", "port": "api", "pool": {"edge": "front", "port": "public"},
            "edge": {"trusted_proxies": ["192.0.2.1"]}},
}
POOL_GROUPS = {"all": ["b1", "b2", "f1"], "backend": ["b1", "b2"], "front": ["f1", "b1"]}
ADDRESSES = {host: {"aistack_address": f"10.0.0.{number}"} for number, host in enumerate(POOL_GROUPS["all"], 1)}


def test_edge_frontends_with_a_pool() -> None:
    """A host that leads, one that is led to, and one that is both; who leads is trusted where it leads to."""
    def made(host: str) -> list[dict[str, Any]]:
        return stack.edge_frontends(POOLED, {**PORTS, "public": 443}, POOL_GROUPS, host, ADDRESSES)

    assert [front["name"] for front in made("b1")] == ["api", "api.pool"]
    assert made("f1") == made("b1")[1:]
    assert made("f1")[0]["trusted_proxies"] == ["192.0.2.1"], "who stands before the pool"
    assert [front["name"] for front in made("b2")] == ["api"]
    assert made("b2")[0]["trusted_proxies"] == ["192.0.2.1", "10.0.0.3", "10.0.0.1"]
    assert made("b2")[0]["alive"] == made("f1")[0]["check"]
    assert POOLED["api"]["edge"]["trusted_proxies"] == ["192.0.2.1"], "the description stays as it is"


def test_a_pool_that_cannot_be_is_refused_where_it_would_be_written() -> None:
    for hosts, expected in (({}, "aistack_address of f1 is None"), ({**ADDRESSES, "b2": {"aistack_address": "b2"}}, "of b2 is 'b2'")):
        with pytest.raises(AnsibleFilterError, match=expected):
            stack.edge_frontends(POOLED, {**PORTS, "public": 443}, POOL_GROUPS, "b1", hosts)
    with pytest.raises(AnsibleFilterError, match=r"aistack_components\.api\.pool\.port: aistack_ports has no 'public'"):
        stack.edge_frontends(POOLED, PORTS, POOL_GROUPS, "f1", ADDRESSES)
    assert stack.edge_frontends(POOLED, PORTS, {**POOL_GROUPS, "all": ["x"]}, "x") == [], "it is nothing to other hosts"


def test_migrated_and_order() -> None:
    assert stack.migrated(COMPONENTS) == ["api"]
    assert stack.migrated({"api": {**COMPONENTS["api"], "migrations": {}}}) == ["api"], "as init writes it: nothing to be set"
    assert stack.dependency_order(COMPONENTS) == ["redis", "api", "worker", "web"]


def test_whose_database_another_host_moves() -> None:
    described = {"api": {"hosts": "backend", "migrations": {}}, "flow": {"hosts": "flow", "migrations": {}}, "web": {"hosts": "backend"}}
    groups = {"backend": ["b1", "b2"], "flow": ["b2"]}
    found = {host: stack.migrated_elsewhere(described, groups, host) for host in ("b1", "b2", "w1")}
    assert found == {"b1": {}, "b2": {"api": "b1"}, "w1": {}}


def test_phases_of_a_component_are_its_own_and_those_above() -> None:
    assert check.phases_of(PHASES, ["redis"]) == ["base", "app", "ui"]
    assert check.phases_of(PHASES, ["worker"]) == ["app", "ui"]
    assert check.phases_of(PHASES, ["web"]) == ["ui"]
    assert check.phases_of(PHASES, []) == []
    assert check.required_phases(PHASES, "ui") == ["base", "app"]


def test_every_filter_is_documented_and_has_an_example() -> None:
    folder = Path(stack.__file__).parent
    for name in stack.FilterModule().filters():
        page = yaml.safe_load((folder / f"{name}.yml").read_text(encoding="utf-8"))
        assert page["DOCUMENTATION"]["name"] == name
        assert name in page["EXAMPLES"]


def test_a_verification_asks_without_the_level() -> None:
    probes = stack.verify_probes([{"name": "full", "level": "performance", "usage": "memory", "percent": 80}])
    assert probes == [{"name": "full", "type": "usage", "target": "memory", "percent": 80, "severity": "critical"}]


@pytest.mark.parametrize(("groups", "where"), [({"all": ["n"], "aistack": ["n"]}, "aistack"), ({"all": ["n"]}, "all"), ({}, "localhost")])
def test_a_verb_has_a_node_to_be_refused_on(groups: dict[str, Any], where: str) -> None:
    assert stack.nodes(groups, "aistack") == where


def test_a_deployment_asks_for_bad_marks_once_and_before_it_takes_the_lock() -> None:
    (play,) = yaml.safe_load((Path(__file__).resolve().parents[4] / "playbooks" / "deploy.yml").read_text(encoding="utf-8"))
    questions = [(number, task["phasegate.aistack.release_info"]) for number, task in enumerate(play["tasks"])
                 if "phasegate.aistack.release_info" in task]
    asked = [number for number, given in questions if not {"answer", "doubts"} & set(given)]
    refused = [number for number, given in questions if given.get("refuse_bad")]
    locked = [number for number, task in enumerate(play["tasks"]) if "'state': 'locked'" in str(task.get("block"))]
    assert (len(asked), len(refused), len(locked)) == (1, 1, 1)
    assert asked < refused < locked
    assert "release_info" not in str(play["tasks"][locked[0]])


def test_components_whose_role_is_from_elsewhere_are_left_out() -> None:
    components = {"api": {"role": "backend"}, "site": {"role": "phasegate.aistack.frontend"}, "own": {"role": "own.own.thing"}}
    assert stack.of_own_roles(["site", "own", "api"], components) == ["site", "api"]


def test_whose_trees_who_runs() -> None:
    of_api, of_site = {"release_from": "api"}, {"release_from": "site"}
    components: dict[str, Any] = {"api": {}, "worker": of_api, "site": {}, "beat": of_api, "feed": of_site}
    assert stack.lent_trees(["api", "worker", "site", "beat", "feed"], components) == [
        {"component": "api", "state": "lent", "lent_to": ["worker", "beat"]}, {"component": "site", "state": "lent", "lent_to": ["feed"]},
    ]
    assert stack.lent_trees(["api", "site"], components) == []


def test_components_whose_description_has_a_key() -> None:
    assert stack.with_key(["worker", "api"], {"api": {"port": None}, "worker": {"hosts": "be"}}, "port") == ["api"]
