# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which cases are run, and where their figures go."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ..refusals.conftest import ROOT
from ..rollback.conftest import BEFORE, bring
from .cases import CASES, _plain
from .world import World

CASE = ("operation", "step", "fault", "after")
"""What tells one case from another."""
FIGURES = ROOT / "build" / "faults.json"
"""A list of objects, one for each case, see C(page.py)."""


def figures() -> list[dict[str, Any]]:
    """What was measured so far."""
    return list(json.loads(FIGURES.read_text(encoding="utf-8"))) if FIGURES.exists() else []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Run the whole table: C(make faults)."""
    parser.addoption("--whole", action="store_true", help="every case, not only those of make test")
    parser.addoption("--missing", action="store_true", help="of those, only the cases without a figure yet: goes on with a table")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each case."""
    if "case" in metafunc.fixturenames:
        whole = metafunc.config.getoption("--whole")
        chosen = [case for case in CASES if whole or case.quick]
        if metafunc.config.getoption("--missing"):
            known = {tuple(row[key] for key in CASE) for row in figures()}
            chosen = [case for case in chosen if tuple(getattr(case, key) for key in CASE) not in known]
        metafunc.parametrize("case", chosen, ids=lambda case: case.name + (f", after {case.after} s" if case.after else ""))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Whether the table is complete is asked where the whole of it is run."""
    if not config.getoption("--whole"):
        left = [item for item in items if "every_step" in item.name]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """The lab; it is healthy and at the release that everything else expects when all is over."""
    world = World()
    _plain(world)
    yield world
    _plain(world)
    bring(world, BEFORE)
    world.sql("delete from workflows where id like 'survivor-%'")
    health = world.play("healthcheck")
    assert health.rc == 0, f"the lab is not healthy after the tests\n{health.text}"


@pytest.fixture
def note() -> Callable[[dict[str, Any]], None]:
    """Keep the figures of a case; an earlier run's of the same case are replaced."""

    def keep(row: dict[str, Any]) -> None:
        rows = [other for other in figures() if any(other[key] != row[key] for key in CASE)] + [row]
        FIGURES.parent.mkdir(exist_ok=True)
        FIGURES.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")

    return keep
