# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that follow from the description of a stack: whose lines are sent, and to which store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring import logs, targets


def _variable(hostvars: Mapping[str, Any], host: str, name: str) -> Any:
    try:
        return hostvars[host][name]
    except KeyError:
        return None


def _address(hostvars: Mapping[str, Any], host: str) -> str:
    return str(_variable(hostvars, host, "aistack_address") or "")


def log_units(components: Mapping[str, Any], groups: Mapping[str, Sequence[str]], host: str, name: str) -> dict[str, str]:
    """Patterns of the units of a host to their components."""
    return logs.unit_patterns(components, groups, host, name)


def log_store_listens(components: Mapping[str, Any], groups: Mapping[str, Sequence[str]], host: str, address: str = "") -> str:
    """Where a store of logs listens."""
    return targets.store_listens(components, groups, host, address)


def log_stores(components: Mapping[str, Any], groups: Mapping[str, Sequence[str]], ports: Mapping[str, int],
               hostvars: Mapping[str, Any]) -> list[dict[str, str]]:
    """The stores of a stack, each with C(role), C(host) and C(url)."""
    hosts = {host for component in components.values() for host in groups.get(str(component.get("hosts")), ())}
    tls = {host for host in hosts if _variable(hostvars, host, "victorialogs_tls")}
    return logs.stores(components, groups, ports, {host: _address(hostvars, host) for host in hosts}, tls)


def log_senders(components: Mapping[str, Any], groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Any]) -> list[str]:
    """Addresses of the hosts that send to a store of logs."""
    found = [_address(hostvars, host) for host in targets.hosts_of_role(components, groups, "log_shipper")]
    return [at for at in found if at]


class FilterModule:
    """Filters about logs."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name to function."""
        return {"log_senders": log_senders, "log_store_listens": log_store_listens, "log_stores": log_stores, "log_units": log_units}
