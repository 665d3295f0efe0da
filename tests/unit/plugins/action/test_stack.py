# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run remembers of what it has proven."""

from __future__ import annotations

from typing import Any

from ansible_collections.phasegate.aistack.plugins.action.stack import remembered, this_process

FACTS: dict[str, Any] = {"aistack_accepted": ["order"], "aistack_proven": {"redis": 90.0, "api": 60.0}}


def test_what_was_not_asked_again_keeps_its_time() -> None:
    found = remembered(FACTS, ["page"], ["redis", "api", "web"], False, 100.0, 30.0)
    assert found == {"aistack_accepted": ["order", "page"], "aistack_proven": {"redis": 90.0, "api": 100.0, "web": 100.0}}


def test_after_a_change_older_proofs_count_no_more() -> None:
    assert remembered(FACTS, [], ["web"], True, 100.0, 30.0)["aistack_proven"] == {"web": 100.0}


def test_a_run_starts_with_nothing() -> None:
    assert remembered({}, [], ["web"], False, 5.0, 30.0) == {"aistack_accepted": [], "aistack_proven": {"web": 5.0}}


def test_a_process_is_named_by_its_start_as_well() -> None:
    pid, started = this_process().split(":", 1)
    assert int(pid) > 0
    assert started not in ("", "None")
