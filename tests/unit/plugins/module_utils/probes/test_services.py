# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""s3, ollama, comfyui, metrics and haproxy against servers that speak as the real ones do."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from contextlib import suppress

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core.probe_spec import ProbeError
from ansible_collections.phasegate.aistack.plugins.module_utils.probes import s3
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.metrics import parse, value_of
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.s3 import sign
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.listening import hang_up

# -- s3


def test_signature_of_the_published_example():
    """GET of a bucket's lifecycle, from the documentation of Signature Version 4."""
    headers = sign(
        "GET",
        "https://examplebucket.s3.amazonaws.com/?lifecycle=",
        b"",
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "us-east-1",
        "20130524T000000Z",
    )
    assert headers["Authorization"].endswith("Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://s3.example.com:443/b", "s3.example.com"),
        ("http://s3.example.com:80/b", "s3.example.com"),
        ("http://MinIO-1:9000/b", "minio-1:9000"),
        ("https://s3.example.com:9000/b", "s3.example.com:9000"),
        ("http://[FD00::1]:9000/b", "[fd00::1]:9000"),
        ("http://[fd00::1]/b", "[fd00::1]"),
    ],
)
def test_the_host_that_is_signed(monkeypatch, url, host):
    signed = []
    real = s3.hashlib.sha256
    monkeypatch.setattr(s3.hashlib, "sha256", lambda data=b"": signed.append(data) or real(data))
    sign("GET", url, b"", "key", "secret", "us-east-1", "20260101T000000Z")
    assert any(f"\nhost:{host}\n".encode() in data for data in signed)


class Bucket:
    """Keeps what is put, for one path of a server."""

    def __init__(self, web, broken=None):
        self.objects = {}
        self.broken = broken
        self.web = web
        web.routes = self

    def get(self, path, _default):
        return lambda handler, body: self.answer(handler.command, path, body, handler.headers.get("Authorization", ""))

    def answer(self, method, path, body, authorization):
        if "Credential=access" not in authorization:
            return 403, "<Error><Code>InvalidAccessKeyId</Code><Message>The key does not exist.</Message></Error>", {}
        if not path.startswith("/assets"):
            return 404, "<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>", {}
        if method == "PUT":
            self.objects[path] = body[:-1] if self.broken == "cut" else body
            return 200, "", {}
        if method == "GET":
            return 200, self.objects[path], {}
        if method == "DELETE":
            self.objects.pop(path, None)
            return 204, "", {}
        return 200, "", {}


@pytest.fixture
def keys(tmp_path):
    (tmp_path / "a").write_text("access-1\n")
    (tmp_path / "s").write_text("s3cr3t-key\n")
    return {"bucket": "assets", "access_key_file": str(tmp_path / "a"), "secret_key_file": str(tmp_path / "s")}


def test_round_trip_leaves_nothing(web, observe, keys):
    bucket = Bucket(web)
    assert observe(s3=web.url, **keys).ok
    assert bucket.objects == {}
    assert [method for method, *_rest in web.seen] == ["PUT", "GET", "DELETE"]


def test_round_trip_out_of_an_environment_file(web, observe, tmp_path):
    Bucket(web)
    (tmp_path / "env").write_text(
        f"MINIO_ENDPOINT={web.url[7:]}\nMINIO_BUCKET=assets\nMINIO_ACCESS_KEY=access-1\nMINIO_SECRET_KEY=s3cr3t-key\n"
    )
    assert observe(s3={"env_file": str(tmp_path / "env")}).ok
    seen = observe(s3={"env_file": str(tmp_path / "env"), "secret_key_env": "OTHER"})
    assert seen.error
    assert "has no OTHER" in seen.got


def test_the_host_that_is_signed_is_the_one_that_is_sent(web, observe, keys, monkeypatch):
    Bucket(web)
    signed = []
    real = s3.sign
    monkeypatch.setattr(s3, "sign", lambda method, url, *rest: signed.append(s3.host_header(url)) or real(method, url, *rest))
    assert observe(s3=web.url.replace("127.0.0.1", "LocalHost"), round_trip=False, **keys).ok
    assert [headers["Host"] for _method, _path, headers, _body in web.seen] == signed
    assert signed[0].startswith("localhost:")
    assert observe(s3="http://localhost:99999", **keys).error


def test_damaged_object_is_noticed_and_removed(web, observe, keys):
    bucket = Bucket(web, broken="cut")
    seen = observe(s3=web.url, **keys)
    assert not seen.ok
    assert "1023 bytes came back" in seen.got
    assert bucket.objects == {}


def test_what_the_server_says_is_told(web, observe, keys, tmp_path):
    Bucket(web)
    assert "NoSuchBucket: The specified bucket" in observe(s3=web.url, **{**keys, "bucket": "other"}).got
    (tmp_path / "a").write_text("wrong")
    seen = observe(s3=web.url, **keys)
    assert "InvalidAccessKeyId" in seen.got
    assert "wrong" not in seen.got


def test_only_the_bucket(web, observe, keys):
    Bucket(web)
    assert observe(s3=web.url, round_trip=False, **keys).ok
    assert [method for method, *_rest in web.seen] == ["HEAD"]


# -- ollama

DIGEST = "b5f8b9b1a1b5c1c2" + "0" * 48


@pytest.fixture
def ollama(web):
    web.routes["/api/version"] = (200, {"version": "0.17.4"})
    web.routes["/api/tags"] = (200, {"models": [{"name": "tiny:latest", "model": "tiny:latest", "size": 1, "digest": DIGEST}]})
    web.routes["/api/generate"] = (200, {"model": "tiny", "response": "a", "done": True, "eval_count": 8})
    return web


def test_ollama(ollama, observe):
    seen = observe(ollama=ollama.url, version={"matches": "^0[.]17"}, models={"tiny": f"sha256:{DIGEST[:12]}"}, generate="tiny")
    assert seen.ok
    assert "generated 8 tokens" in seen.got
    assert json.loads(ollama.seen[-1][3])["options"] == {"num_predict": 8}
    assert observe(ollama=ollama.url, models=["tiny:latest"]).ok


def test_ollama_model_missing_or_other(ollama, observe):
    seen = observe(ollama=ollama.url, models={"llama3": None})
    assert (seen.ok, seen.got) == (False, "model llama3:latest = not there")
    seen = observe(ollama=ollama.url, models={"tiny": "ffff"})
    assert (seen.ok, seen.expected, seen.got) == (False, "model tiny:latest = ffff", f"model tiny:latest = {DIGEST}")


def test_ollama_that_generates_nothing(ollama, observe):
    ollama.routes["/api/generate"] = (200, {"response": "", "done": True})
    assert "no token" in observe(ollama=ollama.url, generate="tiny").got
    ollama.routes["/api/generate"] = (500, {"error": "llama runner process has terminated"})
    assert "llama runner process has terminated" in observe(ollama=ollama.url, generate="tiny").got


def test_ollama_blobs_are_hashed(ollama, observe, tmp_path):
    content = b"weights" * 1000
    digest = hashlib.sha256(content).hexdigest()
    manifest = json.dumps({"config": {"digest": f"sha256:{digest}"}, "layers": []})
    path = tmp_path / "manifests/registry.ollama.ai/library/tiny/latest"
    path.parent.mkdir(parents=True)
    path.write_text(manifest)
    blob = tmp_path / "blobs" / f"sha256-{digest}"
    blob.parent.mkdir()
    blob.write_bytes(content)
    ollama.routes["/api/tags"] = (200, {"models": [{"name": "tiny:latest", "digest": hashlib.sha256(manifest.encode()).hexdigest()}]})
    assert "1 blobs hashed" in observe(ollama=ollama.url, models=["tiny"], blobs=str(tmp_path)).got
    blob.write_bytes(b"X" + content[1:])
    seen = observe(ollama=ollama.url, models=["tiny"], blobs=str(tmp_path))
    assert not seen.ok
    assert "a blob of tiny:latest is damaged" in seen.got


# -- comfyui


@pytest.fixture
def comfy(web):
    asked = []

    def history(_handler, _body):
        asked.append(1)
        if len(asked) < 3:
            return 200, {}
        return 200, {"p1": {"status": {"status_str": "success", "completed": True}, "outputs": {"9": {"images": [{}]}}}}

    web.routes["/system_stats"] = (200, {"system": {"comfyui_version": "0.3.1", "ram_free": 10}, "devices": []})
    web.routes["/prompt"] = (200, {"prompt_id": "p1", "number": 1})
    web.routes["/history/p1"] = history
    return web


def test_comfyui(comfy, observe):
    assert observe(comfyui=comfy.url, stats={"system.ram_free": {"ge": 1}}).ok
    assert not observe(comfyui=comfy.url, stats={"system.ram_free": {"ge": 11}}).ok
    seen = observe(comfyui=comfy.url, prompt={"9": {"class_type": "SaveImage"}}, within=5)
    assert seen.ok
    assert "1 outputs" in seen.got


def test_comfyui_prompt_that_fails_or_hangs(comfy, observe):
    comfy.routes["/history/p1"] = (200, {"p1": {"status": {"status_str": "error", "messages": ["out of memory"]}, "outputs": {}}})
    assert "out of memory" in observe(comfyui=comfy.url, prompt={"9": {}}, within=2).got
    comfy.routes["/history/p1"] = (200, {})
    seen = observe(comfyui=comfy.url, prompt={"9": {}}, within=0.5)
    assert "no answer within" in seen.got or "not done" in seen.got
    refused = {"9": {"errors": [{"message": "Value not in list", "details": "ckpt_name: 'x' not in []"}], "class_type": "Loader"}}
    comfy.routes["/prompt"] = (200, {"prompt_id": "p1", "number": 1, "node_errors": refused})
    seen = observe(comfyui=comfy.url, prompt={"9": {"class_type": "Loader"}}, within=2)
    assert (seen.ok, seen.got) == (False, "node 9 (Loader) is refused: Value not in list: ckpt_name: 'x' not in []")
    comfy.routes["/prompt"] = (200, {"prompt_id": "p1", "node_errors": ["odd"]})
    assert "odd" in observe(comfyui=comfy.url, prompt={"9": {}}, within=2).got
    comfy.routes["/prompt"] = (400, {"error": {"type": "invalid_prompt"}})
    assert "invalid_prompt" in observe(comfyui=comfy.url, prompt={"9": {}}).got


# -- metrics

TEXT = r"""# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400"}    3 1395066363000
msdos_file_access_time_seconds{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\""} 1.458255915e9
metric_without_timestamp_and_labels 12.47
something_weird{problem="division by zero"} +Inf -3982045
rpc_duration_seconds_bucket{le="0.05",} 24054
"""


def test_prometheus_text():
    samples = parse(TEXT)
    assert len(samples) == 6
    assert value_of(samples, 'http_requests_total{code="400"}') == 3
    assert value_of(samples, "http_requests_total") == 1030
    assert samples[2].labels["error"] == r"Cannot find file:\n\"FILE.TXT\""


def test_a_share_of_one_metric_in_another(web, observe):
    web.routes["/metrics"] = (200, 'a_total{code="500"} 2\na_total{code="503"} 2\na_total{code="200"} 96\nt_sum 30\nt_count 10\n')
    url = f"{web.url}/metrics"
    errors = ['a_total{code=~"5.."}', "a_total"]
    assert observe(type="metrics", target=url, ratio=errors, value={"lt": 0.05}, least=100).got == "0.04"
    seen = observe(type="metrics", target=url, ratio=errors, value=0.03)
    assert (seen.ok, seen.got) == (False, "ratio = 0.04")
    seen = observe(type="metrics", target=url, ratio=errors, value=0.05, least=101)
    assert (seen.ok, seen.got) == (False, "a_total = 100: too few to judge")
    assert not observe(type="metrics", target=url, ratio=["t_sum", "t_count"], value=2).ok
    assert observe(type="metrics", target=url, ratio=["none_total", "a_total"], value=0).ok, "no error was ever counted"
    with pytest.raises(ProbeError, match="belong together"):
        observe(type="metrics", target=url, ratio=errors)


def test_metrics(web, observe):
    web.routes["/metrics"] = (200, TEXT)
    url = f"{web.url}/metrics"
    assert observe(metrics=url).ok
    assert observe(type="metrics", target=url, metrics=["http_requests_total"]).ok
    assert observe(type="metrics", target=url, metrics={'http_requests_total{code="400"}': {"le": 3}}).ok
    seen = observe(type="metrics", target=url, metrics={"http_requests_total": {"gt": 9000}, "absent_total": {"exists": True}})
    assert (seen.ok, seen.got) == (False, "http_requests_total = 1030.0, absent_total = nothing")
    web.routes["/metrics"] = (200, "<html>not metrics</html>")
    assert "line 1 is no sample" in observe(type="metrics", target=url).got
    web.routes["/metrics"] = (200, "# nothing\n")
    assert not observe(type="metrics", target=url).ok


# -- haproxy

HEAD = "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,status,weight,"
ROW = "{0},{1},0,0,0,1,,5,0,0,,0,,0,0,0,0,{2},1,"


@pytest.fixture
def haproxy(tmp_path):
    path = tmp_path / "admin.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(8)
    rows = {}

    def serve():
        while True:
            try:
                client, _address = listener.accept()
            except OSError:
                return
            with client, suppress(OSError):  # a probe whose time is over hangs up
                assert client.recv(100) == b"show stat\n"
                lines = [HEAD, *(ROW.format("backend", name, status) for name, status in rows.items())]
                client.sendall(("\n".join([*lines, ROW.format("backend", "BACKEND", "UP")]) + "\n\n").encode())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield str(path), rows
    hang_up(listener, thread)


@pytest.mark.parametrize(
    ("blue", "green", "probe", "good"),
    [
        ("UP", "MAINT", {}, True),
        ("no check", "MAINT (via backend/blue)", {}, True),
        ("UP", "UP", {}, False),
        ("DOWN 1/2", "MAINT", {}, False),
        ("UP", "DRAIN", {"servers": {"blue": "UP", "green": "drain"}}, True),
        ("UP 1/3", "DRAIN", {"servers": {"blue": "ready"}}, True),
        ("UP", "DRAIN", {"servers": {"green": "ready"}}, False),
        ("UP", "UP", {"ready": {"ge": 1}}, True),
    ],
)
def test_haproxy(observe, haproxy, blue, green, probe, good):
    path, rows = haproxy
    rows.update({"blue": blue, "green": green})
    seen = observe(haproxy="backend", socket=path, **probe)
    assert seen.ok is good, seen
    assert not seen.error


def test_haproxy_without_that_section_or_at_all(observe, haproxy, tmp_path):
    path, _rows = haproxy
    assert "no section 'backand' (did you mean backend?)" in observe(haproxy="backand", socket=path).got
    assert "is not there" in observe(haproxy="backend", socket=str(tmp_path / "none")).got
