# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked of the slots of a component, by whom, and how it ends."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import Served
from ansible_collections.phasegate.aistack.plugins.module_utils.release.content import Content
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.plan import Plan

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import ProbeRow


class Log(Protocol):
    """What is needed of the journal."""

    def read(self) -> list[Record]: ...

    def mark(self, component: str, release: str, state: str, reason: str, run: str, actor: str) -> Record: ...

    def operation(
        self, op: str, component: str | None, release: str | None, run: str, actor: str, detail: Mapping[str, object] | None
    ) -> AbstractContextManager[Any]: ...


class StillLive(TypedDict):
    """What serves as before, and in which slot."""

    release: str
    slot: str | None


class Report(TypedDict, total=False):
    """How a step failed, and what came of it: the module returns it, the journal keeps it without the log.

    Attributes:
        probe, expected, got, attempts, answered: of the probe that did not pass, see :class:`slots.node.Unmet`.
        verdict: of the gate; ``log_tail``: the slot's last lines.
        still_serving: None where nothing does; ``went_back``: the steps back; ``going_back_failed``: why these failed.
        fix_gate: what to do where the gate is to blame; ``marked_bad``: whether the release is marked now.
    """

    probe: str | None
    expected: str | None
    got: str | None
    attempts: int | None
    answered: bool | None
    verdict: str
    log_tail: list[str]
    still_serving: StillLive | None
    went_back: list[str]
    going_back_failed: str
    fix_gate: str
    marked_bad: bool


NOTED = 300
"""Characters that are noted of what a probe expected and got."""


def noted(row: ProbeRow) -> dict[str, object]:
    """What the journal keeps of a probe."""
    told = {key: row[key] for key in ("name", "severity", "verdict", "expected", "got", "attempts", "latency_ms") if key in row}
    return {key: value[:NOTED] if isinstance(value, str) else value for key, value in told.items()}


class Refused(Exception):
    """Not done, and nothing was touched; the message says why and what to do."""


class Failed(Exception):
    """Tried, and gone back as far as possible.

    Attributes:
        report: ``probe``, ``expected``, ``got``, ``attempts``, ``log_tail``, ``still_serving``, ``went_back``.
    """

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report


class Terminated(BaseException):
    """A signal asked this process to end."""


@dataclass
class Request:
    """Who asks, and how far they may go.

    Attributes:
        allow_bad: activate a release although it is marked bad.
        mark_good: mark a release good whose gate held.
        mark_bad: mark a release bad that did not pass its gate, or was taken back.
        reason: why; written to the journal where something is taken back.
    """

    run: str = ""
    actor: str = ""
    allow_bad: bool = False
    mark_good: bool = True
    mark_bad: bool = True
    reason: str = ""
    check: bool = False


@dataclass
class Outcome:
    """How an operation ended; the shape that the module returns."""

    changed: bool
    slot: str | None
    content: Content | None
    previous: Served | None
    plan: Plan
    message: str = ""
    warnings: list[str] = field(default_factory=list)
    warm_until: str | None = None
    timings: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "changed": self.changed,
            "slot": self.slot,
            "release": self.content.release if self.content else None,
            "config": self.content.config if self.content else None,
            "previous": self.previous,
            "steps": [str(step) for step in self.plan.steps],
            "timings": self.timings,
            "warm_until": self.warm_until,
            "msg": self.message,
        }
