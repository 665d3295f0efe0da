# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has business with a server that asks nobody for a password: derived from what the stack says comes after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Any


def client_hosts(components: Mapping[str, Any], name: str, groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Hosts of the components that come ``after`` *name*, and those that the probes of its gate are asked ``from``; sorted."""
    wanted = {str(other.get("hosts")) for other in components.values() if name in (other.get("after") or [])}
    gate = components.get(name, {}).get("gate") or []
    wanted |= {str(probe["from"]) for probe in gate if isinstance(probe, Mapping) and probe.get("from")}
    return sorted({host for group in wanted for host in groups.get(group, [group])})


def networks(given: Iterable[Any]) -> dict[str, list[str]]:
    """Addresses and networks as nftables calls their families: C(ip) and C(ip6); none lies within another, which it refuses.

    Raises:
        ValueError: one of them is a name or something else.
    """
    found = [ip_network(str(entry), strict=False) for entry in given]
    return {
        "ip": [str(network) for network in collapse_addresses(entry for entry in found if isinstance(entry, IPv4Network))],
        "ip6": [str(network) for network in collapse_addresses(entry for entry in found if isinstance(entry, IPv6Network))],
    }
