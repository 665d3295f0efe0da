# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What systemd and its journal say about a unit: one question each, with the attempt's time limit."""

from __future__ import annotations

import time
from collections.abc import Mapping

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import CannotJudge, Context, NotAsExpected, last_line
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.unit_text import end_of_log

PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "MainPID",
    "NRestarts",
    "Result",
    "ExecMainStatus",
    "ActiveEnterTimestampMonotonic",
    "InactiveExitTimestampMonotonic",
)


_MARGIN = 0.05
"""Seconds by which the two clocks may differ."""


def show(unit: str, context: Context) -> dict[str, str]:
    """The properties of a unit, by one ``systemctl show``.

    Raises:
        CannotJudge: systemd does not answer here.
    """
    done = context.execute(["systemctl", "show", "--no-pager", "-p", ",".join(PROPERTIES), "--", unit])
    if done.rc != 0:
        raise CannotJudge(f"systemctl: {last_line(done.stderr) or f'exit status {done.rc}'}")
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def since_activation(properties: Mapping[str, str]) -> float | None:
    """Seconds since 1970 at which the unit was started last; None where it never was since boot."""
    micros = properties.get("InactiveExitTimestampMonotonic", "0")
    if not micros.isdigit() or micros == "0":
        return None
    return time.time() - (time.clock_gettime(time.CLOCK_MONOTONIC) - int(micros) / 1e6) - _MARGIN


def lines(unit: str, context: Context, since: float | None, count: int | None = None) -> list[str]:
    """What a unit wrote, oldest first.

    Args:
        since: seconds since 1970; None for everything.
        count: only so many of the newest lines.

    Raises:
        CannotJudge: the journal cannot be read.
    """
    argv = ["journalctl", "--quiet", "--no-pager", "--output=cat", f"--unit={unit}"]
    if since is not None:
        argv.append(f"--since=@{since:.6f}")
    if count is not None:
        argv.append(f"--lines={count}")
    done = context.execute(argv)
    if done.rc != 0:
        raise CannotJudge(f"journalctl: {last_line(done.stderr) or f'exit status {done.rc}'}")
    return done.stdout.splitlines()


def unit_log(unit: str, context: Context, count: int, since: float | None = None) -> list[str]:
    """The newest lines of a unit for a report; what prevents reading them stands in their place.

    A unit that systemd restarts again and again says why in an earlier life, so its activation counts only where it
    never was restarted.
    """
    try:
        if since is None:
            properties = show(unit, context)
            since = since_activation(properties) if properties.get("NRestarts", "0") == "0" else None
        return end_of_log("\n".join(lines(unit, context, since, 2 * count)), count)
    except (CannotJudge, NotAsExpected) as error:
        return [f"(no log: {error})"]
