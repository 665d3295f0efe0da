# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Expected values: what an inventory may write where a probe compares something, and the comparison.

A scalar means equal, a list means equal item by item, a mapping is an operator: ``{ge: 1}``, ``{gt: 1}``, ``{le: 1}``,
``{lt: 1}``, ``{ne: x}``, ``{matches: regex}``, ``{contains: x}``, ``{in: [a, b]}``, ``{exists: true}``,
``{length: {ge: 1}}``. Several operators in one mapping all have to hold.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import did_you_mean
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import what
from ansible_collections.phasegate.aistack.plugins.module_utils.core.substitute import names_in

_ORDERED: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "ge": (">=", operator.ge),
    "gt": (">", operator.gt),
    "le": ("<=", operator.le),
    "lt": ("<", operator.lt),
}
OPERATORS = (*_ORDERED, "ne", "matches", "contains", "in", "exists", "length")
_WORDS = {"ne": "not", "matches": "matching", "contains": "containing", "in": "one of"}


_ELSEWHERE = {"gte": "ge", "lte": "le", "min": "ge", "max": "le", "regex": "matches", "neq": "ne"}
"""What other tools call the operators."""


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


MISSING = _Missing()
"""Stands for a value that is not there; not the same as None, which is a value."""


@dataclass(frozen=True)
class Mismatch:
    """One value that is not as expected. ``path`` is dotted and empty for the value as a whole."""

    path: str
    expected: Any
    got: Any

    @property
    def expected_text(self) -> str:
        """What was expected, for people."""
        return at(self.path, describe(self.expected))

    @property
    def got_text(self) -> str:
        """What came instead, for people."""
        return at(self.path, show(self.got))


def is_operator(expected: Any) -> bool:
    """Whether a value is a mapping of operators."""
    return isinstance(expected, Mapping) and bool(expected) and all(key in OPERATORS for key in expected)


def problems(expected: Any, tree: bool = False) -> list[str]:
    """What is wrong with an expected value, one line each.

    Args:
        expected: the value as the inventory gives it.
        tree: whether a mapping of dotted paths may stand instead of an operator.
    """
    if isinstance(expected, Mapping):
        if not expected:
            return ["an empty mapping says nothing"]
        known = [key for key in expected if key in OPERATORS]
        if not known and tree:
            return [f"{key}: {line}" for key, item in expected.items() for line in problems(item)]
        unknown = [key for key in expected if key not in OPERATORS]
        if unknown:
            return [f"unknown operator '{key}'{_meant(str(key))}; known: {', '.join(OPERATORS)}" for key in unknown]
        return [line for key, operand in expected.items() for line in _operand_problems(key, operand)]
    if isinstance(expected, (list, tuple)):
        return [f"{index}: {line}" for index, item in enumerate(expected) for line in problems(item, tree=True)]
    return []


def one_value(expected: Any, figure: bool = False) -> tuple[Any, list[str]]:
    """What is expected of a single value, in its canonical form, and what is wrong with it.

    A list means one of its items. With ``figure`` what comes is a number, and a number in quotes means the number.
    """
    if isinstance(expected, (list, tuple)):
        expected = {"in": list(expected)}
    wrong = problems(expected)
    if wrong or (isinstance(expected, Mapping) and expected.get("in") == []):
        return expected, wrong or ["an empty list says nothing"]
    if not figure:
        return expected, []
    if not isinstance(expected, Mapping):
        return _figure(expected)
    canonical: dict[str, Any] = {}
    for key, operand in expected.items():
        if key in _ORDERED or key == "ne":
            canonical[key], found = _figure(operand)
            wrong += found
        elif key == "in":
            read = [_figure(item) for item in operand]
            canonical[key] = [item for item, _found in read]
            wrong += [line for _item, found in read for line in found]
        else:
            canonical[key] = operand
    return canonical, wrong


def _figure(value: Any) -> tuple[Any, list[str]]:
    if isinstance(value, str) and names_in(value):
        return value, []  # only the node knows what comes of it
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d+(\.\d+)?\s*", value):
        return (float(value) if "." in value else int(value)), []
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value, [f"{repr(value) if isinstance(value, str) else show(value)} is no number"]
    return value, []


def version_problems(expected: Any) -> list[str]:
    """What is wrong with an expected version: a number that YAML has cut."""
    given = list(expected.values()) if isinstance(expected, Mapping) else [expected]
    flat = [item for one in given for item in (one if isinstance(one, list) else [one])]
    return [f"{item} is a number to YAML, and {item}0 would be the same one; quote it" for item in flat if isinstance(item, float)]


def _meant(key: str) -> str:
    if key in ("eq", "equals"):
        return " (a plain value means equal)"
    known = _ELSEWHERE.get(key)
    return f" (did you mean {known}?)" if known else did_you_mean(key, OPERATORS, cutoff=0.4)


def _operand_problems(key: str, operand: Any) -> list[str]:
    if key == "matches":
        return regex_problems(operand)
    if key == "in" and (isinstance(operand, str) or not isinstance(operand, Sequence)):
        return [f"in: must be a list, is {what(operand)}"]
    if key == "exists" and not isinstance(operand, bool):
        return [f"exists: must be true or false, is {show(operand)}"]
    if key == "length":
        return [f"length: {line}" for line in problems(operand)]
    if key in _ORDERED and (isinstance(operand, bool) or not isinstance(operand, (int, float, str))):
        return [f"{key}: must be a number or a text, is {what(operand)}"]
    return []


def regex_problems(pattern: Any) -> list[str]:
    """What is wrong with a regular expression."""
    if not isinstance(pattern, str):
        return [f"a pattern is a text, this is {what(pattern)}"]
    try:
        re.compile(pattern)
    except re.error as error:
        return [f"'{pattern}' is no regular expression: {error}"]
    return []


def get_path(data: Any, path: str) -> Any:
    """Follow a dotted path through mappings and lists (``nodes.0.name``); MISSING where it leads nowhere.

    A key that contains dots is found as it stands.
    """
    if path == "":
        return data
    if isinstance(data, Mapping):
        if path in data:
            return data[path]
        parts = path.split(".")
        for count in range(len(parts) - 1, 0, -1):
            head = ".".join(parts[:count])
            if head in data:
                return get_path(data[head], ".".join(parts[count:]))
        return MISSING
    if isinstance(data, (list, tuple)):
        head, _dot, rest = path.partition(".")
        if not re.fullmatch(r"-?\d+", head) or not -len(data) <= int(head) < len(data):
            return MISSING
        return get_path(data[int(head)], rest)
    return MISSING


def check(expected: Any, actual: Any, path: str = "", text: bool = False) -> list[Mismatch]:
    """Compare; an empty list means as expected.

    Args:
        expected: a scalar, a list, an operator, or a mapping of dotted paths to any of these.
        actual: what came, or MISSING.
        path: where the value was found, for the report.
        text: what came is text although it may mean a number (a cell of psql, a reply of Redis): it is read as the
            type of what is expected.
    """
    if is_operator(expected):
        held = all(_holds(key, operand, actual, text) for key, operand in expected.items())
        return [] if held else [Mismatch(path, expected, actual)]
    if isinstance(expected, Mapping):
        return check_all(expected, actual, path, text)
    if isinstance(expected, (list, tuple)) and isinstance(actual, (list, tuple)):
        if len(expected) != len(actual):
            return [Mismatch(path, expected, actual)]
        return [
            mismatch
            for index, (item, came) in enumerate(zip(expected, actual))
            for mismatch in check(item, came, f"{path}.{index}" if path else str(index), text)
        ]
    return [] if _equal(expected, actual, text) else [Mismatch(path, expected, actual)]


def check_all(rules: Mapping[str, object], actual: Any, path: str = "", text: bool = False) -> list[Mismatch]:
    """Compare by dotted paths, also where a path happens to be called like an operator. Arguments as :func:`check`."""
    found: list[Mismatch] = []
    for key, item in rules.items():
        found += check(item, get_path(actual, str(key)), f"{path}.{key}" if path else str(key), text)
    return found


def _equal(expected: Any, actual: Any, text: bool) -> bool:
    actual = _read_as(expected, actual) if text else actual
    if actual is MISSING or isinstance(expected, bool) != isinstance(actual, bool):
        return False
    return bool(expected == actual)


def _read_as(like: Any, actual: Any) -> Any:
    """Read a text as the type of ``like``; as it is where that does not work."""
    if not isinstance(actual, str) or isinstance(like, str) or like is None:
        return actual
    if isinstance(like, bool):
        return {"t": True, "true": True, "on": True, "yes": True, "f": False, "false": False, "off": False, "no": False}.get(
            actual.casefold(), actual
        )
    if isinstance(like, (int, float)):
        try:
            return float(actual) if isinstance(like, float) or not re.fullmatch(r"[+-]?\d+", actual.strip()) else int(actual)
        except ValueError:
            return actual
    return actual


def _holds(key: str, operand: Any, actual: Any, text: bool) -> bool:
    if key == "exists":
        return (actual is not MISSING) is operand
    if actual is MISSING:
        return False
    if key in _ORDERED:
        return _ordered(key, operand, _read_as(operand, actual) if text else actual)
    if key == "ne":
        return not _equal(operand, actual, text)
    if key == "matches":
        return re.search(operand, actual if isinstance(actual, str) else show(actual), re.MULTILINE) is not None
    if key == "contains":
        return _contains(operand, actual, text)
    if key == "in":
        return any(_equal(item, actual, text) for item in operand)
    try:
        size = len(actual)
    except TypeError:
        return False
    return not check(operand, size)


def _contains(operand: Any, actual: Any, text: bool) -> bool:
    if isinstance(actual, str):
        return str(operand) in actual
    if isinstance(actual, Mapping):
        return operand in actual
    if isinstance(actual, (list, tuple)):
        return any(not check(operand, item, text=text) for item in actual)
    return False


def _ordered(key: str, operand: Any, actual: Any) -> bool:
    numbers = (int, float)
    if isinstance(actual, bool) or isinstance(operand, bool):
        return False
    if (isinstance(actual, numbers) and isinstance(operand, numbers)) or (isinstance(actual, str) and isinstance(operand, str)):
        return bool(_ORDERED[key][1](actual, operand))
    return False


def version_tuple(version: str) -> tuple[int, ...]:
    """The numbers of a version, ``v3.11.2`` as ``(3, 11, 2)``."""
    return tuple(int(number) for number in re.findall(r"\d+", version.split("-", 1)[0].split("+", 1)[0]))


def check_version(expected: Any, actual: str, path: str = "version") -> list[Mismatch]:
    """Compare versions number by number; ``{ge: "3.9"}`` holds for 3.11, and ``3`` equals 3.0.0."""

    def padded(one: str, other: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        left, right = version_tuple(one), version_tuple(other)
        size = max(len(left), len(right))
        return left + (0,) * (size - len(left)), right + (0,) * (size - len(right))

    rules = expected if is_operator(expected) else {"eq": expected}
    for key, operand in rules.items():
        if key in _ORDERED or key in ("eq", "ne"):
            came, wanted = padded(actual, str(operand))
            held = _ORDERED[key][1](came, wanted) if key in _ORDERED else (came == wanted) is (key == "eq")
        else:
            held = _holds(key, operand, actual, False)
        if not held:
            return [Mismatch(path, expected, actual)]
    return []


def show(value: Any, limit: int = 200) -> str:
    """A value for people, on one line, cut at ``limit`` characters."""
    if value is MISSING:
        return "nothing"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        text = "{" + ", ".join(f"{key}: {show(item, limit)}" for key, item in value.items()) + "}"
    elif isinstance(value, (list, tuple)):
        text = "[" + ", ".join(show(item, limit) for item in value) + "]"
    else:
        text = str(value)
        text = "'" + text + "'" if text == "" or text != text.strip() else text
    text = " ".join(text.split()) if "\n" in text else text
    return text if len(text) <= limit else text[: limit - 1] + "…"


def describe(expected: Any) -> str:
    """An expected value for people."""
    if not is_operator(expected):
        return describe_all(expected) if isinstance(expected, Mapping) else show(expected)
    said: list[str] = []
    for key, operand in expected.items():
        if key in _ORDERED:
            said.append(f"{_ORDERED[key][0]} {show(operand)}")
        elif key == "exists":
            said.append("something" if operand else "nothing")
        elif key == "length":
            said.append(f"length {describe(operand)}")
        else:
            said.append(f"{_WORDS[key]} {show(operand)}")
    return " and ".join(said)


def describe_all(rules: Mapping[str, object]) -> str:
    """Expected values by dotted paths, for people."""
    return ", ".join(at(str(key), describe(item)) for key, item in rules.items())


def at(path: str, text: str) -> str:
    """A name and what is said about it, such as ``count = 1`` and ``count >= 1``."""
    if not path:
        return text
    return f"{path} {text}" if text.startswith((">", "<")) else f"{path} = {text}"
