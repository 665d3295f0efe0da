# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What watching costs the lab: a phase that has nothing to do, memory and processor of what watches, the requests that it slows down,
and how long one waits for the causes of a worker that does not work.
"""

from __future__ import annotations

import json
import re
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

from figures import Figures, PartError
from onlab import RATE, Visitors, on, play

NODES = ("backend-1", "gpu-1", "web-1")
WATCHING = (r"(aistack-)?(prometheus|alertmanager|[a-z]+-exporter|log-shipper|victoria-?logs|loki|grafana|superset|jaeger)"
            r"([@-].*)?[.]service")
"""Units that watch, by their names."""
SENDING = r"aistack-([a-z]+-exporter|log-shipper|prometheus)[.]service"
"""Those that read figures and send lines: what a node is spared where nobody watches."""
ROUNDS, LOAD_S = 4, 30

USED = """
import json, os, re
found, tick = {{}}, os.sysconf("SC_CLK_TCK")
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        groups = open("/proc/" + pid + "/cgroup").read().splitlines()
        names = {{group.rpartition("/")[2] for group in groups}}
        rows = open("/proc/" + pid + "/smaps_rollup").read().splitlines()
        spent = open("/proc/" + pid + "/stat").read().rpartition(")")[2].split()
    except OSError:
        continue  # it has ended
    for unit in [name for name in names if re.fullmatch(r"{units}", name)]:
        memory, cpu = found.get(unit, (0, 0))
        memory += sum(int(row.split()[1]) for row in rows if row.startswith("Pss:")) / 1024
        found[unit] = memory, cpu + sum(map(int, spent[11:15])) / tick  # its own, and that of those that it has waited for
print(json.dumps(found))
"""
"""Prints units that run, each with its MiB of memory (a page of several processes is shared among them) and its processor seconds. Which
unit a process is of says its control group, whichever version of these there is.
"""


def used(node: str, units: str = WATCHING) -> dict[str, tuple[float, float]]:
    """MiB and processor seconds of the units of a node."""
    answer = json.loads(on(node, USED.format(units=units), "python3", "-"))
    return {str(unit): (float(memory), float(cpu)) for unit, (memory, cpu) in answer.items()}


@contextmanager
def unwatched() -> Iterator[None]:
    """Nobody reads figures or sends lines; afterwards they do again."""
    stopped = {node: sorted(used(node, SENDING)) for node in NODES}
    if not all(stopped.values()):
        raise PartError(f"{', '.join(node for node, units in stopped.items() if not units)}: nothing watches there; run site.yml first")
    try:
        for node, units in stopped.items():
            on(node, f"systemctl stop {' '.join(units)}")
        yield
    finally:
        for node, units in stopped.items():
            on(node, f"systemctl start {' '.join(units)}")


def idle(figures: Figures, unit: float) -> None:
    """Playbooks that find nothing to do."""
    for name, limit, arguments in (
        ("site.yml --tags phase4, nothing to change", 4, ["site.yml", "--tags", "phase4"]),
        ("diagnose.yml -e only=worker", 2, ["diagnose", "-e", "only=worker"]),
    ):
        samples = [play(*arguments) for _turn in range(4)][1:]
        figures.add(name, statistics.median(samples) / unit, "P", limit, samples)


def memory(figures: Figures) -> None:
    """Of everything that watches, on all nodes."""
    units = {f"{unit} on {node}": seen[0] for node in NODES for unit, seen in used(node).items()}
    if not any("prometheus" in unit for unit in units):
        raise PartError(f"no Prometheus among {', '.join(units) or 'no unit'}; run site.yml first")
    if not all(units.values()):
        raise PartError(f"no memory is counted of {', '.join(unit for unit, mib in units.items() if not mib)}")
    print("  ".join(f"{re.sub('[.]service', '', unit)} {mib:.0f} MiB" for unit, mib in sorted(units.items())))
    figures.add(f"memory of the whole monitoring, {len(units)} units", sum(units.values()) / 1024, "GiB", 1.5,
                sorted(units.values(), reverse=True))


def load(figures: Figures) -> None:
    """The same load with what watches and without, in turns; the processor of what watches meanwhile."""
    found: dict[str, list[float]] = {"with": [], "without": []}
    shares: dict[str, list[float]] = {node: [] for node in NODES}
    rates = []
    for _turn in range(ROUNDS):
        with unwatched(), Visitors() as alone:
            time.sleep(LOAD_S)
        time.sleep(20)  # shippers have sent what waited
        before, began = {node: used(node) for node in NODES}, time.monotonic()
        with Visitors() as beside:
            time.sleep(LOAD_S)
        for node in NODES:
            spent = sum(cpu - before[node].get(unit, (0.0, cpu))[1] for unit, (_memory, cpu) in used(node).items())
            shares[node].append(100 * spent / (time.monotonic() - began))
        found["without"].append(alone.p99)
        found["with"].append(beside.p99)
        rates += [alone.rate, beside.rate]
        if alone.failures or beside.failures:
            raise PartError(f"{alone.failures:.0f} requests failed without, {beside.failures:.0f} with what watches")
    ratio = statistics.median(found["with"]) / statistics.median(found["without"])
    figures.add(f"99th percentile at {statistics.mean(rates):.0f}/s of {RATE}, watched over not", ratio, "times", 1.05,
                [*found["without"], *found["with"]])
    for node, samples in shares.items():
        figures.add(f"  … processor of what watches on {node}", statistics.median(samples), "% of one", None, samples)


def measure(figures: Figures, unit: float) -> None:
    """All rows; *unit* is P in seconds."""
    idle(figures, unit)
    memory(figures)
    load(figures)
