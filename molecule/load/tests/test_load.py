# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every strategy there and back while 200 requests a second are asked, fifty sessions are open and 2,000 tasks wait: nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from crowd import Crowd, Seen

RATE, SESSIONS, TASKS = 200, 50, 2000
PROCESSES = 8
"""Of the workers of both hosts."""
TASK_S, TASKS_PER_S = 0.5, 9
"""Each task takes so long, and so many come: some are under way at any time."""
PORT, POOL = 8700, 8710
STATE, ROOT_OF_STACK = "/var/lib/fleet", "/opt/fleet"
STRATEGIES = ("bluegreen", "rolling", "canary")
REPORT = Path(__file__).resolve().parents[3] / "build" / "load.jsonl"


def ask(url: str, said: dict[str, Any] | None = None) -> Any:
    request = urllib.request.Request(url, json.dumps(said).encode() if said else None, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def live(lab: Any) -> dict[str, str]:
    """The release of each host and component."""
    return {
        f"{host} {name}": lab.node(host).check_output(f"readlink {ROOT_OF_STACK}/{name}/slots/live/release").rpartition("/")[2]
        for host in lab.names for name in ("hub", "worker")
    }


@contextmanager
def users(lab: Any, what: str, again: int = 0) -> Iterator[Seen]:
    """Users for as long as something goes on. Behind it every task has been done once, no request failed and no session was cut.

    Args:
        again: tasks that may have been done twice. A way back of level app waits for no task, and Celery, asked to end in the moment in
            which it has begun one, hands that to the broker again: one for each process that it ends, at most.
    """
    places = [(lab.addresses[host], PORT) for host in lab.names] + [(lab.addresses[lab.names[0]], POOL)]
    base, series = f"http://{places[0][0]}:{PORT}", f"{what} {time.time():.0f}".replace(" ", "-")
    over = threading.Event()
    queued = 0

    def put(count: int) -> None:
        nonlocal queued
        queued += ask(f"{base}/tasks", {"series": series, "first": queued, "last": queued + count, "seconds": TASK_S})["queued"]

    def fill() -> None:
        while not over.wait(1):
            put(TASKS_PER_S)
        put(max(0, TASKS - queued))

    with Crowd(places, RATE, SESSIONS) as crowd:
        queue = threading.Thread(target=fill, daemon=True)
        queue.start()
        time.sleep(3)
        began = time.monotonic()
        yield crowd.seen
        took = time.monotonic() - began
        time.sleep(3)
        over.set()
        queue.join(120)
    end = time.monotonic() + 300
    while (done := ask(f"{base}/results?series={series}"))["tasks"] < queued and time.monotonic() < end:
        time.sleep(1)
    time.sleep(2)
    done = ask(f"{base}/results?series={series}")
    seen = crowd.seen
    told = {
        "what": what, "seconds": round(took, 1), "requests": seen.asked, "failed": len(seen.failed), "late": seen.late,
        "sessions": seen.sessions, "refused": len(seen.refused), "cut": seen.cut, "tasks": queued,
        "lost": queued - done["tasks"], "twice": done["done"] - done["tasks"], "answers": dict(seen.versions),
    }
    REPORT.parent.mkdir(exist_ok=True)
    with REPORT.open("a", encoding="utf-8") as file:
        file.write(json.dumps(told) + "\n")
    assert (seen.failed, seen.refused, seen.cut) == ([], [], []), (told, seen.failed[:5], seen.refused[:5])
    assert told["lost"] == 0, told
    assert told["twice"] <= again, told
    assert queued >= TASKS, told
    assert seen.asked > 0.9 * RATE * took, told



def deploy(release: str, strategy: str) -> tuple[str, ...]:
    return ("playbooks/deploy.yml", "-e", f"release={release}", "-e", f"fleet_strategy={strategy}", "-e", "backup=false",
            "-e", "allow_bad=true")  # a way back has marked it so


def back(release: str, strategy: str) -> tuple[str, ...]:
    return ("playbooks/rollback.yml", "-e", "level=app", "-e", f"to={release}", "-e", f"confirm={release}",
            "-e", f"fleet_strategy={strategy}", "-e", "reason=load")


@pytest.fixture(scope="module", autouse=True)
def _first(lab: Any) -> None:
    """Both hosts begin at the first release."""
    if set(live(lab).values()) != {"v1.0.0"}:
        lab.play(*deploy("v1.0.0", "bluegreen")).ended_well()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_there_and_back(lab: Any, strategy: str) -> None:
    with users(lab, f"{strategy} there"):
        lab.play(*deploy("v1.1.0", strategy)).ended_well()
    assert set(live(lab).values()) == {"v1.1.0"}
    with users(lab, f"{strategy} back", PROCESSES):
        lab.play(*back("v1.0.0", strategy)).ended_well()
    assert set(live(lab).values()) == {"v1.0.0"}


def test_a_slow_release_is_stopped_by_its_trigger(lab: Any) -> None:
    """It answers every request, but slowly: it had a fifth of them for as long as the trigger looked, and nobody lost anything."""
    with users(lab, "canary stopped") as seen:
        ran = lab.play(*deploy("v1.2.0", "canary")).ended_badly()
    assert "answers are slow" in ran.output, ran.output[-4000:]
    assert 0 < seen.versions["v1.2.0"] < 0.3 * seen.asked, seen.versions
    assert set(live(lab).values()) == {"v1.0.0"}


def killed(lab: Any, arguments: tuple[str, ...], when: Callable[[], bool]) -> None:
    """Run a playbook and kill it, and all that it started, as soon as *when* says so."""
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(lab.inventory), *arguments]
    root = Path(__file__).resolve().parents[3]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(root / "ansible.cfg")}
    run = subprocess.Popen(command, cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, start_new_session=True)
    words: list[str] = []
    reader = threading.Thread(target=lambda: words.extend(run.stdout or ()), daemon=True)
    reader.start()
    end = time.monotonic() + 400
    while not when() and run.poll() is None and time.monotonic() < end:
        time.sleep(0.1)
    early = run.poll()
    os.killpg(run.pid, signal.SIGKILL)
    run.wait(30)
    reader.join(10)
    assert early is None, f"it ended by itself ({early}) before it could be killed: {''.join(words)[-3000:]}"


SWITCHES = ("activate", "canary", "revert")


def under_way(lab: Any, *operations: str) -> Callable[[], bool]:
    """Whether the first host's journal has one of *operations* that it had not when this was called: each is written as it begins."""
    node = lab.node(lab.names[0])

    def count() -> int:
        records = [json.loads(line) for line in node.check_output(f"cat {STATE}/journal.jsonl").splitlines()]
        return sum(record["op"] in operations for record in records)

    before = count()
    return lambda: count() > before


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_killed_controller(lab: Any, strategy: str) -> None:
    """In the middle of the switch, there and back; the same command again ends it."""
    with users(lab, f"{strategy} there, killed"):
        killed(lab, deploy("v1.1.0", strategy), under_way(lab, *SWITCHES))
        lab.play(*deploy("v1.1.0", strategy), "-e", "break_lock=true").ended_well()
    assert set(live(lab).values()) == {"v1.1.0"}
    with users(lab, f"{strategy} back, killed", PROCESSES):
        killed(lab, back("v1.0.0", strategy), under_way(lab, *SWITCHES))
        lab.play(*back("v1.0.0", strategy), "-e", "break_lock=true").ended_well()
    assert set(live(lab).values()) == {"v1.0.0"}


def scale(number: int) -> tuple[str, ...]:
    return ("playbooks/scale.yml", "-e", "component=worker", "-e", f"instances={number}")


def processes(lab: Any) -> dict[str, int]:
    """How many units of the worker run on each host, and how many of them start at boot; the two have to be the same."""
    running = {host: lab.node(host).check_output("systemctl list-units --state=active --plain --no-legend 'aistack-worker@*.service'")
               for host in lab.names}
    at_boot = {host: lab.node(host).check_output("ls /etc/systemd/system/multi-user.target.wants | grep 'aistack-worker@'")
               for host in lab.names}
    found = {host: len(text.splitlines()) for host, text in running.items()}
    assert found == {host: len(text.splitlines()) for host, text in at_boot.items()}, (running, at_boot)
    return found


def test_workers_come_and_go_five_times(lab: Any) -> None:
    """Whoever goes ends what it holds first: nothing is lost and nothing is done twice."""
    with users(lab, "scaled five times"):
        for number in (4, 1) * 5:
            lab.play(*scale(number)).ended_well()
            assert set(processes(lab).values()) == {number}
    again = lab.play(*scale(1)).ended_well()
    assert set(again.changed.values()) == {0}, again.output[-3000:]


def test_the_number_outlives_a_deployment_and_a_way_back(lab: Any) -> None:
    """It stays what scale.yml set, on the node, whatever comes; the deployment says that the inventory says another one."""
    lab.play(*scale(3)).ended_well()
    with users(lab, "three workers, there"):
        ran = lab.play(*deploy("v1.1.0", "bluegreen")).ended_well()
    assert "runs 3 instances, the inventory says 1" in ran.output, ran.output[-4000:]
    assert (set(processes(lab).values()), set(live(lab).values())) == ({3}, {"v1.1.0"})
    with users(lab, "three workers, back", 3 * PROCESSES):
        lab.play(*back("v1.0.0", "bluegreen")).ended_well()
    assert (set(processes(lab).values()), set(live(lab).values())) == ({3}, {"v1.0.0"})


def test_a_scaling_that_is_killed_is_finished_by_the_same_command(lab: Any) -> None:
    for number in (4, 1):
        with users(lab, f"scaled to {number}, killed"):
            killed(lab, scale(number), under_way(lab, "scale"))
            lab.play(*scale(number), "-e", "break_lock=true").ended_well()
        assert set(processes(lab).values()) == {number}
