# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of a migration made on a node with the application's own interpreter, where the controller's Python does not fit its lock.

The release's tree and an environment for it lie in C(<root>/cache/plan/<component>) while the plan is made, and go with it; what uv
fetched stays there for the next one. Packages are installed, and the release's code is read, as the build user, with made-up variables.
Of a release that is an image, the image is made instead, and goes likewise. What is staged already is taken as it is.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.docker import DockerError
from ansible_collections.phasegate.aistack.plugins.module_utils.core import flock, progress
from ansible_collections.phasegate.aistack.plugins.module_utils.core.masking import Masker
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import (
    code_place,
    offline_plan,
    plan as alembic_plan,
    scratch_image,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.offline_plan import Unavailable
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.plan import Plan, Request
from ansible_collections.phasegate.aistack.plugins.module_utils.release import build, interpreters, sandbox, tree
from ansible_collections.phasegate.aistack.plugins.module_utils.release.build import Recipe
from ansible_collections.phasegate.aistack.plugins.module_utils.release.recipe import sdists_of
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import ReleaseError

SPEC: dict[str, Any] = {
    "archive": {"type": "path"},
    "archive_sha256": {"type": "str"},
    "commit": {"type": "str", "default": ""},
    "kind": {"type": "str", "choices": ["python", "image"], "default": "python"},
    "image": {"type": "dict", "default": {}},
    "seen": {"type": "dict", "default": {}},
    "schema": {"type": "list", "elements": "dict", "default": []},
    "lock": {"type": "str"},
    "inner": {"type": "str", "default": ""},
    "requires_python": {"type": "str", "default": ""},
    "python": {"type": "str", "default": "python3"},
    "tools": {"type": "path"},
    "build_user": {"type": "str", "default": "aistack-build"},
    "sdists": {"type": "raw", "default": False},
    "environment": {"type": "dict", "default": {}},
    "secret_environment": {"type": "dict", "default": {}, "no_log": True},
    "timeout": {"type": "float", "default": 900},
    "min_free_bytes": {"type": "int", "default": 536870912},
}
"""What the controller brings; see the option C(scratch) of alembic_info."""

WAIT = 60.0
"""Seconds to wait for another plan of the same component."""


def document(request: Request, scratch: Mapping[str, Any]) -> dict[str, object]:
    """The plan in the shape of alembic_info.

    Raises:
        Unavailable: it cannot be made here either.
        MigrationError: the release's migrations are wrong.
    """
    seen, schema = scratch["seen"], scratch["schema"]
    offline_plan.known(seen)
    if not code_place.missing(request):
        plan, how = offline_plan.make(request, seen, schema), f"in {code_place.staged(request)}, with made-up values"
    else:
        plan = _apart(request, scratch)
        where = "an image that was made for it" if scratch["kind"] == "image" else "a scratch environment with its own interpreter"
        how = f"in {where}, from tag {request.release} ({scratch['commit'][:10]})"
    return offline_plan.describe(request, plan, seen, f"on the node, {how}.{offline_plan.empty_words(request, seen)}")


def _recipe(request: Request, scratch: Mapping[str, Any], folder: Path) -> Recipe:
    secret = {str(name): str(value) for name, value in scratch["secret_environment"].items()}
    masker = Masker()
    masker.learn(secret, [name for name, value in secret.items() if "://" not in value])
    return Recipe(
        component=request.component,
        tag=request.release,
        kind=scratch["kind"],
        image=scratch["image"],
        tools=Path(scratch["tools"] or os.path.join(request.root, "tools", "bin")),
        cache=folder / "packages",
        python=scratch["python"],
        lock=scratch["lock"],
        inner=scratch["inner"],
        requires=scratch["requires_python"],
        environment={**{str(name): str(value) for name, value in scratch["environment"].items()}, **secret},
        build_user=scratch["build_user"],
        sdists=sdists_of(scratch["sdists"]),
        masker=masker,
        build_timeout=scratch["timeout"],
    )


def _apart(request: Request, scratch: Mapping[str, Any]) -> Plan:
    base = Path(request.root) / "cache"
    if scratch["kind"] == "image" and base.parent.is_dir():
        base.mkdir(mode=0o755, exist_ok=True)  # where nothing but images is released, nobody else has
    if not base.is_dir():
        raise Unavailable(f"{base} does not exist: the role toolchain makes what a plan needs here (site.yml, the phase that has it)")
    if not scratch["lock"] and scratch["kind"] != "image":
        raise Unavailable(f"{request.component} names no lock file to make an environment from: "
                          f"aistack_components.{request.component}.lock")
    free = shutil.disk_usage(base).free
    if free < scratch["min_free_bytes"]:
        raise Unavailable(f"{base} has {free} bytes free, and {scratch['min_free_bytes']} are to stay free")
    folder = base / "plan" / request.component
    folder.mkdir(parents=True, exist_ok=True)
    for place in (folder.parent, folder):
        os.chmod(place, 0o711)  # the build user passes through
    work = folder / "tree"
    progress.tell("waits for whoever plans the same component", at_once=True)
    try:
        with flock.held(folder.parent / f"{request.component}.lock", WAIT):
            try:
                recipe = _recipe(request, scratch, folder)
                if recipe.kind == "image":
                    return _in_image(request, scratch, recipe, work)
                return _made(request, scratch, interpreters.settled(recipe, Path(request.root)), work)
            finally:
                tree.remove(work)
    except (ReleaseError, DockerError) as problem:
        raise Unavailable(str(problem)) from problem
    except (OSError, ValueError) as problem:
        raise Unavailable(f"the scratch environment in {folder} could not be made: {problem}") from problem


def _in_image(request: Request, scratch: Mapping[str, Any], recipe: Recipe, work: Path) -> Plan:
    with (
        progress.step("the image of the release"),
        scratch_image.made(recipe, work, scratch["commit"], lambda folder: _unpacked(request, scratch, folder)) as digest,
    ):
        progress.tell("reads the migrations", at_once=True)
        return offline_plan.make(replace(request, image=digest), scratch["seen"], scratch["schema"])


def _unpacked(request: Request, scratch: Mapping[str, Any], work: Path) -> None:
    """The tag's tree, as it was sent. Raises Unavailable."""
    archive = Path(scratch["archive"])
    if tree.sha256(archive) != scratch["archive_sha256"]:
        raise Unavailable(f"the archive of {request.release} arrived damaged on this node; run again")
    tree.remove(work)  # of a plan that was killed
    work.mkdir(mode=0o700)
    tree.unpack(archive, work)


def _made(request: Request, scratch: Mapping[str, Any], recipe: Recipe, work: Path) -> Plan:
    builder = recipe.builder()
    _unpacked(request, scratch, work)
    sandbox.lend(work, builder)
    with progress.step("the packages of a scratch environment"):
        build.install_python(recipe, work)
    progress.tell("reads the migrations", at_once=True)
    local = replace(request, release_path=str(recipe.code(work)), python="", user=builder.name if builder else None)
    alembic_plan.require_configuration(local)
    return offline_plan.make(local, scratch["seen"], scratch["schema"])
