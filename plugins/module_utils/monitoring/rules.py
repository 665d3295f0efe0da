# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Alert rules in Prometheus' format, each with the verb that answers it and with series that make it fire and that do not.

A rule is data: :func:`groups` writes what Prometheus loads, :func:`cases` what C(promtool test rules) runs beside it. The rules of
triggers are made in :mod:`monitoring.trigger_rules`, the usual ones in :mod:`monitoring.usual_rules`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.gate.series import quotable

EVERY = 60
"""Seconds between two samples, and between two evaluations, in tests of rules."""


@dataclass(frozen=True)
class Series:
    """One series of a test: its name with labels, and its values as promtool writes them (C(0+10x20))."""

    name: str
    values: str


@dataclass(frozen=True)
class Rule:
    """One alert.

    Attributes:
        alert: its name.
        expr: what Prometheus asks; each series that comes is one alert.
        hold: seconds that it has to last before somebody is told.
        labels: ``severity``, and where it is a trigger ``kind``.
        summary: what is wrong, with ``{{ $labels.… }}`` of the series.
        verb: the command that answers it.
        fires, quiet: series under which it fires, and under which it does not; none where nobody can make them up.
        after: seconds after which both are looked at.
    """

    alert: str
    expr: str
    hold: int
    labels: Mapping[str, str]
    summary: str
    verb: str
    fires: tuple[Series, ...] = ()
    quiet: tuple[Series, ...] = ()
    after: int = 600
    notes: Mapping[str, str] = field(default_factory=dict)


def selector(name: str, labels: Mapping[str, str]) -> str:
    """A series' name with labels, as Prometheus writes it."""
    inner = ",".join(f'{label}="{quotable(value)}"' for label, value in labels.items())
    return f"{name}{{{inner}}}"


def told(stack: str, verb: str) -> dict[str, str]:
    """Labels by which the rulebook of events knows what an alert wants: C(emergency_rollback), or a C(ticket)."""
    return {"aistack": verb, "aistack_stack": stack}


def flat(value: Any, seconds: int) -> str:
    """A value that stays for some time, as promtool writes it."""
    return f"{value}+0x{seconds // EVERY + 1}"


def growing(step: Any, seconds: int) -> str:
    """A counter that grows by *step* with each sample."""
    return f"0+{step}x{seconds // EVERY + 1}"


def groups(rules: Mapping[str, Sequence[Rule]]) -> dict[str, object]:
    """The file of rules: group to its rules; a group without rules is left out."""
    return {
        "groups": [
            {
                "name": name,
                "rules": [
                    {
                        "alert": rule.alert, "expr": rule.expr, **({"for": f"{rule.hold}s"} if rule.hold else {}),
                        "labels": dict(rule.labels), "annotations": {"summary": rule.summary, "verb": rule.verb, **rule.notes},
                    }
                    for rule in members
                ],
            }
            for name, members in rules.items() if members
        ]
    }


def _test(rule: Rule, series: Iterable[Series], fires: bool) -> dict[str, object]:
    return {
        "interval": f"{EVERY}s",
        "input_series": [{"series": one.name, "values": one.values} for one in series],
        "promql_expr_test": [
            {
                "expr": f'count by (alertname) (ALERTS{{alertname={_quoted(rule.alert)},alertstate="firing"}})',
                "eval_time": f"{rule.after}s",
                "exp_samples": [{"labels": f"{{alertname={_quoted(rule.alert)}}}", "value": 1}] if fires else [],
            }
        ],
    }


def _quoted(text: str) -> str:
    return f'"{quotable(text)}"'


def cases(rules: Mapping[str, Sequence[Rule]], rule_file: str) -> dict[str, object]:
    """The file of tests: of each rule that can be made up one case that fires and one that does not."""
    members = [rule for group in rules.values() for rule in group if rule.fires]
    tests = [test for rule in members for test in (_test(rule, rule.fires, True), _test(rule, rule.quiet, False))]
    return {"rule_files": [rule_file], "evaluation_interval": f"{EVERY}s", "tests": tests}


def untested(rules: Mapping[str, Sequence[Rule]]) -> list[str]:
    """Names of rules that have no case."""
    return [rule.alert for group in rules.values() for rule in group if not rule.fires]
