# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The heads of a release's migrations, from its own Alembic: who looks for files misses some, and the way back goes by them."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.alembic import config as alembic_config
from ansible_collections.phasegate.aistack.plugins.module_utils.alembic.runner import InImage, InTree, Runner
from ansible_collections.phasegate.aistack.plugins.module_utils.alembic.session import AlembicSession, HelperError
from ansible_collections.phasegate.aistack.plugins.module_utils.core.loading import IMPORT_TIMEOUT
from ansible_collections.phasegate.aistack.plugins.module_utils.release.build import Recipe


def of_tree(recipe: Recipe, tree: Path) -> tuple[list[str] | None, str]:
    """The heads of a tree that is built and still the build user's; none where Alembic is not installed.

    They are read with made-up variables, as the build user. Where that does not work they are None, not known, with why: then the
    first migration tells them.
    """
    tree = recipe.code(tree)
    python = tree / ".venv" / "bin" / "python"
    if recipe.kind != "python" or not any((tree / ".venv" / "lib").glob("python*/site-packages/alembic")):
        return [], ""
    missing = alembic_config.missing(tree, recipe.alembic_ini)
    if missing:
        return None, missing.replace(f"{tree}/", "")
    return _asked(recipe, InTree(str(python), str(tree), recipe.build_user))


def of_image(recipe: Recipe, digest: str) -> tuple[list[str] | None, str]:
    """The heads of an image, read in a container without a network; none where it has no Python, or no Alembic. Else as of a tree."""
    heads, why = _asked(recipe, InImage(digest))
    return ([], "") if heads is None and _WITHOUT.search(why) else (heads, why)


_WITHOUT = re.compile(r"executable file not found|^ModuleNotFoundError: No module named '(?:alembic|sqlalchemy)'")
"""What Docker says of an image that has no Python, and Python of one that has no Alembic."""


def _asked(recipe: Recipe, runner: Runner) -> tuple[list[str] | None, str]:
    try:
        with AlembicSession(runner, recipe.made_up, recipe.component) as session:
            session.open(recipe.alembic_ini, 0, 0)
            return sorted(session.request("graph", IMPORT_TIMEOUT)["heads"]), ""
    except (HelperError, LookupError) as problem:
        facts = problem.facts if isinstance(problem, HelperError) else {}
        kind = "" if facts.get("kind") == "no_ini" else facts.get("type")
        return None, f"{kind}: {problem}" if kind else str(problem)
