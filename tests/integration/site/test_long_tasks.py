# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A drain that fails ends the deployment, and is no fault of the release: whoever switched before it goes back unblamed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
TASKS = ROOT / "playbooks" / "tasks"


def told(folder: Path, fails: str) -> dict[str, Any]:
    """Host to whether what a run takes back is marked bad there; *fails* is what ends that run."""
    (block,) = yaml.safe_load((TASKS / "failed.yml").read_text(encoding="utf-8"))
    step = {"component": "worker", "long_tasks": "wait", "drain": 1}
    tasks: dict[str, list[dict[str, Any]]] = {
        "drain": [{"ansible.builtin.include_tasks": f"{TASKS}/long_tasks.yml", "when": "inventory_hostname == 'b'",
                   "vars": {"aistack_component_name": "worker", "aistack_component": {"role": "worker"}, "__slots": {}, "__step": step}}],
        "gate": [{"ansible.builtin.fail": {"msg": "no"}, "when": "inventory_hostname == 'b'"}],
    }
    place = f"{folder}/{{{{ inventory_hostname }}}}.json"
    said = {"ansible.builtin.copy": {"content": "{{ said | to_json }}", "dest": place, "mode": "0600"},
            "vars": {"said": block["block"][0]["vars"]["release_slot_mark_bad"]}}
    play = {"hosts": "all", "gather_facts": False, "any_errors_fatal": True, "tasks": [{"block": tasks[fails], "rescue": [said]}],
            "module_defaults": {"group/phasegate.aistack.aistack": {"root": f"{folder}/root", "state_dir": f"{folder}/state"}}}
    (folder / "play.yml").write_text(json.dumps([play]), encoding="utf-8")
    variables = {"ansible_python_interpreter": sys.executable, "ansible_connection": "local"}
    inventory = {"all": {"vars": variables, "hosts": {"a": {}, "b": {}}}}
    (folder / "hosts.json").write_text(json.dumps(inventory), encoding="utf-8")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
    clean.update(ANSIBLE_NOCOLOR="1", ANSIBLE_COLLECTIONS_PATH=str(ROOT / ".collections"), ANSIBLE_PIPELINING="1", HOME=str(folder))
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "hosts.json", "play.yml"]
    done = subprocess.run(
        command, cwd=folder, env=clean, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {host: json.loads((folder / f"{host}.json").read_text(encoding="utf-8")) for host in ("a", "b")}


def test_workers_that_do_not_end_their_tasks_are_no_reason_to_mark_a_release_bad(tmp_path: Path) -> None:
    assert told(tmp_path, "drain") == {"a": False, "b": False}
    assert told(tmp_path, "gate") == {"a": True, "b": True}
