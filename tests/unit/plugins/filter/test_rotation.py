# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What playbooks and roles ask before a password is changed, and what they find in a file of Redis' users."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.phasegate.aistack.plugins.filter.rotation import FilterModule

FILTERS = FilterModule().filters()
REDIS = Path(__file__).resolve().parents[4] / "roles" / "redis" / "vars" / "main.yml"
COMPONENTS = {"api": {"application": "shop"}, "worker": {"release_from": "api", "env": "api"}, "page": {"application": "shop"}}
ENVIRONMENTS = {"api": {"values": {"URL": "postgresql://shop:new-password@db/shop"}}, "page": {"values": {}}}


def test_who_uses_any_of_several_logins() -> None:
    assert FILTERS["login_users"](["reader", "shop"], COMPONENTS, ENVIRONMENTS) == ["api", "worker"]
    assert FILTERS["login_users"](["reader"], COMPONENTS, ENVIRONMENTS) == []


def test_nothing_live_is_no_reason_to_refuse() -> None:
    answers: list[dict[str, Any]] = [{"item": "w1", "components": {"api": {"live": None}}}, {"item": "w2", "skipped": True}]
    assert FILTERS["login_refusal"](["shop"], "postgres", "db", answers, {}) == ""
    answers[0]["components"]["worker"] = {"live": {"release": "v1"}}
    assert "worker on w1" in FILTERS["login_refusal"](["shop"], "postgres", "db", answers, {})


def test_the_login_that_the_inventory_describes_and_the_second_one() -> None:
    entry = {"key": "shop", "secret": "new-secret", "buckets": ["assets"]}
    login = FILTERS["rotation_login"]({"minio_users": [entry]}, "minio", "shop")
    assert login == {"name": "shop", "password": "new-secret", "s3": entry}
    bridge = FILTERS["rotation_bridge"](login)
    assert bridge["s3"] == {"key": "shop__rotation", "secret": bridge["password"], "buckets": ["assets"]}
    assert bridge["password"] not in ("new-secret", "")
    assert FILTERS["rotation_login"]({"redis_password": "pw"}, "redis", "default") == {"name": "default", "password": "pw"}
    assert FILTERS["rotation_login"]({"postgres_users": [{"name": "shop", "password": "pw"}]}, "postgres", "shop")["password"] == "pw"
    with pytest.raises(AnsibleFilterError, match="redis_users has no shop"):
        FILTERS["rotation_login"]({}, "redis", "shop")


def test_what_an_s3_server_knows() -> None:
    seen = {"shop": {"known": True, "logs_in": False}, "shop__rotation": {"known": True, "logs_in": True}}
    assert FILTERS["rotation_keys"](seen, "shop") == {"exists": True, "value": False, "bridge": True}
    assert FILTERS["rotation_keys"]({}, "shop") == {"exists": False, "value": False, "bridge": False}


def test_an_environment_with_both_keys_exchanged() -> None:
    entry = {"schema": [{"name": "KEY"}], "values": {"KEY": "new", "BEFORE": "old"}}
    assert FILTERS["rotation_exchanged"](entry, "KEY", "BEFORE") == {"schema": entry["schema"], "values": {"KEY": "old", "BEFORE": "new"}}


def test_an_environment_meanwhile_keeps_its_schema() -> None:
    entry = {"schema": [{"name": "URL"}], **ENVIRONMENTS["api"]}
    moved = FILTERS["rotation_env"](entry, "shop", "new-password")
    assert moved["schema"] == entry["schema"]
    assert moved["values"]["URL"].startswith("postgresql://shop__rotation:")
    with pytest.raises(AnsibleFilterError, match="PW holds the password of shop") as caught:
        FILTERS["rotation_env"]({"values": {"PW": "new-password"}}, "shop", "new-password")
    assert "new-password" not in str(caught.value)


def test_users_of_redis_with_another_password_are_found_in_either_file(tmp_path: Path) -> None:
    old, users = tmp_path / "aistack.conf", tmp_path / "aistack-users.conf"

    def line(name: str, password: str) -> str:
        return f"user {name} on #{hashlib.sha256(password.encode()).hexdigest()} ~* +@all\n"

    def ask() -> list[str]:
        script = yaml.safe_load(REDIS.read_text(encoding="utf-8"))["__redis_compare"]
        asked = "\n".join(f"{name} {hashlib.sha256(b'p1').hexdigest()}" for name in ("a.p", "app", "new"))
        done = subprocess.run(
            ["/bin/sh", "-c", script, str(old), str(users)], input=asked + "\n", capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout.split()

    assert ask() == []
    old.write_text("port 6379\n" + line("app", "p1") + line("aXp", "p2"))  # as written before users had a file of their own
    assert ask() == []
    old.write_text(line("app", "p2"))
    assert ask() == ["app"]
    users.write_text(line("app", "p1") + line("a.p", "p2"))
    assert ask() == ["a.p"]
