# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters about changing a secret: who uses it, why it is not changed just so, what is left to do, and an environment meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.phasegate.aistack.plugins.module_utils.pure import rotation


def login_users(users: Iterable[str], components: Mapping[str, Any], environments: Mapping[str, Any]) -> list[str]:
    """Released components whose environment names one of the logins."""
    found = [name for user in users for name in rotation.users_of(str(user), components, environments)]
    return list(dict.fromkeys(found))


def login_refusal(differ: Iterable[str], kind: str, host: str, answers: Iterable[Mapping[str, Any]], rotations: Mapping[str, Any]) -> str:
    """Why these passwords are not changed just so; empty where nothing is live. ``answers`` are those of ``release_info`` in a loop."""
    live = [
        f"{name} on {answer['item']}"
        for answer in answers
        for name, seen in (answer.get("components") or {}).items()
        if seen.get("live")
    ]
    return rotation.refusal(list(differ), kind, host, live, rotations or {}) if live else ""


def rotation_plan(seen: Mapping[str, Any], kind: str) -> list[str]:
    """What is left to do; ``seen`` has ``value``, ``bridge``, ``behind`` and ``live``."""
    return rotation.plan(kind, rotation.State(**{key: bool(seen[key]) for key in ("value", "bridge", "behind", "live")}))


def rotation_text(steps: Iterable[str]) -> list[str]:
    """Steps in words, one line each."""
    return [rotation.WORDS[step] for step in steps]


def rotation_env(environment: Mapping[str, Any], user: str, password: str, variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """An environment (``schema`` and ``values``) that uses the second login."""
    try:
        return {**environment, "values": rotation.bridged(environment.get("values") or {}, user, password, variables)}
    except ValueError as problem:
        raise AnsibleFilterError(f"The components cannot be moved to a second login: {problem}.") from None


class FilterModule:
    """Names of the filters."""

    def filters(self) -> dict[str, Any]:
        """Map the name of each filter to its function."""
        return {
            "login_refusal": login_refusal,
            "login_users": login_users,
            "rotation_env": rotation_env,
            "rotation_plan": rotation_plan,
            "rotation_text": rotation_text,
        }
