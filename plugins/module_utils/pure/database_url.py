# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Database addresses: SQLAlchemy's forms to what libpq's tools take from their environment. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlsplit

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
    "options": "PGOPTIONS",  # such as -csearch_path=…: without it the tools would look into another schema than the application
}


@dataclass(frozen=True)
class DatabaseAddress:
    """Where a database is and as whom. ``repr`` and ``describe`` never show the password."""

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
    """``postgresql[+driver]://user:password@host:port/database?options``.

    Raises ValueError; the message never holds the address, because that holds the password.
    """
    scheme, mark, rest = url.strip().partition("://")
    kind, _plus, driver = scheme.partition("+")
    if not mark:
        raise ValueError("it is no URL")
    if kind not in ("postgresql", "postgres"):
        raise ValueError(f"it begins with {kind[:20]!r}; expected postgresql://…, postgres://… or postgresql+driver://…")
    split = _CREDENTIALS.match(rest)
    user, password, location = split.groups() if split else ("", "", rest)
    try:
        parts = urlsplit("postgresql://" + location)
        host, port = unquote(parts.hostname or ""), parts.port
    except ValueError:
        raise ValueError("its host or port cannot be read; characters like @ : / ? # in the password have to be percent-encoded") from None
    query = dict(parse_qsl(parts.query))
    if query.get("host"):
        host = query["host"]
        if ":" in host and not host.startswith("/"):
            host, _colon, number = host.partition(":")
            query.setdefault("port", number)
    if query.get("port"):
        if not query["port"].isdigit():
            raise ValueError("the port in its query is not a number")
        port = int(query["port"])
    extra = {_QUERY[key]: value for key, value in query.items() if key in _QUERY}
    if extra.get("PGSSLMODE") in ("true", "True", "1"):
        extra["PGSSLMODE"] = "require"
    user = unquote(user) if split else query.get("user", "")
    return DatabaseAddress(
        host=host,
        port=port or 5432,
        user=user,
        database=unquote(parts.path.lstrip("/")) or query.get("dbname", "") or user,
        password=unquote(password or "") if split else query.get("password", ""),
        driver=driver,
        extra=extra,
    )


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
