# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parts of a release that are built of another folder of the repository, such as a frontend that the backend serves.

They are built in the component's own tree, by its build user and before its own build, so that one release holds both, and one artefact.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.core import progress
from ansible_collections.phasegate.aistack.plugins.module_utils.release import build, sandbox
from ansible_collections.phasegate.aistack.plugins.module_utils.release.build import Recipe
from ansible_collections.phasegate.aistack.plugins.module_utils.release.place import Include
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import ReleaseError

# Arguments: what was built, where it goes, packages that nobody needs any more. As the build user, whose tree it is: no link leads root.
_PUT = 'set -eu; rm -rf -- "$2"; mkdir -p -- "${2%/*}"; cp -a -- "$1" "$2"; rm -rf -- "$3"'


def make(recipe: Recipe, tree: Path) -> None:
    """Build each part and put it into its place. Raises ReleaseError."""
    for one in recipe.includes:
        with progress.step(one.path):
            try:
                _made(recipe, one, tree)
            except ReleaseError as error:
                raise ReleaseError(f"includes, the part of {one.path}: {error}", **error.extra) from error


def _made(recipe: Recipe, one: Include, tree: Path) -> None:
    part = replace(recipe, kind="node", lock=one.lock, inner=one.path, build=one.build)
    build.install_node(part, tree)
    build.run_build(part, tree)
    code = part.code(tree)
    built = sandbox.inside(tree, code / one.output)
    if not built.is_dir():
        there = ", ".join(sorted(path.name for path in code.iterdir() if path.is_dir() and path.name != "node_modules"))
        raise ReleaseError(f"its build left no folder {one.output}, which output names. Its folders are: {there or 'none'}. "
                           f"Name the one that the build writes, in aistack_components.{recipe.component}.includes.")
    target = recipe.code(tree) / one.to
    done = recipe.run(["/bin/sh", "-c", _PUT, "sh", str(built), str(target), str(code / "node_modules")], tree, recipe.base_env())
    if done.rc != 0:
        raise ReleaseError(f"{one.output} cannot be put to {one.to}: {recipe.hide(done.output).strip()}")
