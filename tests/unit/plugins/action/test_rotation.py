# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A secret's file gets a new value once, however often a run is interrupted, and the former one until it is not needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.action import rotation
from ansible_collections.phasegate.aistack.plugins.action.rotation import Store, another, value_of

OLD = "a" * 32


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "postgres").write_text(f"{OLD} salt=xyz\n")
    return Store(tmp_path / "postgres")


def test_another_value_is_as_long_and_never_short() -> None:
    assert len(another(OLD)) == 32
    assert another(OLD).isalnum()
    assert another(OLD) != another(OLD)
    assert len(another("short")) == 40


def test_begun_once_and_finished(store: Store) -> None:
    assert store.begin(check=True)
    assert value_of(store.path.read_text()) == OLD
    assert store.begin(check=False)
    new = store.path.read_text()
    assert value_of(new) != OLD
    assert new.endswith(" salt=xyz\n")
    assert not store.begin(check=False)
    assert store.path.read_text() == new
    assert all(path.stat().st_mode & 0o077 == 0 for path in (store.path, store.next, store.before))
    store.finish()
    assert [path.name for path in store.path.parent.iterdir()] == ["postgres"]
    assert store.path.read_text() == new


def test_where_two_keys_are_accepted_the_former_one_stays(store: Store) -> None:
    store.begin(check=False)
    store.finish(keep=True)
    assert value_of(store.before.read_text()) == OLD
    assert not store.next.exists()
    between = value_of(store.path.read_text())
    assert store.begin(check=False), "the next change is one of its own"
    assert value_of(store.before.read_text()) == between
    store.finish()
    assert not store.before.exists()


def test_abandoned_the_former_value_is_back(store: Store) -> None:
    store.begin(check=False)
    store.abandon()
    assert value_of(store.path.read_text()) == OLD
    assert [path.name for path in store.path.parent.iterdir()] == ["postgres"]


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_interrupted_at_any_write_the_next_run_ends_with_one_value(store: Store, writes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real, left = rotation.write_file, [writes]

    def dies(path: Path, text: str, mode: int) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        real(path, text, mode)

    monkeypatch.setattr(rotation, "write_file", dies)
    with pytest.raises(KeyboardInterrupt):
        store.begin(check=False)
    left[0] = 9
    promised = value_of(store.next.read_text()) if store.next.exists() else None
    assert store.begin(check=False) == (promised is None)
    found = value_of(store.path.read_text())
    assert found != OLD
    assert promised in (None, found)
    assert value_of(store.before.read_text()) == OLD
