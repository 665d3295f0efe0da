# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The units of a slot: one for each of its instances, all of the same template.

What C(%i) is of the second one, C(blue-2), is a link to the slot in the folder of the slots, so that the paths in the template lead to the
slot's own release, config and C(slot.env). These links say which instances there are, also beyond the number that is wanted.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import Systemd, UnitState, Watch
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import fsync, replace_link
from ansible_collections.phasegate.aistack.plugins.module_utils.core.instances import instance_names, number_of
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import Home
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.plan import Slot

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.slots.node import Spec


@dataclass(frozen=True)
class SlotUnits:
    """The units of a component's slots on this node.

    Attributes:
        spec: what is said about the slots.
        systemd: how units are reached.
    """

    spec: Spec
    systemd: Systemd

    @property
    def folder(self) -> Path:
        """Where the slots are."""
        return Home(self.spec.root, self.spec.component).slots_dir

    def wanted(self, slot: str) -> list[str]:
        """The instances that *slot* is to have."""
        return instance_names(slot, self.spec.instances)

    def existing(self, slot: str) -> list[str]:
        """The instances that *slot* is to have, and those beyond that are still there."""
        return existing(self.spec, slot)

    def units(self, slot: str) -> list[str]:
        """The units of :meth:`wanted`."""
        return [self.spec.unit_of(instance) for instance in self.wanted(slot)]

    def all_units(self, slot: str) -> list[str]:
        """The units of :meth:`existing`."""
        return [self.spec.unit_of(instance) for instance in self.existing(slot)]

    def link(self, slot: str) -> None:
        """Have the links of the instances that are wanted."""
        for instance in self.wanted(slot)[1:]:
            if not os.path.lexists(self.folder / instance) or os.readlink(self.folder / instance) != slot:
                replace_link(self.folder / instance, slot)

    def unlink(self, slot: str) -> None:
        """Forget the instances beyond those that are wanted: their units do not run any more."""
        gone = self.existing(slot)[len(self.wanted(slot)):]
        for instance in gone:
            (self.folder / instance).unlink(missing_ok=True)
        if gone:
            fsync(self.folder)

    def idle(self, slot: str) -> list[str]:
        """The units that are to run, and do not."""
        units = self.units(slot)
        return [unit for unit, state in zip(units, self.systemd.show(*units)) if not state.running]

    def stop(self, slot: str) -> list[str]:
        """Stop all that there is, side by side; returns the units that had to be killed."""
        return self.systemd.stop_all(self.all_units(slot))

    def seen(self, slot: str, units: Mapping[str, UnitState]) -> Slot:
        """What is real of *slot* by its units, whose states are *units*, by instance: it runs, and starts at boot, if any of them does."""
        wanted = [units[instance] for instance in self.wanted(slot)]
        found = [units[instance] for instance in self.existing(slot)]
        running, enabled = any(state.running for state in found), any(state.enabled for state in found)
        return Slot(
            running=running,
            enabled=enabled,
            crash_looping=any(state.crash_looping for state in wanted),
            outdated=any(state.outdated for state in wanted),
            short=running and not all(state.running for state in wanted),
            short_at_boot=enabled and not all(state.enabled for state in wanted),
        )

    def watch(self, slot: str, fresh: set[str]) -> Callable[[], str]:
        """Tells early that a unit of *slot* will not come up. *fresh*: those that were just started."""
        units = self.units(slot)
        older = [unit for unit in units if unit not in fresh]
        before = {unit: state.restarts for unit, state in zip(older, self.systemd.show(*older) if older else ())}
        watches = [Watch(self.systemd, unit, baseline=before.get(unit, 0)) for unit in units]

        def trouble() -> str:
            said = (watch.judge(state) for watch, state in zip(watches, self.systemd.show(*units)))
            return next((why for why in said if why), "")

        return trouble

    def log_tail(self, slot: str, since: float) -> list[str]:
        """The last lines that the units of *slot* wrote since *since* (seconds since 1970)."""
        return self.systemd.log_tail(self.units(slot), since)

    def retire_script(self, slot: str) -> str:
        """Shell script of a timer: stops *slot* unless it has become the live one in the meantime."""
        units, live = shlex.join(self.all_units(slot)), Home(self.spec.root, self.spec.component).live_link
        return f"readlink {shlex.quote(str(live))} | grep -qx {slot} || systemctl disable --now --quiet {units}"


def existing(spec: Spec, slot: str) -> list[str]:
    """The instances that *slot* is to have, and those beyond that are still there."""
    try:
        there = number_of(os.listdir(Home(spec.root, spec.component).slots_dir), slot)
    except OSError:  # nothing was ever in a slot
        there = 1
    return instance_names(slot, max(there, spec.instances))
