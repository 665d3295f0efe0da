# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Folders that an operator names: made for their server, and left alone where they hold somebody else's files."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from .test_inventories import ROOT
from .test_roles_alone import PYTHON, yaml_of

USER = "daemon"
ROLE_TASKS = {"ollama": "install", "comfyui": "stage", "minio": "server_minio", "redis": "configure", "postgres": "files"}


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of root's that everybody may pass."""
    with tempfile.TemporaryDirectory() as made:
        os.chmod(made, 0o755)
        yield Path(made)


def looked(place: Path, folders: list[dict[str, str]], *more: str) -> subprocess.CompletedProcess[str]:
    task = {
        "ansible.builtin.include_role": {"name": "phasegate.aistack.toolchain", "tasks_from": "folders"},
        "vars": {"toolchain_folder_user": USER, "toolchain_folders": folders},
    }
    play = place / "play.yml"
    play.write_text(yaml.safe_dump([{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [task]}]))
    return subprocess.run(
        [str(ROOT / ".venv/bin/ansible-playbook"), "-i", "localhost,", "-e", PYTHON, *more, str(play)],
        cwd=ROOT, env={**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"},
        capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
    )


def owner(path: Path) -> str:
    return pwd.getpwuid(path.stat().st_uid).pw_name


def test_what_is_missing_or_empty_is_made_and_what_fits_is_left_alone(place: Path) -> None:
    (place / "mount" / "lost+found").mkdir(parents=True)
    kept = place / "kept"
    kept.mkdir()
    (kept / "model").write_text("root's")
    own = place / "own"
    own.mkdir(mode=0o700)
    os.chown(own, pwd.getpwnam(USER).pw_uid, 0)
    folders = [
        {"path": str(place / "new"), "setting": "one"}, {"path": str(place / "mount"), "setting": "two"},
        {"path": str(kept), "setting": "three", "need": "r"}, {"path": str(own), "setting": "four"},
        {"path": str(own / "models"), "setting": "five"}, {"path": "relative", "setting": "six"},
    ]
    planned = looked(place, folders, "--check")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert planned.stdout.count("changed: [localhost] =>") == 3, planned.stdout
    assert not (place / "new").exists()
    assert f"{place / 'new'} (one), on the file system mounted at /" in planned.stdout
    done = looked(place, folders)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [owner(path) for path in (place / "new", place / "mount", kept, own / "models")] == [USER, USER, "root", USER]
    assert (place / "new").stat().st_mode & 0o777 == 0o750
    assert own.stat().st_mode & 0o777 == 0o700, "one that fits keeps its mode"
    assert not (ROOT / "relative").exists()
    again = looked(place, folders)
    assert "changed=0 " in again.stdout, again.stdout


def test_what_holds_files_of_others_is_refused_and_a_link_of_the_server_leads_root_nowhere(place: Path) -> None:
    theirs, empty, own = place / "theirs", place / "empty", place / "own"
    for folder in (theirs, empty, own):
        folder.mkdir()
    (theirs / "photos").write_text("root's")
    (own / "models").symlink_to(empty)
    os.chown(own, pwd.getpwnam(USER).pw_uid, 0)
    nobody = [{"path": str(theirs), "setting": "one"}, {"path": str(place / "new"), "setting": "two"}]
    bare = looked(place, nobody, "--check", "-e", "toolchain_folder_user=no-such-user")
    assert bare.returncode == 0, "before the user is there, check mode knows no better: " + bare.stdout
    refused = looked(place, [{"path": str(theirs), "setting": "ollama_models_dir"}, {"path": str(own / "models"), "setting": "second"}])
    assert refused.returncode == 2, refused.stdout
    said = " ".join(refused.stdout.split())
    assert f"{theirs} on localhost, which ollama_models_dir names, belongs to root and holds something." in said
    assert f"chown -R {USER}: {theirs}" in said
    assert f"{own / 'models'} on localhost, which second names," in said
    assert [owner(theirs), owner(empty)] == ["root", "root"]


@pytest.mark.parametrize("role", list(ROLE_TASKS))
def test_roles_look_before_they_take_a_folder(role: str) -> None:
    tasks = yaml_of(role, f"tasks/{ROLE_TASKS[role]}.yml")
    assert [task for task in tasks if task.get("ansible.builtin.include_role", {}).get("tasks_from") == "folders"]
    taken = [str(item) for task in tasks if "ansible.builtin.file" in task for item in task.get("loop", []) if "owner" in item]
    assert taken == [], "changes the owner of a folder without looking"


def test_every_folder_that_the_inventory_names_is_looked_at(place: Path) -> None:
    files = [str(ROOT / "roles" / role / part / "main.yml") for role in ("comfyui", "redis", "postgres") for part in ("defaults", "vars")]
    content = "{{ (__comfyui_folders + __redis_folders + __postgres_folders) | to_json }}"
    tasks = [{"ansible.builtin.copy": {"content": content, "dest": str(place / "all.json"), "mode": "0600"}}]
    play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "vars_files": files, "tasks": tasks}]
    (place / "play.yml").write_text(yaml.safe_dump(play))
    given = {"comfyui_models_dir": "/m", "comfyui_writable": ["/a", "/b"], "redis_settings": {"dir": "/r", "logfile": "/l/x.log"},
             "postgres_settings": {"log_directory": "/pl", "data_directory": "/d"}, "postgres_writable": ["/t", "/w"]}
    done = subprocess.run(
        [str(ROOT / ".venv/bin/ansible-playbook"), "-i", "localhost,", "-e", PYTHON, "-e", json.dumps(given), str(place / "play.yml")],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    folders = json.loads((place / "all.json").read_text())
    assert [(folder["path"], folder["setting"]) for folder in folders] == [
        ("/var/lib/comfyui", "comfyui_data"), ("/m", "comfyui_models_dir"), ("/a", "comfyui_writable"), ("/b", "comfyui_writable"),
        ("/r", "redis_settings.dir"), ("/l", "redis_settings.logfile"),
        ("/pl", "postgres_settings.log_directory"), ("/t", "postgres_writable"), ("/w", "postgres_writable"),
    ]
