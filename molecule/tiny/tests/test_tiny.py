# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application that nobody tuned for is deployed, proven and checked by the same playbooks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any


def test_every_gate_passes(lab: Any, tmp_path: Path) -> None:
    """Its health check has rows, and all of them pass."""
    output = tmp_path / "health.json"
    lab.play("playbooks/healthcheck.yml", "-e", f"output={output}", "-e", "deadline=20").ended_well()
    rows = json.loads(output.read_text(encoding="utf-8"))
    assert sum(row["probes"] for row in rows) > 0
    assert {row["verdict"] for row in rows} == {"pass"}, rows


def test_nothing_of_the_first_application_came_along(lab: Any) -> None:
    """Its root holds its own component and the tools, and nothing else."""
    variables = lab.inventory / "group_vars" / "all"
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(variables.glob("*.yml")))
    for word in ("sparklio", "postgres", "redis", "celery", "ollama"):
        assert word not in text


def test_its_own_tests_saw_nothing_of_the_node(lab: Any) -> None:
    """They ran in the sandbox, as their user, with a made-up variable and none but their own processes in sight."""
    node = lab.node("gpu-1")
    tests = json.loads(node.file("/opt/tiny/api/slots/live/release/release.json").content_string)["tests"]
    assert [test["sandbox"] for test in tests] == ["systemd"]
    words = re.fullmatch(r"(\S+), (\S+) sees (\d+) processes", tests[0]["summary"])
    assert words, tests
    assert words[1] == "xxxxxxxx", "the value of production is hello"
    assert words[2] == "aistack-test"
    assert int(words[3]) < 10, "it saw the processes of others"


LAID_DOWN = """
- hosts: aistack
  gather_facts: false
  vars:
    place: /var/tmp/aistack-artefact
    described: {component: api, release: v1.0.0, repo: "{{ aistack_applications.tiny.repo }}", min_free_bytes: 0,
                artefacts: {folder: STORE}}
  tasks:
    - block:
        - phasegate.aistack.release: "{{ described | combine({'root': root, 'state_dir': root ~ '/state', 'tools': tools}) }}"
          vars: {root: "{{ place }}/one", tools: "{{ aistack_root }}/tools/bin"}
          register: built
        - phasegate.aistack.release: "{{ described | combine({'root': root, 'state_dir': root ~ '/state', 'tools': '/nonexistent'}) }}"
          vars: {root: "{{ place }}/two"}
          register: laid
        - ansible.builtin.command: "{{ place }}/two/api/releases/v1.0.0/.venv/bin/python -c 'print(42)'"
          register: runs
        - ansible.builtin.assert:
            that:
              - built.artefact.kept
              - laid.artefact.from == inventory_hostname
              - laid.manifest.tree_hash == built.manifest.tree_hash
              - runs.stdout == '42'
      always:
        - ansible.builtin.file: {path: "{{ place }}", state: absent}
"""


def test_a_release_is_laid_down_where_nothing_can_build(lab: Any, tmp_path: Path) -> None:
    """Over SSH and as another user than root: packed, fetched, kept, brought back to a root without tools. It needs no packages."""
    play = tmp_path / "play.yml"
    play.write_text(LAID_DOWN.replace("STORE", str(tmp_path / "store")), encoding="utf-8")
    lab.play(str(play)).ended_well()
    kept = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert [path.stat().st_mode & 0o077 for path in kept] == [0] * len(kept)
    assert sorted(path.name.partition(".")[2] for path in kept) == ["json", "lock", "tar.gz"]
