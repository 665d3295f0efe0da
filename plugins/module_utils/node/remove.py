# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A component that the inventory does not have any more goes from this node, with everything that its releases left here.

What it leaves, and what goes:

    both slots, their timers                          stopped, not started at boot
    <units>/aistack-<component>@.service, ….d/        removed
    <root>/<component>, <root>/cache/<component>      trees, environments, slots, downloads
    <root>/cache/plan/<component>, ….lock             what plans were made in
    <state>/{components,gates,receipts,schema,drained}/<component>.json
    the system user that is called after it           removed, unless another unit runs as it
    its part of the registry's claims                 removed
    <state>/cache/<component>, /var/cache/aistack-<component>-{blue,green}
                                                      what it wrote and can do without
    <state>/data/<component>, /var/lib/aistack-<component>
                                                      what it wrote itself: data, which goes by its own word alone

Its section of the edge goes where the edge is converged without it, its database and folders that it was given elsewhere stay as they
are, and the journal keeps what was done.
"""

from __future__ import annotations

import json
import pwd
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.durable import write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.journal import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lock, describe
from ansible_collections.phasegate.aistack.plugins.module_utils.pure.names import COMPONENT_NAME
from ansible_collections.phasegate.aistack.plugins.module_utils.pure.service_user import derived_user
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import component_file
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.unit import UNITS, run_command

OF_A_COMPONENT = ("components", "gates", "receipts", "schema", "drained")
"""Folders of the state that have a file for each component. The description goes last, since it says where everything is."""
STOP = 120.0


class Refused(Exception):
    """It was not done, or not to its end; the text says why and what to do."""


@dataclass(frozen=True)
class Places:
    """Where a node has things; tests have them elsewhere."""

    units: Path = UNITS
    edge: Path = Path("/etc/haproxy/haproxy.cfg")
    data: Path = Path("/var/lib")
    cache: Path = Path("/var/cache")


@dataclass
class Plan:
    """What goes, in words and as paths, and what stays."""

    component: str
    units: list[str] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    user: str = ""
    stays: list[str] = field(default_factory=list)
    last: Path = Path()

    @property
    def lines(self) -> list[str]:
        """A line for each thing that goes."""
        found = [f"unit {unit}" for unit in self.units] + [str(path) for path in (*self.paths, self.last)]
        return [*found, *([f"user {self.user}"] if self.user else [])]


def plan(state_dir: Path, component: str, data: bool, places: Places) -> Plan:
    """What would go.

    Raises:
        Refused: it is not to go now, or there is nothing of it.
    """
    described, _problems = component_file.load_all(state_dir)
    if not COMPONENT_NAME.fullmatch(component) or component not in described:
        known = ", ".join(described) or "none"
        raise Refused(f"no component {component} was released on this node; there are {known}")
    users = [name for name, other in described.items() if other.get("source") == component and name != component]
    if users:
        raise Refused(f"{', '.join(users)} runs the releases of {component} (release_from); remove that first")
    if re.search(rf"^backend {re.escape(component)}$", _text(places.edge), re.MULTILINE):
        raise Refused(
            f"{places.edge} still has a section for {component}; take the component out of the inventory and run site.yml, which removes it"
        )
    saved = [name for name, parts in _json(state_dir / "backup.json").items() if isinstance(parts, list)
             and any(isinstance(part, Mapping) and part.get("component") == component for part in parts)]  # fmt: skip
    if saved:
        raise Refused(
            f"backup sets of this node read the environment of {component} ({', '.join(saved)} in aistack_backup); take that out of the "
            "inventory and run site.yml"
        )
    spec = component_file.spec_of(described[component], state_dir)
    unit_file = places.units / spec.unit_of("")
    found = Plan(component, last=component_file.path_of(state_dir, component))
    found.units = [spec.unit_of(slot) for slot in ("blue", "green")]
    wanted = [unit_file, Path(f"{unit_file}.d"), spec.root / component, spec.root / "cache" / component]
    plans = spec.root / "cache" / "plan"
    wanted += [plans / component, plans / f"{component}.lock", state_dir / "cache" / component]
    wanted += [places.cache / f"aistack-{component}-{slot}" for slot in ("blue", "green")]
    wanted += [state_dir / folder / f"{component}.json" for folder in OF_A_COMPONENT[1:]]
    kept = [state_dir / "data" / component, places.data / f"aistack-{component}"]
    if data:
        wanted += kept
    else:
        found.stays += [f"{path}, what it wrote itself: data=true takes it away" for path in kept if path.exists()]
    found.stays += [f"{path}, which it could write; remove it by hand if nobody needs it" for path in _elsewhere(unit_file, state_dir)]
    found.paths = [path for path in wanted if path.is_symlink() or path.exists()]
    found.user = _own_user(component, unit_file, places.units)
    if described[component].get("database"):
        found.stays.append("its database")
    return found


def remove(state_dir: Path, component: str, data: bool, run: str, actor: str, registry: Path, places: Places) -> Plan:
    """Do it. Cut off, it is finished by the same call. The journal has what went.

    Raises:
        Refused, OSError: see there.
    """
    found = plan(state_dir, component, data, places)
    lease = Lock(state_dir).holder()
    if lease is not None and lease.get("run") != run:
        raise Refused(f"this node is being changed by {describe(lease)}; wait for it to end")
    with Journal.of(state_dir).operation("remove", component, None, run, actor, {"removed": found.lines}):
        spec = component_file.spec_of(_json(found.last), state_dir)
        for name in (*(spec.timer_of(slot) for slot in ("blue", "green")), spec.resume_timer):
            run_command(["systemctl", "stop", f"{name}.timer"], STOP)  # most of the time there is none
        for unit in found.units:
            stopped = run_command(["systemctl", "disable", "--now", unit], STOP)
            if run_command(["systemctl", "is-active", "--quiet", unit], STOP).rc == 0:
                raise Refused(f"{unit} does not stop: {stopped.stderr.strip()}; stop it, and run this again")
        for path in found.paths:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        run_command(["systemctl", "daemon-reload"], STOP)
        run_command(["systemctl", "reset-failed", *found.units], STOP)
        if found.user:
            gone = run_command(["userdel", found.user], STOP)
            if gone.rc != 0:
                raise Refused(f"the user {found.user} cannot be removed: {gone.stderr.strip()}; mend that, and run this again")
        _forget(registry, component, state_dir)
        found.last.unlink()
    return found


def _elsewhere(unit_file: Path, state_dir: Path) -> list[Path]:
    """The folders outside the stack's own that the unit lets it write: others may have theirs in there."""
    own = (state_dir / "data", state_dir / "cache")
    folders = [Path(path) for line in re.findall(r"^ReadWritePaths=(.*)$", _text(unit_file), re.MULTILINE) for path in line.split()]
    return [path for path in folders if path.exists() and not any(base in path.parents for base in own)]


def _own_user(component: str, unit_file: Path, units: Path) -> str:
    """The user that is called after the component, where it is there and nothing else runs as it."""
    user = derived_user(component)
    try:
        pwd.getpwnam(user)
    except KeyError:
        return ""
    said = re.compile(rf"^User={re.escape(user)}$", re.MULTILINE)
    others = [path for path in units.glob("*.service") if path != unit_file and said.search(_text(path))]
    return "" if others else user


def _forget(registry: Path, component: str, state_dir: Path) -> None:
    """Take it out of what the stack claims of this node, so that another stack may call something so."""
    for path in sorted(registry.glob("*.json")):
        entry = _json(path)
        claims = entry.get("claims")
        if entry.get("state_dir") == str(state_dir) and isinstance(claims, dict):
            claims["components"] = [name for name in claims.get("components", []) if name != component]
            claims["ports"] = {port: owner for port, owner in claims.get("ports", {}).items() if owner != component}
            write_file(path, json.dumps(entry, indent=1, sort_keys=True) + "\n", 0o644)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(_text(path) or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
