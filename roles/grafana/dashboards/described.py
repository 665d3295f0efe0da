# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboards as data: what is asked, and how it is shown. `make dashboards` makes Grafana's JSON of them.

Figures are those of the exporters, of HAProxy, of Prometheus itself, and of applications that call theirs C(<name>_http_requests_total)
(label C(status)) and C(<name>_http_request_duration_seconds) (a histogram), as usual. Series of HAProxy have the component in C(proxy) and
the slot in C(server). A sum over what may not be there yet (errors, failed units) has a zero beside it, so that an empty panel means that
nobody shows the figure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

HERE = 'stack=~"$stack",node=~"$node"'
"""Chooses series of any target."""
OWN = f'{HERE},component=~"$component",slot=~"$slot"'
"""Chooses series that a component shows itself."""
FRONTED = f'{HERE},proxy=~"$component"'
"""Chooses series of HAProxy about a component."""
SLOTTED = f'{FRONTED},server=~"blue|green",server=~"$slot"'
STACKS_OWN = 'name!~"aistack-(backup|backup-failed|figures|reconcile)@.+"'
"""Leaves out what timers start."""
UNITS = f'{HERE},name=~"aistack-($component)@.+[.]service",{STACKS_OWN}'
DISKS = f'{HERE},fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660|fuse.*",mountpoint!~"/etc/(hosts|hostname|resolv[.]conf)"'
CARDS = f'{HERE},device!~"lo|veth.+|br-.+|docker.+|cni.+|ifb.+|dummy.+"'
PROGRAMS = f'{HERE},name=~"aistack-.+"'
BASES = f'{HERE},datname!=""'
QUEUE = 'cmd=~"lpush|rpush|lpop|rpop|brpop|blpop|publish"'
OVER = "[$__rate_interval]"
"""The window of a rate: as long as the panel's resolution and the scrape interval want it."""


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title: what it shows.
        queries: expression and legend of each.
        unit: Grafana's name of the unit.
        stat: one number for each series, instead of lines over time.
        about: what has to be known besides.
        full: the value at which something is full, 1 for a share; none if left out.
    """

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    stat: bool = False
    about: str = ""
    full: float | None = None


@dataclass(frozen=True)
class Variable:
    """What the reader chooses by: a query for its values, and a pattern that takes a part of each."""

    name: str
    query: str
    pattern: str = ""
    several: bool = True


@dataclass(frozen=True)
class Board:
    """One dashboard: rows of panels by their titles."""

    uid: str
    title: str
    about: str
    variables: tuple[Variable, ...]
    rows: dict[str, tuple[Panel, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Mark:
    """A line in every panel where something happened: the value of each series is when, in milliseconds since 1970."""

    name: str
    query: str
    color: str


STACK = Variable("stack", "label_values(up, stack)")
NODE = Variable("node", 'label_values(up{stack=~"$stack"}, node)')
COMPONENT = Variable("component", 'label_values(up{stack=~"$stack",slot!=""}, component)')
SLOT = Variable("slot", 'label_values(up{stack=~"$stack",slot!=""}, slot)')
WORKER = Variable(
    "component", f'label_values(node_systemd_unit_state{{stack=~"$stack",name=~"aistack-.+@.+[.]service",{STACKS_OWN}}}, name)',
    "/^aistack-(.+)@/",
)
APPLICATION = Variable(
    "application",
    'label_values({__name__=~".+_http_requests_total",__name__!~"(haproxy|prometheus|alertmanager)_.+",stack=~"$stack",'
    'component=~"$component"}, __name__)',
    "/^(.+)_http_requests_total$/", several=False,
)


def one(title: str, expr: str, legend: str, unit: str = "short", **more: Any) -> Panel:
    """A panel with one query."""
    return Panel(title, ((expr, legend),), unit, **more)


def share(part: str, whole: str, labels: str) -> str:
    """A part of a whole, both rates of counters; 0 where the part was never counted."""
    total = f"sum by ({labels}) (rate({whole}{OVER}))"
    return f"(sum by ({labels}) (rate({part}{OVER})) or 0 * {total}) / ({total} > 0) or 0 * {total}"


SYSTEM = Board(
    "aistack-system", "System", "Nodes, their units, and what Prometheus sees of them", (STACK, NODE),
    {
        "At a glance": (
            one("Targets down", f'count(up{{{HERE},slot!~"blue|green"}} == 0) or vector(0)', "down", stat=True,
                about="Idle slots are not counted."),
            one("Doors closed", f"count(probe_success{{{HERE}}} == 0) or vector(0)", "closed", stat=True),
            one("Units failed", f'sum(node_systemd_unit_state{{{PROGRAMS},state="failed"}})', "failed", stat=True),
            one("Alerts firing", 'count(ALERTS{alertstate="firing",stack=~"$stack"}) or vector(0)', "firing", stat=True),
        ),
        "Nodes": (
            one("Processor", f'1 - avg by (node) (rate(node_cpu_seconds_total{{{HERE},mode="idle"}}{OVER}))', "{{node}}", "percentunit",
                full=1),
            one("Load for each processor",
                f'sum by (node) (node_load1{{{HERE}}}) / count by (node) (node_cpu_seconds_total{{{HERE},mode="idle"}})', "{{node}}"),
            one("Memory",
                f"1 - sum by (node) (node_memory_MemAvailable_bytes{{{HERE}}}) / sum by (node) (node_memory_MemTotal_bytes{{{HERE}}})",
                "{{node}}", "percentunit", full=1),
            one("Swap in use", f"sum by (node) (node_memory_SwapTotal_bytes{{{HERE}}} - node_memory_SwapFree_bytes{{{HERE}}})", "{{node}}",
                "bytes"),
            one("Disks", f"1 - max by (node, mountpoint) (node_filesystem_avail_bytes{{{DISKS}}} / node_filesystem_size_bytes{{{DISKS}}})",
                "{{node}} {{mountpoint}}", "percentunit", full=1),
            Panel("Disks, read and written", (
                (f"sum by (node) (rate(node_disk_read_bytes_total{{{HERE}}}{OVER}))", "{{node}} read"),
                (f"sum by (node) (rate(node_disk_written_bytes_total{{{HERE}}}{OVER}))", "{{node}} written")), "Bps"),
            Panel("Network", (
                (f"sum by (node) (rate(node_network_receive_bytes_total{{{CARDS}}}{OVER}))", "{{node}} received"),
                (f"sum by (node) (rate(node_network_transmit_bytes_total{{{CARDS}}}{OVER}))", "{{node}} sent")), "Bps"),
            one("Files open", f"sum by (node) (node_filefd_allocated{{{HERE}}})", "{{node}}"),
            one("Running for", f"time() - max by (node) (node_boot_time_seconds{{{HERE}}})", "{{node}}", "s"),
        ),
        "Units": (
            one("Units by state", f"sum by (node, state) (node_systemd_unit_state{{{PROGRAMS}}})", "{{node}} {{state}}"),
            one("Started again, in an hour",
                f"sum by (node, name) (increase(node_systemd_service_restart_total{{{PROGRAMS}}}[1h]))", "{{node}} {{name}}"),
            one("Since a backup set was begun",
                f'time() - max by (node) (node_systemd_timer_last_trigger_seconds{{{HERE},name=~"aistack-backup@.+"}} > 0)', "{{node}}",
                "s", about="Empty without the role backup, and until its timer has run for the first time."),
        ),
        "Doors": (
            one("Open", f"min by (node, component, instance) (probe_success{{{HERE}}})", "{{component}} at {{instance}}", full=1),
            one("Time to answer",
                f"max by (node, component, instance) (probe_duration_seconds{{{HERE}}})", "{{component}} at {{instance}}", "s"),
            one("Certificates end in", f"min by (component, instance) (probe_ssl_earliest_cert_expiry{{{HERE}}}) - time()",
                "{{component}} at {{instance}}", "s", about="Empty where no door speaks TLS."),
        ),
        "Prometheus": (
            one("Targets up", f"sum by (component) (up{{{HERE}}})", "{{component}}"),
            one("Time to read a target", f"max by (component, node) (scrape_duration_seconds{{{HERE}}})", "{{component}} on {{node}}", "s"),
            one("Series", 'sum by (node) (prometheus_tsdb_head_series{stack=~"$stack"})', "{{node}}"),
        ),
    },
)

APPLICATIONS = Board(
    "aistack-application", "Application", "Requests, errors and times: as the edge sees them, and as each slot counts them",
    (STACK, NODE, COMPONENT, SLOT, APPLICATION),
    {
        "At the edge": (
            one("Requests",
                f"sum by (node, proxy) (rate(haproxy_backend_http_requests_total{{{FRONTED}}}{OVER}))", "{{proxy}} on {{node}}", "reqps"),
            one("Errors (5xx)", share(f'haproxy_backend_http_responses_total{{{FRONTED},code="5xx"}}',
                                      f"haproxy_backend_http_requests_total{{{FRONTED}}}", "node, proxy"),
                "{{proxy}} on {{node}}", "percentunit"),
            one("Answers by status",
                f"sum by (proxy, code) (rate(haproxy_backend_http_responses_total{{{FRONTED}}}{OVER}))", "{{proxy}} {{code}}",
                "reqps"),
            one("Time to answer, of the last 1024", f"max by (node, proxy) (haproxy_backend_response_time_average_seconds{{{FRONTED}}})",
                "{{proxy}} on {{node}}", "s"),
            Panel("Sessions, and who waits", (
                (f"sum by (proxy) (haproxy_backend_current_sessions{{{FRONTED}}})", "{{proxy}}"),
                (f"sum by (proxy) (haproxy_backend_current_queue{{{FRONTED}}})", "{{proxy}} waiting"))),
            one("Not reached, and tried again",
                f"sum by (proxy) (rate(haproxy_backend_connection_errors_total{{{FRONTED}}}{OVER})"
                f" + rate(haproxy_backend_retry_warnings_total{{{FRONTED}}}{OVER}))", "{{proxy}}", "reqps"),
        ),
        "In each slot": (
            one("Requests",
                f"sum by (component, slot) (rate(${{application}}_http_requests_total{{{OWN}}}{OVER}))", "{{component}} {{slot}}",
                "reqps"),
            one("Errors (5xx)", share(f'${{application}}_http_requests_total{{{OWN},status=~"5.."}}',
                                      f"${{application}}_http_requests_total{{{OWN}}}", "component, slot"),
                "{{component}} {{slot}}", "percentunit"),
            Panel("Time to answer", tuple(
                ((f"histogram_quantile({quantile}, sum by (component, slot, le)"
                  f" (rate(${{application}}_http_request_duration_seconds_bucket{{{OWN}}}{OVER})))"),
                 f"{{{{component}}}} {{{{slot}}}} p{round(quantile * 100)}") for quantile in (0.5, 0.95, 0.99)), "s"),
            one("The slowest paths",
                f"topk(5, sum by (path) (rate(${{application}}_http_request_duration_seconds_sum{{{OWN}}}{OVER}))"
                f" / (sum by (path) (rate(${{application}}_http_request_duration_seconds_count{{{OWN}}}{OVER})) > 0))", "{{path}}", "s"),
            one("Work under way", f"sum by (component, slot) (${{application}}_active_workflows{{{OWN}}})", "{{component}} {{slot}}",
                about="Empty where the application shows no <name>_active_workflows."),
        ),
        "Processes": (
            one("Memory", f"sum by (component, slot) (process_resident_memory_bytes{{{OWN}}})", "{{component}} {{slot}}", "bytes"),
            one("Processor", f"sum by (component, slot) (rate(process_cpu_seconds_total{{{OWN}}}{OVER}))", "{{component}} {{slot}}",
                about="1 is one processor."),
            one("Files open", f"sum by (component, slot) (process_open_fds{{{OWN}}}) / sum by (component, slot) (process_max_fds{{{OWN}}})",
                "{{component}} {{slot}}", "percentunit"),
            one("Running for", f"time() - max by (component, slot) (process_start_time_seconds{{{OWN}}})", "{{component}} {{slot}}", "s"),
        ),
    },
)

WORKERS = Board(
    "aistack-worker", "Worker", "Units of workers and their broker; a worker has no port, and shows no figures of its own",
    (STACK, NODE, WORKER),
    {
        "Units": (
            one("Running", f'sum by (node, name) (node_systemd_unit_state{{{UNITS},state="active"}})', "{{name}} on {{node}}"),
            one("Failed", f'sum by (node, name) (node_systemd_unit_state{{{UNITS},state="failed"}})', "{{name}} on {{node}}"),
            one("Started again, in an hour", f"sum by (node, name) (increase(node_systemd_service_restart_total{{{UNITS}}}[1h]))",
                "{{name}} on {{node}}"),
        ),
        "Broker": (
            one("Up", f"min by (node) (redis_up{{{HERE}}})", "{{node}}", full=1),
            Panel("Clients", (
                (f"sum by (node) (redis_connected_clients{{{HERE}}})", "{{node}} connected"),
                (f"sum by (node) (redis_blocked_clients{{{HERE}}})", "{{node}} waiting for a task")),
                about="Who has nothing to do waits in a blocking command. Nobody who waits, and a queue that grows: too few workers."),
            one("Commands", f"sum by (node) (rate(redis_commands_processed_total{{{HERE}}}{OVER}))", "{{node}}", "ops"),
            one("Tasks taken and given", f"sum by (node, cmd) (rate(redis_commands_total{{{HERE},{QUEUE}}}{OVER}))", "{{node}} {{cmd}}",
                "ops", about="Empty until something was put into a queue."),
            Panel("Memory", (
                (f"sum by (node) (redis_memory_used_bytes{{{HERE}}})", "{{node}} used"),
                (f"sum by (node) (redis_memory_max_bytes{{{HERE}}})", "{{node}} allowed; 0: all there is")), "bytes"),
            one("Keys", f"sum by (node, db) (redis_db_keys{{{HERE}}})", "{{node}} {{db}}"),
            Panel("Turned away, and forgotten", (
                (f"sum by (node) (rate(redis_rejected_connections_total{{{HERE}}}{OVER}))", "{{node}} connections turned away"),
                (f"sum by (node) (rate(redis_evicted_keys_total{{{HERE}}}{OVER}))", "{{node}} keys forgotten"))),
        ),
    },
)

DATABASE = Board(
    "aistack-database", "Database", "PostgreSQL: who is connected, what is done, what waits", (STACK, NODE),
    {
        "Connections": (
            one("Up", f"min by (node) (pg_up{{{HERE}}})", "{{node}}", full=1),
            one("Connections in use",
                f"sum by (node) (pg_stat_activity_count{{{HERE}}}) / max by (node) (pg_settings_max_connections{{{HERE}}})",
                "{{node}}", "percentunit", full=1),
            one("Connections by state", f"sum by (datname, state) (pg_stat_activity_count{{{HERE}}})", "{{datname}} {{state}}"),
            one("The longest transaction", f"max by (datname) (pg_stat_activity_max_tx_duration{{{HERE}}})", "{{datname}}", "s"),
        ),
        "Work": (
            Panel("Transactions", (
                (f'sum by (datname) (rate(pg_stat_database_xact_commit{{{BASES}}}{OVER}))', "{{datname}} committed"),
                (f'sum by (datname) (rate(pg_stat_database_xact_rollback{{{BASES}}}{OVER}))', "{{datname}} rolled back")), "ops"),
            Panel("Rows", tuple(
                (f'sum(rate(pg_stat_database_tup_{what}{{{BASES}}}{OVER}))', what)
                for what in ("fetched", "inserted", "updated", "deleted")), "ops"),
            one("Read from memory",
                f'sum by (datname) (pg_stat_database_blks_hit{{{BASES}}}) / (sum by (datname)'
                f' (pg_stat_database_blks_hit{{{BASES}}} + pg_stat_database_blks_read{{{BASES}}}) > 0)', "{{datname}}",
                "percentunit", full=1),
            one("Written to temporary files",
                f'sum by (datname) (rate(pg_stat_database_temp_bytes{{{BASES}}}{OVER}))', "{{datname}}",
                "Bps"),
        ),
        "What waits": (
            one("Locks", f"sum by (datname, mode) (pg_locks_count{{{HERE}}}) > 0", "{{datname}} {{mode}}"),
            one("Deadlocks, in an hour",
                f'sum by (datname) (increase(pg_stat_database_deadlocks{{{BASES}}}[1h]))', "{{datname}}"),
            one("Size", f'max by (datname) (pg_database_size_bytes{{{HERE},datname!~"template.+"}})', "{{datname}}", "bytes"),
        ),
    },
)

READY = 'server=~"blue|green",state="UP"'
DEPLOYMENTS = Board(
    "aistack-deployments", "Deployments", "Which slot serves, and both beside each other while a release moves",
    (STACK, NODE, COMPONENT, SLOT),
    {
        "Slots at the edge": (
            one("Takes requests",
                f'max by (node, proxy, server) (haproxy_server_status{{{FRONTED},{READY},server=~"$slot"}})',
                "{{proxy}} {{server}} on {{node}}", full=1),
            one("Weight", f"max by (node, proxy, server) (haproxy_server_weight{{{SLOTTED}}})", "{{proxy}} {{server}} on {{node}}",
                about="Of a canary, its share."),
            one("Sessions", f"sum by (proxy, server) (haproxy_server_current_sessions{{{SLOTTED}}})", "{{proxy}} {{server}}"),
            one("Answers",
                f"sum by (proxy, server) (rate(haproxy_server_http_responses_total{{{SLOTTED}}}{OVER}))", "{{proxy}} {{server}}", "reqps"),
            one("Errors (5xx)", share(f'haproxy_server_http_responses_total{{{SLOTTED},code="5xx"}}',
                                      f"haproxy_server_http_responses_total{{{SLOTTED}}}", "proxy, server"),
                "{{proxy}} {{server}}", "percentunit"),
            one("Time to answer, of the last 1024", f"max by (proxy, server) (haproxy_server_response_time_average_seconds{{{SLOTTED}}})",
                "{{proxy}} {{server}}", "s"),
        ),
        "Slots themselves": (
            one("Shows figures", f'max by (node, component, slot) (up{{{OWN},slot!=""}})', "{{component}} {{slot}} on {{node}}", full=1),
            one("Running for", f'time() - max by (node, component, slot) (process_start_time_seconds{{{OWN},slot!=""}})',
                "{{component}} {{slot}} on {{node}}", "s"),
            one("Memory", f'sum by (component, slot) (process_resident_memory_bytes{{{OWN},slot!=""}})', "{{component}} {{slot}}", "bytes"),
        ),
        "Units": (
            one("Running", f'sum by (node, name) (node_systemd_unit_state{{{UNITS},state="active"}})', "{{name}} on {{node}}"),
            one("Started again, in an hour", f"sum by (node, name) (increase(node_systemd_service_restart_total{{{UNITS}}}[1h]))",
                "{{name}} on {{node}}"),
            one("Alerts", 'sum by (alertname, alertstate) (ALERTS{stack=~"$stack"}) or vector(0)', "{{alertname}} {{alertstate}}"),
        ),
    },
)

BOARDS = (SYSTEM, APPLICATIONS, WORKERS, DATABASE, DEPLOYMENTS)
MARKS = tuple(
    Mark(name, f"max by (event, component, release, outcome) (aistack_event_seconds{{{HERE},{chosen}}}) * 1000", color)
    for name, chosen, color in (
        ("Deployments", 'event="deployment"', "blue"),
        ("Rollbacks", 'event="rollback"', "orange"),
        ("Drills", 'event="drill"', "purple"),
        ("Failed gates and phases", 'event=~"gate|phase",outcome="failed"', "red"),
    )
)
"""On each dashboard. Each node's journal says when it was, so that a mark stands there however late its figure was read."""
