# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter watch_result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.phasegate.aistack.plugins.module_utils.gate import watch_text


def watch_result(results: Any, triggers: Any = (), act: bool = False) -> dict[str, object]:
    """What all nodes saw, as one verdict and one page."""
    if not isinstance(results, Mapping):
        raise AnsibleFilterError(f"watch_result: expected host name to result of metric_gate, got {type(results).__name__}")
    return watch_text.watch_result(results, list(triggers or ()), act)


class FilterModule:
    """Filters about triggers."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name to function."""
        return {"watch_result": watch_result}
