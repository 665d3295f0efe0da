# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The script that writes who may ask a server of Prometheus' family: a hash that fits stays, and no password stands anywhere."""

from __future__ import annotations

import grp
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "roles" / "toolchain" / "files" / "web_auth.py"
PASSWORD = "correct-horse/1"


def run(path: Path, **more: Any) -> subprocess.CompletedProcess[str]:
    wanted = {"file": str(path), "user": "reader", "password": PASSWORD, "group": grp.getgrgid(os.getgid()).gr_name, "check": False}
    return subprocess.run(
        [sys.executable, str(SCRIPT)], input=json.dumps({**wanted, **more}), capture_output=True, text=True, timeout=30, check=False
    )


def users(path: Path) -> dict[str, str]:
    known: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))["basic_auth_users"]
    return known


def test_it_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "web.yml"
    assert run(path).stdout == "changed\n"
    first = users(path)
    assert first["reader"].startswith("$2b$10$")
    assert PASSWORD not in path.read_text(encoding="utf-8")
    assert path.stat().st_mode & 0o777 == 0o640
    assert run(path).stdout == ""
    assert users(path) == first


@pytest.mark.parametrize("change", [{"password": "another-horse/2"}, {"user": "grafana"}])
def test_another_user_or_password_replaces_it(tmp_path: Path, change: dict[str, str]) -> None:
    path = tmp_path / "web.yml"
    run(path)
    first = users(path)
    assert run(path, **change).stdout == "changed\n"
    assert users(path) != first
    assert list(users(path)) == [change.get("user", "reader")]


def test_check_mode_writes_nothing(tmp_path: Path) -> None:
    assert run(tmp_path / "web.yml", check=True).stdout == "changed\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("password", ["short", "x" * 73])
def test_a_password_that_is_too_short_or_that_bcrypt_would_cut_is_refused(tmp_path: Path, password: str) -> None:
    done = run(tmp_path / "web.yml", password=password)
    assert done.returncode == 2
    assert f"expected 12 to 72 bytes, got {len(password)}" in done.stderr
    assert password not in done.stderr
    assert list(tmp_path.iterdir()) == []
