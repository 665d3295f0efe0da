# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second stack on a node: let in beside the first, or refused with the reason and with nothing written."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core import flock
from ansible_collections.phasegate.aistack.plugins.module_utils.node.registry import Refused, entry_of, register

CLAIMS = {"components": ["api"], "roles": [], "ports": {"8080": "api"}}


def entry(folder: Path, name: str, claims: dict[str, Any] | None = None) -> dict[str, Any]:
    return entry_of(name, str(folder / f"opt-{name}"), str(folder / name), claims)


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    return tmp_path / "etc"


def test_check_run_check_run(registry: Path, tmp_path: Path) -> None:
    shop = entry(tmp_path, "shop", CLAIMS)
    assert register(registry, shop, check=True)[0]
    assert not registry.exists()
    assert register(registry, shop)[:2] == (True, "")
    assert json.loads((registry / "shop.json").read_text()) == shop
    assert not register(registry, shop, check=True)[0]
    assert not register(registry, shop)[0]


def test_what_it_has_stays_where_the_command_alone_is_installed(registry: Path, tmp_path: Path) -> None:
    register(registry, entry(tmp_path, "shop", CLAIMS))
    assert not register(registry, entry(tmp_path, "shop"))[0]
    assert json.loads((registry / "shop.json").read_text())["claims"] == CLAIMS


def test_a_second_one_is_let_in_where_it_overwrites_nothing(registry: Path, tmp_path: Path) -> None:
    register(registry, entry(tmp_path, "shop", CLAIMS))
    register(registry, entry(tmp_path, "tiny", {"components": ["web"], "roles": ["redis"], "ports": {"8081": "web"}}))
    assert sorted(path.name for path in registry.iterdir()) == ["shop.json", "tiny.json"]


@pytest.mark.parametrize("check", [True, False])
def test_else_it_is_refused_and_told_what_to_do(registry: Path, tmp_path: Path, check: bool) -> None:
    register(registry, entry(tmp_path, "shop", CLAIMS))
    before = (registry / "shop.json").read_text()
    with pytest.raises(Refused) as refused:
        register(registry, entry(tmp_path, "tiny", CLAIMS), check)
    for words in ("tiny cannot be on this node beside the stack shop", "aistack-api@", "port 8080", f"remove {registry / 'shop.json'}"):
        assert words in str(refused.value)
    assert [path.name for path in registry.iterdir()] == ["shop.json"]
    assert (registry / "shop.json").read_text() == before
    (registry / "shop.json").unlink()
    assert register(registry, entry(tmp_path, "tiny", CLAIMS))[0], "the remedy that it names"


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"components": ["api"]}, "aistack-api@"),
        ({"ports": {"18001": "web"}}, "port 18001 of web is that of shop's api"),
        ({"roles": ["postgres"]}, "shop has the postgres of this node"),
    ],
)
def test_one_that_a_version_before_registered_has_what_it_left_on_the_node(
    registry: Path, tmp_path: Path, claims: dict[str, Any], said: str
) -> None:
    register(registry, entry(tmp_path, "shop"))
    for path, text in (("components/api.json", '{"ports": {"blue": 18000, "green": 18001}}'), ("receipts/postgres.json", "{}"),
                       ("components/broken.json", "")):
        (tmp_path / "shop" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "shop" / path).write_text(text)
    with pytest.raises(Refused, match=said):
        register(registry, entry(tmp_path, "tiny", claims))


@pytest.mark.parametrize("name", ["", "../shop", "a\n", "-a"])
def test_a_name_becomes_a_files_and_a_units(registry: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(Refused, match="a stack's name is made of"):
        register(registry, entry_of(name, "/opt/x", "/var/lib/x"))


def test_what_is_no_entry_stands_in_nobodys_way(registry: Path, tmp_path: Path) -> None:
    registry.mkdir()
    (registry / "broken.json").write_text("[")
    assert register(registry, entry(tmp_path, "shop", CLAIMS))[0]


def test_a_registry_that_somebody_holds_for_ever_is_named(registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flock, "PATIENCE_S", 0.1)
    registry.mkdir()
    handle = os.open(registry, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(flock.Stuck, match=f"{registry} has been locked for more than"):
        register(registry, entry(tmp_path, "shop", CLAIMS))
    os.close(handle)
    assert register(registry, entry(tmp_path, "shop", CLAIMS))[0]
