# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Made-up variables: right in type, and never a secret."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.pure.env_schema import resolve
from ansible_collections.phasegate.aistack.plugins.module_utils.pure.stand_ins import stand_ins

CASES: list[tuple[dict[str, Any], str]] = [
    ({"type": "int"}, "1"),
    ({"type": "bool", "default": False}, "false"),
    ({"type": "enum", "choices": ["b", "a"]}, "b"),
    ({"type": "str", "min_length": 20}, "x" * 20),
    ({"type": "url"}, "http://localhost"),
    ({"type": "str", "default": "kept"}, "kept"),
]


@pytest.mark.parametrize(("entry", "expected"), CASES)
def test_value(entry: dict[str, Any], expected: str) -> None:
    schema = [{"name": "A", **entry}]
    assert stand_ins(schema) == {"A": expected}
    assert not resolve(schema, stand_ins(schema)).problems


def test_a_secret_default_is_not_used() -> None:
    assert "hunter2" not in stand_ins([{"name": "A", "secret": True, "default": "hunter2"}]).values()
