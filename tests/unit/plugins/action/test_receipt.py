# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a component is converged: its role, the roles that this one includes, and their variables."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar as AnsibleTemplar, trust_as_template
from jinja2.nativetypes import NativeEnvironment

from ansible_collections.phasegate.aistack.plugins.action import receipt
from ansible_collections.phasegate.aistack.plugins.filter import logs, monitoring, stack
from ansible_collections.phasegate.aistack.plugins.plugin_utils import role_files

FILES = {
    "web/tasks/main.yml": "- ansible.builtin.include_role: {name: phasegate.aistack.ship, tasks_from: unit}\n  vars: {a: 1}\n"
                          "- name: Ship it\n  ansible.builtin.include_role:\n    name: phasegate.aistack.ship\n    tasks_from: go\n"
                          "  vars:\n    name: of a variable\n",
    "web/meta/main.yml": "dependencies:\n  - role: phasegate.aistack.base\n",
    "web/templates/web.conf.j2": "port {{ aistack_ports }} {{ aistack_ca }}\n",
    "ship/tasks/main.yml": "- name: not included by web\n  debug: {msg: '{{ aistack_other }}'}\n",
    "ship/tasks/unit.yml": "- template: {src: unit.j2}\n",
    "ship/tasks/go.yml": "- include_tasks: steps.yml\n- import_role: {name: move, tasks_from: '{{ ship_step }}'}\n",
    "ship/tasks/steps.yml": "- debug: {msg: '{{ aistack_steps }}'}\n",
    "ship/defaults/main.yml": "ship_patience: 30\nship_components: '{{ aistack_components }}'\n",
    "ship/templates/unit.j2": "[Service]\n",
    "ship/files/tools.txt": "tools==1\n",
    "move/tasks/main.yml": "- debug:\n",
    "move/tasks/plan.yml": "- debug:\n",
    "base/tasks/main.yml": "- debug:\n",
    "other/tasks/main.yml": "- debug:\n",
}


class Templar:
    def template(self, value: Any) -> Any:
        if "{{ ship_inner" in str(value):
            raise AnsibleError("'ship_inner' is undefined")
        return value


def real(**variables: Any) -> str:
    """The inputs where Ansible itself fills in the variables."""
    action = receipt.ActionModule.__new__(receipt.ActionModule)
    action._loader = DataLoader()
    action._templar = AnsibleTemplar(loader=action._loader, variables={name: trust_as_template(value) if isinstance(value, str) else value
                                                                       for name, value in variables.items()})
    return action._inputs({"role": "web"}, "web", {}, action._templar.available_variables)


@pytest.fixture
def roles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")

    def directory(role: str) -> Path | None:
        path = tmp_path / role.removeprefix("phasegate.aistack.")
        return path if path.is_dir() else None

    monkeypatch.setattr(role_files, "role_directory", directory)
    return tmp_path


def inputs(**variables: Any) -> str:
    action = receipt.ActionModule.__new__(receipt.ActionModule)
    action._templar, action._loader = Templar(), DataLoader()
    return action._inputs({"role": "web"}, "web", {}, variables)


def test_the_roles_that_a_role_includes(roles: Path) -> None:
    assert role_files.included(FILES["web/tasks/main.yml"]) == [("phasegate.aistack.ship", "unit"), ("phasegate.aistack.ship", "go")]
    assert role_files.included(FILES["ship/tasks/go.yml"]) == [("move", "")]
    assert role_files.closure("web")[2] == {"web", "ship", "move", "base"}


@pytest.mark.parametrize("variable", ["web_port", "ship_patience", "move_budget", "base_packages", "aistack_ports", "aistack_steps"])
def test_a_variable_of_an_included_role_makes_it_stale(roles: Path, variable: str) -> None:
    assert inputs() != inputs(**{variable: 1}) != inputs(**{variable: 2})


def test_a_variable_that_is_known_only_inside_the_role_counts_as_it_is_written(roles: Path) -> None:
    assert inputs() != inputs(ship_edge="{{ ship_inner }}") != inputs(ship_edge="{{ ship_inner }}!")


def test_what_a_run_was_allowed_is_no_input(roles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(role_files, "closure", lambda _role: ("", "", {"release"}))
    assert inputs(release_allow_bad=True) == inputs(release_allow_bad=False) == inputs()
    assert inputs(release_edge={}) != inputs()


@pytest.mark.parametrize("form", [dict, str, list, "folder"])
def test_a_file_of_the_controller_counts_by_what_it_holds(roles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Any) -> None:
    path = tmp_path / "renewed.pem"
    given: dict[str, Any] = {"web_tls": {"certificate": str(path)}} if form is dict else {"aistack_ca": str(path)}
    if form is list:
        monkeypatch.setattr(role_files, "closure", lambda _role: ("", "", {"grafana"}))
        given = {"grafana_dashboards": [str(path)]}
    if form == "folder":
        monkeypatch.setattr(role_files, "closure", lambda _role: ("", "", {"superset"}))
        given = {"superset_assets": [str(tmp_path / "assets")]}
        path = tmp_path / "assets/charts/sales.yaml"
    absent = inputs(**given)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("one")
    one = inputs(**given)
    assert one not in (absent, inputs())
    assert one == inputs(**given)
    path.write_text("two")
    assert inputs(**given) != one


def test_tasks_of_releases_are_no_input_of_a_component(roles: Path) -> None:
    with (roles / "web/templates/web.conf.j2").open("a", encoding="utf-8") as file:
        file.write("{{ aistack_applications }}")
    shop = {"repo": "/r.git", "release": "v1"}
    assert inputs(aistack_applications={"shop": shop}) == inputs(aistack_applications={"shop": {**shop, "release_tasks": {"x": []}}})
    assert inputs(aistack_applications={"shop": shop}) != inputs(aistack_applications={"shop": {**shop, "release": "v2"}})


@pytest.mark.parametrize("variable", ["other_port", "shipping", "aistack_other", "aistack_components", "aistack_run"])
def test_a_variable_of_nothing_that_is_included_does_not(roles: Path, variable: str) -> None:
    assert inputs() == inputs(**{variable: 1})


@pytest.mark.parametrize(
    "name",
    [*("web/tasks/main.yml", "web/templates/web.conf.j2", "ship/tasks/unit.yml", "ship/tasks/steps.yml", "ship/templates/unit.j2"),
     *("ship/defaults/main.yml", "move/tasks/plan.yml", "base/tasks/main.yml")],
)
def test_a_file_of_an_included_role_makes_it_stale(roles: Path, name: str) -> None:
    before = inputs()
    with (roles / name).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert inputs() != before


@pytest.mark.parametrize("name", ["ship/tasks/main.yml", "ship/files/tools.txt", "other/tasks/main.yml"])
def test_a_file_of_nothing_that_is_included_does_not(roles: Path, name: str) -> None:
    before = inputs()
    (roles / name).write_text("changed\n", encoding="utf-8")
    assert inputs() == before


def test_the_roles_of_this_collection() -> None:
    """Read as they are: an include in a form that is not recognised would be missing here."""
    found = {role: role_files.closure(role)[2] for role in ("backend", "beat", "edge", "minio", "postgres", "toolchain")}
    released = {"release", "migrate"}
    assert found["backend"] == {"backend", *released}
    assert found["beat"] == {"beat", *released}
    assert found["edge"] == {"edge", "toolchain"}
    assert found["minio"] == {"minio", "toolchain", "go_build"}
    assert found["postgres"] == {"postgres", "toolchain"}
    assert found["toolchain"] == {"toolchain", "release"}
    assert "aistack_components" not in role_files.closure("postgres")[1]


def test_defaults_that_a_role_left_in_sight_are_no_input(roles: Path) -> None:
    """Whether a role that is included ran earlier in the same play makes no difference; what the inventory says does."""
    alone = inputs()
    assert inputs(ship_patience=30, ship_components="{{ aistack_components }}") == alone
    assert inputs(ship_patience=31) != alone


def test_what_a_run_has_said_is_no_input() -> None:
    """A result that a role registers under a public name differs from run to run."""
    assert {"migrate_result", "migrate_plan"} <= role_files.made(role_files.closure("backend")[0])


@pytest.mark.parametrize("form", ["  ansible.builtin.set_fact:\n    ship_made: 1\n    ship_more: 2\n  when: x\n",
                                  "  set_fact: {ship_made: 1, ship_more: 2}\n"])
def test_what_a_role_has_worked_out_is_no_input(roles: Path, form: str) -> None:
    """A fact of the run before is not there in the next one."""
    (roles / "ship/tasks/steps.yml").write_text(f"- name: Remember\n{form}", encoding="utf-8")
    assert inputs(ship_made="here", ship_more=2) == inputs()
    assert inputs(ship_moved="there") != inputs()


def test_a_variable_that_asks_for_facts_counts_as_it_is_written(roles: Path) -> None:
    """A role that was run before has gathered them; where nothing was to be done, nobody has."""
    variables = {"ship_patience": "{{ patience }}", "patience": "{{ ansible_facts.processor_vcpus * 10 }}",
                 "ship_cores": "{{ ansible_processor }}"}
    gathered = {"ansible_facts": {"processor_vcpus": 4, "processor": "x", "aistack_run": "1"}, "ansible_processor": "x"}
    own = {"ansible_facts": {"aistack_run": "2"}}
    assert real(**variables, **gathered) == real(**variables, **own)
    assert real(**{**variables, "ship_patience": "{{ patience + 1 }}"}, **own) != real(**variables, **own)
    assert real(**variables, ship_run="{{ ansible_facts.aistack_name | default('') }}", **own) != real(**variables, **own)


def test_a_set_has_no_order(roles: Path) -> None:
    words = [f"word{number}" for number in range(50)]
    assert inputs(ship_words={*words}) == inputs(ship_words=sorted(words))


def test_how_another_component_is_proven_and_built_changes_nothing(roles: Path) -> None:
    """web's own gate is in its description; of api it may know port, hosts and the like."""
    (roles / "web/templates/web.conf.j2").write_text("{{ aistack_components | frontends }}\n", encoding="utf-8")
    before = {"api": {"role": "backend", "port": "api", "gate": [{"name": "health", "http": "/old"}], "tests": [["pytest"]]}}
    after = {"api": {**before["api"], "gate": [{"name": "health", "http": "/new"}], "tests": []}}
    moved = {"api": {**before["api"], "port": "other"}}
    assert inputs(aistack_components=before) == inputs(aistack_components=after)
    assert inputs(aistack_components=before) != inputs(aistack_components=moved)


def test_the_roles_of_this_collection_are_read_before_the_workers_are_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each host of a task has a process of its own: what that one reads, it reads again."""
    def again(role: str) -> None:
        raise AssertionError(f"{role} is read again")

    before = role_files.read("edge")
    monkeypatch.setattr(role_files, "read", again)
    assert role_files.role_files("edge") == before
    with pytest.raises(AssertionError, match=r"own\.own\.thing is read again"):
        role_files.role_files("own.own.thing")


def test_a_host_that_joins_makes_stale_what_is_made_of_hosts(roles: Path) -> None:
    """A default that speaks of groups or of other hosts says something else then, though nothing that is written has changed."""
    (roles / "ship/defaults/main.yml").write_text(
        "ship_patience: 30\nship_hosts: \"{{ groups['web'] | map('extract', hostvars, 'place') | join(' ') }}\"\n", encoding="utf-8"
    )
    one = {"groups": {"web": ["a"]}, "hostvars": {"a": {"place": "10.0.0.1"}, "b": {"place": "10.0.0.2"}}}
    alone = real(**one)
    assert real(**one) == alone
    assert real(**{**one, "groups": {"web": ["a", "b"]}}) != alone
    assert real(**{**one, "hostvars": {"a": {"place": "10.0.0.9"}}}) != alone
    assert real(**{**one, "groups": {"web": ["a"], "other": ["b"]}}) == alone, "another group is nothing to it"
    given = {"ship_hosts": "x"}
    assert real(**one, **given) == real(**{**one, "groups": {"web": ["a", "b"]}}, **given), "what the inventory says instead counts"


def test_an_edge_is_stale_where_a_host_of_a_pool_joins_or_moves() -> None:
    """The role as it is: at the edges that lead to the host, and at the host's own, which trusts those that lead to it."""
    components = {
        "edge": {"role": "edge", "hosts": "all"},
        "web": {"role": "backend", "hosts": "web", "application": "shop", "port": "web", "pool": {"edge": "front", "port": "public"}},
    }

    def converged(host: str, web: list[str], front: str = "10.0.0.5") -> str:
        action = receipt.ActionModule.__new__(receipt.ActionModule)
        action._loader = DataLoader()
        addresses = {"w1": "10.0.0.1", "w2": "10.0.0.2", "f": front}
        variables = {
            "aistack_components": components, "aistack_ports": {"web": 1, "web_blue": 2, "web_green": 3, "public": 4},
            "groups": {"all": ["w1", "w2", "f"], "web": web, "front": ["f"]}, "inventory_hostname": host,
            "hostvars": {name: {"aistack_address": address} for name, address in addresses.items()},
        }
        engine = NativeEnvironment()
        engine.filters["phasegate.aistack.edge_frontends"] = stack.edge_frontends
        engine.filters["phasegate.aistack.metric_readers"] = monitoring.metric_readers
        action._templar = SimpleNamespace(
            template=lambda value: engine.from_string(value).render(variables) if isinstance(value, str) else value
        )
        return action._inputs(components["edge"], "edge", {}, variables)

    assert converged("f", ["w1"]) == converged("f", ["w1"]) != converged("f", ["w1", "w2"])
    assert converged("w1", ["w1"]) == converged("w1", ["w1", "w2"]), "its own frontend is as it was"
    assert converged("w1", ["w1"]) != converged("w1", ["w1"], "10.0.0.6")


@pytest.mark.parametrize("change", [{"web": ["w1", "w2"]}, {"w1": "10.0.0.9"}])
def test_prometheus_is_stale_where_a_host_joins_or_moves(change: dict[str, Any]) -> None:
    """The role as it is: what it reads follows from groups and addresses of other hosts."""

    def converged(**more: Any) -> str:
        components = {
            "edge": {"role": "edge", "hosts": "web", "metrics": {"port": "edge_metrics"}},
            "prometheus": {"role": "prometheus", "hosts": "one"},
        }
        action = receipt.ActionModule.__new__(receipt.ActionModule)
        action._loader = DataLoader()
        variables = {
            "aistack_components": components, "aistack_ports": {"edge_metrics": 8405}, "aistack_name": "shop", "inventory_hostname": "p",
            "groups": {"one": ["p"], "web": more.get("web", ["w1"])},
            "hostvars": {name: {"aistack_address": more.get(name, f"10.0.0.{number}")} for number, name in enumerate(("p", "w1", "w2"))},
        }
        engine = NativeEnvironment()
        for name, call in monitoring.FilterModule().filters().items():
            engine.filters[f"phasegate.aistack.{name}"] = call
        action._templar = SimpleNamespace(
            template=lambda value: engine.from_string(value).render(variables) if isinstance(value, str) else value
        )
        return action._inputs(components["prometheus"], "prometheus", {}, variables)

    assert converged() == converged() != converged(**change)


@pytest.mark.parametrize("change", [{"one": ["q"]}, {"p": "10.0.0.9"}])
def test_who_sends_lines_is_stale_where_the_store_moves(change: dict[str, Any]) -> None:
    """The role as it is: where the store is follows from the groups and the addresses of other hosts."""

    def converged(**more: Any) -> str:
        components = {"logs": {"role": "victorialogs", "hosts": "one"}, "sender": {"role": "log_shipper", "hosts": "all"}}
        action = receipt.ActionModule.__new__(receipt.ActionModule)
        action._loader = DataLoader()
        variables = {
            "aistack_components": components, "aistack_ports": {}, "aistack_name": "shop", "inventory_hostname": "w",
            "groups": {"one": more.get("one", ["p"]), "all": ["p", "q", "w"]},
            "hostvars": {name: {"aistack_address": more.get(name, f"10.0.0.{number}")} for number, name in enumerate(("p", "q", "w"))},
        }
        engine = NativeEnvironment()
        for name, call in logs.FilterModule().filters().items():
            engine.filters[f"phasegate.aistack.{name}"] = call
        action._templar = SimpleNamespace(
            template=lambda value: engine.from_string(value).render(variables) if isinstance(value, str) else value
        )
        return action._inputs(components["sender"], "sender", {}, variables)

    assert converged() == converged() != converged(**change)
