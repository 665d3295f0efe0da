# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What keeps a lease alive from the controller, with processes of its own and a node that is a function."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc
from ansible_collections.phasegate.aistack.plugins.module_utils.journal import heartbeat
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.heartbeat import Beat, Heart, Mark


class World:
    """What a heart sees and says, in files, since it is another process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = Mark(folder, "a")
        self.run = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])

    def _add(self, name: str, text: str) -> None:
        with open(self.folder / name, "a", encoding="utf-8") as file:
            file.write(text + "\n")

    def lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def ask(self) -> bool:
        self._add("asked", str(os.getpid()))
        what = (self.folder / "answer").read_text(encoding="utf-8")
        if what == "hang":
            try:
                time.sleep(60)
            finally:
                self._add("cleaned", str(os.getpid()))
        if what == "trouble":
            raise RuntimeError("no route\nto host")
        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        return what == "yes"

    def answers(self, what: str) -> None:
        (self.folder / "answer.new").write_text(what, encoding="utf-8")
        os.rename(self.folder / "answer.new", self.folder / "answer")

    def heart(self) -> Heart:
        return Heart(self.mark, Beat("a", self.ask, lambda text: self._add("said", text)), self.run.pid)

    def rests(self) -> bool:
        """Whether nothing asks any more: for as long as ten questions would take."""
        count = len(self.lines("asked"))
        time.sleep(1)
        return len(self.lines("asked")) == count


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    world.answers("yes")
    yield world
    world.mark.remove()
    world.run.kill()
    world.run.wait()


def until(what: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def test_it_asks_until_the_mark_is_gone(world: World) -> None:
    world.heart().go(0.3)
    until(lambda: len(world.lines("asked")) >= 3)
    world.mark.remove()
    until(world.rests)
    assert world.lines("said") == []


def test_it_asks_until_the_run_is_gone(world: World) -> None:
    world.heart().go(0.3)
    until(lambda: world.lines("asked"))
    world.run.kill()
    world.run.wait()
    until(world.rests)


def test_it_asks_nothing_while_the_run_stands_still(world: World) -> None:
    world.heart().go(0.3)
    until(lambda: world.lines("asked"))
    world.run.send_signal(signal.SIGSTOP)
    until(lambda: proc.stopped(world.run.pid))
    until(world.rests)
    world.run.send_signal(signal.SIGCONT)
    until(lambda: not world.rests())


def test_who_never_took_the_lock_keeps_none(world: World) -> None:
    world.heart().leave()
    assert world.rests()
    assert world.lines("asked") == []


def test_a_second_one_takes_the_place_of_the_first(world: World) -> None:
    world.heart().go(0.3)
    until(lambda: world.lines("asked"))
    world.mark = Mark(world.mark.path.parent, "a")
    world.heart().leave()  # the lock was refused this time
    until(world.rests)


def test_a_lease_of_another_run_is_left_alone_and_said(world: World) -> None:
    world.answers("no")
    world.heart().go(0.3)
    until(lambda: world.lines("said"))
    assert world.rests()
    assert len(world.lines("asked")) == 1
    assert "not this run's any more" in world.lines("said")[0]


@pytest.mark.parametrize(
    ("trouble", "why"), [("trouble", "no route to host"), ("die", "without a word"), ("hang", "no answer within 0.1 s")]
)
def test_what_a_node_does_not_answer_is_said_once_and_asked_again(
    world: World, monkeypatch: pytest.MonkeyPatch, trouble: str, why: str
) -> None:
    monkeypatch.setattr(heartbeat, "SHORTEST_ASK_S", 0.1)
    world.answers(trouble)
    world.heart().go(0.3)
    until(lambda: len(world.lines("asked")) >= 4)
    assert len(world.lines("said")) == 1
    assert why in world.lines("said")[0]
    world.answers("yes")
    count = len(world.lines("asked"))
    until(lambda: len(world.lines("asked")) >= count + 3)
    world.answers(trouble)
    until(lambda: len(world.lines("said")) == 2)


def test_a_question_under_way_ends_with_the_run(world: World) -> None:
    world.answers("hang")
    world.heart().go(0.3)
    until(lambda: world.lines("asked"))
    asks = int(world.lines("asked")[0])
    started = proc.start_time(asks)
    world.run.kill()
    world.run.wait()
    until(lambda: not proc.alive(asks, started))
    assert world.lines("cleaned") == [str(asks)], "what it had put aside is removed"


def test_nothing_waits_for_it(world: World) -> None:
    """Whoever started the run reads its output to the end, which it must not hold open."""
    out, back = os.pipe()
    world.heart().go(60)
    os.close(back)
    os.set_blocking(out, False)
    until(lambda: _ended(out))
    os.close(out)


def _ended(handle: int) -> bool:
    try:
        return os.read(handle, 1) == b""
    except BlockingIOError:
        return False


def test_a_folder_that_is_gone_is_an_error_before_anything_is_started(world: World) -> None:
    world.mark = Mark(world.folder / "gone", "a")
    with pytest.raises(FileNotFoundError):
        world.heart()
