# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What systemd and its journal say about a unit: one question each, with the attempt's time limit."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import CannotJudge, Context, NotAsExpected, last_line
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import UnitState, parse_show, show_command
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.unit_text import end_of_log

_MARGIN = 0.05
"""Seconds by which the two clocks may differ."""


def show(unit: str, context: Context) -> UnitState:
    """The state of a unit, by one ``systemctl show``.

    Raises:
        CannotJudge: systemd does not answer here.
    """
    done = context.execute(show_command(unit))
    states = parse_show(done.stdout)
    if done.rc != 0 or not states:
        raise CannotJudge(f"systemctl: {last_line(done.stderr) or f'exit status {done.rc}'}")
    return states[0]


def since_activation(state: UnitState) -> float | None:
    """Seconds since 1970 at which the unit was started last; None where it never was since boot."""
    return time.time() - (time.monotonic() - state.began) - _MARGIN if state.began else None


def lines(units: Sequence[str], context: Context, since: float | None, count: int | None = None) -> list[str]:
    """What units wrote, oldest first.

    Args:
        since: seconds since 1970; None for everything.
        count: only so many of the newest lines.

    Raises:
        CannotJudge: the journal cannot be read.
    """
    argv = ["journalctl", "--quiet", "--no-pager", "--output=cat", *(f"--unit={unit}" for unit in units)]
    if since is not None:
        argv.append(f"--since=@{since:.6f}")
    if count is not None:
        argv.append(f"--lines={count}")
    done = context.execute(argv)
    if done.rc != 0:
        raise CannotJudge(f"journalctl: {last_line(done.stderr) or f'exit status {done.rc}'}")
    return done.stdout.splitlines()


def unit_log(units: Sequence[str], context: Context, count: int, since: float | None = None) -> list[str]:
    """The newest lines of units, those of one slot, for a report; what prevents reading them stands in their place.

    A unit that systemd restarts again and again says why in an earlier life, so its activation counts only where it
    never was restarted.
    """
    try:
        if since is None:
            state = show(units[0], context)
            since = since_activation(state) if not state.restarts else None
        return end_of_log("\n".join(lines(units, context, since, 2 * count)), count)
    except (CannotJudge, NotAsExpected) as error:
        return [f"(no log: {error})"]
