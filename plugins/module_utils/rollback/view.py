# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node knows about itself, put together for the planner: descriptions, journal, releases, configs, slots, database, sets.

Nothing here fails because a part of the node does: what cannot be seen is said, and the planner goes on without it.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.phasegate.aistack.plugins.module_utils.alembic import version_file
from ansible_collections.phasegate.aistack.plugins.module_utils.backup import plan as backup_plan
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import Systemd, UnitError
from ansible_collections.phasegate.aistack.plugins.module_utils.core.instances import instance_names
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import SLOTS
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import Home
from ansible_collections.phasegate.aistack.plugins.module_utils.core.service_user import TOOLS_USER
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import parse_url
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.file import read_env
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import TABLES_QUERY
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError, Psql
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.version_table import VersionTable, heads_query
from ansible_collections.phasegate.aistack.plugins.module_utils.release import way_back
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import Layout
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import facts as rollback_facts
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import component_file

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.backup.plan import BackupSet, SetPart
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.contract import Component, SlotView, View, WayBackView

ANSWER_S = 2
"""Seconds that a database has to let somebody in, and again to answer."""


class HeadsQuery:
    """A question to a component's database, asked in a thread of its own while the rest is looked at."""

    def __init__(self, root: str, component: str, url_variable: str, version: VersionTable) -> None:
        self.heads: list[str] | None = None
        self.why = ""
        self._env = Home(root, component).live_env
        self._variable = url_variable
        self._version = version
        self._thread = threading.Thread(target=self._ask, name=f"heads of {component}", daemon=True)
        self._thread.start()

    def answer(self) -> tuple[list[str] | None, str]:
        """Heads, or None and why they are not known."""
        self._thread.join(3 * ANSWER_S + 2)
        if self._thread.is_alive():
            return None, f"no answer within {3 * ANSWER_S} s"
        return self.heads, self.why

    def _ask(self) -> None:
        try:
            variables = read_env(self._env)
            address = parse_url(variables.get(self._variable, ""))
        except (OSError, ValueError) as problem:
            self.why = f"{self._variable} in {self._env} tells no address: {problem}"
            return
        try:
            self.heads = current_heads(
                lambda user: Psql(address, {**variables, "PGCONNECT_TIMEOUT": str(ANSWER_S)}, user, "aistack-plan"),
                self._version,
            )
        except DatabaseError as problem:
            self.why = str(problem)


def current_heads(connect: Any, version: VersionTable) -> list[str]:
    """Heads in the table of versions; empty where nothing was migrated yet. *connect* takes a user and returns a session.

    Raises:
        DatabaseError: there is no session, several such tables, or not the one that was recorded.
    """
    try:
        session = connect(TOOLS_USER)
    except LookupError:  # no such user here: ask as who we are
        session = connect(None)
    with session as psql:
        tables = psql.query(version.tables_query(), ANSWER_S)
        others = version.recorded and not tables and bool(psql.query(TABLES_QUERY, ANSWER_S))
        table, why = version.only(tables, others)
        if why:
            raise DatabaseError("statement", why)
        return [str(head) for head in psql.query(heads_query(table), ANSWER_S)] if table else []


def observe(
    state_dir: str | os.PathLike[str],
    stack: str = "",
    sets: bool = False,
    systemd: Systemd | None = None,
    components: Sequence[str] | None = None,
    ask: bool = True,
    journal: Journal | None = None,
) -> View:
    """The view of this node.

    Args:
        state_dir: where descriptions, journal and backup sets are.
        stack: the stack's name, only passed on.
        sets: look at the backup sets as well.
        systemd: who is asked what runs; the node's own if None.
        components: only these; all if None.
        ask: ask the databases where they stand.
        journal: the node's journal, if it is at hand.

    """
    described, problems = component_file.load_all(state_dir)
    described = {name: found for name, found in described.items() if components is None or name in components}
    asked = {
        name: HeadsQuery(found["root"], name, database.get("url_variable") or "DATABASE_URL", version_file.load(state_dir, name))
        for name, found in described.items()
        if ask and (database := found.get("database")) and os.path.lexists(Home(found["root"], name).live_link)
    }
    journal = journal or Journal.of(state_dir)
    reading, missing = journal.seen()
    problems += [f"the journal {journal.path}: {problem}" for problem in missing]
    running, trouble = _running(described, state_dir, systemd or Systemd())
    problems += [trouble] if trouble else []
    salt = secrets.token_bytes(16)
    views = {name: _component(reading.records, found, running, salt) for name, found in described.items()}
    for name, view in views.items():
        described_database = view["description"].get("database")
        view["database"] = None
        if described_database:
            heads, why = asked[name].answer() if name in asked else (None, "it was not asked")
            view["database"] = rollback_facts.database_facts(view["migrations"], heads, why)
    return {
        "node": platform.node(),
        "stack": stack,
        "components": views,
        "backups": backup_sets(Path(state_dir) / "backups") if sets else [],
        "problems": problems,
        "seq": int(reading.records[-1]["seq"]) if reading.records else 0,
        "interrupted_rollback": rollback_facts.interrupted_rollback(reading.records),
        "open_rollback": rollback_facts.open_rollback(reading.records),
        "last_rollback": rollback_facts.last_rollback(reading.records),
        "restores": rollback_facts.restores(reading.records) if sets else [],
    }


def _running(
    described: Mapping[str, component_file.Description], state_dir: str | os.PathLike[str], systemd: Systemd
) -> tuple[dict[str, int] | None, str]:
    """Units of slots that run, with their main process, asked with one command; None and why where it could not be asked."""
    units = [unit for found in described.values() for slot in SLOTS for unit in _units(found, slot).values()]
    if not units:
        return {}, ""
    try:
        return {state.name: state.main_pid for state in systemd.show(*units) if state.running}, ""
    except UnitError as error:
        return None, f"which slots run could not be asked: {' '.join(str(error).split())}"


def _units(description: component_file.Description, slot: str) -> dict[str, str]:
    """The units of a slot, by instance."""
    instances = instance_names(slot, int(description.get("instances") or 1))
    return {instance: str(description["unit"]).replace("{slot}", instance) for instance in instances}


def _component(
    records: list[Record], description: component_file.Description, running: dict[str, int] | None, salt: bytes
) -> Component:
    name = str(description["component"])
    layout = Layout(description["root"], name)
    staged = layout.staged()
    slots: dict[str, SlotView] = {}
    for slot, found in layout.slots().items():
        if found:
            units = _units(description, slot)
            runs = [instance for instance, unit in units.items() if unit in (running or {})]
            slots[slot] = {
                "release": found["release"],
                "config": found["config"],
                "running": None if running is None else bool(runs),
                "pid": next((pid for unit in units.values() if (pid := (running or {}).get(unit))), None),
                "idle": [instance for instance in units if instance not in runs] if runs else [],
            }
    configs = _configs(layout.configs)
    facts = rollback_facts.component_facts(records, description, staged, layout.live())
    facts["slots"], facts["configs"] = slots, configs
    facts["manifests"] = {tag: manifest for tag in staged if (manifest := layout.manifest(tag)) is not None}
    used = {record["config"] for record in facts["history"][-20:]} | {slot["config"] for slot in slots.values()}
    facts["drills"] = {tag: drills for tag in staged if (drills := layout.drills(tag))}
    facts["env"] = {config: _digests(layout.env(config), salt) for config in configs if config in used}
    known = {record["config"] for record in facts["history"]}
    ways = {config: way_back.observe(layout.root, name, config) for config in configs if config in known}
    facts["way_back"] = {config: told for config, way in ways.items() if (told := _way(way)) != _way(way_back.WayBack(config, {}))}
    facts["env"].update({way.config: _hidden(way.values, salt) for way in ways.values() if way.values})
    return facts


def _way(found: way_back.WayBack) -> WayBackView:
    return {"config": found.config, "today": list(found.today), "kept": list(found.kept), "problem": found.problem}


def _configs(folder: Path) -> list[str]:
    try:
        return sorted(
            entry.name for entry in os.scandir(folder) if not entry.name.startswith(".") and os.path.exists(f"{entry.path}/env")
        )
    except OSError:
        return []


def _digests(path: Path, salt: bytes) -> dict[str, str] | None:
    """Names of the variables, each with a digest that tells two values apart and says nothing else."""
    try:
        values = read_env(path)
    except OSError:
        return None
    return _hidden(values, salt)


def _hidden(values: Mapping[str, str], salt: bytes) -> dict[str, str]:
    return {name: hashlib.blake2b(value.encode(), key=salt, digest_size=8).hexdigest() for name, value in values.items()}


def backup_sets(folder: Path) -> list[BackupSet]:
    """The backup sets of a node, those of a migration included, in one form; ``problem`` says it where files are not as the manifest has
    them."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    except OSError:
        return []
    return [_set(folder / name) for name in names]


def _set(path: Path) -> BackupSet:
    known: BackupSet = {
        "name": path.name,
        "path": str(path),
        "made": "",
        "verdict": "",
        "heads": {},
        "live": {},
        "parts": [],
    }
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        if not isinstance(manifest, dict):
            raise ValueError("it is no mapping")
        files = _first_format(manifest, known) if manifest.get("format") == 1 else _second_format(manifest, known)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        known["problem"] = f"its manifest cannot be read: {error}"
        return known
    ahead = backup_plan.ahead(path.name, time.time())
    if ahead:
        known.update({"problem": ahead, "ahead": True})
        return known
    apart = [part.get("path") for part in manifest.get("parts") or [] if manifest.get("objects") and part.get("kind") == "bucket"]
    gone = next((place for place in apart if not (path / str(place)).exists()), None)
    if gone is not None:
        known["problem"] = f"{gone} is not there"
    for name, size in files.items():
        try:
            there = (path / name).stat().st_size
        except OSError as error:
            known["problem"] = f"{name}: {error.strerror}"
            break
        if there != size:
            known["problem"] = f"{name} has {there} bytes, expected {size}"
            break
    return known


def _first_format(manifest: Mapping[str, Any], known: BackupSet) -> dict[str, int]:
    """A dump from before a migration; it was read back when it was made, or it would not have its name."""
    before = str(manifest.get("from") or "")
    known.update(
        {
            "format": 1,
            "made": str(manifest["made"]),
            "verdict": "verified",
            "heads": {str(manifest["component"]): [] if before in ("", "base") else before.split("_")},
            "seconds": manifest.get("seconds"),
        }
    )
    return {str(manifest["file"]): int(manifest["bytes"])}


def _part(part: Mapping[str, Any]) -> SetPart:
    """Kind and name; of a database, the component whose it is as well."""
    owner = (part.get("facts") or {}).get("component")
    told: SetPart = {"kind": part["kind"], "name": part["name"]}
    if owner:
        told["component"] = owner
    return told


def _second_format(manifest: Mapping[str, Any], known: BackupSet) -> dict[str, int]:
    known.update(
        {
            "made": str(manifest["made"]),
            "verdict": str(manifest.get("verdict") or ""),
            "heads": {str(name): list(heads) for name, heads in (manifest.get("heads") or {}).items()},
            "live": dict(manifest.get("live") or {}),
            "format": manifest.get("format"),
            "stack": str(manifest.get("stack") or ""),
            "left_out": [str(reason) for reason in manifest.get("left_out") or []],
            "parts": [_part(part) for part in manifest.get("parts") or []],
            "seconds": manifest.get("seconds"),
        }
    )
    return {str(name): int(found["bytes"]) for name, found in (manifest.get("files") or {}).items()}
