# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The components of a node, as a diagnosis sees them: which units, in which state, what they said, with which environment."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import Systemd, UnitError, UnitState
from ansible_collections.phasegate.aistack.plugins.module_utils.core.masking import SHORTEST
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import SLOTS
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import Home, container_file
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.secret_files import Secrets, Unreadable
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import component_file
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.component_file import Description
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.units import existing

NAMED_ON_NODE = {"postgres": "postgresql@*.service"}
"""Roles whose unit only the node knows, to how it is called."""
_AT_ONCE = 8
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR)
SINCE_S = 3600.0
"""Seconds of the log that count of what runs."""
_SWITCHES = ("activate", "canary", "prepare", "revert")
_WORST = ("failed", "restarting", "absent", "stopped", "unknown", "running")


@dataclass
class Part:
    """A slot of a component, or a component without slots.

    Attributes:
        units: those of its instances.
        env_file: its environment; empty where it has none.
        live: whether it serves, or would, since nothing else of the component does.
    """

    component: str
    role: str
    slot: str
    units: list[str]
    env_file: str = ""
    release: str = "-"
    live: bool = True
    environment: dict[str, str] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    states: list[UnitState] = field(default_factory=list)

    @property
    def state(self) -> str:
        """Of all its units the worst, in a word."""
        return min((word(state) for state in self.states), key=_WORST.index, default="unknown")

    def said(self, systemd: Systemd, seconds: float, lines: int) -> list[str]:
        """The last lines of its units: of the last *seconds*, and of any age where it does not run, which may be so since long ago."""
        since = time.time() - seconds if self.state == "running" else 0.0
        return systemd.log_tail(self.units, since, lines) if self.units else []

    def thing(self) -> dict[str, object]:
        """What rules see of it."""
        worst = min(self.states, key=lambda state: _WORST.index(word(state)), default=None)
        return {
            "component": self.component, "role": self.role, "slot": self.slot, "live": self.live, "release": self.release,
            "unit": worst.name if worst else self.units[0] if self.units else "-", "state": self.state,
            "result": worst.result if worst else "", "reason": (worst.reason if worst else "") or "-",
            "restarts": worst.restarts if worst else 0, "log": self.log,
        }


def word(state: UnitState) -> str:
    """The state of a unit, as the section C(components) calls it."""
    if not state.exists:
        return "absent"
    if state.failed:
        return "failed"
    if state.crash_looping:
        return "restarting"
    return "running" if state.running else "stopped"


def parts(
    given: Sequence[Mapping[str, Any]], root: str, state_dir: str, records: Sequence[Record], systemd: Systemd, problems: list[str]
) -> list[Part]:
    """The parts of the components of this node.

    Args:
        given: C(component), C(role), and C(unit) where it has no slots.
        records: the journal.
        problems: gets a sentence for each description that cannot be used.
    """
    descriptions, unusable = component_file.load_all(state_dir)
    problems += unusable
    found: list[Part] = []
    for one in given:
        name, role = str(one["component"]), str(one.get("role") or "")
        if name in descriptions:
            found += _slots(name, role, root, state_dir, descriptions[name], records)
        elif one.get("unit"):
            found.append(Part(name, role, "-", [str(one["unit"])]))
        elif role in NAMED_ON_NODE:
            units = systemd.matching(NAMED_ON_NODE[role])
            found += [Part(name, role, "-", units)] if units else []
    return found


def _slots(name: str, role: str, root: str, state_dir: str, described: Description, records: Sequence[Record]) -> list[Part]:
    """The live slot; where nothing is live, those that hold something; and the idle one where the newest switch went wrong."""
    home, spec = Home(root, name), component_file.spec_of(described, state_dir)
    live = os.path.basename(os.path.realpath(home.live_link)) if os.path.lexists(home.live_link) else ""
    last = next((record for record in reversed(records) if record.get("component") == name and record.get("op") in _SWITCHES), None)
    wrong = bool(last and (last.get("outcome") != "ok" or last.get("op") == "revert"))
    held = [slot for slot in SLOTS if os.path.lexists(home.slots_dir / slot / "config")]
    found = []
    for slot in SLOTS:
        if slot == live or (slot in held and (not live or wrong)) or (not live and not held and slot == SLOTS[0]):
            link = home.slots_dir / slot / "release"
            found.append(Part(
                name, role, slot, [spec.unit_of(instance) for instance in existing(spec, slot)], _env_file(home, slot),
                os.path.basename(os.readlink(link)) if link.is_symlink() else "-", slot == live or not live,
            ))
    return found


def _env_file(home: Home, slot: str) -> str:
    """The environment of a slot; where it has none, the newest that was laid down."""
    own = home.slots_dir / slot / "config" / "env"
    if own.is_file():
        return str(own)
    made = [path for path in home.configs.glob("*/env") if path.is_file()]
    return str(max(made, key=lambda path: path.stat().st_mtime)) if made else ""


def look(found: Sequence[Part], secrets: Secrets, systemd: Systemd, lines: int, problems: list[str]) -> None:
    """Fill in states, environments and logs, which are not masked yet. *lines*: of each part."""
    for part in found:
        if part.env_file:
            try:
                part.environment = secrets.environment(part.env_file)
            except Unreadable as error:
                problems.append(f"{error.filename}: {error.strerror}")
    units = list(dict.fromkeys(unit for part in found for unit in part.units))
    states: dict[str, UnitState] = {}
    try:
        states = dict(zip(units, systemd.show(*units))) if units else {}
    except UnitError as error:
        problems.append(str(error))
    for part in found:
        part.states = [states[unit] for unit in part.units if unit in states]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for part, log in zip(found, pool.map(lambda part: part.said(systemd, SINCE_S, lines), found)):
            part.log = log


def learn_all(root: str, state_dir: str, secrets: Secrets) -> list[str]:
    """Remember what is secret on this node: of every configuration that is laid down, servers' credentials, and the backup's files.

    Returns:
        a sentence for each file that is there and cannot be read.
    """
    unread: list[str] = []
    for folder in Path(root).glob("*/config"):
        try:  # what glob may not look into, it passes over
            found = sorted(os.listdir(folder))
        except OSError as error:
            found = []
            unread += [] if error.errno in _NOT_THERE else [f"{folder}: {error.strerror}"]
        for name in found:
            try:
                secrets.environment(str(folder / name / "env"))
            except Unreadable as error:
                unread += [] if error.errno in _NOT_THERE else [f"{error.filename}: {error.strerror}"]
    files = [*sorted(Path(state_dir).glob("credentials/*")), *(Path(state_dir) / name for name in ("backup.key", "backup.rclone.conf"))]
    for path in files:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            unread += [] if error.errno in _NOT_THERE else [f"{path}: {error.strerror}"]
            continue
        name = path.name
        if name != "backup.rclone.conf":
            secrets.add(text.strip(), SHORTEST)
        settings = (line.partition("=") for line in text.splitlines())
        secrets.learn({key.strip(): value.strip() for key, is_set, value in settings if is_set})
    return unread


def in_container(state_dir: str, component: str) -> bool:
    """Whether it runs in a container: its network is another, and its ports are Docker's."""
    return container_file(state_dir, component).exists()
