# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Attributes that several modules have. Where one of them says more, what it says itself counts."""

from __future__ import annotations


class ModuleDocFragment:
    """On nodes; on the controller."""

    DOCUMENTATION = r"""
attributes:
  platform:
    support: full
    platforms: posix
    description: Works on Linux and macOS.
"""

    CONTROLLER = r"""
attributes:
  check_mode:
    support: full
    description: Can run in check mode and return the same result.
  diff_mode:
    support: none
    description: It changes nothing.
  platform:
    support: full
    platforms: posix
    description: Runs on the controller.
notes:
  - This is an action plugin.
"""
