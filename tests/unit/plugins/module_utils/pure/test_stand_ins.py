# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Made-up variables: right in type, and never a secret."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.pure.env_schema import resolve
from ansible_collections.phasegate.aistack.plugins.module_utils.pure.stand_ins import made_up, stand_ins

CASES: list[tuple[dict[str, Any], str]] = [
    ({"type": "int"}, "1"),
    ({"type": "bool", "default": False}, "false"),
    ({"type": "enum", "choices": ["b", "a"]}, "b"),
    ({"type": "str", "min_length": 20}, "x" * 20),
    ({"type": "url"}, "http://localhost"),
    ({"type": "str", "default": "kept"}, "kept"),
    ({"type": "email"}, "nobody@example.com"),
    ({"type": "number"}, "1.5"),
    ({"type": "json"}, "{}"),
    ({"type": "json", "default": ["a", 1]}, '["a",1]'),
    ({"type": "str", "choices": [True, False]}, "true"),
    ({"type": "url", "min_length": 24}, "http://localhost/" + "x" * 7),
    ({"type": "str", "pattern": "^[0-9a-f]{32}$"}, "0" * 32),
]


@pytest.mark.parametrize(("entry", "expected"), CASES)
def test_value(entry: dict[str, Any], expected: str) -> None:
    schema = [{"name": "A", **entry}]
    assert stand_ins(schema) == {"A": expected}
    assert not resolve(schema, stand_ins(schema)).problems


def test_a_secret_default_is_not_used() -> None:
    assert "hunter2" not in stand_ins([{"name": "A", "secret": True, "default": "hunter2"}]).values()


def test_what_is_made_up_is_named() -> None:
    schema = [
        {"name": "A", "default": "kept"}, {"name": "B", "type": "enum", "choices": ["b"]}, {"name": "C", "type": "email"},
        {"name": "D", "secret": True, "default": "hunter2"},
    ]  # fmt: skip
    assert made_up(schema) == ["C", "D"]


def test_a_pattern_that_nothing_made_up_fits_leaves_a_text() -> None:
    assert stand_ins([{"name": "A", "pattern": "^never (this|that)$"}]) == {"A": "xxxxxxxx"}
