# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One canonical form of a probe behind the short one of the inventory, and all that can be wrong with it.

Nothing here does I/O, so a whole inventory can be judged on the controller before any node is contacted. What a type
allows is declared by its class (:mod:`..probes`); :func:`normalise` looks it up there, :func:`normalise_with` takes it
as an argument.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core import expect
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import did_you_mean
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option, what
from ansible_collections.phasegate.aistack.plugins.module_utils.core.substitute import names_in

FILLED_IN = ("component", "config_path", "port", "release", "release_path", "slot", "unit")
"""What ``${name}`` may stand for."""
SEVERITIES = ("critical", "warning")

_URL_PASSWORD = re.compile(r"://[^/\s@:]*:[^/\s@]+@")
_SECRET_NAME = re.compile(r"(^|[_-])(password|passwd|secret|token|apikey|api[_-]key|secret[_-]key|access[_-]key)\Z", re.IGNORECASE)
_SECRET_HEADERS = ("authorization", "cookie", "proxy-authorization", "x-api-key", "x-auth-token")


class ProbeError(ValueError):
    """A probe that cannot be used; ``problems`` has one line for each fault."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


@dataclass(frozen=True)
class TypeSpec:
    """What a type of probe allows: its ``target`` (the value behind the type's key), its options, a last check."""

    target: Option | None
    options: Mapping[str, Option] = field(default_factory=dict)
    check: Callable[[Mapping[str, Any]], list[str]] = lambda _probe: []


COMMON: Mapping[str, Option] = {
    "name": Option("str", "what the probe is called in reports"),
    "type": Option("str", "type of the probe; the short form has the type as a key"),
    "component": Option("str", "filled in: the component whose gate this is"),
    "severity": Option("str", "critical, or warning, which never fails a gate", choices=SEVERITIES),
    "timeout": Option("number", "seconds for one attempt"),
    "from": Option("str", "inventory group or host that asks, instead of the component's own"),
    "from_all": Option("bool", "ask from every host of `from`, not from the first alone"),
    "hosts": Option("any", "filled in: group or hosts that the probe runs on"),
    "log_unit": Option("str", "unit whose log is shown when the probe fails"),
}


def normalise_with(types: Mapping[str, TypeSpec], probe: Mapping[str, object], component: str | None) -> dict[str, object]:
    """As :func:`normalise`, for a table of types."""
    canonical, problems = _canonical(types, probe, component, step=False)
    if not problems:
        problems = _secret_problems(probe) + _name_problems(canonical, types)
    if problems:
        raise ProbeError(problems)
    return canonical


def _canonical(
    types: Mapping[str, TypeSpec], probe: Any, component: str | None, step: bool
) -> tuple[dict[str, object], list[str]]:
    if not isinstance(probe, Mapping):
        return {}, [f"a probe is a mapping, this is {what(probe, secret=True)}"]
    given = {str(key): value for key, value in probe.items() if value is not None or key in types}
    kind, problems = _type_of(types, given)
    if kind is None:
        return {}, problems
    spec = types[kind]
    canonical: dict[str, Any] = {"name": given.pop("name", None), "type": kind}
    given.pop("type", None)
    if "target" not in given and kind in given:
        value = given.pop(kind)
        if isinstance(value, Mapping) and (spec.target is None or spec.target.kind not in ("dict", "any")):
            twice = sorted(set(value) & set(given))
            problems += [f"'{key}' is given twice, inside '{kind}' and beside it" for key in twice]
            given = {**given, **{str(key): item for key, item in value.items()}}
        elif value is not None and value is not True:
            given["target"] = value
    allowed = {**COMMON, **spec.options}
    if spec.target is not None:
        allowed["target"] = spec.target
    if step:
        allowed.update({"until": Option("bool", ""), "within": Option("number", ""), "every": Option("number", "")})
    for key, value in given.items():
        if key not in allowed:
            hint = did_you_mean(key, [*allowed, *types] if not step else allowed)
            known = f"; '{kind}' knows: {', '.join(sorted(spec.options))}" if not hint else ""
            problems.append(f"unknown key '{key}'{hint}{known}")
            continue
        value, found = _value(types, allowed[key], value, component)
        problems += [f"{kind if key == 'target' else key}: {line}" for line in found]
        canonical[key] = value
    if spec.target is not None and spec.target.required and "target" not in canonical:
        problems.append(f"'{kind}' needs a value: {spec.target.help}")
    problems += [
        f"'{key}' is missing: {option.help}" for key, option in spec.options.items() if option.required and key not in canonical
    ]
    if not canonical["name"]:
        if not step:
            problems.append("'name' is missing: what the probe is called in reports")
        canonical["name"] = kind
    canonical.setdefault("severity", "critical")
    if component is not None:
        canonical["component"] = component
    if not problems:
        problems += spec.check(canonical)
    return canonical, problems


def _type_of(types: Mapping[str, TypeSpec], given: Mapping[str, object]) -> tuple[str | None, list[str]]:
    if "type" in given:
        kind = str(given["type"])
        if kind in types:
            return kind, []
        return None, [f"unknown type '{kind}'{did_you_mean(kind, types)}; known: {', '.join(sorted(types))}"]
    candidates = [key for key in given if key in types]
    if len(candidates) > 1:  # `redis: …, command: [PING]`: `command` is an option of redis, redis is none of command
        candidates = [
            key for key in candidates if all(other in types[key].options for other in candidates if other != key)
        ] or candidates
    if len(candidates) == 1:
        return candidates[0], []
    if candidates:
        return None, [f"more than one type: {', '.join(candidates)}; keep one"]
    odd = [key for key in given if key not in COMMON]
    hints = [f"'{key}'{hint}" for key in odd for hint in [did_you_mean(key, types, cutoff=0.5)] if hint]
    said = f": {', '.join(hints)}" if hints else f"; give one of: {', '.join(sorted(types))}"
    return None, [f"no type{said}"]


def _value(types: Mapping[str, TypeSpec], option: Option, value: Any, component: str | None) -> tuple[Any, list[str]]:
    """The value in the option's own type, and what is wrong with it."""
    if isinstance(value, str) and names_in(value) and option.kind not in ("probes", "capture"):
        return value, []  # only the node knows what comes of it
    if option.choices and value not in option.choices:
        return value, [f"{value!r} is not one of {', '.join(str(choice) for choice in option.choices)}"]
    if option.kind == "probes":
        return _steps(types, value, component)
    judge = _KINDS.get(option.kind)
    return judge(value) if judge else (value, [])


def _steps(types: Mapping[str, TypeSpec], value: Any, component: str | None) -> tuple[Any, list[str]]:
    if isinstance(value, (str, Mapping)) or not isinstance(value, Sequence) or not value:
        return value, ["must be a list of probes"]
    steps: list[dict[str, Any]] = []
    problems: list[str] = []
    for index, item in enumerate(value):
        step, found = _canonical(types, item, component, step=True)
        if step.get("type") == "sequence":
            found.append("a sequence inside a sequence; write its steps here")
        problems += [f"step {index + 1}: {line}" for line in found]
        steps.append(step)
    return steps, problems


def _text(value: Any) -> tuple[Any, list[str]]:
    if isinstance(value, (Mapping, list, tuple, bool)):
        return value, [f"must be a text, is {what(value, secret=True)}"]
    return str(value), []


def _number(value: Any, whole: bool = False) -> tuple[Any, list[str]]:
    kind = int if whole else float
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return value, [f"must be a number, is {what(value, secret=True)}"]
    try:
        number = kind(value)
    except ValueError:
        return value, [f"{value!r} is not a{' whole' if whole else ''} number"]
    if whole and isinstance(value, float) and value != number:
        return value, [f"{value!r} is not a whole number"]
    return (number, []) if number >= 0 else (value, [f"{value!r} is negative"])


def _bool(value: Any) -> tuple[Any, list[str]]:
    return (value, []) if isinstance(value, bool) else (value, [f"must be true or false, is {value!r}"])


def _list(value: Any) -> tuple[Any, list[str]]:
    if isinstance(value, (Mapping, str)) or not isinstance(value, Sequence):
        return value, [f"must be a list, is {what(value, secret=True)}"]
    wrong = [f"item {index} must be a text" for index, item in enumerate(value) if isinstance(item, (Mapping, list, bool))]
    return [item if isinstance(item, bool) else str(item) for item in value], wrong


def _dict(value: Any) -> tuple[Any, list[str]]:
    return (dict(value), []) if isinstance(value, Mapping) else (value, [f"must be a mapping, is {what(value, secret=True)}"])


def _paths(value: Any) -> tuple[Any, list[str]]:
    if not isinstance(value, Mapping) or not value:
        return value, ["must be a mapping of names to expected values"]
    return dict(value), [f"{key}: {line}" for key, item in value.items() for line in expect.problems(item)]


def _answer(value: Any) -> tuple[Any, list[str]]:
    if isinstance(value, Mapping):
        return _paths(value) if value else (value, ["an empty mapping says nothing; name the fields, or leave it out"])
    if isinstance(value, str):
        return value, ["must be a mapping of names to expected values, or true, false, a number or a list; for a text use body"]
    return value, expect.problems(value)


def _version(value: Any) -> tuple[Any, list[str]]:
    value, wrong = expect.one_value(value)
    return value, wrong or expect.version_problems(value)


def _capture(value: Any) -> tuple[Any, list[str]]:
    if not isinstance(value, Mapping):
        return value, ["must be a mapping of names to dotted paths"]
    return dict(value), [f"'{name}' is a name that is filled in already" for name in value if name in FILLED_IN]


_KINDS: Mapping[str, Callable[[Any], tuple[Any, list[str]]]] = {
    "str": _text,
    "int": lambda value: _number(value, whole=True),
    "number": _number,
    "bool": _bool,
    "list": _list,
    "dict": _dict,
    "regex": lambda value: (value, expect.regex_problems(value)),
    "expect": lambda value: (value, expect.problems(value)),
    "scalar": expect.one_value,
    "figure": lambda value: expect.one_value(value, figure=True),
    "version": _version,
    "answer": _answer,
    "tree": lambda value: (value, expect.problems(value, tree=True)),
    "paths": _paths,
    "capture": _capture,
}


def _name_problems(canonical: Mapping[str, Any], types: Mapping[str, TypeSpec]) -> list[str]:
    """Names in ``${…}`` that nothing will ever stand for; a sequence may use what earlier steps captured."""
    known = set(FILLED_IN)
    if canonical["type"] != "sequence":
        parts: list[tuple[str, Any]] = [("", canonical)]
    else:
        rest = {key: value for key, value in canonical.items() if key != "target"}
        parts = [("", rest), *((f"step {index + 1}: ", step) for index, step in enumerate(canonical.get("target", [])))]
    problems: list[str] = []
    for where, part in parts:
        problems += [
            f"{where}${{{name}}} is not known{did_you_mean(name, known)}; known: {', '.join(sorted(known))}"
            for name in sorted(names_in(part) - known)
        ]
        known |= set(part.get("capture") or {})
    return problems


def _secret_problems(value: Any, key: str = "") -> list[str]:
    """Secrets that stand in a probe: they would end in output, logs and files of the controller."""
    if isinstance(value, str):
        if _URL_PASSWORD.search(value):
            return [f"{key or 'a text'}: holds a password inside an address; name a file on the node (password_file, env_file)"]
        return []
    if isinstance(value, Mapping):
        found: list[str] = []
        for name, item in value.items():
            if isinstance(item, (str, int)) and not isinstance(item, bool) and str(name).lower() in _SECRET_HEADERS:
                found.append(f"{name}: a secret must not stand in a probe; use secret_file, or username and password_file")
            elif isinstance(item, (str, int)) and not isinstance(item, bool) and _SECRET_NAME.search(str(name)) and key != "json":
                found.append(f"{name}: a secret must not stand in a probe; name a file on the node instead")
            else:
                found += _secret_problems(item, str(name))
        return found
    if isinstance(value, (list, tuple)):
        return [line for item in value for line in _secret_problems(item, key)]
    return []
