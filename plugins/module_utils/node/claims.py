# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a stack has on a node to itself, and why another cannot be there beside it.

Several stacks may share a node, its edge and its users. Root, state, names of released components (their units, users and sections of the
edge are called after them), servers of which a node has one, and ports are one stack's.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.edge.pool import POOL, hosts_of

ONE_PER_NODE = ("postgres", "redis", "minio", "ollama", "comfyui", "prometheus", "alertmanager", "exporters", "grafana",
                "superset", "victorialogs", "loki", "log_shipper", "jaeger")
"""Roles whose units, configuration and data have one name on a node, whosever they are."""

Claims = dict[str, Any]


def node_claims(components: Mapping[str, Any], ports: Mapping[str, Any], groups: Mapping[str, Sequence[str]], host: str) -> Claims:
    """What the stack of *components* has to itself on a host: C(components), C(roles) and C(ports), by number, of whom."""
    claims: Claims = {"components": [], "roles": [], "ports": {}}
    for name, component in components.items():
        if host in hosts_of(component, groups)[0] and component["pool"].get("port") in ports:
            claims["ports"][str(ports[component["pool"]["port"]])] = f"{name}{POOL}"
        if host not in groups.get(component.get("hosts", ""), ()):
            continue
        role = str(component.get("role", "")).removeprefix("phasegate.aistack.")
        if component.get("application") or component.get("release_from"):
            claims["components"].append(name)
        elif role in ONE_PER_NODE:
            claims["roles"].append(role)
        port = component.get("port")
        claims["ports"].update({str(ports[key]): name for key in (port, f"{port}_blue", f"{port}_green") if port and key in ports})
    return claims


def conflicts(mine: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Why both cannot be on one node, a sentence without its end each; both are entries of the registry, with C(claims)."""
    whose, told = other["name"], []
    for key, variable in (("root", "aistack_root"), ("state_dir", "aistack_state")):
        if posixpath.normpath(mine[key]) == posixpath.normpath(other[key]):
            told.append(f"{variable} {mine[key]} is that of {whose}: choose another")
    own, others = mine.get("claims") or {}, other.get("claims") or {}
    for name in own.get("components") or []:
        if name in (others.get("components") or []):
            told.append(f"{whose} has a component {name} as well, and the units of both are called aistack-{name}@: give it another name")
    for role in own.get("roles") or []:
        if role in (others.get("roles") or []):
            told.append(
                f"{whose} has the {role} of this node, and a node has one: describe there what this stack needs of it, and leave the "
                f"component with role {role} out here"
            )
    for port, name in (own.get("ports") or {}).items():
        if port in (others.get("ports") or {}):
            told.append(f"port {port} of {name} is that of {whose}'s {others['ports'][port]}: choose another in aistack_ports")
    return told
