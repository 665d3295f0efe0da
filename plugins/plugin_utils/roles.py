# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What roles take, read from their files: variables by their argument specs, ``options`` of a component by what they look for in them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option, nearest, problems
from ansible_collections.phasegate.aistack.plugins.module_utils.stack.description import OF_RUNS, ROLE_KINDS, VARIABLES

ROLES = Path(__file__).resolve().parents[2] / "roles"
OF_RELEASES = ("migrate", "release", "toolchain")
"""Roles that those of released components include."""

GIVEN = frozenset({"aistack_phase", "aistack_verb"})
"""Of the variables that playbooks set, those that may come from elsewhere."""

NOBODYS = "nothing reads it"

_OWN = re.compile(rf"^\w+: ({NOBODYS}|\S+ knows no such variable)")
"""Lines about a variable that may be somebody's own; of keys, which have a path, nobody else has any."""
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_OPTION = re.compile(r"\.options\b(?:\.get\(\s*['\"](?P<got>\w+)|\.(?!get\()(?P<attribute>\w+)|\[\s*['\"](?P<item>\w+))?")
_KINDS = {"bool": "bool", "dict": "dict", "float": "number", "int": "int", "list": "list", "path": "str", "str": "text"}


@dataclass(frozen=True)
class Role:
    """What a role takes.

    Attributes:
        name: without its collection; its variables begin with it.
        variables: name to its argument spec, of all entry points; empty where the role declares none.
        options: names that it looks for in a component's ``options``; None where it takes them as a whole.
    """

    name: str
    variables: Mapping[str, Mapping[str, Any]]
    options: frozenset[str] | None


def names() -> list[str]:
    """The roles of this collection."""
    return sorted(path.name for path in ROLES.iterdir() if path.is_dir())


@cache
def read(directory: Path) -> Role:
    """Read the files of a role."""
    specs = directory / "meta" / "argument_specs.yml"
    given = yaml.load(specs.read_bytes(), Loader=_LOADER) if specs.is_file() else {}
    variables: dict[str, Any] = {}
    for entry in ((given or {}).get("argument_specs") or {}).values():
        variables.update(entry.get("options") or {})
    text = "".join(path.read_text(encoding="utf-8", errors="replace") for folder in ("defaults", "tasks", "templates", "vars")
                   for path in sorted((directory / folder).rglob("*")) if path.is_file())
    looked = [match.group("got") or match.group("attribute") or match.group("item") for match in _OPTION.finditer(text)]
    return Role(directory.name, variables, None if None in looked else frozenset(looked))


def option_problems(components: Mapping[str, Any], directories: Mapping[str, Path | None]) -> list[str]:
    """Faults of the ``options`` of components: names that their role does not look for, values of another type than it declares.

    ``directories`` says by role as a component names it where its files are; None where nobody knows.
    """
    found: list[str] = []
    for name, component in components.items():
        options = component.get("options") if isinstance(component, Mapping) else None
        directory = directories.get(str(component.get("role"))) if isinstance(options, Mapping) else None
        if directory is None:
            continue
        role = read(directory)
        for key, value in (options or {}).items():
            where = f"aistack_components.{name}.options"
            if role.options is not None and key not in role.options:
                hint = nearest(str(key), role.options) if role.options else "; it has none"
                found.append(f"{where}: role {role.name} knows no option '{key}'{hint}")
            else:
                found += problems(f"{where}.{key}", value, _option(role.variables.get(f"{role.name}_{key}", {})))
    return found


def _option(spec: Mapping[str, Any]) -> Option:
    """What an argument spec says of a value. Words of a list may be numbers, of which Ansible makes texts."""
    kind, elements = (_KINDS.get(str(spec.get(key, "raw")), "any") for key in ("type", "elements"))
    items = Option("text|number" if elements == "text" else elements, "")
    return Option(kind, "", choices=tuple(spec.get("choices") or ()), items=items if kind == "list" else None)


def variable_problems(given: Iterable[str], inventory: Collection[str], own: Collection[str], components: Mapping[str, Any],
                      directories: Mapping[str, Path | None]) -> list[str]:
    """Variables that begin like those of the collection, or like those of a role that the stack uses, and that nothing reads.

    Args:
        given: names of all variables of the inventory and of the command line.
        inventory: those of the inventory.
        own: names that the operator calls own ones (``aistack_extra_vars``).
        components: as in ``aistack_components``.
        directories: as for :func:`option_problems`.
    """
    used = {str(component.get("role")) for component in components.values() if isinstance(component, Mapping)}
    roles = [read(directory) for directory in {directories.get(role) for role in used} if directory is not None]
    if any(role.name in ROLE_KINDS for role in roles):
        roles += [read(ROLES / name) for name in OF_RELEASES]
    by_prefix = {f"{role.name}_": role.variables for role in roles if role.variables}
    everywhere = {variable for role in roles for variable in role.variables}
    found: list[str] = []
    for name in sorted(set(map(str, given)) - set(own)):
        if name.startswith("aistack_"):
            if name in VARIABLES or name in everywhere - OF_RUNS or name in GIVEN or (name in OF_RUNS and name not in inventory):
                continue
            said = "is set by playbooks" if name in OF_RUNS else NOBODYS
            found.append(f"{name}: {said}{_like(name, VARIABLES, 'aistack_')}")
            continue
        prefix = next((prefix for prefix in by_prefix if name.startswith(prefix)), None)
        if prefix is not None and name not in everywhere:
            found.append(f"{name}: {NOBODYS}, role {prefix[:-1]} has no such variable{_like(name, by_prefix[prefix], prefix)}")
    return found


def _like(name: str, known: Iterable[str], prefix: str) -> str:
    """The nearest name, compared without what all of them begin with."""
    close = get_close_matches(name[len(prefix) :], [one[len(prefix) :] for one in known if one.startswith(prefix)], n=1)
    return f"; did you mean '{prefix}{close[0]}'?" if close else ""


def hint(problems: Iterable[str]) -> str:
    """A last line for a page of problems, where variables are among them that may be somebody's own."""
    return "\nVariables of your own are named in aistack_extra_vars: [name, …]." if any(_OWN.search(line) for line in problems) else ""
