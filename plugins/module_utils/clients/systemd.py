# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Units of systemd: what they are doing, and making them do something else.

Everything goes through ``systemctl``, ``systemd-run`` and ``journalctl`` with a time limit. Nothing here knows slots.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.unit_text import end_of_log
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import Ended, finish

PROPERTIES = (
    "Id",
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "NeedDaemonReload",
    "MainPID",
    "NRestarts",
    "Result",
    "ExecMainCode",
    "ExecMainStatus",
    "ActiveEnterTimestamp",
    "ActiveEnterTimestampMonotonic",
    "InactiveExitTimestampMonotonic",
    "FragmentPath",
    "DropInPaths",
)
QUICK = 15.0
"""Seconds for a command that only asks."""
UNKEPT = "$;\"\\`%"
"""Characters that a transient unit may lose when systemd reads it again: that of Debian 12 writes them otherwise than it reads them."""
UNITS = Path("/etc/systemd/system")
"""Where units are that a node keeps over a reboot."""

# siginfo_t.si_code of a child, as ExecMainCode reports it
_EXITED, _KILLED, _DUMPED = 1, 2, 3


class UnitError(Exception):
    """A command about a unit failed.

    Attributes:
        cmd: the command line.
        rc: its exit status; 124 where it ran past its time.
        stderr: what it said.
    """

    def __init__(self, message: str, cmd: Sequence[str], rc: int, stderr: str) -> None:
        super().__init__(message)
        self.cmd = list(cmd)
        self.rc = rc
        self.stderr = stderr


class Run(Protocol):
    """Runs a command line and waits for it; exit status 124 means that it ran past ``timeout`` seconds."""

    def __call__(self, cmd: Sequence[str], timeout: float) -> Ended: ...


def run_command(cmd: Sequence[str], timeout: float) -> Ended:
    """Run *cmd* without a shell. A missing program is exit status 127, as in a shell."""
    try:
        done = finish(cmd, timeout)
    except FileNotFoundError as error:
        return Ended(127, "", str(error))
    return Ended(124, done.stdout, f"{done.stderr}no answer within {timeout:g} s") if done.timed_out else done


@dataclass(frozen=True)
class UnitState:
    """What systemd says about one unit."""

    name: str
    load: str = "not-found"
    active: str = "inactive"
    sub: str = "dead"
    enabled: bool = False
    needs_reload: bool = False
    main_pid: int = 0
    restarts: int = 0
    result: str = "success"
    exec_code: int = 0
    exec_status: int = 0
    active_since: str = ""
    entered: float = 0.0  # seconds of the monotonic clock at which it became active; 0 where that is not known
    began: float = 0.0  # likewise: at which it was started last
    files: tuple[str, ...] = ()

    @property
    def outdated(self) -> bool:
        """Whether it runs by an older unit: a file of it was changed after it was started."""
        if not self.running or not self.entered:
            return False
        started = time.time() - time.monotonic() + self.entered
        return any(_changed(path) > started for path in self.files)

    @property
    def exists(self) -> bool:
        """Whether systemd found a file for it."""
        return self.load == "loaded"

    @property
    def running(self) -> bool:
        """Whether it runs or is on its way to running; a unit that waits for its next automatic start counts."""
        return self.active in ("active", "activating", "reloading", "refreshing")

    @property
    def crash_looping(self) -> bool:
        """Whether it died and systemd is about to start it again."""
        return self.sub.startswith("auto-restart")

    @property
    def failed(self) -> bool:
        """Whether systemd has given up on it."""
        return self.active == "failed"

    @property
    def reason(self) -> str:
        """How its main process ended, in words; empty while nothing went wrong."""
        if self.exec_code == _EXITED and self.exec_status != 0:
            return f"exit status {self.exec_status}"
        if self.exec_code in (_KILLED, _DUMPED):
            dumped = ", core dumped" if self.exec_code == _DUMPED else ""
            return f"killed by signal {self.exec_status}{dumped}"
        if self.result not in ("success", ""):
            return f"result {self.result}"
        if self.exec_code == _EXITED and self.crash_looping:
            return "exit status 0: it ended although it should go on"
        return ""


def show_command(*units: str) -> list[str]:
    """The question that :func:`parse_show` reads the answer of."""
    return ["systemctl", "show", "--no-pager", "-p", ",".join(PROPERTIES), "--", *units]


def parse_show(text: str) -> list[UnitState]:
    """Read what ``systemctl show`` printed: blocks of ``Key=value`` parted by empty lines, in the order asked for."""
    states = []
    for block in text.split("\n\n"):
        pairs = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if pairs:
            states.append(
                UnitState(
                    name=pairs.get("Id", ""),
                    load=pairs.get("LoadState", "not-found"),
                    active=pairs.get("ActiveState", "inactive"),
                    sub=pairs.get("SubState", "dead"),
                    enabled=pairs.get("UnitFileState", "") in ("enabled", "enabled-runtime"),
                    needs_reload=pairs.get("NeedDaemonReload", "no") == "yes",
                    main_pid=_number(pairs.get("MainPID")),
                    restarts=_number(pairs.get("NRestarts")),
                    result=pairs.get("Result", ""),
                    exec_code=_number(pairs.get("ExecMainCode")),
                    exec_status=_number(pairs.get("ExecMainStatus")),
                    active_since=pairs.get("ActiveEnterTimestamp", ""),
                    entered=_number(pairs.get("ActiveEnterTimestampMonotonic")) / 1e6,
                    began=_number(pairs.get("InactiveExitTimestampMonotonic")) / 1e6,
                    files=(*pairs.get("FragmentPath", "").split(), *pairs.get("DropInPaths", "").split()),
                )
            )
    return states


def _changed(path: str) -> float:
    try:
        return os.stat(path).st_ctime
    except OSError:  # gone since systemd read it
        return 0.0


def _number(value: str | None) -> int:
    return int(value) if value and value.isdigit() else 0


class Systemd:
    """systemd on this node.

    Args:
        run: how a command is run; replaced in tests.
        stop_timeout: seconds a unit may take to stop before it is killed.
        units: where the files of lasting timers are written.
    """

    def __init__(self, run: Run = run_command, stop_timeout: float = 30.0, units: Path = UNITS) -> None:
        self._run = run
        self.stop_timeout = stop_timeout
        self.units = units
        self._outdated = False

    def show(self, *units: str) -> list[UnitState]:
        """States of *units*, in that order, with one command.

        Raises:
            UnitError: systemd does not answer.
        """
        done = self._run_checked(show_command(*units), QUICK, "does not answer")
        states = parse_show(done.stdout)
        if len(states) != len(units):
            raise UnitError(f"systemctl show answered for {len(states)} of {len(units)} units", ["systemctl", "show", *units], 0, "")
        return states

    def matching(self, pattern: str) -> list[str]:
        """Services that systemd knows by a *pattern* such as C(postgresql@*.service); none where it does not answer."""
        done = self._run(["systemctl", "list-units", "--all", "--plain", "--full", "--no-legend", "--no-pager", "--", pattern], QUICK)
        words = [line.split()[0] for line in done.stdout.splitlines() if line.strip()] if done.rc == 0 else []
        return [word for word in words if word.endswith(".service")]

    def start(self, unit: str) -> None:
        """Have *unit* started, without waiting for it: whether it comes up is for its gate to say.

        A unit that failed before is reset first, so that an old start limit does not count. Units whose files changed
        are read again.
        """
        state = self.show(unit)[0]
        if state.needs_reload or not state.exists:
            self.reload()
        if not state.running:
            self._run(["systemctl", "reset-failed", "--", unit], QUICK)  # fails where there is nothing to reset
        self._run_checked(["systemctl", "start", "--no-block", "--", unit], QUICK, f"could not start {unit}")

    def stop(self, unit: str) -> bool:
        """Stop *unit* and wait until it is down.

        Returns:
            Whether it ended when it was asked to; False where it had to be killed: by systemd after the unit's TimeoutStopSec, or
            here after ``stop_timeout`` seconds.

        Raises:
            UnitError: it is still there afterwards.
        """
        # the unit's own TimeoutStopSec, often the same number, comes first
        asked = self._run(["systemctl", "stop", "--", unit], self.stop_timeout + 5.0)
        if asked.rc == 0:  # also where systemd had to kill it; what it does not tell is taken for an end in order
            return "Result=timeout" not in self._run(["systemctl", "show", "-p", "Result", "--", unit], QUICK).stdout.splitlines()
        self._run(["systemctl", "kill", "--signal=SIGKILL", "--", unit], QUICK)
        self._run_checked(["systemctl", "stop", "--", unit], QUICK, f"could not stop {unit}, not even by SIGKILL")
        return False

    def stop_all(self, units: Sequence[str]) -> list[str]:
        """Stop *units* side by side and wait until all are down.

        Returns:
            Those that had to be killed, see :meth:`stop`.

        Raises:
            UnitError: one is still there afterwards.
        """
        if len(units) == 1:
            return [] if self.stop(units[0]) else list(units)
        asked = self._run(["systemctl", "stop", "--", *units], self.stop_timeout + 5.0)
        states = self.show(*units)
        if asked.rc == 0:
            return [state.name for state in states if state.result == "timeout"]
        left = [state.name for state in states if state.active not in ("inactive", "failed")]
        for unit in left:
            self._run(["systemctl", "kill", "--signal=SIGKILL", "--", unit], QUICK)
        self._run_checked(["systemctl", "stop", "--", *units], QUICK, f"could not stop {', '.join(left or units)}, not even by SIGKILL")
        return left

    def end(self, unit: str, wait: bool = False) -> None:
        """Have a transient *unit* end; no error where there is none. Who does not *wait* leaves it to systemd when it is killed.

        Raises:
            UnitError: it was waited for, and is still there.
        """
        if not wait:
            self._run(["systemctl", "stop", "--no-block", "--", unit], QUICK)  # fails where there is nothing to stop
        elif self.show(unit)[0].active not in ("inactive", "failed"):  # one that is about to end is waited for as well
            self.stop(unit)

    def enable(self, unit: str) -> None:
        """Have *unit* started at boot. Only C(reload_if_changed) tells systemd: to read all units again takes longer than all the rest."""
        self._run_checked(["systemctl", "enable", "--quiet", "--no-reload", "--", unit], 60.0, f"could not enable {unit}")
        self._outdated = True

    def disable(self, unit: str) -> None:
        """Have *unit* not started at boot; C(reload_if_changed) is wanted afterwards as well."""
        self._run_checked(["systemctl", "disable", "--quiet", "--no-reload", "--", unit], 60.0, f"could not disable {unit}")
        self._outdated = True

    def reload_if_changed(self) -> None:
        """Have systemd know what was enabled and disabled here; nothing where nothing was."""
        if self._outdated:
            self.reload()

    def reload(self) -> None:
        """Have systemd read its units again."""
        self._run_checked(["systemctl", "daemon-reload"], 60.0, "could not read its units again")
        self._outdated = False

    def schedule(self, name: str, seconds: int, script: str) -> None:
        """Run the shell *script* in *seconds*, by a transient timer called *name*; an older one of that name goes.

        Raises:
            ValueError: the script has a character of C(UNKEPT).
            UnitError: the timer could not be set.
        """
        if set(script) & set(UNKEPT):
            raise ValueError(f"a transient unit does not keep each of {UNKEPT}: {script}")
        cmd = [
            *("systemd-run", "--quiet", "--collect", f"--unit={name}", f"--on-active={seconds}s"),
            *("--timer-property=AccuracySec=1s", "/bin/sh", "-c", script),
        ]
        if self._run(cmd, QUICK).rc != 0:  # most often nothing is in its place, and asking first takes as long as trying
            self.cancel(name)
            self._run_checked(cmd, QUICK, f"could not set the timer {name}")

    def schedule_persistent(self, name: str, seconds: int, script: str) -> None:
        """As C(schedule), by a timer that a reboot does not lose: there the seconds count again from the boot. One of that name counts
        again as well. C(unschedule) removes it.
        """
        said = script.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
        service = ("[Unit]", f"Description={name}", "", "[Service]", "Type=oneshot", f'ExecStart=:/bin/sh -c "{said}"')
        when = (f"OnActiveSec={seconds}s", "AccuracySec=1s", "RemainAfterElapse=no")
        timer = ("[Unit]", f"Description={name}", "", "[Timer]", *when, "", "[Install]", "WantedBy=timers.target")
        write_file(self.units / f"{name}.service", "\n".join(service) + "\n", 0o644)
        write_file(self.units / f"{name}.timer", "\n".join(timer) + "\n", 0o644)
        self.enable(f"{name}.timer")
        self.reload()
        self._run_checked(["systemctl", "restart", "--", f"{name}.timer"], QUICK, f"could not set the timer {name}")

    def unschedule(self, name: str) -> None:
        """Take the persistent timer *name* back; what it has begun goes on. No error where there is none."""
        files = [self.units / f"{name}.timer", self.units / f"{name}.service"]
        if not any(path.exists() for path in files):
            return
        self._run(["systemctl", "stop", "--", f"{name}.timer"], QUICK)  # fails where systemd never knew it; without a file it is nothing
        self.disable(f"{name}.timer")
        for path in files:
            path.unlink(missing_ok=True)
        self.reload()

    def cancel(self, name: str) -> None:
        """Take the transient timer *name* back and wait for what it may be doing; no error where there is none."""
        units = [f"{name}.timer", f"{name}.service"]
        self._run(["systemctl", "stop", "--", *units], self.stop_timeout + QUICK)  # fails where there is nothing to stop
        left = self.show(*units)
        if any(state.running for state in left):
            raise UnitError(f"the timer {name} could not be taken back", ["systemctl", "stop", *units], 1, "")
        if any(state.failed for state in left):
            self._run(["systemctl", "reset-failed", "--", *units], QUICK)

    def log_tail(self, units: Sequence[str], since: float, lines: int = 30) -> list[str]:
        """The last *lines* lines that *units* wrote since *since* (seconds since 1970); empty without a journal."""
        begin = f"--since=@{since:.6f}"  # whole seconds would begin with the end of whoever had the slot before
        shown = [f"--unit={one}" for one in units]
        done = self._run(["journalctl", "-q", "--no-pager", "-o", "cat", f"-n{2 * lines}", begin, *shown], QUICK)
        return end_of_log(done.stdout, lines) if done.rc == 0 else []

    def _run_checked(self, cmd: list[str], timeout: float, what: str) -> Ended:
        done = self._run(cmd, timeout)
        if done.rc != 0:
            said = done.stderr.strip() or done.stdout.strip() or "no message"
            raise UnitError(f"systemd {what}: {said} (exit status {done.rc} of `{' '.join(cmd[:3])} …`)", cmd, done.rc, said)
        return done


@dataclass
class Watch:
    """Tells early that a unit that was just started will not come up.

    Args:
        systemd: where to ask.
        unit: which.
        restarts_allowed: automatic restarts since ``baseline`` that are forgiven.
        baseline: NRestarts when the watch began.
        grace: seconds in which a unit may still be about to start.
    """

    systemd: Systemd
    unit: str
    restarts_allowed: int = 1
    baseline: int = 0
    grace: float = 2.0
    last_reason: str = ""
    began: float = field(default_factory=time.monotonic)

    def trouble(self) -> str:
        """Why it will not come up, in words; empty while there is hope."""
        return self.judge(self.systemd.show(self.unit)[0])

    def judge(self, state: UnitState) -> str:
        """The same of a state that somebody has asked for."""
        if not state.exists:
            return f"{self.unit} has no unit file"
        self.last_reason = state.reason or self.last_reason
        if state.failed:
            return f"{self.unit} failed: {self.last_reason or 'no reason given'}"
        if state.restarts - self.baseline > self.restarts_allowed:
            return f"{self.unit} restarts again and again ({state.restarts - self.baseline} times): {self.last_reason or 'no reason given'}"
        if state.crash_looping and state.restarts - self.baseline >= self.restarts_allowed:
            return f"{self.unit} restarts again and again: {self.last_reason or 'no reason given'}"
        if state.active == "inactive" and time.monotonic() - self.began > self.grace:
            return f"{self.unit} ended: {self.last_reason or 'exit status 0'}"
        return ""


def now() -> float:
    """Seconds since 1970; here so that tests can replace it."""
    return time.time()
