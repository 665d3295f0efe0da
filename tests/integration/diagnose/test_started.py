# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""FastAPI behind a real uvicorn, and a real Celery: what they themselves say when they do not come up is understood."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from ..celery.test_drain import python
from ..conftest import PASSWORD, Cluster
from .conftest import Node, Redis, free_port

__all__ = ["python"]

API = """
import os
from fastapi import FastAPI
{line}
app = FastAPI()
"""
WORKER = "import os\nfrom celery import Celery\napp = Celery('w', broker=os.environ['CELERY_BROKER_URL'])\n"


def started(node: Node, name: str, argv: list[str], environment: dict[str, str], until: str = "") -> None:
    """Run a program as a unit would, until it ends or has said *until*; what it said is in the journal."""
    log = node.folder / f"{name}.log"
    with open(log, "wb") as output:
        child = subprocess.Popen(argv, cwd=node.folder, stdout=output, stderr=subprocess.STDOUT,
                                 env={"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", **environment})
    limit = time.monotonic() + 30
    while child.poll() is None and not (until and until in log.read_text(encoding="utf-8")):
        assert time.monotonic() < limit, log.read_text(encoding="utf-8")
        time.sleep(0.05)
    unit = f"aistack-{name}@blue.service"
    if child.poll() is None:
        child.kill()
        child.wait()
    else:
        assert child.returncode != 0
        node.failed.add(unit)
    node.logs[unit] = log.read_text(encoding="utf-8")


def uvicorn(python: str, port: int) -> list[str]:
    """How the role backend starts one."""
    return [str(Path(python).parent / "uvicorn"), "main:app", "--host", "127.0.0.1", "--port", str(port)]


@pytest.mark.parametrize(("line", "rule", "word"), [
    ("KEY = os.environ['PAYMENT_KEY']", "variable_missing", "PAYMENT_KEY"),
    ("from pydantic import BaseModel\nclass Settings(BaseModel):\n    payment_key: str\nSettings()", "variable_missing", "payment_key"),
    ("import no_such_package", "import_error", "no_such_package"),
])
def test_fastapi_does_not_start(node: Node, python: str, line: str, rule: str, word: str) -> None:
    node.component("api", {"LOG_LEVEL": "info"})
    (node.folder / "main.py").write_text(API.format(line=line), encoding="utf-8")
    started(node, "api", uvicorn(python, free_port()), {})
    cause = node.diagnosed()[0]
    assert cause["rule"] == rule, node.logs
    assert word in json.dumps(cause)


def test_fastapi_finds_its_port_taken(node: Node, python: str) -> None:
    (node.folder / "main.py").write_text(API.format(line=""), encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        node.component("api", {"LOG_LEVEL": "info"}, ports={"blue": port})
        started(node, "api", uvicorn(python, port), {})
        cause = node.diagnosed()[0]
    assert cause["rule"] == "port_taken"
    assert "node: api does not start: an address that it listens on is in use" in cause["follows"], node.logs


CONNECT = "import psycopg2\ndatabase = psycopg2.connect(os.environ['DATABASE_URL'])\n"


@pytest.mark.parametrize(("change", "url", "line", "rule", "follows"), [
    ("", "app:wrong@127.0.0.1:{port}/postgres", "", "database_password", "api does not reach its database"),
    ("", "app:{password}@127.0.0.1:{port}/nothing", "", "database_missing", "api does not reach its database"),
    ("ALTER ROLE app CONNECTION LIMIT 0", "app:{password}@127.0.0.1:{port}/postgres", "", "connections_used_up",
     "api does not reach its database"),
    ("", "app:{password}@127.0.0.1:1/postgres", "", "database_down", "api does not reach its database"),
    ("", "app:{password}@127.0.0.1:{port}/postgres", "database.cursor().execute('SELECT * FROM orders_v2')", "migration_missing",
     "api does not run"),
], ids=lambda value: value if value.isidentifier() else "")
def test_fastapi_and_its_database(
    node: Node, python: str, cluster: Cluster, change: str, url: str, line: str, rule: str, follows: str
) -> None:
    environment = {"DATABASE_URL": f"postgresql://{url.format(port=cluster.port, password=quote(PASSWORD, safe=''))}"}
    node.component("api", environment)
    (node.folder / "main.py").write_text(API.format(line=CONNECT + line), encoding="utf-8")
    if change:
        cluster.admin(change)
    try:
        started(node, "api", uvicorn(python, free_port()), environment)
        cause = node.diagnosed()[0]
    finally:
        cluster.admin("ALTER ROLE app CONNECTION LIMIT -1")
    assert cause["rule"] == rule, node.logs
    assert f"node: {follows}" in cause["follows"], node.logs
    assert PASSWORD not in json.dumps(cause)


@pytest.mark.parametrize(("address", "rule"), [
    ("redis://:wrong@127.0.0.1:{port}/0", "broker_password"), ("redis://127.0.0.1:1/0", "broker_address_wrong"),
])
def test_celery_does_not_reach_its_broker(node: Node, redis: Redis, python: str, address: str, rule: str) -> None:
    """Its own words are what follows."""
    environment = {"CELERY_BROKER_URL": address.format(port=redis.port)}
    node.component("worker", environment)
    (node.folder / "work.py").write_text(WORKER, encoding="utf-8")
    argv = [str(Path(python).parent / "celery"), "-A", "work", "worker", "--pool", "solo"]
    started(node, "worker", argv, environment, until="Trying again")
    cause = node.diagnosed(places=[{"role": "redis", "address": "127.0.0.1", "port": redis.port}])[0]
    assert cause["rule"] == rule, node.logs
    assert "broker" in str(cause["follows"]), node.logs
