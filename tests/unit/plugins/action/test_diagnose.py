# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node is told of its stack."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.action import diagnose
from ansible_collections.phasegate.aistack.plugins.action.diagnose import ActionModule, told
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.description import queues_of

COMPONENTS: dict[str, dict[str, Any]] = {
    "redis": {"role": "redis", "hosts": "backend"},
    "postgres": {"role": "phasegate.aistack.postgres", "hosts": "backend", "port": "db"},
    "sets": {"role": "backup", "hosts": "backend"},
    "own": {"role": "toolchain", "hosts": "backend", "unit": "own.service"},
    "api": {"role": "backend", "hosts": "backend", "application": "shop", "port": "api"},
    "worker": {"role": "worker", "hosts": "backend", "release_from": "api", "options": {"queues": ["celery", "video"]}},
}
PORTS = {"redis": 6379, "db": 5433, "api": 8000}


def test_what_a_node_is_told_of_its_components() -> None:
    assert told(COMPONENTS, COMPONENTS, PORTS, "shop") == [
        {"component": "redis", "role": "redis", "unit": "redis-server.service", "port": 6379},
        {"component": "postgres", "role": "postgres", "port": 5433},
        {"component": "sets", "role": "backup", "unit": "aistack-backup@shop.timer"},
        {"component": "own", "role": "toolchain", "unit": "own.service"},
        {"component": "api", "role": "backend"},
        {"component": "worker", "role": "worker", "queues": ["celery", "video"]},
    ]


@pytest.mark.parametrize(("options", "queues"), [
    (None, ["celery"]), ({}, ["celery"]), ({"queues": []}, ["celery"]), ({"queues": "video"}, ["celery"]), ({"queues": ["a"]}, ["a"]),
])
def test_the_queues_of_a_worker(options: Any, queues: list[str]) -> None:
    assert queues_of({"options": options}) == queues


def test_where_servers_are() -> None:
    variables = {"groups": {"backend": ["n1", "n2"]}, "hostvars": {"n1": {"aistack_address": "10.0.0.1"}, "n2": {}}}
    assert ActionModule._places(COMPONENTS, PORTS, variables) == [
        {"component": "redis", "role": "redis", "address": "10.0.0.1", "port": 6379, "host": "n1"},
        {"component": "postgres", "role": "postgres", "address": "10.0.0.1", "port": 5433, "host": "n1"},
    ]


def test_which_probes_a_host_asks() -> None:
    """One that cannot be used, or is asked elsewhere, is left out: the gate itself says what is wrong with it."""
    variables = {"groups": {"backend": ["n1"], "web": ["n2"], "all": ["n1", "n2"]}, "ansible_play_hosts_all": ["n1", "n2"]}
    probes = [
        {"name": "mine", "tcp": "127.0.0.1:1", "component": "api", "hosts": "backend"},
        {"name": "theirs", "tcp": "127.0.0.1:1", "component": "api", "hosts": "web"},
        {"name": "from me", "tcp": "127.0.0.1:1", "component": "web", "hosts": "web", "from": "backend"},
        {"name": "nowhere", "tcp": "127.0.0.1:1", "component": "api", "hosts": "none"},
        {"name": "wrong", "tpc": "127.0.0.1:1"},
    ]
    assert [probe["name"] for probe in ActionModule._probes(probes, "n1", variables, None)] == ["mine", "from me"]
    assert [probe["name"] for probe in ActionModule._probes(probes, "n1", variables, ["api"])] == ["mine"]


@pytest.mark.parametrize(("dead", "expired", "rule", "held"), [
    (True, False, ["lock_of_a_dead_run"], ""), (False, False, [], "ann"), (False, True, ["lock_expired"], ""),
])
def test_the_controller_knows_whether_a_run_lives(
    monkeypatch: pytest.MonkeyPatch, dead: bool, expired: bool, rule: list[str], held: str
) -> None:
    monkeypatch.setattr(diagnose, "is_dead", lambda lease: dead)
    lock = {"holder": "ann", "run": "r", "dead": False, "expired": expired, "working": False}
    answer = {"evidence": {"locks": [lock]}, "lease": {"run": "r", "owner": {}}, "problems": []}
    found = ActionModule._judged(answer, diagnose.diagnoses.in_use([]), "n1", {})
    assert [one["rule"] for one in found["findings"]] == rule
    assert found["lock"] == held
    assert "evidence" not in found
