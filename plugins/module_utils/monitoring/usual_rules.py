# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Alerts that every stack wants: what is down, what will be full, what ends, what is too old, what starts again and again.

Those about what a node says of its own stack are in :mod:`monitoring.own_rules`, those about what watches in
:mod:`monitoring.watching_rules`.
"""

from __future__ import annotations

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import SLOTS
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.description import bounds, has_slots
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.own_rules import RUN, own_rules
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.rules import Rule, Series, flat, growing, selector, told
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.targets import Stack, hosts_of_role, of_role
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.watching_rules import watching_rules

CERTIFICATE_DAYS = 21
BACKUP_HOURS = 26
DISK_HOURS = 4
RESTARTS = 3
_DISKS = 'fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660|fuse.*"'


def usual_rules(stack: Stack) -> list[Rule]:
    """The usual rules, those whose figures somebody shows in this stack."""
    rules = [_down(stack), _slots_down(stack), *watching_rules(stack)]
    if of_role(stack.components, "exporters"):
        rules += [_disk(stack), _restarts(stack), *own_rules(stack)]
        rules += [_behind(stack), _slot_unused(stack)] if of_role(stack.components, "postgres") else []
        rules += [_backup(stack)] if of_role(stack.components, "backup") else []
        if hosts_of_role(stack.components, stack.groups, "prometheus"):
            rules += [_door(stack)] + ([_certificate(stack)] if stack.tls else [])
    fronted = [name for name, component in stack.components.items() if has_slots(component) and component.get("port")]
    if fronted and any(stack.components[name].get("metrics") is not None for name in of_role(stack.components, "edge")):
        rules.append(_no_server(stack, fronted))
    return rules


def _target(stack: Stack, **more: str) -> dict[str, str]:
    return {"stack": stack.name, "component": "part", "node": "node", **more}


def _labels(stack: Stack, severity: str) -> dict[str, str]:
    return {"severity": severity, **told(stack.name, "ticket")}


def _down(stack: Stack) -> Rule:
    series = selector("up", _target(stack, job="part"))
    return Rule(
        "TargetDown", f'up{{stack="{stack.name}",slot!~"blue|green"}} == 0', 60, _labels(stack, "critical"),
        "{{ $labels.component }} on {{ $labels.node }} shows no figures ({{ $labels.job }})",
        RUN + "healthcheck -e only={{ $labels.component }}",
        (Series(series, flat(0, 600)),), (Series(series, flat(1, 600)),),
    )


def _slots_down(stack: Stack) -> Rule:
    blue, green = (selector("up", _target(stack, job="part", slot=slot)) for slot in SLOTS)
    return Rule(
        "NoSlotUp", f'max by (stack, component, node) (up{{stack="{stack.name}",slot=~"blue|green"}}) == 0', 60, _labels(stack, "critical"),
        "{{ $labels.component }} on {{ $labels.node }} shows no figures: neither slot answers",
        RUN + "emergency_rollback -e \"reason='no slot of {{ $labels.component }} answers'\"",
        (Series(blue, flat(0, 600)), Series(green, flat(0, 600))), (Series(blue, flat(0, 600)), Series(green, flat(1, 600))),
    )


def _disk(stack: Stack) -> Rule:
    of = _target(stack, mountpoint="/", fstype="ext4", device="/dev/vda1")
    free, size = selector("node_filesystem_avail_bytes", of), selector("node_filesystem_size_bytes", of)
    where = f'{{stack="{stack.name}",{_DISKS}}}'
    return Rule(
        "DiskFullSoon",
        f"predict_linear(node_filesystem_avail_bytes{where}[1h], {DISK_HOURS} * 3600) < 0"
        f" and node_filesystem_avail_bytes{where} / node_filesystem_size_bytes{where} < 0.4",
        300, _labels(stack, "warning"),
        f"{{{{ $labels.mountpoint }}}} on {{{{ $labels.node }}}} will be full within {DISK_HOURS} hours, as it fills now",
        RUN + "backup -e reason=disk",
        (Series(free, "300-1x100"), Series(size, flat(1000, 6000))), (Series(free, flat(300, 6000)), Series(size, flat(1000, 6000))), 5400,
        {"first": "look for what grows: du -x / | sort -n | tail; a backup run removes the sets that nobody needs"},
    )


def _restarts(stack: Stack) -> Rule:
    series = selector("node_systemd_service_restart_total", _target(stack, name="aistack-part@blue.service"))
    return Rule(
        "ServiceRestarts",
        f'increase(node_systemd_service_restart_total{{stack="{stack.name}",name=~"aistack-.+"}}[15m]) > {RESTARTS}', 0,
        _labels(stack, "warning"),
        "{{ $labels.name }} on {{ $labels.node }} starts again and again",
        RUN + "healthcheck",
        (Series(series, growing(1, 1800)),), (Series(series, flat(7, 1800)),), 1500,
        {"then": RUN + "rollback, where it began with a deployment"},
    )


def _backup(stack: Stack) -> Rule:
    unit = f"aistack-backup@{stack.name}"
    timer, state = (
        selector(name, _target(stack, name=f"{unit}.{kind}", **more))
        for name, kind, more in (("node_systemd_timer_last_trigger_seconds", "timer", {}),
                                 ("node_systemd_unit_state", "service", {"state": "failed"}))
    )
    old = BACKUP_HOURS * 3600
    begun = f'node_systemd_timer_last_trigger_seconds{{stack="{stack.name}",name="{unit}.timer"}}'  # 0: never
    return Rule(
        "BackupTooOld", f"time() - ({begun} != 0) > {old} or ({begun} == 0 and {begun} offset {BACKUP_HOURS}h == 0)"
        f' or node_systemd_unit_state{{stack="{stack.name}",name="{unit}.service",state="failed"}} == 1', 60, _labels(stack, "warning"),
        f"no backup set was made on {{{{ $labels.node }}}} within {BACKUP_HOURS} hours, or the last attempt failed",
        RUN + "backup",
        # a test begins at second 0
        (Series(timer, flat(-old - 60, 600)),), (Series(timer, flat(-60, 600)), Series(state, flat(0, 600))),
    )


def _door(stack: Stack) -> Rule:
    series = selector("probe_success", _target(stack))
    return Rule(
        "NotReached", f'probe_success{{stack="{stack.name}"}} == 0', 60, _labels(stack, "critical"),
        "{{ $labels.component }} on {{ $labels.node }} does not answer where its users ask ({{ $labels.instance }})",
        RUN + "healthcheck -e only={{ $labels.component }}",
        (Series(series, flat(0, 600)),), (Series(series, flat(1, 600)),),
    )


def _certificate(stack: Stack) -> Rule:
    series = selector("probe_ssl_earliest_cert_expiry", _target(stack))
    return Rule(
        "CertificateEnds", f'(probe_ssl_earliest_cert_expiry{{stack="{stack.name}"}} - time()) / 86400 < {CERTIFICATE_DAYS}', 60,
        _labels(stack, "warning"),
        f"a certificate that {{{{ $labels.component }}}} on {{{{ $labels.node }}}} shows ends within {CERTIFICATE_DAYS} days",
        RUN + "site",
        (Series(series, flat(86400, 600)),), (Series(series, flat(86400 * 90, 600)),), 600,
        {"first": "renew the files that edge_tls names; the run lays them down"},
    )


def _no_server(stack: Stack, fronted: list[str]) -> Rule:
    series = selector("haproxy_backend_active_servers", _target(stack, proxy=fronted[0]))
    return Rule(
        "EdgeWithoutServer", f'haproxy_backend_active_servers{{stack="{stack.name}",proxy=~"{"|".join(fronted)}"}} == 0', 60,
        _labels(stack, "critical"),
        "the edge of {{ $labels.node }} has no slot of {{ $labels.proxy }} that is ready",
        RUN + "emergency_rollback -e \"reason='no slot of {{ $labels.proxy }} is ready'\"",
        (Series(series, flat(0, 600)),), (Series(series, flat(1, 600)),),
    )


def _behind(stack: Stack) -> Rule:
    """What the primary knows of a standby, in bytes; newer exporters tell seconds on the standby as well. Without a standby it has none."""
    limit = bounds(stack.bounds)
    series = selector("pg_stat_replication_pg_wal_lsn_diff", _target(stack, application_name="standby", client_addr="10.0.0.2"))
    size, where = int(limit["replication_megabytes"] * 1048576), f'{{stack="{stack.name}"}}'
    return Rule(
        "ReplicationBehind",
        f"pg_stat_replication_pg_wal_lsn_diff{where} > {size}"
        f" or pg_replication_lag_seconds{where} > {limit['replication_seconds']:g} and pg_replication_is_replica{where} == 1",
        300, _labels(stack, "warning"),
        "a standby of {{ $labels.component }} on {{ $labels.node }} is behind",
        RUN + "diagnose",
        (Series(series, flat(size + 1, 900)),), (Series(series, flat(size, 900)),), 900,
        {"first": "SELECT * FROM pg_stat_replication on the primary says where it waits"},
    )


def _slot_unused(stack: Stack) -> Rule:
    series = selector("pg_replication_slots_active", _target(stack, slot_name="standby"))
    where = f'{{stack="{stack.name}"}}'
    return Rule(
        "ReplicationStopped",
        "max by (stack, component, node, slot_name)"
        f" (pg_replication_slots_active{where} or pg_replication_slot_slot_is_active{where}) == 0", 120, _labels(stack, "critical"),
        "nobody reads from the replication slot {{ $labels.slot_name }} of {{ $labels.component }} on {{ $labels.node }}: the disk fills",
        RUN + "diagnose",
        (Series(series, flat(0, 600)),), (Series(series, flat(1, 600)),), 600,
        {"then": "start the standby again, or drop the slot where it is gone for good: pg_drop_replication_slot"},
    )
