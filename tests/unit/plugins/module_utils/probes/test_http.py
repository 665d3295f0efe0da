# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The http probe against a real server."""

from __future__ import annotations

import base64
import ssl
import subprocess
import threading
import time

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core.probe_spec import ProbeError
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.pki import Authority


def test_fields_of_an_answer(web, observe):
    web.routes["/health"] = (200, {"status": "ok", "version": "v4.1.0", "nodes": [{"name": "a"}]})
    seen = observe(http=f"{web.url}/health", json={"status": "ok", "version": "v4.1.0", "nodes.0.name": "a"})
    assert seen.ok
    assert seen.got == "status 200, status = ok, version = v4.1.0, nodes.0.name = a"
    assert seen.latency_ms > 0


@pytest.mark.parametrize("status", ["204", [200, 204], ["200", "204"], {"in": ["200", "204"]}, {"lt": "300"}])
def test_a_status_means_what_it_says(web, observe, status):
    web.routes["/"] = (204, "")
    assert observe(http=web.url, status=status).ok
    web.routes["/"] = (503, "")
    seen = observe(http=web.url, status=status)
    assert not seen.ok
    assert seen.got == "status = 503"


@pytest.mark.parametrize(
    ("body", "expected", "good"),
    [("true", True, True), ("false", True, False), ("false", False, True), ("[1, 2]", [1, 2], True), ("0", 0, True),
     ('{"status": "ok"}', True, False)],
)
def test_an_answer_that_is_one_bare_value(web, observe, body, expected, good):
    web.routes["/"] = (200, body)
    seen = observe(http=web.url, json=expected)
    assert seen.ok is good
    assert "json = " in seen.expected


def test_wrong_version_says_both(web, observe):
    web.routes["/health"] = (200, {"status": "ok", "version": "v4.0.0"})
    seen = observe(http=f"{web.url}/health", json={"status": "ok", "version": "v4.3.0"})
    assert not seen.ok
    assert not seen.error
    assert (seen.expected, seen.got) == ("version = v4.3.0", "version = v4.0.0")


@pytest.mark.parametrize(
    ("answer", "probe", "got"),
    [
        ((503, "starting"), {}, "status = 503"),
        ((200, "<html>"), {"json": {"a": 1}}, "status 200, no JSON: <html>"),
        ((200, ""), {"json": {"a": 1}}, "status 200, no JSON: an empty body"),
        ((200, {"a": 1}), {"json": {"b": 1}}, "b = nothing"),
        ((200, {"ok": 1}), {"json": {"ok": True}}, "ok = 1"),
        ((200, "hello"), {"body": "good ?bye"}, "body = hello"),
        ((302, "", {"Location": "/login"}), {}, "status = 302"),
        ((200, "x", {"X-Release": "v1"}), {"response_headers": {"X-Release": "v2"}}, "headers.x-release = v1"),
    ],
)
def test_what_is_not_as_expected(web, observe, answer, probe, got):
    web.routes["/"] = answer
    seen = observe(http=web.url, **probe)
    assert not seen.ok
    assert seen.got == got


def test_redirect_is_not_followed_and_named(web, observe):
    web.routes["/"] = (302, "", {"Location": "/elsewhere"})
    web.routes["/elsewhere"] = (200, "here")
    assert "redirects to /elsewhere" in observe(http=web.url).detail
    assert [path for _method, path, _headers, _body in web.seen] == ["/"]


def test_body_goes_as_json_and_method_follows(web, observe):
    web.routes["/api"] = (201, {"job_id": "w1"})
    seen = observe(http=f"{web.url}/api", data={"brand": "b"}, status=201, capture={"job": "job_id"})
    assert seen.ok
    assert seen.captured == {"job": "w1"}
    method, _path, headers, body = web.seen[0]
    assert (method, headers["Content-Type"], body) == ("POST", "application/json", b'{"brand": "b"}')


def test_capture_of_nothing_is_a_failure(web, observe):
    web.routes["/api"] = (200, {"other": 1})
    seen = observe(http=f"{web.url}/api", capture={"job": "job_id"})
    assert not seen.ok
    assert "${job}" in seen.expected


def test_password_comes_from_a_file_and_is_never_shown(web, observe, tmp_path):
    secret = tmp_path / "pw"
    secret.write_text("pa55word\n")

    def echo(handler, _body):
        return 401, f"bad {handler.headers['Authorization']} for pa55word"

    web.routes["/"] = echo
    seen = observe(http=web.url, username="prom", password_file=str(secret))
    assert web.seen[0][2]["Authorization"] == "Basic " + base64.b64encode(b"prom:pa55word").decode()
    assert "pa55word" not in seen.detail
    assert "****" in seen.detail


def test_missing_password_file_is_named(web, observe):
    seen = observe(http=web.url, username="u", password_file="/nonexistent/pw")
    assert not seen.ok
    assert "/nonexistent/pw" in seen.got


def test_nobody_there(observe, free_port):
    seen = observe(http=f"http://127.0.0.1:{free_port}/x")
    assert seen.got == f"connection refused (http://127.0.0.1:{free_port}/x)"
    assert not seen.error


@pytest.mark.parametrize("header", [b"Content-Length: 1000", b"Content-Length: 1000\r\nConnection: close", b"Server: old"])
def test_time_limit_holds_against_a_server_that_drips(talk, observe, header):
    def drip(client):
        client.recv(1000)
        client.sendall(b"HTTP/1.1 200 OK\r\n" + header + b"\r\n\r\n")
        for _tenth in range(300):
            client.sendall(b"x")
            time.sleep(0.1)

    port = talk(drip)
    began = time.monotonic()
    seen = observe(http=f"http://127.0.0.1:{port}/", timeout=0.5)
    assert time.monotonic() - began < 15
    assert seen.got.startswith("no answer within 0.5 s")


def test_time_limit_holds_against_a_server_that_stalls(talk, observe):
    def stall(client):
        client.recv(1000)
        time.sleep(0.3)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nx")
        client.recv(1)  # until the probe hangs up

    port = talk(stall)
    began = time.monotonic()
    assert not observe(http=f"http://127.0.0.1:{port}/", timeout=0.5).ok
    assert time.monotonic() - began < 10


def test_another_protocol(talk, observe):
    port = talk(lambda client: client.sendall(b"SSH-2.0-OpenSSH\r\n"))
    assert "no HTTP" in observe(http=f"http://127.0.0.1:{port}/").got or "reset" in observe(http=f"http://127.0.0.1:{port}/").got


def test_too_slow(web, observe):
    def slow(_handler, _body):
        time.sleep(0.15)
        return 200, "ok"

    web.routes["/"] = slow
    seen = observe(http=web.url, max_latency_ms=50)
    assert not seen.ok
    assert seen.expected == "latency_ms <= 50.0"
    assert observe(http=web.url, max_latency_ms=5000).ok


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", "key.pem", "-out", "cert.pem", "-days", "30"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *files, *subject]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def tls_port(certificate, talk):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")

    def serve(client):
        try:
            with server.wrap_socket(client, server_side=True) as wrapped:
                wrapped.recv(1000)
                wrapped.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except ssl.SSLError:
            return  # the client does not trust the certificate

    return talk(serve)


def test_certificates_are_verified(observe, certificate, tls_port):
    assert observe(http=f"https://127.0.0.1:{tls_port}/", ca_file=str(certificate / "cert.pem")).ok
    seen = observe(http=f"https://127.0.0.1:{tls_port}/")
    assert not seen.ok
    assert "not trusted" in seen.got


def test_days_left_of_a_certificate(observe, certificate, tls_port):
    trusted = {"ca_file": str(certificate / "cert.pem")}
    assert observe(tls=f"localhost:{tls_port}", days_left=20, **trusted).ok
    seen = observe(tls=f"localhost:{tls_port}", days_left=60, **trusted)
    assert not seen.ok
    assert seen.expected == "days_left >= 60"
    assert "not trusted" in observe(tls=f"localhost:{tls_port}").got


def test_the_certificate_that_a_server_has_to_show(observe, certificate, tls_port, tmp_path):
    shown = certificate / "cert.pem"
    assert observe(tls=f"localhost:{tls_port}", certificate=str(shown)).ok
    Authority(tmp_path).issue("other", "localhost")
    seen = observe(tls=f"localhost:{tls_port}", certificate=str(tmp_path / "other.pem"))
    assert not seen.ok
    assert seen.expected.startswith(f"the certificate in {tmp_path / 'other.pem'}")
    (tmp_path / "empty.pem").write_text("nothing")
    assert "holds no certificate" in observe(tls=f"localhost:{tls_port}", certificate=str(tmp_path / "empty.pem")).got
    assert "No such file" in observe(tls=f"localhost:{tls_port}", certificate=str(tmp_path / "absent.pem")).got


def test_a_database_that_speaks_no_tls(observe, talk):
    def serve(client):
        assert client.recv(8) == b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
        client.sendall(b"N")

    assert "speaks no TLS" in observe(tls=f"127.0.0.1:{talk(serve)}", starttls="postgres").got
    with pytest.raises(ProbeError, match="'smtp' is not"):
        observe(tls="127.0.0.1:25", starttls="smtp")


def test_threads_do_not_pile_up(web, observe):
    web.routes["/"] = (200, "ok")
    before = threading.active_count()
    for _time in range(10):
        assert observe(http=web.url).ok
    assert threading.active_count() <= before + 2
