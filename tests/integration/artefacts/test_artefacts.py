# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A release is built once and laid down everywhere else: real Ansible, uv and git; the nodes are folders of this machine."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
NODES = ("one", "two", "three")
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
        (self.tmp / "play.yml").write_text(BOOK)

    @property
    def store(self) -> Path:
        return self.tmp / "store" / "shop" / "api"

    def stage(self, nodes: Iterable[str], tools: str = "tools", words: Iterable[str] = (), **given: Any) -> dict[str, dict[str, Any]]:
        """Stage on nodes at once; returns what each answered."""
        described = {
            "component": "api", "release": "v1", "repo": str(self.tmp / "shop"), "path": "api", "mirror_dir": str(self.tmp / "mirrors"),
            "lock": "requirements.lock", "python": sys.executable, "min_free_bytes": 0, "group": "",
            "build_user": getpass.getuser(), "test_user": getpass.getuser(),
            "environment": {"UV_OFFLINE": "1", "UV_FIND_LINKS": str(self.tmp / "wheels")}, "actor": "anna",
            "artefacts": {"folder": str(self.tmp / "store"), "keep": 2},
            "tests": [["sh", "-c", f"{{python}} main.py && sleep 1 && echo tested >> {self.tmp}/tested"]],
        }  # fmt: skip
        hosts = {name: {"ansible_connection": "local", "folder": str(self.tmp / name)} for name in nodes}
        common = {"described": {**described, **given}, "tools": str(self.tmp / tools), "ansible_python_interpreter": sys.executable}
        (self.tmp / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts, "vars": common}}))
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
        done = subprocess.run(
            [str(ROOT / ".venv/bin/ansible-playbook"), "-i", str(self.tmp / "hosts.json"), str(self.tmp / "play.yml"), *words],
            cwd=ROOT, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=120, check=False,
            env={**clean, "PATH": "/usr/bin:/bin", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCAL_TEMP": str(self.tmp / "ansible")},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return {name: json.loads((self.tmp / f"{name}.json").read_text()) for name in nodes}

    def release(self, node: str) -> Path:
        return self.tmp / node / "api" / "releases" / "v1"

    def runs(self, node: str) -> bool:
        """Whether the program of the release answers."""
        python = self.release(node) / ".venv" / "bin" / "python"
        return subprocess.run([python, "main.py"], cwd=self.release(node), capture_output=True, check=False).stdout == b"42\n"

    def tested(self) -> int:
        return len((self.tmp / "tested").read_text().splitlines())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_one_node_builds_and_the_others_need_no_tools(world: World) -> None:
    both = world.stage(["one", "two"])
    assert {name: answer.get("msg") for name, answer in both.items() if answer.get("failed")} == {}
    built, laid = sorted(both, key=lambda name: "kept" not in both[name]["artefact"])
    assert both[built]["artefact"]["kept"] is True
    assert both[laid]["artefact"]["from"] == built, "the second waited for what the first built"
    key = both[built]["artefact"]["key"]
    assert sorted(path.name for path in world.store.iterdir()) == [f"{key}.json", f"{key}.lock", f"{key}.tar.gz"]
    assert {path.stat().st_mode & 0o077 for path in [world.store, *world.store.iterdir()]} == {0}
    facts = json.loads((world.store / f"{key}.json").read_text())
    assert (facts["built_on"], facts["built_by"], facts["tag"], facts["bound"]) == (built, "anna", "v1", False)

    subprocess.run(["chmod", "-R", "u+w", world.tmp / "one/api/releases"], check=True)
    shutil.rmtree(world.release("one"))  # as retention does
    foreseen = world.stage(["one", "three"], "bare", ["--check"])
    assert {answer["artefact"]["plan"] for answer in foreseen.values()} == {f"would be laid down from an artefact built on {built}"}
    assert not world.release("three").exists()
    bare = world.stage(["one", "three"], "bare")
    assert {name: answer["artefact"] for name, answer in bare.items()} == {name: {"key": key, "from": built} for name in bare}
    assert world.tested() == 1, "tests that passed are not run again"
    for name in NODES:
        assert world.runs(name), name
    manifests = {name: json.loads((world.release(name) / "release.json").read_text()) for name in NODES}
    assert len({manifest["tree_hash"] for manifest in manifests.values()}) == 1
    assert manifests["three"]["artefact"] == {"key": key, "sha256": facts["sha256"], "built_on": built}
    assert [test["from"] for test in manifests["three"]["tests"]] == ["artefact"]
    records = [json.loads(line) for line in (world.tmp / "three/state/journal.jsonl").read_text().splitlines()]
    assert [(record["op"], record["detail"]["how"]) for record in records] == [("stage", "laid down from artefact")] * 2


def test_without_an_artefact_a_bare_node_cannot_have_it(world: World) -> None:
    """What the test before this one proves is due to the artefact alone."""
    assert "needs uv" in world.stage(["one"], "bare")["one"]["msg"]
