# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Locks that a process holds which was stopped: nobody waits for ever, and who it is is named."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jinja2 import Environment

from ansible_collections.phasegate.aistack.plugins.module_utils.backup.sets import BackupSetError, only_one
from ansible_collections.phasegate.aistack.plugins.module_utils.core import flock
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import GUARD, Lock
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import controller_plan
from ansible_collections.phasegate.aistack.plugins.module_utils.release import mirror

HOLD = "import fcntl, sys, time; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); time.sleep(60)"
ROLES = next(parent for parent in Path(__file__).resolve().parents if (parent / "galaxy.yml").exists()) / "roles"

Stop = Callable[[Path], int]


@pytest.fixture
def stopped() -> Iterator[Stop]:
    """Have a file locked by a process that is stopped; returns its number."""
    made: list[subprocess.Popen[str]] = []

    def stop(path: Path) -> int:
        path.parent.mkdir(parents=True, exist_ok=True)
        made.append(subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True))
        assert made[-1].stdout is not None
        assert made[-1].stdout.readline() == "held\n"
        made[-1].send_signal(signal.SIGSTOP)
        end = time.monotonic() + 20
        while flock.holders(path) != [(made[-1].pid, flock.holders(path)[0][1], "T")]:
            assert time.monotonic() < end
            time.sleep(0.01)
        return made[-1].pid

    yield stop
    for process in made:
        process.kill()
        process.communicate()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flock, "PATIENCE_S", 0.2)
    monkeypatch.setattr(mirror, "LOCK_WAIT", 0.2)
    monkeypatch.setattr(controller_plan, "INSTALL_TIMEOUT", 0.1)


def _take(state: Path) -> None:
    Lock(state).acquire("r1", {}, 60)


def _append(state: Path) -> None:
    Journal.of(state).append({"op": "stage", "outcome": "ok"})


def _mirror(state: Path) -> None:
    source = mirror.Source(str(state / "repo"), "", state)
    source.mirror = state / "m"
    source.archive("v1", "0" * 40)


def _made_once(state: Path) -> None:
    with controller_plan._made_once(state / "environment"):
        pass


def _sets(state: Path) -> None:
    with only_one(state, 0.2):
        pass


@pytest.mark.parametrize(
    ("place", "work", "error"),
    [
        (GUARD, _take, flock.Stuck),
        ("journal.jsonl", _append, flock.Stuck),
        ("m.lock", _mirror, mirror.SourceError),
        ("environment.lock", _made_once, flock.Stuck),
        ("backups/.lock", _sets, BackupSetError),
    ],
)
def test_who_waits_for_a_stopped_process_is_told_which(
    tmp_path: Path, stopped: Stop, place: str, work: Callable[[Path], None], error: type[Exception]
) -> None:
    pid = stopped(tmp_path / place)
    with pytest.raises(error) as stuck:
        work(tmp_path)
    assert f"process {pid} (" in str(stuck.value)
    assert ", stopped)" in str(stuck.value)
    assert place in str(stuck.value)
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 20
    while flock.holders(tmp_path / place):
        assert time.monotonic() < end
        time.sleep(0.01)
    if error is flock.Stuck:
        work(tmp_path)


def test_the_remedy_that_is_named_works(tmp_path: Path, stopped: Stop) -> None:
    pid = stopped(tmp_path / "x")
    with pytest.raises(flock.Stuck, match="kill -CONT") as stuck, flock.held(tmp_path / "x"):
        pass
    assert isinstance(stuck.value, OSError)
    assert stuck.value.strerror == str(stuck.value)
    os.kill(pid, signal.SIGKILL)
    with flock.held(tmp_path / "x", 20):
        assert [found[0] for found in flock.holders(tmp_path / "x")] == [os.getpid()]
    assert flock.holders(tmp_path / "x") == []
    with flock.held(tmp_path / "y"):
        assert (tmp_path / "y").stat().st_mode & 0o777 == 0o600


def test_who_cannot_be_seen_is_not_made_up(tmp_path: Path) -> None:
    assert "cannot be seen from here" in flock.named(tmp_path / "gone")


def test_a_reload_of_haproxy_goes_on_without_the_lock(tmp_path: Path, stopped: Stop) -> None:
    environment = Environment(autoescape=False)
    environment.filters["to_json"] = json.dumps
    template = environment.from_string((ROLES / "edge" / "templates" / "edge_state.py.j2").read_text())
    state = tmp_path / "server-state"
    state.write_text("1\n")
    (tmp_path / "haproxy.cfg").write_text("")
    given = {"edge_admin_socket": str(tmp_path / "s"), "edge_state_file": str(state), "__edge_config": str(tmp_path / "haproxy.cfg")}
    script = tmp_path / "script.py"
    script.write_text(template.render(ansible_managed="x", **given).replace("PATIENCE = 10 ", "PATIENCE = 0.2 "))
    pid = stopped(Path(f"{state}.lock"))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "goes on without it" in done.stderr
    os.kill(pid, signal.SIGKILL)
    with open(f"{state}.lock", "a", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel gives it once the process is gone
    again = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert (again.returncode, again.stderr) == (0, "")
