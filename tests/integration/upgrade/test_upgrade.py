# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes that an earlier state of the collection has laid down, under this one: nothing that it left there is lost or misread.

The tests follow one another: each goes on from where the one before left the nodes. They begin with new nodes: C(make upgrade).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..refusals.conftest import FINGERPRINT, ROOT
from ..rollback.conftest import OperatorLab

EARLIER = "349c86feead504592fe33b5bb1c25dadfbdc5703"
"""The last commit before the core was laid out by subject."""
BEFORE, AFTER = "v4.1.0", "v4.10.0"
NODES = ("backend-1", "gpu-1", "web-1")


class EarlierLab(OperatorLab):
    """The same nodes, under the playbooks of the earlier commit."""

    tree: Path

    def start(self, playbook: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a playbook of the earlier tree, with the inventory that it has."""
        return subprocess.Popen(
            [str(ROOT / ".venv" / "bin" / "ansible-playbook"), playbook if playbook.endswith(".yml") else f"phasegate.aistack.{playbook}",
             *arguments],
            cwd=self.tree, env=self.environment, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )


def new_nodes() -> None:
    """The lab's nodes, made again; what the lab keeps beside them (artefacts, repositories) stays."""
    names = [f"phasegate-{node}" for node in NODES]
    subprocess.run(["podman", "rm", "--force", "--ignore", *names], check=True, capture_output=True, timeout=120)
    for command in (["lab/bin/lab", "up"], ["lab/bin/make-repos"]):
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=600)


@pytest.fixture(scope="module")
def earlier() -> Iterator[EarlierLab]:
    """The earlier tree, beside this one."""
    lab = EarlierLab()
    lab.tree = ROOT / ".lab" / "earlier"
    subprocess.run(["git", "worktree", "remove", "--force", str(lab.tree)], cwd=ROOT, capture_output=True, check=False)  # of a run before
    subprocess.run(["git", "worktree", "add", "--force", "--detach", str(lab.tree), EARLIER], cwd=ROOT, capture_output=True, check=True)
    for name in (".lab", ".venv"):
        (lab.tree / name).symlink_to(ROOT / name)
    yield lab
    subprocess.run(["git", "worktree", "remove", "--force", str(lab.tree)], cwd=ROOT, capture_output=True, check=True)


@pytest.fixture(scope="module")
def lab(earlier: EarlierLab) -> OperatorLab:
    """Nodes as the earlier state left them: the newer release is live, the older one behind it."""
    new_nodes()
    for asked in (("site.yml",), ("deploy", "-e", f"release={BEFORE}"), ("deploy", "-e", f"release={AFTER}")):
        done = earlier.play(*asked, timeout=1200)
        assert done.rc == 0, done.text
    return OperatorLab()


def test_what_is_there_is_seen(lab: OperatorLab) -> None:
    health = lab.play("healthcheck")
    assert health.rc == 0, health.text
    health.says(f"backend backend-1 {AFTER}", f"frontend web-1 {AFTER}")
    planned = lab.play("plan", "-e", f"release={BEFORE}")
    assert planned.rc == 0, planned.text


def test_the_emergency_goes_back_by_the_command_that_the_nodes_have(lab: OperatorLab) -> None:
    went = lab.play("emergency_rollback", "-e", "reason='under the code that came after'")
    assert went.rc == 0, went.text
    went.says(f"everything is back at {BEFORE} (from {AFTER})")
    assert lab.serving() == {"backend": BEFORE, "frontend": BEFORE}


def test_a_deployment_goes_on_from_there(lab: OperatorLab) -> None:
    before = lab.on("backend-1", FINGERPRINT)
    done = lab.play("deploy", "-e", f"release={AFTER}", "-e", "allow_bad=true")
    assert done.rc == 0, done.text
    assert lab.serving() == {"backend": AFTER, "frontend": AFTER}
    assert lab.on("backend-1", FINGERPRINT).splitlines()[:2] == before.splitlines()[:2]


def test_a_planned_rollback_finds_what_was_released_earlier(lab: OperatorLab, tmp_path: Path) -> None:
    went = lab.play("rollback", "-e", f"to={BEFORE}", "-e", f"confirm={BEFORE}", "-e", f"documents={tmp_path}")
    assert went.rc == 0, went.text
    assert lab.serving() == {"backend": BEFORE, "frontend": BEFORE}


def test_the_site_converges_and_then_has_nothing_to_do(lab: OperatorLab) -> None:
    done = lab.play("site.yml", timeout=1200)
    assert done.rc == 0, done.text
    assert lab.serving() == {"backend": BEFORE, "frontend": BEFORE}
    again = lab.play("site.yml", timeout=1200)
    assert again.rc == 0, again.text
    again.says(" 0 changes,")


def test_journals_and_sets_are_read(lab: OperatorLab) -> None:
    for node in NODES:
        lab.on(node, "aistack journal --verify --lines 1")
    operations = {record["op"] for record in lab.journal()}
    assert {"activate", "revert", "phase"} <= operations
    sets = json.loads(lab.on("backend-1", "aistack backup --list --json"))["sets"]
    oldest = sets[-1]["name"]
    drilled = lab.play("drill", "-e", f"set={oldest}", "-e", "to=v4.0.0", "--check")
    assert "There is no backup set" not in drilled.text, drilled.text
    looked = lab.play("restore", "-e", f"set={oldest}", "-e", "what=postgres:sparklio", "--check", "--limit", "backend-1")
    assert looked.rc == 0, looked.text
