# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which user a node says that a component runs as: its unit's, the one of its name, or what an earlier version had."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core import unit_user as module


@pytest.fixture
def users(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The users that this host has."""
    there: set[str] = set()

    def getpwnam(name: str) -> str:
        if name not in there:
            raise KeyError(name)
        return name

    monkeypatch.setattr(pwd, "getpwnam", getpwnam)
    return there


def unit(folder: Path, user: str, name: str = "aistack-worker@.service") -> None:
    (folder / name).write_text(f"[Unit]\nDescription=User=no\n[Service]\nUser={user}\nGroup=aistack\n")


def test_the_unit_says_so(tmp_path: Path, users: set[str]) -> None:
    users |= {"aistack", "aistack-worker"}
    unit(tmp_path, "shop")
    assert module.service_user("worker", units=tmp_path) == "shop"
    assert module.service_user("worker", "aistack-worker@blue.service", tmp_path) == "shop"
    unit(tmp_path, "other", "shop-work@.service")
    assert module.service_user("worker", "shop-work@green.service", tmp_path) == "other"
    assert module.service_user("mailer", units=tmp_path) == "aistack"


def test_without_a_unit_it_is_the_one_of_its_name(tmp_path: Path, users: set[str]) -> None:
    users |= {"aistack", "aistack-worker"}
    assert module.service_user("worker", units=tmp_path) == "aistack-worker"
    assert module.service_user(None, units=tmp_path) == "aistack"


def test_on_a_node_of_an_earlier_version(tmp_path: Path, users: set[str]) -> None:
    """Its unit names the user that all had; once the own one is made, before the unit is, that one is taken."""
    unit(tmp_path, "aistack")
    users.add("aistack")
    assert module.service_user("worker", units=tmp_path) == "aistack"
    users.add("aistack-worker")
    assert module.service_user("worker", units=tmp_path) == "aistack-worker"


def test_a_host_that_has_none_of_them(tmp_path: Path, users: set[str]) -> None:
    assert not users
    assert module.service_user("worker", units=tmp_path) is None
