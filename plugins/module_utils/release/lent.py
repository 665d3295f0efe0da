# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Components that run the trees of another: their folder of releases is a link to that component's."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import replace_link
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import Home
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import ReleaseError


def lend(root: str | os.PathLike[str], component: str, borrowers: Iterable[str], check: bool = False) -> list[str]:
    """Have other components run the trees of one; those need not be there yet.

    Args:
        root: the folder that holds a folder for each component.
        component: whose trees they are.
        borrowers: who runs them.
        check: only say what would be done.

    Returns:
        The borrowers that ran none, or other ones.

    Raises:
        ReleaseError: one of them has a folder of releases of its own. Nothing was changed.
    """
    target, changed = f"../{component}/releases", list[tuple[str, Path]]()
    for name in borrowers:
        path = Home(root, name).releases
        if path.is_symlink():
            if os.readlink(path) != target:
                changed.append((name, path))
        elif path.exists():
            raise ReleaseError(
                f"{name} is to run the trees of {component} (release_from), but {path} is not a link to them; expected that link, or "
                f"nothing. If {name} had releases of its own before, remove them by hand once nothing runs them any more."
            )
        else:
            changed.append((name, path))
    for _name, path in () if check else changed:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        replace_link(path, target)
    return [name for name, _path in changed]
