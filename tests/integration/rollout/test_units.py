# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The units of a host's components, written in one call; a role from elsewhere has its own turn, and so has a component alone."""

from __future__ import annotations

import getpass
import grp
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ME = {"release_user": getpass.getuser(), "release_group": grp.getgrgid(os.getgid()).gr_name}
FOREIGN = """
- ansible.builtin.include_role: {name: phasegate.aistack.release, tasks_from: unit}
  vars: {release_unit: {description: Thing, exec: /bin/thing}}
- ansible.builtin.debug: {msg: "{{ lookup('pipe', 'ls ' ~ unit_folder) }}"}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("bin", "units", "collections/ansible_collections/own/own/roles/thing/tasks"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "collections/ansible_collections/own/own/roles/thing/tasks/unit.yml").write_text(f"---\n{FOREIGN}", encoding="utf-8")
    (tmp_path / "bin/systemctl").write_text(f"#!/bin/sh\necho \"$*\" >> {tmp_path}/asked\necho no\n", encoding="utf-8")
    (tmp_path / "bin/systemctl").chmod(0o755)
    return tmp_path


def played(folder: Path, tasks: list[dict[str, Any]], *words: str) -> str:
    """What a play with these tasks prints; it has to end well."""
    components = {
        "api": {"role": "backend", "hosts": "all", "application": "shop", "port": "api", "after": ["worker"]},
        "thing": {"role": "own.own.thing", "hosts": "all", "application": "shop"},
        "worker": {"role": "phasegate.aistack.worker", "hosts": "all", "release_from": "api", "slots": {"stop_timeout": 77}},
    }
    play = {
        "hosts": "a", "gather_facts": False, "vars": {
            "ansible_connection": "local", "ansible_python_interpreter": sys.executable, "unit_folder": f"{folder}/units",
            "aistack_name": "shop", "aistack_root": f"{folder}/root", "aistack_state": f"{folder}/state", "aistack_run": "",
            "aistack_applications": {"shop": {"repo": "x", "release": "v1"}}, "aistack_components": components, **ME,
            "__application": "shop", "__mine": ["worker", "thing", "api"], "__checked": {"released": ["worker", "thing", "api"]},
            "__waiting": "{{ __mine | phasegate.aistack.of_own_roles(aistack_components) }}",
        },
        "module_defaults": {"phasegate.aistack.units": {
            "units": "{{ unit_folder }}", "root": f"{folder}/root", "state_dir": f"{folder}/state",
        }},
        "tasks": tasks,
    }
    (folder / "play.yml").write_text(yaml.safe_dump([play], sort_keys=False), encoding="utf-8")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
    clean.update(
        ANSIBLE_NOCOLOR="1", ANSIBLE_COLLECTIONS_PATH=f"{ROOT / '.collections'}:{folder / 'collections'}",
        ANSIBLE_HOME=str(folder / "ansible"), ANSIBLE_STDOUT_CALLBACK="default", PATH=f"{folder}/bin:{os.environ['PATH']}",
    )
    command = [str(ROOT / ".venv/bin/ansible-playbook"), "-i", "a,", "play.yml", *words]
    run = subprocess.run(command, cwd=folder, env=clean, text=True, capture_output=True, check=False, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def units(folder: Path) -> dict[str, str]:
    return {path.name.removeprefix("aistack-"): path.read_text(encoding="utf-8") for path in sorted((folder / "units").iterdir())}


ALL = [{"ansible.builtin.include_tasks": str(ROOT / "playbooks/tasks/units.yml")}]
ONE = {"ansible.builtin.include_tasks": str(ROOT / "playbooks/tasks/unit.yml")}


def test_one_call_writes_what_each_role_says(folder: Path) -> None:
    predicted = played(folder, ALL, "--check", "--diff")
    assert units(folder) == {}
    assert f"+++ after: {folder}/units/aistack-worker@.service" in predicted
    told = played(folder, ALL)
    assert told.count("units of the slots] ") == 2, told
    assert '"msg": "aistack-thing@.service"' in told, "it is there when the rest of its turn begins"
    found = units(folder)
    assert list(found) == ["api@.service", "thing@.service", "worker@.service"]
    assert f"{folder}/root/api/slots/%i/release/.venv/bin/python -m uvicorn app.main:app" in found["api@.service"]
    assert "After=aistack-worker@blue.service aistack-worker@green.service" in found["api@.service"]
    assert all(text.startswith("# Ansible managed\n# One instance a slot") for text in found.values())
    assert all(text.endswith("\n\n[Install]\nWantedBy=multi-user.target\n") for text in found.values())
    assert "\nTimeoutStopSec=77\n" in found["worker@.service"]
    assert "\nExecStart=/bin/thing\n" in found["thing@.service"]
    assert "--hostname worker-%i@a " in found["worker@.service"]
    assert "changed=0" in played(folder, ALL, "--check")


def test_alone_it_says_the_same(folder: Path) -> None:
    """Of a task of a release, and where a component is converged by itself."""
    played(folder, ALL)
    together = units(folder)
    (folder / "units/aistack-api@.service").unlink()
    (folder / "asked").unlink()
    alone = [
        {**ONE, "vars": {"aistack_component_name": "api"}},
        {"ansible.builtin.include_role": {"name": "phasegate.aistack.release", "tasks_from": "units"},
         "vars": {"aistack_component_name": "api", "aistack_component": "{{ aistack_components.api }}"}},
    ]
    assert "changed=1" in played(folder, alone)
    assert units(folder) == together
    assert (folder / "asked").read_text(encoding="utf-8").count("aistack-api@*.service\n") == 2
