# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever breaks at whatever step: the service answers afterwards, no row is lost, no lock stays, the journal tells it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .cases import CASES, OPERATIONS, Case, Operation
from .world import FAULTS, KILLED, LEASE_S, Visitors, World

MUST_NOT_REFUSE = ("deployment", "staging", "migration", "rollback, level app", "rollback, level config", "emergency rollback")
"""Operations during which a dead controller must not cost a single request."""


TOMORROW = """
import datetime, time

AHEAD = 24 * 3600
now, now_ns, gmtime, localtime, strftime = time.time, time.time_ns, time.gmtime, time.localtime, time.strftime
time.time = lambda: now() + AHEAD
time.time_ns = lambda: now_ns() + AHEAD * 10**9
time.gmtime = lambda seconds=None: gmtime(time.time() if seconds is None else seconds)
time.localtime = lambda seconds=None: localtime(time.time() if seconds is None else seconds)
time.strftime = lambda form, moment=None: strftime(form, time.localtime() if moment is None else moment)


class Tomorrow(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)

    @classmethod
    def utcnow(cls):
        return cls.now(datetime.timezone.utc).replace(tzinfo=None)


datetime.datetime = Tomorrow
"""
"""What Python reads before anything else where PYTHONPATH leads to it. libfaketime does not do: under it time.sleep fails (EINVAL)."""


@pytest.fixture
def tomorrow(world: World, tmp_path: Path) -> list[str]:
    """Arguments with which the modules on backend-1 live a day ahead."""
    world.on("backend-1", "\n".join([
        "set -e",
        "mkdir -p /usr/local/lib/tomorrow",
        "cat > /usr/local/lib/tomorrow/sitecustomize.py <<'E'", TOMORROW, "E",
        "cat > /usr/local/bin/python3-tomorrow <<'E'",
        "#!/bin/sh",
        'PYTHONPATH=/usr/local/lib/tomorrow exec python3 "$@"',
        "E",
        "chmod 755 /usr/local/bin/python3-tomorrow",
        "python3-tomorrow -c 'import datetime, time; assert time.time() - time.clock_gettime(time.CLOCK_REALTIME) > 86000'",
    ]))
    overlay = tmp_path / "tomorrow.json"
    overlay.write_text(json.dumps({"all": {"hosts": {"backend-1": {"ansible_python_interpreter": "/usr/local/bin/python3-tomorrow"}}}}))
    return ["-i", "inventories/lab", "-i", str(overlay)]


def broken(world: World, case: Case, operation: Operation, request: pytest.FixtureRequest, trace: Path) -> str:
    """Carry the operation out with its fault; returns how that ended, in words, after the world has been healed."""
    arguments = list(operation.arguments)
    at: dict[str, Any] = {"step": case.step, "after": case.after, "trace": str(trace)}
    if case.fault == "controller":
        ended = world.faulty(operation.playbook, arguments, at)
        assert ended.rc == KILLED, f"the controller was not killed at this step\n{ended.text[-3000:]}"
        return "killed"
    fault = FAULTS[case.fault]
    if case.fault == "clock":
        arguments += request.getfixturevalue("tomorrow")
    try:
        ended = world.faulty(operation.playbook, arguments, {**at, "run": fault.run()} if case.step else {})
        assert not case.step or "acted" in trace.read_text().splitlines(), f"the fault did not happen\n{trace.read_text()[-2000:]}"
    finally:
        world.heal(fault)
    assert ended.rc != KILLED
    assert "Traceback (most recent call last)" not in ended.text, f"a failure is said in words\n{ended.text[-6000:]}"
    return "went through" if ended.rc == 0 else "failed and said so"


def test_what_breaks_is_fixed(
    world: World, case: Case, note: Callable[[dict[str, Any]], None], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    operation = OPERATIONS[case.operation](world)
    rows, seq = world.plant(), world.journal()[-1]["seq"]
    with Visitors() as visitors:
        first = broken(world, case, operation, request, tmp_path / "trace")
        if not operation.stands_still:
            world.answering()
        began = time.monotonic()
        if case.recover == "again":
            expected = operation.goal
            done = world.play(operation.playbook, *operation.arguments)
            # what was begun ended by itself
            there = world.serving() == expected and operation.proof(world) and "already" in done.text
            assert done.rc == 0 or there, done.text
        else:
            expected = operation.origin
            done = world.play("emergency_rollback", "-e", f"to={operation.origin['backend']}")
            assert done.rc == 0 or world.serving() == expected, done.text
        seconds = time.monotonic() - began
        time.sleep(0.3)
    assert world.answering() == expected
    assert case.recover == "back" or operation.proof(world)
    assert world.rows() == rows, "rows were lost or changed"
    assert all(left <= LEASE_S for left in world.locks().values()), world.locks()
    assert not world.unfinished(seq), "the journal leaves open how it ended"
    for node in ("backend-1", "web-1"):
        world.on(node, "aistack journal --verify --lines 1")
    health = world.play("healthcheck")
    assert health.rc == 0, health.text
    if case.fault == "controller" and case.operation in MUST_NOT_REFUSE:
        assert visitors.failed == 0, f"{visitors.failed} of {visitors.asked} requests failed"
    note({
        "operation": case.operation, "step": case.step, "fault": case.fault, "after": case.after, "recover": case.recover,
        "first": first, "seconds": round(seconds, 1), "failed": visitors.failed, "asked": visitors.asked,
        "outage_s": round(visitors.longest_s, 1), "rows": rows.split()[0], "locks": world.locks(), "quick": case.quick,
    })


@pytest.mark.parametrize("operation", ["deployment", "restore", "rollback, level app", "rollback, level schema", "emergency rollback"])
def test_every_step_that_changes_something_is_in_the_table(
    world: World, operation: str, tmp_path: Path
) -> None:
    like = {"deployment": ("staging", "migration"), "rollback, level schema": ("rollback, level app",)}.get(operation, ())
    known = {case.step for case in CASES if case.operation in (operation, *like) and case.fault == "controller"}
    chosen = OPERATIONS[operation](world)
    done = world.faulty(chosen.playbook, chosen.arguments, {"trace": str(tmp_path / "trace")})
    assert done.rc == 0, done.text
    changed = [line[len("changed "):] for line in (tmp_path / "trace").read_text().splitlines() if line.startswith("changed ")]
    assert changed
    missing = sorted({name for name in changed if not any(step in name for step in known)})
    assert not missing, f"steps without a case: {missing}"
