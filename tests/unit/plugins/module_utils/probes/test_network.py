# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""tcp, dns, port and redis against real sockets."""

from __future__ import annotations

import os
import re
import socket
import time

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import CannotJudge, parted


def test_tcp(talk, observe, free_port):
    port = talk(lambda client: None)
    assert observe(tcp=f"127.0.0.1:{port}").ok
    assert observe(tcp={"host": "127.0.0.1", "port": port}).ok
    seen = observe(tcp=f"127.0.0.1:{free_port}")
    assert not seen.ok
    assert seen.got == f"connection refused (127.0.0.1:{free_port})"


def test_tcp_that_must_be_refused(talk, observe, free_port):
    assert observe(tcp=f"127.0.0.1:{free_port}", refused=True).ok
    seen = observe(tcp=f"127.0.0.1:{talk(lambda client: None)}", refused=True)
    assert not seen.ok
    assert seen.got.startswith("connected")


def test_a_name_that_does_not_resolve_is_no_refusal(observe):
    seen = observe(tcp="no-such-host.invalid:1", refused=True)
    assert not seen.ok
    assert "cannot be resolved" in seen.got


@pytest.mark.parametrize(
    ("target", "want"), [("a:1", ("a", 1)), ("[::1]:80", ("::1", 80)), ("10.0.0.1:65535", ("10.0.0.1", 65535))]
)
def test_host_and_port(target, want):
    assert parted(target) == want


@pytest.mark.parametrize("target", ["host", "host:", "host:0", "host:99999", "host:x", "::1"])
def test_no_host_and_port(target):
    with pytest.raises(CannotJudge):
        parted(target)


def test_dns(observe, monkeypatch):
    def resolve(name, _port, **_rest):
        if name != "db":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, 1, 6, "", (address, 0)) for address in ("10.0.0.2", "10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert observe(dns="db").ok
    assert observe(dns="db", addresses=["10.0.0.1", "10.0.0.2"]).ok
    assert observe(dns="db", addresses={"contains": "10.0.0.2"}).ok
    seen = observe(dns="db", addresses=["10.0.0.1"])
    assert not seen.ok
    assert (seen.expected, seen.got) == ("addresses = [10.0.0.1]", "addresses = [10.0.0.1, 10.0.0.2]")
    assert "cannot be resolved" in observe(dns="other").got


def test_port_names_who_holds_it(observe, free_port):
    assert observe(port=free_port).ok
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.getsockname()[1]
        seen = observe(port=number)
        assert not seen.ok
        assert f"pid {os.getpid()}" in seen.got
        assert "on 127.0.0.1" in seen.got
        assert observe(port=number, process="pytest|python").ok
        assert not observe(port=number, process="haproxy").ok
        assert not observe(port=number, unit="haproxy.service").ok
    assert not observe(port=free_port, process="haproxy").ok
    assert observe(port=free_port, process="haproxy", or_free=True).ok


class FakeRedis:
    """Speaks as much of RESP2 as a probe hears; answers AUTH only with the right password."""

    def __init__(self, password: str = "") -> None:
        self.password = password

    def __call__(self, client: socket.socket) -> None:
        allowed = not self.password
        buffer = b""
        while True:
            chunk = client.recv(4096)
            if not chunk:
                return
            buffer += chunk
            words, buffer = self.words(buffer)
            if not words:
                continue
            name = words[0].upper()
            if name == "AUTH":
                allowed = words[-1] == self.password
                client.sendall(b"+OK\r\n" if allowed else b"-WRONGPASS invalid username-password pair or user is disabled.\r\n")
            elif not allowed:
                client.sendall(b"-NOAUTH Authentication required.\r\n")
            elif name == "PING":
                client.sendall(b"+PO")
                time.sleep(0.02)  # in two parts, as networks do
                client.sendall(b"NG\r\n")
            elif name == "CONFIG":
                client.sendall(b"*2\r\n$16\r\nmaxmemory-policy\r\n$10\r\nnoeviction\r\n")
            elif name == "INFO":
                client.sendall(b"$42\r\n# Server\r\nredis_version:7.0.15\r\nprocs:12\r\n\r\n")
            elif name == "LLEN":
                client.sendall(b":7\r\n")
            elif name == "GET":
                client.sendall(b"$-1\r\n")
            else:
                client.sendall(b"-ERR unknown command\r\n")

    @staticmethod
    def words(buffer: bytes) -> tuple[list[str], bytes]:
        head = re.match(rb"\*(\d+)\r\n", buffer)
        if not head:
            return [], buffer
        rest, found = buffer[head.end() :], []
        for _word in range(int(head.group(1))):
            size = re.match(rb"\$(\d+)\r\n", rest)
            if not size or len(rest) < size.end() + int(size.group(1)) + 2:
                return [], buffer
            found.append(rest[size.end() : size.end() + int(size.group(1))].decode())
            rest = rest[size.end() + int(size.group(1)) + 2 :]
        return found, rest


@pytest.fixture
def redis(talk, tmp_path):
    (tmp_path / "pw").write_text("r3dis!\n")
    return {"host": "127.0.0.1", "port": talk(FakeRedis("r3dis!")), "password_file": str(tmp_path / "pw")}


@pytest.mark.parametrize(
    "probe",
    [
        {},
        {"command": ["CONFIG", "GET", "maxmemory-policy"], "value": {"maxmemory-policy": "noeviction"}},
        {"command": ["CONFIG", "GET", "maxmemory-policy"], "value": {"contains": "noeviction"}},
        {"command": ["INFO"], "value": {"redis_version": {"matches": "^7"}, "procs": {"ge": 10}}},
        {"command": ["LLEN", "celery"], "value": {"le": 7}},
        {"command": ["LLEN", "celery"], "value": 7},
    ],
)
def test_redis_as_expected(observe, redis, probe):
    seen = observe(redis=redis, **probe)
    assert seen.ok, seen


def test_redis_not_as_expected(observe, redis):
    seen = observe(redis=redis, command=["CONFIG", "GET", "maxmemory-policy"], value={"maxmemory-policy": "allkeys-lru"})
    assert (seen.ok, seen.expected, seen.got) == (False, "maxmemory-policy = allkeys-lru", "maxmemory-policy = noeviction")
    assert not observe(redis=redis, command=["GET", "x"], value="1").ok


def test_redis_wrong_password(observe, redis, tmp_path):
    (tmp_path / "other").write_text("wrong-one")
    seen = observe(redis={**redis, "password_file": str(tmp_path / "other")})
    assert not seen.ok
    assert "WRONGPASS" in seen.got
    assert "wrong-one" not in str(seen)
    without = {key: redis[key] for key in ("host", "port")}
    assert observe(redis=without, refused=True).ok
    assert not observe(redis=redis, refused=True).ok


def test_redis_address_out_of_an_environment_file(observe, redis, tmp_path):
    env = tmp_path / "env"
    env.write_text(f'REDIS_URL="redis://:r3dis%21@127.0.0.1:{redis["port"]}/0"\n')
    assert observe(redis={"env_file": str(env)}).ok
    seen = observe(redis={"env_file": str(env), "env_key": "CELERY_URL"})
    assert seen.error
    assert "has no CELERY_URL" in seen.got


@pytest.mark.parametrize("address", ["sentinel://s1:26379;sentinel://s2:26379", "redis+sentinel://:hush@s1:26379/mymaster/0"])
def test_redis_sentinel_is_refused_by_name(observe, tmp_path, address):
    (tmp_path / "env").write_text(f"REDIS_URL={address}\n")
    seen = observe(redis={"env_file": str(tmp_path / "env")})
    assert seen.error
    assert "is an address of Redis Sentinel" in seen.got
    assert "hush" not in seen.got
    if "hush" not in address:
        assert "is an address of Redis Sentinel" in observe(redis=address).got


def test_redis_by_its_address(observe, redis, talk):
    probe = {key: value for key, value in redis.items() if key not in ("host", "port")}
    place = f"{redis['host']}:{redis['port']}"
    assert observe(redis=f"redis://{place}/0", **probe).ok
    plain = talk(lambda client: client.sendall(b"-ERR this is no TLS\r\n"))
    assert "TLS" in observe(redis=f"rediss://127.0.0.1:{plain}", **probe).got
    assert observe(redis="amqp://h:1").error


def test_redis_other_language(observe, web):
    port = int(web.url.rsplit(":", 1)[1])
    seen = observe(redis=f"127.0.0.1:{port}", timeout=1)
    assert not seen.ok
    assert not seen.error
