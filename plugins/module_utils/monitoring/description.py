# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a description says about figures: C(metrics) of a component, where Prometheus reads them; bounds of the usual alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option, nearest

PATH = "/metrics"

METRICS = Option(
    "dict",
    "where it shows figures in Prometheus' format; that makes it a target",
    keys={
        "port": Option("str", "name of the port in aistack_ports; of a component with slots its own port, which is the default"),
        "path": Option("str", "path of the figures", default=PATH),
        "username": Option("str", "who may read them, where a password is asked for: prometheus_passwords of the role prometheus"),
        "tls": Option("bool", "whether that port speaks TLS; of slots that follows from the edge", default=False),
    },
)


DEFAULT_QUEUES = ("celery",)
"""Of the role C(worker), where its options name none."""

BOUNDS: Mapping[str, Option] = {
    "drill_days": Option("number", "since going back was last rehearsed (drill.yml) and lost nothing; 0: nobody is told", minimum=0,
                         default=35),
    "lock_hours": Option("number", "that a run may hold a node's lock", minimum=0, default=2),
    "queue_length": Option("int", "tasks that may wait in a queue that grows", minimum=0, default=100),
    "replication_megabytes": Option("number", "that a standby of PostgreSQL may be behind", minimum=0, default=64),
    "replication_seconds": Option("number", "that it may be behind, where the exporter tells that", minimum=0, default=60),
}
ALERTS = Option("dict", "bounds of the usual alerts", keys=BOUNDS, example="{drill_days: 14}")


def bounds(given: Mapping[str, Any] | None) -> dict[str, float]:
    """The bounds that count: those that are given, and the rest as they are by default."""
    return {name: float((given or {}).get(name, option.default)) for name, option in BOUNDS.items()}


def has_slots(component: Mapping[str, Any]) -> bool:
    """Whether a component runs releases, in slots."""
    return bool(component.get("application") or component.get("release_from"))


def queues_of(component: Mapping[str, Any]) -> list[str]:
    """The queues that a worker takes from."""
    options = component.get("options")
    given = options.get("queues") if isinstance(options, Mapping) else None
    return [str(name) for name in given] if isinstance(given, Sequence) and not isinstance(given, str) and given else list(DEFAULT_QUEUES)


def problems(where: str, component: Mapping[str, Any], ports: Mapping[str, Any]) -> list[str]:
    """What is wrong with ``metrics`` of a component beyond the table, one line each."""
    metrics = component.get("metrics")
    if metrics is None:
        return []
    found = []
    port, own = metrics.get("port"), component.get("port")
    if has_slots(component):
        if not own:
            found.append(f"{where}.metrics: its slots have no port, so that nobody can read figures there; give the component a port, or "
                         "drop it")
        elif port not in (None, own):
            found.append(f"{where}.metrics.port: slots are read at the component's own port, which is '{own}'; drop the key")
    elif not port:
        found.append(f"{where}.metrics: 'port' is missing: the name in aistack_ports of the port where its figures are")
    elif port not in ports:
        found.append(f"{where}.metrics.port: aistack_ports has no '{port}'{nearest(port, ports)}")
    if "tls" in metrics and has_slots(component):
        found.append(f"{where}.metrics.tls: slots are read on loopback, or through the edge as that speaks; drop the key")
    username = metrics.get("username")
    if username is not None and (not username or ":" in username):
        found.append(f"{where}.metrics.username: '{username}' is no name; expected one without a colon, or no key where no password is "
                     "asked for")
    path = metrics.get("path", PATH)
    if not str(path).startswith("/"):
        found.append(f"{where}.metrics.path: '{path}' is no path; it begins with /, such as {PATH}")
    return found
