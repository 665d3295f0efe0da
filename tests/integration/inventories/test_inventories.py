# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every inventory of the repository describes a stack that passes the structure validation."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
INVENTORIES = [*sorted(path for path in (ROOT / "inventories").iterdir() if path.is_dir()), ROOT / "molecule" / "tiny" / "inventory"]
PLAYBOOK = """
- hosts: aistack
  gather_facts: false
  tasks:
    - phasegate.aistack.stack: {environments: true}
      run_once: true
"""


def validate(inventory: Path, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    playbook = tmp_path / "validate.yml"
    playbook.write_text(PLAYBOOK, encoding="utf-8")
    return subprocess.run(
        [str(ROOT / ".venv" / "bin" / "ansible-playbook"), "-i", str(inventory), str(playbook), *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("inventory", INVENTORIES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_description_of_the_stack_is_valid(inventory: Path, tmp_path: Path) -> None:
    done = validate(inventory, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_fault_is_found(tmp_path: Path) -> None:
    done = validate(INVENTORIES[0], tmp_path, "-e", '{"aistack_ports": {"one": 1, "two": 1}}')
    assert done.returncode != 0
    assert "aistack_ports.two" in done.stdout


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            ('{"aistack_secrets": {"postgres": "s3cret1", "redis": "s3cret2", "minio_app": "minioadmin", "minio_root": "s3cret3",'
             ' "redis_backup": "s3cret4", "server_actions": "s3cret5", "postgres_monitor": "s3cret6", "redis_monitor": "s3cret7"}}'),
            ["aistack_env.backend: MINIO_SECRET_KEY: is left at the forbidden", "NEXT_SERVER_ACTIONS_ENCRYPTION_KEY: expected at least 32"],
        ),
        (
            '{"postgres_users": [{"name": "sparklio", "password": "s3cret-of-the-server"}]}',
            ["aistack_env.backend: DATABASE_URL: holds another password for sparklio at", "than postgres_users gives"],
        ),
        ('{"redis_users": [{"name": "sparklio", "password": "s3cret-of-the-server"}]}', ["REDIS_URL: holds another password"]),
        (
            '{"minio_users": [{"key": "sparklio", "secret": "s3cret-of-the-server", "buckets": []}]}',
            ["MINIO_SECRET_KEY: is another secret for the key sparklio"],
        ),
    ],
    ids=["the schema", "PostgreSQL's password", "Redis' password", "MinIO's secret"],
)
def test_an_environment_that_would_not_work_is_refused_before_anything_is_touched(tmp_path: Path, given: str, words: list[str]) -> None:
    done = validate(INVENTORIES[0], tmp_path, "-e", given)
    said = " ".join(done.stdout.split())
    assert done.returncode != 0
    assert "Nothing was touched" in said
    assert [word for word in words if word not in said] == []
    assert "s3cret" not in done.stdout + done.stderr
