# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is live, where: said after whatever went back, or did not. Pure: what the nodes answered in, text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.report.text import table
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.decision import answer_of


def live_text(results: Mapping[str, Mapping[str, Any]]) -> str:
    """A row for each component and node; empty where nothing was ever released.

    ``results`` maps a node to what Ansible returned for C(aistack status --json) there. A node that was not asked says nothing.
    Where the nodes of a component are not at the same release, or one is not known, what to do stands below.
    """
    rows = [["component", "node", "release", "slot", "config"]]
    unknown: list[str] = []
    silent: list[str] = []
    at: dict[str, dict[str, list[str]]] = {}
    for node, result in results.items():
        if not result or result.get("skipped"):
            continue
        answer = answer_of(result)
        if "silent" in answer:
            unknown.append(f"  not known of {node}: {answer['silent']}")
            silent.append(node)
        applications = answer.get("applications")
        for application in applications.values() if isinstance(applications, Mapping) else ():
            for component in application["components"]:
                live = component.get("live") or {}
                if live.get("release"):
                    at.setdefault(str(component["component"]), {}).setdefault(str(live["release"]), []).append(node)
                rows.append([component["component"], node, *(str(live.get(key) or "—") for key in ("release", "slot", "config"))])
    shown = [rows[0], *sorted(rows[1:])]
    lines = [f"  {line}" for line in table(shown)] if len(rows) > 1 else []
    return "\n".join(["", "Live now", *lines, *unknown, *_next(at, silent)]) if lines or unknown else ""


def schema_lines(migrated: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[str]:
    """Where the schemas stay that a run has moved before it failed: a line each.

    ``migrated`` maps a node to what C(alembic) returned there, and to what noted that the live release passed its gate on it.
    """
    lines: list[str] = []
    for result, proof in migrated.values():
        now, before = result.get("current") or [], result.get("from") or []
        if not result.get("changed") or result.get("failed") or sorted(now) == sorted(before):
            continue
        component = (result.get("noted") or {}).get("component") or "the application"
        proven = (proof.get("record") or {}).get("release")
        lines.append(
            f"  the schema of {component}'s database stays at {', '.join(now) or 'nothing'}, to which this run took it from "
            f"{', '.join(before) or 'nothing'}; {f'{proven} has passed its gate' if proven else 'no gate has proven what is live'} on it"
        )
    return lines


def _next(at: Mapping[str, Mapping[str, Sequence[str]]], silent: Sequence[str]) -> list[str]:
    """What to do where nodes differ, or are not known; nothing where all are at one release.

    Args:
        at: component to its releases, each with the nodes where it is live.
        silent: nodes that gave no answer.
    """
    apart = {name: of for name, of in at.items() if len(of) > 1}
    lines: list[str] = []
    for name, of in sorted(apart.items()):
        places = [f"{release} on {', '.join(sorted(nodes))}" for release, nodes in sorted(of.items())]
        lines.append(f"  {name} is not at one release: {'; '.join(places)}")
    if apart:
        lines.append("  next: deploy.yml -e release=TAG brings all of them to TAG, emergency_rollback.yml to one that all can be at")
    if silent:
        lines.append(f"  next: once {', '.join(silent)} answers, deploy.yml -e release=TAG with the release that is wanted changes what")
        lines.append("        has another one; `aistack status` says there what is live")
    return lines
