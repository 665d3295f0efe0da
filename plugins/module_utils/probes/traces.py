# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store of traces has one of a request of the last minute, with spans of each service that the request goes through."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context, NotAsExpected, excerpt
from ansible_collections.phasegate.aistack.plugins.module_utils.core import http_login
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import check, describe, problems
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe, at_least, judge
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.prometheus import answer_of

LOOKED_AT = 20
"""So many traces are looked at, the newest ones: with hundreds of spans each they are megabytes."""
AHEAD_S = 5
"""Seconds that the clock of who sent a span may be ahead."""
Parts = tuple[set[str], set[str]]
"""Services and operations of a trace."""


class Traces(Probe):
    """Find traces by Jaeger's API, and look whose spans they have."""

    type = "traces"
    target = Option("str", "address of the store's API", required=True)
    options = {
        "service": Option("str", "service whose spans are looked for", required=True),
        "operation": Option("str", "only spans of this operation, such as GET /orders"),
        "tags": Option("dict", "only spans with these attributes, as text"),
        "services": Option("list", "each of these has a span in the same trace", items=Option("str", "")),
        "operations": Option("list", "likewise, for operations: what a database does is one of who asks it", items=Option("str", "")),
        "count": Option("figure", f"how many such traces, of the newest {LOOKED_AT}; a number means at least", default=1),
        "seconds": Option("number", "begun not longer ago than this", default=60),
        **http_login.LOGIN,
    }
    hint = "does the service send (OTEL_EXPORTER_OTLP_ENDPOINT of its environment)? Whom the store knows: curl {target}/api/services"

    @staticmethod
    def check(spec: Mapping[str, Any]) -> list[str]:
        found = http_login.problems(spec)
        found += [f"count: {line}" for line in problems(spec.get("count", 1))]
        least = at_least(spec.get("count", 1))
        if isinstance(least, Mapping) and any(isinstance(least.get(key), (int, float)) and least[key] > LOOKED_AT for key in ("ge", "gt")):
            found.append(f"count: at most {LOOKED_AT} are looked at")
        odd = [key for key, value in (spec.get("tags") or {}).items() if isinstance(value, (Mapping, list, tuple))]
        return found + [f"tags: the value of '{key}' is no text" for key in odd]

    @property
    def _seconds(self) -> float:
        return float(self.spec.get("seconds") or 60)

    @property
    def _wanted(self) -> Any:
        return at_least(self.spec.get("count", 1))

    @property
    def _wanted_in(self) -> list[str]:
        """Services and operations that the trace has to have."""
        return [str(one) for key in ("services", "operations") for one in self.spec.get(key) or ()]

    @property
    def _what(self) -> str:
        """What is looked for, for people."""
        parts = [str(self.spec["service"]), *([f"'{self.spec['operation']}'"] if self.spec.get("operation") else [])]
        parts += [f"{key}={value}" for key, value in (self.spec.get("tags") or {}).items()]
        return " ".join(parts)

    def expectation(self) -> str:
        through = f" with spans of {', '.join(self._wanted_in)}" if self._wanted_in else ""
        return f"traces of {self._what} in the last {self._seconds:g} s{through} {describe(self._wanted)}"

    def observe(self, context: Context) -> Attempt:
        now = time.time()
        query = {
            "service": str(self.spec["service"]), "limit": str(LOOKED_AT),
            "start": str(int((now - self._seconds) * 1e6)), "end": str(int((now + AHEAD_S) * 1e6)),
        }
        if self.spec.get("operation"):
            query["operation"] = str(self.spec["operation"])
        if self.spec.get("tags"):
            query["tags"] = json.dumps({str(key): _text(value) for key, value in self.spec["tags"].items()})
        found = [parts_of(trace) for trace in self._list(context, f"/api/traces?{urlencode(query)}")]
        whole = [parts for parts in found if not self._missing(parts)]
        wrong = check(self._wanted, len(whole), f"traces of {self._what}")
        through = sorted({service for services, _operations in whole for service in services})
        got = f"{len(whole)} traces of {self._what}" + (f" through {', '.join(through)}" if through else "")
        return judge(wrong, self.expectation(), got, self._why(context, found) if wrong and not whole else "")

    def _missing(self, parts: Parts) -> list[str]:
        """What is wanted in a trace that has these."""
        asked = zip(("services", "operations"), parts)
        return [str(one) for key, there in asked for one in self.spec.get(key) or () if str(one) not in there]

    def _why(self, context: Context, found: list[Parts]) -> str:
        """What is known where no trace is as it should be."""
        if found:
            fullest = min(found, key=lambda parts: len(self._missing(parts)))
            lacks = f"the fullest has spans of {', '.join(sorted(fullest[0]))}, and lacks {', '.join(self._missing(fullest))}"
            return f"{len(found)} without all of them; {lacks}"
        known = sorted(str(name) for name in self._list(context, "/api/services"))
        return f"the store knows {', '.join(known) or 'no service'}"

    def _list(self, context: Context, path: str) -> list[Any]:
        """What the API lists; nothing where it has none.

        Raises:
            NotAsExpected: no answer, another status, or no answer of Jaeger's.
        """
        got = answer_of(self.spec, context, path)
        if got.more:
            raise NotAsExpected(f"more than {len(got.body)} bytes", "an answer that can be read; name operation or tags, or fewer seconds")
        answer = got.json()
        listed = answer.get("data") if isinstance(answer, Mapping) else None
        if listed is None and isinstance(answer, Mapping) and "data" in answer and not answer.get("errors"):
            return []
        if not isinstance(listed, list):
            raise NotAsExpected(f"no list in data: {excerpt(json.dumps(answer))}", "an answer of Jaeger")
        return listed


def parts_of(trace: Any) -> Parts:
    """The services that have a span in a trace, as Jaeger's API has it, and the operations of all of its spans.

    Raises:
        NotAsExpected: it is no such trace.
    """
    try:
        named = {str(key): str(process["serviceName"]) for key, process in trace["processes"].items()}
        spans = trace["spans"]
        return {named[str(span["processID"])] for span in spans}, {str(span["operationName"]) for span in spans}
    except (AttributeError, KeyError, TypeError) as error:
        raise NotAsExpected(f"no trace: {excerpt(json.dumps(trace))}", "traces of Jaeger") from error


def _text(value: Any) -> str:
    """A value as Jaeger has attributes: truth in small letters."""
    return str(value).lower() if isinstance(value, bool) else str(value)
