# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose is what in a configuration of HAProxy that several stacks share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2.nativetypes import NativeEnvironment

from ansible_collections.phasegate.aistack.plugins.module_utils.edge.config import kept

GLOBAL = """\
# Ansible managed
global
    maxconn 4096
    hard-stop-after 1h
    stats socket /run/haproxy/admin.sock mode 660 user root group root level admin expose-fd listeners
    server-state-base /var/lib/haproxy
    server-state-file server-state
"""
SHARED = {
    "edge_maxconn": 4096, "edge_timeouts.hard_stop": "1h", "edge_admin_socket": "/run/haproxy/admin.sock",
    "edge_state_file": "/var/lib/haproxy/server-state", "edge_metrics_port": "",
}
MINE = [{"name": "api", "port": 8080}]


def body(name: str, port: int, metrics: int = 0) -> str:
    text = f"defaults\n    mode http\n\nfrontend {name}\n    bind 127.0.0.1:{port}\n\nbackend {name}\n    server blue 127.0.0.1:1"
    return text + (f"\n\nfrontend edge_metrics\n    bind 127.0.0.1:{metrics}\n    no log" if metrics else "")


def part(stack: str, name: str, port: int, metrics: int = 0) -> str:
    return f"# BEGIN stack {stack}\n{body(name, port, metrics)}\n# END stack {stack}"


def observe(text: str, registered: tuple[str, ...] = ("mine", "shop"), **more: Any) -> dict[str, Any]:
    return kept(text, "mine", list(registered), MINE, {**SHARED, **more.pop("shared", {})}, **more)


def test_parts_of_others_stay_by_name_on_either_side() -> None:
    blog, shop = part("blog", "page", 80), part("shop", "web", 8000)
    found = observe(f"{GLOBAL}\n{shop}\n{part('mine', 'api', 8080)}\n{blog}\n")
    assert (found["before"], found["after"], found["problems"]) == (blog, shop, [])


@pytest.mark.parametrize("text", ["", "global\n    maxconn 9\ndefaults\n    mode http\nbackend web\n", f"{GLOBAL}\n"])
def test_of_a_configuration_of_nobody_nothing_stays(text: str) -> None:
    found = observe(text, shared={"edge_maxconn": 1})
    assert (found["before"], found["after"], found["problems"]) == ("", "", [])


@pytest.mark.parametrize(
    ("name", "registered", "kept_for"),
    [
        ("web", ("mine", "shop", "shop web"), "shop"),
        ("web", ("blog", "blog page", "mine", "shop", "shop web"), "shop"),
        ("web", ("mine", "shop"), "shop"),
        ("web", ("mine",), ""),
        ("web", (), ""),
        ("api", ("mine", "shop"), ""),
        ("old", ("mine", "mine old", "shop"), ""),
    ],
)
def test_a_file_of_a_version_before_is_one_stacks(name: str, registered: tuple[str, ...], kept_for: str) -> None:
    found = observe(f"{GLOBAL}\n{body(name, 8000)}\n", registered)
    assert found["before"] == ""
    assert found["after"] == (part(kept_for, name, 8000) if kept_for else "")
    assert found["problems"] == []
    if kept_for:
        assert observe(f"{GLOBAL}\n{part('mine', 'api', 8080)}\n{found['after']}\n")["after"] == found["after"]


@pytest.mark.parametrize(
    ("other", "more", "said"),
    [
        (part("shop", "api", 8000), {}, "the stack shop has a frontend api there already"),
        (part("shop", "web", 8080), {}, "port 8080 of api is that of a frontend of shop"),
        (part("shop", "web", 80), {"shared": {"edge_maxconn": 9}}, "edge_maxconn is 4096 for shop, and here 9"),
        (part("shop", "web", 80), {"shared": {"edge_timeouts.hard_stop": "2h"}}, "edge_timeouts.hard_stop is 1h for shop, and here 2h"),
        (part("shop", "web", 80), {"shared": {"edge_admin_socket": "/x"}}, "edge_admin_socket is /run/haproxy/admin.sock for shop"),
        (part("shop", "web", 80), {"shared": {"edge_state_file": "/x"}}, "edge_state_file is /var/lib/haproxy/server-state for shop"),
        (part("shop", "web", 80, 9101), {"shared": {"edge_metrics_port": 9102}}, "edge_metrics_port is 9101 for shop, and here 9102"),
    ],
)
def test_what_would_harm_another_is_named(other: str, more: dict[str, Any], said: str) -> None:
    problems = observe(f"{GLOBAL}\n{other}\n", **more)["problems"]
    assert len(problems) == 1
    assert problems[0].startswith(said)
    assert bool(observe(f"{GLOBAL}\n{other}\n", take=True, **more)["problems"]) == ("shared" not in more)


def test_ports_that_begin_alike_are_two() -> None:
    assert observe(f"{GLOBAL}\n{part('shop', 'web', 80800)}\n")["problems"] == []


def test_metrics_are_there_once() -> None:
    found = observe(f"{GLOBAL}\n{part('shop', 'web', 80, 9101)}\n", shared={"edge_metrics_port": "9101"})
    assert (found["metrics"], found["problems"]) == (True, [])
    assert not observe(f"{GLOBAL}\n{part('shop', 'web', 80)}\n")["metrics"]


def test_a_port_that_sends_to_tls_is_one_stacks_alone_as_well() -> None:
    """HAProxy listens twice at the same place without a word, and each stack gets some of the other's users."""
    given = yaml.safe_load((Path(__file__).resolve().parents[5] / "roles/edge/vars/main.yml").read_text(encoding="utf-8"))
    engine = NativeEnvironment()
    engine.filters["phasegate.aistack.edge_kept"] = kept
    engine.filters["bool"] = bool
    engine.filters["dict2items"] = lambda pairs, key_name, value_name: [{key_name: key, value_name: pairs[key]} for key in pairs]
    found = engine.from_string(given["__edge_kept"]).render({
        "__edge_before": {"stdout": f"{GLOBAL}\n{part('shop', 'web_redirect', 80)}\n", "stderr_lines": ["sum", "mine", "shop"]},
        "edge_stack": "mine", "edge_frontends": MINE, "edge_redirects": {"api": 80}, "__edge_shared": SHARED, "edge_common": False,
    })
    assert found["problems"] == ["port 80 of api is that of a frontend of shop"]
