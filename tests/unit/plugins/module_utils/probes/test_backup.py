# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import failure as backup_failed
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.plan import stamp_of
from ansible_collections.phasegate.aistack.plugins.module_utils.core.probe_spec import ProbeError
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.spec import normalise


def a_set(state: Path, hours: float, verdict: str = "verified", form: int = 2, *parts: str) -> str:
    name = f"{stamp_of(time.time() - hours * 3600)}-daily"
    folder = state / "backups" / name
    folder.mkdir(parents=True)
    manifest: dict[str, Any] = {"format": form, "name": name, "verdict": verdict, "files": {}}
    manifest["parts"] = [{"kind": "postgres", "name": part} for part in parts]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return name


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "backup.json").write_text("{}")
    return tmp_path


def test_the_age_of_the_newest_verified_set(observe: Any, state: Path) -> None:
    a_set(state, 30)
    a_set(state, 2, "unusable: cut")
    seen = observe(backup=str(state), age={"lt": "26h"})
    assert not seen.ok
    assert seen.got.endswith("-daily, 30.0 h old")
    assert seen.expected == "a verified backup set of age < 26h"
    assert observe(backup=str(state), age={"lt": "2d"}).ok
    assert observe(backup=str(state), age="31h").ok
    assert not observe(backup=str(state)).ok, "26 hours where nothing is asked"
    a_set(state, 3)
    assert observe(backup=str(state)).ok


def test_what_a_verified_dump_is_proven_by_is_said(observe: Any, state: Path) -> None:
    a_set(state, 1, "verified", 2, "shop")
    read_back = "1.0 h old (dumps read back: checksums, pg_restore --list; restored on trial: "
    seen = observe(backup=str(state))
    assert seen.ok
    assert seen.got.endswith(f"{read_back}never (drill.yml))")
    journal = Journal.of(state)
    journal.append({"op": "drill", "component": "backend", "outcome": "failed", "time": "2026-01-01T00:00:00.000Z"})
    assert "never" in observe(backup=str(state)).got
    then = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - 3 * 86400 - 60))
    journal.append({"op": "drill", "component": "backend", "outcome": "ok", "time": then})
    assert observe(backup=str(state)).got.endswith(f"{read_back}3.0 d ago)")


def test_a_dump_from_before_a_migration_is_no_set(observe: Any, state: Path) -> None:
    a_set(state, 1, form=1)
    os.utime(state / "backup.json", (1, 1))
    seen = observe(backup=str(state))
    assert (seen.ok, "no verified set yet" in seen.got) == (False, True)


def test_a_new_node_has_time_until_its_first_set(observe: Any, state: Path) -> None:
    assert observe(backup=str(state)).ok
    os.utime(state / "backup.json", (time.time() - 27 * 3600,) * 2)
    seen = observe(backup=str(state))
    assert (seen.ok, seen.got) == (False, "no verified set yet; what to save is described since 27.0 h")
    (state / "backup.json").unlink()
    assert "nobody said what to save" in observe(backup=str(state)).got


def test_a_unit_that_failed_is_shown_until_a_set_was_made(observe: Any, state: Path) -> None:
    a_set(state, 1)
    (state / backup_failed.NOTE).write_text(json.dumps({"unit": "aistack-backup@shop.service", "time": "then", "why": "no space"}))
    seen = observe(backup=str(state))
    assert not seen.ok
    assert seen.got.endswith("1.0 h old; aistack-backup@shop.service failed at then: no space")
    (state / backup_failed.NOTE).write_text("half")
    assert "cannot be read" in observe(backup=str(state)).got
    backup_failed.clear(state)
    assert observe(backup=str(state)).ok


@pytest.mark.parametrize("age", ["a day", {"lt": "26 hours"}, {"matches": "x"}, {"lt": True}])
def test_what_is_no_age(state: Path, age: Any) -> None:
    with pytest.raises(ProbeError, match="age: "):
        normalise({"name": "x", "backup": str(state), "age": age}, None)


def test_the_age_of_the_newest_copy(observe: Any, state: Path) -> None:
    name = a_set(state, 1)
    os.utime(state / "backup.json", (time.time() - 60 * 3600,) * 2)
    seen = observe(backup=str(state), copy={"lt": "50h"})
    assert not seen.ok
    assert seen.got.endswith("; none was copied yet")
    (state / "backup.copied").write_text(json.dumps({"name": name, "place": "offsite:sets/node", "time": "now"}))
    seen = observe(backup=str(state), copy={"lt": "50h"})
    assert seen.ok
    assert seen.got.endswith(f"; {name} is in offsite:sets/node, 1.0 h old")
    (state / "backup.copied").write_text(json.dumps({"name": a_set(state, 51), "place": "offsite:sets/node", "time": "now"}))
    assert not observe(backup=str(state), copy={"lt": "50h"}).ok
