# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.phasegate.aistack.plugins.plugin_utils.forked import side_by_side


def meet(folder: Path, name: str, others: int) -> dict[str, Any]:
    """Ends as soon as so many have begun."""
    (folder / name).touch()
    until = time.monotonic() + 20
    while len(list(folder.iterdir())) < others and time.monotonic() < until:
        time.sleep(0.02)
    return {"name": name, "met": len(list(folder.iterdir())), "pid": os.getpid()}


def test_all_at_once_in_their_order(tmp_path: Path) -> None:
    answers = side_by_side([partial(meet, tmp_path, name, 3) for name in ("c", "a", "b")], 4)
    assert [answer["name"] for answer in answers] == ["c", "a", "b"]
    assert {answer["met"] for answer in answers} == {3}
    assert len({os.getpid(), *(answer["pid"] for answer in answers)}) == 4


def test_not_more_at_once_than_is_said(tmp_path: Path) -> None:
    def job(name: str) -> dict[str, Any]:
        (tmp_path / name).touch()
        time.sleep(0.1)
        there = len(list(tmp_path.iterdir()))
        (tmp_path / name).unlink()
        return {"there": there}

    assert max(answer["there"] for answer in side_by_side([partial(job, name) for name in "abcde"], 2)) <= 2


def test_one_alone_and_one_after_the_other_need_no_process() -> None:
    assert side_by_side([lambda: {"pid": os.getpid()}], 4) == [{"pid": os.getpid()}]
    assert side_by_side([lambda: {"pid": os.getpid()}] * 2, 1) == [{"pid": os.getpid()}] * 2
    assert side_by_side([], 4) == []


def test_an_answer_longer_than_a_pipe_holds() -> None:
    answers = side_by_side([lambda: {"text": "x" * 300_000}, lambda: {"text": "y" * 300_000}], 2)
    assert [len(answer["text"]) for answer in answers] == [300_000, 300_000]


def test_what_fails_leaves_the_others_alone() -> None:
    def broken() -> dict[str, Any]:
        raise ValueError("no such luck")

    def lost() -> dict[str, Any]:
        raise AnsibleConnectionFailure("no way")

    def killed() -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGKILL)
        return {}

    answers = side_by_side([broken, lost, killed, lambda: {"good": True}], 4)
    assert answers[0] == {"failed": True, "msg": "no such luck"}
    assert answers[1] == {"unreachable": True, "msg": "no way"}
    assert "ended before it answered" in answers[2]["msg"]
    assert answers[3] == {"good": True}


def test_who_is_told_to_end_ends_what_runs(tmp_path: Path) -> None:
    class Enough(Exception):
        pass

    def alarm(_number: int, _frame: Any) -> None:
        raise Enough

    def long(name: str) -> dict[str, Any]:
        (tmp_path / name).write_text(str(os.getpid()))
        time.sleep(60)
        return {}

    before = signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, 1.5)
    try:
        with pytest.raises(Enough):
            side_by_side([lambda: long("a"), lambda: long("b")], 2)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    for name in ("a", "b"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int((tmp_path / name).read_text()), 0)
            pytest.fail("it still runs")
