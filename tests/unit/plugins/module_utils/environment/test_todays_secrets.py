# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which values of an environment of then are those of today."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.environment.rotation import bridged
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.todays_secrets import merge

THEN = {"LEVEL": "debug", "SMTP_PW": "old", "GREETING": "hello", "GONE": "g"}
NOW = {"LEVEL": "info", "SMTP_PW": "new", "GREETING": "bye", "FRESH": "f"}


@pytest.mark.parametrize(
    ("then_declared", "now_declared", "today", "kept"),
    [
        ({"SMTP_PW"}, {"SMTP_PW"}, {"SMTP_PW": "new"}, []),
        ({"GREETING"}, set(), {"GREETING": "bye"}, []),
        (set(), {"GREETING", "FRESH"}, {"GREETING": "bye"}, []),
        ({"GONE"}, set(), {}, ["GONE"]),
        (set(), set(), {}, []),
        (None, None, {"SMTP_PW": "new"}, []),
        (None, {"GREETING"}, {"GREETING": "bye"}, []),
        ({"GREETING"}, None, {"GREETING": "bye"}, []),
    ],
    ids=["both", "then", "now", "no longer known", "nothing is", "by name", "by the names of today", "by the names of then"],
)
def test_what_is_declared_secret_has_the_value_of_today(then_declared: Any, now_declared: Any, today: dict[str, str], kept: Any) -> None:
    merged = merge(THEN, NOW, then_declared, now_declared)
    assert merged.values == {**THEN, **today}
    assert (list(merged.today), list(merged.kept)) == (sorted(today), kept)


def test_a_secret_that_did_not_change_is_not_told() -> None:
    assert merge(THEN, {**NOW, "SMTP_PW": "old"}, {"SMTP_PW"}, {"SMTP_PW"}).today == ()


def test_an_address_with_a_password_is_one_whatever_the_schema_says() -> None:
    then, now = ({"STORE": f"redis://app:{password}@db/0", "SITE": f"http://{password}/"} for password in ("old", "new"))
    assert merge(then, now, set(), set()).values == {"STORE": now["STORE"], "SITE": then["SITE"]}


@pytest.mark.parametrize("declared", [{"PW", "URL"}, None])
def test_in_the_middle_of_a_rotation_the_second_login_is_that_of_today(declared: Any) -> None:
    then = {"URL": "postgresql://shop:old@db/shop", "DB_USER": "shop", "PW": "old", "LEVEL": "shop"}
    fresh = {"URL": "postgresql://shop:new@db/shop", "DB_USER": "shop", "PW": "new", "LEVEL": "info"}
    now = bridged(fresh, "shop", "new", {"user": "DB_USER", "password": "PW"})
    there = merge(then, now, declared, declared)
    assert there.values == {**now, "LEVEL": "shop"}
    back = merge({**now, "LEVEL": "shop"}, fresh, declared, declared)
    assert back.values == {**fresh, "LEVEL": "shop"}, "and what was live with it comes back without it"
