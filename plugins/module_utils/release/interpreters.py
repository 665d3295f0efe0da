# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which Python of this node a release is made with: the one that was named for it, else one that the release says it runs on.

Nothing is downloaded for it. An interpreter that the inventory names a source of is there before this is asked.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc
from ansible_collections.phasegate.aistack.plugins.module_utils.release import node_python
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import ReleaseError

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.release.build import Recipe

USUAL = "python3"
"""What release_python is where nobody named one."""
BROUGHT = "python"
"""The folder below the root with interpreters that the inventory names sources of; role release brings them."""

ASK_TIMEOUT = 20.0
"""Seconds that an interpreter may take to tell its version."""
_MINOR = re.compile(r"\d+\.\d+")


def _version(python: str, recipe: Recipe) -> str:
    """Major and minor version of an interpreter, as C(3.13); empty where it does not run."""
    words = [python, "-I", "-S", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    finished = proc.run(words, "/", recipe.base_env(), ASK_TIMEOUT)
    said = finished.output.strip()
    return said if finished.rc == 0 and not finished.timed_out and _MINOR.fullmatch(said) else ""


def settled(recipe: Recipe, root: Path, check: bool = False) -> Recipe:
    """The recipe with the interpreter that its release is made with. In *check* mode one that is yet to be brought is taken as it is.

    Raises:
        ReleaseError: the one that was named, or every one that is there, is none that the release runs on.
    """
    if recipe.kind != "python":
        return recipe
    if check and Path(root) / BROUGHT in Path(recipe.python).parents and not os.path.exists(recipe.python):
        return replace(recipe, brought=True)
    there = node_python.installed()
    if _MINOR.fullmatch(recipe.python):
        named = next((path for path in there if path.endswith(f"/python{recipe.python}")), "")
        recipe = replace(recipe, python=named or recipe.python)
    version = _version(recipe.python, recipe) if recipe.requires else ""
    if not version or node_python.fits(recipe.requires, version):
        return recipe  # one that does not run at all is refused by name when its environment is made
    if recipe.python == USUAL:
        fitting = [path for path in there if node_python.fits(recipe.requires, path.rpartition("python")[2])]
        best = max(fitting, key=lambda path: int(path.rpartition(".")[2]), default="")
        if best and _version(best, recipe):
            return replace(recipe, python=best)
    found = ", ".join(there) or "none"
    raise ReleaseError(
        f"{recipe.component} {recipe.tag} runs on Python {recipe.requires} (requires-python), and {recipe.python} of this node is "
        f"{version}. Found: {found}. The release is not to blame: nothing was built, nothing is marked. Nothing is downloaded by itself. "
        f"Name one in the inventory: aistack_components.{recipe.component}.python, with version where it is on the node, and with source "
        "and sha256 of an archive that holds it where it is not; or lock the release for one that is there.",
        step="interpreter",
    )
