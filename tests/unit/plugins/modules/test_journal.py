# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal import reserve
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lock

Call = Callable[..., dict[str, Any]]
ANN = {"actor": "ann", "controller": "laptop", "pid": 4711}


def fill_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """From now on no file can be written; folders can be synced. Returns what writes again."""
    fsync = os.fsync

    def full(handle: int) -> None:
        if not stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    return fsync


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_lock_record_unlock(call: Call, state: Path) -> None:
    taken = call("journal", state="locked", state_dir=str(state), run="r1", owner=ANN)
    assert (taken["changed"], taken["lock_action"]) == (False, "acquired")
    assert call("journal", state="locked", state_dir=str(state), run="r1", owner=ANN)["lock_action"] == "renewed"
    done = call("journal", state="unlocked", state_dir=str(state), run="r1", owner=ANN, record={"op": "phase", "component": "phase1"})
    assert (done["changed"], done["lock_action"]) == (True, "released")
    assert (done["record"]["run"], done["record"]["actor"], done["record"]["outcome"]) == ("r1", "ann", "ok")
    assert Lock(state).holder() is None
    again = call("journal", state="unlocked", state_dir=str(state), run="r1", owner=ANN)
    assert (again["changed"], again["lock_action"]) == (False, "none")


def test_room_for_a_way_back_is_kept_and_what_fails_needs_none(
    call: Call, state: Path, warned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for a full disk: nothing but folders can be brought to it."""
    given = {"state_dir": str(state), "run": "r1", "owner": ANN}
    call("journal", state="locked", **given)
    assert warned == []
    assert (state / reserve.NAME).stat().st_blocks * 512 >= reserve.SIZE
    (state / reserve.NAME).unlink()
    fsync = fill_disk(monkeypatch)
    refused = call("journal", state="unlocked", record={"op": "phase", "component": "deploy"}, **given)
    assert "emergency_rollback.yml needs none" in refused["msg"]
    assert Lock(state).holder(), "a success that cannot be recorded is none"
    done = call("journal", state="unlocked", record={"op": "phase", "component": "deploy", "outcome": "failed"}, **given)
    assert done["lock_action"] == "released"
    assert "phase deploy failed" in warned[-1]
    assert Lock(state).holder() is None
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(reserve, "SIZE", 2**60)
    call("journal", state="locked", **{**given, "run": "r2"})
    assert "There is no room to keep" in warned[-1]


def test_another_run_is_refused_with_the_lease(call: Call, state: Path) -> None:
    call("journal", state="locked", state_dir=str(state), run="r1", owner=ANN)
    for check in (False, True):
        refused = call("journal", state="locked", state_dir=str(state), run="r2", owner={"actor": "bob"}, check=check)
        assert refused["failed"]
        assert refused["lease"]["run"] == "r1"
        for part in ("held by ann", "laptop", "since", "until", "break_lock=true"):
            assert part in refused["msg"]


def test_takeover_and_break_are_changes(call: Call, state: Path) -> None:
    call("journal", state="locked", state_dir=str(state), run="r1", owner=ANN)
    dead = call("journal", state="locked", state_dir=str(state), run="r2", owner=ANN, dead_run="r1")
    assert (dead["changed"], dead["lock_action"]) == (True, "taken_over")
    broken = call("journal", state="locked", state_dir=str(state), run="r3", owner=ANN, break_lock=True)
    assert (broken["changed"], broken["lock_action"]) == (True, "broken")


def test_check_mode_writes_nothing(call: Call, state: Path) -> None:
    record = {"op": "phase", "component": "phase1", "outcome": "ok"}
    assert call("journal", check=True, state="locked", state_dir=str(state), run="r1")["changed"] is False
    assert call("journal", check=True, state="unlocked", state_dir=str(state), run="r1", record=record)["changed"] is True
    assert call("journal", check=True, state="appended", state_dir=str(state), record=record)["changed"] is True
    assert call("journal", state="read", state_dir=str(state))["records"] == []
    assert not state.exists()


def test_reading(call: Call, state: Path) -> None:
    journal = Journal.of(state)
    for number in range(5):
        journal.append({"op": "stage", "component": "backend", "release": f"v{number}", "outcome": "ok"})
    journal.append({"op": "activate", "component": "worker", "release": "v1", "outcome": "started", "run": "dead"})
    some = call("journal", state_dir=str(state), component="backend", count=2)
    assert [record["release"] for record in some["records"]] == ["v3", "v4"]
    assert some["component_state"]["states"]["v0"] == "staged"
    everything = call("journal", state_dir=str(state), count=0)
    assert len(everything["records"]) == 6
    assert [item["component"] for item in everything["interrupted"]] == ["worker"]
    assert everything["problems"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"state": "locked"}, "needs run"),
        ({"state": "appended"}, "record"),
        ({"state": "appended", "record": {"op": "stgae"}}, "stgae"),
    ],
)
def test_bad_arguments(call: Call, state: Path, arguments: dict[str, Any], said: str) -> None:
    answer = call("journal", state_dir=str(state), **arguments)
    assert answer["failed"]
    assert said in answer["msg"]


def test_a_state_directory_that_cannot_be_written(call: Call, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    answer = call("journal", state="locked", run="r", state_dir=str(tmp_path / "file" / "state"))
    assert answer["failed"]
    assert "could not be used" in answer["msg"]
    assert os.listdir(tmp_path) == ["file"]


def test_a_run_that_lost_the_lock_records_no_success_and_begins_no_second_time(call: Call, state: Path) -> None:
    call("journal", state="locked", state_dir=str(state), run="r1", owner=ANN)
    broken = call("journal", state="locked", state_dir=str(state), run="r2", owner={"actor": "bob"}, break_lock=True)
    assert "taken from ann on laptop" in broken["msg"]
    record = {"op": "phase", "component": "deploy"}
    refused = call("journal", state="unlocked", state_dir=str(state), run="r1", record={**record, "outcome": "ok"})
    assert refused["failed"]
    assert "held by bob" in refused["msg"]
    failed = call("journal", state="unlocked", state_dir=str(state), run="r1", record={**record, "outcome": "failed"})
    assert (failed["record"]["outcome"], failed["lock_action"]) == ("failed", "none")
    assert "bob" in failed["msg"]
    call("journal", state="unlocked", state_dir=str(state), run="r2")
    again = call("journal", state="locked", state_dir=str(state), run="r1", owner=ANN)
    assert again["failed"]
    assert "bob took it for run r2" in again["msg"]
    assert call("journal", state="locked", state_dir=str(state), run="r3", owner=ANN)["lock_action"] == "acquired"


def test_a_stack_that_may_not_be_here_gets_no_lock(call: Call, tmp_path: Path, state: Path) -> None:
    claims = {"components": ["api"], "roles": [], "ports": {}}
    given = {"state": "locked", "run": "r1", "owner": ANN}

    def stack(name: str) -> dict[str, Any]:
        return {"name": name, "claims": claims, "registry": str(tmp_path / "etc")}

    shop = {**given, "state_dir": str(state), "root": "/opt/shop", "stack": stack("shop")}
    assert call("journal", check=True, **shop)["lock_action"] == "none"
    assert not (tmp_path / "etc").exists()
    assert call("journal", **shop)["lock_action"] == "acquired"
    for check in (True, False):
        other = {**given, "state_dir": str(tmp_path / "other"), "root": "/opt/other", "stack": stack("other")}
        refused = call("journal", check=check, **other)
        assert refused["failed"]
        assert refused["msg"].startswith("The stack other cannot be on this node beside the stack shop")
    assert not (tmp_path / "other").exists()
    assert sorted(path.name for path in (tmp_path / "etc").iterdir()) == ["shop.json"]


def test_a_run_that_has_nothing_to_record_gives_its_lock_back_without_room(
    call: Call, state: Path, warned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"state_dir": str(state), "run": "r1", "owner": ANN}
    call("journal", state="locked", **given)
    (state / reserve.NAME).unlink()
    fill_disk(monkeypatch)
    assert call("journal", state="unlocked", **given)["lock_action"] == "released"
    assert Lock(state).current() is None
    assert any("lock ok" in text for text in warned)


def test_a_failure_without_room_is_told_where_the_lock_is_anothers(
    call: Call, state: Path, warned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Lock(state).acquire("r2", {"actor": "bob"}, 60)
    fill_disk(monkeypatch)
    failed = {"op": "phase", "component": "deploy", "outcome": "failed"}
    assert call("journal", state="unlocked", state_dir=str(state), run="r1", owner=ANN, record=failed)["lock_action"] == "none"
    assert any("lacks 1 records" in text for text in warned)


def test_without_root_the_remedy_is_named(call: Call, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any, **_more: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", f"{state}/.lock.guard")

    monkeypatch.setattr(Lock, "acquire", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    answer = call("journal", state="locked", run="r1", state_dir=str(state), root=str(state))
    assert f"{state}/.lock.guard: Permission denied. This ran as the user nobody;" in answer["msg"]
    assert "Is it ansible_become: true that the inventory lacks for this node?" in answer["msg"]
