# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What happened before, during and after a rollback, as a document with the facts filled in from the journals. No I/O.

What only people can know (the root cause, the lessons) is left as a line to be written, never guessed.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record
from ansible_collections.phasegate.aistack.plugins.module_utils.report.verify import verify_items
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import text as rollback_text
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.text import Facts, bullets, cell, grid

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.contract import Merged

OPEN = "(to be written)"
COMPLETE = "complete"
WATCH_MINUTES = 30
"""For how long the runbook wants the stack to be watched more closely after a rollback."""


@dataclass
class Story:
    """What the journals of all nodes tell about one rollback; times are UTC, ISO 8601.

    Attributes:
        left: releases that were left, as far as the journals tell.
        since: when the first of them went live.
        outcomes: how the rollback ended on the nodes, as far as it did: C(ok), C(failed).
        causes: reasons that were written down: of the rollback, of marks, of what failed.
        bad: release to the nodes on which it is marked bad.
        lost: what migrations of this run took away, and how many rows held something there.
        lines: (time, node, what) in order.
    """

    left: set[str] = field(default_factory=set)
    to: str = ""
    level: str = ""
    actor: str = ""
    since: str = ""
    started: str = ""
    ended: str = ""
    seconds: float | None = None
    outcomes: list[str] = field(default_factory=list)
    causes: list[str] = field(default_factory=list)
    bad: dict[str, list[str]] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    lines: list[tuple[str, str, str]] = field(default_factory=list)


def gathered(journals: Mapping[str, Sequence[Record]], run: str = "", resumes: Sequence[str] = ()) -> Story:
    """The story of the rollback that ``run`` did, out of the journals by node; without ``run``, of each node's newest one.

    ``resumes`` are runs that had begun it.
    """
    story = Story()
    runs = {node: {run or _newest(records), *resumes} for node, records in journals.items()}
    for node, records in journals.items():
        for record in records:
            if record.get("run") not in runs[node]:
                continue
            if record.get("op") == "rollback":
                _rollback(story, record)
            elif _begins(record):  # one that was killed before its nodes went back has this alone
                story.left |= {part for part in str(_detail(record).get("from") or "").split(", ") if part}
    for node, records in journals.items():
        first = _first(records, story.left, runs[node])
        for record in records:
            if int(record.get("seq", 0)) >= first:
                _note(story, node, record, runs[node])
    story.lines.sort()
    story.causes = list(dict.fromkeys(story.causes))
    return story


def _detail(record: Record) -> Mapping[str, Any]:
    detail = record.get("detail")
    return detail if isinstance(detail, Mapping) else {}


def _begins(record: Record) -> bool:
    return (record.get("op"), record.get("component"), record.get("outcome")) == ("phase", "rollback", "started")


def _newest(records: Sequence[Record]) -> str:
    """The run of the newest rollback: a node that goes back by itself names its own."""
    return next((str(record.get("run") or "") for record in reversed(records) if record.get("op") == "rollback"), "")


def _rollback(story: Story, record: Record) -> None:
    detail = _detail(record)
    story.left |= {part for part in str(detail.get("from") or "").split(", ") if part}
    story.to, story.level = str(record.get("release") or story.to), str(detail.get("level") or story.level)
    story.actor = str(record.get("actor") or story.actor)
    time = str(record.get("time") or "")
    if record.get("outcome") == "started":
        story.started = min(filter(None, (story.started, time)), default="")
    else:
        story.ended = max(story.ended, time)
        story.outcomes.append(str(record.get("outcome")))
        if isinstance(detail.get("seconds"), (int, float)):
            story.seconds = max(story.seconds or 0.0, float(detail["seconds"]))
    if detail.get("reason"):
        story.causes.append(str(detail["reason"]))


def _first(records: Sequence[Record], left: Collection[str], runs: Collection[str]) -> int:
    """Where the story begins on one node: with the run that last made a release live that was left; else with the rollback."""
    before = [int(record.get("seq", 0)) for record in records if record.get("run") in runs]
    if not before:
        return 1 + max((int(record.get("seq", 0)) for record in records), default=0)
    deployed = [
        str(record.get("run") or "")
        for record in records
        if record.get("op") == "activate" and record.get("outcome") == "ok" and str(record.get("release")) in left
        and int(record.get("seq", 0)) < before[0]
    ]
    own = [int(record.get("seq", 0)) for record in records if deployed and record.get("run") == deployed[-1]]
    return min([*own, *before])


def _note(story: Story, node: str, record: Record, runs: Collection[str]) -> None:
    detail, time, release = _detail(record), str(record.get("time") or ""), str(record.get("release") or "")
    op, outcome = record.get("op"), record.get("outcome")
    live = op == "activate" and outcome == "ok" and release in story.left
    if live:
        story.since = min(filter(None, (story.since, time)), default=time)
    if op == "mark" and detail.get("state") == "bad" and release:
        nodes = story.bad.setdefault(release, [])
        nodes += [node] if node not in nodes else []
        story.causes += [str(detail["reason"])] if detail.get("reason") and record.get("run") not in runs else []
    if op == "migrate" and outcome == "ok" and record.get("run") in runs:
        lost = detail.get("losses") or {}
        story.lost += [f"{name}: {'a number of rows that is not known' if rows is None else f'{rows} rows'}" for name, rows in lost.items()]
    if outcome == "failed" and op != "rollback" and record.get("run") not in runs:
        story.causes.append(_text(record))
    told = _text(record)
    if told:
        story.lines.append((time, node, told))


def _text(record: Record) -> str:
    """One record in words; empty where it tells nothing to the story."""
    detail, outcome = _detail(record), record.get("outcome")
    name, release = record.get("component") or "stack", record.get("release") or "nothing"
    error = f": {' '.join(str(detail.get('error') or '').split())[:200]}" if detail.get("error") else ""
    op = str(record.get("op"))
    if op == "rollback":
        said = {"started": "begins", "ok": "ends well", "failed": "does not come to its end"}.get(str(outcome), str(outcome))
        seconds = f" after {float(detail['seconds']):.1f} s" if outcome != "started" and detail.get("seconds") is not None else ""
        return f"rollback to {release} (level {detail.get('level') or '?'}) {said}{seconds}{error}"
    if op == "mark" and detail.get("state") in ("good", "bad") and outcome == "ok":
        reason = f": {detail['reason']}" if detail.get("reason") else ""
        return f"{name}: {release} is marked {detail['state']}{reason}"
    if _begins(record):
        return f"run {record.get('run') or '?'} of the whole stack goes back to {detail.get('to')} (level {detail.get('level')})"
    if outcome == "started":
        return ""
    failed = outcome == "failed"
    if op == "activate":
        return f"{name}: {release} {'does not go live' + error if failed else 'goes live in slot ' + str(detail.get('slot') or '?')}"
    if op == "revert":
        return f"{name}: back to {release}{' failed' + error if failed else ''}"
    if op == "migrate":
        way = f"schema {', '.join(detail.get('from') or []) or 'nothing'} → {', '.join(detail.get('to') or []) or 'nothing'}"
        return f"{name}: {way} by {release}{' failed' + error if failed else ''}"
    if op == "phase" and failed:
        return f"{name} failed at: {detail.get('task') or 'a task that is not named'}"
    return f"{name}: {op} of {release} failed{error}" if failed else ""


def postmortem_markdown(merged: Merged, outcome: Facts, facts: Facts) -> str:
    """The document after a rollback.

    Args:
        merged: the plans that were carried out, see :mod:`rollback.run.text`.
        outcome: ``result`` (C(finished), C(failed)), ``seconds``, ``started``, ``ended``; ``rows``, each with ``node``, ``component``,
            ``outcome``, ``seconds``, ``said``; ``losses`` (what really went; None: as in the journal), ``verification`` (each with
            ``name``, ``verdict``, ``evidence``), ``kept`` (what was kept of the state before), ``restored`` (node to what C(restore_set)
            answered for each set that it put back), ``error``. What is left out is taken
            from the journals.
        facts: ``stack``, ``run``, ``level``, ``reason``, ``owner``, ``approved``, ``impact``, ``notified``, ``backup``, ``plan`` (where the
            plan can be read), ``resumes`` (runs that had begun it), and ``journals`` (node to its records).
    """
    run = str(facts.get("run") or "")
    story = gathered(facts.get("journals") or {}, run, facts.get("resumes") or ())
    before = ", ".join(sorted(story.left)) or rollback_text.shared(merged, "from") or "not known"
    after = story.to or rollback_text.shared(merged, "to") or "not known"
    rows = list(outcome.get("rows") or [])
    lines = [f"# Post-mortem: {facts.get('stack') or 'stack'}, rollback {before} → {after}", ""]
    lines += ["## Basic facts", "", *grid(("", ""), _basics(merged, outcome, facts, story, before, after)), ""]
    lines += ["## Cause", "", *_cause(facts, story), ""]
    lines += ["## Timeline (UTC)", ""]
    lines += grid(("time", "node", "what"), story.lines) if story.lines else ["The journals tell nothing about this run."]
    lines += ["", "## What was done", "", *bullets(_done(merged, facts), "Nothing."), ""]
    if rows:
        told = [
            (row["node"], row.get("component") or "(node)", _came(row), _took(row.get("seconds")), row.get("said") or "") for row in rows
        ]
        lines += [*grid(("node", "component", "outcome", "took", "said"), told), ""]
        beware = [f"- Beware: {row['node']}: {cell(text)}" for row in rows for text in row.get("warnings") or []]
        lines += [*beware, ""] if beware else []
    lines += ["## What was lost", "", *bullets(_lost(merged, outcome, story), "Nothing."), ""]
    lines += ["## Verification", "", *_verification(outcome), ""]
    lines += ["## Follow-ups", "", *_follow_ups(outcome, facts, story, before, after), ""]
    lines += ["## To be written by people", ""]
    lines += [f"- {name}: {OPEN}" for name in ("Root cause", "Why no gate caught it", "Who was affected, and how", "Lessons")]
    lines += ["", "## Announcement", "", *_announcement(outcome, facts, story, before, after, _lost(merged, outcome, story)), ""]
    return "\n".join(lines)


def notice_facts(merged: Merged, facts: Facts, outcome: Facts | None = None) -> dict[str, object]:
    """What people are told: ``facts``, without the journals in it, and before a rollback what is foreseen, after it what was done and lost.

    Args: as of :func:`postmortem_markdown`; ``outcome`` is left out before it.
    """
    told = {key: value for key, value in facts.items() if key != "journals"}
    told["objective_s"] = rollback_text.objective(merged)
    if outcome is None:
        losses = [*rollback_text.sentences(merged, "losses"), *rollback_text.counted(merged.get("data_loss"))]
        foreseen = {"expected_s": rollback_text.expected(merged), "losses": losses}
        return {**told, **foreseen, "warnings": rollback_text.sentences(merged, "warnings")}
    story = gathered(facts.get("journals") or {}, str(facts.get("run") or ""), facts.get("resumes") or ())
    failed = _result(outcome, story) != COMPLETE
    return {
        **told,
        "seconds": _seconds(outcome, story),
        "done": [] if failed else _done(merged, facts),
        "losses": _lost(merged, outcome, story),
    }


def _seconds(outcome: Facts, story: Story) -> float | None:
    given = outcome.get("seconds")
    return float(given) if given is not None else story.seconds


def _took(value: Any) -> str:
    return "" if value in (None, 0, 0.0) else f"{float(value):.1f} s"


def _came(row: Facts) -> str:
    return "back" if row.get("outcome") == "ok" else str(row.get("outcome")).upper()


def _result(outcome: Facts, story: Story) -> str:
    """Whether all is back; that nobody said otherwise is no proof."""
    said = [str(row.get("outcome")) for row in outcome.get("rows") or []] or story.outcomes
    if outcome.get("error") or outcome.get("result") == "failed" or any(word != "ok" for word in said):
        return "NOT complete"
    return COMPLETE if said or outcome.get("result") == "finished" else "not known: neither the report nor a journal tells"


def measured(seconds: float | None, limit: float | None) -> str:
    """The measured time beside the objective."""
    if seconds is None:
        return "not measured"
    if limit is None:
        return f"{seconds:.1f} s"
    return f"{seconds:.1f} s, {'within' if seconds <= limit else 'LONGER THAN'} the objective of {limit:.0f} s"


def _basics(merged: Merged, outcome: Facts, facts: Facts, story: Story, before: str, after: str) -> list[tuple[str, str]]:
    # a node's own journal knows only its part, the switch of the slots
    level = facts.get("level") or story.level or rollback_text.level_of(merged)
    started, ended = outcome.get("started") or story.started, outcome.get("ended") or story.ended
    return [
        ("Outcome", f"{_result(outcome, story)}{': ' + str(outcome['error']) if outcome.get('error') else ''}"),
        ("Reason", facts.get("reason") or next(iter(story.causes), "not given")),
        ("Affected version", f"{before}{_live_for(story.since, ended)}"),
        ("Restored version", after),
        ("Level", f"{level} ({rollback_text.LEVELS.get(level, (level,))[0]})"),
        ("Began", started or "not known"),
        ("Ended", ended or "not known"),
        ("Time", measured(_seconds(outcome, story), rollback_text.objective(merged))),
        ("Owner", facts.get("owner") or story.actor or "not known"),
        ("Approved", facts.get("approved") or "not known"),
        ("Run", facts.get("run") or "not known"),
        ("Nodes", ", ".join([*rollback_text.plans(merged), *(f"{node} (not reached)" for node in merged.get("silent") or {})])),
        ("Impact", facts.get("impact") or OPEN),
        ("Notified", ", ".join(facts.get("notified") or []) or "nobody"),
        ("Plan", facts.get("plan") or "not written"),
    ]


def _live_for(since: str, ended: str) -> str:
    """For how long the bad release was live, as far as the journals tell."""
    begun, end = _moment(since), _moment(ended)
    if begun is None:
        return ""
    if end is None or end < begun:
        return f", live since {since}"
    minutes = (end - begun).total_seconds() / 60
    return f", live since {since}, for {minutes:.0f} minutes" if minutes < 120 else f", live since {since}, for {minutes / 60:.1f} hours"


def _moment(text: str) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None


def _cause(facts: Facts, story: Story) -> list[str]:
    recorded = list(dict.fromkeys([*([str(facts["reason"])] if facts.get("reason") else []), *story.causes]))
    return ["As it was recorded:", "", *bullets(recorded, "Nothing was recorded.")]


def _done(merged: Merged, facts: Facts) -> list[str]:
    by_text: dict[str, list[str]] = {}
    for node, step in rollback_text.steps(merged):
        by_text.setdefault(rollback_text.step_text(step), []).append(node)
    runs = ", ".join(facts.get("resumes") or [])
    begun = [f"what run {runs} had begun was finished; the timeline has what it did"] if runs else []
    return begun + [f"{text} (on {', '.join(dict.fromkeys(nodes))})" for text, nodes in by_text.items()]


def _lost(merged: Merged, outcome: Facts, story: Story) -> list[str]:
    """What really went, where it was counted; else what the plan foresaw, and said to be so."""
    if outcome.get("losses") is not None:
        return [str(entry) for entry in outcome["losses"]]
    went = [*rollback_text.counted(outcome.get("restored"), changed=True), *story.lost]
    came = "foreseen; the journals tell how far it went" if outcome.get("result") == "failed" else "as planned; not counted"
    return went or [f"{entry} ({came})" for entry in rollback_text.sentences(merged, "losses")]


def evidence(gates: Mapping[str, Facts], data: Mapping[str, Sequence[Facts]]) -> list[dict[str, str]]:
    """What was verified, for C(verification): every probe of the last gate, and how the data compares with what it was before.

    Args:
        gates: node to the result of ``gate`` there.
        data: node to the results of ``db_fingerprint`` there, each of which was given the earlier one as C(before); C(item) is that
            earlier result, whose own C(item) is the component.
    """
    found = [
        {"name": f"{item['item']} on {item['node']}", "verdict": item["verdict"], "evidence": item["got"]}
        for item in verify_items(gates, {})
    ]
    for node, reports in data.items():
        for report in reports:
            component = (report.get("item") or {}).get("item") or "database"
            name, differences = f"{component}: data as before on {node}", report.get("differences")
            if differences is None:
                found.append({"name": name, "verdict": "error", "evidence": str(report.get("msg") or "it was not compared")})
                continue
            lines = [str(line) for kind in ("schema", "rows", "contents") for line in differences.get(kind) or []]
            keys = report.get("foreign_keys") or {}
            lines += [f"{one['table']}: {one['rows']} rows without a parent in {one['parent']}" for one in keys.get("violations") or []]
            same = f"schema and rows; {keys.get('checked', 0)} foreign keys hold"
            found.append({"name": name, "verdict": "differs" if lines else "pass", "evidence": "; ".join(lines) or same})
    return found


def _verification(outcome: Facts) -> list[str]:
    found = outcome.get("verification") or []
    rows = [(entry["name"], str(entry["verdict"]).upper(), entry.get("evidence") or "") for entry in found]
    lines = grid(("what", "verdict", "evidence"), rows) if rows else ["Nothing was verified besides the gates of the slots."]
    return [*lines, "", "Kept of the state before:", "", *bullets(_kept(outcome), "The release and its configuration.")]


def _kept(outcome: Facts) -> list[str]:
    """What was kept of the state before: as it was told, and what the restores replaced."""
    replaced = []
    for node, answers in (outcome.get("restored") or {}).items():
        for part, done in ((part, done) for answer in answers or [] for part, done in (answer.get("done") or {}).items()):
            # a folder, or the name of a database; elsewhere C(replaced) is a list or a number
            where = [str(done[key]) for key in ("kept", "replaced") if isinstance(done.get(key), str) and done[key]]
            replaced += [f"{node}: {part}: {where[0]}"] if where else []
    return [*(str(entry) for entry in outcome.get("kept") or []), *replaced]


def _follow_ups(outcome: Facts, facts: Facts, story: Story, before: str, after: str) -> list[str]:
    lines = []
    for tag in sorted(story.left) or [before]:
        nodes = story.bad.get(tag)
        if nodes:
            lines.append(f"- [x] {tag} is marked bad on {', '.join(sorted(nodes))}: it is not chosen again, unless somebody names it with"
                         " `-e allow_bad=true`.")
        else:
            lines.append(f"- [ ] {tag} is NOT marked bad in any journal: mark it, so that it is not chosen again.")
    for row in outcome.get("rows") or []:
        if row.get("outcome") != "ok":
            where = f"{row.get('component') or 'everything'} on {row['node']}"
            lines.append(f"- [ ] {where} is not back ({cell(row.get('said') or row.get('outcome'))}): run the rollback again.")
    if outcome.get("result") == "failed":
        lines.append("- [ ] Fix what stopped it, and run the same command again: it finishes what was begun.")
    end = _moment(str(outcome.get("ended") or story.ended))
    until = f" (until {end + datetime.timedelta(minutes=WATCH_MINUTES):%Y-%m-%d %H:%M} UTC)" if end else ""
    hotfix = (
        f"- [ ] Hotfix: branch off the tag {before}, fix it, let its tests pass, give it a new tag, and deploy that:"
        " `deploy.yml -e release=NEWTAG`. A release never changes, and its tag is not used again."
    )
    lines += [
        f"- [ ] Watch requests, errors, answer times and resources more closely for {WATCH_MINUTES} minutes, with watch.yml{until}.",
        hotfix,
        f"- [ ] A test that fails with {before} and passes with the hotfix.",
        "- [ ] A gate or a metric condition that would have caught it before it took traffic.",
    ]
    if outcome.get("losses") or rollback_text.counted(outcome.get("restored"), changed=True) or story.lost:
        backup = f" from the backup set {facts['backup']}" if facts.get("backup") else ""
        lines.append(f"- [ ] Decide what of the lost data is to be brought back{backup}.")
    return lines


def _announcement(outcome: Facts, facts: Facts, story: Story, before: str, after: str, lost: Sequence[str]) -> list[str]:
    complete = _result(outcome, story) == COMPLETE
    state = f"{after} serves, and passed its gates" if complete else "not everything is back, as far as it is known; see What was done"
    return [
        f"- **Situation**: {facts.get('reason') or next(iter(story.causes), 'not given')}",
        f"- **Action**: rollback {'done' if complete else 'not complete'} ({before} → {after})",
        f"- **State now**: {state}",
        f"- **Lost**: {'; '.join(lost) or 'nothing'}",
        "- **Next**: find the cause, and deploy a hotfix under a new tag",
    ]
