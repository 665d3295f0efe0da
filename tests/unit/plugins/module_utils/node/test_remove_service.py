# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What roles of servers and tools laid on a node goes, or what would have to be typed is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.node import remove, remove_plan, remove_service
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.node.removal import Node

JOURNAL = {"var/lib/shop/journal.jsonl", "var/lib/shop/journal.jsonl.last"}


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    node = Node(tmp_path)
    node.pretend(monkeypatch)
    return node


def taken(node: Node, component: str, data: bool = False) -> tuple[set[str], remove_plan.Plan]:
    """The files that are gone, and the plan."""
    before = node.files()
    found = remove.remove(node.state, component, data, "run-1", "me", node.places)
    assert node.files() - JOURNAL <= before
    return before - node.files(), found


@pytest.mark.parametrize("name", ["minio", "ollama", "victorialogs", "jaeger"])
@pytest.mark.parametrize("data", [False, True])
def test_a_server_of_ours_goes(node: Node, name: str, data: bool) -> None:
    node.server(name)
    gone, found = taken(node, name, data)
    assert gone == {
        f"etc/systemd/system/{name}.service", f"etc/{name}/{name}.env", f"etc/{name}/filter.nft", f"opt/shop/{name}/bin/{name}",
        f"var/lib/shop/receipts/{name}.json", *([f"var/lib/{name}/a"] if data else []),
    }
    assert ["systemctl", "disable", "--now", f"{name}.service"] in node.calls
    assert ["nft", "delete", "table", "inet", f"aistack_{name}_service"] in node.calls
    assert (name in node.users) != data
    assert any(f"{node.top}/srv/{name}, where {name} wrote: by hand" in line for line in found.stays), "outside of /var/lib it is not ours"
    assert any("data=true takes it away" in line for line in found.stays) != data


def test_a_store_without_a_password_is_known_by_its_unit(node: Node) -> None:
    unit = "etc/systemd/system/victorialogs.service"
    node.made("shop", "logs", [unit, "opt/shop/victorialogs/bin/victoria-logs"])
    node.write(unit, "[Service]\nUser=victorialogs\n")
    node.write("var/lib/shop/credentials/victorialogs", "s3cret")
    gone, _found = taken(node, "logs")
    state = {"var/lib/shop/credentials/victorialogs", "var/lib/shop/receipts/logs.json"}
    assert gone == {unit, "opt/shop/victorialogs/bin/victoria-logs", *state}


def test_a_server_goes_with_the_timer_beside_it(node: Node) -> None:
    units = [f"etc/systemd/system/{name}" for name in ("jaeger-bound.service", "jaeger-bound.timer", "jaeger.service")]
    node.made("shop", "traces", [*units, "etc/jaeger/jaeger.yml"])
    node.write("etc/systemd/system/jaeger.service", f"[Service]\nUser=jaeger\nReadWritePaths={node.top}/var/lib/jaeger\n")
    node.write("etc/jaeger/filter.nft", "")
    node.write("var/lib/shop/credentials/jaeger", "s3cret")
    node.write("var/lib/jaeger/values/1.vlog", "")
    gone, found = taken(node, "traces", data=True)
    assert gone == {
        *units, "etc/jaeger/jaeger.yml", "etc/jaeger/filter.nft", "var/lib/shop/credentials/jaeger", "var/lib/jaeger/values/1.vlog",
        "var/lib/shop/receipts/traces.json",
    }
    assert found.units == ["jaeger-bound.timer", "jaeger-bound.service", "jaeger.service"], "what would start one again ends first"
    assert found.tables == ["aistack_jaeger_service"]


@pytest.mark.parametrize("data", [False, True])
@pytest.mark.parametrize("program", ["loki", "releases/0a1b.deb"])
def test_loki_goes_with_its_filter_and_its_package_stays(node: Node, program: str, data: bool) -> None:
    unit, folder = "etc/systemd/system/aistack-loki.service", "etc/aistack-loki"
    node.users.add("aistack-loki")
    node.made("shop", "logs", [unit, f"{folder}/loki.yml", f"opt/shop/loki/{program}"])
    node.write(f"{folder}/filter.nft", "")
    node.write("etc/loki/config.yml", "the package's")
    node.write(unit, f"[Service]\nUser=aistack-loki\nReadWritePaths={node.top}/var/lib/aistack-loki\n")
    node.write("var/lib/aistack-loki/chunks/0", "")
    gone, found = taken(node, "logs", data)
    assert gone == {
        unit, f"{folder}/loki.yml", f"{folder}/filter.nft", f"opt/shop/loki/{program}", "var/lib/shop/receipts/logs.json",
        *(["var/lib/aistack-loki/chunks/0"] if data else []),
    }
    assert ["nft", "delete", "table", "inet", "aistack_aistack_loki_service"] in node.calls
    assert ("aistack-loki" in node.users) != data
    assert ("the package loki, whose own unit is masked" in found.stays) is program.endswith(".deb")


@pytest.mark.parametrize("data", [False, True])
def test_what_sends_lines_goes_and_the_journal_stays(node: Node, data: bool) -> None:
    files = ["etc/systemd/system/aistack-log-shipper.service", "etc/aistack-log-shipper/settings.json",
             "etc/systemd/journald.conf.d/aistack.conf"]
    node.made("shop", "sender", files)
    node.write("etc/aistack-log-shipper/password", "")
    node.write("var/lib/aistack-log-shipper/position.json", "{}")
    gone, found = taken(node, "sender", data)
    assert gone == {
        *files, "etc/aistack-log-shipper/password", "var/lib/shop/receipts/sender.json",
        *(["var/lib/aistack-log-shipper/position.json"] if data else []),
    }
    assert ["systemctl", "disable", "--now", "aistack-log-shipper.service"] in node.calls
    assert any(line.startswith("the journal, as large as") for line in found.stays)


@pytest.mark.parametrize("data", [False, True])
def test_what_watches_goes_and_its_figures_by_their_own_word(node: Node, data: bool) -> None:
    unit, folder = "etc/systemd/system/aistack-prometheus.service", "etc/aistack-prometheus"
    node.made("shop", "metrics", [unit, f"{folder}/prometheus.yml", f"{folder}/rules.yml"])
    node.write(f"{folder}/web.yml", "")
    node.write("var/lib/aistack-prometheus/wal/0", "")
    gone, found = taken(node, "metrics", data)
    assert gone == {
        unit, f"{folder}/prometheus.yml", f"{folder}/rules.yml", f"{folder}/web.yml", "var/lib/shop/receipts/metrics.json",
        *(["var/lib/aistack-prometheus/wal/0"] if data else []),
    }
    assert ["systemctl", "disable", "--now", "aistack-prometheus.service"] in node.calls
    assert any("whose own units are masked" in line for line in found.stays)


@pytest.mark.parametrize("data", [False, True])
@pytest.mark.parametrize("role", ["grafana", "superset"])
def test_what_lies_below_the_root_goes_with_its_programs_and_its_user_with_its_data(node: Node, data: bool, role: str) -> None:
    unit, folder = f"etc/systemd/system/aistack-{role}.service", f"etc/aistack-{role}"
    node.users.add(role)
    node.made("shop", role, [unit, f"{folder}/settings", f"opt/shop/{role}/current/bin/{role}"])
    node.write(unit, f"[Service]\nUser={role}\n")
    node.write(f"var/lib/aistack-{role}/its.db", "")
    gone, found = taken(node, role, data)
    assert gone == {
        unit, f"{folder}/settings", f"opt/shop/{role}/current/bin/{role}", f"var/lib/shop/receipts/{role}.json",
        *([f"var/lib/aistack-{role}/its.db"] if data else []),
    }
    assert (role in node.users) != data
    assert any(f"user {role}, whose these files are" in line for line in found.stays) != data
    assert not any("package" in line for line in found.stays)


def test_the_package_of_grafana_stays(node: Node) -> None:
    node.made("shop", "grafana", ["etc/systemd/system/aistack-grafana.service", "etc/aistack-grafana/grafana.ini"])
    _gone, found = taken(node, "grafana")
    assert found.stays == ["the package grafana, whose own unit is masked"]


def test_exporters_go_with_the_filters_of_their_ports(node: Node) -> None:
    units = [f"etc/systemd/system/aistack-{name}-exporter.service" for name in ("node", "postgres")]
    units.append("etc/systemd/system/aistack-figures@shop.timer")
    node.made("shop", "exporters", [*units, "etc/aistack-exporters/postgres.env", "etc/aistack-exporters/node.nft"])
    for name in ("shop", "other"):
        node.write(f"var/lib/prometheus/node-exporter/aistack-{name}.prom", "")
    gone, _found = taken(node, "exporters")
    assert gone == {*units, "etc/aistack-exporters/postgres.env", "etc/aistack-exporters/node.nft", "var/lib/shop/receipts/exporters.json",
                    "var/lib/prometheus/node-exporter/aistack-shop.prom"}
    tables = [call for call in node.calls if call[:2] == ["nft", "delete"]]
    assert tables == [["nft", "delete", "table", "inet", "aistack_aistack_node_exporter_service"]]


@pytest.mark.parametrize("data", [False, True])
def test_redis_loses_what_is_ours_and_stops(node: Node, data: bool) -> None:
    node.packaged()
    gone, _found = taken(node, "redis", data)
    assert gone == {
        "etc/redis/aistack.conf", "etc/redis/aistack-users.conf", "etc/systemd/system/redis-server.service.d/aistack.conf",
        "var/lib/shop/receipts/redis.json", "var/lib/shop/credentials/redis_shop", *(["var/lib/redis/dump.rdb"] if data else []),
    }
    assert (node.top / "etc/redis/redis.conf").read_text(encoding="utf-8") == "port 6379\n"
    assert not (node.top / "etc/systemd/system/redis-server.service.d").exists()
    assert ["systemctl", "disable", "--now", "redis-server.service"] in node.calls


def test_the_daily_set_ends_and_its_sets_stay(node: Node) -> None:
    node.backup()
    gone, found = taken(node, "backup")
    assert gone == {
        *(f"etc/systemd/system/aistack-backup@shop.{kind}" for kind in ("service", "timer")),
        "etc/systemd/system/aistack-backup-failed@shop.service", "var/lib/shop/backup.json", "var/lib/shop/receipts/backup.json",
        "var/lib/systemd/timers/stamp-aistack-backup@shop.timer",
    }
    assert len(found.stays) == 2


def test_what_cannot_be_done_from_here_says_what_to_type(node: Node) -> None:
    node.packaged()
    node.made("shop", "tools", ["opt/shop/tools/complete"])
    node.made("shop", "mail", ["etc/postfix/main.cf"])
    before = node.files()
    with pytest.raises(remove_plan.Refused, match=r"--stop 17 main && rm -rf .*/17/main && rm .*; then rm .*/receipts/postgres.json"):
        remove.plan(node.state, "postgres", True, node.places)
    with pytest.raises(remove_plan.Refused, match=r"goes with the whole stack: remove\.yml -e stack=shop"):
        remove.plan(node.state, "tools", True, node.places)
    with pytest.raises(remove_plan.Refused, match=r"none of this collection's.*etc/postfix/main.cf\), then rm "):
        remove.plan(node.state, "mail", True, node.places)
    described = node.state / "components/api.json"
    described.write_text(described.read_text(encoding="utf-8").replace("{", '{"edge": {"socket": "s"}, ', 1), encoding="utf-8")
    with pytest.raises(remove_plan.Refused, match="api is served by edge; remove that first"):
        remove.plan(node.state, "edge", True, node.places)
    described.unlink()
    assert "unit haproxy.service" in remove.plan(node.state, "edge", True, node.places).lines
    assert node.files() == before - {"var/lib/shop/components/api.json"}
    assert node.calls == []


def test_what_to_type_speaks_of_this_cluster_alone(node: Node) -> None:
    """There may be another one at the usual port, and another stack's."""
    files = ["etc/systemd/system/postgresql@.service.d/aistack.conf", "etc/postgresql/17/solo/pg_hba.conf"]
    node.made("shop", "database", files)
    way = remove_service.by_hand(node.state, "database", node.places)
    assert "sudo -u postgres psql --cluster 17/solo --list" in way
    assert "dropdb --cluster 17/solo DATABASE" in way
    assert way.endswith(f"rm {node.top}/{files[0]} && systemctl daemon-reload")
    node.stack("other", {"components": [], "roles": [], "ports": {}})
    node.made("other", "postgres", [files[0], "etc/postgresql/17/main/pg_hba.conf"])
    way = remove_service.by_hand(node.state, "database", node.places)
    # the other's servers keep their settings
    assert way.endswith(f"pg_dropcluster --stop 17 solo && rm -rf {node.top}/etc/postgresql/17/solo")
