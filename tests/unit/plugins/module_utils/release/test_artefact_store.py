# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import threading
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.release import artefact_store
from ansible_collections.phasegate.aistack.plugins.module_utils.release.artefact_store import Store, Stored, Wanted, application_of


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", "shop", "api", keep=2)


def keep(store: Store, key: str, **facts: Any) -> Stored:
    fetched = store.incoming(key)
    fetched.write_bytes(key.encode())
    return store.add(key, fetched, {"sha256": sha256(key.encode()).hexdigest(), "base": "b", "built_on": "one", **facts})


@pytest.mark.parametrize(
    ("repo", "name"),
    [
        ("https://u:p@git.example.com/team/shop.git", "shop"), ("git@example.com:shop.git", "shop"), ("/srv/repos/shop/", "shop"),
        ("/srv/a b", "a_b"), ("..", "application"), ("", "application"),
    ],
)
def test_the_folder_of_a_repository(repo: str, name: str) -> None:
    assert application_of(repo) == name


def test_what_is_kept_is_found_and_nobody_else_reads_it(store: Store) -> None:
    assert store.get("k") is None
    keep(store, "k")
    found = store.get("k")
    assert found is not None
    assert found.whole()
    assert found.built_on == "one"
    assert {path.stat().st_mode & 0o077 for path in [store.folder.parents[1], *store.folder.parents[1].rglob("*")]} == {0}
    found.path.write_bytes(b"K")
    assert not found.whole()
    found.discard()
    assert store.get("k") is None
    assert not found.whole()
    (store.folder / "k.json").write_text("no json")
    assert store.get("k") is None


def test_the_last_used_stay(store: Store) -> None:
    for age, key in ((300, "k1"), (200, "k2")):
        os.utime(keep(store, key).described, (time.time() - age, time.time() - age))
    used = store.get("k1")
    assert used is not None
    used.used()
    old = store.folder / ".k0.1"
    old.write_text("fetched in part")
    os.utime(old, (1, 1))
    (store.folder / "k9.lock").touch()
    keep(store, "k3")
    assert sorted(path.name for path in store.folder.iterdir()) == ["k1.json", "k1.tar.gz", "k3.json", "k3.tar.gz", "k9.lock"]


def test_who_waits_finds_what_the_other_built(store: Store) -> None:
    began, seen = threading.Event(), []

    def second() -> None:
        began.wait()
        with store.building("k", 60):
            seen.append(store.get("k") is not None)

    waiting = threading.Thread(target=second)
    waiting.start()
    with store.building("k", 60):
        began.set()
        with store.building("another", 0):
            pass
        time.sleep(0.2)
        assert seen == []
        keep(store, "k")
    waiting.join(60)
    assert seen == [True]


def test_the_next_one_builds_where_the_first_failed_is_gone_or_takes_too_long(store: Store) -> None:
    with pytest.raises(RuntimeError), store.building("k", 60):
        raise RuntimeError
    with store.building("k", 60):
        assert store.get("k") is None
    pid = os.fork()
    if pid == 0:
        with store.building("k", 60):
            os._exit(0)  # as if it was killed while it builds
    os.waitpid(pid, 0)
    with store.building("k", 60), store.building("k", 0.1):
        pass  # the time is up


def test_nobody_waits_for_what_cannot_be_kept(store: Store) -> None:
    store.unfit("k", "it holds a pipe")
    began = time.monotonic()
    with store.building("k", 60), store.building("k", 60):
        assert time.monotonic() - began < 30
    keep(store, "k")
    assert not (store.folder / "k.unfit").exists()


def wanted(store: Store, tools: dict[str, str], root: str = "/opt/aistack") -> Wanted:
    return Wanted(store, "c", "api", {"release": "v1"}, {"platform": {"os": "debian 12"}, "tools": tools, "variables": "s3cret"}, root)


PACKED = {"sha256": "s", "size": 3, "bound": False, "manifest": {"tag": "v1", "built_at": "now", "tests": [], "kind": "python"}}


def test_tools_count_where_there_are_some(store: Store) -> None:
    built = wanted(store, {"uv": "uv 1"})
    facts = built.facts(PACKED, built_on="one", built_by="anna")
    assert (facts["base"], facts["tag"], facts["built_by"], facts["commit"]) == (built.base, "v1", "anna", "c")
    assert "s3cret" not in str(facts)
    keep(store, built.key, **facts)
    for tools, found in (({"uv": "uv 1"}, True), ({"uv": "uv 2"}, False), ({}, True)):
        assert (wanted(store, tools).find() is not None) is found, tools
    assert Wanted(store, "d", "api", {}, {"tools": {}}, "").find() is None


def test_what_names_its_root_is_laid_down_below_the_same_one(store: Store) -> None:
    built = wanted(store, {"node": "v22"})
    keep(store, built.key, **built.facts({**PACKED, "bound": True}))
    assert built.find() is not None
    assert wanted(store, {"node": "v22"}, "/srv/aistack").find() is None
    assert artefact_store.KEEP == 10
