# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gates as JUnit XML: it parses, counts what it holds, and a failure says what was expected, what came and what to try."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from ansible_collections.phasegate.aistack.plugins.module_utils.report import junit, run_story
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.report import sample_run

FAILED = {"name": "health", "component": "api", "verdict": "fail", "severity": "critical", "expected": "status 200",
          "hint": "look at its log", "got": "<b>\x1b[31m502\x00 & more", "latency_ms": 250.0, "attempts": 3}
RESULTS: dict[str, Any] = {
    "a": {"probes": [
        FAILED,
        {"name": "old", "component": "api", "verdict": "fail", "severity": "critical", "judged_by": "today", "expected": "x", "got": "y"},
        {"name": "memory", "component": "api", "verdict": "fail", "severity": "warning", "expected": "< 90", "got": "95"},
        {"name": "queue", "component": "worker", "verdict": "pass", "severity": "critical", "expected": "1 worker", "got": "1 worker"},
        {"name": "write", "component": "worker", "verdict": "skipped", "severity": "critical", "expected": "", "got": "not asked"},
        {"name": "dns", "component": "worker", "verdict": "error", "severity": "critical", "expected": "an address", "got": "no resolver"},
    ]},
    "b": {"unreachable": True, "msg": "ssh: no route\nmore"},
}


def parsed(xml: str) -> ElementTree.Element:
    root = ElementTree.fromstring(xml.encode("utf-8"))
    assert root.tag == "testsuites"
    for element in (root, *root):
        cases = list(element.iter("testcase"))
        assert int(element.attrib["tests"]) == len(cases)
        for word, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(element.attrib[word]) == sum(case.find(tag) is not None for case in cases)
        assert float(element.attrib["time"]) >= 0
    return root


def test_every_probe_of_a_health_check_is_a_case() -> None:
    root = parsed(junit.document("shop", junit.health_suites(RESULTS), "2026-01-31T12:00:00"))
    assert [suite.attrib["name"] for suite in root] == ["api", "worker", "(node)"]
    assert (root.attrib["failures"], root.attrib["errors"], root.attrib["skipped"]) == ("1", "2", "1")
    failure = root.find(".//failure")
    assert failure is not None
    assert failure.attrib["message"] == "expected status 200, got <b>\ufffd[31m502\ufffd & more"
    assert "try        look at its log" in str(failure.text)
    first = next(root.iter("testcase"))
    assert first.attrib == {"name": "health", "classname": "shop.api.a", "time": "0.250"}
    names = [case.attrib["name"] for case in root.iter("testcase")]
    assert "old" not in names, "a probe that does not count is no case"
    warned = next(case for case in root.iter("testcase") if case.attrib["name"] == "memory")
    assert str(warned.findtext("system-out")).startswith("warning: it did not pass, and does not count")


def test_a_run_has_its_gates_its_phases_and_what_failed_without_a_gate() -> None:
    journals = sample_run.journals()
    root = parsed(junit.document("shop", junit.run_suites(run_story.story_of(journals, sample_run.BAD))))
    assert [suite.attrib["name"] for suite in root] == ["phase deploy", "backend"]
    bad = [case.attrib["name"] for case in root.iter("testcase") if case.find("failure") is not None]
    assert bad == ["deploy on backend-1", "deploy on web-1", "health on its own port, v4.3.0"]
    assert parsed(junit.document("shop", junit.run_suites(run_story.story_of(journals, sample_run.GOOD)))).attrib["failures"] == "0"
    pen = sample_run.Pen()
    pen.put(0, "r", "migrate", "backend", "v2", "started")
    root = parsed(junit.document("shop", junit.run_suites(run_story.story_of({"n": pen.records}, silent={"gone": "no route"}))))
    assert [error.attrib["message"] for error in root.iter("error")] == [
        "expected it ends well, got it has no end in the journal", "expected its journal, got no route",
    ]
