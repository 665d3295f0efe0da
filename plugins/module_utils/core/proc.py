# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes: run one with a deadline and keep what it said; tell whether one is still alive.

:func:`run` is for commands of somebody else's (a build, a release): as another user, with all that they start found and ended.
:func:`finish` is for programs of our own and of the system; :func:`start` and :func:`ended` are its halves, for what watches, or
ends in its own way, what it runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Callable, Optional, Union

from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc_keeper import KEEPER

KEPT = sys.platform.startswith("linux")
"""Whether a command gets a keeper, who finds all that it started."""
KEEPER_SECONDS = 60.0
"""How long the keeper itself may take, to start and to end what is left."""
GRACE = 1.0
"""Seconds after a program's end in which what it wrote last is still read, though another process holds its pipes."""
STEP = 0.2


Said = Callable[[bytes], None]
"""Told what a command has said so far."""
Stream = Union[int, IO[bytes]]
"""Where a program reads or writes: an open file, its number, or one of these two."""
NOTHING, PIPE = subprocess.DEVNULL, subprocess.PIPE
Child = subprocess.Popen[bytes]
"""A program that was started."""


@dataclass(frozen=True)
class Account:
    """A user of this host."""

    name: str
    uid: int
    gid: int


@dataclass
class Finished:
    """A command that ended. ``seconds`` is wall time; ``output`` is stdout and stderr as they came."""

    argv: list[str]
    rc: int
    output: str
    seconds: float
    timed_out: bool = False


@dataclass(frozen=True)
class Ended:
    """A program that ended: exit status (minus a signal's number), what it wrote to pipes, wall seconds."""

    rc: int
    stdout: str
    stderr: str
    seconds: float = field(default=0.0, compare=False)
    timed_out: bool = False


def tail(text: str, lines: int = 40) -> str:
    """Return the last ``lines`` non-empty lines of a text."""
    return "\n".join([line.rstrip() for line in text.splitlines() if line.strip()][-lines:])


def run(
    argv: Sequence[str],
    cwd: str | os.PathLike[str],
    env: Mapping[str, str],
    timeout: float,
    user: str | None = None,
    umask: int | None = None,
    said: Said | None = None,
) -> Finished:
    """Run a command of somebody else's, as ``user`` if this process is root; nothing that it started is left when this returns.

    ``timeout`` is in seconds; past it all of it is ended and ``timed_out`` is set. A command that is not there gives ``rc`` 127,
    one that may not be run 126, as a shell would. A ``user`` gets no further rights by programs that would give some (sudo,
    crontab). Where this is not Linux, what leaves the command's session is not found. ``said`` is told what the command has said so
    far, again and again while it runs.

    Raises:
        LookupError: there is no such user.
    """
    began = time.monotonic()
    who = account(user) if user is not None and os.geteuid() == 0 else None
    start = _start_kept if KEPT else _start
    try:
        child, asked = start(list(argv), cwd, dict(env), timeout, who, umask)
    except OSError as error:
        rc = 126 if isinstance(error, PermissionError) else 127
        return Finished(list(argv), rc, f"{argv[0]}: {error.strerror}", time.monotonic() - began)
    if who and child.stdout:
        os.fchown(child.stdout.fileno(), who.uid, who.gid)  # so that it may open /dev/stderr
    timed_out = False
    try:
        raw, told = communicate(child, asked, timeout + (KEEPER_SECONDS if KEPT else 0), said)
    except subprocess.TimeoutExpired:
        timed_out = True
        end_session(child.pid)
        raw, told = communicate(child, None, None)
    except BaseException:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):  # the next signal is stronger
            child.wait(KEEPER_SECONDS)
        end_session(child.pid)
        child.wait()
        raise
    status, output = child.returncode, raw.decode("utf-8", "replace")
    if KEPT and not timed_out:
        try:
            answer: dict[str, Any] = json.loads(told)
        except ValueError:  # it could not be started, or was killed: then the command has not ended well, whatever it did
            status, output = status or -signal.SIGKILL, output + told.decode("utf-8", "replace")
        else:
            status, timed_out = int(answer["rc"]), bool(answer["timed_out"])
    return Finished(list(argv), status, output, time.monotonic() - began, timed_out)


def start(
    argv: Sequence[str],
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    stdin: Stream = NOTHING,
    stdout: Stream = PIPE,
    stderr: Stream = PIPE,
    user: str | None = None,
    umask: int = -1,
    pass_fds: Iterable[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program without a shell, in a session of its own, so that all that stays in it can be ended. ``env``: None for ours.

    Raises:
        OSError: it could not be started.
        LookupError: there is no such user.
    """
    return subprocess.Popen(
        list(argv), env=None if env is None else dict(env), cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True,
        umask=umask, pass_fds=tuple(pass_fds), **as_user(user),
    )


def ended(
    child: subprocess.Popen[bytes], given: bytes | None = None, timeout: float | None = None, said: Said | None = None,
    stop: Callable[[], None] | None = None, errors: str = "replace",
) -> Ended:
    """Wait for what :func:`start` started, at most ``timeout`` seconds; past them its session is killed, or ``stop`` ends it.

    ``given`` is written to its standard input, ``errors`` says how what it wrote is decoded. Nothing of its session is left where
    this raises.
    """
    began, late = time.monotonic(), False
    end = stop or (lambda: end_session(child.pid))
    try:
        out, err = communicate(child, given, timeout, said)
    except subprocess.TimeoutExpired:
        late = True
        end()
        out, err = communicate(child)
    except BaseException:
        end()
        child.wait()
        raise
    seconds = time.monotonic() - began
    return Ended(child.returncode, out.decode("utf-8", errors), err.decode("utf-8", errors), seconds, late)


def finish(
    argv: Sequence[str],
    timeout: float | None = None,
    given: bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    stdin: Stream = NOTHING,
    stdout: Stream = PIPE,
    stderr: Stream = PIPE,
    user: str | None = None,
    umask: int = -1,
    said: Said | None = None,
    errors: str = "replace",
) -> Ended:
    """Run a program to its end: :func:`start`, then :func:`ended`."""
    child = start(argv, env, cwd, stdin if given is None else PIPE, stdout, stderr, user, umask)
    return ended(child, given, timeout, said, None, errors)


def stop(child: subprocess.Popen[bytes], patience: float) -> None:
    """Ask a program's session to end, and kill it after ``patience`` seconds; nothing where it has ended."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if child.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):  # it may end by itself in between
            os.killpg(child.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):  # the next signal is stronger
            child.wait(patience)
    child.wait()


def as_user(user: str | None) -> dict[str, Any]:
    """Keyword arguments for Popen that run a child as ``user``; empty where this process is not root. Raises LookupError."""
    if user is None or user == "root" or os.geteuid() != 0:
        return {}
    who = account(user)
    return {"user": who.uid, "group": who.gid, "extra_groups": []}


def account(user: str) -> Account:
    """A user of this host, with no groups but its own. Raises LookupError."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError as missing:
        raise LookupError(f"this host has no user {user}") from missing
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


_Started = tuple["subprocess.Popen[bytes]", Optional[bytes]]


def _start_kept(
    argv: list[str], cwd: str | os.PathLike[str], env: dict[str, str], timeout: float, who: Account | None, umask: int | None
) -> _Started:
    asked = {
        "argv": argv, "cwd": os.fspath(cwd), "env": env, "timeout": timeout, "parent": os.getpid(),
        "user": [who.uid, who.gid, []] if who else None, "umask": umask,
    }
    libraries = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}  # this Python may need it
    child = subprocess.Popen(
        [sys.executable or "python3", "-I", "-S", "-c", KEEPER],
        cwd="/", env=libraries, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )
    return child, json.dumps(asked).encode()


def _start(
    argv: list[str], cwd: str | os.PathLike[str], env: dict[str, str], timeout: float, who: Account | None, umask: int | None
) -> _Started:
    child = subprocess.Popen(
        argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        user=who.uid if who else None, group=who.gid if who else None, extra_groups=[] if who else None,
        umask=-1 if umask is None else umask,
    )
    return child, None


def communicate(
    child: subprocess.Popen[bytes], given: bytes | None = None, timeout: float | None = None, said: Said | None = None
) -> tuple[bytes, bytes]:
    """As ``child.communicate``, but GRACE seconds after the child's end nothing more is waited for.

    A daemon that the child left behind holds its pipes open for as long as it lives; what holds them then is ended.

    Raises:
        subprocess.TimeoutExpired: the child itself has not ended; it still runs.
    """
    began = time.monotonic()
    ended: float | None = None
    while True:
        left = STEP if timeout is None else min(STEP, max(began + timeout - time.monotonic(), 0.0))
        try:
            out, err = child.communicate(given, timeout=STEP if ended is not None else left)
            return out or b"", err or b""
        except subprocess.TimeoutExpired as late:
            so_far = late
        given = None
        if said is not None:
            said(so_far.output or so_far.stderr or b"")
        now = time.monotonic()
        if child.poll() is None:
            if timeout is not None and now >= began + timeout:
                raise subprocess.TimeoutExpired(child.args, timeout, so_far.output, so_far.stderr)
        elif ended is None:
            ended = now
        elif now >= ended + GRACE:
            _end_holders(child)
            for pipe in (child.stdin, child.stdout, child.stderr):
                if pipe:
                    pipe.close()
            return so_far.output or b"", so_far.stderr or b""


def _end_holders(child: subprocess.Popen[bytes]) -> None:
    """End the processes of other sessions that still can write to what is read here; where /proc is not there, none is found."""
    names = set()
    for pipe in (child.stdout, child.stderr):
        if pipe and not pipe.closed:
            status = os.fstat(pipe.fileno())
            names.add(f"pipe:[{status.st_ino}]")
    for fds in Path("/proc").glob("[0-9]*/fd"):
        pid = int(fds.parent.name)
        with contextlib.suppress(OSError):  # it ended in between, or is another user's
            held = [name for name in os.listdir(fds) if os.readlink(fds / name) in names]
            if held and os.getsid(pid) != os.getsid(0) and any(_writes(fds.parent / "fdinfo" / name) for name in held):
                os.kill(pid, signal.SIGKILL)


def _writes(info: Path) -> bool:
    flags = next(line.split()[1] for line in info.read_text(encoding="ascii").splitlines() if line.startswith("flags:"))
    return int(flags, 8) & os.O_ACCMODE != os.O_RDONLY


def end_session(session: int) -> None:
    """End a program that leads a session and all that stayed in it; no error where it is gone."""
    # it ended by itself in between, or (macOS) nothing but its zombie is left
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(session, signal.SIGKILL)


def start_time(pid: int) -> str | None:
    """Return a text that identifies this life of ``pid``, or None when there is no such process.

    On Linux the boot and the start time in clock ticks since it; elsewhere what ``ps`` prints.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
        shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return shown.stdout.strip() or None
    fields = stat.rpartition(")")[2].split()
    if fields[0] in ("Z", "X"):
        return None
    return f"{boot_id()[:8]}:{fields[19]}"


def boot_id() -> str:
    """Return this boot's id; an empty text where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def alive(pid: int, started: str | None) -> bool:
    """Tell whether the process that had ``pid`` and began at ``started`` still runs."""
    now = start_time(pid)
    return now is not None and (not started or now == started)


def stopped(pid: int) -> bool:
    """Tell whether a process was stopped (Ctrl+Z, a debugger); False where that cannot be seen."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] in ("T", "t")
