# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters over the plan and the outcome of a rollback: tables for the terminal, and documents."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.begun import beginning
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.decision import outcome_rows, plan_holds
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.live_text import live_text
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.postmortem import evidence, notice_facts, postmortem_markdown
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.text import plan_markdown, plan_text
from ansible_collections.phasegate.aistack.plugins.plugin_utils.documents import arranged

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.contract import Merged


def plan_document(merged: Merged, facts: Any, templates: str = "") -> str:
    """The plan of a rollback, as the template C(rollback-plan.md.j2) arranges it."""
    return arranged("rollback-plan.md.j2", plan_markdown(merged, facts), {"facts": facts, "plan": merged}, templates)


def postmortem_document(merged: Merged, outcome: Any, facts: Any, templates: str = "") -> str:
    """The document after a rollback, as the template C(post-mortem.md.j2) arranges it."""
    given = {"facts": facts, "plan": merged, "outcome": outcome}
    return arranged("post-mortem.md.j2", postmortem_markdown(merged, outcome, facts), given, templates)


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
            "rollback_plan_markdown": plan_document,
            "rollback_plan_text": plan_text,
            "rollback_postmortem": postmortem_document,
            "rollback_rows": outcome_rows,
        }
