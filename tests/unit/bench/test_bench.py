# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmark keeps and what it says, whatever fails on its way; nothing is measured here."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The program, with two parts that measure nothing, no lab, and its files in a folder of the test."""
    monkeypatch.syspath_prepend(str(BENCH))
    module = importlib.import_module("bench")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "PARTS", {"first": lambda figures, unit: figures.add("one", 2 * unit, "P", 3, [1.0]),
                                          "postgres": lambda figures, unit: figures.add("two", 1.0, "s", None)})
    monkeypatch.setattr(module, "one_task", lambda figures: 1.0)
    monkeypatch.setattr(module, "release_of", lambda url: module.BEFORE)
    return module


def call(bench: Any, monkeypatch: pytest.MonkeyPatch, *parts: str) -> tuple[int, list[dict[str, Any]], str]:
    monkeypatch.setattr(sys, "argv", ["bench.py", *parts])
    status = bench.main()
    folder = bench.ROOT / "build"
    return status, json.loads((folder / "bench.json").read_text()), (folder / "bench.md").read_text()


def test_all_is_measured_and_written(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    status, rows, table = call(bench, monkeypatch)
    assert status == 0
    assert [(row["part"], row["name"], row["value"], row["ok"]) for row in rows] == [
        ("first", "one", 2.0, True), ("postgres", "two", 1.0, True)
    ]
    assert "| one | 2.00 P | 3 | ok | 1 |" in table


def test_a_missed_limit_is_said(bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bench, "one_task", lambda figures: 2.0)
    status, rows, table = call(bench, monkeypatch)
    assert status == 1
    assert [row["ok"] for row in rows] == [False, True]
    assert "| one | 4.00 P | 3 | missed |" in table
    assert "NOT well: one" in capsys.readouterr().out


def test_a_part_that_fails_loses_nothing_of_the_others(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(figures: Any, unit: float) -> None:
        figures.add("before", 1.0, "s", None)
        raise KeyError("gate_s")

    monkeypatch.setitem(bench.PARTS, "first", failing)
    status, rows, table = call(bench, monkeypatch)
    assert status == 1
    assert [(row["name"], row["value"], row["ok"]) for row in rows] == [
        ("before", 1.0, True), ("the part failed", None, False), ("two", 1.0, True)
    ]
    assert "| first: the part failed |  |  | missed | 'gate_s' |" in table


def test_without_the_lab_the_rest_is_measured(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_lab(figures: Any) -> float:
        raise bench.PartError("no lab")

    monkeypatch.setattr(bench, "one_task", no_lab)
    status, rows, _table = call(bench, monkeypatch)
    assert status == 1
    assert [(row["part"], row["name"]) for row in rows] == [("P", "the part failed"), ("postgres", "two")]


def test_one_part_again_leaves_the_others(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    call(bench, monkeypatch)
    monkeypatch.setattr(bench, "one_task", lambda figures: pytest.fail("P is not needed for that"))
    monkeypatch.setitem(bench.PARTS, "postgres", lambda figures, unit: figures.add("two", 5.0, "s", 1))
    status, rows, _table = call(bench, monkeypatch, "postgres")
    assert status == 1
    assert [(row["name"], row["value"]) for row in rows] == [("one", 2.0), ("two", 5.0)]
    monkeypatch.setitem(bench.PARTS, "postgres", lambda figures, unit: figures.add("two", 1.0, "s", 1))
    status, _rows, _table = call(bench, monkeypatch, "postgres")
    assert status == 0, "what an earlier run missed is not held against this one"


def test_a_lab_left_elsewhere_is_brought_back(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    brought = []
    monkeypatch.setattr(bench, "release_of", lambda url: "v9")
    monkeypatch.setattr(bench, "bring", brought.append)
    assert call(bench, monkeypatch, "first")[0] == 0
    assert brought == [bench.BEFORE]


def test_an_unknown_part_is_named(bench: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        call(bench, monkeypatch, "speed")
    assert ended.value.code == 2
    assert "no part speed; there are first, postgres" in capsys.readouterr().err


def test_what_the_visitors_never_saw_is_no_figure(bench: Any) -> None:
    rollbacks = importlib.import_module("rollbacks")
    seen = rollbacks.Seen(back={"backend": 1.0})
    with pytest.raises(bench.PartError, match="only \\['backend'\\]"):
        assert seen.seconds
    seen.back["frontend"] = 2.0
    assert seen.seconds == 2.0


def test_what_starts_cold_is_taken_out_of_the_fronted_figure(bench: Any) -> None:
    went = importlib.import_module("rollbacks").Went(9.0, {"backend": 1.0, "frontend": 2.0, "worker": 6.0}, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert went.fronted == 5.0
