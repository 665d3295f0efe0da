# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All that a diagnosis wants to know of a node, gathered side by side and masked; it takes no lock and changes nothing."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Children, Context
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.haproxy import EdgeError
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import Systemd
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import SLOTS
from ansible_collections.phasegate.aistack.plugins.module_utils.diagnosis import components, servers, system
from ansible_collections.phasegate.aistack.plugins.module_utils.diagnosis.components import Part
from ansible_collections.phasegate.aistack.plugins.module_utils.edge.haproxy import Edge
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.secret_files import Secrets
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.call import judge
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lease
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import component_file

LOG_LINES = 200
"""Of each part, for rules."""
CELERY = ("worker", "beat")
"""Roles whose Redis is a broker, whatever the variable is called."""
_AT_ONCE = 16
_ROW = ("component", "type", "severity", "verdict", "expected", "got", "hint")


@dataclass(frozen=True)
class Asked:
    """What is looked at.

    Attributes:
        components: of this node, each C(component), C(role), C(unit) and C(port) where it has no slots, C(queues) of a worker.
        gate: the parameters of a gate that asks their probes.
        places: where servers of the inventory are: C(component), C(role), C(address), C(port).
        addresses: of this node.
        workers: worker to its queues, on all nodes.
        controller_time: seconds since 1970, by the controller's clock.
    """

    root: str
    state_dir: str
    components: Sequence[Mapping[str, Any]] = ()
    gate: Mapping[str, Any] = field(default_factory=dict)
    places: Sequence[Mapping[str, Any]] = ()
    addresses: Sequence[str] = ()
    workers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    controller_time: float = 0.0


@dataclass
class Gathered:
    """What came of it.

    Attributes:
        evidence: section to its things, masked.
        lease: of the lock.
        problems: a sentence for each thing that could not be seen.
        parts, secrets, records: for what else is made of the same look.
    """

    evidence: dict[str, list[dict[str, Any]]]
    lease: Lease | None
    problems: list[str]
    parts: list[Part]
    secrets: Secrets
    records: Sequence[Record]


def gather(asked: Asked, systemd: Systemd | None = None) -> Gathered:
    """Look at all of it."""
    children, secrets, problems = Children(), Secrets(), list[str]()
    try:
        records: Sequence[Record] = Journal.of(asked.state_dir).read()
    except (OSError, ValueError) as error:
        records = []
        problems.append(f"the journal: {error}")
    components.learn_all(asked.root, asked.state_dir, secrets)
    systemd = systemd or Systemd()
    found = components.parts(asked.components, asked.root, asked.state_dir, records, systemd, problems)

    def context(seconds: float = servers.SECONDS) -> Context:
        return Context(timeout=seconds, secrets=secrets, children=children)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        gate = pool.submit(_gate, asked.gate)
        node = pool.submit(_quietly, "the node", problems, lambda: [system.node(asked.controller_time, records, context())])
        components.look(found, secrets, systemd, LOG_LINES, problems)
        reached = _servers(asked, found, context, pool)
        units = {unit: part.component for part in found for unit in part.units}
        lock = pool.submit(_quietly, "the lock", problems, lambda: [system.locks(asked.state_dir)])
        evidence: dict[str, list[dict[str, Any]]] = {
            "disks": system.disks([asked.root, asked.state_dir, *system.PLACES]),
            "processes": _quietly("the processes", problems, lambda: system.processes(units)),
            "components": [part.thing() for part in found],
            "ports": _ports(asked, found),
            "certificates": _certificates(asked, context()),
            "edges": _edges(asked, {part.component: part.role for part in found}),
            **reached(),
        }
        locks, lease = (lock.result() or [([], None)])[0]
        evidence.update(node=node.result(), locks=locks, interrupted=system.begun(records, lease),
                        probes=_rows(gate.result(), asked, problems))
    children.end()
    told = [" ".join(problem.split()) for problem in problems]
    return Gathered(masked(evidence, secrets), lease, masked(told, secrets), found, secrets, records)


def _quietly(what: str, problems: list[str], look: Callable[[], list[Any]]) -> list[Any]:
    try:
        return look()
    except (OSError, ValueError, KeyError) as error:
        problems.append(f"{what}: {error}")
        return []


def masked(value: Any, secrets: Secrets) -> Any:
    """The same with every text masked."""
    return _with(value, iter(secrets.mask_all(list(_texts(value)))))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Mapping, list)):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item)


def _with(value: Any, texts: Iterator[str]) -> Any:
    if isinstance(value, str):
        return next(texts)
    if isinstance(value, Mapping):
        return {key: _with(item, texts) for key, item in value.items()}
    return [_with(item, texts) for item in value] if isinstance(value, list) else value


def _gate(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the gate of today says, once; nothing that changes something is asked."""
    return judge({**given, "deadline": 0, "enforce": False}, check=True) if given.get("probes") else {}


def _rows(answer: Mapping[str, Any], asked: Asked, problems: list[str]) -> list[dict[str, Any]]:
    if answer.get("failed"):
        problems.append(str(answer.get("msg")))
    roles = {one["component"]: one.get("role") or "" for one in asked.components}
    return [{**{key: row.get(key) or "-" for key in _ROW}, "probe": row["name"], "role": roles.get(row.get("component"), "")}
            for row in answer.get("probes") or ()]


def _servers(
    asked: Asked, found: Sequence[Part], context: Callable[[], Context], pool: ThreadPoolExecutor
) -> Callable[[], dict[str, list[dict[str, Any]]]]:
    """Begin to ask; what is returned waits for the answers. An address that several components have with the same login is asked once."""
    known = sorted({queue for queues in asked.workers.values() for queue in queues})
    queues = {str(one["component"]): one.get("queues") or () for one in asked.components}
    jobs: dict[tuple[str, str, bool], tuple[servers.Named, Any]] = {}
    named: list[tuple[Part, servers.Named, tuple[str, str, bool]]] = []
    for part in found:
        if not part.live and any(other.component == part.component and other.live for other in found):
            continue
        for server in servers.named(part.environment):
            key = (server.kind, server.url, part.role in CELERY or servers.is_broker(server.variable))
            named.append((part, server, key))
            if key not in jobs:
                wanted = servers.Wanted(servers.models_named(part.environment), known, key[-1])
                jobs[key] = (server, pool.submit(_ask, server, part.env_file, wanted, context))

    def answers() -> dict[str, list[dict[str, Any]]]:
        rows, waiting, seen = list[dict[str, Any]](), list[dict[str, Any]](), set[tuple[str, str]]()
        for part, server, key in named:
            first, job = jobs[key]
            job.result()
            whose = {"component": part.component, "role": part.role}
            if (part.component, server.url) in seen:
                continue
            seen.add((part.component, server.url))
            in_container = components.in_container(asked.state_dir, part.component)
            rows.append({
                **whose, "variable": server.variable, "kind": server.kind, "address": server.address, "host": server.host,
                **first.seen, **servers.known_as(server, asked.places, asked.addresses),
                **({"state": "unknown"} if in_container and first.seen["state"] != "answers" else {}),
            })
            if queues.get(part.component):
                waiting += [{
                    **whose, "queue": queue, "address": server.address, "length": length, "state": part.state,
                    "taken_by": ", ".join(name for name, taken in asked.workers.items() if queue in taken) or "-",
                    "consumed": any(queue in taken for taken in asked.workers.values()),
                } for queue, length in first.queues.items()]
        return {"servers": rows, "queues": waiting}

    return answers


def _ask(server: servers.Named, env_file: str, wanted: servers.Wanted, context: Callable[[], Context]) -> None:
    servers.ask(server, env_file, wanted, context())  # only now, since its time begins with it


def _ports(asked: Asked, found: Sequence[Part]) -> list[dict[str, Any]]:
    descriptions, _problems = component_file.load_all(asked.state_dir)
    things: list[dict[str, Any]] = []
    for one in asked.components:
        name = str(one["component"])
        if components.in_container(asked.state_dir, name):
            continue
        mine = [part for part in found if part.component == name]
        live = [part for part in mine if part.live]
        state = next((part.state for part in live), "unknown")
        whose = {"component": name, "role": one.get("role") or ""}
        if name in descriptions:
            spec = component_file.spec_of(descriptions[name], asked.state_dir)
            units = [spec.unit_of(slot) for slot in SLOTS]
            wanted = {slot: int(port) for slot, port in spec.ports.items() if slot in SLOTS}
        else:
            units, wanted = [unit for part in mine for unit in part.units], {"server": int(one["port"])} if one.get("port") else {}
        for use, port in wanted.items() if units else ():  # else nobody can say whose a process is
            own = next((part.state for part in mine if part.slot == use), state)
            things += [{**whose, "use": "slot" if use != "server" else use, **holder} for holder in system.holders(port, units, own)]
    return things


def _certificates(asked: Asked, context: Context) -> list[dict[str, Any]]:
    """Of the files that roles manage here those that look like certificates, by the receipts of their components."""
    things = []
    for one in asked.components:
        try:
            receipt = json.loads((Path(asked.state_dir) / "receipts" / f"{one['component']}.json").read_text(encoding="utf-8"))
            paths = sorted(str(path) for path in receipt.get("files") or {})
        except (OSError, ValueError, AttributeError, TypeError):
            continue
        for path in paths:
            seen = system.certificate(path, context) if path.endswith((".pem", ".crt")) and os.path.isfile(path) else None
            if seen:
                things.append({"component": one["component"], "role": one.get("role") or "", **seen})
    return things


def _edges(asked: Asked, roles: Mapping[str, str]) -> list[dict[str, Any]]:
    descriptions, _problems = component_file.load_all(asked.state_dir)
    things = []
    for name, role in roles.items():
        edge = descriptions[name].get("edge") if name in descriptions else None
        if not edge:
            continue
        row: dict[str, Any] = {"component": name, "role": role, "section": edge["backend"], "servers": "-", "ready": 0, "asked": True}
        try:
            states = Edge(edge["socket"], edge["backend"], edge["state_file"], timeout=2.0).servers()
            row["servers"] = ", ".join(f"{server.name} {server.state}" for server in states.values()) or "none"
            row["ready"] = sum(server.state == "ready" for server in states.values())
        except EdgeError as error:
            row.update(asked=False, servers=str(error))
        things.append(row)
    return things


def where() -> dict[str, object]:
    """When and on which host."""
    return {"host": socket.gethostname(), "time": time.time(), "user": system.this_user()}
