# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module's arguments, its refusals and what it enforces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., dict[str, Any]]
MEMORY: dict[str, Any] = {"name": "memory", "source": "node", "target": "memory", "value": {"le": 100}, "window": 0.2, "min_sample": 2}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "missing required arguments: conditions"),
        ({"conditions": [{**MEMORY, "value": None}]}, "conditions[0] (memory): give one of 'value'"),
        ({"conditions": [{**MEMORY, "source": "nod"}]}, "unknown source 'nod' (did you mean node?)"),
        ({"conditions": [MEMORY, MEMORY]}, "'memory' is there twice"),
        ({"conditions": [MEMORY], "interval": 1}, "an interval of 1 s leaves one observation"),
        ({"conditions": [MEMORY], "duration": 0.1, "interval": 0.1}, "which do not fit into 0.1 s; give a longer duration"),
        ({"conditions": [MEMORY], "interval": 0}, "interval: 0 s is too short"),
        ({"conditions": [MEMORY], "passes": "many"}, "passes"),
        ({"conditions": [MEMORY], "windows": 3}, "Unsupported parameters"),
        ({"conditions": [MEMORY], "at_once": True}, "at_once: 'memory' is not asked of Prometheus, which alone knows what was before"),
        ({"conditions": [{"name": "n", "source": "prometheus", "query": "q", "value": 1}]}, "'n' has no 'target'"),
    ],
)
def test_arguments_that_make_no_sense(call: Call, arguments: dict[str, Any], said: str) -> None:
    answer = call("metric_gate", **arguments)
    assert answer["failed"]
    assert said in answer["msg"]


def test_it_passes_and_fails(call: Call) -> None:
    passed = call("metric_gate", conditions=[MEMORY], interval=0.1)
    assert (passed["verdict"], passed["changed"], passed["enforced"]) == ("pass", False, True)
    full = {**MEMORY, "value": {"gt": 100}, "then": "notice"}
    failed = call("metric_gate", conditions=[full], interval=0.1)
    assert (failed["failed"], failed["verdict"]) == (True, "fail")
    assert "FAIL  memory: " in failed["msg"]
    assert "expected memory in use, % > 100; 1 failed" in failed["msg"]
    for asked in ({"enforce": False}, {"check": True}):
        shown = call("metric_gate", conditions=[full], interval=0.1, **asked)
        assert (shown.get("failed"), shown["verdict"], shown["enforced"]) == (None, "fail", False)


def test_a_slice_ends_undecided(call: Call) -> None:
    answer = call("metric_gate", conditions=[MEMORY], interval=0.1, duration=60, slice=0.001)
    assert (answer["verdict"], len(answer["state"]["readings"][0])) == ("waiting", 1)
    assert 0 <= answer["due_s"] <= 0.1


def test_a_baseline_that_cannot_be_kept(call: Call, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    grown = {**{key: value for key, value in MEMORY.items() if key != "value"}, "times": 2, "baseline_sample": 2}
    answer = call("metric_gate", conditions=[grown], interval=0.1, record=True, state_dir=str(tmp_path / "state"))
    assert answer["failed"]
    assert "A baseline cannot be kept in" in answer["msg"]
