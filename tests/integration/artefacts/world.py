# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A repository with a tag, a controller's store, and nodes that are folders of this machine."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
BOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - phasegate.aistack.release: "{{ described | combine({'root': folder, 'state_dir': folder ~ '/state', 'tools': tools}) }}"
      register: answer
      ignore_errors: true # what was answered is judged by the test
    - ansible.builtin.copy: {content: "{{ answer | to_json }}", dest: "{{ folder }}.json", mode: "0600"}
      check_mode: false
"""
ROLE = """
- hosts: "all:!builder"
  gather_facts: false
  module_defaults:
    group/phasegate.aistack.aistack: {root: "{{ folder }}", state_dir: "{{ folder }}/state"}
  tasks:
    - ansible.builtin.include_role: {name: phasegate.aistack.release, tasks_from: stage}
    - ansible.builtin.copy: {content: "{{ __release_staged | to_json }}", dest: "{{ folder }}.json", mode: "0600"}
      check_mode: false
      changed_when: false
"""
"""Role release stages; what it was answered lies beside the folder of each host. A host called builder builds for the others."""


def wheel(folder: Path) -> str:
    """Write a wheel with one module; returns its SHA-256."""
    folder.mkdir()
    path = folder / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("tiny.py", "answer = 42\n")
        bundle.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        bundle.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        bundle.writestr("tiny-1.0.dist-info/RECORD", "tiny.py,,\n")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass
class World:
    """A repository with one tag, a controller's store, and nodes: some with uv, some without."""

    tmp: Path
    took: dict[str, float] = field(default_factory=dict)
    user: str = field(default_factory=getpass.getuser)
    python: str = sys.executable

    def __post_init__(self) -> None:
        repo = self.tmp / "shop"
        (repo / "api").mkdir(parents=True)
        (repo / "api" / "main.py").write_text("import tiny\nprint(tiny.answer)\n")
        (repo / "api" / "here").symlink_to("main.py")
        (repo / "api" / "requirements.lock").write_text(f"tiny==1.0 --hash=sha256:{wheel(self.tmp / 'wheels')}\n")
        named = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "one"], ["tag", "v1"]):
            subprocess.run(["git", *named, *words], cwd=repo, check=True, capture_output=True)
        for name in ("tools", "bare"):
            (self.tmp / name).mkdir()
        (self.tmp / "tools" / "uv").symlink_to(ROOT / ".venv/bin/uv")

    @property
    def repo(self) -> Path:
        return self.tmp / "shop"

    @property
    def fetching(self) -> dict[str, str]:
        """How packages are fetched: from a folder."""
        return {"UV_OFFLINE": "1", "UV_FIND_LINKS": str(self.tmp / "wheels")}

    @property
    def store(self) -> Path:
        return self.tmp / "store" / "shop" / "api"

    def stage(self, nodes: Iterable[str], tools: str = "tools", words: Iterable[str] = (), **given: Any) -> dict[str, dict[str, Any]]:
        """Stage on nodes at once; returns what each answered."""
        described = {
            "component": "api", "release": "v1", "repo": str(self.tmp / "shop"), "path": "api", "mirror_dir": str(self.tmp / "mirrors"),
            "lock": "requirements.lock", "python": sys.executable, "min_free_bytes": 0, "group": "",
            "build_user": getpass.getuser(), "test_user": getpass.getuser(),
            "environment": self.fetching, "actor": "anna",
            "artefacts": {"folder": str(self.tmp / "store"), "keep": 2},
            "tests": [["sh", "-c", f"{{python}} main.py && sleep 1 && echo tested >> {self.tmp}/tested"]],
        }
        hosts = {name: {"folder": str(self.tmp / name)} for name in nodes}
        play(self, BOOK, hosts, {"described": {**described, **given}, "tools": str(self.tmp / tools)}, words)
        return {name: json.loads((self.tmp / f"{name}.json").read_text()) for name in nodes}

    def release(self, node: str, component: str = "api") -> Path:
        return self.tmp / node / component / "releases" / "v1"

    def runs(self, node: str, component: str = "api") -> bool:
        """Whether the program of the release answers."""
        here = self.release(node, component)
        return subprocess.run([here / ".venv/bin/python", "main.py"], cwd=here, capture_output=True, check=False).stdout == b"42\n"

    def tested(self) -> int:
        return len((self.tmp / "tested").read_text().splitlines())


def play(
    world: World, book: str, hosts: Mapping[str, Mapping[str, Any]], common: Mapping[str, Any], words: Iterable[str] = (), rc: int = 0,
    groups: Mapping[str, Iterable[str]] | None = None,
) -> str:
    """Run a playbook on hosts that are this machine; returns what it printed."""
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (world.tmp / "play.yml").write_text(book)
    described = {name: {"ansible_connection": "local", **host} for name, host in hosts.items()}
    (world.tmp / "hosts.json").write_text(json.dumps({"all": {
        "hosts": described, "vars": {**local, **common},
        "children": {name: {"hosts": {key: {} for key in members}} for name, members in (groups or {}).items()},
    }}))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
    began = time.monotonic()
    done = subprocess.run(
        [str(ROOT / ".venv/bin/ansible-playbook"), "-i", str(world.tmp / "hosts.json"), str(world.tmp / "play.yml"), *words],
        cwd=ROOT, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=240, check=False,
        env={**clean, "PATH": f"{world.tmp}/bin:/usr/bin:/bin", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCAL_TEMP": str(world.tmp / "ansible"),
             "ANSIBLE_STDOUT_CALLBACK": "default"},
    )
    world.took[",".join(hosts)] = time.monotonic() - began
    assert done.returncode == rc, done.stdout + done.stderr
    return done.stdout + done.stderr
