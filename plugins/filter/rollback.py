# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters over the plan and the outcome of a rollback: tables for the terminal, and documents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.begun import beginning
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.decision import outcome_rows, plan_holds
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.live_text import live_text
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.postmortem import evidence, notice_facts, postmortem_markdown
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.text import plan_markdown, plan_text


class FilterModule:
    """Names of the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Map the name of each filter to its function."""
        return {
            "live_page": live_text,
            "rollback_beginning": beginning,
            "rollback_evidence": evidence,
            "rollback_notice": notice_facts,
            "rollback_plan_holds": plan_holds,
            "rollback_plan_markdown": plan_markdown,
            "rollback_plan_text": plan_text,
            "rollback_postmortem": postmortem_markdown,
            "rollback_rows": outcome_rows,
        }
