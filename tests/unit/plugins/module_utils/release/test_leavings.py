# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the controller keeps of what is removed: releases that were built go, secrets and mirrors are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.release.leavings import on_controller
from ansible_collections.phasegate.aistack.plugins.module_utils.release.mirror import Source

REPO = "https://ghp_abc@git.example.com/me/shop.git"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    for name in ("artefacts/shop/api", "artefacts/shop/web", "artefacts/other/api", "secrets", "mirrors"):
        (tmp_path / name).mkdir(parents=True)
    Source(REPO, mirror_dir=tmp_path / "mirrors").mirror.mkdir()
    return tmp_path


def test_of_a_component_what_was_built_of_it_goes(kept: Path) -> None:
    names = ["api", "gone", "../other/api"]
    found = on_controller([REPO, REPO], names, {"folder": str(kept / "artefacts")}, str(kept / "secrets"), str(kept / "mirrors"))
    assert found == {"remove": [str(kept / "artefacts/shop/api")], "stays": []}


def test_of_a_stack_the_rest_is_named(kept: Path) -> None:
    places = {"folder": str(kept / "artefacts")}, str(kept / "secrets"), str(kept / "mirrors")
    found = on_controller([REPO], ["api", "web"], *places, whole=True)
    assert found["remove"] == [str(kept / "artefacts/shop" / name) for name in ("api", "web")]
    mirror, secrets = found["stays"]
    assert "rm -rf '" in mirror
    assert "ghp_abc" not in mirror
    assert f"{kept / 'secrets'}: the stack's secrets" in secrets


def test_what_is_in_a_bucket_stays_and_is_named(kept: Path) -> None:
    (stays,) = on_controller([REPO], ["api"], {"folder": str(kept / "artefacts"), "store": "s3://releases/team/"})["stays"]
    assert stays.startswith("s3://releases/team/shop/api: what was built of it, which other controllers may use")


def test_a_link_of_somebody_is_no_folder_of_ours(kept: Path) -> None:
    (kept / "artefacts/shop/beat").symlink_to(kept / "secrets")
    assert on_controller([REPO], ["beat"], {"folder": str(kept / "artefacts")})["remove"] == []
    assert on_controller([], ["api"], False)["remove"] == []
