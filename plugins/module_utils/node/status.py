# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How this node is: what is live, what stands behind it, where it can go back to, what was begun and never ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.haproxy import EdgeError
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import Systemd
from ansible_collections.phasegate.aistack.plugins.module_utils.edge.haproxy import Edge
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.cached import QuickJournal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lock, describe
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import interrupted
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import state as rollback_state
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.deadman import pending
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.plan import candidates, common_target
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.view import observe as observe_node


def observe(state_dir: Path, stack: str, root: str, systemd: Systemd | None = None) -> dict[str, Any]:
    """All of it as plain data. What cannot be asked is said under ``problems``."""
    journal = QuickJournal.of(state_dir)
    view = observe_node(state_dir, stack, systemd=systemd, ask=False, journal=journal)
    problems = list(view["problems"])
    records = journal.read()
    lease = Lock(state_dir).holder()
    applications: dict[str, list[dict[str, Any]]] = {}
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


def _component(name: str, component: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    live = component.get("live") or {}
    slots = {slot: dict(found) for slot, found in (component.get("slots") or {}).items()}
    for slot, state in _edge(name, component["description"].get("edge"), problems).items():
        slots.setdefault(slot, {"release": None, "config": None, "running": False})["edge"] = state
    marks, release = component.get("marks") or {}, live.get("release")
    return {
        "component": name,
        "live": live or None,
        "mark": marks.get(str(release)) if release else None,
        "since": next((record["time"] for record in reversed(component["history"]) if record["release"] == release), None),
        "slots": slots,
        "candidates": component.get("candidates") or [],
        "bad": component.get("bad") or {},
        "staged": component.get("staged") or [],
        "configs": [
            {"release": record["release"], "config": record["config"], "time": record["time"]}
            for record in component["history"][-10:]
        ],
    }


def _edge(name: str, described: Mapping[str, Any] | None, problems: list[str]) -> dict[str, str]:
    """State of each slot at the edge."""
    if not described:
        return {}
    try:
        servers = Edge(described["socket"], described["backend"], described["state_file"], timeout=2.0).servers()
    except EdgeError as error:
        problems.append(f"{name}: {error}")
        return {}
    return {server.name: server.state for server in servers.values()}
