# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Prometheus reads where: targets that follow from the description of a stack and the groups of its inventory.

A component with ``metrics`` is a target on each of its hosts, an exporter is one where the server is that it speaks for. Every target has
the labels ``stack``, ``component`` and ``node``; slots have ``slot`` besides, so that both can be told apart during a switch. Slots listen
on the loopback address: on Prometheus' own host both are read, on others the one that is live, through the edge (``slot="live"``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import SLOTS
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.description import PATH, has_slots

LOOPBACK = "127.0.0.1"
STORES: Mapping[str, int] = {"victorialogs": 9428, "loki": 3100}
"""Roles that keep lines, each with its port where C(aistack_ports) says none."""
LIVE = "live"
"""The label of a slot that is read through the edge: whichever serves."""

EXPORTERS: Mapping[str, int] = {"node": 9100, "postgres": 9187, "redis": 9121, "blackbox": 9115}
"""Exporters that the role C(exporters) runs, each with the port that it has where C(aistack_ports.<name>_exporter) says none."""
SERVERS = ("postgres", "redis")
"""Exporters that speak for a server of the same name, and run where it is."""


@dataclass(frozen=True)
class Stack:
    """What targets are derived from.

    Attributes:
        name: of the stack.
        components, groups, ports: ``aistack_components``, the inventory's groups and ``aistack_ports``.
        addresses: host to ``aistack_address``.
        tls: whether its edges speak TLS.
        ca: file on Prometheus' host with CA certificates; empty for those of the system.
        bounds: ``aistack_alerts``.
        secrets: folder on Prometheus' host with the passwords of targets, C(target-<component>.password).
    """

    name: str
    components: Mapping[str, Mapping[str, Any]]
    groups: Mapping[str, Sequence[str]]
    ports: Mapping[str, int] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)
    tls: bool = False
    ca: str = ""
    bounds: Mapping[str, Any] = field(default_factory=dict)
    secrets: str = ""

    def hosts(self, component: Mapping[str, Any]) -> list[str]:
        """The hosts of a component."""
        return list(self.groups.get(str(component.get("hosts")), ()))


def role_of(component: Mapping[str, Any]) -> str:
    """The role of a component by its name in this collection."""
    return str(component.get("role", "")).removeprefix("phasegate.aistack.")


def of_role(components: Mapping[str, Mapping[str, Any]], role: str) -> list[str]:
    """The components that have a role."""
    return [name for name, component in components.items() if role_of(component) == role]


def hosts_of_role(components: Mapping[str, Mapping[str, Any]], groups: Mapping[str, Sequence[str]], role: str) -> list[str]:
    """Hosts of the components that have a role; each once."""
    named = [str(components[name].get("hosts")) for name in of_role(components, role)]
    return list(dict.fromkeys(host for group in named for host in groups.get(group, ())))


def exporters_on(components: Mapping[str, Mapping[str, Any]], groups: Mapping[str, Sequence[str]], host: str) -> list[str]:
    """The exporters that run on a host: that of the node, those of its servers and, beside Prometheus, the one that knocks at doors."""
    if host not in hosts_of_role(components, groups, "exporters"):
        return []
    found = ["node", *(name for name in SERVERS if host in hosts_of_role(components, groups, name))]
    return [*found, "blackbox"] if host in hosts_of_role(components, groups, "prometheus") else found


def listens_at(components: Mapping[str, Mapping[str, Any]], groups: Mapping[str, Sequence[str]], host: str, address: str) -> str:
    """Where an exporter listens: on loopback where its only reader is on the same host, else at the host's address."""
    readers = hosts_of_role(components, groups, "prometheus")
    return LOOPBACK if set(readers) <= {host} or not address else address


def store_listens(components: Mapping[str, Mapping[str, Any]], groups: Mapping[str, Sequence[str]], host: str, address: str) -> str:
    """Where a store of logs listens: on loopback where all that send, and that read its figures, are on the same host, else at the host's
    address.
    """
    clients = hosts_of_role(components, groups, "log_shipper")
    if any(components[name].get("metrics") is not None for role in STORES for name in of_role(components, role)):
        clients += hosts_of_role(components, groups, "prometheus")
    return LOOPBACK if set(clients) <= {host} or not address else address


def exporter_port(ports: Mapping[str, int], name: str) -> int:
    """The port of an exporter."""
    return int(ports.get(f"{name}_exporter") or EXPORTERS[name])


def place(address: str, port: Any) -> str:
    """Address and port as Prometheus writes them."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _job(name: str, path: str, targets: Iterable[tuple[str, Mapping[str, str]]], **more: Any) -> list[dict[str, Any]]:
    static = [{"targets": [at], "labels": dict(labels)} for at, labels in targets]
    return [{"job_name": name, "metrics_path": path, **more, "static_configs": static}] if static else []


def _labels(stack: Stack, component: str, node: str, **more: str) -> dict[str, str]:
    return {"stack": stack.name, "component": component, "node": node, **more}


def _reached(stack: Stack, component: Mapping[str, Any], host: str) -> str:
    """The address of a host at which a server shows its figures."""
    address = stack.addresses.get(host, "")
    return store_listens(stack.components, stack.groups, host, address) if role_of(component) in STORES else address or LOOPBACK


def _login(stack: Stack, name: str) -> dict[str, Any]:
    """How a component is asked that asks for a password."""
    username = stack.components[name]["metrics"].get("username")
    return {"basic_auth": {"username": username, "password_file": f"{stack.secrets}/target-{name}.password"}} if username else {}


def _of_component(stack: Stack, name: str, reader: str) -> list[dict[str, Any]]:
    """The jobs of one component with ``metrics``."""
    component = stack.components[name]
    path = str(component["metrics"].get("path", PATH))
    hosts, login = stack.hosts(component), _login(stack, name)
    if not has_slots(component):
        number = stack.ports.get(str(component["metrics"].get("port")))
        there = [(place(_reached(stack, component, host), number), _labels(stack, name, host)) for host in hosts if number]
        return _job(name, path, there, **_scheme(stack, bool(component["metrics"].get("tls"))), **login)
    port = str(component.get("port"))
    near = [
        (place(LOOPBACK, stack.ports[f"{port}_{slot}"]), _labels(stack, name, host, slot=slot))
        for host in hosts if host == reader for slot in SLOTS if f"{port}_{slot}" in stack.ports
    ]
    far = [
        (place(stack.addresses[host], stack.ports[port]), _labels(stack, name, host, slot=LIVE))
        for host in hosts if host != reader and stack.addresses.get(host) and port in stack.ports
    ]
    return _job(name, path, near, **login) + _job(f"{name}_edge", path, far, **_scheme(stack, stack.tls), **login)


def _scheme(stack: Stack, tls: bool) -> dict[str, Any]:
    if not tls:
        return {}
    return {"scheme": "https", **({"tls_config": {"ca_file": stack.ca}} if stack.ca else {})}


def _of_exporters(stack: Stack, reader: str) -> list[dict[str, Any]]:
    """The jobs of the exporters, each with the component that it speaks for."""
    jobs: list[dict[str, Any]] = []
    hosts = hosts_of_role(stack.components, stack.groups, "exporters")
    own = next(iter(of_role(stack.components, "exporters")), "")
    for exporter in EXPORTERS:
        targets = []
        for host in hosts:
            if exporter not in exporters_on(stack.components, stack.groups, host) or (exporter == "blackbox" and host != reader):
                continue
            speaks_for = [name for name in of_role(stack.components, exporter) if host in stack.hosts(stack.components[name])]
            at = listens_at(stack.components, stack.groups, host, stack.addresses.get(host, ""))
            targets.append((place(at, exporter_port(stack.ports, exporter)), _labels(stack, next(iter(speaks_for), own), host)))
        # what the node says of its own stack names the component that each figure is about
        jobs += _job(f"{exporter}_exporter", PATH, targets, **({"honor_labels": True} if exporter == "node" else {}))
    return jobs


def _doors(stack: Stack, reader: str) -> list[dict[str, Any]]:
    """What users knock at, asked as they ask, by the exporter C(blackbox): the ports that the edge fronts."""
    if "blackbox" not in exporters_on(stack.components, stack.groups, reader):
        return []
    asked: dict[str, list[tuple[str, dict[str, str]]]] = {}
    for name, component in stack.components.items():
        port = stack.ports.get(str(component.get("port")))
        if not has_slots(component) or not port:
            continue
        edge = component.get("edge") or {}
        check = edge.get("check")
        path = check.get("path") if isinstance(check, Mapping) else check
        for host in stack.hosts(component):
            at = place(next(iter(edge.get("hosts") or ()), "") or stack.addresses.get(host) or LOOPBACK, port)
            kind = "tls" if stack.tls else "http" if path and not edge.get("hosts") else "tcp"
            asked.setdefault(kind, []).append((f"http://{at}{path}" if kind == "http" else at, _labels(stack, name, host)))
    relabel = [
        {"source_labels": ["__address__"], "target_label": "__param_target"},
        {"source_labels": ["__param_target"], "target_label": "instance"},
        {"target_label": "__address__", "replacement": place(
            listens_at(stack.components, stack.groups, reader, stack.addresses.get(reader, "")), exporter_port(stack.ports, "blackbox"))},
    ]
    return [job for kind, targets in asked.items()
            for job in _job(f"doors_{kind}", "/probe", targets, params={"module": [kind]}, relabel_configs=relabel)]


def scrape_configs(stack: Stack, reader: str, own: Mapping[str, Mapping[str, Any]] | None = None) -> list[dict[str, Any]]:
    """The C(scrape_configs) of a Prometheus.

    Args:
        stack: what it follows from.
        reader: the host of that Prometheus.
        own: what it knows of itself and of its Alertmanager, by role: ``places`` (host to address and port) and, where these ask for a
            password, ``auth`` (keys of the job).
    """
    jobs: list[dict[str, Any]] = []
    for role, known in (own or {}).items():
        name = next(iter(of_role(stack.components, role)), role)
        targets = [(str(at), _labels(stack, name, host)) for host, at in known["places"].items()]
        jobs += _job(role, PATH, targets, **dict(known.get("auth") or {}))
    for name, component in stack.components.items():
        if component.get("metrics") is not None:
            jobs += _of_component(stack, name, reader)
    return jobs + _of_exporters(stack, reader) + _doors(stack, reader)


def count(jobs: Iterable[Mapping[str, Any]]) -> int:
    """How many targets there are when all of them are up: of the two slots of a component one serves."""
    found = {
        (job["job_name"], labels.get("component"), labels.get("node"), "" if labels.get("slot") in SLOTS else at)
        for job in jobs for one in job["static_configs"] for labels in [one["labels"]] for at in one["targets"]
    }
    return len(found)
