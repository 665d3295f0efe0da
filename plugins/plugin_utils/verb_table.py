# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every verb of the collection is told with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

COLLECTION = Path(__file__).resolve().parents[2]


def read_verbs() -> dict[str, Any]:
    """``meta/verbs.yml``."""
    verbs_of: dict[str, Any] = yaml.safe_load((COLLECTION / "meta" / "verbs.yml").read_text(encoding="utf-8"))
    return verbs_of
