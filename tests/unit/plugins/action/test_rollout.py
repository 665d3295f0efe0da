# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a deployment, out of what the hosts said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.action import rollout
from ansible_collections.phasegate.aistack.tests.unit.plugins.action.controller import Controller
from ansible_collections.phasegate.aistack.tests.unit.plugins.action.test_release_info import Hosts, Task, Templar

ARGS = {"released": ["api", "web"], "release": "v2", "answers": "__before", "configured": "__configured"}
WEB = {"hosts": "fe", "role": "worker", "slots": {"drain_timeout": 90}}
DESCRIBED = {"api": {"hosts": "be", "strategy": {"rolling": {"limit": 1, "hold": 30}}}, "web": WEB, "db": {"hosts": "be"}}


def host(release: str, config: str = "c1", made: str = "c1") -> dict[str, Any]:
    live = {"release": release, "config": config, "slot": "blue"}
    return {"__before": {"components": {"api": {"live": live}}}, "__configured": {"results": [{"component": "api", "config": made}]}}


def run(
    monkeypatch: pytest.MonkeyPatch, hosts: dict[str, Any], in_play: tuple[str, ...] = ("a", "b", "c", "w"), strategy: Any = None,
    drain: bool = False, risk: str = "", careful: Any = None, release: str = "v2", **more: Any,
) -> tuple[Any, list[str]]:
    shown: list[str] = []
    monkeypatch.setattr(rollout.pages, "show", lambda _task, text: shown.append(text))
    plugin = rollout.ActionModule.__new__(rollout.ActionModule)
    plugin._task, plugin._templar = Task({}), Templar()
    described = {**DESCRIBED, **({"api": {"hosts": "be", "strategy": strategy, "careful": careful}} if strategy else {})}
    variables = {"aistack_components": described, "groups": {"be": ["a", "b", "c"], "fe": ["w"]}, "ansible_play_hosts_all": list(in_play),
                 "hostvars": Hosts(hosts), **more}
    given = {**{name: entry.get("default") for name, entry in rollout.ARGUMENTS.items()}, **ARGS, "release": release}
    return plugin.answer({**given, "drain": drain, "risk": risk, "contracted": "__contracted"}, variables), shown


def test_batches_of_what_rolls_and_one_step_of_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    result, shown = run(monkeypatch, {name: host("v1") for name in "abc"})
    assert [(step["component"], step["hosts"], step["hold"]) for step in result["steps"]] == [
        ("api", ["a"], 30), ("api", ["b"], 30), ("api", ["c"], 30), ("web", ["w"], 0),
    ]
    assert result["first"] == {"a": ["api"], "w": ["web"]}
    assert shown == [result["text"]]
    assert "1. a, then its gate, for 30 s without a break" in result["text"]


def test_a_run_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    result, shown = run(monkeypatch, {"a": host("v2"), "b": host("v2"), "c": host("v1")})
    assert [step["hold"] for step in result["steps"]] == [0, 30, 30, 0]
    assert "1. a (there already), then its gate\n" in shown[0]


def test_another_configuration_is_another_release(monkeypatch: pytest.MonkeyPatch) -> None:
    result, _shown = run(monkeypatch, {"a": host("v2", made="c2"), "b": host("v2"), "c": host("v2")})
    assert [step["hold"] for step in result["steps"][:3]] == [30, 0, 0]


def test_hosts_that_are_not_in_this_run_have_no_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    result, shown = run(monkeypatch, {"b": host("v1")}, in_play=("b",))
    assert [(step["component"], step["hosts"]) for step in result["steps"]] == [("api", ["b"])]
    assert shown == []


def test_a_canary_needs_something_to_share_with(monkeypatch: pytest.MonkeyPatch) -> None:
    canary = {"canary": {"weights": [5, 100], "hold": 60, "triggers": ["errors"]}}
    shared, _shown = run(monkeypatch, {name: host("v1") for name in "abc"}, strategy=canary)
    assert [(step["component"], step["weight"]) for step in shared["steps"]] == [("api", 5), ("api", 100), ("web", 100)]
    some, _shown = run(monkeypatch, {"a": host("v1"), "c": host("v1")}, strategy=canary)
    assert [(step["weight"], step["hosts"]) for step in some["steps"][:2]] == [(5, ["a", "c"]), (100, ["a", "b", "c"])]
    first, shown = run(monkeypatch, {}, strategy=canary)
    assert ([(step["component"], step["weight"]) for step in first["steps"]], shown) == ([("api", 100), ("web", 100)], [])


def test_what_this_run_does_about_the_tasks_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    drained, _shown = run(monkeypatch, {name: host("v1") for name in "abc"}, drain=True)
    found = [(step["component"], step["long_tasks"], step["drain"]) for step in drained["steps"]]
    assert found[2:] == [("api", "", 0), ("web", "wait", 90)]


def test_a_batch_is_judged_as_the_operator_has_slots_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    result, _shown = run(monkeypatch, {name: host("v1") for name in "abc"}, release_gate_settings={"successes": 5, "deadline": 10})
    assert [(step["gate"]["successes"], step["gate"]["deadline"]) for step in result["steps"]] == [(5, 40), (5, 40), (5, 40), (5, 10)]


CAREFUL = {"rolling": {"limit": 1}}


def said_of(result: Any) -> tuple[int, str]:
    """How many steps the first component has, and what is said of its strategy."""
    lines = result["text"].splitlines()[1:2]
    return result["steps"][0]["of"], lines[0].strip() if lines else ""


def test_a_release_that_changes_a_lot_comes_carefully(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = {name: host("v1.4.0") for name in "abc"}

    def chosen(release: str = "v1.5.0", at: dict[str, Any] = hosts, **more: Any) -> tuple[int, str]:
        return said_of(run(monkeypatch, at, strategy="bluegreen", careful=CAREFUL, release=release, **more)[0])

    assert chosen() == (1, "api: strategy, because the major version of v1.5.0 is that of what is live, and the schema loses nothing")
    assert chosen("v2.0.0") == (3, "api: careful, because v2.0.0 is another major version than v1.4.0")
    assert chosen("v2.0.0", risk="low") == (1, "api: strategy, because of -e risk=low")
    assert chosen(risk="high") == (3, "api: careful, because of -e risk=high")
    gone = "api: careful, because the schema of web has lost what the release before may use"
    assert chosen(at={**hosts, "w": {"__contracted": ["web"]}}) == (3, gone)
    assert chosen(at={**hosts, "w": {"__before": {"components": {"web": {"live": None, "contracted": True}}}}}) == (3, gone)
    assert chosen("v2.0.0", {}) == (1, ""), "nothing is live"


def test_where_nothing_is_careful_the_operator_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    result, shown = run(monkeypatch, {name: host("v1") for name in "abc"}, strategy="bluegreen", risk="high")
    assert "  api: -e risk=high changes nothing: it has no careful" in shown[0].splitlines()
    assert [step["of"] for step in result["steps"]] == [1, 1]


MIGRATED = """
- hosts: all
  gather_facts: false
  vars:
    aistack_run: {run}
    aistack_components: {{api: {{hosts: all, strategy: bluegreen, careful: {{rolling: {{limit: 1}}}}}}, mail: {{hosts: all}}}}
    before: {{components: {{api: {{live: {{release: v1.0.0, config: c}}}}}}}}
  tasks:
    - ansible.builtin.set_fact: {{__before: "{{{{ before }}}}"}}
    - ansible.builtin.include_tasks: one.yml
      loop: [api, mail]
      loop_control: {{loop_var: aistack_component_name}}
      vars: {{__migrate_first: a, __migrate_steps: []}}
    - phasegate.aistack.rollout:
        {{released: [api, mail], release: v1.1.0, answers: __before, configured: none, contracted: __contracted}}
      run_once: true
"""
ONE = """
- ansible.builtin.set_fact: {migrate_result: "{{ {'plan': plan} if inventory_hostname == 'a' else {} }}"}
  vars:
    plan: {pending: [{phase: "{{ 'contract' if aistack_component_name == 'api' else 'expand' }}", sql: "X"}]}
- ansible.builtin.include_tasks: MIGRATE
"""


def test_the_first_of_two_databases_of_a_host_is_not_forgotten(tmp_path: Path) -> None:
    """As the playbook notes it: the result of the second migration stands in the place of the first one's."""
    tasks = Path(rollout.__file__).resolve().parents[2] / "playbooks" / "tasks" / "migrate.yml"
    (tmp_path / "one.yml").write_text(ONE.replace("MIGRATE", str(tasks)))
    said = Controller(tmp_path).start("first", 0, MIGRATED).communicate(timeout=60)[0]
    assert "api: careful, because the schema of api has lost what the release before may use" in said, said
    assert "api, 2 batches one after the other" in said
