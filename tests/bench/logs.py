# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of a node while their store is killed and comes back: VictoriaLogs, the node's own command and journal files that
systemd-journal-remote writes, with the files and the command lines of the roles. No lab is needed.

Lost is what the store does not have when all has settled; twice what it has more than once.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from figures import Figures, PartError
from onlab import ROOT

sys.path.insert(0, str(ROOT / ".collections"))

from ansible_collections.phasegate.aistack.tests.integration.logs.conftest import World
from ansible_collections.phasegate.aistack.tests.integration.monitoring.conftest import wait

RATE, SECONDS = 10_000, 60
GONE, BACK = 15, 45
"""Seconds at which the store is killed, and started again."""
PORTION = RATE // 100
LATEST = 300
"""Seconds within which the rest has to arrive."""


def measure(figures: Figures) -> None:
    """All rows."""
    with tempfile.TemporaryDirectory(prefix="aistack-bench-") as name:
        world = World(Path(name))
        del world.variables["log_shipper_settle"]  # as the role has it
        try:
            done = world.configure()
            if done.returncode:
                raise PartError(f"the roles ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-1000:]}")
            world.start_store()
            world.start_shipper()
            _rows(figures, world)
        finally:
            world.end()


def _rows(figures: Figures, world: World) -> None:
    count = RATE * SECONDS
    seconds = _written(world, count)
    if seconds > 1.25 * SECONDS:
        raise PartError(f"{count} lines took {seconds:.0f} s to write instead of {SECONDS}: what was measured says nothing about that rate")
    began = time.monotonic()
    every = "component:api counted"
    while world.count(every) < count and time.monotonic() - began < LATEST:
        time.sleep(1)  # a question costs what others need
    later = time.monotonic() - began
    wait(lambda: world.settled() >= count, 60)
    there, ids = world.count(every), world.count(every, "count_uniq(id)")
    what = f"{RATE} lines/s for {SECONDS} s, their store away for {BACK - GONE} s"
    figures.add(f"{what}: lost", count - ids, f"of {count}", 0, [seconds])
    figures.add("  … twice", there - ids, "lines", 0)
    if ids == count:
        figures.add("  … until all of them were there, after the last was said", later, "s", None)
    lost = world.count(every, "count_uniq(_msg)")
    if lost != ids:
        raise PartError(f"{ids} numbers of lines, and {lost} lines: {world.said()[-1000:]}")


def _written(world: World, count: int) -> float:
    """Seconds that it took to say all of them."""
    began = time.monotonic()
    for number in range(0, count, PORTION):
        if number == GONE * RATE:
            world.kill_store()
        if number == BACK * RATE:
            world.start_store()
        world.write(*(f"counted {one}" for one in range(number, number + PORTION)))
        time.sleep(max(0.0, began + (number + PORTION) / RATE - time.monotonic()))
    return time.monotonic() - began
