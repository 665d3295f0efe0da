# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""site.yml, run for real on nodes that are this machine, goes by the phases of the description, whatever they are called."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal

ROOT = Path(__file__).resolve().parents[3]
MAKE = """
- name: "Make {{ aistack_component_name }}"
  ansible.builtin.copy: {content: made, dest: "{{ aistack_root }}/{{ aistack_component_name }}", mode: "0644"}
"""


class Site:
    """Two nodes, and a component in each of three phases, which makes a file and is proven by it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        role = folder / "collections" / "ansible_collections" / "own" / "own" / "roles" / "thing" / "tasks"
        role.mkdir(parents=True)
        (role / "main.yml").write_text(MAKE, encoding="utf-8")
        for node in ("a", "b"):
            (folder / node).mkdir()
        self.describe()

    def describe(self, source: dict[str, Any] | None = None, **gates: str) -> None:
        """Write the inventory.

        ``source`` is what the component of the last phase is made of; ``gates`` are files that are asked for in the place of the one that
        a component makes.
        """
        components: dict[str, Any] = {
            name: {
                "role": "own.own.thing", "hosts": "aistack", "gate_settings": {"deadline": 0},
                "gate": [{"name": "there", "command": ["test", "-e", f"{self.folder}/a/{gates.get(name, name)}"]}],
            } for name in ("stone", "bread", "roof")
        }
        components["roof"].update(source or {})
        places = {
            name: {"ansible_connection": "local", "aistack_root": f"{self.folder}/{name}", "aistack_state": f"{self.folder}/{name}/state"}
            for name in ("a", "b")
        }
        variables = {
            "aistack_name": "shop", "aistack_components": components, "ansible_python_interpreter": sys.executable,
            "aistack_applications": {"shop": {"repo": f"{self.folder}/repo", "release": "v1.0.1"}} if source else {},
            "aistack_phases": {
                "ground": {"components": ["stone"]},
                "service": {"components": ["bread"], "requires": ["ground"]},
                "top": {"components": ["roof"]},
            },
        }
        inventory = {"all": {"vars": variables, "children": {"aistack": {"hosts": places}}}}
        (self.folder / "hosts.json").write_text(json.dumps(inventory), encoding="utf-8")

    def tag(self, files: dict[str, str], name: str) -> None:
        """Commit files to the repository of the application, and tag them."""
        for path, text in files.items():
            (self.folder / "repo" / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / "repo" / path).write_text(text, encoding="utf-8")
        who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "x"], ["tag", name]):
            subprocess.run(["git", *who, *words], cwd=self.folder / "repo", check=True, capture_output=True)

    def mark_bad(self) -> tuple[Path, Journal]:
        """A release for the last phase, which a node's journal calls bad."""
        self.describe({"application": "shop", "migrations": {"config": "alembic.ini"}})
        self.tag({"main.py": ""}, "v1.0.1")
        state = self.folder / "a" / "state"
        journal = Journal.of(state)
        mark = {"op": "mark", "component": "roof", "release": "v1.0.1", "run": "r0", "actor": "ann", "outcome": "ok"}
        journal.append({**mark, "detail": {"state": "bad", "reason": "health: 500"}})
        return state, journal

    def play(self, *words: str, playbook: str = "phasegate.aistack.site", callback: str = "default") -> subprocess.CompletedProcess[str]:
        """Run site.yml."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
        clean.update(
            ANSIBLE_NOCOLOR="1", ANSIBLE_COLLECTIONS_PATH=f"{ROOT / '.collections'}:{self.folder / 'collections'}",
            ANSIBLE_HOME=str(self.folder / "ansible"), ANSIBLE_PIPELINING="1", HOME=str(self.folder),
            ANSIBLE_STDOUT_CALLBACK=callback,
        )
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "hosts.json", playbook, *words]
        return subprocess.run(
            command, cwd=self.folder, env=clean, capture_output=True, text=True, timeout=180, check=False, stdin=subprocess.DEVNULL
        )

    def made(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "b").iterdir() if path.is_file())


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_phases_run_whatever_they_are_called_and_one_alone_by_its_tag(site: Site) -> None:
    done = site.play("--skip-tags", "top")
    assert done.returncode == 0, done.stdout + done.stderr
    assert site.made() == ["bread", "stone"]
    assert done.stdout.index("What answers now: ground]") < done.stdout.index("What answers now: ground, service]")
    alone = site.play("--tags", "service")
    assert alone.returncode == 0, alone.stdout
    assert "What answers now: ground, service]" in alone.stdout, "what it requires is proven again"
    assert "What answers now: ground]" not in alone.stdout, "a phase that was not asked for does not run"
    assert alone.stdout.count("changed=0") == 2


def test_a_phase_that_fails_ends_the_run(site: Site) -> None:
    site.describe(bread="crumbs")
    done = site.play()
    assert done.returncode == 2, done.stdout
    assert site.made() == ["bread", "stone"], "the phase behind it was not begun, although it does not require it"
    assert done.stdout.count("failed=1") == 2
    journal = [json.loads(line) for line in (site.folder / "b" / "state" / "journal.jsonl").read_text().splitlines()]
    phases = [(record["component"], record["outcome"]) for record in journal if record["op"] == "phase"]
    assert phases == [("ground", "ok"), ("service", "failed")]
    assert not (site.folder / "b" / "state" / "lock.json").exists(), "the lock was given back"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tags", "servce"], "--tags servce: there is no phase servce (did you mean service?)"),
        (["--skip-tags", "all"], "--skip-tags: nothing is left to be done"),
    ],
    ids=["no such phase", "none left"],
)
def test_nothing_done_because_nothing_matched_is_no_success(site: Site, words: list[str], said: str) -> None:
    done = site.play(*words)
    assert done.returncode == 2, done.stdout
    assert said in done.stdout
    assert "The phases of this stack, in order: ground, service, top." in done.stdout
    assert site.made() == []


def test_other_verbs_have_no_tags(site: Site) -> None:
    done = site.play("--tags", "ground", playbook="phasegate.aistack.healthcheck")
    assert done.returncode == 2, done.stdout
    assert "Refused: healthcheck.yml would do nothing under --tags ground. Nothing was touched." in done.stdout


def test_in_a_playbook_of_ones_own_tags_may_be_meant_for_other_plays(site: Site) -> None:
    (site.folder / "own.yml").write_text("""
- import_playbook: phasegate.aistack.site
- hosts: a
  gather_facts: false
  tags: [mine]
  tasks: [{ansible.builtin.copy: {content: mine, dest: "{{ aistack_root }}/mine", mode: "0644"}}]
- import_playbook: phasegate.aistack.healthcheck
""", encoding="utf-8")
    done = site.play("--tags", "mine", playbook="own.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.name for path in (site.folder / "a").iterdir()) == ["mine"]
    assert "Refused" not in done.stdout


def test_check_mode_on_bare_nodes_has_no_finding(site: Site) -> None:
    bare = site.play("--check", callback="phasegate.aistack.phases")
    assert bare.returncode == 0, bare.stdout + bare.stderr
    rows = [line.split()[0] for line in bare.stdout.splitlines() if "gate" in line or "What answers now" in line]
    assert set(rows) == {"skipped"}, bare.stdout
    assert "What answers now: ground, service  2 probes not asked: nothing of it is there yet" in bare.stdout
    assert site.play("--tags", "ground").returncode == 0
    (site.folder / "a" / "stone").unlink()
    found = site.play("--check", callback="phasegate.aistack.phases")
    assert "  fail     a            What answers now: ground" in found.stdout, "of what was converged every gate is asked"
    assert "1 probe not asked: nothing of it is there yet" in found.stdout


def test_what_the_repository_does_not_give_is_said_before_the_first_phase(site: Site) -> None:
    site.describe({"application": "shop", "path": "api", "lock": "requirements.lock"})
    site.tag({"api/main.py": "", "api/uv.lock": ""}, "v1.0.0")
    typing_error = site.play("--check")
    assert typing_error.returncode == 2, typing_error.stdout
    assert "There is no tag 'v1.0.1'" in typing_error.stdout
    site.tag({"api/main.py": "1"}, "v1.0.1")
    no_lock = site.play()
    assert no_lock.returncode == 2, no_lock.stdout
    assert "The release v1.0.1 of roof has no lock file requirements.lock in api" in no_lock.stdout
    assert "uv export --frozen" in no_lock.stdout
    assert site.made() == [], "nothing of the phases before it was begun"
    assert not (site.folder / "b" / "state").exists(), "nor was the lock taken"


def test_a_release_that_is_named_is_looked_for_before_the_lock(site: Site) -> None:
    site.describe({"application": "shop", "path": "api", "lock": "requirements.lock", "migrations": {"config": "alembic.ini"}})
    site.tag({"api/main.py": "", "api/uv.lock": ""}, "v1.0.0")
    for playbook, release, said, *words in (
        ("deploy", "v1.0.0", "has no lock file requirements.lock in api", "--check"),
        ("migrate", "v1.0.9", "There is no tag 'v1.0.9'"),
    ):
        done = site.play("-e", f"release={release}", *words, playbook=f"phasegate.aistack.{playbook}")
        assert done.returncode == 2, done.stdout
        assert said in done.stdout
    assert not (site.folder / "b" / "state").exists(), "the lock was not taken"


@pytest.mark.parametrize(
    ("playbook", "words"),
    [("site", ["--check"]), ("site", ["--tags", "top"]), ("phase", ["-e", "aistack_phase=top"]), ("migrate", [])],
    ids=["check", "one tag", "phase", "migrate"],
)
def test_a_release_of_the_inventory_that_is_marked_bad_is_refused_before_the_lock(site: Site, playbook: str, words: list[str]) -> None:
    state, journal = site.mark_bad()
    before = sorted(state.iterdir()), journal.path.read_bytes()
    done = site.play(*words, playbook=f"phasegate.aistack.{playbook}")
    assert done.returncode == 2, done.stdout
    assert "Refused. Nothing was touched." in done.stdout
    assert "The release v1.0.1 of roof is marked bad on this node: health: 500." in done.stdout
    assert "ask for it by name with -e allow_bad=true" in done.stdout
    assert site.made() == [], "nothing of the phases before it was begun"
    assert (sorted(state.iterdir()), journal.path.read_bytes()) == before, "nor was the lock taken"


def test_whoever_says_so_takes_a_release_that_is_marked_bad(site: Site) -> None:
    site.mark_bad()
    done = site.play("--tags", "top", "-e", "allow_bad=true")
    assert done.returncode == 0, done.stdout
    assert site.made() == ["roof"]


def test_a_playbook_of_ones_own_may_play_a_verb_twice(site: Site) -> None:
    """The check of the second play looks up what the first has found, and has no doubts of its own."""
    (site.folder / "own.yml").write_text("".join(
        f"- import_playbook: phasegate.aistack.phase\n  vars: {{aistack_phase: {phase}}}\n" for phase in ("ground", "service")
    ), encoding="utf-8")
    done = site.play(playbook="own.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert site.made() == ["bread", "stone"]
