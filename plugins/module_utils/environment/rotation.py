# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changing a secret while applications use it: what may be changed, what is left to do, and what an environment holds meanwhile.

Where a server knows one password for a name (PostgreSQL, S3), a second login stands in for as long as the change lasts. It never
changes what it is called, and its password follows from the new one, so that a run that was interrupted anywhere is taken up by the next
one. Where it knows several (Redis), the new one is let in beside the former one.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option, examine, nearest
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.check import login_of

KINDS = ("postgres", "redis", "minio", "env")
BRIDGED = ("postgres", "minio")
"""Kinds of servers that know one password for a name."""
PAIR = "pair"
"""What an C(env) is whose application accepts two keys: its own, and the one before, in the variable C(previous)."""
VARIABLES = ("user", "password")
"""Where an environment holds a login in variables of its own and not in an address: which ones these are."""

_ROTATED: Mapping[str, Option] = {
    "component": Option("str", "the component that the server is", required=True),
    "user": Option("str", "the login whose password it is", required=True),
    "file": Option("str", "file on the controller that holds the secret; rotate.yml writes it"),
}
_LOGIN = Option(
    "dict", "variables of environments that hold the login where no address does", expected="a mapping of user and password",
    keys={
        "user": Option("str", "variable with the name", required=True),
        "password": Option("str", "variable with the password", required=True),
    },
)
ROTATION = Option(
    "dict", "a secret", by="kind",
    keys={"kind": Option("str", "what knows it", required=True, choices=KINDS)},
    variants={
        "postgres": {**_ROTATED, "variables": _LOGIN},
        "redis": _ROTATED,
        "minio": {**_ROTATED, "variables": replace(_LOGIN, required=True)},
        "env": {
            "file": _ROTATED["file"],
            "variable": Option("str", "variable with the key"),
            "previous": Option("str", "variable with the key before, which the application accepts as well"),
        },
    },
)
"""What an entry of ``aistack_rotations`` may say."""

SUFFIX = "__rotation"

BRIDGE, TO_BRIDGE, CHANGE, MOVE, CLOSE, ACCEPT = "bridge", "to_bridge", "change", "move", "close", "accept"
WORDS = {
    ACCEPT: "have every component accept the new key beside the one that it uses",
    BRIDGE: "add a second login and prove it",
    TO_BRIDGE: "move the components that use it to the second login",
    CHANGE: "change the password",
    MOVE: "move the components that use it to the new value",
    CLOSE: "withdraw the second login",
}
"""The steps, in the words of reports."""
BESIDE = {BRIDGE: "let the new password in beside the former one", CLOSE: "withdraw the former password"}
"""Words of their own where a server knows several passwords for a name."""


def bridge_name(user: str) -> str:
    """What the second login is called."""
    return user + SUFFIX


def bridge_password(user: str, password: str) -> str:
    """The second login's password, 40 hex digits: whoever knows the new one can tell, nobody else."""
    return hmac.new(password.encode(), f"aistack rotation of {user}".encode(), hashlib.sha256).hexdigest()[:40]


@dataclass(frozen=True)
class State:
    """What is real.

    Attributes:
        value: whether the server has the new value.
        bridge: whether the second login is open; where a server knows several passwords, whether another one than the new one is valid.
        behind: whether something is live with another environment than the one with the new value.
        live: whether anything is live at all.
    """

    value: bool
    bridge: bool
    behind: bool
    live: bool


def plan(kind: str, state: State) -> list[str]:
    """What is left to do, in this order; each step may be repeated. Nothing where it is all done."""
    if kind in ("env", PAIR):
        return [*([ACCEPT] if kind == PAIR else []), MOVE] if state.behind else []
    if kind not in BRIDGED:
        moved = [MOVE] if state.behind and state.live else []
        return [*([] if state.value else [BRIDGE]), *moved, *([] if state.value and not state.bridge else [CLOSE])]
    if not state.value and not state.live:
        return [CHANGE, *([CLOSE] if state.bridge else [])]
    if not state.value:
        return [BRIDGE, TO_BRIDGE, CHANGE, MOVE, CLOSE]
    return [*([MOVE] if state.behind else []), *([CLOSE] if state.bridge else [])]


def words(kind: str, steps: Sequence[str]) -> list[str]:
    """Steps in words, one line each."""
    return [(WORDS if kind in BRIDGED else {**WORDS, **BESIDE})[step] for step in steps]


def _bridged(text: str, user: str, password: str) -> str:
    login = login_of(text)
    if login is None or login.kind != "postgres" or login.user != user or login.password != password:
        return text
    scheme, _mark, rest = text.partition("://")
    location = rest.rpartition("@")[2] if "@" in rest else rest
    return f"{scheme}://{quote(bridge_name(user), safe='')}:{bridge_password(user, password)}@{location}"


def bridged(values: Mapping[str, object], user: str, password: str, variables: Mapping[str, str] | None = None) -> dict[str, object]:
    """An environment in which the second login stands where *user* stood with the new password.

    ``variables`` names those that hold ``user`` and ``password`` by themselves. Raises ValueError where the password stands in a
    variable that is neither; its message names the variable.
    """
    here = variables if variables and values.get(variables["user"]) == user else {}
    own = {str(here.get(key)): key for key in VARIABLES}
    instead = {"user": bridge_name(user), "password": bridge_password(user, password)}
    changed: dict[str, Any] = {}
    for name, value in values.items():
        if name in own:
            changed[name] = instead[own[name]]
        elif value == password:
            raise ValueError(
                f"{name} holds the password of {user} by itself, and nobody says which variable holds the name: add"
                " variables: {user: …, password: …} to the entry in aistack_rotations"
            )
        else:
            changed[name] = _bridged(value, user, password) if isinstance(value, str) else value
    return changed


def exchanged(values: Mapping[str, object], variable: str, previous: str) -> dict[str, object]:
    """An environment that uses the former key and accepts the new one, where the given one does the reverse."""
    return {**values, variable: values.get(previous, ""), previous: values.get(variable, "")}


def users_of(user: str, components: Mapping[str, Any], environments: Mapping[str, Any]) -> list[str]:
    """Released components whose environment names a login: in an address, or as a value of its own."""
    found = []
    for name, component in components.items():
        if not (component.get("application") or component.get("release_from")):
            continue
        values = (environments.get(component.get("env") or name) or {}).get("values") or {}
        texts = [str(value) for value in values.values()]
        if any(text == user or ((login := login_of(text)) is not None and login.user == user) for text in texts):
            found.append(name)
    return found


def problems(rotations: Any, components: Mapping[str, object]) -> list[str]:
    """Everything that is wrong with ``aistack_rotations``."""
    if rotations is None:
        return []
    entries, found = examine("aistack_rotations", rotations, Option("dict", "", items=ROTATION))
    for name, entry in (entries or {}).items():
        where = f"aistack_rotations.{name}"
        if entry["kind"] == "env":
            missing = [key for key in ("variable", "file") if entry.get("previous") and not entry.get(key)]
            found += [f"{where}: '{key}' is missing, which previous needs" for key in missing]
            continue
        component = entry.get("component")
        if component and component not in components:
            found.append(f"{where}.component: unknown component '{component}'{nearest(component, components)}")
    return found


def refusal(differ: Sequence[str], kind: str, host: str, live: Sequence[str], rotations: Mapping[str, Any]) -> str:
    """Why a password is not changed just so, and the way to change it."""
    named = [name for name, entry in rotations.items() if entry.get("kind") == kind and entry.get("user") in differ]
    more = ", variables: {user: …, password: …}" if kind == "minio" else ""
    if named:
        way = (
            f"Run ansible-playbook phasegate.aistack.rotate -e secret={named[0]}: it changes the password with both valid for a while, and"
            " finishes a change that was begun"
        )
    else:
        way = (
            f"Declare it in the inventory (aistack_rotations: {{NAME: {{kind: {kind}, component: {kind}, user: {differ[0]}{more}}}}}) and"
            " run ansible-playbook phasegate.aistack.rotate -e secret=NAME"
        )
    return (
        f"The inventory has another password for {', '.join(differ)} than the server on {host}, and live components log in with the one"
        f" that the server has: {', '.join(live)}. Expected the same password, or nothing live. No password was changed. {way};"
        " or put the former password back in the inventory."
    )
