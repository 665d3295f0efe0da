# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A component that the inventory does not have any more goes from this node, with everything that it left here.

Of one whose releases ran here go

    both slots, all instances, their timers           stopped, not started at boot
    <units>/aistack-<component>@.service, ….d/        removed, as are nginx's files of the slots
    <root>/<component>, <root>/cache/<component>      trees, environments, slots, downloads
    <state>/cache/<component>, /var/cache/aistack-…   what may be fetched or made again
    <state>/{components,gates,receipts,schema,drained,containers}/<component>.json
    images of its releases                            removed, containers end with their units
    the system user of its process                    removed, unless another unit runs as it, or what it wrote stays
    its part of the registry's claims                 removed
    <state>/data/<component>, /var/lib/aistack-…      what it wrote itself: data, which goes by its own word alone

Its section of the edge goes where the edge is converged without it, its database stays as it is, and the journal keeps what was done.
What has no releases is a server or a tool: :mod:`remove_service`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import COMPONENT_NAME, SLOTS, did_you_mean
from ansible_collections.phasegate.aistack.plugins.module_utils.core.service_user import derived_user
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.node import remove_service
from ansible_collections.phasegate.aistack.plugins.module_utils.node.remove_plan import (
    Places,
    Plan,
    Refused,
    carry_out,
    entry_of,
    load,
    own_user,
    text,
    there,
    unit_says,
    unlocked,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.release import image
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import Layout
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import component_file
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.units import existing

OF_A_COMPONENT = ("components", "gates", "receipts", "schema", "drained", "containers")
"""Folders of the state that have a file for each component. The description goes last, since it says where everything is."""


def plan(state_dir: Path, component: str, data: bool, places: Places) -> Plan:
    """What would go.

    Raises:
        Refused: it is not to go now, or there is nothing of it.
    """
    described, _problems = component_file.load_all(state_dir)
    known = sorted({*described, *(path.stem for path in (state_dir / "receipts").glob("*.json"))})
    if not COMPONENT_NAME.fullmatch(component) or component not in known:
        had = {whose for record in Journal.of(state_dir).read() if (whose := record.get("component"))}
        # remove.yml goes by these words
        hint = "; the journal has it" if component in had else f"{did_you_mean(component, had.union(known))}; nothing was done"
        raise Refused(f"no component {component} is on this node; there are {', '.join(known) or 'none'}{hint}")
    if component not in described:
        return remove_service.plan(state_dir, component, data, places)
    users = [name for name, other in described.items() if other.get("source") == component and name != component]
    if users:
        raise Refused(f"{', '.join(users)} runs the releases of {component} (release_from); remove that first")
    if re.search(rf"^backend {re.escape(component)}$", text(places.edge), re.MULTILINE):
        raise Refused(
            f"{places.edge} still has a section for {component}; take the component out of the inventory and run site.yml, which removes it"
        )
    saved = [name for name, parts in load(state_dir / "backup.json").items() if isinstance(parts, list)
             and any(isinstance(part, Mapping) and part.get("component") == component for part in parts)]
    if saved:
        raise Refused(
            f"backup sets of this node read the environment of {component} ({', '.join(saved)} in aistack_backup); take that out of the "
            "inventory and run site.yml"
        )
    return released(state_dir, described[component], data, places)


def released(state_dir: Path, description: component_file.Description, data: bool, places: Places, whole: bool = False) -> Plan:
    """What a component left whose releases ran here. *whole*: what it wrote below the state is put aside, where nobody but root comes."""
    component = str(description["component"])
    spec = component_file.spec_of(description, state_dir)
    unit_file = places.units / spec.unit_of("")
    stem = unit_file.name.removesuffix("@.service")
    found = Plan(last=[component_file.path_of(state_dir, component)])
    found.units = [spec.unit_of(instance) for slot in SLOTS for instance in existing(spec, slot)]
    found.timers = [f"{name}.timer" for name in (spec.timer_of("blue"), spec.timer_of("green"), spec.resume_timer)]
    wanted = [unit_file, Path(f"{unit_file}.d"), *sorted((places.top / "etc/nginx").glob(f"{stem}@*.conf"))]
    wanted += [spec.root / component, spec.root / "cache" / component]
    wanted += [*(spec.root / "cache/plan" / name for name in (component, f"{component}.lock"))]
    wanted += [state_dir / "cache" / component, *sorted((places.top / "var/cache").glob(f"aistack-{component}-*"))]
    wanted += [state_dir / folder / f"{component}.json" for folder in OF_A_COMPONENT[1:]]
    kept = there([places.data / f"aistack-{component}", *([] if whole else [state_dir / "data" / component])])
    if data:
        wanted += kept
    else:
        found.stays += [f"{path}, what {component} wrote itself: data=true takes it away" for path in kept]
    found.paths = there(wanted)
    found.users = own_user((unit_says(unit_file, "User") or [derived_user(component)])[0], [unit_file], places)
    if kept and not data:  # the next user that is made would get its number, and with it the files
        found.stays += [f"user {user}, whose these files are" for user in found.users]
        found.users = []
    written = [path for path in unit_says(unit_file, "ReadWritePaths") if state_dir not in Path(path).parents]
    found.stays += [f"{path}, a folder that {component} wrote into: by hand, rm -r {path}" for path in written if Path(path).exists()]
    layout = Layout(spec.root, component)
    if not layout.releases.is_symlink():  # a component that runs those of another has none of its own
        found.images = image.unneeded([layout.manifest(tag) or {} for tag in layout.staged()], [])
    if any(path.parent.name == "nginx" for path in found.paths) and (places.units / "nginx.service").is_symlink():
        found.stays.append("nginx.service of the package, masked: systemctl unmask nginx.service where something else is to use it")
    if description.get("database"):
        found.stays.append(f"the database of {component}")
    return found


def remove(state_dir: Path, component: str, data: bool, run: str, actor: str, places: Places) -> Plan:
    """Do it. Interrupted, it is finished by the same call. The journal has what went.

    Raises:
        Refused, OSError: see there.
    """
    found = plan(state_dir, component, data, places)
    unlocked(state_dir, run)
    with Journal.of(state_dir).operation("remove", component, None, run, actor, {"removed": found.lines}):
        carry_out(found)
        _forget(state_dir, component, places)
        for path in found.last:
            path.unlink()
    return found


def _forget(state_dir: Path, component: str, places: Places) -> None:
    """Take it out of what the stack claims of this node, so that another stack may call something so."""
    entry = entry_of(state_dir, places)
    claims = entry.get("claims")
    if isinstance(claims, dict):
        role = remove_service.role_of(state_dir, component, places)
        claims["components"] = [name for name in claims.get("components", []) if name != component]
        claims["roles"] = [name for name in claims.get("roles", []) if name != role]
        claims["ports"] = {port: owner for port, owner in claims.get("ports", {}).items() if owner != component}
        write_file(places.registry / f"{entry['name']}.json", json.dumps(entry, indent=1, sort_keys=True) + "\n", 0o644)
