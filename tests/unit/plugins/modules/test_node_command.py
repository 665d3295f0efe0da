# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installing the command: only where it is missing, whole or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.node import zipapp

Call = Callable[..., dict[str, Any]]


@pytest.fixture
def members() -> dict[str, bytes]:
    return zipapp.sources(Path(zipapp.__file__).parents[1])


@pytest.fixture
def arguments(tmp_path: Path, members: dict[str, bytes]) -> dict[str, Any]:
    (tmp_path / "units").mkdir()
    return {
        "units": str(tmp_path / "units"),
        "stack": "shop", "root": str(tmp_path / "opt"), "state_dir": str(tmp_path / "state"), "command": str(tmp_path / "bin" / "aistack"),
        "registry": str(tmp_path / "etc"), "python": sys.executable, "source": zipapp.digest(members),
    }


@pytest.fixture
def archive(tmp_path: Path, members: dict[str, bytes]) -> str:
    (tmp_path / "sources.zip").write_bytes(zipapp.pack(members))
    return str(tmp_path / "sources.zip")


def test_check_run_check_run(call: Call, tmp_path: Path, arguments: dict[str, Any], archive: str) -> None:
    command, entry = tmp_path / "bin" / "aistack", tmp_path / "etc" / "shop.json"
    for given in ({"check": True}, {"check": True, "archive": archive}, {}):
        asked = call("node_command", **arguments, **given)
        assert (asked["changed"], asked["needed"]) == (True, True)
        assert not command.exists()
        assert not entry.exists()
    done = call("node_command", archive=archive, diff=True, **arguments)
    assert (done["changed"], done["command"], done["registered"]) == (True, str(command), str(entry))
    assert done["diff"]["before"] == ""
    assert json.loads(entry.read_text()) == {"name": "shop", "root": str(tmp_path / "opt"), "state_dir": str(tmp_path / "state")}
    assert (command.stat().st_mode & 0o777, entry.stat().st_mode & 0o777) == (0o755, 0o644)
    assert subprocess.run([str(command), "--help"], capture_output=True, check=False).returncode == 0
    for check in (True, False):
        again = call("node_command", check=check, **arguments)
        assert (again["changed"], again["needed"]) == (False, False)
    assert [path.name for path in command.parent.iterdir()] == ["aistack"]


@pytest.mark.parametrize("harm", ["mode", "other", "gone", "python"])
def test_what_is_not_as_it_should_be_is_made_again(call: Call, tmp_path: Path, arguments: dict[str, Any], archive: str, harm: str) -> None:
    command = tmp_path / "bin" / "aistack"
    call("node_command", archive=archive, **arguments)
    if harm == "mode":
        command.chmod(0o700)
    elif harm == "other":
        command.write_text("#!/bin/sh\n")
    elif harm == "gone":
        command.unlink()
    else:
        link = tmp_path / "python3"
        link.symlink_to(sys.executable)
        arguments["python"] = str(link)
    assert call("node_command", **arguments)["needed"]
    call("node_command", archive=archive, **arguments)
    assert not call("node_command", check=True, **arguments)["changed"]
    assert os.access(command, os.X_OK)


def test_a_second_stack_is_registered_beside_the_first(call: Call, tmp_path: Path, arguments: dict[str, Any], archive: str) -> None:
    call("node_command", archive=archive, **arguments)
    assert "aistack_root" in call("node_command", **{**arguments, "stack": "blog"})["msg"], "the first one's is refused"
    blog = {"stack": "blog", "root": str(tmp_path / "blog"), "state_dir": str(tmp_path / "blog/state")}
    second = call("node_command", **{**arguments, **blog})
    assert (second["changed"], second["needed"]) == (True, False)
    assert sorted(path.name for path in (tmp_path / "etc").iterdir()) == ["blog.json", "shop.json"]


def test_each_stack_agrees_with_itself_at_boot(call: Call, tmp_path: Path, arguments: dict[str, Any], archive: str) -> None:
    unit, wants = tmp_path / "units" / "aistack-reconcile@.service", tmp_path / "units" / "multi-user.target.wants"
    call("node_command", **arguments)
    assert not unit.exists(), "without the command there is nothing to start"
    call("node_command", archive=archive, **arguments)
    call("node_command", **{**arguments, "stack": "blog", "root": str(tmp_path / "blog"), "state_dir": str(tmp_path / "blog/state")})
    assert {path.name: os.readlink(path) for path in wants.iterdir()} == {
        "aistack-reconcile@blog.service": str(unit), "aistack-reconcile@shop.service": str(unit),
    }
    line = f"ExecStart={tmp_path}/bin/aistack --registry {tmp_path}/etc --stack %i reconcile"
    assert line in unit.read_text().splitlines()
    assert (unit.stat().st_mode & 0o777) == 0o644
    for harm in (unit, wants / "aistack-reconcile@shop.service"):
        harm.unlink()
        assert call("node_command", check=True, **arguments)["changed"]
        assert not harm.exists()
        assert call("node_command", **arguments)["changed"]
        assert harm.exists()
        assert not call("node_command", **arguments)["changed"]
    command = [str(tmp_path / "bin" / "aistack"), "--registry", str(tmp_path / "etc"), "--stack", "shop", "reconcile"]
    (tmp_path / "state").mkdir()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_node_without_systemd_has_no_unit(call: Call, tmp_path: Path, arguments: dict[str, Any], archive: str) -> None:
    (tmp_path / "units").rmdir()
    assert call("node_command", archive=archive, **arguments)["changed"]
    assert not call("node_command", **arguments)["changed"]
    assert not (tmp_path / "units").exists()


def test_refusals_install_nothing(call: Call, tmp_path: Path, arguments: dict[str, Any], archive: str) -> None:
    failed = call("node_command", archive=archive, **{**arguments, "source": "0" * 64})
    assert "arrived damaged" in failed["msg"]
    assert "could not be run" in call("node_command", archive=archive, **{**arguments, "python": "/nonexistent/python3"})["msg"]
    assert "got '../x'" in call("node_command", archive=archive, **{**arguments, "stack": "../x"})["msg"]
    assert "filled in on the controller" in call("node_command", **{**arguments, "source": None})["msg"]
    assert not (tmp_path / "bin").exists()
    (tmp_path / "file").write_text("")
    assert "run the task as root" in call("node_command", archive=archive, **{**arguments, "command": str(tmp_path / "file" / "a")})["msg"]
