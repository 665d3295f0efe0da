# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments and messages of the dead man's switch; what it does is proven in test_deadman.py."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Call = Callable[..., dict[str, Any]]


def test_armed_in_check_mode_changes_nothing(call: Call, tmp_path: Path) -> None:
    answer = call("dead_man", check=True, state="armed", run="r1", seconds=60, state_dir=str(tmp_path / "state"))
    assert (answer["changed"], answer["returns"], answer["timer"]) == (True, {}, "aistack-confirm-r1.timer")
    assert "would go back" in answer["msg"]
    assert not (tmp_path / "state").exists()


def test_what_is_missing_or_makes_no_sense(call: Call, tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    assert "seconds" in call("dead_man", state="armed", run="r1", state_dir=state)["msg"]
    assert "at least 1" in call("dead_man", state="armed", run="r1", seconds=0, state_dir=state)["msg"]
    missing = call("dead_man", state="armed", run="r1", seconds=60, state_dir=state, command="/nonexistent/aistack")
    assert "/nonexistent/aistack is not on this node" in missing["msg"]
    failed = call("dead_man", state="armed", run="r1", seconds=60, state_dir=state, command=sys.executable)
    assert failed["failed"], "there is no systemd where tests run"
    assert not list((tmp_path / "state").glob("confirm/*")), "without a timer nothing is armed"


def test_confirmed(call: Call, tmp_path: Path) -> None:
    assert call("dead_man", state="confirmed", run="r1", state_dir=str(tmp_path))["changed"] is False
    (tmp_path / "confirm").mkdir()
    plan = tmp_path / "confirm" / "r1.json"
    plan.write_text(json.dumps({"run": "r1"}))
    assert call("dead_man", check=True, state="confirmed", run="r1", state_dir=str(tmp_path))["changed"] is True
    plan.rename(plan.with_suffix(".reverting"))
    late = call("dead_man", state="confirmed", run="r1", state_dir=str(tmp_path))
    assert late["failed"]
    assert "too late" in late["msg"]
