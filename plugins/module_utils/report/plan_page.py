# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a deployment would do, as a page for a reader. Pure: what the modules answered in check mode goes in, text comes out.

Widths are counted in characters; the page is made for terminals of 100 columns, the SQL itself may be wider.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.probe_spec import ProbeError
from ansible_collections.phasegate.aistack.plugins.module_utils.gate import proof
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import text as migration_text
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.spec import normalise
from ansible_collections.phasegate.aistack.plugins.module_utils.report.text import table, worst
from ansible_collections.phasegate.aistack.plugins.module_utils.rollout import plan as rollout, risk
from ansible_collections.phasegate.aistack.plugins.module_utils.rollout.strategy import CANARY, kind_of

WIDTH = 100
WORDS = {
    "cancel": "keep {slot}, which a timer was to stop",
    "write": "point {slot} at the release",
    "start": "start {slot}",
    "stop": "stop {slot}",
    "enable": "enable {slot}",
    "disable": "disable {slot}",
    "gate": "gate {slot}",
    "gate public": "gate again through the edge",
    "ready": "give {slot} traffic",
    "drain": "drain {slot}",
    "maint": "take {slot} out of the edge",
    "live": "{slot} is live",
    "no live": "nothing is live",
    "wait drained": "wait until {slot} has no request left",
    "keep warm": "keep {slot} warm",
    "end tasks": "let {slot} end its tasks",
    "take tasks": "let {slot} take tasks again",
}
"""The steps of a slot's plan in plain words."""

POINTS = ("before_migration", "after_migration", "after_activation")
"""When tasks of a release run, in order."""


@dataclass
class Row:
    """One component on one node."""

    name: str
    node: str
    described: Mapping[str, Any]
    said: Mapping[str, Any]
    target: str
    refused: list[str] = field(default_factory=list)

    @property
    def live(self) -> Mapping[str, Any]:
        return (self.said.get("info") or {}).get("live") or {}

    @property
    def place(self) -> str:
        return f"{self.name} on {self.node}"

    def answer(self, key: str) -> Mapping[str, Any]:
        found = self.said.get(key) or {}
        return found if isinstance(found, Mapping) and not found.get("skipped") else {}

    @property
    def own_tree(self) -> bool:
        return not self.described.get("release_from")

    @property
    def staged(self) -> str:
        if not self.own_tree:
            return f"tree of {self.described['release_from']}"
        answer = self.answer("staged")
        return "?" if answer.get("failed") or not answer else "yes" if answer.get("present") else "not yet"

    @property
    def environment(self) -> str:
        config = self.answer("config")
        if config.get("failed") or not config.get("config"):
            return "?"
        if not self.live:
            return "new"
        return "same" if config["config"] == self.live.get("config") else "differs"

    @property
    def switch(self) -> str:
        answer = self.answer("slot")
        if answer.get("failed") or not answer:
            return "?"
        if not answer.get("changed"):
            return "stays in " + str(answer.get("slot"))
        here = self.live.get("slot")
        return f"{here} → {answer.get('slot')}" if here and here != answer.get("slot") else f"starts in {answer.get('slot')}"

    @property
    def quiet(self) -> bool:
        """Whether a deployment would do nothing here."""
        answers = [self.answer(key) for key in ("unit", "config", "staged", "slot")]
        pending = self.answer("migration").get("pending") or self.answer("migration").get("known") is False
        pending = pending or any(not answer.get("done") for answer in self.said.get("tasks") or [])
        return bool(self.answer("slot")) and not self.refused and not pending and not any(
            answer.get("changed") or answer.get("failed") for answer in answers
        )


def _wrapped(text: str, first: str = "  ", rest: str = "    ") -> list[str]:
    lines: list[str] = []
    for part in str(text).splitlines() or [""]:
        indent = first if not lines else rest
        lines += textwrap.wrap(part, WIDTH, initial_indent=indent, subsequent_indent=rest, break_on_hyphens=False) or [""]
    return lines


def _section(title: str, body: Sequence[str]) -> list[str]:
    return ["", title, "─" * len(title), *body] if body else []


def rows_of(facts: Mapping[str, Any]) -> list[Row]:
    """A row for each component and node, in the order of the deployment, with what would be refused on it."""
    rows: list[Row] = []
    for name in facts["order"]:
        for node, answers in facts["nodes"].items():
            if isinstance(answers, Mapping) and name in answers:
                row = Row(name, node, facts["components"][name], answers[name], str(facts["release"]))
                row.refused = list(_refused(row, bool(facts.get("allow_bad"))))
                rows.append(row)
    return rows


def _refused(row: Row, allow_bad: bool) -> Iterator[str]:
    for key, what in (("unit", "its unit"), ("config", "its environment"), ("staged", "staging"), ("slot", "its slot")):
        answer = row.answer(key)
        if answer.get("failed"):
            yield f"{row.place}, {what}: {answer.get('msg') or 'no message'}"
    info = row.said.get("info") or {}
    bad = (info.get("states") or {}).get(row.target) == "bad" or (info.get("marks") or {}).get(row.target) == "bad"
    if bad and not allow_bad and not row.answer("staged").get("failed"):
        reason = (info.get("reasons") or {}).get(row.target)
        yield (f"{row.place}: {row.target} was marked bad{f' ({reason})' if reason else ''}."
               " Fix: deploy another tag, or, if it is not to blame, say -e allow_bad=true.")
    migration = row.answer("migration")
    if migration.get("failed"):
        yield f"{row.place}, migration: {migration.get('msg') or 'no message'}"
    for entry in (migration.get("verdict") or {}).get("refusals") or []:
        yield f"{row.place}, migration: {entry['reason']}\nFix: {entry['remedy']}"


def _opening(facts: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """What the release would stand on, in words, and why it could not: one line for each component and node, its first probe named."""
    verdicts: dict[str, list[str]] = {}
    refused: list[str] = []
    unwell: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for node, answer in facts["opening"].items():
        if answer.get("unreachable"):
            said = (str(answer.get("msg") or "no answer").splitlines() or [""])[0]
            refused.append(f"{node} cannot be reached: {said.rstrip('.')}. Have it answer (ansible {node} -m ping), and plan again")
        elif answer.get("failed"):
            refused.append(f"{node}: {answer.get('msg')}")
        for probe in answer.get("probes") or []:
            name, verdict = str(probe.get("component") or "stack"), str(probe.get("verdict"))
            verdicts.setdefault(name, []).append(verdict)
            if verdict not in ("pass", "skipped") and probe.get("severity") != "warning":
                unwell.setdefault((name, node), []).append(probe)
    order = [name for name in facts["components"] if name in verdicts]
    for (name, node), probes in sorted(unwell.items(), key=lambda item: order.index(item[0][0]) if item[0][0] in order else len(order)):
        more = f" ({len(probes) - 1} more like it)" if len(probes) > 1 else ""
        refused.append(f"{name} on {node}: {probes[0].get('name')}: expected {probes[0].get('expected')}, got {probes[0].get('got')}{more}")
    if unwell:
        refused.append("Fix: site.yml brings up what a release stands on; healthcheck.yml shows how it is.")
    words = {"pass": "passes", "skipped": "not asked, since that would change something"}
    return [f"{name} {words.get(_verdict(verdicts[name]), _verdict(verdicts[name]).upper())}" for name in order], refused


def _verdict(found: Sequence[str]) -> str:
    """A pass beside probes that are not asked in check mode is a pass."""
    return worst([verdict for verdict in found if verdict != "skipped"])


def _leases(facts: Mapping[str, Any]) -> list[str]:
    held = []
    for node, answer in (facts.get("leases") or {}).items():
        lease = answer.get("lease") if isinstance(answer, Mapping) else None
        if lease:
            owner = lease.get("owner") or {}
            held.append(f"{node} is locked by run {lease.get('run')} of {owner.get('actor') or 'somebody'} until {lease.get('expires')}."
                        " Fix: wait for it to end.")
    return held


def _staging(rows: Sequence[Row]) -> list[str]:
    lines: list[str] = []
    for row in rows:
        answer = row.answer("staged")
        if not row.own_tree or not answer or answer.get("failed"):
            continue
        commit = str(answer.get("commit") or "")[:10]
        if answer.get("present"):
            lines += _wrapped(f"{row.place}: {row.target} ({commit}) is there and stays as it is.")
            continue
        kind = row.described.get("kind", "python")
        lock = f", install exactly {row.described['lock']}" if row.described.get("lock") else ""
        build = ", build" if kind == "node" or row.described.get("build") or row.described.get("includes") else ""
        tests = [" ".join(map(str, argv)) for argv in row.described.get("tests") or []]
        laid = (answer.get("artefact") or {}).get("from")
        if laid:
            proven = "it passed its own tests there" if tests else "no tests: it declares none"
            lines += _wrapped(f"{row.place}: commit {commit}, laid down from what {laid} built; {proven}")
            continue
        on = (answer.get("artefact") or {}).get("on")
        where = f", on {on}, then laid down here" if on else ""
        made = f"commit {commit}{lock}{build}, then {'its own tests' if tests else 'no tests: it declares none'}"
        lines += _wrapped(f"{row.place}: {made}{where}")
        lines += [line for test in tests for line in _wrapped(f"$ {test}", "    ", "      ")]
    return lines


def _environments(rows: Sequence[Row]) -> list[str]:
    lines: list[str] = []
    for row in rows:
        config = row.answer("config")
        if row.environment == "same" or not config.get("config"):
            continue
        diff = config.get("diff") or {}
        before = dict(line.partition("=")[::2] for line in str(diff.get("before", "")).splitlines())
        after = dict(line.partition("=")[::2] for line in str(diff.get("after", "")).splitlines())
        if not diff:
            lines += _wrapped(f"{row.place}: another one than the live one's, rendered by an earlier run")
        elif not before:
            lines += _wrapped(f"{row.place}: new, {len(after)} variables: {', '.join(after)}")
        else:
            lines += _wrapped(f"{row.place}:")
            lines += [f"    - {name}={before[name]}"[:WIDTH] for name in before if name not in after]
            lines += [f"    + {name}={after[name]}"[:WIDTH] for name in after if name not in before]
            changed = [name for name in after if before.get(name, after[name]) != after[name]]
            lines += [f"    ~ {name}: {before[name]} → {after[name]}"[:WIDTH] for name in changed]
    return lines


def _tasks(facts: Mapping[str, Any], rows: Sequence[Row]) -> list[str]:
    """The tasks of the release in their order, each with where it would run, or that it was done."""
    lines: list[str] = []
    told = {
        (item[0].get("key"), item[1].get("name")): (row.node, answer)
        for row in rows for answer in row.said.get("tasks") or [] for item in [answer.get("item") or [{}, {}]]
    }
    for point, tasks in sorted((facts.get("tasks") or {}).items(), key=lambda entry: POINTS.index(entry[0])):
        for task in tasks:
            node, answer = told.get((point, task["name"]), ("", {}))
            where = f" on {node}" if node else ", whose first host did not say whether it was done"
            lines += _wrapped(f"{point.replace('_', ' ')}: {task['name']}, beside {task['component']}{where}")
            done = f"it was done at {answer.get('when')}, and is not run again" if answer.get("done") else ""
            said = str(answer.get("msg") or "") if answer.get("failed") else done
            lines += _wrapped(said or f"$ {' '.join(map(str, task['command']))}", "    ", "      ")
    return lines


def _chosen(facts: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, risk.Choice]:
    """Component to the strategy that a deployment would take, and why."""
    names = list(dict.fromkeys(row.name for row in rows))
    would = [row.name for row in rows if risk.contracts(row.answer("migration"))]
    contracted = risk.contracting(names, ({row.name: row.said.get("info") or {}} for row in rows), [would])
    found: dict[str, risk.Choice] = {}
    for name in names:
        mine = [row for row in rows if row.name == name]
        live = {str(row.live["release"]) for row in mine if row.live.get("release")}
        found[name] = risk.chosen(name, mine[0].described, str(facts["release"]), live, str(facts.get("risk") or ""), contracted)
    return found


def _turns(facts: Mapping[str, Any], rows: Sequence[Row], chosen: Mapping[str, risk.Choice]) -> list[tuple[Sequence[Row], str]]:
    """The rows that change together, in the order of the deployment, and what stands behind them."""
    turns: list[tuple[Sequence[Row], str]] = []
    for name, (strategy, _why) in chosen.items():
        mine = [row for row in rows if row.name == name]
        hosts = facts.get("groups", {}).get(mine[0].described.get("hosts"), [row.node for row in mine])
        cut = rollout.batches([host for host in hosts if host in facts["nodes"]], strategy)
        there = [row.node for row in mine if row.answer("slot") and not row.answer("slot").get("changed")]
        if kind_of(strategy) == CANARY and len(cut) > 1:
            shares = ", ".join(f"{batch.weight} %" for batch in cut)
            turns.append((mine, f"by shares of the requests, {shares}, {rollout.proof_words(cut[0].hold_s, cut[0].triggers, 1)}"))
            continue
        for batch, hold in zip(cut, rollout.held(cut, there)) if len(cut) > 1 else ():
            of = f"batch {cut.index(batch) + 1} of {len(cut)}, {rollout.proof_words(hold, batch.triggers if hold else ())}"
            turns.append(([row for row in mine if row.node in batch.hosts], of))
        turns += [] if len(cut) > 1 else [(mine, "")]
    return turns


def _switches(facts: Mapping[str, Any], rows: Sequence[Row]) -> list[str]:
    chosen = _chosen(facts, rows)
    turns = _turns(facts, rows, chosen)
    lines = [line for choice in chosen.values() if choice.why for line in _wrapped(choice.why)]
    number = 0
    for row, behind in ((row, behind if row is together[-1] else "") for together, behind in turns for row in together):
        answer = row.answer("slot")
        if not answer.get("changed"):
            lines += _wrapped(f"-  {row.place}: there already; {behind}") if behind else []
            continue
        number += 1
        steps = [str(step).rpartition(" ")[::2] for step in answer.get("steps") or []]
        said = [WORDS.get(do, do).format(slot=slot) for do, slot in steps if do not in ("enable", "disable")]
        unit = "new unit file, " if row.answer("unit").get("changed") else ""
        lines += _wrapped(f"{number}. {row.place}: {unit}{', '.join(said) or answer.get('msg', '')}")
        lines += _wrapped(behind, "     ", "     ") if behind else []
    return lines


def _silent(facts: Mapping[str, Any]) -> str:
    """Which nodes did not answer; empty where all did."""
    nodes = [node for node, answer in facts["opening"].items() if answer.get("unreachable")]
    return f"not known: {', '.join(nodes)} did not answer" if nodes else ""


def _gates(facts: Mapping[str, Any], rows: Sequence[Row], opening: str) -> list[str]:
    lines = _wrapped(f"before:  {opening or 'nothing that the release stands on has a gate'}", rest=" " * 11)
    switched = list(dict.fromkeys(row.name for row in rows if row.answer("slot").get("changed")))
    for name in switched:
        probes = []
        for probe in facts["components"][name].get("gate") or []:
            try:
                canonical = normalise(probe, name)
            except ProbeError:
                continue  # named by the check of the stack's description
            if not canonical.get("from"):
                probes.append(str(canonical["name"]))
        lines += _wrapped(f"switch:  {name}: {', '.join(probes) or 'no probe'}", rest=" " * 11)
    for said in proof.weak(facts["components"], switched):
        lines += _wrapped(f"weak:    {said}", rest=" " * 11)
    for phase in facts["acceptance_phases"]:
        value = facts["phases"][phase]
        proofs = [f"gate of {name}" for name in value.get("components") or []] + list(value.get("acceptance") or [])
        lines += _wrapped(f"after:   {phase}: {', '.join(proofs) or 'nothing'}", rest=" " * 11)
    return lines


def _lost(rows: Sequence[Row], silent: str) -> list[str]:
    lines: list[str] = []
    for row in rows:
        migration = row.answer("migration")
        for step in migration.get("pending") or []:
            for entry in step.get("statements") or []:
                if entry.get("loses_data"):
                    lines += _wrapped(f"data: {step['revision']} {entry['action']}{' of ' + entry['table'] if entry.get('table') else ''};"
                                      " a backup is made and verified before")
            if not step.get("reversible"):
                lines += _wrapped(f"the way back: {step['revision']} has no downgrade; only the backup that is made before leads back")
        if row.answer("slot").get("changed") and row.live and row.described.get("strategy") == "recreate":
            lines += _wrapped(f"time: {row.name} stops before the new one starts; what would be due in between is late by some seconds")
    if not any(row.live for row in rows):
        return [f"  {silent or 'nothing: nothing serves yet'}"]
    kept = [] if any(line.startswith("  data:") for line in lines) else ["  data: nothing"]
    served = [row.name for row in rows if row.described.get("port") and row.answer("slot").get("changed") and row.live]
    if served:
        kept += _wrapped(f"requests: none; the old slots of {', '.join(served)} serve until the new ones take over")
    return kept + lines + ([f"  besides: {silent}"] if silent else [])


def _unknown(migration: Mapping[str, Any]) -> bool:
    """Whether something about it is not known: all of it, or whether a step may run."""
    return migration.get("known") is False or bool((migration.get("verdict") or {}).get("undecided"))


def refusals(facts: Mapping[str, Any]) -> list[str]:
    """Why deploy.yml would be refused, a text for each reason; ``facts`` as of :func:`page`."""
    beside = [str(text) for text in facts.get("beside") or []]
    return _opening(facts)[1] + _leases(facts) + beside + [text for row in rows_of(facts) for text in row.refused]


def refusal(facts: Mapping[str, object]) -> str:
    """That a deployment would be refused, in a sentence; empty where it would not."""
    count = len(refusals(facts))
    reasons = f"The {'reason stands' if count == 1 else f'{count} reasons stand'} on the page above"
    return f"deploy.yml -e release={facts['release']} would be refused. {reasons}, with what to do." if count else ""


def page(facts: Mapping[str, object]) -> str:
    """The page. ``facts`` is what plan.yml collects: names, descriptions, and by node what each module said."""
    rows, refused = rows_of(facts), refusals(facts)
    opening, _unwell = _opening(facts)
    name = f"{facts['application']} {facts['release']}"
    if rows and not refused and all(row.quiet for row in rows):
        return (f"{name} is live on {', '.join(dict.fromkeys(row.node for row in rows))} with this environment and nothing is pending:"
                " deploy.yml would change nothing.")
    lives = sorted({str(row.live.get("release")) for row in rows if row.live})
    silent = _silent(facts)
    live = ", ".join(lives) or ("what is live is not known" if silent else "nothing live")
    title = f"Plan: {facts['application']} {live} → {facts['release']} on the stack {facts['stack']}"
    lines = [title, "═" * len(title)]
    verdict = "would be REFUSED (why: below); nothing would be switched." if refused else (
        f"would change {sum(not row.quiet for row in rows)} of {len(rows)} places. Nothing was changed now.")
    lines += [f"deploy.yml -e release={facts['release']} {verdict}"]
    if any(_unknown(row.answer("migration")) for row in rows):
        lines += ["What it would do to the database is NOT known (why: below)."]
    if rows:
        cells = [["component", "node", "live", "target", "staged", "environment", "slot"]]
        cells += [[row.name, row.node, str(row.live.get("release") or "—"), row.target, row.staged, row.environment, row.switch]
                  for row in rows]
        lines += ["", *(f"  {line}" for line in table(cells))]
    lines += _section("Would be refused", [line for text in refused for line in _wrapped(text, "  - ", "    ")])
    lines += _section("Staged", _staging(rows))
    lines += _section("Environment (secrets masked)", _environments(rows))
    for row in rows:
        migration = row.answer("migration")
        if migration and not migration.get("failed"):
            body = migration_text.plan_text(migration).splitlines()[2:]  # its title is this section's
            lines += _section(f"Migration of {row.name}", [f"  {line}".rstrip() for line in body])
    lines += _section("Run once for the release", _tasks(facts, rows))
    lines += _section("Switched, were it not refused" if refused else "Switched, one after the other", _switches(facts, rows))
    lines += _section("Judged by", _gates(facts, rows, ", ".join(opening) or silent))
    lines += _section("Lost", _lost(rows, silent))
    return "\n".join(lines)
