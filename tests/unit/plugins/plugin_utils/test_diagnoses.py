# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules that come along: each is one, each finds what it is for, and what programs really say is understood."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.phasegate.aistack.plugins.module_utils.diagnosis import causes, rules
from ansible_collections.phasegate.aistack.plugins.plugin_utils import diagnoses

ROOT = Path(__file__).resolve().parents[4]
KNOWN = {str(rule["name"]): rule for rule in diagnoses.come_along()}
BAD = {"component": "api", "role": "backend", "unit": "aistack-api@blue.service", "state": "failed", "live": True,
       "reason": "exit status 1", "result": "exit-code", "restarts": 3, "release": "v1", "log": []}


def server(kind: str, state: str, **more: object) -> dict[str, Any]:
    """A server that a component looks for."""
    return {"component": "worker", "role": "worker", "variable": "X_URL", "kind": kind, "address": "10.0.0.1:1", "host": "10.0.0.1",
            "state": state, "error": "said", "known": True, "wanted": "10.0.0.1:1", "server": "broker", **more}


def failed(*log: str, **more: object) -> dict[str, Any]:
    """A component that does not start."""
    return {**BAD, "log": list(log), **more}


def probe(**more: object) -> dict[str, Any]:
    """A probe that fails."""
    return {"component": "api", "role": "backend", "probe": "p", "type": "http", "severity": "critical", "verdict": "fail", "expected": "e",
            "got": "g", "hint": "h", **more}


PORT = {"component": "api", "role": "backend", "port": 8000, "use": "slot", "holder": "nginx (pid 1)", "pid": 1, "own": False}
LOCK = {"holder": "ann", "run": "r", "dead": False, "expired": False, "working": False}
QUEUE = {"component": "worker", "role": "worker", "queue": "video", "address": "a", "length": 3, "taken_by": "-", "consumed": False,
         "state": "running"}
DISK = {"path": "/", "percent": 50, "inodes_percent": 1, "free_mib": 9000, "read_only": False}
CERTIFICATE = {"component": "redis", "role": "redis", "where": "/x.pem", "days_left": 99, "ends": "then"}
EDGE = {"component": "api", "role": "backend", "section": "api", "servers": "blue maint", "ready": 0, "asked": True}
NOT_KNOWN = {"known": False, "wanted": "-"}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("figures_damaged", failed('level=error err="opening storage failed: get segment range: segments are not sequential"',
                               component="figures", role="prometheus", unit="aistack-prometheus.service")),
    ("figures_damaged", failed('level=error err="opening storage failed: repair failed: corruption in segment wal/00000000 at 5640"',
                               role="prometheus")),
    ("variable_missing", failed("KeyError: 'DATABASE_URL'")),
    ("variable_missing", failed("pydantic_core._pydantic_core.ValidationError: 1 validation error for Settings", "database_url",
                                "  Field required [type=missing, input_value={}, input_type=dict]")),
    ("variable_missing", failed("RuntimeError: Environment variable OPENAI_API_KEY is not set")),
    ("variable_missing", failed("Missing required environment variable: OPENAI_API_KEY")),
    ("port_taken", {**PORT, "state": "failed"}),
    ("port_taken_idle", {**PORT, "state": "running"}),
    ("port_taken_by_log", failed("[Errno 98] error while attempting to bind on address ('127.0.0.1', 8000): address already in use")),
    ("import_error", failed("ModuleNotFoundError: No module named 'fastapi'")),
    ("import_error", failed("ImportError: cannot import name 'x' from 'app' (/opt/app.py)")),
    ("import_error", failed('ERROR:    Error loading ASGI app. Could not import module "main".')),
    ("import_error", failed("Unable to load celery application.")),
    ("migration_missing", failed('sqlalchemy.exc.ProgrammingError: (psycopg2.errors.UndefinedTable) relation "orders" does not exist',
                                 state="running")),
    ("migration_missing", failed("sqlite3.OperationalError: no such table: orders")),
    ("migration_missing", failed('asyncpg.exceptions.UndefinedColumnError: column "total" of relation "orders" does not exist')),
    ("migration_missing", failed("FAILED: Can't locate revision identified by 'abc123'")),
    ("database_refused_by_log", failed('psycopg2.OperationalError: connection to server at "db", port 5432 failed: Connection refused')),
    ("broker_refused_by_log", failed("[ERROR/MainProcess] consumer: Cannot connect to redis://10.0.0.1:6379/0: Error 111.")),
    ("broker_refused_by_log", failed("kombu.exceptions.OperationalError: Error 111 connecting to 10.0.0.1:6379. Connection refused.")),
    ("broker_lost_by_log", failed("ready.", "[ERROR/MainProcess] consumer: Cannot connect to redis://10.0.0.1:6379/0: Error 111.",
                                  "Trying again in 2.00 seconds... (1/100)", state="running")),
    ("killed_for_memory", failed(result="oom-kill")),
    ("killed_for_memory", failed(reason="killed by signal 9")),
    ("unit_does_not_run", failed()),
    ("probe_fails", probe()),
    ("broker_down", server("redis", "refused")),
    ("broker_address_wrong", server("redis", "timeout", known=False)),
    ("broker_away", server("redis", "foreign", **NOT_KNOWN)),
    ("broker_network", server("redis", "timeout")),
    ("broker_password", server("redis", "password")),
    ("broker_acl", server("redis", "acl")),
    ("broker_memory_full", server("redis", "memory_full")),
    ("broker_memory_nearly_full", server("redis", "answers", memory_percent=93.0, policy="noeviction")),
    ("broker_cannot_save", server("redis", "disk")),
    ("broker_read_only", server("redis", "read_only")),
    ("broker_starting", server("redis", "starting")),
    ("broker_connections", server("redis", "full")),
    ("queue_not_consumed", QUEUE),
    ("queue_without_worker", {**QUEUE, "consumed": True, "state": "failed"}),
    ("database_down", server("postgres", "refused")),
    ("database_address_wrong", server("postgres", "refused", known=False)),
    ("database_network", server("postgres", "unreachable")),
    ("database_password", server("postgres", "password")),
    ("database_missing", server("postgres", "missing")),
    ("connections_used_up", server("postgres", "full")),
    ("connections_nearly_used_up", server("postgres", "answers", connections=95, connections_percent=97.0)),
    ("database_starting", server("postgres", "starting")),
    ("database_disk_full", server("postgres", "disk")),
    ("ollama_down", server("ollama", "refused")),
    ("ollama_address_wrong", server("ollama", "foreign", known=False)),
    ("ollama_foreign", server("ollama", "foreign")),
    ("ollama_network", server("ollama", "timeout")),
    ("model_missing", server("ollama", "answers", model="llava:13b", models="none")),
    ("model_missing_by_log", failed('ollama._types.ResponseError: model "llava:13b" not found, try pulling it first', state="running")),
    ("ollama_memory", failed("Error: model requires more system memory (5.6 GiB) than is available (3.1 GiB)", state="running")),
    ("ollama_memory", failed("ggml_backend_cuda_buffer_type_alloc_buffer: cudaMalloc failed: out of memory", state="running")),
    ("ollama_memory_by_probe", probe(type="ollama", got="status 500: model requires more system memory (5 GiB) than is available")),
    ("model_missing_by_probe", probe(type="ollama", got="model llava:13b = not there")),
    ("edge_without_server", EDGE),
    ("edge_silent", {**EDGE, "asked": False}),
    ("certificate_expired", {**CERTIFICATE, "days_left": -1}),
    ("certificate_soon", {**CERTIFICATE, "days_left": 5}),
    ("certificate_refused", server("redis", "expired")),
    ("certificate_untrusted", server("postgres", "tls")),
    ("certificate_probe", probe(type="tls", got="days_left = 2.0")),
    ("name_not_resolved", server("other", "unresolved")),
    ("server_cannot_be_judged", server("postgres", "error")),
    ("server_away", server("other", "refused")),
    ("disk_full", {**DISK, "percent": 100}),
    ("disk_full", {**DISK, "percent": 96, "free_mib": 100}),
    ("disk_fills", {**DISK, "percent": 90}),
    ("inodes_used_up", {**DISK, "inodes_percent": 100}),
    ("disk_read_only", {**DISK, "path": "/opt/aistack", "read_only": True}),
    ("memory_high", {"rank": 1, "name": "x", "component": "worker", "pid": 1, "count": 2, "mib": 1, "percent": 80, "node_percent": 95}),
    ("swap_used_up", {"swap_percent": 95, "memory_percent": 50}),
    ("clock_wrong", {"clock_behind": 100.0, "clock_ahead": 0.0}),
    ("clock_wrong", {"clock_behind": 0.0, "clock_ahead": 3600.0}),
    ("clock_wrong", {"journal_ahead": 3600.0}),
    ("clock_free", {"synchronised": False}),
    ("lock_of_a_dead_run", {**LOCK, "dead": True}),
    ("lock_expired", {**LOCK, "expired": True}),
    ("run_interrupted", {"component": "api", "op": "activate", "run": "r", "time": "t", "held": False}),
]
"""A rule, and a thing that has to be the first cause by it."""

WELL: dict[str, list[dict[str, Any]]] = {
    "components": [
        failed("KeyError: 'A_NAME'", "address already in use", "ImportError: x", state="running", reason="-", result="success"),
        failed("consumer: Cannot connect to redis://", "Trying again", "Connected to redis://", "ready.", state="running", reason="-"),
    ],
    "ports": [{**PORT, "own": True, "state": "running"}],
    "servers": [server("redis", "answers", memory_percent=99.0, policy="allkeys-lru"),
                server("postgres", "answers", connections_percent=20.0),
                server("ollama", "answers", model="-", models="x"), server("other", "answers"), server("redis", "unknown")],
    "queues": [{**QUEUE, "length": 0}, {**QUEUE, "consumed": True}],
    "disks": [DISK], "certificates": [CERTIFICATE], "edges": [{**EDGE, "ready": 1}],
    "locks": [LOCK, {**LOCK, "dead": True, "working": True}],
    "probes": [probe(verdict="pass"), probe(verdict="skipped"), probe(severity="warning")],
    "processes": [{"rank": 1, "name": "x", "component": "-", "pid": 1, "count": 1, "mib": 1, "percent": 9, "node_percent": 40}],
    "node": [{"memory_percent": 40, "swap_percent": 0, "clock_behind": 0.0, "clock_ahead": 3.0, "synchronised": True, "journal_ahead": 0}],
    "interrupted": [{"component": "api", "op": "activate", "run": "r", "time": "t", "held": True}],
}


def test_every_rule_makes_sense() -> None:
    assert rules.problems("meta/diagnoses", list(diagnoses.come_along())) == []


@pytest.mark.parametrize(("name", "thing"), CASES, ids=[name for name, _thing in CASES])
def test_a_rule_finds_what_it_is_for(name: str, thing: dict[str, Any]) -> None:
    """And it is the first cause, with every name of its texts filled in."""
    found = causes.ranked(rules.findings(diagnoses.in_use([]), {KNOWN[name]["each"]: [thing]}, "n1"))
    assert found[0]["rule"] == name, [(cause["rule"], cause["certainty"]) for cause in found]
    assert "${" not in str(found[0])


def test_every_rule_has_a_case() -> None:
    assert {name for name, _thing in CASES} == set(KNOWN)


def test_a_node_that_is_well() -> None:
    assert rules.findings(diagnoses.in_use([]), WELL, "n1") == []


def test_the_rule_of_the_guide_is_one() -> None:
    text = (ROOT / "docs" / "guide-diagnose.md").read_text(encoding="utf-8")
    own = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])["aistack_diagnoses"]
    assert diagnoses.problems(own) == []
    (found,) = rules.findings(own, {"components": [failed("fatal: license X-1 expired")]}, "n1")
    assert found["do"][0].startswith("renew X-1 ")
