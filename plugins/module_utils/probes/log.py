# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The log of a unit holds a pattern, or does not, since the unit was started or for some time."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from ansible_collections.phasegate.aistack.plugins.module_utils.clients import journald
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context, excerpt
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe, units_meant


class Log(Probe):
    """Read the journal of one unit."""

    type = "log"
    target = Option("str", "name of the unit", required=True)
    options = {
        "present": Option("regex", "pattern that some line has to match"),
        "absent": Option("regex", "pattern that no line may match"),
        "since": Option("number", "seconds to look back; since the unit was started if left out"),
    }
    hint = "try: journalctl -u {target} -n 100"

    @staticmethod
    def check(spec: Mapping[str, object]) -> list[str]:
        return [] if spec.get("present") or spec.get("absent") else ["'log' needs present, absent, or both"]

    def expectation(self) -> str:
        parts = []
        if self.spec.get("present"):
            parts.append(f"a line matching {self.spec['present']}")
        if self.spec.get("absent"):
            parts.append(f"no line matching {self.spec['absent']}")
        return ", ".join(parts)

    def observe(self, context: Context) -> Attempt:
        unit = str(self.spec["target"])
        if self.spec.get("since") is not None:
            since: float | None = time.time() - float(self.spec["since"])
        else:
            since = context.since or journald.since_activation(journald.show(unit, context))
        lines = journald.lines(units_meant(unit, context.names), context, since)
        counted = f"{len(lines)} lines of {unit}"
        if self.spec.get("absent"):
            bad = [line for line in lines if re.search(self.spec["absent"], line)]
            if bad:
                shown = "\n".join(excerpt(line, 300) for line in bad[-5:])
                return Attempt(False, f"{len(bad)} of {counted} match {self.spec['absent']}", self.expectation(), shown)
        if self.spec.get("present") and not any(re.search(self.spec["present"], line) for line in lines):
            return Attempt(False, f"none of {counted} matches {self.spec['present']}", self.expectation())
        return Attempt(True, f"as expected in {counted}", self.expectation())
