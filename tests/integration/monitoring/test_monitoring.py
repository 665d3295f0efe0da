# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Made from a description, loaded for real: targets come up, an alert goes all the way, and what is wrong replaces nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring import rules as of_prometheus
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.targets import Stack
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.usual_rules import usual_rules

from .conftest import PASSWORD, World, wait

TARGETS = 6
"""Prometheus, Alertmanager, two exporters, the slots of the component (one of which serves), and its door."""


def texts(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_every_target_comes_up_and_the_rules_are_loaded(world: World) -> None:
    seen = wait(lambda: (got := world.probe(prometheus=None, up=TARGETS, rules=3)).ok and got) or world.probe(prometheus=None, up=TARGETS)
    assert seen.ok, (seen.got, seen.detail)
    assert seen.got.startswith(f"{TARGETS} targets up, 0 down")
    assert world.probe(alertmanager=None, receivers=["ops"]).ok
    assert wait(lambda: world.probe(prometheus=None, query="prometheus_notifications_alertmanagers_discovered", value=1).ok)


def test_slots_are_told_apart(world: World) -> None:
    assert wait(lambda: world.probe(prometheus=None, query='up{component="api",node="localhost",slot="blue"}', value=1).ok)
    assert wait(lambda: world.probe(prometheus=None, query='up{component="api",node="localhost",slot="green"}', value={"le": 0}).ok)


def test_what_users_knock_at_is_asked(world: World) -> None:
    assert wait(lambda: world.probe(prometheus=None, query='probe_success{component="api"}', value=1).ok)


def test_an_alert_goes_all_the_way(world: World) -> None:
    """Provoked, pending, firing, received by a webhook, resolved."""
    states: list[str] = []

    def state() -> str:
        now = world.alerts().get("too deep", "none")
        states.extend([now] if not states or states[-1] != now else [])
        return now

    assert state() == "none"
    world.web.depth = 9
    try:
        assert wait(lambda: state() == "firing"), states
        assert wait(lambda: ("too deep", "firing") in world.web.told), world.web.told
    finally:
        world.web.depth = 1
    assert wait(lambda: state() == "none"), states
    assert wait(lambda: ("too deep", "resolved") in world.web.told), world.web.told
    assert states.index("none") < states.index("pending") < states.index("firing") < len(states) - 1


def test_a_target_that_answers_html_is_named_with_prometheus_words(world: World) -> None:
    world.web.html = True
    words = 'api@localhost: "INVALID" is not a valid start token', 'api@localhost: expected a valid start token, got "<"'
    try:
        said = wait(lambda: any(one in world.probe(prometheus=None, up=1).detail for one in words))
    finally:
        world.web.html = False
    assert said, world.probe(prometheus=None, up=1)
    assert wait(lambda: world.probe(prometheus=None, up=TARGETS).ok)


def test_nobody_asks_without_the_password(world: World) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"http://127.0.0.1:{world.ports['prometheus']}/api/v1/targets", timeout=5)
    for path in (world.folder / "prometheus").iterdir():
        assert path.name == "own.password" or PASSWORD not in path.read_text(encoding="utf-8"), path
        assert path.name not in ("own.password", "web.yml") or path.stat().st_mode & 0o777 == 0o640, path
    assert (world.folder / "alertmanager" / "alertmanager.yml").stat().st_mode & 0o777 == 0o640


def test_the_cases_beside_the_rules_pass_and_can_fail(world: World, tmp_path: Path) -> None:
    for name in ("rules.yml", "rules.test.yml"):
        (tmp_path / name).write_bytes((world.folder / "prometheus" / name).read_bytes())
    ask = ["promtool", "test", "rules", "rules.test.yml"]
    done = subprocess.run(ask, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    cases: Any = yaml.safe_load((tmp_path / "rules.test.yml").read_text(encoding="utf-8"))
    rules: Any = yaml.safe_load((tmp_path / "rules.yml").read_text(encoding="utf-8"))
    assert len(cases["tests"]) == 2 * sum(len(group["rules"]) for group in rules["groups"])
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"]["verb"].startswith("ansible-playbook phasegate.aistack."), rule
            rule["expr"] = f"({rule['expr']}) and vector(0) > 1"
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    dead = subprocess.run(ask, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert dead.returncode != 0
    assert (dead.stdout + dead.stderr).count("exp:") == len(cases["tests"]) // 2, "each case that fires has seen it"


def test_a_timer_that_never_ran_is_late_when_a_day_is_over(tmp_path: Path) -> None:
    """Not at once on a new node, whose first night is still to come."""
    described = {"saved": {"role": "backup", "hosts": "all"}, "exporters": {"role": "exporters", "hosts": "all"}}
    stack = Stack("shop", described, {"all": ["n1"]}, {}, {"n1": "10.0.0.1"})
    (rule,) = (rule for rule in usual_rules(stack) if rule.alert == "BackupTooOld")
    timer = rule.fires[0]
    old, new = replace(timer, values="0x1700"), replace(timer, values="_x1500 0x200")
    made = {"usual": [replace(rule, fires=(old,), quiet=(new,), after=28 * 3600)]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(of_prometheus.groups(made)), encoding="utf-8")
    (tmp_path / "rules.test.yml").write_text(yaml.safe_dump(of_prometheus.cases(made, "rules.yml")), encoding="utf-8")
    ask = ["promtool", "test", "rules", "rules.test.yml"]
    done = subprocess.run(ask, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_rule_with_a_typing_error_replaces_nothing(world: World) -> None:
    before = texts(world.folder / "prometheus")
    wrong = [{"name": "mine", "rules": [{"alert": "Wrong", "expr": "sum(up"}]}]
    asked = {"name": "asked", "source": "prometheus", "query": "max(depth))", "value": 5, "then": "notice"}
    done = world.configure("prometheus", prometheus_rules=wrong, prometheus_triggers=[asked])
    assert done.returncode != 0
    for said in ('group "mine", rule 1, "Wrong"', "unclosed left parenthesis", 'rule 1, "asked"', "unexpected right parenthesis"):
        assert said in done.stdout, done.stdout
    assert texts(world.folder / "prometheus") == before


def test_a_wrong_receiver_is_refused_and_its_address_not_shown(world: World) -> None:
    before = texts(world.folder / "alertmanager")
    wrong = [{"name": "ops", "url": "http://127.0.0.1/token-of-ops", "severity": ["sever"]}]
    done = world.configure("alertmanager", alertmanager_receivers=wrong)
    assert done.returncode != 0
    assert "token-of-ops" not in done.stdout + done.stderr
    assert texts(world.folder / "alertmanager") == before


def test_it_takes_another_configuration_without_a_restart(world: World) -> None:
    more = [{"job_name": "again", "static_configs": [{"targets": [f"127.0.0.1:{world.web.server_port}"]}]}]
    done = world.configure("prometheus", prometheus_jobs=more)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b1 change", done.stdout), f"all but the configuration is as it was: {done.stdout}"
    process = world.processes["prometheus"]
    os.kill(process.pid, signal.SIGHUP)
    assert wait(lambda: world.probe(prometheus=None, query='up{job="again"}', value=1).ok)
    assert process.poll() is None
    assert world.probe(prometheus=None, query="prometheus_config_last_reload_successful", value=1).ok
