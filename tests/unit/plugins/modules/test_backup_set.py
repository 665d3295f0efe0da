# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal

Call = Callable[..., dict[str, Any]]


@pytest.fixture
def node(tmp_path: Path) -> dict[str, str]:
    """A node with one environment and a description; the arguments that say where."""
    config = tmp_path / "root" / "backend" / "config" / "c1"
    config.mkdir(parents=True)
    (config / "env").write_text('KEY="sehr-geheim"\n')
    slot = tmp_path / "root" / "backend" / "slots" / "blue"
    slot.mkdir(parents=True)
    (slot / "config").symlink_to("../../config/c1")
    (slot / "release").symlink_to("../../releases/v1")
    state = tmp_path / "state"
    state.mkdir()
    (state / "backup.json").write_text(json.dumps({"stack": "lab", "keep": {"last": 1, "days": 0}, "min_free_bytes": 0}))
    return {"root": str(tmp_path / "root"), "state_dir": str(state), "run": "r1"}


def test_check_make_check_prune(call: Call, node: dict[str, str]) -> None:
    predicted = call("backup_set", check=True, reason="daily", stamp="20260101T000000Z", **node)
    assert (predicted["changed"], predicted["name"]) == (True, "20260101T000000Z-daily")
    assert predicted["parts"]["files:config"] > 0
    assert not Path(node["state_dir"], "backups").exists()
    made = call("backup_set", reason="daily", stamp="20260101T000000Z", **node)
    assert (made["changed"], made["name"], made["verdict"]) == (True, predicted["name"], "verified")
    assert "sehr-geheim" not in made["text"]
    second = call("backup_set", reason="daily", stamp="20260102T000000Z", **node)
    assert [one["name"] for one in call("backup_set", state="listed", **node)["sets"]] == [second["name"], made["name"]]
    verified = call("backup_set", state="verified", **node)
    assert (verified["changed"], verified["name"], verified["verdict"]) == (False, second["name"], "verified")
    would = call("backup_set", check=True, state="pruned", **node)
    assert (would["changed"], would["removed"]) == (True, [made["name"]])
    assert call("backup_set", state="pruned", **node)["removed"] == [made["name"]]
    assert call("backup_set", state="pruned", **node)["changed"] is False


def test_a_set_that_cannot_be_used(call: Call, node: dict[str, str]) -> None:
    assert "counts as verified" in call("backup_set", state="verified", **node)["msg"]
    made = call("backup_set", **node)
    (Path(made["path"]) / "files/config/backend/c1/env").write_text("other")
    failed = call("backup_set", state="verified", set=made["name"], **node)
    assert failed["failed"]
    assert "was changed" in failed["problems"][0]
    assert "Take another set" in failed["msg"]


def test_no_description(call: Call, node: dict[str, str]) -> None:
    Path(node["state_dir"], "backup.json").unlink()
    failed = call("backup_set", **node)
    assert "Say it in aistack_backup" in failed["msg"]
    for state in ("made", "pruned"):
        answer = call("backup_set", state=state, required=False, **node)
        assert (answer["changed"], answer.get("failed", False)) == (False, False)
        assert "nobody said what this node has to save" in answer["msg"]


def test_restore_is_planned_confirmed_done(call: Call, node: dict[str, str]) -> None:
    name = call("backup_set", **node)["name"]
    env = Path(node["root"], "backend/config/c1/env")
    env.write_text("changed")
    planned = call("restore_set", set=name, min_free_bytes=0, **node)
    assert (planned["changed"], planned["set"], planned["prepared"]) == (False, name, [])
    assert "1 files are replaced" in planned["lines"][0]
    for check in (True, False):
        refused = call("restore_set", check=check, state="restored", set=name, min_free_bytes=0, **node)
        assert (refused["failed"], refused["refused"]) == (True, True)
        assert f"Expected -e confirm={name}" in refused["msg"]
    predicted = call("restore_set", check=True, state="restored", set=name, confirm=name, min_free_bytes=0, **node)
    assert (predicted["changed"], predicted["done"]) == (True, {})
    assert env.read_text() == "changed"
    done = call("restore_set", state="restored", set=name, confirm=name, min_free_bytes=0, **node)
    assert (done["changed"], list(done["done"])) == (True, ["files:config"])
    assert env.read_text() == 'KEY="sehr-geheim"\n'
    again = call("restore_set", check=True, state="restored", set=name, confirm=name, min_free_bytes=0, **node)
    assert again["changed"] is False
    assert [record["op"] for record in Journal.of(node["state_dir"]).read()][-1] == "restore"
    assert "sehr-geheim" not in planned["text"] + done["text"]


def test_restore_refuses(call: Call, node: dict[str, str]) -> None:
    assert "There is no backup set" in call("restore_set", set="20200101T000000Z-x", **node)["msg"]
    name = call("backup_set", **node)["name"]
    assert "has no redis" in call("restore_set", set=name, what=["redis"], **node)["msg"]
    both = call("restore_set", set=name, identity="AGE-SECRET-KEY-1X", identity_file="/x", **node)
    assert "mutually exclusive" in both["msg"]
    assert "AGE-SECRET-KEY" not in both["text"]
