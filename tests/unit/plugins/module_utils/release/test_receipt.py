# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.release import receipt


@pytest.fixture
def managed(tmp_path: Path) -> Path:
    path = tmp_path / "redis.conf"
    path.write_text("port 6379\n")
    path.chmod(0o640)
    receipt.save(tmp_path / "state", "redis", receipt.compose("i1", [str(path)]))
    return path


def judge(path: Path, inputs: str = "i1") -> tuple[bool, str]:
    return receipt.judge(path.parent / "state", "redis", inputs)


def test_no_receipt(tmp_path: Path) -> None:
    assert receipt.judge(tmp_path / "state", "redis", "i1") == (False, "no receipt: it was not converged here yet")


def test_fresh(managed: Path) -> None:
    fresh, why = judge(managed)
    assert fresh
    assert why.startswith("as converged at 20")


def test_inputs_changed(managed: Path) -> None:
    fresh, why = judge(managed, "i2")
    assert not fresh
    assert why.startswith("inputs changed since")


def test_content_changed(managed: Path) -> None:
    managed.write_text("port 6380\n")
    assert judge(managed) == (False, f"file {managed} changed")


def test_mode_changed(managed: Path) -> None:
    managed.chmod(0o644)
    assert judge(managed) == (False, f"file {managed} changed its mode to 0644")


def test_file_missing(managed: Path) -> None:
    managed.unlink()
    assert judge(managed) == (False, f"file {managed} is missing")


def test_a_file_that_was_not_there_appears(managed: Path) -> None:
    other = managed.with_name("other")
    receipt.save(managed.parent / "state", "redis", receipt.compose("i1", [str(other)]))
    assert judge(managed)[0]
    other.write_text("")
    assert judge(managed) == (False, f"file {other} appeared")


def test_a_link_is_judged_by_its_target(managed: Path) -> None:
    link = managed.with_name("link")
    link.symlink_to("one")
    receipt.save(managed.parent / "state", "redis", receipt.compose("i1", [str(link)]))
    assert judge(managed)[0]
    link.unlink()
    link.symlink_to("two")
    assert not judge(managed)[0]


def test_a_receipt_that_cannot_be_read_is_none(managed: Path) -> None:
    receipt.receipt_path(managed.parent / "state", "redis").write_text("{")
    assert not judge(managed)[0]
