# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a release's tree says how Alembic is configured: an ini file, C([tool.alembic]) in C(pyproject.toml), or both."""

from __future__ import annotations

import re
from pathlib import Path

PYPROJECT = "pyproject.toml"
_SECTION = re.compile(r"^\s*\[\s*tool\s*\.\s*alembic\s*[\].]", re.MULTILINE)


def missing(tree: Path, ini: str) -> str:
    """What is not there, in words; empty where Alembic finds its configuration as its own command does."""
    pyproject = Path(ini).name == PYPROJECT
    if not pyproject and (tree / ini).is_file():
        return ""
    path = tree / (ini if pyproject else PYPROJECT)
    try:
        if _SECTION.search(path.read_text(encoding="utf-8", errors="replace")):
            return ""
    except OSError:
        pass  # said below
    return f"{path} has no [tool.alembic]" if pyproject else f"{tree / ini} does not exist, and {path} has no [tool.alembic]"
