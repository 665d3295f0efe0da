# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator sees while long work goes on: on a terminal, in a log, and with another callback."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.phasegate.aistack.plugins.callback import phases

COLLECTIONS = next(parent for parent in Path(phases.__file__).parents if parent.name == "ansible_collections").parent

PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Build a server
      phasegate.aistack.fetching_command: {argv: [sh, -c, "echo step 3 of 8; until [ -e done ]; do sleep 0.1; done"]}
    - name: After it
      ansible.builtin.debug: {msg: serves}
"""

DRIVER = """
import sys
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader()
from ansible_collections.phasegate.aistack.plugins.callback import phases
from ansible_collections.phasegate.aistack.plugins.plugin_utils import followed
phases.Clock.TICK_S = phases.Clock.LINE_S = followed.FIRST_S = followed.LOOK_S = followed.LINE_S = 0.2
from ansible.cli.playbook import main
main(sys.argv)
"""


def seen(tmp_path: Path, callback: str, terminal: bool, until: str = "  n1, n2: step 3 of 8") -> str:
    """What the play prints: its work ends once *until* was seen."""
    for name, text in (("book.yml", PLAY), ("ansible.cfg", ""), ("driver.py", DRIVER)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    env = {
        **os.environ,
        "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(COLLECTIONS), os.environ.get("PYTHONPATH")])),
        "ANSIBLE_STDOUT_CALLBACK": callback,
        "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp"),
        "ANSIBLE_NOCOLOR": "1",
        "TERM": "xterm",
        "COLUMNS": "80",
    }
    command = [sys.executable, "driver.py", "-i", "n1,n2,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}", "book.yml"]
    here, there = pty.openpty() if terminal else os.pipe()
    with subprocess.Popen(command, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, stdout=there, stderr=there) as run:
        os.close(there)
        text = b""
        while True:
            try:
                got = os.read(here, 65536)
            except OSError:  # a terminal that nobody writes to any more
                break
            if not got:
                break
            text += got
            if until.encode() in text:
                (tmp_path / "done").touch()
        run.wait(60)
    os.close(here)
    assert run.returncode == 0, text.decode()
    return text.decode()


class TestLongWork:
    """What is shown of a task that goes on and on."""

    def test_on_a_terminal_the_clock_ticks(self, tmp_path: Path) -> None:
        text = seen(tmp_path, "phasegate.aistack.phases", terminal=True)
        drawn = [line for line in text.replace("\r\n", "\n").replace("\r\x1b[K", "\n").split("\n") if "Build a server" in line]
        assert any(line.startswith("  00:0") and "n1, n2: step 3 of 8" in line for line in drawn), drawn
        assert all(len(line) < 80 for line in drawn)
        assert text.rstrip().splitlines()[-1].startswith("2 nodes, 2 changes, ")
        assert "\x1b[Kserves" in text  # what comes does not stand behind the running line

    def test_in_a_log_there_is_a_line_now_and_then(self, tmp_path: Path) -> None:
        lines = seen(tmp_path, "phasegate.aistack.phases", terminal=False).splitlines()
        assert any(line.startswith("  …        Build a server") and line.endswith("  n1, n2: step 3 of 8") for line in lines), lines
        assert "\r" not in "".join(lines)

    def test_another_callback_has_lines_as_well(self, tmp_path: Path) -> None:
        lines = seen(tmp_path, "ansible.builtin.default", terminal=False, until="  … n1 Build a server: ").splitlines()
        told = [line for line in lines if line.startswith("  … n1 Build a server: ")]
        assert told, lines
        assert told[0].endswith(" s, step 3 of 8")


def test_what_a_task_was_at_goes_with_it(tmp_path: Path) -> None:
    before = set(Path("/run/aistack-progress").glob("*"))
    seen(tmp_path, "phasegate.aistack.phases", terminal=False)
    assert set(Path("/run/aistack-progress").glob("*")) <= before


def test_a_tick_while_the_line_is_taken_away_is_taken_away_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = phases.Clock(SimpleNamespace(_lock=threading.RLock()))
    clock._name, clock._transient = "Build a server", True

    def tick() -> None:
        with clock._guard:
            clock._draw()

    ticking = threading.Thread(target=tick)

    class Terminal(io.StringIO):
        def write(self, text: str) -> int:
            if ticking.ident is None:
                ticking.start()
                ticking.join(0.2)  # long enough, were nothing in its way
            return super().write(text)

    monkeypatch.setattr(sys, "stdout", Terminal())
    clock.clear()
    ticking.join(10)
    assert clock._transient, "what is drawn is known to be there"
