# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a phase asks and what is left to be done in it, out of the variables of all hosts."""

from __future__ import annotations

from typing import Any

from ansible_collections.phasegate.aistack.plugins.action import phase

PROBE = {"command": ["true"]}
DESCRIBED = {
    "aistack_phases": {
        "ground": {"components": ["stone"], "acceptance": ["dry"]},
        "service": {"components": ["bread"], "requires": ["ground"]},
    },
    "aistack_components": {
        "stone": {"role": "own.own.thing", "hosts": "all", "gate": [{"name": "there", **PROBE}]},
        "bread": {"role": "own.own.thing", "hosts": "all", "gate": [{"name": "there", **PROBE}, {"name": "seen", "from": "b", **PROBE}]},
    },
    "aistack_acceptance": {"dry": PROBE},
    "groups": {"all": ["a", "b"], "ungrouped": ["a", "b"]},
    "ansible_play_hosts_all": ["a", "b"],
}


class Hosts:
    def __init__(self, of: dict[str, Any]) -> None:
        self.of = of

    def raw_get(self, host: str) -> Any:
        return self.of.get(host, {})


class Task:
    def __init__(self, args: dict[str, Any], check: bool) -> None:
        self.args, self.check_mode = args, check


class Templar:
    """Fills in nothing: these descriptions have no templates."""

    def template(self, value: Any) -> Any:
        return value


def run(hosts: dict[str, Any], check: bool = False, **args: Any) -> dict[str, Any]:
    plugin = phase.ActionModule.__new__(phase.ActionModule)
    plugin._task, plugin._templar = Task(args, check), Templar()
    given = {**{key: entry.get("default") for key, entry in phase.ARGUMENTS.items()}, **args}
    return plugin.answer(given, {**DESCRIBED, "hostvars": Hosts(hosts), "ansible_facts": {}})


def receipts(**known: bool) -> dict[str, Any]:
    return {"r": {"components": {name: {"fresh": was, "known": was} for name, was in known.items()}}}


def test_what_is_asked() -> None:
    planned = run({}, name="service", state="planned", receipts="r", proof_seconds=30)
    assert planned["required"] == ["ground"]
    assert [probe["name"] for probe in planned["probes"]] == ["there", "dry"]
    assert [(probe.get("component"), probe["name"]) for probe in planned["asked"][2:]] == [("bread", "there"), ("bread", "seen")]
    assert (planned["elsewhere"], planned["absent"]) == (True, [])


def test_check_mode_knows_what_was_never_there() -> None:
    hosts = {"a": receipts(stone=True, bread=False), "b": receipts(stone=False, bread=False)}
    planned = run(hosts, check=True, name="service", state="planned", receipts="r", proof_seconds=30)
    assert planned["absent"] == ["bread"], "stone was made on one of its hosts"


def test_what_is_to_be_done() -> None:
    row = {"component": "bread", "name": "there", "verdict": "pass"}
    hosts = {host: {**receipts(stone=True, bread=True), "n": {"probes": [row]}} for host in ("a", "b")}
    asked = {"name": "service", "state": "judged", "receipts": "r", "answers": "n", "probes": [{"name": "dry"}]}
    assert run(hosts, **asked) == {"changed": False, "stale": [], "unproven": ["dry"]}
    hosts["b"].update(receipts(stone=True, bread=False))
    assert run(hosts, **asked)["stale"] == ["bread"]
    assert run({"a": hosts["a"]}, **asked)["stale"] == ["bread"], "a host that said nothing has proven nothing"
