# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A unit of systemd is as it should be, for long enough, without having been restarted; that of a slot runs the release that it should."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients import journald
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import CannotJudge, Context
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import UnitState
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import Mismatch, at, check, check_all, describe_all, show
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import Home
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.file import parse_env
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe, at_least, judge, units_meant

PROC = Path("/proc")


class Unit(Probe):
    """Ask systemd once and compare."""

    type = "unit"
    target = Option("str", "name of the unit; ${unit} stands for those of all instances of the slot", required=True)
    options = {
        "state": Option("scalar", "ActiveState", default="active"),
        "sub": Option("scalar", "SubState, such as running"),
        "enabled": Option("bool", "whether it is started at boot"),
        "stable_for": Option("figure", "seconds since it became active; a number means at least"),
        "restarts": Option("figure", "automatic restarts since it was started"),
        "release": Option("scalar", "release that its process was started with, such as ${release}; of the unit of a slot"),
    }
    hint = "try: systemctl status {target}; journalctl -u {target} -n 50"

    def expectation(self) -> str:
        return describe_all(self._wanted())

    def _wanted(self) -> dict[str, object]:
        wanted: dict[str, object] = {"state": self.spec.get("state", "active")}
        for key in ("sub", "enabled", "restarts", "release"):
            if self.spec.get(key) is not None:
                wanted[key] = self.spec[key]
        if self.spec.get("stable_for") is not None:
            wanted["stable_for"] = at_least(self.spec["stable_for"])
        return wanted

    def observe(self, context: Context) -> Attempt:
        units = units_meant(str(self.spec["target"]), context.names)
        if len(units) < 2:
            return self._look(units[0], context)
        seen = {unit: self._look(unit, context) for unit in units}
        wrong = {unit: attempt for unit, attempt in seen.items() if not attempt.ok}
        if not wrong:
            return replace(seen[units[0]], got=f"{len(units)} instances: {seen[units[0]].got}",
                           detail="\n".join(attempt.detail for attempt in seen.values()))
        first = next(iter(wrong.values()))
        return replace(first, got="; ".join(f"{unit}: {attempt.got}" for unit, attempt in wrong.items()),
                       detail="\n".join(attempt.detail for attempt in wrong.values() if attempt.detail))

    def _look(self, unit: str, context: Context) -> Attempt:
        shown = journald.show(unit, context)
        if shown.load == "not-found" and check(self._wanted()["state"], "inactive"):
            return Attempt(False, f"there is no unit {unit}", self.expectation())
        came = state_of(shown)
        if self.spec.get("release") is not None and shown.active == "active":
            came["release"] = release_of(shown, unit, context.names)
        found: list[Mismatch] = check_all(self._wanted(), came)
        if found and found[0].path == "state":  # the rest follows from it
            found = found[:1]
        detail = f"{unit}: {came['state']} ({came['sub']}), restarts {came['restarts']}"
        if shown.result not in ("success", "") or shown.exec_status:
            detail += f", result {shown.result}, exit status {shown.exec_status}"
        got = ", ".join(at(key, show(came.get(key))) for key in self._wanted())
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


def release_of(shown: UnitState, unit: str, names: Mapping[str, Any]) -> str:
    """The release that the process of a slot's unit was started with.

    Its environment says so, as systemd gave it; a program that writes its title over it stands in the tree of the release. Where neither
    tells, or this user may not see it, as root in a container, the slot says which release it is, if the process is younger than that.

    Raises:
        CannotJudge: none of it can be told.
    """
    own, release = PROC / str(shown.main_pid), str(names.get("release") or "")
    try:
        for entry in (own / "environ").read_bytes().split(b"\0"):
            if entry.startswith(b"AISTACK_RELEASE="):
                return entry.partition(b"=")[2].decode("utf-8", "replace")
        stands, tree = Path(os.readlink(own / "cwd")), Path(str(names.get("release_path") or os.devnull)).resolve()
        if tree in (stands, *stands.parents):
            return release
    except OSError:  # another user's, in a container; it may also have ended, which its state says at the next attempt
        pass
    if unit not in units_meant(str(names.get("unit")), names) or not names.get("config_path"):
        raise CannotJudge(f"it cannot be told which release {unit} runs: neither its process nor a slot says so. Expected ${{unit}}")
    base = Path(str(names["config_path"])).parents[1]
    path = Home(base.parent, base.name).slots_dir / str(names.get("slot")) / "slot.env"
    said = parse_env(path.read_text(encoding="utf-8")).get("AISTACK_RELEASE", "")
    started = time.time() - time.monotonic() + shown.began
    return said if path.stat().st_mtime <= started + _MARGIN else f"one from before its slot became {said}"


_MARGIN = 0.05
"""Seconds by which the clock and the time of a file may differ."""
