# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The heads of a release's migrations, from its own Alembic: who looks for files misses some, and the way back goes by them."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.alembic import config as alembic_config
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
    try:
        with AlembicSession(str(python), str(tree), recipe.made_up, recipe.build_user, recipe.component) as session:
            session.open(recipe.alembic_ini, 0, 0)
            return sorted(session.request("graph", IMPORT_TIMEOUT)["heads"]), ""
    except (HelperError, LookupError) as problem:
        kind = problem.facts.get("type") if isinstance(problem, HelperError) else ""
        return None, f"{kind}: {problem}" if kind else str(problem)
