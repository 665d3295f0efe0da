# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judging figures over a window: readings in, verdict out. No clock, no I/O.

Times are seconds on one clock of the node. A *reading* is one observation of a source, a *measurement* is the judgement of the readings
of one window, a *tally* counts measurements. Too small a sample is inconclusive, and no data at all can never pass.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import at, check, describe, show
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.trigger import MEASURES
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import ERROR, FAIL, INCONCLUSIVE, PASS

_SHOWN = 80
"""Characters of a query that stand for it where it has no name."""


@dataclass(frozen=True)
class Reading:
    """One look at a source.

    Attributes:
        at: when.
        process: which process answered, where the source tells; counters belong to it. Empty where it does not.
        since: when that process started, on the same clock; None where the source does not tell.
        values: name to value; a counter that nobody has counted yet is not there. Buckets of a histogram are
            ``<name>|<upper bound>``.
        unknown: names that the source does not have at all.
        series: what a server of figures answered, as :func:`gate.series.joined` puts it together.
    """

    at: float
    process: str = ""
    since: float | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    series: Sequence[Mapping[str, Any]] = ()

    def to_dict(self) -> dict[str, object]:
        """For the next slice."""
        return {"at": self.at, "process": self.process, "since": self.since, "values": dict(self.values), "unknown": list(self.unknown),
                "series": list(self.series)}

    @classmethod
    def of(cls, saved: Mapping[str, Any]) -> Reading:
        """What :meth:`to_dict` gave."""
        return cls(saved["at"], saved["process"], saved["since"], saved["values"], tuple(saved["unknown"]), tuple(saved["series"]))


@dataclass(frozen=True)
class Figure:
    """What a window holds: its value, or ``why`` there is none, and the sample that it stands on.

    Attributes:
        text: the value for people, with what it was made of.
        floor: the value is known to be above this, and no more.
    """

    value: float | None
    sample: float
    text: str
    why: str = ""
    floor: bool = False


@dataclass(frozen=True)
class Measurement:
    """One judgement.

    Attributes:
        where: nodes that it is about, where it is about others than the one that looks.
    """

    verdict: str
    got: str
    expected: str
    value: float | None = None
    sample: float = 0.0
    where: str = ""

    def to_dict(self) -> dict[str, object]:
        """For results and for the next slice."""
        return asdict(self)


def in_window(readings: Sequence[Reading], now: float, window: float, slack: float) -> list[Reading]:
    """The readings of the window that ends now; empty while it is not full yet.

    The first one is the newest that lies at least ``window`` back, or up to ``slack`` seconds less: looks are never exactly on time.
    """
    starts = [index for index, reading in enumerate(readings) if reading.at <= now - window + slack]
    return list(readings[starts[-1] :]) if starts and len(readings) - starts[-1] > 1 else []


def increase(readings: Sequence[Reading], name: str) -> float:
    """By how much a counter grew, over restarts and over changes of the process that answers.

    Within a process a counter never falls. A process that started within the window counts from nought, one that is older from where
    it was first seen. Where the source does not name its process, a counter that fell was started again, from nought.
    """
    total = 0.0
    last: dict[str, float] = {}
    for reading in readings:
        before = last.get(reading.process)
        now = reading.values.get(name, before or 0.0)
        if before is not None:
            total += now - before if now >= before else now
        elif reading is not readings[0] and reading.since is not None and reading.since >= readings[0].at:
            total += now
        last[reading.process] = now
    return total


def measure(condition: Mapping[str, Any], readings: Sequence[Reading]) -> Figure:
    """The figure of a condition in a window that is full."""
    missing = sorted(set.intersection(*(set(reading.unknown) for reading in readings)))
    if missing:
        return Figure(None, 0.0, "", f"the source has nothing called {' or '.join(missing)}")
    kind = next((key for key in MEASURES if key in condition), "gauge")
    if kind == "ratio":
        return _ratio(condition["ratio"], readings)
    if kind == "rate":
        span = readings[-1].at - readings[0].at
        value = increase(readings, condition["rate"]) / span if span > 0 else None
        return Figure(value, len(readings), "" if value is None else f"{value:.4g} a second")
    if kind == "quantile":
        return _quantile(condition["quantile"][0], condition["quantile"][1], readings)
    return _gauge(str(condition.get("gauge", condition.get("target", ""))), str(condition.get("over", "mean")), readings)


def _ratio(names: Sequence[str], readings: Sequence[Reading]) -> Figure:
    above, below = (increase(readings, name) for name in names)
    if below <= 0:
        return Figure(None, 0.0, "", f"{names[1]} did not grow")
    return Figure(above / below, below, f"{above / below:.4g} ({above:.6g} of {below:.6g})")


def _gauge(name: str, over: str, readings: Sequence[Reading]) -> Figure:
    values = [reading.values[name] for reading in readings if name in reading.values]
    if not values:
        return Figure(None, 0.0, "", f"no value of {name}")
    found = {"mean": math.fsum(values) / len(values), "max": max(values), "min": min(values), "last": values[-1]}[over]
    return Figure(found, len(values), f"{found:.4g} ({over} of {len(values)})")


def _quantile(share: float, name: str, readings: Sequence[Reading]) -> Figure:
    """As Prometheus' ``histogram_quantile``: values are taken to lie evenly within a bucket; the lowest one begins at nought."""
    keys = {key for reading in readings for key in reading.values if key.startswith(f"{name}|")}
    bounds = sorted((float(key.rpartition("|")[2]), increase(readings, key)) for key in keys)
    if not bounds or not math.isinf(bounds[-1][0]):
        return Figure(None, 0.0, "", f"{name} has no buckets up to +Inf")
    count = bounds[-1][1]
    if count <= 0:
        return Figure(None, 0.0, "", f"{name} did not grow")
    rank, floor, seen = share * count, 0.0, 0.0
    for bound, counted in bounds:
        if counted >= rank:
            if math.isinf(bound):
                return Figure(floor, count, f"above {floor:.4g}, the largest bucket ({count:.6g} counted)", floor=True)
            value = floor + (bound - floor) * (rank - seen) / (counted - seen) if counted > seen else bound
            return Figure(value, count, f"{value:.4g} ({count:.6g} counted)")
        floor, seen = (bound, counted)
    raise AssertionError("the last bucket holds everything")  # its count is the largest, and rank is below it


def limit(rule: Any) -> Any:
    """An expected value; a plain number means at most."""
    return {"le": rule} if isinstance(rule, (int, float)) and not isinstance(rule, bool) else rule


def figure_name(condition: Mapping[str, Any]) -> str:
    """What the figure of a condition is called, for people."""
    if condition["source"] == "prometheus":
        return str(condition.get("figure") or show(condition["query"], _SHOWN))
    if condition["source"] == "node":
        return f"{condition['target']} in use, %"
    if "ratio" in condition:
        return " / ".join(condition["ratio"])
    if "quantile" in condition:
        return f"quantile {condition['quantile'][0]} of {condition['quantile'][1]}"
    return str(condition.get("rate") or condition.get("gauge"))


def expectation(condition: Mapping[str, Any]) -> str:
    """What a condition expects, for people."""
    what = figure_name(condition)
    if "times" in condition:
        return at(what, f"{describe(limit(condition['times']))} times {_compared_with(condition)}")
    return at(what, describe(limit(condition["value"])))


def _compared_with(condition: Mapping[str, Any]) -> str:
    if "offset" in condition:
        return f"what it was {float(condition['offset']) / 3600:.4g} h before"
    return "that of the other slot" if "slot" in condition and "baseline" not in condition else "its baseline"


def judge(
    condition: Mapping[str, Any], readings: Sequence[Reading], baseline: Mapping[str, Any] | None = None, clock: float = 0.0
) -> Measurement:
    """The verdict over one window that is full.

    Args:
        condition: canonical.
        readings: those of the window.
        baseline: what :func:`new_baseline` made, or ``{"problem": text}``; None where none was recorded.
        clock: seconds since 1970, against which the baseline's age is told.
    """
    figure = measure(condition, readings)
    if "times" not in condition:
        return compare(condition, figure)
    problem = baseline_problem(condition, baseline, clock)
    return compare(condition, figure, 0.0 if problem or not baseline else float(baseline["value"]), problem)


def compare(condition: Mapping[str, Any], figure: Figure, base: float = 0.0, problem: str = "") -> Measurement:
    """The verdict over one figure.

    Args:
        base: what C(times) is a multiple of.
        problem: why there is no such thing; empty where there is.
    """
    expected = expectation(condition)

    def inconclusive(got: str) -> Measurement:
        return Measurement(INCONCLUSIVE, got, expected, figure.value, figure.sample)

    least = float(condition["min_sample"])
    if figure.value is None or figure.sample < least:
        why = f": {figure.why}" if figure.why else ""
        return inconclusive(f"too few to judge: saw {figure.sample:.6g}, at least {least:.6g} are needed{why}")
    value, said = figure.value, figure.text
    if "times" in condition:
        if problem:
            return inconclusive(f"{problem}; now {said}")
        value /= base
        said = f"{value:.4g} times its baseline {base:.4g}: now {said}"
    rule = limit(condition["times"] if "times" in condition else condition["value"])
    held = not check(rule, value)
    if figure.floor and held != (not check(rule, math.inf)):
        return inconclusive(f"{said}: finer buckets are needed to judge by {describe(rule)}")
    return Measurement(PASS if held else FAIL, said, expected, figure.value, figure.sample)


def _asked(condition: Mapping[str, Any]) -> dict[str, object]:
    """What makes two figures the same figure."""
    return {key: condition[key] for key in ("source", "target", "server", *MEASURES, "over") if key in condition}


def new_baseline(
    condition: Mapping[str, Any], readings: Sequence[Reading], clock: float, release: str
) -> tuple[dict[str, object], Measurement]:
    """What is to be kept of a window, and the verdict: ``pass`` where it is large enough."""
    figure, least = measure(condition, readings), float(condition["baseline_sample"])
    expected = f"a baseline of at least {least:.6g}"
    if figure.value is None or figure.sample < least or figure.floor or figure.value <= 0:
        why = figure.why or (f"{figure.text}: nothing can be a multiple of it" if figure.sample >= least else "")
        said = f"no baseline: saw {figure.sample:.6g}" + (f": {why}" if why else "")
        return {}, Measurement(INCONCLUSIVE, said, expected, figure.value, figure.sample)
    kept = {"asked": _asked(condition), "window": condition["window"], "value": figure.value, "sample": figure.sample, "at": clock}
    return {**kept, "release": release}, Measurement(PASS, f"baseline {figure.text}", expected, figure.value, figure.sample)


def baseline_problem(condition: Mapping[str, Any], baseline: Mapping[str, Any] | None, clock: float) -> str:
    """Why a baseline cannot be used; empty where it can. It has to be fresh, of the same figure, over as long a window."""
    if baseline is None:
        return "no baseline was recorded"
    if baseline.get("problem"):
        return f"the baseline cannot be read: {baseline['problem']}"
    try:
        age, window = clock - float(baseline["at"]), float(baseline["window"])
        value, sample = float(baseline["value"]), float(baseline["sample"])
    except (KeyError, TypeError, ValueError) as error:
        return f"the baseline cannot be read: {error!r}"
    if baseline.get("asked") != _asked(condition):
        return "the baseline is that of another figure"
    if window != float(condition["window"]):
        return f"the baseline was taken over {window:g} s, not over {float(condition['window']):g} s"
    if not 0 <= age <= float(condition["max_age"]):
        return f"the baseline is {age / 3600:.1f} h old, at most {float(condition['max_age']) / 3600:.1f} h count"
    if sample < float(condition["baseline_sample"]) or not math.isfinite(value) or value <= 0:
        return f"the baseline is {value:g} out of {sample:.6g}, which is nothing to compare with"
    return ""


@dataclass
class Tally:
    """What has become of a condition so far.

    Attributes:
        failed_run, error_run: consecutive ones, up to now.
        by_policy: passes that were too small a sample, passed by ``on_inconclusive``.
        first_fail: the measurement that failed first.
        settled: ``fail`` or ``error`` once a limit was passed; what comes later changes nothing any more.
    """

    passed: int = 0
    failed: int = 0
    inconclusive: int = 0
    errors: int = 0
    failed_run: int = 0
    error_run: int = 0
    by_policy: int = 0
    last: dict[str, Any] = field(default_factory=dict)
    first_fail: dict[str, Any] = field(default_factory=dict)
    settled: str = ""

    def add(self, condition: Mapping[str, Any], seen: Measurement) -> None:
        """Count one. By policy too small a sample counts as a pass or a failure; no data at all never as a pass."""
        verdict, policy = seen.verdict, condition["on_inconclusive"]
        if verdict == INCONCLUSIVE and policy == "fail":
            verdict = FAIL
        elif verdict == INCONCLUSIVE and policy == "pass" and seen.sample > 0:
            verdict, self.by_policy = PASS, self.by_policy + 1
        self.passed += verdict == PASS
        self.failed += verdict == FAIL
        self.inconclusive += verdict == INCONCLUSIVE
        self.errors += verdict == ERROR
        self.failed_run = self.failed_run + 1 if verdict == FAIL else 0
        self.error_run = self.error_run + 1 if verdict == ERROR else 0
        self.last = seen.to_dict()
        if verdict == FAIL and not self.first_fail:
            self.first_fail = self.last
        if (self.failed if condition["failures"] == "total" else self.failed_run) > int(condition["failure_limit"]):
            self.settled = FAIL
        elif self.error_run > int(condition["error_limit"]):
            self.settled = self.settled or ERROR

    def decided(self, passes: int) -> str:
        """The verdict, as far as it is known before the time is up; empty where it is not.

        Args:
            passes: measurements that have to pass; 0 for all that there is time for.
        """
        return self.settled or (PASS if passes and self.passed >= passes else "")

    def final(self, passes: int) -> str:
        """The verdict when time is up."""
        decided = self.decided(passes)
        if decided:
            return decided
        if self.last.get("verdict") == ERROR:
            return ERROR
        if self.passed and self.passed >= passes:
            return PASS
        return FAIL if self.failed and not self.passed and not self.inconclusive else INCONCLUSIVE
