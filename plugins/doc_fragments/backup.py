# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of the modules that work on backup sets."""

from __future__ import annotations


class ModuleDocFragment:
    """For how long; C(restore): what reading a set back needs besides."""

    DOCUMENTATION = r"""
options:
  timeout:
    description: Seconds for one part; C(timeout) of C(<state_dir>/backup.json) if left out, which role backup writes, else an hour.
    type: int
"""

    RESTORE = r"""
options:
  identity:
    description: Identity of age for an encrypted set, as text; it goes to age's standard input and touches no disk of the node.
    type: str
  identity_file:
    description: File on the node with the identity, instead.
    type: path
  min_free_bytes:
    description: Bytes that have to stay free wherever something is written.
    type: int
    default: 268435456
"""
