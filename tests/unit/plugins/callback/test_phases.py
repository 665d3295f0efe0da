# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator sees of a playbook that fails."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.phasegate.aistack.plugins.callback import phases

COLLECTIONS = next(parent for parent in Path(phases.__file__).parents if parent.name == "ansible_collections").parent

PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - block:
        - name: Stage v9
          ansible.builtin.fail: {msg: the disk is full}
      rescue:
        - name: Report
          phasegate.aistack.report:
            kind: failure
            failed_task: "{{ ansible_failed_task.name }}"
            failed_result: "{{ ansible_failed_result }}"
"""


def played(folder: Path, hosts: str, *words: str, collections: Path = COLLECTIONS) -> subprocess.CompletedProcess[str]:
    """Run a folder's book.yml with our callback, on hosts that are this machine."""
    (folder / "ansible.cfg").write_text("")
    env = {
        **os.environ,
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "ANSIBLE_STDOUT_CALLBACK": "phasegate.aistack.phases",
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }
    command = [sys.executable, "-m", "ansible.cli.playbook", "-i", hosts, "-c", "local", "book.yml", *words]
    return subprocess.run(command, cwd=folder, env=env, text=True, capture_output=True, check=False, timeout=60)


def test_what_failed_has_one_line_and_its_explanation_once(tmp_path: Path) -> None:
    (tmp_path / "book.yml").write_text(PLAY)
    done = played(tmp_path, "n1,")
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    assert lines[:-1] == ["  FAILED   n1           Stage v9", "  n1:", "    failed     Stage v9", "    because    the disk is full"]
    assert lines[-1].startswith("Failed on n1 after ")


@pytest.mark.parametrize(
    ("before", "said", "word"),
    [
        ("debug: {msg: asked}", "Refused. Nothing was touched.\\nIt is marked bad.", "Refused on n1"),
        ("command: 'true'", "Refused. Nothing that serves was touched.", "Failed on n1"),  # something was changed before
        ("debug: {msg: asked}", "It is marked bad.", "Failed on n1"),
    ],
)
def test_what_was_refused_did_not_fail(tmp_path: Path, before: str, said: str, word: str) -> None:
    (tmp_path / "book.yml").write_text(
        f"- hosts: n1\n  gather_facts: false\n  tasks:\n    - ansible.builtin.{before}\n    - ansible.builtin.fail: {{msg: \"{said}\"}}\n"
    )
    assert played(tmp_path, "n1,").stdout.splitlines()[-1].startswith(f"{word} after ")


def test_of_a_loop_every_item_that_failed_says_why(tmp_path: Path) -> None:
    (tmp_path / "book.yml").write_text(
        "- hosts: n1\n  gather_facts: false\n  tasks:\n    - name: Each\n"
        "      ansible.builtin.assert: {that: item != 2, quiet: true, fail_msg: 'not {{ item }}'}\n      loop: [1, 2]\n"
    )
    assert "    not 2" in played(tmp_path, "n1,").stdout.splitlines()


@pytest.mark.parametrize("known_by", [{"failed": True}, {"exception": "(traceback unavailable)"}], ids=["flag", "exception alone"])
def test_an_item_that_failed_is_known_in_every_version(monkeypatch: pytest.MonkeyPatch, known_by: dict[str, object]) -> None:
    callback, lines = phases.CallbackModule.__new__(phases.CallbackModule), []
    monkeypatch.setattr(callback, "_line", lambda text, *_colour: lines.append(text), raising=False)
    monkeypatch.setattr(callback, "_display", SimpleNamespace(verbosity=0), raising=False)
    callback._explain({"msg": "One or more items failed", "results": [{"msg": "went well"}, {"msg": "the reason", **known_by}]})
    assert lines == ["    the reason"]


def test_of_what_another_host_was_to_do_that_one_is_asked(tmp_path: Path) -> None:
    away = "ansible_connection=ssh ansible_host=192.0.2.1 ansible_ssh_common_args='-o ProxyCommand=false'"
    (tmp_path / "hosts").write_text(f"n1\nbuilder {away}\n")
    (tmp_path / "book.yml").write_text(
        "- hosts: n1\n  gather_facts: false\n  tasks:\n    - name: Build\n"
        "      ansible.builtin.command: 'true'\n      delegate_to: \"{{ 'build' ~ 'er' }}\"\n"
    )
    assert "    Try: ansible -m ping builder" in played(tmp_path, "hosts").stdout.splitlines()


def test_a_warning_has_a_line(tmp_path: Path) -> None:
    (tmp_path / "book.yml").write_text(
        "- hosts: n1\n  gather_facts: false\n  tasks:\n    - phasegate.aistack.gate:\n"
        "        probes: [{name: page, tcp: '127.0.0.1:1', from: n2}]\n"
    )
    done = played(tmp_path, "n1,n2,")
    assert "  warning  n1           not asked, because their hosts are not in this run: page (n2)" in done.stdout.splitlines()


def test_in_check_mode_a_task_of_a_role_that_only_asks_says_would(tmp_path: Path) -> None:
    tasks = tmp_path / "ansible_collections" / "phasegate" / "aistack" / "roles" / "asks" / "tasks"
    tasks.mkdir(parents=True)
    (tasks / "main.yml").write_text("- name: Users\n  ansible.builtin.command: echo a\n  check_mode: false\n")
    for part in ("plugins", "meta", "galaxy.yml"):
        (tasks.parents[2] / part).symlink_to(COLLECTIONS / "ansible_collections" / "phasegate" / "aistack" / part)
    (tmp_path / "book.yml").write_text(
        "- hosts: n1\n  gather_facts: false\n  roles: [phasegate.aistack.asks]\n"
        "  tasks:\n    - name: Other\n      ansible.builtin.command: echo b\n      check_mode: false\n"
    )
    for mode, word in (["--check"], "would"), ([], "changed"):
        done = played(tmp_path, "n1,", *mode, collections=tmp_path)
        words = [line.split()[0] for line in done.stdout.splitlines() if "Users" in line or "Other" in line]
        assert words == [word, "changed"], done.stdout + done.stderr


def test_what_a_step_includes_has_its_number(tmp_path: Path) -> None:
    tasks = tmp_path / "roles" / "stage" / "tasks"
    tasks.mkdir(parents=True)
    (tasks / "main.yml").write_text("- name: build\n  ansible.builtin.command: echo a\n")
    (tmp_path / "more.yml").write_text("- name: Within\n  ansible.builtin.include_role: {name: stage}\n")
    (tmp_path / "book.yml").write_text(
        "- hosts: n1\n  gather_facts: false\n  tasks:\n    - block:\n"
        "        - {name: (1/2) Ask, ansible.builtin.command: echo b}\n"
        "        - name: (2/2) Stage\n          ansible.builtin.include_tasks: more.yml\n          loop: [1]\n"
        "        - {name: Last, ansible.builtin.command: echo c}\n"
    )
    done = played(tmp_path, "n1,")
    lines = [re.sub(r"  [\d.]+ s$", "", line) for line in done.stdout.splitlines()]  # slow machines add the seconds
    names = [" ".join(line.split()[2:]) for line in lines if line.startswith("  changed")]
    assert names == ["(1/2) Ask", "(2/2) stage : build", "Last"], done.stdout


def test_a_difference_that_is_said_in_a_line_has_no_more(tmp_path: Path) -> None:
    many, few = ("\n".join(f"line {number}" for number in range(count)) for count in (20, 3))
    (tmp_path / "book.yml").write_text(
        f"- hosts: n1\n  gather_facts: false\n  tasks:\n"
        f"    - ansible.builtin.file: {{path: {tmp_path}/folder, state: directory, group: of_an_earlier_task}}\n"
        f"    - ansible.builtin.copy: {{content: {many!r}, dest: {tmp_path}/many}}\n".replace("'", '"')
        + f"    - ansible.builtin.template: {{src: {tmp_path}/few.j2, dest: {tmp_path}/few}}\n"
        f"    - ansible.builtin.template: {{src: {tmp_path}/many.j2, dest: {tmp_path}/other}}\n"
    )
    (tmp_path / "few.j2").write_text(few)
    (tmp_path / "many.j2").write_text(many)
    said = played(tmp_path, "n1,", "--check", "--diff").stdout
    lines = said.splitlines()
    assert f"  {tmp_path}/folder: state absent → directory" in lines
    assert [f"  {name}: a new file of 20 lines; -v shows them" in lines for name in (f"{tmp_path}/many", "many.j2")] == [True, True]
    assert "+line 2" in lines
    assert "line 15" not in said
    assert "warning" not in said


def test_a_difference_of_what_is_there_stays_whole() -> None:
    long = "\n".join(map(str, range(30)))
    for diff, values in [
        ({"before": "1", "after": long}, {"dest": "/a"}),  # it is there
        ({"before": "", "after": long, "after_header": "api: config 1"}, {}),  # an environment, which is no file by its name
        ({"before": {"path": "/a", "list": [1]}, "after": {"path": "/a", "list": [2]}}, {}),
        ({"prepared": "x"}, {}), ("x", {}), ({"before": "", "after": "1\n2"}, {"dest": "/a"}),
    ]:
        assert phases.short_diff(diff, values) == ""
    moved = {"before": {"path": "/a", "mode": "0755", "state": "file"}, "after": {"path": "/a", "mode": "0700", "state": "file"}}
    assert phases.short_diff(moved, {}) == "  /a: mode 0755 → 0700"
