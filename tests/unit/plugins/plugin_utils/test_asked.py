# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ansible-playbook was asked for beyond variables: where it is to start, and what it is to list."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible import context
from ansible.errors import AnsibleFilterError
from ansible.utils.context_objects import CLIArgs

from ansible_collections.phasegate.aistack.plugins.filter import stack
from ansible_collections.phasegate.aistack.plugins.plugin_utils import asked

GROUPS = {"all": ["n1"], "aistack": ["n1"]}


@pytest.mark.parametrize(
    ("start", "playbook", "refused"),
    [
        ("(2/5) Stage", "phasegate.aistack.deploy", True),
        ("no such task", "phasegate.aistack.deploy", True),
        ("", "phasegate.aistack.deploy", False),
        ("(2/5) Stage", "/srv/own.yml", True),
        ("*Activate", "/srv/own.yml", True),
        ("Tell the office", "/srv/own.yml", False),
    ],
)
def test_a_verb_starts_at_its_beginning(start: str, playbook: str, refused: bool) -> None:
    said = asked.start_refusal(start, [playbook])
    assert bool(said) == refused
    if refused:
        assert f"--start-at-task '{start}'" in said
        assert "Nothing was touched." in said


def test_it_is_refused_before_any_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "CLIARGS", CLIArgs({"args": ("phasegate.aistack.deploy",), "start_at_task": "(2/5) Stage"}))
    with pytest.raises(AnsibleFilterError, match="Refused: --start-at-task"):
        stack.nodes(GROUPS, "aistack")


@pytest.mark.parametrize("listing", ["listtags", "listtasks", ""])
def test_phases_are_named_where_tags_are_listed(
    listing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    inventory = tmp_path / "hosts.json"
    inventory.write_text(json.dumps({"aistack": {"hosts": {"n1": {"aistack_phases": {"ground": {}, "top": {}}}}}}))
    monkeypatch.setattr(context, "CLIARGS", CLIArgs({"inventory": (str(inventory),), listing: True}))
    assert stack.nodes(GROUPS, "aistack", phases=True) == "aistack"
    assert ("each a tag: ground, top" in capsys.readouterr().out) == bool(listing)
