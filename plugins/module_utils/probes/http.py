# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A web server answers: status, JSON fields, pattern in the body, headers, time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context, NotAsExpected, excerpt
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.http import Answer, request
from ansible_collections.phasegate.aistack.plugins.module_utils.core import http_login
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import (
    Mismatch,
    check,
    check_all,
    describe,
    describe_all,
    get_path,
    regex_problems,
    show,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe, judge

_SAFE = ("GET", "HEAD", "OPTIONS")


class Http(Probe):
    """Ask once; redirects are not followed, certificates are always verified."""

    type = "http"
    speaks = True
    target = Option("str", "address, http:// or https://", required=True)
    options = {
        "method": Option("str", "method; POST where there is data", default="GET"),
        "data": Option("any", "body to send; anything but a text is sent as JSON"),
        "headers": Option("dict", "headers to send; no secrets"),
        "status": Option("figure", "status of the answer", default=200),
        "json": Option("answer", "dotted paths in a JSON answer, and what is expected there; or what all of it is, such as true"),
        "body": Option("expect", "the body; a text is a pattern that has to be found in it"),
        "response_headers": Option("paths", "headers of the answer, in lower case"),
        "max_latency_ms": Option("number", "the answer has to be complete within this time"),
        **http_login.LOGIN,
        "capture": Option("capture", "names for values of a JSON answer; for later steps of a sequence"),
    }
    hint = "look at the log of the service behind {target}, and try: curl -v {target}"

    @staticmethod
    def check(spec: Mapping[str, object]) -> list[str]:
        problems = http_login.problems(spec)
        if "body" in spec and isinstance(spec["body"], str):
            problems += [f"body: {line}" for line in regex_problems(spec["body"])]
        return problems

    @property
    def changes(self) -> bool:
        return self._method not in _SAFE

    @property
    def _method(self) -> str:
        default = "GET" if self.spec.get("data") is None else "POST"
        return str(self.spec.get("method") or default).upper()

    @property
    def _json(self) -> Any:
        return self.spec.get("json")

    def expectation(self) -> str:
        parts = [f"status {describe(self.spec.get('status', 200))}"]
        if self._json is not None:
            parts.append(describe_all(self._json) if isinstance(self._json, Mapping) else f"json = {describe(self._json)}")
        if self.spec.get("body") is not None:
            parts.append(f"body {describe(self._body_rule())}")
        if self.spec.get("max_latency_ms"):
            parts.append(f"within {self.spec['max_latency_ms']:g} ms")
        return ", ".join(parts)

    def _body_rule(self) -> Any:
        rule = self.spec["body"]
        return {"matches": rule} if isinstance(rule, str) else rule

    def observe(self, context: Context) -> Attempt:
        headers = {str(name): str(value) for name, value in (self.spec.get("headers") or {}).items()}
        body = self._payload(headers)
        headers.update(http_login.authorization(self.spec, context.secrets.read))
        answer = request(self.spec["target"], context, self._method, body, headers, self.spec.get("ca_file"))
        found = self._compare(answer)
        captured: dict[str, Any] = {}
        if not found and self.spec.get("capture"):
            captured = self._capture(answer)
        got = f"status {answer.status}" + (f", {self._shown(answer)}" if self._json is not None and not found else "")
        detail = ""
        if found:
            detail = f"{self._method} {self.spec['target']} answered {answer.status} {answer.reason}: {excerpt(answer.text)}"
        if found and answer.headers.get("location"):
            detail += f" (redirects to {answer.headers['location']})"
        seen = judge(found, self.expectation(), got, detail, captured)
        # an error page, or an answer that took its time, is none that could be right
        wrong = tuple(one for one in seen.wrong if one.path not in ("status", "latency_ms"))
        return Attempt(seen.ok, seen.got, seen.expected, seen.detail, answer.ms, captured=captured, wrong=wrong)

    def _payload(self, headers: dict[str, str]) -> bytes | None:
        data = self.spec.get("data")
        if data is None:
            return None
        if isinstance(data, str):
            return data.encode()
        headers.setdefault("Content-Type", "application/json")
        return json.dumps(data).encode()

    def _compare(self, answer: Answer) -> list[Mismatch]:
        found = check(self.spec.get("status", 200), answer.status, "status")
        if found:
            return found  # the body of an error page explains, it is not compared
        if isinstance(self._json, Mapping):
            found += check_all(self._json, answer.json())
        elif self._json is not None:
            found += check(self._json, answer.json(), "json")
        if self.spec.get("body") is not None:
            found += [Mismatch("body", one.expected, excerpt(answer.text)) for one in check(self._body_rule(), answer.text, "body")]
        if self.spec.get("response_headers"):
            wanted = {str(name).lower(): rule for name, rule in self.spec["response_headers"].items()}
            found += check_all(wanted, dict(answer.headers), "headers")
        if self.spec.get("max_latency_ms") is not None:
            found += check({"le": self.spec["max_latency_ms"]}, answer.ms, "latency_ms")
        return found

    def _capture(self, answer: Answer) -> dict[str, object]:
        data = answer.json()
        captured = {name: get_path(data, str(path)) for name, path in self.spec["capture"].items()}
        for name, value in captured.items():
            path = self.spec["capture"][name]
            if not isinstance(value, (str, int, float, bool)):
                raise NotAsExpected(f"{path} = {show(value)}", f"a value for ${{{name}}} at {path}")
        return captured

    def _shown(self, answer: Answer) -> str:
        data = answer.json()
        if not isinstance(self._json, Mapping):
            return f"json = {show(data, 60)}"
        return ", ".join(f"{path} = {show(get_path(data, str(path)), 60)}" for path in self._json)
