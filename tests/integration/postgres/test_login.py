# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A role's password changes on a real server while somebody logs in all the time."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import DatabaseAddress, parse_url
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.rotation import bridge_name, bridge_password, bridged
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError, Psql
from ansible_collections.phasegate.aistack.plugins.module_utils.rotation import postgres as pg_login, scram
from ansible_collections.phasegate.aistack.plugins.modules import pg_login as door

from ..conftest import Cluster

USER, OLD, NEW = "Sho p'\"x", "old/one@odd:chars", "neu-pässwörd/with@odd:chars"


@dataclass
class Shop:
    """A role with a database of its own."""

    cluster: Cluster
    name: str = "rotating"

    def url(self, user: str, password: str) -> str:
        return f"postgresql+asyncpg://{quote(user, safe='')}:{quote(password, safe='')}@127.0.0.1:{self.cluster.port}/{self.name}"

    def login(self, user: str, password: str) -> str:
        """Who one is after logging in."""
        with Psql(DatabaseAddress("127.0.0.1", self.cluster.port, user, self.name, password), {}) as psql:
            return str(psql.query("SELECT to_json(current_user)"))

    def admin(self) -> Psql:
        user = "postgres" if os.geteuid() == 0 else None
        return Psql(DatabaseAddress(str(self.cluster.folder), self.cluster.port, "postgres", "postgres"), {}, user)


@pytest.fixture
def shop(cluster: Cluster) -> Iterator[Shop]:
    quoted = '"' + USER.replace('"', '""') + '"'
    cluster.admin(f"CREATE ROLE {quoted} LOGIN CONNECTION LIMIT 40 PASSWORD '{OLD}'")
    cluster.admin(f"CREATE DATABASE rotating OWNER {quoted}")
    cluster.admin(f"ALTER ROLE {quoted} SET search_path = \"$user\", public, \"odd, one\"")
    cluster.admin(f"ALTER ROLE {quoted} IN DATABASE rotating SET statement_timeout = '9s'")
    yield Shop(cluster)
    cluster.admin("DROP DATABASE rotating WITH (FORCE)")
    beside = '"' + bridge_name(USER).replace('"', '""') + '"'
    cluster.admin(f"DROP ROLE IF EXISTS {beside}")
    cluster.admin(f"DROP ROLE {quoted}")


def test_what_the_server_keeps_is_understood_and_made(shop: Shop) -> None:
    with shop.admin() as psql:
        kept = psql.query("SELECT to_json(rolpassword) FROM pg_authid WHERE rolname = 'Sho p''\"x'")
        assert scram.matches(kept, USER, OLD)
        assert not scram.matches(kept, USER, NEW)
        assert not scram.matches(None, USER, OLD)
        assert pg_login.differing(psql, {USER: OLD, "nobody": "x"}) == []
        assert pg_login.differing(psql, {USER: NEW, "nobody": "x"}) == [USER]
        assert pg_login.change(psql, USER, NEW)
        assert not pg_login.change(psql, USER, NEW)
    assert shop.login(USER, NEW) == USER
    with pytest.raises(DatabaseError) as caught:
        shop.login(USER, OLD)
    assert caught.value.kind == "password"


def test_an_old_kind_of_password_is_understood_too(shop: Shop) -> None:
    shop.cluster.admin("SET password_encryption = md5; CREATE ROLE ancient LOGIN PASSWORD 'p1'")
    try:
        with shop.admin() as psql:
            assert pg_login.differing(psql, {"ancient": "p1"}) == []
            assert pg_login.differing(psql, {"ancient": "p2"}) == ["ancient"]
    finally:
        shop.cluster.admin("DROP ROLE ancient")


def test_the_second_login_is_the_role_with_all_its_settings(shop: Shop) -> None:
    with shop.admin() as psql:
        assert pg_login.bridge(psql, USER, NEW)
        assert not pg_login.bridge(psql, USER, NEW)
    address = parse_url(bridged({"URL": shop.url(USER, NEW)}, USER, NEW)["URL"])
    assert (address.user, address.password) == (bridge_name(USER), bridge_password(USER, NEW))
    with Psql(address, {}) as psql:
        assert psql.query("SELECT to_json(current_user)") == USER
        assert psql.query("SELECT to_json(session_user)") == bridge_name(USER)
        assert psql.query("SELECT to_json(current_setting('search_path'))") == '"$user", public, "odd, one"'
        assert psql.query("SELECT to_json(current_setting('statement_timeout'))") == "9s"
        psql.query("CREATE TABLE made (n integer)")
        assert psql.query("SELECT to_json(tableowner) FROM pg_tables WHERE tablename = 'made'") == USER
    with shop.admin() as psql:
        assert pg_login.close(psql, USER)
        assert not pg_login.close(psql, USER)
    with pytest.raises(DatabaseError):
        shop.login(address.user, address.password)


@dataclass
class Applications:
    """Two that log in all the time, each with what its environment holds; what was refused."""

    shop: Shop
    logins: list[tuple[str, str]]
    refused: list[str] = field(default_factory=list)
    count: int = 0

    def work(self, over: threading.Event) -> None:
        while not over.is_set():
            for user, password in list(self.logins):
                try:
                    self.shop.login(user, password)
                    self.count += 1
                except DatabaseError as problem:
                    self.refused.append(str(problem))


def test_no_login_is_refused_from_the_old_password_to_the_new_one(shop: Shop) -> None:
    applications = Applications(shop, [(USER, OLD), (USER, OLD)])
    over = threading.Event()
    thread = threading.Thread(target=applications.work, args=(over,))
    thread.start()
    try:

        def seen(times: int = 4) -> None:
            wanted, end = applications.count + times, threading.Event()
            while applications.count < wanted and not applications.refused:
                end.wait(0.01)

        with shop.admin() as psql:
            pg_login.bridge(psql, USER, NEW)
            seen()
            for number in (0, 1):
                applications.logins[number] = (bridge_name(USER), bridge_password(USER, NEW))
                seen()
            pg_login.change(psql, USER, NEW)
            seen()
            for number in (0, 1):
                applications.logins[number] = (USER, NEW)
                seen()
            pg_login.close(psql, USER)
            seen()
    finally:
        over.set()
        thread.join(30)
    assert applications.refused == []
    with pytest.raises(DatabaseError):
        shop.login(USER, OLD)


def test_the_door(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    def call(state: str, password: str = NEW, check: bool = False, **more: Any) -> dict[str, Any]:
        users = [{"name": USER, "password": password}]
        given = {"state": state, "users": users, "host": str(shop.cluster.folder), "port": shop.cluster.port}
        with patch_module_args({**given, **more, "_ansible_check_mode": check}), pytest.raises(SystemExit):
            door.main()
        text = capsys.readouterr().out
        assert not any(secret in text for secret in (OLD, NEW, bridge_password(USER, NEW)))
        answer: dict[str, Any] = json.loads(text)
        assert not answer.get("failed") or state == "proven", answer
        return answer

    assert call("checked", OLD)["differ"] == []
    assert call("checked")["differ"] == [USER]
    assert call("observed")["seen"] == {"exists": True, "value": False, "bridge": False, "admitted": True}
    addresses = bridged({"URL": shop.url(USER, NEW), "OTHER": "https://example.com"}, USER, NEW)
    assert "The server refused the password" in call("proven", addresses=addresses)["msg"]
    for state, value, bridge in (("bridged", False, True), ("changed", True, True), ("closed", True, False)):
        assert call(state, check=True)["changed"]
        assert call(state)["changed"]
        assert not call(state)["changed"]
        assert not call(state, check=True)["changed"]
        assert call("observed")["seen"] == {"exists": True, "value": value, "bridge": bridge, "admitted": True}
        if bridge:
            assert call("proven", addresses=addresses)["proven"] == ["URL"]
    assert call("proven", addresses={"URL": shop.url(USER, NEW)})["proven"] == ["URL"]
