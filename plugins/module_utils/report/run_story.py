# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one run did on all nodes, as their journals tell it: for a page, a plot and a program that reads gates. No I/O.

Nothing is added to what the journals hold, and they hold no secret. Times are UTC; offsets are seconds since the run's first record.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.words import detail_of, said
from ansible_collections.phasegate.aistack.plugins.module_utils.report.text import next_step, worst

Facts = dict[str, Any]

NOT_WORK = ("lock", "seal")
"""Operations that alone make no run that anybody asks about."""

PARTS = ("start", "gate", "shift", "drain", "stop")
"""Of a switch, in the order in which most of it happens; the journal has their seconds as C(<part>_s)."""

RUNS = 20
"""So many runs are named for somebody to choose from."""

SWITCHES = ("activate", "revert")
STATES = {"ok": "ok", "failed": "failed", "open": "open"}
TITLES = {"deploy": "Deployment", "rollback": "Rollback", "emergency_rollback": "Emergency rollback", "backup": "Backup",
          "restore": "Restore", "drill": "Drill", "rotate": "Rotation", "run": "One-off command", "remove": "Removal",
          "restart": "Restart", "scale": "Another number of instances", "migrate": "Migration", "site": "Run of the phases"}
DONE = {"mark": "marked", "stage": "staged",
        "activate": "made live", "revert": "taken back to", "prepare": "proven ahead", "migrate": "migrated by",
        "canary": "given a share of the requests", "scale": "given another number of instances",
        "configure": "configured", "retire": "stopped", "prune": "pruned", "converge": "converged", "backup": "saved",
        "restore": "put back", "drill": "rehearsed", "rotate": "rotated", "run": "ran beside", "remove": "removed",
        "rollback": "went back to"}


def moment(record: Record) -> float:
    """Seconds since 1970 of a record; 0 where its time cannot be read."""
    try:
        return datetime.datetime.fromisoformat(str(record.get("time")).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return 0.0


def clock(seconds: float) -> str:
    """A moment for people."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def runs_of(journals: Mapping[str, Sequence[Record]]) -> list[Facts]:
    """The runs that did something, newest first: ``run``, ``verb``, ``time``, ``actor``, ``releases``, ``outcome``."""
    of: dict[str, dict[str, list[Record]]] = {}
    for node, records in journals.items():
        for record in records:
            if record.get("run"):
                of.setdefault(str(record["run"]), {}).setdefault(node, []).append(record)
    found = []
    for run, nodes in of.items():
        mine = [record for records in nodes.values() for record in records]
        if any(record.get("op") not in NOT_WORK for record in mine):
            told = _Told(nodes)
            found.append({"run": run, "verb": told.verb, "time": clock(min(map(moment, mine))), "at": max(map(moment, mine)),
                          "actor": told.actor, "releases": told.releases, "outcome": told.outcome})
    return sorted(found, key=lambda entry: -float(entry["at"]))


class _Told:
    """The records of one run."""

    def __init__(self, nodes: Mapping[str, Sequence[Record]]) -> None:
        self.nodes = nodes
        self.records = sorted(((moment(r), node, r) for node, rs in nodes.items() for r in rs), key=lambda entry: entry[:2])
        self.actor = next((str(r.get("actor")) for _at, _node, r in self.records if r.get("actor")), "not known")
        self.bars = [one for node, records in nodes.items() for one in _bars(node, records)]
        self.phases = _phases(nodes)
        self.verb = self._verb()
        moved = [str(r["release"]) for _a, _n, r in self.records if r.get("op") in (*SWITCHES, "rollback") and r.get("release")]
        self.releases = list(dict.fromkeys(moved or [str(r["release"]) for _a, _n, r in self.records if r.get("release")]))

    def _verb(self) -> str:
        names = {str(r.get("component")) for _a, _n, r in self.records if r.get("op") == "phase"}
        ops = [str(r.get("op")) for _a, _n, r in self.records]
        known = names & set(TITLES)
        if known:
            return sorted(known)[0]
        if names:
            return "site"
        last = next((op for op in ("rollback", "restore", "drill", "rotate", "remove", "run", "backup", "migrate") if op in ops), "")
        return {"rollback": "emergency_rollback"}.get(last, last) or (ops[0] if ops else "")

    @property
    def outcome(self) -> str:
        """``ok``, ``failed``, or ``open`` where something was begun and has no end yet."""
        ends = [phase["outcome"] for phase in self.phases] or [one["outcome"] for one in self.bars]
        ends += [one["outcome"] for one in self.bars if one["outcome"] == "open" or one["op"] == "rollback"]
        return next((state for state in ("failed", "open") if state in ends), "ok")


def _bars(node: str, records: Sequence[Record]) -> list[Facts]:
    """Operations of one node, each with its beginning and its end; marks are moments."""
    begun: dict[int, Record] = {}
    found: list[Facts] = []
    for record in records:
        op, detail = str(record.get("op")), detail_of(record)
        if op in (*NOT_WORK, "phase"):
            continue
        if record.get("outcome") == "started":
            begun[int(record.get("seq") or 0)] = record
            continue
        first = begun.pop(int(detail.get("started") or 0), None) or _same(begun, record)
        found.append(_bar(node, record, moment(first or record), moment(record), str(record.get("outcome"))))
    last = max(map(moment, records), default=0.0)
    found += [_bar(node, record, moment(record), max(last, moment(record)), "open") for record in begun.values()]
    return sorted(found, key=lambda one: (one["start"], one["seq"]))


def _same(begun: dict[int, Record], end: Record) -> Record | None:
    """The newest beginning of the same operation, for an end that does not name it."""
    key = [end.get(name) for name in ("op", "component", "release")]
    seq = next((seq for seq in sorted(begun, reverse=True) if [begun[seq].get(n) for n in ("op", "component", "release")] == key), None)
    return begun.pop(seq) if seq is not None else None


def _bar(node: str, record: Record, start: float, end: float, outcome: str) -> Facts:
    detail, op = detail_of(record), str(record.get("op"))
    told = detail.get("timings")
    timings: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    seconds = {part: float(timings[f"{part}_s"]) for part in PARTS if isinstance(timings.get(f"{part}_s"), (int, float))}
    return {"node": node, "op": op, "seq": int(record.get("seq") or 0), "component": str(record.get("component") or ""),
            "release": str(record.get("release") or ""), "start": start, "end": end, "seconds": round(end - start, 3),
            "outcome": outcome, "slot": str(detail.get("slot") or ""), "parts": seconds, "said": said(record), "detail": detail}


def _phases(nodes: Mapping[str, Sequence[Record]]) -> list[Facts]:
    """The phases of a run, in order: from the lock, or the phase before, to their record; all nodes together."""
    found: dict[str, Facts] = {}
    for node, records in nodes.items():
        since = moment(records[0]) if records else 0.0
        begun: dict[str, float] = {}
        for record in records:
            if record.get("op") == "lock" and detail_of(record).get("action") not in ("released", "renewed"):
                since = moment(record)
            if record.get("op") != "phase":
                continue
            name, outcome, at = str(record.get("component") or "phase"), str(record.get("outcome")), moment(record)
            if outcome == "started":
                begun[name] = since
                continue
            _phase(found, name, node, begun.pop(name, since), at, outcome, said(record))
            since = at
        last = moment(records[-1]) if records else 0.0
        for name, start in begun.items():
            _phase(found, name, node, start, last, "open", "begun, and not ended on this node")
    return sorted(found.values(), key=lambda phase: (phase["start"], phase["end"]))


def _phase(found: dict[str, Facts], name: str, node: str, start: float, end: float, outcome: str, said: str) -> None:
    phase = found.setdefault(name, {"name": name, "start": start, "end": end, "outcome": "ok", "nodes": {}})
    phase["start"], phase["end"] = min(phase["start"], start), max(phase["end"], end)
    phase["nodes"][node] = {"outcome": outcome, "said": said, "seconds": round(end - start, 1)}
    told = [entry["outcome"] for entry in phase["nodes"].values()]
    phase["outcome"] = next((state for state in ("failed", "open") if state in told), "ok")


def _gates(bars: Sequence[Facts]) -> list[Facts]:
    """Every gate that was asked: ``node``, ``component``, ``release``, ``slot``, ``where``, ``verdict``, ``probes``, ``at``.

    A version before kept only what failed: then that is all there is.
    """
    found: list[Facts] = []
    for one in bars:
        if one["op"] not in (*SWITCHES, "prepare", "canary", "scale"):
            continue
        whose = {"node": one["node"], "component": one["component"], "at": one["end"]}
        entries = [entry for entry in one["detail"].get("gates") or [] if isinstance(entry, Mapping)]
        for entry in entries:
            probes = [dict(probe) for probe in entry.get("probes") or [] if isinstance(probe, Mapping)]
            found.append({**whose, "release": str(entry.get("release") or one["release"]), "slot": str(entry.get("slot") or ""),
                          "where": "through the edge" if entry.get("public") else "on its own port", "probes": probes,
                          "verdict": str(entry.get("verdict") or worst(str(probe.get("verdict")) for probe in probes))})
        report = one["detail"].get("report")
        if isinstance(report, Mapping) and report.get("probe") and not any(entry.get("verdict") != "pass" for entry in entries):
            probe = {key: report.get(key) for key in ("expected", "got", "attempts")}
            verdict = str(report.get("verdict") or "fail")
            found.append({**whose, "release": one["release"], "slot": one["slot"], "where": "", "verdict": verdict,
                          "probes": [{"name": str(report["probe"]), "verdict": verdict, **probe}]})
    return found


def _rows(bars: Sequence[Facts]) -> list[Facts]:
    """The lines of a timeline: node to its components in the order in which they were come to."""
    rows: dict[tuple[str, str], Facts] = {}
    for one in bars:
        row = rows.setdefault((one["node"], one["component"]), {"node": one["node"], "component": one["component"], "bars": []})
        row["bars"].append(one)
    order = list(dict.fromkeys(one["node"] for one in bars))
    return sorted(rows.values(), key=lambda row: order.index(row["node"]))


def _history(journals: Mapping[str, Sequence[Record]], story: Facts) -> list[Facts]:
    """For each component that was switched: the seconds of its last switches that went well, oldest first, this run's among them."""
    found = []
    for node, component in dict.fromkeys((one["node"], one["component"]) for one in story["bars"] if one["op"] in SWITCHES):
        last = max(one["seq"] for one in story["bars"] if (one["node"], one["component"]) == (node, component))
        bars = _bars(node, [r for r in journals.get(node, ()) if r.get("component") == component and r.get("op") in SWITCHES
                            and int(r.get("seq") or 0) <= last])
        runs = {int(r.get("seq") or 0): str(r.get("run")) for r in journals.get(node, ())}
        points = [{"seconds": one["seconds"], "release": one["release"], "now": runs.get(one["seq"]) == story["run"],
                   "outcome": one["outcome"]} for one in bars[-12:]]
        if len(points) > 1:
            found.append({"node": node, "component": component, "points": points})
    return found


def story_of(
    journals: Mapping[str, Sequence[Record]], run: str = "", stack: str = "", silent: Mapping[str, str] | None = None
) -> Facts:
    """One run; the newest that did something where none is named. ``run`` of the answer is empty where there is none.

    Args:
        journals: node to its records, oldest first.
        run: identifier of the run.
        stack: name of the stack.
        silent: nodes whose journal could not be read, with why.

    Returns:
        ``stack``, ``run``, ``verb``, ``title``, ``actor``, ``releases``, ``outcome`` (C(ok), C(failed), C(open)), ``sentence``, ``next``
        (sentences), ``began``, ``ended`` (UTC), ``start`` (seconds since 1970), ``seconds``, ``nodes``, ``silent``, ``phases``, ``bars``,
        ``rows``, ``gates``, ``history``, ``runs``.
    """
    runs = runs_of(journals)
    wanted = run or (str(runs[0]["run"]) if runs else "")
    nodes = {node: [record for record in records if record.get("run") == wanted] for node, records in journals.items()}
    told = _Told({node: records for node, records in nodes.items() if records})
    if not told.records:
        return {"stack": stack, "run": "", "asked": run, "runs": runs[:RUNS], "silent": dict(silent or {})}
    start, end = told.records[0][0], max(entry[0] for entry in told.records)
    story: Facts = {
        "stack": stack, "run": wanted, "verb": told.verb, "title": TITLES.get(told.verb, "Run"), "actor": told.actor,
        "releases": told.releases, "outcome": told.outcome, "began": clock(start), "ended": clock(end), "start": start,
        "seconds": round(end - start, 1), "nodes": list(told.nodes), "silent": dict(silent or {}), "phases": told.phases,
        "bars": told.bars, "rows": _rows(told.bars), "gates": _gates(told.bars), "runs": runs[:RUNS],
    }
    story["history"] = _history(journals, story)
    story["sentence"], story["next"] = sentence(story), next_steps(story)
    return story


def took(seconds: float) -> str:
    """A time for people."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


def what_of(story: Facts) -> str:
    """What the run was: its verb with its release or its phases."""
    if story["verb"] == "site":
        return f"{story['title']} {', '.join(phase['name'] for phase in story['phases'])}"
    word = {"rollback": "to", "emergency_rollback": "to"}.get(story["verb"], "of")
    shown = story["releases"][-1:] if word == "to" else story["releases"][:1]
    return f"{story['title']} {word} {shown[0]}" if shown else str(story["title"])


def first_failure_of(story: Facts) -> Facts | None:
    """The bar that failed first."""
    return next((one for one in sorted(story["bars"], key=lambda one: one["end"]) if one["outcome"] == "failed"), None)


def sentence(story: Facts) -> str:
    """The outcome, in one sentence."""
    what, bad = what_of(story), first_failure_of(story)
    probes = [probe for gate in story["gates"] for probe in gate["probes"]]
    if story["outcome"] == "open":
        left = [f"{one['op']} of {one['component'] or 'the node'} on {one['node']}" for one in story["bars"] if one["outcome"] == "open"]
        left += [f"{phase['name']}" for phase in story["phases"] if phase["outcome"] == "open"]
        return f"{what} has not ended: {', '.join(left[:3])} {'has' if len(left) == 1 else 'have'} no end in the journal."
    if story["outcome"] == "failed":
        if bad is None:
            tasks = [f"{entry['said']} on {node}" for phase in story["phases"] for node, entry in phase["nodes"].items()
                     if entry["outcome"] == "failed" and entry["said"]]
            return f"{what} failed{': ' + tasks[0] if tasks else ''}."
        report = bad["detail"].get("report")
        still = report.get("still_serving") if isinstance(report, Mapping) else None
        serves = f"; {still.get('release')} serves as before" if isinstance(still, Mapping) and still.get("release") else ""
        where = f"{bad['component'] or bad['op']} on {bad['node']}"
        gate = " did not pass its gate" if isinstance(report, Mapping) and report.get("probe") else ""
        return f"{what} failed: {where}{gate}{' (' + bad['said'].rstrip('.') + ')' if bad['said'] else ''}{serves}."
    moved = {(one["node"], one["component"]) for one in story["bars"] if one["op"] in SWITCHES and one["outcome"] == "ok"}
    did = f"{len(moved)} switch{'es' if len(moved) > 1 else ''} on " if moved else "on "
    did += f"{len(story['nodes'])} node{'s' if len(story['nodes']) > 1 else ''} in {took(story['seconds'])}"
    passed = sum(probe.get("verdict") == "pass" for probe in probes)
    asked = f", {'all ' if passed == len(probes) else ''}{passed}{'' if passed == len(probes) else f' of {len(probes)}'} probes passed"
    return f"{what} went well: {did}{asked if probes else ''}."


def next_steps(story: Facts) -> list[str]:
    """What to do, first things first; commands stand between backquotes."""
    bad, verb = first_failure_of(story), story["verb"]
    found = []
    if story["outcome"] == "open":
        found.append("Look whether it still runs: `aistack status` on a node says who has the lock. If not, run the same command again:"
                     " it finishes what was begun, or goes back.")
    elif story["outcome"] == "failed":
        report = bad["detail"].get("report") if bad else None
        said = next_step(report) if isinstance(report, Mapping) else "fix that, and run the same command again"
        found.append(f"{said[:1].upper()}{said[1:]}.")
        if bad and bad["component"]:
            found.append(f"Its log: `ansible-playbook phasegate.aistack.logs -e component={bad['component']}`.")
        found.append("What is well now: `ansible-playbook phasegate.aistack.healthcheck`.")
    elif verb in ("rollback", "emergency_rollback"):
        found.append("Let the checklist say that all is well: `ansible-playbook phasegate.aistack.verify`.")
        found.append("Fix the release that was left, give it a new tag, and deploy that:"
                     " `ansible-playbook phasegate.aistack.deploy -e release=NEWTAG`.")
    elif verb in ("deploy", "site"):
        found.append("Let the checklist say that all is well: `ansible-playbook phasegate.aistack.verify`.")
        found.append("Watch it more closely for half an hour: `ansible-playbook phasegate.aistack.watch`.")
    else:
        found.append("Nothing: it ended well.")
    found += [f"{node} did not answer, and is not part of this report: {why}" for node, why in story["silent"].items()]
    return found
