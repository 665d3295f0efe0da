# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every inventory of the repository describes a stack that passes the structure validation."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
INVENTORIES = [*sorted(path for path in (ROOT / "inventories").iterdir() if path.is_dir()), ROOT / "molecule" / "tiny" / "inventory"]
PLAYBOOK = """
- hosts: aistack
  gather_facts: false
  tasks:
    - phasegate.aistack.stack:
      run_once: true
"""


def validate(inventory: Path, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    playbook = tmp_path / "validate.yml"
    playbook.write_text(PLAYBOOK, encoding="utf-8")
    return subprocess.run(
        [str(ROOT / ".venv" / "bin" / "ansible-playbook"), "-i", str(inventory), str(playbook), *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("inventory", INVENTORIES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_description_of_the_stack_is_valid(inventory: Path, tmp_path: Path) -> None:
    done = validate(inventory, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_fault_is_found(tmp_path: Path) -> None:
    done = validate(INVENTORIES[0], tmp_path, "-e", '{"aistack_ports": {"one": 1, "two": 1}}')
    assert done.returncode != 0
    assert "aistack_ports.two" in done.stdout
