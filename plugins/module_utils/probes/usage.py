# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The node is not used up: its processors over a moment, its memory, its swap."""

from __future__ import annotations

import time
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import CannotJudge, Context
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import check, describe
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe, at_most, judge

KINDS = ("cpu", "memory", "swap")
PROC = Path("/proc")


def cpu_times(text: str) -> tuple[int, int]:
    """Ticks in which the processors worked, and all ticks, since boot; out of ``/proc/stat``."""
    ticks = [int(word) for word in text.splitlines()[0].split()[1:9]]
    idle = ticks[3] + ticks[4]
    return sum(ticks) - idle, sum(ticks)


def memory_percent(text: str, kind: str) -> float:
    """Share of memory (what the kernel cannot give away) or swap in use, out of ``/proc/meminfo``; no swap counts as 0."""
    values = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines() if ":" in line}
    total, free = ("MemTotal", "MemAvailable") if kind == "memory" else ("SwapTotal", "SwapFree")
    return 100 * (1 - values[free] / values[total]) if values.get(total) else 0.0


class Usage(Probe):
    """Measure as ``top`` does: processors over half a second, memory at once."""

    type = "usage"
    target = Option("str", "cpu, memory or swap", required=True, choices=KINDS)
    options = {
        "percent": Option("figure", "share in use; a number means at most", required=True),
        "over": Option("number", "seconds over which processors are watched", default=0.5),
    }
    hint = "try: top -b -n 1 | head -n 15"

    def _limit(self) -> object:
        return at_most(self.spec["percent"])

    def expectation(self) -> str:
        return f"{self.spec['target']} in use: {describe(self._limit())} %"

    def observe(self, context: Context) -> Attempt:
        kind = str(self.spec["target"])
        try:
            percent = self._cpu(context) if kind == "cpu" else memory_percent((PROC / "meminfo").read_text(encoding="ascii"), kind)
        except (OSError, KeyError, IndexError, ValueError) as error:
            raise CannotJudge(f"this node does not tell how much of its {kind} is in use: {error}") from error
        percent = round(percent, 1)
        return judge(check(self._limit(), percent, kind), self.expectation(), f"{percent} %")

    def _cpu(self, context: Context) -> float:
        worked, all_ticks = cpu_times((PROC / "stat").read_text(encoding="ascii"))
        time.sleep(min(float(self.spec.get("over", 0.5)), max(0.0, context.remaining() - 0.1)))
        worked_then, all_then = cpu_times((PROC / "stat").read_text(encoding="ascii"))
        return 100 * (worked_then - worked) / max(1, all_then - all_ticks)
