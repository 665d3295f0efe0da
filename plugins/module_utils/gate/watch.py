# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Watching triggers for a time: look every ``interval``, judge every window, end early at a failure. Baselines are kept here."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import ROOT, STATE
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.metric_source import Snapshot, SourceError
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.series import judge_series
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.trigger import TriggerError, normalise, slug
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import ERROR, FAIL, INCONCLUSIVE, WAITING, joint
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.watch_text import PROMETHEUS, row_line
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.window import (
    Measurement,
    Reading,
    Tally,
    expectation,
    in_window,
    judge,
    new_baseline,
)

TIMEOUT = 5.0
"""Seconds for one observation of one source."""
SHORTEST = 0.05
"""Seconds between two observations, at least."""


class GateError(ValueError):
    """Arguments that make no sense; nothing was looked at."""


def prepared(given: Sequence[Any], window: float = 0.0) -> list[dict[str, object]]:
    """The conditions in canonical form, without those that a person pulls.

    Args:
        window: seconds for all of them, instead of their own; 0 keeps theirs.

    Raises:
        GateError: with every problem.
    """
    found: list[dict[str, Any]] = []
    problems: list[str] = []
    for index, one in enumerate(given):
        try:
            found.append(normalise(one))
        except TriggerError as error:
            name = one.get("name", "no name") if isinstance(one, Mapping) else repr(one)
            problems += [f"conditions[{index}] ({name}): {line}" for line in error.problems]
    keys = [(slug(one["name"]), one["source"] == PROMETHEUS) for one in found]  # a trigger may be asked of Prometheus besides
    twins = [one["name"] for index, one in enumerate(found) if keys[index] in keys[:index]]
    problems += [f"conditions: '{one['name']}' has no 'target', which is the address of Prometheus"
                 for one in found if one["source"] == PROMETHEUS and "target" not in one]
    problems += [f"conditions: '{name}' is there twice; names tell them apart" for name in twins]
    if problems:
        raise GateError("The conditions cannot be used. Nothing was looked at.\n" + "\n".join(problems))
    return [{**one, "window": window or one["window"]} for one in found if one["source"] != "manual"]


class Watch:
    """Conditions, watched together.

    Args:
        conditions: canonical.
        interval: seconds from one observation to the next.
        duration: seconds for all of it; 0 for the longest window.
        passes: measurements of each condition that have to pass; 0 watches until ``duration`` is over.
        record: keep what is measured as baselines, instead of comparing.
        root, state_dir: folders of the components and of the state on this node.
        resume: ``state`` of the slice before.
        at_once: judge at the first look what lies before it, which Prometheus alone knows.

    Raises:
        GateError: the times do not fit together.
    """

    def __init__(
        self,
        conditions: Sequence[Mapping[str, Any]],
        interval: float = 5.0,
        duration: float = 0.0,
        passes: int = 1,
        record: bool = False,
        root: str = ROOT,
        state_dir: str = STATE,
        resume: Mapping[str, Any] | None = None,
        at_once: bool = False,
    ) -> None:
        self.record = record
        # what Prometheus answers brings along what it is compared with
        self.conditions = [one for one in conditions if not record or ("times" in one and one["source"] != PROMETHEUS)]
        self.at_once = at_once
        longest = max((float(one["window"]) for one in self.conditions if not at_once), default=0.0)
        self.duration = duration or longest
        self.interval, self.passes = interval, 0 if record else passes
        if interval < SHORTEST:
            raise GateError(f"interval: {interval:g} s is too short; at least {SHORTEST:g} s")
        if min(duration, passes) < 0:
            raise GateError("duration and passes cannot be negative")
        for one in self.conditions:
            if at_once:
                if one["source"] != PROMETHEUS:
                    raise GateError(f"at_once: '{one['name']}' is not asked of Prometheus, which alone knows what was before")
                continue
            if float(one["window"]) > self.duration:
                raise GateError(
                    f"'{one['name']}' judges {float(one['window']):g} s, which do not fit into {self.duration:g} s; "
                    "give a longer duration, or a shorter window"
                )
            if interval > float(one["window"]):
                raise GateError(f"'{one['name']}' judges {float(one['window']):g} s; an interval of {interval:g} s leaves one observation")
        self.baselines = Path(state_dir) / "baselines"
        self.context = Context(TIMEOUT)
        self.snapshot = Snapshot(root, min(TIMEOUT, max(interval, 1.0)), self.context)
        self._take_up(resume or {})

    def _take_up(self, saved: Mapping[str, Any]) -> None:
        """Go on where the slice before ended. The clock counts from the node's start; after a restart of the node all readings
        are from before it and count no more.
        """
        now = time.monotonic()
        self.began = float(saved.get("began", now))
        readings = saved.get("readings") or [[] for _one in self.conditions]
        self.readings = [[Reading.of(one) for one in those] for those in readings]
        self.tallies = [Tally(**one) for one in saved.get("tallies") or [{} for _one in self.conditions]]
        ticks = saved.get("ticks")
        self.snapshot.ticks = (ticks[0], ticks[1]) if ticks else None
        if now < float(saved.get("last", now)):
            self.began = now - float(saved["elapsed_s"])
            self.readings = [[] for _one in self.conditions]

    def run(self, slice_s: float = 0.0, check: bool = False) -> dict[str, Any]:
        """Look until it is decided or the time is over; with ``slice_s`` return undecided after so many seconds.

        Args:
            check: keep no baseline.
        """
        pause = time.monotonic() + slice_s
        while True:
            now = time.monotonic()
            self._observe(now)
            over = now - self.began >= self.duration - SHORTEST / 2
            if over or self._settled() or not self.conditions:
                return self._answer(now, check)
            turn = int((now - self.began) / self.interval + 0.1) + 1  # looks that were missed are not made up for
            due = self.began + min(turn * self.interval, self.duration)
            if slice_s and due > pause:
                return self._waiting(now, due)
            time.sleep(max(0.0, due - time.monotonic()))

    def _observe(self, now: float) -> None:
        """One look for every condition, and the judgement of each window that is full."""
        self.snapshot = Snapshot(
            self.snapshot.root, self.snapshot.timeout, Context(TIMEOUT, secrets=self.context.secrets), self.snapshot.ticks
        )
        self.snapshot.gather(self.conditions)
        for condition, readings, tally in zip(self.conditions, self.readings, self.tallies):
            try:
                readings.append(self.snapshot.reading(condition, now))
            except SourceError as problem:
                said = self.context.secrets.mask(str(problem))
                said = f"not verified: Prometheus does not answer: {said}" if condition["source"] == PROMETHEUS else said
                tally.add(condition, Measurement(ERROR, said, expectation(condition)))
                continue
            window = float(condition["window"])
            judged = readings[-1:] if self.at_once else in_window(readings, now, window, min(self.interval, window) / 2)
            if judged:
                readings[:] = judged  # older ones are of no use to any later window
                tally.add(condition, self._judged(condition, judged))

    def _judged(self, condition: Mapping[str, Any], window: Sequence[Reading]) -> Measurement:
        if condition["source"] == PROMETHEUS:
            return judge_series(condition, window[-1].series)
        if self.record:
            return new_baseline(condition, window, time.time(), "")[1]
        return judge(condition, window, self._baseline(condition), time.time())

    def _baseline(self, condition: Mapping[str, Any]) -> dict[str, object] | None:
        if "times" not in condition:
            return None
        path = self._path(condition)
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            return {"problem": f"{path}: {error}"}
        return found if isinstance(found, dict) else {"problem": f"{path}: is no object"}

    def _path(self, condition: Mapping[str, Any]) -> Path:
        return self.baselines / f"{slug(str(condition['name']))}.json"

    def _settled(self) -> bool:
        """Whether there is no point in going on: one has failed, or every one is decided. A record is made of the last window."""
        decided = [tally.decided(self.passes) for tally in self.tallies]
        return not self.record and (FAIL in decided or all(decided))

    def _rows(self, now: float, final: bool) -> list[dict[str, object]]:
        rows = []
        for condition, tally in zip(self.conditions, self.tallies):
            verdict = tally.final(self.passes) if final else tally.decided(self.passes) or WAITING
            shown = tally.first_fail if verdict == FAIL and tally.first_fail else tally.last
            if verdict == ERROR and condition["source"] == PROMETHEUS:
                verdict = INCONCLUSIVE  # what watches is away, not what is watched
            where = {"where": shown["where"]} if shown.get("where") else {}
            rows.append(
                {
                    **where,
                    "name": condition["name"],
                    "source": condition["source"],
                    "kind": condition.get("kind", ""),
                    "then": condition.get("then", "manual"),
                    "verdict": verdict,
                    "expected": shown.get("expected") or expectation(condition),
                    "got": shown.get("got") or f"not judged: its {float(condition['window']):g} s were not over",
                    "value": shown.get("value"),
                    "sample": shown.get("sample", 0.0),
                    "now": tally.last.get("got", ""),
                    "measurements": {
                        key: getattr(tally, key) for key in ("passed", "failed", "inconclusive", "errors", "by_policy")
                    },
                    "window_s": float(condition["window"]),
                    "elapsed_s": round(now - self.began, 1),
                }
            )
        return rows

    def _waiting(self, now: float, due: float) -> dict[str, object]:
        saved = {
            "began": self.began,
            "last": now,
            "elapsed_s": now - self.began,
            "ticks": self.snapshot.ticks,
            "readings": [[one.to_dict() for one in those] for those in self.readings],
            "tallies": [vars(tally) for tally in self.tallies],
        }
        answer = self._result(now, self._rows(now, False), False)
        return {**answer, "verdict": WAITING, "state": saved, "due_s": round(max(0.0, due - time.monotonic()), 3)}

    def _answer(self, now: float, check: bool) -> dict[str, object]:
        changed = self._keep(check) if self.record else False
        return self._result(now, self._rows(now, True), changed)

    def _result(self, now: float, rows: list[dict[str, Any]], changed: bool) -> dict[str, object]:
        verdict = joint((row["verdict"], "critical") for row in rows)
        wrong = [row for row in rows if row["verdict"] in (FAIL, ERROR, INCONCLUSIVE)]
        many = f"{len(rows)} condition{'' if len(rows) == 1 else 's'}"
        said = f"{many} for {now - self.began:.0f} s: {verdict}" if rows else "no condition for this node"
        return {
            "changed": changed,
            "verdict": verdict,
            "conditions": rows,
            "elapsed_s": round(now - self.began, 1),
            "duration_s": self.duration,
            "summary": said,
            "msg": "\n".join([said, *(row_line(row) for row in wrong)]),
        }

    def _keep(self, check: bool) -> bool:
        """Write what the last window held as baselines, and judge by it alone; whether there was any."""
        kept = False
        for index, (condition, readings) in enumerate(zip(self.conditions, self.readings)):
            judged = in_window(readings, readings[-1].at, float(condition["window"]), self.interval / 2) if readings else []
            if not judged:
                continue
            document, seen = new_baseline(condition, judged, time.time(), self.snapshot.release(condition))
            self.tallies[index] = Tally()
            self.tallies[index].add(condition, seen)
            if document:
                kept = True
                if not check:
                    write_file(self._path(condition), json.dumps(document, indent=1, sort_keys=True) + "\n", 0o600)
        return kept
