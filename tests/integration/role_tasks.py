# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Task files of roles, run by a real Ansible on this machine."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]


def run_tasks(
    folder: Path, steps: Sequence[tuple[str, str]], variables: Mapping[str, Any], *words: str, timeout: float = 120,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run task files; what came of it is the caller's to judge.

    Args:
        folder: where the play and its variables are written.
        steps: a role of this collection and one of its task files, each.
        variables: what the inventory would say.
        words: more words for C(ansible-playbook).
        timeout: seconds.
        environment: instead of that of the tests.
    """
    tasks = [{"ansible.builtin.include_role": {"name": f"phasegate.aistack.{role}", "tasks_from": name}} for role, name in steps]
    play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}]
    (folder / "play.yml").write_text(yaml.safe_dump(play), encoding="utf-8")
    (folder / "variables.json").write_text(json.dumps(variables), encoding="utf-8")
    command = [str(ROOT / ".venv/bin/ansible-playbook"), "-i", "localhost,", "-e", f"@{folder / 'variables.json'}", *words]
    return subprocess.run([*command, str(folder / "play.yml")], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=timeout, check=False)
