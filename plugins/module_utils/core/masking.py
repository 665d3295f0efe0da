# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must not be shown: which variables are secret, and how a text is printed without them.

Pure, and the only place that decides it: log tails, outputs of builds and tests, migrations, probes, diffs and messages of git all
go through a :class:`Masker`. It is fed with parsed values (never with lines of a file) and with the names that a schema calls
secret; names that sound like a secret count as well, for environments without a schema.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from urllib.parse import quote, quote_plus, unquote

MASK = "****"
_SIGNS = 0x100000
"""Where characters begin that nobody has given a meaning; they stand for names of variables while a text is masked."""
SHORTEST = 4
"""Shorter values are not masked where only a name says that they are secret: they would blot out ordinary words."""

_NAME = re.compile(r"PASS|SECRET|TOKEN|KEY|CREDENTIAL|DSN|SALT|COOKIE|(_|^)PWD?(_|$)|(_|^)PW(_|$)|(_|^)AUTH(_|$)", re.IGNORECASE)
_USERINFO = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<info>[^/\s?#@]*)@", re.IGNORECASE)
_PASSWORD = re.compile(r"(?P<head>[a-z][a-z0-9+.-]*://[^/\s:@]*:)[^\s/]*(?P<tail>@)", re.IGNORECASE)
_TOKEN = re.compile(r"(?P<head>https?://)[^/\s:@]+(?P<tail>@)", re.IGNORECASE)
_QUERY = re.compile(
    r"(?P<head>[?&;][\w.-]*(?:token|secret|passw|pwd|key|signature|sig|auth|credential)[\w.-]*=)[^&\s#;'\"]+", re.IGNORECASE
)
_HEADER = re.compile(r"(?P<head>\b(?:authorization|proxy-authorization)['\"]?\s*[:=]\s*['\"]?(?:\w+\s+)?)[^\s'\",]+", re.IGNORECASE)
_NPM = re.compile(r"(?P<head>\b_(?:authToken|auth|password)\s*[=:]\s*['\"]?)[^\s'\"]+")
_FORM = re.compile(
    r"\b(?:gh[oprsu]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}|npm_[A-Za-z0-9]{30,}|pypi-[\w-]{40,}|hf_[A-Za-z0-9]{30,}"
    r"|xox[abprs]-[\w-]{10,}|sk-[\w-]{32,})"
)
"""Tokens of well-known services, by how they begin."""
_USER = re.compile(r"(?P<head>https?://)[^/\s:@]+(?=:(?:x-oauth-basic)?@)", re.IGNORECASE)
"""A token in the place of the user, with a password that is none."""
_END = 16
"""Characters of a long secret by which its beginning, or its end, is known where something has cut it."""


def is_secret(name: str, declared: Collection[str] = ()) -> bool:
    """Whether the value of a variable is secret: declared so, or named like one."""
    return name in declared or bool(_NAME.search(name))


def passwords(value: str) -> set[str]:
    """Passwords and tokens inside the addresses of a value, as they stand there and decoded."""
    found: set[str] = set()
    for match in _USERINFO.finditer(value):
        user, colon, password = match.group("info").partition(":")
        if colon and password not in ("", "x-oauth-basic"):
            found |= {password, unquote(password)}
        elif match.group("scheme").lower().startswith("http"):
            found |= {user, unquote(user)}
    return {text for text in found if text}


def without_credentials(text: str) -> str:
    """*text* without what shows by its place that it is secret (user information of addresses, queries, headers), or by its form."""
    text = _NPM.sub(rf"\g<head>{MASK}", _FORM.sub(MASK, _USER.sub(rf"\g<head>{MASK}", text)))
    text = _PASSWORD.sub(rf"\g<head>{MASK}\g<tail>", text)
    text = _TOKEN.sub(rf"\g<head>{MASK}\g<tail>", text)
    text = _QUERY.sub(rf"\g<head>{MASK}", text)
    return _HEADER.sub(rf"\g<head>{MASK}", text)


def escaped(text: str) -> set[str]:
    """A text as it stands inside of quotes, in JSON and in Python."""
    return {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1]}


def inside(value: str) -> set[str]:
    """What is secret inside a value that is JSON, such as the key of a service account: by its name, or because it has several lines."""
    if not value.lstrip().startswith(("{", "[")):
        return set()
    found: set[str] = set()

    def visit(key: str, part: object) -> None:
        if isinstance(part, dict):
            for name, below in part.items():
                visit(str(name), below)
        elif isinstance(part, list):
            for below in part:
                visit(key, below)
        elif isinstance(part, str) and (_NAME.search(key) or "\n" in part.strip()):
            found.add(part)

    try:
        visit("", json.loads(value))
    except ValueError:
        return set()
    return found


def without_ends(text: str, value: str) -> str:
    """*text* without pieces of *value* that begin as it does, or end so: validators and loggers cut what is long in the middle."""
    head, tail = value[:_END], value[-_END:]
    start = text.find(head)
    while start >= 0:
        size = _END
        while start + size < len(text) and size < len(value) and text[start + size] == value[size]:
            size += 1
        text = text[:start] + MASK + text[start + size :]
        start = text.find(head, start + len(MASK))
    end = text.find(tail)
    while end >= 0:
        size = 0
        while size < end and size < len(value) - _END and text[end - size - 1] == value[-_END - size - 1]:
            size += 1
        text = text[: end - size] + MASK + text[end + _END :]
        end = text.find(tail, end - size + len(MASK))
    return text


def spellings(value: str) -> set[str]:
    """The ways in which a secret may stand in a text: as it is, line by line, quoted for JSON, Python, a shell or an address."""
    found = {value, value.strip()}
    for line in value.splitlines() if "\n" in value or "\r" in value else ():
        if len(line.strip()) >= SHORTEST:
            found |= {line, line.strip()}
    for text in list(found):
        inner = escaped(text)
        found |= inner.union(*map(escaped, inner))  # twice: logs are JSON that holds what a program has spelled already
        found.add(shlex.quote(text))
        found |= {quote(text, safe=""), quote(text), quote_plus(text), text.replace("$", "$$"), text.replace("%", "%%")}
        found.add(text.replace("\\", "\\\\").replace('"', '\\"'))
        found.add(re.sub(r'([\\"$`])', r"\\\1", text))  # in an environment file
    return {text for text in found if text.strip()}


class Masker:
    """Prints texts without the secrets that it knows.

    In the place of a variable's value its name stands, C(****[API_TOKEN]): a secret that is also an ordinary word, such as an access key
    that is called as the application is, would else leave lines that nobody understands.

    Args:
        values: secrets.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: dict[str, str] = {}  # a spelling to the variable whose value it is; empty where it is none's
        self._long: set[str] = set()
        for value in values:
            self.add(value)

    @classmethod
    def of(cls, environment: Mapping[str, str], declared: Collection[str] = ()) -> Masker:
        """A masker for the secrets of an environment; *declared* are the names that its schema calls secret."""
        masker = cls()
        masker.learn(environment, declared)
        return masker

    def learn(self, environment: Mapping[str, str], declared: Collection[str] = ()) -> None:
        """Remember what is secret among the values of an environment."""
        for name, value in environment.items():
            for password in passwords(value):
                self.add(password, SHORTEST)
            if name in declared:
                self.add(value, name=name)
            elif _NAME.search(name) and "://" not in value:  # of an address only the password is secret: its host helps to find a fault
                self.add(value, SHORTEST, name)

    def add(self, value: str, shortest: int = 1, name: str = "") -> None:
        """Remember one secret, the value of the variable *name* where that is known, unless it is shorter than *shortest* characters."""
        if len(value) >= shortest and value.strip():
            for text in spellings(value):
                if len(text) >= min(shortest, len(value)):
                    self._values[text] = self._values.get(text) or name
            if len(value) > 2 * _END and "://" not in value:  # where an address begins and ends is no secret, and helps
                self._long |= {value.strip(), *escaped(value.strip())}
            for text in inside(value):
                self.add(text, SHORTEST)

    def mask(self, text: str) -> str:
        """The text without any secret; what shows by its place that it is one goes even where it was never learnt."""
        names = sorted({*self._values.values()} - {""})
        signs = {name: chr(_SIGNS + number) for number, name in enumerate(names)}  # no secret is sought inside a name
        for value in sorted(self._values, key=len, reverse=True):
            text = text.replace(value, MASK + signs.get(self._values[value], ""))
        for value in self._long:
            text = without_ends(text, value)
        for name, sign in signs.items():
            text = text.replace(MASK + sign, f"{MASK}[{name}]")
        return without_credentials(text)

    def __bool__(self) -> bool:
        return bool(self._values)
