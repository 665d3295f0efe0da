# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All environments of a stack before anything is touched; a wrong login is named, its password is not."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.environment import check as env_check
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.check import Account

GOOD, OTHER = "right-and-long-enough", "0ther/one@odd:chars"
ACCOUNTS = [
    Account("postgres", "app", GOOD, "postgres_users", ("db",), frozenset({("10.0.0.1", 5432), ("db", 5432)})),
    Account("redis", "app", GOOD, "redis_users", ("db",), frozenset({("10.0.0.1", 6379)})),
    Account("redis", "default", GOOD, "redis_password", ("db",), frozenset({("10.0.0.1", 6379)})),
    Account("minio", "app", GOOD, "minio_users", ("db",), frozenset({("10.0.0.1", 9000)})),
]
QUOTED = "0ther%2Fone%40odd%3Achars"


@pytest.mark.parametrize(
    ("values", "host", "words"),
    [
        ({"URL": f"postgresql+asyncpg://app:{GOOD}@10.0.0.1:5432/shop"}, "web", []),
        ({"URL": f"postgresql+asyncpg://app:{QUOTED}@10.0.0.1:5432/shop"}, "web", ["URL: ", "app at 10.0.0.1:5432", "postgres_users"]),
        ({"URL": f"postgres://app:{OTHER[:5]}@db/shop"}, "web", ["app at db:5432"]),
        ({"URL": f"postgresql://app:{QUOTED}@127.0.0.1/shop"}, "db", ["app at 127.0.0.1:5432"]),
        ({"URL": f"postgresql://app:{QUOTED}@127.0.0.1/shop"}, "web", []),  # another server, on that host itself
        ({"URL": f"postgresql://app:{QUOTED}@elsewhere.example.com/shop"}, "web", []),
        ({"URL": f"postgresql://reader:{QUOTED}@10.0.0.1/shop"}, "web", []),
        ({"BROKER": f"redis://app:{QUOTED}@10.0.0.1:6379/0"}, "web", ["BROKER: ", "redis_users"]),
        ({"BROKER": f"rediss://:{QUOTED}@10.0.0.1/0"}, "web", ["BROKER: ", "default at 10.0.0.1:6379", "redis_password"]),
        ({"BROKER": f"redis://:{GOOD}@10.0.0.1/0"}, "web", []),
        ({"E": "10.0.0.1:9000", "MINIO_ACCESS_KEY": "app", "MINIO_SECRET_KEY": OTHER}, "web", ["MINIO_SECRET_KEY: ", "minio_users"]),
        ({"E": "http://10.0.0.1:9000", "AWS_ACCESS_KEY_ID": "app", "AWS_SECRET_ACCESS_KEY": OTHER}, "web", ["AWS_SECRET_ACCESS_KEY: "]),
        ({"E": "10.0.0.1:9000", "MINIO_ACCESS_KEY": "app", "MINIO_SECRET_KEY": GOOD}, "web", []),
        ({"E": "s3.example.com", "MINIO_ACCESS_KEY": "app", "MINIO_SECRET_KEY": OTHER}, "web", []),
        ({"URL": "postgresql://app@[:/", "PLAIN": "postgres"}, "web", []),
    ],
)
def test_a_login_that_the_server_would_refuse(values: dict[str, str], host: str, words: list[str]) -> None:
    found = env_check.login_problems(values, ACCOUNTS, host)
    assert bool(found) == bool(words)
    for word in words:
        assert word in found[0]
    assert not any(secret in line for line in found for secret in (GOOD, OTHER, QUOTED, OTHER[:5]))


@pytest.mark.parametrize(
    ("url", "host", "takes_tls", "words"),
    [
        ("redis://:{}@10.0.0.1/0", "web", True, ["URL: says redis://", "redis on db takes TLS only (redis_tls)", "write rediss://"]),
        ("redis://:{}@127.0.0.1/0", "db", True, ["write rediss://"]),
        ("rediss://:{}@10.0.0.1/0", "web", True, []),
        ("rediss://:{}@10.0.0.1/0", "web", False, ["speaks plain text", "or give redis_tls"]),
        ("postgresql://app:{}@10.0.0.1/shop?sslmode=disable", "web", True, ["sslmode=disable", "write sslmode=verify-full"]),
        ("postgresql://app:{}@127.0.0.1/shop?sslmode=disable", "db", True, []),
        ("postgresql://app:{}@10.0.0.1/shop", "web", True, []),  # libpq asks for TLS by itself
        ("postgresql://app:{}@10.0.0.1/shop?sslmode=verify-full", "web", True, []),
        ("postgresql://app:{}@10.0.0.1/shop?sslmode=disable", "web", False, []),
        ("http://10.0.0.1:9000", "web", True, ["minio on db takes TLS only", "write https://"]),
        ("https://10.0.0.1:9000/", "web", True, []),
        ("https://10.0.0.1:9000", "web", False, ["write http://"]),
        ("http://10.0.0.1:90001", "web", True, []),
    ],
)
def test_an_address_that_speaks_otherwise_than_the_server(url: str, host: str, takes_tls: bool, words: list[str]) -> None:
    accounts = [dataclasses.replace(account, tls=takes_tls) for account in ACCOUNTS]
    found = env_check.login_problems({"URL": url.format(GOOD)}, accounts, host)
    assert len(found) == bool(words), found
    for word in words:
        assert word in found[0]


def components(**more: Any) -> dict[str, Any]:
    return {
        "db": {"role": "postgres", "hosts": "db"},
        "api": {"role": "backend", "hosts": "web", "application": "shop", "env": "common"},
        "worker": {"role": "worker", "hosts": "web", "release_from": "api", "env": "common"},
        **more,
    }


def environment(url: str, **more: Any) -> dict[str, Any]:
    return {"common": {"schema": [{"name": "URL", "type": "dsn", "required": True, "secret": True}], "values": {"URL": url, **more}}}


GROUPS = {"db": ["db"], "web": ["w1", "w2"]}
FINE = environment(f"postgresql://app:{GOOD}@10.0.0.1/shop")


def test_every_released_component_is_looked_at_and_each_fault_said_once() -> None:
    assert env_check.problems(components(), GROUPS, {"w1": FINE, "w2": FINE}, ACCOUNTS) == []
    bad = environment("no address", UNKNOWN=1)
    found = env_check.problems(components(), GROUPS, {"w1": bad, "w2": bad}, ACCOUNTS)
    assert len(found) == 2
    assert found[0].startswith("aistack_env.common: UNKNOWN: is not in the schema")
    assert found[1].startswith("aistack_env.common: URL: expected a data source name")
    assert "no address" not in str(found)


def test_what_is_wrong_on_one_host_names_it() -> None:
    (found,) = env_check.problems(components(), GROUPS, {"w1": FINE, "w2": environment("")}, ACCOUNTS)
    assert found.startswith("aistack_env.common: URL: is empty and required")
    assert found.endswith("(on w2)")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["x"], "must be a mapping with schema and values"),
        ({"schema": {"name": "A"}}, "schema: must be a list"),
        ({"schema": [], "values": ["A"]}, "values: must be a mapping"),
        ({"schema": [{"name": "A", "type": None, "secret": True}], "values": {"A": "changeme"}}, "A: is left at the forbidden default"),
    ],
)
def test_an_environment_of_the_wrong_shape(given: Any, words: str) -> None:
    assert words in env_check.environment_problems(given, ACCOUNTS, "w1")[0]


def test_a_component_without_an_environment_has_an_empty_one() -> None:
    assert env_check.problems(components(bare={"hosts": "web", "application": "shop"}), GROUPS, {"w1": FINE, "w2": FINE}, []) == []


@pytest.mark.parametrize("password", ["ChangeThis", "minioadmin", "left-as-in-the-example"])
def test_a_server_gives_nobody_a_password_that_everybody_knows(password: str) -> None:
    """Of the roles' own users as of what an environment holds: the database of a new stack is made with it."""
    weak = dataclasses.replace(ACCOUNTS[0], password=password)
    given = environment(f"postgresql://app:{GOOD}@elsewhere/shop")
    given["common"]["schema"].append({"name": "KEY", "forbidden": ["left-as-in-the-example"]})
    found = env_check.problems(components(), GROUPS, {"w1": given, "w2": given}, [weak, weak, ACCOUNTS[1]])
    assert found == [f"postgres_users: the password of app is the forbidden default {password!r}; set one of your own"]
