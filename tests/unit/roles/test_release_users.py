# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The script that makes the users of components, with a host of made-up commands."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from jinja2.nativetypes import NativeEnvironment

ROLES = Path(__file__).resolve().parents[3] / "roles"
VARS = yaml.safe_load((ROLES / "release/vars/main.yml").read_text(encoding="utf-8"))
COMMANDS = {
    "id": 'for user; do :; done; grep "^$user " "$HOST/users" | cut -d" " -f2 | grep .',
    "getent": 'grep -qx "$2" "$HOST/groups"',
    "groupadd": 'echo "groupadd $*" >> "$HOST/did"; for name; do :; done; echo "$name" >> "$HOST/groups"',
    "useradd": 'echo "useradd $*" >> "$HOST/did"; for name; do :; done; echo "$name $3" >> "$HOST/users"',
}


class Host:
    """Users and groups in files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in COMMANDS.items():
            (folder / name).write_text(f"#!/bin/sh\n{text}\n")
            (folder / name).chmod(0o755)
        for name in ("users", "groups", "did"):
            (folder / name).touch()

    def make(self, how: str, *users: str) -> subprocess.CompletedProcess[str]:
        command = ["/bin/sh", "-c", VARS["__release_make_users"], how, "aistack", *users]
        environment = {"PATH": f"{self.folder}:/usr/bin:/bin", "HOST": str(self.folder)}
        return subprocess.run(command, env=environment, text=True, capture_output=True, check=False)

    @property
    def did(self) -> list[str]:
        return (self.folder / "did").read_text().splitlines()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_what_is_missing_is_made_once(host: Host) -> None:
    predicted = host.make("check", "aistack-api", "aistack-worker")
    assert (predicted.returncode, predicted.stdout, host.did) == (0, "aistack-api\naistack-worker\n", [])
    assert host.make("make", "aistack-api", "aistack-worker").stdout == predicted.stdout
    assert [line.split()[0] for line in host.did] == ["groupadd", "useradd", "useradd"]
    assert "--gid aistack --no-user-group --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin -- aistack-api" in host.did[1]
    again = host.make("make", "aistack-api", "aistack-worker")
    assert (again.returncode, again.stdout, len(host.did)) == (0, "", 3)
    assert host.make("check", "aistack-api").stdout == ""


def test_a_user_of_somebody_else_is_left_alone(host: Host) -> None:
    (host.folder / "users").write_text("postgres postgres\n")
    refused = host.make("make", "postgres")
    assert refused.returncode == 1
    assert "The user postgres is on this host already, and its group is postgres; expected aistack" in refused.stderr
    assert host.did == []


@pytest.mark.parametrize(("check", "user"), [(False, "shopweb"), (True, "")])
def test_a_first_migration_runs_as_the_components_user_before_a_unit_names_it(check: bool, user: str) -> None:
    tasks = yaml.safe_load((ROLES / "release/tasks/migrate.yml").read_text(encoding="utf-8"))
    defaults = yaml.safe_load((ROLES / "migrate/defaults/main.yml").read_text(encoding="utf-8"))
    engine = NativeEnvironment()
    engine.filters["combine"] = lambda first, second: {**first, **second}
    given = {"ansible_check_mode": check, "release_user": "shopweb", "release_description": {"migrations": {"tables": ["a"]}}}
    given["__release_only_looks"] = engine.from_string(VARS["__release_only_looks"]).render(given)
    settings = engine.from_string(tasks[0]["vars"]["migrate_settings"]).render(given)
    assert (engine.from_string(defaults["migrate_user"]).render(migrate_settings=settings) or "") == user


@pytest.mark.parametrize(("check", "verb", "how"), [(False, "deploy", "make"), (True, "deploy", "check"), (False, "plan", "check")])
def test_check_mode_and_a_plan_make_nobody(check: bool, verb: str, how: str) -> None:
    given = {"ansible_check_mode": check, "aistack_verb": verb, "release_group": "g", "__release_users": ["u"], "__release_make_users": "s"}
    given["__release_only_looks"] = NativeEnvironment().from_string(VARS["__release_only_looks"]).render(given)
    (task,) = yaml.safe_load((ROLES / "release/tasks/users.yml").read_text(encoding="utf-8"))
    argv = NativeEnvironment().from_string(task["ansible.builtin.command"]["argv"]).render(given)
    assert argv == ["/bin/sh", "-c", "s", how, "g", "u"]
