# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gate of a component whose description has none: what is known of its role. C(gate: []) wants none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.edge.pool import EVERYWHERE

UNITS = {
    "redis": "redis-server.service",
    "minio": "minio.service",
    "ollama": "ollama.service",
    "comfyui": "comfyui.service",
    "edge": "haproxy.service",
    "backup": "aistack-backup@{stack}.timer",
    "prometheus": "aistack-prometheus.service",
    "alertmanager": "aistack-alertmanager.service",
    "exporters": "aistack-node-exporter.service",
    "grafana": "aistack-grafana.service",
    "superset": "aistack-superset.service",
    "victorialogs": "victorialogs.service",
    "loki": "aistack-loki.service",
    "log_shipper": "aistack-log-shipper.service",
    "jaeger": "jaeger.service",
}
"""Role to the unit that has to run. PostgreSQL's is named after a version that only the node knows."""
LISTENS = ("postgres", "redis", "minio", "ollama", "comfyui", "grafana", "superset", "jaeger")
"""Roles that take connections at C(<role>_listen) and C(<role>_port)."""
_AT_HOME = ("postgres", "redis", "grafana", "superset", "jaeger")
"""Those of them that listen on loopback unless they are told otherwise."""
ANSWERS = {"ollama": "/api/version", "comfyui": "/system_stats", "grafana": "/api/health", "superset": "/health"}
"""Roles whose server answers to everybody, and where."""
Read = Callable[[str], Any]


def role_of(component: Mapping[str, Any]) -> str:
    """The role, by its name in this collection."""
    return str(component.get("role", "")).removeprefix("phasegate.aistack.")


def probes_of(component: Mapping[str, Any], read: Read) -> list[dict[str, object]]:
    """The probes of a component, in short form: its own gate, else what its role brings.

    Args:
        component: its description.
        read: a variable of the host that asks, or None.
    """
    if component.get("gate") is not None:
        return list(component["gate"])
    return default_gate(component, read)


def default_gate(component: Mapping[str, Any], read: Read) -> list[dict[str, object]]:
    """What the role of a component brings; where its port is not known, its unit alone. Nothing for other roles."""
    role = role_of(component)
    if component.get("runtime", "systemd") != "systemd":
        return []
    probes: list[dict[str, Any]] = []
    unit = component.get("unit") or read(f"{role}_unit") or UNITS.get(role)
    if role in UNITS and unit:
        probes.append({"name": "its unit runs", "unit": str(unit).replace("{stack}", str(read("aistack_name") or ""))})
    place = _place(role, read) if role in LISTENS else ""
    if place and role in ANSWERS:
        probes.append({"name": "answers", "http": f"http://{place}{ANSWERS[role]}"})
    elif place:
        probes.append({"name": "listens", "tcp": place})
    return probes


def _place(role: str, read: Read) -> str:
    """Address and port where a role's server listens; empty where that is not known here."""
    ports = read("aistack_ports")
    port = read(f"{role}_port") or (ports.get(role) if isinstance(ports, Mapping) else None)
    listen = read(f"{role}_listen") or ("127.0.0.1" if role in _AT_HOME else read("aistack_address"))
    address = listen[0] if isinstance(listen, (list, tuple)) and listen else listen
    if not port or not isinstance(address, str):
        return ""
    address = "127.0.0.1" if address in EVERYWHERE else address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def without(components: Mapping[str, Mapping[str, Any]], only: Iterable[str] = ()) -> list[str]:
    """The components that nobody gave a gate, in the order of the inventory, and whose role brings none; C(gate: []) is a word."""
    wanted = set(only) or set(components)
    return [
        name for name, component in components.items()
        if name in wanted and component.get("gate") is None and role_of(component) not in (*UNITS, *LISTENS)
    ]
