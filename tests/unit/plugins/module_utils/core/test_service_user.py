# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of the users that components run as."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core.service_user import check_user, derived_user, same_user, service_users

LINUX = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


def test_a_component_has_a_user_of_its_own() -> None:
    assert derived_user("backend") == "aistack-backend"
    assert derived_user("a" * 24) == "aistack-" + "a" * 24


def test_names_that_are_too_long_or_taken_end_in_a_hash() -> None:
    long = ["a" * 25, "a" * 26, "a" * 64]
    names = [derived_user(name) for name in [*long, "build", "test"]]
    assert len(set(names)) == 5
    assert all(LINUX.fullmatch(name) for name in names), names
    assert not {"aistack", "aistack-build", "aistack-test"} & set(names)
    assert names == [derived_user(name) for name in [*long, "build", "test"]]  # and always the same


def test_users_of_several() -> None:
    described = {"api": {}, "worker": {"user": "shop"}, "mail": {"user": "shop"}, "web": {}}
    assert service_users(described, ["worker", "api", "mail"]) == ["shop", "aistack-api"]


@pytest.mark.parametrize(
    ("component", "said"),
    [
        ({"user": "Shop"}, "'Shop' is no name of a system user"),
        ({"user": "a" * 33}, "is no name of a system user"),
        ({"user": "shop; id"}, "is no name of a system user"),
        ({"user": "-shop"}, "is no name of a system user"),
        ({"user": ""}, "'' is no name of a system user"),
        ({"user": 1000}, "1000 is no name of a system user"),
        ({"user": "root"}, "'root' cannot be taken, because it may do everything"),
        ({"user": "aistack"}, "have the passwords of databases"),
        ({"user": "aistack-build"}, "releases are built as it"),
        ({"user": "shop", "application": None}, "only a component that runs a release"),
    ],
)
def test_users_that_no_component_can_have(component: dict[str, Any], said: str) -> None:
    (problem,) = check_user("aistack_components.web", {"application": "shop", **component})
    assert problem.startswith("aistack_components.web.user: ")
    assert said in problem


def test_users_that_a_component_can_have() -> None:
    assert check_user("web", {"application": "shop"}) == []
    assert check_user("web", {"release_from": "api", "user": "shop_web-1"}) == []


def test_one_user_for_two_is_said_by_both() -> None:
    both = {"api": {"application": "shop", "user": "shop"}, "worker": {"release_from": "api", "user": "shop"}, "db": {}}
    assert same_user(both) == []
    (problem,) = same_user({**both, "api": {"application": "shop", "user": "aistack-worker"}, "worker": {"release_from": "api"}})
    assert problem.startswith("aistack_components.worker: runs as the user 'aistack-worker', as 'api' does")
