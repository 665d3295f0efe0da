# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of the modules that work on a node."""

from __future__ import annotations


class ModuleDocFragment:
    """Where things are on the node."""

    DOCUMENTATION = r"""
options:
  root:
    description: Folder that holds a folder for each component. A module that needs none accepts it for the module defaults of the group.
    type: path
    default: /opt/aistack
  state_dir:
    description: Folder that holds what the node remembers, such as its journal, its lock and its backup sets.
    type: path
    default: /var/lib/aistack
"""
