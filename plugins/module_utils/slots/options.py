# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What modules say about the slots of a component: the options of one, and the description that they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.caller import CALLER
from ansible_collections.phasegate.aistack.plugins.module_utils.core.instances import alone, chosen
from ansible_collections.phasegate.aistack.plugins.module_utils.core.kept_instances import instances_of
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import PLACES
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.node import EdgeSpec, Spec

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import Definition

STATES = ("active", "reverted", "restarted", "stopped", "drained", "resumed", "scaled", "status")


def options() -> dict[str, object]:
    """The options, in Ansible's form."""
    return {
        "state": {"type": "str", "choices": list(STATES), "default": "active"},
        "component": {"type": "str", "required": True},
        **PLACES,
        "release": {"type": "str"},
        "config": {"type": "str"},
        "unit": {"type": "str", "default": ""},
        "ports": {
            "type": "dict",
            "default": {},
            "options": {"blue": {"type": "int"}, "green": {"type": "int"}, "public": {"type": "int"}},
        },
        "edge": {
            "type": "dict",
            "options": {
                "socket": {"type": "path", "default": "/run/haproxy/admin.sock"},
                "backend": {"type": "str"},
                "state_file": {"type": "path", "default": "/var/lib/haproxy/server-state"},
                "address": {"type": "str", "default": "127.0.0.1"},
            },
        },
        "strategy": {"type": "str", "choices": ["bluegreen", "recreate"], "default": "bluegreen"},
        "weight": {"type": "int", "default": 100},
        "gate": {
            "type": "dict",
            "options": {
                "probes": {"type": "list", "elements": "dict", "default": []},
                "interval": {"type": "float"},
                "successes": {"type": "int"},
                "min_healthy_time": {"type": "float"},
                "deadline": {"type": "float"},
                "start_period": {"type": "float"},
                "failures": {"type": "int"},
            },
        },
        "drain_timeout": {"type": "float", "default": 60},
        "resume_after": {"type": "int", "default": 0},
        "stack": {"type": "str", "default": ""},
        "stop_timeout": {"type": "float", "default": 30},
        "warm": {"type": "int", "default": 0},
        "instances": {"type": "int", "default": 1},
        "scale_to": {"type": "int"},
        "workers": {"type": "dict", "options": {"app": {"type": "str", "required": True}, "name": {"type": "str", "required": True}}},
        "description": {
            "type": "dict",
            "options": {
                "source": {"type": "str"},
                "application": {"type": "str"},
                "order": {"type": "int", "default": 0},
                "database": {"type": "dict", "options": {"url_variable": {"type": "str", "default": "DATABASE_URL"}}},
            },
        },
        **CALLER,
        "reason": {"type": "str", "default": ""},
        "allow_bad": {"type": "bool", "default": False},
        "mark_good": {"type": "bool", "default": True},
        "mark_bad": {"type": "bool", "default": True},
    }


def given(values: Mapping[str, Any] | None) -> dict[str, Any]:
    """*values* without those that were left out."""
    return {key: value for key, value in (values or {}).items() if value is not None}


@dataclass(frozen=True)
class Numbers:
    """How many instances a slot is to have.

    Attributes:
        starts: of what is started.
        wanted: in the end.
        said: what the inventory says.
        kept, kept_said: what the node keeps until they are had: their number, and what the inventory said when that was set.
    """

    starts: int
    wanted: int
    said: int
    kept: int
    kept_said: int | None


def numbers_of(params: Mapping[str, Any]) -> Numbers:
    """What the options, and what the node keeps, say about the number of instances."""
    if alone(given(params["ports"]), params["strategy"]):  # whatever it was before
        return Numbers(1, 1, 1, 1, 1)
    said: int = params["instances"]
    kept, kept_said = instances_of(params["state_dir"], params["component"])
    if kept is None:
        return Numbers(said, said, said, said, said)
    wanted = chosen(said, kept, kept_said)
    # a switch to fewer starts no more of them: nobody has to end what it holds behind it
    switches = params["state"] in ("active", "restarted") and params["description"] is not None
    return Numbers(min(kept, wanted) if switches else kept, wanted, said, kept, kept_said)


def spec_of(params: Mapping[str, Any]) -> Spec:
    """What the options say about the slots."""
    edge = params["edge"]
    front = edge and EdgeSpec(edge["socket"], edge["backend"] or params["component"], edge["state_file"], edge["address"])
    asked: Any = given(params["gate"])
    gate: Definition = asked  # as the options have it
    return Spec(
        component=params["component"],
        root=Path(params["root"]),
        state_dir=Path(params["state_dir"]),
        unit=params["unit"],
        ports=given(params["ports"]),
        edge=front or None,
        strategy=params["strategy"],
        gate=gate or None,
        drain_timeout=params["drain_timeout"],
        stop_timeout=params["stop_timeout"],
        warm=params["warm"],
    )
