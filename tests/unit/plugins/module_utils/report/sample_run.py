# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Journals of two nodes as deployments write them: some that went well, then one in which a release answers with the wrong version."""

from __future__ import annotations

import datetime
from typing import Any

Records = list[dict[str, Any]]
BEGIN = datetime.datetime(2026, 1, 31, 12, 0, tzinfo=datetime.timezone.utc)
GOOD, BAD = "20260131T120000Z-aaaa03", "20260131T140000Z-bbbb04"


class Pen:
    """Writes a node's journal; times are seconds since :data:`BEGIN`."""

    def __init__(self) -> None:
        self.records: Records = []

    def put(self, at: float, run: str, op: str, component: str | None, release: str | None, outcome: str, **detail: Any) -> int:
        time = (BEGIN + datetime.timedelta(seconds=at)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        seq = len(self.records) + 1
        self.records.append({"seq": seq, "time": time, "run": run, "actor": "kim@laptop", "op": op, "component": component,
                             "release": release, "outcome": outcome, "detail": detail})
        return seq

    def did(self, at: float, lasts: float, run: str, op: str, component: str | None, release: str | None, **detail: Any) -> None:
        begun = self.put(at, run, op, component, release, "started")
        self.put(at + lasts, run, op, component, release, "ok", started=begun, **detail)


def probe(name: str, verdict: str, expected: str, got: str, ms: float, attempts: int = 1) -> dict[str, Any]:
    return {"name": name, "severity": "critical", "verdict": verdict, "expected": expected, "got": got, "attempts": attempts,
            "latency_ms": ms}


def health(release: str, got: str = "", ms: float = 14.2) -> dict[str, Any]:
    said = got or release
    return probe("health", "pass" if said == release else "fail", f"status 200, status = ok, version = {release}",
                 f"status 200, status = ok, version = {said}", ms, 1 if said == release else 9)


def gates(slot: str, release: str, *probes: dict[str, Any]) -> list[dict[str, Any]]:
    both = [("pass" if all(p["verdict"] == "pass" for p in probes) else "fail", public) for public in (False, True)]
    entries = [{"slot": slot, "release": release, "public": public, "verdict": verdict, "probes": list(probes)} for verdict, public in both]
    return entries if both[0][0] == "pass" else entries[:1]


def deployment(pen: Pen, at: float, run: str, release: str, components: tuple[str, ...], slot: str, scale: float = 1.0) -> float:
    """One that went well; returns when it ended."""
    pen.put(at, run, "lock", None, None, "ok", action="acquired")
    at += 0.4
    pen.did(at, 6.5 * scale, run, "backup", None, None, bytes=48_000_000, seconds=6.5 * scale)
    at += 6.6 * scale
    for component in components:
        pen.did(at, 9.8 * scale, run, "stage", component, release, timings={"unpack": 0.4, "dependencies": 6.1, "tests": 2.8})
        at += 9.9 * scale
    if "backend" in components:
        pen.did(at, 1.7, run, "migrate", "backend", release, **{"from": ["0002"], "to": ["0003"], "seconds": 1.6})
        at += 1.8
    for number, component in enumerate(components):
        timings = {"start_s": 2.1 * scale, "gate_s": 3.2 * scale, "shift_s": 0.4, "drain_s": 1.1, "stop_s": 0.7}
        found = gates(slot, release, health(release, ms=11.5 + 20 * number),
                      probe("agents", "pass", "6 agents answer", "6 agents answer", 180.4 + number))
        begun = pen.put(at, run, "activate", component, release, "started", slot=slot)
        seconds = sum(timings.values()) + 0.3
        pen.put(at + seconds - 0.2, run, "mark", component, release, "ok", state="good", reason="its gate held")
        pen.put(at + seconds, run, "activate", component, release, "ok", started=begun, slot=slot, timings=timings, gates=found)
        at += seconds + 0.2
    pen.put(at + 1.5, run, "phase", "deploy", None, "ok", evidence="3 probes: 3 passed in 1.1 s")
    pen.put(at + 1.6, run, "lock", None, None, "ok", action="released")
    return at + 1.6


def journals() -> dict[str, Records]:
    """Node to its records."""
    backend, web = Pen(), Pen()
    for number, (release, slot) in enumerate([("v4.0.0", "blue"), ("v4.0.1", "green"), ("v4.1.0", "blue")]):
        run, at = f"20260131T120000Z-aaaa0{number + 1}", number * 1800.0
        deployment(backend, at, run, release, ("backend", "worker"), slot, 1 + number / 4)
        deployment(web, at + 0.3, run, release, ("frontend",), slot, 1.3)
    at = 7200.0
    for pen in (backend, web):
        pen.put(at, BAD, "lock", None, None, "ok", action="acquired")
    backend.did(at + 0.5, 7.2, BAD, "backup", None, None, bytes=48_000_000)
    backend.did(at + 8, 10.4, BAD, "stage", "backend", "v4.3.0")
    web.did(at + 8, 21.0, BAD, "stage", "frontend", "v4.3.0")
    wrong = health("v4.3.0", "v4.2.9")
    report = {"probe": "health", "expected": wrong["expected"], "got": wrong["got"], "attempts": 9, "verdict": "fail", "answered": True,
              "still_serving": {"release": "v4.1.0", "slot": "blue"}, "marked_bad": True,
              "fix_gate": "fix the gate (aistack_components.backend.gate, probe health) and run again with -e allow_bad=true"}
    agents = probe("agents", "pass", "6 agents answer", "6 agents answer", 176.0)
    begun = backend.put(at + 30, BAD, "activate", "backend", "v4.3.0", "started", slot="green")
    backend.put(at + 43.7, BAD, "mark", "backend", "v4.3.0", "ok", state="bad", reason="slot green did not pass its gate")
    backend.put(at + 44, BAD, "activate", "backend", "v4.3.0", "failed", started=begun, slot="green", report=report,
                gates=gates("green", "v4.3.0", wrong, agents), timings={"start_s": 2.2, "gate_s": 10.1},
                error="slot green did not pass its gate on its own port: probe health")
    backend.put(at + 46, BAD, "phase", "deploy", None, "failed", task="backend: activate v4.3.0 in the idle slot")
    web.put(at + 46.3, BAD, "phase", "deploy", None, "failed", task="on another node")
    return {"backend-1": backend.records, "web-1": web.records}
