# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A planned rollback whose controller is killed is finished by the same command: playbook and journal are real, the slots are not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
COMMAND = """#!{python}
import json, pathlib, sys
sys.path.insert(0, {collections!r})
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.facts import open_rollback
folder = pathlib.Path({folder!r})
with open(folder / "called", "a") as stream:
    stream.write(" ".join(sys.argv[1:]) + "\\n")
present = (folder / "live").read_text()
journal = folder / "state" / "journal.jsonl"
begun = open_rollback([json.loads(line) for line in journal.read_text().splitlines()]) if journal.exists() else None
there = present == "v1" and ("v1" in sys.argv or begun is not None)
switch = {{"do": "switch", "component": "api", "detail": {{"release": "v1", "config": "c", "from": {{"release": present, "config": "c"}},
           "strategy": "bluegreen", "expected_s": 1}}}}
reason = "every component of tiny is at the release v1 already"
plan = {{
    "level": "app", "application": "tiny", "from": present, "to": "v1", "allowed": not there, "warnings": [], "unverified": [],
    "losses": [], "objective_s": 600, "expected_s": 1, "descriptions": {{}}, "open": begun, "steps": [] if there else [switch],
    "refusals": [{{"code": "already_there", "component": None, "reason": reason, "remedy": "nothing"}}] if there else [],
    "candidates": [{{"node": "node-1", "component": "api", "present": present, "tags": ["v2", "v1"]}}],
}}
if "plan" in sys.argv:
    print(json.dumps(plan))
    raise SystemExit(2 if there else 0)
(folder / "live").write_text("v1")
row = {{"component": "api", "outcome": "ok", "seconds": 1, "message": "api: v1 is live"}}
print(json.dumps({{"outcome": "ok", "changed": not there, "components": [] if there else [row], "plan": plan}}))
"""


class Node:
    """A node in a folder: what is live there is a word in a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("bin", "state", "opt"):
            (folder / name).mkdir()
        gate = [{"name": "what is live", "file": str(folder / "live")}]
        api = {
            "role": "backend", "hosts": "aistack", "application": "tiny", "lock": "requirements.lock",
            "options": {"app": "main:app"}, "gate": gate,
        }
        receiver = {"kind": "command", "name": "pager", "command": ["sh", "-c", f"cat >> {folder}/told; echo >> {folder}/told"]}
        variables = {
            "aistack_name": "tiny", "aistack_root": str(folder / "opt"), "aistack_state": str(folder / "state"),
            "aistack_address": "127.0.0.1", "aistack_ports": {"api": 8080, "api_blue": 18080, "api_green": 18081},
            "aistack_applications": {"tiny": {"repo": "/none.git", "release": "v1"}}, "aistack_notices": [receiver],
            "aistack_components": {"toolchain": {"role": "toolchain", "hosts": "aistack"}, "api": api},
            "aistack_phases": {"phase0": {"title": "Ground", "components": ["toolchain"]},
                               "phase1": {"title": "Service", "requires": ["phase0"], "components": ["api"]}},
            "ansible_connection": "local", "ansible_python_interpreter": sys.executable,
        }
        hosts = {"all": {"vars": variables, "children": {"aistack": {"hosts": {"node-1": {}}}}}}
        (folder / "hosts.json").write_text(json.dumps(hosts))
        (folder / "state" / "backup.json").write_text(json.dumps({"stack": "tiny"}))
        (folder / "live").write_text("v2")
        command = folder / "bin" / "aistack"
        command.write_text(COMMAND.format(python=sys.executable, folder=str(folder), collections=str(ROOT / ".collections")))
        command.chmod(0o755)

    def back(self, *arguments: str, kill_at: str = "") -> tuple[int, str]:
        """Exit status of the rollback, and what it said on one line."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
        killing = {
            "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests/integration/faults/plugins"), "ANSIBLE_CALLBACKS_ENABLED": "at_step",
            "AT_STEP": json.dumps({"step": kill_at, "after": 0}),
        } if kill_at else {}
        process = subprocess.Popen(
            [str(ROOT / ".venv/bin/ansible-playbook"), "-i", str(self.folder / "hosts.json"), "playbooks/rollback.yml",
             "-e", "confirm=v1", "-e", f"documents={self.folder / 'documents'}", *arguments],
            cwd=ROOT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            env={**clean, **killing, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "ANSIBLE_NOCOLOR": "1"},
        )
        said, _ = process.communicate(timeout=300)
        return process.returncode, " ".join(said.split())

    def told(self) -> list[str]:
        return [json.loads(line)["event"] for line in (self.folder / "told").read_text().splitlines()]

    def ends(self) -> list[tuple[Any, Any]]:
        """What the journal has of the rollback as a whole."""
        records = [json.loads(line) for line in (self.folder / "state/journal.jsonl").read_text().splitlines()]
        return [(record["op"], record["outcome"]) for record in records if record["component"] == "rollback"]


@pytest.mark.parametrize(
    ("step", "named"),
    [("(5/5) Every gate", ["-e", "to=v1"]), ("(5/5) Record and give the lock back", [])],
    ids=["not gated", "not recorded"],
)
def test_killed_after_the_switch_it_is_finished_by_the_same_command(tmp_path: Path, step: str, named: list[str]) -> None:
    node = Node(tmp_path)
    killed, said = node.back(*named, kill_at=step)
    assert killed == -signal.SIGKILL, said
    assert (tmp_path / "live").read_text() == "v1"
    assert (tmp_path / "state/lock.json").exists(), "it was killed under its lock"
    before = len(node.told())

    rc, said = node.back(*named)
    assert rc == 0, said
    assert "this finishes what run" in said
    assert "everything is back at v1 (from v2)" in said
    assert node.told()[before:] == ["rollback_started", "rollback_finished"]
    assert node.ends() == [("phase", "started"), ("phase", "started"), ("phase", "ok")]
    assert not (tmp_path / "state/lock.json").exists()
    written = max(tmp_path.glob("documents/post-mortem-*.md")).read_text()
    for part in ("rollback v2 → v1", "had begun was finished", "| Outcome | complete |", "within the objective of 600 s"):
        assert part in written, written

    if named:
        records = (tmp_path / "state/journal.jsonl").read_text()
        rc, said = node.back(*named)
        assert rc == 0, said
        assert "every component is at v1 already; nothing to do" in said
        assert "1 node, 0 changes" in said
        assert (tmp_path / "state/journal.jsonl").read_text() == records
        assert len(node.told()) == before + 2


def test_a_command_that_is_asked_refuses_before_anything_is_touched(tmp_path: Path) -> None:
    node = Node(tmp_path)
    hosts = json.loads((tmp_path / "hosts.json").read_text())
    hook = {"kind": "command", "name": "freeze", "command": ["sh", "-c", f"cat > {tmp_path}/asked; echo not today; exit 1"],
            "events": ["before_rollback"]}
    hosts["all"]["vars"]["aistack_notices"].append(hook)
    (tmp_path / "hosts.json").write_text(json.dumps(hosts))
    status, said = node.back("-e", "to=v1")
    assert status == 2, said
    assert "Refused by freeze, which is asked before a rollback (aistack_notices). Nothing was touched." in said
    assert "not today" in said
    asked = json.loads((tmp_path / "asked").read_text())
    assert (asked["event"], asked["facts"]["to"]) == ("before_rollback", "v1")
    assert (tmp_path / "live").read_text() == "v2"
    assert not (tmp_path / "state" / "journal.jsonl").exists(), "the lock was not taken"
