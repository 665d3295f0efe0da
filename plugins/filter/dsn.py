# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that make addresses of databases, and what libpq logs in to them with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.phasegate.aistack.plugins.module_utils.environment import dsn as core


def dsn(
    password: Any,
    scheme: str = "postgresql",
    user: Any = "",
    host: Any = "",
    port: Any = None,
    database: Any = "",
    options: Mapping[str, object] | None = None,
) -> str:
    """Build the address; a password that is None counts as none."""
    if isinstance(password, (bool, int, float)):
        raise AnsibleFilterError("phasegate.aistack.dsn: password: is no text to YAML, and perhaps not what was written; quote it")
    try:
        return core.dsn(
            "" if password is None else str(password), scheme=scheme, user=str(user), host=str(host), port=port,
            database=str(database), options=options,
        )
    except ValueError as error:
        raise AnsibleFilterError(f"phasegate.aistack.dsn: {error}") from None


def pgpass(places: Iterable[Mapping[str, object]], port: int = 5432) -> str:
    """The file that libpq finds passwords in."""
    try:
        return core.pgpass(places, port)
    except ValueError as error:
        raise AnsibleFilterError(f"phasegate.aistack.pgpass: {error}") from None


class FilterModule:
    """Names of the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Map the name of each filter to its function."""
        return {"dsn": dsn, "pgpass": pgpass}
