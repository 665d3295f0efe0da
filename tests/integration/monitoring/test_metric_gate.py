# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gates that ask the real Prometheus: in the words of the alert rule, one slot against the other, and where it does not answer."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.phasegate.aistack.plugins.module_utils.gate.watch import Watch, prepared
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.asked import asked_of_prometheus, server
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.targets import Stack

from .conftest import ROOT, Web, World, wait

EVERY = {"interval": 0.5}


@pytest.fixture
def green(world: World) -> Iterator[Web]:
    """The other slot, beside the first one."""
    slot = Web(world.ports["api_green"])
    yield slot
    slot.shutdown()
    slot.server_close()


def login(world: World) -> dict[str, Any]:
    return {**server("localhost", {"port": world.ports["prometheus"]}), "username": "reader", "password_file": str(world.password)}


def watched(conditions: list[dict[str, Any]], tmp_path: Path, **more: Any) -> dict[str, Any]:
    answer = Watch(prepared(conditions), root=str(tmp_path), state_dir=str(tmp_path), **{**EVERY, **more}).run()
    row: dict[str, Any] = answer["conditions"][0]
    return row


def test_a_gate_asks_what_the_rule_asks(world: World, tmp_path: Path) -> None:
    triggers = world.variables["aistack_triggers"]
    stack = Stack("shop", world.variables["aistack_components"], {"all": ["localhost"]}, world.ports)
    asked = [one for one in asked_of_prometheus(triggers, stack, login(world)) if one["source"] == "prometheus"]
    rules = yaml.safe_load((world.folder / "prometheus" / "rules.yml").read_text(encoding="utf-8"))
    (rule,) = [one for group in rules["groups"] for one in group["rules"] if one["alert"] == "too deep"]
    assert rule["expr"] == f"({asked[0]['query']}) > 5"
    assert wait(lambda: watched(asked, tmp_path, at_once=True)["verdict"] == "pass")
    world.web.depth = 9
    try:
        began = time.monotonic()
        row = watched(asked, tmp_path, passes=0, duration=15)
        assert (row["verdict"], row["where"], row["expected"]) == ("fail", "localhost", "depth <= 5"), row
        assert row["got"].startswith("9 [slot blue]")
        assert time.monotonic() - began < 6
    finally:
        world.web.depth = 1


def test_the_new_slot_against_the_old_one(world: World, green: Web, tmp_path: Path) -> None:
    query = 'max by (node, slot) (depth{component="api"})'
    canary = {"name": "deeper", "source": "prometheus", "query": query, "times": {"lt": 2}, "slot": "green", "window": 1, **login(world)}
    green.depth = 3
    assert wait(lambda: watched([canary], tmp_path, at_once=True)["verdict"] == "fail")
    assert watched([canary], tmp_path, at_once=True)["got"] == "3 times its baseline 1: now 3 [slot green]"
    green.depth = 1
    assert wait(lambda: watched([canary], tmp_path, at_once=True)["verdict"] == "pass")
    few = {**canary, "sample": query, "min_sample": 5}
    assert "too few to judge: saw 1, at least 5 are needed" in watched([few], tmp_path, at_once=True)["got"]


def test_a_figure_that_goes_away_with_a_release(world: World, tmp_path: Path) -> None:
    """After what was asked beside both slots: this one shows no figures any more."""
    query = 'max by (node, slot) (depth{component="api"})'
    gone = {"name": "deep", "source": "prometheus", "query": query, "value": 5, "slot": "green", "window": 1, **login(world)}
    assert wait(lambda: watched([gone], tmp_path, at_once=True)["verdict"] == "inconclusive")
    assert "the query has no series of slot green; nobody shows this figure now" in watched([gone], tmp_path, at_once=True)["got"]


def test_against_itself_a_moment_before(world: World, tmp_path: Path) -> None:
    """The text that stands in a rule as well: the real one takes it, and has no such figure of a day before."""
    itself = {"name": "t", "source": "prometheus", "query": 'max by (node) (depth{slot="blue"})', "times": 2, "window": 1, **login(world)}
    before = watched([{**itself, "offset": 86400}], tmp_path, at_once=True)
    assert (before["verdict"], "the baseline has no such figure; now 1" in before["got"]) == ("inconclusive", True), before


def test_what_cannot_be_asked_is_unverified(world: World, tmp_path: Path) -> None:
    asked = {"name": "deep", "source": "prometheus", "query": "max(depth)", "value": 5, "window": 1, "error_limit": 0, **login(world)}
    wrong = tmp_path / "wrong"
    wrong.write_text("not-the-one")
    world.web.html = True
    try:
        for change, said in (
            ({"password_file": str(wrong)}, "status 401"),
            ({"target": f"http://127.0.0.1:{world.web.server_port}"}, "no JSON: <!DOCTYPE html>"),
            ({"target": f"http://127.0.0.1:{world.ports['api_green']}"}, "connection refused"),
            ({"query": "max(depth"}, "unclosed left parenthesis"),
        ):
            row = watched([{**asked, **change}], tmp_path, at_once=True)
            assert (row["verdict"], said in row["got"]) == ("inconclusive", True), row
            assert row["got"].startswith("not verified: Prometheus does not answer: ")
    finally:
        world.web.html = False


def test_watch_and_verify_go_by_prometheus_and_say_where_they_may_not_ask(world: World, tmp_path: Path) -> None:
    """The inventory lacks the password for what is asked beside a trigger; a trigger that is a question has its own."""
    pages = f"http://127.0.0.1:{world.web.server_port}/metrics"
    rest = {"value": {"le": 5}, "window": 2, "then": {"level": "app"}}
    own = {key: value for key, value in login(world).items() if key != "from"}
    query = 'max by (node, slot) (depth{component="api"})'
    triggers = [{"name": "too deep", "source": "metrics", "component": "api", "target": pages, "gauge": "depth", **rest},
                {"name": "asked", "source": "prometheus", "query": query, **own, **rest}]
    there = {"hosts": "aistack", "gate": [{"name": "there", "command": ["true"]}]}
    components = {name: {**one, **there} for name, one in world.variables["aistack_components"].items() if name != "api"}
    components["edge"] = {"role": "edge", **there}
    components["api"] = {**world.variables["aistack_components"]["api"], "hosts": "aistack", "options": {"app": "main:app"}}
    variables = {
        "ansible_connection": "local", "ansible_python_interpreter": sys.executable, "aistack_name": "shop", "aistack_address": "127.0.0.1",
        "aistack_root": f"{tmp_path}/root", "aistack_state": f"{tmp_path}/state", "aistack_ports": {
            key: value for key, value in world.ports.items() if key != "api"} | {"api": 1}, "aistack_components": components,
        "aistack_applications": {"shop": {"repo": f"{tmp_path}/none", "release": "v1.1.0"}}, "aistack_triggers": triggers,
        "aistack_phases": {"phase0": {"components": list(components)}},
    }
    inventory = {"all": {"vars": variables, "children": {"aistack": {"hosts": {"localhost": None}}}}}
    (tmp_path / "inventory.yml").write_text(json.dumps(inventory), encoding="utf-8")

    def play(*words: str) -> str:
        done = subprocess.run(
            [str(ROOT / ".venv/bin/ansible-playbook"), "-i", "inventory.yml", *words], cwd=tmp_path, capture_output=True, text=True,
            timeout=60, check=False, stdin=subprocess.DEVNULL, env={
                **os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
                "ANSIBLE_HOME": str(tmp_path / "home")},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    text = play("phasegate.aistack.watch", "-e", "minutes=0.05", "-e", "interval=1")
    assert "PASS  localhost  too deep: 1 (mean of " in text
    assert "PASS  localhost  asked: 1 [slot blue] (expected max by (node, slot)" in text
    assert ", by Prometheus)" in text
    said = "too deep: judged at its source, since Prometheus on localhost could not: not verified: Prometheus does not answer: status 401"
    assert said in text
    text = play("phasegate.aistack.verify")
    assert re.search(r"performance +trigger: asked [(]Prometheus[)] +localhost +PASS +1 ", text), text
    assert re.search(r"performance +trigger: too deep [(]Prometheus[)] +localhost +WARNING +not verified: Prometheus does not answer", text)
    assert "verified: system 4/4" in text
    assert "1 of Prometheus not verified" in text
