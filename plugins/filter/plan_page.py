# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter plan_page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.phasegate.aistack.plugins.module_utils.report import plan_page as pure

NEEDED = ("stack", "application", "release", "order", "components", "phases", "acceptance_phases", "nodes", "opening")


def plan_page(facts: Any) -> str:
    """What a deployment would do, as a page of text."""
    if not isinstance(facts, Mapping):
        raise AnsibleFilterError(f"plan_page: expected a mapping, got {type(facts).__name__}")
    missing = [name for name in NEEDED if name not in facts]
    if missing:
        raise AnsibleFilterError(f"plan_page: missing: {', '.join(missing)}")
    return pure.page(facts)


def plan_refusal(facts: Any) -> str:
    """That a deployment would be refused, in a sentence; empty where it would not."""
    count = len(pure.refusals(facts))
    reasons = f"The {'reason stands' if count == 1 else f'{count} reasons stand'} on the page above"
    return f"deploy.yml -e release={facts['release']} would be refused. {reasons}, with what to do." if count else ""


class FilterModule:
    """Filters about plans."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name to function."""
        return {"plan_page": plan_page, "plan_refusal": plan_refusal}
