# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gates as JUnit XML, which systems that run tests know how to show: a suite for each component or phase, a case for each probe. No I/O.

A probe that fails is a C(failure), one that could not be judged an C(error); both say what was expected, what came, and what to try.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict
from xml.etree import ElementTree

from ansible_collections.phasegate.aistack.plugins.module_utils.report.text import judged

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import ProbeRow


class Case(TypedDict):
    """What a probe or a step came to: ``where`` it was asked, ``seconds`` that it took, its words as texts."""

    name: str
    where: str
    seconds: float
    verdict: str
    expected: str
    got: str
    hint: str
    attempts: str


Suites = Mapping[str, Sequence[Case]]

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to say."""


def text(value: Any) -> str:
    """A value as XML can hold it."""
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", str(value if value is not None else ""))


def case_of(probe: ProbeRow, where: str) -> Case:
    """A probe as a case."""
    return {
        "name": str(probe.get("name") or "probe"), "where": where, "seconds": float(probe.get("latency_ms") or 0) / 1000,
        "verdict": judged(probe), "expected": str(probe.get("expected") or ""), "got": str(probe.get("got") or ""),
        "hint": str(probe.get("hint") or ""), "attempts": str(probe.get("attempts") or ""),
    }


def health_suites(results: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Case]]:
    """Component to its probes, out of what ``gate`` returned by node: those that count, as in the table of a health check."""
    suites: dict[str, list[Case]] = {}
    for node, result in results.items():
        if result.get("unreachable"):
            said = (str(result.get("msg") or "unreachable").splitlines() or ["unreachable"])[0]
            probe: ProbeRow = {"name": "the node answers", "verdict": "error", "expected": "an answer over SSH", "got": said}
            suites.setdefault("(node)", []).append(case_of(probe, node))
            continue
        by_component: dict[str, list[ProbeRow]] = {}
        for one in result.get("probes", []):
            by_component.setdefault(str(one.get("component") or "acceptance"), []).append(one)
        for component, asked in by_component.items():
            counting = [one for one in asked if not one.get("judged_by")] or asked
            suites.setdefault(component, []).extend(case_of(one, node) for one in counting)
    return suites


def run_suites(story: Mapping[str, Any]) -> dict[str, list[Case]]:
    """The gates of a run by component, its phases, and what failed without a gate."""
    suites: dict[str, list[Case]] = {}
    for phase in story["phases"]:
        for node, entry in phase["nodes"].items():
            verdict = {"ok": "pass", "failed": "fail"}.get(entry["outcome"], "error")
            came: ProbeRow = {"name": f"{phase['name']} on {node}", "verdict": verdict, "expected": "the phase is accepted"}
            probe: ProbeRow = {**came, "got": entry["said"]}
            suites.setdefault(f"phase {phase['name']}", []).append({**case_of(probe, node), "seconds": entry["seconds"]})
    for gate in story["gates"]:
        for asked_then in gate["probes"]:
            name = f"{asked_then.get('name')} {gate['where']}".strip()
            suites.setdefault(gate["component"], []).append({**case_of(asked_then, gate["node"]), "name": f"{name}, {gate['release']}"})
    for one in story["bars"]:
        asked = isinstance(one["detail"].get("report"), Mapping) and one["detail"]["report"].get("probe")
        if one["outcome"] != "ok" and not asked:
            got = one["said"] or ("it has no end in the journal" if one["outcome"] == "open" else "it failed")
            probe = {"name": f"{one['op']} {one['release']}".strip(), "verdict": "error", "expected": "it ends well", "got": got}
            suites.setdefault(one["component"] or "(node)", []).append({**case_of(probe, one["node"]), "seconds": one["seconds"]})
    for node, why in story["silent"].items():
        probe = {"name": "the node answers", "verdict": "error", "expected": "its journal", "got": why}
        suites.setdefault("(node)", []).append(case_of(probe, node))
    return suites


def _count(cases: Iterable[Case]) -> dict[str, str]:
    rows = list(cases)
    verdicts = [row["verdict"] for row in rows]
    return {"tests": str(len(rows)), "failures": str(verdicts.count("fail")),
            "errors": str(sum(verdict in ("error", "inconclusive") for verdict in verdicts)),
            "skipped": str(verdicts.count("skipped")), "time": f"{sum(row['seconds'] for row in rows):.3f}"}


def document(name: str, suites: Suites, time: str = "") -> str:
    """The XML, with a declaration. *time*: when it was, ISO 8601 without a zone, as the format wants it."""
    root = ElementTree.Element("testsuites", {"name": text(name), **_count(case for cases in suites.values() for case in cases)})
    for title, cases in suites.items():
        suite = ElementTree.SubElement(root, "testsuite", {"name": text(title), **_count(cases), **({"timestamp": time} if time else {})})
        for case in cases:
            label = {"name": text(case["name"]), "classname": text(f"{name}.{title}.{case['where']}"), "time": f"{case['seconds']:.3f}"}
            _judge(ElementTree.SubElement(suite, "testcase", label), case)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _judge(element: ElementTree.Element, case: Case) -> None:
    """What a case came to, below its element."""
    told = [("where", case["where"]), ("expected", case["expected"]), ("got", case["got"]), ("attempts", case["attempts"])]
    lines = [f"{key:<10} {value}" for key, value in [*told, ("try", case["hint"])] if value]
    verdict = case["verdict"]
    if verdict in ("fail", "error", "inconclusive"):
        message = f"expected {case['expected']}, got {case['got']}"
        kind = "failure" if verdict == "fail" else "error"
        ElementTree.SubElement(element, kind, {"message": text(message), "type": verdict}).text = text("\n".join(lines))
    elif verdict == "skipped":
        ElementTree.SubElement(element, "skipped", {"message": text(case["got"])})
    else:
        warned = ["warning: it did not pass, and does not count"] if verdict == "warning" else []
        ElementTree.SubElement(element, "system-out").text = text("\n".join([*warned, *lines]))
