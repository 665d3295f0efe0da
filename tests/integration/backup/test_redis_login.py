# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's password changes on a real server: both are valid for a while, over a restart as well, and then one."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.phasegate.aistack.plugins.module_utils.rotation.redis import digest
from ansible_collections.phasegate.aistack.plugins.modules import redis_login as door

from .conftest import ROLE, RealRedis

OLD, NEW, ADMIN = "old-password", "neu pässwörd@:/#", "admin-password"
RULES: str = yaml.safe_load(ROLE.read_text(encoding="utf-8"))["__redis_admin_rules"]
"""What role redis gives to its user for changing users."""


class Login:
    """The module, called for one user of a server whose users are in a file, as role redis writes them."""

    def __init__(self, redis: RealRedis, capsys: pytest.CaptureFixture[str]) -> None:
        self.redis, self.capsys = redis, capsys
        self.users, self.password_file = redis.folder / "users.conf", redis.folder / "admin"
        self.users.write_text(
            f"# written by the role\nuser shop on #{digest(OLD)} ~* &* +@all -@admin\nuser admin on #{digest(ADMIN)} {RULES}\n"
        )
        self.password_file.write_text(ADMIN + "\n")

    def restart(self) -> None:
        """With the users that are in the file."""
        for line in self.users.read_text().splitlines():
            if line.startswith("user "):
                words = line.split()
                self.redis.cli("ACL", "SETUSER", words[1], "reset", *words[2:])

    def __call__(self, state: str, check: bool = False, fails: bool = False, **more: Any) -> dict[str, Any]:
        server = {"port": self.redis.port, "username": "admin", "password_file": str(self.password_file)}
        args = {"state": state, "user": "shop", "password": NEW, "users_file": str(self.users), "server": server, **more}
        with patch_module_args({**args, "_ansible_check_mode": check}), pytest.raises(SystemExit):
            door.main()
        answer: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        assert bool(answer.get("failed")) == fails, answer
        assert not any(secret in json.dumps(answer).replace("password_file", "") for secret in (OLD, ADMIN))
        return answer

    def may(self, password: str) -> bool:
        child = subprocess.run(
            ["redis-cli", "-p", str(self.redis.port), "--user", "shop", "PING"],
            capture_output=True, text=True, check=False, env={"PATH": "/usr/bin", "REDISCLI_AUTH": password},
        )
        return child.stdout.strip().endswith("PONG") and "WRONGPASS" not in child.stdout + child.stderr


@pytest.fixture
def login(redis: RealRedis, capsys: pytest.CaptureFixture[str]) -> Login:
    here = Login(redis, capsys)
    here.restart()
    return here


def test_both_for_a_while_and_then_one(login: Login) -> None:
    before = login.users.stat()
    login.users.chmod(0o640)
    assert login("observed")["seen"] == {"exists": True, "value": False, "bridge": True}
    assert login("admitted", check=True)["changed"]
    assert not login.may(NEW)
    assert login("admitted")["changed"]
    assert not login("admitted")["changed"]
    login.restart()
    assert (login.may(OLD), login.may(NEW)) == (True, True)
    assert login("observed")["seen"] == {"exists": True, "value": True, "bridge": True}
    assert login("closed")["changed"]
    assert not login("closed")["changed"]
    login.restart()
    assert (login.may(OLD), login.may(NEW)) == (False, True)
    assert login("observed")["seen"] == {"exists": True, "value": True, "bridge": False}
    after = login.users.stat()
    assert (after.st_mode & 0o7777, after.st_uid, after.st_gid) == (0o640, before.st_uid, before.st_gid)
    assert login.users.read_text() == (
        f"# written by the role\nuser shop on #{digest(NEW)} ~* &* +@all -@admin\nuser admin on #{digest(ADMIN)} {RULES}\n"
    )


def test_what_a_kill_left_half_done_is_seen(login: Login) -> None:
    """The server has let go of the former password, the file has not: after the next restart it would be valid again."""
    login("admitted")
    login.redis.cli("ACL", "SETUSER", "shop", "resetpass", f"#{digest(NEW)}")
    assert login("observed")["seen"]["bridge"]
    assert login("closed")["changed"]
    assert digest(OLD) not in login.users.read_text()


def test_an_address_is_proven_before_something_moves_to_it(login: Login) -> None:
    addresses = {
        "REDIS_URL": f"redis://shop:neu%20p%C3%A4ssw%C3%B6rd%40%3A%2F%23@127.0.0.1:{login.redis.port}/0",
        "OTHER": f"redis://backup:x@127.0.0.1:{login.redis.port}/0",
        "URL": "http://shop@127.0.0.1/",
    }
    assert "REDIS_URL does not let in: WRONGPASS" in login("proven", fails=True, addresses=addresses)["msg"]
    login("admitted")
    assert login("proven", addresses=addresses)["proven"] == ["REDIS_URL"]


def test_refusals_say_what_to_do(login: Login) -> None:
    assert "run site.yml for the component once" in login("admitted", fails=True, user="nobody")["msg"]
    login.password_file.unlink()
    said = login("observed", fails=True)["msg"]
    assert str(login.password_file) in said
    assert "set redis_admin_password in the inventory" in said
