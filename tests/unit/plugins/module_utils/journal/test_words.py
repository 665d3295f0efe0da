# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a record says, for people."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal import words


def test_only_what_differs_is_told_in_a_sentence() -> None:
    assert words.differing("a, b = 1", "a, b = 2") == ("b = 1", "b = 2")
    assert words.differing("status 200", "connection refused, twice") == ("status 200", "connection refused, twice")
    assert words.differing("same", "same") == ("same", "same")


@pytest.mark.parametrize(
    ("op", "detail", "text"),
    [
        ("mark", {"state": "bad", "reason": "leaks"}, "bad: leaks"),
        ("mark", {"state": "good"}, "good"),
        ("activate", {"report": {"probe": "health", "expected": "a, b", "got": "a, c"}, "slot": "blue"}, "health: expected b, got c"),
        ("migrate", {"from": [], "to": ["1", "2"]}, "nothing → 1, 2"),
        ("run", {"command": "a\n b"}, "a b"),
        ("activate", {"slot": "blue"}, "slot blue"),
        ("activate", "no object", ""),
    ],
)
def test_what_is_worth_knowing(op: str, detail: Any, text: str) -> None:
    record: Any = {"op": op, "detail": detail}
    assert words.said(record) == text
