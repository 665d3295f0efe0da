# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab at a release from which it can go back, and rows that have to be there afterwards."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..refusals.conftest import BIN, ROOT, Lab


class OperatorLab(Lab):
    """The lab as an operator sees it, whatever runs these tests: with the output that the checkout's own configuration chooses."""

    environment = {name: value for name, value in Lab.environment.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))} | {
        "ANSIBLE_NOCOLOR": "1"
    }

    def module(self, node: str, name: str, arguments: dict[str, Any]) -> None:
        """Run one module of the collection on a node."""
        done = subprocess.run([str(BIN / "ansible"), node, "-m", f"phasegate.aistack.{name}", "-a", json.dumps(arguments)], cwd=ROOT,
                              env=self.environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=120)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


BEFORE, AFTER = "v4.1.0", "v4.10.0"
"""Two good releases with the same schema; the rollback goes from the second to the first."""


def bring(lab: Lab, release: str) -> None:
    """Have a release live everywhere."""
    if set(lab.serving().values()) != {release}:
        done = lab.play("deploy", "-e", f"release={release}", "-e", "allow_bad=true", "-e", "backup=false")
        assert done.rc == 0, done.text


def keep(lab: Lab, release: str) -> None:
    """Have a release staged on the nodes, behind the one that is live; pruning may have taken it.

    A deployment stages before it asks whether the schema fits, so that it may be refused.
    """

    def missing() -> list[str]:
        folders = [("backend-1", "backend"), ("web-1", "frontend")]
        return [node for node, name in folders if release not in lab.on(node, f"ls /opt/aistack/{name}/releases").split()]

    if missing():
        live = lab.serving()["backend"]
        done = lab.play("deploy", "-e", f"release={release}", "-e", "allow_bad=true", "-e", "backup=false")
        assert not missing(), done.text
        bring(lab, live)


def with_setting(folder: Path, name: str, value: str) -> list[str]:
    """Arguments with which the backend has one variable more in its environment."""
    described = yaml.safe_load((ROOT / "inventories/sparklio/group_vars/all/env.yml").read_text(encoding="utf-8"))
    backend = described["aistack_env"]["backend"]
    backend["schema"].append({"name": name, "type": "str"})
    backend["values"][name] = value
    (folder / "env.json").write_text(json.dumps(described))
    return ["-e", f"@{folder / 'env.json'}"]


def backend(lab: Lab) -> str:
    """The release that the backend answers with; empty where it does not."""
    try:
        return lab.serving()["backend"]
    except OSError:
        return ""


def config(lab: Lab, node: str, component: str) -> str:
    """The configuration that is live."""
    return lab.on(node, f"basename $(readlink /opt/aistack/{component}/slots/live/config)").strip()


@pytest.fixture(scope="session")
def lab() -> Iterator[OperatorLab]:
    """The lab; it is healthy before and after all tests, and at the release that it came from."""
    lab = OperatorLab()
    bring(lab, BEFORE)
    yield lab
    bring(lab, BEFORE)
    health = lab.play("healthcheck")
    assert health.rc == 0, f"the lab is not healthy after the tests\n{health.text}"


@pytest.fixture
def deployed(lab: OperatorLab) -> Iterator[OperatorLab]:
    """The newer release is live and the older one behind it, unmarked; no lock is left afterwards, and no chain is broken."""
    if set(lab.serving().values()) != {AFTER} or json.loads(lab.on("backend-1", "aistack plan --json", check=False))["to"] != BEFORE:
        bring(lab, BEFORE)
        bring(lab, AFTER)
    yield lab
    for node in ("backend-1", "web-1"):
        assert "lock.json" not in lab.on(node, "ls /var/lib/aistack"), f"the lock was left behind on {node}"
        lab.on(node, "aistack journal --verify --lines 1")


@pytest.fixture
def without(tmp_path: Path) -> Callable[[str], list[str]]:
    """Arguments with which a node cannot be reached: nobody listens at its port."""

    def arguments(node: str) -> list[str]:
        overlay = tmp_path / "overlay.json"
        overlay.write_text(json.dumps({"all": {"hosts": {node: {"ansible_port": 9}}}}))
        return ["-i", "inventories/lab", "-i", str(overlay)]

    return arguments
