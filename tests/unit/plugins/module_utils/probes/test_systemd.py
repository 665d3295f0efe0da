# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""unit and log, by what systemctl and journalctl of Debian 12 (systemd 252) and 13 (257) printed."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.probes import unit as unit_probe

# systemctl show --no-pager -p … -- UNIT; the two versions print the same for these, but for the numbers
GOOD = """MainPID=81
Result=success
NRestarts=0
ExecMainStatus=0
LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=enabled
InactiveExitTimestampMonotonic={entered}
ActiveEnterTimestampMonotonic={entered}"""
LOOPING = """MainPID=0
Result=exit-code
NRestarts=2
ExecMainStatus=3
LoadState=loaded
ActiveState=activating
SubState=auto-restart
UnitFileState=static
InactiveExitTimestampMonotonic=3805248379
ActiveEnterTimestampMonotonic=3805241408"""
DEAD = """MainPID=0
Result=exit-code
NRestarts=0
ExecMainStatus=1
LoadState=loaded
ActiveState=failed
SubState=failed
UnitFileState=static
InactiveExitTimestampMonotonic=3802849392
ActiveEnterTimestampMonotonic=3802849392"""
ABSENT = """MainPID=0
Result=success
NRestarts=0
ExecMainStatus=0
LoadState=not-found
ActiveState=inactive
SubState=dead
UnitFileState=
InactiveExitTimestampMonotonic=0
ActiveEnterTimestampMonotonic=0"""
LOG_12 = """Stopped loop.service.
ERROR cannot import name x
Started loop.service.
loop.service: Main process exited, code=exited, status=3/NOTIMPLEMENTED
loop.service: Failed with result 'exit-code'."""
LOG_13 = """loop.service: Scheduled restart job, restart counter is at 2.
Started loop.service.
ERROR cannot import name x
loop.service: Main process exited, code=exited, status=3/NOTIMPLEMENTED
loop.service: Failed with result 'exit-code'."""


@pytest.fixture
def shows(program):
    def say(text, rc=0):
        return program("systemctl", f"cat <<'X'\n{text}\nX\nexit {rc}")

    return say


def good(seconds):
    return GOOD.format(entered=int((time.clock_gettime(time.CLOCK_MONOTONIC) - seconds) * 1e6))


def test_active_and_stable(observe, shows):
    shows(good(30))
    assert observe(unit="aistack-backend@blue.service", enabled=True, restarts=0, stable_for=29, sub="running").ok
    seen = observe(unit="aistack-backend@blue.service", stable_for=60)
    assert not seen.ok
    assert seen.expected == "stable_for >= 60"


@pytest.mark.parametrize(
    ("text", "got"), [(LOOPING, "state = activating"), (DEAD, "state = failed"), (ABSENT, "there is no unit x.service")]
)
def test_not_active(observe, shows, text, got):
    shows(text)
    seen = observe(unit="x.service")
    assert not seen.ok
    assert seen.got == got
    assert not seen.error


def test_detail_says_how_it_ended(observe, shows):
    shows(LOOPING)
    assert observe(unit="x").detail == "x: activating (auto-restart), restarts 2, result exit-code, exit status 3"
    assert not observe(unit="x", state="activating", restarts={"le": 1}).ok


def test_unit_that_must_not_run(observe, shows):
    shows(ABSENT)
    assert observe(unit="x", state="inactive").ok


def test_without_systemd(observe, program):
    program("systemctl", "echo 'System has not been booted with systemd as init system (PID 1). Can not operate.' >&2; exit 1")
    seen = observe(unit="x")
    assert seen.error
    assert "not been booted with systemd" in seen.got


@pytest.mark.parametrize("log", [LOG_12, LOG_13])
def test_log(observe, shows, program, log):
    shows(LOOPING)
    arguments = program("journalctl", f"cat <<'X'\n{log}\nX")
    assert observe(log="loop.service", present="ERROR .* name", absent="Traceback").ok
    seen = observe(log="loop.service", absent="ERROR|Traceback")
    assert not seen.ok
    assert seen.got == "1 of 5 lines of loop.service match ERROR|Traceback"
    assert seen.detail == "ERROR cannot import name x"
    assert not observe(log="loop.service", present="ready").ok
    assert "--unit=loop.service" in arguments.read_text()


def test_log_looks_back_as_far_as_asked(observe, program):
    arguments = program("journalctl", "true")
    observe(log="x", absent="E", since=60)
    since = next(line for line in arguments.read_text().splitlines() if line.startswith("--since=@"))
    assert abs(time.time() - 60 - float(since.split("@")[1])) < 5


def test_journal_that_cannot_be_read(observe, program):
    program("journalctl", "echo 'Failed to open system journal: Permission denied' >&2; exit 1")
    seen = observe(log="x", absent="E", since=60)
    assert seen.error
    assert "Permission denied" in seen.got


@pytest.fixture
def slot(tmp_path, shows):
    """``slot(**environment)``: the names of a slot at v2, whose unit's process is a real one in the tree of v2."""
    tree, folder = tmp_path / "api" / "releases" / "v2", tmp_path / "api" / "slots" / "blue"
    for path in (tree, tree.with_name("v1"), folder):
        path.mkdir(parents=True)
    (folder / "slot.env").write_text("AISTACK_RELEASE=v2\n")
    started = []

    def start(where="v2", **environment):
        argv = [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(60)"]
        child = subprocess.Popen(argv, env={"PATH": os.environ["PATH"], **environment}, cwd=tree.with_name(where), stdout=subprocess.PIPE)
        child.stdout.readline()
        started.append(child)
        shows(good(0).replace("MainPID=81", f"MainPID={child.pid}"))
        config = str(tmp_path / "api" / "config" / "c")
        return {"unit": "api@blue", "slot": "blue", "release": "v2", "release_path": str(tree), "config_path": config}

    yield start
    for child in started:
        child.kill()
        child.communicate()


def test_a_process_says_with_which_release_it_was_started(observe, slot):
    assert observe(slot(AISTACK_RELEASE="v2"), unit="api@blue", release="v2", restarts=0).ok
    seen = observe(slot(AISTACK_RELEASE="v1"), unit="api@blue", release="v2")
    assert (seen.ok, seen.expected, seen.got, seen.error) == (False, "release = v2", "release = v1", False)


def test_where_its_environment_is_overwritten_the_tree_that_it_stands_in_tells(observe, slot):
    names = slot()
    assert observe(names, unit="api@blue", release="v2").ok
    assert observe({**names, "unit": "other"}, unit="api@blue", release="v2").ok, "whatever the slot says"


def test_where_nothing_of_it_can_be_read_it_has_to_be_younger_than_its_slot(observe, slot, tmp_path, monkeypatch):
    names = slot(AISTACK_RELEASE="v1")
    monkeypatch.setattr(unit_probe, "PROC", tmp_path / "nothing")
    env = tmp_path / "api/slots/blue/slot.env"
    os.utime(env, (time.time() - 60, time.time() - 60))
    assert observe(names, unit="api@blue", release="v2").ok
    os.utime(env, (time.time() + 60, time.time() + 60))
    seen = observe(names, unit="api@blue", release="v2")
    assert (seen.ok, seen.got) == (False, "release = one from before its slot became v2")
    seen = observe({**names, "unit": "other"}, unit="api@blue", release="v2")
    assert seen.error
    assert "cannot be told which release api@blue runs" in seen.got


def test_a_unit_that_does_not_run_runs_no_release(observe, shows):
    shows(DEAD)
    seen = observe(unit="x", release="v2")
    assert (seen.ok, seen.got, seen.error) == (False, "state = failed", False)


SEVERAL = {"unit": "w@blue.service", "units": ["w@blue.service", "w@blue-2.service"]}


def test_the_unit_of_a_slot_stands_for_those_of_all_instances(observe, program):
    program("systemctl", f"for last; do :; done; case $last in *blue-2*) cat <<'X'\n{DEAD}\nX\n;; *) cat <<'X'\n{good(30)}\nX\n;; esac")
    seen = observe(unit="w@blue.service", names=SEVERAL)
    assert not seen.ok
    assert seen.got == "w@blue-2.service: state = failed"
    assert observe(unit="w@blue.service").ok, "one alone"
    assert observe(unit="other.service", names=SEVERAL).ok, "another unit is asked for itself"
    program("systemctl", f"cat <<'X'\n{good(30)}\nX")
    seen = observe(unit="w@blue.service", names=SEVERAL, restarts=0)
    assert (seen.ok, seen.got.startswith("2 instances: ")) == (True, True)


def test_the_log_of_a_slot_is_that_of_all_instances(observe, program, tmp_path):
    program("systemctl", f"cat <<'X'\n{good(30)}\nX")
    program("journalctl", f"echo \"$@\" > {tmp_path}/asked; echo ready")
    assert observe(log="w@blue.service", present="ready", names=SEVERAL).ok
    assert "--unit=w@blue.service --unit=w@blue-2.service" in (tmp_path / "asked").read_text()
