# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the command C(aistack) says to people. Pure: its answers in, text out."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from ansible_collections.phasegate.aistack.plugins.module_utils.report.refusals import grouped
from ansible_collections.phasegate.aistack.plugins.module_utils.report.text import table

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record
    from ansible_collections.phasegate.aistack.plugins.module_utils.node.status import ComponentStatus, Status
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.contract import Outcome, Plan, Step, Switch
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.deadman import Armed

WIDTH = 100


def _wrapped(text: str, first: str = "  ", rest: str = "    ") -> list[str]:
    return textwrap.wrap(str(text), WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False) or [
        first.rstrip()
    ]


def _section(title: str, body: Sequence[str]) -> list[str]:
    return ["", title, *body] if body else []


def _when(time: Any) -> str:
    """An ISO time as people read it, to the second."""
    return str(time or "").replace("T", " ").partition(".")[0].rstrip("Z")


# -- status


def status_text(answer: Status) -> str:
    """What is live on a node, and what is to be known before anybody touches it."""
    lines = [f"{answer['stack']} on {answer['node']}"]
    command = f"aistack --stack {answer['stack']}"  # a node may have other stacks
    applications = answer["applications"]
    if not applications:
        lines += ["", *_wrapped("Nothing was released here yet: no component is described. deploy.yml brings the first release.")]
    for name, application in applications.items():
        rows = [["component", "live", "slot", "since (UTC)", "mark", "behind it"]]
        for row in application["components"]:
            live = row["live"]
            rows.append(
                [
                    row["component"],
                    str((live["release"] if live else None) or "—"),
                    str((live["slot"] if live else None) or "—"),
                    _when(row["since"]),
                    str(row["mark"] or "—"),
                    _behind(row),
                ]
            )
        back = application["back_to"]
        way = (
            f"would go back to {back}: {command} rollback"
            if back
            else f"cannot go back: no release here was good before ({command} plan says why)"
        )
        lines += ["", *(f"  {line}" for line in table(rows)), "", f"  {name + ' ' if name else ''}{way}"]
    lines += _section("Waits for a confirmation", [line for found in answer["pending"] for line in _pending(found, command)])
    lock = answer["lock"]
    lines += _section("Locked", _wrapped(f"by {lock['text']}") if lock else [])
    lines += _section("Begun and never ended", [line for item in answer["interrupted"] for line in _cut(item)])
    lines += _section("Could not be seen", [line for problem in answer["problems"] for line in _wrapped(f"- {problem}")])
    last = answer["last_rollback"]
    if last:
        lines += _section("Last rollback", [f"  {_when(last['time'])}  {last['from']} → {last['to']}  {last['outcome']}"])
    return "\n".join(lines)


def _behind(row: ComponentStatus) -> str:
    """What stands in the other slot."""
    here = row["live"]["slot"] if row["live"] else None
    told = [f"{row['instances']} instances"] if row.get("instances", 1) > 1 else []
    for slot, found in row["slots"].items():
        if slot == here:
            told += [f"the edge has {slot} in {found['edge']}"] if found.get("edge") not in (None, "ready") else []
            told += [f"{slot} does NOT run"] if found.get("running") is False else []
            told += [f"{', '.join(found['idle'])}: NOT running"] if found.get("idle") else []
        elif found.get("release"):
            runs = {True: ", warm", False: ", stopped", None: ""}
            takes = ", takes a share of the requests" if found.get("edge") == "ready" and found.get("running") else ""
            told.append(f"{found['release']} in {slot}{takes or runs[found.get('running')]}")
    return "; ".join(told) or "—"


def _pending(found: Armed, command: str) -> list[str]:
    back = ", ".join(
        f"{name} to {(content['release'] if content else None) or 'nothing'}" for name, content in (found.get("returns") or {}).items()
    )
    if found.get("state") == "reverting":
        return _wrapped(f"run {found.get('run')} was not confirmed and goes back ({back})")
    return _wrapped(
        f"run {found.get('run')} until {_when(found.get('expires'))}, else {back}. Keep it: {command} confirm {found.get('run')}"
    )


def _cut(item: Mapping[str, Any]) -> list[str]:
    if item.get("op") == "canary":
        share = (item.get("detail") or {}).get("weight")
        return _wrapped(f"- canary: {item.get('release')} of {item.get('component')} gets {share} % of the requests beside what is live, "
                        f"run {item.get('run') or '?'}, {_when(item.get('time'))}: the same deployment goes on with it, rollback ends it")
    what = " ".join(str(part) for part in (item.get("op"), item.get("component"), item.get("release")) if part)
    return _wrapped(f"- {what}, run {item.get('run') or '?'}, {_when(item.get('time'))}: the same again finishes it")


# -- journal


class Book(TypedDict):
    """What C(aistack journal) answers: the newest ``records``, the number of them all, and where it was ``verified``, the ``problems``."""

    path: str
    count: int
    records: list[Record]
    verified: bool
    problems: list[str]


def journal_text(answer: Book) -> str:
    """The newest records, one line each."""
    records = answer["records"]
    if not records:
        return f"{answer['path']} has no records."
    rows = [["#", "time (UTC)", "what", "component", "release", "outcome", "by", "run", ""]]
    for record in records:
        rows.append(
            [
                str(record.get("seq")),
                _when(record.get("time")),
                str(record.get("op")),
                str(record.get("component") or "—"),
                str(record.get("release") or "—"),
                str(record.get("outcome")),
                str(record.get("actor") or "—"),
                str(record.get("run") or "—"),
                _remark(record),
            ]
        )
    lines = table(rows)
    if answer["verified"]:
        problems = [line for problem in answer["problems"] for line in _wrapped(f"- {problem}")]
        held = f"The chain of all {answer['count']} records holds."
        lines += ["", *(["The chain is BROKEN; what follows cannot be relied on:", *problems] if problems else [held])]
    return "\n".join(lines)


def _remark(record: Record) -> str:
    detail = record.get("detail") or {}
    if record.get("op") == "mark":
        state, reason = detail.get("state"), detail.get("reason")
        return textwrap.shorten(f"{state}: {reason}" if reason else str(state), 70, placeholder=" …")
    for key in ("error", "reason", "action"):
        if detail.get(key):
            return textwrap.shorten(str(detail[key]), 70, placeholder=" …")
    if record.get("op") == "run":
        return str(detail.get("command") or "")
    if record.get("op") == "task":
        return f"{detail.get('task')} ({detail.get('point')})"
    return f"slot {detail['slot']}" if detail.get("slot") else ""


# -- plan


def plan_text(answer: Plan) -> str:
    """A plan, or why there is none and what to do instead."""
    title = f"Rollback of {answer['application'] or 'this node'}, level {answer['level']}: {answer['from'] or '?'} → {answer['to'] or '?'}"
    lines = [title]
    begun = _finishes(answer)
    lines += _wrapped(f"This finishes what run {begun} began and did not end.", "", "") if begun else []
    if not answer["allowed"]:
        lines += ["Refused; nothing is touched."]
        for sentence, refusal in grouped(("", refusal) for refusal in answer["refusals"]):
            lines += ["", *_wrapped(sentence, "  - "), *_wrapped(f"fix: {refusal['remedy']}", "    ")]
        lines += _notes(answer)
        return "\n".join(lines)
    expected, objective = answer["expected_s"], answer["objective_s"]
    lines += [f"About {expected:g} s; the objective of this level is {objective} s. Nothing was changed now."]
    lines += _section("Steps", [line for number, step in enumerate(answer["steps"], 1) for line in _step(number, step)])
    lines += _section("Lost", [line for loss in answer["losses"] for line in _wrapped(f"- {loss}")] or ["  nothing"])
    lines += _notes(answer)
    lines += _section("Otherwise possible", _others(answer))
    return "\n".join(lines)


def _finishes(answer: Plan) -> str:
    """The run that had the same aim and did not come to its end; empty where there is none."""
    interrupted, begun = answer.get("resumes") or {}, answer.get("open") or {}
    aims = {interrupted.get("run"): (interrupted.get("to"), interrupted.get("level"))}
    if begun.get("runs"):
        aims[begun["runs"][-1]] = (begun.get("to"), begun.get("level"))
    return next((run for run, aim in aims.items() if run and aim == (answer["to"], answer["level"])), "")


def _notes(answer: Plan) -> list[str]:
    lines = _section("Beware", [line for text in answer["warnings"] for line in _wrapped(f"- {text}")])
    return lines + _section("Not verified", [line for text in answer["unverified"] for line in _wrapped(f"- {text}")])


def _others(answer: Plan) -> list[str]:
    tags = [tag for entry in answer["candidates"] for tag in entry["tags"] if tag not in (answer["to"], entry["present"])]
    shared = [tag for tag in dict.fromkeys(tags) if all(tag in entry["tags"] for entry in answer["candidates"])]
    return [f"  --to {tag}" for tag in shared] if answer["level"] == "app" else []


def _step(number: int, step: Step) -> list[str]:
    if step["do"] == "switch":
        return _switch(number, step)
    detail, name = step["detail"], step["component"] or ""
    if step["do"] == "downgrade":
        text = f"{name}: {', '.join(detail['revisions'])} undone by the code of {detail['release']}"
    elif step["do"] == "restore":
        text = f"{name or 'everything'}: restore {', '.join(detail['parts'])} from the backup set {detail['set']}, made {detail['made']}"
    else:
        words = {
            "backup": f"{name}: save what is there now",
            "stop": f"{name}: drain and stop",
            "verify": "prove schema, data and gates",
        }
        text = words.get(step["do"], f"{step['do']} {name}")
    return _wrapped(f"{number}. {text}", "  ", "     ")


def _switch(number: int, step: Switch) -> list[str]:
    detail, name = step["detail"], step["component"]
    before = detail["from"]
    how = (
        "its slot is warm"
        if detail["warm"]
        else "stops, then starts again"
        if detail["strategy"] == "recreate"
        else "starts first"
    )
    what = (
        f"{number}. {name}: {before['release']} → {detail['release']}, config {before['config']} → {detail['config']}; {how}"
    )
    lines = _wrapped(what, "  ", "     ")
    environment = detail["environment"]
    kinds = (("+", environment["added"]), ("-", environment["removed"]), ("~", environment["changed"]))
    changes = [f"{sign}{name}" for sign, names in kinds for name in names]
    changes += [f"={name} (as today)" for name in detail.get("today") or []]
    return lines + (_wrapped(f"environment: {' '.join(changes)}", "     ", "     ") if changes else [])


# -- rollback, revert

_WORDS = {
    "ok": "went back",
    "failed": "did NOT go back",
    "undone": "returned",
    "stuck": "is STUCK",
}


def _rows(answer: Outcome) -> list[str]:
    lines = []
    for row in answer["components"]:
        lines += _wrapped(
            f"{row['component']} {_WORDS.get(row['outcome'], row['outcome'])} ({row['seconds']:.1f} s): {row['message']}"
        )
        lines += [f"      {line}" for line in ((row.get("report") or {}).get("log_tail") or [])[-10:]]
        lines += [line for text in row.get("warnings") or [] for line in _wrapped(f"beware: {text}", "    ")]
    return lines


def rollback_text(answer: Outcome) -> str:
    """How a rollback ended."""
    if answer["outcome"] == "refused":
        return plan_text(answer["plan"])
    if answer["outcome"] == "ok" and answer["plan"]["refusals"] and not answer["components"]:
        said = f"{answer['plan']['refusals'][0]['reason']}; nothing was to be done"
        return "\n".join([*_wrapped(f"{said[0].upper()}{said[1:]}.", "", ""), *_notes(answer["plan"])])
    what = f"{answer['from']} → {answer['to']} (level {answer['level']})"
    heads = {
        "ok": f"Done in {answer['seconds']:.1f} s: {what}.",
        "partial": f"Done in part, in {answer['seconds']:.1f} s: {what}. Say it again once what failed is fixed; it goes on from there.",
        "failed": f"Failed after {answer['seconds']:.1f} s: {what}. The release from before is live; `aistack status` shows it.",
    }
    lines = [heads[answer["outcome"]], *_rows(answer), *_notes(answer["plan"])]
    if answer["outcome"] == "failed" and not answer.get("best_effort"):
        hint = "Where the same fails on the live release (a database that is down), --best-effort goes back all the same."
        lines += ["", *_wrapped(hint, "", "")]
    return "\n".join([*lines, "", f"Run {answer['run']}; aistack journal has the records."])


def revert_text(answer: Outcome) -> str:
    """How taking back a run ended."""
    if answer["outcome"] == "confirmed":
        return f"Run {answer['run']} was confirmed; nothing is taken back."
    if not answer["components"]:
        return f"Run {answer['run']} activated nothing here that is still to be taken back."
    head = f"Run {answer['run']} is taken back, in {answer['seconds']:.1f} s."
    if answer["outcome"] != "ok":
        head = f"Run {answer['run']} is NOT wholly taken back. Say it again once what failed is fixed; it goes on from there."
    return "\n".join([head, *_rows(answer)])
