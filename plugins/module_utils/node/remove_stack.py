# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A whole stack goes from this node; what other stacks have on it stays as it is.

All its components go as :mod:`remove` and :mod:`remove_service` have it, then what it has as a whole: its part of the edge, its units for
boot, backup and confirmation, root, state, its entry in the registry, and, where it was the last stack here, what all of them share.
Without its data, what of the state nobody can make again is kept, for root alone, in C(<state>.removed-<time>): the journal, backup sets
with the key that signed them, what components wrote, what restores replaced.

The state goes nearly last, because it says where everything is; the registry's entry after it: as long as it is there, the same call
finishes what was interrupted.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import move
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.node import remove as component_remove, remove_service
from ansible_collections.phasegate.aistack.plugins.module_utils.node.remove_plan import (
    GROUP,
    Places,
    Plan,
    Refused,
    carry_out,
    erase,
    has_group,
    load,
    own_user,
    there,
    unlocked,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import component_file

KEPT = ("journal.jsonl*", "backups", "backup.key", "data", "replaced")
"""What of a state nobody can make again."""
SHARED_USERS = (GROUP, f"{GROUP}-build", f"{GROUP}-test")


@dataclass(frozen=True)
class Stack:
    """What the registry says of it."""

    name: str
    root: Path
    state_dir: Path


def plan(stack: Stack, data: bool, places: Places) -> Plan:
    """What would go.

    Raises:
        Refused: root and state are no folders that may go as a whole.
    """
    _whole_folders(stack, places)
    found = Plan()
    described, _problems = component_file.load_all(stack.state_dir)
    for name in sorted(described, key=lambda name: (-int(described[name].get("order") or 0), name)):
        found.add(component_remove.released(stack.state_dir, described[name], data, places, whole=True))
    for receipt in sorted((stack.state_dir / "receipts").glob("*.json")):
        if receipt.stem not in described:
            found.add(_service(stack, receipt.stem, data, places))
    found.add(_whole(stack, places))
    if not _others(stack, places):
        found.add(_shared(found, places))
    inside = (stack.root, stack.state_dir)
    goes = [path for path in found.paths if not any(folder in path.parents for folder in inside)]
    kept = [] if data else _kept(stack)
    found.stays = [line for line in found.stays if not line.startswith(f"{stack.state_dir}/")]
    found.stays += [f"{path}, into {stack.state_dir}.removed-<time>, for root alone: data=true takes it away" for path in kept]
    found.paths = goes
    found.last = there([stack.root, stack.state_dir, places.registry / f"{stack.name}.json"])
    if not _others(stack, places):
        found.last += there([places.top / name for name in ("run/aistack-progress", "usr/local/bin/aistack")] + [places.registry])
    return found


def remove(stack: Stack, data: bool, run: str, actor: str, places: Places) -> tuple[Plan, Path | None]:
    """Do it. Interrupted, it is finished by the same call.

    Returns:
        What went, and the folder that keeps what of its state stays, where something does.

    Raises:
        Refused, OSError: see there.
    """
    found = plan(stack, data, places)
    kept = None
    if stack.state_dir.is_dir():
        unlocked(stack.state_dir, run)
        with Journal.of(stack.state_dir).operation("remove", None, None, run, actor, {"stack": stack.name, "removed": found.lines}):
            carry_out(found)
        kept = None if data else _keep(stack)
    for path in found.last:
        if path == places.registry:
            if not any(path.iterdir()):  # what somebody put there stays
                path.rmdir()
        else:
            erase(path)
    return found, kept


def _whole_folders(stack: Stack, places: Places) -> None:
    """Refuse it where removing root or state would take away what is another's."""
    for variable, folder in (("aistack_root", stack.root), ("aistack_state", stack.state_dir)):
        entries = [load(path) for path in _others(stack, places)]
        others = [Path(entry[key]) for entry in entries for key in ("root", "state_dir") if key in entry]
        others += [stack.state_dir if folder == stack.root else stack.root]
        inside = [str(other) for other in others if folder == other or folder in other.parents]
        if inside or len(folder.parts) < 3:
            why = f"{', '.join(inside)} is in it" if inside else "it is the system's"
            raise Refused(
                f"{variable} of {stack.name} is {folder}, which cannot go as a whole: {why}. By hand: remove its components one by one "
                "(aistack remove), then what docs/architecture.md names"
            )


def _others(stack: Stack, places: Places) -> list[Path]:
    return [path for path in sorted(places.registry.glob("*.json")) if path.stem != stack.name]


def _service(stack: Stack, component: str, data: bool, places: Places) -> Plan:
    role = remove_service.role_of(stack.state_dir, component, places)
    found = remove_service.of_role(role, stack.state_dir, component, data, places)
    if role == "":
        files = [path for path in load(stack.state_dir / "receipts" / f"{component}.json").get("files") or {} if Path(path).exists()]
        found.stays.append(f"{component}, whose role is none of this collection's; by hand: {', '.join(files) or 'what that role made'}")
    return found


def _whole(stack: Stack, places: Places) -> Plan:
    """What it has as a whole outside of root and state."""
    confirms = [f"aistack-confirm-{path.name.split('.')[0]}" for path in sorted((stack.state_dir / "confirm").glob("*.json*"))]
    wants = places.units / "multi-user.target.wants"
    return Plan(
        units=[path.name for name in confirms for path in there([places.units / f"{name}.timer"])],
        paths=there(
            [
                *(places.units / f"{name}.{kind}" for name in confirms for kind in ("service", "timer")),
                *(places.units / "timers.target.wants" / f"{name}.timer" for name in confirms),
                wants / f"aistack-reconcile@{stack.name}.service",
            ]
        ),
    )


def _shared(found: Plan, places: Places) -> Plan:
    """What all stacks of a node share, for the last of them."""
    users = [user for name in SHARED_USERS for user in own_user(name, found.paths, places)]
    stays = any(line.startswith("user ") for line in found.stays)
    return Plan(
        paths=there([places.units / "aistack-reconcile@.service"]),
        users=users,
        groups=[GROUP] if has_group(GROUP) and not stays and GROUP in users else [],
    )


def _kept(stack: Stack) -> list[Path]:
    found = [path for pattern in KEPT for path in sorted(stack.state_dir.glob(pattern))]
    return [path for path in found if path.is_file() or any(not inside.is_dir() for inside in path.rglob("*"))]


def _keep(stack: Stack) -> Path | None:
    """Put aside what is kept. The number of a user that is gone is the next one's: the folder is root's, and closed."""
    wanted = _kept(stack)
    place = stack.state_dir.with_name(f"{stack.state_dir.name}.removed-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    for path in wanted:
        place.mkdir(mode=0o700, exist_ok=True)
        move(path, place / path.name)
    return place if wanted else None
