# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How fast the collection is, as ratios to a one-task playbook on the same nodes in the same run.

Prints a table and writes build/bench.json: a list of objects with name, value, unit, limit, ok, samples.
Needs the running lab after `make demo`; leaves the release live that was live before.
"""

from __future__ import annotations

import csv
import json
import os
import re
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv" / "bin"
EDGE = "http://10.89.77.11:8000"
"""The edge in front of the backend; the inventory of the lab has the same address."""
RATE = 200
"""Requests a second while a release is deployed."""
ENVIRONMENT = dict(os.environ, ANSIBLE_NOCOLOR="1", PATH=f"{BIN}:{os.environ.get('PATH', '')}")


def run(*command: str, check: bool = True) -> tuple[float, str]:
    """Wall seconds and output of a command; a failing one ends the benchmark with its output."""
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    seconds = time.monotonic() - began
    if check and done.returncode != 0:
        sys.exit(f"bench: `{' '.join(command)}` ended with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-2000:]}")
    return seconds, done.stdout


def play(playbook: str, *arguments: str) -> float:
    """Wall seconds of a playbook."""
    name = playbook if playbook.endswith(".yml") else f"phasegate.aistack.{playbook}"
    return run(str(BIN / "ansible-playbook"), name, *arguments)[0]


class Figures:
    """The figures so far, printed as they come."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def add(self, name: str, value: float, unit: str, limit: float | None, samples: list[float]) -> None:
        """Note a figure; ``limit`` None means that it is reported only."""
        ok = limit is None or value <= limit
        self.rows.append({"name": name, "value": round(value, 3), "unit": unit, "limit": limit, "ok": ok,
                          "samples": [round(sample, 3) for sample in samples]})
        bound = "" if limit is None else f"limit {limit:g}"
        print(f"{'ok ' if ok else 'MISS'}  {name:<58} {value:>9.2f} {unit:<7} {bound}", flush=True)

    def write(self, path: Path) -> None:
        """Write all figures as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.rows, indent=1) + "\n", encoding="utf-8")


def gate_call() -> tuple[float, list[float], float]:
    """Time of one gate call with 20 probes over its slowest probe, the two in seconds, and the peak of memory in MiB."""
    probes = [{"name": f"p{index}", "command": ["sleep", f"{0.5 + index * 0.05:.2f}"]} for index in range(20)]
    _, text = run(str(BIN / "ansible"), "backend-1", "-m", "phasegate.aistack.gate", "-a",
                  json.dumps({"probes": probes, "deadline": 0, "root": "/opt/aistack", "state_dir": "/var/lib/aistack"}))
    result = json.loads(text[text.index("{"):])
    slowest = max(probe["latency_ms"] for probe in result["probes"]) / 1000
    return result["elapsed_s"] / slowest, [result["elapsed_s"], slowest], result["peak_mib"]


def load(folder: Path, seconds: float | None) -> subprocess.Popen[bytes]:
    """Start the load generator; without ``seconds`` it runs until it is interrupted."""
    limit = [] if seconds is None else ["--run-time", f"{seconds:.0f}s"]
    return subprocess.Popen(
        [str(ROOT / ".venv" / "bench" / "bin" / "locust"), "--headless", "-f", "tests/bench/visitors.py", "--host", EDGE,
         "--users", str(RATE // 10), "--spawn-rate", str(RATE // 10), "--csv", str(folder / "load"), "--loglevel", "ERROR", *limit],
        cwd=ROOT, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )


def measured(folder: Path) -> dict[str, float]:
    """Requests, failures and 99th percentile (milliseconds) of a finished load."""
    with (folder / "load_stats.csv").open(encoding="utf-8") as table:
        total = next(row for row in csv.DictReader(table) if row["Name"] == "Aggregated")
    return {"requests": float(total["Request Count"]), "failures": float(total["Failure Count"]), "p99": float(total["99%"])}


def deploy_under_load(figures: Figures, unit: float) -> None:
    """Deploy the next release and go back, while visitors come; not one of them may see a failure."""
    live = live_release()
    following = "v4.10.0" if live != "v4.10.0" else "v4.1.0"
    with tempfile.TemporaryDirectory() as quiet_folder:
        load(Path(quiet_folder), 15).wait()
        quiet = measured(Path(quiet_folder))
    with tempfile.TemporaryDirectory() as busy_folder:
        process = load(Path(busy_folder), None)
        time.sleep(3)
        seconds = play("deploy", "-e", f"release={following}", "-e", "allow_bad=true")
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
        busy = measured(Path(busy_folder))
    figures.add(f"deploy {live} to {following} at {RATE}/s: failed requests", busy["failures"], "of", 0, [busy["requests"]])
    figures.add("  … extra 99th percentile of latency", busy["p99"] - quiet["p99"], "ms", None, [quiet["p99"], busy["p99"]])
    figures.add("  … total time", seconds / unit, "P", None, [seconds])
    play("deploy", "-e", f"release={live}", "-e", "allow_bad=true")


def live_release() -> str:
    """What the edge answers with now."""
    with urllib.request.urlopen(f"{EDGE}/health", timeout=10) as answer:
        return str(json.loads(answer.read())["version"])


def rollbacks(figures: Figures, unit: float) -> None:
    """Go back under load: the plan alone, the whole stack in an emergency, a node by itself.

    The slots of the fronted components are warm; worker and beat always start cold, so that the whole takes their boot besides.
    """
    back = live_release()
    forth = "v4.10.0" if back != "v4.10.0" else "v4.1.0"
    play("deploy", "-e", f"release={forth}", "-e", "allow_bad=true", "-e", "backup=false")
    samples = [play("rollback", "--check") for _ in range(3)]
    figures.add("rollback.yml level=app --check: the plan", statistics.median(samples) / unit, "P", 1.3, samples)
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.json"
        process = load(Path(folder), None)
        time.sleep(3)
        seconds = play("emergency_rollback", "-e", f"output={rows}", "-e", f"to={back}")
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
        busy = measured(Path(folder))
        took = {row["component"]: float(row["seconds"]) for row in json.loads(rows.read_text(encoding="utf-8"))}
    fronted = max(took[name] for name in ("backend", "frontend"))
    cold = max(took.values())
    figures.add(f"emergency rollback {forth} to {back} at {RATE}/s: failed requests", busy["failures"], "of", 0, [busy["requests"]])
    traffic = seconds - (cold - fronted)
    figures.add("  … until the traffic is back, gated (warm slots)", traffic / unit, "P", 1.5, [seconds, fronted, cold])
    figures.add("  … without the boot of what starts cold (worker, beat)", (seconds - cold) / unit, "P", 1.5, [seconds, cold])
    figures.add("  … everything", seconds / unit, "P", None, [seconds])
    play("deploy", "-e", f"release={forth}", "-e", "allow_bad=true", "-e", "backup=false")
    _, text = run(str(ROOT / "lab" / "bin" / "lab"), "ssh", "web-1", "sudo", "aistack", "rollback", "--json", "--to", back)
    answer = json.loads(text[text.index("{"):])
    gate = max(float(row["timings"].get("gate_s", 0)) for row in answer["components"])
    figures.add("aistack rollback on a node, warm, beyond its gate", answer["seconds"] - gate, "s", 0.5, [answer["seconds"], gate])
    play("deploy", "-e", f"release={back}", "-e", "allow_bad=true", "-e", "backup=false")


def memory(figures: Figures, gate_peak: float) -> None:
    """Memory of the nodes, of a gate call on a node (MiB, as it reports itself), and of the controller."""
    _, text = run(str(ROOT / "lab" / "bin" / "lab"), "status")
    factors = {"kB": 2**-20, "MB": 2**-10, "GB": 1.0}
    used = [float(number) * factors[unit] for number, unit in re.findall(r"([\d.]+)(kB|MB|GB) /", text)]
    figures.add("memory of the whole lab", sum(used), "GiB", 4, used)
    figures.add("memory of a gate call on a node, peak", gate_peak, "MiB", 80, [])
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    figures.add("memory of the controller, peak of one process", peak, "MiB", 500, [])


def disk(figures: Figures) -> None:
    """What a second release of the same application takes on disk beside the first, over both components."""
    shares = []
    for node, component in (("backend-1", "backend"), ("web-1", "frontend")):
        command = f"cd /opt/aistack/{component}/releases && du --summarize --block-size=1 v4.1.0 v4.10.0"
        _, text = run(str(ROOT / "lab" / "bin" / "lab"), "ssh", node, "sudo", "sh", "-c", repr(command))
        first, second = (int(line.split()[0]) for line in text.splitlines())
        shares.append(100 * second / first)
    figures.add("disk: a second release beside the first (the larger share)", max(shares), "%", 30, shares)


def main() -> int:
    """Measure everything; the status is 1 where a limit is missed."""
    figures = Figures()
    play("deploy", "-e", "release=v4.1.0", "-e", "allow_bad=true")
    samples = [play("tests/bench/one_task.yml") for _ in range(6)][1:]
    unit = statistics.median(samples)
    figures.add("P: a one-task playbook", unit, "s", None, samples)
    for name, limit, arguments in (
        ("healthcheck.yml, all components", 1.5, ["healthcheck"]),
        ("site.yml, all phases, nothing to change", 12, ["site.yml"]),
        ("site.yml --tags phase3, nothing to change", 4, ["site.yml", "--tags", "phase3"]),
    ):
        play(*arguments)
        samples = [play(*arguments) for _ in range(3)]
        figures.add(name, statistics.median(samples) / unit, "P", limit, samples)
    ratio, samples, gate_peak = gate_call()
    figures.add("one gate call with 20 probes over its slowest probe", ratio, "times", 1.3, samples)
    deploy_under_load(figures, unit)
    rollbacks(figures, unit)
    disk(figures)
    memory(figures, gate_peak)
    figures.write(ROOT / "build" / "bench.json")
    missed = [row["name"] for row in figures.rows if not row["ok"]]
    verdict = f"missed: {'; '.join(missed)}" if missed else "all within their limits"
    print(f"\n{len(figures.rows)} figures in build/bench.json; {verdict}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
