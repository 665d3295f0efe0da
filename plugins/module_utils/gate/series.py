# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judging what Prometheus answers: a query has a series for each node and slot, and each is judged as one figure of a window is.

On a node the slot that failed counts, and one that passed where none failed: a slot without requests is judged neither way. Every node
has to pass. No clock, no I/O.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import SLOTS
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import FAIL, INCONCLUSIVE, PASS
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.window import Figure, Measurement, compare, expectation

Answer = Sequence[tuple[Mapping[str, str], float]]
"""What a query answered: labels and value of each series."""
TOLD = 3
"""So many series are told in a line."""
_KNOWN = ("component", "node", "stack")
"""Labels that a line does not repeat."""


def earlier(query: str, seconds: float) -> str:
    """The same query some seconds before, as a query: it stands in an alert rule as it is asked by a gate."""
    return f"last_over_time(({query})[1m:1m] offset {int(seconds)}s)"


def quotable(text: str) -> str:
    """A text as it stands between the quotation marks of a query."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def questions(condition: Mapping[str, Any]) -> dict[str, str]:
    """What a condition asks: the ``query``, and the ``sample`` and the ``baseline`` where it has one."""
    asked = {key: str(condition[key]) for key in ("query", "sample", "baseline") if key in condition}
    if "offset" in condition:
        asked["baseline"] = earlier(asked["query"], float(condition["offset"]))
    return asked


def joined(condition: Mapping[str, Any], answers: Mapping[str, Answer]) -> list[dict[str, Any]]:
    """The series that a condition judges, each with its sample and with what it is compared with.

    Args:
        condition: canonical, filled in.
        answers: of each of :func:`questions`.
    """
    figures = {_key(labels): value for labels, value in answers["query"]}
    samples, baselines = ({_key(labels): value for labels, value in answers.get(name, ())} for name in ("sample", "baseline"))
    slot, nodes = condition.get("slot"), condition.get("nodes")
    found = []
    for labels, value in answers["query"]:
        if (slot and labels.get("slot") != slot) or (nodes and labels.get("node") not in nodes):
            continue
        key = _key(labels)
        one: dict[str, Any] = {"labels": dict(labels), "value": _finite(value)}
        if "sample" in answers:
            one["sample"] = _finite(samples.get(key))
        if "baseline" in answers:
            one["base"] = _finite(baselines.get(key))
        elif slot and "times" in condition:
            other = _key({**labels, "slot": next(name for name in SLOTS if name != slot)})
            one.update(base=_finite(figures.get(other)), base_sample=_finite(samples.get(other)))
        found.append(one)
    return found


def _key(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


def _finite(value: float | None) -> float | None:
    """A value that can be judged; None for nothing, and for what was divided by nothing."""
    return value if value is not None and math.isfinite(value) else None


def judge_series(condition: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> Measurement:
    """The verdict over all series of a condition.

    Args:
        found: what :func:`joined` gave.
    """
    condition = {"min_sample": 1.0, **condition}
    judged = [(one["labels"], _judged(condition, one)) for one in found]
    missing = [node for node in condition.get("nodes") or () if node not in [labels.get("node") for labels, _seen in judged]]
    if not judged or missing:
        whose = f"of {', '.join(missing)}" if missing else f"of slot {condition['slot']}" if condition.get("slot") else "at all"
        nothing = Measurement(INCONCLUSIVE, f"nothing to judge by: the query has no series {whose}; nobody shows this figure now",
                              expectation(condition), where=", ".join(missing))
        if FAIL not in [seen.verdict for _labels, seen in judged]:
            return nothing
    of_node: dict[str, list[tuple[Mapping[str, str], Measurement]]] = {}
    for labels, seen in judged:
        of_node.setdefault(labels.get("node", ""), []).append((labels, seen))
    # of a node the first of these counts, of all nodes the first in another order
    decided = {node: _first([seen.verdict for _labels, seen in those], (FAIL, PASS)) for node, those in of_node.items()}
    verdict = _first(list(decided.values()), (FAIL, INCONCLUSIVE))
    shown = [(labels, seen) for node, those in of_node.items() if decided[node] == verdict
             for labels, seen in those if seen.verdict == verdict]
    return _told(verdict, shown)


def _first(verdicts: Sequence[str], order: Sequence[str]) -> str:
    """The first of *order* that is among the verdicts; where none is, what they all are."""
    return next((one for one in order if one in verdicts), verdicts[0])


def _judged(condition: Mapping[str, Any], one: Mapping[str, Any]) -> Measurement:
    value, sample = one["value"], one.get("sample", 1.0)
    counted = f" ({sample:.6g} counted)" if sample is not None and "sample" in one else ""
    why = "something was divided by nothing" if value is None else ""
    if sample is None:
        why = "the query of the sample has no such series"
    figure = Figure(None if sample is None else value, sample or 0.0, "" if value is None else f"{value:.4g}{counted}", why)
    if "times" not in condition:
        return compare(condition, figure)
    return compare(condition, figure, one.get("base") or 0.0, _nothing_to_compare(condition, one))


def _nothing_to_compare(condition: Mapping[str, Any], one: Mapping[str, Any]) -> str:
    """Why there is nothing that *times* is a multiple of; empty where there is."""
    base, least = one.get("base"), float(condition["min_sample"])
    whose = "the other slot" if "base_sample" in one else "the baseline"
    if base is None:
        return f"nothing to compare with: {whose} has no such figure"
    if "sample" in one and "base_sample" in one and (one["base_sample"] or 0.0) < least:
        return f"nothing to compare with: {whose} saw {one['base_sample'] or 0.0:.6g}, at least {least:.6g} are needed"
    return f"nothing to compare with: {whose} is {base:.4g}" if base <= 0 else ""


def _told(verdict: str, shown: Sequence[tuple[Mapping[str, str], Measurement]]) -> Measurement:
    """One measurement out of several that came to the same."""
    nodes = list(dict.fromkeys(labels["node"] for labels, _seen in shown if labels.get("node")))
    lines = []
    for labels, seen in shown[:TOLD]:
        more = [f"{name} {text}" for name, text in labels.items() if name not in _KNOWN or (name == "node" and len(nodes) > 1)]
        lines.append(seen.got + (f" [{', '.join(more)}]" if more else ""))
    rest = f"; and {len(shown) - TOLD} more" if len(shown) > TOLD else ""
    first = shown[0][1]
    return Measurement(verdict, "; ".join(lines) + rest, first.expected, first.value, first.sample, ", ".join(nodes))
