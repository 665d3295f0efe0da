# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gate: probes judged together, each in a thread of its own, within one deadline.

The judging itself is pure (:mod:`gate.engine.verdict`); here are the clock, the threads, and what a node knows about itself.
A gate can be run in slices: one that is not decided returns its state, and the next slice goes on from there.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Children, Context
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.journald import unit_log
from ansible_collections.phasegate.aistack.plugins.module_utils.core import progress
from ansible_collections.phasegate.aistack.plugins.module_utils.core.instances import instance_names, number_of
from ansible_collections.phasegate.aistack.plugins.module_utils.core.kept_instances import instances_of
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import Home
from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import boot_id
from ansible_collections.phasegate.aistack.plugins.module_utils.core.substitute import MissingName, fill, names_in
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.file import parse_env
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.secret_files import Secrets
from ansible_collections.phasegate.aistack.plugins.module_utils.gate import text as gate_text, verdict as v
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import Names, ProbeRow, Settings, Tally
from ansible_collections.phasegate.aistack.plugins.module_utils.probes import REGISTRY
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe, units_meant
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.spec import normalise

LOG_LINES = 20
_GIVE_UP = 0.25
"""Seconds after its time at which an attempt that does not keep to it is left alone."""
_ASK_TROUBLE = 0.25
"""Seconds between two questions whether going on is pointless."""
_LAST_WORD = 2.0
"""Seconds for first attempts to end once it is."""
_LONG = 5.0
"""Attempts that may take longer than this do not hold up the others at the end of a slice."""

_RELEASE = re.compile(r"[A-Za-z._-]{0,20}\d+(\.\d+)+[0-9A-Za-z.+-]*")
"""What an answer has to look like to be taken for the name of a release; `starting` and `unknown` are none."""

Event = Mapping[str, Any]
Contexts = Mapping[str, Names]


@dataclass(frozen=True)
class GateResult:
    """What a gate said.

    Attributes:
        verdict: ``pass``, ``fail``, ``inconclusive``, ``error``; ``skipped`` where nothing could be judged in check
            mode; ``waiting`` at the end of a slice that decided nothing.
        probes: one mapping for each probe, in the order given.
        summary: one line.
        state: for the next slice; empty when the gate is decided.
    """

    verdict: str
    probes: list[ProbeRow]
    elapsed_s: float
    summary: str
    state: dict[str, Any] = field(default_factory=dict)

    @property
    def problem(self) -> ProbeRow:
        """The first critical probe that did not pass; empty where there is none."""
        passed = (v.PASS, v.SKIPPED)
        for probe in self.probes:
            if probe["severity"] == "critical" and probe["verdict"] not in passed:
                return probe
        return {}


@dataclass
class _Watched:
    """One probe while its gate runs. Guarded by the gate's lock, except what only its own thread uses."""

    spec: dict[str, Any]
    probe: Probe | None
    tally: Tally
    names: Names
    broken: str = ""
    busy_until: float = 0.0

    @property
    def label(self) -> str:
        component = self.spec.get("component")
        return f"{component}/{self.spec['name']}" if component else str(self.spec["name"])


class Gate:
    """One run, or one slice, of a gate. Use :func:`run_gate`."""

    def __init__(
        self,
        probes: Sequence[Mapping[str, Any]],
        settings: Settings,
        contexts: Contexts,
        on_event: Callable[[Event], None] | None,
        resume: Mapping[str, Any] | None,
        check_mode: bool,
    ) -> None:
        self.settings = settings
        self.contexts = contexts
        self.on_event = on_event
        self.secrets = Secrets()
        self.children = Children()
        self.lock = threading.Condition()
        self.ending = False
        self.pausing = False
        self.where = socket.gethostname()
        boot = boot_id()
        saved = resume or {}
        same = bool(saved) and saved.get("boot") == boot
        self.boot = boot
        self.began = float(saved["began"]) if same else time.monotonic() - float(saved.get("elapsed_s", 0.0))
        tallies = saved.get("tallies") or []
        self.watched = [
            self._watch(dict(probe), tallies[index] if same and index < len(tallies) else None, check_mode)
            for index, probe in enumerate(probes)
        ]

    def _watch(self, spec: dict[str, Any], saved: Mapping[str, Any] | None, check_mode: bool) -> _Watched:
        names: Names = {"component": spec.get("component"), **self.contexts.get(str(spec.get("component")), {})}
        kind = REGISTRY[spec["type"]]
        probe: Probe | None = None
        broken = ""
        try:
            probe = kind(spec if kind.raw else fill(kind.for_instances(spec, names.get("instances") or ()), names))
        except MissingName as missing:
            broken = f"{missing}: {_why_missing(missing.name, names, spec.get('component'))}"
        tally = Tally.from_dict(saved) if saved else Tally(once=bool(probe and probe.changes))
        watched = _Watched(spec, probe, tally, names, broken)
        if probe is not None and check_mode and probe.changes:
            tally.settled = v.SKIPPED
        elif broken and not tally.settled:
            tally.add(self.settings, 0.0, 0.0, Attempt(False, broken, "a value for each name", error=True).to_dict())
        return watched

    # -- time

    def now(self) -> float:
        """Seconds since the gate began, earlier slices included."""
        return time.monotonic() - self.began

    # -- the thread of one probe

    def _ask_again_and_again(self, watched: _Watched) -> None:
        probe = watched.probe
        if probe is None:
            return
        while True:
            with self.lock:
                if self._no_more(watched):
                    return
                began = self.now()
                watched.busy_until = time.monotonic() + probe.attempt_timeout + _GIVE_UP
            attempt = self._attempt(watched, probe)
            with self.lock:
                watched.busy_until = 0.0
                if self.ending and not self.pausing and watched.tally.attempts:
                    return
                watched.tally.add(self.settings, began, self.now(), {**attempt.to_dict(), "final": _names_another(watched, attempt)})
                self.lock.notify_all()
                event = self._event(watched, attempt)
            if self.on_event is not None:
                self.on_event(event)
            pause = max(began + self.settings.interval - self.now(), min(0.1, self.settings.interval))
            with self.lock:
                if self.lock.wait_for(lambda: self.ending, timeout=pause):
                    return

    def _no_more(self, watched: _Watched) -> bool:
        tally = watched.tally
        if self.ending or tally.settled or (tally.once and tally.passes):
            return True
        return bool(tally.attempts) and self.now() >= self.settings.deadline

    def _attempt(self, watched: _Watched, probe: Probe) -> Attempt:
        """One attempt in a thread that is left alone when it does not keep to its time."""
        box: list[Attempt] = []
        context = Context(
            timeout=probe.attempt_timeout,
            names=watched.names,
            secrets=self.secrets,
            children=self.children,
            since=watched.names.get("since"),
        )

        def observe() -> None:
            box.append(probe.run(context))

        thread = threading.Thread(target=observe, daemon=True, name=f"attempt {watched.label}")
        began = time.monotonic()
        thread.start()
        thread.join(probe.attempt_timeout + _GIVE_UP)
        if box:
            return box[0]
        took = round((time.monotonic() - began) * 1000, 1)
        if not thread.is_alive():
            hint = "this is no answer of what was asked: run the same again with -vvv, which shows where it stopped"
            return Attempt(False, "the probe itself failed", probe.expectation(), hint, took, error=True)
        return Attempt(False, f"no answer within {probe.attempt_timeout:g} s", probe.expectation(), latency_ms=took)

    def _event(self, watched: _Watched, attempt: Attempt) -> dict[str, object]:
        return {
            "probe": watched.label,
            "attempt": watched.tally.attempts,
            "ok": attempt.ok,
            "got": attempt.got,
            "left_s": round(max(0.0, self.settings.deadline - self.now()), 1),
        }

    # -- all of them

    def run(self, slice_s: float, trouble: Callable[[], str] | None) -> GateResult:
        """Watch until the gate is decided, or the slice is over."""
        slice_end = self.now() + slice_s if slice_s else None
        threads = [
            threading.Thread(target=self._ask_again_and_again, args=(watched,), daemon=True, name=watched.label)
            for watched in self.watched
        ]
        for thread in threads:
            thread.start()
        waiting, why = False, ""
        asked = time.monotonic()
        while True:
            with self.lock:
                progress.tell(self._open())
                if self._decided() or (why and (self._all_seen() or time.monotonic() - asked > _LAST_WORD)):
                    break
                if slice_end is not None and self.now() >= slice_end and self._may_pause():
                    waiting = True
                    break
                self.lock.wait(self._nap(slice_end, trouble is not None))
            if trouble is not None and not why and time.monotonic() - asked >= _ASK_TROUBLE:
                why, asked = trouble(), time.monotonic()
        with self.lock:
            self.ending, self.pausing = True, waiting
            self.lock.notify_all()
        if waiting:
            for thread, watched in zip(threads, self.watched):
                thread.join(max(0.0, watched.busy_until - time.monotonic()) + 0.05)
            waiting = not self._decided()
        with self.lock:
            result = self._result(waiting, why)
        self.children.end()
        return result

    def _open(self) -> str:
        """What is waited for, for those who watch."""
        waiting = [one for one in self.watched if not one.tally.settled and not one.tally.satisfied(self.settings, self.now())]
        told = ", ".join(f"{one.label} (attempt {one.tally.attempts})" for one in waiting)
        return f"gate, {max(0.0, self.settings.deadline - self.now()):.0f} s left: {told}" if told else ""

    def _nap(self, slice_end: float | None, polled: bool) -> float:
        ends = [end - self.now() for end in (self.settings.deadline, slice_end) if end is not None]
        ahead = [end for end in ends if end > 0]
        return max(0.01, min([*ahead, _ASK_TROUBLE if polled else 1.0]))

    def _may_pause(self) -> bool:
        return not any(w.busy_until and w.probe is not None and w.probe.attempt_timeout > _LONG for w in self.watched)

    def _all_seen(self) -> bool:
        return all(watched.tally.attempts or watched.tally.settled for watched in self.watched)

    def _decided(self) -> bool:
        """Whether the gate is over: all satisfied, one critical probe beyond hope, or no time left."""
        if not self._all_seen():
            return False
        now = self.now()
        if now >= self.settings.deadline:
            return True
        open_ones = [w for w in self.watched if not w.tally.settled and not w.tally.satisfied(self.settings, now)]
        hopeless = [w for w in self.watched if w.tally.settled in (v.FAIL, v.ERROR) and w.spec["severity"] != "warning"]
        return not open_ones or bool(hopeless)

    # -- the report

    def _result(self, waiting: bool, why: str) -> GateResult:
        now = self.now()
        rows = [self._row(watched, now, waiting) for watched in self.watched]
        if not why and now < self.settings.deadline and any(row["verdict"] == v.ERROR and row["severity"] != "warning" for row in rows):
            # it ended because of what cannot be judged, while the others were still being waited for
            for row, watched in zip(rows, self.watched):
                row["verdict"] = v.INCONCLUSIVE if row["verdict"] == v.FAIL and not watched.tally.settled else row["verdict"]
        state: dict[str, Any] = {}
        if waiting:
            verdict = v.WAITING
            state = {
                "boot": self.boot,
                "began": self.began,
                "elapsed_s": round(now, 2),
                "tallies": [watched.tally.to_dict() for watched in self.watched],
            }
        else:
            verdict = v.joint((row["verdict"], row["severity"]) for row in rows)
            if why and verdict in (v.PASS, v.INCONCLUSIVE, v.SKIPPED):
                verdict = v.FAIL
            self._add_logs(rows)
        return GateResult(verdict, rows, round(now, 2), gate_text.summary(rows, now, why), state)

    def _row(self, watched: _Watched, now: float, waiting: bool) -> ProbeRow:
        tally, last, probe = watched.tally, watched.tally.last, watched.probe
        verdict = tally.verdict(self.settings, now)
        if waiting and not tally.settled and verdict != v.PASS:
            verdict = v.WAITING
        got = str(last.get("got", "")) if tally.settled != v.SKIPPED else "not asked: it would change something"
        if verdict in (v.INCONCLUSIVE, v.WAITING) and tally.passes:
            held = (tally.last_at or 0.0) - (tally.healthy_since or 0.0)
            got += gate_text.still_lacks(tally.passes, self.settings.successes, held, self.settings.min_healthy_time)
        if verdict == v.FAIL and tally.same >= v.SAME_TIMES:
            got += f" ({tally.same} times the same from the slot's own process, which does not change: not waited for any longer)"
        row: ProbeRow = {
            "name": watched.spec["name"],
            "component": watched.spec.get("component"),
            "type": watched.spec["type"],
            "severity": watched.spec["severity"],
            "verdict": verdict,
            "expected": str(last.get("expected") or (probe.expectation() if probe is not None else "")),
            "got": got,
            "where": self.where,
            "attempts": tally.attempts,
            "latency_ms": last.get("latency_ms", 0.0),
            "elapsed_s": round(now, 2),
            "detail": str(last.get("detail", "")),
            "answered": bool(last.get("answered")),
            "flaps": tally.flaps,
            "history": {"count": tally.attempts, "first": tally.first, "last": tally.recent},
        }
        if verdict in (v.FAIL, v.ERROR, v.INCONCLUSIVE) and probe is not None and probe.hint:
            row["hint"] = probe.hint.replace("{target}", str(probe.spec.get("target", "it")))
        return row

    def _add_logs(self, rows: Sequence[ProbeRow]) -> None:
        """The end of the log of each unit whose probe failed; every unit is asked once."""
        seen: dict[str, list[str]] = {}
        for row, watched in zip(rows, self.watched):
            unit = watched.probe.spec.get("log_unit") if watched.probe is not None else None
            if watched.spec["type"] in ("unit", "log") and watched.probe is not None:
                unit = unit or watched.probe.spec.get("target")
            unit = unit or watched.names.get("unit")
            if row["verdict"] not in (v.FAIL, v.INCONCLUSIVE, v.ERROR) or not unit:
                continue
            if unit not in seen:
                learn_config(self.secrets, watched.names)
                units = units_meant(str(unit), watched.names)
                seen[unit] = unit_log(units, Context(children=Children()), LOG_LINES, watched.names.get("since"))
            row["log_unit"] = unit
            row["log_tail"] = [self.secrets.mask(line) for line in seen[unit]]


def _names_another(watched: _Watched, attempt: Attempt) -> bool:
    """Whether the slot's own process answers in good form that it is another release than the one that is judged: no waiting changes
    that. Everything else may still become as expected: a cache that warms up, ``ready: false``, a queue.
    """
    spec, names = watched.spec, watched.names
    own = names.get("own") and spec["type"] == "http" and "${port}" in str(spec.get("target"))
    if not own or "release" not in names_in({key: value for key, value in spec.items() if key != "target"}):
        return False
    return any(wrong.expected == names.get("release") and _RELEASE.fullmatch(str(wrong.got)) for wrong in attempt.wrong)


def learn_config(secrets: Secrets, names: Names) -> None:
    """Remember the secrets in the configuration of a slot, so that its log can be shown without them."""
    path = names.get("config_path")
    if path:
        for candidate in (Path(str(path)), Path(str(path)) / "env"):
            if candidate.is_file() and os.access(candidate, os.R_OK):
                secrets.environment(str(candidate))


def _why_missing(name: str, names: Names, component: str | None) -> str:
    if component is None:
        return "the probe belongs to no component"
    return str(names.get("missing") or f"nothing is known here about '{name}' of component {component}")


def run_gate(
    probes: Sequence[Mapping[str, Any]],
    settings: Settings | Mapping[str, Any] | None = None,
    contexts: Contexts | None = None,
    on_event: Callable[[Event], None] | None = None,
    *,
    resume: Mapping[str, Any] | None = None,
    slice_s: float = 0.0,
    check_mode: bool = False,
    trouble: Callable[[], str] | None = None,
) -> GateResult:
    """Judge probes together.

    Args:
        probes: in short or canonical form.
        settings: see :class:`Settings`.
        contexts: component to what ``${…}`` stands for in its probes; besides the names that probes know, ``since``
            (seconds since 1970) says from when on logs count.
        on_event: called after each attempt, from the probe's thread, with ``probe``, ``attempt``, ``ok``, ``got``, ``left_s``.
        resume: the ``state`` of the slice before.
        slice_s: seconds after which to return undecided; 0 means when it is decided.
        check_mode: probes that would change something are skipped.
        trouble: asked now and then; a text means that waiting is pointless, and ends the gate.

    Raises:
        ProbeError: a probe makes no sense.
        SettingsError: a setting makes no sense.
    """
    chosen = Settings.of(settings)
    canonical = [normalise(probe, None) for probe in probes]
    return Gate(canonical, chosen, contexts or {}, on_event, resume, check_mode).run(slice_s, trouble)


def live_context(
    root: str | os.PathLike[str], component: str, port: int | None = None, state_dir: str | os.PathLike[str] | None = None
) -> Names:
    """What this node knows about a component: its live slot's release, configuration, port and unit.

    Args:
        root: ``aistack_root``.
        port: where the component's users reach it, instead of the slot's own port.
        state_dir: ``aistack_state``, which keeps how many instances there are; without it links say so, also those that a kill left.

    Returns:
        ``component`` alone (and ``port``) where it has no slots; ``missing`` says why where nothing is live.
    """
    names: Names = {"component": component}
    if port is not None:
        names["port"] = port
    live = Home(root, component).live_link
    if not live.is_symlink() and not live.exists():
        names["missing"] = f"nothing is live on {socket.gethostname()} ({live} is not there): deploy it, with site.yml or deploy.yml"
        return names
    slot = live.resolve()
    names["slot"] = slot.name
    names["unit"] = f"aistack-{component}@{slot.name}.service"
    kept = instances_of(state_dir, component)[0] if state_dir is not None else None
    number = kept or (number_of(os.listdir(slot.parent), slot.name) if slot.parent.is_dir() else 1)
    if number > 1:
        names["instances"] = instance_names(slot.name, number)
        names["units"] = [f"aistack-{component}@{instance}.service" for instance in names["instances"]]
    if (slot / "release").exists():
        names["release_path"] = str((slot / "release").resolve())
    if (slot / "config").exists():
        names["config_path"] = str((slot / "config").resolve())
    if (slot / "release").is_symlink():
        names["release"] = Path(os.readlink(slot / "release")).name
    try:
        environment = parse_env((slot / "slot.env").read_text(encoding="utf-8"))
    except OSError as error:
        names["missing"] = f"{slot / 'slot.env'}: {error.strerror}"
        return names
    if port is None and environment.get("AISTACK_PORT", "").isdigit():
        names["port"] = int(environment["AISTACK_PORT"])
    return names
