# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A gate that asks Prometheus twenty things, and the way of an alert. Prometheus and Alertmanager are the distribution's, with the files
and the command lines of the roles, on loopback; no lab is needed.

A question is dear by what it looks back over: each of the twenty evaluates up to some hours second by second. The gate is held
against the slowest answer that it got itself, since all of them share the processors of this machine.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from figures import Figures, PartError
from onlab import ROOT

sys.path.insert(0, str(ROOT / ".collections"))

from ansible_collections.phasegate.aistack.plugins.module_utils.gate.watch import Watch, prepared
from ansible_collections.phasegate.aistack.plugins.module_utils.probes import prometheus
from ansible_collections.phasegate.aistack.tests.integration.monitoring.conftest import ROLES, Web, World, wait

CONDITIONS, GATES = 20, 7
ROUNDS = 5
QUICK = {"prometheus_interval": 1, "prometheus_timeout": 1, "prometheus_evaluation": 1, "alertmanager_wait": 1, "alertmanager_interval": 1}
USUAL = {"prometheus_interval": 15, "prometheus_timeout": 10, "prometheus_evaluation": 15, "alertmanager_wait": 10,
         "alertmanager_interval": 60}
"""The defaults of the roles."""
UP = 'up{component="api",slot="green"}'
GONE = {"name": "bench", "rules": [{"alert": "Gone", "expr": f"{UP} == 0", "labels": {"severity": "critical"}}]}
"""Without a time for which it has to last: what is measured is the way."""


@contextmanager
def watched(folder: Path, times: dict[str, int]) -> Iterator[tuple[World, Web]]:
    """Prometheus and Alertmanager, and the slot that will fail."""
    folder.mkdir()
    world = World(folder)
    green = Web(world.ports["api_green"])
    try:
        done = world.configure(*ROLES, prometheus_rules=[GONE], **times)
        if done.returncode:
            raise PartError(f"the roles ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-1000:]}")
        world.start()
        yield world, green
    finally:
        world.end()
        green.shutdown()
        green.server_close()


def until(what: Callable[[], Any], seconds: float, problem: str) -> Any:
    """What comes of it. Raises PartError where nothing does."""
    found = wait(what, seconds)
    if not found:
        raise PartError(problem)
    return found


def gates(figures: Figures, world: World, folder: Path) -> None:
    """Twenty conditions at once, each a question of its own."""
    login = {"target": f"http://127.0.0.1:{world.ports['prometheus']}", "username": "reader", "password_file": str(world.password)}
    conditions = prepared([
        {"name": f"q{number}", "source": "prometheus", "query": f"sum_over_time(max(up)[{30 * number}m:1s]) > bool 0", "value": {"ge": 1},
         "window": 1, "timeout": 30, **login}
        for number in range(1, CONDITIONS + 1)
    ])
    asked: list[float] = []
    ask = prometheus.series

    def timed(*arguments: Any) -> Any:
        began = time.perf_counter()
        answer = ask(*arguments)
        asked.append(time.perf_counter() - began)
        return answer

    prometheus.series = timed
    try:
        walls, ratios = [], []
        for _turn in range(GATES + 1):
            asked.clear()
            began = time.perf_counter()
            answer = Watch(conditions, root=str(folder), state_dir=str(folder), at_once=True).run()
            walls.append(time.perf_counter() - began)
            if answer["verdict"] != "pass" or len(asked) != CONDITIONS:
                raise PartError(f"{len(asked)} questions of a gate over {CONDITIONS}: {answer['msg']}")
            ratios.append(walls[-1] / max(asked))
    finally:
        prometheus.series = ask
    what = f"a metric gate over {CONDITIONS} conditions, over its slowest query"
    figures.add(what, statistics.median(ratios[1:]), "times", 1.3, ratios[1:])
    figures.add("  … the gate", statistics.median(walls[1:]), "s", None, walls[1:])


def way(figures: Figures, world: World, green: Web, times: dict[str, int], rounds: int) -> None:
    """From a target that fails to a webhook that was told."""
    waited = times["prometheus_interval"] + times["prometheus_evaluation"] + times["alertmanager_wait"]
    told = world.web.told
    samples = []
    for turn in range(rounds):
        until(lambda: world.probe(prometheus=None, query=UP, value=1).ok, 3 * waited + 20, "the slot that is to fail never came up")
        if turn:
            until(lambda: ("Gone", "resolved") in told, 3 * waited + 90, "the alert was never resolved")
        time.sleep(0.37 * turn)  # not always at the same moment of a turn
        told.clear()
        green.shutdown()
        green.server_close()
        began = time.monotonic()
        until(lambda: ("Gone", "firing") in told, 3 * waited + 20, f"nobody was told within {3 * waited + 20} s; alerts: {world.alerts()}")
        samples.append(time.monotonic() - began)
        green = Web(world.ports["api_green"])
    green.shutdown()
    green.server_close()
    what = f"from a failing target to a received alert, scrape {times['prometheus_interval']} s, evaluation"
    what += f" {times['prometheus_evaluation']} s, group {times['alertmanager_wait']} s"
    figures.add(what, max(samples), "s", waited + 2, samples)


def measure(figures: Figures) -> None:
    """All rows."""
    with tempfile.TemporaryDirectory(prefix="aistack-bench-") as name:
        folder = Path(name)
        with watched(folder / "quick", QUICK) as (world, green):
            until(lambda: world.probe(prometheus=None, query="sum_over_time(max(up)[1m:1s])", value=3).ok, 30, "no target came up")
            way(figures, world, green, QUICK, ROUNDS)
            gates(figures, world, folder)
        with watched(folder / "usual", USUAL) as (world, green):
            way(figures, world, green, USUAL, 1)
