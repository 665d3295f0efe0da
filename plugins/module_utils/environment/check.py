# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The environments of a whole stack, before anything is touched: each against its schema, and its logins against the servers'.

No message holds a value of a secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import what
from ansible_collections.phasegate.aistack.plugins.module_utils.environment import schema as env_schema
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import parse_url

LOOPBACK = ("127.0.0.1", "localhost", "::1", "")
SCHEMES = {"postgresql": "postgres", "postgres": "postgres", "redis": "redis", "rediss": "redis"}
"""What the scheme of an address says about the server behind it, the driver left out."""

KEY_PAIRS = (("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"), ("ACCESS_KEY", "SECRET_KEY"))
"""How variables are called that hold an S3 key and its secret, by the end of their names."""


@dataclass(frozen=True)
class Account:
    """A login that a role of this collection manages.

    Attributes:
        kind: ``postgres``, ``redis`` or ``minio``.
        user: its name.
        password: what the role gives it.
        variable: the variable of the inventory that says so, for messages.
        hosts: the hosts that the server runs on.
        places: ``(address, port)`` under which it is reached from elsewhere.
        tls: whether the server takes TLS only from there.
    """

    kind: str
    user: str
    password: str = field(repr=False)
    variable: str
    hosts: tuple[str, ...]
    places: frozenset[tuple[str, int]]
    tls: bool = False

    def at(self, address: str, port: int, host: str) -> bool:
        """Whether that place, seen from *host*, is this server."""
        if address in LOOPBACK:
            return host in self.hosts and port in {known for _address, known in self.places}
        return (address, port) in self.places


@dataclass(frozen=True)
class Login:
    """Who an address says it is, and whether over TLS (None: as the server likes). ``password`` is never shown."""

    kind: str
    user: str
    password: str = field(repr=False)
    address: str
    port: int
    tls: bool | None = None


def login_of(text: str) -> Login | None:
    """The login in a database's or broker's address; None where the text is none."""
    scheme, mark, _rest = text.strip().partition("://")
    kind = SCHEMES.get(scheme.partition("+")[0])
    if not mark or kind is None:
        return None
    try:
        if kind == "postgres":
            found = parse_url(text)
            plain = found.extra.get("PGSSLMODE") == "disable"
            return Login(kind, found.user, found.password, found.host, found.port, False if plain else None)
        parts = urlsplit(text.strip())
        user, password = unquote(parts.username or "") or "default", unquote(parts.password or "")
        return Login(kind, user, password, parts.hostname or "", parts.port or 6379, parts.scheme == "rediss")
    except ValueError:
        return None  # its type in the schema says what is wrong with it


def _key_pairs(values: Mapping[str, str]) -> Iterable[tuple[str, str, str]]:
    """Access keys: name of the key's variable, the key, name of the variable with its secret."""
    for name, value in values.items():
        for ending, partner in KEY_PAIRS:
            if name.endswith(ending):
                yield name, value, name[: -len(ending)] + partner
                break


_TLS_WAYS = {  # what a client has to write, by the kind of the server: in plain text, over TLS
    "redis": ("redis://", "rediss://"), "postgres": ("sslmode=disable", "sslmode=verify-full"), "minio": ("http://", "https://"),
}


def _tls_problems(values: Mapping[str, str], accounts: Sequence[Account], host: str) -> list[str]:
    """Addresses that speak plain text to a server of the same stack that takes TLS only, or the other way round."""
    problems: list[str] = []
    for name, value in values.items():
        login = login_of(value)
        for account in accounts:
            plain, over_tls = _TLS_WAYS[account.kind]
            says: bool | None = None
            if account.kind == "minio":
                said = [(scheme, place) for scheme in ("http", "https") for place in account.places
                        if f"{value.strip()}/".startswith(f"{scheme}://{place[0]}:{place[1]}/")]
                says = said[0][0] == "https" if said else None
            elif login is not None and login.kind == account.kind and account.at(login.address, login.port, host):
                near = account.kind == "postgres" and login.address in LOOPBACK  # which takes both
                says = None if near else login.tls
            if says is None or says == account.tls:
                continue
            takes = f"takes TLS only ({account.kind}_tls)" if account.tls else f"speaks plain text ({account.kind}_tls is not given)"
            line = (
                f"{name}: says {over_tls if says else plain}, but {account.kind} on {', '.join(account.hosts)} {takes}; write"
                f" {over_tls if account.tls else plain} there{'' if account.tls else f', or give {account.kind}_tls'}"
            )
            if line not in problems:
                problems.append(line)
    return problems


def login_problems(values: Mapping[str, str], accounts: Sequence[Account], host: str) -> list[str]:
    """Logins in an environment that the server of the same stack would refuse, because its role gives them another password."""
    problems = []
    for name, value in values.items():
        login = login_of(value)
        if login is None:
            continue
        for account in accounts:
            same = account.kind == login.kind and account.user == login.user and account.at(login.address, login.port, host)
            if same and account.password != login.password:
                problems.append(
                    f"{name}: holds another password for {login.user} at {login.address}:{login.port} than {account.variable} gives to that"
                    " user there, so it would be refused; take both from the same secret"
                )
    problems += _tls_problems(values, accounts, host)
    reached = " ".join(values.values())
    for name, key, partner in _key_pairs(values):
        for account in accounts:
            if account.kind != "minio" or account.user != key or partner not in values or account.password == values[partner]:
                continue
            if any(f"{address}:{port}" in reached for address, port in account.places):
                problems.append(
                    f"{partner}: is another secret for the key {key} ({name}) than {account.variable} gives to it, so it would be refused;"
                    " take both from the same secret"
                )
    return problems


def environment_problems(environment: Any, accounts: Sequence[Account], host: str) -> list[str]:
    """Everything that is wrong with one environment (``schema`` and ``values``) on one host."""
    if not isinstance(environment, Mapping):
        return [f"must be a mapping with schema and values, is {what(environment, secret=True)}"]
    schema, values = env_schema.described(environment)
    if isinstance(schema, (str, Mapping)) or not isinstance(schema, Sequence) or not all(isinstance(entry, Mapping) for entry in schema):
        return ["schema: must be a list of mappings with name and type"]
    if not isinstance(values, Mapping):
        return [f"values: must be a mapping, is {what(values, secret=True)}"]
    plain = [{key: value for key, value in entry.items() if value is not None} for entry in schema]
    resolved = env_schema.resolve(plain, values)
    return [str(problem) for problem in resolved.problems] or login_problems(resolved.values, accounts, host)


def known_passwords(accounts: Sequence[Account], environments: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Logins whose password everybody knows: of those that are refused everywhere, or that a schema of the stack names as forbidden."""
    forbidden = set(env_schema.ALWAYS_FORBIDDEN)
    for described in environments.values():
        for environment in described.values():
            schema = environment.get("schema") if isinstance(environment, Mapping) else None
            for entry in schema if isinstance(schema, Sequence) and not isinstance(schema, str) else ():
                listed = entry.get("forbidden") if isinstance(entry, Mapping) else None
                forbidden |= {env_schema.as_text(value).casefold() for value in listed or [] if not isinstance(listed, str)}
    said = [
        f"{account.variable}: the password of {account.user} is the forbidden default {account.password!r}; set one of your own"
        for account in accounts if account.password.casefold() in forbidden
    ]
    return list(dict.fromkeys(said))


def problems(
    components: Mapping[str, object], groups: Mapping[str, Sequence[str]], environments: Mapping[str, Mapping[str, object]],
    accounts: Sequence[Account],
) -> list[str]:
    """Problems of the environments of all released components, one line each.

    ``environments`` maps a host to its ``aistack_env``. What is wrong on every host of a component is said once. The passwords that
    servers give to ``accounts`` are looked at as well.
    """
    found = known_passwords(accounts, environments)
    for name, component in components.items():
        if not isinstance(component, Mapping) or not (component.get("application") or component.get("release_from")):
            continue
        entry = str(component.get("env") or name)
        hosts = [host for host in groups.get(str(component.get("hosts")), ()) if host in environments]
        said: dict[str, list[str]] = {}
        for host in hosts:
            for problem in environment_problems(environments[host].get(entry) or {}, accounts, host):
                said.setdefault(problem, []).append(host)
        for problem, where in said.items():
            only = "" if len(where) == len(hosts) else f" (on {', '.join(where)})"
            line = f"aistack_env.{entry}: {problem}{only}"
            if line not in found:
                found.append(line)
    return found
