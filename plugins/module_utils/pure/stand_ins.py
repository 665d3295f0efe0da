# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Made-up variables of an environment's schema: enough for a release's code to be loaded, and no secret among them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.pure.env_schema import as_text

BY_TYPE = {
    "int": "1",
    "number": "1.5",
    "bool": "true",
    "email": "nobody@example.com",
    "json": "{}",
    "url": "http://localhost",
    "dsn": "postgresql://planned:planned@localhost:5432/planned",
    "path": "/nonexistent",
    "port": "1",
}
SHOWN = 6
"""Names in a sentence, where the error names none of them."""
LENGTH = 8
LONGEST = 128
"""Characters of a text where its schema says nothing, and at most where it has a pattern to fit."""


def _given(entry: Mapping[str, Any]) -> Any:
    """What the schema itself says; None where a value has to be made up. Secrets never get their default."""
    default = None if entry.get("secret") else entry.get("default")
    return (entry.get("choices") or [None])[0] if default is None else default


def _made(entry: Mapping[str, Any]) -> str:
    least = int(entry.get("min_length") or 0)
    known = BY_TYPE.get(str(entry.get("type", "str")))
    if known is not None:
        return f"{known}/".ljust(least, "x") if len(known) < least and entry.get("type") in ("url", "path") else known
    text = "x" * max(LENGTH, least)
    pattern = entry.get("pattern")
    if pattern is None or re.search(str(pattern), text):
        return text
    fitting = (sign * length for sign in "xX0" for length in range(max(1, least), LONGEST + 1))
    return next((tried for tried in fitting if re.search(str(pattern), tried)), text)


def stand_ins(schema: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """A value for each variable of ``schema``: its default, its first choice, or one of its type. Secrets never get their default."""
    return {str(entry["name"]): _made(entry) if _given(entry) is None else as_text(_given(entry)) for entry in schema}


def made_up(schema: Sequence[Mapping[str, Any]]) -> list[str]:
    """The variables whose value is neither a default nor a choice."""
    return [str(entry["name"]) for entry in schema if _given(entry) is None]


def unsure(names: Sequence[str], error: str, place: str, what: str) -> str:
    """Why *what* is not known: made-up values for *names*, with the whole *error*, and what to do. No refusal."""
    told = [name for name in names if re.search(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", error, re.IGNORECASE)]
    shown = told or names[:SHOWN]
    others = len(names) - len(shown)
    listed = ", ".join(shown) + (f" and {others} more" if others else "")
    return (
        f"With made-up values for {listed} the code of the release stops{f' at {place}' if place else ''}, so that {what} is not known"
        f" here: {error.rstrip('. ')}. The deployment is not refused for that: there it gets the real values, and is refused only where it"
        " stops with these as well. To see the plan, give"
        f" {told[0] if len(told) == 1 else 'what it does not take'} a default or a fitting type (email, url, number, json …)"
        " in the schema of the component's environment (aistack_env)."
    )
