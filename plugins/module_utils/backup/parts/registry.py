# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a node's description to the jobs that save its parts, and from a part's kind to what verifies it."""

from __future__ import annotations

import json
import pwd
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.alembic import version_file
from ansible_collections.phasegate.aistack.plugins.module_utils.backup import plan as backup_plan
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import (
    age as backup_age,
    bucket as backup_bucket,
    files as backup_files,
    redis as backup_redis,
    sqlite as backup_sqlite,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import Job, PartError, Saved
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.files import Component
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.plan import SetManifest
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import DatabaseAddress, parse_url
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.file import read_env
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import snapshot as pg_snapshot
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.dump import BackupError
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError, Psql
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.settings import DATA_SIZE

DESCRIPTION = "backup.json"
SYSTEM_USER = "aistack"
"""Who the database's tools run as, where this node has such a user and an entry names no other."""

TIMEOUT = 3600.0
"""Seconds for one part where the description says nothing."""

Previous = tuple[Path, SetManifest]
"""Folder and manifest of the set before."""

VERIFIERS: dict[str, Callable[[Path, Mapping[str, Any]], list[str]]] = {
    "postgres": pg_snapshot.verify,
    "redis": backup_redis.verify,
    "bucket": backup_bucket.verify,
    "sqlite": backup_sqlite.verify,
    "files": backup_files.verify,
    "releases": backup_files.verify,
}


def load_description(state_dir: Path) -> dict[str, Any]:
    """What this node has to save. Raises PartError where nobody said, or what was said makes no sense."""
    path = state_dir / DESCRIPTION
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PartError(f"{path} is not there: nobody said what this node has to save. Say it in aistack_backup, and run site.yml with "
                        "role backup.") from None
    except (OSError, ValueError) as problem:
        raise PartError(f"{path} cannot be read: {problem}. Run site.yml, whose role backup writes it again.") from problem
    return checked(document, str(path))


def patience(described: Mapping[str, Any], given: float | None = None) -> float:
    """Seconds for one part of a set: those that were given, else the description's, else an hour."""
    return float(given if given is not None else described.get("timeout") or TIMEOUT)


def patience_of(state_dir: Path) -> float:
    """Likewise, of this node; an hour where nobody described it."""
    try:
        return patience(load_description(state_dir))
    except PartError:
        return TIMEOUT


def checked(document: Any, where: str) -> dict[str, object]:
    """A description without faults. Raises PartError with all of them."""
    problems = backup_plan.description_problems(document)
    if problems:
        raise PartError(f"{where} is no description of a backup: " + "; ".join(problems) + ". Correct aistack_backup of the inventory.")
    return dict(document)


def build(
    described: Mapping[str, Any], state_dir: Path, of: list[Component], previous: Previous | None, timeout: float
) -> tuple[list[Job], list[str]]:
    """The jobs of a set, and what is left out because there is nothing of it on this node yet, one sentence each.

    Raises PartError.
    """
    jobs: list[Job] = []
    left_out: list[str] = []
    for entry in described.get("postgres") or []:
        found = _postgres(entry, state_dir, of, timeout, described.get("count_below"))
        if isinstance(found, str):
            left_out.append(found)
        else:
            jobs.append(found)
    jobs += [backup_redis.job(entry, timeout) for entry in described.get("redis") or []]
    jobs += [backup_bucket.job(entry, timeout, previous) for entry in described.get("buckets") or []]
    jobs += [backup_sqlite.job(entry) for entry in described.get("sqlite") or []]
    return [*jobs, *backup_files.jobs(described, state_dir, of)], left_out


def environment_of(component: Component) -> Path | None:
    """The environment that a component runs with, or would: that of the live slot, else the newest; None where it has none."""
    live = component.layout.live()
    if live and live["config"]:
        return component.layout.env(live["config"])
    made = sorted(component.layout.configs.glob("*/env"), key=lambda path: path.stat().st_mtime)
    return made[-1] if made else None


def database(entry: Mapping[str, object], of: list[Component]) -> tuple[DatabaseAddress, dict[str, str]] | None:
    """Address and variables of a database, from its component's environment; None where the component has none yet.

    Raises PartError.
    """
    name, variable = str(entry["component"]), str(entry.get("url_variable") or "DATABASE_URL")
    path = next((environment_of(component) for component in of if component.name == name), None)
    if path is None:
        return None
    try:
        values = read_env(path)
        return parse_url(values[variable]), values
    except KeyError:
        raise PartError(f"Database {entry['name']}: {path} has no {variable}. Correct its url_variable in aistack_backup, and run "
                        "site.yml.") from None
    except (OSError, ValueError) as problem:
        raise PartError(f"Database {entry['name']}: its address cannot be read from {variable} in {path}: {problem}.") from problem


def _postgres(
    entry: Mapping[str, Any], state_dir: Path, of: list[Component], timeout: float, count_below: int | None
) -> Job | str:
    name = str(entry["name"])
    found = database(entry, of)
    if found is None:
        return f"postgres:{name}: component {entry['component']} has no environment on this node yet, so nothing of it can be damaged"
    address, variables = found
    user = system_user(entry)

    def size() -> int:
        try:
            with Psql(address, variables, user, "aistack-backup") as psql:
                return int(psql.query(DATA_SIZE))
        except DatabaseError as problem:
            raise PartError(str(problem)) from problem

    def save(folder: Path) -> Saved:
        try:
            below = backup_plan.COUNT_BELOW if count_below is None else int(count_below)
            words: dict[str, Any] = {"jobs": int(entry.get("jobs") or 2), "timeout": timeout, "min_free": 0, "count_below": below}
            words["version"] = version_file.load(state_dir, str(entry["component"]))
            part = pg_snapshot.make(folder, name, address, variables, user, **words)
        except BackupError as problem:
            raise PartError(str(problem)) from problem
        facts = {**part["facts"], "component": str(entry["component"])}
        return Saved(facts, part.get("files", {}), {"pg_dump": str(facts.get("tool", ""))})

    return Job("postgres", name, f"postgres/{name}", size, save)


def system_user(entry: Mapping[str, object]) -> str | None:
    """Who the database's tools run as."""
    if entry.get("user"):
        return str(entry["user"])
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        return None
    return SYSTEM_USER


def verify(folder: Path, part: Mapping[str, object]) -> list[str]:
    """What is wrong with one part of a set, one sentence each; checksums are the set's affair."""
    if part.get("encrypted"):
        return backup_age.verify(folder, part)
    verifier = VERIFIERS.get(str(part.get("kind")))
    if verifier is None:
        return [f"part {part.get('kind')}:{part.get('name')} is of a kind that this version does not know; known: {', '.join(VERIFIERS)}"]
    try:
        return verifier(folder, part)
    except (OSError, KeyError, TypeError, ValueError) as problem:
        return [f"part {part['kind']}:{part['name']} cannot be judged: {type(problem).__name__}: {problem}"]
