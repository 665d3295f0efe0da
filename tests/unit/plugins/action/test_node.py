# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node's command is asked, and what is made of its answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.action import node

THERE = {"plan": {"refusals": [{"code": "already_there", "reason": "it is at v1", "remedy": "nothing"}]}}


def asked(**args: Any) -> str:
    return node.command({**{name: entry.get("default") for name, entry in node.ARGUMENTS.items()}, **args})


class Task:
    def __init__(self, check_mode: bool) -> None:
        self.check_mode = check_mode


def run(monkeypatch: pytest.MonkeyPatch, rc: int, out: str, check_mode: bool = False, **args: Any) -> dict[str, Any]:
    given = {**{name: entry.get("default") for name, entry in node.ARGUMENTS.items()}, **args}
    monkeypatch.setattr(node.ActionBase, "run", lambda self, tmp=None, task_vars=None: {})
    monkeypatch.setattr(node.ActionBase, "validate_argument_spec", lambda self, argument_spec: ({}, given))
    plugin = node.ActionModule.__new__(node.ActionModule)
    plugin._task = Task(check_mode)
    plugin._low_level_execute_command = lambda line: {"rc": rc, "stdout": out, "stderr": ""}
    return plugin.run(task_vars={"inventory_hostname": "n"})


def test_the_command() -> None:
    assert asked(verb="plan", stack="shop", level="schema", to="v1") == "aistack --stack shop plan --json --level schema --to v1"
    assert asked(verb="rollback", to="v1", reason="it's $(bad)", force_lock=True) == (
        """aistack rollback --json --to v1 --reason 'it'"'"'s $(bad)' --force-lock"""
    )
    elsewhere = {"api": "host-1", "flow": "host-2"}
    assert asked(verb="plan", level="schema", elsewhere=elsewhere) == (
        "aistack plan --json --level schema --elsewhere api=host-1 --elsewhere flow=host-2"
    )
    assert asked(verb="plan", level="app", elsewhere=elsewhere) == "aistack plan --json --level app", "it moves no database"
    assert asked(verb="status", level="app", best_effort=True, reason="a default of the play") == "aistack status --json"


@pytest.mark.parametrize(
    ("verb", "rc", "said", "failed", "part"),
    [
        ("plan", 0, {"candidates": [], "steps": []}, False, ""),
        ("plan", 2, {"candidates": [], "steps": [], "refusals": [{"code": "x", "reason": "y", "remedy": "z"}]}, False, ""),
        ("plan", 127, None, True, "the command aistack is not on this node"),
        ("plan", 1, None, True, "no answer that can be read (exit status 1)"),
        ("status", 0, {"applications": {}}, False, ""),
        ("rollback", 0, {"changed": True, "components": []}, False, ""),
        ("rollback", 2, THERE, False, ""),
        ("rollback", 4, THERE, True, "n is not back at v1"),
        ("rollback", 1, {"msg": "no answer"}, True, "n is not back at v1: no answer. What is live now is said below"),
        ("rollback", 0, None, True, "no answer that can be read (exit status 0)"),
    ],
)
def test_what_is_made_of_an_answer(
    monkeypatch: pytest.MonkeyPatch, verb: str, rc: int, said: dict[str, Any] | None, failed: bool, part: str
) -> None:
    out = "a banner of the node\n" + (json.dumps(said) if said is not None else "")
    result = run(monkeypatch, rc, out, verb=verb, to="v1")
    assert result["failed"] is failed, result  # said, or Ansible goes by the exit status
    assert part in result.get("msg", "")
    assert result["changed"] is (verb == "rollback" and bool((said or {}).get("changed")))
    quiet = run(monkeypatch, rc, out, verb=verb, to="v1", enforce=False)
    assert quiet["failed"] is False
    assert ("silent" in quiet["answer"]) is (said is None and rc != 127)


def test_nothing_goes_back_in_check_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, 0, '{"changed": true}', check_mode=True, verb="rollback")["skipped"]
