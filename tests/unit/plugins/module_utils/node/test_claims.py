# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stack has on a node to itself, and what of another stands in its way."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.node.claims import conflicts, node_claims

COMPONENTS = {
    "toolchain": {"role": "toolchain", "hosts": "all"},
    "database": {"role": "phasegate.aistack.postgres", "hosts": "data"},
    "edge": {"role": "edge", "hosts": "all"},
    "backup": {"role": "backup", "hosts": "all"},
    "api": {"role": "backend", "hosts": "data", "application": "shop", "port": "api"},
    "worker": {"role": "worker", "hosts": "data", "release_from": "api"},
    "page": {"role": "frontend", "hosts": "web", "application": "shop", "port": "page"},
}
PORTS = {"api": 8000, "api_blue": 18000, "api_green": 18001, "page": 3000, "page_blue": 13000, "page_green": 13001, "other": 1}
GROUPS = {"all": ["one", "two"], "data": ["one"], "web": ["two"]}
SHOP = {"name": "shop", "root": "/opt/shop", "state_dir": "/var/lib/shop", "claims": node_claims(COMPONENTS, PORTS, GROUPS, "one")}


def test_a_host_has_what_runs_there() -> None:
    assert SHOP["claims"] == {
        "components": ["api", "worker"], "roles": ["postgres"], "ports": {"8000": "api", "18000": "api", "18001": "api"},
    }
    assert node_claims(COMPONENTS, PORTS, GROUPS, "two")["components"] == ["page"]
    assert node_claims(COMPONENTS, PORTS, GROUPS, "three") == {"components": [], "roles": [], "ports": {}}


def test_a_host_has_the_ports_of_the_pools_that_it_leads() -> None:
    pooled = {**COMPONENTS, "page": {**COMPONENTS["page"], "pool": {"edge": "data", "port": "other"}}}
    assert node_claims(pooled, PORTS, GROUPS, "one")["ports"] == {**SHOP["claims"]["ports"], "1": "page.pool"}
    assert node_claims(pooled, PORTS, GROUPS, "two") == node_claims(COMPONENTS, PORTS, GROUPS, "two")


def test_tools_edge_and_backup_are_no_one_stacks() -> None:
    mine = {"name": "mine", "root": "/opt/mine", "state_dir": "/var/lib/mine"}
    other = {name: component for name, component in COMPONENTS.items() if name in ("toolchain", "edge", "backup")}
    assert conflicts({**mine, "claims": node_claims(other, PORTS, GROUPS, "one")}, SHOP) == []
    assert conflicts(mine, SHOP) == []


@pytest.mark.parametrize(
    ("mine", "said"),
    [
        ({"root": "/opt/shop/"}, "aistack_root /opt/shop/ is that of shop"),
        ({"state_dir": "/var/lib/shop"}, "aistack_state /var/lib/shop is that of shop"),
        ({"claims": {"components": ["worker"]}}, "aistack-worker@: give it another name"),
        ({"claims": {"roles": ["postgres"]}}, "shop has the postgres of this node, and a node has one"),
        ({"claims": {"ports": {"18001": "web"}}}, "port 18001 of web is that of shop's api: choose another in aistack_ports"),
    ],
)
def test_what_would_be_overwritten_is_named(mine: dict[str, Any], said: str) -> None:
    told = conflicts({"name": "mine", "root": "/opt/mine", "state_dir": "/var/lib/mine", **mine}, SHOP)
    assert len(told) == 1
    assert said in told[0]
