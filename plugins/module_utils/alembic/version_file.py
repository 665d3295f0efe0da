# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node keeps of a component's table of versions, so that it can be read without the release.

C(<state>/schema/<component>.json), 0644: C(format), C(version_table), C(version_table_schema) (null: wherever it is). A migration
writes it where the table is there. Without the file the table has Alembic's own name.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError, Psql
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.version_table import VersionTable

FORMAT = 1
FOLDER = "schema"


class Request(Protocol):
    """What is read of a request to migrate."""

    @property
    def state_dir(self) -> str: ...

    @property
    def component(self) -> str: ...

    @property
    def database(self) -> str: ...


def path_of(state_dir: str | os.PathLike[str], component: str) -> Path:
    return Path(state_dir) / FOLDER / f"{component}.json"


def load(state_dir: str | os.PathLike[str], component: str) -> VersionTable:
    """The table that was recorded; Alembic's own where nothing was, and with ``problem`` where the record cannot be read."""
    path = path_of(state_dir, component)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict) or value.get("format") != FORMAT or not isinstance(value.get("version_table"), str):
            raise ValueError(f"expected format {FORMAT} with version_table")
    except FileNotFoundError:
        return VersionTable()
    except (OSError, ValueError) as error:
        return VersionTable(problem=f"{path} cannot be read ({error}); the next deployment of {component} writes it again")
    return VersionTable.of(value)


def save(state_dir: str | os.PathLike[str], component: str, table: VersionTable) -> bool:
    """Write it where it differs from what is there; returns whether it did. Raises OSError."""
    if load(state_dir, component) == table:
        return False
    path = path_of(state_dir, component)
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_file(path, json.dumps({"format": FORMAT, **table.as_dict()}, indent=1, sort_keys=True) + "\n", 0o644)
    return True


@contextlib.contextmanager
def kept(request: Request, session: Callable[[], Psql], check: bool, named: Callable[[], VersionTable | None]) -> Iterator[None]:
    """Records what ``named`` says after the block, also where the block fails: part of its work may be committed then.

    A check records nothing, nor does a drill, whose database is none of the node's.
    """

    def note() -> None:
        table = named()
        if table is not None and not check and not request.database and session().query(table.tables_query()):
            save(request.state_dir, request.component, table)

    try:
        yield
    except BaseException:
        with contextlib.suppress(DatabaseError, OSError):  # what ended the migration is raised, and says more
            note()
        raise
    note()
