# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboards' JSON is what `make dashboards` makes of roles/grafana/dashboards; told by hashes, since their maker lives elsewhere."""

from __future__ import annotations

import hashlib
import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring import dashboards

ROOT = Path(__file__).resolve().parents[2]
SOURCE, FILES = ROOT / "roles/grafana/dashboards", ROOT / "roles/grafana/files/dashboards"
MADE: dict[str, Any] = json.loads((SOURCE / "made.json").read_text(encoding="utf-8"))
DESCRIBED = runpy.run_path(str(SOURCE / "described.py"))
AGAIN = "run make dashboards, and commit what it writes"


def board_of(uid: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FILES / f"{uid.removeprefix('aistack-')}.json").read_text(encoding="utf-8"))
    return found


def test_the_json_was_made_of_this_source() -> None:
    parts = [SOURCE / "described.py", SOURCE / "generate.py", ROOT / "requirements/dashboards.txt"]
    assert hashlib.sha256(b"\0".join(path.read_bytes() for path in parts)).hexdigest() == MADE["source"], AGAIN


def test_nobody_changed_the_json_by_hand() -> None:
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in FILES.iterdir()}
    assert hashes == MADE["files"], AGAIN


@pytest.mark.parametrize("board", DESCRIBED["BOARDS"], ids=lambda board: board.uid)
def test_every_panel_is_there_with_its_queries(board: Any) -> None:
    asked = dashboards.questions(board_of(board.uid))
    wanted = [(f"panel '{panel.title}'", expr) for panels in board.rows.values() for panel in panels for expr, _legend in panel.queries]
    assert [one for one in asked if one[0].startswith("panel")] == wanted
    marks = [(f"annotation '{mark.name}'", mark.query) for mark in DESCRIBED["MARKS"]]
    assert [one for one in asked if one[0].startswith("annotation")] == marks
    assert {one["useValueForTime"] for one in board_of(board.uid)["annotations"]["list"]} == {True}
    assert len([where for where, _series in asked if where.startswith("variable")]) == len(board.variables)


@pytest.mark.parametrize("board", DESCRIBED["BOARDS"], ids=lambda board: board.uid)
def test_nothing_is_wrong_with_it(board: Any) -> None:
    text = (FILES / f"{board.uid.removeprefix('aistack-')}.json").read_text(encoding="utf-8")
    assert dashboards.problems(text) == []
    assert {panel["datasource"]["uid"] for panel in board_of(board.uid)["panels"] if panel["type"] != "row"} == {"aistack-prometheus"}


def test_those_that_are_wanted_are_there() -> None:
    assert {path.stem for path in FILES.iterdir()} == {"system", "application", "worker", "database", "deployments"}
