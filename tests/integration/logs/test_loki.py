# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's configuration is read by a stand-in of Loki's server (loki_standin.py); the shipper pushes to it, and a gate asks it."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import re
import signal
import subprocess
import sys
import threading
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context
from ansible_collections.phasegate.aistack.plugins.module_utils.probes import REGISTRY
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.spec import normalise

from ..monitoring.conftest import free_ports, wait
from ..role_tasks import run_tasks
from .conftest import PASSWORD, TOKEN, World

STEPS = (("loki", "method_archive"), ("loki", "configure"), ("log_shipper", "configure"))


class Node:
    """This machine, with the roles' folders elsewhere, and the journal of C(world)."""

    def __init__(self, folder: Path, world: World, url: str, sha256: str) -> None:
        self.folder, self.world = folder, world
        self.port, grpc = free_ports(2)
        for name in ("opt", "etc", "position"):
            (folder / name).mkdir()
        components = {"api": world.variables["aistack_components"]["api"], "logs": {"role": "loki", "hosts": "all"},
                      "sender": {"role": "log_shipper", "hosts": "all"}}
        own = {name: value for name, value in world.variables.items() if not name.startswith("__")}
        self.variables: dict[str, Any] = {
            **own, "aistack_components": components, "aistack_ports": {"loki": self.port, "loki_grpc": grpc}, "loki_url": url,
            "loki_sha256": sha256, "loki_home": str(folder / "opt"), "loki_data": str(folder / "data"), "loki_user": "root",
            "__loki_folder": str(folder / "etc"), "__loki_unit_file": str(folder / "loki.service"), "log_shipper_settle": 1,
            "__log_shipper_folder": str(folder / "shipper"), "__log_shipper_unit_file": str(folder / "log-shipper.service"),
            "__log_shipper_journald": str(world.folder / "etc/journald/aistack.conf"),
        }
        (folder / "opt/releases").mkdir()

    def play(self, *words: str, steps: Sequence[tuple[str, str]] = STEPS, **more: Any) -> subprocess.CompletedProcess[str]:
        """What the roles do between preflight and start, without the server's user."""
        return run_tasks(self.folder, steps, {**self.variables, **more}, *words, environment=self.world.environment())

    def config(self) -> Any:
        return yaml.safe_load((self.folder / "etc/loki.yml").read_text(encoding="utf-8"))

    def start(self) -> list[subprocess.Popen[bytes]]:
        """The server and the shipper, by the lines of their units."""
        line = re.search(r"^ExecStart=(.*)$", (self.folder / "loki.service").read_text(encoding="utf-8"), re.MULTILINE)
        assert line
        server = subprocess.Popen(line[1].split(), stdin=subprocess.DEVNULL)
        settings = json.loads((self.folder / "shipper/settings.json").read_text(encoding="utf-8"))
        own = {**settings, "journal": str(self.world.folder / "journal"), "position": str(self.folder / "position/position.json")}
        (self.folder / "settings.json").write_text(json.dumps(own))
        with (self.folder / "shipper.log").open("wb") as log:
            shipper = subprocess.Popen([str(self.world.command), "--registry", str(self.world.folder / "registry"), "--stack", "shop",
                                        "ship", str(self.folder / "settings.json")], stdout=log, stderr=log,
                                       stdin=subprocess.DEVNULL)
        return [server, shipper]

    def lines(self) -> list[dict[str, Any]]:
        """What the stand-in has taken."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/standin/lines", timeout=5) as answer:
            found: list[dict[str, Any]] = json.load(answer)
            return found

    def probe(self, **probe: Any) -> Attempt:
        """Ask once, as a gate does."""
        one = REGISTRY["logs"](normalise({"name": "it", "logs": f"http://127.0.0.1:{self.port}", "store": "loki", **probe}, None))
        return one.run(Context(timeout=one.attempt_timeout, names={}))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, world: World) -> Iterator[Node]:
    """Installed from a zip, as the vendor packs it, and configured."""
    folder = tmp_path_factory.mktemp("loki")
    (folder / "served").mkdir()
    program = f"#!{sys.executable}\n" + (Path(__file__).parent / "loki_standin.py").read_text(encoding="utf-8")
    with zipfile.ZipFile(folder / "served/server.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("loki-linux-amd64", program)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder / "served"))
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    sha256 = hashlib.sha256((folder / "served/server.zip").read_bytes()).hexdigest()
    one = Node(folder, world, f"http://127.0.0.1:{web.server_port}/server.zip", sha256)
    bare = one.play("--check", "--diff")
    assert bare.returncode == 0, bare.stdout + bare.stderr
    assert not (folder / "loki.service").exists(), "check mode changes nothing"
    done = one.play("--diff")
    assert done.returncode == 0, done.stdout + done.stderr
    running = one.start()
    yield one
    for process in running:
        process.send_signal(signal.SIGTERM)
    for process in running:
        process.wait(20)
    web.shutdown()
    web.server_close()


def test_lines_and_events_arrive_and_a_gate_counts_them(node: Node) -> None:
    assert wait(lambda: "sends what localhost says" in (node.folder / "shipper.log").read_text())
    node.world.write("a line for loki", f"with {TOKEN}")
    node.world.journal.append({"op": "activate", "component": "silent", "release": "v9", "outcome": "ok"})
    assert wait(lambda: len(node.lines()) >= 3), (node.folder / "shipper.log").read_text()
    rows = {one["text"]: one for one in node.lines()}
    line = rows["a line for loki"]
    assert {key: line["labels"][key] for key in ("stack", "node", "component", "slot")} == {
        "stack": "shop", "node": "localhost", "component": "api", "slot": "blue"}
    assert line["more"]["unit"] == "aistack-api@blue.service"
    assert "with ****[API_TOKEN]" in rows
    event = next(one for one in node.lines() if one["labels"].get("event"))
    assert event["labels"] == {"stack": "shop", "node": "localhost", "component": "silent", "release": "v9", "event": "deployment"}
    assert node.probe(components=["api"], stack="shop", lines=2).ok
    assert node.probe(units=["aistack-api@blue.service"]).ok
    assert node.probe(components=["silent"]).got == "lines of silent = 0"


def test_what_the_configuration_says(node: Node) -> None:
    found = node.config()
    assert (found["server"]["http_listen_address"], found["server"]["grpc_listen_address"]) == ("127.0.0.1", "127.0.0.1")
    assert (found["auth_enabled"], found["analytics"]["reporting_enabled"]) == (False, False)
    assert found["compactor"]["retention_enabled"] is True
    limits = found["limits_config"]
    assert limits["retention_period"] == "336h"
    taken = limits["ingestion_rate_mb"] * 2**20 * 336 * 3600
    assert taken == pytest.approx(20 * 2**30, rel=0.001), "what it takes in that time is what may be kept"
    assert limits["ingestion_burst_size_mb"] == 1463, "a day's share"
    assert not any(PASSWORD in path.read_text() for path in (node.folder / "shipper").rglob("*")), "that is the password of another store"
    assert json.loads((node.folder / "shipper/settings.json").read_text())["username"] == ""


@pytest.mark.whole(beside="tests/integration/logs/test_logs.py")
def test_again_it_changes_nothing_and_what_is_wrong_replaces_nothing(node: Node) -> None:
    node.world.journald_since.write_text("9999999999")
    before = (node.folder / "etc/loki.yml").read_bytes()
    again = node.play()
    assert ", 0 changes, " in again.stdout or "0 changes" in again.stdout, again.stdout
    wrong = node.play(loki_settings={"limits_config": {"max_quary_series": 1}})
    assert wrong.returncode != 0
    assert "field max_quary_series not found" in wrong.stdout
    assert (node.folder / "etc/loki.yml").read_bytes() == before
    small = node.play(loki_retention_days=2, loki_retention_bytes="200MB", loki_settings={"limits_config": {"max_query_series": 7}})
    assert small.returncode == 0, small.stdout
    limits = node.config()["limits_config"]
    assert (limits["retention_period"], limits["ingestion_burst_size_mb"], limits["max_query_series"]) == ("48h", 100, 7)


def test_what_is_not_pinned_or_keeps_nothing_is_refused_before_anything(node: Node) -> None:
    for given, said in (
        ({"loki_sha256": ""}, "expected loki_sha256, got none"),
        ({"loki_retention_days": 0}, "expected loki_retention_days from 1 on"),
        ({"loki_retention_bytes": "1MB"}, "loki_retention_bytes from 100MB on, got 14 and 1MB"),
    ):
        refused = node.play("--check", steps=[("loki", "main")], **given)
        assert refused.returncode != 0
        assert said in " ".join(refused.stdout.split()), refused.stdout
