# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notices over real connections on loopback; what does not arrive is said without a secret."""

from __future__ import annotations

import http.server
import json
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.notice import send as notice_send
from ansible_collections.phasegate.aistack.plugins.module_utils.notice.send import Unreached

SECRET = "T0KEN-s3cret"
FACTS = {"stack": "shop", "to": "v1", "reason": "에러율 25 %"}


class Hook(http.server.BaseHTTPRequestHandler):
    """Answers as the path says."""

    got: ClassVar[list[tuple[str, Any, str]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.got.append((self.path, body, self.headers.get("Authorization", "")))
        status = int(self.path.split("/")[1])
        if status == 1:
            return  # and the connection is closed
        if status == 0:
            self.wfile.write(b"this is not HTTP\r\n\r\n")
            return
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/200/elsewhere")
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[str]:
    Hook.got.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def webhook(url: str, **changes: Any) -> dict[str, Any]:
    return {"kind": "webhook", "url": url, "timeout": 5, **changes}


def refused(entry: dict[str, Any]) -> str:
    """Why it did not arrive."""
    with pytest.raises(Unreached) as caught:
        notice_send.send(entry, {"title": "t", "text": "x"})
    text = str(caught.value)
    assert SECRET not in text
    assert "127.0.0.1" not in text
    assert caught.value.__cause__ is None  # nothing that a traceback would show
    return text


def test_a_webhook_gets_json(hook: str) -> None:
    entries = [webhook(f"{hook}/200/{SECRET}", headers={"Authorization": f"Bearer {SECRET}"}), webhook(f"{hook}/204/x", name="other")]
    assert notice_send.send_all(entries, "rollback_finished", FACTS) == {"sent": ["webhook 1", "other"], "failed": []}
    _path, body, authorization = next(entry for entry in Hook.got if SECRET in entry[0])
    assert authorization == f"Bearer {SECRET}"
    assert (body["event"], body["title"], body["facts"]) == ("rollback_finished", "[shop] rollback finished: v1", FACTS)
    assert "Situation: 에러율 25 %" in body["text"]


def test_only_who_asked_and_nobody_in_check_mode(hook: str) -> None:
    entries = [webhook(f"{hook}/200/a", name="a", events=["deploy_started"]), webhook(f"{hook}/200/b", name="b")]
    assert notice_send.send_all(entries, "rollback_started", FACTS, check=True) == {"sent": ["b"], "failed": []}
    assert Hook.got == []
    notice_send.send_all(entries, "rollback_started", FACTS)
    assert [path for path, _body, _header in Hook.got] == ["/200/b"]


@pytest.mark.parametrize(
    ("path", "why", "tries"),
    [("404", "it answered 404", 1), ("503", "it answered 503", 2), ("302", "it answered 302", 1), ("0", "no HTTP", 1),
     ("1", "the connection was closed before it answered", 2)],
)
def test_a_webhook_that_does_not_want_it(hook: str, path: str, why: str, tries: int) -> None:
    assert why in refused(webhook(f"{hook}/{path}/{SECRET}"))
    assert len(Hook.got) == tries


def test_a_webhook_that_is_not_there_and_one_that_is_none() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert refused(webhook(f"http://127.0.0.1:{port}/{SECRET}")) == "connection refused"
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        assert refused(webhook(f"http://127.0.0.1:{deaf.getsockname()[1]}/{SECRET}", timeout=0.2)) == "no answer within 0.2 s"
    assert "makes no sense" in refused(webhook("http://127.0.0.1:1/", headers={"X": f"a\nb: {SECRET}"}))
    assert "No such file" in refused(webhook(f"https://127.0.0.1:1/{SECRET}", ca_file="/absent"))


def test_what_fails_stops_nobody_else(hook: str, tmp_path: Path) -> None:
    place = tmp_path / "got"
    entries = [
        webhook(f"{hook}/500/{SECRET}"),
        {"kind": "mail", "url": SECRET},
        {"kind": "command", "command": ["sh", "-c", f"cat > {place}"]},
        {"kind": "command", "command": ["sh", "-c", f"echo {SECRET} >&2; exit 3"], "name": "pager"},
        {"kind": "command", "command": ["/absent"]},
        {"kind": "command", "command": ["sleep", "9"], "timeout": 0.2},
    ]
    result = notice_send.send_all(entries, "deploy_failed", FACTS)
    assert result["sent"] == ["command 3"]
    assert json.loads(place.read_text())["title"] == "[shop] deploy failed: v1"
    why = {entry["name"]: entry["why"] for entry in result["failed"]}
    assert why["webhook 1"] == "it answered 500"
    assert "aistack_notices[1] is wrong: : unknown key 'url'" in why["mail 2"]
    assert why["pager"] == "sh ended with 3"
    assert why["command 5"] == "/absent cannot be run: No such file or directory"
    assert why["command 6"] == "sleep did not end within 0.2 s"
    assert SECRET not in json.dumps(result)


class Post(socketserver.StreamRequestHandler):
    """As much of SMTP as a mail needs."""

    got: ClassVar[list[str]] = []
    features: ClassVar[list[str]] = []
    refuses: ClassVar[str] = ""

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())

    def handle(self) -> None:
        self.say("220 here")
        for raw in self.rfile:
            line = raw.decode().strip()
            word = line.split(" ")[0].upper()
            if word == "EHLO":
                lines = ["here", *self.features]
                for number, feature in enumerate(lines):
                    self.say(f"250{' ' if number == len(lines) - 1 else '-'}{feature}")
            elif word == "DATA":
                self.say("354 go on")
                body = []
                for part in self.rfile:
                    if part == b".\r\n":
                        break
                    body.append(part.decode())
                self.got.append("".join(body))
                self.say("250 taken")
            elif word == "QUIT":
                self.say("221 bye")
                return
            elif word == self.refuses:
                self.say("535 no" if word == "AUTH" else "550 nobody of that name")
            else:
                self.say("235 fine" if word == "AUTH" else "250 fine")


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Any]:
    """Return ``post(tls=False, features=[], refuses="")``, which starts a server and returns an entry for it."""
    servers = []

    def start(tls: bool = False, features: tuple[str, ...] = (), refuses: str = "", **changes: Any) -> dict[str, Any]:
        Post.got.clear()
        Post.features[:], Post.refuses = list(features), refuses
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Post)
        server.daemon_threads = True  # closing it waits for no conversation that hangs
        entry = {"kind": "mail", "host": "localhost", "port": server.server_address[1], "security": "none", "timeout": 5,
                 "from": "aistack@example.com", "to": ["ops@example.com", "dev@example.com"], **changes}
        if tls:
            if not shutil.which("openssl"):
                pytest.fail("no openssl on this machine: apt-get install openssl")
            key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "1",
                 "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True,
            )
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
            entry.update(security="tls", ca_file=str(certificate))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return entry

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_mail_arrives(post: Any) -> None:
    entry = post(tls=True, features=("AUTH PLAIN",), user="u", password=SECRET)
    assert notice_send.send_all([entry], "rollback_finished", {"stack": "shop", "to": "v1"})["sent"] == ["mail 1"]
    [mail] = Post.got
    assert "Subject: [shop] rollback finished: v1" in mail
    assert "To: ops@example.com, dev@example.com" in mail
    assert "Lost: nothing" in mail


@pytest.mark.parametrize(
    ("server", "changes", "why"),
    [
        ({}, {"security": "starttls"}, "the mail server does not offer starttls"),
        ({"features": ("AUTH PLAIN",), "refuses": "AUTH"}, {"user": "u", "password": SECRET}, "refused user and password (535)"),
        ({"refuses": "RCPT"}, {}, "takes none of the recipients"),
        ({"refuses": "MAIL"}, {}, "the mail server refused (550)"),
        ({}, {"from": "a@example.com\nBcc: x@example.com"}, "an address in from or to makes no sense"),
        ({"tls": True}, {"ca_file": None}, "the certificate is not trusted"),
    ],
)
def test_a_mail_that_does_not_arrive(post: Any, server: dict[str, Any], changes: dict[str, Any], why: str) -> None:
    entry = {**post(**server), **changes}
    assert why in refused(entry)
    assert Post.got == []


def asked(*commands: str, **more: Any) -> list[dict[str, Any]]:
    return [{"kind": "command", "name": f"hook {number}", "command": ["sh", "-c", command], "events": ["before_deploy"], **more}
            for number, command in enumerate(commands)]


def test_whoever_is_asked_gets_the_event_and_agrees_in_silence(tmp_path: Path) -> None:
    told = {"kind": "command", "command": ["sh", "-c", f"touch {tmp_path}/told"]}
    answer = notice_send.ask_all([told, None, *asked(f"cat > {tmp_path}/got", "true")], "before_deploy", FACTS)
    assert answer == {"sent": ["hook 0", "hook 1"], "failed": []}
    got = json.loads((tmp_path / "got").read_text())
    assert (got["event"], got["status"], got["title"], got["facts"]["to"]) == (
        "before_deploy", "asked for", "[shop] deploy asked for: v1", "v1",
    )
    assert not (tmp_path / "told").exists(), "who names no event is asked nothing"


def test_the_first_that_refuses_ends_it_with_its_last_words(tmp_path: Path) -> None:
    words = "for n in 1 2 3 4 5; do echo line $n; done; echo see https://me:" + SECRET + "@ci.example.com >&2; exit 3"
    answer = notice_send.ask_all(asked("true", words, f"touch {tmp_path}/asked"), "before_deploy", FACTS)
    (refused,) = answer["failed"]
    assert (answer["sent"], refused["name"]) == (["hook 0"], "hook 1")
    assert refused["why"].splitlines()[:2] == ["it ended with 3", "  line 2"]
    assert "ci.example.com" in refused["why"]
    assert SECRET not in refused["why"]
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (asked("false")[0], "it ended with 1 and said nothing"),
        (asked("sleep 5", timeout=0.1)[0], "sh did not end within 0.1 s and said nothing"),
        ({**asked("")[0], "command": ["/nonexistent/hook"]}, "/nonexistent/hook cannot be run: No such file or directory"),
        ({**asked("")[0], "comand": []}, "its description in aistack_notices[0] is wrong: : unknown key 'comand'"),
    ],
)
def test_who_gives_no_answer_has_not_agreed(entry: dict[str, Any], why: str) -> None:
    assert notice_send.ask_all([entry], "before_deploy", FACTS)["failed"][0]["why"].startswith(why)


def test_in_check_mode_nobody_is_asked(tmp_path: Path) -> None:
    entries = asked(f"touch {tmp_path}/asked; false")
    assert notice_send.ask_all(entries, "before_deploy", FACTS, check=True) == {"sent": ["hook 0"], "failed": []}
    assert not (tmp_path / "asked").exists()


def test_an_emergency_tells_those_that_it_does_not_ask() -> None:
    entries = [{"kind": "command", "command": ["false"], "name": "freeze", "events": ["before_rollback"]}]
    assert notice_send.send_all(entries, "rollback_finished", FACTS) == {"sent": [], "failed": []}
    told = notice_send.send_all(entries, "rollback_finished", FACTS, besides="before_rollback")
    assert told["failed"] == [{"name": "freeze", "why": "false ended with 1"}]
