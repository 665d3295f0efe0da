# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What gates ask Prometheus: of each trigger the expression that its alert rule has, so that both are one text."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.gate.trigger import normalise
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.window import figure_name
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.targets import LOOPBACK, Stack, of_role, place
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.trigger_rules import NoRule, figure_of, nodes_of

PORT = 9090
PASSWORD_FILE = "/etc/aistack-prometheus/own.password"
"""What the role C(prometheus) lays down where a password is wanted."""
_KEPT = ("name", "value", "times", "window", "on_inconclusive", "failure_limit", "failures", "error_limit", "kind", "then", "timeout")
"""What a trigger says of its judgement, whoever is asked."""


def server(host: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """How the Prometheus of a host is asked there.

    Args:
        variables: C(listen), C(port), C(user) and C(password) of the role, each where it is set.
    """
    listen = str(variables.get("listen") or LOOPBACK)
    at = LOOPBACK if listen in ("0.0.0.0", "::", "localhost") else listen
    login = {"username": str(variables.get("user") or "reader"), "password_file": PASSWORD_FILE} if variables.get("password") else {}
    return {"target": f"http://{place(at, variables.get('port') or PORT)}", "from": host, **login}


def asked_of_prometheus(
    triggers: Sequence[Any], stack: Stack, asked: Mapping[str, Any], hosts: Collection[str] = (), window: float = 0.0,
    beside: bool = True,
) -> list[dict[str, Any]]:
    """Conditions for C(metric_gate): the triggers, and beside each that has an alert rule the same as a question to Prometheus.

    Args:
        triggers: C(aistack_triggers).
        asked: what :func:`server` gave; empty where the stack has no Prometheus, which leaves all as it is.
        hosts: those that are looked at; figures of others are left out. Without any, all are.
        window: seconds for all triggers, instead of their own; 0 keeps theirs.
        beside: whether triggers of other sources are asked of Prometheus as well.

    Raises:
        TriggerError: a trigger is wrong in itself.
    """
    found: list[dict[str, Any]] = []
    for given in triggers:
        trigger = normalise(given)
        if trigger["source"] == "prometheus" and asked:
            own = {} if "target" in trigger else asked
            found.append({**trigger, **own})
            continue
        found.append(given)
        if asked and beside and trigger["source"] != "manual":
            found += _beside({**trigger, "window": window or trigger["window"]}, stack, asked, hosts)
    return found


def _beside(trigger: Mapping[str, Any], stack: Stack, asked: Mapping[str, Any], hosts: Collection[str]) -> list[dict[str, Any]]:
    """A trigger as a question; none where it has no rule, or is about hosts that are not looked at."""
    try:
        figure = figure_of(trigger, stack)
    except NoRule:
        return []
    nodes = _expected(trigger, stack)
    looked = [node for node in nodes if not hosts or node in hosts]
    if nodes and not looked:
        return []
    question = {"source": "prometheus", "query": figure.expr, "figure": figure_name(trigger), **asked}
    question.update({"nodes": looked} if nodes else {})
    question.update({"sample": figure.sample, "min_sample": figure.least} if figure.sample else {})
    question.update({"baseline": figure.before()} if "times" in trigger else {})
    return [normalise({**{key: trigger[key] for key in _KEPT if key in trigger}, **question})]


def _expected(trigger: Mapping[str, Any], stack: Stack) -> list[str]:
    """The nodes that have to show the figure; none where the description does not say."""
    if trigger["source"] == "node":
        shown = [host for name in of_role(stack.components, "exporters") for host in stack.hosts(stack.components[name])]
        return nodes_of(trigger, stack) or shown
    component = stack.components.get(str(trigger.get("component")), {})
    return nodes_of(trigger, stack) or (stack.hosts(component) if trigger["source"] == "metrics" else [])
