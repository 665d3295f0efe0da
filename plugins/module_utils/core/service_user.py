# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which system user the process of a component runs as.

Each component has one of its own, so that none reads the environment of another or signals its processes. All of them have one
group, which reads the trees of releases.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

TOOLS_USER = "aistack"
"""Runs no service: PostgreSQL's tools, and what a node of an earlier version has. Its group is that of all components' users."""

LONGEST = 32
"""Characters that a user's name may have on Linux."""

_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_TAKEN = {
    "root": "it may do everything",
    TOOLS_USER: "PostgreSQL's tools run as it, and have the passwords of databases in their environment",
    "aistack-build": "releases are built as it",
    "aistack-test": "the tests of releases run as it",
}


def derived_user(component: str) -> str:
    """The user of a component that names none: ``aistack-<component>``; what is too long or taken ends in a hash of the name."""
    name = f"{TOOLS_USER}-{component}"
    if len(name) <= LONGEST and name not in _TAKEN:
        return name
    return f"{name[: LONGEST - 7]}-{sha256(component.encode()).hexdigest()[:6]}"


def service_users(components: Mapping[str, Mapping[str, object]], names: Iterable[str]) -> list[str]:
    """The users of the named components, each once, in their order."""
    return list(dict.fromkeys(str(components[name].get("user") or derived_user(name)) for name in names))


def same_user(components: Mapping[str, Any]) -> list[str]:
    """Problems where two components come to one user without both naming it."""
    owner: dict[str, str] = {}
    problems = []
    for name, component in components.items():
        if not isinstance(component, Mapping) or not (component.get("application") or component.get("release_from")):
            continue
        user = str(component.get("user") or derived_user(name))
        other = owner.setdefault(user, name)
        if other != name and not (component.get("user") and components[other].get("user")):
            problems.append(
                f"aistack_components.{name}: runs as the user '{user}', as '{other}' does; where they are to share what they write, "
                "both say so (user), else name another user for one of them"
            )
    return problems


def check_user(where: str, component: Mapping[str, object]) -> list[str]:
    """Problems in the key ``user`` of a component."""
    user = component.get("user")
    if user is None:
        return []
    if not (component.get("application") or component.get("release_from")):
        return [f"{where}.user: only a component that runs a release (application, release_from) has it; drop it, or see its role"]
    if not isinstance(user, str) or not _NAME.fullmatch(user):
        return [f"{where}.user: {user!r} is no name of a system user: at most {LONGEST} of a-z, 0-9, _ and -, no digit or - first"]
    if user in _TAKEN:
        return [f"{where}.user: '{user}' cannot be taken, because {_TAKEN[user]}; name another, or none for one of its own"]
    return []
