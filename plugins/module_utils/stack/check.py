# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a stack description may say, and the orders that follow from it.

Everything here works on plain dictionaries, as they stand in ``inventories/<stack>/group_vars/all/``,
and reports *all* problems at once, each with the key that has to be changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import (
    COMPONENT_NAME,
    NODE_PATH,
    OWN_UNITS,
    STACK_NAME,
    unfit_release,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import examine, nearest
from ansible_collections.phasegate.aistack.plugins.module_utils.core.service_user import check_user, same_user
from ansible_collections.phasegate.aistack.plugins.module_utils.edge import pool
from ansible_collections.phasegate.aistack.plugins.module_utils.edge.rules import check_assets, check_edge
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.trigger import check_triggers
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring import description as monitoring
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.targets import of_role
from ansible_collections.phasegate.aistack.plugins.module_utils.release import image, lock_file, place, tree_names
from ansible_collections.phasegate.aistack.plugins.module_utils.release.unit_access import Places, check_access, check_places
from ansible_collections.phasegate.aistack.plugins.module_utils.rollout import compatible, strategy
from ansible_collections.phasegate.aistack.plugins.module_utils.stack import hosts, instances, release_tasks
from ansible_collections.phasegate.aistack.plugins.module_utils.stack.description import ASKING, REACHED, ROLE_KINDS, VARIABLES

MAKING = (
    "path", "image", "lock", "context", "includes", "python", "build", "build_env", "sdists", "install_scripts", "tests", "test_env",
    "test_env_from", "test_network",
)
"""Keys about how a release is made."""
SERVING = ("output", "migrations", "edge", "assets", "slots", "strategy", "careful", "runs_with", "instances", "env")
"""Further keys that only a component which runs a release has a use for."""
NOT_IN_IMAGES = (
    "lock", "context", "includes", "python", "build", "build_env", "sdists", "install_scripts", "tests", "test_env", "test_env_from",
    "test_network", "output", "just_in_time", "devices",
)
"""Keys that nothing reads of a component whose release is an image."""
SECTIONS = ("applications", "ports", "env", "acceptance", "components", "phases")
"""Variables that refer to each other, without ``aistack_``."""


def _unknown_names(where: str, names: Iterable[str], known: Iterable[str], what: str) -> list[str]:
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


def phases_of(phases: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """The phases that contain one of the named components, and those that stand on such a phase."""
    wanted = set(names)
    holding = {phase for phase, value in phases.items() if wanted & set(value.get("components", []))}
    return [phase for phase in phases if phase in holding or holding & set(required_phases(phases, phase))]


def check_phases(phases: Mapping[str, Any], components: Mapping[str, Any], acceptance: Mapping[str, Any], whole: bool = True) -> list[str]:
    """Problems in ``aistack_phases``. Without ``whole`` something is missing there, so that nobody can say what belongs to no phase."""
    problems: list[str] = []
    seen: list[str] = []
    owner: dict[str, str] = {}
    for name, phase in phases.items():
        where = f"aistack_phases.{name}"
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
        if whole and phases and component not in owner:
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
    named = component.get("migrations", {}).get("evidence", [])
    problems += _unknown_names(f"{where}.migrations.evidence", named, stack["acceptance"], "acceptance probe")
    slots = component.get("slots", {})
    if "long_tasks" in slots and str(component.get("role")).rpartition(".")[2] != "worker":
        problems.append(f"{where}.slots.long_tasks: read of workers alone (role worker), which hold tasks; drop it")
    port = component.get("port")
    if port is not None:
        wanted = [port]
        if component.get("application") or source:
            wanted += [f"{port}_blue", f"{port}_green"]
        problems += [f"{where}.port: aistack_ports has no '{key}'" for key in wanted if key not in stack["ports"]]
    if component.get("env") is not None and component["env"] not in stack["env"]:
        problems.append(f"{where}.env: aistack_env has no '{component['env']}'{nearest(component['env'], stack['env'])}")
    return problems


def _check_role(where: str, component: Mapping[str, object], roles: Iterable[str]) -> list[str]:
    """Problems in what a component's role can do: whether it is there, and whether it runs what the component is."""
    role = str(component["role"]).removeprefix("phasegate.aistack.")
    if "." in role:
        return []  # somebody else's
    known = list(roles)
    if known and role not in known:
        return [f"{where}.role: this collection has no role '{role}'{nearest(role, known)}; one of another has its full name"]
    if not (component.get("application") or component.get("release_from")):
        if role in ROLE_KINDS:
            return [f"{where}: role {role} runs a release; say which: 'application', or 'release_from' for that of another component"]
        return []
    if role not in ROLE_KINDS:
        known = sorted(ROLE_KINDS)
        return [f"{where}.role: role {role} runs no release; drop 'application' and 'release_from', or take one of {', '.join(known)}"]
    kind = component.get("kind", "python")
    if component.get("release_from") or kind in ROLE_KINDS[role]:
        return []  # the tree is that of the other component
    others = sorted(name for name, kinds in ROLE_KINDS.items() if kind in kinds)
    said = f"is {kind}" if "kind" in component else f"is not given, which means {kind}"
    besides = f", or take another role ({', '.join(others)})" if others else f"; no role of this collection runs {kind}"
    return [f"{where}.kind: {said}, and role {role} runs {' or '.join(ROLE_KINDS[role])}; write kind: {ROLE_KINDS[role][0]}{besides}"]


def _unread(where: str, component: Mapping[str, object]) -> list[str]:
    """Keys that the component's kind has no use for. A role of somebody else's may read any."""
    role = str(component.get("role", "")).removeprefix("phasegate.aistack.")
    source = component.get("release_from")
    if source:
        told = f"nothing reads it, since its tree is that of '{source}'; say it there"
        return [f"{where}.{key}: {told}" for key in MAKING if key in component]
    if component.get("application") or "." in role or role in ROLE_KINDS:
        return []
    return [f"{where}.{key}: nothing reads it, since {role} runs no release; drop it" for key in (*MAKING, *SERVING) if key in component]


def _check_image(where: str, name: str, component: Mapping[str, Any], components: Mapping[str, Any]) -> list[str]:
    """Problems of a component that runs containers: kind image, runtime compose and a role that knows both go together."""
    source = component.get("release_from")
    kind = (components.get(source) or {}).get("kind") if source else component.get("kind")
    role = str(component.get("role")).removeprefix("phasegate.aistack.")
    runs, is_image = component.get("runtime") == "compose", kind == "image"
    if not (runs or is_image or role == "container"):
        told = "nothing reads it, since its kind is not image; drop it, or write kind: image"
        return [f"{where}.image: {told}"] if "image" in component else []
    problems = []
    if not is_image:
        said = f"that of '{source}' is {kind or 'python'}" if source else "write kind: image"
        problems.append(f"{where}.kind: containers run releases that are images; {said}")
    if not runs:
        problems.append(f"{where}.runtime: a release that is an image runs in containers; write runtime: compose")
    if role in ROLE_KINDS and role != "container":
        problems.append(f"{where}.role: role {role} runs processes of systemd and no image; write role: container")
    problems += [f"{where}.{key}: nothing reads it of an image; drop it" for key in NOT_IN_IMAGES if key in component]
    gate = component.get("gate")
    problems += [
        f"{where}.gate[{number}]: celery asks with the release's Python, which is in the image; name one of the node (python), with its cwd"
        for number, probe in enumerate(gate if isinstance(gate, list) else [])
        if isinstance(probe, Mapping) and probe.get("celery") and not probe.get("python")
    ]
    if not source:
        problems += image.source_problems(f"{where}.image", component.get("image"))
        try:
            image.reference(name, "0.0.0", "0" * image.SHORT)
        except image.ImageNameError as error:
            problems.append(f"{where}: {error}")
    options = component.get("options") or {}
    problems += image.option_problems(f"{where}.options", options) if role == "container" else []
    if component.get("port") and role == "container" and not options.get("port") and options.get("network") != "host":
        problems.append(f"{where}.options.port: is missing: the port that its process listens on inside its container")
    if not any(str((components.get(before) or {}).get("role")).rpartition(".")[2] == "docker" for before in component.get("after", [])):
        docker = next((other for other, value in components.items() if str(value.get("role")).rpartition(".")[2] == "docker"), "")
        way = f"add '{docker}'" if docker else "describe a component with role docker, and name it here"
        problems.append(f"{where}.after: names no component with role docker, which containers need; {way}")
    return problems


def _check_counted(where: str, component: Mapping[str, object]) -> list[str]:
    """A number of workers that a switch does not have: both slots answer while the old one still works."""
    if component.get("role") not in ("worker", "phasegate.aistack.worker") or component.get("strategy") == "recreate":
        return []
    gate = component.get("gate")
    probes = list(enumerate(gate)) if isinstance(gate, list) else []
    return [
        f"{where}.gate[{number}]: during a switch the workers of both slots answer, so that count: {probe['count']} fails; name those of "
        'the slot: workers: ["worker-${slot}@<host>"]'
        for number, probe in probes
        if isinstance(probe, Mapping) and probe.get("celery") and not probe.get("workers") and isinstance(probe.get("count"), int)
    ]


def _check_python(where: str, python: Mapping[str, Any]) -> list[str]:
    """Problems in what a component says about its interpreter."""
    version, source, digest = (str(python.get(key) or "") for key in ("version", "source", "sha256"))
    problems = []
    if version and not re.fullmatch(r"3\.\d+", version):
        problems.append(f"{where}.version: '{version}' is no version of Python; expected major and minor in quotes, such as \"3.13\"")
    if bool(source) != bool(digest):
        given = "source" if source else "sha256"
        problems.append(f"{where}: source and sha256 belong together: what is fetched is proven by its hash; got {given} alone")
    if digest and not re.fullmatch(r"[0-9a-fA-F]{64}", digest):
        problems.append(f"{where}.sha256: '{digest}' is no SHA-256; expected 64 hexadecimal digits")
    return problems


def _check_making(where: str, name: str, component: Mapping[str, Any], stack: Mapping[str, Any]) -> list[str]:
    """Problems in what a component says about its build and its tests."""
    environment = component.get("env", name)
    described = stack["env"].get(environment, {})
    schema = described.get("schema", [{"name": variable} for variable in described.get("values", {})])
    known = [str(entry.get("name")) for entry in schema]
    path = str(component.get("path") or "")
    wrong = lock_file.problem(component["lock"], component.get("kind", "python"), path) if component.get("lock") else ""
    problems = [f"{where}.lock: {wrong}"] if wrong else []
    problems += _check_python(f"{where}.python", component.get("python") or {})
    wrong = place.problem(path, component.get("context", ()))
    problems += [f"{where}.context: {wrong}"] if wrong else []
    kind = component.get("kind", "python")
    told = [place.include_problem(one, kind) for one in component.get("includes", ())] if kind != "image" else []
    problems += [f"{where}.includes[{number}]: {wrong}" for number, wrong in enumerate(told) if wrong]
    if component.get("path") and tree_names.leads_out(component["path"]):
        problems.append(f"{where}.path: '{component['path']}' leads out of the repository; expected a folder in it, such as backend")
    wrong = tree_names.output_problem(component.get("kind", "python"), component["output"]) if component.get("output") else ""
    problems += [f"{where}.output: {wrong}"] if wrong else []
    migrations = component.get("migrations", {})
    if tree_names.leads_out(migrations.get("config", "")):
        problems.append(f"{where}.migrations.config: '{migrations['config']}' leads out of the component's folder, and only that becomes "
                        "a part of a release: expected a file inside it, such as db/alembic.ini")
    problems += [f"{where}.migrations.x: '{argument}' cannot be the name of an argument; env.py reads NAME=VALUE up to the first ="
                 for argument in migrations.get("x", {}) if "=" in str(argument) or not str(argument).strip()]
    return problems + [
        f"{where}.{key}: the schema of aistack_env.{environment} has no '{variable}'{nearest(variable, known)}"
        for key in ("build_env", "test_env_from") for variable in component.get(key, []) if variable not in known
    ]


def _beside(name: str, components: Mapping[str, Any]) -> list[str]:
    """The components that the edge of *name* can lead to: those behind the edge of the same hosts."""
    hosts = components[name].get("hosts")
    return [
        other
        for other, component in components.items()
        if other != name and isinstance(component, Mapping) and component.get("port") and component.get("hosts") == hosts
        and (component.get("application") or component.get("release_from"))
    ]


def check_components(stack: Mapping[str, Any]) -> list[str]:
    """Problems in ``aistack_components``, the probes of their gates aside."""
    components: Mapping[str, Any] = stack["components"]
    groups: Mapping[str, Sequence[str]] = stack["groups"]
    problems: list[str] = []
    for name, component in components.items():
        where = f"aistack_components.{name}"
        if not COMPONENT_NAME.fullmatch(str(name)):
            problems.append(f"{where}: the name is to be of a-z, 0-9, '_' and '-', 64 at most, none of the two first; units are called so")
        elif name in OWN_UNITS and (component.get("application") or component.get("release_from")):
            problems.append(f"{where}: aistack-{name}@ is a unit of this collection; give the component another name")
        if component.get("hosts") and component["hosts"] not in groups:
            problems.append(f"{where}.hosts: no inventory group '{component['hosts']}'{nearest(component['hosts'], groups)}")
        if component.get("role"):
            problems += _check_role(where, component, stack.get("roles", ()))
        problems += _unknown_names(f"{where}.after", component.get("after", []), components, "component")
        problems += _check_release_keys(where, name, component, stack)
        problems += _check_image(where, name, component, components)
        problems += strategy.problems(where, component, len(groups.get(component.get("hosts", ""), ())), stack.get("triggers"))
        problems += compatible.problems(where, name, components)
        unread = _unread(where, component)
        problems += _check_counted(where, component) + unread + _check_making(where, name, component, stack)
        if "edge" in component:
            problems += check_edge(f"{where}.edge", component["edge"], _beside(name, components))
        if component.get("pool"):
            problems += pool.problems(name, components, groups, stack["ports"])
        if "assets" in component:
            problems += check_assets(f"{where}.assets", component["assets"])
        problems += instances.problems(where, component) if not any(".instances: " in line for line in unread) else []
        problems += check_user(where, component) + check_access(where, component)
        problems += monitoring.problems(where, component, stack["ports"]) + hosts.problems(where, name, components, groups)
    problems += same_user(components)
    if stack.get("root") and stack.get("state"):
        problems += check_places(components, Places(stack["root"], stack["state"]), groups)
    cycle = find_cycle({name: list(value.get("after", [])) for name, value in components.items()})
    if cycle:
        problems.append(f"aistack_components.{cycle[0]}.after: a cycle: {' -> '.join(cycle)}; no order would start these")
    return problems


def addressed(components: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Hosts that need an address: servers listen there, and some let in only whom they know by it."""
    role = {name: str(value.get("role", "")).removeprefix("phasegate.aistack.") for name, value in components.items()}
    hosts: set[str] = set()
    for name, value in components.items():
        after = value.get("after")
        asks = any(role.get(str(before)) in ASKING for before in (after if isinstance(after, list) else ()))
        if role[name] in REACHED or asks:
            hosts.update(groups.get(str(value.get("hosts")), ()))
    return sorted(hosts)


def check_base(name: str, root: str, state: str) -> list[str]:
    """Problems in what a stack is called and where it is on its nodes. An empty text is one that is not known here."""
    problems: list[str] = []
    if name and not STACK_NAME.fullmatch(name):
        problems.append(f"aistack_name: {name!r} cannot be a stack's name: letters, digits, '.', '_' and '-'; files are called so")
    for variable, path in (("aistack_root", root), ("aistack_state", state)):
        if path and not NODE_PATH.fullmatch(path):
            such = VARIABLES[variable].example
            problems.append(f"{variable}: must be an absolute path such as {such}, without blanks and '..', is {path!r}")
    if root and root.rstrip("/") == state.rstrip("/"):
        problems.append("aistack_state: is the folder of aistack_root as well; each has one of its own")
    return problems


def check_ports(ports: Mapping[str, Any]) -> list[str]:
    """Ports that are given twice."""
    problems: list[str] = []
    owner: dict[int, str] = {}
    for name, port in ports.items():
        if port in owner:
            problems.append(f"aistack_ports.{name}: {port} is already the port of '{owner[port]}'; every port is given once")
        else:
            owner[port] = name
    return problems


def _is_there(line: str, wrong: Iterable[str]) -> bool:
    """Whether a line says that a key is missing of which another one says what is wrong, at its path or below."""
    where, _colon, said = line.partition(": ")
    return said.startswith("is missing") and any(path == where or path.startswith(f"{where}.") for path in wrong)


def check_stack(stack: Mapping[str, Any], refer: bool = True) -> list[str]:
    """All structural problems of a stack, one line each.

    Args:
        stack: the mappings of SECTIONS as in the inventory's ``aistack_*`` variables, ``groups`` (group name to host names) and, where
            there are any, ``triggers``, and ``roles``, the names of the collection's roles;
            ``root`` and ``state`` say where it is on its nodes.
        refer: whether all of it is there, so that names that refer to others can be judged.
    """
    left: dict[str, Any] = dict(stack)
    problems: list[str] = []
    faulty: set[str] = set()
    for name in SECTIONS:
        kept, found = examine(f"aistack_{name}", stack[name], VARIABLES[f"aistack_{name}"])
        left[name] = kept or {}
        problems += found
        faulty |= {name} if found else set()
    problems += check_ports(left["ports"])
    for name, application in left["applications"].items():
        problems += unfit_release(f"aistack_applications.{name}.release", application.get("release"))
    if not refer:
        return problems
    wrong = [line.partition(": ")[0] for line in problems]
    # what is wrong in itself is left out, but its name is there to be referred to
    for name in SECTIONS:
        if isinstance(stack[name], Mapping):
            left[name] = {key: left[name].get(key, {} if name != "ports" else None) for key in stack[name]}
    # what is there and is wrong is not missing besides
    problems += [line for line in check_components(left) if not _is_there(line, wrong)]
    problems += release_tasks.problems(left["applications"], left["components"])
    problems += check_phases(left["phases"], left["components"], left["acceptance"], "phases" not in faulty)
    places = [*stack["groups"], *stack["groups"].get("all", ())]
    return problems + check_triggers(stack.get("triggers"), places, left["components"], bool(of_role(left["components"], "prometheus")))
