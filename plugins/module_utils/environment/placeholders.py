# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Made-up variables of an environment's schema: enough for a release's code to be loaded, and no secret among them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.environment.schema import as_text

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
ADDRESSES = {
    "redis": "redis://localhost:6379/0",
    "rediss": "rediss://localhost:6379/0",
    "amqp": "amqp://localhost:5672//",
    "amqps": "amqps://localhost:5671//",
    "mongodb": "mongodb://localhost:27017/planned",
    "mysql": "mysql://planned:planned@localhost:3306/planned",
    "nats": "nats://localhost:4222",
    "sqlite": "sqlite://",
}
"""By scheme, what is no address of PostgreSQL: an application chooses what it imports by the scheme."""
NAMED = (
    ("REDIS", "redis"), ("VALKEY", "redis"), ("RABBIT", "amqp"), ("AMQP", "amqp"), ("MONGO", "mongodb"), ("MYSQL", "mysql"),
    ("NATS", "nats"), ("CELERY_RESULT_BACKEND", "redis"), ("BROKER", "redis"), ("CACHE", "redis"), ("QUEUE", "redis"),
)
"""Parts of a variable's name, and the scheme that it has where nothing else says one; the first that is in it counts."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
SHOWN = 6
"""Names in a sentence, where the error names none of them."""
LENGTH = 8
LONGEST = 128
"""Characters of a text where its schema says nothing, and at most where it has a pattern to fit."""


def _given(entry: Mapping[str, Any]) -> Any:
    """What the schema itself says; None where a value has to be made up. Secrets never get their default."""
    default = None if entry.get("secret") else entry.get("default")
    return (entry.get("choices") or [None])[0] if default is None else default


def scheme(entry: Mapping[str, object]) -> str:
    """The scheme of an address: of the real value where it is known, of its default (a secret's, too), its pattern, its name."""
    if entry.get("scheme"):
        return str(entry["scheme"])
    for said in (entry.get("default"), re.sub(r".\?", "", str(entry.get("pattern") or "").replace("\\", "").lstrip("^("))):
        found = scheme_of(said)
        if found:
            return found
    name = str(entry.get("name") or "").upper()
    return next((scheme for part, scheme in NAMED if part in name), "") if entry.get("type") == "dsn" else ""


def _address(entry: Mapping[str, object]) -> str | None:
    """A made-up address with the right scheme, and nothing else of what is real; None where the type's own will do."""
    named = scheme(entry)
    if not named:
        return None
    if entry["type"] == "url":
        return f"{named}://localhost"
    known = ADDRESSES.get(named.partition("+")[0])
    made = BY_TYPE["dsn"] if known is None else known
    return named + made[made.index(":") :]


def _made(entry: Mapping[str, Any]) -> str:
    least = int(entry.get("min_length") or 0)
    address = _address(entry) if entry.get("type") in ("dsn", "url") else None
    if address is not None:
        return address if len(address) >= least else f"{address}/".ljust(least, "x")
    known = BY_TYPE.get(str(entry.get("type", "str")))
    if known is not None:
        return f"{known}/".ljust(least, "x") if len(known) < least and entry.get("type") in ("url", "path") else known
    text = "x" * max(LENGTH, least)
    pattern = entry.get("pattern")
    if pattern is None or re.search(str(pattern), text):
        return text
    fitting = (sign * length for sign in "xX0" for length in range(max(1, least), LONGEST + 1))
    return next((tried for tried in fitting if re.search(str(pattern), tried)), text)


def scheme_of(value: Any) -> str:
    """The scheme of an address, in small letters; empty where it has none."""
    found = _SCHEME.match(value) if isinstance(value, str) else None
    return found[1].lower() if found else ""


def with_schemes(schema: Sequence[Mapping[str, object]], values: Mapping[str, object]) -> list[dict[str, object]]:
    """The entries of *schema*, those of addresses with the C(scheme) of their real value: all of it that may be known elsewhere."""
    found = []
    for entry in schema:
        real = scheme_of(values.get(str(entry.get("name")))) if entry.get("type") in ("dsn", "url") else ""
        found.append({**entry, "scheme": real} if real else {**entry})
    return found


def placeholder_env(schema: Sequence[Mapping[str, object]]) -> dict[str, str]:
    """A value for each variable of ``schema``: its default, its first choice, or one of its type. Secrets never get their default.

    An entry may have a ``scheme``, see :func:`with_schemes`.
    """
    return {str(entry["name"]): _made(entry) if _given(entry) is None else as_text(_given(entry)) for entry in schema}


def made_up(schema: Sequence[Mapping[str, object]]) -> list[str]:
    """The variables whose value is neither a default nor a choice."""
    return [str(entry["name"]) for entry in schema if _given(entry) is None]


def unsure(names: Sequence[str], error: str, place: str, what: str) -> str:
    """Why *what* is not known: made-up values for *names*, with the whole *error*, and what to do. No refusal."""
    said = re.sub(r"\*+\[\w+\]", "", error)  # a masked value is called by its variable, which need not be what is wrong
    told = [name for name in names if re.search(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", said, re.IGNORECASE)]
    shown = told or names[:SHOWN]
    others = len(names) - len(shown)
    listed = ", ".join(shown) + (f" and {others} more" if others else "")
    return (
        f"With made-up values for {listed} the code of the release stops{f' at {place}' if place else ''}, so that {what} is not known"
        f" here: {error.rstrip('. ')}. The deployment is not refused for that: there it gets the real values, and is refused only where it"
        " stops with these as well. To see the plan, give"
        f" {told[0] if len(told) == 1 else 'what it does not take'} a fitting type (email, url, dsn, number, json …), a pattern"
        " (^redis:// for an address of Redis), or a default in the schema of the component's environment (aistack_env); of a secret's"
        " default only the scheme of an address counts."
    )
