# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the receipts and answers of all hosts say of a phase: which of its components have something to do, and what is not proven."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def recently_proven(proven: Mapping[str, float], seconds: float = 30) -> list[str]:
    """The components whose gates passed at most ``seconds`` ago; ``proven`` maps a component to that time (seconds since 1970)."""
    now = time.time()
    return [component for component, then in proven.items() if 0 <= now - float(then) <= float(seconds)]


def unproven(probes: Iterable[Mapping[str, Any]], gates: Mapping[str, Any]) -> list[str]:
    """Names of the critical probes that did not pass, or that nobody was asked about: of those that are wanted, and of the gates that
    the live releases of their components were activated with.

    ``gates`` maps a host to the result of ``gate`` there.
    """
    wanted = {(str(probe.get("component") or ""), str(probe["name"])) for probe in probes if probe.get("severity") != "warning"}
    rows = [
        ((str(row.get("component") or ""), str(row["name"])), row.get("verdict") in ("pass", "skipped") or row.get("severity") == "warning")
        for result in gates.values() for row in result.get("probes", [])
    ]
    failed = {key for key, passed in rows if not passed}
    answered = {key for key, _passed in rows}
    asked_about = {component for component, _name in wanted if component}
    own = {name for component, name in failed if component in asked_about}
    # a release with a gate of its own is not asked everything that is wanted
    known = [pair for result in gates.values() for pair in (result.get("contexts") or {}).items()]
    judged = {component for component, names in known if names.get("judged_by")}
    silent = {name for component, name in wanted if (component, name) not in answered and component not in judged}
    return sorted(own | silent | {name for component, name in wanted if (component, name) in failed})


def absent_components(names: Iterable[str], components: Mapping[str, Any], groups: Mapping[str, Sequence[str]],
                      receipts: Mapping[str, Any]) -> list[str]:
    """The components that none of their hosts was ever converged for; ``receipts`` maps a host to the result of ``receipt``."""
    return [name for name in names if not any(
        receipts.get(host, {}).get("components", {}).get(name, {}).get("known", True) for host in groups.get(components[name]["hosts"], [])
    )]


def stale_components(names: Iterable[str], components: Mapping[str, Any], groups: Mapping[str, Sequence[str]],
                     receipts: Mapping[str, Any], gates: Mapping[str, Any]) -> list[str]:
    """The components that have something to do.

    ``receipts`` and ``gates`` map a host to the result of ``receipt`` and of ``gate``. A component is fresh only
    where each of its hosts holds a fresh receipt and each of its probes passes, wherever the probe ran.
    """
    stale: list[str] = []
    for name in names:
        fresh = all(
            receipts.get(host, {}).get("components", {}).get(name, {}).get("fresh", False)
            for host in groups.get(components[name]["hosts"], [])
        )
        healthy = all(
            probe.get("verdict") in ("pass", "skipped") or probe.get("severity") == "warning"
            for result in gates.values()
            for probe in result.get("probes", [])
            if probe.get("component") == name
        )
        if not (fresh and healthy):
            stale.append(name)
    return stale
