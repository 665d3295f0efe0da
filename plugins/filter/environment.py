# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters for files in systemd's EnvironmentFile syntax."""

from __future__ import annotations

from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.pure.env_schema import as_text
from ansible_collections.phasegate.aistack.plugins.module_utils.release.env_file import quote


def env_quote(value: Any) -> str:
    """A value in double quotes, as systemd and a shell read it; it becomes text as in an application's environment."""
    return quote(as_text(value))


class FilterModule:
    """Names of the filters."""

    def filters(self) -> dict[str, Any]:
        """Map the name of each filter to its function."""
        return {"env_quote": env_quote}
