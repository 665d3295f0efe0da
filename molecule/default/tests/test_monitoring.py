# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus sees the stack as it is: every target, both slots, HAProxy of both edges; figures are for its readers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring import dashboards

ROOT = Path(__file__).resolve().parents[3]
JOBS = {
    "prometheus", "alertmanager", "backend", "edge", "node_exporter", "postgres_exporter", "redis_exporter", "blackbox_exporter",
    "doors_tcp", "logs",
}


def asked(lab: Any, path: str) -> Any:
    """What Prometheus answers."""
    return json.loads(lab.node("backend-1").check_output("curl -sf %s", f"http://127.0.0.1:9090/api/v1/{path}"))["data"]


def test_every_target_is_up(lab: Any) -> None:
    targets = asked(lab, "targets?state=active")["activeTargets"]
    assert {one["labels"]["job"] for one in targets} == JOBS
    down = [(one["labels"], one["lastError"]) for one in targets if one["health"] != "up" and "slot" not in one["labels"]]
    assert down == []
    slots = {one["labels"]["slot"]: one["health"] for one in targets if one["labels"]["job"] == "backend"}
    assert set(slots) == {"blue", "green"}
    assert "up" in slots.values()


def test_servers_let_their_exporters_in(lab: Any) -> None:
    for query in ("pg_up", "redis_up", "sum(haproxy_process_uptime_seconds) > bool 0", "count(node_systemd_unit_state) > bool 0"):
        answered = asked(lab, f"query?query={query.replace(' ', '%20').replace('>', '%3E')}")["result"]
        assert [one["value"][1] for one in answered] == ["1"], query


def test_rules_are_loaded_and_their_cases_pass(lab: Any) -> None:
    groups = asked(lab, "rules?type=alert")["groups"]
    assert {group["name"] for group in groups} == {"lab triggers", "lab usual"}
    assert [rule for group in groups for rule in group["rules"] if rule["health"] == "err"] == []
    lab.node("backend-1").check_output("promtool test rules /etc/aistack-prometheus/rules.test.yml")


def test_figures_of_the_edge_are_for_prometheus(lab: Any) -> None:
    ask = f"curl -s -o /dev/null -w '%{{http_code}}' http://{lab.addresses['web-1']}:8405/metrics"
    assert lab.node("backend-1").check_output(ask) == "200"
    assert lab.node("gpu-1").check_output(ask) == "403"


def test_every_panel_of_the_dashboards_answers_data(lab: Any) -> None:
    """What Grafana would ask. No door of the lab speaks TLS, and its backup timer may not have run yet; what tasks do to the broker's lists
    is seen once one was sent.
    """
    values = {"stack": ".*", "node": ".*", "component": ".*", "slot": ".*", "application": "sparklio", "__rate_interval": "1m"}
    questions = [
        (path.stem, where, quote(dashboards.filled(expr, values), safe=""))
        for path in sorted((ROOT / "roles/grafana/files/dashboards").glob("*.json"))
        for where, expr in dashboards.questions(json.loads(path.read_text(encoding="utf-8")))
        if where.startswith("panel")
    ]
    urls = " ".join(f"'http://127.0.0.1:9090/api/v1/query?query={query}'" for _board, _panel, query in questions)
    answers = lab.node("backend-1").check_output(f"curl -sf -w '\\n' {urls}").splitlines()
    assert len(answers) == len(questions) > 60
    silent = {(board, panel) for (board, panel, _query), said in zip(questions, answers) if not json.loads(said)["data"]["result"]}
    assert silent - {("system", "panel 'Since a backup set was begun'")} == {("system", "panel 'Certificates end in'")}
