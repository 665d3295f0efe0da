# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Causes out of the findings of all nodes: which belong together, which follows from which, the likeliest first; and the page of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

from ansible_collections.phasegate.aistack.plugins.module_utils.diagnosis.rules import Finding

CAUSE = 50
"""A finding that is less sure is a hint."""
_SURE, _LIKELY = 90, 70
NAMED = 4
"""So many nodes are named in a title."""


class Cause(TypedDict):
    """The findings of one rule about one component, over all nodes.

    Attributes:
        title: where it names its node, it names all of them.
        seen: (node, what was seen there).
        follows: titles of what follows from it.
    """

    rule: str
    component: str
    title: str
    certainty: int
    seen: list[tuple[str, str]]
    means: str
    do: list[str]
    follows: list[str]


def words(certainty: int) -> str:
    """How sure, for people."""
    word = "sure" if certainty >= _SURE else "likely" if certainty >= _LIKELY else "possible" if certainty >= CAUSE else "a hint"
    return f"{word}, {certainty} of 100"


def follows(one: Finding, other: Finding) -> bool:
    """Whether *one* follows from *other*, by what their rules say."""
    if one is other:
        return False
    if other["node"] == one["node"] and one["rule"] in other["explains"]:
        return True
    if other["symptom"]:
        return False
    if one["symptom"] and other["certainty"] >= CAUSE:
        if one["component"] and one["component"] == other["component"]:
            return True
        if one["role"] in other["blames"]:  # the same, seen from the other end
            return True
    return other["role"] in one["blames"] and other["role"] not in other["blames"] and other["certainty"] >= CAUSE


def ranked(findings: Sequence[Finding]) -> list[Cause]:
    """Causes, the likeliest first: what follows from another finding stands below that, and is no cause of its own.

    Where two findings explain one another, neither follows: both are causes.
    """
    origins = _origins(findings)
    causes: dict[tuple[str, str, str], Cause] = {}
    roots = [one for index, one in enumerate(findings) if origins[index] is None]
    for one in sorted(roots, key=lambda found: (-found["certainty"], found["symptom"])):
        cause = causes.setdefault(_key(one), _cause(one))
        if (one["node"], one["seen"]) not in cause["seen"]:
            cause["seen"].append((one["node"], one["seen"]))
        cause["do"] += [step for step in one["do"] if step not in cause["do"]]
    for index, one in enumerate(findings):
        above = origins[index]
        while above is not None and origins[above] is not None:
            above = origins[above]
        if above is None:
            continue
        origin, told = findings[above], f"{one['node']}: {one['title']}"
        below = causes[_key(origin)]["follows"]
        if told not in below:
            below.append(told)
    for (_rule, _component, title), cause in causes.items():
        cause["title"] = title.replace("${node}", _listed(list(dict.fromkeys(node for node, _seen in cause["seen"]))))
    return list(causes.values())


def _key(one: Finding) -> tuple[str, str, str]:
    """What findings of several nodes have in common that are one cause."""
    return one["rule"], one["component"], one["wide_title"]


def _listed(nodes: Sequence[str]) -> str:
    """Nodes in a sentence; of many the first ones, since below it each stands with what was seen there."""
    if len(nodes) > NAMED + 1:
        nodes = [*nodes[:NAMED], f"{len(nodes) - NAMED} others"]
    return " and ".join(part for part in (", ".join(nodes[:-1]), nodes[-1]) if part)


def _origins(findings: Sequence[Finding]) -> list[int | None]:
    """For each finding the number of that which it follows from, the surest of them. Of findings that explain one another in a circle
    the surest follows from nothing.
    """
    origins: list[int | None] = []
    for one in findings:
        found = [number for number, other in enumerate(findings) if follows(one, other) and not follows(one=other, other=one)]
        own = [number for number in found if one["rule"] in findings[number]["explains"]]
        origins.append(max(own or found, key=lambda number: findings[number]["certainty"], default=None))
    for start in range(len(findings)):
        way, at = list[int](), start
        while origins[at] is not None and at not in way:
            way.append(at)
            at = origins[at] or 0
        if at in way:
            origins[max(way[way.index(at):], key=lambda number: findings[number]["certainty"])] = None
    return origins


def _cause(one: Finding) -> Cause:
    return {"rule": one["rule"], "component": one["component"], "title": one["title"], "certainty": one["certainty"], "seen": [],
            "means": one["means"], "do": [], "follows": []}


def unreachable(node: str, why: str) -> Finding:
    """The finding that a node did not answer."""
    return {
        "rule": "node_unreachable", "node": node, "component": "", "role": "", "title": f"{node} does not answer", "certainty": 90,
        "seen": why, "means": "nothing on it could be looked at: what is said of the others may follow from that",
        "do": [f"look at the node itself and its network: ansible {node} -m ansible.builtin.ping", "then run diagnose.yml again"],
        "blames": [], "explains": [], "symptom": False, "wide_title": f"{node} does not answer",
    }


def nodes_of(results: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Node to what the page says of it, out of what C(diagnose) returned there: ``silent`` says why there is nothing."""
    found = {}
    for node, result in results.items():
        why = str(result.get("silent") or "") if "findings" in result else str(result.get("msg") or "it was not asked")
        found[node] = {"silent": why.strip(), "problems": result.get("problems") or [], "lock": str(result.get("lock") or ""),
                       "asked": bool(result.get("asked"))}
    return found


def failed(causes: Iterable[Cause]) -> bool:
    """Whether there is a cause, and not only hints."""
    return any(cause["certainty"] >= CAUSE for cause in causes)


def page(name: str, causes: Sequence[Cause], nodes: Mapping[str, Mapping[str, Any]]) -> str:
    """The page for people; its last line sums it up.

    Args:
        name: of the stack.
        nodes: as :func:`nodes_of` gives them.
    """
    lines = [f"Diagnosis of {name}", ""]
    for number, cause in enumerate(causes, 1):
        lines += _told(number, cause)
    for node, found in nodes.items():
        lines += [f"not seen on {node}: {problem}" for problem in found.get("problems") or ()]
        lines += [f"the lock of {node} is held by {found['lock']}"] if found.get("lock") else []
    if lines[-1]:
        lines.append("")
    return "\n".join([*lines, summary(causes, nodes)])


def _told(number: int, cause: Cause) -> list[str]:
    about = f"{cause['component']}: " if cause["component"] and cause["component"] not in cause["title"] else ""
    lines = [f"{number}. {about}{cause['title']} ({words(cause['certainty'])})"]
    lines += [f"     seen   {node}: {seen}" for node, seen in cause["seen"]]
    lines += [f"     means  {cause['means']}"]
    lines += [f"     {'do' if not index else '  '}     {step}" for index, step in enumerate(cause["do"])]
    lines += [f"     {'from it' if not index else '       '} {told}" for index, told in enumerate(cause["follows"])]
    return [*lines, f"     rule   {cause['rule']}", ""]


def summary(causes: Sequence[Cause], nodes: Mapping[str, Mapping[str, Any]]) -> str:
    """One line."""
    sure = [cause for cause in causes if cause["certainty"] >= CAUSE]
    asked = [node for node, found in nodes.items() if found["asked"] and not found["silent"]]
    where = f"on {len(asked)} node{'s' if len(asked) != 1 else ''}"
    if not sure:
        hints = f", {len(causes)} hint{'s' if len(causes) != 1 else ''}" if causes else ""
        return f"No cause of a fault was found {where}{hints}"
    many = f"{len(sure)} cause{'s' if len(sure) != 1 else ''} {where}"
    return f"{many}; the likeliest: {sure[0]['title']}"
