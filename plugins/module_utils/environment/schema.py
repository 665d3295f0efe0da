# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema of a component's environment: every problem at once, and never a secret's value.

A schema is a list of mappings: ``name``, ``type`` (str, int, number, bool, email, url, dsn, path, port, json, enum),
``required``, ``secret``, ``forbidden`` (values that must not stay), ``default``, ``pattern``,
``choices``, ``min_length``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import unquote, urlsplit

from ansible_collections.phasegate.aistack.plugins.module_utils.core.masking import is_secret
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import did_you_mean
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import ENCODED

NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*\Z")
TYPES = ("str", "int", "number", "bool", "email", "url", "dsn", "path", "port", "json", "enum")
EMAIL = re.compile(r"[^@\s<>,;\"]+@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+\Z")
ENTRY: Mapping[str, Option] = {
    "name": Option("str", "name of the variable", required=True),
    "type": Option("str", "what its value has to be", choices=TYPES, default="str"),
    "required": Option("bool", "whether it has to have a value", default=False),
    "secret": Option("bool", "whether its value must not be shown; what everybody knows is refused", default=False),
    "forbidden": Option("list", "values that it must not have, in any case", items=Option("any", "a value")),
    "default": Option("any", "its value where none is given"),
    "pattern": Option("str", "regular expression that its value has to match"),
    "choices": Option("list", "allowed values of the type enum", items=Option("text", "a value")),
    "min_length": Option("int", "least number of characters", minimum=0),
    "description": Option("str", "for people"),
}
"""What an entry of a schema may say."""

KEYS = tuple(ENTRY)
TRUE = ("true", "yes", "on", "1")
FALSE = ("false", "no", "off", "0")

ALWAYS_FORBIDDEN = (
    "changeme", "change_me", "change-me", "changethis", "password", "passwd", "secret", "minioadmin", "admin",
    "postgres", "guest", "example", "todo", "xxx", "123456", "letmein",
)
"""Values (any case) that no secret may have, in a URL's or DSN's password neither."""

MASK = "****"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with one variable."""

    name: str
    message: str

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


@dataclass
class Resolved:
    """Checked variables as text, in the order of the schema, and what is wrong."""

    values: dict[str, str] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)


def version_of(schema: Sequence[Mapping[str, object]]) -> str:
    """Return 12 hex digits that identify a schema."""
    text = json.dumps(list(schema), sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def described(environment: Any) -> tuple[list[Mapping[str, object]], Mapping[str, object]]:
    """Schema and values of an entry of ``aistack_env``. Without a schema every value is taken as it is; names that sound so are secret."""
    given = environment if isinstance(environment, Mapping) else {}
    values = given.get("values") or {}
    schema = given.get("schema")
    if schema is None:
        schema = [{"name": str(name), "secret": is_secret(str(name))} for name in values]
    return schema, values


def check_schema(schema: Sequence[Mapping[str, object]]) -> list[Problem]:
    """Check the schema itself."""
    problems: list[Problem] = []
    seen: set[str] = set()
    for position, entry in enumerate(schema):
        name = str(entry.get("name") or "")
        label = name or f"schema entry {position + 1}"
        if not NAME.fullmatch(name):
            problems.append(Problem(label, f"is not a name of an environment variable; expected {NAME.pattern}"))
        if name in seen:
            problems.append(Problem(label, "stands twice in the schema"))
        seen.add(name)
        problems += [
            Problem(label, f"the schema has an unknown key {key}{did_you_mean(str(key), KEYS)}; allowed: {', '.join(KEYS)}")
            for key in entry
            if key not in KEYS
        ]
        kind = entry.get("type", "str")
        if kind not in TYPES:
            problems.append(Problem(label, f"has the unknown type {kind}{did_you_mean(str(kind), TYPES)}; allowed: {', '.join(TYPES)}"))
        if kind == "enum" and not entry.get("choices"):
            problems.append(Problem(label, "is an enum and needs choices"))
        if entry.get("pattern") is not None:
            try:
                re.compile(str(entry["pattern"]))
            except re.error as error:
                problems.append(Problem(label, f"its pattern is not a regular expression: {error}"))
    return problems


def as_text(value: Any) -> str:
    """Return the text that an environment variable gets for a value of the inventory."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return json.dumps(value, separators=(",", ":"))
    return str(value)


def resolve(schema: Sequence[Mapping[str, object]], values: Mapping[str, object]) -> Resolved:
    """Check ``values`` against ``schema`` and fill in defaults. All problems are listed, none raised."""
    resolved = Resolved(problems=check_schema(schema))
    if resolved.problems:
        return resolved
    known = [str(entry["name"]) for entry in schema]
    for name in values:
        if name not in known:
            resolved.problems.append(Problem(str(name), f"is not in the schema{did_you_mean(str(name), known)}"))
    for entry in schema:
        name, secret = str(entry["name"]), bool(entry.get("secret"))
        if secret:
            resolved.secrets.add(name)
        given = values.get(name)
        empty = isinstance(given, str) and not given.strip() and bool(entry.get("required"))
        if given is None or empty:
            given = entry.get("default")
        if given is None:
            if entry.get("required"):
                what = "is empty" if empty else "is missing"
                resolved.problems.append(Problem(name, f"{what} and required; expected {_expected(entry)}"))
            continue
        text, problem = as_text(given), _changed(entry, given)
        if problem is None:
            text, problem = _typed(entry, given)
        if problem is None:
            problem = _limits(entry, text)
        if problem is not None:
            resolved.problems.append(Problem(name, problem))
        resolved.values[name] = text
    return resolved


def _expected(entry: Mapping[str, Any]) -> str:
    kind = entry.get("type", "str")
    if kind == "enum":
        return "one of " + ", ".join(as_text(choice) for choice in entry["choices"])
    return {
        "str": "a text",
        "int": "a whole number",
        "number": "a number such as 0.5",
        "email": "an e-mail address such as ops@example.com",
        "json": "JSON",
        "bool": "true or false",
        "url": "a URL such as http://host:port/path",
        "dsn": f"a data source name such as postgresql://user:password@host:port/database ({ENCODED})",
        "path": "an absolute path",
        "port": "a port from 1 to 65535",
    }[str(kind)]


def _shown(entry: Mapping[str, object], text: str) -> str:
    """Return the value for a message: never a secret's, never a password inside a URL."""
    if entry.get("secret") or entry.get("type") == "dsn" or "@" in text:
        return f"a text of {len(text)} characters (not shown)"
    return repr(text)


def _changed(entry: Mapping[str, object], given: Any) -> str | None:
    """That YAML has made something else of a text without quotes: C(NO), C(1.10), C(12:30:00), C(0123456), C(2026-01-31)."""
    if entry.get("type", "str") != "str" or isinstance(given, (str, dict, list)):
        return None
    if isinstance(given, (bool, int, float)):
        shown = "a number" if entry.get("secret") else as_text(given)
        other = "bool" if isinstance(given, bool) else "int" if isinstance(given, int) else ""
    else:
        shown, other = "a date" if isinstance(given, date) else f"a {type(given).__name__}", ""
    return f"is {shown} to YAML, which is perhaps not what was written; quote it" + (f", or say type: {other}" if other else "")


def _typed(entry: Mapping[str, Any], given: Any) -> tuple[str, str | None]:
    kind = entry.get("type", "str")
    text = as_text(given)
    wrong = f"expected {_expected(entry)} (type {kind}), got {_shown(entry, text)}"
    if any((ord(char) < 32 and char not in "\t\n") or ord(char) == 127 for char in text):
        return text, "contains a control character, which systemd refuses in an environment variable"
    if kind == "int":
        return (text, None) if re.fullmatch(r"[+-]?\d+", text) else (text, wrong)
    if kind == "number":
        return (text, None) if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) else (text, wrong)
    if kind == "email":
        return (text, None) if EMAIL.match(text) else (text, wrong)
    if kind == "json":
        return text, (None if _is_json(text) else wrong)
    if kind == "port":
        good = text.isascii() and text.isdigit() and 1 <= int(text) <= 65535
        return (text, None) if good else (text, wrong)
    if kind == "bool":
        folded = text.casefold()
        if folded in TRUE:
            return "true", None
        return ("false", None) if folded in FALSE else (text, wrong)
    if kind in ("url", "dsn"):
        return text, (None if _is_url(text, needs_host=kind == "url") else wrong)
    if kind == "path":
        return text, (None if text.startswith("/") and "\n" not in text else wrong)
    if kind == "enum":
        return text, (None if text in [as_text(choice) for choice in entry["choices"]] else wrong)
    return text, None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _is_url(text: str, needs_host: bool) -> bool:
    if not text or re.search(r"\s", text):
        return False
    try:
        parts = urlsplit(text)
        _unused = parts.port
    except ValueError:
        return False
    if not parts.scheme or "://" not in text:
        return False
    return bool(parts.hostname) if needs_host else bool(parts.hostname or parts.path.strip("/"))


def _limits(entry: Mapping[str, Any], text: str) -> str | None:
    kind = entry.get("type", "str")
    own = [as_text(value).casefold() for value in entry.get("forbidden") or []]
    if text.casefold() in own:
        return f"is left at the forbidden default {text!r}; set a value of your own"
    if entry.get("secret") and text.casefold() in ALWAYS_FORBIDDEN:
        return f"is left at the forbidden default {text!r}, a secret that everybody knows; set one of your own"
    if kind in ("url", "dsn") or _is_url(text, needs_host=True):
        password = urlsplit(text).password
        if password == "":
            return "carries an empty password; set it, or leave out the colon before it"
        known = entry.get("secret") or kind in ("url", "dsn")
        if known and password is not None and unquote(password).casefold() in (*own, *ALWAYS_FORBIDDEN):
            return f"carries the forbidden default {unquote(password)!r} as its password; set one of your own"
    minimum = entry.get("min_length")
    if minimum is not None and len(text) < int(minimum):
        return f"expected at least {minimum} characters, got {len(text)}"
    pattern = entry.get("pattern")
    if pattern is not None and not re.search(str(pattern), text):
        return f"expected a value that matches {pattern}, got {_shown(entry, text)}"
    return None


def masked_lines(values: Mapping[str, str], secrets: set[str], other: Mapping[str, str] | None = None) -> str:
    """Return ``NAME=value`` lines for a diff.

    Secrets show ``****``; where ``other`` has another value for one, ``**** (changed)``.
    A password inside a URL is masked too.
    """
    lines = []
    for name in sorted(values):
        value = values[name]
        shown = re.sub(r"(://[^/@\s:]*:)[^/@\s]*@", r"\1****@", value)
        if name in secrets:
            shown = MASK
        changed = other is not None and name in other and other[name] != value
        if changed and (name in secrets or shown != value):
            shown += " (changed)"
        lines.append(f"{name}={shown}\n")
    return "".join(lines)


def secret_texts(values: Mapping[str, object], secrets: set[str], known: Iterable[str] = ()) -> set[str]:
    """Return every text that must not be shown: values of secrets, and passwords inside URLs.

    What everybody knows (``known`` and ALWAYS_FORBIDDEN) is refused by name and needs no hiding.
    """
    public = {text.casefold() for text in (*known, *ALWAYS_FORBIDDEN)}
    hidden: set[str] = set()
    for name, value in values.items():
        text = as_text(value)
        if name in secrets:
            hidden.add(text)
        if "://" in text and "@" in text:
            try:
                password = urlsplit(text).password
            except ValueError:
                password = None
            if password:
                hidden.update((password, unquote(password)))
    return {text for text in hidden if len(text) >= 4 and text.casefold() not in public}
