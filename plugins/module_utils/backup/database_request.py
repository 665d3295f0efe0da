# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arguments that db_fingerprint, pg_snapshot and pg_restore share: where a database is, and as whom it is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import (
    postgres_restore as restore_postgres,
    registry as backup_jobs,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.plan import SetManifest
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import PLACES
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import DatabaseAddress, parse_url
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.file import read_env
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import snapshot as pg_snapshot
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.admin import Server

Found = tuple[DatabaseAddress, dict[str, str], "str | None"]
"""An address, the variables of the environment that it came from, the system user that the tools run as."""

SPEC: dict[str, Any] = {
    "env_file": {"type": "path"},
    "url_variable": {"type": "str", "default": "DATABASE_URL"},
    "database": {"type": "str", "default": ""},
    "host": {"type": "str", "default": ""},
    "port": {"type": "int"},
    "login_user": {"type": "str", "default": "postgres"},
    "password_file": {"type": "path", "no_log": False},  # a path, whatever its name reminds of
    "user": {"type": "str"},
    **PLACES,
}


def application(params: Mapping[str, Any]) -> Found | None:
    """The database as its application sees it; None without an env_file. Raises ValueError, OSError."""
    if not params["env_file"]:
        return None
    values = read_env(Path(params["env_file"]))
    if params["url_variable"] not in values:
        raise ValueError(f"{params['env_file']} has no {params['url_variable']}; name the right one as url_variable")
    try:
        address = parse_url(values[params["url_variable"]])
    except ValueError as problem:
        raise ValueError(f"{params['url_variable']} in {params['env_file']} cannot be used: {problem}") from None
    if params["database"]:
        address = replace(address, database=params["database"])
    return address, values, params["user"] or backup_jobs.system_user({})


def administrator(params: Mapping[str, Any]) -> tuple[Server, str]:
    """The server as its administrator sees it, and the database's name. Raises ValueError, OSError, PartError."""
    found = application(params)
    name = params["database"] or (found[0].database if found else "")
    if not name:
        raise ValueError("nobody says which database: give database, or the env_file of the component that uses it")
    address = found[0] if found else DatabaseAddress("", params["port"] or 5432, "", name)
    admin = {
        "host": params["host"],
        "port": params["port"],
        "user": params["login_user"],
        "password_file": params["password_file"],
        "system_user": params["user"],
    }
    return restore_postgres.server_of({"name": name, "admin": admin}, address), name


def any_of(params: Mapping[str, Any]) -> Found:
    """The database as its application sees it where an env_file is given, else as the administrator does. Raises the same."""
    found = application(params)
    if found:
        return found
    server, name = administrator(params)
    return server.at(name), dict(server.variables), server.user


def part_of(manifest: SetManifest, name: str) -> dict[str, Any]:
    """The database of that name in a set's manifest, or its only one. Raises ValueError."""
    if manifest["format"] == 1:
        raise ValueError("the set is a dump that was made before a migration; restore.yml puts it back by its name (-e set=NAME)")
    parts = {str(part["name"]): dict(part) for part in manifest["parts"] if part["kind"] == pg_snapshot.KIND}
    if name in parts:
        return parts[name]
    if not name and len(parts) == 1:
        return next(iter(parts.values()))
    wanted = f"no database {name}" if name else f"{len(parts)} databases, and nobody says which (name)"
    raise ValueError(f"the set {manifest['name']} has {wanted}; there are: {', '.join(sorted(parts)) or 'none'}")
