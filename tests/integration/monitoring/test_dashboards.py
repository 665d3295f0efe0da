# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every question of every dashboard, asked of a real Prometheus that reads real exporters, HAProxy, PostgreSQL and Redis.

Two are stand-ins: the slot, which shows what the reference application shows, and systemd, whose figures the node's exporter reads from a
file (this machine has no units of ours).
"""

from __future__ import annotations

import http.server
import json
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring import dashboards, settings
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.targets import Stack, scrape_configs
from ansible_collections.phasegate.aistack.plugins.module_utils.node import figures

from ..conftest import Cluster
from .conftest import ROOT, free_ports, wait

FILES = sorted((ROOT / "roles/grafana/files/dashboards").glob("*.json"))
BOARDS: dict[str, Any] = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FILES}
QUESTIONS = [(name, where, expr) for name, board in BOARDS.items() for where, expr in dashboards.questions(board)]
VALUES = {"stack": ".*", "node": ".*", "component": ".*", "slot": ".*", "application": "sparklio", "__rate_interval": "10s"}
"""What Grafana puts in where everything is chosen."""
EMPTY = {("system", "panel 'Certificates end in'")}
"""No door speaks TLS here."""
PROGRAMS = ("prometheus", "prometheus-node-exporter", "prometheus-blackbox-exporter", "prometheus-redis-exporter",
            "prometheus-postgres-exporter", "haproxy", "redis-server")
PAGE = """# TYPE sparklio_http_requests_total counter
sparklio_http_requests_total{{method="GET",path="/health",status="200"}} {count}
# TYPE sparklio_http_request_duration_seconds histogram
sparklio_http_request_duration_seconds_bucket{{path="/health",le="0.005"}} {count}
sparklio_http_request_duration_seconds_bucket{{path="/health",le="+Inf"}} {count}
sparklio_http_request_duration_seconds_sum{{path="/health"}} {count}e-3
sparklio_http_request_duration_seconds_count{{path="/health"}} {count}
# TYPE sparklio_active_workflows gauge
sparklio_active_workflows 0
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 1e8
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total {count}
# TYPE process_open_fds gauge
process_open_fds 20
# TYPE process_max_fds gauge
process_max_fds 1024
# TYPE process_start_time_seconds gauge
process_start_time_seconds 1.7e9
"""
SYSTEMD = """# TYPE node_systemd_unit_state gauge
node_systemd_unit_state{name="aistack-worker@blue.service",state="active"} 1
node_systemd_unit_state{name="aistack-worker@blue.service",state="failed"} 0
# TYPE node_systemd_service_restart_total counter
node_systemd_service_restart_total{name="aistack-worker@blue.service"} 0
# TYPE node_systemd_timer_last_trigger_seconds gauge
node_systemd_timer_last_trigger_seconds{name="aistack-backup@shop.timer"} 1.7e9
"""
HAPROXY = """defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend backend
    bind 127.0.0.1:{backend}
    default_backend backend
backend backend
    option httpchk GET /metrics
    default-server inter 200ms rise 1
    server blue 127.0.0.1:{backend_blue} check
    server green 127.0.0.1:{backend_green} check disabled
frontend edge_metrics
    bind 127.0.0.1:{edge_metrics}
    http-request use-service prometheus-exporter if {{ path /metrics }}
"""
EVENTS: list[Any] = [
    {"op": "activate", "outcome": "ok", "detail": {"slot": "green"}},
    {"op": "activate", "outcome": "failed", "release": "v3", "detail": {"report": {"probe": "health", "expected": "200", "got": "503"}}},
    {"op": "rollback", "outcome": "ok", "component": None, "release": "v1"},
    {"op": "drill", "outcome": "ok", "detail": {"verdict": "passed"}},
    {"op": "phase", "outcome": "failed", "component": "deploy", "release": None, "detail": {"task": "Acceptance"}},
]
RULES = "resetkeys resetchannels -@all +ping +info +config|get +client|setname +latency|latest +latency|histogram +slowlog|get +slowlog|len"
"""What the user of the exporter may in Redis, as the README of the role exporters says."""


class Slot(http.server.BaseHTTPRequestHandler):
    """The stand-in of a slot: a counter that grows, whatever is asked."""

    count = 0

    def do_GET(self) -> None:
        Slot.count += 1
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        with suppress(ConnectionError):  # whoever asks has hung up
            self.wfile.write(PAGE.format(count=Slot.count).encode())

    def log_message(self, *_arguments: Any) -> None:
        pass


class Asked:
    """A Prometheus that can be asked."""

    def __init__(self, port: int) -> None:
        self.at = f"http://127.0.0.1:{port}/api/v1"

    def ask(self, path: str, **form: str) -> Any:
        """The answer's data; an HTTPError, with Prometheus' words, where the question is wrong."""
        try:
            with urllib.request.urlopen(f"{self.at}/{path}?{urllib.parse.urlencode(form)}", timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{form}: {error.read().decode()}") from error

    def answers(self, where: str, expr: str) -> int:
        """How many series a question has."""
        asked = dashboards.filled(expr, VALUES)
        if where.startswith("variable"):
            return len(self.ask("series", **{"match[]": asked}))
        return len(self.ask("query", query=asked)["result"])


def files(folder: Path, ports: dict[str, int]) -> None:
    """What the programs read."""
    components = {
        "backend": {"role": "backend", "hosts": "all", "application": "shop", "port": "backend", "metrics": {}, "edge": {"check": "/"}},
        "edge": {"role": "edge", "hosts": "all", "metrics": {"port": "edge_metrics"}},
        **{name: {"role": name, "hosts": "all"} for name in ("postgres", "redis", "exporters", "prometheus")},
    }
    stack = Stack("shop", components, {"all": ["one"]}, ports, {"one": "127.0.0.1"})
    jobs = scrape_configs(stack, "one", {"prometheus": {"places": {"one": f"127.0.0.1:{ports['prometheus']}"}}})
    made = settings.prometheus(jobs, [], {"interval": 1, "timeout": 1, "evaluation": 1, "stack": "shop"})
    (folder / "prometheus.yml").write_text(yaml.safe_dump(made), encoding="utf-8")
    (folder / "haproxy.cfg").write_text(HAPROXY.format(**ports), encoding="utf-8")
    modules = {"tcp": {"prober": "tcp"}, "http": {"prober": "http", "http": {"preferred_ip_protocol": "ip4"}}}
    (folder / "blackbox.yml").write_text(yaml.safe_dump({"modules": modules}), encoding="utf-8")
    (folder / "redis.conf").write_text(f"bind 127.0.0.1\nport {ports['redis']}\nsave ''\nuser monitor on >of-monitor {RULES}\n",
                                       encoding="utf-8")
    (folder / "text").mkdir()
    (folder / "text" / "systemd.prom").write_text(SYSTEMD, encoding="utf-8")
    journal = Journal.of(folder / "state")
    for event in EVENTS:
        journal.append({"component": "backend", "release": "v2", "run": "r", "actor": "ann", **event})
    figures.write(figures.Asked("shop", folder / "state"), folder / "text" / "aistack-shop.prom")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Asked]:
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    assert not missing, f"{', '.join(missing)} are needed: tests/tools/host-packages.sh, see make/quality.mk"
    folder = tmp_path_factory.mktemp("dashboards")
    names = ("prometheus", "node_exporter", "blackbox_exporter", "redis_exporter", "postgres_exporter", "redis", "backend", "backend_blue",
             "backend_green", "edge_metrics")
    ports = dict(zip(names, free_ports(len(names))))
    files(folder, ports)
    cluster.admin("CREATE ROLE monitor LOGIN PASSWORD 'of-monitor' IN ROLE pg_monitor")
    slot = http.server.ThreadingHTTPServer(("127.0.0.1", ports["backend_blue"]), Slot)
    slot.daemon_threads = True
    threading.Thread(target=slot.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    at = {name: f"--web.listen-address=127.0.0.1:{ports[name]}" for name in names}
    dsn = f"postgresql://monitor:of-monitor@127.0.0.1:{cluster.port}/postgres?sslmode=disable"
    lines: list[tuple[list[str], dict[str, str]]] = [
        (["redis-server", "redis.conf"], {}),
        (["haproxy", "-f", "haproxy.cfg", "-db"], {}),
        (["prometheus-node-exporter", at["node_exporter"], f"--collector.textfile.directory={folder}/text"], {}),
        (["prometheus-blackbox-exporter", at["blackbox_exporter"], "--config.file=blackbox.yml"], {}),
        (["prometheus-redis-exporter", at["redis_exporter"]],
         {"REDIS_ADDR": f"redis://127.0.0.1:{ports['redis']}", "REDIS_USER": "monitor", "REDIS_PASSWORD": "of-monitor"}),
        (["prometheus-postgres-exporter", at["postgres_exporter"]], {"DATA_SOURCE_NAME": dsn}),
        (["prometheus", "--config.file=prometheus.yml", f"--storage.tsdb.path={folder}/data", at["prometheus"]], {}),
    ]
    processes = []
    for words, more in lines:
        with (folder / f"{words[0]}.log").open("wb") as log:
            processes.append(subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder,
                                              env={"PATH": "/usr/sbin:/usr/bin:/bin", **more}))
    # what puts tasks into a queue, and takes one
    assert wait(lambda: subprocess.run(["redis-cli", "-p", str(ports["redis"]), "LPUSH", "celery", "task"], check=False,
                                       capture_output=True).returncode == 0)
    yield Asked(ports["prometheus"])
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(20)
    slot.shutdown()
    slot.server_close()
    cluster.admin("DROP ROLE monitor")


@pytest.fixture(scope="module")
def silent(prometheus: Asked) -> set[tuple[str, str]]:
    """Where nothing is answered, once everything was read a few times."""

    def now() -> set[tuple[str, str]]:
        return {(name, where) for name, where, expr in QUESTIONS if not prometheus.answers(where, expr)}

    def ready() -> bool:
        # it does not listen yet; who waits for it fails where it never does
        with suppress(OSError), urllib.request.urlopen(prometheus.at.replace("/api/v1", "/-/ready"), timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    assert wait(ready)
    wait(lambda: now() <= EMPTY, 30)
    return now()


@pytest.mark.parametrize("name", BOARDS)
def test_every_panel_answers_data(name: str, silent: set[tuple[str, str]]) -> None:
    assert {where for board, where in silent if board == name} == {where for board, where in EMPTY if board == name}


def test_every_question_is_one(prometheus: Asked, silent: set[tuple[str, str]]) -> None:
    """Also where nothing is answered; a typing error is refused in Prometheus' words."""
    assert len(QUESTIONS) > 90
    for _name, where, expr in QUESTIONS:
        prometheus.answers(where, expr)
    with pytest.raises(AssertionError, match="parse error"):
        prometheus.answers("panel 'x'", "sum(up{node=~")


def test_a_chosen_part_is_chosen(prometheus: Asked, silent: set[tuple[str, str]]) -> None:
    """A value of a variable narrows each question that names it down; without an effect it would be no choice."""
    nobody = {**VALUES, "stack": "nobody"}
    for _name, where, expr in QUESTIONS:
        if where.startswith("panel") and "vector(0)" not in expr:
            assert prometheus.ask("query", query=dashboards.filled(expr, nobody))["result"] == [], (where, expr)
    up = {one["metric"]["slot"]: one["value"][1] for one in prometheus.ask("query", query='up{component="backend",slot!=""}')["result"]}
    assert up == {"blue": "1", "green": "0"}
    (ready,) = [expr for name, where, expr in QUESTIONS if (name, where) == ("deployments", "panel 'Takes requests'")]
    taking = prometheus.ask("query", query=dashboards.filled(ready, VALUES))["result"]
    slots = {one["metric"]["server"]: one["value"][1] for one in taking}
    assert slots == {"blue": "1", "green": "0"}


def test_what_happened_is_marked_when_it_did(prometheus: Asked, silent: set[tuple[str, str]]) -> None:
    """As Grafana asks: the value of each series is the time of the journal's record, in milliseconds, and its labels are the text."""
    assert not {where for _board, where in silent if where.startswith("annotation")}
    told = {}
    for where, expr in dashboards.questions(BOARDS["system"]):
        if where.startswith("annotation"):
            for one in prometheus.ask("query", query=dashboards.filled(expr, VALUES))["result"]:
                whose = " ".join(one["metric"][key] for key in ("component", "release", "outcome") if key in one["metric"])
                told[f"{where}: {whose}"] = float(one["value"][1])
    assert sorted(told) == [
        "annotation 'Deployments': backend v2 ok", "annotation 'Drills': backend v2 ok",
        "annotation 'Failed gates and phases': backend v3 failed", "annotation 'Failed gates and phases': failed",
        "annotation 'Rollbacks': v1 ok",
    ]
    assert all(abs(value / 1000 - time.time()) < 600 for value in told.values())
