# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks of a release as the playbooks include them: on nodes that are this machine, with stand-ins for systemd's programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal

ROOT = Path(__file__).resolve().parents[3]
SYSTEMD_RUN = '#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift\nexec "$@"\n'
SYSTEMCTL = '#!/bin/sh\n[ "$1" = cat ] && printf "[Service]\\nUser=shop\\n"\nexit 0\n'
PLAY: list[dict[str, Any]] = [{
    "hosts": "aistack", "gather_facts": False, "any_errors_fatal": True,
    "environment": {"PATH": "{{ playbook_dir }}/bin:{{ lookup('ansible.builtin.env', 'PATH') }}"},
    "module_defaults": {"group/phasegate.aistack.aistack": {"root": "{{ aistack_root }}", "state_dir": "{{ aistack_state }}"}},
    "vars": {"aistack_run": "run-1", "aistack_release_request": "v2", "__mine": ["api"], "__application": "shop",
             "__release_configured": {"results": [{"component": "api", "config": "n", "path": "n"}]}},
    "tasks": [{
        "ansible.builtin.include_tasks": f"{ROOT}/playbooks/tasks/release_task.yml",
        "loop": "{{ aistack_applications.shop.release_tasks.after_activation }}", "loop_control": {"loop_var": "release_task"},
        "vars": {"release_task_point": "after_activation", "aistack_component_name": "{{ release_task.component }}"},
    }],
}]


@pytest.fixture
def nodes(tmp_path: Path) -> Path:
    """Two nodes on which v2 is staged, and programs that stand for systemd's."""
    (tmp_path / "bin").mkdir()
    for name, text in (("systemd-run", SYSTEMD_RUN), ("systemctl", SYSTEMCTL)):
        (tmp_path / "bin" / name).write_text(text, encoding="utf-8")
        (tmp_path / "bin" / name).chmod(0o755)
    for node in ("a", "b"):
        home = tmp_path / node / "api"
        (home / "releases" / "v2").mkdir(parents=True)
        (home / "config" / "n").mkdir(parents=True)
        (home / "config" / "n" / "env").write_text('SECRET_KEY="hush-hush"\n', encoding="utf-8")
    (tmp_path / "play.yml").write_text(json.dumps(PLAY), encoding="utf-8")
    return tmp_path


def play(folder: Path, *commands: str, words: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run tasks after the activation, called by their numbers."""
    tasks = [{"name": f"t{number}", "component": "api", "command": ["sh", "-c", command]} for number, command in enumerate(commands)]
    variables = {
        "ansible_python_interpreter": sys.executable, "ansible_connection": "local", "aistack_name": "shop",
        "aistack_components": {"api": {"role": "backend", "hosts": "aistack", "application": "shop"}},
        "aistack_applications": {"shop": {"repo": "/r.git", "release": "v1", "release_tasks": {"after_activation": tasks}}},
    }
    hosts = {name: {"aistack_root": f"{folder}/{name}", "aistack_state": f"{folder}/{name}/state"} for name in ("a", "b")}
    inventory = {"all": {"vars": variables, "children": {"aistack": {"hosts": hosts}}}}
    (folder / "hosts.json").write_text(json.dumps(inventory), encoding="utf-8")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
    clean.update(
        ANSIBLE_NOCOLOR="1", ANSIBLE_COLLECTIONS_PATH=str(ROOT / ".collections"), ANSIBLE_PIPELINING="1", HOME=str(folder),
        ANSIBLE_STDOUT_CALLBACK="phasegate.aistack.phases",
    )
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "hosts.json", "play.yml", *words]
    return subprocess.run(
        command, cwd=folder, env=clean, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL
    )


def test_once_for_a_release_on_the_first_host_and_what_fails_ends_the_run(nodes: Path) -> None:
    count = f"echo x >> {nodes}/count"
    predicted = play(nodes, count, words=("--check",))
    assert predicted.returncode == 0, predicted.stdout + predicted.stderr
    assert "  would    a            release : api: task t0" in predicted.stdout
    assert not (nodes / "count").exists()
    done = play(nodes, count)
    assert done.returncode == 0, done.stdout + done.stderr
    failed = play(nodes, count, "echo no hush-hush; exit 4", count)
    assert failed.returncode == 2, failed.stdout
    assert "The task t1 (after_activation) of api v2 did not end well: exit status 4" in failed.stdout
    assert "What this run made live goes back, and the release is marked bad" in " ".join(failed.stdout.split())
    assert "  no ****[SECRET_KEY]" in failed.stdout
    assert "hush" not in failed.stdout
    assert (nodes / "count").read_text(encoding="utf-8") == "x\n", "t0 was not run again, what comes behind t1 not at all"
    assert [(record["op"], record["outcome"]) for record in Journal.of(nodes / "a" / "state").read()] == [
        ("task", "started"), ("task", "ok"), ("task", "started"), ("task", "failed"),
    ]
    assert not (nodes / "b" / "state").exists(), "only one host runs it"
