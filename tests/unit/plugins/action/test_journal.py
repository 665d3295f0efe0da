# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's part of the lock, with real C(ansible-playbook) processes that live, and that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.action import journal
from ansible_collections.phasegate.aistack.plugins.module_utils import proc
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lock

COLLECTIONS = next(parent for parent in Path(journal.__file__).parents if parent.name == "ansible_collections").parent

PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: Lock
      phasegate.aistack.journal: {{state: locked, run: "{run}", state_dir: "{state}"}}
    - name: Work
      ansible.builtin.command: sleep {seconds}
      changed_when: false
    - name: Unlock
      phasegate.aistack.journal: {{state: unlocked, run: "{run}", state_dir: "{state}"}}
"""


class Controller:
    """Starts playbooks."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state = folder, folder / "state"
        (folder / "ansible.cfg").write_text("")

    def start(self, run: str, seconds: float) -> subprocess.Popen[str]:
        book = self.folder / f"{run}.yml"
        book.write_text(PLAY.format(run=run, state=self.state, seconds=seconds))
        env = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCAL_TEMP": str(self.folder / "tmp"),
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
        }
        command = [sys.executable, "-m", "ansible.cli.playbook", "-i", "localhost,", str(book)]
        return subprocess.Popen(
            command, cwd=self.folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )

    def wait_for_lock(self, run: str, process: subprocess.Popen[str]) -> None:
        end = time.monotonic() + 30
        while (Lock(self.state).current() or {}).get("run") != run:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < end, f"{run} never took the lock"
            time.sleep(0.05)


@pytest.fixture
def controller(tmp_path: Path) -> Controller:
    return Controller(tmp_path)


def test_a_living_run_is_refused_a_killed_one_is_taken_over(controller: Controller) -> None:
    first = controller.start("first", 60)
    try:
        controller.wait_for_lock("first", first)
        owner = (Lock(controller.state).current() or {})["owner"]
        assert owner["pid"] == first.pid, "the lease names the ansible-playbook process itself"
        assert proc.alive(owner["pid"], owner["pid_started"])
        second = controller.start("second", 0)
        said = second.communicate(timeout=60)[0]
        assert second.returncode != 0
        assert "held by" in said
        assert "run first" in said
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
    third = controller.start("third", 0)
    said = third.communicate(timeout=60)[0]
    assert third.returncode == 0, said
    notes = [record["detail"] for record in Lock(controller.state).journal.read() if record["op"] == "lock"]
    assert [note["action"] for note in notes] == ["acquired", "taken_over", "released"]
    assert notes[1]["reason"] == "its process is dead"
    assert notes[1]["replaced"]["run"] == "first"


@pytest.mark.parametrize(
    ("owner", "dead"),
    [
        ({}, False),
        ({"pid": 1, "controller_id": "another controller"}, False),
        ({"pid": os.getpid(), "pid_started": proc.start_time(os.getpid())}, False),
        ({"pid": os.getpid(), "pid_started": "an earlier life"}, True),
        ({"pid": 2**22 + 1, "pid_started": "x"}, True),
    ],
    ids=["unknown", "elsewhere", "alive", "number used again", "gone"],
)
def test_who_is_dead(owner: dict[str, object], dead: bool) -> None:
    here = {"controller_id": journal.controller_id()} if owner else {}
    assert journal.is_dead({"owner": {**here, **owner}}) is dead
