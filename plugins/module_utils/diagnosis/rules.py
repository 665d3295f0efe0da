# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules of a diagnosis: data, checked by a table, and what they find in the evidence of one node. Nothing is evaluated but comparisons.

A rule looks at each thing of one section (:mod:`.sections`). It holds where every path of ``when`` is as expected
(:mod:`core.expect`), one of the mappings of ``any`` is, ``unless`` is not, and, where it has ``log``, one of these patterns is found in
the thing's log. Named groups of the pattern, the fields of the thing, C(line) and C(node) are filled into its texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

from ansible_collections.phasegate.aistack.plugins.module_utils.core import expect
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option, examine, nearest
from ansible_collections.phasegate.aistack.plugins.module_utils.core.substitute import names_in
from ansible_collections.phasegate.aistack.plugins.module_utils.diagnosis.sections import LOGGED, SECTIONS

LOG_LIMIT = 64 * 1024
"""Characters of a log, the newest, that patterns are searched in."""

_CONDITION = Option("dict", "field to what is expected of it; all have to hold", expected="a mapping of fields to expected values")

RULE: Mapping[str, Option] = {
    "name": Option("str", "what the rule is called; one of your own with the name of one that comes along stands for it", required=True,
                   example="broker_password"),
    "title": Option("str", "the cause in one line", required=True),
    "each": Option("str", "the section whose things it looks at", required=True, choices=tuple(SECTIONS)),
    "when": _CONDITION,
    "any": Option("list", "conditions of which one has to hold", items=_CONDITION, expected="a list of conditions"),
    "unless": Option("dict", "a condition that must not hold as a whole", expected="a mapping of fields to expected values"),
    "log": Option("list", "regular expressions of which one has to be found in the log of the component; named groups are names for texts",
                  items=Option("str", ""), expected="a list of regular expressions"),
    "certainty": Option("int", "how sure, of 100; below 50 it is a hint and no cause", required=True, minimum=1),
    "seen": Option("str", "what was seen, with ${field} for what the thing has", required=True),
    "means": Option("str", "what that means", required=True),
    "do": Option("list", "what to do, a step each", required=True, items=Option("str", ""), expected="a list of texts"),
    "blames": Option("list", "roles of servers: where a cause is found at one of them, this one follows from it", items=Option("str", ""),
                     expected="a list of roles"),
    "explains": Option("list", "rules whose findings on the same node follow from this one", items=Option("str", ""),
                       expected="a list of names of rules"),
    "symptom": Option("bool", "true: it follows from whatever else is found of the same component", default=False),
}
RULES = Option("list", "rules of diagnose.yml of your own (see Diagnosis)", items=Option("dict", "", keys=RULE), label="name",
               expected="a list of rules")

ALWAYS = ("node", "line")
"""Names that texts of every rule know; C(line) is what its log had, where it has one."""


class Finding(TypedDict):
    """What a rule found on one node; the texts of the rule are filled in.

    Attributes:
        wide_title: the title in which ``${node}`` still stands: the same on several nodes is one cause.
    """

    rule: str
    node: str
    component: str
    role: str
    title: str
    certainty: int
    seen: str
    means: str
    do: list[str]
    blames: list[str]
    explains: list[str]
    symptom: bool
    wide_title: str


def problems(where: str, rules: Any, known: Iterable[str] = ()) -> list[str]:
    """All that is wrong with rules, one line each, with the path that begins with *where*.

    Args:
        rules: as they stand in a file or an inventory.
        known: names of further rules that these may explain.
    """
    sound, found = examine(where, rules, RULES)
    names = [str(rule.get("name")) for rule in sound or ()]
    for index, rule in enumerate(sound or ()):
        here = f"{where}[{index}] ({rule.get('name', 'no name')})"
        if rule.get("name") in names[:index]:
            found.append(f"{here}: its name is that of {where}[{names.index(str(rule['name']))}]; names tell rules apart")
        if "each" in rule:
            found += _conditions(here, rule) + _patterns(here, rule) + _texts(here, rule)
        if isinstance(rule.get("certainty"), (int, str)) and int(rule["certainty"]) > 100:
            found.append(f"{here}.certainty: must be a whole number from 1 to 100, is {rule['certainty']}")
        others = [*names, *known]
        found += [f"{here}.explains: unknown rule '{name}'{nearest(name, others)}" for name in rule.get("explains") or ()
                  if name not in others]
    return found


def _conditions(here: str, rule: Mapping[str, Any]) -> list[str]:
    """What is wrong with fields and expected values."""
    fields, found = SECTIONS[rule["each"]], []
    given = [("when", rule.get("when") or {}), ("unless", rule.get("unless") or {})]
    given += [(f"any[{index}]", one) for index, one in enumerate(rule.get("any") or ())]
    for key, condition in given:
        for field, expected in condition.items():
            if field not in fields:
                found.append(f"{here}.{key}: {rule['each']} have no field '{field}'{nearest(str(field), fields)}")
            found += [f"{here}.{key}.{field}: {line}" for line in expect.problems(expected)]
    if not any(rule.get(key) for key in ("when", "any", "log")):
        found.append(f"{here}: says of no thing when it holds; give when, any or log")
    return found


def _patterns(here: str, rule: Mapping[str, Any]) -> list[str]:
    if rule.get("log") and rule["each"] not in LOGGED:
        return [f"{here}.log: {rule['each']} have no log; there is one with each: {' or '.join(LOGGED)}"]
    return [f"{here}.log[{index}]: {line}" for index, one in enumerate(rule.get("log") or ()) for line in expect.regex_problems(one)]


def _groups(rule: Mapping[str, Any]) -> set[str]:
    """Names that whichever pattern was found brings along; one that only some of them have has no value where another was found."""
    try:
        return {name for pattern in rule.get("log") or () for name in re.compile(pattern).groupindex}
    except re.error:
        return set()


def _texts(here: str, rule: Mapping[str, Any]) -> list[str]:
    known = {*SECTIONS[rule["each"]], *ALWAYS, *_groups(rule)}
    texts = [(key, rule.get(key)) for key in ("title", "seen", "means", "do")]
    return [f"{here}.{key}: ${{{name}}} is no field of {rule['each']}{nearest(name, known)}"
            for key, text in texts for name in sorted(names_in(text)) if name not in known]


def chosen(rules: Sequence[Mapping[str, Any]], own: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rules that come along, with the operator's *own*: one of the same name stands for what came."""
    replaced = {rule["name"] for rule in own}
    return [*own, *(rule for rule in rules if rule["name"] not in replaced)]


def findings(rules: Iterable[Mapping[str, Any]], evidence: Mapping[str, Any], node: str) -> list[Finding]:
    """What *rules*, which have passed :func:`problems`, find in the *evidence* of a node: section to its things."""
    return [
        _finding(rule, thing, match, node)
        for rule in rules
        for thing in evidence.get(rule["each"]) or ()
        for match in [_holds(rule, thing)]
        if match is not None
    ]


def _holds(rule: Mapping[str, Any], thing: Mapping[str, Any]) -> dict[str, str] | None:
    """What the pattern brought along where the rule holds; None where it does not."""
    if expect.check_all(rule.get("when") or {}, thing):
        return None
    if rule.get("any") and all(expect.check_all(one, thing) for one in rule["any"]):
        return None
    if rule.get("unless") and not expect.check_all(rule["unless"], thing):
        return None
    if not rule.get("log"):
        return {}
    text = "\n".join(thing.get("log") or ())[-LOG_LIMIT:]
    found = [match for pattern in rule["log"] for match in re.finditer(pattern, text, re.MULTILINE)]
    if not found:
        return None
    newest = max(found, key=lambda match: match.end())
    start, end = text.rfind("\n", 0, newest.start()) + 1, text.find("\n", newest.end())
    line = " / ".join(part.strip() for part in text[start : end if end >= 0 else None].splitlines())
    return {"line": line[:400], **{name: value for name, value in newest.groupdict().items() if value is not None}}


def _finding(rule: Mapping[str, Any], thing: Mapping[str, Any], match: Mapping[str, str], node: str) -> Finding:
    values = {key: expect.show(value) for key, value in thing.items() if key != "log"}
    names = {**values, **match}

    def told(text: str, node: str = node) -> str:
        return re.sub(r"\$\{([^{}]*)\}", lambda found: {**names, "node": node}.get(found[1].strip(), "-"), text).strip()

    component = str(thing.get("component") or "-")
    return {
        "rule": rule["name"], "node": node, "component": "" if component == "-" else component, "role": str(thing.get("role") or ""),
        "title": told(rule["title"]), "certainty": int(rule["certainty"]), "seen": told(rule["seen"]), "means": told(rule["means"]),
        "do": [told(step) for step in rule["do"]], "blames": list(rule.get("blames") or ()), "explains": list(rule.get("explains") or ()),
        "symptom": bool(rule.get("symptom")), "wide_title": told(rule["title"], "${node}"),
    }
