# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What scale.yml does before it touches a slot."""

from __future__ import annotations

from pathlib import Path

import yaml

PLAYBOOK = Path(__file__).resolve().parents[3] / "playbooks" / "scale.yml"


def test_the_nodes_command_knows_of_several_processes_before_there_are_any() -> None:
    """An older one goes back to blue or green alone."""
    (play,) = yaml.safe_load(PLAYBOOK.read_text(encoding="utf-8"))
    _check, lock, scale = play["tasks"]
    assert lock["phasegate.aistack.journal"]["state"] == "locked"
    included = [task.get("ansible.builtin.include_role", {}).get("tasks_from") for task in scale["block"]]
    assert included[:2] == ["command", "slot"]
    assert scale["always"][0]["phasegate.aistack.journal"]["state"] == "unlocked", "also where the command cannot be installed"
