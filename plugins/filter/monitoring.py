# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that make the files of Prometheus, its exporters and Alertmanager out of the description of a stack."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.phasegate.aistack.plugins.module_utils.gate.trigger import TriggerError
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring import (
    asked,
    dashboards,
    description,
    rules,
    settings,
    targets,
    trigger_rules,
    usual_rules,
)


def _variable(hostvars: Mapping[str, Any], host: str, name: str) -> Any:
    """A variable of a host; None where it has none."""
    try:
        return hostvars[host][name]
    except KeyError:
        return None


def _address(hostvars: Mapping[str, Any], host: str) -> str:
    """The address under which other nodes reach a host; empty where it has none."""
    return str(_variable(hostvars, host, "aistack_address") or "")


def _stack(components: Mapping[str, Any], groups: Mapping[str, Sequence[str]], name: str, ports: Mapping[str, int] | None = None,
           hostvars: Mapping[str, Any] | None = None, tls: bool = False, ca: str = "",
           bounds: Mapping[str, Any] | None = None, secrets: str = "") -> targets.Stack:
    used = {str(component.get("hosts")) for component in components.values()}
    addresses = {host: _address(hostvars or {}, host) for group in used for host in groups.get(group, ())}
    return targets.Stack(name, components, groups, ports or {}, {host: at for host, at in addresses.items() if at}, tls, ca,
                         bounds or {}, secrets)


def scrape_configs(components: Mapping[str, Any], groups: Mapping[str, Sequence[str]], host: str, name: str, ports: Mapping[str, int],
                   hostvars: Mapping[str, Any], own: Mapping[str, Any] | None = None, tls: bool = False,
                   ca: str = "", secrets: str = "") -> list[dict[str, Any]]:
    """What the Prometheus of a host reads."""
    return targets.scrape_configs(_stack(components, groups, name, ports, hostvars, bool(tls), ca, secrets=secrets), host, own)


def target_count(jobs: Sequence[Mapping[str, Any]]) -> int:
    """How many targets these jobs have when all of them are up."""
    return targets.count(jobs)


def alert_rules(components: Mapping[str, Any], groups: Mapping[str, Sequence[str]], name: str, triggers: Sequence[Any] | None = None,
                tls: bool = False, file: str = "rules.yml", bounds: Mapping[str, Any] | None = None) -> dict[str, object]:
    """The alert rules of a stack: C(rules) and C(cases) as Prometheus and promtool read them, and which triggers have no rule, and why."""
    stack = _stack(components, groups, name, tls=bool(tls), bounds=bounds)
    try:
        found, without = trigger_rules.trigger_rules(list(triggers or ()), stack)
    except TriggerError as error:
        raise AnsibleFilterError("aistack_triggers: " + "; ".join(error.problems)) from error
    made = {f"{name} triggers": found, f"{name} usual": usual_rules.usual_rules(stack)}
    return {"rules": rules.groups(made), "cases": rules.cases(made, file), "without": without, "untested": rules.untested(made)}


def asked_of_prometheus(triggers: Sequence[Any], components: Mapping[str, Any], groups: Mapping[str, Sequence[str]], name: str,
                        hostvars: Mapping[str, Any], hosts: Sequence[str] = (), window: float = 0,
                        beside: bool = True) -> list[Any]:
    """Triggers as C(metric_gate) takes them, and what Prometheus is asked beside them. Wrong ones are left for it to name."""
    found = targets.hosts_of_role(components, groups, "prometheus")
    if not found:
        return list(triggers)
    known = {key: _variable(hostvars, found[0], f"prometheus_{key}") for key in ("listen", "port", "user", "password")}
    known["port"] = known["port"] or (_variable(hostvars, found[0], "aistack_ports") or {}).get("prometheus")
    try:
        return asked.asked_of_prometheus(list(triggers), _stack(components, groups, name), asked.server(found[0], known), hosts,
                                         float(window), beside)
    except TriggerError:
        return list(triggers)


def prometheus_config(jobs: Sequence[Mapping[str, Any]], rule_files: Sequence[str], **known: Any) -> dict[str, object]:
    """The configuration of Prometheus."""
    return settings.prometheus(jobs, rule_files, known)


def alertmanager_config(receivers: Sequence[Any], wait: int = 10, interval: int = 60, repeat: int = 14400) -> dict[str, object]:
    """The configuration of Alertmanager. Raises AnsibleFilterError with all that is wrong with its receivers."""
    try:
        return settings.alertmanager(receivers, {"wait": wait, "interval": interval, "repeat": repeat})
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


def exporters_of(components: Mapping[str, Any], groups: Mapping[str, Sequence[str]], host: str, ports: Mapping[str, int],
                 address: str = "") -> list[dict[str, object]]:
    """The exporters of a host: C(name), C(listen), C(port)."""
    listen = targets.listens_at(components, groups, host, address)
    return [{"name": name, "listen": listen, "port": targets.exporter_port(ports, name)}
            for name in targets.exporters_on(components, groups, host)]


def figure_workers(components: Mapping[str, Any], groups: Mapping[str, Sequence[str]], host: str) -> dict[str, list[str]]:
    """The workers of a host, each with the queues that it takes from."""
    return {name: description.queues_of(components[name]) for name in targets.of_role(components, "worker")
            if host in groups.get(str(components[name].get("hosts")), ())}


def metric_readers(components: Mapping[str, Any], groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Any]) -> list[str]:
    """Addresses of the hosts that read figures: those of the components with role prometheus."""
    found = [_address(hostvars, host) for host in targets.hosts_of_role(components, groups, "prometheus")]
    return [at for at in found if at]


def listens_at(components: Mapping[str, Any], groups: Mapping[str, Sequence[str]], host: str, address: str = "") -> str:
    """Where something listens that Prometheus alone asks: on loopback where that is on the same host, else at the host's address."""
    return targets.listens_at(components, groups, host, address)


def server_places(components: Mapping[str, Any], groups: Mapping[str, Sequence[str]], role: str, port: int,
                  hostvars: Mapping[str, Any]) -> dict[str, str]:
    """Host to address and port of the components that have a role and that Prometheus alone asks."""
    return {host: targets.place(targets.listens_at(components, groups, host, _address(hostvars, host)), port)
            for host in targets.hosts_of_role(components, groups, role)}


def prometheus_url(components: Mapping[str, Any], groups: Mapping[str, Sequence[str]], host: str, port: int,
                   hostvars: Mapping[str, Any]) -> str:
    """The address at which a host asks the Prometheus of a stack: on loopback where that is on the same host."""
    hosts = targets.hosts_of_role(components, groups, "prometheus")
    at = _address(hostvars, hosts[0]) if hosts and host not in hosts else ""
    return f"http://{targets.place(at or targets.LOOPBACK, port)}"


def grafana_dashboards(given: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Dashboards as they are, name of the file to its text. Raises AnsibleFilterError with all that is wrong with them."""
    found: dict[str, str] = {}
    wrong: list[str] = []
    uids: dict[str, str] = {}
    for name, text in given:
        told = [f"{name}: {line}" for line in dashboards.problems(text)]
        uid = "" if told else str(json.loads(text)["uid"])
        told += [f"{name}: the name is there twice; call your file otherwise"] if name in found else []
        told += [f"{name}: the uid '{uid}' is that of {uids[uid]} as well; a dashboard has one of its own"] if uid in uids else []
        uids.update({uid: name} if uid else {})
        found[name] = text
        wrong += told
    if wrong:
        raise AnsibleFilterError("grafana_dashboards: " + "\n".join(wrong))
    return found


class FilterModule:
    """Filters about monitoring."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name to function."""
        return {
            "alert_rules": alert_rules,
            "alertmanager_config": alertmanager_config,
            "asked_of_prometheus": asked_of_prometheus,
            "exporters_of": exporters_of,
            "figure_workers": figure_workers,
            "grafana_dashboards": grafana_dashboards,
            "listens_at": listens_at,
            "metric_readers": metric_readers,
            "prometheus_config": prometheus_config,
            "prometheus_url": prometheus_url,
            "scrape_configs": scrape_configs,
            "server_places": server_places,
            "target_count": target_count,
        }
