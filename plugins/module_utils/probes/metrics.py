# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A metrics endpoint speaks Prometheus' text format, and holds what it should."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context, NotAsExpected, excerpt
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.http import request
from ansible_collections.phasegate.aistack.plugins.module_utils.core import http_login
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import MISSING, check, describe, describe_all, problems
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe, at_most, judge

_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*\s*=~?\s*"(?:[^"\\]|\\.)*"'
_SELECTOR = re.compile(rf"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{{((?:\s*{_LABEL}\s*,?)*)\s*\}})?")
_PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"')
_MATCHER = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~?)\s*"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Sample:
    """One line of the format."""

    name: str
    labels: Mapping[str, str]
    value: float


def parse(text: str) -> list[Sample]:
    """Read the text format.

    Raises:
        ValueError: a line is neither a comment nor a sample; names it.
    """
    samples: list[Sample] = []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _SELECTOR.match(stripped)
        rest = stripped[match.end() :].split() if match else []
        if match is None or not rest:
            raise ValueError(f"line {number} is no sample: {excerpt(stripped, 80)}")
        samples.append(Sample(match.group(1), dict(_PAIR.findall(match.group(2) or "")), float(rest[0])))
    return samples


def value_of(samples: list[Sample], selector: str) -> Any:
    """The value behind a name, or behind ``name{label="x"}``; the sum where several match, MISSING where none does.

    As in Prometheus' own language, ``label=~"5.."`` is a regular expression for the whole of the label's value.
    """
    match = _SELECTOR.match(selector)
    if match is None:
        return MISSING
    labels = _MATCHER.findall(match.group(2) or "")
    found = [sample.value for sample in samples if sample.name == match.group(1) and _matches(sample.labels, labels)]
    return math.fsum(found) if found else MISSING


def is_selector(text: str) -> bool:
    """Whether a text is a name of a metric, with or without labels."""
    return _SELECTOR.fullmatch(text) is not None


def family(selector: str) -> str:
    """The name of a selector, without its labels."""
    return selector.partition("{")[0].strip()


def buckets(samples: list[Sample], selector: str) -> dict[str, float]:
    """Upper bound to count of a histogram, for those of its series that the selector names."""
    name, brace, labels = selector.partition("{")
    bounds = {sample.labels["le"] for sample in samples if sample.name == f"{name.strip()}_bucket" and "le" in sample.labels}
    inner = labels.rpartition("}")[0].rstrip(", ") if brace else ""
    found: dict[str, float] = {}
    for bound in bounds:
        value = value_of(samples, f'{name.strip()}_bucket{{{inner}{"," if inner else ""}le="{bound}"}}')
        if value is not MISSING:
            found[bound] = value
    return found


def scrape(spec: Mapping[str, Any], context: Context) -> tuple[list[Sample], str]:
    """Ask an endpoint; the samples, and the text that they were read from.

    Args:
        spec: ``target``, and those of ``username``, ``password_file``, ``secret_file`` and ``ca_file`` that are needed.

    Raises:
        NotAsExpected: no answer, or one in another form.
        CannotJudge: it cannot be asked.
    """
    headers = {"Accept": "text/plain;version=0.0.4", **http_login.authorization(spec, context.secrets.read)}
    answer = request(spec["target"], context, headers=headers, ca_file=spec.get("ca_file"))
    if answer.status != 200:
        raise NotAsExpected(f"status {answer.status}: {excerpt(answer.text)}", "status 200")
    try:
        samples = parse(answer.text)
    except ValueError as error:
        raise NotAsExpected(str(error), "Prometheus' text format") from error
    if not samples:
        raise NotAsExpected("not a single sample", "Prometheus' text format")
    return samples, answer.text


def _matches(came: Mapping[str, str], wanted: list[tuple[str, str, str]]) -> bool:
    return all(
        re.fullmatch(value, came.get(name, "")) is not None if operator == "=~" else came.get(name) == value
        for name, operator, value in wanted
    )


class Metrics(Probe):
    """Ask, read all of it, compare."""

    type = "metrics"
    target = Option("str", "address of the endpoint", required=True)
    options = {
        "metrics": Option("any", "a list of names that have to be there, or a mapping of selectors to expected values"),
        "ratio": Option("any", "two selectors, the first one's value is divided by the second one's: [errors, requests] or [sum, count]"),
        "value": Option("figure", "what the ratio has to be; a number means at most"),
        "least": Option("number", "smallest second value that makes a ratio worth judging", default=1),
        **http_login.LOGIN,
    }
    hint = "try: curl {target}"

    @staticmethod
    def check(spec: Mapping[str, object]) -> list[str]:
        login = http_login.problems(spec)
        if login:
            return login
        ratio, wanted = spec.get("ratio"), spec.get("metrics")
        if ratio is not None and not (isinstance(ratio, list) and len(ratio) == 2 and all(_SELECTOR.fullmatch(str(one)) for one in ratio)):
            return ["ratio: must be a list of two selectors, such as [errors_total, requests_total]"]
        if (ratio is None) != (spec.get("value") is None):
            return ["'ratio' and 'value' belong together"]
        if wanted is None:
            return []
        if not isinstance(wanted, (list, Mapping)):
            return ["metrics: must be a list of names, or a mapping of names to expected values"]
        wrong = [f"metrics: '{name}' is no name of a metric" for name in wanted if not _SELECTOR.fullmatch(str(name))]
        rules = wanted.items() if isinstance(wanted, Mapping) else []
        return wrong + [f"metrics.{name}: {line}" for name, rule in rules for line in problems(rule)]

    def _wanted(self) -> dict[str, object]:
        wanted = self.spec.get("metrics") or {}
        return dict(wanted) if isinstance(wanted, Mapping) else {str(name): {"exists": True} for name in wanted}

    def _limit(self) -> Any:
        return at_most(self.spec.get("value"))

    def expectation(self) -> str:
        parts = [describe_all(self._wanted())] if self._wanted() else []
        if self.spec.get("ratio"):
            parts.append(f"{' / '.join(self.spec['ratio'])} {describe(self._limit())}")
        return "Prometheus' text format" + (f" with {', '.join(parts)}" if parts else "")

    def _ratio(self, samples: list[Sample]) -> float:
        """Divide; a first value that nobody has counted yet is nought.

        Raises:
            NotAsExpected: too little was counted for a judgement.
        """
        above, below = (value_of(samples, selector) for selector in self.spec["ratio"])
        seen, least = 0.0 if below is MISSING else float(below), float(self.spec.get("least", 1))
        if seen < least:
            raise NotAsExpected(f"{self.spec['ratio'][1]} = {seen:g}: too few to judge", f"at least {least:g} to judge by")
        return (0.0 if above is MISSING else float(above)) / seen

    def observe(self, context: Context) -> Attempt:
        samples, _text = scrape(self.spec, context)
        found = [one for name, rule in self._wanted().items() for one in check(rule, value_of(samples, name), name)]
        said = f"{len(samples)} samples"
        if self.spec.get("ratio"):
            ratio = self._ratio(samples)
            found += check(self._limit(), ratio, "ratio")
            said = f"{ratio:.4g}"
        return judge(found, self.expectation(), said, self.spec["target"])
