# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work of one task side by side: each piece in a copy of the task's own process, with the connection as it was."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable

from ansible.errors import AnsibleConnectionFailure

from ansible_collections.phasegate.aistack.plugins.module_utils.core import beside

Job = Callable[[], Mapping[str, Any]]


@dataclass
class _Running:
    """A piece that runs: its process, and what it has answered so far."""

    number: int
    pid: int
    pipe: int
    answer: bytearray = field(default_factory=bytearray)


def side_by_side(jobs: Sequence[Job], limit: int) -> list[dict[str, Any]]:
    """What each job answers, in their order; at most *limit* run at a time.

    One alone runs in this process. A job that raises, or whose process dies, has answered C(failed) and C(msg). Where this process is
    told to end, those that run end as well.
    """
    if len(jobs) <= 1 or limit <= 1:
        return [_answered(job) for job in jobs]
    waiting, running = list(enumerate(jobs))[::-1], dict[int, _Running]()
    answers: list[dict[str, Any]] = [{} for _job in jobs]
    try:
        while waiting or running:
            while waiting and len(running) < limit:
                number, job = waiting.pop()
                started = _start(number, job, list(running))
                running[started.pipe] = started
            for pipe in select.select(list(running), [], [])[0]:
                block = os.read(pipe, 1 << 16)
                running[pipe].answer += block
                if not block:
                    done = running.pop(pipe)
                    os.close(pipe)
                    os.waitpid(done.pid, 0)
                    answers[done.number] = _read(bytes(done.answer))
    finally:
        for left in running.values():
            os.close(left.pipe)
            beside.end(left.pid)
    return answers


def _start(number: int, job: Job, others: Sequence[int]) -> _Running:
    pipe, answer = os.pipe()
    pid = beside.child(again=False)
    if not pid:
        with beside.ending():
            signal.signal(signal.SIGTERM, beside.leave)
            for other in (*others, pipe):
                os.close(other)
            said = json.dumps(_answered(job), default=str).encode()
            while said:
                said = said[os.write(answer, said) :]
    os.close(answer)
    return _Running(number, pid, pipe)


def _answered(job: Job) -> dict[str, Any]:
    try:
        return dict(job())
    except AnsibleConnectionFailure as error:
        return {"unreachable": True, "msg": str(error)}
    except Exception as error:  # noqa: BLE001 - an answer as any other: what failed is told beside what did not
        return {"failed": True, "msg": str(error) or repr(error)}


def _read(answer: bytes) -> dict[str, Any]:
    with contextlib.suppress(ValueError):  # said below
        found = json.loads(answer)
        if isinstance(found, dict):
            return found
    return {"failed": True, "msg": "The process that worked at it ended before it answered. Run the same again."}
