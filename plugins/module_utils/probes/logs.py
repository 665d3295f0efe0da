# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store of logs has lines of the last minute, from each of those that should speak."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context, NotAsExpected, excerpt
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.http import Answer
from ansible_collections.phasegate.aistack.plugins.module_utils.core import http_login
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import check, describe, get_path, problems
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe, at_least, judge
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.prometheus import answer_of

_NAMED: Mapping[str, str] = {"components": "component", "units": "unit", "nodes": "node"}
"""Options that say who has to speak, each with the label that it asks for."""
_NAME = re.compile(r"[\w.@:-]+")


class Logs(Probe):
    """Count lines, by VictoriaLogs' or Loki's API; those of units, since an event is said for a component that may be silent."""

    type = "logs"
    target = Option("str", "address of the store", required=True)
    options = {
        "store": Option("str", "which store it is", choices=("victorialogs", "loki"), default="victorialogs"),
        "components": Option("list", "each of these has to have said something", items=Option("str", "")),
        "units": Option("list", "each of these units", items=Option("str", "")),
        "nodes": Option("list", "each of these nodes", items=Option("str", "")),
        "stack": Option("str", "only lines of this stack"),
        "lines": Option("figure", "how many lines of each; a number means at least", default=1),
        "seconds": Option("number", "not older than this", default=60),
        **http_login.LOGIN,
    }
    hint = "is aistack-log-shipper.service running on the node that is missing? Its log says whether the store takes its lines"

    @staticmethod
    def check(spec: Mapping[str, Any]) -> list[str]:
        found = http_login.problems(spec)
        if sum(key in spec for key in _NAMED) != 1:
            found.append("give one of components, units, nodes")
        given = [(key, name) for key in (*_NAMED, "stack") for name in _names(spec.get(key))]
        found += [f"{key}: '{name}' is no name" for key, name in given if not _NAME.fullmatch(name)]
        return found + [f"lines: {line}" for line in problems(spec.get("lines", 1))]

    @property
    def _asked(self) -> tuple[str, list[str]]:
        """The label, and whose lines are wanted."""
        key = next(key for key in _NAMED if key in self.spec)
        return _NAMED[key], _names(self.spec[key])

    @property
    def _seconds(self) -> float:
        return float(self.spec.get("seconds") or 60)

    def _wanted(self) -> Any:
        return at_least(self.spec.get("lines", 1))

    def expectation(self) -> str:
        return f"of {', '.join(self._asked[1])}: lines of the last {self._seconds:g} s {describe(self._wanted())}"

    def observe(self, context: Context) -> Attempt:
        label, names = self._asked
        counted = self._loki(context, label, names) if self.spec.get("store") == "loki" else self._victorialogs(context, label, names)
        found = [one for name in names for one in check(self._wanted(), counted.get(name, 0), f"lines of {name}")]
        got = ", ".join(f"{name} {counted.get(name, 0)}" for name in names)
        return judge(found, self.expectation(), got, f"in the last {self._seconds:g} s: {got}" if found else "")

    def _victorialogs(self, context: Context, label: str, names: Sequence[str]) -> dict[str, int]:
        own = f'stack:="{self.spec["stack"]}" ' if self.spec.get("stack") else ""
        any_of = ",".join(json.dumps(name) for name in names)
        query = f'_time:{self._seconds:g}s {own}event:"" {label}:in({any_of}) | stats by ({label}) count() lines'
        answer = answer_of(self.spec, context, f"/select/logsql/query?{urlencode({'query': query})}")
        return {str(row.get(label)): int(row.get("lines") or 0) for row in _rows(answer)}

    def _loki(self, context: Context, label: str, names: Sequence[str]) -> dict[str, int]:
        any_of = "|".join(re.escape(name) for name in names)
        own = json.dumps(self.spec["stack"]) if self.spec.get("stack") else '".+"'
        stack = f"stack{'=' if self.spec.get('stack') else '=~'}{own}"
        stack += ',event=""'
        # a unit is no label of a stream there: there are many, and they come and go
        chosen = f"{{{stack}}} | unit=~{json.dumps(any_of)}" if label == "unit" else f"{{{stack},{label}=~{json.dumps(any_of)}}}"
        query = f"sum by ({label}) (count_over_time({chosen} [{self._seconds:g}s]))"
        answer = answer_of(self.spec, context, f"/loki/api/v1/query?{urlencode({'query': query})}")
        result = get_path(answer.json(), "data.result")
        if not isinstance(result, list):
            raise NotAsExpected(f"no data.result: {excerpt(answer.text)}", "an answer of Loki", answer.url)
        return {str(row["metric"].get(label)): int(float(row["value"][1])) for row in result}


def _names(value: Any) -> list[str]:
    return [str(one) for one in (value if isinstance(value, (list, tuple)) else [value] if value else [])]


def _rows(answer: Answer) -> list[dict[str, Any]]:
    """VictoriaLogs answers one JSON text a line, and nothing where there is nothing."""
    try:
        rows = [json.loads(line) for line in answer.text.splitlines() if line.strip()]
    except ValueError as error:
        raise NotAsExpected(f"status {answer.status}, no lines of JSON: {excerpt(answer.text)}", "lines of JSON", answer.url) from error
    if not all(isinstance(row, dict) for row in rows):
        raise NotAsExpected(f"status {answer.status}, no objects: {excerpt(answer.text)}", "lines of JSON", answer.url)
    return rows
