# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A deployment that builds, one that lays down what was built before, and a rollback to a release that the nodes do not have any more."""

from __future__ import annotations

import statistics

from figures import Figures, PartError
from onlab import AFTER, BEFORE, EDGES, bring, on, play, release_of

ROUNDS = 2
TREES = {"backend": "backend-1", "frontend": "web-1"}
"""Component with trees of its own to its node."""


def forget(release: str) -> None:
    """Have the nodes without the trees of a release, as retention would. Raises PartError where a slot still runs one."""
    for component, node in TREES.items():
        folder = f"/opt/aistack/{component}"
        slots = on(node, f"find {folder}/slots -mindepth 2 -maxdepth 2 -name release -printf '%l\\n'").split()
        if any(path.endswith(f"/{release}") for path in slots):
            raise PartError(f"a slot of {component} on {node} still has {release}; retention would not remove it")
        on(node, f"rm -rf {folder}/releases/{release} {folder}/releases/{release}.*")


def alone(release: str) -> None:
    """Have a release in both slots of what is fronted, so that no slot has another one."""
    bring(release)
    play("restart", "-e", f"only={','.join(TREES)}")


def deployed(*arguments: str) -> float:
    """Seconds of a deployment of the newer release, whose trees the nodes do not have."""
    alone(BEFORE)
    forget(AFTER)
    return play("deploy", "-e", f"release={AFTER}", "-e", "allow_bad=true", *arguments)


def gone_back() -> float:
    """Seconds of a rollback to the older release, whose trees the nodes do not have."""
    alone(AFTER)
    forget(BEFORE)
    seconds = play("rollback", "-e", "level=app", "-e", f"to={BEFORE}", "-e", f"confirm={BEFORE}")
    found = {release_of(url) for url in EDGES.values()}
    if found != {BEFORE}:
        raise PartError(f"after the rollback {', '.join(sorted(found))} answers, expected {BEFORE}")
    return seconds


def measure(figures: Figures, unit: float) -> None:
    """All rows; *unit* is P in seconds. The older release is live before and after."""
    built = [deployed("-e", '{"aistack_artefacts": false}') for _turn in range(ROUNDS)]
    figures.add("deployment to a release never built", statistics.median(built) / unit, "P", 32, [one / unit for one in built])
    deployed()  # so that it is kept
    kept = [deployed() for _turn in range(ROUNDS)]
    figures.add("deployment to a release whose artefact exists", statistics.median(kept) / unit, "P", 15, [one / unit for one in kept])
    back = [gone_back() for _turn in range(ROUNDS)]
    figures.add("rollback to a release that retention removed", statistics.median(back) / unit, "P", 15, [one / unit for one in back])
