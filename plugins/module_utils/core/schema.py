# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A table that says what a value may be, and the check of a value against it: every fault at once, each with its whole path.

The tables are data (:mod:`.check.description`, the probes' ``options``); documentation is printed from them. What depends on more than one
value (names that refer to each other, cycles, a port that is given twice) is no matter of a table and stands with its own code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from typing import Any


@dataclass(frozen=True)
class Option:
    """What one key may hold.

    Attributes:
        kind: ``str``, ``int``, ``number``, ``port``, ``bool``, ``list``, ``dict``, ``any``, ``text`` (a text or a whole number), or
            several with ``|`` between them. Probes know more: ``regex``, ``expect`` (an expected value), ``scalar`` (what is
            expected of one value; a list is one of them), ``figure`` (the same of a number), ``version`` (the same of a version),
            ``paths`` (dotted path to expected value), ``answer`` (either), ``tree`` (a mapping of these, or one), ``probes`` (steps),
            ``capture`` (name to dotted path).
        help: one line for people.
        required: whether a value makes no sense without it.
        choices: values allowed; empty for any.
        default: what it is where it is left out, if that can be said by a value.
        keys: of a mapping, the keys that it may have; None where keys are free names.
        items: what each item of a list is, or each value of a mapping whose keys are free names.
        by: of a mapping, the key whose value says which of ``variants`` it is: these bring keys of their own.
        variants: by value of ``by``, more keys.
        expected: words for what it must be, where the kind alone says too little: ``a list of commands``.
        minimum: of a number.
        label: of a list of mappings, the key by whose value an item is called besides its place.
        secret: whether its value must not be shown.
        example: how it may look, for a message that it is missing.
    """

    kind: str
    help: str
    required: bool = False
    choices: tuple[Any, ...] = ()
    default: Any = None
    keys: Mapping[str, Option] | None = None
    items: Option | None = None
    by: str = ""
    variants: Mapping[str, Mapping[str, Option]] = field(default_factory=dict)
    expected: str = ""
    minimum: float | None = None
    label: str = ""
    secret: bool = False
    example: str = ""


EXPECTED = {
    "str": "a text",
    "text": "a text",
    "int": "a whole number",
    "number": "a number",
    "port": "a port (1 to 65535)",
    "bool": "true or false",
    "list": "a list",
    "dict": "a mapping",
    "any": "anything",
}


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?``, or the whole choice where nothing is close and it is short."""
    choice = sorted(str(item) for item in known)
    close = get_close_matches(str(name), choice, n=1, cutoff=0.5)
    if close:
        return f"; did you mean '{close[0]}'?"
    if not choice:
        return ""
    return f"; known: {', '.join(choice)}" if len(choice) <= 30 else "; docs/reference.md has them all"


def _number(value: Any, whole: bool) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return int(value) if whole and isinstance(value, str) else float(value)
    except ValueError:
        return None


def is_kind(kind: str, value: Any) -> bool:
    """Whether a value is of a kind. Numbers may come as texts: a template has given them, or the command line."""
    if kind == "str":
        return isinstance(value, str)
    if kind == "text":
        return isinstance(value, (str, int)) and not isinstance(value, bool)
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "list":
        return isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    if kind == "dict":
        return isinstance(value, Mapping)
    if kind == "port":
        return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536
    if kind in ("int", "number"):
        number = _number(value, kind == "int")
        return number is not None and (kind == "number" or number == int(number))
    return True


def expected_of(option: Option) -> str:
    """What a value must be, in words."""
    return option.expected or " or ".join(EXPECTED.get(kind, kind) for kind in option.kind.split("|"))


def _wrong(where: str, value: Any, option: Option) -> str:
    """That a value is of the wrong kind: what it must be, and what it is."""
    must = expected_of(option)
    if value is None:
        return f"{where}: is empty; it must be {must}" + ("" if option.required else ", or be left out")
    shown = what(value, option.secret)
    # what stands there without quotes, YAML has made something else of; where more is expected than a text, quotes alone do not help
    if {"str", "text"} & {*option.kind.split("|")} and isinstance(value, (bool, int, float)) and not option.expected:
        return f"{where}: must be {must}, is {shown} to YAML; quote it"
    return f"{where}: must be {must}, is {shown}"


def what(value: Any, secret: bool = False) -> str:
    """What a value is, for people: the value itself where it is short and no secret."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return "a number" if secret else str(value)
    if isinstance(value, str):
        return "a text" if secret or len(value) > 40 or "://" in value else f"the text {str(value)!r}"
    return "a date" if isinstance(value, date) else type(value).__name__


def examine(where: str, value: Any, option: Option) -> tuple[Any, list[str]]:
    """Check a value; what is left of it without what is wrong, and the faults, one line each.

    What is left has the kinds that the table says, so that code which looks further need not ask. It is None where nothing is left.
    """
    kinds = option.kind.split("|")
    if option.choices and isinstance(value, (str, int, float)) and value not in option.choices:
        return None, [f"{where}: '{value}' is not one of {', '.join(str(choice) for choice in option.choices)}{_close(value, option)}"]
    fitting = next((kind for kind in kinds if is_kind(kind, value)), None)
    if fitting is None:
        return None, [_wrong(where, value, option)]
    if fitting in ("int", "number") and option.minimum is not None and float(value) < option.minimum:
        return None, [f"{where}: must be {expected_of(option)} from {option.minimum:g} on, is {value}"]
    if isinstance(value, Mapping):
        return _mapping(where, value, option)
    if fitting == "list" and option.items is not None:
        return _sequence(where, value, option.items, option.label)
    return value, []


def _close(value: Any, option: Option) -> str:
    close = get_close_matches(str(value), [str(choice) for choice in option.choices], n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""


def _sequence(where: str, value: Sequence[Any], item: Option, label: str) -> tuple[list[Any], list[str]]:
    left, problems = [], []
    for index, one in enumerate(value):
        called = f" ({one[label]})" if label and isinstance(one, Mapping) and isinstance(one.get(label), str) else ""
        kept, found = examine(f"{where}[{index}]{called}", one, item)
        problems += found
        if kept is not None:
            left.append(kept)
    return left, problems


def _mapping(where: str, value: Mapping[str, object], option: Option) -> tuple[dict[str, object] | None, list[str]]:
    left: dict[str, Any] = {}
    problems: list[str] = []
    if option.keys is None and not option.by:
        for name, one in value.items():
            kept, found = examine(f"{where}.{name}", one, option.items) if option.items else (one, [])
            problems += found
            if kept is not None or not found:
                left[name] = kept
        return _rest(left, problems)
    known: dict[str, Option] = dict(option.keys or {})
    which = ""
    if option.by:
        which = str(value.get(option.by))
        if which not in option.variants:
            said = f"'{which}' is unknown" if value.get(option.by) is not None else "is missing"
            return None, [f"{where}.{option.by}: {said}; there are {', '.join(sorted(option.variants))}"]
        known.update(option.variants[which])
    for key, one in value.items():
        if key not in known:
            problems.append(f"{where}: unknown key '{key}'{f' for a {which}' if which else ''}{_below(str(key), known)}")
            continue
        kept, found = examine(f"{where}.{key}", one, known[key])
        problems += found
        if kept is not None:
            left[key] = kept
    problems += [f"{where}: '{key}' is missing{_means(entry)}" for key, entry in known.items()
                 if entry.required and (key not in value or value[key] in ("", [], {}))]
    return _rest(left, problems)


def _rest(left: dict[str, object], problems: list[str]) -> tuple[dict[str, object] | None, list[str]]:
    """What is left of a mapping: one of which all was wrong is not one that says nothing, which would be told besides."""
    return left if left or not problems else None, problems


def _below(key: str, known: Mapping[str, Option]) -> str:
    """Where an unknown key belongs: below one of its neighbours, which is seen by its name, or else what resembles it."""
    homes = [name for name, entry in known.items() if key in (entry.keys or {})]
    return f"; it stands below {' or '.join(homes)}" if homes else nearest(key, known)


def _means(option: Option) -> str:
    return f": {option.help}" if option.help else ""


def problems(where: str, value: Any, option: Option) -> list[str]:
    """All that is wrong with a value, one line each, with the path that begins with ``where``."""
    return examine(where, value, option)[1]
