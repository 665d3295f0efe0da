# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which probes of a slot do not count against it, because the live release is no better. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import Names, ProbeRow

Name = Literal["release_path", "config_path", "unit", "release", "port", "slot"]
NAMES: tuple[Name, ...] = ("release_path", "config_path", "unit", "release", "port", "slot")
"""What differs between two slots and may stand in what a probe got."""
_TIME = re.compile(r"\b\d+(?:\.\d+)?(?= ?(?:ms|s|seconds)\b)")
_PID = re.compile(r"\bpid \d+")
_LINES = re.compile(r"\b(?:\d+ of )?\d+(?= lines\b)")


@dataclass(frozen=True)
class Serving:
    """The live release, and how it answers the probes of somebody else.

    Attributes:
        slot: which; empty where none does.
        dead: why it cannot serve anybody, in words; empty where it runs.
        rows: of the gate that asked it, by the name of the probe.
        names: what stands for C(${release}), C(${port}) and so on there.
    """

    slot: str = ""
    dead: str = ""
    rows: Mapping[str, ProbeRow] = field(default_factory=dict)
    names: Names | None = None

    @property
    def unhealthy(self) -> bool:
        """Whether there is anything that can be waived because of it."""
        return bool(self.dead or failing(self.rows.values()))


def failing(rows: Iterable[ProbeRow]) -> list[ProbeRow]:
    """The critical probes that were judged and did not pass; what was not seen for long enough is not among them."""
    return [row for row in rows if row.get("severity", "critical") != "warning" and row.get("verdict") in ("fail", "error")]


def way(row: ProbeRow, names: Names, paths: bool = True) -> tuple[str, str]:
    """How a probe fails, without what is only the slot's own: its port, its release, how long it took, how much it wrote.

    Args:
        paths: whether a release stands for itself in an address as well: C(/api/v1/query) is none of v1.
    """
    text = " ".join(str(row.get("got", "")).split())
    known = [(str(names[name]), name) for name in NAMES if names.get(name) not in (None, "")]
    for value, name in sorted(known, key=lambda pair: -len(pair[0])):
        before = r"[\w.-]" if paths or name != "release" else r"[\w./-]"
        text = re.sub(rf"(?<!{before}){re.escape(value)}(?![\w-])", f"${{{name}}}", text)
    return str(row.get("verdict")), _LINES.sub("N", _PID.sub("pid N", _TIME.sub("N", text)))


def waived(rows: Sequence[ProbeRow], names: Names, serving: Serving) -> dict[str, str]:
    """The probes among *rows* that do not count, each with the sentence that says so.

    A probe does not count where it fails on the live release in the same way. Where nothing serves, anything that runs is better.

    Args:
        rows: how the slot answered.
        names: what stands for C(${release}) and so on in that slot.
        serving: how the live release answered the same probes.
    """
    found = {}
    for row in failing(rows):
        name = str(row["name"])
        sentence = f"{name}: expected {row.get('expected') or 'it to pass'}, got {row.get('got') or 'nothing'}"
        there = serving.rows.get(name)
        if serving.dead:
            found[name] = f"{sentence}; but {serving.dead}, so nothing served before"
        elif there is not None and any(way(row, names, paths) == way(there, serving.names or {}, paths) for paths in (True, False)):
            found[name] = f"{sentence}; it fails in the same way on {serving.slot}, which served before"
    return found
