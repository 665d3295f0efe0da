# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verbs under ansible-runner, from Python and from a shell, on a node that is this machine."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import ansible_runner
import pytest
import yaml

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lock
from ansible_collections.phasegate.aistack.tests.integration.lease.test_lease import until

ROOT = Path(__file__).resolve().parents[3]


class Project:
    """What ansible-runner calls a private data directory: inventory, environment, and artefacts of what ran.

    The stack has a component that is proven by a file, and an application that runs on no node of it and is accepted by another file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.state = folder, folder / "state"
        self.proof, self.accepted = folder / "proof", folder / "accepted"
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "aistack_name": "shop",
            "aistack_address": "127.0.0.1",
            "aistack_root": f"{folder}/root",
            "aistack_state": str(self.state),
            "aistack_applications": {"shop": {"repo": f"{folder}/repo", "release": "v1.0.0"}},
            "aistack_components": {
                "stone": {
                    "role": "redis", "hosts": "aistack", "gate_settings": {"deadline": 0},
                    "gate": [{"name": "there", "command": ["test", "-e", str(self.proof)]}],
                },
                "api": {"role": "backend", "hosts": "elsewhere", "application": "shop"},
            },
            "aistack_phases": {"phase1": {"components": ["stone", "api"], "acceptance": ["open"]}},
            "aistack_acceptance": {"open": {"command": ["test", "-e", str(self.accepted)], "from": "aistack"}},
            "aistack_accept_deadline": 60,
        }
        groups = {"aistack": {"hosts": {"node": None}}, "elsewhere": {"hosts": {"other": None}}}
        self._write("inventory/hosts.json", json.dumps({"all": {"children": groups, "vars": variables}}))
        self._write("env/envvars", json.dumps({
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"), "ANSIBLE_HOME": f"{folder}/ansible", "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_NOCOLOR": "1",
        }))
        (folder / "project").mkdir()
        self._write("repo/main.py", "app = None\n")
        who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "x"], ["tag", "v1.0.0"]):
            subprocess.run(["git", *who, *words], cwd=folder / "repo", check=True, capture_output=True)

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text, encoding="utf-8")

    def deploy_book(self) -> str:
        """deploy.yml as it is, but for the place of the node's command: this machine keeps its own."""
        book = yaml.safe_load((ROOT / "playbooks" / "deploy.yml").read_text(encoding="utf-8"))
        book[0]["module_defaults"]["phasegate.aistack.node_command"] = {
            "command": f"{self.folder}/bin/aistack", "registry": f"{self.folder}/registry", "python": sys.executable,
            "root": f"{self.folder}/root", "state_dir": str(self.state), "units": f"{self.folder}/units",
        }
        self._write("bin/.keep", "")
        self._write("project/deploy.yml", yaml.safe_dump(book, sort_keys=False))
        (self.folder / "project" / "tasks").symlink_to(ROOT / "playbooks" / "tasks")
        return "deploy.yml"

    def run(self, verb: str, **more: Any) -> ansible_runner.Runner:
        """As a program does it; a verb by its name, or a playbook of the project."""
        playbook = verb if verb.endswith(".yml") else f"phasegate.aistack.{verb}"
        return ansible_runner.run(private_data_dir=str(self.folder), playbook=playbook, quiet=True, suppress_env_files=True, **more)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in [name for name in os.environ if name.startswith(("ANSIBLE_", "MOLECULE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    return Project(tmp_path)


def test_a_program_asks_how_the_stack_is_and_reads_the_answer(project: Project) -> None:
    tasks: list[str] = []

    def follow(event: dict[str, Any]) -> bool:
        if event["event"] == "playbook_on_task_start":
            tasks.append(event["event_data"]["task"])
        return True

    run = project.run("healthcheck", ident="asked", extravars={"only": "stone"}, event_handler=follow)
    assert (run.status, run.rc) == ("failed", 2), run.stdout.read()
    assert tasks[-2:] == ["Ask every gate", "Report"]
    [failed] = [each["event_data"]["res"] for each in run.events if each["event"] == "runner_on_failed"]
    assert failed["msg"].startswith("1 of 1 components fail: stone.")
    [row] = json.loads(failed["ansible_stats"]["data"]["aistack_job_documents"]["health.json"])
    assert (row["component"], row["verdict"], row["failed"][0]["expected"]) == ("stone", "fail", "rc = 0")
    assert (project.folder / "artifacts" / "asked" / "rc").read_text() == "2"
    looked = project.run("healthcheck", ident="looked", extravars={"only": "stone"}, cmdline="--check")
    assert (looked.status, looked.rc) == ("successful", 0), "in check mode no gate is enforced"
    assert not project.state.exists()


def test_the_command_line_gives_the_page_as_an_artefact(project: Project) -> None:
    project.proof.touch()
    command = ["ansible-runner", "run", str(project.folder), "-p", "phasegate.aistack.plan", "--ident", "plan", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    stream = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["counter"] for each in stream] == list(range(1, len(stream) + 1))
    [ended] = [each["event_data"] for each in stream if each["event"] == "playbook_on_stats"]
    assert "v1.0.0" in ended["artifact_data"]["aistack_job_documents"]["plan.md"]


def works(project: Project) -> bool:
    """Whether a process of any run of the project is there still."""
    place = f"AWX_ISOLATED_DATA_DIR={project.folder}/"
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if place in (entry / "environ").read_text(errors="replace"):
                return True
    return False


def test_a_deployment_that_is_cancelled_ends_as_a_killed_controller_does(project: Project) -> None:
    book, reached = project.deploy_book(), threading.Event()

    def follow(event: dict[str, Any]) -> bool:
        if event["event"] == "playbook_on_task_start" and event["event_data"]["task"].startswith("(5/5) Accept"):
            reached.set()
        return True

    def deploy(ident: str, **more: Any) -> ansible_runner.Runner:
        asked = {"release": "v1.0.0", "backup": False, "partial": True}
        return project.run(book, ident=ident, extravars=asked, settings={"pexpect_timeout": 1}, **more)

    project.proof.touch()
    cancelled = deploy("first", event_handler=follow, cancel_callback=reached.is_set)
    assert reached.is_set(), cancelled.stdout.read()
    assert (cancelled.status, cancelled.rc) == ("canceled", 254)
    left = Lock(project.state).holder()
    assert left, "nobody was there any more to give the lock back"
    project.accepted.touch()  # what a worker asked when the run was killed; nobody waits for its answer any more
    until(lambda: not works(project), 60)
    assert Lock(project.state).holder() == left, "and nobody lengthened it"
    second = deploy("second")
    assert (second.status, second.rc) == ("successful", 0), second.stdout.read()
    assert Lock(project.state).holder() is None
    notes = [record["detail"]["action"] for record in Lock(project.state).journal.read() if record["op"] == "lock"]
    assert notes == ["acquired", "taken_over", "released"]
