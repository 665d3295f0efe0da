# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which servers an environment names, and what their answers mean."""

from __future__ import annotations

import socket
import ssl

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context, NotAsExpected
from ansible_collections.phasegate.aistack.plugins.module_utils.diagnosis import servers
from ansible_collections.phasegate.aistack.plugins.module_utils.diagnosis.servers import Named


def test_addresses_of_an_environment() -> None:
    found = servers.named({
        "DATABASE_URL": "postgresql+asyncpg://app:pw@db:5433/shop", "CELERY_BROKER_URL": "redis://:pw@10.0.0.1/0",
        "RESULT_URL": "rediss://10.0.0.1:6380/1", "OLLAMA_BASE_URL": "http://gpu:11434", "S3_ENDPOINT": "https://s3.example.com",
        "CACHE": "unix:///run/redis.sock", "LOG_LEVEL": "info", "ODD": "http://[x", "MAIL": "smtp://mail:25", "PORT": "8000",
    })
    assert [(one.variable, one.kind, one.address) for one in found] == [
        ("CACHE", "redis", "/run/redis.sock"), ("CELERY_BROKER_URL", "redis", "10.0.0.1:6379"), ("DATABASE_URL", "postgres", "db:5433"),
        ("OLLAMA_BASE_URL", "ollama", "gpu:11434"), ("RESULT_URL", "redis", "10.0.0.1:6380"),
        ("S3_ENDPOINT", "other", "s3.example.com:443"),
    ]


def test_models_of_an_environment() -> None:
    given = {"OLLAMA_MODEL": "qwen2.5:7b, llava", "OLLAMA_URL": "http://x", "EMBED_MODEL": "x", "OLLAMA_VISION_MODEL": ""}
    assert servers.models_named(given) == ["qwen2.5:7b", "llava:latest"]


@pytest.mark.parametrize(("said", "state"), [
    ('connection to server at "10.0.0.1", port 5432 failed: FATAL:  sorry, too many clients already', "full"),
    ("FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute", "full"),
    ('FATAL:  too many connections for role "app"', "full"),
    ('FATAL:  password authentication failed for user "app"', "password"),
    ('FATAL:  no pg_hba.conf entry for host "10.0.0.2", user "app", database "shop", no encryption', "password"),
    ('FATAL:  database "shop" does not exist', "missing"),
    ("FATAL:  the database system is starting up", "starting"),
    ("FATAL:  could not write init file: No space left on device", "disk"),
    ("SSL error: certificate verify failed: certificate has expired", "expired"),
    ("server certificate for \"db\" does not match host name", "tls"),
    ('could not translate host name "db" to address: Name or service not known', "unresolved"),
    ("connection to server at \"192.0.2.1\", port 5432 failed: timeout expired", "timeout"),
    ("Is the server running on that host and accepting TCP/IP connections? Connection refused", "refused"),
    ("connection to server failed: No route to host", "unreachable"),
    ("something else", "error"),
])
def test_what_postgresql_says(said: str, state: str) -> None:
    assert servers.classified(servers._POSTGRES, said) == state


@pytest.mark.parametrize(("said", "state"), [
    ("OOM command not allowed when used memory > 'maxmemory'.", "memory_full"),
    ("MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", "disk"),
    ("READONLY You can't write against a read only replica.", "read_only"),
    ("LOADING Redis is loading the dataset in memory", "starting"),
    ("NOPERM User worker has no permissions to run the 'llen' command", "acl"),
    ("NOAUTH Authentication required.", "password"),
    ("WRONGPASS invalid username-password pair or user is disabled.", "password"),
    ("ERR AUTH <password> called without any password configured for the default user.", "password"),
    ("DENIED Redis is running in protected mode because protected mode is enabled", "password"),
    ("ERR max number of clients reached", "full"),
    ("ERR unknown command", "error"),
])
def test_what_redis_says(said: str, state: str) -> None:
    assert servers.classified(servers._REDIS, said) == state


@pytest.mark.parametrize(("error", "state"), [
    (ConnectionRefusedError(), "refused"), (socket.gaierror(-2, "Name or service not known"), "unresolved"), (TimeoutError(), "timeout"),
    (OSError(113, "No route to host"), "unreachable"), (ssl.SSLError("x"), "tls"), (OSError(5, "x"), "error"),
    (FileNotFoundError(2, "x"), "refused"),
])
def test_errors_of_a_connection(error: OSError, state: str) -> None:
    assert servers.state_of(error) == state


def test_what_answers_is_something_else() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = Named("OLLAMA_URL", "ollama", "127.0.0.1", port, f"http://127.0.0.1:{port}")
        server.settimeout(0.01)
        servers.ask(found, "", servers.Wanted(), Context(timeout=0.3))
    assert found.seen["state"] == "timeout"
    assert servers._of_answer(NotAsExpected("status 404: nothing")) == "foreign"
    assert servers._of_answer(NotAsExpected("the connection was closed")) == "error"


def test_an_unreadable_environment_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Named("REDIS_URL", "redis", "127.0.0.1", 1, "redis://127.0.0.1:1")
    servers.ask(found, "/none/env", servers.Wanted(), Context(timeout=0.3))
    assert found.seen == {"state": "error", "error": "/none/env: No such file or directory"}


@pytest.mark.parametrize(("host", "port", "known"), [
    ("10.0.0.1", 6379, True), ("10.0.0.1", 6380, False), ("10.0.0.9", 6379, False), ("127.0.0.1", 6379, True), ("localhost", 6379, True),
])
def test_whether_the_inventory_has_it_there(host: str, port: int, known: bool) -> None:
    places = [{"component": "broker", "role": "redis", "address": "10.0.0.1", "port": 6379},
              {"component": "db", "role": "postgres", "address": "10.0.0.9", "port": 6379}]
    found = servers.known_as(Named("X", "redis", host, port, ""), places, ["10.0.0.1"])
    assert found == {"known": known, "wanted": "10.0.0.1:6379", "server": "broker"}


def test_an_inventory_that_has_none() -> None:
    assert servers.known_as(Named("X", "redis", "h", 1, ""), [], []) == {"known": False, "wanted": "-", "server": "redis"}
