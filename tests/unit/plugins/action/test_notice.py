# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Notices in a play: the receivers come from the variable, none of them fails the play, and no secret is shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.action import notice

COLLECTIONS = next(parent for parent in Path(notice.__file__).parents if parent.name == "ansible_collections").parent
SECRET = "T0KEN-s3cret"


@pytest.fixture
def play(tmp_path: Path) -> Any:
    """Return ``play(variables, *arguments)``, which runs one task and returns what was printed and what the task answered."""

    def run(variables: dict[str, Any], *arguments: str, event: str = "rollback_finished", failed: int = 0) -> tuple[str, dict[str, Any]]:
        facts = {"to": "v1", "losses": ["table visits (4 rows)"]}
        task = {"phasegate.aistack.notice": {"event": event, "facts": facts}, "register": "told"}
        keep = {"ansible.builtin.copy": {"content": "{{ told | to_json }}", "dest": f"{tmp_path}/told.json"}, "check_mode": False}
        book = [{"hosts": "all", "gather_facts": False, "tasks": [task, keep]}]
        (tmp_path / "play.json").write_text(json.dumps(book))
        (tmp_path / "inventory.yml").write_text(
            json.dumps({"all": {"hosts": {"localhost": {"ansible_connection": "local"}}, "vars": variables}})
        )
        (tmp_path / "ansible.cfg").write_text("")
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_DISPLAY_ARGS_TO_STDOUT": "1",
            "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
        }
        command = [sys.executable, "-m", "ansible.cli.playbook", "-vvv", "-i", f"{tmp_path}/inventory.yml", f"{tmp_path}/play.json"]
        done = subprocess.run([*command, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        said = done.stdout + done.stderr
        assert done.returncode == failed, said
        return said, json.loads((tmp_path / "told.json").read_text()) if not failed else {}

    return run


def test_told_and_not_told(play: Any, tmp_path: Path) -> None:
    said, answer = play(
        {
            "aistack_name": "shop",
            "secret": SECRET,
            "aistack_notices": [
                {"kind": "command", "name": "{{ 'pa' }}ger", "command": ["sh", "-c", f"cat > {tmp_path}/got"]},
                {"kind": "webhook", "name": "chat", "url": "http://127.0.0.1:1/{{ secret }}", "timeout": 2},
                {"kind": "webhook", "name": "vault", "url": "{{ not_there }}"},
                {"kind": "webhook", "url": "{{ secret }}"},
                {"kind": "command", "command": ["false"], "events": ["deploy_failed"]},
                {"kind": "command", "name": "odd\x1b[2J\x07", "command": ["false"]},
            ],
        }
    )
    assert answer["changed"] is False
    assert answer["sent"] == ["pager"]
    why = {entry["name"]: entry["why"] for entry in answer["not_reached"]}
    assert why["chat"] == "connection refused"
    assert "aistack_notices[2] cannot be filled in" in why["vault"]
    assert "url: is no http or https address" in why["webhook 4"]
    assert "chat was not told: connection refused" in " ".join(said.split())
    assert "odd" in said
    assert "\x1b[2J" not in said, "what stands in an answer is not obeyed by a terminal"
    assert SECRET not in said
    got = json.loads((tmp_path / "got").read_text())
    assert got["title"] == "[shop] rollback finished: v1"
    assert "  - table visits (4 rows)" in got["text"]


@pytest.mark.parametrize("notices", [None, [], "{{ not_there }}", {"kind": "webhook"}])
def test_nobody_to_tell_is_no_failure(play: Any, notices: Any) -> None:
    _said, answer = play({} if notices is None else {"aistack_notices": notices})
    assert (answer["changed"], answer["sent"]) == (False, [])
    assert bool(answer["not_reached"]) == bool(notices)


def test_check_mode_tells_nobody(play: Any, tmp_path: Path) -> None:
    entry = {"kind": "command", "command": ["touch", f"{tmp_path}/got"]}
    _said, answer = play({"aistack_notices": [entry]}, "--check")
    assert answer["sent"] == ["command 1"]
    assert "would tell command 1" in answer["msg"]
    assert not (tmp_path / "got").exists()


def test_who_is_asked_and_cannot_be_has_not_agreed(play: Any) -> None:
    hook = {"kind": "command", "name": "freeze", "command": ["true", "{{ not_there }}"], "events": ["before_deploy"]}
    said, _answer = play({"aistack_notices": [hook]}, event="before_deploy", failed=2)
    assert "Refused by freeze, which is asked before a deployment (aistack_notices). Nothing was touched." in said
    assert "aistack_notices[0] cannot be filled in" in said
    _said, answer = play({"aistack_notices": [hook]}, event="before_rollback")
    assert answer["msg"] == "before_rollback: asked nobody"
