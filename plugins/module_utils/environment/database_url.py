# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Database addresses: SQLAlchemy's forms to what libpq's tools take from their environment. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote

_CREDENTIALS = re.compile(r"([^:/]*)(?::([^@]*))?@(.*)", re.S)  # as SQLAlchemy splits it
_QUERY = {
    "sslmode": "PGSSLMODE",
    "ssl": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "channel_binding": "PGCHANNELBINDING",
    "gssencmode": "PGGSSENCMODE",
    "service": "PGSERVICE",
    "passfile": "PGPASSFILE",
    "hostaddr": "PGHOSTADDR",
    "servicefile": "PGSERVICEFILE",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "require_auth": "PGREQUIREAUTH",
    "krbsrvname": "PGKRBSRVNAME",
    "load_balance_hosts": "PGLOADBALANCEHOSTS",
    "options": "PGOPTIONS",  # such as -csearch_path=…: without it the tools would look into another schema than the application
}

_SCHEMA = ("schema", "currentSchema", "search_path")
"""What other worlds call the schema in an address; PostgreSQL's tools would take no notice and look into another one."""

_PLACE = re.compile(r"(\[[^\]@/]*\]|[^:@\[\]/#]*)(?::(\d*))?\Z")

ENCODED = (
    "characters such as @ : / ? # % in a user's name or password have to be percent-encoded; the filter phasegate.aistack.dsn builds an"
    " address: 'postgresql' | phasegate.aistack.dsn(user=…, password=…, host=…, port=…, database=…)"
)
"""What an address that cannot be read mostly suffers from, and the remedy."""


@dataclass(frozen=True)
class DatabaseAddress:
    """Where a database is and as whom. ``repr`` and ``describe`` never show the password.

    ``host`` may name several with commas between; ``port`` is that of the first.
    """

    host: str
    port: int
    user: str
    database: str
    password: str = field(default="", repr=False)
    driver: str = ""
    extra: Mapping[str, str] = field(default_factory=dict, repr=False)

    def describe(self) -> str:
        where = self.host or "the local socket"
        return f"database {self.database} on {where}:{self.port} as {self.user or 'the system user'}"

    def as_dict(self) -> dict[str, str | int]:
        return {"host": self.host, "port": self.port, "user": self.user, "name": self.database}

    def environment(self) -> dict[str, str]:
        """PG* variables for psql, pg_dump and pg_restore; the password goes nowhere else."""
        values = {"PGPORT": str(self.port), "PGDATABASE": self.database, **self.extra}
        if self.host:
            values["PGHOST"] = self.host
        if self.user:
            values["PGUSER"] = self.user
        if self.password:
            values["PGPASSWORD"] = self.password
        return values


def parse_url(url: str) -> DatabaseAddress:
    """``postgresql[+driver]://user:password@host:port/database?options``, also with several hosts, a socket's folder, or all in the query.

    Raises ValueError; the message never holds the address, because that holds the password.
    """
    scheme, mark, rest = url.strip().partition("://")
    kind, _plus, driver = scheme.partition("+")
    if not mark:
        raise ValueError(f"it is no URL; {ENCODED}")
    if kind not in ("postgresql", "postgres"):
        raise ValueError(f"it begins with {kind[:20]!r}; expected postgresql://…, postgres://… or postgresql+driver://…")
    split = _CREDENTIALS.match(rest)
    user, password, location = split.groups() if split else ("", "", rest)
    before, _mark, words = location.partition("?")
    authority, _slash, path = before.partition("/")
    pairs = parse_qsl(words, keep_blank_values=True)
    query = dict(pairs)
    if "@" in before or any("@" in key for key in query):  # the password went on behind what was taken for its end
        raise ValueError(f"it holds more than one @; {ENCODED}")
    for key in _SCHEMA:
        if key in query:
            raise ValueError(
                f"its query names a schema ({key}), which neither libpq nor PostgreSQL's tools know: they would look into another one."
                f" Write options=-csearch_path%3D{quote(query[key], safe='')}, which every driver of libpq takes"
            )
    named = [value for key, value in pairs if key == "host" for value in value.split(",")]
    if any(host.startswith("/") for host in named):
        places = [(host, "") for host in named]
    else:
        places = [_place(part) for part in (named or authority.split(","))]
    numbers = query["port"].split(",") if query.get("port") else [number for _host, number in places]
    if len(numbers) == 1:
        numbers *= len(places)
    if len(numbers) != len(places):
        raise ValueError(f"it names {len(places)} hosts and {len(numbers)} ports; expected one port, or one for each host")
    if not all(number.isdigit() or not number for number in numbers):
        raise ValueError("the port in its query is not a number")
    ports = [int(number or 5432) for number in numbers]
    if not all(0 < port < 65536 for port in ports):
        raise ValueError("its port is none: expected a number from 1 to 65535")
    extra = {_QUERY[key]: value for key, value in query.items() if key in _QUERY and value}
    if extra.get("PGSSLMODE") in ("true", "True", "1"):
        extra["PGSSLMODE"] = "require"
    if len(places) > 1:
        extra["PGPORT"] = ",".join(map(str, ports))
    user = query.get("user") or unquote(user or "")  # what stands in the query goes first, with libpq and with SQLAlchemy
    return DatabaseAddress(
        host=",".join(host for host, _number in places),
        port=ports[0],
        user=user,
        database=query.get("dbname") or unquote(path) or user,
        password=query.get("password") or unquote(password or ""),
        driver=driver,
        extra=extra,
    )


def _place(text: str) -> tuple[str, str]:
    """Host and port of C(host:port); both may be empty. Raises ValueError."""
    found = _PLACE.match(text)
    if not found:
        raise ValueError(f"its host or port cannot be read; {ENCODED}")
    return unquote(found.group(1)).strip("[]"), found.group(2) or ""


def with_database(url: str, database: str) -> str:
    """The same address with another database. Raises ValueError like :func:`parse_url`."""
    parse_url(url)
    scheme, _mark, rest = url.strip().partition("://")
    split = _CREDENTIALS.match(rest)
    location = split.group(3) if split else rest
    place, mark, query = location.partition("?")
    named = "&".join(part for part in query.split("&") if part and not part.startswith("dbname="))
    start = rest[: len(rest) - len(location)]
    end = mark + named if named else ""
    return f"{scheme}://{start}{place.partition('/')[0]}/{quote(database, safe='')}{end}"


def elsewhere(variables: Mapping[str, str], database: str, other: str) -> dict[str, str]:
    """The environment with ``other`` wherever it names ``database``."""
    moved = dict(variables)
    for name, value in variables.items():
        try:
            if parse_url(value).database == database:
                moved[name] = with_database(value, other)
        except ValueError:
            continue  # it is no address
    if moved.get("PGDATABASE") == database:
        moved["PGDATABASE"] = other
    return moved
