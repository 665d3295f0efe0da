# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Causes that are real: each is provoked, and named as the first."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core.sockets import holders
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.pki import Authority

from .conftest import Node, Redis, free_port, listening


def first(found: Sequence[Any], rule: str, *words: str) -> dict[str, Any]:
    """The first cause, which has to be of *rule* and say all *words*."""
    assert found, "no cause was found"
    assert found[0]["rule"] == rule, [(cause["rule"], cause["seen"]) for cause in found]
    told = json.dumps(found[0])
    assert [word for word in words if word not in told] == []
    return dict(found[0])


def well(found: Sequence[Any]) -> bool:
    """Whether nothing is found of a component; what this machine itself lacks, such as memory, is another matter."""
    assert [(cause["rule"], cause["seen"]) for cause in found if cause["component"] and cause["certainty"] >= 50] == []
    return True


# --- worker and broker ---


def at(port: int) -> list[dict[str, Any]]:
    """Where the inventory has its Redis."""
    return [{"role": "redis", "address": "127.0.0.1", "port": port}]


def test_a_worker_that_reaches_its_broker(node: Node, redis: Redis) -> None:
    node.component("worker", {"CELERY_BROKER_URL": f"redis://:right@127.0.0.1:{redis.port}/0"})
    assert well(node.diagnosed(places=at(redis.port)))


def test_the_broker_has_another_password(node: Node, redis: Redis) -> None:
    node.component("worker", {"CELERY_BROKER_URL": f"redis://:wr0ng-s3cret@127.0.0.1:{redis.port}/0"})
    cause = first(node.diagnosed(places=at(redis.port)), "broker_password", "CELERY_BROKER_URL", f"127.0.0.1:{redis.port}", "WRONGPASS")
    assert "wr0ng-s3cret" not in json.dumps(cause)


def test_the_broker_does_not_run(node: Node) -> None:
    port = free_port()
    node.component("worker", {"CELERY_BROKER_URL": f"redis://127.0.0.1:{port}/0"})
    node.fails("worker", "raise SystemExit('consumer: Cannot connect to redis://127.0.0.1//: Error 111 connecting. Connection refused.')")
    cause = first(node.diagnosed(places=at(port)), "broker_down", "connection refused")
    assert {"node: worker does not reach its broker", "node: worker does not run"} <= set(cause["follows"])


def test_the_inventory_has_it_elsewhere(node: Node, redis: Redis) -> None:
    node.component("worker", {"CELERY_BROKER_URL": f"redis://127.0.0.1:{free_port()}/0"})
    first(node.diagnosed(places=at(redis.port)), "broker_address_wrong", f"127.0.0.1:{redis.port}")


def test_the_broker_is_not_to_be_reached(node: Node) -> None:
    """The kernel has no way to an address of the block for documentation."""
    subprocess.run(["ip", "route", "add", "unreachable", "198.51.100.7/32"], check=True)
    try:
        node.component("worker", {"CELERY_BROKER_URL": "redis://198.51.100.7:6379/0"})
        first(node.diagnosed(), "broker_network", "198.51.100.7:6379", "No route to host")
    finally:
        subprocess.run(["ip", "route", "del", "unreachable", "198.51.100.7/32"], check=True)


def test_its_name_is_not_resolved(node: Node) -> None:
    node.component("worker", {"CELERY_BROKER_URL": "redis://broker.invalid:6379/0"})
    first(node.diagnosed(), "name_not_resolved", "broker.invalid")


def test_the_rules_of_its_user_do_not_let_it(node: Node, redis: Redis) -> None:
    redis.ask("ACL", "SETUSER", "worker", "on", ">pw", "~*", "+ping", "+auth", "+select")
    node.component("worker", {"CELERY_BROKER_URL": f"redis://worker:pw@127.0.0.1:{redis.port}/0"})
    first(node.diagnosed(places=at(redis.port)), "broker_acl", "NOPERM")


def test_a_cache_is_no_broker(node: Node, redis: Redis) -> None:
    """Who uses Redis for something else needs no rights of Celery."""
    redis.ask("ACL", "SETUSER", "cache", "on", ">pw", "~cache:*", "+@all", "-@dangerous")
    node.component("api", {"CACHE_URL": f"redis://cache:pw@127.0.0.1:{redis.port}/0"})
    assert well(node.diagnosed(places=at(redis.port)))


def test_the_memory_of_the_broker_is_full(node: Node, redis: Redis) -> None:
    node.component("worker", {"CELERY_BROKER_URL": f"redis://:right@127.0.0.1:{redis.port}/0"})
    redis.ask("CONFIG", "SET", "maxmemory", "1")
    try:
        first(node.diagnosed(places=at(redis.port)), "broker_memory_full", "OOM")
    finally:
        redis.ask("CONFIG", "SET", "maxmemory", "0")


def test_nobody_takes_from_a_queue(node: Node, redis: Redis) -> None:
    node.component("worker", {"CELERY_BROKER_URL": f"redis://:right@127.0.0.1:{redis.port}/3"})
    for _number in range(3):
        redis.ask("-n", "3", "LPUSH", "video", "a task")
    redis.ask("-n", "3", "SADD", "_kombu.binding.video", "video")
    before = redis.ask("-n", "3", "DBSIZE")
    first(node.diagnosed(places=at(redis.port)), "queue_not_consumed", "3 tasks wait in video")
    assert redis.ask("-n", "3", "DBSIZE") == before, "looking leaves nothing there"


# --- an application that does not start ---


def test_a_variable_is_missing(node: Node) -> None:
    node.component("api", {"LOG_LEVEL": "info"})
    node.fails("api", "import os\nos.environ['PAYMENT_URL']")
    cause = first(node.diagnosed(), "variable_missing", "PAYMENT_URL")
    assert "node: api does not run" in cause["follows"]


def test_a_module_is_missing(node: Node) -> None:
    node.component("api", {"LOG_LEVEL": "info"})
    node.fails("api", "import no_such_package")
    first(node.diagnosed(), "import_error", "No module named 'no_such_package'")


def test_somebody_else_has_its_port(node: Node) -> None:
    port = free_port()
    node.component("api", {"LOG_LEVEL": "info"}, ports={"blue": port, "public": free_port()})
    holder = subprocess.Popen([sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, cwd=node.folder)
    try:
        until = time.monotonic() + 10
        while not holders(port):
            assert time.monotonic() < until
            time.sleep(0.05)
        node.fails("api", f"import socket\nsocket.socket().bind(('127.0.0.1', {port}))")
        cause = first(node.diagnosed(), "port_taken", f"port {port} is held by", f"pid {holder.pid}")
        assert "node: api does not start: an address that it listens on is in use" in cause["follows"]
    finally:
        holder.kill()
        holder.wait()


# --- models ---


class Standin(http.server.BaseHTTPRequestHandler):
    """Two answers of Ollama."""

    def do_GET(self) -> None:
        answer = {"/api/version": {"version": "0.5.7"}, "/api/tags": {"models": [{"name": "qwen2.5:7b"}]}}.get(self.path)
        body = json.dumps(answer or {"detail": "Not Found"}).encode()
        self.send_response(200 if answer else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: object) -> None: ...


@pytest.fixture
def ollama() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Standin)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_a_model_is_missing(node: Node, ollama: int) -> None:
    node.component("api", {"OLLAMA_URL": f"http://127.0.0.1:{ollama}", "OLLAMA_MODEL": "llava:13b"})
    first(node.diagnosed(), "model_missing", "llava:13b", "qwen2.5:7b")


def test_ollama_does_not_run(node: Node) -> None:
    port = free_port()
    node.component("api", {"OLLAMA_URL": f"http://127.0.0.1:{port}"})
    first(node.diagnosed(places=[{"role": "ollama", "address": "127.0.0.1", "port": port}]), "ollama_down", "connection refused")


def test_ollama_is_elsewhere(node: Node, ollama: int) -> None:
    node.component("api", {"OLLAMA_URL": f"http://127.0.0.1:{free_port()}"})
    first(node.diagnosed(places=[{"role": "ollama", "address": "127.0.0.1", "port": ollama}]), "ollama_address_wrong", str(ollama))


# --- the node and its edge ---


def test_a_disk_is_full(node: Node) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(node.root)], check=True)
    try:
        node.component("api", {"LOG_LEVEL": "info"})
        with pytest.raises(OSError, match="No space left"):
            (node.root / "log").write_bytes(b"x" * (2 << 20))
        node.fails("api", f"open({str(node.root / 'more')!r}, 'wb', 0).write(b'x' * 65536)")
        cause = first(node.diagnosed(), "disk_full", str(node.root))
        assert "node: api does not run" in cause["follows"]
    finally:
        subprocess.run(["umount", str(node.root)], check=True)


def test_a_certificate_has_ended(node: Node) -> None:
    path, _key = Authority(node.folder).issue("redis", "127.0.0.1", begins=-9, ends=-1)
    (node.state / "receipts").mkdir()
    (node.state / "receipts" / "redis.json").write_text(json.dumps({"inputs": "", "files": {str(path): "1"}}), encoding="utf-8")
    first(node.diagnosed(only=["redis"]), "certificate_expired", "redis.pem")


def test_a_client_does_not_take_a_certificate_that_has_ended(node: Node) -> None:
    authority = Authority(node.folder)
    path, key = authority.issue("redis", "127.0.0.1", begins=-9, ends=-1)
    port = free_port()
    words = ["--port", "0", "--tls-port", str(port), "--tls-cert-file", str(path), "--tls-key-file", str(key), "--tls-auth-clients", "no"]
    with listening(["redis-server", "--bind", "127.0.0.1", "--save", "", "--dir", str(node.folder), *words], port):
        node.component("worker", {"CELERY_BROKER_URL": f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={authority.ca}"})
        first(node.diagnosed(places=at(port)), "certificate_refused", "expired")


def test_the_edge_has_no_server(node: Node) -> None:
    socket_path, port = node.folder / "admin.sock", free_port()
    config = node.folder / "haproxy.cfg"
    config.write_text(
        f"global\n  stats socket {socket_path} level admin\ndefaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n"
        f"  timeout server 1s\nfrontend api\n  bind 127.0.0.1:{port}\n  default_backend api\nbackend api\n"
        f"  server blue 127.0.0.1:1 disabled\n  server green 127.0.0.1:2 disabled\n", encoding="utf-8",
    )
    child = subprocess.Popen(["haproxy", "-db", "-f", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 10
        while not socket_path.exists():
            assert time.monotonic() < until
            time.sleep(0.05)
        edge = {"socket": str(socket_path), "backend": "api", "state_file": str(node.folder / "states"), "address": "127.0.0.1"}
        node.component("api", {"LOG_LEVEL": "info"}, edge=edge)
        first(node.diagnosed(), "edge_without_server", "blue maint", "green maint")
    finally:
        child.terminate()
        child.wait(10)
