# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The dead man's switch: what a run activated goes back by itself unless somebody confirms it in time.

C(<state>/confirm/<run>.json) is the plan on disk, a timer that outlasts a reboot carries it out. Whoever renames the file first decides: a
confirmation makes it C(.confirmed), going back makes it C(.reverting). So there is never both.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import Systemd, UnitError
from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import move, write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.emergency import EmergencyJournal, EmergencyLock
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal, utc_now
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import TAKING_BACK, Lock, LockHeld, keep_lease
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import activations_of_run, canaries_of_run
from ansible_collections.phasegate.aistack.plugins.module_utils.release import way_back
from ansible_collections.phasegate.aistack.plugins.module_utils.release.content import Content
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import Layout
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.gate import BackGate
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.run import TROUBLE, Caller, Locked, Tools, take_lock, with_notes
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import component_file
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.contract import Failed, Request

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import Served
    from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import LiveLinks
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.contract import Outcome, Row

COMMAND = "/usr/local/bin/aistack"
FOLDER = "confirm"
PATIENCE_S = 900.0
"""Seconds that the timer's process waits for another run, and for a process of its own run that still works here."""
AGAIN_S, AGAIN_FOR_S = 15.0, 900.0
"""What does not go back is tried again after so many seconds, for so long: nobody else will, and what it needs may only be booting."""
_RUN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")


class Armed(TypedDict, total=False):
    """What a run's activations return to unless it is confirmed. :func:`arm` writes it to C(confirm/<run>.json), :func:`pending` reads it.

    Attributes:
        format: 1.
        run, stack, actor: whose it is; ``armed``, ``expires``: UTC, ISO 8601; ``seconds`` in between.
        returns: component to what it returns to, None for nothing.
        state: when read: C(armed) or C(reverting).
    """

    format: int
    run: str
    stack: str
    actor: str
    armed: str
    expires: str
    seconds: int
    returns: dict[str, Served | LiveLinks | None]
    state: str


class DeadManError(Exception):
    """It cannot be armed or confirmed; the message says why and what to do."""


def _path(state_dir: Path, run: str) -> Path:
    if not _RUN.fullmatch(run):
        raise DeadManError(f"a run's name is made of letters, digits, '.', '_' and '-', got {run!r}")
    return state_dir / FOLDER / f"{run}.json"


def timer_of(run: str) -> str:
    """Name, without suffix, of the timer of a run."""
    return f"aistack-confirm-{run}"


def script(stack: str, run: str, command: str = COMMAND) -> str:
    """What the timer does."""
    words = [command, *(["--stack", stack] if stack else []), "revert", "--run", run, "--unless-confirmed"]
    return f"exec {shlex.join(words)}"


def returns(state_dir: Path, run: str) -> dict[str, Served | LiveLinks | None]:
    """Component to what it returns to: what it was before *run* activated something, else what is live; None for nothing."""
    described, _problems = component_file.load_all(state_dir)
    records = Journal.of(state_dir).read()
    before = {found.component: found.previous for found in [*canaries_of_run(records, run), *activations_of_run(records, run)]}
    return {name: before[name] if name in before else Layout(found["root"], name).live() for name, found in described.items()}


def arm(
    state_dir: Path,
    stack: str,
    run: str,
    seconds: int,
    actor: str = "",
    command: str = COMMAND,
    systemd: Systemd | None = None,
    check: bool = False,
) -> dict[str, object]:
    """Have the node go back in *seconds* unless *run* is confirmed. Arming again begins again.

    Raises:
        DeadManError: the command is not here, the time makes no sense, or the node went back already.
        UnitError: systemd set no timer; nothing is armed then.
    """
    path = _path(state_dir, run)
    if seconds < 1:
        raise DeadManError(f"the time to confirm in has to be at least 1 second (-e confirm_within=60), got {seconds}")
    if not check and not os.access(command, os.X_OK):
        raise DeadManError(
            f"{command} is not on this node, so that nothing could go back by itself. Run site.yml first, which installs it"
        )
    _refuse_late(state_dir, run)
    now = datetime.datetime.now(datetime.timezone.utc)
    expires = (now + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    plan: Armed = {
        "format": 1,
        "run": run,
        "stack": stack,
        "actor": actor,
        "armed": utc_now(),
        "expires": expires,
        "seconds": seconds,
        "returns": returns(state_dir, run),
    }
    answer = {
        "changed": True,
        "path": str(path),
        "timer": f"{timer_of(run)}.timer",
        "expires": expires,
        "returns": plan["returns"],
    }
    if check:
        return answer
    write_file(path, json.dumps(plan, indent=1, sort_keys=True) + "\n", 0o644)
    try:
        (systemd or Systemd()).schedule_persistent(timer_of(run), seconds, script(stack, run, command))
    except BaseException:
        path.unlink()
        _done(run, systemd)
        raise
    return answer


def pending(state_dir: Path) -> list[Armed]:
    """What waits to be confirmed, or is on its way back: the plans, with ``state`` (``armed`` or ``reverting``)."""
    found: list[Armed] = []
    for path in sorted((state_dir / FOLDER).glob("*")):
        if path.suffix in (".json", ".reverting"):
            with contextlib.suppress(OSError, ValueError):  # confirmed or claimed while it is looked at
                armed: Armed = json.loads(path.read_text(encoding="utf-8"))
                found.append({**armed, "state": "armed" if path.suffix == ".json" else "reverting"})
    return found


def _refuse_late(state_dir: Path, run: str) -> None:
    """Raise DeadManError where the node goes back from what *run* activated, or has done so."""
    gone_back = [record for record in Journal.of(state_dir).read() if record.get("op") == "rollback" and record.get("run") == run]
    if gone_back or _path(state_dir, run).with_suffix(".reverting").exists():
        when = gone_back[-1].get("time") if gone_back else "now"
        raise DeadManError(
            f"too late: run {run} was not confirmed in time, and the node went back by itself ({when}). `aistack status` says what"
            " is live; deploy again once it is known why the confirmation did not arrive"
        )


def confirm(state_dir: Path, run: str, systemd: Systemd | None = None, check: bool = False) -> dict[str, object]:
    """Keep what *run* activated. Nothing to do where nothing is armed for it.

    Raises:
        DeadManError: too late: the node goes back, or has gone back.
        UnitError: the timer could not be taken back; it finds nothing to do.
    """
    path = _path(state_dir, run)
    if not path.exists():
        _refuse_late(state_dir, run)
        return {"changed": False, "msg": f"nothing waits for a confirmation of run {run}"}
    if check:
        return {"changed": True, "msg": f"run {run} would be confirmed"}
    confirmed = path.with_suffix(".confirmed")
    try:
        move(path, confirmed)
    except FileNotFoundError:
        return confirm(state_dir, run, systemd)  # the timer was quicker
    (systemd or Systemd()).unschedule(timer_of(run))
    confirmed.unlink()
    return {"changed": True, "msg": f"run {run} is confirmed"}


def _claim(path: Path) -> bool:
    """Whether this process is the one to go back: nobody confirmed, or another process began and was interrupted."""
    try:
        move(path, path.with_suffix(".reverting"))
    except FileNotFoundError:
        return path.with_suffix(".reverting").exists()
    return True


def _wait(lock: Lock, caller: Caller, patience: float) -> None:
    """Take the lock as the run. Waits for other runs, and for a process of the same run that is still switching."""
    end = time.monotonic() + patience
    while True:
        worker = (lock.current() or {}).get("worker")
        busy = worker and worker.get("pid") and proc.alive(int(worker["pid"]), worker.get("pid_started"))
        try:
            if not busy or time.monotonic() >= end:
                take_lock(lock.state_dir, caller, lock)
                return
        except Locked:
            if time.monotonic() >= end:
                raise
        time.sleep(0.2)


def revert(
    state_dir: Path,
    caller: Caller,
    unless_confirmed: bool = False,
    tools: Tools | None = None,
    patience: float | None = None,
    systemd: Systemd | None = None,
) -> Outcome:
    """Take back everything that the run *caller.run* activated on this node, in reverse order of dependency.

    Args:
        state_dir: where journal, descriptions and plans are.
        caller: the run; its reason.
        unless_confirmed: do nothing where the run was confirmed; what does not go back is tried again.
        tools: what works on the node.
        patience: seconds to wait for others; at once refused if None, except with *unless_confirmed*.
        systemd: where the timer is.

    Returns:
        ``outcome``: ``ok``, ``failed``, or ``confirmed`` (nothing was done); ``components``, ``seconds``, ``changed``.

    Raises:
        Locked: another run has this node.
    """
    began = time.monotonic()
    path = _path(state_dir, caller.run)
    answer: Outcome = {"changed": False, "outcome": "confirmed", "run": caller.run, "components": [], "seconds": 0.0}
    if unless_confirmed and not _claim(path):
        _done(caller.run, systemd)
        return answer
    tools = tools or Tools()
    changed = False
    journal = EmergencyJournal(Journal.of(state_dir).path)
    lock = EmergencyLock(state_dir, journal)
    while True:
        journal.begin()
        _wait(lock, caller, PATIENCE_S if patience is None and unless_confirmed else patience or 0.0)
        try:
            with keep_lease(state_dir, caller.run, f"{TAKING_BACK} {caller.run}"):
                rows = _take_back(state_dir, caller, tools, journal)
        finally:
            with contextlib.suppress(LockHeld):  # somebody broke in and has it now: it is theirs to give back
                lock.release(caller.run)
        changed = changed or any(row["changed"] for row in rows)
        failed = [row for row in rows if row["outcome"] == "failed"]
        if not failed or not unless_confirmed or time.monotonic() - began > AGAIN_FOR_S:
            break
        tools.say(f"{len(failed)} did not go back; once more in {AGAIN_S:g} s")
        if caller.stop.wait(AGAIN_S):
            break
    if not failed:
        for left in (path, path.with_suffix(".reverting")):
            with contextlib.suppress(FileNotFoundError):  # only one of the two is there
                left.unlink()
        _done(caller.run, systemd)
    answer["changed"], answer["outcome"], answer["components"] = changed, "failed" if failed else "ok", rows
    answer["seconds"] = round(time.monotonic() - began, 3)
    return with_notes(journal, answer)


def _done(run: str, systemd: Systemd | None) -> None:
    with contextlib.suppress(UnitError):  # a timer that stays finds nothing to do, whenever it fires
        (systemd or Systemd()).unschedule(timer_of(run))


def _take_back(state_dir: Path, caller: Caller, tools: Tools, journal: Journal) -> list[Row]:
    """Every component on its own: one that does not go back holds no other."""
    described, _problems = component_file.load_all(state_dir)
    records = journal.read()
    mine = {found.component: found for found in [*canaries_of_run(records, caller.run), *activations_of_run(records, caller.run)]}
    order = sorted((name for name in mine if name in described), key=lambda name: (-int(described[name].get("order") or 0), name))
    if not order:
        return []
    targets = {name: _target(described[name], mine[name].previous) for name in order}
    tags = {str(target["release"] if target else None) for target in targets.values()}
    detail = {
        "level": "app",
        "by": "revert",
        "reason": caller.reason,
        "from": ", ".join(sorted({str(mine[name].release) for name in order})),
        "moves": {
            name: {"from": {"release": mine[name].release, "config": mine[name].config}, "to": targets[name] or {}}
            for name in order
        },
    }
    to = tags.pop() if len(tags) == 1 and None not in targets.values() else None
    rows: list[Row] = []
    # the journal has the failure then, and the rows that are returned say what did not go back
    with contextlib.suppress(_NotAll), journal.operation("rollback", None, to, caller.run, caller.actor, detail) as operation:
        for name in order:
            rows.append(_one(state_dir, name, described[name], targets[name], caller, tools, journal))
        operation.detail["components"] = [
            {key: row[key] for key in ("component", "outcome", "seconds", "message")} for row in rows
        ]
        failed = [f"{row['component']}: {row['message']}" for row in rows if row["outcome"] == "failed"]
        if failed:
            raise _NotAll("; ".join(failed))
    return rows


def _target(description: component_file.Description, then: Served | None) -> Served | None:
    """What *then* was live, with the secrets of today."""
    found = way_back.content(description["root"], description["component"], then)
    return {**then, "config": found.config} if then and found else None


class _NotAll(Exception):
    """Some component did not go back; the journal has it."""


def _one(
    state_dir: Path,
    name: str,
    description: component_file.Description,
    target: Served | None,
    caller: Caller,
    tools: Tools,
    journal: Journal,
) -> Row:
    began = time.monotonic()
    spec = component_file.spec_of(description, state_dir)
    content = Content(target["release"], target["config"]) if target else Content("", "")
    gate = BackGate(name, content, tools.new_gate(), caller.stop, None, bool(spec.edge))
    slots = tools.make(spec, gate, journal)
    row: Row = {"component": name, "to": {**target} if target else None, "changed": False, "outcome": "failed"}
    try:
        gate.watch(slots.node)
        outcome = slots.revert(Request(run=caller.run, actor=caller.actor, reason=caller.reason))
        row["outcome"], row["changed"], row["slot"], row["message"] = "ok", outcome.changed, outcome.slot, outcome.message
    except TROUBLE as error:
        row["message"] = str(error)
        if isinstance(error, Failed):
            row["report"] = error.report
    row["seconds"] = round(time.monotonic() - began, 3)
    tools.say(f"{row['message']} ({row['seconds']:.1f} s)")
    return row


def reason_of(state_dir: Path, run: str) -> str:
    """Why the node goes back by itself, in words."""
    for found in pending(state_dir):
        if found.get("run") == run:
            return f"not confirmed within {found.get('seconds')} s"
    return "not confirmed in time"
