# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read, judged and told follows from the description of a stack; the two slots of a component can be told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.phasegate.aistack.plugins.module_utils.gate.trigger import TriggerError
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring import rules, settings, targets
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.asked import PASSWORD_FILE, asked_of_prometheus, server
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.description import problems
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.trigger_rules import trigger_rules
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.usual_rules import usual_rules

COMPONENTS: dict[str, dict[str, Any]] = {
    "db": {"role": "postgres", "hosts": "data"},
    "queue": {"role": "phasegate.aistack.redis", "hosts": "data"},
    "saved": {"role": "backup", "hosts": "all"},
    "edge": {"role": "edge", "hosts": "all", "metrics": {"port": "edge_metrics"}},
    "api": {"role": "backend", "hosts": "data", "application": "shop", "port": "api", "metrics": {}, "edge": {"check": "/health"}},
    "site": {"role": "frontend", "hosts": "web", "application": "shop", "port": "site", "metrics": {"path": "/figures"}},
    "exporters": {"role": "exporters", "hosts": "all"},
    "prometheus": {"role": "prometheus", "hosts": "data"},
    "alerts": {"role": "alertmanager", "hosts": "data"},
    "logs": {"role": "victorialogs", "hosts": "data", "metrics": {"port": "logs"}},
}
GROUPS = {"all": ["one", "two"], "data": ["one"], "web": ["two"]}
PORTS = {"api": 8000, "api_blue": 18000, "api_green": 18001, "site": 3000, "site_blue": 13000, "site_green": 13001, "edge_metrics": 8405,
         "logs": 9428}
ADDRESSES = {"one": "10.0.0.11", "two": "fd00::2"}


def stack(components: dict[str, dict[str, Any]] | None = None, **more: Any) -> targets.Stack:
    return targets.Stack("shop", components or COMPONENTS, GROUPS, PORTS, ADDRESSES, **more)


def read(jobs: list[dict[str, Any]], name: str) -> list[tuple[str, dict[str, str]]]:
    """The targets of a job: place and labels, ``stack`` left out, which all have."""
    found = []
    for job in jobs:
        for one in job["static_configs"] if job["job_name"] == name else []:
            assert one["labels"]["stack"] == "shop"
            found += [(at, {key: value for key, value in one["labels"].items() if key != "stack"}) for at in one["targets"]]
    return found


def test_slots_are_told_apart_on_the_host_of_prometheus() -> None:
    jobs = targets.scrape_configs(stack(), "one")
    of_api = {"component": "api", "node": "one"}
    assert read(jobs, "api") == [("127.0.0.1:18000", {**of_api, "slot": "blue"}), ("127.0.0.1:18001", {**of_api, "slot": "green"})]
    assert next(job for job in jobs if job["job_name"] == "api")["metrics_path"] == "/metrics"


def test_a_server_with_figures_of_its_own() -> None:
    objects = {"role": "minio", "hosts": "data", "metrics": {"port": "minio", "path": "/minio/v2/metrics/cluster"}}
    secure = {**objects, "metrics": {**objects["metrics"], "tls": True}}
    given = targets.Stack("shop", {"plain": objects, "secure": secure}, GROUPS, {"minio": 9000}, ADDRESSES, ca="/ca.pem")
    plain, other = targets.scrape_configs(given, "one")
    assert read([plain], "plain") == [("10.0.0.11:9000", {"component": "plain", "node": "one"})]
    assert (plain["metrics_path"], "scheme" in plain) == ("/minio/v2/metrics/cluster", False)
    assert (other["scheme"], other["tls_config"]) == ("https", {"ca_file": "/ca.pem"})


def test_a_target_that_asks_for_a_password() -> None:
    """The password stands in a file of its own; the name of the file cannot be that of another one of the role's."""
    api = {**COMPONENTS["api"], "metrics": {"username": "reader"}}
    asked = {**COMPONENTS, "api": api, "own": {"role": "x", "hosts": "all", "metrics": {"port": "edge_metrics", "username": "ops"}}}
    jobs = {job["job_name"]: job for job in targets.scrape_configs(stack(asked, secrets="/etc/p"), "two")}
    assert jobs["own"]["basic_auth"] == {"username": "ops", "password_file": "/etc/p/target-own.password"}
    assert jobs["api_edge"]["basic_auth"] == {"username": "reader", "password_file": "/etc/p/target-api.password"}
    assert "basic_auth" not in jobs["edge"]


@pytest.mark.parametrize(
    ("senders", "reader", "figures", "place"),
    [
        ("data", "data", True, "127.0.0.1:9428"),
        ("data", "web", True, "10.0.0.11:9428"),
        ("data", "web", False, ""),
        ("all", "data", True, "10.0.0.11:9428"),
    ],
)
def test_a_store_of_logs_is_read_where_it_listens(senders: str, reader: str, figures: bool, place: str) -> None:
    """It listens on loopback where nobody on another host sends to it or reads its figures."""
    described = {"logs": {"role": "victorialogs", "hosts": "data", **({"metrics": {"port": "logs"}} if figures else {})},
                 "sender": {"role": "log_shipper", "hosts": senders}, "prometheus": {"role": "prometheus", "hosts": reader}}
    given = targets.Stack("shop", described, GROUPS, {"logs": 9428}, ADDRESSES)
    assert [at for at, _labels in read(targets.scrape_configs(given, "one"), "logs")] == ([place] if place else [])
    listens = targets.store_listens(described, GROUPS, "one", "10.0.0.11")
    assert listens == (place.partition(":")[0] or "127.0.0.1")


def test_elsewhere_the_slot_that_serves_is_read_through_the_edge() -> None:
    jobs = targets.scrape_configs(stack(), "one")
    assert read(jobs, "site") == []
    assert read(jobs, "site_edge") == [("[fd00::2]:3000", {"component": "site", "node": "two", "slot": "live"})]
    assert next(job for job in jobs if job["job_name"] == "site_edge")["metrics_path"] == "/figures"
    secure = next(job for job in targets.scrape_configs(stack(tls=True, ca="/opt/ca.pem"), "one") if job["job_name"] == "site_edge")
    assert (secure["scheme"], secure["tls_config"]) == ("https", {"ca_file": "/opt/ca.pem"})


def test_other_figures_are_read_at_the_address_of_the_host() -> None:
    assert [at for at, _labels in read(targets.scrape_configs(stack(), "one"), "edge")] == ["10.0.0.11:8405", "[fd00::2]:8405"]


def test_an_exporter_is_where_its_server_is_and_speaks_for_it() -> None:
    jobs = targets.scrape_configs(stack(), "one")
    assert [labels for _at, labels in read(jobs, "postgres_exporter")] == [{"component": "db", "node": "one"}]
    assert [labels for _at, labels in read(jobs, "redis_exporter")] == [{"component": "queue", "node": "one"}]
    assert [labels["node"] for _at, labels in read(jobs, "node_exporter")] == ["one", "two"]
    assert targets.exporters_on(COMPONENTS, GROUPS, "two") == ["node"]
    assert targets.exporters_on({key: value for key, value in COMPONENTS.items() if key != "exporters"}, GROUPS, "one") == []


def test_an_exporter_listens_where_its_readers_are() -> None:
    jobs = targets.scrape_configs(stack(), "one")
    assert [at for at, _labels in read(jobs, "node_exporter")] == ["127.0.0.1:9100", "[fd00::2]:9100"]
    two = {**COMPONENTS, "prometheus": {"role": "prometheus", "hosts": "all"}}
    assert targets.listens_at(two, GROUPS, "one", "10.0.0.11") == "10.0.0.11", "another host reads it as well"


def test_doors_are_knocked_at_as_users_do() -> None:
    jobs = targets.scrape_configs(stack(), "one")
    assert read(jobs, "doors_http") == [("http://10.0.0.11:8000/health", {"component": "api", "node": "one"})]
    assert read(jobs, "doors_tcp") == [("[fd00::2]:3000", {"component": "site", "node": "two"})]
    secure = targets.scrape_configs(stack(tls=True), "one")
    assert [at for at, _labels in read(secure, "doors_tls")] == ["10.0.0.11:8000", "[fd00::2]:3000"]


def test_what_prometheus_knows_of_itself_and_its_alertmanager() -> None:
    own = {"prometheus": {"places": {"one": "127.0.0.1:9090"}},
           "alertmanager": {"places": {"one": "10.0.0.11:9093"},
                            "auth": {"basic_auth": {"username": "u", "password_file": "/f"}}}}
    jobs = targets.scrape_configs(stack(), "one", own)
    assert read(jobs, "prometheus") == [("127.0.0.1:9090", {"component": "prometheus", "node": "one"})]
    assert read(jobs, "alertmanager") == [("10.0.0.11:9093", {"component": "alerts", "node": "one"})]
    assert jobs[1]["basic_auth"] == {"username": "u", "password_file": "/f"}


def test_two_slots_count_as_one_target() -> None:
    jobs = targets.scrape_configs(stack(), "one")
    both = sum(len(one["targets"]) for job in jobs for one in job["static_configs"])
    assert targets.count(jobs) == both - 1


@pytest.mark.parametrize(
    ("component", "said"),
    [
        ({}, ""),
        ({"metrics": {"port": "edge_metrics"}}, ""),
        ({"metrics": {"port": "edge_metric"}}, "c.metrics.port: aistack_ports has no 'edge_metric'; did you mean 'edge_metrics'?"),
        ({"metrics": {}}, "c.metrics: 'port' is missing: the name in aistack_ports"),
        ({"metrics": {"port": "api", "path": "metrics"}}, "c.metrics.path: 'metrics' is no path; it begins with /"),
        ({"application": "shop", "port": "api", "metrics": {"port": "api"}}, ""),
        ({"application": "shop", "port": "api", "metrics": {"port": "site"}}, "c.metrics.port: slots are read at the component's own port"),
        ({"release_from": "api", "metrics": {}}, "c.metrics: its slots have no port"),
        ({"metrics": {"port": "edge_metrics", "tls": True}}, ""),
        ({"application": "shop", "port": "api", "metrics": {"tls": True}}, "c.metrics.tls: slots are read on loopback"),
        ({"metrics": {"port": "edge_metrics", "username": "reader"}}, ""),
        ({"metrics": {"port": "edge_metrics", "username": ""}}, "c.metrics.username: '' is no name; expected one without a colon"),
        ({"metrics": {"port": "edge_metrics", "username": "a:b"}}, "c.metrics.username: 'a:b' is no name"),
    ],
)
def test_what_a_component_may_say(component: dict[str, Any], said: str) -> None:
    found = problems("c", component, PORTS)
    assert len(found) == bool(said)
    assert not said or found[0].startswith(said)


ERRORS = {"name": "errors", "kind": "emergency", "hosts": "data", "source": "haproxy", "target": "api", "ratio": ["hrsp_5xx", "req_tot"],
          "value": {"le": 0.05}, "window": 300, "min_sample": 20, "then": {"level": "app"}}
SLOW = {"name": "slow", "source": "metrics", "component": "api", "target": "http://x", "ratio": ['t_sum{path=~"/a/.*"}', "t_count"],
        "value": 3, "then": {"level": "config"}}


def test_a_trigger_is_a_rule_with_its_verb() -> None:
    found, without = trigger_rules([ERRORS], stack())
    assert without == {}
    rule = found[0]
    assert rule.expr == (
        '(sum by (stack, component, node, slot) (increase(haproxy_backend_http_responses_total{stack="shop",proxy="api",code="5xx",'
        'node=~"one"}[300s])) / sum by (stack, component, node, slot) (increase(haproxy_backend_http_requests_total{stack="shop",'
        'proxy="api",node=~"one"}[300s]))) > 0.05 and sum by (stack, component, node, slot) (increase('
        'haproxy_backend_http_requests_total{stack="shop",proxy="api",node=~"one"}[300s])) >= 20'
    )
    assert rule.labels == {"severity": "critical", "kind": "emergency", "aistack": "emergency_rollback", "aistack_stack": "shop"}
    verb = "ansible-playbook phasegate.aistack.emergency_rollback -e \"reason='errors on {{ $labels.node }}'\""
    assert rule.verb == verb


def test_a_trigger_of_a_component_is_judged_for_each_slot() -> None:
    rule = trigger_rules([SLOW], stack())[0][0]
    assert rule.expr.startswith('(sum by (stack, component, node, slot) (increase(t_sum{path=~"/a/.*",stack="shop",component="api"}[60s]))')
    assert " > 3 and " in rule.expr
    assert "rollback -e level=config" in rule.verb
    assert rule.labels["aistack"] == "ticket", "a watch does not go back to that level by itself either"
    assert {one.name for one in rule.fires} == {
        't_sum{stack="shop",component="api",node="one",slot="blue",path="/a/x"}',
        't_count{stack="shop",component="api",node="one",slot="blue"}'
    }


@pytest.mark.parametrize(
    ("limit", "sign"),
    [({"value": {"lt": 5}}, ">= 5"), ({"value": {"ge": 5}}, "< 5"), ({"value": {"gt": 5}}, "<= 5"), ({"value": {"ne": 5}}, "== 5")],
)
def test_a_rule_fires_where_the_figure_is_not_as_it_has_to_be(limit: dict[str, Any], sign: str) -> None:
    given = {"name": "g", "source": "metrics", "component": "api", "target": "http://x", "gauge": "depth", "then": "notice", **limit}
    rule = trigger_rules([given], stack())[0][0]
    assert rule.expr.endswith(sign)
    assert rule.labels["severity"] == "info"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"source": "manual"}, "a person pulls it"),
        ({"ratio": ["lastchg", "req_tot"]}, "HAProxy's exporter has no figure for the column lastchg"),
        ({"source": "metrics", "ratio": ["a", "b"], "component": "db", "target": "http://x"}, "'db' says no 'metrics'"),
        ({"source": "metrics", "ratio": ["a", "b"], "target": "http://x"}, "it names no component"),
        ({"value": {"ge": 1, "le": 3}}, "a rule has one limit of"),
    ],
)
def test_a_trigger_without_a_rule_says_why(change: dict[str, Any], why: str) -> None:
    given = {**ERRORS, **change}
    if change.get("source") == "manual":
        given = {"name": "errors", "source": "manual", "then": "manual"}
    found, without = trigger_rules([given], stack())
    assert found == []
    assert why in without["errors"]


def test_a_wrong_trigger_is_refused() -> None:
    with pytest.raises(TriggerError, match="unknown source 'grafana'"):
        trigger_rules([{**ERRORS, "source": "grafana"}], stack())


def test_names_stand_in_an_expression_as_they_are() -> None:
    many = targets.Stack("shop", COMPONENTS, {**GROUPS, "data": ["one-1.example", "two"]}, PORTS, ADDRESSES)
    rule = trigger_rules([{**ERRORS, "target": 'a"} or up{x="'}], many)[0][0]
    assert 'node=~"one-1\\\\.example|two"' in rule.expr, "as Go reads it, and then as a regular expression"
    assert 'proxy="a\\"} or up{x=\\""' in rule.expr


QUESTION = {"name": "deep", "source": "prometheus", "query": "sum(rate(a[5m]))", "sample": "sum(increase(a[5m]))", "then": "notice"}


def test_a_question_is_a_rule_in_its_own_words() -> None:
    rule = trigger_rules([{**QUESTION, "value": 3, "min_sample": 7}], stack())[0][0]
    assert rule.expr == "(sum(rate(a[5m]))) > 3 and (sum(increase(a[5m]))) >= 7"
    earlier = trigger_rules([{**QUESTION, "times": {"lt": 2}, "offset": 3600}], stack())[0][0]
    assert "(sum(rate(a[5m]))) >= 2 * (last_over_time((sum(rate(a[5m])))[1m:1m] offset 3600s)) and " in earlier.expr
    found, without = trigger_rules([{**QUESTION, "times": 2, "slot": "blue"}, {**QUESTION, "value": 2, "nodes": ["one"]}], stack())
    assert (found, "one slot against the other" in str(without) or "have the query itself" in str(without)) == ([], True)


HERE = server("one", {"port": 9191})


@pytest.mark.parametrize("given", [ERRORS, SLOW, {**SLOW, "value": None, "times": {"lt": 2}}, {**SLOW, "gauge": "depth", "ratio": None}])
def test_what_a_gate_asks_is_the_text_of_the_alert_rule(given: dict[str, Any]) -> None:
    trigger = {key: value for key, value in given.items() if value is not None}
    rule = trigger_rules([trigger], stack())[0][0]
    kept, asked = asked_of_prometheus([trigger], stack(), HERE)
    assert kept == trigger
    assert (asked["source"], asked["name"], asked["target"], asked["from"]) == ("prometheus", given["name"], "http://127.0.0.1:9191", "one")
    sign = ">= 2 * " if "times" in trigger else "> 0.05" if trigger is ERRORS else "> "
    assert rule.expr.startswith(f"({asked['query']}) {sign}"[:len(asked["query"]) + 4])
    assert ("sample" in asked) == ("ratio" in trigger)
    assert "sample" not in asked or rule.expr.endswith(f" and {asked['sample']} >= {asked['min_sample']:g}")
    assert ("baseline" in asked) == ("times" in trigger)
    assert "baseline" not in asked or f"* ({asked['baseline']})" in rule.expr
    assert (asked["nodes"], asked["then"]) == (["one"], trigger["then"])


def test_only_what_has_a_rule_is_asked_and_only_of_hosts_that_are_looked_at() -> None:
    by_hand = {"name": "hole", "source": "manual", "then": "manual"}
    odd = {**ERRORS, "name": "odd", "ratio": ["lastchg", "req_tot"]}
    memory = {"name": "memory", "source": "node", "target": "memory", "value": {"lt": 90}, "then": "notice"}
    found = asked_of_prometheus([by_hand, odd, ERRORS, memory], stack(), HERE, ["two"], 30)
    assert [(one["name"], one["source"]) for one in found] == [
        ("hole", "manual"), ("odd", "haproxy"), ("errors", "haproxy"), ("memory", "node"), ("memory", "prometheus")
    ]
    assert (found[-1]["nodes"], found[-1]["window"], "[30s:15s]" in found[-1]["query"]) == (["two"], 30.0, True)
    own = asked_of_prometheus([ERRORS, {**QUESTION, "value": 3}], stack(), HERE, beside=False)
    assert [(one["source"], one.get("from")) for one in own] == [("haproxy", None), ("prometheus", "one")]
    assert asked_of_prometheus([ERRORS], stack(), {}) == [ERRORS]


def test_how_a_server_is_asked() -> None:
    assert server("one", {}) == {"target": "http://127.0.0.1:9090", "from": "one"}
    found = server("one", {"listen": "fd00::1", "port": "9091", "user": "ann", "password": "secret-of-ann"})
    assert found == {"target": "http://[fd00::1]:9091", "from": "one", "username": "ann", "password_file": PASSWORD_FILE}
    assert server("one", {"listen": "0.0.0.0"})["target"] == "http://127.0.0.1:9090"
    role = yaml.safe_load((Path(__file__).parents[5] / "roles/prometheus/vars/main.yml").read_text(encoding="utf-8"))
    assert f"{role['__prometheus_folder']}/own.password" == PASSWORD_FILE


def test_of_a_baseline_the_same_figure_of_the_day_before() -> None:
    given = {key: value for key, value in SLOW.items() if key != "value"}
    rule = trigger_rules([{**given, "times": {"lt": 2}}], stack())[0][0]
    assert rule.expr.count("[60s] offset 1d") == 2
    assert rule.notes == {"compared": "with the same figure a day before"}
    assert rules.untested({"g": [rule]}) == ["slow"]


def test_what_nobody_can_make_up_has_no_case() -> None:
    given = {"name": "odd", "source": "metrics", "component": "api", "target": "http://x", "gauge": 'depth{queue=~"a{2}[^x]b"}', "value": 3,
             "then": "notice"}
    made = {"g": trigger_rules([given], stack())[0]}
    assert rules.untested(made) == ["odd"]
    assert rules.cases(made, "rules.yml")["tests"] == []


def test_the_usual_rules_are_those_whose_figures_somebody_shows() -> None:
    every = {"TargetDown", "NoSlotUp", "DiskFullSoon", "ServiceRestarts", "BackupTooOld", "NotReached", "CertificateEnds",
             "EdgeWithoutServer", "ReplicationBehind", "ReplicationStopped", "FiguresTooOld", "JournalBroken", "LockHeldLong",
             "NoFigures", "FiguresLost", "ReceiverNotTold", "ClockWrong", "LinesDropped"}
    found = usual_rules(stack(tls=True))
    assert {rule.alert for rule in found} == every
    assert all(rule.verb.startswith("ansible-playbook phasegate.aistack.") for rule in found)
    assert {rule.alert for rule in usual_rules(stack())} == every - {"CertificateEnds"}
    assert {rule.alert for rule in usual_rules(stack({"api": COMPONENTS["api"]}))} == {"TargetDown", "NoSlotUp"}


def test_each_rule_has_a_case_that_fires_and_one_that_does_not() -> None:
    made = {"usual": usual_rules(stack(tls=True)), "none": []}
    tests: Any = rules.cases(made, "rules.yml")["tests"]
    assert len(tests) == 2 * len(made["usual"])
    assert [bool(test["promql_expr_test"][0]["exp_samples"]) for test in tests] == [True, False] * len(made["usual"])
    groups: Any = rules.groups(made)["groups"]
    assert [group["name"] for group in groups] == ["usual"], "promtool takes no group without rules"
    assert groups[0]["rules"][0]["annotations"]["verb"] == made["usual"][0].verb


def test_who_is_told() -> None:
    ops = {"name": "ops", "url": "http://x/hook", "severity": ["critical"]}
    made: Any = settings.alertmanager([ops], {"wait": 1, "interval": 2, "repeat": 3})
    assert made["route"]["receiver"] == "nobody"
    assert made["route"]["routes"] == [{"receiver": "ops", "matchers": ['severity=~"critical"'], "continue": True}]
    assert made["receivers"][1] == {"name": "ops", "webhook_configs": [{"url": "http://x/hook", "send_resolved": True}]}
    made = settings.alertmanager([{**ops, "token": "t0ken", "ca_file": "/ca"}], {"wait": 1, "interval": 2, "repeat": 3})
    assert made["receivers"][1]["webhook_configs"][0]["http_config"] == {
        "tls_config": {"ca_file": "/ca"}, "authorization": {"credentials": "t0ken"}
    }


def test_a_wrong_receiver_is_refused_and_its_address_not_shown() -> None:
    given = [{"name": "a", "url": 7, "sevrity": []}, {"name": "a", "url": "http://secret/token", "kind": "mail"},
             {"name": "nobody", "url": "x"}]
    found = settings.receiver_problems(given)
    assert any("unknown key 'sevrity'; did you mean 'severity'?" in line for line in found)
    assert any("'mail' is not one of webhook" in line for line in found)
    assert any("the name 'a' is there twice" in line for line in found)
    assert any("'nobody' is the name of who gets the rest" in line for line in found)
    assert "token" not in str(found)
    with pytest.raises(ValueError, match="sevrity"):
        settings.alertmanager(given, {"wait": 1, "interval": 2, "repeat": 3})


def test_prometheus_tells_its_alertmanagers() -> None:
    known = {"stack": "shop", "interval": 15, "timeout": 10, "evaluation": 20, "alertmanagers": ["127.0.0.1:9093"]}
    made: Any = settings.prometheus([], ["rules.yml"], known)
    assert made["global"] == {"scrape_interval": "15s", "scrape_timeout": "10s", "evaluation_interval": "20s",
                              "external_labels": {"stack": "shop"}}
    assert made["alerting"] == {"alertmanagers": [{"static_configs": [{"targets": ["127.0.0.1:9093"]}]}]}
    assert "alerting" not in settings.prometheus([], [], {**known, "alertmanagers": []})
