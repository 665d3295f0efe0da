# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The distribution's Prometheus, Alertmanager and exporters as processes on loopback, with the files and the command lines of the roles."""

from __future__ import annotations

import base64
import http.server
import json
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context
from ansible_collections.phasegate.aistack.plugins.module_utils.probes import REGISTRY
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.spec import normalise

from ..role_tasks import run_tasks

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = ("prometheus", "promtool", "prometheus-alertmanager", "amtool", "prometheus-node-exporter", "prometheus-blackbox-exporter")
PASSWORD = "s3cret-of-the-reader"
HTML = "<!DOCTYPE html><html><body>a page</body></html>"
PAGE = "# TYPE depth gauge\ndepth {depth}\n"
ROLES = ("exporters", "alertmanager", "prometheus")


class Web(http.server.ThreadingHTTPServer):
    """A slot of the component C(api), which shows its figures; and a receiver of alerts, which keeps what it was told."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.depth, self.html, self.refuses = 1, False, False
        self.told: list[tuple[str, str]] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    server: Web

    def do_GET(self) -> None:
        text = HTML if self.server.html else PAGE.format(depth=self.server.depth)
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if self.server.html else "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(text.encode())

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.html:
            self.do_GET()
            return
        if self.server.refuses:
            self.send_error(401)
            return
        body = json.loads(sent)
        self.server.told += [(alert["labels"]["alertname"], alert["status"]) for alert in body["alerts"]]
        self.send_response(200)
        self.end_headers()

    def handle(self) -> None:
        with suppress(ConnectionError):  # whoever asks has hung up
            super().handle()

    def log_message(self, *_arguments: Any) -> None:
        pass


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _number in range(count)]
    ports = [int(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return ports


class World:
    """One host that is everything: a component with two slots, of which one serves, and what watches it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.web = Web()
        self.figures = folder / "figures"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        names = ["prometheus", "alertmanager", "node_exporter", "blackbox_exporter", "api_green"]
        self.ports = {**dict(zip(names, free_ports(len(names)))), "api_blue": self.web.server_port, "api": self.web.server_port}
        self.password = folder / "password"
        self.password.write_text(PASSWORD)
        self.variables = {
            "ansible_python_interpreter": "/usr/bin/python3", "aistack_name": "shop", "aistack_ports": self.ports,
            "aistack_address": "127.0.0.1",
            "aistack_components": {
                "api": {"role": "backend", "hosts": "all", "application": "shop", "port": "api", "metrics": {}, "edge": {"check": "/x"}},
                "exporters": {"role": "exporters", "hosts": "all"},
                "alerts": {"role": "alertmanager", "hosts": "all"},
                "figures": {"role": "prometheus", "hosts": "all"},
            },
            "aistack_triggers": [
                {"name": "too deep", "kind": "emergency", "source": "metrics", "component": "api", "target": "http://x", "gauge": "depth",
                 "value": {"le": 5}, "window": 2, "over": "max", "then": {"level": "app"}},
                {"name": "by hand", "source": "manual", "then": "manual"},
            ],
            "prometheus_interval": 1, "prometheus_timeout": 1, "prometheus_evaluation": 1, "prometheus_password": PASSWORD,
            "alertmanager_wait": 1, "alertmanager_interval": 1,
            "alertmanager_receivers": [{"name": "ops", "url": f"http://127.0.0.1:{self.web.server_port}/hook"}],
        }
        for role in ROLES:
            (folder / role).mkdir()
            self.variables[f"__{role}_folder"] = str(folder / role)
            self.variables[f"__{role}_unit_file"] = str(folder / role / "unit.service")

    def configure(self, *roles: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run what roles do between installation and start."""
        return run_tasks(self.folder, [(role, "configure") for role in roles], {**self.variables, **more}, timeout=60)

    def start_one(self, role: str) -> None:
        """Start Prometheus or Alertmanager by the line of its unit; what is not taken is offered again after a second, not a minute."""
        line = re.search(r"^ExecStart=(.*)$", (self.folder / role / "unit.service").read_text(encoding="utf-8"), re.MULTILINE)
        assert line
        words = line[1].replace(f"/var/lib/aistack-{role}", str(self.folder / f"{role}.data")).split()
        self.run(role, [*words, *(["--rules.alert.resend-delay=1s"] if role == "prometheus" else [])])

    def stop_one(self, role: str, number: int = signal.SIGTERM) -> None:
        """End one of them."""
        self.processes[role].send_signal(number)
        self.processes[role].wait(20)

    def start(self) -> None:
        """Start all of it by the lines of its units."""
        for role in ("prometheus", "alertmanager"):
            self.start_one(role)
        at = "--web.listen-address=127.0.0.1:"
        self.figures.mkdir()
        self.run("node", ["prometheus-node-exporter", f"{at}{self.ports['node_exporter']}", "--collector.disable-defaults",
                          "--collector.meminfo", "--collector.textfile",
                          f"--collector.textfile.directory={self.figures}"])
        self.run("blackbox", ["prometheus-blackbox-exporter", f"{at}{self.ports['blackbox_exporter']}",
                              f"--config.file={self.folder / 'exporters' / 'blackbox.yml'}"])

    def run(self, name: str, words: list[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder)

    def end(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            process.wait(20)
        self.web.shutdown()
        self.web.server_close()

    def probe(self, **probe: Any) -> Attempt:
        """Ask once, as a gate does."""
        kind = next(iter(probe))
        more = {"username": "reader", "password_file": str(self.password)} if kind == "prometheus" else {}
        spec = normalise({"name": "it", **more, **probe, kind: f"http://127.0.0.1:{self.ports[kind]}"}, None)
        one = REGISTRY[spec["type"]](spec)
        return one.run(Context(timeout=one.attempt_timeout, names={}))

    def alerts(self) -> dict[str, str]:
        """The alerts that Prometheus has, each with its state."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports['prometheus']}/api/v1/alerts")
        request.add_header("Authorization", "Basic " + base64.b64encode(f"reader:{PASSWORD}".encode()).decode())
        with urllib.request.urlopen(request, timeout=5) as answer:
            return {one["labels"]["alertname"]: one["state"] for one in json.load(answer)["data"]["alerts"]}


def wait(what: Callable[[], Any], seconds: float = 20) -> Any:
    """What comes of it as soon as something does."""
    ends = time.monotonic() + seconds
    while True:
        found = what()
        if found or time.monotonic() > ends:
            return found
        time.sleep(0.1)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    assert not missing, f"{', '.join(missing)} are needed: tests/tools/host-packages.sh, see make/quality.mk"
    one = World(tmp_path_factory.mktemp("monitoring"))
    done = one.configure(*ROLES)
    assert done.returncode == 0, done.stdout + done.stderr
    one.start()
    yield one
    one.end()
