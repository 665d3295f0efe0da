# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What users get works: the archive alone, in an empty directory, without this checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
# what belongs to the development of the collection, and must not reach its users
DEVELOPMENT = {".ci", ".collections", ".lab", ".venv", "ansible.cfg", "build", "lab", "make", "molecule", "Makefile", "pyproject.toml",
               "requirements"}


def call(command: list[str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder with nothing of this checkout's settings in its environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
    environment.update(ANSIBLE_NOCOLOR="1", **variables)
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )


@pytest.fixture(scope="module")
def archive(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection, built again."""
    folder = tmp_path_factory.mktemp("dist")
    built = call([str(BIN / "ansible-galaxy"), "collection", "build", "--output-path", str(folder), str(root)], folder)
    assert built.returncode == 0, built.stdout
    (found,) = folder.glob("*.tar.gz")
    return found


@pytest.fixture(scope="module")
def empty(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty directory with the archive installed into it, and no ansible.cfg."""
    folder = tmp_path_factory.mktemp("user")
    command = [str(BIN / "ansible-galaxy"), "collection", "install", str(archive), "-p", "collections", "--no-deps", "--offline"]
    installed = call(command, folder)
    assert installed.returncode == 0, installed.stdout
    return folder


def test_only_the_product_is_packed(archive: Path) -> None:
    """No environment, cache, lab or test scaffolding in it, and no link that leads out of it."""
    with tarfile.open(archive) as packed:
        members = packed.getmembers()
    assert {Path(member.name).parts[0] for member in members} & DEVELOPMENT == set()
    assert [member.name for member in members if member.name.endswith(".pyc")] == []
    assert [member.name for member in members if member.issym() and member.linkname.startswith(("/", "../../../.."))] == []
    large = {member.name for member in members if member.size > 200_000}
    assert large - {"FILES.json", "roles/superset/files/superset.txt"} == set(), "no binary or data; the second is a lock with its hashes"
    assert archive.stat().st_size < 2_500_000


def test_documentation_comes_along(empty: Path) -> None:
    """`ansible-doc` knows the modules of the installed collection."""
    command = [str(BIN / "ansible-doc"), "--list", "--json", "phasegate.aistack"]
    listed = call(command, empty, ANSIBLE_COLLECTIONS_PATH=str(empty / "collections"))
    names = json.loads(listed.stdout)
    for name in ("gate", "release", "release_info", "slot", "alembic_info", "alembic", "env_files", "journal"):
        assert names[f"phasegate.aistack.{name}"]


def test_one_phase_by_its_full_name(empty: Path, root: Path) -> None:
    """`ansible-playbook phasegate.aistack.site --tags phase3`, where only the archive is installed."""
    command = [str(BIN / "ansible-playbook"), "-i", str(root / "inventories" / "lab"), "phasegate.aistack.site", "--tags", "phase3"]
    ran = call(command, empty, ANSIBLE_COLLECTIONS_PATH=str(empty / "collections"))
    assert ran.returncode == 0, ran.stdout[-6000:]
    assert "TASK [What answers now: phase0, phase1, phase2, phase3]" in ran.stdout
    assert "changed=0" in ran.stdout
    assert "failed=1" not in ran.stdout
