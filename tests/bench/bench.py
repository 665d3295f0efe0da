#!/usr/bin/env python3
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How fast the collection is, as ratios to a one-task playbook on the same nodes in the same run, or to the bare tool.

Writes build/bench.json (a list of objects: part, at, name, value, unit, limit, ok, samples) and build/bench.md as the figures come.
Without a name everything is measured; with names only these parts, and the figures of the others stay as they are in the file.
All parts but `alerts`, `artefacts`, `hosts`, `logs` and `postgres` need the running lab after `make demo`, and leave release v4.1.0
live. The exit status is 1 where a limit was missed or a part failed; the other parts are measured all the same.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import signal
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from figures import Figures, PartError
from onlab import AFTER, BEFORE, BIN, EDGES, RATE, ROOT, Visitors, bring, on, play, release_of, run

Part = Callable[[Figures, float], None]


def idle(figures: Figures, unit: float) -> None:
    """healthcheck.yml and site.yml where nothing is to be done"""
    for name, limit, arguments in (
        ("healthcheck.yml, all components", 1.5, ["healthcheck"]),
        ("site.yml, all phases, nothing to change", 12, ["site.yml"]),
        ("site.yml --tags phase3, nothing to change", 4, ["site.yml", "--tags", "phase3"]),
    ):
        samples = [play(*arguments) for _ in range(4)][1:]
        figures.add(name, statistics.median(samples) / unit, "P", limit, samples)


def gate(figures: Figures, unit: float) -> None:
    """one gate call with 20 probes: its time and its memory"""
    probes = [{"name": f"p{index}", "command": ["sleep", f"{0.5 + index * 0.05:.2f}"]} for index in range(20)]
    _, text = run(str(BIN / "ansible"), "backend-1", "-m", "phasegate.aistack.gate", "-a",
                  json.dumps({"probes": probes, "deadline": 0, "root": "/opt/aistack", "state_dir": "/var/lib/aistack"}))
    result = json.loads(text[text.index("{"):])
    slowest = max(probe["latency_ms"] for probe in result["probes"]) / 1000
    samples = [result["elapsed_s"], slowest]
    figures.add("one gate call with 20 probes over its slowest probe", result["elapsed_s"] / slowest, "times", 1.3, samples)
    figures.add("memory of a gate call on a node, peak", result["peak_mib"], "MiB", 80)


def deploy(figures: Figures, unit: float) -> None:
    """a deployment under load: failed requests, latency, time"""
    with Visitors() as quiet:
        time.sleep(10)
    with Visitors() as busy:
        seconds = play("deploy", "-e", f"release={AFTER}", "-e", "allow_bad=true")
    figures.add(f"deploy {BEFORE} to {AFTER} at {busy.rate:.0f}/s of {RATE}: failed requests", busy.failures, f"of {busy.requests:.0f}", 0,
                [busy.failures])
    figures.add("  … extra 99th percentile of latency", busy.p99 - quiet.p99, "ms", None, [quiet.p99, busy.p99])
    figures.add("  … total time", seconds / unit, "P", None, [seconds])


def rollback(figures: Figures, unit: float) -> None:
    """the plan, a node by itself, and the emergency under load, with warm slots and with cold ones"""
    import rollbacks

    rollbacks.measure(figures, unit)


def disk(figures: Figures, unit: float) -> None:
    """what a second release takes beside the first, over both components"""
    shares = []
    for node, component in (("backend-1", "backend"), ("web-1", "frontend")):
        staged = f"cd /opt/aistack/{component}/releases && du --summarize --block-size=1 {BEFORE} {AFTER}"
        if AFTER not in on(node, f"ls /opt/aistack/{component}/releases").split():
            bring(AFTER)
        first, second = (int(line.split()[0]) for line in on(node, staged).splitlines())
        shares.append(100 * second / first)
    figures.add("disk: a second release beside the first (the larger share)", max(shares), "%", 30, shares)


def memory(figures: Figures, unit: float) -> None:
    """memory of the lab's nodes, and of the controller"""
    _, text = run(str(ROOT / "lab" / "bin" / "lab"), "status")
    factors = {"kB": 2**-20, "MB": 2**-10, "GB": 1.0}
    used = [float(number) * factors[size] for number, size in re.findall(r"([\d.]+)(kB|MB|GB) /", text)]
    if not used:
        raise PartError(f"`lab status` tells no memory:\n{text}")
    figures.add("memory of the whole lab", sum(used), "GiB", 4, used)
    play("site.yml")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    figures.add("memory of the controller, peak of one process", peak, "MiB", 500)


def postgres(figures: Figures, unit: float) -> None:
    """backup, restore and swap of a database of 1 GB, beside pg_dump and pg_restore; needs no lab"""
    sys.path.insert(0, str(ROOT / ".collections"))  # it calls the collection's own code
    import postgres as database

    database.measure(figures)


def artefacts(figures: Figures, unit: float) -> None:
    """one build for twenty nodes, and two trees of a host side by side; needs no lab"""
    import artefacts as kept

    kept.measure(figures)


def builds(figures: Figures, unit: float) -> None:
    """a deployment that builds, one that lays down what was built, and back to a release that the nodes do not have any more"""
    import builds as releases

    releases.measure(figures, unit)


def hosts(figures: Figures, unit: float) -> None:
    """phase.yml with 1 to 100 hosts that answer from a file: the controller's work; needs no lab"""
    import manyhosts

    manyhosts.measure(figures)


def alerts(figures: Figures, unit: float) -> None:
    """a gate that asks Prometheus, and from a failing target to a received alert; needs no lab"""
    import alerts as way

    way.measure(figures)


def logs(figures: Figures, unit: float) -> None:
    """10,000 lines a second while their store is away; needs no lab"""
    import logs as lines

    lines.measure(figures)


def monitoring(figures: Figures, unit: float) -> None:
    """what watching costs: a phase without a change, memory, processor, latency under load; and a diagnosis"""
    import monitoring as watching

    watching.measure(figures, unit)


PARTS: dict[str, Part] = {
    "idle": idle,
    "gate": gate,
    "deploy": deploy,
    "builds": builds,
    "rollback": rollback,
    "disk": disk,
    "memory": memory,
    "postgres": postgres,
    "artefacts": artefacts,
    "hosts": hosts,
    "monitoring": monitoring,
    "alerts": alerts,
    "logs": logs,
}
WITHOUT_LAB = ("alerts", "artefacts", "hosts", "logs", "postgres")


@dataclass
class Bench:
    """One run over some parts."""

    figures: Figures

    def run(self, names: Sequence[str]) -> None:
        """Measure the parts one after another."""
        unit = 0.0
        if set(names) - set(WITHOUT_LAB):
            found: list[float] = []
            self._part("P", lambda: found.append(one_task(self.figures)))
            if not found:
                names = [name for name in names if name in WITHOUT_LAB]
            unit = sum(found)
        for name in names:
            self._part(name, lambda call=PARTS[name]: call(self.figures, unit))
            if name not in WITHOUT_LAB:
                self._settle()

    def _part(self, name: str, call: Callable[[], None]) -> None:
        self.figures.begin(name)
        try:
            call()
        except Exception as problem:  # noqa: BLE001  whatever it is, the other parts are measured all the same
            if not isinstance(problem, PartError):
                traceback.print_exc()
            self.figures.fail(str(problem) or repr(problem))

    def _settle(self) -> None:
        """The next part begins where this one began; a part that left the lab elsewhere and cannot be undone is a failure of its own."""
        try:
            if any(release_of(url) != BEFORE for url in EDGES.values()):
                bring(BEFORE)
        except (PartError, OSError, ValueError, KeyError) as problem:
            self.figures.fail(f"the lab could not be brought back to {BEFORE}: {problem}")


def one_task(figures: Figures) -> float:
    """P in seconds."""
    for node in ("backend-1", "gpu-1", "web-1"):
        on(node, "rm -rf /var/cache/lab-bytecode")  # what tests keep there would make figures that no other node has
    bring(BEFORE)
    samples = [play("tests/bench/one_task.yml") for _ in range(6)][1:]
    figures.add("P: a one-task playbook", statistics.median(samples), "s", None, samples)
    return statistics.median(samples)


def main() -> int:
    """Measure what was asked for."""
    listed = "\n".join(f"  {name:<10} {call.__doc__}" for name, call in PARTS.items())
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=f"parts:\n{listed}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="what to measure (everything)")
    asked = parser.parse_args().parts
    unknown = sorted(set(asked) - set(PARTS))
    if unknown:
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    signal.signal(signal.SIGTERM, lambda *_unused: sys.exit(143))  # what was started is ended, what was made is removed
    figures = Figures(ROOT / "build" / "bench.json", fresh=not asked)
    Bench(figures).run([name for name in PARTS if name in asked or not asked])
    missed = [str(row["name"]).strip() if "error" not in row else f"{row['part']} failed" for row in figures.measured if not row["ok"]]
    verdict = f"NOT well: {'; '.join(missed)}" if missed else "all within their limits"
    print(f"\n{len(figures.measured)} figures measured, in build/bench.json and build/bench.md; {verdict}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
