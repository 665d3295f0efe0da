# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An interpreter that the inventory names an archive of: role release brings it to a folder of this machine. The archive is made here."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from hashlib import sha256
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
BOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: phasegate.aistack.release, tasks_from: python, public: true}
      loop: "{{ [aistack_component.python] }}"
      loop_control: {loop_var: release_interpreter}
    - ansible.builtin.assert: {that: "__release_interpreter == aistack_root ~ '/python/' ~ digest[:16] ~ '/python/bin/python3'"}
"""
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def play(tmp: Path, digest: str, version: str = VERSION, source: str = "") -> subprocess.CompletedProcess[str]:
    (tmp / "play.yml").write_text(BOOK)
    (tmp / "hosts.yml").write_text(f"""
all:
  hosts:
    one: {{ansible_connection: local, ansible_python_interpreter: {sys.executable}}}
  vars:
    aistack_root: {tmp}/root
    digest: "{digest}"
    aistack_component_name: api
    aistack_component: {{python: {{version: "{version}", source: "{source or tmp / 'python.tar.gz'}", sha256: "{digest}"}}}}
    aistack_components: {{api: "{{{{ aistack_component }}}}"}}
""")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
    return subprocess.run(
        [str(ROOT / ".venv/bin/ansible-playbook"), "-i", str(tmp / "hosts.yml"), str(tmp / "play.yml")],
        cwd=ROOT, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=120, check=False,
        env={**clean, "PATH": "/usr/bin:/bin", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCAL_TEMP": str(tmp / "ansible")},
    )


@pytest.fixture
def digest(tmp_path: Path) -> str:
    """The hash of an archive with this machine's interpreter."""
    (tmp_path / "root").mkdir()
    (tmp_path / "python/bin").mkdir(parents=True)
    (tmp_path / "python/bin/python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / "python/bin/python3").chmod(0o755)
    with tarfile.open(tmp_path / "python.tar.gz", "w:gz") as bundle:
        bundle.add(tmp_path / "python", "python")
    return sha256((tmp_path / "python.tar.gz").read_bytes()).hexdigest()


def test_an_interpreter_comes_by_its_hash_and_once(tmp_path: Path, digest: str) -> None:
    first = play(tmp_path, digest)
    assert first.returncode == 0, first.stdout
    assert sorted(path.name for path in (tmp_path / "root/python").iterdir()) == [digest[:16]]
    again = play(tmp_path, digest, source=f"file://{tmp_path}/python.tar.gz")
    assert again.returncode == 0, again.stdout
    assert "0 changes" in again.stdout
    other = play(tmp_path, digest, "3.99")
    said = " ".join(other.stdout.split())
    assert "does not hold Python 3.99 for one: expected that python/bin/python3 in it runs and is that version" in said


def test_an_archive_with_another_hash_is_thrown_away(tmp_path: Path, digest: str) -> None:
    done = play(tmp_path, "0" * 64)
    assert done.returncode != 0
    assert f"is not what was expected: expected SHA-256 {'0' * 64}, got {digest}" in " ".join(done.stdout.split())
    assert list((tmp_path / "root/python").iterdir()) == []
