# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter command_again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.stack import extra_vars as said, verbs
from ansible_collections.phasegate.aistack.plugins.plugin_utils.verb_table import read_verbs


def command_again(more: Mapping[str, object]) -> str:
    """The command of this run, with more extra variables, as it can be pasted."""
    known = {name for verb in read_verbs().values() for name in verbs.parameters(verb)}
    return said.again(sys.argv, more, {*known, "aistack_hosts", "aistack_extra_vars"})


class FilterModule:
    """Names of the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Map the name of each filter to its function."""
        return {"command_again": command_again}
