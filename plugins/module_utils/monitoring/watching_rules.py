# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Alerts about what watches: nothing is stored, stored figures were lost, nobody can be told, lines are dropped, a clock is wrong."""

from __future__ import annotations

from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.own_rules import RUN
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.rules import Rule, Series, flat, growing, selector, told
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.targets import Stack, of_role

CLOCK_S = 30
"""Seconds by which a node's clock may differ from that of Prometheus: a look at it takes up to ten of them."""
LOST_S = 3600
"""Seconds for which it is said that figures were lost."""


def watching_rules(stack: Stack) -> list[Rule]:
    """The rules about Prometheus, Alertmanager and clocks, those whose figures somebody shows in this stack."""
    rules = [_nothing(stack), _lost(stack)] if of_role(stack.components, "prometheus") else []
    rules += [_not_told(stack)] if of_role(stack.components, "alertmanager") else []
    stores = of_role(stack.components, "victorialogs")
    rules += [_dropped(stack)] if any(stack.components[name].get("metrics") is not None for name in stores) else []
    rules += [_clock(stack)] if of_role(stack.components, "exporters") else []
    return rules


def _labels(stack: Stack, severity: str) -> dict[str, str]:
    return {"severity": severity, **told(stack.name, "ticket")}


def _series(stack: Stack, name: str, **more: str) -> str:
    return selector(name, {"stack": stack.name, "component": "part", "node": "node", **more})


def _of(stack: Stack, name: str) -> str:
    return selector(name, {"stack": stack.name})


def _nothing(stack: Stack) -> Rule:
    """Judged in memory: it is told although nothing can be stored."""
    series = _series(stack, "up", job="part")
    return Rule(
        "NoFigures", f"absent({_of(stack, 'up')})", 300, _labels(stack, "critical"),
        "Prometheus has no new figure of anything, so that no other alert can come",
        RUN + "diagnose",
        (Series(_series(stack, "other"), flat(0, 900)),), (Series(series, flat(0, 900)),), 900,
        {"first": "journalctl -u aistack-prometheus.service: a full disk, or a clock that was ahead (what it stored then lies in the"
                  " future, and nothing older is taken; README of the role prometheus)"},
    )


def _lost(stack: Stack) -> Rule:
    damaged, began = (_series(stack, name) for name in ("prometheus_tsdb_wal_corruptions_total", "process_start_time_seconds"))
    return Rule(
        "FiguresLost",
        f"{_of(stack, 'prometheus_tsdb_wal_corruptions_total')} > 0"
        f" and on (stack, node, instance) time() - {_of(stack, 'process_start_time_seconds')} < {LOST_S}", 0, _labels(stack, "warning"),
        "Prometheus on {{ $labels.node }} found its newest figures damaged and left them out: up to three hours are missing",
        RUN + "diagnose",
        (Series(damaged, flat(1, 600)), Series(began, flat(0, 600))), (Series(damaged, flat(0, 600)), Series(began, flat(0, 600))), 600,
        {"then": "look whether the disk is well (dmesg -T); windows that reach back into the gap are inconclusive"},
    )


def _not_told(stack: Stack) -> Rule:
    series = _series(stack, "alertmanager_notifications_failed_total", integration="webhook", reason="clientError")
    return Rule(
        "ReceiverNotTold",
        "sum by (stack, component, node, integration)"
        f" (increase({_of(stack, 'alertmanager_notifications_failed_total')}[10m])) > 0", 0, _labels(stack, "critical"),
        "{{ $labels.component }} on {{ $labels.node }} cannot tell a receiver of alerts ({{ $labels.integration }})",
        RUN + "healthcheck -e only={{ $labels.component }}",
        (Series(series, growing(1, 1200)),), (Series(series, flat(3, 1200)),), 1200,
        {"first": "journalctl -u aistack-alertmanager.service names it and what it answered; a token that has ended is renewed in"
                  " alertmanager_receivers, then: ansible-playbook phasegate.aistack.site. It is tried again until then"},
    )


def _dropped(stack: Stack) -> Rule:
    name = "vl_rows_dropped_total"
    series = _series(stack, name, reason="too_small_timestamp")
    return Rule(
        "LinesDropped", f"sum by (stack, component, node, reason) (increase({_of(stack, name)}[10m])) > 0", 0, _labels(stack, "warning"),
        "{{ $labels.component }} on {{ $labels.node }} has dropped lines that it had answered for ({{ $labels.reason }})",
        RUN + "diagnose",
        (Series(series, growing(1, 1200)),), (Series(series, flat(3, 1200)),), 1200,
        {"first": "too_small_timestamp, too_big_timestamp: lines older than victorialogs_retention_days, or a clock that is wrong; who sent"
                  " them says journalctl -u victorialogs.service"},
    )


def _clock(stack: Stack) -> Rule:
    series = _series(stack, "node_time_seconds", job="node_exporter")
    now = _of(stack, "node_time_seconds")
    return Rule(
        "ClockWrong", f"abs({now} - timestamp({now})) > {CLOCK_S}", 60, _labels(stack, "warning"),
        f"the clock of {{{{ $labels.node }}}} is more than {CLOCK_S} s away from that of Prometheus",
        RUN + "diagnose",
        (Series(series, flat(-CLOCK_S - 1, 600)),), (Series(series, "0+60x20"),), 600,
        {"first": "timedatectl on both nodes: which of them is not synchronised; leases, backups and certificates go by clocks"},
    )
