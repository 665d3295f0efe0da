# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A switch whose run loses the lock on the way: it stops, and leaves to the other run what is live."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import LeaseLost, Lock
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.plan import RollbackRequest
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.run import Caller, Locked, roll_back
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.rollback.fleet import Fleet


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    fleet = Fleet(tmp_path, "web")
    for number in (1, 2):
        fleet.deploy(number, run=f"deploy-{number}")
    return fleet


def test_the_live_link_stays_where_the_lock_is_lost_during_the_gate(fleet: Fleet) -> None:
    lock = Lock(fleet.state)
    lock.acquire("deploy-3", {"actor": "ann"}, 60)

    def emergency() -> None:
        lock.acquire("emergency", {"actor": "bob"}, 60, break_lock=True)

    fleet.gate.before["web"] = emergency
    with pytest.raises(LeaseLost, match="held by bob"):
        fleet.deploy(3, "web", run="deploy-3")
    assert fleet.live() == {"web": "v2"}
    last = fleet.journal.read()[-1]
    assert (last["op"], last["outcome"], last["release"]) == ("activate", "failed", "v3")
    assert "report" not in last["detail"], "it went back, which is the other run's to decide"


def test_a_part_of_a_run_that_lost_the_lock_does_not_take_it_again(fleet: Fleet) -> None:
    lock = Lock(fleet.state)
    lock.acquire("rb-1", {"actor": "ann"}, 60)
    lock.acquire("emergency", {"actor": "bob"}, 60, break_lock=True)
    lock.release("emergency")
    with pytest.raises(Locked, match="bob took it for run emergency"):
        roll_back(fleet.state, "shop", RollbackRequest(), Caller("rb-1", "ann"), fleet.tools())
    assert fleet.live() == {"web": "v2"}
    assert roll_back(fleet.state, "shop", RollbackRequest(), Caller("rb-2", "ann"), fleet.tools())["outcome"] == "ok"
