# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where things lie on a node, whichever stack they belong to."""

from __future__ import annotations

from typing import Any

REGISTRY = "/etc/aistack"
ROOT = "/opt/aistack"
STATE = "/var/lib/aistack"

PLACES: dict[str, dict[str, Any]] = {"root": {"type": "path", "default": ROOT}, "state_dir": {"type": "path", "default": STATE}}
"""The two options that all modules have which work on a node (fragment C(places)), in Ansible's form."""
