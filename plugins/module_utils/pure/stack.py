# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a stack description may say, and the orders that follow from it.

Everything here works on plain dictionaries, as they stand in ``inventories/<stack>/group_vars/all/``,
and reports *all* problems at once, each with the key that has to be changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.pure import lock_file
from ansible_collections.phasegate.aistack.plugins.module_utils.pure.edge_rules import check_assets, check_edge
from ansible_collections.phasegate.aistack.plugins.module_utils.pure.metric_trigger import check_triggers
from ansible_collections.phasegate.aistack.plugins.module_utils.pure.names import COMPONENT_NAME, OWN_UNITS
from ansible_collections.phasegate.aistack.plugins.module_utils.pure.service_user import check_user, same_user
from ansible_collections.phasegate.aistack.plugins.module_utils.pure.unit_access import Places, check_access, check_places

PHASE_KEYS = {"title", "requires", "components", "acceptance", "preflight", "note"}
COMPONENT_KEYS = {
    "acceptance", "after", "application", "assets", "build", "build_env", "cache", "devices", "edge", "env", "exposed", "gate",
    "gate_settings", "hosts", "install_scripts", "just_in_time", "kind", "lock", "migrations", "options", "output", "path", "port",
    "release_from", "role", "runtime", "sdists", "slots", "strategy", "test_env", "test_env_from", "test_network", "tests", "title",
    "unit", "user", "writable",
}
APPLICATION_KEYS = {"repo", "release"}
MIGRATION_KEYS = {"tables", "config", "x", "database", "policy", "budget", "lock_timeout", "statement_timeout", "backup", "evidence"}
GATE_SETTING_KEYS = {"interval", "successes", "failures", "min_healthy_time", "start_period", "deadline"}
SLOT_KEYS = {"warm", "drain_timeout", "stop_timeout", "long_tasks"}
LONG_TASKS = ("tell", "wait", "refuse")
RUNTIMES = ("systemd", "launchd", "windows", "compose", "swarm", "kubernetes")
STRATEGIES = ("bluegreen", "recreate")
KINDS = ("python", "node", "static")


class StackError(ValueError):
    """A stack description that cannot be used; ``problems`` has one line for each fault."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?``, or the whole choice where nothing is close and it is short."""
    choice = sorted(str(item) for item in known)
    close = get_close_matches(str(name), choice, n=1, cutoff=0.5)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(choice)}" if choice and len(choice) <= 30 else ""


def _unknown_keys(where: str, value: Any, known: set[str]) -> list[str]:
    if not isinstance(value, Mapping):
        return [f"{where}: must be a mapping, is {type(value).__name__}"]
    return [f"{where}: unknown key '{key}'{nearest(key, known)}" for key in value if key not in known]


def _unknown_names(where: str, names: Any, known: Iterable[str], what: str) -> list[str]:
    if isinstance(names, str) or not isinstance(names, Sequence):
        return [f"{where}: must be a list of {what}s, is {type(names).__name__}"]
    known = list(known)
    return [f"{where}: unknown {what} '{name}'{nearest(name, known)}" for name in names if name not in known]


def find_cycle(edges: Mapping[str, Sequence[str]]) -> list[str]:
    """Return one cycle as ``[a, b, a]``, or an empty list. ``edges`` maps a node to those that it comes after."""
    done: set[str] = set()
    path: list[str] = []

    def visit(node: str) -> list[str]:
        if node in path:
            return [*path[path.index(node):], node]
        if node in done or node not in edges:
            return []
        path.append(node)
        for before in edges[node]:
            cycle = visit(before)
            if cycle:
                return cycle
        path.pop()
        done.add(node)
        return []

    for node in edges:
        cycle = visit(node)
        if cycle:
            return cycle
    return []


def dependency_order(components: Mapping[str, Mapping[str, Any]], only: Iterable[str] | None = None) -> list[str]:
    """Order components so that each comes behind those in its ``after``; ties keep the order of the inventory."""
    order: list[str] = []

    def visit(name: str) -> None:
        if name in order or name not in components:
            return
        component = components[name]
        for before in [*component.get("after", ()), component.get("release_from")]:
            if before:
                visit(before)
        order.append(name)

    for name in components:
        visit(name)
    wanted = set(components) if only is None else set(only)
    return [name for name in order if name in wanted]


def required_phases(phases: Mapping[str, Mapping[str, Any]], phase: str) -> list[str]:
    """All phases that ``phase`` stands on, directly or not, in the order of the inventory."""
    found: set[str] = set()

    def visit(name: str) -> None:
        for needed in phases.get(name, {}).get("requires", ()):
            if needed not in found:
                found.add(needed)
                visit(needed)

    visit(phase)
    return [name for name in phases if name in found]


def check_phases(phases: Mapping[str, Any], components: Mapping[str, Any], acceptance: Mapping[str, Any]) -> list[str]:
    """Problems in ``aistack_phases``."""
    problems: list[str] = []
    seen: list[str] = []
    owner: dict[str, str] = {}
    for name, phase in phases.items():
        where = f"aistack_phases.{name}"
        problems += _unknown_keys(where, phase, PHASE_KEYS)
        if isinstance(phase, Mapping):
            problems += _unknown_names(f"{where}.requires", phase.get("requires", []), phases, "phase")
            for needed in phase.get("requires", []):
                if needed in phases and needed not in seen:
                    problems.append(f"{where}.requires: '{needed}' does not come before '{name}'; move it up, or drop it here")
            problems += _unknown_names(f"{where}.components", phase.get("components", []), components, "component")
            for component in phase.get("components", []):
                if component in owner:
                    problems.append(f"{where}.components: '{component}' already belongs to {owner[component]}")
                owner.setdefault(component, name)
            problems += _unknown_names(f"{where}.acceptance", phase.get("acceptance", []), acceptance, "acceptance probe")
        seen.append(name)
    for component in components:
        if phases and component not in owner:
            problems.append(f"aistack_components.{component}: belongs to no phase; name it in aistack_phases.<phase>.components")
    return problems


def _check_release_keys(where: str, name: str, component: Mapping[str, Any], stack: Mapping[str, Any]) -> list[str]:
    problems: list[str] = []
    components = stack["components"]
    applications = stack["applications"]
    if component.get("application") is not None and component["application"] not in applications:
        problems.append(f"{where}.application: unknown application '{component['application']}'"
                        f"{nearest(component['application'], applications)}")
    source = component.get("release_from")
    if source is not None:
        if source not in components:
            problems.append(f"{where}.release_from: unknown component '{source}'{nearest(source, components)}")
        elif not components[source].get("application"):
            problems.append(f"{where}.release_from: '{source}' has no application of its own to take a release from")
        if component.get("application"):
            problems.append(f"{where}: has both 'application' and 'release_from'; keep one")
    if component.get("strategy", "bluegreen") not in STRATEGIES:
        problems.append(f"{where}.strategy: '{component['strategy']}' is not one of {', '.join(STRATEGIES)}")
    if component.get("kind", "python") not in KINDS:
        problems.append(f"{where}.kind: '{component['kind']}' is not one of {', '.join(KINDS)}")
    for key, known in (("migrations", MIGRATION_KEYS), ("gate_settings", GATE_SETTING_KEYS), ("slots", SLOT_KEYS)):
        if key in component:
            problems += _unknown_keys(f"{where}.{key}", component[key], known)
    if isinstance(component.get("migrations"), Mapping):
        named = component["migrations"].get("evidence", [])
        problems += _unknown_names(f"{where}.migrations.evidence", named, stack["acceptance"], "acceptance probe")
    slots = component.get("slots")
    if isinstance(slots, Mapping) and slots.get("long_tasks", "tell") not in LONG_TASKS:
        problems.append(f"{where}.slots.long_tasks: '{slots['long_tasks']}' is not one of {', '.join(LONG_TASKS)}")
    if isinstance(slots, Mapping) and "long_tasks" in slots and str(component.get("role")).rpartition(".")[2] != "worker":
        problems.append(f"{where}.slots.long_tasks: only workers (role worker) hold tasks")
    port = component.get("port")
    if port is not None:
        wanted = [port]
        if component.get("application") or source:
            wanted += [f"{port}_blue", f"{port}_green"]
        problems += [f"{where}.port: aistack_ports has no '{key}'" for key in wanted if key not in stack["ports"]]
    if component.get("env") is not None and component["env"] not in stack["env"]:
        problems.append(f"{where}.env: aistack_env has no '{component['env']}'{nearest(component['env'], stack['env'])}")
    if component.get("strategy") == "recreate" and len(stack["groups"].get(component.get("hosts", ""), ())) > 1:
        problems.append(f"{where}.hosts: exactly one host may run '{name}' (strategy recreate), the group "
                        f"'{component['hosts']}' has {len(stack['groups'][component['hosts']])}")
    return problems


def _names(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(name, str) for name in value)


def _check_making(where: str, name: str, component: Mapping[str, Any], stack: Mapping[str, Any]) -> list[str]:
    """Problems in what a component says about its build and its tests."""
    problems: list[str] = []
    environment = component.get("env") or name
    described = stack["env"].get(environment) if isinstance(environment, str) else None
    schema = described.get("schema") if isinstance(described, Mapping) else None
    known = [str(entry.get("name")) for entry in schema or () if isinstance(entry, Mapping)]
    for key in ("build_env", "test_env_from"):
        named = component.get(key, [])
        if not _names(named):
            problems.append(f"{where}.{key}: must be a list of names of variables, is {type(named).__name__}")
            continue
        problems += [
            f"{where}.{key}: the schema of aistack_env.{environment} has no '{variable}'{nearest(variable, known)}"
            for variable in named if variable not in known
        ]  # fmt: skip
    if not isinstance(component.get("test_env", {}), Mapping):
        problems.append(f"{where}.test_env: must be a mapping of names to values, is {type(component['test_env']).__name__}")
    for key in ("install_scripts", "test_network"):
        if not isinstance(component.get(key, False), bool):
            problems.append(f"{where}.{key}: must be true or false, is {component[key]!r}")
    if "lock" in component and not isinstance(component["lock"], str):
        problems.append(f"{where}.lock: must be the name of a file in the component's path, is {component['lock']!r}")
    elif component.get("lock"):
        wrong = lock_file.problem(component["lock"], component.get("kind", "python"))
        problems += [f"{where}.lock: {wrong}"] if wrong else []
    sdists = component.get("sdists", False)
    if not (isinstance(sdists, bool) or _names(sdists)):
        problems.append(f"{where}.sdists: must be true, false or a list of packages, is {sdists!r}")
    return problems


def _beside(name: str, components: Mapping[str, Any]) -> list[str]:
    """The components that the edge of *name* can lead to: those behind the edge of the same hosts."""
    hosts = components[name].get("hosts")
    return [
        other
        for other, component in components.items()
        if other != name and isinstance(component, Mapping) and component.get("port") and component.get("hosts") == hosts
        and (component.get("application") or component.get("release_from"))
    ]  # fmt: skip


def check_components(stack: Mapping[str, Any]) -> list[str]:
    """Problems in ``aistack_components``, the probes of their gates aside."""
    components: Mapping[str, Any] = stack["components"]
    groups: Mapping[str, Sequence[str]] = stack["groups"]
    problems: list[str] = []
    for name, component in components.items():
        where = f"aistack_components.{name}"
        problems += _unknown_keys(where, component, COMPONENT_KEYS)
        if not isinstance(component, Mapping):
            continue
        if not COMPONENT_NAME.fullmatch(str(name)):
            problems.append(f"{where}: the name is to be of a-z, 0-9, '_' and '-', 64 at most, none of the two first; units are called so")
        elif name in OWN_UNITS and (component.get("application") or component.get("release_from")):
            problems.append(f"{where}: aistack-{name}@ is a unit of this collection; give the component another name")
        problems += [f"{where}: '{key}' is missing" for key in ("role", "hosts") if not component.get(key)]
        if component.get("hosts") and component["hosts"] not in groups:
            problems.append(f"{where}.hosts: no inventory group '{component['hosts']}'{nearest(component['hosts'], groups)}")
        if component.get("runtime", "systemd") not in RUNTIMES:
            problems.append(f"{where}.runtime: '{component['runtime']}' is not one of {', '.join(RUNTIMES)}")
        problems += _unknown_names(f"{where}.after", component.get("after", []), components, "component")
        problems += _check_release_keys(where, name, component, stack)
        problems += _check_making(where, name, component, stack)
        if "edge" in component:
            problems += check_edge(f"{where}.edge", component["edge"], _beside(name, components))
        if "assets" in component:
            problems += check_assets(f"{where}.assets", component["assets"])
        problems += check_user(where, component)
        problems += check_access(where, component)
    problems += same_user(components)
    if stack.get("root") and stack.get("state"):
        problems += check_places(components, Places(stack["root"], stack["state"]), groups)
    cycle = find_cycle({name: list(value.get("after", [])) for name, value in components.items() if isinstance(value, Mapping)})
    if cycle:
        problems.append(f"aistack_components.{cycle[0]}.after: a cycle: {' -> '.join(cycle)}; no order would start these")
    return problems


def check_ports(ports: Mapping[str, Any]) -> list[str]:
    """Ports that are no ports, and ports that are given twice."""
    problems: list[str] = []
    owner: dict[int, str] = {}
    for name, port in ports.items():
        where = f"aistack_ports.{name}"
        if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
            problems.append(f"{where}: {port!r} is not a port (1 to 65535)")
        elif port in owner:
            problems.append(f"{where}: {port} is already the port of '{owner[port]}'; every port is given once")
        else:
            owner[port] = name
    return problems


def check_stack(stack: Mapping[str, Any]) -> list[str]:
    """All structural problems of a stack, one line each.

    ``stack`` has the keys ``phases``, ``components``, ``acceptance``, ``applications``, ``ports``, ``env`` (mappings,
    as in the inventory's ``aistack_*`` variables), ``groups`` (group name to host names) and, where there are any, ``triggers``;
    ``root`` and ``state`` say where it is on its nodes.
    """
    problems: list[str] = []
    for name, application in stack["applications"].items():
        where = f"aistack_applications.{name}"
        problems += _unknown_keys(where, application, APPLICATION_KEYS)
        if isinstance(application, Mapping):
            problems += [f"{where}: '{key}' is missing" for key in sorted(APPLICATION_KEYS) if not application.get(key)]
    problems += check_ports(stack["ports"])
    problems += check_components(stack)
    problems += check_phases(stack["phases"], stack["components"], stack["acceptance"])
    places = [*stack["groups"], *stack["groups"].get("all", ())]
    return problems + check_triggers(stack.get("triggers"), places, stack["components"])
