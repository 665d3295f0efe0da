# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters about the plans of migrations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.phasegate.aistack.plugins.module_utils.migration import text as migration_text
from ansible_collections.phasegate.aistack.plugins.module_utils.rollout.risk import contracts


def plan_text(plan: Any, sql: bool = True) -> str:
    """The plan of alembic or alembic_info as a page of text."""
    if not isinstance(plan, Mapping):
        raise AnsibleFilterError(f"plan_text: expected the plan of alembic or the result of alembic_info, got {type(plan).__name__}")
    return migration_text.plan_text(plan, sql)


class FilterModule:
    """Filters about migrations."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name to function."""
        return {"contracts": contracts, "plan_text": plan_text}
