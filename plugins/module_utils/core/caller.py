# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which run something is done in, and who runs it."""

from __future__ import annotations

from typing import Any

CALLER: dict[str, dict[str, Any]] = {"run": {"type": "str", "default": ""}, "actor": {"type": "str", "default": ""}}
"""The two options of all modules that write to the journal (fragment C(caller)), in Ansible's form."""
