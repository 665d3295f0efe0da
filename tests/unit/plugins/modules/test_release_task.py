# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments and answers of a task of a release; what it does is proven in node/test_release_task.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Call = Callable[..., dict[str, Any]]
TASK = {"name": "seed", "point": "after_migration", "component": "api", "release": "v1", "command": ["true"], "run": "r1"}


def test_check_mode_says_what_would_be_run(call: Call, tmp_path: Path) -> None:
    answer = call("release_task", check=True, **TASK, state_dir=str(tmp_path / "state"))
    assert (answer["changed"], answer["done"], answer["msg"]) == (True, False, "would run the task seed (after_migration) of api v1")
    assert not (tmp_path / "state").exists()


def test_a_release_that_is_not_there_is_a_failure_in_words(call: Call, tmp_path: Path) -> None:
    answer = call("release_task", **TASK, config="c", root=str(tmp_path), state_dir=str(tmp_path / "state"))
    assert answer["failed"]
    assert answer["msg"].startswith(f"The task seed (after_migration) of api v1 cannot be run: {tmp_path}/api/releases/v1 is not there.")
    assert "point" in call("release_task", **{**TASK, "point": "later"})["msg"]
