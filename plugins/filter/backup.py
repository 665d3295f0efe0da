# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter backup_description."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import plan as backup_plan


def backup_description(
    backup: Mapping[str, Any],
    stack: str,
    host: str,
    components: Mapping[str, Any],
    groups: Mapping[str, Sequence[str]],
    state: str,
) -> dict[str, object]:
    """What one node has to save. Raises AnsibleFilterError with all that is wrong with the description."""
    try:
        return backup_plan.for_host(backup, stack, host, components, groups, state)
    except ValueError as problem:
        raise AnsibleFilterError(f"What is to be saved makes no sense:\n{problem}") from problem


class FilterModule:
    """Names of the filters."""

    def filters(self) -> dict[str, Any]:
        """Map the name of each filter to its function."""
        return {"backup_description": backup_description}
