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


def test_jobs_and_their_number() -> None:
    jobs = monitoring.scrape_configs(COMPONENTS, GROUPS, "a", "shop", {}, HOSTVARS)
    assert [job["job_name"] for job in jobs] == ["node_exporter", "blackbox_exporter"]
    assert monitoring.target_count(jobs) == 3


def test_rules_of_a_stack() -> None:
    made: Any = monitoring.alert_rules(COMPONENTS, GROUPS, "shop", [{"name": "by hand", "source": "manual", "then": "manual"}])
    assert [group["name"] for group in made["rules"]["groups"]] == ["shop usual"]
    assert made["without"] == {"by hand": "a person pulls it"}
    assert made["cases"]["rule_files"] == ["rules.yml"]


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
