# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role postgres sets no password that something live logs in with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ..conftest import PASSWORD, Cluster

ROOT = Path(__file__).resolve().parents[3]
PLAYBOOK = """
- hosts: all
  gather_facts: false
  module_defaults:
    group/phasegate.aistack.aistack: {root: "{{ aistack_root }}", state_dir: "{{ aistack_state }}"}
  tasks:
    - ansible.builtin.include_role: {name: phasegate.aistack.postgres, tasks_from: passwords}
"""
OTHER = "another-and-long-password"


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """A component that is live, as its links say."""
    for folder in ("releases/v1", "config/abc", "slots/blue"):
        (tmp_path / "root" / "api" / folder).mkdir(parents=True)
    slots = tmp_path / "root" / "api" / "slots"
    (slots / "blue" / "release").symlink_to("../../releases/v1")
    (slots / "blue" / "config").symlink_to("../../config/abc")
    (slots / "live").symlink_to("blue")
    return slots / "live"


def converge(cluster: Cluster, tmp_path: Path, password: str) -> subprocess.CompletedProcess[str]:
    url = f"postgresql://app:{password}@127.0.0.1:{cluster.port}/shop"
    given: dict[str, Any] = {
        "ansible_python_interpreter": sys.executable,
        "aistack_root": str(tmp_path / "root"),
        "aistack_state": str(tmp_path / "state"),
        "aistack_ports": {"postgres": cluster.port},
        "aistack_components": {"api": {"role": "backend", "hosts": "all", "application": "shop"}},
        "aistack_env": {"api": {"schema": [], "values": {"DATABASE_URL": url}}},
        "aistack_rotations": {"database": {"kind": "postgres", "component": "db", "user": "app"}},
        "postgres_users": [{"name": "app", "password": password}, {"name": "nobody_yet", "password": password}],
        "__postgres_socket": str(cluster.folder),
    }
    (tmp_path / "vars.json").write_text(json.dumps(given))
    (tmp_path / "play.yml").write_text(PLAYBOOK)
    command = [str(ROOT / ".venv/bin/ansible-playbook"), "-i", "localhost,", "-c", "local", "-e", f"@{tmp_path / 'vars.json'}"]
    return subprocess.run(
        [*command, str(tmp_path / "play.yml")],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
    )


def test_a_password_in_use_is_refused_with_the_remedy(cluster: Cluster, live: Path, tmp_path: Path) -> None:
    done = converge(cluster, tmp_path, OTHER)
    said = " ".join(done.stdout.split())
    assert done.returncode != 0
    for words in ("another password for app than the server", "api on localhost", "phasegate.aistack.rotate -e secret=database"):
        assert words in said
    assert OTHER not in done.stdout + done.stderr
    assert not (tmp_path / "state").exists(), "a credential was laid down that the server does not know"
    same = converge(cluster, tmp_path, PASSWORD)
    assert same.returncode == 0, same.stdout + same.stderr
    assert (tmp_path / "state/credentials/postgres_app").read_text() == PASSWORD


def test_where_nothing_is_live_it_goes_on(cluster: Cluster, live: Path, tmp_path: Path) -> None:
    live.unlink()
    done = converge(cluster, tmp_path, OTHER)
    assert done.returncode == 0, done.stdout + done.stderr


OBJECTS = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: phasegate.aistack.postgres, tasks_from: objects}
"""


def objects(cluster: Cluster, tmp_path: Path, port: int, *words: str, **user: Any) -> tuple[int, str]:
    """Have the role make one user; its exit status, and what it says."""
    given = {"ansible_python_interpreter": sys.executable, "postgres_users": [{"password": OTHER, **user}], "postgres_port": port,
             "__postgres_socket": str(cluster.folder)}
    (tmp_path / "play.yml").write_text(OBJECTS)
    command = [str(ROOT / ".venv/bin/ansible-playbook"), "-i", "localhost,", "-c", "local", str(tmp_path / "play.yml"), *words, "-e"]
    done = subprocess.run([*command, json.dumps(given)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
                          stdin=subprocess.DEVNULL)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_a_user_belongs_to_what_is_said(cluster: Cluster, tmp_path: Path) -> None:
    user = {"name": "only_reads", "groups": ["pg_read_all_data"]}
    status, said = objects(cluster, tmp_path, cluster.port, "--check", **user)
    assert status == 0, said
    status, said = objects(cluster, tmp_path, cluster.port, "-vv", **user)
    assert status == 0, said
    assert cluster.admin("SELECT pg_has_role('only_reads', 'pg_read_all_data', 'member')") == "t"
    assert OTHER not in said
    status, said = objects(cluster, tmp_path, cluster.port, **user)
    assert (status, ", 0 changes, " in said) == (0, True), said


def test_a_user_that_cannot_be_made_is_told_with_the_reason_and_without_a_password(cluster: Cluster, tmp_path: Path) -> None:
    status, said = objects(cluster, tmp_path, 1, name="newcomer")
    assert status != 0
    assert "did not take newcomer as declared in postgres_users" in said
    assert ".s.PGSQL.1" in said, "what the driver said"
    assert OTHER not in said
    assert "output has been hidden" not in said
    status, said = objects(cluster, tmp_path, cluster.port, name="newcomer")
    assert status == 0, said
