# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Call = Callable[..., dict[str, Any]]


def test_check_record_check(call: Call, tmp_path: Path) -> None:
    state, managed = str(tmp_path / "state"), tmp_path / "conf"
    managed.write_text("a")
    wanted = {"redis": {"inputs": "i1", "files": [str(managed)]}, "postgres": {"inputs": "p1", "files": []}}
    bare = call("receipt", state_dir=state, components=wanted)
    assert bare["changed"] is False
    assert [entry["fresh"] for entry in bare["components"].values()] == [False, False]
    assert bare["components"]["redis"]["inputs"] == "i1"
    assert call("receipt", state="recorded", state_dir=state, components=wanted, check=True)["changed"] is True
    assert not (tmp_path / "state").exists()
    assert call("receipt", state="recorded", state_dir=state, components=wanted)["changed"] is True
    assert call("receipt", state="recorded", state_dir=state, components=wanted)["changed"] is False
    assert call("receipt", state="recorded", state_dir=state, components=wanted, check=True)["changed"] is False
    managed.write_text("b")
    now = call("receipt", state_dir=state, components={"redis": {"inputs": "i1"}, "postgres": {"inputs": "p2"}, "new": None})
    whys = {name: entry["why"] for name, entry in now["components"].items()}
    assert whys["redis"] == f"file {managed} changed"
    assert whys["postgres"].startswith("inputs changed")
    assert whys["new"].startswith("no receipt")
    assert not any(entry["fresh"] for entry in now["components"].values())


def test_a_name_that_would_leave_the_folder(call: Call, tmp_path: Path) -> None:
    answer = call("receipt", state="recorded", state_dir=str(tmp_path), components={"../x": {"inputs": "1"}})
    assert answer["failed"]
    assert "Not a component's name" in answer["msg"]
