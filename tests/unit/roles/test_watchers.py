# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Units of what watches: each exporter as a user of its own, behind its filter where it is not on loopback; bounds of what is kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

ROLES = Path(__file__).resolve().parents[3] / "roles"


def rendered(role: str, name: str, **more: Any) -> list[str]:
    """The lines of a unit as a role writes it."""
    engine = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined, autoescape=False)
    engine.filters["regex_replace"] = lambda text, what, by: re.sub(what, by, text)
    known = yaml.safe_load((ROLES / role / "vars/main.yml").read_text(encoding="utf-8"))
    text = (ROLES / role / "templates" / f"{name}.service.j2").read_text(encoding="utf-8")
    return engine.from_string(text).render({**known, **more}).splitlines()


def exporter(name: str, listen: str = "127.0.0.1", filtered: bool = False, environment: bool = False) -> list[str]:
    given = {
        "__exporter": {"name": name, "listen": listen, "port": 9100}, "__exporters_its_filtered": filtered,
        "__exporters_its_filter_file": "/etc/node.nft", "__exporters_its_login": environment, "__exporters_its_env_file": "/etc/node.env",
    }
    return rendered("exporters", "exporter", **given)


@pytest.mark.parametrize("filtered", [True, False])
def test_an_exporter_does_not_start_without_its_filter(filtered: bool) -> None:
    lines = exporter("node", "fd00::2", filtered)
    assert ("ExecStartPre=+/usr/sbin/nft -f /etc/node.nft" in lines) is filtered
    assert ("ReloadPropagatedFrom=nftables.service" in lines) is filtered
    assert any(line.startswith("ExecStart=/usr/bin/prometheus-node-exporter --web.listen-address=[fd00::2]:9100 --coll") for line in lines)


def test_exporters_are_users_of_their_own_and_their_passwords_on_no_command_line() -> None:
    lines = exporter("redis", environment=True)
    assert {"DynamicUser=true", "EnvironmentFile=/etc/node.env"} <= set(lines)
    assert "ExecStart=/usr/bin/prometheus-redis-exporter --web.listen-address=127.0.0.1:9100" in lines
    node = exporter("node")
    assert "EnvironmentFile=/etc/node.env" not in node
    assert "User=aistack-node-exporter" in node, "the bus knows it on each node"
    assert "DynamicUser=true" not in node


def test_a_node_says_of_its_stack_what_it_is_and_no_login_is_on_a_command_line() -> None:
    workers = {"worker": ["celery", "mail"], "b": ["x"]}
    given = {"exporters_stack": "shop", "exporters_figures_dir": "/figures", "exporters_workers": workers}
    lines = rendered("exporters", "figures", **given)
    start = "/usr/local/bin/aistack --stack shop figures --to /figures/aistack-shop.prom --worker worker=celery,mail --worker b=x"
    assert {f"ExecStart={start}", "ReadWritePaths=/figures", "TimeoutStartSec=50", "ProtectSystem=strict"} <= set(lines)
    assert any(line.endswith("aistack-shop.prom") for line in rendered("exporters", "figures", **{**given, "exporters_workers": {}}))


@pytest.mark.parametrize("password", ["", "s3cret-of-the-reader"])
def test_prometheus_keeps_no_more_than_it_may_and_asks_for_a_password_where_there_is_one(password: str) -> None:
    given = {"prometheus_retention_days": 7, "prometheus_retention_bytes": "1GB", "prometheus_listen": "10.0.0.11", "prometheus_port": 9090,
             "prometheus_password": password, "__prometheus_config": "/etc/p.yml", "__prometheus_web": "/etc/web.yml"}
    lines = rendered("prometheus", "prometheus", **given)
    start = next(line for line in lines if line.startswith("ExecStart="))
    assert "--storage.tsdb.retention.time=7d --storage.tsdb.retention.size=1GB --web.listen-address=10.0.0.11:9090" in start
    assert ("--web.config.file=/etc/web.yml" in start) is bool(password)
    assert "s3cret" not in "\n".join(lines)
    assert {"ExecReload=/bin/kill -HUP $MAINPID", "StateDirectory=aistack-prometheus"} <= set(lines)


@pytest.mark.parametrize(("password", "tls"), [("", {}), ("s3cret-of-the-reader", {"certificate": "x", "key": "y"})])
def test_a_store_of_logs_keeps_no_more_than_it_may(password: str, tls: dict[str, str]) -> None:
    given = {"victorialogs_retention_days": 7, "victorialogs_retention_bytes": "1GB", "victorialogs_keep_free": "64MB",
             "victorialogs_memory": "128MB", "victorialogs_listen": "fd00::1", "victorialogs_port": 9428, "victorialogs_user": "logs",
             "victorialogs_data": "/srv/logs", "victorialogs_login": "reader", "victorialogs_password": password,
             "victorialogs_tls": tls,
             "__victorialogs_tls_file": "/etc/victorialogs/tls.pem", "__victorialogs_program": "/opt/vl",
             "__victorialogs_password_file": "/etc/victorialogs/password"}
    lines = rendered("victorialogs", "victorialogs", **given)
    start = next(line for line in lines if line.startswith("ExecStart="))
    assert "-httpListenAddr=[fd00::1]:9428 -enableTCP6 -storageDataPath=/srv/logs -retentionPeriod=7d" in start
    assert "-retention.maxDiskSpaceUsageBytes=1GB -storage.minFreeDiskSpaceBytes=64MB -memory.allowedBytes=128MB" in start
    assert (" -tls -tlsCertFile=/etc/victorialogs/tls.pem -tlsKeyFile=/etc/victorialogs/tls.pem" in start) is bool(tls)
    assert start.endswith(" -httpAuth.username=reader -httpAuth.password=file:///etc/victorialogs/password") is bool(password)
    assert "s3cret" not in "\n".join(lines)
    assert {"ReadWritePaths=/srv/logs", "CapabilityBoundingSet=", "ProtectSystem=strict"} <= set(lines)


@pytest.mark.parametrize("filtered", [True, False])
def test_loki_does_not_start_without_its_filter_and_is_told_how_much_memory_it_has(filtered: bool) -> None:
    given = {"loki_data": "/srv/logs", "loki_user": "aistack-loki", "__loki_program": "/opt/l/loki", "__loki_memory_bytes": 536870912,
             "__loki_config_file": "/etc/aistack-loki/loki.yml", "__loki_filter_file": "/etc/aistack-loki/filter.nft",
             "__loki_filtered": filtered}
    lines = rendered("loki", "loki", **given)
    assert ("ExecStartPre=+/usr/sbin/nft -f /etc/aistack-loki/filter.nft" in lines) is filtered
    assert ("ReloadPropagatedFrom=nftables.service" in lines) is filtered
    assert {"ExecStart=/opt/l/loki -config.file=/etc/aistack-loki/loki.yml", "Environment=GOMEMLIMIT=536870912", "User=aistack-loki",
            "ReadWritePaths=/srv/logs", "CapabilityBoundingSet=", "ProtectSystem=strict"} <= set(lines)


@pytest.mark.parametrize(("storage", "filtered"), [("badger", True), ("memory", False)])
def test_a_store_of_traces_keeps_no_more_than_it_may(storage: str, filtered: bool) -> None:
    given = {"jaeger_user": "traces", "jaeger_data": "/srv/traces", "jaeger_bytes": "2GB", "__jaeger_memory": 1000,
             "__jaeger_filtered": filtered, "__jaeger_on_disk": storage == "badger", "__jaeger_over": 'test "$(du)" -gt 5',
             "__jaeger_program": "/opt/jaeger", "__jaeger_filter_file": "/etc/jaeger/filter.nft",
             "__jaeger_config": "/etc/jaeger/jaeger.yml"}
    lines = rendered("jaeger", "jaeger", **given)
    assert {"ExecStart=/opt/jaeger --config /etc/jaeger/jaeger.yml", "MemoryMax=1000", "Environment=GOMEMLIMIT=900", "User=traces",
            "ReadWritePaths=/srv/traces", "CapabilityBoundingSet=", "ProtectSystem=strict"} <= set(lines)
    assert ("ExecStartPre=+/usr/sbin/nft -f /etc/jaeger/filter.nft" in lines) is filtered
    assert ("ReloadPropagatedFrom=nftables.service" in lines) is filtered
    emptied = [line for line in lines if "rm -rf /srv/traces/keys /srv/traces/values" in line]
    assert bool(emptied) is (storage == "badger")
    assert all(line.startswith('ExecStartPre=/bin/sh -c \'test "$(du)" -gt 5 || exit 0; ') for line in emptied)


def test_who_sends_lines_reads_and_writes_nothing_but_its_position() -> None:
    given = {"log_shipper_url": "http://10.0.0.11:9428", "log_shipper_stack": "shop", "__log_shipper_command": "/usr/local/bin/aistack",
             "__log_shipper_settings_file": "/etc/aistack-log-shipper/settings.json"}
    lines = rendered("log_shipper", "log-shipper", **given)
    assert "ExecStart=/usr/local/bin/aistack --stack shop ship /etc/aistack-log-shipper/settings.json" in lines
    assert {"StateDirectory=aistack-log-shipper", "ProtectSystem=strict", "NoNewPrivileges=true", "Restart=always"} <= set(lines)
    assert not [line for line in lines if line.startswith("ReadWritePaths")]
    assert "CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE" in lines, "files of secrets belong to the users of components"
