# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of a rollback for people: a Markdown document, and a table for the terminal. No I/O.

The input is C({"nodes": {node: plan}}), where a plan is that of :mod:`rollback.run.plan`; besides C(silent) (node to why it did not
answer) where there are such nodes, C(data_loss) (node to what C(restore_set) answered for each of its restores), C(notes) (what is known
of rollbacks that were begun before) and C(not_covered) (components of which no set holds programs, configuration or models). What is not
in the facts is left open in the checklist and never made up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ansible_collections.phasegate.aistack.plugins.module_utils.report.refusals import for_playbooks, grouped
from ansible_collections.phasegate.aistack.plugins.module_utils.report.text import table

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.contract import Answer, Merged, Step, Switch, Task

Facts = Mapping[str, Any]
LEVELS = {
    "app": ("application", "code only: the slots move, no data does", "5 to 10 minutes"),
    "config": ("configuration", "environment and configuration under the same release; no data moves", "2 to 5 minutes"),
    "schema": ("database schema", "code and the schema of its database", "30 to 60 minutes"),
    "system": ("whole system", "every component, and its data from one backup set", "60 minutes and more"),
}
RECOVERY = {
    "app": "Going forward again is a deployment: deploy.yml -e release={from} -e allow_bad=true. Its tree stays on the nodes.",
    "config": "The configuration that is left stays on the nodes, and its release with it: deploy it again.",
    "schema": "What the downgrade drops is in the backup set that is taken first: restore it, or single tables of it (restore.yml).",
    "system": "What a restore replaces is kept beside it until it is pruned, and a backup set is taken first: restore that (restore.yml).",
}


def cell(value: Any) -> str:
    """A value for a cell of a Markdown table."""
    return " ".join(str(value).split()).replace("|", "\\|")


def grid(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """A Markdown table."""
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return [*lines, *(f"| {' | '.join(cell(value) for value in row)} |" for row in rows)]


def bullets(items: Iterable[Any], otherwise: str) -> list[str]:
    """A list, or a sentence where there is nothing to list."""
    return [f"- {' '.join(str(item).split())}" for item in items] or [otherwise]


def plans(merged: Merged) -> dict[str, Answer]:
    """Node to its plan."""
    return dict(merged.get("nodes") or {})


def shared(merged: Merged, key: Literal["level", "application", "from", "to"]) -> str:
    """A value of all plans; several where they differ."""
    found = {part for plan in plans(merged).values() for part in str(plan.get(key) or "").split(", ") if part}
    return ", ".join(sorted(found))


def level_of(merged: Merged) -> str:
    """The level, C(app) where no plan says."""
    return shared(merged, "level") or "app"


def sentences(merged: Merged, key: Literal["losses", "warnings", "unverified"]) -> list[str]:
    """The sentences of all plans under ``key``, each with the nodes that say it."""
    by_text: dict[str, list[str]] = {}
    for node, plan in plans(merged).items():
        for text in plan.get(key) or []:
            by_text.setdefault(str(text), []).append(node)
    return [f"{', '.join(nodes)}: {text}" for text, nodes in by_text.items()]


def counted(losses: Any, changed: bool = False) -> list[str]:
    """What restores take away as it was counted, one sentence each; with ``changed``, without the parts of which nothing differed.

    ``losses`` maps a node to the answers of C(restore_set) there.
    """
    return [
        f"{node}: {' '.join(str(line).split())}"
        for node, answers in (losses or {}).items()
        for answer in answers or []
        for line in (_changed(answer) if changed else answer.get("lines") or [])
    ]


def _changed(answer: Facts) -> list[str]:
    return [str(line) for part in answer.get("parts") or [] if part.get("change") for line in part.get("lines") or []]


def sets(merged: Merged) -> list[str]:
    """The backup sets that are put back; each has to be accepted by its name."""
    return sorted({str(step["detail"].get("set")) for _node, step in tasks(merged, "restore")})


def _besides(merged: Merged) -> list[str]:
    names = ", ".join(merged.get("not_covered") or [])
    notes = [str(note) for note in merged.get("notes") or []]
    return notes + ([f"not part of the set: programs, configuration and models of {names}; they stay as they are"] if names else [])


def objective(merged: Merged) -> float | None:
    """Seconds that the level may take."""
    return max((float(found) for plan in plans(merged).values() if (found := plan.get("objective_s"))), default=None)


def expected(merged: Merged) -> float | None:
    """Seconds that it is expected to take: the nodes go side by side."""
    return max((float(found) for plan in plans(merged).values() if (found := plan.get("expected_s")) is not None), default=None)


def steps(merged: Merged) -> list[tuple[str, Step]]:
    """(node, step) of all nodes."""
    return [(node, step) for node, plan in plans(merged).items() for step in plan.get("steps") or []]


def switches(merged: Merged) -> list[tuple[str, Switch]]:
    """(node, step) of the steps that move a component."""
    return [(node, step) for node, step in steps(merged) if step["do"] == "switch"]


def tasks(merged: Merged, *kinds: str) -> list[tuple[str, Task]]:
    """(node, step) of other steps, of these kinds."""
    return [(node, step) for node, step in steps(merged) if step["do"] != "switch" and step["do"] in kinds]


def refusals(merged: Merged) -> list[str]:
    """Every reason against it, with the remedy."""
    found = grouped((node, entry) for node, plan in plans(merged).items() for entry in plan.get("refusals") or [])
    return [f"{sentence} ({entry['code']}). Fix: {for_playbooks(entry['remedy'])}" for sentence, entry in found]


def allowed(merged: Merged) -> bool:
    """Whether every node's plan is allowed, and there is one."""
    return bool(plans(merged)) and all(plan.get("allowed") for plan in plans(merged).values())


def step_text(step: Step) -> str:
    """One step in words."""
    if step["do"] == "switch":
        return _switch_text(step)
    name, detail, kind = step.get("component") or "everything", step.get("detail") or {}, step["do"]
    if kind == "downgrade":
        undone = ", ".join(detail.get("revisions") or []) or "nothing"
        return (
            f"{name}: schema {_heads(detail.get('from'))} → {_heads(detail.get('to'))}; undo {undone}, run by the code of"
            f" {detail.get('release')}, which knows how"
        )
    if kind == "restore":
        return (
            f"{name}: restore {', '.join(detail.get('parts') or ['data'])} from the backup set {detail.get('set')} of {detail.get('made')};"
            " beside what is there, proven, then swapped"
        )
    words = {
        "backup": f"{name}: take a backup set and verify it",
        "start": f"{name}: is at the target already; start it again, and it passes its gate",
        "stop": f"{name}: take no more requests and tasks, end those that run, stop",
        "verify": "compare tables, rows and foreign keys with what they were, and ask every gate",
    }
    return words.get(kind, f"{name}: {kind}")


def _switch_text(step: Switch) -> str:
    name, detail = step["component"], step["detail"]
    before = detail.get("from") or {}
    how = "its slot is warm" if detail.get("warm") else "its slot is started"
    traffic = "moves the traffic at the edge" if detail.get("fronted") else "takes over"
    if detail.get("strategy") == "recreate":
        how, traffic = "the old instance is stopped first", "takes over"
    code = f"{before.get('release')} → {detail.get('release')}"
    if before.get("release") == detail.get("release"):
        code = f"stays at {detail.get('release')}"
    changed = "" if before.get("config") == detail.get("config") else f", configuration {before.get('config')} → {detail.get('config')}"
    return f"{name}: {code}{changed}; {how}, passes its gate and {traffic}"


def _heads(heads: Any) -> str:
    return ", ".join(heads or []) or "nothing"


def _seconds(value: float | None) -> str:
    return "not known" if value is None else f"{value:.0f} s"


def _where(merged: Merged) -> list[str]:
    return [*plans(merged), *(f"{node} (does not answer: {why})" for node, why in (merged.get("silent") or {}).items())]


def plan_text(merged: Merged) -> str:
    """The plan for a terminal: a table of the steps, what is lost, and what stands against it."""
    head = f"Rollback, level {level_of(merged)}: {shared(merged, 'from') or '?'} → {shared(merged, 'to') or '?'}"
    lines = [head, ""]
    rows = [["node", "step", "component", "what", "expected"]]
    for node, step in steps(merged):
        seconds = (step.get("detail") or {}).get("expected_s")
        what = step_text(step).split(": ", 1)[-1]
        rows.append([node, step["do"], step.get("component") or "(all)", what, "" if seconds is None else f"{float(seconds):.0f} s"])
    if len(rows) > 1:
        lines += [*table(rows), ""]
    against = refusals(merged)
    if against or not allowed(merged):
        lines += ["REFUSED; nothing was touched.", *(f"  - {entry}" for entry in against or ["no node has a plan"])]
        return "\n".join(lines)
    lines += [f"expected {_seconds(expected(merged))}, objective of the level {_seconds(objective(merged))}"]
    variables = environment(merged)
    lines += ["environment, names only:", *(f"  - {entry}" for entry in variables)] if variables else []
    lost = sentences(merged, "losses")
    lines += ["lost:", *(f"  - {entry}" for entry in lost)] if lost else ["lost: nothing"]
    loss = counted(merged.get("data_loss"))
    lines += ["counted, table by table, before anything that serves is touched:", *(f"  - {entry}" for entry in loss)] if loss else []
    for title, found in (
        ("not verified", sentences(merged, "unverified")),
        ("to know", [*sentences(merged, "warnings"), *_besides(merged)]),
    ):
        lines += [f"{title}:", *(f"  - {entry}" for entry in found)] if found else []
    lines += [f"without {node}: {why}" for node, why in (merged.get("silent") or {}).items()]
    lines += [f"to be accepted by name: -e accept_set={','.join(sets(merged))}"] if sets(merged) else []
    return "\n".join(lines)


def plan_markdown(merged: Merged, facts: Facts) -> str:
    """The plan as a document: basic facts, checklist, scope, steps, losses, differences, risks, recovery.

    Of ``facts`` it uses ``stack``, ``reason``, ``owner``, ``run``, ``time`` (UTC, ISO 8601), ``impact``, ``notified`` (names of those who
    were or will be told), ``dashboards`` (addresses), ``backup`` (name of the verified set), ``approved`` (by whom or by what),
    ``code`` (lines: what changed between the commits), ``sql`` (statements), ``risks`` and ``recovery`` (sentences that are added).
    """
    level = level_of(merged)
    before, after = shared(merged, "from") or "not known", shared(merged, "to") or "not known"
    title, what, _objective = LEVELS.get(level, (level, level, ""))
    lines = [f"# Rollback plan: {facts.get('stack') or shared(merged, 'application') or 'stack'}, {before} → {after}", ""]
    against = refusals(merged)
    if against or not allowed(merged):
        lines += ["**Refused.** Nothing was touched.", "", *bullets(against, "No node has a plan."), ""]
    lines += ["## Basic facts", "", *grid(("", ""), _basics(merged, facts, level, title, what, before, after)), ""]
    lines += ["## Checklist", "", *_checklist(merged, facts, level, before, after), ""]
    lines += ["## Scope", "", *_scope(merged, level), ""]
    lines += ["## Steps", ""]
    for node, plan in plans(merged).items():
        lines += [f"On {node}:", "", *_numbered(plan.get("steps") or []), ""]
    lines += ["## What is lost", "", *bullets([*sentences(merged, "losses"), *counted(merged.get("data_loss"))], "Nothing."), ""]
    lines += ["## Differences", "", *_differences(merged, facts), ""]
    lines += ["## Not verified, and to know", ""]
    known = [*sentences(merged, "unverified"), *sentences(merged, "warnings"), *_besides(merged)]
    lines += [*bullets(known, "Everything that the plan goes by was looked at."), ""]
    lines += ["## Risks", "", *bullets(_risks(merged, facts), "None that the facts show."), ""]
    lines += ["## Recovery, if it does not work", "", *bullets(_recovery(level, before, facts), ""), ""]
    return "\n".join(lines)


def _basics(merged: Merged, facts: Facts, level: str, title: str, what: str, before: str, after: str) -> list[tuple[str, str]]:
    limit = objective(merged)
    range_ = LEVELS.get(level, ("", "", ""))[2]
    return [
        ("Reason", facts.get("reason") or "not given"),
        ("Level", f"{level} ({title}): {what}"),
        ("From", f"{before}{_commits(merged, before)}"),
        ("To", f"{after}{_commits(merged, after)}"),
        ("Owner", facts.get("owner") or "not known"),
        ("Approved", facts.get("approved") or "not yet"),
        ("Run", facts.get("run") or "not begun"),
        ("Made", facts.get("time") or "not known"),
        ("Expected time", f"{_seconds(expected(merged))}; objective of the level {range_ or 'not known'} (at most {_seconds(limit)})"),
        ("Nodes", ", ".join(_where(merged)) or "none"),
        ("Impact", facts.get("impact") or _impact(merged)),
    ]


def _commits(merged: Merged, tags: str) -> str:
    """The commits of releases, as far as their manifests tell."""
    found = {
        str(commit)[:12]
        for _node, step in switches(merged)
        for tag, commit in ((step.get("detail") or {}).get("commit") or {}).items()
        if commit and tag in tags.split(", ")
    }
    return f" (commit {', '.join(sorted(found))})" if found else ""


def _impact(merged: Merged) -> str:
    stopped = sorted({str(step.get("component")) for _node, step in tasks(merged, "stop")})
    if stopped:
        return f"{', '.join(stopped)} {'stands' if len(stopped) == 1 else 'stand'} still from the first stop to the last gate"
    single = sorted({str(step["component"]) for _node, step in switches(merged) if step["detail"].get("strategy") == "recreate"})
    gap = f"; {', '.join(single)} for some seconds, because only one instance may run" if single else ""
    return f"no request is refused{gap}"


def _checklist(merged: Merged, facts: Facts, level: str, before: str, after: str) -> list[str]:
    undone = [name for _node, step in tasks(merged, "downgrade") for name in step["detail"].get("revisions") or []]
    restored = sets(merged)
    migrations = "none: the schema stays as it is"
    if undone or restored:
        migrations = "; ".join(
            part for part in (f"undo {', '.join(undone)}" if undone else "", f"restore {', '.join(restored)}" if restored else "") if part
        )
    needs_backup = level in ("schema", "system")
    backup = facts.get("backup")
    rows = [
        (before != "not known", f"Present version and commit: {before}{_commits(merged, before)}"),
        (after != "not known", f"Target: {after}{_commits(merged, after)}"),
        (True, f"Migrations between them: {migrations}"),
        (bool(backup) or not needs_backup, f"Backup: {backup or ('still to be taken' if needs_backup else 'not needed, no data moves')}"),
        (
            bool(facts.get("notified")),
            f"Notified: {', '.join(facts.get('notified') or []) or 'nobody; name receivers in aistack_notices'}",
        ),
        (bool(facts.get("dashboards")), f"Dashboards: {', '.join(facts.get('dashboards') or []) or 'none named'}"),
        (bool(facts.get("approved")), f"Approved: {facts.get('approved') or 'not yet'}"),
    ]
    return [f"- [{'x' if done else ' '}] {text}" for done, text in rows]


def _scope(merged: Merged, level: str) -> list[str]:
    moves = switches(merged)
    code = sorted({str(s["component"]) for _n, s in moves if (s["detail"].get("from") or {}).get("release") != s["detail"].get("release")})
    config = sorted({str(s["component"]) for _n, s in moves if (s["detail"].get("from") or {}).get("config") != s["detail"].get("config")})
    schema = sorted({str(step["component"]) for _node, step in tasks(merged, "downgrade")})
    data = sorted({part for _node, step in tasks(merged, "restore") for part in step["detail"].get("parts") or []})
    rows = [
        ("Code", ", ".join(code)),
        ("Environment and configuration", ", ".join(config)),
        ("Database schema", ", ".join(schema)),
        ("Data from a backup set", ", ".join(data)),
        ("External services and models", ", ".join(part for part in data if not part.startswith("postgres")) if level == "system" else ""),
    ]
    return [f"- [{'x' if value else ' '}] {name}{f': {value}' if value else ''}" for name, value in rows]


def _numbered(found: Sequence[Step]) -> list[str]:
    lines = []
    for number, step in enumerate(found, 1):
        seconds = (step.get("detail") or {}).get("expected_s")
        lines.append(f"{number}. {step_text(step)}{f' ({float(seconds):.0f} s)' if seconds else ''}")
    return lines or ["Nothing is to be done."]


def _differences(merged: Merged, facts: Facts) -> list[str]:
    lines = ["Code:", "", *bullets(_code(merged, facts), "The same commit."), "", "Environment (names only):", ""]
    lines += [*bullets(environment(merged), "None that the configurations show."), "", "Database:", ""]
    sql = [str(line) for line in facts.get("sql") or []]
    if sql:
        return [*lines, "```sql", *sql, "```"]
    moved = [step_text(step) for _node, step in tasks(merged, "downgrade", "restore")]
    return [*lines, *bullets(dict.fromkeys(moved), "The schema stays as it is.")]


def _code(merged: Merged, facts: Facts) -> list[str]:
    found: dict[str, None] = {}
    for _node, step in switches(merged):
        detail = step["detail"]
        commits = detail.get("commit") or {}
        old, new = (detail.get("from") or {}).get("release"), detail.get("release")
        if old != new:
            shown = [f"{tag} ({str((commits.get(tag) if tag else None) or 'commit not known')[:12]})" for tag in (old, new)]
            found[f"{step['component']}: {' → '.join(shown)}"] = None
    return [*found, *(str(line) for line in facts.get("code") or [])]


def environment(merged: Merged) -> list[str]:
    """Names of the variables that change with the release, and of the secrets that stay as they are today; one line a component."""
    found: dict[str, None] = {}
    for node, step in switches(merged):
        changes = step["detail"].get("environment") or {}
        parts = [f"{kind} {', '.join(changes[kind])}" for kind in ("added", "removed", "changed") if changes.get(kind)]
        if step["detail"].get("today"):
            parts.append(f"as today {', '.join(step['detail']['today'])}")
        if parts:
            found[f"{step['component']} on {node}: {'; '.join(parts)}"] = None
    return list(found)


def _risks(merged: Merged, facts: Facts) -> list[str]:
    found = []
    limit, time = objective(merged), expected(merged)
    if limit is not None and time is not None and time > limit:
        found.append(f"It is expected to take {time:.0f} s, longer than the objective of {limit:.0f} s.")
    if switches(merged):
        found.append("Work that does not end while it is drained may be interrupted.")
    if sentences(merged, "losses"):
        found.append("Data is lost; see What is lost.")
    if sentences(merged, "unverified"):
        found.append("Something that the plan goes by could not be looked at; see Not verified.")
    cold = sorted({str(step["component"]) for _node, step in switches(merged) if not step["detail"].get("warm")})
    if cold:
        found.append(f"{', '.join(cold)}: no slot is warm, so that the boot of the old release comes on top.")
    found += [f"{node} does not answer and stays as it is: {why}" for node, why in (merged.get("silent") or {}).items()]
    return [*found, *(str(risk) for risk in facts.get("risks") or [])]


def _recovery(level: str, before: str, facts: Facts) -> list[str]:
    return [
        "Interrupted anywhere: run the same command again; it finishes, or goes back. A rollback is never rolled back by itself.",
        "A slot that does not pass its gate takes no traffic: the live release goes on serving, and the report says so.",
        RECOVERY.get(level, RECOVERY["app"]).replace("{from}", before),
        *([f"The backup set {facts['backup']} holds what was there before."] if facts.get("backup") else []),
        *(str(line) for line in facts.get("recovery") or []),
    ]
