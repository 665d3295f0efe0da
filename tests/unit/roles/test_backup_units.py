# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units of the daily set: a stack's own, and one timer only where a version before left others."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

ROLE = Path(__file__).resolve().parents[3] / "roles/backup"
FORMER = ("aistack-backup.service", "aistack-backup.timer", "aistack-backup-failed.service")


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """What a version before left for the stack `shop`, and systemctl that writes down how it was called."""
    folder = tmp_path / "units"
    folder.mkdir()
    for name in (*FORMER, "aistack-backup@shop.timer"):
        (folder / name).write_text("ExecStart=/usr/local/bin/aistack --stack shop backup --reason daily\n")
    program = tmp_path / "bin/systemctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/called\n')
    program.chmod(0o755)
    return folder


def remove(units: Path, stack: str, check: bool = False) -> str:
    script = yaml.safe_load((ROLE / "vars/main.yml").read_text(encoding="utf-8"))["__backup_former"]
    path = f"{units.parent / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/sh", "-c", script, "backup", str(units), stack, str(check)], capture_output=True, text=True, check=False, env={"PATH": path}
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def names(units: Path) -> set[str]:
    return {path.name for path in units.iterdir()}


def test_those_of_a_version_before_go_once(units: Path) -> None:
    before = names(units)
    assert remove(units, "shop", check=True) == "aistack-backup.timer\n"
    assert names(units) == before
    assert remove(units, "shop") == "aistack-backup.timer\n"
    assert names(units) == {"aistack-backup@shop.timer"}
    assert "--quiet disable --now aistack-backup.timer" in (units.parent / "called").read_text().splitlines()
    assert remove(units, "shop") == ""


@pytest.mark.parametrize("stack", ["sho", "shop2", "tiny"])
def test_those_of_another_stack_are_left_to_it(units: Path, stack: str) -> None:
    before = names(units)
    assert remove(units, stack) == ""
    assert names(units) == before


def test_what_was_interrupted_is_made_good(units: Path) -> None:
    (units / "aistack-backup.timer").unlink()
    assert remove(units, "shop") != ""
    assert names(units) == {"aistack-backup@shop.timer"}


def test_every_unit_has_the_stack_in_its_name() -> None:
    described = yaml.safe_load((ROLE / "vars/main.yml").read_text(encoding="utf-8"))
    for name in ("__backup_service", "__backup_failed", "__backup_timer"):
        assert "@{{ backup_stack }}." in described[name]
