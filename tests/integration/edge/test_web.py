# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a component says about its edge, at a real HAProxy as the role configures it: names, proxies, checks, limits, WebSockets, files."""

from __future__ import annotations

import http.client
import http.server
import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.edge.haproxy import Edge

from .test_drain import PATIENCE, free_port, until
from .test_shared import PLAY, ROOT

NODE, CLIENT, PROXY, CDN = "127.0.0.3", "127.0.0.4", "127.9.0.1", "127.9.0.2"
"""Addresses of loopback that stand for a node, somebody elsewhere, and two proxies in front of the edge."""


class Slot(http.server.BaseHTTPRequestHandler):
    """An application that serves one host name, says what it was asked, speaks over a WebSocket, and has the files of its release."""

    protocol_version = "HTTP/1.1"
    release = ""

    def do_GET(self) -> None:
        if self.headers.get("Upgrade") == "websocket":
            return self.speak()
        if self.path == "/healthz" and (self.headers.get("Host") != "shop.example.com" or self.headers.get("X-Key") != "100% 'it'"):
            return self.say(400, {})
        if self.path.startswith("/static/") and self.path != f"/static/{self.release}.js":
            return self.say(404, {})
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        headers = {name.lower(): self.headers.get_all(name) for name in self.headers}
        return self.say(200, {"release": self.release, "path": self.path, "headers": headers})

    do_POST = do_GET

    def say(self, status: int, what: dict[str, Any]) -> None:
        body = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def speak(self) -> None:
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        self.end_headers()
        while word := self.connection.recv(100):
            self.connection.sendall(word.upper())
        self.close_connection = True

    def log_message(self, *_arguments: Any) -> None:
        """Be quiet."""


class Server(http.server.ThreadingHTTPServer):
    """A server that does not mind a client that is gone, such as one that asked again elsewhere."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Be quiet."""


class Green(Slot):
    release = "v2"


class Blue(Slot):
    release = "v1"


HANDSHAKE = (
    "GET /ws HTTP/1.1", "Host: shop.example.com", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", "",
)


@dataclass
class Site:
    """The edge of a node, and the slots behind it by name."""

    folder: Path
    ports: dict[str, int]
    slots: dict[str, Any] = field(default_factory=dict)

    def edge(self, backend: str = "web") -> Edge:
        return Edge(f"{self.folder}/admin", backend, f"{self.folder}/state", master=f"{self.folder}/nobody")

    def ask(self, path: str, source: str = CLIENT, frontend: str = "web", body: Any = None, **headers: str) -> tuple[int, Any, Any]:
        """Status, headers and body of an answer; C(X_Key) stands for the header C(X-Key)."""
        client = http.client.HTTPConnection(NODE, self.ports[frontend], timeout=PATIENCE, source_address=(source, 0))
        names = {"Host": "shop.example.com", **{name.replace("_", "-"): value for name, value in headers.items()}}
        try:
            client.request("GET" if body is None else "POST", path, body=body, headers=names)
            answer = client.getresponse()
            text = answer.read().decode()
            return answer.status, answer.headers, json.loads(text) if text.startswith("{") else text
        finally:
            client.close()


def configured(folder: Path, ports: dict[str, int]) -> Path:
    """The configuration that the role writes for a stack of two components."""
    slots = {"blue": ports["blue"], "green": ports["green"]}
    web = {
        "name": "web", "port": ports["web"], "servers": slots, "assets": ["/static/"],
        "hosts": ["shop.example.com", "shop.example.org"], "trusted_proxies": ["127.9.0.0/16"],
        "check": {"path": "/healthz", "headers": {"X-Key": "100% 'it'"}}, "routes": {"/api": "api", "admin.example.com": "api"},
        "timeouts": {"server": "1s", "tunnel": "1h", "client": "1s"},
    }
    api = {"name": "api", "port": ports["api"], "servers": slots, "max_body": "1k"}
    given = {
        "ansible_python_interpreter": sys.executable, "aistack_name": "shop", "aistack_address": NODE,
        "edge_frontends": [web, api], "edge_bind": [NODE, "127.0.0.1"],
        "edge_metrics_port": ports["metrics"], "edge_metrics_readers": [PROXY],
        "edge_check": {"inter": "50ms", "fastinter": "50ms", "fall": 3, "rise": 1},
        "edge_admin_socket": f"{folder}/admin", "edge_state_file": f"{folder}/state", "__edge_places": [],
        "__edge_config": f"{folder}/haproxy.cfg", "__edge_registry": f"{folder}/etc",
        "__edge_dropin": f"{folder}/unit.d/aistack.conf", "__edge_state_script": f"{folder}/edge-state",
    }
    (folder / "vars.json").write_text(json.dumps(given))
    (folder / "play.yml").write_text(PLAY)
    command = [str(ROOT / ".venv/bin/ansible-playbook"), "-i", "localhost,", "-c", "local", "-e", f"@{folder / 'vars.json'}"]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"}
    done = subprocess.run(
        [*command, str(folder / "play.yml")], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        stdin=subprocess.DEVNULL, env={**environment, "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "haproxy.cfg"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """v2 is live in green; v1 served before, and its slot runs still."""
    program = shutil.which("haproxy", path="/usr/sbin:/usr/bin")
    assert program, "haproxy is needed: tests/tools/host-packages.sh haproxy"
    folder = tmp_path_factory.mktemp("h")
    servers = {slot.release: Server(("127.0.0.1", 0), slot) for slot in (Blue, Green)}
    ports = {name: free_port() for name in ("web", "api", "metrics")}
    ports.update(blue=servers["v1"].server_port, green=servers["v2"].server_port)
    site = Site(folder, ports, servers)
    for server in servers.values():
        threading.Thread(target=server.serve_forever, daemon=True).start()
    config = configured(folder, ports)
    process = subprocess.Popen([program, "-f", str(config)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: site.edge().servers())
        for name in ("web", "api"):
            site.edge(name).set_state("green", "ready")
        yield site
    finally:
        process.terminate()
        process.wait(PATIENCE)
        for server in servers.values():
            server.shutdown()
            server.server_close()


def test_an_application_that_verifies_its_host_is_up(site: Site) -> None:
    """The check is sent with the public name, and with the headers that it is told."""
    until(lambda: site.edge().load("green").status == "UP")
    answer = site.edge().command("show stat -1 4 -1")
    assert "L7OK" in answer
    assert "L7STS" not in answer
    assert site.ask("/")[0] == 200


def test_it_has_one_name(site: Site) -> None:
    """Another is sent to the first that is named, with path and query; the node's own probes, and who asks by an address, are not."""
    port = site.ports["web"]
    for name in ("www.shop.example.com", f"else.example.com:{port}", "SHOP.example.net"):
        status, headers, _body = site.ask("/cart?a=b", Host=name)
        assert (status, headers["Location"]) == (308, f"http://shop.example.com:{port}/cart?a=b")
    for name in (f"shop.example.com:{port}", "Shop.Example.ORG", f"{NODE}:{port}", f"[::1]:{port}"):
        assert site.ask("/", Host=name)[0] == 200
    assert site.ask("/", source=PROXY, Host="www.shop.example.com", X_Forwarded_Proto="https")[1]["Location"] == "https://shop.example.com/"
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    client.request("GET", "/", headers={"Host": "anything"})
    assert client.getresponse().status == 200


def test_only_trusted_proxies_say_who_asks(site: Site) -> None:
    """TLS that ends in front of the edge is kept; what anybody else says of himself is not."""
    seen = site.ask("/", X_Forwarded_Proto="https", X_Forwarded_For="8.8.8.8", X_Real_IP="8.8.8.8", Forwarded="for=8.8.8.8")[2]["headers"]
    assert (seen["x-forwarded-proto"], seen["x-forwarded-for"]) == (["http"], [CLIENT])
    assert not {"x-real-ip", "forwarded"} & set(seen)
    seen = site.ask("/", PROXY, X_Forwarded_Proto="https", X_Forwarded_For=f"8.8.8.8, {CLIENT}", X_Forwarded_Host="a.example")[2]["headers"]
    assert (seen["x-forwarded-proto"], seen["x-forwarded-for"], seen["x-forwarded-host"]) == (["https"], [CLIENT], ["a.example"])
    seen = site.ask("/", PROXY, X_Forwarded_Proto="https", X_Forwarded_For=f"8.8.8.8, {CLIENT}, {CDN}")[2]["headers"]
    assert seen["x-forwarded-for"] == [CLIENT], "a second proxy in front of the first"
    assert site.ask("/", PROXY)[2]["headers"]["x-forwarded-proto"] == ["http"], "a proxy that says nothing"
    assert site.ask("/", PROXY, X_Forwarded_Proto="javascript")[2]["headers"]["x-forwarded-proto"] == ["http"]
    seen = site.ask("/", PROXY, "api", X_Forwarded_Proto="https")[2]["headers"]
    assert seen["x-forwarded-proto"] == ["http"], "it is trusted only where it is named"


def test_an_upload_has_a_limit(site: Site) -> None:
    assert site.ask("/", frontend="api", body=b"x" * 1024)[0] == 200
    status, _headers, page = site.ask("/", frontend="api", body=b"x" * 1025)
    assert (status, page) == (413, "More than 1k were sent, which is the limit here.\n")
    with socket.create_connection((NODE, site.ports["api"]), timeout=PATIENCE) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: shop.example.com\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 411 "), "nobody knows how long it becomes"
    curl = ["curl", "--silent", "--max-time", "20", "--output", "/dev/null", "--write-out", "%{http_code}", "--http2-prior-knowledge"]
    for given, goes in ((["--upload-file", "-"], False), (["--request", "POST"], True)):
        asked = [*curl, *given, f"http://{NODE}:{site.ports['api']}/"]
        said = subprocess.run(asked, input="x", capture_output=True, text=True, check=False).stdout
        assert (said == "200") is goes, "HTTP/2 has no sign of a body but its first byte; its answer may come too late to be read"
    assert site.ask("/api/", body=b"x" * 1025)[0] == 413, "wherever it comes in"
    assert site.ask("/", body=b"x" * 1025)[0] == 200, "another component has its own limits"


def test_figures_are_for_their_readers(site: Site) -> None:
    """Those of other nodes are named; who is on this node comes over loopback."""
    status, _headers, text = site.ask("/metrics", PROXY, "metrics")
    assert status == 200
    assert 'haproxy_backend_active_servers{proxy="web"}' in text
    assert site.ask("/metrics", CLIENT, "metrics")[0] == 403
    assert site.ask("/", PROXY, "metrics")[0] == 404
    client = http.client.HTTPConnection("127.0.0.1", site.ports["metrics"], timeout=PATIENCE)
    client.request("GET", "/metrics")
    assert client.getresponse().status == 200


def test_a_path_or_a_name_leads_to_another_component(site: Site) -> None:
    for path in ("/api", "/api/items?a=b", "/apis"):
        assert site.ask(path)[2]["path"] == path
    before = site.edge("api").command("show stat -1 2 -1")
    site.ask("/api/items")
    site.ask("/items", Host="admin.example.com")
    site.ask("/apis")
    after = site.edge("api").command("show stat -1 2 -1")
    total = [next(int(row.split(",")[7]) for row in text.splitlines() if row.startswith("api,BACKEND,")) for text in (before, after)]
    assert total[1] - total[0] == 2


def test_a_websocket_outlives_the_time_for_an_answer(site: Site) -> None:
    """A second without a word would end a request here; a WebSocket has the time of a tunnel."""
    with socket.create_connection((NODE, site.ports["web"]), timeout=PATIENCE) as client:
        client.sendall("\r\n".join(HANDSHAKE).encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 101 ")
        client.sendall(b"one")
        assert client.recv(100) == b"ONE"
        threading.Event().wait(2.2)
        client.sendall(b"two")
        assert client.recv(100) == b"TWO"
        assert site.edge().load("green").sessions == 1, "a switch waits for it"


def connected(site: Site) -> socket.socket:
    """A WebSocket through the edge that has answered."""
    client = socket.create_connection((NODE, site.ports["web"]), timeout=PATIENCE)
    client.sendall("\r\n".join(HANDSHAKE).encode())
    assert client.recv(1000).startswith(b"HTTP/1.1 101 ")
    return client


def test_sessions_leave_in_their_own_time_and_none_is_cut(site: Site) -> None:
    """Fifty WebSockets on the slot that is left: each speaks until it goes; the wait ends with the last, or says how many are left."""
    edge = site.edge()
    until(lambda: edge.load("green").sessions == 0)
    sessions = [connected(site) for _ in range(50)]
    try:
        edge.set_state("blue", "ready")
        edge.set_state("green", "drain")
        assert site.ask("/")[2]["release"] == "v1", "who comes now is served by the other slot"
        assert edge.drained("green", timeout=0.3) == 50
        answered: list[bytes] = []

        def leave() -> None:
            for session in sessions:
                session.sendall(b"bye")
                answered.append(session.recv(100))
                session.close()

        leaving = threading.Timer(0.2, leave)
        leaving.start()
        assert edge.drained("green", timeout=PATIENCE) == 0
        leaving.join(PATIENCE)
        assert answered == [b"BYE"] * 50
    finally:
        edge.set_state("green", "ready")
        edge.set_state("blue", "maint")
        for session in sessions:
            session.close()


def test_files_of_the_release_before_are_there(site: Site) -> None:
    """A page of v1 is open somewhere while v2 is live; after a rollback it is the other way round; a slot that is gone is no error."""
    edge = site.edge()

    def release(path: str) -> Any:
        status, _headers, body = site.ask(path)
        return body["release"] if status == 200 else status

    try:
        assert [release(path) for path in ("/static/v2.js", "/static/v1.js", "/static/v0.js")] == ["v2", "v1", 404]
        assert release("/page") == "v2", "pages are the live slot's alone"
        assert site.ask("/static/v1.js", body=b"x")[0] == 404, "only files are asked for, nothing is done twice"
        edge.set_state("blue", "ready")
        edge.set_state("green", "maint")
        until(lambda: edge.load("blue").status == "UP")
        assert [release(path) for path in ("/static/v2.js", "/static/v1.js", "/static/v0.js")] == ["v2", "v1", 404]
        site.slots["v2"].shutdown()
        site.slots["v2"].server_close()
        assert [release(path) for path in ("/static/v2.js", "/static/v1.js", "/static/v0.js")] == [404, "v1", 404]
        edge.set_state("blue", "maint")
        assert [release(path) for path in ("/static/v1.js", "/page")] == [503, 503], "what was taken out of service stays out"
    finally:
        site.slots["v2"] = Server(("127.0.0.1", site.ports["green"]), Green)
        threading.Thread(target=site.slots["v2"].serve_forever, daemon=True).start()
        edge.set_state("green", "ready")
