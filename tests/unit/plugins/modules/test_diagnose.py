# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module: one look, masked, and texts for an archive only where they are asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., dict[str, Any]]


@pytest.mark.parametrize("check", [False, True])
def test_one_look(call: Call, tmp_path: Path, check: bool) -> None:
    """A stack that is not there yet is looked at as well: the node itself is, and nothing is made."""
    probes = [{"name": "one", "command": ["sh", "-c", "echo s3cret-word; exit 3"], "component": "api"}]
    found = call("diagnose", check=check, root=str(tmp_path / "root"), state_dir=str(tmp_path / "state"), probes=probes,
                 components=[{"component": "api", "role": "backend"}], controller_time=1.0)
    assert found["changed"] is False
    assert "files" not in found
    assert {"disks", "node", "probes", "components", "servers", "ports", "locks"} <= set(found["evidence"])
    assert found["evidence"]["node"][0]["clock_ahead"] > 1e9
    assert [row["probe"] for row in found["evidence"]["probes"]] == ["one"]
    assert not (tmp_path / "root").exists()
    assert not (tmp_path / "state" / "lock.json").exists()


def test_texts_for_an_archive(call: Call, tmp_path: Path) -> None:
    """Within the bytes that were asked for, and without what an environment calls secret."""
    config = tmp_path / "root" / "api" / "config" / "c1"
    config.mkdir(parents=True)
    (config / "env").write_text('API_TOKEN="pl4nted"\n', encoding="utf-8")
    (tmp_path / "state" / "components").mkdir(parents=True)
    described = {"format": 1, "component": "api", "root": str(tmp_path / "root"), "unit": "aistack-api@{slot}.service"}
    (tmp_path / "state" / "components" / "api.json").write_text(json.dumps(described), encoding="utf-8")
    (tmp_path / "state" / "journal.jsonl").write_text("no record: pl4nted\n", encoding="utf-8")
    asks = {"name": "one", "command": ["echo", "x"], "stdout": "pl4nted", "component": "api"}  # what is expected is shown as well
    found = call("diagnose", root=str(tmp_path / "root"), state_dir=str(tmp_path / "state"), archive_bytes=3000, probes=[asks],
                 components=[{"component": "api", "role": "backend"}])
    assert found["evidence"]["probes"][0]["expected"] == "stdout = ****[API_TOKEN]"
    assert sum(len(text.encode()) for text in found["files"].values()) <= 3000
    assert found["files"]["api/blue.env"] == "API_TOKEN=****\n"
    assert "pl4nted" not in json.dumps([found["evidence"], found["files"], found["problems"]])
