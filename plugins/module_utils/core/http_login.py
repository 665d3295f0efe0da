# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a server that speaks HTTP is named and logged in to, wherever somebody asks one: probes, triggers, gates."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option

LOGIN: Mapping[str, Option] = {
    "username": Option("str", "user of basic authentication"),
    "password_file": Option("str", "file on the node with the password for it"),
    "secret_file": Option("str", "file on the node with a bearer token"),
    "ca_file": Option("str", "CA certificates on the node, instead of the system's"),
}


def problems(spec: Mapping[str, Any]) -> list[str]:
    """What is wrong with C(target) and :data:`LOGIN` of *spec*, a line each; without a target that is left out."""
    found = []
    if bool(spec.get("username")) != bool(spec.get("password_file")):
        found.append("username and password_file belong together")
    if spec.get("secret_file") and spec.get("username"):
        found.append("secret_file or username, not both")
    if "target" in spec and not str(spec["target"]).startswith(("http://", "https://", "${")):
        found.append(f"'{spec['target']}' does not begin with http:// or https://")
    return found


def authorization(spec: Mapping[str, Any], read: Callable[[str], str]) -> dict[str, str]:
    """The header that *spec* logs in by; none where it has no login.

    Args:
        read: the content of a file with a secret, by its path. What it raises is raised.
    """
    if spec.get("username"):
        pair = f"{spec['username']}:{read(spec['password_file'])}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    if spec.get("secret_file"):
        return {"Authorization": f"Bearer {read(spec['secret_file'])}"}
    return {}


def refused(spec: Mapping[str, Any]) -> str:
    """What to do about a server that does not take the login of *spec*, status 401 or 403."""
    if spec.get("secret_file"):
        return f"it does not take the token in {spec['secret_file']}: renew it where it has ended"
    if spec.get("username"):
        return f"it does not take {spec['username']} with the password in {spec['password_file']}"
    return "it wants a login: give username and password_file, or secret_file"
