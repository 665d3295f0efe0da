# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of a deployment, and the refusal where no release was named."""

from __future__ import annotations

import datetime
from typing import Any

from ansible_collections.phasegate.aistack.plugins.action import deployment
from ansible_collections.phasegate.aistack.tests.unit.plugins.action.test_release_info import Hosts, Task, Templar

ARGS = {"application": "shop", "release": "v2", "released": ["api", "web"], "answers": "__before", "run": "20260101T000000Z-abc"}
LIVE = {"__before": {"components": {"api": {"live": {"release": "v1"}}, "web": {"live": None}}},
        "migrate_result": {"changed": True, "msg": "api: to head"}}


def run(hosts: dict[str, Any], components: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    plugin = deployment.ActionModule.__new__(deployment.ActionModule)
    plugin._task, plugin._templar = Task({}), Templar()
    described = {"api": {"hosts": "be"}, "web": {"hosts": "fe"}, "edge": {"hosts": "be"}, **(components or {})}
    given = {**{name: entry.get("default") for name, entry in deployment.ARGUMENTS.items()}, **ARGS, **more}
    return plugin.answer(given, {"aistack_name": "shop", "aistack_components": described, "groups": {"be": ["a", "c"], "fe": ["b"]},
                                 "ansible_play_hosts_all": ["a", "b"], "hostvars": Hosts(hosts)})


def test_what_is_live_and_where_it_goes() -> None:
    facts = run({"a": LIVE, "b": {}})["facts"]
    assert facts == {"stack": "shop", "application": "shop", "from": "v1", "to": "v2", "run": ARGS["run"], "nodes": ["a", "b"]}


def test_where_something_is_live_the_release_is_named() -> None:
    result = run({"a": LIVE}, named=False)
    assert result["failed"]
    assert result["msg"].splitlines()[0] == "Refused: no release was named, and shop is live: v1. Nothing was touched."
    assert not run({}, named=False).get("failed"), "where nothing is live the inventory's is taken"


def test_what_was_done() -> None:
    found = run({"a": LIVE}, finished=True, phases=["p1"], migrations="migrate_result", evidence="3 probes: 3 passed")
    assert found["facts"]["done"] == ["api: to head", "api, web: v2", "p1: 3 probes: 3 passed"]
    now = datetime.datetime(2026, 1, 1, 0, 1, 30, tzinfo=datetime.timezone.utc)
    assert deployment.seconds_of(ARGS["run"], now) == 90
    assert deployment.done_lines(["api"], "v2", [{"changed": False, "msg": "x"}], [], "") == ["api: v2"]


def test_workers_in_containers_are_named_where_they_are_not_drained() -> None:
    """Before the lock, so that who counts on it can stop there."""
    command = {"command": ["celery", "-A", "app", "worker"]}
    api = {"hosts": "be", "role": "container", "options": command, "slots": {"stop_timeout": 45}}
    there = {"api": api, "web": {"hosts": "fe", "role": "container"}}
    assert "warnings" not in run({"a": LIVE}, there)
    (told,) = run({"a": LIVE}, there, drain=True)["warnings"]
    assert told.startswith("-e drain=true waits for nothing that runs in containers: api. ")
    assert "to end (api: 45 s), and are killed then" in told
    assert run({}, there, drain=True)["warnings"] == [], "where nothing is live nothing is held"
    assert "warnings" not in run({"a": LIVE}, there, drain=True, finished=True), "once"
