# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The emergency playbook, run for real against nodes that are this machine, while vault, git and package sources are out of reach."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
BIN = ROOT / ".venv" / "bin"
SOURCES = ("git", "curl", "wget", "pip", "pip3", "uv", "npm", "apt-get", "ansible-vault", "psql")
"""What an emergency must do without."""
AISTACK = """#!/bin/sh
echo "$*" >> {calls}
case "$*" in
  *rollback*) cat {folder}/rollback.json ;;
  *) cat {folder}/plan.json ;;
esac
"""
PLAN: dict[str, Any] = {
    "candidates": [{"node": "backend-1", "component": "backend", "present": "v2", "tags": ["v2", "v1"]}],
    "allowed": True, "refusals": [], "warnings": [], "unverified": ["backend: the database does not answer (connection refused)"],
    "from": "v2", "to": "v1", "level": "app",
    "steps": [{
        "do": "switch", "component": "backend",
        "detail": {"release": "v1", "config": "c1", "from": {"release": "v2", "config": "c2"}, "today": ["DATABASE_URL"],
                   "environment": {"added": [], "removed": ["FRESH"], "changed": ["LOG_LEVEL"]}},
    }],
}
VARIABLES = "environment, names only: backend on backend-1: removed FRESH; changed LOG_LEVEL; as today DATABASE_URL"
READY = "readyz: expected status 200, got status 503; it fails in the same way on green, which served before"
WENT: dict[str, Any] = {
    "outcome": "ok", "changed": True, "from": "v2", "to": "v1",
    "components": [
        {"component": "backend", "outcome": "ok", "seconds": 0.4, "message": "backend: v1 is live in blue", "unverified": [READY]}
    ],
}

STATUS = "status --json"
"""What is live, asked when nobody waits any more."""


@dataclass
class Site:
    """An inventory whose variables are in a vault that nobody here can open, and a node with the command on it."""

    folder: Path

    def play(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the playbook as somebody far from this checkout does."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
        clean.update(
            ANSIBLE_NOCOLOR="1", ANSIBLE_COLLECTIONS_PATH=str(ROOT / ".collections"), ANSIBLE_HOME=str(self.folder / "ansible"),
            PATH=f"{self.folder / 'bin'}:{clean['PATH']}", **environment,
        )
        return subprocess.run(
            [str(BIN / "ansible-playbook"), "-i", "hosts.yml", "phasegate.aistack.emergency_rollback", *arguments],
            cwd=self.folder, env=clean, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
        )

    @property
    def calls(self) -> list[str]:
        """What the nodes were asked, in order."""
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def sources(self) -> list[str]:
        """What was called that must not be needed."""
        path = self.folder / "sources"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "bin").mkdir()
    commands = {name: f"#!/bin/sh\necho {name} >> {tmp_path}/sources\nexit 1\n" for name in SOURCES}
    commands["aistack"] = AISTACK.format(calls=tmp_path / "calls", folder=tmp_path)
    for name, text in commands.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "plan.json").write_text(json.dumps(PLAN) + "\n")
    (tmp_path / "rollback.json").write_text(json.dumps(WENT) + "\n")
    (tmp_path / "hosts.yml").write_text("aistack: {hosts: {backend-1: {ansible_connection: local}}}\n")
    variables = tmp_path / "group_vars" / "all"
    variables.mkdir(parents=True)
    (variables / "secrets.yml").write_text("aistack_name: shop\ndatabase_password: hunter2\n")
    lost = tmp_path / "lost"
    lost.write_text("nobody has it any more\n")
    subprocess.run(
        [str(BIN / "ansible-vault"), "encrypt", "--vault-password-file", str(lost), str(variables / "secrets.yml")],
        check=True, capture_output=True, cwd=tmp_path,
    )
    lost.unlink()
    return Site(tmp_path)


def test_without_the_vault_it_goes_on_where_variables_are_left_out(site: Site) -> None:
    done = site.play(ANSIBLE_VARS_ENABLED="")
    assert done.returncode == 0, done.stdout + done.stderr
    assert site.calls == [
        "plan --json --level app --best-effort",
        "rollback --json --level app --to v1 --reason emergency rollback --best-effort --force-lock",
        STATUS,
    ]
    assert site.sources == []
    said = " ".join((done.stdout + done.stderr).split())
    assert "backend-1: not verified: backend: the database does not answer (connection refused)" in said
    assert f"not verified: backend-1: backend: {READY}" in said


@pytest.mark.parametrize("check", [["--check"], []])
def test_the_variables_that_go_back_are_named(site: Site, check: list[str]) -> None:
    done = site.play(*check, ANSIBLE_VARS_ENABLED="", ANSIBLE_STDOUT_CALLBACK="phasegate.aistack.phases")
    assert done.returncode == 0, done.stdout + done.stderr
    assert VARIABLES in " ".join((done.stdout + done.stderr).split())
    assert len(site.calls) == (1 if check else 3)


def test_without_the_vault_nothing_is_touched_and_the_vault_is_named(site: Site) -> None:
    done = site.play()
    assert done.returncode != 0
    assert "vault" in done.stdout + done.stderr
    assert site.calls == []


def test_with_the_wrong_password_nothing_is_touched_either(site: Site) -> None:
    (site.folder / "guess").write_text("guess\n")
    done = site.play("--vault-password-file", "guess")
    assert done.returncode != 0
    assert "Decryption failed" in done.stdout + done.stderr
    assert site.calls == []


def test_release_and_reason_reach_the_node_as_they_were_given(site: Site) -> None:
    done = site.play("-e", "to=v1", "-e", json.dumps({"reason": "it's $(touch broken); slow"}), ANSIBLE_VARS_ENABLED="")
    assert done.returncode == 0, done.stdout + done.stderr
    assert site.calls == [
        "plan --json --level app --to v1 --best-effort",
        "rollback --json --level app --to v1 --reason it's $(touch broken); slow --best-effort --force-lock",
        STATUS,
    ]


def test_people_are_told_where_that_can_be_read(site: Site) -> None:
    notices = [{"kind": "command", "name": "page", "command": ["sh", "-c", f"cat > {site.folder}/told"]}]
    done = site.play("-e", json.dumps({"aistack_notices": notices, "reason": "errors"}), ANSIBLE_VARS_ENABLED="")
    assert done.returncode == 0, done.stdout + done.stderr
    told = (site.folder / "told").read_text()
    assert "rollback_finished" in told
    assert "errors" in told
    nobody = [{"kind": "command", "name": "page", "command": [str(site.folder / "not-there")]}]
    done = site.play("-e", json.dumps({"aistack_notices": nobody}), ANSIBLE_VARS_ENABLED="")
    assert done.returncode == 0, "a receiver that is out of reach is no failure of the rollback"
    assert "page was not told" in " ".join((done.stdout + done.stderr).split())


def test_a_node_that_does_not_answer_is_named_and_the_other_goes_back(site: Site) -> None:
    nodes = {"backend-1": {"ansible_connection": "local"}, "web-1": {"ansible_host": "127.0.0.1", "ansible_port": 9}}
    (site.folder / "hosts.yml").write_text(json.dumps({"aistack": {"hosts": nodes}}))
    done = site.play("-e", f"output={site.folder / 'report.json'}", ANSIBLE_VARS_ENABLED="", ANSIBLE_TIMEOUT="5", ANSIBLE_SSH_RETRIES="0")
    assert done.returncode != 0, "not everything is back"
    assert len(site.calls) == 3
    rows = {(row["node"], row["component"]): row for row in json.loads((site.folder / "report.json").read_text())}
    assert rows["backend-1", "backend"]["unverified"] == [READY]
    assert "not reached" in rows["web-1", ""]["said"]


def test_a_node_that_refuses_says_why(site: Site) -> None:
    refusal = {"code": "never_deployed", "component": "backend", "reason": "backend: v9 was never deployed here", "remedy": "choose v1"}
    (site.folder / "plan.json").write_text(json.dumps({**PLAN, "allowed": False, "refusals": [refusal]}))
    done = site.play("-e", "to=v9", ANSIBLE_VARS_ENABLED="")
    assert done.returncode != 0
    said = " ".join((done.stdout + done.stderr).split())
    assert "v9 was never deployed here" in said
    assert "nothing was touched" in said
    assert site.calls == ["plan --json --level app --to v9 --best-effort"]
