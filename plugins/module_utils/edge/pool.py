# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One address for all hosts of a component: the C(pool) in its description, as frontends of the edges that lead to the hosts' own.

Slots stay behind the edge of each host, so that a host goes back, or away, by itself. What a pool needs to know of other hosts are
variables of theirs, which whoever calls reads: C(aistack_address), C(edge_bind), C(edge_tls), C(edge_tls_certificate), and of its own
hosts C(aistack_ca).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import hosts_with
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import nearest
from ansible_collections.phasegate.aistack.plugins.module_utils.edge.rules import health_problems, is_address, is_host_name, size

POOL = ".pool"
"""Ends the name of a pool's sections; no component's name has a dot."""
ALIVE = "/.aistack-pool"
"""Where the edge of a host says whether a slot takes requests there; asked by pools without a C(check)."""
EVERYWHERE = frozenset({"*", "0.0.0.0", "::"})
LOOPBACK = ("127.0.0.1", "::1")
"""Where an edge never speaks TLS."""
_SERVER = re.compile(r"[A-Za-z0-9_.:-]+\Z")
"""What HAProxy takes as the name of a server."""
Read = Callable[[str, str], Any]
"""A host and the name of a variable, to its value there; None where there is none."""


def _is_released(component: Mapping[str, Any]) -> bool:
    return bool(component.get("application") or component.get("release_from"))


def hosts_of(component: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> tuple[list[str], list[str]]:
    """Hosts of the pool, and those of the component, which it leads to; both empty where it has no pool."""
    pool = component.get("pool") or {}
    return (list(groups.get(str(pool.get("edge")), ())), list(groups.get(str(component.get("hosts")), ()))) if pool else ([], [])


def _taken(name: str, components: Mapping[str, Any], groups: Mapping[str, Sequence[str]], ports: Mapping[str, Any]) -> dict[Any, str]:
    """The ports that are in use where the pool of *name* listens, each with a sentence's part that says of whom."""
    hosts = set(hosts_of(components[name], groups)[0])
    found: dict[Any, str] = {}
    for other, component in components.items():
        shared = sorted(hosts & set(groups.get(str(component.get("hosts")), ())))
        role = str(component.get("role", "")).rpartition(".")[2]
        port = component.get("port")
        keys = [port, f"{port}_blue", f"{port}_green"] if _is_released(component) else [
            port, *(key for key in ports if key == role or key.startswith(f"{role}_"))
        ]
        for key in keys if shared else ():
            found.setdefault(ports.get(str(key)), f"'{key}' of '{other}' on {shared[0]}")
        pooled = sorted(hosts & set(hosts_of(component, groups)[0]))
        if pooled and other != name:
            key = component["pool"].get("port")
            found.setdefault(ports.get(str(key)), f"'{key}' of the pool of '{other}' on {pooled[0]}")
    found.pop(None, None)
    return found


def problems(name: str, components: Mapping[str, Any], groups: Mapping[str, Sequence[str]], ports: Mapping[str, Any]) -> list[str]:
    """What is wrong with the C(pool) of component *name*, a line each, as far as the description tells; a key that is missing is told by
    its table.
    """
    component, where = components[name], f"aistack_components.{name}.pool"
    pool = component["pool"]
    if not _is_released(component):
        return [f"{where}: leads to slots behind the edges of its hosts, and only a component that runs a release has them; drop it"]
    found = [] if component.get("port") else [f"{where}: leads to the port of '{name}', which has none; give it a port (aistack_ports)"]
    edges, (front, behind) = hosts_with("edge", components, groups), hosts_of(component, groups)
    if "edge" in pool and pool["edge"] not in groups:
        found.append(f"{where}.edge: no inventory group '{pool['edge']}'{nearest(str(pool['edge']), groups)}")
    elif "edge" in pool and not front:
        found.append(f"{where}.edge: the group '{pool['edge']}' has no hosts; put those into it that clients reach")
    for key, hosts, group in ((f"{where}.edge", front, pool.get("edge")), (where, behind, component.get("hosts"))):
        without = [host for host in hosts if host not in edges]
        if without:
            found.append(f"{key}: no component of role edge runs on {', '.join(without)}; describe one with hosts: {group}")
    found += [f"{where}: the host {host!r} cannot be called so at an edge: letters, digits, '_', '.', ':' and '-'"
              for host in behind if not _SERVER.match(host)]
    port = pool.get("port")
    if port is not None and port not in ports:
        found.append(f"{where}.port: aistack_ports has no '{port}'{nearest(str(port), ports)}")
    elif ports.get(port) in (taken := _taken(name, components, groups, ports)):
        found.append(f"{where}.port: {ports[port]} is {taken[ports[port]]}; give the pool a port of its own in aistack_ports")
    return found + (health_problems(f"{where}.check", pool["check"]) if "check" in pool else [])


def host_problems(name: str, component: Mapping[str, Any], groups: Mapping[str, Sequence[str]], read: Read) -> list[str]:
    """What is wrong with the pool of component *name* by the variables of the hosts that it joins, a line each."""
    where = f"aistack_components.{name}.pool"
    front, behind = hosts_of(component, groups)
    found = [
        f"{where}: aistack_address of {host} is {given!r}; expected an address, such as 10.0.0.11: edges of a pool know each other by it"
        for host in dict.fromkeys([*front, *behind])
        if not is_address(given := read(host, "aistack_address"))
    ]
    for host in behind:
        address = read(host, "aistack_address")
        bind = (component.get("edge") or {}).get("bind") or read(host, "edge_bind") or [address]
        if not EVERYWHERE & {*bind} and address not in bind:
            found.append(
                f"{where}: the edge of {host} listens for '{name}' on {', '.join(map(str, bind))} and not on {address} (aistack_address), "
                "where the pool asks it; add that to edge.bind (of the component) or edge_bind (of the host)"
            )
        if _speaks_tls(host, read):
            found += [f"{where}: {line}" for line in _tls_problems(host, front, read)]
    return found


def _tls_problems(host: str, front: Sequence[str], read: Read) -> list[str]:
    """Why hosts of a pool cannot prove the certificate of a host's edge."""
    tls = read(host, "edge_tls") or {}
    if not tls:
        told = "and nobody says for which name that file is; give it by edge_tls, with names, which the pool proves it by"
        return [f"the edge of {host} speaks TLS by edge_tls_certificate, {told}"]
    found = []
    if not _proven_by(host, read):
        told = ", ".join(map(str, tls.get("names") or [read(host, "aistack_address")]))
        found.append(f"the edge of {host} speaks TLS, and edge_tls.names of it has no host name ({told}), by which HAProxy proves a "
                     "certificate; add one that the certificate has")
    for other in front:
        authority = read(other, "aistack_ca")
        if not authority:
            found.append(f"the edge of {host} speaks TLS, and aistack_ca of {other} is missing: a file with the certificate of who signed "
                         "that of the edge; add it")
        elif tls.get("ca") and tls["ca"] != authority:
            found.append(f"the certificate of the edge of {host} is signed by edge_tls.ca ({tls['ca']}), and the pool on {other} trusts "
                         f"aistack_ca ({authority}); put both into the file of aistack_ca, and leave edge_tls.ca out")
    return found


def _speaks_tls(host: str, read: Read) -> bool:
    """Whether the edge of *host* speaks TLS where others reach it."""
    return bool(read(host, "edge_tls") or read(host, "edge_tls_certificate")) and read(host, "aistack_address") not in LOOPBACK


def _proven_by(host: str, read: Read) -> str:
    """The name that the certificate of a host's edge is proven by; empty where that is not known."""
    tls = read(host, "edge_tls") or {}
    named = tls.get("names") or [read(host, "aistack_address")]
    return next((str(one).lower() for one in named if not is_address(one) and is_host_name(str(one).lower())), "")


def addresses(component: Mapping[str, Any], groups: Mapping[str, Sequence[str]], read: Read) -> list[str]:
    """Where requests come from at the edges of a component's hosts, if they come by its pool."""
    return [str(read(host, "aistack_address")) for host in hosts_of(component, groups)[0]]


def alive(component: Mapping[str, Any]) -> str:
    """The path at which the edge of a component's host tells its pool whether it is fit; empty where nobody asks for that."""
    pool = component.get("pool")
    return ALIVE if pool and not pool.get("check") else ""


def frontend(name: str, components: Mapping[str, Any], ports: Mapping[str, int], groups: Mapping[str, Sequence[str]], read: Read
             ) -> dict[str, Any]:
    """The entry of C(edge_frontends) for the pool of component *name*, which is checked."""
    component, edge = components[name], components[name].get("edge") or {}
    routes = edge.get("routes") or {}
    limits = [((components.get(other) or {}).get("edge") or {}).get("max_body") for other in routes.values()] + [edge.get("max_body")]
    servers: list[dict[str, Any]] = []
    for host in hosts_of(component, groups)[1]:
        proven_by = _proven_by(host, read) if _speaks_tls(host, read) else ""
        servers.append({"name": host, "address": str(read(host, "aistack_address")), "port": ports[component["port"]],
                        **({"server_name": proven_by} if proven_by else {})})
    names = list(edge.get("hosts") or [])
    said = {
        "hosts": names + [key for key in routes if names and not key.startswith("/")],
        "trusted_proxies": list(edge.get("trusted_proxies") or []),
        "timeouts": dict(edge.get("timeouts") or {}),
        # which of them counts is known where routes lead; nobody takes more than the largest
        "max_body": max(map(str, limits), key=size) if all(limits) else None,
        "alpn": ["http/1.1"] if any(limits) else None,
    }
    return {
        "name": f"{name}{POOL}", "port": ports[component["pool"]["port"]], "pool": servers,
        "check": component["pool"].get("check") or ALIVE, **{key: value for key, value in said.items() if value},
    }
