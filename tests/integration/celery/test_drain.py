# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draining a real worker behind a real Redis: nothing is lost, nothing is done twice."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.slots import celery_drain
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.celery_drain import DrainError, Memory, Request

ROOT = Path(__file__).resolve().parents[3]
PASSWORD = "s3cret-of-redis"
BLUE, GREEN = "worker-blue@here", "worker-green@here"
APP = '''
import os, time
from celery import Celery

app = Celery("drained", broker=os.environ["REDIS_URL"])
app.conf.update(task_ignore_result=True, task_acks_late=True, worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True)


@app.task(name="drained.nap")
def nap(number, seconds):
    time.sleep(seconds)
    with open("done", "a") as file:
        file.write("%s\\n" % number)
'''


@pytest.fixture(scope="session")
def python() -> str:
    """An interpreter with Celery: AISTACK_TEST_CELERY, or one made here from the reference application's locked list."""
    given = os.environ.get("AISTACK_TEST_CELERY")
    if given:
        return given
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "phasegate-aistack" / "test-celery"
    interpreter = home / "bin" / "python"
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if not uv:
        pytest.fail("a Python with Celery is needed: install uv beside this interpreter, or set AISTACK_TEST_CELERY to one")
    if not interpreter.exists():
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, home], check=True)
    lock = ROOT / "lab" / "app" / "backend" / "requirements.lock"
    subprocess.run([uv, "pip", "sync", "-q", "--require-hashes", "--compile-bytecode", "--python", interpreter, lock], check=True)
    return str(interpreter)


def until(what: Callable[[], Any], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.1)


class Stage:
    """A broker, an application, its workers, and what was done."""

    def __init__(self, folder: Path, python: str) -> None:
        self.folder, self.python = folder, python
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        (folder / "tasks.py").write_text(APP)
        (folder / "env").write_text(f'REDIS_URL="redis://:{PASSWORD}@127.0.0.1:{self.port}/0"\n')
        (folder / "redis.conf").write_text(
            f"bind 127.0.0.1\nport {self.port}\nsave ''\nappendonly no\nrequirepass {PASSWORD}\ndir {folder}\n"
        )
        self.start("redis", ["redis-server", str(folder / "redis.conf")])
        until(lambda: self.redis("PING") == "PONG")

    def start(self, name: str, argv: list[str]) -> None:
        environment = {**os.environ, "REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"}
        with open(self.folder / f"{name}.log", "ab") as log:
            self.children[name] = subprocess.Popen(argv, cwd=self.folder, env=environment, stdout=log, stderr=log)

    def worker(self, name: str) -> None:
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        self.start(name, [self.python, "-m", "celery", "-A", "tasks", "worker", "-n", name, "-c", "1", "-l", "INFO", *quiet])
        until(lambda: b"ready." in (self.folder / f"{name}.log").read_bytes(), 30)

    def redis(self, *words: str) -> str:
        environment = {**os.environ, "REDISCLI_AUTH": PASSWORD}
        done = subprocess.run(
            ["redis-cli", "-p", str(self.port), *words], env=environment, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    def send(self, *naps: tuple[int, float, float]) -> None:
        """Number, seconds, seconds until it is due."""
        code = f"from tasks import nap\nfor n, s, d in {list(naps)!r}:\n    nap.apply_async((n, s), countdown=d or None)"
        environment = {**os.environ, "REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"}
        subprocess.run([self.python, "-c", code], cwd=self.folder, env=environment, check=True)

    @property
    def done(self) -> list[int]:
        path = self.folder / "done"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    @property
    def ask(self) -> celery_drain.Ask:
        return celery_drain.runner(self.python, str(self.folder), str(self.folder / "env"), None)

    @property
    def memory(self) -> Memory:
        return Memory.of(self.folder / "state", "worker")

    def end(self) -> None:
        for child in self.children.values():
            child.kill()
            child.wait()


@pytest.fixture
def empty(tmp_path: Path, python: str) -> Iterator[Stage]:
    """Without a worker yet."""
    if not shutil.which("redis-server"):
        pytest.fail("no Redis on this machine: apt-get install redis-server")
    here = Stage(tmp_path, python)
    try:
        yield here
    finally:
        here.end()


@pytest.fixture
def stage(empty: Stage) -> Stage:
    empty.worker(BLUE)
    return empty


def request(*workers: str, **changes: Any) -> Request:
    return Request("worker", "tasks", workers or (BLUE,), **changes)


def test_what_was_fetched_ends_what_was_not_stays_and_nothing_is_done_twice(stage: Stage) -> None:
    stage.send((1, 3.0, 0), (2, 0.5, 0), (3, 0.1, 0), (4, 0.1, 0), (5, 0.1, 600.0))
    until(lambda: celery_drain.status(request(), stage.ask, stage.memory)["running"])
    before = celery_drain.status(request(), stage.ask, stage.memory)
    assert before["settings"] == {"visibility_timeout": 3600, "time_limit": None, "acks_late": True}
    assert before["running"][0]["name"] == "drained.nap"
    assert "drained.nap [" in before["msg"]
    predicted = celery_drain.drain(request(), stage.ask, stage.memory, check=True)
    assert predicted["changed"]
    began = time.monotonic()
    result = celery_drain.drain(request(), stage.ask, stage.memory)
    spent = time.monotonic() - began
    held, waiting = stage.done, int(stage.redis("LLEN", "celery"))
    assert result["drained"], result
    assert result["workers"] == {BLUE: []}
    assert spent < 15
    stage.send((6, 0.1, 0))
    time.sleep(2)
    assert stage.done == held, "it took a task although it was told not to"
    assert int(stage.redis("LLEN", "celery")) == waiting + 1
    assert not celery_drain.drain(request(), stage.ask, stage.memory)["changed"]
    stage.worker(GREEN)  # whoever comes next takes what was left
    until(lambda: len(stage.done) == 5)
    back = celery_drain.resume(request(), stage.ask, stage.memory)
    assert (back["changed"], back["workers"]) == (True, {BLUE: ["celery"]})
    assert sorted(stage.done) == [1, 2, 3, 4, 6]
    assert not stage.memory.path.exists()


def test_a_task_that_does_not_end_is_named_and_the_worker_goes_on(stage: Stage) -> None:
    stage.send((1, 60.0, 0))
    until(lambda: celery_drain.status(request(), stage.ask, stage.memory)["running"])
    with pytest.raises(DrainError, match=r"1 task still held .* drained\.nap \[[0-9a-f-]{36}\] on worker-blue@here \(for \d+ s\)"):
        celery_drain.drain_or_go_on(request(timeout=4.0), stage.ask, stage.memory)
    assert celery_drain.status(request(), stage.ask, stage.memory)["workers"] == {BLUE: ["celery"]}


def test_a_task_that_is_due_soon_is_waited_for(stage: Stage) -> None:
    stage.send((1, 0.1, 4.0))
    until(lambda: celery_drain.status(request(), stage.ask, stage.memory)["running"])
    assert celery_drain.drain(request(), stage.ask, stage.memory)["drained"]
    assert stage.done == [1]


def test_a_worker_that_has_ended_is_forgotten(stage: Stage) -> None:
    celery_drain.drain(request(), stage.ask, stage.memory)
    stage.children[BLUE].terminate()
    stage.children[BLUE].wait(20)
    result = celery_drain.resume(request(), stage.ask, stage.memory)
    assert not result["changed"]
    assert "worker-blue@here does not answer any more and is forgotten" in result["msg"]


def test_a_broker_that_is_away_is_said_without_its_password(stage: Stage) -> None:
    stage.children["redis"].kill()
    stage.children["redis"].wait()
    with pytest.raises(DrainError, match="could not be asked") as caught:
        celery_drain.status(request(), stage.ask, stage.memory)
    assert PASSWORD not in str(caught.value)
