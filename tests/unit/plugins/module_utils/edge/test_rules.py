# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a component may say about its edge, and that no word of it becomes more than one word of HAProxy's."""

from __future__ import annotations

import copy
import shlex
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.edge.rules import assets_of, check_assets, check_edge, edge_rules, size
from ansible_collections.phasegate.aistack.plugins.module_utils.stack.check import check_stack

GOOD: dict[str, Any] = {
    "bind": ["10.0.0.5"],
    "check": {"path": "/healthz?full=1", "host": "shop.example.com:8443", "headers": {"X-Key": "a b"}},
    "hosts": ["shop.example.com", "xn--caf-dma.example"],
    "trusted_proxies": ["10.0.0.5", "10.0.0.0/8", "fd00::/8"],
    "max_body": "20m",
    "timeouts": {"server": "300s", "tunnel": "8h", "http_request": "30s"},
    "routes": {"/api": "api", "/ws/": "api", "admin.example.com": "api"},
}
ITEM = {"name": "web", "port": 443, "servers": {"blue": 18000, "green": 18001}}


def test_all_that_may_be_said() -> None:
    assert check_edge("edge", GOOD, ["api"]) == []
    assert check_edge("edge", {"check": "/healthz", "max_body": 1048576}) == []
    assert check_edge("edge", {"check": ""}) == []


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("chek", "/x", "unknown key 'chek'; known: bind, check, hosts"),
        ("check", "healthz", "edge.check: must be a path such as /healthz, is 'healthz'"),
        ("check", "/x\n    server evil 1.2.3.4:80", "edge.check: must be a path"),
        ("check", "/x y", "edge.check: must be a path"),
        ("check", 80, "edge.check: must be a path such as /healthz, or a mapping"),
        ("check", {"path": "/", "hots": "a"}, "edge.check: unknown key 'hots'"),
        ("check", {"host": "a.example"}, "edge.check.path: must be a path"),
        ("check", {"path": "/", "host": "https://a"}, "edge.check.host: must be a host name"),
        ("check", {"path": "/", "headers": ["a"]}, "edge.check.headers: must be a mapping"),
        ("check", {"path": "/", "headers": {"a b": "x"}}, "edge.check.headers: 'a b' is not the name of a header"),
        ("check", {"path": "/", "headers": {"a": "x\ny"}}, "edge.check.headers.a: must be one line of text"),
        ("hosts", "shop.example.com", "edge.hosts: must be a list"),
        ("hosts", ["https://shop.example.com"], "edge.hosts: 'https://shop.example.com' is no host name"),
        ("hosts", ["shop.example.com:443"], "no host name"),
        ("hosts", ["a b"], "no host name"),
        ("hosts", ["a.example\n"], "no host name"),
        ("hosts", ["Shop.example.com"], "in lower case"),
        ("trusted_proxies", ["lb.example.com"], "edge.trusted_proxies: 'lb.example.com' is no address and no network"),
        ("trusted_proxies", "10.0.0.0/8", "edge.trusted_proxies: must be a list"),
        ("bind", "10.0.0.1", "edge.bind: must be a list"),
        ("bind", ["0.0.0.0:80"], "edge.bind: '0.0.0.0:80' is no address to listen on, such as 0.0.0.0, :: or 10.0.0.5 (the port is"),
        ("bind", ["0.0.0.0 ssl crt /etc/shadow"], "is no address to listen on"),
        ("bind", ["a\n    server evil 1.2.3.4:80"], "is no address to listen on"),
        ("bind", ["unix@/tmp/x"], "is no address to listen on"),
        ("trusted_proxies", ["fe80::1%eth0"], "edge.trusted_proxies: 'fe80::1%eth0' is no address and no network"),
        ("check", {"path": "/", "headers": {"a": True}}, "edge.check.headers.a: must be one line of text, is True"),
        ("max_body", "999999999999g", "edge.max_body: must be bytes, or a number with k, m or g"),
        ("timeouts", {"server": "999999999d"}, "edge.timeouts.server: must be 24 days at most, is '999999999d'"),
        ("routes", {"//": "api"}, "edge.routes: '//' is no path below the site"),
        ("routes", {"/api": "api", "/api/": "api"}, "edge.routes: '/api/' is the same place as '/api'; keep one"),
        ("max_body", "20 MB", "edge.max_body: must be bytes, or a number with k, m or g"),
        ("max_body", "0", "edge.max_body"),
        ("timeouts", {"servr": "1s"}, "edge.timeouts: unknown key 'servr'"),
        ("timeouts", {"hard_stop": "1s"}, "edge.timeouts: unknown key 'hard_stop'"),
        ("timeouts", {"server": 300}, "edge.timeouts.server: must be a number with a unit, such as 90s or 8h, is 300"),
        ("timeouts", ["1s"], "edge.timeouts: must be a mapping"),
        ("routes", ["/api"], "edge.routes: must be a mapping"),
        ("routes", {"api": "api"}, "edge.routes: 'api' is no path"),
        ("routes", {"/": "api"}, "edge.routes: '/' is no path below the site"),
        ("routes", {"/api": "ap"}, "edge.routes./api: 'ap' is no released component with a port on the same hosts; known: api"),
    ],
)
def test_what_may_not(key: str, value: Any, expected: str) -> None:
    problems = check_edge("edge", {**GOOD, key: value}, ["api"])
    assert len(problems) == 1, problems
    assert expected in problems[0]


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "*", "10.0.0.5", "fd00::1", "node-1.example.com"])
def test_where_an_edge_may_listen(address: str) -> None:
    assert check_edge("edge", {"bind": [address]}) == []


def test_a_name_that_yaml_takes_for_a_number() -> None:
    assert check_edge("edge", {"hosts": [1]}) == []
    assert any(line.endswith("-m str 1") for line in edge_rules({**ITEM, "hosts": [1]})["frontend"])


def test_assets_are_not_all_of_the_site() -> None:
    assert check_assets("assets", ["//"])[0].startswith("assets: '//' must begin and end with a slash")


def test_something_else_than_a_mapping() -> None:
    assert check_edge("edge", ["/x"]) == ["edge: must be a mapping, is a list"]


def test_paths_of_files_that_are_called_after_what_is_in_them() -> None:
    assert check_assets("assets", ["/assets/", "/build/js/"]) == []
    for value in ("/assets/", {"a": 1}):
        assert "must be a list of paths" in check_assets("assets", value)[0]
    for path in ("assets/", "/assets", "/", "/a b/", "/a\n/"):
        assert len(check_assets("assets", [path])) == 1, path
    assert assets_of({"output": "next-standalone"}) == ["/_next/static/"]
    assert assets_of({"output": "next-standalone", "assets": ["/shop/_next/static/"]}) == ["/shop/_next/static/"]
    assert assets_of({"output": "next-standalone", "assets": []}) == []
    assert assets_of({}) == []


def test_a_stack_is_checked_for_both() -> None:
    component = {"role": "backend", "hosts": "web", "application": "shop", "port": "web"}
    stack: dict[str, Any] = {
        "phases": {}, "acceptance": {}, "env": {}, "groups": {"web": ["w1"], "all": ["w1"]},
        "applications": {"shop": {"repo": "r", "release": "v1"}},
        "ports": {"web": 80, "web_blue": 81, "web_green": 82, "api": 90, "api_blue": 91, "api_green": 92},
        "components": {"web": {**component, "edge": {"routes": {"/api": "api"}}, "assets": ["/a/"]}, "api": {**component, "port": "api"},
                       "edge": {"role": "edge", "hosts": "web"}},
    }
    assert check_stack(stack) == []
    wrong = copy.deepcopy(stack)
    wrong["components"]["web"].update(edge={"routes": {"/x": "web"}, "hots": []}, assets="/a/")
    assert sorted(problem.split(":")[0] for problem in check_stack(wrong)) == [
        "aistack_components.web.assets", "aistack_components.web.edge", "aistack_components.web.edge.routes./x",
    ]


def test_sizes() -> None:
    assert [size(text) for text in ("20m", "1K", "2g", 300, "", "x")] == [20 * 1024**2, 1024, 2 * 1024**3, 300, 0, 0]


def test_a_frontend_of_which_nothing_is_said_is_as_before() -> None:
    """But for what strangers say of themselves."""
    rules = edge_rules(ITEM)
    assert rules["backend"] == [
        "# `disabled` counts only while the state file knows nothing of the slot.",
        "server blue 127.0.0.1:18000 disabled", "server green 127.0.0.1:18001 disabled",
    ]
    assert rules["assets"] == []
    assert rules["frontend"][-1] == "http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]"
    assert all(line.startswith("http-request del-header ") for line in rules["frontend"][:-1])
    assert edge_rules({**ITEM, "check": "/h"})["backend"][0] == "option httpchk GET /h"


def test_no_value_of_a_header_is_more_than_its_value() -> None:
    value = "it's 100% \"mine\" \\ # $HOME"
    line = edge_rules({**ITEM, "check": {"path": "/h", "headers": {"X-Key": value}}})["backend"][1]
    assert shlex.split(line)[-6:] == ["hdr", "Host", "localhost", "hdr", "X-Key", value.replace("%", "%%")]


def test_the_host_of_a_check_is_the_public_name_unless_another_is_said() -> None:
    for given, host in (
        ({"hosts": ["a.example"], "check": "/h"}, "a.example"),
        ({"hosts": ["a.example"], "check": {"path": "/h", "host": "b.example"}}, "b.example"),
        ({"hosts": ["a.example"], "check": {"path": "/h", "headers": {"host": "c.example"}}}, "c.example"),
    ):
        line = edge_rules({**ITEM, **given})["backend"][1]
        assert line.lower().count("hdr host ") == 1
        assert f" '{host}'" in line


def test_names_come_first_then_the_longest_path() -> None:
    routes = {"/api": "api", "/api/v2/": "next", "admin.example.com": "admin"}
    lines = edge_rules({**ITEM, "hosts": ["a.example"], "routes": routes})["frontend"]
    assert [line.split()[1] for line in lines[-3:]] == ["admin", "next", "api"]
    assert "acl own_name req.hdr(Host),host_only,lower -m str a.example admin.example.com" in lines, "it is sent nowhere else"


def test_files_of_the_release_before_are_found_by_a_route_as_well() -> None:
    beside = [{**ITEM, "name": "admin", "assets": ["/static/"]}]
    lines = edge_rules({**ITEM, "routes": {"admin.example.com": "admin"}}, beside)["frontend"]
    assert [line.split()[1] for line in lines[-2:]] == ["admin.assets", "admin"]
    assert "admin.example.com" in lines[-2]


def test_no_line_needs_what_the_sandbox_of_the_unit_forbids() -> None:
    """HAProxy compiles regular expressions to code, for which MemoryDenyWriteExecute leaves it no memory: it would not start."""
    rules = edge_rules({**ITEM, **GOOD, "assets": ["/static/"]})
    lines = [line for section in rules.values() for line in section]
    assert not [line for line in lines if "-m reg" in line or "_reg " in line or "regsub" in line or "replace-" in line]


def test_who_is_refused_an_upload_can_read_why() -> None:
    """HAProxy cancels the stream of an upload that it answers early, and browsers show an error of HTTP/2 instead of the page."""
    api = {**ITEM, "name": "api", "max_body": "1m"}
    assert edge_rules(ITEM)["alpn"] == ["h2", "http/1.1"]
    assert edge_rules(api)["alpn"] == ["http/1.1"]
    assert edge_rules({**ITEM, "routes": {"/api": "api"}}, [api])["alpn"] == ["http/1.1"]
    assert edge_rules({**ITEM, "routes": {"/api": "next"}}, [api, {**ITEM, "name": "next"}])["alpn"] == ["h2", "http/1.1"]
