# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Slots that were started and proven ahead of their turn: what of a plan may be done early, and who has done it.

Pure: plans and journal records in.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypedDict

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import plan as sp

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import Definition

OP = "prepare"
"""The journal's word for it. It is no switch: what is live is as before."""


class Prepared(TypedDict, total=False):
    """What a run has prepared, as the journal has it: the ``slot``, what is in it, and what tells its ``process`` from another."""

    slot: str
    release: str
    config: str
    process: str


def ahead(plan: sp.Plan) -> sp.Plan:
    """The steps of *plan* up to the gate on the slot's own port, where they touch no other slot; else none.

    They stop, write, start and gate the slot that does not serve, so that nothing of them is seen by users.
    """
    gate = sp.Step(sp.GATE, str(plan.slot))
    if gate not in plan.steps:
        return sp.Plan(plan.slot, ())
    steps = plan.steps[: plan.steps.index(gate) + 1]
    if any(step.slot != plan.slot or step.do in (sp.TO_READY, sp.LIVE) for step in steps):
        return sp.Plan(plan.slot, ())
    return sp.Plan(plan.slot, steps)


def prepared_by(records: Iterable[Record], component: str, run: str) -> Prepared | None:
    """What *run* has prepared of *component* and not switched to since."""
    found: Prepared | None = None
    for record in records:
        if record.get("component") != component or record.get("outcome") != "ok":
            continue
        if record.get("op") == OP:
            noted: Any = record.get("detail") or {}
            detail: Prepared = noted  # as :mod:`slots.prepare` notes it
            found = {"release": str(record.get("release")), **detail} if record.get("run") == run else None
        elif record.get("op") in ("activate", "revert", "retire"):
            found = None
    return found


def asked_once(definition: Definition) -> Definition:
    """*definition* of a gate, satisfied as soon as every probe has passed once."""
    return {**definition, "successes": 1, "min_healthy_time": 0, "start_period": 0}
