# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosts behind one address, each a real HAProxy as the role configures it, and a third that leads to them: who asks loses nothing."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.haproxy import stat_rows
from ansible_collections.phasegate.aistack.plugins.module_utils.edge.haproxy import Edge
from ansible_collections.phasegate.aistack.plugins.module_utils.edge.pool import ALIVE
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.metric_source import Snapshot
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.trigger import normalise as normalise_trigger
from ansible_collections.phasegate.aistack.plugins.module_utils.probes import REGISTRY
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.spec import normalise
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.pki import Authority

from .test_drain import PATIENCE, free_port, until
from .test_shared import ROOT
from .test_web import HANDSHAKE, Server, Slot

CLIENT, STRANGER = "127.0.0.4", "127.0.0.5"
HOSTS = {"lead": "127.0.0.6", "one": "127.0.0.2", "two": "127.0.0.3"}
"""Addresses of loopback: the host that leads, and the two that it leads to."""
LATE = 2.0
"""Seconds in which a host that is gone is out: fall checks of inter each, and as much again for a busy machine."""
PLACES = {
    "edge_admin_socket": "admin", "edge_state_file": "state", "__edge_config": "haproxy.cfg", "__edge_registry": "etc",
    "__edge_dropin": "unit.d/aistack.conf", "__edge_state_script": "edge-state", "__edge_tls_file": "tls.pem", "__edge_ca_file": "ca.pem",
}
"""What the role lays down, in a folder for each host; said with C(-e), since nothing else is stronger than what the role says itself."""
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: phasegate.aistack.edge, tasks_from: configure}
"""


class Whole(Slot):
    """It answers in one piece: what has begun to arrive cannot be asked for again."""

    def say(self, status: int, what: dict[str, Any]) -> None:
        body = json.dumps(what).encode()
        self.wfile.write(f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


class One(Whole):
    release = "one"


class Two(Whole):
    release = "two"


@dataclass
class Fleet:
    """Hosts by name, each with an edge of its own; C(ports) are those of the inventory."""

    folder: Path
    ports: dict[str, int]
    programs: dict[str, Any] = field(default_factory=dict)

    def edge(self, host: str, backend: str = "web") -> Edge:
        folder = self.folder / host
        return Edge(f"{folder}/admin", backend, f"{folder}/state", master=f"{folder}/nobody")

    def start(self, host: str) -> None:
        """Its HAProxy, which goes on with what was switched before."""
        command = ["/usr/sbin/haproxy", "-f", str(self.folder / host / "haproxy.cfg")]
        with (self.folder / host / "log").open("ab") as log:
            self.programs[host] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(lambda: self.edge(host, "web.pool" if host == "lead" else "web").servers())

    def kill(self, host: str) -> None:
        self.programs[host].kill()
        self.programs[host].wait(PATIENCE)

    def state(self, host: str) -> str:
        return self.edge("lead", "web.pool").servers()[host].state

    def check(self, host: str) -> str:
        """How its last health check came out, in HAProxy's words."""
        rows = stat_rows(self.edge("lead", "web.pool").command("show stat"))
        return rows["web.pool", host]["check_status"]

    def ask(self, path: str = "/", method: str = "GET", source: str = CLIENT, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and body of the pool's answer."""
        client = http.client.HTTPConnection(HOSTS["lead"], self.ports["public"], timeout=PATIENCE, source_address=(source, 0))
        try:
            names = {"Host": "shop.example.com", **{name.replace("_", "-"): value for name, value in headers.items()}}
            client.request(method, path, body=body, headers=names)
            answer = client.getresponse()
            text = answer.read().decode()
            return answer.status, json.loads(text) if text.startswith("{") else answer.headers["Location"] or text
        finally:
            client.close()


def inventory(folder: Path, ports: Mapping[str, int], **more: Any) -> Path:
    """Three hosts of a stack with one component."""
    web = {
        "role": "backend", "hosts": "web", "application": "shop", "port": "web",
        "edge": {"hosts": ["shop.example.com"], "max_body": "1k"}, "pool": {"edge": "front", "port": "public"},
    }
    hosts = {
        name: {
            "ansible_connection": "local", "ansible_python_interpreter": sys.executable, "aistack_address": address,
            "aistack_ports": {**ports, "web_blue": ports[f"{name}_slot"], "web_green": ports[f"{name}_idle"]} if name != "lead" else ports,
        }
        for name, address in HOSTS.items()
    }
    variables = {
        "aistack_name": "shop", "edge_bind": ["{{ aistack_address }}"],
        "edge_check": {"inter": "100ms", "fastinter": "50ms", "fall": 10, "rise": 1},  # a check has 100 ms, which a busy machine may miss
        "aistack_components": {"edge": {"role": "edge", "hosts": "all"}, "web": web}, **more,
    }
    groups = {"web": {"hosts": {"one": None, "two": None}}, "front": {"hosts": {"lead": None}}}
    path = folder / "hosts.yml"
    path.write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": variables, "children": groups}}))
    return path


def converge(folder: Path, path: Path) -> subprocess.CompletedProcess[str]:
    """The configuration as the role writes it on each of them."""
    (folder / "play.yml").write_text(PLAY)
    (folder / "places.yml").write_text(yaml.safe_dump({key: f"{folder}/{{{{ inventory_hostname }}}}/{end}" for key, end in PLACES.items()}))
    for name in HOSTS:
        (folder / name).mkdir(exist_ok=True)
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"}
    return subprocess.run(
        [str(ROOT / ".venv/bin/ansible-playbook"), "-i", str(path), "-e", f"@{folder / 'places.yml'}", "-e", '{"__edge_places": []}',
         str(folder / "play.yml")],
        cwd=ROOT, capture_output=True, text=True, timeout=180, check=False, stdin=subprocess.DEVNULL,
        env={**environment, "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"},
    )


def fleet_of(folder: Path, **more: Any) -> Iterator[Fleet]:
    """Both hosts serve; C(more) is said in the inventory besides."""
    assert shutil.which("haproxy", path="/usr/sbin"), "haproxy is needed: tests/tools/host-packages.sh haproxy"
    slots = {name: Server(("127.0.0.1", 0), slot) for name, slot in (("one", One), ("two", Two))}
    ports = {name: free_port() for name in ("web", "public", "one_idle", "two_idle")}
    ports.update({"web_blue": 1, "web_green": 2, **{f"{name}_slot": server.server_port for name, server in slots.items()}})
    for server in slots.values():
        threading.Thread(target=server.serve_forever, daemon=True).start()
    fleet = Fleet(folder, ports)
    try:
        done = converge(folder, inventory(folder, ports, **more))
        assert done.returncode == 0, done.stdout + done.stderr
        for host in HOSTS:
            fleet.start(host)
        for host in slots:
            fleet.edge(host).set_state("blue", "ready")
            until(lambda host=host: fleet.state(host) == "ready")
        yield fleet
    finally:
        for program in fleet.programs.values():
            program.kill()
            program.wait(PATIENCE)
        for server in slots.values():
            server.shutdown()
            server.server_close()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    yield from fleet_of(tmp_path_factory.mktemp("f"))


@dataclass
class Visitors:
    """Four who ask one after another, each over one connection as a browser keeps it, until C(leave)."""

    fleet: Fleet
    got: list[tuple[float, int | str, str]] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Visitors:
        self.threads = [threading.Thread(target=self.visit, daemon=True) for _ in range(4)]
        for thread in self.threads:
            thread.start()
        return self

    def visit(self) -> None:
        client = http.client.HTTPConnection(HOSTS["lead"], self.fleet.ports["public"], timeout=PATIENCE, source_address=(CLIENT, 0))
        while not self.left.wait(0.002):
            try:
                client.request("GET", "/", headers={"Host": "shop.example.com"})
                answer = client.getresponse()
                text = answer.read().decode()
                said: tuple[int | str, str] = (answer.status, json.loads(text)["release"] if answer.status == 200 else text)
            except (OSError, http.client.HTTPException) as error:
                client.close()
                said = (repr(error), "")
            self.got.append((time.monotonic(), *said))
        client.close()

    def __exit__(self, *_error: object) -> None:
        self.left.set()
        for thread in self.threads:
            thread.join(PATIENCE)

    def failed(self) -> list[tuple[float, int | str, str]]:
        return [one for one in self.got if one[1] != 200]

    def since(self, moment: float) -> Counter[str]:
        return Counter(host for when, _status, host in list(self.got) if when > moment)


def connected(fleet: Fleet) -> socket.socket:
    """A WebSocket through the pool that has answered."""
    client = socket.create_connection((HOSTS["lead"], fleet.ports["public"]), timeout=PATIENCE)
    client.sendall("\r\n".join(HANDSHAKE).encode())
    assert client.recv(1000).startswith(b"HTTP/1.1 101 ")
    return client


def test_the_application_sees_who_asks(fleet: Fleet) -> None:
    """Not the host that leads; and what he says of himself is dropped there, or at the host's edge where he comes by that."""
    for _ in range(4):
        headers = fleet.ask(X_Forwarded_For="8.8.8.8", X_Forwarded_Proto="https")[1]["headers"]
        assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == ([CLIENT], ["http"])
    client = http.client.HTTPConnection(HOSTS["one"], fleet.ports["web"], timeout=PATIENCE, source_address=(STRANGER, 0))
    client.request("GET", "/", headers={"Host": "shop.example.com", "X-Forwarded-For": "8.8.8.8", "X-Forwarded-Proto": "https"})
    headers = json.loads(client.getresponse().read())["headers"]
    assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == ([STRANGER], ["http"])


def test_a_name_is_corrected_once_and_to_the_port_of_the_pool(fleet: Fleet) -> None:
    place = f"http://shop.example.com:{fleet.ports['public']}/cart?a=b"
    assert fleet.ask("/cart?a=b", Host="www.shop.example.com") == (308, place)


def test_a_limit_is_told(fleet: Fleet) -> None:
    assert fleet.ask(method="POST", body=b"x" * 1024)[0] == 200
    assert fleet.ask(method="POST", body=b"x" * 1025) == (413, "More than 1k were sent, which is the limit here.\n")


def test_a_host_that_goes_away_costs_nobody_an_answer(fleet: Fleet) -> None:
    """Its edge is killed under load, with sessions open on both; it comes back, and is asked again."""
    sessions = []
    try:
        until(lambda: fleet.state("one") == fleet.state("two") == "ready")
        for host in ("one", "two"):  # who comes goes where fewest are
            fleet.edge("lead", "web.pool").command(f"set server web.pool/{'two' if host == 'one' else 'one'} state drain")
            sessions.append([connected(fleet) for _ in range(50 if host == "two" else 1)])
            fleet.edge("lead", "web.pool").command(f"set server web.pool/{'two' if host == 'one' else 'one'} state ready")
        assert fleet.edge("two").load("blue").sessions == 50
        with Visitors(fleet) as visitors:
            until(lambda: {"one"} <= set(visitors.since(0)))
            killed = time.monotonic()
            fleet.kill("one")
            until(lambda: fleet.state("one") == "down")
            out = time.monotonic()
            until(lambda: visitors.since(out)["two"] > 50)
            assert visitors.since(out)["one"] == 0
            fleet.start("one")
            back = time.monotonic()
            until(lambda: visitors.since(back)["one"] > 50)
        assert visitors.failed() == []
        assert out - killed < LATE
        for session in sessions[1]:
            session.sendall(b"still")
            assert session.recv(100) == b"STILL"
        assert sessions[0][0].recv(100) == b"", "who was on the other one comes again"
    finally:
        for session in [one for some in sessions for one in some]:
            session.close()


def test_probes_and_triggers_ask_a_pool_as_any_section(fleet: Fleet) -> None:
    place = str(fleet.folder / "lead" / "admin")
    until(lambda: fleet.state("one") == fleet.state("two") == "ready")
    probe = normalise({"name": "both", "haproxy": "web.pool", "socket": place, "ready": {"ge": 2}}, None)
    assert REGISTRY["haproxy"](probe).run(Context(PATIENCE)).ok
    trigger = {"name": "errors", "source": "haproxy", "target": "web.pool", "socket": place, "ratio": ["hrsp_5xx", "req_tot"], "value": 0.1}
    fleet.ask()
    looked = Snapshot("/nowhere", PATIENCE, Context(PATIENCE)).reading(normalise_trigger(trigger), time.monotonic())
    assert looked.values["req_tot"] > 0


def test_a_host_where_nothing_serves_is_left_out(fleet: Fleet) -> None:
    """Its edge listens and takes connections; but no slot takes requests: it is drained, or has joined a moment ago."""
    fleet.edge("one").set_state("blue", "maint")
    try:
        until(lambda: fleet.state("one") == "down")
        assert {fleet.ask()[1]["release"] for _ in range(6)} == {"two"}
        fleet.edge("one").set_state("blue", "ready")
        until(lambda: fleet.state("one") == "ready")
    finally:
        fleet.edge("one").set_state("blue", "ready")
    assert fleet.edge("lead", "web.pool").load("one").status == "UP"


def test_a_host_whose_process_is_dead_is_left_out(fleet: Fleet) -> None:
    """Its edge is told to send requests to a slot where nobody listens, and no component has a check."""
    try:
        fleet.edge("one").set_state("green", "ready")
        fleet.edge("one").set_state("blue", "maint")
        until(lambda: fleet.edge("one").servers()["green"].state == "down")
        until(lambda: fleet.state("one") == "down")
        assert {fleet.ask()[1]["release"] for _ in range(6)} == {"two"}
        fleet.edge("one").set_state("blue", "ready")
        assert fleet.edge("one").servers()["blue"].state == "ready", "it is asked at once, and not only once it was checked"
    finally:
        fleet.edge("one").set_state("blue", "ready")
        fleet.edge("one").set_state("green", "maint")
    until(lambda: fleet.state("one") == "ready")


def test_what_was_written_before_slots_had_a_check_holds(fleet: Fleet) -> None:
    """An edge comes up with a configuration that checks slots, and the state that one without a check has left."""
    folder = fleet.folder / "one"
    config, text = folder / "haproxy.cfg", (folder / "haproxy.cfg").read_text()
    fleet.kill("one")
    config.write_text(text.replace(" check disabled", " disabled"))
    fleet.start("one")
    try:
        fleet.edge("one").persist()
        assert fleet.edge("one").load("blue").status == "no check"
    finally:
        fleet.kill("one")
        config.write_text(text)
        fleet.start("one")
    now = {name: (server.state, fleet.edge("one").load(name).status) for name, server in fleet.edge("one").servers().items()}
    assert now == {"blue": ("ready", "UP"), "green": ("maint", "MAINT")}
    until(lambda: fleet.state("one") == "ready")


def test_a_host_that_answers_503_costs_nobody_a_page(fleet: Fleet) -> None:
    """Until its check has failed it answers faster than those that serve, so that who comes goes there: a page is asked for elsewhere."""
    until(lambda: fleet.state("one") == fleet.state("two") == "ready")
    try:
        with Visitors(fleet) as visitors:
            until(lambda: {"one", "two"} <= set(visitors.since(0)))
            fleet.edge("one").set_state("blue", "maint")
            until(lambda: fleet.state("one") == "down")
        assert visitors.failed() == []
    finally:
        fleet.edge("one").set_state("blue", "ready")
    until(lambda: fleet.state("one") == "ready")


def test_what_was_sent_is_not_sent_twice(fleet: Fleet) -> None:
    """A host that hangs up without an answer may have done what was asked: a page is asked for elsewhere, an order is not given again."""
    asked: Counter[str] = Counter()

    class HangsUp(Slot):
        def do_GET(self) -> None:
            if self.path == ALIVE:
                return self.say(200, {})
            asked[self.command] += 1
            self.close_connection = True
            return None

        do_POST = do_GET

    fleet.kill("one")
    instead = Server((HOSTS["one"], fleet.ports["web"]), HangsUp)
    threading.Thread(target=instead.serve_forever, daemon=True).start()
    try:
        until(lambda: fleet.state("one") == "ready")
        assert [fleet.ask()[0] for _ in range(10)] == [200] * 10
        assert asked["GET"] > 0
        got = Counter(fleet.ask(method="POST", body=b"x")[0] for _ in range(10))
        assert got[200] > 0
        assert asked["POST"] == 10 - got[200] > 0, "each that was lost was given once"
    finally:
        instead.shutdown()
        instead.server_close()
        fleet.start("one")
    until(lambda: fleet.state("one") == "ready")


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fleet, Authority]]:
    """The same over TLS, with a certificate for a name and for the address that others reach the leading host by."""
    authority = Authority(tmp_path_factory.mktemp("pki"))
    certificate, key = authority.issue("web", "shop.example.com", HOSTS["lead"])
    tls = {"certificate": str(certificate), "key": str(key), "names": ["shop.example.com"]}
    for fleet in fleet_of(tmp_path_factory.mktemp("t"), edge_tls=tls, aistack_ca=str(authority.ca)):
        yield fleet, authority


def seen(fleet: Fleet, ca: Path) -> dict[str, Any]:
    """What the application was sent by somebody who speaks TLS to the pool."""
    client = http.client.HTTPSConnection(
        HOSTS["lead"], fleet.ports["public"], timeout=PATIENCE, source_address=(CLIENT, 0), context=ssl.create_default_context(cafile=ca)
    )
    client.request("GET", "/", headers={"Host": "shop.example.com"})
    answer: dict[str, Any] = json.loads(client.getresponse().read())
    return answer


def test_tls_all_the_way(sealed: tuple[Fleet, Authority]) -> None:
    fleet, authority = sealed
    headers = seen(fleet, authority.ca)["headers"]
    assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == ([CLIENT], ["https"])


def test_a_host_that_cannot_prove_itself_is_not_asked(sealed: tuple[Fleet, Authority], tmp_path: Path) -> None:
    """A certificate of the same authority for another name, and one of another authority for this name."""
    fleet, authority = sealed
    path = fleet.folder / "one" / "tls.pem"
    before = path.read_bytes()
    pairs = [authority.issue("other", "else.example.com"), Authority(tmp_path, "Stranger of a test").issue("web", "shop.example.com")]
    for pair in pairs:
        fleet.kill("one")
        path.write_bytes(b"".join(part.read_bytes() for part in pair))
        fleet.start("one")
        until(lambda: fleet.check("one").startswith("L6") and fleet.state("one") == "down")
        assert {seen(fleet, authority.ca)["release"] for _ in range(4)} == {"two"}
    fleet.kill("one")
    path.write_bytes(before)
    fleet.start("one")
    until(lambda: fleet.state("one") == "ready")
