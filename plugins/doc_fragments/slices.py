# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of the modules that an action plugin calls again and again until they have decided."""

from __future__ import annotations


class ModuleDocFragment:
    """How far it has come."""

    DOCUMENTATION = r"""
options:
  slice:
    description: Internal. Seconds after which the module returns undecided, so that the controller can tell how it goes.
    type: float
    default: 0
  resume:
    description: Internal. What the slice before has seen.
    type: dict
    default: {}
notes:
  - It has an action plugin of the same name, which does the choosing of hosts and the reporting of progress.
"""
