# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters about monitoring: what roles ask of the description, and what they are told where it is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.phasegate.aistack.plugins.filter import monitoring

COMPONENTS: dict[str, dict[str, Any]] = {
    "exporters": {"role": "exporters", "hosts": "all"},
    "figures": {"role": "prometheus", "hosts": "one"},
    "alerts": {"role": "alertmanager", "hosts": "two"},
}
GROUPS = {"all": ["a", "b"], "one": ["a"], "two": ["b"]}
HOSTVARS = {"a": {"aistack_address": "10.0.0.1"}, "b": {"aistack_address": "10.0.0.2"}}


def test_readers_are_the_hosts_of_prometheus() -> None:
    assert monitoring.metric_readers(COMPONENTS, GROUPS, HOSTVARS) == ["10.0.0.1"]
    assert monitoring.metric_readers(COMPONENTS, GROUPS, {"a": {}}) == [], "a host without an address reads nothing from elsewhere"
    assert monitoring.metric_readers({}, {}, {}) == []


def test_an_alertmanager_elsewhere_is_at_its_address() -> None:
    assert monitoring.server_places(COMPONENTS, GROUPS, "alertmanager", 9093, HOSTVARS) == {"b": "10.0.0.2:9093"}
    beside = {**COMPONENTS, "alerts": {"role": "alertmanager", "hosts": "one"}}
    assert monitoring.server_places(beside, GROUPS, "alertmanager", 9093, HOSTVARS) == {"a": "127.0.0.1:9093"}
    assert monitoring.listens_at(beside, GROUPS, "a", "10.0.0.1") == "127.0.0.1"


def test_exporters_of_a_host() -> None:
    assert monitoring.exporters_of(COMPONENTS, GROUPS, "b", {"node_exporter": 9200}, "10.0.0.2") == [
        {"name": "node", "listen": "10.0.0.2", "port": 9200}
    ]
    assert [one["name"] for one in monitoring.exporters_of(COMPONENTS, GROUPS, "a", {}, "10.0.0.1")] == ["node", "blackbox"]
    assert monitoring.exporters_of({}, {}, "a", {}) == []


def test_workers_of_a_host() -> None:
    components = {**COMPONENTS, "worker": {"role": "phasegate.aistack.worker", "hosts": "two", "options": {"queues": ["mail"]}}}
    assert monitoring.figure_workers(components, GROUPS, "b") == {"worker": ["mail"]}
    assert monitoring.figure_workers(components, GROUPS, "a") == {}


def test_jobs_and_their_number() -> None:
    jobs = monitoring.scrape_configs(COMPONENTS, GROUPS, "a", "shop", {}, HOSTVARS)
    assert [job["job_name"] for job in jobs] == ["node_exporter", "blackbox_exporter"]
    assert monitoring.target_count(jobs) == 3


def test_rules_of_a_stack() -> None:
    made: Any = monitoring.alert_rules(COMPONENTS, GROUPS, "shop", [{"name": "by hand", "source": "manual", "then": "manual"}])
    assert [group["name"] for group in made["rules"]["groups"]] == ["shop usual"]
    assert made["without"] == {"by hand": "a person pulls it"}
    assert made["cases"]["rule_files"] == ["rules.yml"]
    made = monitoring.alert_rules(COMPONENTS, GROUPS, "shop", bounds={"lock_hours": 1})
    assert " > 3600'" in str(made["rules"])


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(AnsibleFilterError, match="aistack_triggers: unknown source 'metrcs'"):
        monitoring.alert_rules(COMPONENTS, GROUPS, "shop", [{"name": "x", "source": "metrcs"}])
    with pytest.raises(AnsibleFilterError, match=r"alertmanager_receivers\[0\] \(ops\): 'url' is missing"):
        monitoring.alertmanager_config([{"name": "ops"}])


def test_triggers_and_what_prometheus_is_asked_beside_them() -> None:
    memory = {"name": "memory", "source": "node", "target": "memory", "value": 90, "then": "notice"}
    own = {"aistack_ports": {"prometheus": 9191}, "prometheus_password": "secret-of-readers"}
    hostvars = {"a": {**HOSTVARS["a"], **own}, "b": HOSTVARS["b"]}
    kept, asked = monitoring.asked_of_prometheus([memory], COMPONENTS, GROUPS, "shop", hostvars, ["a", "b"])
    assert (kept, asked["target"], asked["from"], asked["nodes"]) == (memory, "http://127.0.0.1:9191", "a", ["a", "b"])
    assert (asked["username"], "secret-of-readers" in str(asked)) == ("reader", False)
    assert 'stack="shop"' in asked["query"]
    assert monitoring.asked_of_prometheus([memory], {}, GROUPS, "shop", hostvars) == [memory], "without a component prometheus"
    wrong = {"name": "memory", "source": "grafana"}
    assert monitoring.asked_of_prometheus([wrong], COMPONENTS, GROUPS, "shop", hostvars) == [wrong], "metric_gate names what is wrong"


BOARD = '{"uid": "%s", "title": "Mine", "panels": [{"type": "text", "title": "t"}]}'


def test_dashboards_are_laid_down_as_they_are() -> None:
    given = [("a.json", BOARD % "a"), ("b.json", BOARD % "b")]
    assert monitoring.grafana_dashboards(given) == dict(given)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([("b.json", BOARD % "a")], "grafana_dashboards: b.json: the uid 'a' is that of a.json as well"),
        ([("a.json", BOARD % "b")], "grafana_dashboards: a.json: the name is there twice"),
        ([("b.json", "{")], "grafana_dashboards: b.json: no JSON: "),
        ([("b.json", (BOARD % "b").replace("title", "tittle", 1))], r"unknown key 'tittle'; did you mean 'title'\?\nb.json: title: is"),
    ],
)
def test_a_dashboard_that_grafana_would_not_show_is_refused(more: list[tuple[str, str]], said: str) -> None:
    with pytest.raises(AnsibleFilterError, match=said):
        monitoring.grafana_dashboards([("a.json", BOARD % "a"), *more])


@pytest.mark.parametrize(("host", "url"), [("a", "http://127.0.0.1:9090"), ("b", "http://10.0.0.1:9090")])
def test_where_a_host_asks_prometheus(host: str, url: str) -> None:
    assert monitoring.prometheus_url(COMPONENTS, GROUPS, host, 9090, HOSTVARS) == url
    assert monitoring.prometheus_url({}, GROUPS, host, 9090, HOSTVARS) == "http://127.0.0.1:9090"
