# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What long work is at: one line in a file, and nothing where nobody watches."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc, progress


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(progress, "FOLDER", tmp_path / "progress")
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    monkeypatch.setenv(progress.VARIABLE, "../token")
    monkeypatch.setattr(progress, "_told", progress._Told())
    return tmp_path / "progress" / "token"  # no name leads out of the folder


def test_a_line_for_what_is_done_now(line: Path) -> None:
    assert progress.VARIABLE not in os.environ  # what is started does not speak for this module
    progress.tell("first")
    with progress.step("step 2 of 7, dependencies"):
        assert line.read_text(encoding="utf-8") == "step 2 of 7, dependencies"
        progress.tell("fetches\n\x1b[2Jflask " + "x" * 500)
        said = line.read_text(encoding="utf-8")
    assert said.startswith("step 2 of 7, dependencies: fetches \N{REPLACEMENT CHARACTER}")
    assert len(said) == progress.LONGEST
    progress.tell("after it")
    assert line.read_text(encoding="utf-8") == "after it"
    assert (line.parent.stat().st_mode & 0o777, len(list(line.parent.iterdir()))) == (0o700, 1)


def test_what_a_killed_module_left_goes(line: Path) -> None:
    line.parent.mkdir()
    old, young = line.with_name("old"), line.with_name("young")
    for path, age in ((old, progress.OLD_S + 60), (young, 60)):
        path.write_text("x", encoding="utf-8")
        os.utime(path, (time.time() - age,) * 2)
    progress.tell("begins")
    assert (old.exists(), young.exists()) == (False, True)


def test_nobody_watches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "FOLDER", tmp_path / "progress")
    monkeypatch.setattr(progress, "_told", progress._Told())
    with progress.watched(lambda: pytest.fail("looked although nobody watches"), 0.01):
        progress.tell("words")
        time.sleep(0.05)
    assert not (tmp_path / "progress").exists()


def test_no_right_to_say_is_no_failure(line: Path) -> None:
    line.parent.write_text("a file where the folder should be", encoding="utf-8")
    progress.tell("words")
    assert line.parent.read_text(encoding="utf-8") == "a file where the folder should be"


def test_work_that_cannot_speak_is_looked_at(line: Path) -> None:
    with progress.watched(lambda: "12 MB so far", 0.01):
        end = time.monotonic() + 10
        while not line.exists() and time.monotonic() < end:
            time.sleep(0.01)
    assert line.read_text(encoding="utf-8") == "12 MB so far"


@pytest.mark.parametrize(
    ("output", "last"),
    [(b"one\ntwo\n\n", "two"), (b"10 %\r20 %\r", "20 %"), (b"\x1b[32mok\x1b[0m\n", "ok"), (b"", ""), (b"\xff\xfe", "\ufffd\ufffd")],
)
def test_the_last_line(output: bytes, last: str) -> None:
    assert progress.last_line(output) == last


def test_a_command_is_heard_while_it_runs(tmp_path: Path) -> None:
    heard: list[bytes] = []
    go = tmp_path / "go"

    def said(output: bytes) -> None:
        heard.append(output)
        if b"first" in output:
            go.touch()  # it goes on only because it was heard

    script = f"echo first; until [ -e {go} ]; do sleep 0.05; done; echo last"
    done = proc.run(["sh", "-c", script], "/", {"PATH": "/usr/bin:/bin"}, 60, said=said)
    assert (done.rc, done.output, done.timed_out) == (0, "first\nlast\n", False)
    assert b"first\n" in heard
