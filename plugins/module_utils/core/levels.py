# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The levels that a stack goes back on, from the cheapest to the dearest."""

from __future__ import annotations

LEVELS = ("app", "config", "schema", "system")
