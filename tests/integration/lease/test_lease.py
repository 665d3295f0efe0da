# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What keeps the lease of a node alive while the run works on another one, with real processes of C(ansible-playbook)."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lock
from ansible_collections.phasegate.aistack.tests.unit.plugins.action.controller import INVENTORY, Controller

TWO = """
- hosts: a
  gather_facts: false
  tasks:
    - name: Lock
      phasegate.aistack.journal: {{state: locked, run: "{run}", state_dir: "{state}", lease: {lease}}}
    - name: Work on another node
      ansible.builtin.command: sleep {seconds}
      delegate_to: b
      changed_when: false
    - name: Unlock
      phasegate.aistack.journal: {{state: unlocked, run: "{run}", state_dir: "{state}"}}
    - name: Go on without the lock
      ansible.builtin.command: sleep {after}
      changed_when: false
"""
"""What a run does that works for longer than a lease on another node."""


@pytest.fixture
def controller(tmp_path: Path) -> Controller:
    return Controller(tmp_path)


def hearts(folder: Path) -> list[int]:
    """The processes that keep leases alive from runs of this folder: they are what has lost its parent and works there."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            own = f"ANSIBLE_LOCAL_TEMP={folder}/" in (entry / "environ").read_text(errors="replace")
            parent = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
            above = Path(f"/proc/{parent}/environ").read_text(errors="replace")
        except OSError:
            continue
        if own and f"ANSIBLE_LOCAL_TEMP={folder}/" not in above:
            found.append(int(entry.name))
    return found


def until(what: Callable[[], Any], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.1)


def test_a_lease_is_kept_alive_while_the_run_works_elsewhere_and_not_after_it(controller: Controller) -> None:
    run = controller.start("first", 11, TWO, lease=6, after=4)
    controller.wait_for_lock("first", run)
    lock, taken = Lock(controller.state), time.monotonic()
    while time.monotonic() < taken + 9:
        holder = lock.holder() or {"run": "nobody"}
        assert holder["run"] == "first", "the lease ran out while the run worked on another node"
        time.sleep(0.2)
    assert run.poll() is None
    until(lambda: lock.current() is None)
    until(lambda: hearts(controller.folder) == [run.pid], 3)
    assert run.poll() is None, "it is to end with the lock, before the run ends"
    said = run.communicate(timeout=60)[0]
    assert run.returncode == 0, said
    assert "WARNING" not in said
    notes = [record["detail"]["action"] for record in lock.journal.read() if record["op"] == "lock"]
    assert notes == ["acquired", "released"]


def test_a_controller_that_is_killed_keeps_nothing_alive(controller: Controller) -> None:
    run = controller.start("first", 60, TWO, lease=4, after=0)
    try:
        controller.wait_for_lock("first", run)
        time.sleep(3)  # it has been lengthened from outside by now
    finally:
        os.kill(run.pid, signal.SIGKILL)
        killed = time.monotonic()
    until(lambda: Lock(controller.state).holder() is None, 12)
    assert time.monotonic() - killed < 4 + 4
    until(lambda: hearts(controller.folder) == [], 3)
    run.communicate()


def test_a_run_that_stands_still_lets_its_lease_run_out(controller: Controller) -> None:
    run = controller.start("first", 60, TWO, lease=3, after=0)
    try:
        controller.wait_for_lock("first", run)
        os.kill(run.pid, signal.SIGSTOP)
        until(lambda: Lock(controller.state).holder() is None, 12)
    finally:
        os.kill(run.pid, signal.SIGKILL)
        run.communicate()


def test_a_lock_that_was_taken_is_not_taken_back_and_the_run_is_told(controller: Controller) -> None:
    run = controller.start("first", 8, TWO, lease=3, after=0)
    controller.wait_for_lock("first", run)
    Lock(controller.state).acquire("second", {"actor": "ann"}, 60, break_lock=True)
    said = run.communicate(timeout=60)[0]
    assert (Lock(controller.state).holder() or {})["run"] == "second"
    assert said.count("[WARNING]: a: the lock is not this run's any more.") == 1
    assert [record["detail"]["action"] for record in Lock(controller.state).journal.read()] == ["acquired", "broken"]


def test_a_node_that_cannot_be_reached_is_named_once_and_asked_again(controller: Controller) -> None:
    broken, well = controller.folder / "broken-python", controller.folder / "python"
    well.symlink_to(sys.executable)
    inventory = INVENTORY.replace("a ansible", f"a ansible_python_interpreter={well} ansible", 1)
    run = controller.start("first", 10, TWO, lease=3, after=0, inventory=inventory)
    controller.wait_for_lock("first", run)
    os.rename(well, broken)
    until(lambda: Lock(controller.state).holder() is None, 20)
    os.rename(broken, well)
    until(lambda: Lock(controller.state).holder() is not None, 10)
    said = run.communicate(timeout=60)[0]
    assert run.returncode == 0, said
    assert said.count("the lock could not be lengthened") == 1


def test_nothing_is_kept_alive_in_check_mode(controller: Controller) -> None:
    run = controller.start("first", 0, TWO, "--check", lease=6, after=2)
    said = run.communicate(timeout=60)[0]
    assert run.returncode == 0, said
    assert list(controller.folder.rglob("lease-*")) == []
    assert not controller.state.exists()
