# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Made-up variables: right in type, and never a secret."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.environment.placeholders import (
    made_up,
    placeholder_env,
    unsure,
    with_schemes,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.schema import resolve

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
    assert placeholder_env(schema) == {"A": expected}
    assert not resolve(schema, placeholder_env(schema)).problems


def test_a_secret_default_is_not_used() -> None:
    assert "hunter2" not in placeholder_env([{"name": "A", "secret": True, "default": "hunter2"}]).values()


def test_what_is_made_up_is_named() -> None:
    schema = [
        {"name": "A", "default": "kept"}, {"name": "B", "type": "enum", "choices": ["b"]}, {"name": "C", "type": "email"},
        {"name": "D", "secret": True, "default": "hunter2"},
    ]
    assert made_up(schema) == ["C", "D"]


def test_a_pattern_that_nothing_made_up_fits_leaves_a_text() -> None:
    assert placeholder_env([{"name": "A", "pattern": "^never (this|that)$"}]) == {"A": "xxxxxxxx"}


@pytest.mark.parametrize(
    ("entry", "real", "expected"),
    [
        ({"name": "REDIS_URL"}, "", "redis://localhost:6379/0"),
        ({"name": "CELERY_BROKER_URL"}, "", "redis://localhost:6379/0"),
        ({"name": "WS_MESSAGE_QUEUE"}, "", "redis://localhost:6379/0"),
        ({"name": "CELERY_BROKER_URL"}, "amqp://app:hunter2@mq:5672/app", "amqp://localhost:5672//"),
        ({"name": "BUS", "default": "rediss://:hunter2@cache.example:6380/3"}, "", "rediss://localhost:6379/0"),
        ({"name": "BUS", "pattern": "^redis://"}, "", "redis://localhost:6379/0"),
        ({"name": "BUS", "pattern": r"^redis:\/\/"}, "", "redis://localhost:6379/0"),
        ({"name": "BUS", "pattern": "^rediss?://"}, "", "redis://localhost:6379/0"),
        ({"name": "DATABASE_URL"}, "", "postgresql://planned:planned@localhost:5432/planned"),
        ({"name": "DATABASE_URL"}, "postgresql+asyncpg://a:hunter2@db/x", "postgresql+asyncpg://planned:planned@localhost:5432/planned"),
        ({"name": "CACHE", "type": "url"}, "https://cache.example", "https://localhost"),
        ({"name": "REDIS_URL", "type": "url", "default": "redis://:hunter2@cache"}, "", "redis://localhost"),
    ],
)
def test_of_an_address_the_scheme_is_kept_and_nothing_else(entry: dict[str, Any], real: str, expected: str) -> None:
    schema = [{"type": "dsn", "required": True, "secret": True, **entry}]
    seen = with_schemes(schema, {entry["name"]: real})
    made = placeholder_env(seen)
    assert "hunter2" not in str([{**one, "default": None} for one in seen])
    assert made == {entry["name"]: expected}
    assert not resolve([{**schema[0], "default": None}], made).problems


def test_the_advice_does_not_promise_that_a_secrets_default_counts() -> None:
    text = unsure(["CELERY_BROKER_URL"], "CELERY_BROKER_URL: ModuleNotFoundError: asyncpg", "env.py:3", "what v1 does")
    assert "^redis://" in text
    assert "of a secret's default only the scheme of an address counts" in text
