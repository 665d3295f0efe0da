# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.release.lent import lend
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import ReleaseError


def test_links_are_made_once(tmp_path: Path) -> None:
    assert lend(tmp_path, "api", ["worker", "beat"], check=True) == ["worker", "beat"]
    assert list(tmp_path.iterdir()) == []
    assert lend(tmp_path, "api", ["worker", "beat"]) == ["worker", "beat"]
    assert lend(tmp_path, "api", ["worker", "beat"]) == []
    (tmp_path / "api/releases/v1").mkdir(parents=True)
    assert (tmp_path / "worker/releases/v1").is_dir()


def test_a_component_that_ran_the_trees_of_yet_another(tmp_path: Path) -> None:
    lend(tmp_path, "site", ["worker"])
    assert lend(tmp_path, "api", ["worker"]) == ["worker"]
    assert os.readlink(tmp_path / "worker/releases") == "../api/releases"


@pytest.mark.parametrize("check", [True, False])
def test_trees_of_its_own_are_not_taken_away(tmp_path: Path, check: bool) -> None:
    (tmp_path / "worker/releases/v1").mkdir(parents=True)
    with pytest.raises(ReleaseError, match=f"{tmp_path}/worker/releases is not a link to them; expected that link, or nothing"):
        lend(tmp_path, "api", ["beat", "worker"], check)
    assert (tmp_path / "worker/releases/v1").is_dir()
    assert not (tmp_path / "beat").exists()
