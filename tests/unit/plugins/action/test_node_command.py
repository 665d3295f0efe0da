# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part of installing the command: it asks first, and sends only where it has to."""

from __future__ import annotations

import io
import zipfile
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.action import node_command


class Node:
    """Stands for the node: has the command with the sources ``there``."""

    def __init__(self, there: str = "") -> None:
        self.there = there
        self.calls: list[dict[str, Any]] = []
        self.sent: list[tuple[str, bytes]] = []

    def module(self, module_name: str, module_args: dict[str, Any], task_vars: Any) -> dict[str, Any]:
        assert module_name == "phasegate.aistack.node_command"
        self.calls.append(dict(module_args))
        needed = module_args["source"] != self.there
        if needed and module_args.get("archive"):
            self.there = module_args["source"]
        return {"changed": needed, "needed": needed}


def run(node: Node, monkeypatch: pytest.MonkeyPatch, check: bool = False) -> dict[str, Any]:
    action = node_command.ActionModule.__new__(node_command.ActionModule)
    action._task = SimpleNamespace(args={"stack": "shop"}, check_mode=check, async_val=0)
    shell = SimpleNamespace(tmpdir="/remote", join_path=lambda *parts: "/".join(parts))
    action._connection = SimpleNamespace(_shell=shell)
    monkeypatch.setattr(node_command.ActionBase, "run", lambda self, tmp, task_vars: {})
    monkeypatch.setattr(action, "_execute_module", node.module)
    monkeypatch.setattr(action, "_transfer_data", lambda remote, data: node.sent.append((remote, data)))
    monkeypatch.setattr(action, "_fixup_perms2", lambda paths: None)
    return action.run(task_vars={})


def test_sent_once_and_not_again(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node()
    assert run(node, monkeypatch)["changed"] is True
    assert [call.get("archive") for call in node.calls] == [None, "/remote/aistack.zip"]
    names = zipfile.ZipFile(io.BytesIO(node.sent[0][1])).namelist()
    assert "__main__.py" in names
    assert "ansible_collections/phasegate/aistack/plugins/module_utils/cli/main.py" in names
    assert run(node, monkeypatch)["changed"] is False
    assert (len(node.calls), len(node.sent)) == (3, 1)


def test_check_mode_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node()
    assert run(node, monkeypatch, check=True)["changed"] is True
    assert node.sent == []
    assert len(node.calls) == 1
