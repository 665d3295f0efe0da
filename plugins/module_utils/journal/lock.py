# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lease on a node: one run changes it at a time, and a dead run is no obstacle for longer than its lease.

``<state>/lock.json`` holds the lease and is only ever replaced by rename, under a flock on
``<state>/.lock.guard``. Time is counted by the monotonic clock within one boot, so that a clock that
was set does not lengthen or shorten a lease; after a reboot the wall clock counts.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from ansible_collections.phasegate.aistack.plugins.module_utils.core import flock, proc, progress
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import fsync, write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import LOCK, Journal, utc_now

GUARD = ".lock.guard"
TAKING_BACK = "taking back run"
"""How the work of the dead man's switch is named in the lease, which it holds in the name of the run that it takes back."""


class Job(TypedDict, total=False):
    """A job of AWX: its ``id`` and ``template``, the address for people (``awx``), and that at which it is asked (``api``)."""

    id: str
    awx: str
    api: str
    template: str


class Owner(TypedDict, total=False):
    """Whose run it is: ``actor``, and the process of its ``controller`` by ``pid`` and start, or its ``job``."""

    actor: str
    controller: str
    controller_id: str
    pid: int
    pid_started: str | None
    job: Job


class Worker(TypedDict):
    """A process that works on the node for the run: ``what`` it does."""

    pid: int
    pid_started: str | None
    what: str


class Lease(TypedDict, total=False):
    """Who has a node, C(<state>/lock.json). :class:`Lock` writes and reads it; the controller lengthens it (:mod:`journal.heartbeat`).

    Attributes:
        run: whose it is, C(unreadable) where the file says nothing; ``owner``: its process.
        since, expires: UTC, ISO 8601; ``lease_s``: seconds that it was taken for.
        boot, clock_expires: the boot in which it was written, and when it ends by that boot's clock (seconds).
        before_boot: it was lengthened by the controller since, and the node started in between.
        worker: the process that works here, None where none does.
    """

    run: str
    owner: Owner
    since: str
    expires: str
    lease_s: float
    boot: str | None
    clock_expires: float
    before_boot: bool
    worker: Worker | None


class LockHeld(Exception):
    """The lease is another run's. ``lease`` is that lease; the message says who, until when, and the remedy."""

    def __init__(self, message: str, lease: Lease) -> None:
        super().__init__(message)
        self.lease = lease


class LeaseLost(LockHeld):
    """The run that asks had the lease and has it no longer; ``lease`` is what stands instead, or empty."""


@dataclass
class Acquired:
    """``how`` is acquired, renewed, taken_over or broken; ``replaced`` is the lease that stood in the way."""

    lease: Lease
    how: str
    replaced: Lease | None = None


def _clock() -> float:
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _seconds_left(lease: Lease) -> float:
    """Seconds until the lease expires; negative when it has."""
    if lease.get("boot") and lease["boot"] == proc.boot_id() and isinstance(lease.get("clock_expires"), (int, float)):
        return float(lease["clock_expires"]) - _clock()
    try:
        expires = datetime.datetime.strptime(str(lease.get("expires")), "%Y-%m-%dT%H:%M:%S.%fZ")
    except ValueError:
        return -1.0
    left = (expires.replace(tzinfo=datetime.timezone.utc) - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
    # More than a whole lease is left: the clock was set back. A lease never lasts longer than it was taken for.
    return left if left <= float(lease.get("lease_s", 0)) + 1 else -1.0


def describe(lease: Lease) -> str:
    """Return who holds a lease, since when and until when, as a half sentence."""
    owner = lease.get("owner") or {}
    who = owner.get("actor") or "somebody"
    where = f" on {owner['controller']}" if owner.get("controller") else ""
    pid = f" (process {owner['pid']})" if owner.get("pid") else ""
    if isinstance(owner.get("job"), dict) and owner["job"].get("id"):  # its host is a container, which says nobody anything
        where, pid = f" in job {owner['job']['id']} of AWX", ""
    return f"{who}{where}{pid}, run {lease.get('run')}, since {lease.get('since')}, until {lease.get('expires')}"


class Lock:
    """The lease of one state directory."""

    def __init__(self, state_dir: str | os.PathLike[str]) -> None:
        self.state_dir = Path(state_dir)
        self.path = self.state_dir / LOCK
        self.journal = Journal.of(state_dir)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        self.state_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
        with flock.held(self.state_dir / GUARD):
            yield

    def current(self) -> Lease | None:
        """Return the lease that is there, expired or not, or None. An unreadable one has the run ``unreadable``."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        try:
            lease: Lease | None = json.loads(text)
        except ValueError:
            lease = None
        if not isinstance(lease, dict):
            return {"run": "unreadable", "owner": {}, "since": "", "expires": "", "lease_s": 0}
        return lease

    def holder(self) -> Lease | None:
        """Return the lease that stands, or None when there is none or it has expired."""
        lease = self.current()
        return lease if lease is not None and _seconds_left(lease) > 0 else None

    def _write(self, lease: Lease) -> None:
        write_file(self.path, json.dumps(lease, sort_keys=True), 0o640)

    def _lease(self, run: str, owner: Owner, lease_s: float, since: str | None = None) -> Lease:
        expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=lease_s)
        return {
            "run": run,
            "owner": owner,
            "since": since or utc_now(),
            "expires": expires.strftime("%Y-%m-%dT%H:%M:%S.") + f"{expires.microsecond // 1000:03d}Z",
            "lease_s": lease_s,
            "boot": proc.boot_id(),
            "clock_expires": _clock() + lease_s,
        }

    def _note(self, action: str, run: str, owner: Owner, **detail: Any) -> None:
        self.journal.append(
            {"op": "lock", "outcome": "ok", "run": run, "actor": owner.get("actor", ""), "detail": {"action": action, **detail}}
        )

    def acquire(
        self,
        run: str,
        owner: Owner,
        lease_s: float = 900,
        dead_run: str | None = None,
        break_lock: bool = False,
        worker_wait_s: float = 90,
    ) -> Acquired:
        """Take the lease for ``run``, or lengthen it when it is this run's already.

        Args:
            run: the run's id.
            owner: ``actor``, ``controller``, ``pid``, ``pid_started`` of who asks.
            lease_s: seconds from now after which the lease ends by itself.
            dead_run: the run whose process the caller found dead; its lease is taken over at once.
            break_lock: take the lease from whoever has it.
            worker_wait_s: seconds to wait for a process of the former run that still works on this node.

        Raises:
            LockHeld: another run has it, or a process of the former run still works here.
        """
        limit = time.monotonic() + worker_wait_s
        while True:
            with self._guard():
                lease = self.current()
                blocking = self._blocking_worker(lease, run) if not break_lock else None
                if lease is None or blocking is None:
                    return self._take(lease, run, owner, lease_s, dead_run, break_lock)
                expired = _seconds_left(lease) <= 0
                if not expired and lease.get("run") != dead_run:
                    raise LockHeld(self.refusal(lease), lease)
            if time.monotonic() >= limit:
                raise LockHeld(
                    f"The run {lease.get('run')} has ended or expired, but its process {blocking['pid']} ({blocking.get('what')}) "
                    f"still works on this node. Expected: it ends within {worker_wait_s:g} s. Wait for it, or end it and run again.",
                    lease,
                )
            progress.tell(f"waits for process {blocking['pid']} ({blocking.get('what')}) of the run {lease.get('run')}")
            time.sleep(0.2)

    def _blocking_worker(self, lease: Lease | None, run: str) -> Worker | None:
        worker = (lease or {}).get("worker")
        if not lease or lease.get("run") == run or not isinstance(worker, dict):
            return None
        return worker if proc.alive(int(worker.get("pid", 0)), worker.get("pid_started")) else None

    def refusal(self, lease: Lease) -> str:
        """Return the message for somebody else than the holder."""
        return (
            f"The lock of this node ({self.path}) is held by {describe(lease)}. "
            f"Expected no other run; {_seconds_left(lease):.0f} s of its lease are left. "
            "Wait for it to end. If that run is dead, its lease ends by itself at the time named. If it is known not to work any more, "
            "run the same command again with -e break_lock=true: that run then stops at its next step on this node."
        )

    def require(self, run: str, before: str = "", beside: bool = False) -> None:
        """Refuse a run that lost the lease, or, unless *beside*, one that never took it while another has it.

        A lease of this run that ran out and that nobody took is taken again. A run that took none, on a node
        that is nobody's, is called by hand and goes on.

        Args:
            run: who asks; an empty text is nobody's run and goes on.
            before: what is not done then, as half a sentence.
            beside: what is asked for may be done while another run has the lease, as a backup may.

        Raises:
            LeaseLost: with who has it since when, what this run had done on this node, and what to do.
        """
        if not run:
            return
        lease = self.current()
        if lease is not None and lease.get("run") == run and not _taken_back(lease):
            if _seconds_left(lease) > 0:
                return
            try:
                if self.renew(run, worker=lease.get("worker")):
                    return
            except OSError:  # it cannot be lengthened now, but nobody else has it
                return
            lease = self.current()
        standing = lease is not None and _seconds_left(lease) > 0
        if standing and not beside:
            raise LeaseLost(self._lost(run, lease, before, []), lease or {})
        records = self.journal.read()
        if _had(records, run):
            raise LeaseLost(self._lost(run, lease, before, records), lease or {})

    def _lost(self, run: str, lease: Lease | None, before: str, records: list[Record]) -> str:
        records = records or self.journal.read()
        taken = [r for r in records if r.get("op") == "lock" and _took_from(r) == run]
        if lease is not None and lease.get("run") == run:
            who = "what this run activated is being taken back, or its lease ran out while it was taken"
        elif lease is not None:
            who = f"it is held by {describe(lease)}"
        elif taken:
            last = taken[-1]
            who = f"{last.get('actor') or 'somebody'} took it for run {last['run']} at {last['time']} and has given it back since"
        else:
            who = "it was taken away, and nobody has it now"
        done = [r for r in records if r.get("run") == run and r.get("outcome") == "ok" and r.get("op") not in ("lock", "mark", "phase")]
        told = ", ".join(" ".join(str(r[k]) for k in ("op", "component", "release") if r.get(k)) for r in done) or "nothing"
        return (
            f"Stopped before it could {before or 'change this node'}: run {run} does not have the lock of this node ({self.path}); {who}. "
            f"Expected: the lock of this run. Done by this run on this node until now: {told}. "
            "Look at what is live now (aistack status on the node), wait for the other run to end, and run the whole command again "
            "if it is still wanted."
        )

    def _take(
        self, lease: Lease | None, run: str, owner: Owner, lease_s: float, dead_run: str | None, break_lock: bool
    ) -> Acquired:
        if lease is not None and lease.get("run") == run:
            how = "renewed" if _seconds_left(lease) > 0 else "acquired"
            fresh: Lease = {**self._lease(run, owner, lease_s, since=str(lease.get("since"))), "worker": lease.get("worker")}
            self._write(fresh)
            return Acquired(fresh, how)
        how, reason = "acquired", None
        if lease is not None:
            if _seconds_left(lease) <= 0:
                how, reason = "taken_over", "expired"
            elif dead_run is not None and lease.get("run") == dead_run:
                how, reason = "taken_over", "its process is dead"
            elif break_lock:
                how, reason = "broken", "break_lock"
            else:
                raise LockHeld(self.refusal(lease), lease)
        fresh = self._lease(run, owner, lease_s)
        if lease is not None:
            self._note(how, run, owner, reason=reason, replaced=_public(lease), lease_s=lease_s)
        else:
            self._note(how, run, owner, lease_s=lease_s)
        self._write(fresh)
        return Acquired(fresh, how, lease)

    def renew(self, run: str, lease_s: float | None = None, worker: Worker | None = None) -> bool:
        """Lengthen the lease from now; False when it is not this run's (any more)."""
        if not self.path.exists():
            return False
        with self._guard():
            lease = self.current()
            if lease is None or lease.get("run") != run:
                return False
            seconds = float(lease_s if lease_s is not None else lease.get("lease_s", 900))
            fresh = self._lease(run, lease.get("owner") or {}, seconds, since=str(lease.get("since")))
            fresh["worker"] = worker
            self._write(fresh)
            return True

    def prolong(self, run: str) -> bool:
        """Lengthen the lease from outside of this node, where nothing need be at work; False when it is not this run's (any more).

        Who works here stays named in it. A lease from before the last boot stays known as one (:func:`from_before`).
        """
        if not self.path.exists():
            return False
        with self._guard():
            lease = self.current()
            if lease is None or lease.get("run") != run:
                return False
            fresh = self._lease(run, lease.get("owner") or {}, float(lease.get("lease_s", 900)), since=str(lease.get("since")))
            fresh["worker"] = lease.get("worker")
            if from_before(lease):
                fresh["before_boot"] = True
            self._write(fresh)
            return True

    def release(self, run: str, break_lock: bool = False) -> bool:
        """Give the lease back; True when there was one of this run (or any, with ``break_lock``).

        Raises:
            LockHeld: another run has it. An expired one of another run is left for the next to take over.
        """
        if not self.path.exists():
            return False
        with self._guard():
            lease = self.current()
            if lease is None:
                return False
            if lease.get("run") != run and not break_lock:
                if _seconds_left(lease) <= 0:
                    return False
                raise LockHeld(self.refusal(lease), lease)
            self.path.unlink()
            fsync(self.state_dir)
            self._note("released", run, lease.get("owner") or {}, replaced=_public(lease))
            return True


def from_before(lease: Lease) -> bool:
    """Whether the run last worked here under its lease before this node started.

    In a container the kernel goes on, and the boot's id is the same.
    """
    if lease.get("before_boot") or lease.get("boot") != proc.boot_id():
        return True
    return float(lease.get("clock_expires") or 0.0) - float(lease.get("lease_s") or 0.0) < _started()


def _started() -> float:
    """When the first process of this node began, in seconds since the kernel did; 0 where that cannot be seen."""
    try:
        fields = Path("/proc/1/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0


def _public(lease: Lease) -> dict[str, object]:
    return {key: lease.get(key) for key in ("run", "owner", "since", "expires")}


def _taken_back(lease: Lease) -> bool:
    """Whether another process works on taking back the very run that has this lease."""
    worker = lease.get("worker")
    if not isinstance(worker, dict) or not str(worker.get("what", "")).startswith(TAKING_BACK):
        return False
    return worker.get("pid") != os.getpid() and proc.alive(int(worker.get("pid", 0)), worker.get("pid_started"))


def _took_from(record: Record) -> str:
    """The run from which a record of a lock says that its own run took it; empty for none."""
    detail = record.get("detail") or {}
    replaced = detail.get("replaced") if detail.get("action") in ("taken_over", "broken") else None
    return str(replaced.get("run") or "") if isinstance(replaced, dict) else ""


def _had(records: list[Record], run: str) -> bool:
    """Whether *run* took the lease and did not give it back itself, or was taken back as a whole."""
    had = False
    for record in records:
        if record.get("run") != run:
            continue
        detail = record.get("detail") or {}
        if record.get("op") == "rollback" and detail.get("by") == "revert":
            return True
        if record.get("op") == "lock":
            had = detail.get("action") != "released"
    return had


def require(state_dir: str | os.PathLike[str], run: str, before: str = "", beside: bool = False) -> None:
    """:meth:`Lock.require`: ask this before a step that cannot be taken back. Raises LeaseLost."""
    Lock(state_dir).require(run, before, beside)


@contextmanager
def keep_lease(
    state_dir: str | os.PathLike[str], run: str, what: str = "", lease_s: float | None = None, beside: bool = False
) -> Iterator[None]:
    """Keep the lease of ``run`` alive while the body works, from a thread that renews it in time.

    The lease also names this process, so that nobody takes over a node on which it still works.
    A module called by hand, for no run or for one that took no lease, keeps nothing. Where the disk is
    full the lease cannot be lengthened: the thread tries again, and the body goes on.

    Raises:
        LeaseLost: the lease is another run's, or was taken from this run (:meth:`Lock.require`).
    """
    lock = Lock(state_dir)
    lock.require(run, what, beside)
    worker: Worker = {"pid": os.getpid(), "pid_started": proc.start_time(os.getpid()), "what": what}
    lease = lock.current() or {}
    if not run or lease.get("run") != run:
        yield
        return
    seconds = float(lease_s if lease_s is not None else lease.get("lease_s", 900))
    done = threading.Event()

    def beat() -> None:
        while not done.wait(max(0.05, seconds / 3)):
            with contextlib.suppress(OSError):  # a full disk, say: tried again a third of a lease later, and no longer than it lasts
                if not lock.renew(run, lease_s, worker):
                    return  # Lock.require tells the body, before its next step

    with contextlib.suppress(OSError):  # the same
        lock.renew(run, lease_s, worker)
    thread = threading.Thread(target=beat, name="keep-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        with contextlib.suppress(OSError):  # what was done stays done
            lock.renew(run, lease_s, None)
