# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real C(ansible-playbook) processes with one or two nodes on this very machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.action import journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lock

COLLECTIONS = next(parent for parent in Path(journal.__file__).parents if parent.name == "ansible_collections").parent
INVENTORY = "a ansible_connection=local\nb ansible_connection=local\n"


class Controller:
    """Starts playbooks."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state = folder, folder / "state"
        (folder / "ansible.cfg").write_text("")

    def start(
        self, run: str, seconds: float, play: str, *words: str, inventory: str = INVENTORY, **more: float
    ) -> subprocess.Popen[str]:
        book, hosts = self.folder / f"{run}.yml", self.folder / "hosts"
        book.write_text(play.format(run=run, state=self.state, seconds=seconds, **more))
        hosts.write_text(inventory)
        env = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCAL_TEMP": str(self.folder / "tmp"),
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
        }
        command = [sys.executable, "-m", "ansible.cli.playbook", "-i", str(hosts), str(book), *words]
        return subprocess.Popen(
            command, cwd=self.folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )

    def wait_for_lock(self, run: str, process: subprocess.Popen[str]) -> None:
        end = time.monotonic() + 30
        while (Lock(self.state).current() or {}).get("run") != run:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < end, f"{run} never took the lock"
            time.sleep(0.05)
