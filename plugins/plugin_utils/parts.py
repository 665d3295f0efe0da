# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Of a stack's description the part that is asked for: to fill in all of its templates would take longer than what it is read for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def described(templar: Any, variables: Mapping[str, Any], keys: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Of every component the named keys, filled in."""
    components = variables.get("aistack_components") or {}
    if not isinstance(components, Mapping):
        components = templar.template(components)
    wanted = tuple(keys)
    asked = {name: {key: component[key] for key in wanted if key in component} for name, component in components.items()}
    found: dict[str, dict[str, Any]] = templar.template(asked)
    return found


def of_hosts(variables: Mapping[str, Any], name: str, key: str = "") -> dict[str, Any]:
    """Host to what it has in a variable that a task registered, or a task before has set; C({}) where it has none.

    With a ``key`` it is that of the variable. Hosts that failed or left the run are among them.
    """
    hostvars = variables["hostvars"]
    found = {host: hostvars.raw_get(host).get(name) or {} for host in variables.get("ansible_play_hosts_all") or []}
    return {host: value.get(key) for host, value in found.items()} if key else found
