# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What somebody gets wrong in a first inventory is refused by every verb, all of it at once, in words and before any node is asked."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
HOSTS = """
all:
  children:
    aistack:
      hosts:
        node-1: {ansible_host: 192.0.2.10%s}
"""
ADDRESS = ", aistack_address: 192.0.2.10"
GOOD = """
aistack_name: shop
aistack_root: /opt/aistack
aistack_state: /var/lib/aistack
aistack_ports: {api: 8080, api_blue: 18080, api_green: 18081}
aistack_applications: {shop: {repo: "https://git.example.com/shop.git", release: v1.0.0}}
aistack_env: {api: {values: {MODE: quick}}}
aistack_phases: {phase0: {components: [toolchain, edge, postgres]}, phase1: {requires: [phase0], components: [api]}}
aistack_components:
  toolchain: {role: toolchain, hosts: aistack}
  edge: {role: edge, hosts: aistack}
  postgres: {role: postgres, hosts: aistack}
  api:
    role: backend
    hosts: aistack
    application: shop
    lock: requirements.lock
    port: api
    options: {app: "main:app"}
    gate: [{name: health, http: "http://127.0.0.1:${port}/health", status: [200, 204], json: true}]
"""
WRONG = {
    "aistack_enviroment": {"HTTPS_PROXY": "http://proxy:3128"},
    "aistack_backups": {},
    "postgres_user": "shop",
    "backend_workers": 3,
    "aistack_phase_names": [],
}
COMPONENT = {
    "role": "backend", "hosts": "aistack", "application": "shop", "lock": "requirements.lock", "port": "api", "tests": "pytest",
    "exposed": "yes please", "runtime": "kubernetes", "options": {"ap": "main:app", "graceful_timeout": "long"},
    "gate": [{"name": "health", "http": "http://127.0.0.1:${port}/health", "jsn": {"status": "ok"}}],
}
SAID = """
aistack_components.api.tests: must be a list of commands, each a list such as [pytest, -q], is the text 'pytest'
aistack_components.api: unknown key 'exposed'
aistack_components.api.runtime: 'kubernetes' is not one of systemd
aistack_components.api.options: role backend knows no option 'ap'; did you mean 'app'?
aistack_components.api.options.graceful_timeout: must be a whole number, is the text 'long'
aistack_components.api.gate[0]: unknown key 'jsn' (did you mean json?)
aistack_enviroment: nothing reads it; did you mean 'aistack_environment'?
aistack_backups: nothing reads it; did you mean 'aistack_backup'?
aistack_phase_names: nothing reads it
backend_workers: nothing reads it, role backend has no such variable
postgres_user: nothing reads it, role postgres has no such variable; did you mean 'postgres_users'?
Variables of your own are named in aistack_extra_vars
"""
NOISE = ("Finalization of task args", "is undefined", "AnsibleTagged", "object of type")


class Inventory:
    """A stack of one node that nobody can reach; what is wrong with it is known without."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "inventory"
        self.stack = yaml.safe_load(GOOD)
        self.address = ADDRESS

    def play(self, playbook: str, *arguments: str) -> tuple[int, str]:
        """Exit status and output of a verb, or of a file."""
        (self.folder / "group_vars").mkdir(parents=True, exist_ok=True)
        (self.folder / "hosts.yml").write_text(HOSTS % self.address, encoding="utf-8")
        (self.folder / "group_vars" / "all.yml").write_text(yaml.safe_dump(self.stack), encoding="utf-8")
        done = subprocess.run(
            [str(ROOT / ".venv" / "bin" / "ansible-playbook"), "-i", str(self.folder), playbook, *arguments],
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
        )
        return done.returncode, done.stdout + done.stderr

    def check(self) -> tuple[int, str]:
        """As :meth:`play`, of the check alone."""
        path = self.folder.parent / "check.yml"
        task = {"phasegate.aistack.stack": {"environments": True}, "run_once": True}
        path.write_text(yaml.safe_dump([{"hosts": "aistack", "gather_facts": False, "tasks": [task]}]), encoding="utf-8")
        return self.play(str(path))


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    return Inventory(tmp_path)


def test_the_shortest_stack_is_good(inventory: Inventory) -> None:
    status, output = inventory.check()
    assert status == 0, output


def test_a_good_one_is_told_by_a_word_without_any_node(inventory: Inventory) -> None:
    status, output = inventory.play("phasegate.aistack.check")
    assert status == 0, output
    assert "The description of the stack 'shop' is good: 4 components, 1 host, 2 phases. No node was asked." in output
    inventory.stack["aistack_components"]["api"]["port"] = "apii"
    status, output = inventory.play("phasegate.aistack.check")
    assert status == 2, output
    assert "aistack_ports has no 'apii'" in output
    assert "is good" not in output


def test_all_mistakes_are_said_at_once(inventory: Inventory) -> None:
    inventory.stack.update(WRONG)
    inventory.stack["aistack_components"]["api"] = COMPONENT
    status, output = inventory.play("phasegate.aistack.site")
    assert status != 0
    assert [line for line in SAID.strip().splitlines() if line not in output] == []
    assert "(11 problems). Nothing was touched" in output
    assert [noise for noise in NOISE if noise in output] == []


def test_variables_of_ones_own_are_named(inventory: Inventory) -> None:
    inventory.stack.update(WRONG, aistack_extra_vars=[*WRONG])
    status, output = inventory.check()
    assert status == 0, output


def test_variables_that_are_not_there_are_named_with_an_example(inventory: Inventory) -> None:
    missing = ["aistack_name", "aistack_root", "aistack_state", "aistack_phases"]
    for name in missing:
        del inventory.stack[name]
    status, output = inventory.check()
    assert status != 0
    assert [name for name in missing if f"{name}: is missing: " not in output or f"add {name}: " not in output] == []
    assert "(4 problems)" in output
    assert [noise for noise in NOISE if noise in output] == []


def test_components_under_another_name_are_one_mistake(inventory: Inventory) -> None:
    inventory.stack["aistack_component"] = inventory.stack.pop("aistack_components")
    status, output = inventory.check()
    assert status != 0
    assert "aistack_component: is set by playbooks; did you mean 'aistack_components'?" in output
    assert "unknown component" not in output


def test_nothing_described_is_one_mistake(inventory: Inventory) -> None:
    inventory.stack["aistack_components"] = {}
    status, output = inventory.check()
    assert status != 0
    assert "aistack_components: is empty: what runs where, behind which gate; write such as {api: " in output
    assert "(1 problem)" in output


@pytest.mark.parametrize(
    ("release", "said"),
    [
        ("latest", "release: 'latest' can mean something else tomorrow; name a tag, such as v1.2.3"),
        ("../x", "release: '../x' can be the name of no release; expected a letter or a digit"),
    ],
)
def test_what_was_asked_for_is_no_fault_of_the_description(inventory: Inventory, release: str, said: str) -> None:
    status, output = inventory.play("phasegate.aistack.deploy", "-e", f"release={release}")
    assert status == 2, output
    assert f"deploy.yml cannot be run like this. Nothing was touched.\n      - {said}" in output
    assert [word for word in ("cannot be used", "aistack_extra_vars") if word in output] == []


def test_what_yaml_makes_of_a_value_without_quotes(inventory: Inventory) -> None:
    values = {"COUNTRY": False, "VERSION": 1.1, "START": 45000, "CODE": 42798, "DATABASE_URL": "postgresql://shop:@127.0.0.1/shop"}
    inventory.stack["aistack_env"] = {"api": {"values": values}}
    status, output = inventory.check()
    assert status != 0
    assert [name for name in ("COUNTRY", "VERSION", "START", "CODE") if f"aistack_env.api: {name}: is " not in output] == []
    assert output.count("quote it") == 4
    assert "aistack_env.api: DATABASE_URL: carries an empty password" in output


@pytest.mark.parametrize(
    "words", ["site", "deploy -e release=v1.0.0", "plan", "healthcheck", "verify", "restore -e set=x", "rollback", "rotate -e secret=x"]
)
def test_no_verb_speaks_of_templates(inventory: Inventory, words: str) -> None:
    for name in ("aistack_root", "aistack_applications", "aistack_state", "aistack_env"):
        del inventory.stack[name]
    inventory.address = ""
    verb, *arguments = words.split()
    status, output = inventory.play(f"phasegate.aistack.{verb}", *arguments)
    assert status != 0
    assert "aistack_root: is missing: where releases and tools are on nodes; add aistack_root: /opt/aistack" in output
    if verb not in ("healthcheck", "verify"):
        assert 'add aistack_address: "{{ ansible_host }}" (on node-1)' in output
    assert [noise for noise in NOISE if noise in output] == []


def test_a_node_that_no_run_manages_is_refused_in_one_sentence(inventory: Inventory) -> None:
    inventory.stack["aistack_components"]["postgres"]["runtime"] = "launchd"
    inventory.stack["aistack_components"]["edge"]["runtime"] = "launchd"
    assert inventory.check()[0] == 0
    status, output = inventory.play("phasegate.aistack.site")
    assert status != 0
    assert "edge, postgres: runtime launchd can be described, but no run manages such nodes yet; systemd and compose can be run" in output
