# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The image of a release that is not staged, for as long as a plan is made of it; what its build keeps is there for the release itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.docker import Docker
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.offline_plan import Unavailable
from ansible_collections.phasegate.aistack.plugins.module_utils.release import image, image_store
from ansible_collections.phasegate.aistack.plugins.module_utils.release.build import Recipe

PLAN = "aistack-plan"
"""What images that only a plan is made of are called."""


@contextmanager
def made(recipe: Recipe, work: Path, commit: str, unpack: Callable[[Path], None], docker: Docker | None = None) -> Iterator[str]:
    """The digest of the image, built or fetched; it goes with the block where it was not there before.

    Raises:
        Unavailable: it comes from an archive of the controller, which is brought when the release is staged.
        ReleaseError: it cannot be built or fetched, or has no name that it could be told by.
    """
    docker = docker or Docker()
    source = image.source_of(recipe.image)
    if source.load:
        raise Unavailable(f"the image of {recipe.tag} is in an archive, which is brought here when it is staged")
    image_store.named(recipe, commit)  # refused as the release itself will be
    name = f"{PLAN}/{recipe.component}:{commit[: image.SHORT]}"
    fetched = source.pinned(recipe.tag)
    before = docker.digest(fetched) if fetched else None
    try:
        if fetched:
            images = image_store.pull(recipe, commit, docker, name)
        else:
            unpack(work)
            images = image_store.build(recipe, work, commit, docker, name)
        yield images[recipe.component]["digest"]
    finally:
        for reference in (name, *([fetched] if fetched and before is None else [])):
            docker.remove(reference)
