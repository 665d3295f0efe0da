# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which units' lines belong to which component, and where the store is that they go to: what follows from the description of a stack."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.gate.default import UNITS
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.description import has_slots
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.targets import (
    STORES,
    hosts_of_role,
    place,
    role_of,
    store_listens,
)

_UNITS: Mapping[str, str] = {
    "postgres": "postgresql*.service", "exporters": "aistack-*-exporter.service", "docker": "docker.service",
    "backup": "aistack-backup@{stack}.service",
}
"""Roles whose lines come from others than the unit that their gate looks at."""


def unit_patterns(
    components: Mapping[str, Mapping[str, Any]], groups: Mapping[str, Sequence[str]], host: str, stack: str
) -> dict[str, str]:
    """Patterns of units, as a shell has them, to components: of those that run on a host."""
    found: dict[str, str] = {}
    for name, component in components.items():
        if host not in groups.get(str(component.get("hosts")), ()):
            continue
        role = role_of(component)
        if has_slots(component):
            unit = f"aistack-{name}@*.service"
        else:
            unit = str(_UNITS.get(role) or component.get("unit") or UNITS.get(role) or "")
        if unit:
            found[unit.replace("{stack}", stack)] = name
    return found


def stores(
    components: Mapping[str, Mapping[str, Any]], groups: Mapping[str, Sequence[str]], ports: Mapping[str, int],
    addresses: Mapping[str, str], tls: Collection[str] = (),
) -> list[dict[str, str]]:
    """The stores of a stack: C(role), C(host), C(url). *addresses*: host to the address under which others reach it; *tls*: hosts
    whose VictoriaLogs speaks TLS.
    """
    found = []
    for role, usual in STORES.items():
        for host in hosts_of_role(components, groups, role):
            at = store_listens(components, groups, host, addresses.get(host, ""))
            scheme = "https" if role == "victorialogs" and host in tls else "http"
            found.append({"role": role, "host": host, "url": f"{scheme}://{place(at, ports.get(role) or usual)}"})
    return found
