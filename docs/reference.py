# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prints docs/reference.md from the tables that inventories are checked by: every key, every option of every type of probe."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "reference.md"
sys.path.insert(0, str(ROOT / ".collections"))  # before what is imported from there, so that those lines cannot stand on top

from ansible_collections.phasegate.aistack.plugins.module_utils.core.probe_spec import COMMON, FILLED_IN  # noqa: E402 - see path
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option  # noqa: E402 - see path
from ansible_collections.phasegate.aistack.plugins.module_utils.diagnosis.sections import SECTIONS  # noqa: E402 - see path
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.trigger import SOURCES  # noqa: E402 - see path
from ansible_collections.phasegate.aistack.plugins.module_utils.probes import REGISTRY  # noqa: E402 - see path
from ansible_collections.phasegate.aistack.plugins.module_utils.stack.description import ROLE_KINDS, VARIABLES  # noqa: E402 - see path
from ansible_collections.phasegate.aistack.plugins.plugin_utils import diagnoses, roles  # noqa: E402 - see path

TYPES = {
    "str": "text", "text": "text", "int": "whole number", "number": "number", "port": "port", "bool": "true or false", "list": "list",
    "dict": "mapping", "any": "anything", "regex": "pattern", "expect": "expected value", "scalar": "expected value, or a list of them",
    "figure": "expected number, or a list of them", "version": "expected version", "paths": "dotted paths and expected values",
    "answer": "dotted paths and expected values, or a bare value", "tree": "expected value, or dotted paths and these",
    "probes": "list of probes", "capture": "names and dotted paths",
}
HEAD = f"""# Reference

Every key of an inventory that describes a stack, and every option of every type of probe. Printed by `make reference` from the
tables that inventories are checked by (`plugins/module_utils/stack/description.py`, `plugins/module_utils/probes/`); do not edit.
What roles take besides: `ansible-doc -t role phasegate.aistack.postgres`. What verbs take with `-e`: [verbs.md](verbs.md).

A key that is not here is refused with the nearest one that is, and so is a variable that begins with `aistack_`, or with the name of a
role that the stack uses, and that nothing reads; variables of your own that begin so are named in `aistack_extra_vars`. **Bold** keys have
to be there.

Expected values: a value means equal; a mapping is an operator: `{{ge: 1}}`, `{{gt:}}`, `{{le:}}`, `{{lt:}}`, `{{ne:}}`,
`{{matches: regex}}`, `{{contains: x}}`, `{{in: [..]}}`, `{{exists: true}}`, `{{length: {{ge: 1}}}}`.
Where one value is judged, a list means one of these.
`${{name}}` is filled in on the node: {", ".join(f"`{name}`" for name in FILLED_IN)}.
"""


def cell(text: str) -> str:
    """A text as a cell of a table."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def shown(value: Any) -> str:
    """A default as it would stand in an inventory."""
    text = value if isinstance(value, str) else json.dumps(value).replace('"', "")
    return f"`{text}`"


def row(name: str, option: Option, place: str) -> str:
    """One key."""
    kind = " or ".join(TYPES[kind] for kind in option.kind.split("|"))
    nested = option.items or option
    help = cell(option.help[:1].upper() + option.help[1:])
    if option.choices:
        help += f"; one of {', '.join(f'`{choice}`' for choice in option.choices)}"
    if option.minimum:
        help += f"; {option.minimum:g} at least"
    if nested.keys is not None or nested.variants:
        help += f"; see `{place}`"
    key = f"**`{name}`**" if option.required else f"`{name}`"
    return f"| {key} | {cell(kind)} | {'' if option.default is None else shown(option.default)} | {help} |"


def place_of(path: str, name: str, option: Option) -> str:
    """The path of what a key holds: of each entry, where its keys are free names, and of each item of a list."""
    whole = f"{path}.{name}" if path else name
    if option.items is None:
        return whole
    return f"{whole}[]" if option.kind.startswith("list") or option.kind.endswith("|list") else f"{whole}.<name>"


def table(keys: Mapping[str, Option], path: str) -> list[str]:
    """A table of keys."""
    rows = [row(name, option, place_of(path, name, option)) for name, option in keys.items()]
    return ["| key | type | default | meaning |", "| --- | --- | --- | --- |", *rows, ""]


def sections(keys: Mapping[str, Option], path: str, seen: dict[int, str]) -> list[str]:
    """A section for each mapping below these keys that has keys of its own."""
    lines: list[str] = []
    for name, option in keys.items():
        nested, place = option.items or option, place_of(path, name, option)
        if nested.keys is None and not nested.variants:
            continue
        same = seen.get(id(nested.keys))
        lines += [f"## `{place}`", "", f"{option.help[:1].upper()}{option.help[1:]}.", ""]
        if same:
            lines += [f"As `{same}`.", ""]
            continue
        seen[id(nested.keys)] = place
        if nested.keys:
            lines += table(nested.keys, place)
        for kind, more in nested.variants.items():
            lines += [f"Of the {nested.by} `{kind}` besides:", "", *table(more, place)]
            lines += sections({key: value for key, value in more.items() if id(value.keys) not in seen}, place, seen)
        lines += sections(nested.keys or {}, place, seen)
    return lines


def option_rows(name: str) -> list[str]:
    """What a role looks for in C(options) of its component."""
    role = roles.read(roles.ROLES / name)
    kinds = f"Role `{name}` runs releases of the kind {' or '.join(ROLE_KINDS[name])}."
    rows = []
    for key in sorted(role.options or ()):
        spec = role.variables.get(f"{name}_{key}", {})
        default = "" if spec.get("default") is None else shown(spec["default"])
        rows.append(f"| `{key}` | {spec.get('type', 'raw')} | {default} | {cell(str(spec.get('description', '')).strip())} |")
    if not rows:
        return [kinds, ""]
    return [kinds, "", "| key | type | default | meaning |", "| --- | --- | --- | --- |", *rows, ""]


def with_target(target: Option | None, name: str, options: Mapping[str, Option]) -> list[str]:
    """A table of options, with the value behind the type's own key first."""
    given = {} if target is None else {name: target}
    return table({**given, **options}, "") if given or options else []


def page() -> str:
    """The whole page."""
    lines = [HEAD, "## Variables", "", *table(VARIABLES, ""), *sections(VARIABLES, "", {})]
    lines += ["## `aistack_components.<name>.options`", "", "What it may hold is its role's matter.", ""]
    for name in sorted(ROLE_KINDS):
        lines += option_rows(name)
    lines += ["## Probes", "", "In a gate, in `aistack_acceptance`, `aistack_verify` and `aistack_drain`; of every type:", ""]
    lines += table(COMMON, "")
    for name, probe in REGISTRY.items():
        said = (sys.modules[probe.__module__].__doc__ or "").strip().splitlines()[0]
        lines += [f"### `{name}`", "", said, "", *with_target(probe.target, name, probe.options)]
    lines += ["## Triggers", "", "Of `aistack_triggers`; each has a `name`, a `source`, and what its source knows.", ""]
    for name, spec in SOURCES.items():
        lines += [f"### source `{name}`", "", *with_target(spec.target, "target", spec.options)]
    return "\n".join([*lines, *diagnosis()]).rstrip() + "\n"


def diagnosis() -> list[str]:
    """What rules of a diagnosis look at, and those that come along."""
    said = ("What a rule of `aistack_diagnoses` may name in `each`, and of each such thing in `when`, `any`, `unless` and `${...}`. "
            "`components` have a log besides.")
    lines = ["## Diagnosis", "", said, ""]
    for name, fields in SECTIONS.items():
        lines += [f"### section `{name}`", "", "| field | meaning |", "| --- | --- |"]
        lines += [f"| `{field}` | {cell(help[:1].upper() + help[1:])} |" for field, help in fields.items()]
        lines.append("")
    lines += ["### Rules that come along", "", "| rule | cause | looks at | certainty |", "| --- | --- | --- | --- |"]
    known = diagnoses.come_along()
    return [*lines, *(f"| `{rule['name']}` | {cell(rule['title'])} | {rule['each']} | {rule['certainty']} |" for rule in known)]


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
