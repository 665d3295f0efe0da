# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How fast the lab goes back: the plan alone, the whole stack in an emergency, a node by itself.

Only fronted components can be warm; worker and beat run once and therefore always start cold. What they take besides is told, and
is no part of the figures with a limit: visitors are served by the release gone back to before they are there.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from figures import Figures, PartError
from onlab import AFTER, BEFORE, EDGES, RATE, Visitors, bring, on, play, release_of

ROUNDS = 3
FRONTED = {"backend": "backend-1", "frontend": "web-1"}
"""Component to node."""
PORTS = {"backend": {"blue": 18000, "green": 18001}, "frontend": {"blue": 13000, "green": 13001}}
"""Of the slots, as the inventory of the lab has them."""

COOL = """
component={component}
slots=/opt/aistack/$component/slots
[ "$(readlink $slots/live)" = blue ] && idle=green || idle=blue
systemctl stop aistack-$component-retire-$idle.timer 2>/dev/null || true  # it is gone where it has fired
systemctl disable --quiet aistack-$component@$idle.service
systemctl stop aistack-$component@$idle.service
"""
"""Leaves the idle slot as its timer would."""

BOOT = """
import os, subprocess, time, urllib.request
live = os.readlink("/opt/aistack/{component}/slots/live")
idle = "green" if live == "blue" else "blue"
unit, port = "aistack-{component}@" + idle + ".service", {ports}[idle]
began = time.monotonic()
subprocess.run(["systemctl", "start", unit], check=True)
while True:
    try:
        with urllib.request.urlopen("http://127.0.0.1:%d{path}" % port, timeout=2):
            break
    except OSError:
        if time.monotonic() - began > 60:
            raise
        time.sleep(0.02)
print(time.monotonic() - began)
subprocess.run(["systemctl", "stop", unit], check=True)
"""
"""Starts the idle slot, which no visitor reaches, until it answers on its own port, and stops it."""

NODE = f"""
began=$(date +%s%N)
aistack rollback --json --to {BEFORE} || exit $?
ended=$(date +%s%N)
echo "$began $ended"
"""


@dataclass
class Seen:
    """Whether the edges answer from the release gone back to, asked again and again from outside."""

    began: float = field(default_factory=time.monotonic)
    back: dict[str, float] = field(default_factory=dict)
    failures: int = 0

    def __post_init__(self) -> None:
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=given, name=f"seen {given[0]}") for given in EDGES.items()]

    def __enter__(self) -> Seen:
        self.began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_unused: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, component: str, url: str) -> None:
        while not self._ending.wait(0.05):
            try:
                release = release_of(url)
            except (OSError, ValueError, KeyError):  # counted as what it is to a visitor: a failed request
                self.failures += 1
                continue
            if release != BEFORE:
                self.back.pop(component, None)
            elif component not in self.back:
                self.back[component] = time.monotonic() - self.began

    @property
    def seconds(self) -> float:
        """From the call to the first answer of each from the release gone back to, the last of them. Raises PartError."""
        if set(self.back) != set(EDGES):
            raise PartError(f"after the rollback only {sorted(self.back) or 'none'} of {sorted(EDGES)} answered from {BEFORE}")
        return max(self.back.values())


@dataclass
class Went:
    """One emergency rollback under load: seconds of the whole, by component, until seen from outside; the application's own boot."""

    seconds: float
    took: dict[str, float]
    seen: float
    failures: float
    requests: float
    rate: float
    boot: float

    @property
    def fronted(self) -> float:
        """Seconds that the command would have taken if nothing but the fronted components had gone back."""
        return self.seconds - (max(self.took.values()) - max(self.took[name] for name in FRONTED))


def slots_are(warm: bool, *components: str) -> None:
    """Raises PartError where the slots of fronted components are not as they have to be: the figure would carry a wrong name."""
    for component in components:
        node = FRONTED[component]
        plan = json.loads(on(node, f"aistack plan --json --to {BEFORE}").splitlines()[0])
        found = {step["component"]: step["detail"]["warm"] for step in plan["steps"] if step["do"] == "switch"}
        if found.get(component) is not warm:
            wanted, present = "warm" if warm else "cold", {True: "warm", False: "cold"}.get(found.get(component), "not in the plan")
            raise PartError(f"the slot of {component} on {node} with {BEFORE} has to be {wanted} and is {present}")


def boot_alone() -> float:
    """Seconds that the application takes to boot by itself, without this collection: the slowest of those that start side by side."""

    def boot(component: str) -> float:
        path = "/" + EDGES[component].split("/", 3)[3]
        script = BOOT.format(component=component, ports=PORTS[component], path=path)
        return float(on(FRONTED[component], script, "python3", "-"))

    with ThreadPoolExecutor() as pool:
        return max(pool.map(boot, FRONTED))


def emergency(warm: bool) -> Went:
    """From the newer release, which is live, back to the older one under load."""
    if not warm:
        for component, node in FRONTED.items():
            on(node, "set -e\n" + COOL.format(component=component))
    with tempfile.TemporaryDirectory() as folder, Visitors() as visitors:
        boot = 0.0 if warm else boot_alone()
        slots_are(warm, *FRONTED)
        rows = Path(folder) / "rows.json"
        with Seen() as seen:
            seconds = play("emergency_rollback", "-e", f"to={BEFORE}", "-e", f"output={rows}")
        took = {row["component"]: float(row["seconds"]) for row in json.loads(rows.read_text(encoding="utf-8"))}
    missing = sorted(set(FRONTED) - set(took))
    if missing:
        raise PartError(f"the rollback's report has no row of {', '.join(missing)}: {took}")
    return Went(seconds, took, seen.seconds, visitors.failures + seen.failures, visitors.requests, visitors.rate, boot)


def report(figures: Figures, warm: bool, unit: float, rounds: list[Went]) -> None:
    """The rows of the emergency with slots of one kind."""
    kind = "warm" if warm else "cold"
    figures.add(
        f"emergency rollback, slots {kind}, at {min(went.rate for went in rounds):.0f}/s of {RATE}: failed requests",
        sum(went.failures for went in rounds), f"of {sum(went.requests for went in rounds):.0f}", 0, [went.failures for went in rounds],
    )
    ratios = [(went.fronted - went.boot) / unit for went in rounds]
    less = "" if warm else ", less the application's boot"
    figures.add(f"emergency rollback, slots {kind}: what is fronted, gated{less}", statistics.median(ratios), "P", 1.5, ratios)
    seen = [went.seen for went in rounds]
    figures.add("  … visitors are answered by the release gone back to", statistics.median(seen), "s", None, seen)
    whole = [went.seconds / unit for went in rounds]
    figures.add("  … everything, with worker and beat, which start cold", statistics.median(whole), "P", None, whole)
    if not warm:
        boots = [went.boot for went in rounds]
        figures.add("  … boot of the application by itself, under the same load", statistics.median(boots), "s", None, boots)
    for component in sorted(set().union(*(went.took for went in rounds))):
        took = [went.took[component] for went in rounds if component in went.took]
        figures.add(f"  … {component}", statistics.median(took), "s", None, took)


def by_itself() -> tuple[float, float, float]:
    """A node with nothing but a fronted component goes back; seconds of the command, of its gate, and of what it says itself."""
    said = on("web-1", NODE).splitlines()
    answer = json.loads(next(line for line in said if line.startswith("{")))
    began, ended = (int(number) for number in said[-1].split())
    gates = [float(row["timings"]["gate_s"]) for row in answer["components"]]
    return (ended - began) / 1e9, max(gates), float(answer["seconds"])


def measure(figures: Figures, unit: float) -> None:
    """All rows; *unit* is P in seconds. The older release is live before and after."""
    bring(AFTER)
    samples = [play("rollback", "-e", "level=app", "--check") for _ in range(ROUNDS + 1)][1:]
    ratios = [seconds / unit for seconds in samples]
    figures.add("rollback.yml -e level=app --check: the plan", statistics.median(ratios), "P", 1.3, ratios)
    alone = []
    for turn in range(ROUNDS):
        if turn:
            bring(AFTER)
        slots_are(True, "frontend")
        alone.append(by_itself())
    beyond = [seconds - gate for seconds, gate, _own in alone]
    figures.add("aistack rollback on a node by itself, warm, beyond its gate", statistics.median(beyond), "s", 0.5, beyond)
    gates, whole = [gate for _seconds, gate, _own in alone], [seconds for seconds, _gate, _own in alone]
    figures.add("  … its gate", statistics.median(gates), "s", None, gates)
    figures.add("  … the whole command", statistics.median(whole), "s", None, whole)
    with Visitors():
        loaded = [play("tests/bench/one_task.yml") for _ in range(ROUNDS + 1)][1:]
    figures.add("P under the load of the rows that follow, for comparison", statistics.median(loaded), "s", None, loaded)
    bring(BEFORE)  # else the next deployment leaves the backend as it is, and its old slot cools down meanwhile
    for warm in (True, False):
        rounds = []
        for _turn in range(ROUNDS):
            bring(AFTER)
            rounds.append(emergency(warm))
        report(figures, warm, unit, rounds)
