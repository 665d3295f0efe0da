# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a person reads of each verb, and its exit status, whichever callback is in use: the playbooks themselves, with a stack on this
machine that is nothing but probes.
"""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
DEFAULT, OWN = "ansible.builtin.default", "phasegate.aistack.phases"
SMALL = 1500
"""Characters that a result may have where it is printed."""

PLAN: dict[str, Any] = {
    "candidates": [{"node": "node", "component": "api", "present": "v2", "tags": ["v2", "v1"]}],
    "allowed": True, "refusals": [], "warnings": [], "unverified": [], "from": "v2", "to": "v1", "level": "app", "descriptions": {},
    "steps": [{"do": "switch", "component": "api", "detail": {
        "release": "v1", "config": "c1", "from": {"release": "v2", "config": "c2"}, "expected_s": 1.0,
        "environment": {"added": [], "removed": [], "changed": ["LOG_LEVEL"]}}}],
}
WENT: dict[str, Any] = {
    "outcome": "ok", "changed": True, "from": "v2", "to": "v1",
    "components": [{"component": "api", "outcome": "ok", "seconds": 0.4, "message": "api: v1 is live in blue"}],
}
LIVE = {"applications": {"shop": {"components": [{"component": "api", "live": {"release": "v1", "slot": "blue", "config": "c1"}}]}}}


def probes(**exits: int) -> list[dict[str, Any]]:
    """Probes that end with a status each."""
    return [{"name": name, "command": ["sh", "-c", f"exit {status}"]} for name, status in exits.items()]


@dataclass
class Shop:
    """A stack in a folder."""

    folder: Path

    def variables(self) -> dict[str, Any]:
        """A description that passes: one component that is no release, and one that never was deployed."""
        return {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "aistack_name": "shop",
            "aistack_root": f"{self.folder}/root",
            "aistack_state": f"{self.folder}/state",
            "aistack_address": "127.0.0.1",
            "aistack_applications": {"shop": {"repo": f"{self.folder}/none", "release": "v1.1.0"}},
            "aistack_ports": {"api": 18490, "api_blue": 18491, "api_green": 18492},
            "aistack_components": {
                "files": {"role": "toolchain", "hosts": "aistack", "gate": probes(one=0, two=0)},
                "api": {"role": "backend", "hosts": "aistack", "application": "shop", "options": {"app": "main:app"}},
            },
            "aistack_phases": {"phase0": {"components": ["files"]}, "phase1": {"components": ["api"], "requires": ["phase0"]}},
        }

    def play(self, verb: str, *arguments: str, callback: str = DEFAULT, group: str = "aistack", **changed: Any) -> tuple[int, str]:
        """Exit status and everything that was printed."""
        inventory = {"all": {"vars": {**self.variables(), **changed}, "children": {group: {"hosts": {"node": None}}}}}
        (self.folder / "inventory.yml").write_text(json.dumps(inventory), encoding="utf-8")
        argv, clean = self.called(verb, callback, *arguments)
        done = subprocess.run(
            argv, cwd=self.folder, env=clean, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=180, check=False,
            stdin=subprocess.DEVNULL,
        )
        return done.returncode, done.stdout

    def called(self, verb: str, callback: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
        """The command of a verb, and its environment."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
        clean |= {
            "ANSIBLE_NOCOLOR": "1", "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"), "ANSIBLE_HOME": str(self.folder / "home"),
            "ANSIBLE_STDOUT_CALLBACK": callback, "PATH": f"{self.folder / 'bin'}:{clean['PATH']}",
        }
        return [str(ROOT / ".venv/bin/ansible-playbook"), "-i", "inventory.yml", f"phasegate.aistack.{verb}", *arguments], clean

    def typed(self, verb: str, question: str, answer: str) -> tuple[int, str]:
        """The same at a terminal, where *answer* is typed when *question* was asked."""
        self.play(verb, "--syntax-check")  # writes the inventory
        argv, clean = self.called(verb, DEFAULT)
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.folder)
            os.execve(argv[0], argv, clean)
        text, silent = "", 0
        try:
            while silent < 60:
                if select.select([terminal], [], [], 1)[0]:
                    text, silent = text + os.read(terminal, 4096).decode("utf-8", "replace"), 0
                else:
                    silent += 1
                    if question in text:  # what is typed before it listens is thrown away, so only now, and perhaps again
                        os.write(terminal, f"{answer}\r".encode())
        except OSError:  # its other end is closed: the command has ended
            pass
        else:
            os.kill(pid, signal.SIGKILL)
        finally:
            os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text.replace("\r\n", "\n")

    def command(self, **answers: dict[str, Any]) -> None:
        """A command aistack on the node that answers so to each of its verbs."""
        (self.folder / "bin").mkdir(exist_ok=True)
        cases = "".join(f"*{verb}*) echo '{json.dumps(answer)}' ;;\n" for verb, answer in answers.items())
        (self.folder / "bin" / "aistack").write_text(f'#!/bin/sh\ncase "$*" in\n{cases}esac\n', encoding="utf-8")
        (self.folder / "bin" / "aistack").chmod(0o755)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def small(text: str) -> None:
    """No result that was printed is of any size."""
    results = re.findall(r"=> (\{.*)", text)
    assert [len(result) for result in results if len(result) > SMALL] == [], text


def test_health(shop: Shop) -> None:
    """By the group that is named, which may be called otherwise."""
    files = {"files": {"role": "toolchain", "hosts": "machines", "gate": probes(one=0, two=0)}}
    status, text = shop.play("healthcheck", "-e", "aistack_hosts=machines", group="machines", aistack_components=files)
    assert status == 0, text
    assert text.count("the one component that was asked passes") == 1
    assert re.search(r"^files +node +PASS +2/2 ", text, re.MULTILINE), text


@pytest.mark.parametrize("callback", [DEFAULT, OWN])
def test_a_component_that_is_not_well(shop: Shop, callback: str) -> None:
    bad = {**shop.variables()["aistack_components"], "files": {"role": "toolchain", "hosts": "aistack", "gate": probes(one=0, two=3)}}
    status, text = shop.play("healthcheck", "-e", "output=health.json", callback=callback, aistack_components=bad)
    assert status == 2, text
    assert text.count("files on node: two\n  expected  rc = 0\n  got       rc = 3\n") == 1, text
    assert "1 of 1 components fail: files; 1 component has no gate: api. What was expected" in text
    assert json.loads((shop.folder / "health.json").read_text(encoding="utf-8"))[0]["passed"] == 1
    small(text)


def test_a_component_that_does_not_exist(shop: Shop) -> None:
    status, text = shop.play("healthcheck", "-e", "only=file")
    assert status == 2, text
    assert "only: unknown component 'file'; did you mean 'files'?" in text


@pytest.mark.parametrize(
    ("verb", "words", "said", "callback"),
    [
        ("logs", ["component=api"], "The log of api on node cannot be read: there is no command aistack yet, which the first", DEFAULT),
        ("run", ["component=api", "command=ls"], "The command beside api on node did not end well: there is no command aistack yet", OWN),
        ("remove", ["component=web"], "nothing of it is here", OWN),
        ("logs", ["component=apx"], "component: unknown component 'apx'; did you mean 'api'?", OWN),
    ],
)
def test_a_node_that_nothing_was_deployed_on(shop: Shop, verb: str, words: list[str], said: str, callback: str) -> None:
    status, text = shop.play(verb, *(word for pair in words for word in ("-e", pair)), callback=callback)
    assert status == 2, text
    assert said in text
    small(text)


@pytest.mark.parametrize(("verb", "said"), [("drill", "Nothing was drilled: no comp"), ("migrate", "Nothing was migrated: no comp")])
def test_a_stack_without_migrations(shop: Shop, verb: str, said: str) -> None:
    """Nothing was done because nothing matched: no success."""
    status, text = shop.play(verb)
    assert status == 2, text
    assert said in text


def test_verify(shop: Shop) -> None:
    status, text = shop.play("verify", "-e", "output=papers/verified.md")
    assert status == 0, text
    assert "Written on this machine: papers/verified.md" in text
    assert "verified: system 2/2, function not asked, performance not asked, data 1/1" in text


def test_a_plan_that_would_be_refused(shop: Shop) -> None:
    """There is no repository. The page says so, and where it is written to as well; the status says that it is a refusal."""
    status, text = shop.play("plan", "-e", "output=plan.txt")
    assert status == 2, text
    assert text.count("Plan: shop nothing live → v1.1.0 on the stack shop") == 1
    assert "deploy.yml -e release=v1.1.0 would be REFUSED" in text
    assert "deploy.yml -e release=v1.1.0 would be refused. The reason stands on the page above, with what to do." in text
    assert "Finalization of task args" not in text
    assert "Would be refused" in (shop.folder / "plan.txt").read_text(encoding="utf-8")
    assert "Written on this machine: plan.txt" in text
    small(text)


def test_a_page_that_cannot_be_written(shop: Shop) -> None:
    """The page is shown all the same."""
    (shop.folder / "file").touch()
    status, text = shop.play("verify", "-e", "output=file/verified.md")
    assert status == 2, text
    assert "verified: system 2/2" in text
    assert "The page above cannot be written to file/verified.md: " in text
    assert "Name a file that you may write to: -e output=FILE." in text
    small(text)


def test_a_watch_without_triggers(shop: Shop) -> None:
    status, text = shop.play("watch", "-e", "minutes=0")
    assert status == 2, text
    assert "Nothing was watched: aistack_triggers is empty." in text
    assert "not all of them could be judged" not in text


def test_a_description_that_cannot_be_used(shop: Shop) -> None:
    status, text = shop.play("plan", aistack_ports={"api": 1, "api_blue": 2, "api_green": 2})
    assert status == 2, text
    assert "aistack_ports.api_green: 2 is already the port of 'api_blue'" in text
    small(text)
    assert len(text) < SMALL


@pytest.mark.parametrize(("verb", "callback"), [("healthcheck", OWN), ("site", DEFAULT), ("emergency_rollback", DEFAULT)])
def test_a_group_that_is_called_otherwise(shop: Shop, verb: str, callback: str) -> None:
    """A play without hosts would have ended well."""
    status, text = shop.play(verb, group="machines", callback=callback)
    assert status == 2, text
    assert "the inventory has no host in a group 'aistack'" in text
    assert "aistack: {children: {machines: {}}}" in text
    assert "-e aistack_hosts=GROUP" in text


def test_a_backup_where_nobody_said_what_to_save(shop: Shop) -> None:
    status, text = shop.play("backup")
    assert status == 2, text
    for part in ("node: nobody said what this node has to save", "Nothing was saved", "aistack_backup", "`role: backup`"):
        assert part in text, text
    small(text)


def test_a_restore_of_a_set_that_is_not_there(shop: Shop) -> None:
    status, text = shop.play("restore", "-e", "set=20260101T000000Z-daily")
    assert status == 2, text
    assert "No node has a backup set 20260101T000000Z-daily; there are: none. Nothing was restored. backup.yml makes one." in text
    small(text)


ROTATED = {"session": {"kind": "env", "file": "session", "variable": "SESSION_KEY", "previous": "SESSION_KEY_BEFORE"}}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "secret: has to be given: which of aistack_rotations; say -e secret=…"),
        (["-e", "secret=sesion"], "No secret was changed: there is no 'sesion'; did you mean 'session'?"),
        (["-e", "secret=session"], "which holds the secret 'session', is not there. The first run of site.yml makes it"),
    ],
)
def test_a_rotation_that_cannot_begin(shop: Shop, words: list[str], said: str) -> None:
    status, text = shop.play("rotate", *words, aistack_rotations=ROTATED)
    assert status == 2, text
    assert said in text
    small(text)


def test_a_rotation_of_what_nothing_uses(shop: Shop) -> None:
    """The file has the new value, and no word of either is printed."""
    (shop.folder / "session").write_text("old-value-of-the-key-1234567890abcdef\n", encoding="utf-8")
    rotated = {"session": {**ROTATED["session"], "file": str(shop.folder / "session")}}
    status, text = shop.play("rotate", "-e", "secret=session", aistack_rotations=rotated)
    assert status == 0, text
    new = (shop.folder / "session").read_text(encoding="utf-8").strip()
    assert new != "old-value-of-the-key-1234567890abcdef"
    assert "session: nothing to do, the live release has the value of the inventory" in text
    assert (new in text, "old-value" in text) == (False, False), text
    small(text)


def test_a_rotation_whose_server_does_not_answer(shop: Shop) -> None:
    """The reason, what holds now, and neither value."""
    file = shop.folder / "db"
    file.write_text("old-value-of-the-login-1234567890abcdef\n", encoding="utf-8")
    known = shop.variables()
    known["aistack_components"]["db"] = {"role": "postgres", "hosts": "aistack", "gate": []}
    known["aistack_phases"]["phase0"]["components"].append("db")
    known["aistack_ports"]["postgres"] = 18493
    status, text = shop.play(
        "rotate", "-e", "secret=db", **{name: known[name] for name in ("aistack_components", "aistack_phases", "aistack_ports")},
        postgres_port=18493, postgres_users=[{"name": "shop", "password": f"{{{{ lookup('ansible.builtin.file', '{file}') }}}}"}],
        aistack_rotations={"db": {"kind": "postgres", "component": "db", "user": "shop", "file": str(file)}},
    )
    assert status == 2, text
    for part in (
        "The change of db is not finished. Every component keeps a login that its server accepts",
        "because    No connection to database postgres on /run/postgresql:18493",
    ):
        assert part in text, text
    assert "is not a plain file" not in text, "of the file that keeps libpq from reading somebody's passwords"
    assert ("old-value" in text, file.read_text(encoding="utf-8").strip() in text) == (False, False), text
    small(text)


def test_an_emergency_says_what_is_live_and_what_comes_next(shop: Shop) -> None:
    shop.command(plan=PLAN, rollback=WENT, status=LIVE)
    status, text = shop.play("emergency_rollback")
    assert status == 0, text
    assert text.count("everything is back at v1 (from v2)") == 1
    assert re.search(r"^  api +node +v1 +blue +c1$", text, re.MULTILINE), text
    assert "environment, names only: api on node: changed LOG_LEVEL" in text
    assert "the next deploy.yml brings the inventory's" in text


def test_a_rollback_without_consent_shows_its_plan(shop: Shop) -> None:
    """The page above, where it was written, and what to type."""
    shop.command(plan=PLAN)
    status, text = shop.play("rollback", "-e", "confirm=no", "-e", "documents=papers")
    assert status == 2, text
    assert "level app: v2 → v1" in text
    said = "expected the target's name as consent, got no. Nothing that serves was touched. The plan is kept in papers/rollback-"
    assert said in text, text
    assert "Next: ansible-playbook -i inventory.yml phasegate.aistack.rollback -e documents=papers -e confirm=v1" in text
    small(text)


def test_a_rollback_without_a_terminal_asks_nobody(shop: Shop) -> None:
    shop.command(plan=PLAN)
    status, text = shop.play("rollback", "-e", "reason='looks slow' aistack_extra_vars=token token=s3cr3t")
    assert status == 2, text
    assert "interactive" not in text, "Ansible's own warning"
    assert "To go back type" not in text
    assert "got nothing. Nothing that serves was touched. The plan is kept in .ansible/rollbacks/rollback-" in text
    words = "phasegate.aistack.rollback -e \"reason='looks slow'\" -e aistack_extra_vars=token -e token=… -e confirm=v1"
    assert words in text, text
    small(text)


def test_a_rollback_at_a_terminal_asks(shop: Shop) -> None:
    shop.command(plan=PLAN)
    status, text = shop.typed("rollback", "To go back type v1: ", "v2")
    assert status == 2, text
    assert "expected the target's name as consent, got v2. Nothing that serves was touched." in text


def test_a_rollback_that_is_refused_is_a_text(shop: Shop) -> None:
    refusal = {"code": "not_good", "component": "api", "reason": "api: v1 was never good", "remedy": "say --to TAG"}
    shop.command(plan={**PLAN, "allowed": False, "steps": [], "refusals": [refusal]})
    status, text = shop.play("rollback")
    assert status == 2, text
    assert "fix: say -e to=TAG" in text
    small(text)
