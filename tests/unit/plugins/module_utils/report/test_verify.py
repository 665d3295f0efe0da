# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checklist of a verification: levels, evidence, and what keeps it from passing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.report import verify as vt

PASSED: dict[str, Any] = {"verdict": "pass", "severity": "critical", "expected": "200", "got": "200", "latency_ms": 12.0}
RESULTS: dict[str, Any] = {
    "b1": {"probes": [
        {"name": "health", "component": "api", **PASSED},
        {"name": "order", **PASSED},
        {"name": "errors", **PASSED, "verdict": "fail", "got": "ratio = 0.07"},
        {"name": "cpu", **PASSED, "verdict": "fail", "severity": "warning"},
    ]},
    "w1": {"unreachable": True, "msg": "no route\nto host"},
}
LEVELS = {"errors": "performance", "cpu": "performance"}


def test_every_item_stands_on_its_level() -> None:
    items = vt.verify_items(RESULTS, LEVELS)
    assert [(item["level"], item["item"], item["verdict"]) for item in items] == [
        ("system", "api: health", "pass"),
        ("system", "the node answers", "error"),
        ("function", "order", "pass"),
        ("performance", "errors", "fail"),
        ("performance", "cpu", "warning"),
    ]
    assert items[1]["got"] == "no route"


def test_what_failed_names_the_key_that_asks_for_it() -> None:
    failed = {**PASSED, "verdict": "fail"}
    probes = [{"name": "health", "component": "api", **failed}, {"name": "order", **failed}, {"name": vt.JOURNAL, **failed}]
    items = vt.verify_items({"b1": {"probes": probes}}, {vt.JOURNAL: "data"})
    assert [item["key"] for item in items] == ["aistack_components.api.gate", "aistack_acceptance.order", ""]
    assert vt.verify_text(items).count("asked by") == 2


def test_the_checklist_has_the_name_of_the_journals_check() -> None:
    book = next(parent for parent in Path(vt.__file__).parents if (parent / "playbooks").is_dir()) / "playbooks" / "verify.yml"
    assert f"name: {vt.JOURNAL}\n" in book.read_text(encoding="utf-8")


def test_a_warning_does_not_keep_it_from_passing() -> None:
    items = vt.verify_items({"b1": {"probes": RESULTS["b1"]["probes"][3:]}}, LEVELS)
    assert vt.failed_items(items) == []
    assert vt.summary(items) == "verified: system not asked, function not asked, performance 1/1, data not asked"


def test_nothing_asked_is_nothing_verified() -> None:
    assert vt.summary([]).startswith("NOT verified")


def test_the_text_names_what_was_expected_and_what_came() -> None:
    text = vt.verify_text(vt.verify_items(RESULTS, LEVELS))
    assert "errors on b1\n  expected  200\n  got       ratio = 0.07\n  asked by  aistack_verify, 'errors'\n" in text
    assert text.endswith("NOT verified: system 1/2, function 1/1, performance 1/2, data not asked")


def test_the_page_has_a_box_for_each_item() -> None:
    page = vt.verify_markdown(vt.verify_items(RESULTS, LEVELS), "Verification of shop", "2026-01-01")
    assert "- [x] api: health (b1): pass; 200 in 12 ms" in page
    assert "- [ ] errors (b1): fail; ratio = 0.07 in 12 ms (asked by aistack_verify, 'errors')" in page
    assert "## Data\n\nNothing was asked on this level." in page


def test_data() -> None:
    keys = {"checked": 4, "violations": []}
    good = {"item": "api", "rows": {"public.a": 3, "public.big": None}, "foreign_keys": keys}
    items = vt.data_items("b1", [good, {"item": "other", "skipped": True}])
    assert [(item["item"], item["verdict"], item["got"]) for item in items] == [
        ("api: rows per table", "pass", "public.a 3"),
        ("api: foreign keys", "pass", "4 keys, every row has its parent"),
    ]
    violation = {"table": "a", "parent": "b", "rows": 2, "constraint": "a_b"}
    bad = vt.data_items("b1", [{"item": "api", "rows": {}, "foreign_keys": {"violations": [violation]}}])
    assert [(item["verdict"], item["got"]) for item in bad] == [("fail", "none"), ("fail", "a: 2 rows without a parent in b")]
    gone = vt.data_items("b1", [{"item": "api", "failed": True, "msg": "connection refused"}])
    assert [(item["verdict"], item["got"]) for item in gone] == [("error", "connection refused")]


def test_what_prometheus_says_of_triggers_is_evidence_and_fails_nothing() -> None:
    row = {"name": "errors", "expected": "share <= 0.05", "where": "w1"}
    silent = "not verified: Prometheus does not answer: connection refused"
    rows = [{**row, "verdict": "pass", "got": "0.01"}, {**row, "verdict": "fail", "got": "0.5"},
            {**row, "verdict": "inconclusive", "got": "too few to judge"},
            {**row, "verdict": "inconclusive", "got": silent, "where": ""}]
    items = vt.figure_items({"b1": {"conditions": rows}, "w1": {"unreachable": True}, "w2": {"conditions": []}})
    assert {(item["level"], item["item"]) for item in items} == {("performance", "trigger: errors (Prometheus)")}
    assert [(item["verdict"], item["node"], item["got"]) for item in items] == [
        ("pass", "w1", "0.01"), ("warning", "w1", "it would be pulled: 0.5"), ("warning", "w1", "not verified: too few to judge"),
        ("warning", "b1", silent),
    ]
    assert vt.failed_items(items) == []
    assert vt.summary(items).endswith("performance 4/4, data not asked, 2 of Prometheus not verified")
