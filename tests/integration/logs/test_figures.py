# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus reads VictoriaLogs' own figures with the password that it asks for, and says what it drops."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..monitoring.conftest import free_ports
from .conftest import PASSWORD, World, wait


class Reader:
    """Prometheus as its role lays it down, beside the store."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        self.url = f"http://127.0.0.1:{free_ports(1)[0]}"
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self) -> subprocess.CompletedProcess[str]:
        return self.world.configure(
            "prometheus", prometheus_port=int(self.url.rpartition(":")[2]), prometheus_interval=1, prometheus_timeout=1,
            prometheus_evaluation=1, __prometheus_folder=str(self.folder), __prometheus_unit_file=str(self.folder / "unit.service"),
        )

    def start(self) -> None:
        words = (self.folder / "unit.service").read_text(encoding="utf-8").partition("ExecStart=")[2].splitlines()[0]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(words.replace("/var/lib/aistack-prometheus", str(self.folder / "data")).split(), stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder)

    def asked(self, path: str) -> Any:
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}", timeout=5) as answer:
                return json.load(answer)["data"]
        except OSError:
            return {}  # it has not begun to listen; whoever asks waits for what it is to say

    def store(self) -> dict[str, Any]:
        """What it says of the store as a target."""
        return next((one for one in self.asked("targets").get("activeTargets", ()) if one["labels"]["component"] == "logs"), {})

    def end(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(20)


@pytest.fixture(scope="module")
def reader(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    one = Reader(world, tmp_path_factory.mktemp("prometheus"))
    done = one.configure()
    assert done.returncode == 0, done.stdout + done.stderr
    one.start()
    yield one
    one.end()


def test_it_reads_them_with_the_password(world: World, reader: Reader) -> None:
    assert wait(lambda: reader.store().get("health") == "up"), reader.store()
    assert reader.store()["scrapeUrl"] == f"{world.url}/metrics"
    kept = reader.folder / "target-logs.password"
    assert (kept.read_text(), kept.stat().st_mode & 0o777, kept.group()) == (PASSWORD, 0o640, "prometheus")
    assert PASSWORD not in (reader.folder / "prometheus.yml").read_text()
    again = reader.configure()
    assert "1 node, 0 changes" in again.stdout, again.stdout


def test_lines_that_the_store_drops_are_told(world: World, reader: Reader) -> None:
    """The store answers 200 to a line of last year, and keeps it not."""
    old = {"streams": [{"stream": {"node": "elsewhere"}, "values": [[str((int(time.time()) - 365 * 86400) * 10**9), "long ago"]]}]}
    assert wait(lambda: reader.asked("query?query=vl_rows_dropped_total").get("result"))
    assert world.push(old) < 300
    cases = subprocess.run(["promtool", "test", "rules", "rules.test.yml"], cwd=reader.folder, capture_output=True, text=True, check=False)
    assert cases.returncode == 0, cases.stdout + cases.stderr
    assert wait(lambda: [one for one in reader.asked("alerts").get("alerts", ()) if one["labels"]["alertname"] == "LinesDropped"])


def test_with_another_password_it_is_down(world: World, reader: Reader) -> None:
    kept = reader.folder / "target-logs.password"
    kept.write_text("another-password")
    assert wait(lambda: "401" in reader.store().get("lastError", "")), reader.store()
    kept.write_text(PASSWORD)
    assert wait(lambda: reader.store().get("health") == "up")
