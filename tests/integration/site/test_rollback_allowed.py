# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a schema may go back is asked before anything is stopped; what cannot be known is no leave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]


def told(tmp_path: Path, steps: list[dict[str, Any]]) -> tuple[int, str]:
    """Exit status and words of the playbook's step, on this machine, where nothing of the component is."""
    book = [{
        "hosts": "localhost", "connection": "local", "gather_facts": False,
        "module_defaults": {"group/phasegate.aistack.aistack": {"root": str(tmp_path), "state_dir": str(tmp_path / "state")}},
        "vars": {
            "ansible_python_interpreter": sys.executable, "aistack_root": str(tmp_path), "aistack_components": {"api": {"migrations": {}}},
            "__now": {"todo": {"localhost": {"allowed": steps}}},
        },
        "tasks": [
            {"ansible.builtin.include_tasks": str(ROOT / "playbooks/tasks/rollback_allowed.yml"),
             "loop": "{{ __now.todo[inventory_hostname].allowed }}", "loop_control": {"loop_var": "step"}},
            {"ansible.builtin.command": {"argv": ["touch", str(tmp_path / "stopped")]}},
        ],
    }]
    (tmp_path / "book.yml").write_text(json.dumps(book))
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", str(tmp_path / "book.yml")], cwd=ROOT, text=True,
        capture_output=True, stdin=subprocess.DEVNULL, timeout=120, check=False, env={**clean, "ANSIBLE_NOCOLOR": "1"},
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_code_that_is_not_there_cannot_take_a_schema_back(tmp_path: Path) -> None:
    """A release that brought a step may have been removed since, and an image by somebody who prunes images."""
    step = {"do": "downgrade", "component": "api", "detail": {"release": "v1.9.0", "to": ["0001"]}}
    rc, said = told(tmp_path, [step])
    assert rc == 2, said
    assert "api: whether the code of v1.9.0 can take the schema back to 0001 is not known" in said
    assert "release v1.9.0 of api is not staged" in said
    assert not (tmp_path / "stopped").exists()


def test_nothing_is_asked_where_nothing_goes_back(tmp_path: Path) -> None:
    rc, said = told(tmp_path, [])
    assert rc == 0, said
    assert (tmp_path / "stopped").exists()
