# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils import proc

ENV = {"PATH": os.environ["PATH"]}


def test_output_and_status(tmp_path: Path) -> None:
    done = proc.run(["sh", "-c", "echo out; echo err >&2; pwd; exit 3"], tmp_path, ENV, 10)
    assert done.rc == 3
    assert done.output.splitlines() == ["out", "err", str(tmp_path.resolve())]
    assert not done.timed_out


def test_only_the_given_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAKED", "1")
    assert proc.run(["sh", "-c", "echo ${LEAKED:-no}"], tmp_path, ENV, 10).output == "no\n"


def test_a_deadline_ends_the_children_too(tmp_path: Path) -> None:
    script = f"(sleep 30; touch {tmp_path}/late) & echo waiting; wait"
    began = time.monotonic()
    done = proc.run(["sh", "-c", script], tmp_path, ENV, 0.5)
    assert done.timed_out
    assert done.output == "waiting\n"
    assert time.monotonic() - began < 10


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    assert proc.run(["no-such-command"], tmp_path, ENV, 10).rc == 127
    (tmp_path / "x").write_text("")
    assert proc.run([str(tmp_path / "x")], tmp_path, ENV, 10).rc == 126


def test_no_such_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(LookupError, match="no user nobody-has-this-name"):
        proc.run(["true"], tmp_path, ENV, 10, user="nobody-has-this-name")


def test_alive() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    started = proc.start_time(child.pid)
    assert proc.alive(child.pid, started)
    child.kill()
    time.sleep(0.05)
    assert not proc.alive(child.pid, started), "a zombie is not alive"
    child.wait()
    assert not proc.alive(child.pid, started)


def test_tail() -> None:
    assert proc.tail("a\n\nb  \nc\n\n", 2) == "b\nc"
