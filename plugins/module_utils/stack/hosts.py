# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to be on the hosts of a component: an edge before its slots, Docker for its containers; and which run on one alone. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import hosts_with
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.default import role_of


def _without(where: str, role: str, why: str, component: Mapping[str, Any], components: Mapping[str, Any],
             groups: Mapping[str, Sequence[str]]) -> list[str]:
    """That hosts of the component run none of *role*, and why one is needed; empty where each does."""
    there = hosts_with(role, components, groups)
    bare = [host for host in groups.get(str(component.get("hosts")), ()) if host not in there]
    said = f"{where}: no component of role {role} runs on {', '.join(bare)}, and {why}; describe one with hosts: {component.get('hosts')}"
    return [said] if bare else []


def problems(where: str, name: str, components: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> list[str]:
    """What is wrong with the hosts of the component that is described at *where*, a line each."""
    component, found = components[name], []
    hosts = groups.get(str(component.get("hosts")), ())
    if component.get("hosts") in groups and not hosts:
        return [f"{where}.hosts: the group '{component['hosts']}' has no hosts; put some into it, or take the component out"]
    if component.get("strategy") == "recreate" and len(hosts) > 1:
        found.append(f"{where}.hosts: exactly one host may run '{name}' (strategy recreate), the group '{component['hosts']}' "
                     f"has {len(hosts)}")
    elif role_of(component) == "beat" and component.get("strategy") != "recreate":
        found.append(f"{where}.strategy: two beats would run during a switch, and everything would be due twice; write strategy: recreate")
    released = component.get("application") or component.get("release_from")
    # a pool says so itself, and what a role of somebody else's needs is not known here
    if released and component.get("port") and not component.get("pool") and "." not in role_of(component):
        found += _without(f"{where}.port", "edge", "requests reach the slots through it", component, components, groups)
    if component.get("runtime") == "compose":
        found += _without(f"{where}.runtime", "docker", "containers need it", component, components, groups)
    return found
