# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters about changing a secret: who uses it, why it is not changed just so, what is left to do, and how things are meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.phasegate.aistack.plugins.module_utils.environment import rotation


def login_users(users: Iterable[str], components: Mapping[str, object], environments: Mapping[str, object]) -> list[str]:
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


def rotation_login(variables: Mapping[str, Any], kind: str, user: str) -> dict[str, Any]:
    """The login of a server's role with its new password: ``name``, ``password``, and as ``s3`` the entry of ``minio_users``.

    ``variables`` are those of a host of the server.
    """
    if kind == "minio":
        for entry in variables.get("minio_users") or []:
            if entry["key"] == user:
                return {"name": user, "password": entry["secret"], "s3": dict(entry)}
    else:
        entries = [dict(entry) for entry in variables.get(f"{kind}_users") or []]
        if kind == "redis" and variables.get("redis_password"):
            entries.append({"name": "default", "password": variables["redis_password"]})
        for entry in entries:
            if entry["name"] == user:
                return {"name": user, "password": entry["password"]}
    raise AnsibleFilterError(
        f"{kind}_users has no {user}, which aistack_rotations names. Nothing was changed. "
        "Add it there, or correct user in aistack_rotations."
    )


def rotation_bridge(login: Mapping[str, Any]) -> dict[str, object]:
    """The second login beside one of `rotation_login`, of the same shape."""
    name, password = rotation.bridge_name(login["name"]), rotation.bridge_password(login["name"], login["password"])
    s3 = {**login["s3"], "key": name, "secret": password} if "s3" in login else None
    return {"name": name, "password": password, **({"s3": s3} if s3 else {})}


def rotation_keys(seen: Mapping[str, Any], user: str) -> dict[str, bool]:
    """What an S3 server says of a key and of the second one beside it, as the action rotation wants it; ``seen`` by key."""
    own, beside = seen.get(user) or {}, seen.get(rotation.bridge_name(user)) or {}
    return {"exists": bool(own.get("known")), "value": bool(own.get("logs_in")), "bridge": bool(beside.get("known"))}


def rotation_env(environment: Mapping[str, Any], user: str, password: str, variables: Mapping[str, str] | None = None) -> dict[str, object]:
    """An environment (``schema`` and ``values``) that uses the second login."""
    try:
        return {**environment, "values": rotation.bridged(environment.get("values") or {}, user, password, variables)}
    except ValueError as problem:
        raise AnsibleFilterError(f"The components cannot be moved to a second login: {problem}.") from None


def rotation_exchanged(environment: Mapping[str, Any], variable: str, previous: str) -> dict[str, object]:
    """An environment (``schema`` and ``values``) that uses the former key and accepts the new one."""
    return {**environment, "values": rotation.exchanged(environment.get("values") or {}, variable, previous)}


class FilterModule:
    """Names of the filters."""

    def filters(self) -> dict[str, Any]:
        """Map the name of each filter to its function."""
        return {
            "login_refusal": login_refusal,
            "login_users": login_users,
            "rotation_bridge": rotation_bridge,
            "rotation_env": rotation_env,
            "rotation_exchanged": rotation_exchanged,
            "rotation_keys": rotation_keys,
            "rotation_login": rotation_login,
        }
