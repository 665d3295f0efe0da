# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The running lab for the benchmark: playbooks, scripts on its nodes, and visitors who come while something is measured."""

from __future__ import annotations

import csv
import json
import os
import shlex
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from figures import PartError

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv" / "bin"
EDGES = {"backend": "http://10.89.77.11:8000/health", "frontend": "http://10.89.77.13:3000/api/health"}
"""What the edges answer with the release that serves; the inventory of the lab has the same addresses."""
RATE = 200
"""Requests a second while something is measured under load."""
BEFORE, AFTER = "v4.1.0", "v4.10.0"
"""Two good releases with the same schema; the first is live before and after every part."""
ENVIRONMENT = dict(
    os.environ, ANSIBLE_NOCOLOR="1", PATH=f"{BIN}:{os.environ.get('PATH', '')}", BENCH_FRONTEND=EDGES["frontend"], BENCH_RATE=str(RATE)
)


def run(*command: str, stdin: str | None = None, timeout: float = 900) -> tuple[float, str]:
    """Wall seconds and standard output of a command. Raises PartError where it fails or takes longer than *timeout* seconds."""
    began = time.monotonic()
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=timeout, input=stdin or ""
        )
    except subprocess.TimeoutExpired as late:
        raise PartError(f"`{shlex.join(command)}` did not end within {timeout:g} s") from late
    seconds = time.monotonic() - began
    if done.returncode != 0:
        said = f"{done.stdout[-3000:]}\n{done.stderr[-2000:]}"
        raise PartError(f"`{shlex.join(command)}` ended with {done.returncode}\n{said}")
    return seconds, done.stdout


def play(playbook: str, *arguments: str) -> float:
    """Wall seconds of a playbook."""
    name = playbook if playbook.endswith(".yml") else f"phasegate.aistack.{playbook}"
    return run(str(BIN / "ansible-playbook"), name, *arguments)[0]


def on(node: str, script: str, *interpreter: str) -> str:
    """Run a script as root on a node, by a shell where nothing else is named; returns what it prints."""
    return run(str(ROOT / "lab" / "bin" / "lab"), "ssh", node, "sudo", *(interpreter or ("sh", "-s")), stdin=script, timeout=180)[1]


def release_of(url: str) -> str:
    """The release that an edge answers from now."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(json.loads(answer.read())["version"])


def bring(release: str) -> None:
    """Have a release live everywhere, and the one before it behind it."""
    play("deploy", "-e", f"release={release}", "-e", "allow_bad=true", "-e", "backup=false")


class Visitors:
    """Requests through both edges at a steady rate. Use as a context manager; the figures are there when it has ended.

    Attributes:
        requests, failures: how many.
        p99: 99th percentile of the time to an answer, in milliseconds.
        rate: requests a second.
    """

    requests = failures = p99 = rate = 0.0

    def __enter__(self) -> Visitors:
        self._folder = tempfile.TemporaryDirectory()
        self._log = Path(self._folder.name) / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(ROOT / ".venv" / "bench" / "bin" / "locust"), "--headless", "-f", "tests/bench/visitors.py",
                 "--host", EDGES["backend"].rpartition("/")[0], "--users", str(RATE // 10), "--spawn-rate", str(RATE // 10),
                 "--csv", f"{self._folder.name}/load", "--loglevel", "ERROR"],
                cwd=ROOT, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )
        time.sleep(5)  # until all of them are on their way
        return self

    def __exit__(self, kind: type[BaseException] | None, *_unused: object) -> None:
        try:
            if kind is None:
                time.sleep(3)  # what comes a moment later is seen as well
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            if kind is None:
                self._read()
        finally:
            self._folder.cleanup()

    def _read(self) -> None:
        try:
            with (Path(self._folder.name) / "load_stats.csv").open(encoding="utf-8") as table:
                total = next(row for row in csv.DictReader(table) if row["Name"] == "Aggregated")
            self.requests, self.failures = float(total["Request Count"]), float(total["Failure Count"])
            self.p99, self.rate = float(total["99%"]), float(total["Requests/s"])
        except (OSError, StopIteration, KeyError, ValueError) as problem:
            said = self._log.read_text(encoding="utf-8", errors="replace")[-1000:]
            raise PartError(f"the load generator left no figures ({problem!r}): {said}") from problem
        if self.rate < RATE / 2:
            raise PartError(f"only {self.rate:.0f} requests/s came instead of {RATE}: what was measured meanwhile says nothing about load")
