# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a unit's log says where the name of the application, as the inventory gives it, leads to nothing in the release."""

from __future__ import annotations

import re
from collections.abc import Iterable

_MISSING = re.compile(
    r"Error loading ASGI app\b|Attribute \"[^\"]+\" not found in module|Failed to find attribute '[^']+' in '"  # uvicorn, gunicorn
    r"|Unable to load celery application|Invalid value for '-A'|AttributeError: module '[^']+' has no attribute '"  # celery
)


def misses_app(lines: Iterable[str]) -> bool:
    """Whether a server or Celery did not find the application: the fault of the release, or of the option that names it."""
    return any(_MISSING.search(line) for line in lines)
