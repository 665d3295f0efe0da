# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jaeger as a process, with the files that its role writes; spans of a request as OpenTelemetry's own packages send them."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context
from ansible_collections.phasegate.aistack.plugins.module_utils.probes import REGISTRY, spec
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.spec import normalise

from ..conftest import PASSWORD as OF_APP, Cluster
from ..monitoring.conftest import free_ports, wait
from ..role_tasks import run_tasks

ROOT = Path(__file__).resolve().parents[3]
PASSWORD = "s3cret-of-the-reader"
COLLECTIONS = next(parent for parent in Path(spec.__file__).parents if parent.name == "ansible_collections").parent
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Asked
      phasegate.aistack.report: {kind: page, text: s3cret}
      ignore_errors: true  # what a trace says of it is what is looked at
    - name: Quick
      ansible.builtin.debug: {msg: s3cret}
    - name: Broken
      ansible.builtin.fail: {msg: s3cret}
"""


def played(folder: Path, given: Any) -> subprocess.CompletedProcess[str]:
    """Run a playbook with the callback, on a host whose inventory has *given* as C(aistack_traces)."""
    (folder / "ansible.cfg").write_text("")
    (folder / "book.yml").write_text(PLAY)
    variables = {"aistack_name": "{{ 'sh' ~ 'op' }}", "ansible_connection": "local", "ansible_python_interpreter": sys.executable,
                 "aistack_traces": given}
    (folder / "hosts.yml").write_text(json.dumps({"all": {"hosts": {"n1": {}}, "vars": variables}}))
    env = {**os.environ, "ANSIBLE_CONFIG": str(folder / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
           "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CALLBACKS_ENABLED": "phasegate.aistack.traces",
           "ANSIBLE_STDOUT_CALLBACK": "phasegate.aistack.phases", "ANSIBLE_LOCAL_TEMP": str(folder / "tmp")}
    command = [sys.executable, "-m", "ansible.cli.playbook", "-i", "hosts.yml", "book.yml"]
    return subprocess.run(command, cwd=folder, env=env, text=True, capture_output=True, check=False, timeout=60)


class Store:
    """Jaeger, by the files of its role."""

    def __init__(self, folder: Path, program: str, **more: Any) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        ports = dict(zip(("jaeger", "otlp", "otlp_http"), free_ports(3)))
        self.api, self.otlp = (f"http://127.0.0.1:{ports[name]}" for name in ("jaeger", "otlp_http"))
        self.data = folder / "data"
        self.data.mkdir()
        self.password = folder / "credentials/jaeger"
        units = {"__jaeger_unit_file": "jaeger.service"}
        self.variables: dict[str, Any] = {
            "ansible_python_interpreter": "/usr/bin/python3", "aistack_ports": ports, "jaeger_user": "root", "jaeger_data": str(self.data),
            "jaeger_credentials_dir": str(folder / "credentials"), "__jaeger_folder": str(folder), "__jaeger_program": program,
            "__jaeger_bound_files": [str(folder / f"jaeger-bound.{kind}") for kind in ("service", "timer")],
            **{key: str(folder / name) for key, name in units.items()}, **more,
        }

    def configure(self, *files: str) -> subprocess.CompletedProcess[str]:
        """Run task files of the role, its configuration if none is named; that is looked at by the program itself."""
        return run_tasks(self.folder, [("jaeger", name) for name in files or ["configure"]], self.variables, timeout=90)

    def lines_of(self, key: str, unit: str = "jaeger.service") -> list[str]:
        """The values of a key of a unit that the role has written."""
        return re.findall(rf"^{key}=(.*)$", (self.folder / unit).read_text(encoding="utf-8"), re.MULTILINE)

    def start(self) -> None:
        """Start it by the lines of its unit, and wait for it."""
        for line in self.lines_of("ExecStartPre"):
            subprocess.run(["/bin/sh", "-c", line], check=True, timeout=10)
        environment = dict(line.split("=", 1) for line in self.lines_of("Environment"))
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self.lines_of("ExecStart")[0].split(), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            env={**os.environ, **environment}, cwd=self.data)
        assert wait(lambda: self.asked("/api/services") in (200, 401), 30), (self.folder / "log").read_text()

    def stop(self) -> None:
        """As systemd does."""
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)
            self.process = None

    def asked(self, path: str, password: str = "") -> int:
        """The status of an answer; 0 without one."""
        headers = {"Authorization": "Basic " + base64.b64encode(f"reader:{password}".encode()).decode()} if password else {}
        try:
            with urllib.request.urlopen(urllib.request.Request(self.api + path, headers=headers), timeout=2) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def send(self, *spans: tuple[str, str, Mapping[str, Any]], trace: str = "", ago: float = 0.0) -> str:
        """Send spans of one request: service, operation and attributes of each, below the first. Returns the trace's identifier."""
        trace = trace or secrets.token_hex(16)
        began = time.time_ns() - int(ago * 1e9)
        first = secrets.token_hex(8)
        resources = []
        for number, (service, name, attributes) in enumerate(spans):
            span = {"traceId": trace, "spanId": first if not number else secrets.token_hex(8), "name": name, "kind": 2,
                    "startTimeUnixNano": str(began + number * 1000000), "endTimeUnixNano": str(began + 50000000),
                    "attributes": [{"key": key, "value": {"intValue" if isinstance(value, int) else "stringValue": str(value)}}
                                   for key, value in attributes.items()], **({"parentSpanId": first} if number else {})}
            resources.append({"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
                              "scopeSpans": [{"spans": [span]}]})
        body = json.dumps({"resourceSpans": resources}).encode()
        asked = urllib.request.Request(self.otlp + "/v1/traces", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=5) as answer:
            assert answer.status == 200
        return trace

    def probe(self, **probe: Any) -> Attempt:
        """Ask once, as a gate does."""
        one = normalise({"name": "it", "traces": self.api, **probe}, None)
        return REGISTRY["traces"](one).run(Context(timeout=5))

    def found(self, *, within: float = 10, **probe: Any) -> Attempt:
        """Ask until it passes, for so many seconds."""
        wait(lambda: self.probe(**probe).ok, within)
        return self.probe(**probe)


@pytest.fixture(scope="session")
def program() -> str:
    """Jaeger itself; built where it is not there."""
    built = subprocess.run([str(ROOT / "tests/tools/traces-tools.sh")], stdout=subprocess.PIPE, text=True, check=True)
    return built.stdout.strip()


def a_store(folder: Path, program: str, **more: Any) -> Iterator[Store]:
    """One that is configured and runs."""
    store = Store(folder, program, **more)
    done = store.configure()
    assert done.returncode == 0, done.stdout + done.stderr
    try:
        store.start()
        yield store
    finally:
        store.stop()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, program: str) -> Iterator[Store]:
    """With traces on the disk, and no password."""
    yield from a_store(tmp_path_factory.mktemp("badger"), program)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, program: str) -> Iterator[Store]:
    """With traces in memory, and a password."""
    yield from a_store(tmp_path_factory.mktemp("memory"), program, jaeger_password=PASSWORD, jaeger_storage="memory", jaeger_traces=20)


@contextmanager
def instrumented(store: Store, cluster: Cluster, folder: Path) -> Iterator[str]:
    """The application of these tests with a worker, both started by OpenTelemetry's own command; yields its address."""
    redis, web = free_ports(2)
    programs = ROOT / "build/traces-tools/app/bin"
    environment = {
        **os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "OTEL_EXPORTER_OTLP_ENDPOINT": store.otlp,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none",
        "OTEL_BSP_SCHEDULE_DELAY": "200", "BROKER": f"redis://127.0.0.1:{redis}/0",
        "DATABASE_URL": f"host=127.0.0.1 port={cluster.port} user=app password={OF_APP} dbname=postgres",
    }
    commands = (
        ["redis-server", "--port", str(redis), "--bind", "127.0.0.1", "--save", ""],
        ["opentelemetry-instrument", "--service_name", "shop-worker", "celery", "-A", "shop:queue", "worker", "--pool", "solo"],
        ["opentelemetry-instrument", "--service_name", "shop-api", "uvicorn", "--port", str(web), "shop:api"],
    )
    running: list[subprocess.Popen[bytes]] = []
    with (folder / "shop.log").open("ab") as log:
        try:
            for command in commands:
                running.append(subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment,
                                                cwd=Path(__file__).parent / "app"))
            url = f"http://127.0.0.1:{web}"
            assert wait(lambda: _answers(f"{url}/openapi.json"), 60), (folder / "shop.log").read_text()
            yield url
        finally:
            for process in reversed(running):
                process.terminate()
            for process in running:
                process.wait(20)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False  # it has not begun to listen
