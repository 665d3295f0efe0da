# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter rollback_rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.decision import outcome_rows


class FilterModule:
    """Names of the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Map the name of each filter to its function."""
        return {"rollback_rows": outcome_rows}
