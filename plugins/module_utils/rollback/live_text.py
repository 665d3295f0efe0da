# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is live, where: said after whatever went back, or did not. Pure: what the nodes answered in, text out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.report.text import table
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.decision import answer_of


def live_text(results: Mapping[str, Mapping[str, Any]]) -> str:
    """A row for each component and node; empty where nothing was ever released.

    ``results`` maps a node to what Ansible returned for C(aistack status --json) there. A node that was not asked says nothing.
    """
    rows = [["component", "node", "release", "slot", "config"]]
    unknown: list[str] = []
    for node, result in results.items():
        if not result or result.get("skipped"):
            continue
        answer = answer_of(result)
        if "silent" in answer:
            unknown.append(f"  not known of {node}: {answer['silent']}")
        applications = answer.get("applications")
        for application in applications.values() if isinstance(applications, Mapping) else ():
            for component in application["components"]:
                live = component.get("live") or {}
                rows.append([component["component"], node, *(str(live.get(key) or "—") for key in ("release", "slot", "config"))])
    shown = [rows[0], *sorted(rows[1:])]
    lines = [f"  {line}" for line in table(shown)] if len(rows) > 1 else []
    return "\n".join(["", "Live now", *lines, *unknown]) if lines or unknown else ""
