# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What watches fails itself: it says so, somebody is told as soon as that can be, and nothing that goes back waits for it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.diagnosis import causes, rules
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.watch import Watch, prepared
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.plan import RollbackRequest
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.run import Caller, Tools, roll_back
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.view import observe
from ansible_collections.phasegate.aistack.plugins.plugin_utils import diagnoses
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.rollback.fleet import AllUnits, Fleet

from .conftest import World, wait

SHOWN = 'depth{component="api",slot="blue"}'


@pytest.fixture
def deep(world: World) -> Iterator[World]:
    """With the alert C(too deep), which is over afterwards."""
    assert wait(lambda: answers(world))
    assert wait(lambda: world.alerts().get("too deep") is None)
    world.web.told.clear()
    world.web.depth = 9
    yield world
    world.web.depth = 1
    world.web.refuses = False
    assert wait(lambda: world.alerts().get("too deep") is None)


def answers(world: World) -> bool:
    return world.probe(prometheus=None, query="prometheus_build_info", value=1).ok


def looked(world: World, **change: Any) -> dict[str, Any]:
    """What a gate says of the figure at once."""
    login = {"target": f"http://127.0.0.1:{world.ports['prometheus']}", "username": "reader", "password_file": str(world.password)}
    given = {"name": "deep", "source": "prometheus", "query": f"max by (node, slot) ({SHOWN})", "value": 5, "window": 1, **login, **change}
    asked = prepared([{key: value for key, value in given.items() if value is not None}])
    seen: Any = Watch(asked, root=str(world.folder), state_dir=str(world.folder), at_once=True).run()
    (row,) = seen["conditions"]
    return dict(row)


def test_alertmanager_is_away_and_is_told_when_it_is_back(deep: World) -> None:
    deep.stop_one("alertmanager")
    try:
        assert wait(lambda: deep.alerts().get("too deep") == "firing")
        away = deep.probe(alertmanager=None)
        assert (away.ok, "connection refused" in away.got) == (False, True), away
        assert wait(lambda: "alerts@localhost: " in deep.probe(prometheus=None, up=1).detail)
        assert wait(lambda: deep.alerts().get("TargetDown") == "pending")
    finally:
        deep.start_one("alertmanager")
    assert wait(lambda: ("too deep", "firing") in deep.web.told), deep.web.told


def test_the_token_of_a_receiver_has_ended(deep: World) -> None:
    """Whoever is told besides hears of it; with a new token the message comes."""
    deep.web.refuses = True
    assert wait(lambda: deep.alerts().get("ReceiverNotTold") == "firing"), deep.alerts()
    assert deep.web.told == []
    assert "unexpected status code 401" in (deep.folder / "alertmanager.log").read_text(encoding="utf-8")
    deep.web.refuses = False
    assert wait(lambda: ("too deep", "firing") in deep.web.told), deep.web.told


@pytest.mark.parametrize(
    ("login", "said"),
    [
        ({"username": None, "password_file": None}, "status 401: Unauthorized; it wants a login: give username and password_file, or "),
        ({"username": None, "password_file": None, "secret_file": "{ended}"}, "; it does not take the token in {ended}: renew it where "),
        ({"password_file": "{ended}"}, "; it does not take reader with the password in {ended}"),
    ],
)
def test_the_token_of_a_gate_has_ended(world: World, tmp_path: Path, login: dict[str, Any], said: str) -> None:
    ended = tmp_path / "ended"
    ended.write_text("what-was-valid-yesterday")
    filled = {key: value and value.format(ended=ended) for key, value in login.items()}
    row = looked(world, **filled)
    assert (row["verdict"], row["got"].startswith("not verified: Prometheus does not answer: status 401")) == ("inconclusive", True), row
    assert said.format(ended=ended) in row["got"]
    assert "what-was-valid" not in json.dumps(row)


def test_the_newest_figures_are_damaged(world: World) -> None:
    """Damaged in its middle, the log of what came last is repaired; where a part of it is gone Prometheus does not start."""
    wal = world.folder / "prometheus.data/wal"
    assert wait(lambda: looked(world)["verdict"] == "pass")
    world.stop_one("prometheus", signal.SIGKILL)
    segment = sorted(wal.glob("0*"))[-1]
    with segment.open("r+b") as file:
        file.seek(segment.stat().st_size // 2)
        file.write(b"\xff" * 64)
    world.start_one("prometheus")
    assert wait(lambda: answers(world) and world.alerts().get("FiguresLost") == "firing"), world.alerts()
    assert wait(lambda: looked(world)["verdict"] == "pass"), "it goes on"
    world.stop_one("prometheus", signal.SIGKILL)
    last = sorted(wal.glob("0*"))[-1]
    last.rename(wal / f"{int(last.name) + 2:08}")
    began = (world.folder / "prometheus.log").stat().st_size
    world.start_one("prometheus")
    assert world.processes["prometheus"].wait(20) != 0
    assert "connection refused" in looked(world)["got"]
    log = (world.folder / "prometheus.log").read_bytes()[began:].decode().splitlines()
    thing = {"component": "figures", "role": "prometheus", "slot": "-", "live": True, "release": "-", "unit": "aistack-prometheus.service",
             "state": "restarting", "result": "exit-code", "reason": "exit status 1", "restarts": 9, "log": log}
    first = causes.ranked(rules.findings(diagnoses.in_use([]), {"components": [thing]}, "node-1"))[0]
    assert first["rule"] == "figures_damaged", first
    (stop,) = [line for line in first["do"] if "mv wal chunks_head" in line]
    assert "on node-1: systemctl stop aistack-prometheus.service;" in stop
    for name in ("wal", "chunks_head"):
        shutil.move(wal.parent / name, world.folder / f"{name}.damaged")
    world.start_one("prometheus")
    assert wait(lambda: looked(world)["verdict"] == "pass"), "what is to be done helps"


def test_the_clock_of_prometheus_was_ahead(world: World) -> None:
    """What it stored then lies in the future, and it takes nothing older: targets are up, and nobody has a figure."""
    data = world.folder / "prometheus.data"
    before = {path.name for path in data.iterdir()}
    world.stop_one("prometheus")
    ahead = int(time.time()) + 7 * 86400
    text = f'# TYPE depth gauge\ndepth{{slot="blue"}} 1 {ahead}\ndepth{{slot="blue"}} 1 {ahead + 60}\n# EOF\n'
    (world.folder / "ahead").write_text(text)
    made = subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", str(world.folder / "ahead"), str(data)],
                          capture_output=True, text=True, timeout=60, check=False)
    assert made.returncode == 0, made.stderr
    (block,) = [path for path in data.iterdir() if path.name not in before and (path / "meta.json").exists()]
    world.start_one("prometheus")
    try:
        assert wait(lambda: answers_nothing(world) and world.alerts().get("NoFigures") == "pending"), world.alerts()
        row = looked(world)
        assert (row["verdict"], "nobody shows this figure now" in row["got"]) == ("inconclusive", True), row
    finally:
        world.stop_one("prometheus")
        shutil.rmtree(block)
        world.start_one("prometheus")
    assert wait(lambda: looked(world)["verdict"] == "pass"), "without that block it goes on"


def answers_nothing(world: World) -> bool:
    """Whether it is there, and has no figure of now."""
    seen = world.probe(prometheus=None, query=SHOWN, value=1)
    return not seen.ok and "no series" in seen.got


def test_an_emergency_goes_back_although_its_gate_asks_a_prometheus_that_is_down(world: World, tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, "worker", warm=300)
    for number in (1, 2):
        fleet.deploy(number)
    nobody = f"http://127.0.0.1:{world.ports['api_green']}"
    probe = {"name": "few errors", "type": "prometheus", "target": nobody, "query": "up", "value": 1}
    gates = {tag: {"probes": [probe], "deadline": 5.0} for tag in ("v1", "v2")}
    (fleet.state / "gates" / "worker.json").write_text(json.dumps(gates))
    who = Caller("rb-1", "ops", "errors", best_effort=True)
    tools = Tools(fleet.make, None, fleet.said.append, partial(observe, systemd=AllUnits(fleet)))
    began = time.monotonic()
    answer = roll_back(fleet.state, "shop", RollbackRequest(best_effort=True), who, tools)
    assert answer["outcome"] == "ok", answer
    assert fleet.live() == {"worker": "v1"}
    (told,) = answer["plan"]["unverified"]
    assert told.startswith("worker: few errors: expected up = ")
    assert "connection refused" in told
    assert "it fails in the same way on" in told
    assert time.monotonic() - began < 15
