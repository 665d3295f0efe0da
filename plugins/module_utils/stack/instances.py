# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many processes a slot may have: what the description of a component says of it, and what scale.yml asks for. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.instances import LIMIT, OWN_OPTION, refusal
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.default import role_of
from ansible_collections.phasegate.aistack.plugins.module_utils.stack.description import ROLE_KINDS

SCALED = ("container", "worker")
"""Roles of this collection whose slots may have several processes."""


def _alone(component: Mapping[str, Any]) -> str:
    """Why a slot of the component has one process, and what to do; empty where it may have more."""
    role = role_of(component)
    if not (component.get("application") or component.get("release_from")):
        return "it runs no release, and only that has slots"
    if component.get("port"):
        return f"it has a port, and one process per slot, which is reached there. {OWN_OPTION}"
    if component.get("strategy") == "recreate":
        return "with strategy recreate exactly one process runs at any time; drop the strategy where several may run side by side"
    if role in ROLE_KINDS and role not in SCALED:
        return f"a component with role {role} has one process per slot; expected role {' or '.join(SCALED)}, without a port"
    return ""


def problems(where: str, component: Mapping[str, Any]) -> list[str]:
    """Faults of the key ``instances`` of the component that is described at *where*."""
    try:
        number = int(component.get("instances", 1))  # a text of digits is a number to the table of keys as well
    except (TypeError, ValueError):  # which names what is none
        return []
    if number == 1:
        return []
    if number > LIMIT:
        return [f"{where}.instances: must be a whole number from 1 to {LIMIT}, is {number}"]
    why = _alone(component)
    return [f"{where}.instances: {why}. Write 1, or drop the key"] if why else []


def scale_problems(components: Mapping[str, Any], named: Sequence[str], number: Any) -> list[str]:
    """Why the components *named*, each of which there is, cannot have *number* instances, as it was typed."""
    found: list[str] = []
    for name in named:
        component = components.get(name) or {}
        why = _alone({**component, "strategy": ""} if str(number) == "1" else component)  # one is what recreate is for
        try:
            wrong = refusal(name, int(str(number)), fronted=False)
        except ValueError:  # the verb's parameters say so
            wrong = ""
        found += [f"component: {name} cannot be scaled: {why}"] if why else [f"instances: {wrong}"] if wrong else []
    return found
