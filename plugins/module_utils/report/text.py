# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pages of text for people: the table of a health check, the report of a failure, the plan of a deployment.

Pure: results of modules in, text out. Widths are counted in characters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.phasegate.aistack.plugins.module_utils.gate.text import inventory_says

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import ProbeRow

ORDER = ("error", "fail", "inconclusive", "warning", "skipped", "pass")
"""Verdicts, the worst first."""

LONG_LOG = 20
"""Lines from which on it is said that a log shown is the end of one."""


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay rows out in columns; the first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return [lines[0], "  ".join("─" * width for width in widths), *lines[1:]]


def worst(verdicts: Iterable[str]) -> str:
    """The verdict that counts for many probes together; ``skipped`` where there is none."""
    found = set(verdicts)
    return next((verdict for verdict in ORDER if verdict in found), "skipped")


def judged(probe: ProbeRow) -> str:
    """The verdict of a probe as it counts: what is only a warning does not fail anything."""
    verdict = str(probe.get("verdict", "error"))
    return "warning" if probe.get("severity") == "warning" and verdict not in ("pass", "skipped") else verdict


def health_rows(results: Mapping[str, Mapping[str, Any]], order: Sequence[str]) -> list[dict[str, object]]:
    """One row for each component and each node that looked at it.

    ``results`` maps a node to what ``gate`` returned there; a node that was not reached has ``unreachable``.
    """
    rows: list[dict[str, Any]] = []
    for host, result in results.items():
        if result.get("unreachable"):
            rows.append({"component": "(node)", "node": host, "verdict": "error", "probes": 0, "passed": 0,
                         "slowest_ms": 0.0, "release": "", "said": str(result.get("msg", "unreachable")).splitlines()[0]})
            continue
        by_component: dict[str, list[ProbeRow]] = {}
        for probe in result.get("probes", []):
            by_component.setdefault(str(probe.get("component") or "acceptance"), []).append(probe)
        for component, asked in by_component.items():
            probes = [probe for probe in asked if not probe.get("judged_by")] or asked
            bad = [probe for probe in probes if judged(probe) not in ("pass", "skipped")]
            rows.append({
                "component": component, "node": host, "verdict": worst(judged(probe) for probe in probes),
                "probes": len(probes), "passed": sum(judged(probe) == "pass" for probe in probes),
                "slowest_ms": max(float(probe.get("latency_ms") or 0) for probe in probes),
                "release": str((result.get("contexts") or {}).get(component, {}).get("release", "")),
                "said": f"{bad[0]['name']}: expected {bad[0].get('expected')}, got {bad[0].get('got')}" if bad else "",
                "failed": [{key: str(probe.get(key) or "") for key in ("name", "expected", "got", "hint")} for probe in bad],
                "inventory": inventory_says(asked),
            })
    position = {name: index for index, name in enumerate(order)}
    return sorted(rows, key=lambda row: (position.get(row["component"], len(position)), row["node"]))


def health_text(rows: Sequence[Mapping[str, Any]], said_width: int = 60, without: Sequence[str] = ()) -> str:
    """The table of a health check, what came instead where something fails, and a last line that sums it up; *without* are the
    components that have no gate.
    """
    cells = [["component", "node", "release", "gate", "probes", "slowest", ""]]
    for row in rows:
        cells.append([
            row["component"], row["node"], row["release"], str(row["verdict"]).upper(), f"{row['passed']}/{row['probes']}",
            f"{row['slowest_ms']:.0f} ms", str(row["said"])[:said_width],
        ])
    told: list[str] = []
    for row in rows:
        for probe in row.get("failed", []):
            told += ["", f"{row['component']} on {row['node']}: {probe['name']}"]
            told += [f"  expected  {probe['expected']}", f"  got       {probe['got']}"]
            told += [f"  try       {probe['hint']}"] if probe["hint"] else []
        for said in row.get("inventory", []):
            told += ["", f"{row['node']}: {said}"]
    failed = sorted({row["component"] for row in rows if row["verdict"] in ("fail", "error", "inconclusive")})
    asked = len({row["component"] for row in rows})
    last = f"{len(failed)} of {asked} components fail: {', '.join(failed)}" if failed else (
        f"all {asked} components pass" if asked > 1 else "the one component that was asked passes")
    if without:
        some = f"{len(without)} components have" if len(without) > 1 else "1 component has"
        last += f"; {some} no gate: {', '.join(without)}"
    return "\n".join([*table(cells), *told, "", last])


def first_failure(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """The result of a task, or of the first item that failed where the task was a loop: the loop itself says nothing of use."""
    items = [item for item in result.get("results") or [] if isinstance(item, Mapping) and item.get("failed")]
    return items[0] if items else result


def failure_text(task: str, result: Mapping[str, object], command: str = "") -> str:
    """What happened, what was expected, what came, what still serves, and what to do next.

    ``command`` is what was typed: named again, whole, where the failure says what has to be added to it.
    """
    result = first_failure(result)
    lines = [f"failed     {task}"]
    report = result.get("report")
    if isinstance(report, Mapping):
        for key in ("probe", "where", "expected", "got", "attempts"):
            if report.get(key) not in (None, ""):
                lines.append(f"{key:<10} {report[key]}")
        tail = report.get("log_tail") or []
        tail = tail if isinstance(tail, list) else str(tail).splitlines()
        heading = "log        its end, the newest line last:" if len(tail) >= LONG_LOG else "log"
        lines += [heading, *(f"    {line}" for line in tail)] if tail else []
        serving = report.get("still_serving")
        if serving:
            lines.append(f"serving    {serving.get('release')} in slot {serving.get('slot')}, as before")
        lines.append(f"next       {next_step(report)}")
    else:
        message = str(result.get("msg") or result.get("censored") or "no message").splitlines()
        lines += [f"{'because' if not index else '':<10} {line}" for index, line in enumerate(message)]
        accepted = _to_accept(result)
        lines += [f"next       if that may go: {command} -e accept_loss={accepted}"] if command and accepted else []
    return "\n".join(lines)


def _to_accept(result: Mapping[str, Any]) -> str:
    """What a downgrade that was refused for its losses takes away, as it is accepted by name; empty for any other failure."""
    if result.get("code") != "data_loss":
        return ""
    losses = (result.get("plan") or {}).get("losses") or []
    return ",".join(dict.fromkeys(str(loss["name"]) for loss in losses if loss.get("rows") != 0))


def next_step(report: Mapping[str, object]) -> str:
    """What to do about a slot that did not come up."""
    if report.get("going_back_failed"):
        return f"fix why nothing serves, and run the same command again: {report['going_back_failed']}"
    if report.get("marked_bad"):
        said = "fix it and deploy it under a new tag; this one is marked bad and is taken again only with -e allow_bad=true"
        right = "the answer" if report.get("answered") else "the release"
        other = report.get("fix_gate") or report.get("mend_gate")  # the latter in journals that were written before
        return f"{said}. Or, where {right} is right: {other}" if other else said
    if report.get("verdict") == "error" and report.get("probe"):
        return "fix the gate, or what it names on the node, and run the same command again; the release is not marked bad"
    if report.get("verdict") == "inconclusive":
        return (
            "look in its log whether it was on its way, and run the same command again; where it takes longer than that, raise deadline in"
            " gate_settings of the component. The release is not marked bad"
        )
    return "fix that, and run the same command again"


def failures(hosts: Iterable[Mapping[str, Any]]) -> list[str]:
    """What failed where, a line each: ``node: task: first line of what was said``.

    ``hosts`` are the variables of every node; those on which nothing failed have no C(ansible_failed_task).
    """
    found = []
    for host in hosts:
        task = host.get("ansible_failed_task")
        if task:
            said = str(first_failure(host.get("ansible_failed_result") or {}).get("msg") or "").strip().splitlines()
            found.append(": ".join([str(host.get("inventory_hostname")), str(task.get("name") or "a task without a name"), *said[:1]]))
    return found
