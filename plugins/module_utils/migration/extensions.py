# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Extensions that a migration makes and the server has no package of: known before anything runs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Protocol

from ansible_collections.phasegate.aistack.plugins.module_utils.migration.policy import Step
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.revision_graph import Refusal
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import literal
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError

_CREATE = re.compile(r'^\s*CREATE\s+EXTENSION\s+(?:IF\s+NOT\s+EXISTS\s+)?"?([A-Za-z0-9_-]+)"?', re.IGNORECASE)
PACKAGES = {"vector": "pgvector", "postgis": "postgis-3", "pg_cron": "cron", "pg_partman": "partman", "hll": "hll", "rum": "rum"}
"""How Debian's packages of extensions are called, behind C(postgresql-<major>-)."""


class Catalog(Protocol):
    """Who answers questions about the database."""

    def query(self, sql: str, timeout: float = 30.0) -> Any: ...


def package(name: str, version: str) -> str:
    """The package that brings an extension, in words; ``version`` is the server's."""
    if name in PACKAGES:
        return f"postgresql-{version.partition('.')[0]}-{PACKAGES[name]} (its name with Debian and with the PostgreSQL project)"
    return f"its package, such as postgresql-{version.partition('.')[0]}-{name.replace('_', '-')}, or postgresql-contrib"


def missing(steps: Iterable[Step], psql: Catalog) -> list[Refusal]:
    """A refusal for each step that makes an extension which the server does not have. Raises DatabaseError."""
    wanted = [(step, found.group(1)) for step in steps for entry in step.statements if (found := _CREATE.match(entry.text))]
    if not wanted:
        return []
    names = ", ".join(literal(name) for _step, name in wanted)
    try:
        held = psql.query(f"SELECT coalesce(json_agg(name), '[]') FROM pg_available_extensions WHERE name IN ({names})")
        version = str(psql.query("SELECT to_json(current_setting('server_version'))"))
    except DatabaseError as problem:
        if problem.kind == "unknown":  # where only a plan is made nobody can be asked
            return []
        raise
    return [
        Refusal(
            "extension_missing",
            f"Revision {step.revision.revision} makes the extension {name}, which the server does not have.",
            f"Install {package(name, version)} on the server's node, and run again.",
            step.revision.revision,
        )
        for step, name in wanted
        if name not in held
    ]
