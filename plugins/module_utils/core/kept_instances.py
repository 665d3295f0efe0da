# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The number of instances that a node keeps of a component, in its description: who drives slots and who asks them go by the same."""

from __future__ import annotations

import json
import os

from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import description_file


def instances_of(state_dir: str | os.PathLike[str], component: str) -> tuple[int | None, int | None]:
    """How many instances a slot of the component has on this node, and what the inventory said when that was set.

    None for the first where there is no description yet; for the second where it is of a version that knew of one instance alone.
    """
    try:
        there = json.loads(description_file(state_dir, component).read_text(encoding="utf-8"))
        kept, said = there.get("instances"), there.get("instances_said")
    except (OSError, ValueError, AttributeError):  # who activates writes it anew
        return None, None
    return (kept if _count(kept) else 1), (said if _count(said) else None)


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
