# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what a deployment brings side by side runs with each other, out of what all hosts said is live."""

from __future__ import annotations

from typing import Any

from ansible_collections.phasegate.aistack.plugins.action import compatible
from ansible_collections.phasegate.aistack.tests.unit.plugins.action.test_release_info import Hosts, Task, Templar

COMPONENTS = {
    "gateway": {"hosts": "web", "application": "edge"},
    "worker": {"hosts": "jobs", "application": "shop", "runs_with": {"gateway": "major"}},
}


def at(**live: str) -> dict[str, Any]:
    return {"__beside": {"components": {name: {"live": {"release": release} if release else None} for name, release in live.items()}}}


def run(hosts: dict[str, Any], release: str = "v5.0.0", **more: Any) -> dict[str, Any]:
    plugin = compatible.ActionModule.__new__(compatible.ActionModule)
    plugin._task, plugin._templar = Task({}), Templar()
    given = {**{name: entry.get("default") for name, entry in compatible.ARGUMENTS.items()}, "released": ["worker"], "release": release,
             "answers": "__beside", **more}
    return plugin.answer(given, {"aistack_components": COMPONENTS, "groups": {"web": ["a", "b"], "jobs": ["c"]},
                                 "ansible_play_hosts_all": ["a", "b", "c"], "hostvars": Hosts(hosts)})


HOSTS = {"a": at(gateway="v4.1.0", worker=""), "b": at(gateway="v4.2.0", worker=""), "c": at(gateway="", worker="v4.0.0")}


def test_what_does_not_run_with_each_other_is_refused_before_anything_is_touched() -> None:
    result = run(HOSTS)
    assert result["failed"]
    first, one, _fix, two, *_rest = result["msg"].splitlines()
    assert first == "Refused. Nothing was touched: releases would run side by side that are not made for it."
    assert one.startswith("  - worker would be at v5.0.0 beside gateway, which stays at v4.1.0; worker runs with gateway of the same major")
    assert two.startswith("  - worker would be at v5.0.0 beside gateway, which stays at v4.2.0; ")
    assert result["msg"].endswith("say so: -e runs_with=ignore")
    assert run(HOSTS, "v4.3.0") == {"changed": False, "refused": [], "warnings": []}


def test_who_means_it_is_warned() -> None:
    result = run(HOSTS, ignore=True)
    assert (result.get("failed"), result["refused"]) == (None, [])
    assert result["warnings"][0].startswith("runs_with is ignored, as was asked for: worker would be at v5.0.0 beside gateway, which stays")


def test_a_plan_is_told_and_goes_on() -> None:
    result = run(HOSTS, enforce=False)
    assert not result.get("failed")
    assert result["refused"][0].startswith("worker would be at v5.0.0 beside gateway, which stays at v4.1.0; ")
    assert result["refused"][0].endswith(", or say -e runs_with=ignore")


def test_hosts_that_were_not_asked_are_named() -> None:
    said = "runs_with is not judged of what is live where nobody was asked: b (gateway)"
    assert run({**HOSTS, "b": {"__beside": {"unreachable": True}}}, "v4.3.0")["warnings"] == [said]
    assert run({**HOSTS, "b": {}})["warnings"] == [said], "of a refusal as well"
