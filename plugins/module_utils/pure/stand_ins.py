# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Made-up variables of an environment's schema: enough for a release's code to be loaded, and no secret among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

BY_TYPE = {
    "int": "1",
    "bool": "true",
    "url": "http://localhost",
    "dsn": "postgresql://planned:planned@localhost:5432/planned",
    "path": "/nonexistent",
    "port": "1",
}


def stand_ins(schema: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """A value for each variable of ``schema``: its default, its first choice, or one of its type. Secrets never get their default."""
    values: dict[str, str] = {}
    for entry in schema:
        default = None if entry.get("secret") else entry.get("default")
        if default is not None:
            value = str(default).lower() if isinstance(default, bool) else str(default)
        elif entry.get("choices"):
            value = str(entry["choices"][0])
        else:
            value = BY_TYPE.get(str(entry.get("type", "str")), "x" * max(8, int(entry.get("min_length") or 0)))
        values[str(entry["name"])] = value
    return values
