# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An image that only a plan is made of: made or fetched, and gone with the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.docker import Docker
from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import Finished
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import scratch_image
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.offline_plan import Unavailable
from ansible_collections.phasegate.aistack.plugins.module_utils.release import image_store
from ansible_collections.phasegate.aistack.plugins.module_utils.release.build import Recipe
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import ReleaseError

COMMIT = "0a1b2c3" + "0" * 33
DIGEST = f"sha256:{'1' * 64}"
NAME = "aistack-plan/api:0a1b2c3"


class Images:
    """Docker's images: name to digest."""

    def __init__(self) -> None:
        self.there: dict[str, str] = {}

    def digest(self, reference: str) -> str | None:
        return self.there.get(reference) or (reference if reference in self.there.values() else None)

    def name(self, digest: str, reference: str) -> None:
        self.there[reference] = digest

    def remove(self, reference: str) -> str:
        self.there.pop(reference, None)
        return ""


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> Images:
    """A Docker that builds and fetches one image."""
    images = Images()

    def run(argv: Sequence[str], cwd: Any, env: Mapping[str, str], timeout: float, **more: Any) -> Finished:
        images.there[argv[argv.index("--tag") + 1] if argv[1] == "build" else argv[-1]] = DIGEST
        if argv[1] == "build":
            Path(argv[argv.index("--iidfile") + 1]).write_text(DIGEST)
        return Finished(list(argv), 0, "", 1.0)

    monkeypatch.setattr(image_store.proc, "run", run)
    return images


def recipe(tmp_path: Path, **image: Any) -> Recipe:
    return Recipe("api", "v1.0.0", "image", tmp_path, tmp_path, image=image)


def unpack(work: Path) -> None:
    work.mkdir()
    (work / "Dockerfile").write_text("FROM scratch\n")


def test_it_is_built_and_goes_with_the_plan(tmp_path: Path, docker: Images) -> None:
    with scratch_image.made(recipe(tmp_path), tmp_path / "work", COMMIT, unpack, cast(Docker, docker)) as digest:
        assert digest == DIGEST
        assert docker.there == {NAME: DIGEST}, "never under the name of the release"
    assert docker.there == {}


def test_it_is_fetched_and_stays_where_it_was_before(tmp_path: Path, docker: Images) -> None:
    pinned = f"example.com/api@{DIGEST}"
    made = recipe(tmp_path, pull="example.com/api", digests={"v1.0.0": DIGEST})
    for before in ({}, {pinned: DIGEST}):
        docker.there = dict(before)
        with scratch_image.made(made, tmp_path / "work", COMMIT, unpack, cast(Docker, docker)) as digest:
            assert docker.there == {pinned: DIGEST, NAME: digest}
        assert docker.there == before


def test_it_goes_where_the_plan_fails(tmp_path: Path, docker: Images) -> None:
    with pytest.raises(KeyError), scratch_image.made(recipe(tmp_path), tmp_path / "work", COMMIT, unpack, cast(Docker, docker)):
        raise KeyError
    assert docker.there == {}


def test_what_would_be_refused_is_not_made(tmp_path: Path, docker: Images) -> None:
    load = recipe(tmp_path, load="api.tar", sha256={"v1.0.0": "0" * 64})
    unpinned = recipe(tmp_path, pull="example.com/api", digests={"v9.0.0": DIGEST})
    for made, error, said in ((load, Unavailable, "brought here when it is staged"), (unpinned, ReleaseError, "has nothing for v1.0.0")):
        with pytest.raises(error, match=said), scratch_image.made(made, tmp_path / "work", COMMIT, unpack, cast(Docker, docker)):
            pytest.fail("no plan is made")
    assert docker.there == {}
