# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node keeps of each component, so that it can plan and go back without the inventory.

C(<state>/components/<component>.json), 0644: C(format), C(component), C(source) (the component whose releases it runs),
C(application), C(order) (in the order of dependencies), C(root), C(unit) (with C({slot})), C(strategy), C(ports), C(edge),
C(drain_timeout), C(stop_timeout), C(warm), C(database), C(instances), C(instances_said). Its gate is kept per release, see
:meth:`Slots.gate_for`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import COMPONENT_NAME
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import DESCRIPTIONS, description_file
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.node import EdgeSpec, Spec

FORMAT = 1
_EDGE = ("socket", "backend", "state_file", "address")
_NUMBERS = ("order", "drain_timeout", "stop_timeout", "warm", "instances", "instances_said")


class EdgeFile(TypedDict):
    """The edge before the slots: admin ``socket``, ``backend`` (section), ``state_file``, and the ``address`` that it reaches slots at."""

    socket: str
    backend: str
    state_file: str
    address: str


class Database(TypedDict):
    """The database that a component migrates: ``url_variable`` of its environment tells the address."""

    url_variable: str


class _Needed(TypedDict):
    format: int
    component: str
    root: str
    unit: str


class Description(_Needed, total=False):
    """How a component is driven, C(<state>/components/<component>.json). :func:`describe` and :func:`save` write it with each activation,
    :func:`load_all` reads it: for each rollback, emergency, restart and status, on the node and, out of the node's plan, on the controller.

    Attributes:
        format: :data:`FORMAT` of the version that wrote it.
        component: whose it is; ``source``: the component whose releases it runs, itself where it stages its own.
        application: what is released together, None: by itself; ``order``: in the order of dependencies, the lowest first.
        root: where its trees, configs and slots are; ``unit``: its template unit, with C({slot}) in it.
        strategy: C(bluegreen) or C(recreate); ``ports``: of each slot, and the C(public) one.
        edge: None where none stands before it; ``database``: None where it migrates none.
        drain_timeout, stop_timeout: seconds; ``warm``: seconds that the slot before runs on.
        instances: processes of a slot, as they were set last; ``instances_said``: what the inventory said of them when they were.
    """

    source: str
    application: str | None
    order: int
    strategy: str
    ports: dict[str, int]
    edge: EdgeFile | None
    drain_timeout: float
    stop_timeout: float
    warm: int
    database: Database | None
    instances: int
    instances_said: int


def describe(spec: Spec, given: Mapping[str, Any]) -> Description:
    """The description of a component. *given* holds ``source``, ``application``, ``order``, ``database`` and ``instances_said``; all may be
    missing.
    """
    edge = spec.edge
    database = given.get("database")
    return {
        "format": FORMAT,
        "component": spec.component,
        "source": given.get("source") or spec.component,
        "application": given.get("application"),
        "order": int(given.get("order") or 0),
        "root": str(spec.root),
        "unit": spec.unit_of("{slot}"),
        "strategy": spec.strategy,
        "ports": dict(spec.ports),
        "edge": {"socket": edge.socket, "backend": edge.backend, "state_file": edge.state_file, "address": edge.address}
        if edge
        else None,
        "drain_timeout": spec.drain_timeout,
        "stop_timeout": spec.stop_timeout,
        "warm": spec.warm,
        "database": {"url_variable": database.get("url_variable") or "DATABASE_URL"} if database is not None else None,
        "instances": spec.instances,
        "instances_said": int(given.get("instances_said") or spec.instances),
    }


def path_of(state_dir: str | os.PathLike[str], component: str) -> Path:
    """Where the description of a component is."""
    return description_file(state_dir, component)


def save(description: Description, state_dir: str | os.PathLike[str], check: bool = False) -> bool:
    """Write a description where it differs from the one that is there; returns whether it did. *check* writes nothing."""
    path = path_of(state_dir, description["component"])
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        there = None
    if there == description:
        return False
    if not check:
        write_file(path, json.dumps(description, indent=1, sort_keys=True) + "\n", 0o644)
    return True


def set_instances(state_dir: str | os.PathLike[str], component: str, number: int, said: int) -> None:
    """Keep another number of instances; what else the file says stays.

    Raises:
        OSError, ValueError: there is no description of the component that could be changed.
    """
    path = path_of(state_dir, component)
    there = json.loads(path.read_text(encoding="utf-8"))
    wanted = {**there, "instances": number, "instances_said": said}
    if wanted != there:
        write_file(path, json.dumps(wanted, indent=1, sort_keys=True) + "\n", 0o644)


def load_all(state_dir: str | os.PathLike[str]) -> tuple[dict[str, Description], list[str]]:
    """All descriptions of a node by component, and one sentence for each file that cannot be used."""
    found: dict[str, Description] = {}
    problems: list[str] = []
    for path in sorted((Path(state_dir) / DESCRIPTIONS).glob("*.json")):
        if not COMPONENT_NAME.fullmatch(path.stem):
            continue  # what somebody put aside
        try:
            value: Description = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            problems.append(
                f"{path} cannot be read ({error}); the component is left out. Deploy it once to have the file written again"
            )
            continue
        if not _sound(value, path.stem):
            problems.append(f"{path} is no description of {path.stem} in format {FORMAT}; the component is left out")
            continue
        if value.get("format") != FORMAT:
            problems.append(
                f"{path} has format {value.get('format')}, this version writes {FORMAT}: it goes by what both know. Deploy the component"
                " once to have the file written again"
            )
        found[path.stem] = value
    return found, problems


def _sound(value: object, component: str) -> bool:
    """Whether it is a description of *component* that its slots can be driven by, whichever version wrote it.

    Of the own format it is taken as it stands: this version wrote it. Of another one, each key that is there has to be of the shape that
    is known here; more of them do not matter.
    """
    if not isinstance(value, dict) or value.get("component") != component:
        return False
    if value.get("format") == FORMAT:
        return True
    edge, ports, database = (value.get(key) or {} for key in ("edge", "ports", "database"))
    if not all(isinstance(found, dict) for found in (edge, ports, database)):
        return False
    needed = [value.get("root"), *(edge.get(key) for key in _EDGE if edge)]
    texts = [text for text in (value.get("source"), value.get("application"), database.get("url_variable")) if text is not None]
    numbers = [value[key] for key in _NUMBERS if key in value]
    return (
        all(isinstance(text, str) and text for text in needed)
        and all(isinstance(text, str) for text in texts)
        and "{slot}" in str(value.get("unit"))
        and value.get("strategy") in (None, "bluegreen", "recreate")
        and all(isinstance(number, (int, float)) for number in [*numbers, *ports.values()])
    )


def spec_of(description: Description, state_dir: str | os.PathLike[str]) -> Spec:
    """What the description says about the slots."""
    edge = description.get("edge")
    return Spec(
        component=description["component"],
        root=Path(description["root"]),
        state_dir=Path(state_dir),
        unit=description["unit"],
        ports=dict(description.get("ports") or {}),
        edge=EdgeSpec(edge["socket"], edge["backend"], edge["state_file"], edge["address"]) if edge else None,
        strategy=description.get("strategy") or "bluegreen",
        drain_timeout=float(description.get("drain_timeout", 60.0)),
        stop_timeout=float(description.get("stop_timeout", 30.0)),
        warm=int(description.get("warm") or 0),
        instances=int(description.get("instances") or 1),
    )
