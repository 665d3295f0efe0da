# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to be on the hosts of a component: an edge before its slots, Docker for its containers; and that one beat runs. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import hosts_with
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.default import role_of


def problems(where: str, component: Mapping[str, Any], components: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> list[str]:
    """What is missing on the hosts of the component that is described at *where*, a line each."""
    found = []
    if role_of(component) == "beat" and component.get("strategy") != "recreate":
        found.append(f"{where}.strategy: two beats would run during a switch, and everything would be due twice; write strategy: recreate")
    released = component.get("application") or component.get("release_from")
    needed = []
    # a pool says so itself, and what a role of somebody else's needs is not known here
    if released and component.get("port") and not component.get("pool") and "." not in role_of(component):
        needed.append(("edge", "port", "requests reach the slots through it", ", or drop the port"))
    if component.get("runtime") == "compose":
        needed.append(("docker", "runtime", "containers need it", ""))
    for role, key, why, else_ in needed:
        there = hosts_with(role, components, groups)
        without = [host for host in groups.get(str(component.get("hosts")), ()) if host not in there]
        if without:
            found.append(f"{where}.{key}: no component of role {role} runs on {', '.join(without)}, and {why}; describe one with "
                         f"hosts: {component['hosts']}{else_}")  # fmt: skip
    return found
