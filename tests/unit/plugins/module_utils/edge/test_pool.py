# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pool: what may be said of it, what its hosts have to have for it, and the frontend that it becomes."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.edge import pool
from ansible_collections.phasegate.aistack.plugins.module_utils.edge.rules import edge_rules
from ansible_collections.phasegate.aistack.plugins.module_utils.stack.check import addressed, check_stack

STACK: dict[str, Any] = {
    "applications": {"shop": {"repo": "/repo.git", "release": "v1"}},
    "ports": {"web": 8443, "web_blue": 18000, "web_green": 18001, "api": 9000, "api_blue": 19000, "api_green": 19001,
              "public": 443, "free": 444, "redis": 6379, "elsewhere": 80, "elsewhere_blue": 81, "elsewhere_green": 82},
    "env": {}, "phases": {}, "acceptance": {},
    "groups": {"all": ["w1", "w2", "front", "x"], "web": ["w1", "w2"], "front": ["front"], "both": ["front", "w1"], "nobody": [],
               "bare": ["front", "x"]},
    "roles": ["backend", "edge", "frontend", "redis"],
    "components": {
        "edge": {"role": "edge", "hosts": "web"},
        "entry": {"role": "phasegate.aistack.edge", "hosts": "front"},
        "web": {"role": "backend", "hosts": "web", "application": "shop", "port": "web",
                "pool": {"edge": "front", "port": "public", "check": "/health"}},
        "api": {"role": "backend", "hosts": "web", "application": "shop", "port": "api"},
        "redis": {"role": "redis", "hosts": "front"},
    },
}
COMPONENTS, GROUPS, PORTS = STACK["components"], STACK["groups"], STACK["ports"]
HOSTS: dict[str, dict[str, Any]] = {
    "w1": {"aistack_address": "10.0.0.11"}, "w2": {"aistack_address": "10.0.0.12"},
    "front": {"aistack_address": "10.0.0.5"}, "x": {"aistack_address": "10.0.0.6"},
}


def read(hosts: Mapping[str, Any] | None = None) -> pool.Read:
    return lambda host, variable: (hosts or HOSTS)[host].get(variable)


def changed(pooled: Any = None, **component: Any) -> dict[str, Any]:
    """STACK where C(web) says something else, of its pool or of itself; None takes a key away."""
    stack = copy.deepcopy(STACK)
    web = stack["components"]["web"]
    web["pool"].update(pooled or {})
    web.update(component)
    stack["components"]["web"] = {key: value for key, value in web.items() if value is not None}
    return stack


def test_all_that_may_be_said() -> None:
    assert check_stack(STACK) == []
    assert check_stack(changed({"check": {"path": "/health", "host": "a.example", "headers": {"X": "1"}}})) == []
    assert check_stack(changed({"edge": "web", "port": "free"})) == [], "at the hosts themselves, on a port besides their own"
    assert check_stack(changed({"port": "web"})) == [], "a host of its own has the port free"


@pytest.mark.parametrize(
    ("stack", "expected"),
    [
        (changed({"edge": "fornt"}), "pool.edge: no inventory group 'fornt'; did you mean 'front'?"),
        (changed({"edge": "nobody"}), "pool.edge: the group 'nobody' has no hosts; put those into it that clients reach"),
        (changed({"edge": "bare"}), "pool.edge: no component of role edge runs on x; describe one with hosts: bare"),
        (changed({"port": "pubic"}), "pool.port: aistack_ports has no 'pubic'; did you mean 'public'?"),
        (changed({"edge": "both", "port": "web"}), "pool.port: 8443 is 'web' of 'web' on w1; give the pool a port of its own"),
        (changed({"edge": "both", "port": "api_green"}), "pool.port: 19001 is 'api_green' of 'api' on w1;"),
        (changed({"port": "redis"}), "pool.port: 6379 is 'redis' of 'redis' on front;"),
        (changed({"check": "health"}), "pool.check: must be a path such as /healthz, is 'health'"),
        (changed({"check": {"path": "/", "hots": "a"}}), "pool.check: unknown key 'hots'"),
        (changed({"chek": "/"}), "pool: unknown key 'chek'; did you mean 'check'?"),
        (changed(pool={"port": "public"}), "pool: 'edge' is missing"),
        (changed(pool={"edge": "front"}), "pool: 'port' is missing"),
        (changed(pool="front"), "pool: must be a mapping"),
        (changed(port=None), "pool: leads to the port of 'web', which has none; give it a port (aistack_ports)"),
        (changed(hosts="nobody"), "hosts: the group 'nobody' has no hosts; put some into it, or take the component out"),
        (changed(hosts="bare"), "pool: no component of role edge runs on x; describe one with hosts: bare"),
    ],
)
def test_what_makes_no_sense_is_named_with_its_key(stack: dict[str, Any], expected: str) -> None:
    found = check_stack(stack)
    assert [line for line in found if f"aistack_components.web.{expected}" in line] == found, found
    assert len(found) == 1


def test_only_what_runs_a_release_has_a_pool() -> None:
    stack = copy.deepcopy(STACK)
    stack["components"]["redis"].update(port="redis", pool={"edge": "front", "port": "free"})
    (told,) = check_stack(stack)
    assert told.startswith("aistack_components.redis.pool: leads to slots behind the edges of its hosts, and only a component that runs")


def test_two_pools_have_two_ports() -> None:
    stack = copy.deepcopy(STACK)
    stack["components"]["api"]["pool"] = {"edge": "front", "port": "public"}
    told = check_stack(stack)
    assert [line.partition(";")[0] for line in told] == [
        "aistack_components.web.pool.port: 443 is 'public' of the pool of 'api' on front",
        "aistack_components.api.pool.port: 443 is 'public' of the pool of 'web' on front",
    ]
    stack["components"]["api"]["pool"]["port"] = "free"
    assert check_stack(stack) == []


def test_a_host_that_cannot_be_a_server_is_named() -> None:
    stack = copy.deepcopy(STACK)
    stack["groups"]["web"] = ["w1", "w 2"]
    assert check_stack(stack) == [
        "aistack_components.web.pool: the host 'w 2' cannot be called so at an edge: letters, digits, '_', '.', ':' and '-'",
    ]


TLS = {"certificate": "/pki/web.pem", "key": "/pki/web.key", "names": ["10.0.0.11", "shop.example.com"]}


def told(component: Mapping[str, Any] | None = None, front: Mapping[str, Any] | None = None, **w1: Any) -> list[str]:
    """What is said where the first host has other variables."""
    hosts = copy.deepcopy(HOSTS)
    hosts["w1"].update(w1)
    hosts["front"].update(front or {})
    return pool.host_problems("web", {**COMPONENTS["web"], **(component or {})}, GROUPS, read(hosts))


def test_hosts_that_a_pool_can_join() -> None:
    assert told() == []
    assert told({"edge": {"bind": ["0.0.0.0"]}}) == []
    assert told({"edge": {"bind": ["10.0.0.11", "10.0.0.12", "127.0.0.1"]}}) == []
    assert told(edge_bind=["10.0.0.11"]) == []
    assert told(edge_tls=TLS, front={"aistack_ca": "/pki/ca.pem"}) == []
    assert told(edge_tls={**TLS, "ca": "/pki/ca.pem"}, front={"aistack_ca": "/pki/ca.pem"}) == []
    assert told(edge_tls={**TLS, "names": []}, aistack_address="127.0.0.1") == [], "loopback never speaks TLS"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"aistack_address": None}, "aistack_address of w1 is None; expected an address, such as 10.0.0.11"),
        ({"aistack_address": "w1.example.com"}, "aistack_address of w1 is 'w1.example.com'; expected an address"),
        ({"front": {"aistack_address": "10.0.0.5\n"}}, "aistack_address of front is '10.0.0.5\\n'; expected an address"),
        ({"component": {"edge": {"bind": ["127.0.0.1", "10.0.0.12"]}}}, "listens for 'web' on 127.0.0.1, 10.0.0.12 and not on 10.0.0.11"),
        ({"edge_bind": ["127.0.0.1"]}, "the edge of w1 listens for 'web' on 127.0.0.1 and not on 10.0.0.11"),
        ({"edge_tls": TLS}, "the edge of w1 speaks TLS, and aistack_ca of front is missing"),
        ({"edge_tls": {**TLS, "ca": "/pki/other.pem"}, "front": {"aistack_ca": "/pki/ca.pem"}},
         "the edge of w1 is signed by edge_tls.ca (/pki/other.pem), and the pool on front trusts aistack_ca (/pki/ca.pem)"),
        ({"edge_tls": {**TLS, "names": ["10.0.0.11"]}, "front": {"aistack_ca": "/ca"}},
         "the edge of w1 speaks TLS, and edge_tls.names of it has no host name (10.0.0.11)"),
        ({"edge_tls": {"certificate": "/x", "key": "/y"}, "front": {"aistack_ca": "/ca"}}, "has no host name (10.0.0.11)"),
        ({"edge_tls_certificate": "/etc/x.pem", "front": {"aistack_ca": "/ca"}}, "nobody says for which name that file is"),
    ],
)
def test_hosts_that_it_cannot_join(given: dict[str, Any], expected: str) -> None:
    found = told(**given)
    assert found
    assert found[0].startswith("aistack_components.web.pool: ")
    assert expected in found[0]


def test_every_host_of_it_needs_an_address() -> None:
    """Those that lead and those that are led to; where none is given, the run ends with that before its first task."""
    assert addressed(COMPONENTS, GROUPS) == ["front", "w1", "w2"]


def front(hosts: Mapping[str, Any] | None = None, **web: Any) -> dict[str, Any]:
    components = {**COMPONENTS, "web": {**COMPONENTS["web"], **web}}
    return pool.frontend("web", components, PORTS, GROUPS, read(hosts))


def test_what_becomes_of_it() -> None:
    assert front() == {
        "name": "web.pool", "port": 443, "check": "/health",
        "pool": [{"name": "w1", "address": "10.0.0.11", "port": 8443}, {"name": "w2", "address": "10.0.0.12", "port": 8443}],
    }
    assert front(pool={"edge": "front", "port": "public"})["check"] == pool.ALIVE == pool.alive({"pool": {"edge": "front"}})
    assert pool.alive(COMPONENTS["web"]) == pool.alive(COMPONENTS["api"]) == ""
    assert pool.addresses(COMPONENTS["web"], GROUPS, read()) == ["10.0.0.5"]
    assert pool.addresses(COMPONENTS["api"], GROUPS, read()) == []


def test_what_counts_of_the_edge_of_its_component() -> None:
    """Names with those that lead elsewhere, times, who is in front, and of limits what holds wherever a request is led."""
    edge = {"hosts": ["shop.example.com"], "routes": {"/api": "api", "admin.example.com": "api"}, "timeouts": {"server": "90s"},
            "trusted_proxies": ["192.0.2.1"], "bind": ["10.0.0.11"], "max_body": "9k"}
    made = front(edge=edge)
    assert made["hosts"] == ["shop.example.com", "admin.example.com"]
    assert (made["timeouts"], made["trusted_proxies"], made["alpn"]) == ({"server": "90s"}, ["192.0.2.1"], ["http/1.1"])
    assert not {"max_body", "routes", "bind", "assets"} & set(made), "the other one has no limit"
    api = {**COMPONENTS["api"], "edge": {"max_body": "10k"}}
    components = {**COMPONENTS, "api": api, "web": {**COMPONENTS["web"], "edge": edge}}
    assert pool.frontend("web", components, PORTS, GROUPS, read())["max_body"] == "10k"
    assert front(edge={"max_body": 5})["max_body"] == "5"
    assert "hosts" not in front(edge={"routes": {"admin.example.com": "api"}}), "where all names are served, none is sent elsewhere"


def test_a_request_that_was_begun_is_repeated_only_where_that_is_safe() -> None:
    backend = edge_rules(front())["backend"]
    assert "retry-on conn-failure empty-response 503" in backend
    assert "http-request disable-l7-retry unless { method GET HEAD OPTIONS }" in backend
    assert "load-server-state-from-file none" in backend, "no slot of it is anywhere written down"
    assert backend[-3:] == ["option httpchk GET /health", "server w1 10.0.0.11:8443 check", "server w2 10.0.0.12:8443 check"]


def test_it_asks_from_the_address_that_is_trusted() -> None:
    rules = edge_rules(front(), [], {"source": "10.0.0.5", "ca": ""})
    assert rules["backend"][-1] == "server w2 10.0.0.12:8443 check source 10.0.0.5"
    six = copy.deepcopy(HOSTS)
    six["w2"]["aistack_address"] = "fd00::12"
    assert edge_rules(front(six), [], {"source": "10.0.0.5"})["backend"][-1] == "server w2 [fd00::12]:8443 check", "no other family"


def test_tls_is_proven_by_a_name_of_the_certificate() -> None:
    hosts = copy.deepcopy(HOSTS)
    hosts["w2"].update(edge_tls={**TLS, "names": ["10.0.0.12", "Shop.Example.com"]})
    rules = edge_rules(front(hosts), [], {"ca": "/etc/ca.pem"})
    one, two = rules["backend"][-2:]
    assert one == "server w1 10.0.0.11:8443 check"
    assert two.startswith("server w2 10.0.0.12:8443 check ssl verify required ca-file /etc/ca.pem verifyhost shop.example.com ")
    assert two.endswith(" sni str(shop.example.com) check-sni shop.example.com")
    assert (rules["alpn"], rules["assets"]) == (["h2", "http/1.1"], [])


def test_the_edge_of_a_host_says_whether_it_is_fit() -> None:
    rules = edge_rules({"name": "web", "port": 1, "servers": {"blue": 2, "green": 3}, "alive": "/.aistack-pool"})
    assert rules["frontend"][:2] == ["monitor-uri /.aistack-pool", "monitor fail if { nbsrv(web) lt 1 }"]
    told = rules["backend"][-2:]
    assert told == ["server blue 127.0.0.1:2 check disabled", "server green 127.0.0.1:3 check disabled"], "else no slot is ever down"
    assert "httpchk" not in " ".join(rules["backend"]), "that its port takes connections is enough"
