# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gate, asked about one slot."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.probe_spec import ProbeError
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.engine import run_gate
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import Definition, Names, ProbeRow, SettingsError
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.node import Judged

_STANDING = 3.0
"""Seconds that a slot without any probe and without a port has to stay up."""
_LISTENS = {"name": "listens", "type": "tcp", "target": "127.0.0.1:${port}", "severity": "critical"}


class SlotGate:
    """Judges a slot by :func:`run_gate`.

    Attributes:
        evidence: ``verdict``, ``summary`` and ``probes`` of the first gate of this call; what the others said in one line
            each under ``then``. Empty before the first.
    """

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        self.evidence: dict[str, Any] = {}
        self._sleep = sleep

    def __call__(self, definition: Definition, context: Names, trouble: Callable[[], str]) -> Judged:
        """Run the probes of *definition* with the names of *context*."""
        component = str(context["component"])
        probes = [{**probe, "component": component} for probe in definition.get("probes") or []]
        if not probes and context.get("port") is not None:
            probes = [{**_LISTENS, "component": component}]
        if not probes:
            return self._standing(definition, trouble)
        settings = {key: value for key, value in definition.items() if key != "probes"}
        why = ""

        def listen() -> str:
            nonlocal why
            why = trouble()
            return why

        try:
            result = run_gate(probes, settings, {component: context}, trouble=listen)
        except (ProbeError, SettingsError) as error:
            return self._keep(Judged("error", {"probe": "the gate itself", "expected": "a gate that makes sense", "got": str(error)}))
        why = why or (trouble() if result.verdict == "pass" else "")
        problem = result.problem
        if why and not problem:  # something answered, but it cannot have been this slot
            problem = {"name": "unit", "expected": "the unit runs", "got": why, "attempts": 1}
        judged = Judged(
            "fail" if why and result.verdict == "pass" else result.verdict,
            {
                "probe": problem.get("name"),
                "expected": problem.get("expected"),
                "got": "; ".join(dict.fromkeys(text for text in (str(problem.get("got", "")), why) if text)),
                "attempts": problem.get("attempts", 0),
                "answered": bool(problem.get("answered")) and not why,
            }
            if problem
            else {},
            result.summary,
            result.probes,
        )
        return self._keep(judged, result.probes)

    def _standing(self, definition: Definition, trouble: Callable[[], str]) -> Judged:
        """A slot of which nothing can be asked has to stay up for a while."""
        end = time.monotonic() + max(_STANDING, float(definition.get("min_healthy_time") or 0))
        while time.monotonic() < end:
            why = trouble()
            if why:
                return self._keep(Judged("fail", {"probe": "unit", "expected": "the unit stays up", "got": why, "attempts": 1}, why))
            self._sleep(0.25)
        return self._keep(Judged("pass", {}, "no probes; the unit stayed up"))

    def _keep(self, judged: Judged, rows: Sequence[ProbeRow] = ()) -> Judged:
        if self.evidence:
            self.evidence["then"].append(f"{judged.verdict}: {judged.summary}")
            return judged
        told = ("name", "verdict", "expected", "got", "attempts", "latency_ms")
        probes = [{key: row.get(key) for key in told} for row in rows]
        self.evidence = {"verdict": judged.verdict, "summary": judged.summary, "probes": probes, "then": []}
        return judged
