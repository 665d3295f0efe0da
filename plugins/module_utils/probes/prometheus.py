# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prometheus reads its targets, has its rules, and answers a question as expected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context, NotAsExpected, excerpt
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.http import Answer, request
from ansible_collections.phasegate.aistack.plugins.module_utils.core import http_login
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import Mismatch, check, describe, get_path, problems
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import SLOTS
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe, at_least, at_most, judge

SHOWN = 3
"""So many targets that are down are named."""


def answer_of(spec: Mapping[str, Any], context: Context, path: str, form: Mapping[str, str] | None = None) -> Answer:
    """Ask a server, with the login that *spec* has.

    Args:
        form: sent along, where it would make too long an address.

    Raises:
        NotAsExpected: no answer, or another status than 200.
    """
    headers = http_login.authorization(spec, context.secrets.read)
    body = urlencode(form).encode() if form else None
    headers.update({"Content-Type": "application/x-www-form-urlencoded"} if form else {})
    method = "POST" if form else "GET"
    answer = request(str(spec["target"]).rstrip("/") + path, context, method, body, headers, ca_file=spec.get("ca_file"))
    if answer.status != 200:
        why = f"; {http_login.refused(spec)}" if answer.status in (401, 403) else ""
        raise NotAsExpected(f"status {answer.status}: {excerpt(answer.text)}{why}", "status 200", f"{method} {answer.url}")
    return answer


def ask(spec: Mapping[str, Any], context: Context, path: str, form: Mapping[str, str] | None = None) -> Any:
    """Ask one of the servers of Prometheus' family, as :func:`answer_of` does; what its API answers.

    Raises:
        NotAsExpected: no answer, another status, or no JSON.
    """
    return answer_of(spec, context, path, form).json()


def series(spec: Mapping[str, Any], context: Context, query: str) -> list[tuple[dict[str, str], float]]:
    """What a query answers now: the labels of each series, without its name, and its value. A number is one series without labels.

    Raises:
        NotAsExpected: as :func:`ask`, or the answer is no vector.
    """
    result = get_path(ask(spec, context, "/api/v1/query", {"query": query}), "data.result")
    try:
        if len(result) == 2 and not isinstance(result[0], Mapping):
            return [({}, float(result[1]))]
        return [({name: text for name, text in one["metric"].items() if name != "__name__"}, float(one["value"][1])) for one in result]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise NotAsExpected(f"{excerpt(query, 80)}: no vector: {excerpt(str(result))}", "a vector") from error


def up_and_down(targets: Iterable[Mapping[str, Any]]) -> tuple[int, list[str]]:
    """How many targets are up, and which are down, with Prometheus' own words.

    The two slots of a component on one node count as one, which is up where one of them is: the other one is idle.
    """
    found: dict[tuple[str, ...], tuple[bool, str]] = {}
    for target in targets:
        labels = target.get("labels") or {}
        slotted = labels.get("slot") in SLOTS
        own = "" if slotted else str(target.get("scrapeUrl"))
        key = (str(labels.get("job")), str(labels.get("component")), str(labels.get("node")), own)
        up = target.get("health") == "up"
        said = f"{labels.get('component') or labels.get('job')}@{labels.get('node') or labels.get('instance')}: "
        said += str(target.get("lastError") or f"health {target.get('health')}")
        before = found.get(key, (False, said))
        found[key] = (before[0] or up, before[1])
    return sum(up for up, _said in found.values()), [said for up, said in found.values() if not up]


class Prometheus(Probe):
    """Ask its API: targets, rules, a query."""

    type = "prometheus"
    target = Option("str", "address of the server", required=True)
    options = {
        "up": Option("figure", "how many targets have to be up, and none down; a number means at least"),
        "down": Option("figure", "how many targets may be down; a number means at most", default=0),
        "job": Option("str", "only the targets of this job"),
        "rules": Option("figure", "how many alert rules have to be loaded; a number means at least"),
        "query": Option("str", "a question in Prometheus' language, whose first answer is compared"),
        "value": Option("figure", "what the query has to answer; a number means at least"),
        **http_login.LOGIN,
    }
    hint = "try: curl {target}/api/v1/targets; a target's own words stand there under lastError"

    @staticmethod
    def check(spec: Mapping[str, Any]) -> list[str]:
        found = http_login.problems(spec)
        if ("query" in spec) != ("value" in spec):
            found.append("query and value belong together")
        if not {"up", "rules", "query"} & set(spec):
            found.append("give at least one of up, rules, query")
        return found + [f"{key}: {line}" for key in ("up", "rules", "value") if key in spec for line in problems(spec[key])]

    def expectation(self) -> str:
        parts = []
        if "up" in self.spec:
            parts.append(f"targets up {describe(at_least(self.spec['up']))}, down {describe(self._down())}")
        if "rules" in self.spec:
            parts.append(f"alert rules {describe(at_least(self.spec['rules']))}")
        if "query" in self.spec:
            parts.append(f"{self.spec['query']} = {describe(at_least(self.spec['value']))}")
        return ", ".join(parts)

    def _down(self) -> Any:
        return at_most(self.spec.get("down", 0))

    def observe(self, context: Context) -> Attempt:
        found: list[Mismatch] = []
        got: list[str] = []
        details: list[str] = []
        if "up" in self.spec:
            listed = get_path(ask(self.spec, context, "/api/v1/targets?state=active"), "data.activeTargets") or []
            only = self.spec.get("job")
            up, down = up_and_down(one for one in listed if not only or (one.get("labels") or {}).get("job") == only)
            got.append(f"{up} targets up, {len(down)} down")
            found += check(at_least(self.spec["up"]), up, "targets up") + check(self._down(), len(down), "targets down")
            details += down[:SHOWN] + ([f"and {len(down) - SHOWN} more"] if len(down) > SHOWN else [])
        if "rules" in self.spec:
            loaded = get_path(ask(self.spec, context, "/api/v1/rules?type=alert"), "data.groups") or []
            rules = [rule for group in loaded for rule in group.get("rules", [])]
            broken = [f"{rule.get('name')}: {rule.get('lastError')}" for rule in rules if rule.get("health") == "err"]
            got.append(f"{len(rules)} alert rules")
            found += check(at_least(self.spec["rules"]), len(rules), "alert rules") + check(0, len(broken), "rules that fail")
            details += broken[:SHOWN]
        if "query" in self.spec:
            figure = self._answer(context)
            got.append(f"{self.spec['query']} = {figure:g}")
            found += check(at_least(self.spec["value"]), figure, str(self.spec["query"]))
        return judge(found, self.expectation(), ", ".join(got), "; ".join(details))

    def _answer(self, context: Context) -> float:
        found = series(self.spec, context, str(self.spec["query"]))
        if not found:
            raise NotAsExpected(f"{self.spec['query']}: no series", f"a value {describe(at_least(self.spec['value']))}")
        return found[0][1]
