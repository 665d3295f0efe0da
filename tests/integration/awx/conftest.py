# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""awx.yml itself, with the modules of ``awx.awx``, against the stand-in."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.phasegate.aistack.tests.integration.awx.standin_awx import Awx, Server

ROOT = Path(__file__).resolve().parents[3]
TOKEN = "of-the-stand-in"
VERBS = ["backup", "deploy", "emergency_rollback", "healthcheck", "plan", "verify"]
SECRETS = ("of-the-machine",)
WANTED: dict[str, Any] = {
    "awx_name": "shop",
    "awx_token": TOKEN,
    "awx_project_repo": "https://git.example.com/shop-inventory.git",
    "awx_ee_image": "registry.example.com/phasegate:1",
    "awx_machine_inputs": {"username": "ops", "ssh_key_data": SECRETS[0]},
    "awx_labels": ["phasegate"],
    "awx_schedules": {"backup": "DTSTART:20260101T020000Z RRULE:FREQ=DAILY;INTERVAL=1"},
    "awx_approvers": "",
    "awx_verbs": VERBS,
    "awx_releases": ["v1.9.0", "v1.10.0", "nightly=1"],
    "awx_documents": "/runner/documents",
    "awx_notifications": [
        {"name": "chat", "type": "webhook", "configuration": {"url": "https://chat.example.com/x"}, "on": ["error", "approvals"]}
    ],
}


@dataclass
class Ran:
    """How a run of awx.yml ended."""

    status: int
    said: str

    @property
    def changed(self) -> int:
        """How many tasks changed something."""
        found = re.search(r"changed=(\d+)", self.said)
        assert found, self.said
        return int(found[1])


class Stack:
    """A stack that is laid down in one stand-in."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.awx, self.folder = server, server.awx, folder

    def run(self, *words: str, **more: Any) -> Ran:
        """awx.yml with the variables of a test, and *more* of them."""
        given = {"awx_url": self.server.url, **WANTED, **more}
        (self.folder / "awx.yml").write_text(yaml.safe_dump(given), encoding="utf-8")
        (self.folder / "ansible.cfg").write_text("")
        env = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            "ANSIBLE_LOCAL_TEMP": str(self.folder / "tmp"),
            "no_proxy": "*",
            # the stand-in speaks plain HTTP; the modules read every authority of this machine for each request nonetheless
            "SSL_CERT_FILE": os.devnull,
            "ANSIBLE_STDOUT_CALLBACK": "default",
            "HOME": str(self.folder),
        }
        command = [sys.executable, "-m", "ansible.cli.playbook", "phasegate.aistack.awx", "-e", f"@{self.folder}/awx.yml", *words]
        ran = subprocess.run(command, cwd=self.folder, env=env, text=True, capture_output=True, check=False, timeout=300)
        said = ran.stdout + ran.stderr
        assert [secret for secret in (*SECRETS, TOKEN) if secret in said] == [], "a secret is shown"
        return Ran(ran.returncode, said)

    def state(self) -> dict[str, Any]:
        """Everything that the stand-in has, to compare."""
        awx = self.awx
        return json.loads(
            json.dumps(
                [
                    {kind: {str(number): item for number, item in items.items()} for kind, items in awx.items.items()},
                    sorted(map(str, awx.linked.items())),
                    sorted(map(str, awx.surveys.items())),
                    sorted(map(str, awx.granted.items())),
                ],
                default=str,
            )
        )


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack, and the stand-in that it is laid down in: one for all tests of a file, which build on each other."""
    server = Server(Awx(TOKEN, [f"playbooks/{verb}.yml" for verb in VERBS]))
    yield Stack(server, tmp_path_factory.mktemp("awx"))
    server.close()
