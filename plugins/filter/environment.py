# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters for environments: files in systemd's EnvironmentFile syntax, and the halves of C(aistack_environment)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import what
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.fetching import apt_conf as apt_conf_of, split
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.file import quote
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.placeholders import with_schemes
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.schema import as_text, described


def env_quote(value: Any) -> str:
    """A value in double quotes, as systemd and a shell read it; it becomes text as in an application's environment."""
    return quote(as_text(value))


def _halves(environment: Any) -> tuple[dict[str, str], dict[str, str]]:
    if not isinstance(environment, Mapping):
        raise AnsibleFilterError(
            f"aistack_environment is {what(environment, secret=True)}; expected a mapping of variables, such as "
            "{HTTPS_PROXY: 'http://proxy:3128'}. Correct it in the inventory."
        )
    return split(environment)


def described_environment(environment: Any) -> dict[str, object]:
    """An entry of ``aistack_env`` with both of its halves, also where it has no schema."""
    schema, values = described(environment)
    return {"schema": list(schema), "values": dict(values)}


def open_environment(environment: Any) -> dict[str, str]:
    """What of an environment may stand on a command line."""
    return _halves(environment)[0]


def secret_environment(environment: Any) -> dict[str, str]:
    """What of an environment may not stand on a command line."""
    return _halves(environment)[1]


def apt_conf(environment: Any) -> str:
    """The proxies of an environment that need a password, as a configuration of apt; empty where there is none."""
    return apt_conf_of(_halves(environment)[1])


def env_schemes(environment: Any) -> list[dict[str, object]]:
    """The schema of an environment; an address in it with the scheme of its value, and nothing else of that value."""
    return with_schemes(*described(environment))


class FilterModule:
    """Names of the filters."""

    def filters(self) -> dict[str, Any]:
        """Map the name of each filter to its function."""
        return {
            "apt_conf": apt_conf,
            "described_environment": described_environment,
            "env_quote": env_quote,
            "env_schemes": env_schemes,
            "open_environment": open_environment,
            "secret_environment": secret_environment,
        }
