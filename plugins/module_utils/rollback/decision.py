# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One decision for all nodes, out of the plan that each of them made for itself. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ansible_collections.phasegate.aistack.plugins.module_utils.report.refusals import for_playbooks, grouped
from ansible_collections.phasegate.aistack.plugins.module_utils.report.text import table
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import begun as rollback_begun
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.node_answer import plain
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.plan import common_target
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.state import elsewhere
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.text import environment

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.contract import (
        Answer,
        Begun,
        Candidate,
        Decision,
        JustBack,
        OutcomeRow,
        Plan,
        Refusal,
    )

MERELY_LOCAL = ("no_component", "no_previous_good", "already_there", "nothing_live")
"""Refusals of one node that do not bind the others: it has no part in this rollback, or the others decide for it."""
TODAY = (
    "the configuration went back as well: the next deploy.yml brings the inventory's, and so does site.yml once it converges the component."
    " Correct the inventory first, if that is what was wrong"
)
"""What comes after a rollback, of the configuration or with other variables than today's."""
NO_SUCH_CONFIG = ("no_previous_config", "never_deployed")
"""The same for the level config, where each node has configs of its own."""


def answer_of(result: Mapping[str, Any]) -> Answer:
    """What a node said, out of what M(phasegate.aistack.node) returned there: its answer, or C(silent) with the reason."""
    if result.get("unreachable"):
        first = plain((str(result.get("msg") or "").splitlines() or [""])[0])
        return {"silent": f"not reached: {first or 'no answer'}"}
    if "answer" in result:
        answer: Answer = result["answer"]
        return {**answer}
    return {"silent": f"it was not asked: {plain(str(result.get('msg') or 'nothing was said'))}"}


def is_back(answer: Answer, rc: int) -> bool:
    """Whether a node is where it was told to go; at the target already is that too, which commands of before say with 2."""
    return "silent" not in answer and (rc == 0 or (rc == 2 and _there_already(answer)))


def not_back(node: str, to: str, answer: Answer) -> str:
    """Why a node is not where it was told to go, for people."""
    rows = outcome_rows({"nodes": [node]}, {node: {"answer": answer}})
    why = "; ".join(row["said"] for row in rows if row["outcome"] != "ok") or "it did not say why"
    return (
        f"{node} is not back at {to or 'its last configuration'}: {why}. What is live now is said below. Fix that, and run the same command"
        " again: it goes on from there."
    )


def decide(
    answers: Mapping[str, Answer], to: str | None = None, best_effort: bool = False, now: float | None = None,
    level: str | None = None,
) -> Decision:
    """Where all nodes go, or why none of them does.

    Args:
        answers: node to what :func:`answer_of` made of its plan.
        to: the release that was asked for; None: that of a rollback that was begun and is not finished, else the newest that every
            component on every node can be at.
        best_effort: go on although nodes are silent or components cannot go there.
        now: seconds since 1970; given, a rollback that ended well a moment ago is finished, and no other begun, without a release being
            named: two people who call for the same emergency must not go back twice.
        level: the level that was asked for; None: that of the plans.

    There, and nothing to finish: allowed, and nothing is to be done.
    """
    plans = {node: answer for node, answer in answers.items() if "candidates" in answer}
    silent = {node: str(answer["silent"]) for node, answer in answers.items() if "silent" in answer}
    level = level or next((str(plan["level"]) for plan in plans.values() if plan.get("level")), "app")
    begun = rollback_begun.begun(plans, level)
    if level == "config":
        return _decide_config(plans, silent, to, begun)
    candidates = [entry for plan in plans.values() for entry in plan["candidates"]]
    if begun is not None and not rollback_begun.stands(begun, candidates):
        begun = None
    just = rollback_begun.just_back(plans, now) if now is not None else None
    target = to or (just["to"] if just and just["to"] and rollback_begun.can_all(plans, just["to"]) else None)
    if target is None and begun is not None and not best_effort:
        target = begun["to"]
    target = target or common_target(candidates)
    if target is None and best_effort:
        target = common_target([entry for entry in candidates if elsewhere(entry)])
    refusals: list[Refusal] = [
        {**refusal, "node": node, "remedy": for_playbooks(str(refusal.get("remedy") or ""))}
        for node, plan in plans.items()
        for refusal in plan.get("refusals") or []
        if refusal.get("code") not in MERELY_LOCAL and not rollback_begun.is_there(plan, target)
    ]
    if silent and not best_effort:
        refusals += [
            _refusal(node, "silent", why, "repair the node, or use emergency_rollback.yml, which goes on without it")
            for node, why in silent.items()
        ]
    if not candidates:
        refusals.append(_refusal("", "nothing_live", "no node that answered has a live release", "deploy a release: deploy.yml"))
    elif target is None:
        refusals.append(_no_target(candidates))
    refusals += [refusal for node, plan in plans.items() for refusal in _left_alone(node, plan, plans)]
    refusals += [_other_target(node, plan, target) for node, plan in plans.items() if _moves_data_elsewhere(plan, target)]
    if just is not None and not to and just["to"] != target:
        refusals += [_repeated(node, last) for node, last in just["nodes"].items()]
    finishes = [one for one in (begun, just) if one is not None and one["to"] == target]
    there = bool(candidates) and all(rollback_begun.is_there(plan, target) for plan in plans.values())
    present = sorted({str(entry["present"]) for entry in candidates})
    began_from = min(finishes, key=lambda one: float(one["began"] or 0.0))["from"] if finishes else None
    warnings = [f"{node}: {warning}" for node, plan in plans.items() for warning in plan.get("warnings") or []]
    warnings += [f"{node}: not verified: {text}" for node, plan in plans.items() for text in plan.get("unverified") or []]
    notes = rollback_begun.notes(plans, begun, None if to else just, target, level, there)
    return {
        "to": target,
        "from": began_from or ", ".join(present) or None,
        "allowed": not refusals or (best_effort and _only_parts(refusals) and _somebody_moves(plans.values())),
        "refusals": refusals,
        "nodes": [node for node, plan in plans.items() if plan["candidates"] or plan.get("steps")],
        "silent": silent,
        "warnings": [*warnings, *notes],
        "notes": notes,
        "there": there,
        **rollback_begun.summed(finishes),
    }


def _decide_config(
    plans: Mapping[str, Answer], silent: Mapping[str, str], to: str | None, begun: Begun | None
) -> Decision:
    """The same for the level config: configs differ from node to node, so that each goes to its own.

    Without ``to``, what a rollback that is not finished wanted on the nodes that had a part in it; else what the last run that changed
    a config anywhere replaced; runs are named by their time.
    """
    if begun is not None and to is not None and to != begun["to"]:
        begun = None  # another one is wanted now
    newest = max((str(plan.get("changed_by") or "") for plan in plans.values() if plan.get("allowed")), default="")

    def takes_part(node: str, plan: Answer) -> bool:
        if begun is not None and not to:
            return node in begun["part"] and (bool(plan.get("allowed")) or rollback_begun.only_there(plan))
        if rollback_begun.only_there(plan):
            return bool(to)
        return bool(plan.get("allowed")) and (bool(to) or str(plan.get("changed_by") or "") == newest)

    nodes = [node for node, plan in plans.items() if takes_part(node, plan)]
    refusals: list[Refusal] = [
        {**refusal, "node": node, "remedy": for_playbooks(str(refusal.get("remedy") or ""))}
        for node, plan in plans.items()
        for refusal in plan.get("refusals") or []
        if not nodes or refusal.get("code") not in (*MERELY_LOCAL, *NO_SUCH_CONFIG)
    ]
    refusals += [
        _refusal(node, "silent", why, f"repair the node, or leave it out: --limit 'all:!{node}' -e partial=true")
        for node, why in silent.items()
    ]
    if not nodes and not refusals:
        refusals.append(_refusal("", "nothing_live", "no node that answered has a live release", "deploy a release: deploy.yml"))
    warnings = [f"{node}: {warning}" for node in nodes for warning in plans[node].get("warnings") or []]
    others = [node for node, plan in plans.items() if nodes and plan["candidates"] and node not in nodes]
    warnings += [f"{node}: keeps its config, which that change left alone" for node in others]
    finishes = [begun] if begun is not None else []
    there = bool(nodes) and all(rollback_begun.only_there(plans[node]) for node in nodes)
    target = to or (str(begun["to"]) if begun is not None else _all_of(plans, nodes, "to"))
    notes = rollback_begun.notes(plans, begun, None, target, "config", there)
    return {
        "to": target,
        "from": (begun or {}).get("from") or _all_of(plans, nodes, "from"),
        "allowed": not refusals,
        "refusals": refusals,
        "nodes": nodes,
        "silent": dict(silent),
        "warnings": [*warnings, *notes],
        "notes": notes,
        "there": there,
        **rollback_begun.summed(finishes),
    }


def _all_of(plans: Mapping[str, Answer], nodes: Iterable[str], key: Literal["from", "to"]) -> str | None:
    return ", ".join(sorted({part for node in nodes for part in str(plans[node].get(key) or "").split(", ") if part})) or None


def _moves_data_elsewhere(plan: Answer, target: str | None) -> bool:
    """Whether a node planned to take its data to another release than the one that all can be at."""
    moves = plan.get("level") in ("schema", "system") and plan.get("allowed") and plan.get("to")
    return bool(moves and target and plan["to"] != target)


def _other_target(node: str, plan: Answer, target: str | None) -> Refusal:
    reason = f"its data would go to {plan['to']}, while {target} is the newest release that all nodes can be at"
    return _refusal(node, "another_target", reason, f"name the release, so that all plan for it: -e to={target}")


def _left_alone(node: str, plan: Answer, plans: Mapping[str, Answer]) -> list[Refusal]:
    """What a node goes by and another one has to move, which does not: it takes no part, or sees nothing to move."""
    found: list[Refusal] = []
    for one in (plan.get("relies") or []) if plan.get("steps") else []:
        name, other = one["component"], plans.get(one["node"])
        if other is None or all(entry["component"] != name for entry in other["candidates"]):
            reason = f"{name}: its database is moved by {one['node']}, which takes no part in this"
            remedy = f"take {one['node']} in (--limit may leave it out); where {name} is not live there, deploy it there first"
        elif plan.get("level") == "schema" and not _moves_database(other, name):
            reason = f"{name}: its database has to be taken back, and {one['node']} does not move it"
            remedy = f"see whether {name} has the same database on both; then run the same command again"
        else:
            continue
        found.append({**_refusal(node, "database_elsewhere", reason, remedy), "component": name})
    return found


def _moves_database(plan: Answer, name: str) -> bool:
    """Whether it does, or is refused for a reason of its own."""
    if any(refusal.get("code") not in MERELY_LOCAL for refusal in plan.get("refusals") or []):
        return True
    return any(step["do"] in ("downgrade", "restore") and step["component"] == name for step in plan.get("steps") or [])


def _repeated(node: str, last: JustBack) -> Refusal:
    reason = f"it went back from {last.get('from')} to {last.get('to')} {last['ago']:.0f} s ago (run {last.get('run')})"
    return _refusal(node, "just_went_back", reason, "nothing, if that was meant; to go back further name the release: -e to=TAG")


def _somebody_moves(plans: Iterable[Answer]) -> bool:
    """Whether any node can do anything: with best effort, what only warns while others move is a refusal where nobody does."""
    return any(plan.get("allowed", True) for plan in plans if plan["candidates"])


def _only_parts(refusals: Sequence[Refusal]) -> bool:
    """Whether every refusal concerns one component, so that the others can go."""
    return all(refusal.get("component") for refusal in refusals)


def _refusal(node: str, code: str, reason: str, remedy: str) -> Refusal:
    return {"node": node, "code": code, "component": None, "reason": reason, "remedy": remedy}


def _no_target(candidates: Sequence[Candidate]) -> Refusal:
    """Say which component can be at which release, since there is none that all of them share."""
    can = "; ".join(f"{entry['component']} on {entry['node']} {_earlier(entry)}" for entry in candidates)
    return _refusal(
        "",
        "no_previous_good",
        f"there is no earlier release that was good and that every component still has here: {can}",
        "deploy a release that was good before: deploy.yml -e release=TAG",
    )


def _earlier(entry: Candidate) -> str:
    """Where a component is, and where it could go from there."""
    tags = [str(tag) for tag in entry["tags"] if tag != entry["present"]]
    back = f"could go back to {', '.join(tags)}" if tags else "has nothing earlier to go back to"
    return f"is at {entry['present']} and {back}"


def decision_text(decision: Decision) -> str:
    """The decision for people: where it goes, or every reason against it with the remedy."""
    lines = []
    if decision["allowed"] and decision.get("there") and not decision.get("resumes"):
        lines.append(f"{rollback_begun.THERE.format(to=decision['to'])}; nothing to do")
    elif decision["allowed"]:
        lines.append(f"from {decision['from']} to {decision['to']} on {', '.join(decision['nodes'])}")
    else:
        lines.append("The rollback is refused; nothing was touched.")
    for sentence, refusal in grouped((str(refusal.get("node") or ""), refusal) for refusal in decision["refusals"]):
        lines += [f"  - {sentence}", f"    fix: {refusal['remedy']}"]
    named = {refusal["node"] for refusal in decision["refusals"]}
    lines += [f"  without {node}: {why}" for node, why in decision["silent"].items() if node not in named]
    lines += [f"  environment, names only: {entry}" for entry in _environment(decision)]
    lines += [f"  note: {warning}" for warning in decision["warnings"]]
    return "\n".join(lines)


def _environment(decision: Decision) -> list[str]:
    """What becomes of the environment on the nodes that take part, where the decision tells their plans."""
    plans = decision.get("plans") or {}
    taking_part = {node: plans[node] for node in decision.get("nodes") or [] if node in plans}
    return environment({"nodes": taking_part}) if decision.get("allowed") else []


def plan_holds(now: Plan, shown: Plan) -> bool:
    """Whether a node's plan of now does nothing but what was shown, perhaps less: a run that was interrupted may have come further since.

    Expected times and warm slots may differ.
    """
    keys = ("release", "config", "from", "to", "set", "what", "revisions")

    def steps(plan: Plan) -> list[Any]:
        found = [(step["do"], step.get("component"), step.get("detail") or {}) for step in plan.get("steps") or []]
        return [[do, component, *(detail.get(key) for key in keys)] for do, component, detail in found]

    if shown.get("there"):
        return rollback_begun.is_settled(now, shown.get("to"))
    there = rollback_begun.only_there(now)
    consented = steps(shown)
    return bool((now.get("allowed") or there) and now.get("to") == shown.get("to") and all(step in consented for step in steps(now)))


def outcome_rows(decision: Decision, results: Mapping[str, Mapping[str, Any]]) -> list[OutcomeRow]:
    """One row for each component of each node that took part, and one for each node that could not.

    ``results`` maps a node to what M(phasegate.aistack.node) returned there.
    """
    rows: list[OutcomeRow] = []
    for node in decision.get("nodes") or []:
        result = results.get(node) or {}
        if result.get("skipped"):
            continue
        answer = answer_of(result)
        if not answer.get("components"):
            refusals = (answer.get("plan") or {}).get("refusals") or []
            there = _there_already(answer)
            ways = ["" if there else f" (fix: {for_playbooks(refusal['remedy'])})" for refusal in refusals]
            why = "; ".join(f"{refusal['reason']}{way}" for refusal, way in zip(refusals, ways))
            said = why or answer.get("silent") or answer.get("absent") or answer.get("msg") or "it did not say why"
            rows.append(_row(node, "", "ok" if there else "failed", 0.0, str(said)))
        for component in answer.get("components") or []:
            row = _row(node, str(component["component"]), str(component["outcome"]), float(component.get("seconds") or 0.0),
                       str(component.get("message") or ""))
            for key in ("unverified", "warnings"):
                if component.get(key):
                    row[key] = list(component[key])
            rows.append(row)
    rows += [_row(node, "", "failed", 0.0, why) for node, why in (decision.get("silent") or {}).items()]
    return rows


def _there_already(answer: Answer) -> bool:
    """Whether a node refused because it is at the target."""
    refusals = (answer.get("plan") or {}).get("refusals") or []
    return bool(refusals) and all(refusal.get("code") == "already_there" for refusal in refusals)


def _row(node: str, component: str, outcome: str, seconds: float, said: str) -> OutcomeRow:
    return {"node": node, "component": component, "outcome": outcome, "seconds": round(seconds, 3), "said": said}


def outcome_text(decision: Decision, rows: Sequence[OutcomeRow]) -> str:
    """The outcome for people: a table, and a last line that says whether all is back."""
    cells = [["node", "component", "", "took", ""]]
    for row in rows:
        took = f"{row['seconds']:.1f} s" if row["seconds"] else ""
        cells.append([row["node"], row["component"] or "(node)", "back" if row["outcome"] == "ok" else str(row["outcome"]).upper(), took,
                      " ".join(str(row["said"]).split())[:110]])
    bad = [row for row in rows if row["outcome"] != "ok"]
    nothing = decision.get("there") and not decision.get("resumes")
    named = ", ".join(f"{row['component'] or 'everything'} on {row['node']}" for row in bad)
    last = f"{rollback_begun.THERE.format(to=decision['to'])}; nothing to do" if nothing else (
        f"everything is back at {decision['to']} (from {decision['from']})"
    )
    if bad:
        last = f"NOT everything is back at {decision['to']}: {named}"
    changed = _environment(decision)
    notes = [f"environment, names only: {entry}" for entry in changed]
    plans = (decision.get("plans") or {}).values()
    if not bad and not nothing and (changed or any(plan.get("level") == "config" for plan in plans)):
        notes.append(TODAY)
    notes += [f"note: {warning}" for warning in decision.get("warnings") or []]
    notes += [f"beware: {row['node']}: {row['component']}: {text}" for row in rows for text in row.get("warnings") or []]
    notes += [f"not verified: {row['node']}: {row['component']}: {text}" for row in rows for text in row.get("unverified") or []]
    return "\n".join([*table(cells), "", *notes, last])
