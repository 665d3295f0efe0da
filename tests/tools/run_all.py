#!/usr/bin/env python3
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make test`: every check as a job, two at a time, with a table at the end.

Static checks run beside the building of the node images; the scenarios share the lab and run one after another. Each job
is a make target, so that `make NAME` repeats one alone, with the tests that are marked `whole` as well; its whole output is
in build/logs/NAME.log. What failed stands at the very end, and in build/logs/failed.txt.
Usage: run_all.py [NAME ...]: the named jobs and what they need.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / "build" / "logs"
FAILED = LOGS / "failed.txt"  # what failed, for those who print more behind it
TAIL = 60  # lines of a failed job that are shown
NAMED = 20  # failures of one job that are named at the end
WIDTH = 240  # of a line there
# pytest's closing line, with or without its rule of equal signs
CLOSING = re.compile(r"^(=+ )?(\d+ (passed|failed|error|errors|skipped|deselected)\b.*|no tests ran) in [\d.]+s.*$")
# what names a failure, the best first: pytest's short summary (-ra in pyproject.toml), then what other tools and playbooks print
NAMES = (
    re.compile(r"^(FAILED|ERROR) \S+\.py\b|^  File \S+, line \d+ in test_"),  # the second: where a test hung
    re.compile(r"^(ERROR\b|fatal: \[)|: error: "),
)
COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\]8;[^\x1b]*\x1b\\")


@dataclass
class Job:
    """One make target: what it needs first, which lane it stands in, how long it may take (seconds)."""

    name: str
    target: list[str]
    lane: str = "static"
    after: list[str] = field(default_factory=list)
    limit: float = 1200.0
    plays: bool = False  # it runs playbooks again and again: what Python makes of the same texts is kept for it (lab/bytecode)
    result: str = "waiting"  # then: running, passed, failed, not run
    started: float = 0.0
    seconds: float = 0.0
    note: str = ""

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return LOGS / f"{self.name}.log"


def jobs() -> list[Job]:
    """Return all jobs in the order in which they are considered."""
    scenarios = ["default", "tiny", "rollback", "refusals", "artefact"]
    static = [
        Job("ruff", ["ruff"]),
        Job("types", ["types"]),
        Job("yamllint", ["yamllint"]),
        Job("changelog", ["changelog"]),
        Job("unit", ["unit", "ARGS=--ignore=tests/unit/plugins"]),  # which ansible-units runs, as the collection's users would
        Job("test-docs", ["test-docs"]),
        Job("integration", ["integration"], limit=3600.0, plays=True),
        Job("sanity", ["sanity"]),
        Job("ansible-units", ["ansible-units"]),
        Job("importer", ["importer"]),
    ]
    lab = [Job("lab-ready", ["lab-ready"], lane="lab", limit=2400.0, plays=True)]
    for name in scenarios:
        lab.append(Job(f"scenario-{name}", ["scenario", f"NAME={name}"], lane="lab", after=["lab-ready"], limit=2700.0, plays=True))
    lab.insert(-1, Job("faults", ["faults-quick"], lane="lab", after=["lab-ready"], limit=2700.0, plays=True))
    # these need no lab: they stand behind it because the other lane, with integration and both of ansible-test, takes longer
    lab += [Job(name, [name], lane="lab") for name in ("ansible-lint", "docs-lint", "docs")]
    return static + lab


class Runner:
    """Runs one job per lane at a time; a lane is a queue."""

    def __init__(self, chosen: Sequence[Job]) -> None:
        """Take the jobs that are to run."""
        self.jobs = {job.name: job for job in chosen}
        self.running: dict[str, tuple[Job, subprocess.Popen[bytes]]] = {}
        lanes: dict[str, deque[Job]] = {}
        for job in chosen:
            lanes.setdefault(job.lane, deque()).append(job)
        self.lanes = lanes
        # left over from an outer make: its options and its job server are not for these
        self.environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
        self.environment.update(ANSIBLE_NOCOLOR="1", PY_COLORS="0", NO_COLOR="1", PYTHONUNBUFFERED="1")
        self.kept = ""  # a folder while they run: see lab/bytecode

    def run(self) -> None:
        """Run every job; returns when none is left."""
        with tempfile.TemporaryDirectory(prefix="aistack-bytecode-", dir="/tmp", ignore_cleanup_errors=True) as self.kept:
            Path(self.kept).chmod(0o755)  # for the users that tests run parts as
            while any(self.lanes.values()) or self.running:
                for lane, queue in self.lanes.items():
                    while queue and lane not in self.running and not self.waits(queue[0]):
                        self.begin(lane, queue.popleft())
                for lane, (job, process) in list(self.running.items()):
                    self.observe(lane, job, process)
                time.sleep(0.1)

    def waits(self, job: Job) -> bool:
        """Tell whether something that a job needs has not ended, in the other queue."""
        return any(self.jobs[name].result in ("waiting", "running") for name in job.after)

    def begin(self, lane: str, job: Job) -> None:
        """Start a job, unless what it needs has failed."""
        broken = [name for name in job.after if self.jobs[name].result != "passed"]
        if broken:
            job.result, job.note = "not run", f"needs {', '.join(broken)}"
            print(f"[{clock()}] {job.name}: not run ({job.note})", flush=True)
            return
        job.started, job.result = time.monotonic(), "running"
        with job.log.open("wb") as log:
            process = subprocess.Popen(
                ["make", "--no-print-directory", *job.target],
                cwd=ROOT,
                env=self.environment_of(job),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that nothing of it outlives the runner
            )
        self.running[lane] = (job, process)
        print(f"[{clock()}] {job.name}: started", flush=True)

    def environment_of(self, job: Job) -> dict[str, str]:
        """Return what a job sees beside what this program sees."""
        more = {}
        if job.plays:
            search = [str(ROOT / "lab" / "bytecode"), *filter(None, [self.environment.get("PYTHONPATH")])]
            more.update(AISTACK_TEST_BYTECODE=self.kept, PYTHONPATH=os.pathsep.join(search), PYTEST_ADDOPTS="-m 'not whole'")
        return {**self.environment, **more}

    def observe(self, lane: str, job: Job, process: subprocess.Popen[bytes]) -> None:
        """See whether a running job has ended or taken too long."""
        status = process.poll()
        job.seconds = time.monotonic() - job.started
        if status is None and job.seconds > job.limit:
            job.note = f"stopped after its limit of {job.limit:.0f} s"
            stop(process)
            status = process.wait()
        if status is None:
            return
        del self.running[lane]
        job.result = "passed" if status == 0 and not job.note else "failed"
        if status and not job.note:
            job.note = f"exit status {status}"
        report(job)

    def stop_all(self) -> None:
        """End what still runs; the jobs that have not begun are not run."""
        for job, process in self.running.values():
            stop(process)
            job.result, job.note, job.seconds = "failed", "interrupted", time.monotonic() - job.started
        self.running.clear()
        for queue in self.lanes.values():
            for job in queue:
                job.result, job.note = "not run", "interrupted"
            queue.clear()


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a job and all that it started: SIGTERM to its session's group, SIGKILL after ten seconds."""
    for number, patience in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=patience)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        return


def clock() -> str:
    """Return the time of day for a line of the log."""
    return time.strftime("%H:%M:%S")


def lines_of(job: Job) -> list[str]:
    """Return what a job printed, without colours; nothing where it did not run."""
    if not job.log.exists():
        return []
    return [COLOURS.sub("", line).rstrip() for line in job.log.read_text(encoding="utf-8", errors="replace").splitlines()]


def report(job: Job) -> None:
    """Print how a job ended: the closing lines of its own test runners, and its last lines where it failed."""
    lines = lines_of(job)
    print(f"[{clock()}] {job.name}: {job.result} after {job.seconds:.0f} s{f' ({job.note})' if job.note else ''}", flush=True)
    for line in lines:
        if CLOSING.match(line.strip()):
            print(f"    {line.strip()}")
    if job.result != "passed":
        print(f"---- last {min(TAIL, len(lines))} of {len(lines)} lines of {job.log.relative_to(ROOT)}")
        print("\n".join(lines[-TAIL:]))
        print("\n".join([f"---- end of {job.name}; alone: make {' '.join(job.target)}; what failed:", *named(job)]), flush=True)


def choose(names: Sequence[str]) -> list[Job]:
    """Return the named jobs and what they need, or all of them where none is named."""
    known = {job.name: job for job in jobs()}
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"make test: no job called {', '.join(unknown)}; there are: {', '.join(known)}")
    wanted = set(names or known)
    for name in list(wanted):
        wanted.update(known[name].after)
    return [job for name, job in known.items() if name in wanted]


def table(done: Sequence[Job]) -> str:
    """Return the summary: one line a job, and below it the first things that failed in it."""
    width = max(len(job.name) for job in done)
    rows = [f"{'job'.ljust(width)}  {'result':8} {'seconds':>7}  note"]
    for job in done:
        rows.append(f"{job.name.ljust(width)}  {job.result:8} {job.seconds:7.0f}  {job.note}".rstrip())
        rows += named(job)[:3] if job.result == "failed" else []
    return "\n".join(rows)


def failures(job: Job) -> list[str]:
    """Return the lines that name what failed in a job, each once; its last lines where none does."""
    if job.result == "not run":
        return []
    lines = [line for line in lines_of(job) if line]
    for pattern in NAMES:
        found = list(dict.fromkeys(line for line in lines if pattern.search(line)))
        if found:
            more = [f"... and {len(found) - NAMED} more"] if len(found) > NAMED else []
            return found[:NAMED] + more
    return lines[-5:]


def named(job: Job) -> list[str]:
    """Return what failed in a job, as lines of a list."""
    return [f"    {line[:WIDTH]}" for line in failures(job)]


def what_failed(done: Sequence[Job]) -> str:
    """Return the last block: for each job that did not pass, the names of what failed; empty where all passed."""
    rows = []
    for job in done:
        if job.result != "passed":
            rows.append(f"{job.name}: {job.result}{f' ({job.note})' if job.note else ''}; {job.log.relative_to(ROOT)}")
            rows += named(job)
    return "\n".join(["==== what failed", *rows]) if rows else ""


def interrupt(number: int, _frame: object) -> None:
    """Turn SIGTERM into the exception that Ctrl-C raises."""
    raise KeyboardInterrupt(number)


def main() -> int:
    """Run the jobs; return 0 only if there were some and all of them passed."""
    parser = argparse.ArgumentParser(description="Run the checks of `make test`.")
    parser.add_argument("names", nargs="*", help="jobs to run (default: all)")
    parser.add_argument("--list", action="store_true", help="print the jobs' names")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(job.name for job in jobs()))
        return 0
    chosen = choose(arguments.names)
    LOGS.mkdir(parents=True, exist_ok=True)
    FAILED.unlink(missing_ok=True)
    for job in chosen:  # what an earlier run left would be taken for this one's
        job.log.unlink(missing_ok=True)
    runner = Runner(chosen)
    begun = time.monotonic()
    signal.signal(signal.SIGTERM, interrupt)
    try:
        runner.run()
    except KeyboardInterrupt:
        runner.stop_all()
    if any(job.lane == "lab" for job in chosen) and not os.environ.get("KEEP_LAB"):
        down = Job("lab-down", ["lab-away"], lane="lab", limit=300.0)
        last = Runner([down])
        last.run()
        chosen.append(down)
    print("\n" + table(chosen))
    passed = sum(job.result == "passed" for job in chosen)
    print(f"{passed} passed, {len(chosen) - passed} failed of {len(chosen)} jobs in {time.monotonic() - begun:.0f} s", flush=True)
    failed = what_failed(chosen)
    if failed:
        FAILED.write_text(f"{failed}\n", encoding="utf-8")
        print(f"\n{failed}", flush=True)
    return 0 if chosen and passed == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
