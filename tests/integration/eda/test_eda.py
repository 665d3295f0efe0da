# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rulebook in a real ansible-rulebook: what is posted to it, and what comes of it on a node that is this machine."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.phasegate.aistack.plugins.module_utils.notice.messages import message
from ansible_collections.phasegate.aistack.tests.integration.conftest import _free_port
from ansible_collections.phasegate.aistack.tests.integration.emergency.test_reach import AISTACK, PLAN, ROOT, WENT
from ansible_collections.phasegate.aistack.tests.integration.lease.test_lease import until

TOKEN = "of-the-test"
PROGRAM = ROOT / ".venv" / "eda" / "bin" / "ansible-rulebook"
GO_BACK = "errors: ansible-playbook phasegate.aistack.emergency_rollback -e \"reason='errors on a'\""


class Rulebook:
    """A running rulebook, and the node that it goes back on."""

    def __init__(self, folder: Path, act: bool) -> None:
        self.folder, self.port, self.act = folder, _free_port(), act
        (folder / "bin").mkdir()
        (folder / "bin" / "aistack").write_text(AISTACK.format(calls=folder / "calls", folder=folder))
        (folder / "bin" / "aistack").chmod(0o755)
        (folder / "plan.json").write_text(json.dumps(PLAN) + "\n")
        (folder / "rollback.json").write_text(json.dumps(WENT) + "\n")
        (folder / "inventory").mkdir()
        node = {"ansible_connection": "local", "aistack_name": "shop"}
        (folder / "inventory" / "hosts.yml").write_text(yaml.safe_dump({"aistack": {"hosts": {"backend-1": node}}}))
        given = {"eda_stack": "shop", "eda_act": act, "eda_token": TOKEN, "eda_port": self.port, "eda_tickets": f"{folder}/tickets"}
        (folder / "eda.yml").write_text(yaml.safe_dump(given))
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
        clean.update(
            ANSIBLE_COLLECTIONS_PATH=str(ROOT / ".collections"), ANSIBLE_HOME=str(folder / "ansible"), ANSIBLE_NOCOLOR="1",
            PATH=f"{folder / 'bin'}:{PROGRAM.parent}:{ROOT / '.venv' / 'bin'}:{clean['PATH']}",
        )
        command = [str(PROGRAM), "--rulebook", "phasegate.aistack.alerts", "--inventory", "inventory", "--vars", "eda.yml"]
        self.log = (folder / "log").open("w+", encoding="utf-8")
        self.process = subprocess.Popen(
            command, cwd=folder, env=clean, stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True
        )

    def post(self, what: Any, token: str = TOKEN) -> int:
        """The status of the answer; 0 where nobody listens."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/", json.dumps(what).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refused:
            return refused.code
        except OSError:
            assert self.process.poll() is None, self.said
            return 0

    @property
    def said(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8")

    @property
    def rollbacks(self) -> list[str]:
        """What the node was asked to do."""
        path = self.folder / "calls"
        return [line for line in (path.read_text().splitlines() if path.exists() else []) if " rollback " in f" {line} "]

    @property
    def tickets(self) -> list[str]:
        return [path.read_text() for path in sorted((self.folder / "tickets").glob("*.md"))]

    def ended(self, playbooks: int) -> None:
        """Wait until so many playbooks have ended."""
        until(lambda: self.said.count("PLAY RECAP") >= playbooks or self.process.poll() is not None, 60)
        assert self.process.poll() is None, self.said
        time.sleep(1)  # one more would have begun by now
        assert self.said.count("\nPLAY [") == playbooks, self.said

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(60)
        self.log.close()


@pytest.fixture(params=[True, False], ids=["act", "dry"])
def rulebook(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rulebook]:
    assert PROGRAM.exists(), "there is no ansible-rulebook: make venv-eda"
    running = Rulebook(tmp_path, request.param)
    try:
        until(lambda: running.post({}, "of-nobody") == 401, 60)
        yield running
    finally:
        running.end()


def alert(name: str, wants: str, stack: str = "shop", status: str = "firing") -> dict[str, Any]:
    labels = {"alertname": name, "aistack": wants, "aistack_stack": stack}
    return {"status": status, "labels": labels, "annotations": {"summary": f"it is {name}"}}


def test_alerts_and_notices(rulebook: Rulebook) -> None:
    template = f"{{{{ lookup('pipe', 'touch {rulebook.folder}/ran') }}}}"
    posted = {"status": "firing", "alerts": [
        alert("gone", "emergency_rollback", status="resolved"), alert("theirs", "emergency_rollback", stack="other"),
        alert(template, "emergency_rollback"), alert("twice", "emergency_rollback"), alert("disk", "ticket"),
    ]}
    assert rulebook.post(posted) == 200
    facts = {"stack": "shop", "reason": template, "next": [GO_BACK]}
    assert rulebook.post(message("rollback_finished", facts)) == 200
    assert rulebook.post(message("watch_failed", facts)) == 200
    assert rulebook.post(message("watch_failed", {**facts, "next": ["memory: decide by hand"]})) == 200
    assert rulebook.post(message("rollback_failed", facts)) == 200
    rulebook.ended(5)
    heads = [ticket.splitlines()[0].partition(" at ")[0] for ticket in rulebook.tickets]
    asks_people = {"# alert disk of shop", "# notice [shop] watch failed", "# notice [shop] rollback failed"}
    assert asks_people < {*heads} if not rulebook.act else asks_people == {*heads}
    assert len(heads) == (3 if rulebook.act else 5)
    assert len(rulebook.rollbacks) == (2 if rulebook.act else 0)
    if rulebook.act:
        assert ["--reason alert (( lookup" in rulebook.rollbacks[0], "--reason watch (( lookup" in rulebook.rollbacks[1]] == [True, True]
    else:
        assert sum("Without the dry mode it would have been: emergency_rollback" in ticket for ticket in rulebook.tickets) == 2
    assert any("it is disk" in ticket for ticket in rulebook.tickets)
    assert not (rulebook.folder / "ran").exists(), "what an event says is no template"
