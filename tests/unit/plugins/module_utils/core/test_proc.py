# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc

ENV = {"PATH": os.environ["PATH"]}
PLUGINS = Path(proc.__file__).parents[2]

STARTS_ITSELF = {
    "module_utils/core/proc.py": "the one place",
    "module_utils/postgres/psql.py": "a conversation: questions and answers for as long as the session lives",
    "module_utils/alembic/session.py": "a conversation, and events on a pipe of its own",
    "module_utils/release/mirror.py": "git's archive is packed again while it is read, and never lies on the disk",
    "module_utils/shipping/reader.py": "the journal as it grows, for as long as the shipper runs",
    "module_utils/node/one_off.py": "somebody sits at the terminal, or reads line by line",
}
"""Files that deal with a process themselves, and why."""
RUNS = re.compile(r"^\s*(import|from) (subprocess|multiprocessing|pty)\b|\bos\.(system|popen|posix_spawn)", re.M)


def test_nobody_else_runs_a_process() -> None:
    found = {path.relative_to(PLUGINS).as_posix() for path in PLUGINS.rglob("*.py") if RUNS.search(path.read_text(encoding="utf-8"))}
    assert found == set(STARTS_ITSELF)


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


def gone(pid: int) -> bool:
    end = time.monotonic() + 10
    while proc.alive(pid, None) and time.monotonic() < end:
        time.sleep(0.05)
    return not proc.alive(pid, None)


# a daemon: a session of its own, no parent; the second one closes its files and its environment as well
DAEMONS = {
    "holds the output": "setsid sleep 300 & echo $! > pid",
    "closes everything": "env -i setsid sh -c 'sleep 300 & echo $! > pid' >&- 2>&- <&-; while ! [ -s pid ]; do sleep 0.01; done",
}


@pytest.mark.parametrize("daemon", DAEMONS.values(), ids=DAEMONS)
@pytest.mark.parametrize("end", ["exit 3", "sleep 300"], ids=["ended", "past its time"])
def test_a_daemon_that_is_left_behind_is_neither_waited_for_nor_left(tmp_path: Path, daemon: str, end: str) -> None:
    began = time.monotonic()
    done = proc.run(["sh", "-c", f"{daemon}; echo said; {end}"], tmp_path, {"PATH": "/usr/bin:/bin"}, 60 if end == "exit 3" else 3)
    assert time.monotonic() - began < 40
    assert (done.output, done.timed_out) == ("said\n", end != "exit 3")
    assert done.timed_out or done.rc == 3
    assert gone(int((tmp_path / "pid").read_text()))


def test_what_a_run_started_ends_with_the_run(tmp_path: Path) -> None:
    script = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc\n"
        f"proc.run(['sh', '-c', 'setsid sleep 300 & echo $! > pid; wait'], {str(tmp_path)!r}, {ENV!r}, 300)\n"
    )
    asks = subprocess.Popen([sys.executable, "-c", script])
    end = time.monotonic() + 60
    while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()) and time.monotonic() < end:
        time.sleep(0.02)
    asks.kill()
    asks.wait()
    assert gone(int((tmp_path / "pid").read_text()))


def test_where_there_is_no_keeper_nobody_is_waited_for_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc, "KEPT", False)
    began = time.monotonic()
    done = proc.run(["sh", "-c", "setsid sleep 300 & echo $! > pid; echo said; exit 3"], tmp_path, ENV, 60)
    assert (done.rc, done.output) == (3, "said\n")
    late = proc.run(["sh", "-c", "echo on; sleep 300"], tmp_path, ENV, 1)
    assert late.timed_out
    assert time.monotonic() - began < 40
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_signal_is_a_negative_status(tmp_path: Path) -> None:
    assert proc.run(["sh", "-c", "kill -TERM $$"], tmp_path, ENV, 20).rc == -15


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs a command as another user")
def test_another_user_gains_no_rights_and_may_open_its_output(tmp_path: Path) -> None:
    done = proc.run(["sh", "-c", "echo to > /dev/stderr; grep NoNewPrivs /proc/self/status; id -G; umask"], "/", ENV, 20, "nobody", 0o027)
    assert done.output.split() == ["to", "NoNewPrivs:", "1", "65534", "0027"]


def test_words_of_every_language_reach_a_command(tmp_path: Path) -> None:
    done = proc.run(["sh", "-c", 'echo "$1 $WORD"', "sh", "좋아요"], tmp_path, {**ENV, "WORD": "grün"}, 20)
    assert done.output == "좋아요 grün\n"


def test_a_keeper_that_is_lost_is_a_failure_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc, "KEEPER", "import sys; sys.exit('no room for another process')")
    done = proc.run(["true"], tmp_path, ENV, 20)
    assert (done.rc, done.output) == (1, "no room for another process\n")
    monkeypatch.setattr(proc, "KEEPER", "")
    assert proc.run(["true"], tmp_path, ENV, 20).rc != 0


def test_a_program_of_the_system() -> None:
    done = proc.finish(["sh", "-c", "cat; echo $WHO >&2; exit 3"], 30, b"given", {**ENV, "WHO": "me"})
    assert done == proc.Ended(3, "given", "me\n")
    assert proc.finish(["sh", "-c", r"printf '\377'"], 30, errors="surrogateescape").stdout == "\udcff"
    with pytest.raises(FileNotFoundError):
        proc.finish(["/no/such/program"], 30)


def test_past_its_time_its_whole_session_goes_and_what_it_said_stays(tmp_path: Path) -> None:
    began = time.monotonic()
    done = proc.finish(["sh", "-c", f"echo waiting; (sleep 60; touch {tmp_path}/late) & echo $! >&2; wait"], 1.0)
    assert (done.rc, done.stdout, done.timed_out) == (-9, "waiting\n", True)
    assert time.monotonic() - began < 30
    pid = int(done.stderr)
    while proc.alive(pid, None):  # the kernel is at it
        assert time.monotonic() - began < 30
        time.sleep(0.01)


@pytest.mark.parametrize(("script", "rc"), [("sleep 60", -15), ("trap '' TERM; echo ready; while :; do sleep 0.1; done", -9)])
def test_it_is_asked_to_end_before_it_is_killed(script: str, rc: int) -> None:
    child = proc.start(["sh", "-c", script])
    if rc == -9:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
    end = 10 if rc == -15 else 0.3
    done = proc.ended(child, timeout=0.0, stop=lambda: proc.stop(child, end))
    assert (done.rc, done.timed_out) == (rc, True)
    proc.stop(child, 10)


def test_it_is_asked_as_well_where_who_waits_is_ended() -> None:
    child = proc.start(["sh", "-c", "sleep 60"])

    def interrupted(_so_far: bytes) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        proc.ended(child, timeout=30, said=interrupted, stop=lambda: proc.stop(child, 10))
    assert child.returncode == -15
