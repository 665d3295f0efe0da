# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of the modules that write to the journal."""

from __future__ import annotations


class ModuleDocFragment:
    """Which run, and who runs it."""

    DOCUMENTATION = r"""
options:
  run:
    description: Identifier of this run; every record in the journal carries it.
    type: str
    default: ""
  actor:
    description: Who runs, for the journal. Filled in on the controller, or whoever holds the lock.
    type: str
    default: ""
"""
