# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checklist of a verification: every item on one of four levels, with the evidence that it was judged by.

Pure: results of ``gate`` in, items and pages out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import FAIL, PASS
from ansible_collections.phasegate.aistack.plugins.module_utils.report.text import judged, table

LEVELS = ("system", "function", "performance", "data")
JOURNAL = "the journal is as it was written"
"""What verify.yml asks besides what the inventory does."""
_PASSED = ("pass", "skipped", "warning")
_OPEN = "not verified: "
"""What stands before why Prometheus could not judge."""


def verify_items(results: Mapping[str, Mapping[str, Any]], levels: Mapping[str, str]) -> list[dict[str, Any]]:
    """One item for each probe and node, in the order of the levels.

    Args:
        results: node to the result of ``gate`` there; a node that was not reached has ``unreachable``.
        levels: name of a probe without component to its level; others without component are acceptance, level
            ``function``; gates of components are level ``system``.
    """
    items: list[dict[str, Any]] = []
    for node, result in results.items():
        if result.get("unreachable"):
            said = (str(result.get("msg") or "unreachable").splitlines() or ["unreachable"])[0]
            items.append(_item("system", "the node answers", node, "error", "an answer over SSH", said, 0.0))
        for probe in result.get("probes", []):
            component = str(probe.get("component") or "")
            level = levels.get(str(probe["name"]), "") or ("system" if component else "function")
            name = f"{component}: {probe['name']}" if component else str(probe["name"])
            got = f"{probe.get('got') or ''}"
            if probe.get("judged_by"):
                name, got = f"{name} (the inventory's gate of today)", f"{got}; {probe['live']} is judged by the gate it was activated with"
            item = _item(level, name, node, judged(probe), str(probe.get("expected") or ""), got, float(probe.get("latency_ms") or 0))
            items.append({**item, "key": _key(component, str(probe["name"]), levels)})
    return sorted(items, key=lambda item: (LEVELS.index(item["level"]), item["node"]))


def _key(component: str, name: str, levels: Mapping[str, str]) -> str:
    """Where the inventory asks for it; empty for the one check that every verification makes by itself."""
    if component:
        return f"aistack_components.{component}.gate"
    if name in levels:
        return "" if name == JOURNAL else f"aistack_verify, '{name}'"
    return f"aistack_acceptance.{name}"


def _item(level: str, name: str, node: str, verdict: str, expected: str, got: str, latency_ms: float) -> dict[str, object]:
    return {"level": level, "item": name, "node": node, "verdict": verdict, "expected": expected, "got": got,
            "latency_ms": round(latency_ms, 1)}


def figure_items(results: Mapping[str, Mapping[str, Any]]) -> list[dict[str, object]]:
    """Items of level ``performance`` out of what Prometheus says of triggers now, as evidence: none of them fails a verification.

    A window may reach back before what is live now, so that what it holds need not be its fault; and monitoring may be away.

    Args:
        results: node to the result of ``metric_gate`` there.
    """
    items = []
    for host, result in results.items():
        for row in result.get("conditions") or []:
            said = {PASS: "", FAIL: "it would be pulled: "}.get(row["verdict"], _OPEN)
            got = row["got"] if row["got"].startswith(said) else said + row["got"]
            verdict = PASS if row["verdict"] == PASS else "warning"
            name = f"trigger: {row['name']} (Prometheus)"
            items.append(_item("performance", name, row.get("where") or host, verdict, row["expected"], got, 0.0))
    return items


def data_items(node: str, reports: Sequence[Mapping[str, Any]]) -> list[dict[str, object]]:
    """Items of level ``data`` out of fingerprints of databases.

    A report is what ``db_fingerprint`` returned, with the component as ``item``: ``rows`` (table to number) and ``foreign_keys``
    (``checked``, ``violations``). What was passed over on a node says nothing about it.
    """
    items: list[dict[str, Any]] = []
    for report in reports:
        name = str(report.get("item") or "database")
        if report.get("skipped"):
            continue
        if report.get("failed") or report.get("unreachable") or "rows" not in report:
            said = str(report.get("msg") or "none")
            items.append(_item("data", f"{name}: the database is looked at", node, "error", "an answer", said, 0.0))
            continue
        counted = ", ".join(f"{table} {rows}" for table, rows in sorted(report["rows"].items()) if rows is not None)
        verdict = "pass" if counted else "fail"
        items.append(_item("data", f"{name}: rows per table", node, verdict, "tables whose rows can be counted", counted or "none", 0.0))
        keys = report.get("foreign_keys") or {}
        bad = [f"{one['table']}: {one['rows']} rows without a parent in {one['parent']}" for one in keys.get("violations") or []]
        said = "; ".join(bad) or f"{keys.get('checked', 0)} keys, every row has its parent"
        items.append(_item("data", f"{name}: foreign keys", node, "fail" if bad else "pass", "every row has its parent", said, 0.0))
    return items


def failed_items(items: Iterable[Mapping[str, object]]) -> list[Mapping[str, object]]:
    """The items that keep the verification from passing."""
    return [item for item in items if item["verdict"] not in _PASSED]


def verify_text(items: Sequence[Mapping[str, Any]], width: int = 72) -> str:
    """A table for the terminal, and a last line that sums it up."""
    rows = [["level", "item", "node", "verdict", "evidence"]]
    for item in items:
        rows.append([item["level"], item["item"], item["node"], item["verdict"].upper(), _evidence(item)[:width]])
    failed = failed_items(items)
    told: list[str] = []
    for item in failed:
        told += ["", f"{item['item']} on {item['node']}", f"  expected  {item['expected']}", f"  got       {item['got']}"]
        told += [f"  asked by  {item['key']}"] if item.get("key") else []
    return "\n".join([*table(rows), *told, "", summary(items)])


def summary(items: Sequence[Mapping[str, object]]) -> str:
    """One line: how many items of which level passed."""
    parts = []
    for level in LEVELS:
        mine = [item for item in items if item["level"] == level]
        if mine:
            parts.append(f"{level} {sum(item['verdict'] in _PASSED for item in mine)}/{len(mine)}")
        else:
            parts.append(f"{level} not asked")
    left = sum(str(item["got"]).startswith(_OPEN) for item in items)
    parts += [f"{left} of Prometheus not verified"] if left else []
    return ("verified: " if items and not failed_items(items) else "NOT verified: ") + ", ".join(parts)


def verify_markdown(items: Sequence[Mapping[str, object]], title: str, time: str) -> str:
    """The same as a Markdown page with a check box for each item."""
    lines = [f"# {title}", "", f"{time} · {summary(items)}"]
    for level in LEVELS:
        mine = [item for item in items if item["level"] == level]
        lines += ["", f"## {level.capitalize()}", ""]
        lines += [] if mine else ["Nothing was asked on this level."]
        for item in mine:
            box = "x" if item["verdict"] in _PASSED else " "
            asked = f" (asked by {item['key']})" if item.get("key") and box == " " else ""
            lines.append(f"- [{box}] {item['item']} ({item['node']}): {item['verdict']}; {_evidence(item)}{asked}")
    return "\n".join(lines) + "\n"


def _evidence(item: Mapping[str, object]) -> str:
    took = f" in {item['latency_ms']:.0f} ms" if item["latency_ms"] else ""
    got = str(item["got"]) if item["got"] else str(item["expected"])
    return " ".join(got.split()) + took
