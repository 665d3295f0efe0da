# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters over the description of a stack: which probes, in which order, from which node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from jinja2 import pass_context

from ansible_collections.phasegate.aistack.plugins.module_utils.core import names as core_names
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import SLOTS
from ansible_collections.phasegate.aistack.plugins.module_utils.core.service_user import service_users
from ansible_collections.phasegate.aistack.plugins.module_utils.edge import pool
from ansible_collections.phasegate.aistack.plugins.module_utils.edge.rules import assets_of
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.default import Read, probes_of
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.spec import normalise
from ansible_collections.phasegate.aistack.plugins.module_utils.release.leavings import on_controller
from ansible_collections.phasegate.aistack.plugins.module_utils.release.unit_access import Places, access_of, check_access, check_places
from ansible_collections.phasegate.aistack.plugins.module_utils.rollout import compatible, plan as rollout
from ansible_collections.phasegate.aistack.plugins.module_utils.stack import server_clients as clients
from ansible_collections.phasegate.aistack.plugins.module_utils.stack.check import dependency_order, required_phases
from ansible_collections.phasegate.aistack.plugins.module_utils.stack.verbs import matches_none
from ansible_collections.phasegate.aistack.plugins.plugin_utils import asked


def nodes(groups: Mapping[str, Sequence[str]], wanted: str, phases: bool = False) -> str:
    """Where the plays of a verb run. A group without hosts would end them at once, with status 0: so that the first task, which refuses
    it, runs at all, everything is taken then. Before any task, this is where a run that begins in the middle is refused, and where
    the *phases* are named to those who have the tags listed.
    """
    refusal = asked.start_refusal()
    if refusal:
        raise AnsibleFilterError(refusal)
    if phases:
        asked.show_phases(groups, str(wanted))
    return str(wanted) if not matches_none(str(wanted), groups) else "all" if groups.get("all") else "localhost"


def variable(context: Any) -> Read:
    """Read variables out of a template's context; what is not there, or speaks of what is not there, is None."""

    def read(name: str) -> Any:
        try:
            return context.get(name) if context is not None else None
        except Exception:  # noqa: BLE001 - whatever a variable of the operator's may raise, the role will say it better
            return None

    return read


@pass_context
def gate_probes(context: Any, components: Mapping[str, Any], names: Iterable[str] | None = None) -> list[dict[str, object]]:
    """The probes of the gates of the named components, canonical, each with the group of hosts it runs on. What has no gate gets
    that of its role.
    """
    wanted = list(components) if names is None else list(names)
    return [
        dict(normalise(probe, name), hosts=components[name]["hosts"])
        for name in wanted
        for probe in probes_of(components[name], variable(context))
    ]


def slot_probes(components: Mapping[str, Any], name: str) -> list[dict[str, object]]:
    """The probes that judge a slot before it takes traffic: those of the component that run on its own host."""
    return [normalise(probe, name) for probe in components[name].get("gate", []) if not probe.get("from")]


def unit_access(components: Mapping[str, Any], name: str, root: str, state: str) -> dict[str, object]:
    """What the unit of a component opens of its host. Raises AnsibleFilterError where that is somebody else's."""
    places = Places(root, state)
    problems = [*check_access(f"aistack_components.{name}", components[name]), *check_places({name: components[name]}, places, {})]
    if problems:
        raise AnsibleFilterError("The unit cannot be written like this:\n" + "\n".join(problems))
    return access_of(name, components[name], places)


def acceptance_probes(acceptance: Mapping[str, Any], names: Iterable[str]) -> list[dict[str, object]]:
    """The named acceptance probes, canonical."""
    return [normalise(dict(acceptance[name], name=name), None) for name in names]


@pass_context
def phase_probes(context: Any, phases: Mapping[str, Any], components: Mapping[str, Any], acceptance: Mapping[str, Any],
                 names: Iterable[str], accepted: Iterable[str] = (), proven: Iterable[str] = ()) -> list[dict[str, object]]:
    """Everything that the named phases have to prove: gates of their components and their acceptance probes.

    Acceptance probes in ``accepted`` and components in ``proven`` are left out: they passed a moment ago, in this same run.
    """
    done, still = set(accepted), set(proven)
    probes: list[dict[str, Any]] = []
    for name in names:
        asked = [component for component in phases[name].get("components", []) if component not in still]
        probes += gate_probes(context, components, asked)
        probes += acceptance_probes(acceptance, [probe for probe in phases[name].get("acceptance", []) if probe not in done])
    return probes


def verify_probes(checks: Iterable[Mapping[str, object]]) -> list[dict[str, object]]:
    """The probes of ``aistack_verify``, canonical and without the level of the checklist that each stands on."""
    return [normalise({key: value for key, value in check.items() if key != "level"}, None) for check in checks]


def phase_components(phases: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """The components of the named phases, in their order."""
    return [component for name in names for component in phases[name].get("components", [])]


def released(components: Mapping[str, Any], application: str | None = None) -> list[str]:
    """Names of the components that run a release (of one application, or of any), in dependency order."""
    names = []
    for name in dependency_order(components):
        own = core_names.application_of(name, components)
        if own and application in (None, own):
            names.append(name)
    return names


def on_host(names: Iterable[str], components: Mapping[str, Any], groups: Mapping[str, Sequence[str]], host: str) -> list[str]:
    """Those of the named components that run on a host."""
    return [name for name in names if host in groups.get(components[name]["hosts"], [])]


def of_own_roles(names: Iterable[str], components: Mapping[str, Any]) -> list[str]:
    """Those of the named components whose role is one of this collection."""
    return [name for name in names if "." not in str(components[name]["role"]).removeprefix("phasegate.aistack.")]


def with_key(names: Iterable[str], components: Mapping[str, Any], key: str) -> list[str]:
    """Those of the named components whose description has a key."""
    return [name for name in names if key in components[name]]


def lent_trees(names: Iterable[str], components: Mapping[str, Any]) -> list[dict[str, object]]:
    """What M(phasegate.aistack.releases) is to be told of those of the named components that run the trees of another."""
    lent: dict[str, list[str]] = {}
    for name in names:
        source = components[name].get("release_from")
        if source:
            lent.setdefault(str(source), []).append(name)
    return [{"component": source, "state": "lent", "lent_to": borrowers} for source, borrowers in lent.items()]


def edge_frontends(components: Mapping[str, Any], ports: Mapping[str, int], groups: Mapping[str, Sequence[str]],
                   host: str, hostvars: Mapping[str, Any] | None = None) -> list[dict[str, object]]:
    """What the edge of a host has to front: the slotted components with a port that run on the same host, and the pools that it leads.

    Raises AnsibleFilterError where a pool joins what it cannot join; *hostvars* is needed for pools alone.
    """
    def read(other: str, variable: str) -> Any:
        return ((hostvars or {}).get(other) or {}).get(variable)

    pools = [name for name, one in components.items() if any(host in hosts for hosts in pool.hosts_of(one, groups))]
    problems = [line for name in pools for line in pool.problems(name, components, groups, ports) or
                pool.host_problems(name, components[name], groups, read)]
    if problems:
        raise AnsibleFilterError("The edge cannot be written like this:\n" + "\n".join(problems))
    found: list[dict[str, object]] = []
    for name in released(components):
        component = components[name]
        if component.get("port") and host in groups.get(component["hosts"], []):
            front = {"name": name, "port": ports[component["port"]],
                     "servers": {slot: ports[f"{component['port']}_{slot}"] for slot in SLOTS},
                     "assets": assets_of(component), **component.get("edge", {})}
            if component.get("pool"):
                front["trusted_proxies"] = [*front.get("trusted_proxies", []), *pool.addresses(component, groups, read)]
            alive = pool.alive(component)
            found.append({**front, "alive": alive} if alive else front)
        if component.get("pool") and host in pool.hosts_of(component, groups)[0]:
            found.append(pool.frontend(name, components, ports, groups, read))
    return found


def of_slot(conditions: Sequence[Mapping[str, Any]], component: str, slot: str, port: int) -> list[dict[str, object]]:
    """Triggers as they judge the one slot of a component that has a share of its requests."""
    return rollout.of_slot(conditions, component, slot, port)


def release_name(tag: Any) -> str:
    """What the release of a tag is called on nodes; a name stays one."""
    return core_names.release_name(str(tag))


def migrated(components: Mapping[str, Any]) -> list[str]:
    """Names of the components that bring migrations along: ``migrations: {}`` says so as well."""
    return [name for name in dependency_order(components) if components[name].get("migrations") is not None]


def migrated_elsewhere(components: Mapping[str, Any], groups: Mapping[str, Sequence[str]], host: str) -> dict[str, str]:
    """Components of a host whose database the first of their hosts migrates, with that host."""
    first = {name: groups[components[name]["hosts"]][0] for name in on_host(migrated(components), components, groups, host)}
    return {name: other for name, other in first.items() if other != host}


def networks(given: Iterable[Any]) -> dict[str, list[str]]:
    """Addresses and networks by family; a name is refused, because a filter of packets knows none."""
    try:
        return clients.networks(given)
    except ValueError as error:
        raise AnsibleFilterError(
            f"Who may reach a port is said in addresses and networks, such as 10.0.0.11 or 10.0.0.0/24: {error}. The default takes "
            "aistack_address of the hosts that use it; where that is a name, list their addresses in the role's variable (ollama_allow, "
            "comfyui_allow, jaeger_allow)."
        ) from error


def controller_leavings(
    applications: Mapping[str, object] | None, components: Iterable[str], artefacts: Any = None, secrets_dir: str = "", whole: bool = False
) -> dict[str, list[str]]:
    """What this controller keeps of components that go: C(remove), folders, and C(stays), sentences."""
    repos = [str(one["repo"]) for one in (applications or {}).values() if isinstance(one, Mapping) and one.get("repo")]
    return on_controller(repos, components, artefacts, secrets_dir, whole=whole)


class FilterModule:
    """Names of the filters."""

    def filters(self) -> dict[str, Any]:
        """Map the name of each filter to its function."""
        return {
            "client_hosts": clients.client_hosts,
            "networks": networks,
            "acceptance_probes": acceptance_probes,
            "controller_leavings": controller_leavings,
            "dependency_order": dependency_order,
            "edge_frontends": edge_frontends,
            "gate_probes": gate_probes,
            "lent_trees": lent_trees,
            "migrated": migrated,
            "migrated_elsewhere": migrated_elsewhere,
            "nodes": nodes,
            "of_own_roles": of_own_roles,
            "of_slot": of_slot,
            "on_host": on_host,
            "phase_components": phase_components,
            "phase_probes": phase_probes,
            "release_name": release_name,
            "released": released,
            "required_phases": required_phases,
            "runs_beside": compatible.beside,
            "service_users": service_users,
            "slot_probes": slot_probes,
            "unit_access": unit_access,
            "verify_probes": verify_probes,
            "with_key": with_key,
        }
