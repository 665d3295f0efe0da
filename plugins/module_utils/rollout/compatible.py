# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What C(runs_with) of a component may say: which releases of another component it can run beside; and what a run would break of it. Pure.

A rule of a component counts whichever of the two is deployed. The components of a run come to its release one after the other, so that the
first of two meets the second one's old release: that moment is judged as well as what is there once the run is through.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import application_of, tag_of
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option, nearest
from ansible_collections.phasegate.aistack.plugins.module_utils.release.tag_version import SUCH, Version, version_of

MAJOR, MINOR = "major", "minor"
WORDS = {MAJOR: "of the same major version", MINOR: "of the same major and minor version"}
"""Rules that are a word, and what they ask for."""
SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "ne": "not"}
"""Operators of a range, as they are said."""
IGNORED = "-e runs_with=ignore"
"""What an operator says who means it."""

RUNS_WITH = Option(
    "dict",
    "beside which releases of other components it can run, by component: major or minor, where the versions have that in common, or a "
    "range of the other one's versions; a deployment of either that would break it is refused",
    expected="a mapping of components to major, minor or a range such as {ge: v4.1.0, lt: v5.0.0}",
    items=Option(
        "str|dict", "what of the other one", choices=tuple(WORDS),
        expected=f"{', '.join(WORDS)} or a range such as {{ge: v4.1.0, lt: v5.0.0}}",
        keys={name: Option("str", f"a range: the other one's version is {said}") for name, said in {
            "ge": "this one or newer", "gt": "newer than this one", "le": "this one or older", "lt": "older than this one",
            "ne": "not this one",
        }.items()},
    ),
)

MEANT = f"  Where that is taken into account, say so: {IGNORED}"

_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "ge": operator.ge, "gt": operator.gt, "le": operator.le, "lt": operator.lt, "ne": operator.ne,
}

Rule = tuple[str, str, Any]
"""A component, the other one, and what of it the first one can run beside."""


class Meeting(NamedTuple):
    """Two releases side by side: that of a component with a rule, the other one's, when this would be, and what to do instead."""

    own: str
    its: str
    when: str
    remedy: str = ""


class Broken(NamedTuple):
    """A rule that would not hold, and what to do."""

    reason: str
    remedy: str


def problems(where: str, name: str, components: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What is wrong with the rules of a component, one line each, each with the key that has to be changed.

    Args:
        where: the path of the component; ``name`` is its own.
        components: all of them, with what the table has let pass.
    """
    found = []
    others = [other for other in components if other != name and application_of(other, components)]
    for other, rule in (components[name].get("runs_with") or {}).items():
        here = f"{where}.runs_with.{other}"
        if other == name:
            found.append(f"{here}: is the component itself; name another one")
        elif other not in components:
            found.append(f"{here}: unknown component '{other}'{nearest(other, others)}")
        elif other not in others:
            found.append(f"{here}: '{other}' has no releases, so that nothing of it can be compared; drop it")
        elif isinstance(rule, Mapping):
            found += _range_problems(here, rule)
    return found


def _range_problems(here: str, rule: Mapping[str, Any]) -> list[str]:
    if not rule:
        return [f"{here}: an empty range says nothing; expected one such as {{ge: v4.1.0, lt: v5.0.0}}"]
    ends = {key: version_of(str(value)) for key, value in rule.items()}
    found = [f"{here}.{key}: '{rule[key]}' is no version; expected one such as v4.1.0" for key, end in ends.items() if end is None]
    if not found and _none_between({key: end for key, end in ends.items() if end is not None}):
        found = [f"{here}: no version is {words(rule)}; expected a range such as {{ge: v4.1.0, lt: v5.0.0}}"]
    return found


def _none_between(ends: Mapping[str, Version]) -> bool:
    """Whether no version is in a range: its lower end is above the upper one, or is the upper one and left out."""
    lower, upper = [ends[key] for key in ("ge", "gt") if key in ends], [ends[key] for key in ("le", "lt") if key in ends]
    if not lower or not upper or max(lower) < min(upper):
        return False
    return max(lower) > min(upper) or any(ends.get(key) == max(lower) for key in ("gt", "lt", "ne"))


def rules_of(components: Mapping[str, Mapping[str, Any]], released: Collection[str]) -> list[Rule]:
    """The rules that a run over the components in *released* has to keep: theirs, and those of others about them."""
    return [
        (name, str(other), rule) for name, one in components.items() for other, rule in (one.get("runs_with") or {}).items()
        if name in released or other in released
    ]


def beside(components: Mapping[str, Mapping[str, Any]], released: Collection[str]) -> list[str]:
    """The components whose live releases have to be known to judge such a run; none without a rule."""
    wanted = {name for one, other, _rule in rules_of(components, released) for name in (one, other)}
    return [name for name in components if name in wanted]


def words(rule: Any) -> str:
    """What a rule asks for of the other release."""
    if isinstance(rule, Mapping):
        return ", ".join(f"{SIGNS[key]} {value}" for key, value in rule.items())
    return WORDS[rule]


def unreadable(own: str, other: str, rule: Any) -> list[str]:
    """Of two releases the tags that name no version where the rule asks for one: nobody can tell then whether it holds."""
    if own == other and not isinstance(rule, Mapping):
        return []
    asked = [other] if isinstance(rule, Mapping) else [own, other]
    return [tag_of(tag) for tag in dict.fromkeys(asked) if version_of(tag) is None]


def holds(own: str, other: str, rule: Any) -> bool:
    """Whether a release runs beside *other* of the other component; not where nobody can tell."""
    if own == other and not isinstance(rule, Mapping):
        return True
    mine, its = version_of(own), version_of(other)
    if isinstance(rule, Mapping):
        ends = {key: version_of(str(end)) for key, end in rule.items()}
        return its is not None and all(end is not None and _ORDER[key](its, end) for key, end in ends.items())
    if mine is None or its is None:
        return False
    return mine[:1] == its[:1] if rule == MAJOR else mine[:2] == its[:2]


def broken(rules: Iterable[Rule], order: Sequence[str], target: str, live: Mapping[str, Collection[str]]) -> list[Broken]:
    """What a deployment would break.

    Args:
        rules: those of :func:`rules_of`.
        order: the components that come to the release, in the order in which they switch.
        target: the release.
        live: of each component the releases that its hosts have now; where neither of two has any there is nothing to judge.

    What is live side by side already is nothing that the deployment brings.
    """
    found: list[Broken] = []
    for name, other, rule in rules:
        if live.get(name) or live.get(other):
            found += _judged(name, other, rule, _met((name, other, rule), order, target, live), live)
    return found


def broken_back(rules: Iterable[Rule], after: Mapping[str, Collection[str]], live: Mapping[str, Collection[str]]) -> list[str]:
    """What a rollback leaves side by side that does not run so, a line each; *after* has the releases of each component behind it."""
    found: list[Broken] = []
    for name, other, rule in rules:
        meet = [Meeting(own, its, f"{name} will be at {tag_of(own)}, and {other} at {tag_of(its)}")
                for own in sorted(after.get(name, ())) for its in sorted(after.get(other, ()))]
        found += _judged(name, other, rule, meet, live)
    return [one.reason for one in found]


def _met(of: Rule, order: Sequence[str], target: str, live: Mapping[str, Collection[str]]) -> list[Meeting]:
    """Which releases of two components a deployment brings side by side: once it is through, and on the way there."""
    name, other, rule = of
    now, new = {one: sorted(live.get(one, ())) for one in (name, other)}, tag_of(target)
    if name in order and other in order:
        either = f"deploy another release; or correct {_path(name, other)}, if they do run side by side"
        between = f"deploy a release in between first, which runs with both; where these two do, correct {_path(name, other)}"
        first, last = sorted((name, other), key=order.index)
        tags = [(target, old) if first == name else (old, target) for old in now[last]]
        words = [f"{first} would switch to {new} while {last} is still at {tag_of(old)}" for old in now[last]]
        return [Meeting(target, target, f"{name} and {other} would both be at {new}", either),
                *(Meeting(*pair, said, _by_word(of) or between) for pair, said in zip(tags, words))]
    moves, stays = (name, other) if name in order else (other, name)
    path = _path(name, other)
    remedy = f"bring {stays} to a release first that runs with both; or correct {path}, if they do run side by side"
    if not isinstance(rule, Mapping):
        first = f"bring {stays} to a release first that is {WORDS[rule]}; or, if they do run side by side, say so by a range in {path}"
        there = all(holds(target, old, rule) for old in now[moves])  # so that the other one can follow
        remedy = first if there else _by_word(of)
    pairs = [(target, old) if moves == name else (old, target) for old in now[stays]]
    words = [f"{moves} would be at {new} beside {stays}, which stays at {tag_of(old)}" for old in now[stays]]
    return [Meeting(*pair, said, remedy) for pair, said in zip(pairs, words)]


def _by_word(of: Rule) -> str:
    """What is left where a rule is a word, which lets nothing be of two versions; empty where it is a range."""
    name, other, rule = of
    if isinstance(rule, Mapping):
        return ""
    return f"by '{rule}' no release in between runs with both: say so by a range in {_path(name, other)}, if these two do run side by side"


def _judged(name: str, other: str, rule: Any, meet: Iterable[Meeting], live: Mapping[str, Collection[str]]) -> list[Broken]:
    """What a rule has against releases that meet and are not live side by side already, each pair once."""
    said = f"{name} runs with {other} {words(rule)} ({_path(name, other)})"
    found: dict[tuple[str, str], Broken] = {}
    for one in meet:
        pair = (one.own, one.its)
        if pair in found or (one.own in live.get(name, ()) and one.its in live.get(other, ())):
            continue
        unknown = unreadable(*pair, rule)
        if unknown:
            names = f"{' and '.join(unknown)} name{'s' if len(unknown) == 1 else ''} no version"
            found[pair] = Broken(f"{one.when}; {said}, and {names}, so that nobody can tell",
                                 f"the rule asks for {SUCH}")
        elif not holds(*pair, rule):
            found[pair] = Broken(f"{one.when}; {said}", one.remedy)
    return list(found.values())


def _path(name: str, other: str) -> str:
    return f"aistack_components.{name}.runs_with.{other}"


def refusal(found: Sequence[Broken]) -> str:
    """The refusal of a deployment."""
    lines = [f"  - {one.reason}\n    Fix: {one.remedy}" for one in found]
    return "\n".join(["Refused. Nothing was touched: releases would run side by side that are not made for it.", *lines, MEANT])


def not_asked(names: Sequence[str], hosts: Mapping[str, Sequence[str]], answered: Collection[str]) -> str:
    """That hosts did not say what is live there, so that no rule is judged of it; empty where all did."""
    silent = [f"{host} ({name})" for name in names for host in hosts.get(name, ()) if host not in answered]
    return f"runs_with is not judged of what is live where nobody was asked: {', '.join(silent)}" if silent else ""
