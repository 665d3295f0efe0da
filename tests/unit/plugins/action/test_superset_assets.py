# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Dashboards' files are read on the controller; what does not fit together never reaches a node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from ansible_collections.phasegate.aistack.plugins.action import superset_assets
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.superset_standin import files

Answer = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path, content in files().items():
        (tmp_path / "export" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "export" / path).write_text(yaml.safe_dump(content), encoding="utf-8")
    (tmp_path / "export/metadata.yaml").write_text("version: 1.0.0\n", encoding="utf-8")
    return tmp_path / "export"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Answer]:
    """``run(**args)``; ``sent`` of the answer is what the node got, or nothing."""

    def act(**args: Any) -> Answer:
        sent: list[dict[str, Any]] = []
        action = superset_assets.ActionModule.__new__(superset_assets.ActionModule)
        action._task = SimpleNamespace(args=args, check_mode=False, async_val=0)
        monkeypatch.setattr(superset_assets.ActionBase, "run", lambda *_: {})
        action._execute_module = lambda module_name, module_args, task_vars: sent.append(module_args) or {"changed": True}
        return {**action.run(), "sent": sent}

    return act


def test_all_files_of_the_folders_are_sent_as_they_are(run: Callable[..., Answer], folder: Path) -> None:
    answer = run(src=[str(folder)], target="http://x")
    (sent,) = answer["sent"]
    assert (answer["changed"], sent["target"], sent["src"]) == (True, "http://x", [str(folder)])
    assert sent["files"]["0/export/charts/Orders.yaml"] == files()["charts/Orders.yaml"]
    assert len(sent["files"]) == 6


def test_two_folders_may_have_files_of_the_same_name_and_not_the_same_thing(run: Callable[..., Answer], folder: Path) -> None:
    answer = run(src=[str(folder), str(folder)])
    assert (answer["failed"], answer["sent"]) == (True, [])
    assert "is that of chart 'Orders' as well" in answer["msg"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "charts/Orders.yaml").write_text("a: [b"), "charts/Orders.yaml: no YAML: "),
        (lambda folder: (folder / "charts/Orders.yaml").write_bytes(b"\xff\xfe\xff"), "charts/Orders.yaml: no YAML: "),
        (lambda folder: (folder / "charts/Orders.yaml").unlink(), "is that of no chart among the files"),
        (lambda folder: folder.rename(folder.with_name("elsewhere")),
         "expected a folder with YAML files below datasets, charts and dashboards"),
    ],
)
def test_what_is_wrong_is_said_before_a_node_is_asked(run: Callable[..., Answer], folder: Path, change: Callable[[Path], Any],
                                                      said: str) -> None:
    change(folder)
    answer = run(src=str(folder))
    assert (answer["failed"], answer["sent"]) == (True, [])
    assert answer["msg"].startswith("On the controller: ")
    assert said in answer["msg"]
    assert "Nothing was sent to a node" in answer["msg"]
