# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How this node is: what is live, what stands behind it, where it can go back to, what was begun and never ended."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.haproxy import EdgeError
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import Systemd
from ansible_collections.phasegate.aistack.plugins.module_utils.edge.haproxy import Edge
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.cached import QuickJournal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lease, Lock, describe
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import interrupted
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import state as rollback_state
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.deadman import pending
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.plan import candidates, common_target
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.view import observe as observe_node

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record
    from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import LiveLinks
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.contract import Component, LastRollback
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.deadman import Armed
    from ansible_collections.phasegate.aistack.plugins.module_utils.slots.component_file import EdgeFile


class SlotStatus(TypedDict, total=False):
    """A slot: what it holds, whether it runs, which of its instances are ``idle`` then, and its state at the ``edge`` where one stands
    before it."""

    release: str | None
    config: str | None
    running: bool | None
    pid: int | None
    idle: list[str]
    edge: str


class Had(TypedDict):
    """A config that a release was live with, since when (UTC, ISO 8601)."""

    release: str | None
    config: str | None
    time: str


class ComponentStatus(TypedDict):
    """One component; keys as in :class:`rollback.contract.Component`, ``mark`` is what was said of what is live, ``since`` its switch,
    ``instances`` how many processes a slot has."""

    component: str
    live: LiveLinks | None
    mark: str | None
    since: str | None
    slots: dict[str, SlotStatus]
    instances: int
    candidates: list[str]
    bad: dict[str, str]
    staged: list[str]
    configs: list[Had]


class Application(TypedDict):
    """The components that are released together, and the release that they would go ``back_to``."""

    components: list[ComponentStatus]
    back_to: str | None


class LockStatus(Lease, total=False):
    """The lease, and in ``text`` who has it, for people."""

    text: str


class Status(TypedDict):
    """What C(aistack status) answers.

    Attributes:
        node, stack, root, state_dir: where.
        applications: by name, empty for components without one.
        lock: None where nobody has it.
        pending: what waits for a confirmation; ``interrupted``: what was begun and has no end.
        last_rollback, last: the newest rollback that ended, the newest record.
        problems: sentences about what could not be seen.
    """

    node: str
    stack: str
    root: str
    state_dir: str
    applications: dict[str, Application]
    lock: LockStatus | None
    pending: list[Armed]
    interrupted: list[dict[str, Any]]
    last_rollback: LastRollback | None
    last: Record | None
    problems: list[str]


def observe(state_dir: Path, stack: str, root: str, systemd: Systemd | None = None) -> Status:
    """All of it as plain data. What cannot be asked is said under ``problems``."""
    journal = QuickJournal.of(state_dir)
    view = observe_node(state_dir, stack, systemd=systemd, ask=False, journal=journal)
    problems = list(view["problems"])
    records = journal.read()
    lease = Lock(state_dir).holder()
    applications: dict[str, list[ComponentStatus]] = {}
    for name, component in rollback_state.members(view, None):
        application = str(component["description"].get("application") or "")
        applications.setdefault(application, []).append(_component(name, component, problems))
    return {
        "node": view["node"],
        "stack": stack,
        "root": root,
        "state_dir": str(state_dir),
        "applications": {
            name: {"components": rows, "back_to": common_target(candidates(view, name or None))}
            for name, rows in applications.items()
        },
        "lock": {**lease, "text": describe(lease)} if lease else None,
        "pending": pending(state_dir),
        "interrupted": [asdict(item) for item in interrupted(records) if not lease or item.run != lease.get("run")],
        "last_rollback": view["last_rollback"],
        "last": records[-1] if records else None,
        "problems": problems,
    }


def _component(name: str, component: Component, problems: list[str]) -> ComponentStatus:
    live = component.get("live")
    slots: dict[str, SlotStatus] = {}
    for slot, found in (component.get("slots") or {}).items():
        slots[slot] = {"release": found["release"], "config": found["config"], "running": found["running"], "pid": found["pid"],
                       "idle": found.get("idle") or []}
    for slot, state in _edge(name, component["description"].get("edge"), problems).items():
        slots.setdefault(slot, {"release": None, "config": None, "running": False})["edge"] = state
    marks, release = component.get("marks") or {}, live["release"] if live else None
    return {
        "component": name,
        "live": live or None,
        "mark": marks.get(str(release)) if release else None,
        "since": next((record["time"] for record in reversed(component["history"]) if record["release"] == release), None),
        "slots": slots,
        "instances": int(component["description"].get("instances") or 1),
        "candidates": component.get("candidates") or [],
        "bad": component.get("bad") or {},
        "staged": component.get("staged") or [],
        "configs": [
            {"release": record["release"], "config": record["config"], "time": record["time"]}
            for record in component["history"][-10:]
        ],
    }


def _edge(name: str, described: EdgeFile | None, problems: list[str]) -> dict[str, str]:
    """State of each slot at the edge."""
    if not described:
        return {}
    try:
        servers = Edge(described["socket"], described["backend"], described["state_file"], timeout=2.0).servers()
    except EdgeError as error:
        problems.append(f"{name}: {error}")
        return {}
    return {server.name: server.state for server in servers.values()}
