# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.release_task): shows the last line of a task of a release while it runs."""

from __future__ import annotations

from ansible_collections.phasegate.aistack.plugins.plugin_utils.followed import FollowedModule


class ActionModule(FollowedModule):
    """The module, looked after."""
