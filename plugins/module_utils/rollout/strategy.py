# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What C(strategy) of a component may say: how its hosts come to another release. A word, or a mapping with one key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option, nearest, what

WORDS = ("bluegreen", "recreate")
"""Strategies without settings: all hosts of a component at once."""
ROLLING, CANARY = "rolling", "canary"
LONGEST_S = 3600
"""Seconds that one batch may be held: a run sits at it, and its nodes are locked. What is to be watched for longer has watch.yml."""
WINDOW_S = 60.0
"""Seconds that a trigger judges together where it does not say."""
_LIMIT = re.compile(r"([0-9]+)(%?)")

_TRIGGERS = Option("list", "names of aistack_triggers that are judged while a batch is held; one that does not pass takes the release back",
                   items=Option("str", ""), expected="a list of names of aistack_triggers")

STRATEGY = Option(
    "str|dict",
    "how its hosts come to a release: bluegreen, all at once, each beside the old one; recreate, the old slot stops before the new one "
    "starts, where never two may run; or a mapping with one key, {rolling: {limit: 1}} or {canary: {…}}",
    default="bluegreen",
    expected=f"{' or '.join(WORDS)}, {{rolling: {{…}}}} or {{canary: {{…}}}}",
    keys={
        ROLLING: Option("dict", "a few hosts after the others, each batch proven before the next one begins; counts for deploy.yml", keys={
            "limit": Option("text", "hosts of a batch, or a share of all, such as 25%, rounded down, one at least", default=1,
                            expected="a whole number of hosts, or a share of them such as 25%"),
            "hold": Option("number", f"seconds for which a batch has to hold, {LONGEST_S} at most", minimum=0, default=0),
            "triggers": _TRIGGERS,
        }),
        CANARY: Option("dict", "on each host a rising share of the requests, each judged while it holds; counts for deploy.yml", keys={
            "weights": Option("list", "shares of the requests in percent, rising, the last one 100", required=True,
                              items=Option("int", ""), expected="a list of whole numbers, such as [5, 25, 100]"),
            "hold": Option("number", f"seconds for which each share has to hold, {LONGEST_S} at most; needed", minimum=0, default=0),
            "triggers": replace(_TRIGGERS, help=f"{_TRIGGERS.help}; needed"),
        }),
    },
)
CAREFUL = replace(
    STRATEGY,
    kind="dict",
    help="a strategy that deploy.yml takes instead where a release changes a lot: another major version than what is live, a migration "
    "that takes away what the release before may use, or -e risk=high",
    default=None,
    expected="{rolling: {…}} or {canary: {…}}",
)


def kind_of(strategy: Any) -> str:
    """Its name: C(bluegreen), C(recreate), C(rolling) or C(canary)."""
    if isinstance(strategy, Mapping):
        return next((name for name in (ROLLING, CANARY) if name in strategy), WORDS[0])
    return str(strategy or WORDS[0])


def settings_of(strategy: Any) -> Mapping[str, Any]:
    """What stands below its name; nothing for a word."""
    found = strategy.get(kind_of(strategy)) if isinstance(strategy, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def at_first(strategy: Any) -> Any:
    """The strategy where nothing is live yet."""
    return WORDS[0] if kind_of(strategy) == CANARY else strategy


def limit_of(limit: Any, hosts: int) -> int:
    """How many of *hosts* are in a batch: a share is rounded down, so that never more change than was said; one at least."""
    share = str(limit).endswith("%")
    number = int(str(limit).rstrip("%"))
    return max(1, min(hosts, hosts * number // 100 if share else number))


def problems(where: str, component: Mapping[str, Any], hosts: int, triggers: Any) -> list[str]:
    """What is wrong with the strategies of a component, one line each, each with the key that has to be changed.

    Args:
        where: the path of the component.
        component: its description, with what the table has let pass.
        hosts: how many hosts its group has; 0 where that is not known.
        triggers: ``aistack_triggers``.
    """
    found = _problems(f"{where}.strategy", component.get("strategy"), component, hosts, triggers)
    careful = component.get("careful")
    if careful is not None and component.get("strategy") == "recreate":
        told = "strategy: recreate stops the old slot on the one host that runs it, so that nothing of it can change bit by bit; drop it"
        return [*found, f"{where}.careful: {told}"]
    return found + _problems(f"{where}.careful", careful, component, hosts, triggers)


def _problems(here: str, strategy: Any, component: Mapping[str, Any], hosts: int, triggers: Any) -> list[str]:
    if isinstance(strategy, str):
        return _word_problems(here, strategy)
    if not isinstance(strategy, Mapping):
        return []
    given = [name for name in (ROLLING, CANARY) if name in strategy]
    if len(given) != 1:
        said = "has both" if given else "says nothing"
        return [f"{here}: {said}; write one of {{rolling: {{limit: 1}}}} and {{canary: {{weights: [5, 25, 100]}}}}"]
    name, settings = given[0], settings_of(strategy)
    here = f"{here}.{name}"
    limit = settings.get("limit", 1)
    found = _limit_problems(f"{here}.limit", limit, hosts) if name == ROLLING else _canary_problems(here, settings, component)
    return found + _hold_problems(here, settings, component, triggers)


def _word_problems(here: str, word: str) -> list[str]:
    if word in WORDS:
        return []
    if word in (ROLLING, CANARY):
        such = "{rolling: {limit: 1}}" if word == ROLLING else "{canary: {weights: [5, 25, 100]}}"
        return [f"{here}: '{word}' has settings; write strategy: {such}"]
    return [f"{here}: '{word}' is not one of {', '.join((*WORDS, ROLLING, CANARY))}{nearest(word, (*WORDS, ROLLING, CANARY))}"]


def _limit_problems(here: str, limit: Any, hosts: int) -> list[str]:
    parts = _LIMIT.fullmatch(str(limit))
    if not parts:
        return [f"{here}: {what(limit)} is no number of hosts; expected one such as 1, or a share such as 25%"]
    number, most = int(parts[1]), 100 if parts[2] else hosts
    if number == 0:
        return [f"{here}: with {limit} no host would ever change; expected 1 at least"]
    if parts[2] and number > most:
        return [f"{here}: {limit} is more than all hosts; expected 1% to 100%"]
    if most and number > most:
        few = f"{hosts} host{'s' if hosts > 1 else ''}"
        said = f"{limit} is more than the {few} of the component"
        return [f"{here}: {said}; expected {hosts} at most, or strategy: bluegreen for all at once"]
    return []


def _canary_problems(here: str, settings: Mapping[str, Any], component: Mapping[str, Any]) -> list[str]:
    weights = list(settings.get("weights") or [])
    found = []
    if not component.get("port"):
        found.append(f"{here}: the component has no port, so that no edge leads requests to it, and none can be shared out; "
                     "give it a port, or write rolling")
    numbers = [int(weight) for weight in weights]
    if any(not 1 <= weight <= 100 for weight in numbers):
        found.append(f"{here}.weights: {_shown(weights)}: each is a share in percent, 1 to 100")
    elif any(after <= before for before, after in zip(numbers, numbers[1:])):
        found.append(f"{here}.weights: {_shown(weights)} does not rise; expected shares such as [5, 25, 100]")
    if weights and not (settings.get("triggers") and settings.get("hold")):
        found.append(f"{here}: nothing would judge a share before it rises; name triggers, and how long to hold: "
                     "triggers: [NAME], hold: 300")
    if numbers and numbers[-1] != 100:
        found.append(f"{here}.weights: {_shown(weights)} ends with {numbers[-1]}; the last one has to be 100, when all requests have moved")
    return found


def _hold_problems(here: str, settings: Mapping[str, Any], component: Mapping[str, Any], triggers: Any) -> list[str]:
    hold = float(settings.get("hold", 0))
    if hold > LONGEST_S:
        said = f"{hold:g} is too long; expected {LONGEST_S} seconds at most, since the run waits and its nodes are locked"
        return [f"{here}.hold: {said}. watch.yml watches for longer"]
    names = list(settings.get("triggers") or [])
    if hold and not names and not component.get("gate"):
        return [f"{here}.hold: nothing would be judged in these {hold:g} s; give the component a gate, or name triggers"]
    if names and not hold:
        return [f"{here}.hold: is missing: triggers are judged while a batch is held; expected seconds, such as hold: 60"]
    known = {str(one.get("name")): one for one in (triggers if isinstance(triggers, Sequence) else ()) if isinstance(one, Mapping)}
    found: list[str] = []
    for name in names:
        trigger = known.get(name)
        if trigger is None:
            none = "" if known else "; there is no trigger at all"
            found.append(f"{here}.triggers: aistack_triggers has no '{name}'{nearest(name, known)}{none}")
        elif trigger.get("source") == "manual":
            found.append(f"{here}.triggers: '{name}' is pulled by a person; there is nothing to judge")
        elif _seconds(trigger.get("window", WINDOW_S)) > hold:
            found.append(f"{here}.hold: {hold:g} s are shorter than the {_seconds(trigger.get('window', WINDOW_S)):g} s that '{name}' "
                         "judges together (its window); hold for as long at least")
    return found


def _seconds(value: Any) -> float:
    """A window; what is no number is said where triggers are checked."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0


def _shown(weights: Sequence[Any]) -> str:
    return f"[{', '.join(map(str, weights))}]"
