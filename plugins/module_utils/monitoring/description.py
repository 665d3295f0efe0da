# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a component says about its figures: C(metrics), where Prometheus reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option, nearest

PATH = "/metrics"

METRICS = Option(
    "dict",
    "where it shows figures in Prometheus' format; that makes it a target",
    keys={
        "port": Option("str", "name of the port in aistack_ports; of a component with slots its own port, which is the default"),
        "path": Option("str", "path of the figures", default=PATH),
    },
)


def has_slots(component: Mapping[str, Any]) -> bool:
    """Whether a component runs releases, in slots."""
    return bool(component.get("application") or component.get("release_from"))


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
    path = metrics.get("path", PATH)
    if not str(path).startswith("/"):
        found.append(f"{where}.metrics.path: '{path}' is no path; it begins with /, such as {PATH}")
    return found
