# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which system user the code of a component's release runs as on this node, where something else than systemd starts it."""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.core.service_user import TOOLS_USER, derived_user

UNITS = "/etc/systemd/system"
_USER = re.compile(r"^User=(\S+)\s*$", re.MULTILINE)


def service_user(component: str | None, unit: str = "", units: str | os.PathLike[str] = UNITS) -> str | None:
    """The user of a component: the one that its unit names, else the one that its name gives, else ``aistack``.

    The last is what runs a release on a node that an earlier version laid down, and what asks where a probe belongs to no component.

    Args:
        component: its name, or None.
        unit: the name of a unit of its slots, where that is not ``aistack-<component>@<slot>.service``.
        units: where units are.

    Returns:
        A user, or None where this host has none of them.
    """
    wanted = [TOOLS_USER]
    if component:
        said = _of_unit(re.sub(r"@.*\.", "@.", unit) or f"aistack-{component}@.service", Path(units))
        if said and said != TOOLS_USER:
            return said
        wanted.insert(0, derived_user(component))
    for user in wanted:
        try:
            pwd.getpwnam(user)
        except KeyError:
            continue  # there is no such user here
        return user
    return None


def _of_unit(name: str, units: Path) -> str | None:
    try:
        found = _USER.findall((units / os.path.basename(name)).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return str(found[-1]) if found else None
