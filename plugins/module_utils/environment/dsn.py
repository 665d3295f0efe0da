# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The address of a database or a broker, made of its parts: each is percent-encoded where its place wants that. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

PGPASS = ("host", "port", "database", "user", "password")
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")


def dsn(
    password: str,
    *,
    user: str,
    host: str,
    database: str,
    scheme: str = "postgresql",
    port: int | str | None = None,
    options: Mapping[str, object] | None = None,
) -> str:
    """``scheme://user:password@host:port/database?options``, whatever characters stand in the parts.

    An empty password or user is left out. A *host* that begins with ``/`` is the folder of a socket and goes into the options, since
    it cannot stand where a host does. True and false are written small.

    Raises:
        ValueError: a part cannot be part of any address; the message never holds the password.
    """
    if not SCHEME.fullmatch(scheme):
        raise ValueError(f"scheme: expected a word such as postgresql, postgresql+asyncpg, redis or rediss, got {scheme!r}")
    if port not in (None, "") and not (str(port).isdigit() and 0 < int(str(port)) < 65536):
        raise ValueError(f"port: expected a number from 1 to 65535, got {port!r}")
    if not host.startswith("/") and re.search(r"[\s/@?#]", host):
        raise ValueError(f"host: expected a name, an address, or the folder of a socket, got {host!r}")
    if quote(database, safe="") != database:
        raise ValueError(f"database: expected letters, digits, _, - and . (drivers differ in how they read others), got {database!r}")
    said = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in (options or {}).items()}
    place = host
    if host.startswith("/"):
        said, place = {"host": host, **({"port": str(port)} if port else {}), **said}, ""
    elif ":" in host and not host.startswith("["):
        place = f"[{host}]"
    if place and port:
        place = f"{place}:{port}"
    login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in said.items())
    return f"{scheme}://{login}{'@' if login else ''}{place}/{database}{'?' if query else ''}{query}"


def pgpass(places: Iterable[Mapping[str, object]], port: int | str = 5432) -> str:
    """The file that libpq finds passwords in, a line a login, so that no address has one.

    Args:
        places: C(host), C(port), C(database), C(user) and C(password) of each.
        port: of those that name none.

    Raises:
        ValueError: a part is missing or has a line's end; the message never holds the password.
    """
    lines = []
    for place in places:
        parts = [str(place.get("port") or port) if name == "port" else str(place.get(name) or "") for name in PGPASS]
        lacking = [name for name, part in zip(PGPASS, parts) if not part or "\n" in part]
        if lacking:
            raise ValueError(f"{', '.join(lacking)}: expected a text of one line each, got none, or several")
        lines.append(":".join(part.replace("\\", "\\\\").replace(":", "\\:") for part in parts) + "\n")
    return "".join(lines)
