# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run as a trace: a span for the run, each of its phases, each task that matters and each probe; as OTLP over HTTP takes it, in JSON.

Of results only what is named here becomes an attribute: names, hosts, verdicts. What a task says, expects or got may hold what is secret
on a node, and a store of traces has readers of its own.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import CannotJudge, Context, NotAsExpected, excerpt
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.http import request

PATH = "/v1/traces"
"""Where OTLP over HTTP takes traces."""
COLLECTION = "phasegate.aistack."
LONG_NS = 1_000_000_000
"""Nanoseconds from which on a task of somebody else's is worth a span."""
MOST = 5000
"""So many spans has a trace at most; the root says how many there would be more."""


@dataclass
class Span:
    """Something that took its time. Times are nanoseconds since 1970."""

    name: str
    start: int
    end: int = 0
    parent: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    failed: bool = False
    id: str = field(default_factory=lambda: secrets.token_hex(8))

    def as_otlp(self, trace: str) -> dict[str, Any]:
        """As OTLP has it: numbers of 64 bits are texts in JSON."""
        found = {
            "traceId": trace, "spanId": self.id, "name": self.name, "kind": 1, "startTimeUnixNano": str(self.start),
            "endTimeUnixNano": str(max(self.start, self.end)), "attributes": _attributes(self.attributes),
            "status": {"code": 2} if self.failed else {},
        }
        return {**found, "parentSpanId": self.parent} if self.parent else found


class RunTrace:
    """What a run has done so far.

    Args:
        name: what the run is called: its playbook.
        now: nanoseconds since 1970.
    """

    def __init__(self, name: str, now: int) -> None:
        self.id = secrets.token_hex(16)
        self.root = Span(name, now)
        self.spans = [self.root]
        self.dropped = 0
        self._phase: Span | None = None
        self._began: dict[tuple[str, str], int] = {}

    def began(self, task: str, host: str, now: int) -> None:
        """A host begins a task, which is known by its identifier."""
        self._began[task, host] = now

    def ended(self, task: str, host: str, name: str, action: str, result: Mapping[str, Any], failed: bool, now: int) -> None:
        """A host has ended a task. One that nobody waited for, and that is none of ours, is left out unless it failed."""
        start = self._began.pop((task, host), now)
        facts = result.get("ansible_facts")
        if isinstance(facts, Mapping) and facts.get("aistack_run"):
            self.root.attributes["aistack.run"] = str(facts["aistack_run"])
        ours = action.startswith(COLLECTION)
        if ours and result.get("heading"):
            self._next_phase(str(result["heading"]).split()[0], start)
        if not (ours or failed or now - start >= LONG_NS):
            return
        span = Span(name, start, now, (self._phase or self.root).id, {"host": host, "aistack.action": action}, failed)
        span.attributes.update({"aistack.changed": True} if result.get("changed") else {})
        span.attributes.update({"aistack.verdict": str(result["verdict"])} if "verdict" in result else {})
        if self._add(span) and ours:
            for probe in result.get("probes") or []:
                self._probe(probe, span)

    def finish(self, failed: bool, now: int) -> None:
        """The run is over."""
        if self._phase:
            self._phase.end = now
        self.root.end, self.root.failed = now, failed
        self.root.attributes.update({"aistack.dropped_spans": self.dropped} if self.dropped else {})

    def as_otlp(self, version: str = "") -> dict[str, Any]:
        """All of it as OTLP has it."""
        scope = {"name": "phasegate.aistack", **({"version": version} if version else {})}
        spans = [span.as_otlp(self.id) for span in self.spans]
        return {"resourceSpans": [{"resource": {"attributes": _attributes({"service.name": "aistack"})},
                                   "scopeSpans": [{"scope": scope, "spans": spans}]}]}

    def _next_phase(self, name: str, now: int) -> None:
        if self._phase and self._phase.name == name:
            return
        if self._phase:
            self._phase.end = now
        self._phase = Span(name, now, 0, self.root.id, {"aistack.phase": name})
        self._add(self._phase)

    def _probe(self, probe: Any, of: Span) -> None:
        """A probe, from its first attempt to the end of its last one."""
        if not isinstance(probe, Mapping) or probe.get("verdict") == "skipped":
            return
        start, end = of.start, of.end
        last = ((probe.get("history") or {}).get("last") or [{}])[-1]
        if isinstance(last, Mapping) and isinstance(last.get("at"), (int, float)):
            end = min(end, start + int((float(last["at"]) + float(last.get("latency_ms") or 0) / 1000) * 1e9))
        known = {"host": of.attributes["host"], "aistack.verdict": str(probe.get("verdict")), "aistack.attempts": probe.get("attempts"),
                 "aistack.component": probe.get("component"), "aistack.probe": probe.get("type")}
        found = {key: value for key, value in known.items() if value is not None}
        self._add(Span(f"probe: {probe.get('name')}", start, end, of.id, found, probe.get("verdict") in ("fail", "error")))

    def _add(self, span: Span) -> bool:
        if len(self.spans) >= MOST:
            self.dropped += 1
            return False
        self.spans.append(span)
        return True


def address(url: str) -> str:
    """Where traces go, from the address of a store: with the path that OTLP has, unless it stands there already."""
    plain = url.rstrip("/")
    return plain if plain.endswith(PATH) else plain + PATH


def send(url: str, document: Mapping[str, Any], timeout: float) -> str:
    """Send a trace, and say why it was not kept; nothing where it was.

    Whatever happens this returns in time: what hangs (a name that nobody resolves) is left behind.

    Args:
        url: address of the store.
        timeout: seconds for all of it.
    """
    told = [f"no answer within {timeout:g} s ({address(url)})"]

    def work() -> None:
        try:
            body = json.dumps(document).encode()
            answer = request(address(url), Context(timeout=timeout), "POST", body, {"Content-Type": "application/json"})
            told[0] = "" if answer.status == 200 else f"status {answer.status}: {excerpt(answer.text)} ({answer.url})"
            partial = answer.json().get("partialSuccess") if answer.status == 200 and answer.body else None
            if partial and int(partial.get("rejectedSpans") or 0):
                told[0] = f"{partial['rejectedSpans']} spans were refused: {excerpt(str(partial.get('errorMessage')))} ({answer.url})"
        except NotAsExpected as no:
            told[0] = no.got
        except CannotJudge as cannot:
            told[0] = str(cannot)
        except (AttributeError, OSError, TypeError, ValueError) as error:
            told[0] = f"the answer is none of OTLP: {error} ({address(url)})"

    thread = threading.Thread(target=work, name="trace", daemon=True)
    thread.start()
    thread.join(timeout)
    return told[0]


def _attributes(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Attributes as OTLP has them."""
    return [{"key": key, "value": _value(value)} for key, value in given.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"stringValue": str(value)}
