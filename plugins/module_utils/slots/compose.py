# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The compose file of one slot: what a role says of a component's containers, and the image, port and environment of the slot. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FOLDER = "/run/aistack-{component}-{slot}"
"""Where the compose file of a slot, or of an instance, lies while it runs: in memory, since the environment stands in it."""
FILE = "compose.json"
NAME = re.compile(r"[^a-z0-9_-]+")


@dataclass(frozen=True)
class Slot:
    """What one slot runs.

    Attributes:
        stack, component, slot, release: their names.
        image: digest of the image.
        port: port on the loopback address that it is reached at; None for a component that listens nowhere.
        environment: the variables of its configuration.
        user: who its process is, as Docker takes it (``uid:gid``); empty for the image's own.
        instance: which of the slot's processes it is, by name; empty for the only one, or the first.
    """

    stack: str
    component: str
    slot: str
    release: str
    image: str
    port: int | None
    environment: Mapping[str, str]
    user: str
    instance: str = ""


def project(stack: str, component: str, instance: str) -> str:
    """The name of a slot's, or an instance's, containers and network: Docker takes small letters, digits, '-' and '_'."""
    return NAME.sub("-", f"aistack-{stack}-{component}-{instance}".lower())


def document(of: Slot, container: Mapping[str, Any]) -> dict[str, Any]:
    """The compose file, as a mapping; JSON of it is YAML.

    Args:
        of: the slot.
        container: what the role says (``<state>/containers/<component>.json``): C(port) of the process in its container, C(network)
            (C(bridge), one of its own, or C(host), that of the node, where it listens on the slot's port itself), C(command),
            C(write) (folders of the host that it writes), C(read) (files of the host that it reads), C(environment), C(read_only),
            C(scratch) (folders in memory, by size),
            C(capabilities), C(memory), C(cpus), C(pids).
    """
    on_host = container.get("network") == "host"
    inside = of.port if on_host else container.get("port")
    environment = {
        **of.environment,
        **{str(name): str(value) for name, value in (container.get("environment") or {}).items()},
        "AISTACK_COMPONENT": of.component,
        "AISTACK_RELEASE": of.release,
        "AISTACK_SLOT": of.slot,
        "AISTACK_INSTANCE": of.instance or of.slot,
        **({"AISTACK_PORT": str(inside)} if inside else {}),
    }
    service: dict[str, Any] = {
        "container_name": f"aistack-{of.component}-{of.instance or of.slot}",  # by which the unit starts it
        "image": of.image,
        "pull_policy": "never",
        "restart": "no",  # systemd's business, as for any slot
        "read_only": bool(container.get("read_only", True)),
        "cap_drop": ["ALL"],
        "cap_add": [str(name) for name in container.get("capabilities") or []],
        "security_opt": ["no-new-privileges:true"],
        "environment": environment,
        "tmpfs": [f"{path}:size={size}" for path, size in (container.get("scratch") or {}).items()],
        "volumes": [{"type": "bind", "source": path, "target": path, "bind": {"create_host_path": False}}
                    for path in container.get("write") or []]
        + [{"type": "bind", "source": path, "target": path, "read_only": True, "bind": {"create_host_path": False}}
           for path in container.get("read") or []],
        "labels": {"io.phasegate.aistack.component": of.component, "io.phasegate.aistack.slot": of.slot},
    }
    if of.user:
        service["user"] = of.user
    if container.get("command"):
        service["command"] = [str(word) for word in container["command"]]
    if on_host:
        service["network_mode"] = "host"
    elif of.port and inside:
        # published as a text: a range is one as well
        service["ports"] = [{"mode": "host", "host_ip": "127.0.0.1", "target": int(inside), "published": str(of.port), "protocol": "tcp"}]
    limits = (("memory", "mem_limit"), ("cpus", "cpus"), ("pids", "pids_limit"))
    service.update({key: container[name] for name, key in limits if container.get(name)})
    return {"name": project(of.stack, of.component, of.instance or of.slot), "services": {of.component: _escaped(service)}}


def _escaped(value: Any) -> Any:
    """Compose fills in variables behind a dollar; two of them are one that stands for itself."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, Mapping):
        return {key: _escaped(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_escaped(entry) for entry in value]
    return value
