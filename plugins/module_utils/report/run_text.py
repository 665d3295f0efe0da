# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run's report for the terminal, and its facts laid out for the templates of documents. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.report.run_story import DONE, PARTS, clock, took
from ansible_collections.phasegate.aistack.plugins.module_utils.report.text import ORDER, judged, table, worst

Facts = Mapping[str, Any]

THINNEST = 0.35
"""Percent of the timeline's width that a bar has at least, so that it is seen."""

STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400)
"""Seconds between two marks of an axis."""


def events(story: Facts) -> list[dict[str, str]]:
    """Everything that ended, in order: ``time``, ``at`` (since the beginning), ``node``, ``what``, ``took``, ``outcome``, ``said``."""
    found: list[tuple[float, dict[str, str]]] = []
    for one in story["bars"]:
        done = DONE.get(one["op"], one["op"]) if one["outcome"] == "ok" else one["op"]
        done = f"task {one['detail'].get('task')} of" if one["op"] == "task" else done
        what = f"{one['component'] or 'node'}: {done} {one['release']}".rstrip()
        found.append((one["end"], _event(story, one["end"], one["node"], what, one["seconds"], one["outcome"], one["said"])))
    for phase in story["phases"]:
        for node, entry in phase["nodes"].items():
            row = _event(story, phase["end"], node, f"phase {phase['name']}", entry["seconds"], entry["outcome"], entry["said"])
            found.append((phase["end"], row))
    return [row for _at, row in sorted(found, key=lambda entry: entry[0])]


def _event(story: Facts, at: float, node: str, what: str, seconds: float, outcome: str, said: str) -> dict[str, str]:
    return {"time": clock(at)[11:], "at": f"+{took(at - story['start'])}", "node": node, "what": what, "outcome": outcome, "said": said,
            "took": took(seconds) if seconds >= 0.05 else ""}


def run_text(story: Facts, width: int = 70) -> str:
    """The report on a terminal."""
    rows = [["time", "node", "what", "took", "", ""]]
    for event in events(story):
        said = event["said"] if event["outcome"] != "ok" else ""
        rows.append([event["time"], event["node"], event["what"], event["took"], event["outcome"].upper(), said[:width]])
    lines = [f"Run {story['run']}: {story['title']}, by {story['actor']}, {story['began']} UTC", "", *table(rows)]
    for gate, probe in bad_probes(story):
        lines += ["", f"{gate['component']} {gate['release']} on {gate['node']}: {probe.get('name')}"]
        lines += [f"  expected  {probe.get('expected')}", f"  got       {probe.get('got')}"]
    lines += ["", *(f"next  {step.replace('`', '')}" for step in story["next"]), "", story["sentence"]]
    return "\n".join(lines)


def bad_probes(story: Facts) -> list[tuple[Facts, Facts]]:
    """Gates with those of their probes that did not pass."""
    return [(gate, probe) for gate in story["gates"] for probe in gate["probes"] if judged(probe) not in ("pass", "skipped", "warning")]


def no_run(story: Facts) -> str:
    """Why there is nothing to report, and what to do."""
    silent = [f"  {node}: {why}" for node, why in story["silent"].items()]
    if story["asked"]:
        known = [f"  {run['run']}  {run['time']}  {run['verb']}  {', '.join(run['releases'][:2])}" for run in story["runs"]]
        head = f"No journal that was read knows of a run {story['asked']}."
        return "\n".join([head, *(["Those that are known, newest first (-e run=ID):", *known] if known else []), *silent])
    head = "No journal tells of a run: nothing was deployed here yet, or no node could be read."
    return "\n".join([head, *silent, "Deploy first (site.yml), or fix why the nodes do not answer."])


# --- for plots: everything in percent of the width ---

def layout(story: Facts) -> dict[str, object]:
    """What a template draws: ``axis``, ``phases``, ``nodes`` (each with ``rows`` of ``bars`` of ``parts``), ``gates`` (one for each
    release of a component, what failed first), ``durations``, ``latencies``, ``history``; lengths in percent.
    """
    start, whole = story["start"], max(float(story["seconds"]), 0.001)
    step = next((step for step in STEPS if whole / step <= 6), STEPS[-1])
    marks = [number * step for number in range(int(whole / step) + 1)]

    def place(begin: float, end: float) -> dict[str, float]:
        wide = max((end - begin) / whole * 100, THINNEST)
        return {"x": round(min(max((begin - start) / whole * 100, 0), 100 - THINNEST), 3), "w": round(min(wide, 100), 3)}

    nodes: dict[str, list[dict[str, Any]]] = {node: [] for node in story["nodes"]}
    for row in story["rows"]:
        bars = [{**one, **place(one["start"], one["end"]), "label": _label(one), "sub": _parts(one, start, whole)} for one in row["bars"]]
        nodes[row["node"]].append({"name": row["component"] or "node", "bars": bars})
    return {
        "axis": [{"x": round(mark / whole * 100, 3), "label": f"{mark:g} s" if step < 60 else took(mark)} for mark in marks],
        "phases": [{**one, **place(one["start"], one["end"]), "took": took(one["end"] - one["start"])} for one in story["phases"]],
        "nodes": [{"name": node, "rows": rows} for node, rows in nodes.items()],
        "gates": _together(story),
        "durations": _durations(story),
        "latencies": _latencies(story),
        "history": [_columns(entry) for entry in story["history"]],
    }


def _label(one: Facts) -> str:
    """What is said where a pointer rests on a bar."""
    named = f"{one['op']} {one['release']}".rstrip()
    parts = ", ".join(f"{part} {took(seconds)}" for part, seconds in one["parts"].items())
    return "; ".join(part for part in (named, f"{one['outcome']} after {took(one['seconds'])}", parts, one["said"]) if part)


def _parts(one: Facts, start: float, whole: float) -> list[dict[str, object]]:
    """The parts of a switch, one behind the other, as far as they fit into it."""
    found, at = [], float(one["start"])
    for part in PARTS:
        seconds = min(one["parts"].get(part, 0.0), float(one["end"]) - at)
        if seconds > 0:
            found.append({"part": part, "x": round((at - start) / whole * 100, 3), "w": round(seconds / whole * 100, 3)})
            at += seconds
    return found


def _durations(story: Facts) -> list[dict[str, object]]:
    """What took how long, longest first: operations that lasted, a switch in its parts."""
    bars = sorted((one for one in story["bars"] if one["seconds"] >= 0.05), key=lambda one: -one["seconds"])[:16]
    most = max((one["seconds"] for one in bars), default=1.0)
    found = []
    for one in bars:
        at, parts = 0.0, []
        for part in PARTS:
            seconds = min(one["parts"].get(part, 0.0), one["seconds"] - at)
            if seconds > 0:
                parts.append({"part": part, "x": round(at / most * 100, 3), "w": round(seconds / most * 100, 3)})
                at += seconds
        found.append({"label": f"{one['component'] or 'node'}: {one['op']} {one['release']}".rstrip(), "node": one["node"], "op": one["op"],
                      "outcome": one["outcome"], "w": round(one["seconds"] / most * 100, 3), "parts": parts, "took": took(one["seconds"])})
    return found


def _together(story: Facts) -> list[dict[str, object]]:
    """The gates of one release of a component on a node as one, each probe with C(where) it was asked; what failed stands first."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for gate in story["gates"]:
        key = tuple(str(gate[name]) for name in ("node", "component", "release", "slot"))
        one = found.setdefault(key, {**gate, "probes": [], "verdicts": []})
        one["verdicts"].append(gate["verdict"])
        one["probes"] += [{**probe, "where": gate["where"]} for probe in gate["probes"]]
    for one in found.values():
        one["verdict"] = worst(one.pop("verdicts"))
    return sorted(found.values(), key=lambda one: ORDER.index(one["verdict"]) if one["verdict"] in ORDER else 0)


def _latencies(story: Facts) -> list[dict[str, object]]:
    """What probes took to answer, slowest first; of each the slowest answer."""
    slowest: dict[tuple[str, ...], tuple[float, str]] = {}
    for gate in story["gates"]:
        for probe in gate["probes"]:
            key, took_ms = (str(gate["component"]), str(probe.get("name")), str(gate["node"])), probe.get("latency_ms")
            if isinstance(took_ms, (int, float)) and took_ms > slowest.get(key, (0.0, ""))[0]:
                slowest[key] = float(took_ms), judged(probe)
    rows = sorted(slowest.items(), key=lambda row: -row[1][0])[:16]
    most = rows[0][1][0] if rows else 1.0
    return [{"label": f"{component}: {name}", "node": node, "ms": round(ms, 1), "verdict": verdict,
             "w": round(max(ms / most * 100, THINNEST), 3)} for (component, name, node), (ms, verdict) in rows]


def _columns(entry: Facts) -> dict[str, object]:
    """Columns of the last switches of a component, in percent of the highest."""
    points = entry["points"]
    most = max(point["seconds"] for point in points) or 1.0
    wide = 100 / max(len(points), 8)  # a few columns do not become walls
    columns = [{**point, "x": round(wide * number + wide * 0.12, 3), "w": round(wide * 0.76, 3), "took": took(point["seconds"]),
                "h": round(max(point["seconds"] / most * 100, 2), 2)} for number, point in enumerate(points)]
    return {**entry, "columns": columns, "most": took(most)}
