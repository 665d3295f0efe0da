# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running playbooks against the lab, and looking at what they must not have changed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from nodes import settings

ROOT = Path(__file__).resolve().parents[3]
BIN = ROOT / ".venv" / "bin"
BACKEND, _, WEB = (node.address for node in settings.NODES)

FINGERPRINT = """
set -e
cd /
runuser -u postgres -- pg_dump --schema-only --no-owner sparklio | grep -v -e '^--' -e '^.restrict' -e '^.unrestrict' | sha256sum
runuser -u postgres -- psql -XAtq sparklio -c 'select version_num from alembic_version'
for table in $(runuser -u postgres -- psql -XAtq sparklio -c "select tablename from pg_tables where schemaname='public' order by 1"); do
  echo "$table $(runuser -u postgres -- psql -XAtq sparklio -c "select count(*) from $table")"
done
"""


@dataclass
class Outcome:
    """What a command ended with."""

    rc: int
    text: str

    def says(self, *parts: str) -> None:
        """Fail the test where one of the parts is missing from the output."""
        flat = " ".join(self.text.split())
        missing = [part for part in parts if part not in flat]
        assert not missing, f"not said: {missing}\n--- output ---\n{self.text[-6000:]}"


class Lab:
    """The running lab, as an operator uses it."""

    environment = dict(os.environ, ANSIBLE_NOCOLOR="1", PATH=f"{BIN}:{os.environ.get('PATH', '')}")

    def start(self, playbook: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a playbook of the collection in a process group of its own."""
        return subprocess.Popen(
            [str(BIN / "ansible-playbook"), playbook if playbook.endswith(".yml") else f"phasegate.aistack.{playbook}", *arguments],
            cwd=ROOT, env=self.environment, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )

    def play(self, playbook: str, *arguments: str, timeout: float = 400) -> Outcome:
        """Run a playbook to its end."""
        process = self.start(playbook, *arguments)
        try:
            text, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            text, _ = process.communicate()
            raise AssertionError(f"{playbook} did not end within {timeout} s\n{text[-4000:]}") from None
        return Outcome(process.returncode, text)

    def kill(self, process: subprocess.Popen[str]) -> None:
        """End the controller the hard way: it and its workers, at once."""
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def on(self, node: str, script: str, check: bool = True) -> str:
        """Run a shell script as root on a node; bytes that are no text (of files that are searched) come back as replacement characters."""
        done = subprocess.run(
            [str(ROOT / "lab" / "bin" / "lab"), "ssh", node, "sudo", "sh", "-s"],
            cwd=ROOT, env=self.environment, input=script, text=True, errors="replace", capture_output=True, timeout=120, check=False,
        )
        assert not check or done.returncode == 0, f"{node}: {script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def get(self, url: str) -> Any:
        """Body of an address, parsed where it is JSON."""
        with urllib.request.urlopen(url, timeout=10) as answer:
            body = answer.read().decode()
        return json.loads(body) if body.startswith(("{", "[")) else body

    def serving(self) -> dict[str, str]:
        """The releases that users reach now."""
        return {
            "backend": self.get(f"http://{BACKEND}:8000/health")["version"],
            "frontend": self.get(f"http://{WEB}:3000/api/health")["version"],
        }

    def journal(self, node: str = "backend-1") -> list[dict[str, Any]]:
        """The records of a node's journal."""
        return [json.loads(line) for line in self.on(node, "cat /var/lib/aistack/journal.jsonl").splitlines()]

    def wait_for_journal(self, operation: str, component: str, outcome: str, after: int, timeout: float = 180) -> None:
        """Wait until the journal of backend-1 has such a record behind sequence number ``after``."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for record in self.journal():
                if (record["op"], record["component"], record["outcome"]) == (operation, component, outcome) and record["seq"] > after:
                    return
            time.sleep(0.2)
        raise AssertionError(f"no record {operation}/{component}/{outcome} within {timeout} s")


@pytest.fixture(scope="session")
def lab() -> Lab:
    """The lab; it has to run and to be healthy before anything is broken."""
    lab = Lab()
    if lab.serving() != {"backend": "v4.1.0", "frontend": "v4.1.0"}:
        deployed = lab.play("deploy", "-e", "release=v4.1.0", "-e", "allow_bad=true")
        assert deployed.rc == 0, f"the lab cannot be brought to v4.1.0 before the tests\n{deployed.text}"
    if "0003" in lab.on("backend-1", FINGERPRINT).splitlines()[1]:
        # v4.7.0 was deployed by hand: its migration goes back, by its own code, so that a test can run it again
        back = {"state": "downgraded", "target": "0002", "component": "backend", "release": "v4.7.0",
                "env_file": "/opt/aistack/backend/slots/live/config/env"}
        done = subprocess.run([str(BIN / "ansible"), "backend-1", "-m", "phasegate.aistack.alembic", "-a", json.dumps(back)],
                              cwd=ROOT, env=lab.environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stdout
    health = lab.play("healthcheck")
    assert health.rc == 0, f"the lab is not healthy before the test\n{health.text}"
    return lab


@pytest.fixture
def untouched(lab: Lab) -> Iterator[None]:
    """Whatever the test does: the same releases serve afterwards, and the database is the same."""
    serving, before = lab.serving(), lab.on("backend-1", FINGERPRINT)
    yield
    assert lab.serving() == serving, "another release serves than before"
    assert lab.on("backend-1", FINGERPRINT) == before, "the database changed"
    assert "lock.json" not in lab.on("backend-1", "ls /var/lib/aistack"), "the lock was left behind"
