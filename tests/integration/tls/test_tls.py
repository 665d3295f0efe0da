# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers that run with what the roles write: they speak TLS, to whom trusts their CA and to nobody in plain text."""

from __future__ import annotations

import http.client
import http.server
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import redis as backup_redis
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import PartError
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.haproxy import EdgeError, parse_info
from ansible_collections.phasegate.aistack.plugins.module_utils.edge.haproxy import Edge

from ..conftest import PASSWORD
from .conftest import World, observe

PATIENCE = 20.0
"""Seconds for what takes a moment: the machine may stand still for a while."""


def until(what: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while True:
        found = None
        with suppress(EdgeError):
            found = what()
        if found:
            return found
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


def program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert found, f"{name} is needed: tests/tools/host-packages.sh redis-server haproxy"
    return found


def test_a_certificate_that_clients_would_refuse_is_on_no_node(world: World) -> None:
    before = {path: path.read_bytes() for path in world.folder.glob("*.pem")}
    assert len(before) == 3
    for path in before:
        assert path.stat().st_mode & 0o777 == 0o600
    done = world.converge(world.authority.issue("elsewhere", "other.example.com"))
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0
    assert "does not name localhost" in said
    assert "Nothing of it was sent to a node" in said
    assert {path: path.read_bytes() for path in world.folder.glob("*.pem")} == before


@pytest.fixture
def redis(world: World) -> Iterator[int]:
    port = world.ports["redis"]
    child = subprocess.Popen(
        [program("redis-server"), str(world.file("redis.conf")), "--dir", str(world.folder), "--appendonly", "no"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
    )
    try:
        until(lambda: observe(tcp=f"127.0.0.1:{port}").ok)
        yield port
    finally:
        child.terminate()
        child.wait(PATIENCE)


def test_redis(world: World, redis: int, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("app-password")
    ca = str(world.authority.ca)
    named = {"redis": f"127.0.0.1:{redis}", "password_file": str(tmp_path / "password")}
    assert observe(**named, tls=True, ca_file=ca).ok
    assert "not trusted" in observe(**named, tls=True).got
    assert not observe(**named, timeout=5).ok, "it takes plain text"
    (tmp_path / "env").write_text(f'REDIS_URL="rediss://:app-password@localhost:{redis}/1?ssl_cert_reqs=required&ssl_ca_certs={ca}"\n')
    assert observe(type="redis", env_file=str(tmp_path / "env")).ok
    assert observe(tls=f"127.0.0.1:{redis}", certificate=str(world.file("redis-tls.pem"))).ok
    entry = {"name": "broker", "port": redis, "password_file": str(tmp_path / "password"), "ca_file": ca}
    with backup_redis.Server(entry, 20) as server:
        assert server.info("server")["redis_version"]
    pinned = {**entry, "ca_file": None, "host": "127.0.0.1", "certificate": str(world.file("redis-tls.pem")), "server_name": "localhost"}
    with backup_redis.Server(pinned, 20) as server:
        assert server.keys() == {}
    with pytest.raises(PartError, match="cannot be reached: the certificate is not trusted"), backup_redis.Server(
        {**entry, "ca_file": None, "tls": True}, 20
    ):
        pass


@pytest.fixture
def postgres(world: World) -> Iterator[int]:
    """The cluster of all tests, with the role's files for as long as it takes."""
    data = world.cluster.folder / "data"
    kept = {name: (data / name).read_bytes() for name in ("postgresql.conf", "pg_hba.conf")}
    try:
        with (data / "postgresql.conf").open("a") as conf:
            conf.write(f"\ninclude '{world.file('postgres.conf')}'\n")
        hba = world.file("pg_hba.conf").read_text()
        assert [line.split()[0] for line in hba.splitlines() if "app" in line and not line.startswith("#")] == ["hostssl", "host"]
        (data / "pg_hba.conf").write_text("local all all trust\n" + hba)
        world.cluster.ctl("reload")
        until(lambda: world.cluster.admin("SHOW ssl") == "on")
        yield world.cluster.port
    finally:
        for name, content in kept.items():
            (data / name).write_bytes(content)
        world.cluster.ctl("reload")
        until(lambda: world.cluster.admin("SHOW ssl") == "off")


def test_postgres(world: World, postgres: int, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    ca, file = str(world.authority.ca), str(world.file("postgres-tls.pem"))
    login = {"postgres": f"127.0.0.1:{postgres}", "user": "app", "password_file": str(tmp_path / "password")}
    query = {"query": "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()", "value": {"matches": "TLSv1[.][23]"}}
    assert observe(**login, **query, database="postgres", sslmode="verify-full", ca_file=ca).ok
    seen = observe(**login, database="postgres", sslmode="disable")
    assert "no encryption" in seen.got
    assert observe(**login, database="template1", sslmode="disable").ok, "a client on the node's own loopback"
    (tmp_path / "env").write_text(
        f'DATABASE_URL="postgresql+asyncpg://app:{quote(PASSWORD, safe="")}@localhost:{postgres}'
        f'/postgres?sslmode=verify-full&sslrootcert={ca}"\n'
    )
    assert observe(type="postgres", env_file=str(tmp_path / "env"), **query).ok
    # SQLAlchemy with asyncpg takes no file in the address
    url = f"postgresql+asyncpg://app:{quote(PASSWORD, safe='')}@localhost:{postgres}/postgres?ssl=verify-full"
    (tmp_path / "env").write_text(f'DATABASE_URL="{url}"\nPGSSLROOTCERT="{ca}"\n')
    assert observe(type="postgres", env_file=str(tmp_path / "env"), **query).ok
    shown = {"tls": f"127.0.0.1:{postgres}", "starttls": "postgres"}
    assert observe(**shown, certificate=file).ok
    assert observe(**shown, ca_file=ca, days_left=20).ok
    renewed = world.authority.issue("renewed", "localhost", "127.0.0.1")
    Path(file).write_bytes(b"".join(path.read_bytes() for path in renewed))
    assert "not trusted" in observe(**shown, certificate=file).got, "it shows the one from before until it is told"
    world.cluster.ctl("reload")
    until(lambda: observe(**shown, certificate=file).ok)


@pytest.fixture
def edge(world: World) -> Iterator[subprocess.Popen[bytes]]:
    """HAProxy in front of a slot; not as another user, and in no other root, since it may be anybody's test."""

    class Slot(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = str(self.headers.get("X-Forwarded-Proto")).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_arguments: Any) -> None:
            """Be quiet."""

    slot = http.server.ThreadingHTTPServer(("127.0.0.1", world.ports["slot"]), Slot)
    threading.Thread(target=slot.serve_forever, daemon=True).start()
    text = world.file("haproxy.cfg").read_text()
    kept = [line for line in text.splitlines() if line.split()[:1] not in (["chroot"], ["user"], ["group"])]
    world.file("haproxy.cfg").write_text("\n".join(line.replace(" user root group root", "") for line in kept) + "\n")
    command = [program("haproxy"), "-W", "-f", str(world.file("haproxy.cfg")), "-p", str(world.file("pid"))]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for name in ("web", "app"):
            part = Edge(str(world.file("admin")), name, str(world.file("state")))
            until(part.servers)
            part.set_state("blue", "ready")
        yield child
    finally:
        child.terminate()
        child.wait(PATIENCE)
        slot.shutdown()
        slot.server_close()


def test_edge(world: World, edge: subprocess.Popen[bytes]) -> None:
    ca, file, ports = str(world.authority.ca), world.file("edge-tls.pem"), world.ports
    for name in ("web", "app"):
        assert observe(http=f"https://127.0.0.2:{ports[name]}/", ca_file=ca, body="^https$").ok
        assert observe(http=f"http://127.0.0.1:{ports[name]}/", body="^http$").ok, "probes of the node"
    assert not observe(http=f"http://127.0.0.2:{ports['web']}/", timeout=5).ok, "it takes plain text"
    redirect = http.client.HTTPConnection("127.0.0.2", ports["redirect"], timeout=PATIENCE)
    redirect.request("GET", "/a?b=c")
    answer = redirect.getresponse()
    assert (answer.status, answer.headers["Location"]) == (308, f"https://127.0.0.2:{ports['web']}/a?b=c")
    client = ssl.create_default_context(cafile=ca)
    client.set_alpn_protocols(["h2", "http/1.1"])
    plain = socket.create_connection(("127.0.0.2", ports["web"]), PATIENCE)
    with client.wrap_socket(plain, server_hostname="127.0.0.2") as line:
        assert line.selected_alpn_protocol() == "h2"
    lost: list[str] = []
    asked, over = [0], threading.Event()

    def visit() -> None:
        while not over.is_set():
            seen = observe(http=f"https://127.0.0.2:{ports['web']}/", ca_file=ca)
            asked[0] += 1
            if not seen.ok:
                lost.append(seen.got)

    users = [threading.Thread(target=visit, daemon=True) for _user in range(2)]
    for user in users:
        user.start()
    renewed = world.authority.issue("edge", "localhost", "127.0.0.1", "127.0.0.2")
    fresh = world.file("edge-tls.pem.new")
    fresh.write_bytes(b"".join(path.read_bytes() for path in renewed))
    fresh.replace(file)
    shown = {"tls": f"127.0.0.2:{ports['web']}", "certificate": str(file)}
    assert not observe(**shown).ok, "it shows the one from before until it is told"
    admin = Edge(str(world.file("admin")), "web", str(world.file("state")))
    before = parse_info(admin.command("show info"))[0]
    os.kill(edge.pid, signal.SIGUSR2)
    until(lambda: parse_info(admin.command("show info"))[0] != before)
    until(lambda: observe(**shown).ok)
    now = asked[0]
    until(lambda: asked[0] > now + 5)
    over.set()
    for user in users:
        user.join(PATIENCE)
    assert lost == []
