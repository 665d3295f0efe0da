# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemctl prints, captured from systemd 252 and 257, and the command lines that are sent."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import (
    Systemd,
    UnitError,
    Watch,
    parse_show,
    run_command,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import Ended

CAPTURED = Path(__file__).parents[3] / "fixtures/systemd"
IDLE = "Id=a\nLoadState=loaded\nActiveState=inactive\nSubState=dead\nNeedDaemonReload=no\nNRestarts=0\n"
RUNS = "Id=a\nLoadState=loaded\nActiveState=active\nSubState=running\nNeedDaemonReload=no\nNRestarts=0\n"
LOOPS = "Id=a\nLoadState=loaded\nActiveState=activating\nSubState=auto-restart\nNRestarts=%d\nExecMainCode=1\nExecMainStatus=3\n"


@pytest.mark.parametrize(("version", "restarting"), [("252", True), ("257", False)])
def test_show_as_captured(version: str, restarting: bool) -> None:
    running, dying, killed, nothing = parse_show((CAPTURED / f"show-{version}.txt").read_text())
    assert (running.running, running.enabled, running.reason) == (True, True, "")
    assert running.main_pid > 0
    assert (dying.crash_looping, dying.failed) == (restarting, not restarting)
    assert dying.reason == "exit status 3"
    assert dying.restarts >= 4
    assert (killed.failed, killed.reason) == (True, "killed by signal 9")
    assert (nothing.exists, nothing.running, nothing.enabled) == (False, False, False)


def test_a_unit_whose_file_changed_after_it_was_started_is_outdated(tmp_path: Path) -> None:
    file = tmp_path / "a@.service"
    for earlier, outdated in ((-5.0, False), (5.0, True)):
        file.write_text("[Service]\n")
        entered = int((time.monotonic() - earlier) * 1e6)
        text = f"{RUNS}ActiveEnterTimestampMonotonic={entered}\nFragmentPath={file}\nDropInPaths={tmp_path}/gone.conf\n"
        assert parse_show(text)[0].outdated is outdated
        assert parse_show(text.replace("=active", "=inactive"))[0].outdated is False


class Shell:
    """Answers command lines by their first words and remembers all of them."""

    def __init__(self, **answers: Ended | list[Ended]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def __call__(self, cmd: Sequence[str], timeout: float) -> Ended:
        self.asked.append(" ".join(cmd))
        answer = self.answers.get(cmd[1] if cmd[0] == "systemctl" else cmd[0].replace("-", "_"), Ended(0, "", ""))
        if isinstance(answer, list):
            return answer.pop(0) if len(answer) > 1 else answer[0]
        return answer

    def verbs(self) -> list[str]:
        return [line.split()[1] for line in self.asked if line.startswith("systemctl") and " show " not in line]


def test_start_resets_and_does_not_wait() -> None:
    shell = Shell(show=Ended(0, IDLE, ""))
    Systemd(shell).start("a")
    assert shell.verbs() == ["reset-failed", "start"]
    assert "systemctl start --no-block -- a" in shell.asked


def test_start_reads_changed_units_again() -> None:
    shell = Shell(show=Ended(0, IDLE.replace("NeedDaemonReload=no", "NeedDaemonReload=yes"), ""))
    Systemd(shell).start("a")
    assert shell.verbs()[0] == "daemon-reload"


def test_stop_kills_what_does_not_go() -> None:
    shell = Shell(stop=[Ended(124, "", "no answer"), Ended(0, "", "")])
    assert Systemd(shell, stop_timeout=1).stop("a") is False
    assert shell.verbs() == ["stop", "kill", "stop"]
    stubborn = Shell(stop=Ended(1, "", "still there"))
    with pytest.raises(UnitError, match="not even by SIGKILL: still there"):
        Systemd(stubborn).stop("a")


def test_a_transient_unit_ends_and_none_is_no_error() -> None:
    gone = Ended(5, "", "Unit t.service not loaded.")
    shell = Shell(stop=gone)
    Systemd(shell).end("t.service")
    assert shell.asked == ["systemctl stop --no-block -- t.service"], "nobody waits"
    for state, waits in (("inactive", False), ("failed", False), ("active", True), ("deactivating", True)):
        shell = Shell(show=Ended(0, f"Id=t.service\nLoadState=loaded\nActiveState={state}\n", ""))
        Systemd(shell).end("t.service", wait=True)
        assert ("systemctl stop -- t.service" in shell.asked) is waits


def test_stop_tells_that_systemd_had_to_kill_it() -> None:
    """After TimeoutStopSec systemd kills by itself, and `systemctl stop` ends with 0 all the same."""
    timed_out = Shell(show=Ended(0, "Result=timeout\n", ""))
    assert Systemd(timed_out).stop("a") is False
    assert timed_out.verbs() == ["stop"]
    assert Systemd(Shell(show=Ended(0, "Result=success\n", ""))).stop("a") is True
    assert Systemd(Shell(show=Ended(1, "", "no answer"))).stop("a") is True, "it is down, whatever else cannot be asked"


def test_errors_say_what_systemd_said() -> None:
    shell = Shell(show=Ended(0, IDLE, ""), start=Ended(5, "", "Unit a not found."))
    with pytest.raises(UnitError, match="could not start a: Unit a not found") as failed:
        Systemd(shell).start("a")
    assert failed.value.rc == 5
    with pytest.raises(UnitError, match="0 of 1 units"):
        Systemd(Shell()).show("a")


def test_units_are_read_again_once_for_all_that_was_enabled_and_disabled() -> None:
    shell = Shell(show=Ended(0, IDLE, ""))
    systemd = Systemd(shell)
    systemd.reload_if_changed()
    systemd.enable("a")
    systemd.disable("b")
    assert shell.asked == ["systemctl enable --quiet --no-reload -- a", "systemctl disable --quiet --no-reload -- b"]
    systemd.reload_if_changed()
    systemd.reload_if_changed()
    assert shell.verbs() == ["enable", "disable", "daemon-reload"]


def test_the_timer_is_taken_back() -> None:
    timer = "Id=t.timer\nLoadState=loaded\nActiveState=active\n\nId=t.service\nLoadState=not-found\nActiveState=inactive\n"
    gone = timer.replace("loaded", "not-found").replace("=active", "=inactive")
    shell = Shell(show=Ended(0, gone, ""))
    Systemd(shell).cancel("t")
    assert shell.verbs() == ["stop"]
    failed = Shell(show=Ended(0, gone.replace("=inactive", "=failed"), ""))
    Systemd(failed).cancel("t")
    assert failed.verbs() == ["stop", "reset-failed"]
    with pytest.raises(UnitError, match="could not be taken back"):
        Systemd(Shell(show=Ended(0, timer, ""))).cancel("t")


def test_the_timer_is_set_and_one_in_its_place_goes() -> None:
    gone = "Id=t.timer\nLoadState=not-found\nActiveState=inactive\n\nId=t.service\nLoadState=not-found\nActiveState=inactive\n"
    shell = Shell()
    Systemd(shell).schedule("t", 30, "echo")
    (asked,) = shell.asked
    assert asked.startswith("systemd-run --quiet --collect --unit=t --on-active=30s")
    there = Ended(1, "", "Unit t.timer was already loaded")
    again = Shell(show=Ended(0, gone, ""), systemd_run=[there, Ended(0, "", "")])
    Systemd(again).schedule("t", 30, "echo")
    assert [line.split()[1] for line in again.asked] == ["--quiet", "stop", "show", "--quiet"]
    with pytest.raises(UnitError, match="could not set the timer t: Unit t"):
        Systemd(Shell(show=Ended(0, gone, ""), systemd_run=there)).schedule("t", 30, "echo")


@pytest.mark.parametrize("script", ["a; b", 'echo "$HOME"', "echo 100%"])
def test_a_script_that_systemd_would_read_otherwise_later_is_refused(script: str) -> None:
    shell = Shell()
    with pytest.raises(ValueError, match="a transient unit does not keep"):
        Systemd(shell).schedule("t", 30, script)
    assert shell.asked == []


@pytest.mark.parametrize(
    ("shown", "grace", "trouble"),
    [
        (RUNS, 0.0, ""),
        (LOOPS % 0, 0.0, ""),
        (LOOPS % 1, 0.0, "restarts again and again: exit status 3"),
        (RUNS.replace("NRestarts=0", "NRestarts=2"), 0.0, "restarts again and again"),
        (IDLE, 60.0, ""),
        (IDLE, -1.0, "ended: exit status 0"),
        (IDLE.replace("inactive", "failed") + "ExecMainCode=2\nExecMainStatus=9\n", 60.0, "failed: killed by signal 9"),
        (IDLE.replace("loaded", "not-found"), 60.0, "has no unit file"),
    ],
)
def test_watch(shown: str, grace: float, trouble: str) -> None:
    said = Watch(Systemd(Shell(show=Ended(0, shown, ""))), "a", grace=grace).trouble()
    assert trouble in said
    assert bool(trouble) == bool(said)


def test_run_command() -> None:
    assert run_command(["sh", "-c", "echo out; echo err >&2; exit 3"], 5) == Ended(3, "out\n", "err\n")
    assert run_command(["/does/not/exist"], 5).rc == 127
    assert run_command(["sleep", "5"], 0.1).rc == 124


def test_the_log_begins_where_it_was_asked_for_and_not_a_second_before() -> None:
    shell = Shell(journalctl=Ended(0, "one\ntwo\n", ""))
    assert Systemd(shell).log_tail(["a"], 1700000000.75) == ["one", "two"]
    assert "--since=@1700000000.750000" in shell.asked[0]


def test_the_end_of_a_log_is_not_spent_on_underlines() -> None:
    trace = "\n".join(f"  File {number}\n    call()\n    ~~~~^^" for number in range(20)) + "\nKeyError: 'x'\n"
    shell = Shell(journalctl=Ended(0, trace, ""))
    assert Systemd(shell).log_tail(["a"], 0, 4) == ["    call()", "  File 19", "    call()", "KeyError: 'x'"]
    assert "-n8" in shell.asked[-1]


STOPPED = "Id={}\nLoadState=loaded\nActiveState=inactive\nSubState=dead\nResult={}\n"


def test_several_units_are_stopped_side_by_side() -> None:
    shell = Shell(show=Ended(0, f"{STOPPED.format('a', 'success')}\n{STOPPED.format('b', 'timeout')}", ""))
    assert Systemd(shell).stop_all(["a", "b"]) == ["b"], "systemd had to kill it"
    assert shell.verbs() == ["stop"]
    assert "systemctl stop -- a b" in shell.asked
    alone = Shell(show=Ended(0, "Result=success\n", ""))
    assert Systemd(alone).stop_all(["a"]) == []
    assert alone.verbs() == ["stop"]


def test_those_that_do_not_end_are_killed() -> None:
    left = f"{STOPPED.format('a', 'success')}\n{RUNS.replace('Id=a', 'Id=b')}"
    shell = Shell(stop=[Ended(124, "", ""), Ended(0, "", "")], show=Ended(0, left, ""))
    assert Systemd(shell).stop_all(["a", "b"]) == ["b"]
    assert "systemctl kill --signal=SIGKILL -- b" in shell.asked
    assert not any(line.endswith("-- a") for line in shell.asked)
    shell = Shell(stop=Ended(1, "", "no"), show=Ended(0, left, ""))
    with pytest.raises(UnitError, match="could not stop b, not even by SIGKILL"):
        Systemd(shell).stop_all(["a", "b"])


def test_whether_units_are_to_be_read_again_is_asked_of_all_at_once() -> None:
    for answer, wanted in ((Ended(0, "no\n\nyes\n", ""), True), (Ended(0, "no\n\nno\n", ""), False), (Ended(0, "", ""), False),
                           (Ended(1, "yes\n", "no bus"), False)):
        shell = Shell(show=answer)
        assert Systemd(shell).needs_reload("aistack-a@*.service", "aistack-b@*.service") is wanted
        assert shell.asked == ["systemctl show --property=NeedDaemonReload --value -- aistack-a@*.service aistack-b@*.service"]
