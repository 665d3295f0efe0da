# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scenarios' tests share: the nodes, a way to run playbooks, and the nodes' own words when a test fails."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml
from nodes import settings
from testinfra.host import Host

ROOT = Path(__file__).resolve().parents[1]
ADDRESSES = {node.name: node.address for node in settings.ALL}
SSH = settings.SSH
STATE = "/var/lib/aistack"


@dataclass(frozen=True)
class Ran:
    """A playbook that ended."""

    status: int
    output: str
    seconds: float

    @property
    def changed(self) -> dict[str, int]:
        """Changed tasks per host, from the recap of the default callback."""
        return {host: int(count) for host, count in re.findall(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)", self.output, re.MULTILINE)}

    def ended_well(self) -> Ran:
        """Fail the test with the playbook's last lines unless it ended well; return itself."""
        assert self.status == 0, "\n".join(self.output.splitlines()[-80:])
        return self

    def ended_badly(self) -> Ran:
        """Fail the test unless the playbook failed; return itself."""
        assert self.status != 0, "\n".join(self.output.splitlines()[-80:])
        return self


class Lab:
    """The nodes of an inventory, and playbooks run against it."""

    def __init__(self, inventory: Path) -> None:
        """Read the nodes and their addresses from the inventory."""
        self.inventory = inventory
        self.addresses: dict[str, str] = {}
        self._nodes: dict[str, Host] = {}
        hosts = inventory / "hosts.yml" if inventory.is_dir() else inventory
        self._collect(yaml.safe_load(hosts.read_text(encoding="utf-8")))

    def _collect(self, group: dict[str, Any]) -> None:
        for name, value in group.items():
            if name == "hosts":
                self.addresses.update({host: ADDRESSES[host] for host, data in value.items() if data and "ansible_host" in data})
            elif isinstance(value, dict):
                self._collect(value)

    @property
    def names(self) -> list[str]:
        """The nodes that run components."""
        return sorted(name for name in self.addresses if not name.startswith("builder"))

    def node(self, name: str) -> Host:
        """A node, as testinfra sees it: over SSH, as root."""
        if name not in self._nodes:
            arguments = f"-o UserKnownHostsFile={SSH / 'known_hosts'} -o GlobalKnownHostsFile=/dev/null -o IdentitiesOnly=yes"
            self._nodes[name] = testinfra.get_host(
                f"ssh://ops@{self.addresses[name]}",
                ssh_identity_file=str(SSH / "id_ed25519"),
                ssh_extra_args=arguments,
                sudo=True,
                controlpersist=60,
                timeout=10,
            )
        return self._nodes[name]

    def play(self, playbook: str, *arguments: str, env: dict[str, str] | None = None, timeout: float = 900.0) -> Ran:
        """Run a playbook from the repository's root, as an operator does, and return how it ended."""
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(self.inventory), playbook, *arguments]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
        environment.update(ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"), ANSIBLE_NOCOLOR="1")
        environment.update({"ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default", **(env or {})})
        began = time.monotonic()
        ran = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Ran(ran.returncode, ran.stdout, time.monotonic() - began)

    def journal(self, name: str) -> list[dict[str, Any]]:
        """The records of a node's journal, oldest first."""
        text = self.node(name).check_output("cat %s/journal.jsonl", STATE)
        return [json.loads(line) for line in text.splitlines() if line]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def secrets() -> dict[str, str]:
    """The lab's secrets by the names of their files."""
    folder = Path(os.environ.get("AISTACK_SECRETS_DIR") or ROOT / ".lab" / "secrets")
    found = {path.name: path.read_text(encoding="utf-8").split()[0] for path in folder.iterdir() if path.is_file()}
    assert len(found) >= 5
    return found


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest) -> Lab:
    """The scenario's own inventory where it has one, else the lab's."""
    own = Path(request.path).parents[1] / "inventory"
    return Lab(own if own.exists() else ROOT / "inventories" / "lab")


@pytest.fixture(scope="module")
def node(lab: Lab) -> Callable[[str], Host]:
    """A node by its name."""
    return lab.node
