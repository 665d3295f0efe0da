# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""C(aistack_environment) in two: what everybody may read, and what holds a password or a token.

Ansible writes the keyword C(environment) into the command that starts a module, so that it stands in the list of processes and in
sudo's log. It gets the open half. The other one goes to a module as an argument that is not logged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ansible_collections.phasegate.aistack.plugins.module_utils.core.masking import SHORTEST, is_secret, without_credentials
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.schema import as_text

_USERINFO = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^\s/]*@", re.IGNORECASE)
_ANY = re.compile(r"^(?P<scheme>\s*([a-z][a-z0-9+.-]*://)?).*@", re.IGNORECASE | re.DOTALL)
"""User information of a proxy, which has no path: also without a scheme, also with signs that should have been encoded."""
_PERHAPS = re.compile(r"://[^\s/:@]*:(?!\d+(/|$))\S*@", re.IGNORECASE)
"""User information with a slash that should have been encoded: behind a host there would be a number."""
_APT = re.compile(r"(https?)_proxy", re.IGNORECASE)


def split(environment: Mapping[str, object]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the open variables, and those that are secret as they are.

    The open ones have the addresses of the secret ones too, without who logs in: a tool that only gets these is refused by the proxy, at
    once and in plain words, instead of trying without a proxy until its time is over. What is secret by its name, or in a query, is
    not among them at all.
    """
    shown: dict[str, str] = {}
    secret: dict[str, str] = {}
    for name, raw in environment.items():
        value = as_text(raw)
        address = (_ANY if name.lower().endswith("_proxy") else _USERINFO).sub(r"\g<scheme>", value)
        named = is_secret(name) and "://" not in value and len(value) >= SHORTEST
        perhaps = _PERHAPS.search(address) is not None
        if address == value and without_credentials(value) == value and not named and not perhaps:
            shown[name] = value
            continue
        secret[name] = value
        if address != value and without_credentials(address) == address and not perhaps:
            shown[name] = address
    return shown, secret


def apt_conf(secret: Mapping[str, str]) -> str:
    """Return apt's own words for the proxies among secret variables; empty where there is none.

    apt prefers them to its environment, and reads them from the file that C(APT_CONFIG) names.
    """
    found = {match.group(1).lower(): value for name, value in secret.items() if (match := _APT.fullmatch(name))}
    lines = []
    for scheme, value in sorted(found.items()):
        address = value if "://" in value else f"http://{value}"
        address = address.replace("\\", "%5C").replace('"', "%22").replace(";", "%3B")
        lines.append(f'Acquire::{scheme}::Proxy "{address}";\n')
    return "".join(lines)
