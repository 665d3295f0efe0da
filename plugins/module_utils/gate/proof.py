# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""By what a gate tells which release runs: by an answer that names it, by the process alone, or not at all. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.probe_spec import ProbeError
from ansible_collections.phasegate.aistack.plugins.module_utils.core.substitute import names_in
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.spec import normalise

ANSWER, PROCESS, NOTHING = "answer", "process", ""
SAYS: Mapping[str, str] = {
    PROCESS: 'that {who} {verb} this release is known of its process alone (unit, release), not of what it answers; an answer that '
             'names it proves more: json: {{version: "${{release}}"}}',
    NOTHING: 'no probe of {who} tells which release runs, so that another one would pass as well; add {{name: this release runs, unit: '
             '"${{unit}}", release: "${{release}}"}}, or expect ${{release}} in an answer',
}
"""What is weak about a gate, and what would make it strong."""

SENT = ("name", "target", "data", "headers")
"""Keys of a probe that say what is asked, not what is expected."""


def proof(gate: Iterable[Mapping[str, Any]], component: str) -> str:
    """By what a gate tells the release: :data:`ANSWER`, :data:`PROCESS` or :data:`NOTHING`. Probes that others ask judge no slot."""
    found = NOTHING
    for given in gate:
        try:
            probe = normalise(given, component)
        except ProbeError:
            continue  # named by the check of the stack's description
        expected = {key: value for key, value in probe.items() if key not in SENT or (key, probe["type"]) == ("target", "command")}
        if probe.get("from") or probe.get("severity") == "warning" or "release" not in names_in(expected):
            continue
        if probe["type"] != "unit":
            return ANSWER
        found = PROCESS
    return found


def weak(components: Mapping[str, Mapping[str, Any]], names: Iterable[str]) -> list[str]:
    """A sentence for those of the named components whose gate proves no release, and one for those of which it is a weak proof."""
    levels: dict[str, list[str]] = {}
    for name in names:
        levels.setdefault(proof(components[name].get("gate") or [], name), []).append(name)
    return [
        SAYS[level].format(who=", ".join(levels[level]), verb="runs" if len(levels[level]) == 1 else "run")
        for level in (NOTHING, PROCESS) if level in levels
    ]
