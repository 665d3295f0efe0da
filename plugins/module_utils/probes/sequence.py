# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several probes one after another: what one answers is used by the next, and one may be asked until it holds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import CannotJudge, Context, NotAsExpected
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.core.substitute import MissingName, fill
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe

EVERY = 1.0
"""Seconds from one attempt of a step that is waited for to the next."""
WITHIN = 30.0
"""Seconds that such a step may take."""


class Sequence(Probe):
    """Run the steps in order; the first that does not hold ends it."""

    type = "sequence"
    target = Option("probes", "the steps: probes, in order; until: true asks one again within: seconds, every: seconds", required=True)
    hint = "look at the step that failed by itself"
    raw = True

    @staticmethod
    def check(spec: Mapping[str, Any]) -> list[str]:
        problems: list[str] = []
        for index, step in enumerate(spec["target"], 1):
            for key in ("within", "every"):
                if step.get(key) is not None and not step.get("until"):
                    problems.append(f"step {index}: {key} needs until: true")
            problems += [f"step {index}: '{key}' belongs to the sequence" for key in ("from", "from_all", "hosts") if step.get(key)]
        return problems

    @property
    def changes(self) -> bool:
        return True

    @property
    def default_timeout(self) -> float:
        return sum(_seconds(step) for step in self.spec["target"]) + 1.0

    def expectation(self) -> str:
        return "; then ".join(str(step["name"]) for step in self.spec["target"])

    def observe(self, context: Context) -> Attempt:
        names = {key: value for key, value in context.names.items() if value is not None}
        steps = self.spec["target"]
        seen: Attempt | None = None
        notes: list[str] = []
        for index, step in enumerate(steps, 1):
            label = f"step {index} of {len(steps)}, {step['name']}"
            began = time.monotonic()
            seen = self._step(step, names, context)
            if not seen.ok:
                got = f"{label}: {seen.got}"
                detail = "\n".join([*notes, seen.detail] if seen.detail else notes)
                return Attempt(False, got, seen.expected, detail, error=seen.error)
            names.update(seen.captured)
            notes.append(f"{label}: {seen.got} ({time.monotonic() - began:.1f} s)")
        return Attempt(True, f"{len(steps)} steps, the last: {seen.got if seen else ''}", self.expectation(), "\n".join(notes))

    def _step(self, step: Mapping[str, object], names: Mapping[str, object], context: Context) -> Attempt:
        try:
            probe = make(fill(step, names))
        except MissingName as missing:
            return Attempt(False, str(missing), "a value for each name", error=True)
        if not step.get("until"):
            return probe.run(context.within(probe.attempt_timeout))
        within = float(probe.spec.get("within") or WITHIN)
        end = time.monotonic() + within
        attempts = 0
        while True:
            attempts += 1
            left = end - time.monotonic()
            seen = probe.run(context.within(max(0.1, min(probe.attempt_timeout, left))))
            if seen.ok or seen.error:
                return seen
            if time.monotonic() + float(probe.spec.get("every") or EVERY) >= end:
                said = f"{seen.got} (asked {attempts} times in {within:g} s)"
                return Attempt(False, said, seen.expected, seen.detail, seen.latency_ms)
            pause = float(probe.spec.get("every") or EVERY)
            if pause >= context.remaining():
                raise NotAsExpected(f"{step['name']}: {seen.got}", seen.expected, seen.detail)
            time.sleep(pause)


def make(spec: Mapping[str, Any]) -> Probe:
    """The probe behind a canonical step."""
    from ansible_collections.phasegate.aistack.plugins.module_utils.probes import REGISTRY

    if spec["type"] not in REGISTRY:
        raise CannotJudge(f"unknown type '{spec['type']}'")
    return REGISTRY[spec["type"]](spec)


def _seconds(step: Mapping[str, object]) -> float:
    if step.get("until"):
        within = step.get("within", WITHIN)
        return float(within) if isinstance(within, (int, float)) else WITHIN
    return make(step).attempt_timeout
