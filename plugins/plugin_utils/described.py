# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parts of the check of a description: every probe in it, and the logins that its servers' roles manage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.probe_spec import ProbeError
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option, nearest, problems as faults
from ansible_collections.phasegate.aistack.plugins.module_utils.environment import check as env_check
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.spec import normalise
from ansible_collections.phasegate.aistack.plugins.module_utils.report.verify import LEVELS
from ansible_collections.phasegate.aistack.plugins.module_utils.stack.description import VARIABLES

LEVEL = Option("str", "level of the checklist", choices=LEVELS)
"""What a probe of ``aistack_verify`` has besides."""


def _listed(value: Any) -> list[Any]:
    """A list as it is; nothing where it is none, which is told elsewhere."""
    return value if isinstance(value, list) else []


def nothing_described(components: Mapping[str, Any]) -> list[str]:
    """That nothing stands where all of a stack does: said once, instead of all that speaks of what would stand there."""
    entry = VARIABLES["aistack_components"]
    return [] if components else [f"aistack_components: is empty: {entry.help}; write such as {entry.example}"]


def good_words(name: object, stack: Mapping[str, Any]) -> str:
    """What is said of a description without faults: how much of it there is."""
    hosts = {host for value in stack["components"].values() for host in stack["groups"].get(str(value.get("hosts")), ())}
    numbers = [(len(stack["components"]), "component"), (len(hosts), "host"), (len(stack["phases"]), "phase")]
    counted = ", ".join(f"{number} {word}{'' if number == 1 else 's'}" for number, word in numbers)
    return f"The description of the stack '{name}' is good: {counted}. No node was asked."


def probe_problems(stack: dict[str, Any]) -> list[str]:
    """Faults of all probes: those of the gates, and those of the acceptance."""
    lists = [
        (f"aistack_components.{name}.gate", name, component.get("gate", []))
        for name, component in stack["components"].items()
        if isinstance(component, dict)
    ]
    lists += [(f"aistack_acceptance.{name}", None, [{**probe, "name": name} if isinstance(probe, dict) else probe])
              for name, probe in stack["acceptance"].items()]
    problems: list[str] = []
    for number, probe in enumerate(_listed(stack.get("drain"))):
        lists.append((f"aistack_drain[{number}]", "", [probe]))
    for number, probe in enumerate(_listed(stack.get("verify"))):
        where = f"aistack_verify[{number}]"
        if not isinstance(probe, dict):
            continue
        problems += faults(f"{where}.level", probe.get("level"), LEVEL)
        lists.append((where, "", [{key: value for key, value in probe.items() if key != "level"}]))
    for where, component, probes in lists:
        for index, probe in enumerate(_listed(probes)):
            place = f"{where}[{index}]" if component else where
            try:
                normalise(probe, component or None)
            except ProbeError as error:
                problems += [f"{place}: {problem}" for problem in error.problems]
                continue
            source = str(probe.get("from") or "")
            if source and source not in stack["groups"] and source not in stack["hosts"]:
                problems.append(f"{place}.from: no group or host '{source}'{nearest(source, [*stack['groups'], *stack['hosts']])}")
            if component is None and not source:
                problems.append(f"{place}: 'from' is missing; an acceptance probe names the group that asks")
    return problems


_WINDOWS = {"ansible_connection": ("winrm", "psrp"), "ansible_shell_type": ("powershell", "cmd")}


def unmanaged_hosts(components: Mapping[str, Any], groups: Mapping[str, Any], raw: Callable[[str], Mapping[str, Any]]) -> list[str]:
    """Hosts of components that the inventory itself says are Windows. ``raw`` gives the variables of a host as they stand."""
    hosts = sorted({host for value in components.values() for host in groups.get(str(value.get("hosts")), ())})
    return [
        f"{host}: {variable}: {raw(host)[variable]} means Windows, and no run manages such a node yet; expected one with systemd, over ssh"
        for host in hosts for variable, values in _WINDOWS.items()
        if str(raw(host).get(variable, "")).rpartition(".")[2] in values
    ]


# by role: the variables that hold its users, and the keys of name and password in there
ACCOUNTS = {
    "postgres": ("postgres_users", "name", "password"),
    "redis": ("redis_users", "name", "password"),
    "minio": ("minio_users", "key", "secret"),
}


def managed_accounts(component: Mapping[str, Any], stack: Mapping[str, Any], read: Callable[[str, str], Any]) -> list[env_check.Account]:
    """The logins that a server's role manages; none for other roles. ``read`` takes a host and a variable."""
    role = str(component.get("role", "")).removeprefix("phasegate.aistack.")
    if role not in ACCOUNTS:
        return []
    variable, name, password = ACCOUNTS[role]
    hosts = tuple(stack["groups"].get(component.get("hosts"), []))
    accounts = []
    for host in hosts:
        port = read(host, f"{role}_port") or (read(host, "aistack_ports") or {}).get(role)
        tls = read(host, f"{role}_tls") or {}
        addresses = {str(read(host, key)) for key in ("aistack_address", "ansible_host")} | {host, *(tls.get("names") or [])}
        places = frozenset((address, int(port)) for address in addresses if port)
        entries = [(entry[name], entry[password], variable) for entry in read(host, variable) or []
                   if isinstance(entry, Mapping) and entry.get(name) and entry.get(password)]
        if role == "redis" and read(host, "redis_password"):
            entries.append(("default", read(host, "redis_password"), "redis_password"))
        accounts += [env_check.Account(role, str(user), str(value), source, hosts, places, bool(tls)) for user, value, source in entries]
    return accounts
