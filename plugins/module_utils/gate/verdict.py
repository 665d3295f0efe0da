# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When is a gate passed? Counting attempts, with nothing but numbers: no clock, no threads, no I/O.

Times are seconds since the gate began.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypedDict

PASS, FAIL, INCONCLUSIVE, ERROR = "pass", "fail", "inconclusive", "error"
SKIPPED, WAITING = "skipped", "waiting"
RECENT = 5
"""How many of the latest attempts are remembered, besides the first."""
SAME_TIMES, SAME_S = 3, 2.0
"""How often in a row, and for how many seconds, an answer that cannot change has to come before it ends a gate."""
OF_A_SLOT: Mapping[str, int] = {"interval": 1, "successes": 2, "failures": 0, "min_healthy_time": 2, "start_period": 0, "deadline": 60}
"""How a component's gate is judged where it does not say: more than once, and for a while. Those of :class:`Settings` ask once."""
_GRACE = 5.0
"""Seconds between two attempts, beyond what their interval and length explain, that break a healthy time."""


class Definition(TypedDict, total=False):
    """A gate, as a component has it and as it is kept for each of its releases: its probes, and what is said of :class:`Settings`.

    Attributes:
        probes: in short or canonical form; their options are those of their types.
        interval, min_healthy_time, deadline, start_period: seconds; ``successes``, ``failures``: counts.
    """

    probes: list[dict[str, Any]]
    interval: float | None
    successes: int | None
    failures: int | None
    min_healthy_time: float | None
    start_period: float | None
    deadline: float | None


class Names(TypedDict, total=False):
    """What stands for C(${name}) in the probes of a component on a node; ``missing`` says why there is nothing.

    Attributes:
        component, release, slot, unit: names; ``release_path``, ``config_path``: folders; ``port``: of the slot, or of the edge.
        instances: of the slot, by name, and ``units``, theirs, in the same order; the first are ``slot`` and ``unit``.
        own: whether that port is the slot's own.
        since: seconds since 1970 from which its log counts.
    """

    component: str | None
    release: str
    release_path: str
    config_path: str
    slot: str
    port: int | None
    unit: str
    instances: list[str]
    units: list[str]
    own: bool
    since: float | None
    missing: str
    judged_by: str


class History(TypedDict):
    """Attempts of a probe: how many, the first, the latest."""

    count: int
    first: dict[str, Any] | None
    last: list[dict[str, Any]]


class ProbeRow(TypedDict, total=False):
    """What a gate says of one probe; :class:`gate.engine.Gate` makes it, reports and journal show it.

    Attributes:
        name, component, type, severity: as the probe has them.
        verdict: C(pass), C(fail), C(inconclusive), C(error), C(skipped) or C(waiting).
        expected, got, detail: in words; ``where``: the host that asked.
        attempts, flaps, history: of them; ``latency_ms``: of the last; ``elapsed_s``: of the gate.
        answered: whether something answered at all.
        hint: what to do; ``log_unit``, ``log_tail``: the end of the log of what failed.
        judged_by: C(inventory) for one that does not count, with the release that is ``live``.
    """

    name: str
    component: str | None
    type: str
    severity: str
    verdict: str
    expected: str
    got: str
    where: str
    attempts: int
    latency_ms: float
    elapsed_s: float
    detail: str
    answered: bool
    flaps: int
    history: History
    hint: str
    log_unit: str
    log_tail: list[str]
    judged_by: str
    live: str


class SettingsError(ValueError):
    """Settings of a gate that make no sense."""


@dataclass(frozen=True)
class Settings:
    """How a gate judges.

    Attributes:
        interval: seconds from the start of one attempt to the start of the next.
        successes: consecutive passes that are needed.
        failures: consecutive failures that end the gate early; 0 waits for the deadline.
        min_healthy_time: seconds of passing without a break that are needed.
        start_period: seconds during which failures do not count against ``failures``.
        deadline: seconds for all of it; with 0 every probe gets one attempt.
    """

    interval: float = 1.0
    successes: int = 1
    failures: int = 0
    min_healthy_time: float = 0.0
    start_period: float = 0.0
    deadline: float = 10.0

    @classmethod
    def of(cls, given: Settings | Mapping[str, Any] | None) -> Settings:
        """Settings from a mapping; keys that are no settings are an error.

        Raises:
            SettingsError: an unknown key, or a value that is no number or too small.
        """
        if isinstance(given, Settings):
            return given
        known = {item.name for item in fields(cls)}
        values: dict[str, Any] = {}
        for key, value in (given or {}).items():
            if key not in known:
                raise SettingsError(f"unknown setting '{key}' of a gate; known: {', '.join(sorted(known))}")
            kind = int if key in ("successes", "failures") else float
            try:
                values[key] = kind(value)
            except (TypeError, ValueError):
                raise SettingsError(f"{key}: {value!r} is not a number") from None
            if values[key] < (1 if key == "successes" else 0):
                raise SettingsError(f"{key}: {value} is too small")
        if values.get("interval", 1.0) < 0.05:
            raise SettingsError("interval: at least 0.05 seconds")
        return cls(**values)


@dataclass
class Tally:
    """What has been seen of one probe.

    Attributes:
        once: the probe changes something, so one pass is enough and it is not asked again after it.
        passes, fails: consecutive ones, up to now; at most one of them is not 0.
        healthy_since: when the first of the consecutive passes ended.
        settled: ``error`` or ``fail`` when there is no point in asking again, ``skipped``, or empty.
        flaps: how often it failed after it had passed.
        same, same_since: how often in a row, and since when, it was answered in the same way with what cannot change any more.
        first, recent: attempts, as ``{attempt, at, ok, got, latency_ms}``.
    """

    once: bool = False
    attempts: int = 0
    passes: int = 0
    fails: int = 0
    healthy_since: float | None = None
    last_at: float | None = None
    settled: str = ""
    flaps: int = 0
    same: int = 0
    same_since: float = 0.0
    first: dict[str, Any] | None = None
    recent: list[dict[str, Any]] = field(default_factory=list)
    last: dict[str, Any] = field(default_factory=dict)

    def add(self, settings: Settings, began: float, ended: float, attempt: Mapping[str, Any]) -> None:
        """Count one attempt. ``attempt`` has ``ok``, ``error``, ``expected``, ``got``, ``detail`` and ``latency_ms``; ``final`` where
        the same process can never answer otherwise.
        """
        if self.settled:
            return
        again = bool(attempt.get("final")) and bool(self.same) and attempt["got"] == self.last.get("got")
        self.same = self.same + 1 if again else int(bool(attempt.get("final")))
        self.same_since = self.same_since if again else ended
        self.attempts += 1
        self.last = dict(attempt)
        entry = {
            "attempt": self.attempts,
            "at": round(began, 2),
            "ok": bool(attempt["ok"]),
            "got": str(attempt["got"])[:200],
            "latency_ms": attempt["latency_ms"],
        }
        self.first = self.first or entry
        self.recent = [*self.recent, entry][-RECENT:]
        gap = began - self.last_at if self.last_at is not None else 0.0
        self.last_at = ended
        if attempt["ok"]:
            if self.healthy_since is None or gap > settings.interval * 3 + _GRACE:
                self.healthy_since, self.passes = ended, 0
            self.passes += 1
            self.fails = 0
            return
        self.flaps += 1 if self.passes else 0
        self.passes, self.healthy_since = 0, None
        self.fails = self.fails + 1 if began >= settings.start_period else 0
        if attempt.get("error"):
            self.settled = ERROR
        elif (settings.failures and self.fails >= settings.failures) or (self.same >= SAME_TIMES and ended - self.same_since >= SAME_S):
            self.settled = FAIL

    def satisfied(self, settings: Settings, now: float) -> bool:
        """Whether as much has been seen as the settings ask for."""
        if self.settled or not self.passes or self.healthy_since is None or self.last_at is None:
            return False
        if self.once:
            return True
        return self.passes >= settings.successes and self.last_at - self.healthy_since >= settings.min_healthy_time

    def verdict(self, settings: Settings, now: float) -> str:
        """What to say when the gate ends now."""
        if self.settled:
            return self.settled
        if self.satisfied(settings, now):
            return PASS
        return FAIL if self.attempts and not self.passes else INCONCLUSIVE

    def to_dict(self) -> dict[str, object]:
        """All of it, for the next slice of the same gate."""
        return asdict(self)

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Tally:
        """What an earlier slice saw."""
        known = {item.name for item in fields(cls)}
        return cls(**{key: value for key, value in saved.items() if key in known})


def joint(verdicts: Iterable[tuple[str, str]]) -> str:
    """The verdict of a gate from ``(verdict, severity)`` of its probes.

    A probe of severity ``warning`` never fails the gate. ``skipped`` where nothing at all was judged, ``pass`` where
    there was nothing to judge.
    """
    pairs = list(verdicts)
    counted = [verdict for verdict, severity in pairs if severity != "warning"]
    for verdict in (FAIL, ERROR, INCONCLUSIVE):
        if verdict in counted:
            return verdict
    if pairs and all(verdict == SKIPPED for verdict, _severity in pairs):
        return SKIPPED
    return PASS
