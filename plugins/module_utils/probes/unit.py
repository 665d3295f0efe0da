# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A unit of systemd is as it should be, for long enough, without having been restarted."""

from __future__ import annotations

import time

from ansible_collections.phasegate.aistack.plugins.module_utils.clients import journald
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import UnitState
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import Mismatch, at, check, check_all, describe_all, show
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe, at_least, judge


class Unit(Probe):
    """Ask systemd once and compare."""

    type = "unit"
    target = Option("str", "name of the unit", required=True)
    options = {
        "state": Option("scalar", "ActiveState", default="active"),
        "sub": Option("scalar", "SubState, such as running"),
        "enabled": Option("bool", "whether it is started at boot"),
        "stable_for": Option("figure", "seconds since it became active; a number means at least"),
        "restarts": Option("figure", "automatic restarts since it was started"),
    }
    hint = "try: systemctl status {target}; journalctl -u {target} -n 50"

    def expectation(self) -> str:
        return describe_all(self._wanted())

    def _wanted(self) -> dict[str, object]:
        wanted: dict[str, object] = {"state": self.spec.get("state", "active")}
        for key in ("sub", "enabled", "restarts"):
            if self.spec.get(key) is not None:
                wanted[key] = self.spec[key]
        if self.spec.get("stable_for") is not None:
            wanted["stable_for"] = at_least(self.spec["stable_for"])
        return wanted

    def observe(self, context: Context) -> Attempt:
        shown = journald.show(str(self.spec["target"]), context)
        unit = self.spec["target"]
        if shown.load == "not-found" and check(self._wanted()["state"], "inactive"):
            return Attempt(False, f"there is no unit {unit}", self.expectation())
        came = state_of(shown)
        found: list[Mismatch] = check_all(self._wanted(), came)
        if found and found[0].path == "state":  # the rest follows from it
            found = found[:1]
        detail = f"{unit}: {came['state']} ({came['sub']}), restarts {came['restarts']}"
        if shown.result not in ("success", "") or shown.exec_status:
            detail += f", result {shown.result}, exit status {shown.exec_status}"
        got = ", ".join(at(key, show(came[key])) for key in self._wanted())
        return judge(found, self.expectation(), got, detail)


def state_of(shown: UnitState) -> dict[str, object]:
    """What systemd says, as a probe compares it; ``stable_for`` is in seconds."""
    stable = round(time.monotonic() - shown.entered, 1) if shown.active == "active" and shown.entered else 0.0
    return {
        "state": shown.active,
        "sub": shown.sub,
        "enabled": shown.enabled,
        "restarts": shown.restarts,
        "stable_for": stable,
    }
